"""Average daily value traded, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.data.by_date import table_by_date
from pmx.data.long_table import VOLUMES
from pmx.data.notation import as_numbers
from pmx.data.table import file_format, read_csv_text, read_parquet
from pmx.errors import DataError
from pmx.policy.symbols import symbol_text, symbols_as_text

UNIT = "its average daily value traded, in base currency"


@checked
def read_adv(path: str | Path) -> pd.Series:
    r"""Read the average daily value traded of each symbol, as known now.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet`` with the columns ``symbol`` and ``adv``: base currency a day, that is
        price times number of shares.

    Returns
    -------
    Series by symbol, base currency a day
        Named ``adv``.

    Raises
    ------
    DataError
        If a column is missing or unknown, a symbol is empty or given twice, or a value is not a finite number ≥ 0.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "adv.csv"
    >>> _ = file.write_text("symbol,adv\nSPY,3.1e10\nGLD,1.5e9\n")
    >>> read_adv(file).to_dict()
    {'SPY': 31000000000.0, 'GLD': 1500000000.0}
    """
    file = Path(path)
    if file_format(file, {"csv": (".csv", ".csv.gz"), "parquet": (".parquet", ".pq")}) == "csv":
        table = read_csv_text(file)
    else:
        table = read_parquet(file)
        table = table.reset_index() if table.index.names != [None] else table
    delimiter = table.attrs.get("delimiter", ",")
    table = table.set_axis([str(column).strip().lower() for column in table.columns], axis=1)
    if sorted(table.columns) != ["adv", "symbol"]:
        raise DataError(
            f"{file}: has the columns {','.join(table.columns)}; the columns must be symbol,adv, with adv the average "
            "daily value traded in base currency"
        )
    symbols = pd.Series(
        [_symbol(name, row, file) for row, name in enumerate(table["symbol"].tolist(), 1)], dtype=object
    )
    if symbols.duplicated().any():
        raise DataError(f"{file}: {symbols[symbols.duplicated()].iloc[0]} is given twice; keep one of the two")
    cells = table["adv"]
    if not pd.api.types.is_numeric_dtype(cells):
        cells = as_numbers(cells.astype(str).to_frame(), file, symbols, delimiter=delimiter)["adv"]
    adv = pd.Series(cells.to_numpy(dtype=np.float64), index=pd.Index(symbols, name="symbol"), name="adv")
    wrong = ~(adv >= 0.0) | np.isinf(adv)
    if wrong.any():
        name = adv.index[int(wrong.to_numpy().argmax())]
        raise DataError(f"{file}: {name}: adv {adv[name]:g} is not a finite number ≥ 0; give {UNIT}")
    return adv


def _symbol(name: object, row: int, file: Path) -> str:
    try:
        return symbol_text(name, str(file))
    except DataError as error:
        raise DataError(f"{file}: entry {row} names no symbol; name it") from error


@checked
def read_traded_values(path: str | Path) -> pd.DataFrame:
    r"""Read the average daily value traded of each symbol by date, as known at each date.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet``, wide: the first column holds dates as ``YYYY-MM-DD``, every other one a
        symbol; or long, with the columns ``date``, ``symbol`` and ``adv``. Base currency a day, never percent. An
        empty cell is NaN.

    Returns
    -------
    DataFrame, date × symbol
        Dates ascending.

    Raises
    ------
    DataError
        If a cell is no number or below zero, or a date or a column occurs twice.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "adv.csv"
    >>> _ = file.write_text("date,SPY\n2020-01-02,3.1e10\n")
    >>> float(read_traded_values(file).loc["2020-01-02", "SPY"])
    31000000000.0
    """
    frame = table_by_date(Path(path), VOLUMES)
    frame = frame.set_axis(symbols_as_text(frame.columns, str(path)), axis=1)
    wrong = (frame < 0.0).to_numpy() | np.isinf(frame.to_numpy(dtype=np.float64))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        where = f"{frame.columns[column]} on {frame.index[row]:%Y-%m-%d}"
        raise DataError(f"{path}: {where}: {frame.iloc[row, column]:g} is not a finite number ≥ 0; give {UNIT}")
    return frame
