"""Closing prices: what every stage may take for granted about them, and how they are read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pmx.data.table import dates, file_format, numbers, read_csv_text, read_parquet
from pmx.errors import DataError
from pmx.policy import CASH


def check_prices(frame: pd.DataFrame, name: str = "prices") -> pd.DataFrame:
    """Return the prices as everything in pmx expects them, or refuse.

    Parameters
    ----------
    frame : DataFrame, date × symbol
        Closing prices in each symbol's currency; NaN where there is none.
    name : str
        What the messages call it, such as a file's path.

    Returns
    -------
    DataFrame, date × symbol
        A copy: float64, dates ascending and unique and without a time zone, symbols unique text, every price
        finite and above zero or NaN.

    Raises
    ------
    DataError
        If any of that does not hold, naming symbol, date, value and remedy. Only the order of the dates is
        put right by itself.

    Examples
    --------
    >>> frame = pd.DataFrame({"SPY": [100.0, -1.0]}, index=pd.to_datetime(["2020-01-02", "2020-01-03"]))
    >>> check_prices(frame)
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: prices: SPY on 2020-01-03: price -1 is not a finite number above zero; ...
    """
    if frame.empty:
        raise DataError(f"{name}: holds no prices; give at least one date and one symbol")
    _check_symbols(frame.columns, name)
    _check_dates(frame.index, name)
    for symbol, kind in frame.dtypes.items():
        if kind.kind not in "fiu":
            raise DataError(f"{name}: {symbol}: holds {kind} values, not numbers; convert it to float")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    bad = ~np.isnan(values) & ~(np.isfinite(values) & (values > 0.0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        where = f"{name}: {frame.columns[column]} on {_day(frame.index[row])}"
        raise DataError(
            f"{where}: price {values[row, column]:g} is not a finite number above zero; "
            "correct it, or leave it empty where there was no trade"
        )
    index = pd.DatetimeIndex(frame.index.to_numpy(), name="date")
    return pd.DataFrame(values, index=index, columns=pd.Index(frame.columns.tolist())).sort_index()


def read_prices(path: str | Path) -> pd.DataFrame:
    r"""Read closing prices from a CSV or Parquet file.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet``. Wide: the first column (or the Parquet index) holds dates as
        ``YYYY-MM-DD``, every other column is a symbol. An empty cell is a missing price.

    Returns
    -------
    DataFrame, date × symbol
        As `check_prices` returns it.

    Raises
    ------
    DataError
        Naming file, symbol, date, value and remedy.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "prices.csv"
    >>> _ = file.write_text("date,SPY,BIL\n2020-01-02,324.87,\n2020-01-03,322.41,91.5\n")
    >>> read_prices(file)
                   SPY   BIL
    date
    2020-01-02  324.87   NaN
    2020-01-03  322.41  91.5
    """
    file = Path(path)
    if file_format(file, {"csv": (".csv", ".csv.gz"), "parquet": (".parquet", ".pq")}) == "csv":
        return check_prices(_from_csv(file), str(file))
    frame = read_parquet(file)
    if not isinstance(frame.index, pd.DatetimeIndex) and len(frame.columns):
        frame = frame.set_index(dates(frame.iloc[:, 0], file)).iloc[:, 1:]
    return check_prices(frame, str(file))


def _from_csv(file: Path) -> pd.DataFrame:
    table = read_csv_text(file)
    written = table.iloc[:, 0]
    symbols = table.columns[1:]
    _check_symbols(symbols, str(file))
    columns = [numbers(table.iloc[:, k + 1], file, written, symbol) for k, symbol in enumerate(symbols)]
    values = np.column_stack(columns) if columns else np.empty((len(table), 0))
    return pd.DataFrame(values, index=dates(written, file), columns=symbols)


def _check_symbols(symbols: pd.Index, name: str) -> None:
    for symbol in symbols:
        if not isinstance(symbol, str) or not symbol:
            raise DataError(f"{name}: a column is named {symbol!r}; name each column after its symbol")
        if symbol == CASH:
            raise DataError(f"{name}: a column is named {CASH}, which stands for cash; rename it")
    if not symbols.is_unique:
        twice = symbols[symbols.duplicated()][0]
        raise DataError(f"{name}: the symbol {twice} has two columns; keep one of them")


def _check_dates(dates: pd.Index, name: str) -> None:
    if not isinstance(dates, pd.DatetimeIndex):
        raise DataError(f"{name}: the index is {dates.dtype}, not dates; use a DatetimeIndex")
    if dates.tz is not None:
        raise DataError(f"{name}: the dates carry the time zone {dates.tz}; drop it with tz_localize(None)")
    if dates.hasnans:
        raise DataError(f"{name}: row {int(dates.isna().argmax()) + 1} has no date; give it one or drop it")
    if not dates.is_unique:
        twice = dates[dates.duplicated()][0]
        raise DataError(f"{name}: the date {_day(twice)} occurs twice; keep one row for each date")


def _day(date: pd.Timestamp) -> str:
    return date.strftime("%Y-%m-%d") if date == date.normalize() else str(date)
