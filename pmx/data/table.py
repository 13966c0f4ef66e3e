"""Tables in files: CSV as text, cell by cell, so that a bad cell can be named; Parquet as it is."""

from __future__ import annotations

import csv
import gzip
import zlib
from pathlib import Path

import pandas as pd

from pmx.errors import DataError

#: Cells that mean "no value", in lower case. A lone dot is how FRED writes it.
MISSING = ("", "nan", "na", "n/a", "null", "none", ".")


def read_csv_text(path: Path) -> pd.DataFrame:
    """Read a CSV file as text: the header becomes the columns, and no cell is interpreted.

    Parameters
    ----------
    path : Path
        A UTF-8 file with one header line; compressed where the name ends in ``.gz``.

    Returns
    -------
    DataFrame
        Of str, blanks around cells removed. Equal column names stay equal.

    Raises
    ------
    DataError
        If the file is missing, unreadable, empty, not UTF-8, or has rows of unequal length.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    rows: list[list[str]] = []
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in filter(None, reader):
                rows.append([cell.strip() for cell in row])
                if len(row) != len(rows[0]):
                    place = f"{path}: line {reader.line_num}"
                    raise DataError(f"{place}: has {len(row)} cells, the header {len(rows[0])}; complete it")
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist; check the name") from error
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it as UTF-8 CSV") from error
    if not rows:
        raise DataError(f"{path}: is empty; write a header and at least one row")
    return pd.DataFrame(rows[1:], columns=pd.Index(rows[0], dtype=object), dtype=object)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file.

    Raises
    ------
    DataError
        If the file is missing or is not Parquet.
    """
    try:
        table: pd.DataFrame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist; check the name") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}); write it anew") from error
    return table


def file_format(path: Path, known: dict[str, tuple[str, ...]]) -> str:
    """Return the name of the format whose endings the path has.

    Raises
    ------
    DataError
        If it has none of them.

    Examples
    --------
    >>> file_format(Path("prices.csv.gz"), {"csv": (".csv", ".csv.gz"), "parquet": (".parquet",)})
    'csv'
    """
    for name, endings in known.items():
        if path.name.lower().endswith(endings):
            return name
    wanted = ", ".join(ending for endings in known.values() for ending in endings)
    raise DataError(f"{path}: is of an unknown kind; the name must end in one of {wanted}")


def numbers(cells: pd.Series, path: Path, labels: pd.Series, name: str) -> pd.Series:
    """Return a column of text as floats, with NaN for what means "no value".

    Parameters
    ----------
    cells : Series of str
        The column.
    path : Path
        For the message.
    labels : Series
        What stands beside each cell (its date or symbol), for the message.
    name : str
        The column's name, for the message.

    Raises
    ------
    DataError
        If a cell is neither a number nor empty.
    """
    values = pd.to_numeric(cells, errors="coerce")
    bad = values.isna() & ~cells.str.lower().isin(MISSING)
    if bad.any():
        first = int(bad.to_numpy().argmax())
        cell, label = cells.iloc[first], labels.iloc[first]
        raise DataError(
            f"{path}: {name} at {label}: {cell!r} is not a number; "
            "write it with a decimal point and no separators, or leave it empty"
        )
    return values.astype(float)


def dates(written: pd.Series, path: Path) -> pd.DatetimeIndex:
    """Return a column of text as dates.

    Only ISO dates are taken, because 01/02/2003 is read differently across the world.

    Parameters
    ----------
    written : Series
        ``YYYY-MM-DD``, with a time of day or without, or dates already.
    path : Path
        For the message.

    Raises
    ------
    DataError
        If a cell is anything else, or carries a time zone.
    """
    if pd.api.types.is_datetime64_any_dtype(written.dtype):
        return pd.DatetimeIndex(written)
    text = written.astype(str)
    naive = text.str.fullmatch(r"\d{4}-\d{2}-\d{2}([ T][\d:.]+)?")
    days = pd.to_datetime(text.where(naive), format="ISO8601", errors="coerce")
    if days.isna().any():
        row = int(days.isna().to_numpy().argmax())
        raise DataError(f"{path}: row {row + 2}: {text.iloc[row]!r} is not a date; write it as YYYY-MM-DD")
    return pd.DatetimeIndex(days)


def floats(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return a table as floats.

    Raises
    ------
    DataError
        If a column holds anything but numbers.
    """
    for name, kind in frame.dtypes.items():
        if kind.kind not in "fiu":
            raise DataError(f"{path}: {name}: holds {kind} values, not numbers; convert it to float")
    return frame.astype("float64")
