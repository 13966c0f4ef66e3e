"""Closing prices: what every stage may take for granted about them, and how they are read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.data.dates import dated, day
from pmx.data.layout import closes_of
from pmx.data.long_table import PRICES
from pmx.data.wide_file import read_wide
from pmx.errors import DataError
from pmx.policy import CASH
from pmx.policy.symbols import symbols_as_text


@checked(outside=["frame"])
def check_prices(frame: pd.DataFrame, name: str = "prices") -> pd.DataFrame:
    """Return the prices as everything in pmx expects them, or refuse.

    Parameters
    ----------
    frame : DataFrame, date × symbol
        Closing prices in each symbol's currency; NaN where there is none. Whole numbers as symbols become text, 5930
        the symbol ``"5930"``. Of a table whose columns are pairs of field and ticker, as yfinance returns it, the
        adjusted closes are taken, or else the closes, and a warning says which. Dates in any form that
        `pmx.data.dated` takes.
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
        If any of that does not hold, naming symbol, date, value and remedy. Only the dates are put right by
        themselves: their order and their form; of a time zone, the local date is kept. A table of one share's open,
        high, low, close and volume, and one with a row for each date and symbol, are refused with the line that
        converts them.

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
    frame = closes_of(frame, name)
    frame = frame.set_axis(symbols_as_text(frame.columns, name), axis=1)
    _check_symbols(frame.columns, name)
    frame = dated(frame, name)
    for symbol, kind in frame.dtypes.items():
        if kind.kind not in "fiu":
            raise DataError(f"{name}: {symbol}: holds {kind} values, not numbers; convert it to float")
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    bad = ~np.isnan(values) & ~(np.isfinite(values) & (values > 0.0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        where = f"{name}: {frame.columns[column]} on {day(frame.index[row])}"
        raise DataError(
            f"{where}: price {values[row, column]:g} is not a finite number above zero; "
            "correct it, or leave it empty where there was no trade"
        )
    index = pd.DatetimeIndex(frame.index.to_numpy(), name="date")
    return pd.DataFrame(values, index=index, columns=pd.Index(frame.columns.tolist()))


@checked
def read_prices(path: str | Path) -> pd.DataFrame:
    r"""Read closing prices from a CSV or Parquet file.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet``. Wide: a column (or the Parquet index) holds dates as ``YYYY-MM-DD``,
        every other column is a symbol. An empty cell is a missing price. See Notes for what else is read.

    Returns
    -------
    DataFrame, date × symbol
        As `check_prices` returns it.

    Raises
    ------
    DataError
        Naming file, symbol, date, value and remedy.

    Notes
    -----
    Recognised from the file's content, and refused where it may mean two things:

    - one row a date and symbol, with columns such as ``date``, ``symbol``, ``close``;
    - one share's open, high, low, close and volume in a file named after its ticker, such as ``AAPL.csv``;
    - two header lines, field and ticker, as yfinance writes them;
    - dates in the header and one row a symbol; row numbers before the dates;
    - semicolons or tabs between cells, decimal commas, grouped thousands;
    - dates as ``YYYYMMDD``, ``DD.MM.YYYY``, ``DD/MM/YYYY`` or ``MM/DD/YYYY``, if all are so written.

    Adjusted closes are preferred to others. A `pmx.errors.PmxWarning` says which column was taken.

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
    return check_prices(read_wide(Path(path), PRICES, one_share=True), str(path))


def _check_symbols(symbols: pd.Index, name: str) -> None:
    for symbol in symbols:
        if symbol == CASH:
            raise DataError(f"{name}: a column is named {CASH}, which stands for cash; rename it")
    if not symbols.is_unique:
        twice = symbols[symbols.duplicated()][0]
        raise DataError(f"{name}: the symbol {twice} has two columns; keep one of them")
