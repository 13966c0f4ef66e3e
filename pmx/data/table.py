"""Tables in files: CSV as text, cell by cell, so that a bad cell can be named; Parquet as it is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pmx.data.dialect import read_text, split_cells
from pmx.errors import DataError


def read_csv_text(path: Path) -> pd.DataFrame:
    """Read a CSV file as text: the header becomes the columns, and no cell is interpreted.

    Parameters
    ----------
    path : Path
        UTF-8, or UTF-16 with a byte order mark, with one header line; compressed where the name ends in ``.gz``. Cells
        are separated by commas, semicolons or tabs. Blank lines, and columns without a name or a value, are left out.

    Returns
    -------
    DataFrame
        Of str, blanks around cells removed, indexed by ``line``. Equal column names stay equal.
        ``.attrs["delimiter"]`` is what separates the cells.

    Raises
    ------
    DataError
        If the file is missing, unreadable, empty, in another encoding, or has rows of unequal length.
    """
    rows, lines, delimiter = split_cells(read_text(path), path)
    if not rows:
        raise DataError(f"{path}: is empty; write a header and at least one row")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}: line {line}: has {len(row)} cells, the header {len(rows[0])}; complete it")
    table = pd.DataFrame(
        rows[1:], columns=pd.Index(rows[0], dtype=object), index=pd.Index(lines[1:], name="line"), dtype=object
    )
    blank = [k > 0 and not name and (table.iloc[:, k] == "").all() for k, name in enumerate(rows[0])]
    if any(blank):
        table = table.iloc[:, [k for k, left_out in enumerate(blank) if not left_out]]
    table.attrs["delimiter"] = delimiter
    return table


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


def floats(frame: pd.DataFrame, path: object) -> pd.DataFrame:
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
