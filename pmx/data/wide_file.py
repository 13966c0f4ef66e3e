"""Numbers by date from a file, in whatever layout and notation it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pmx.data.fields import closes_by_ticker
from pmx.data.layout import wide
from pmx.data.notation import as_numbers
from pmx.data.ratio_text import ratios_as_numbers, with_units
from pmx.data.table import file_format, floats, read_csv_text, read_parquet
from pmx.data.written_dates import dates
from pmx.errors import warn

FORMATS: dict[str, tuple[str, ...]] = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet", ".pq")}


def read_wide(
    file: Path, values: tuple[str, ...], *, one_share: bool = False, percent: bool = False, ratios: bool = False
) -> pd.DataFrame:
    """Read a table of numbers by date; its dates are not in order and may repeat, as may its columns.

    Parameters
    ----------
    file : Path
        ``.csv``, ``.csv.gz`` or ``.parquet``.
    values : tuple of str
        What the values of a long table may be called; see `pmx.data.long_table`.
    one_share : bool
        Whether the open, high, low, close and volume of one share may be read as its closes.
    percent : bool
        Whether 12.5 % may stand for 0.125.
    ratios : bool
        Whether 4:1 may stand for 4.

    Returns
    -------
    DataFrame of float, date × symbol
        Or date × (bucket, symbol).
    """
    kind = file_format(file, FORMATS)
    stem = _stem(file) if one_share else None
    if kind == "csv":
        table = wide(read_csv_text(file), str(file), values, stem=stem)
        written, cells = table.iloc[:, 0], table.iloc[:, 1:]
        days = dates(written, file)
        cells = ratios_as_numbers(cells, file, written) if ratios else cells
        delimiter = table.attrs["delimiter"]
        return as_numbers(cells, file, written, delimiter=delimiter, percent=percent).set_axis(days, axis=0)
    frame = read_parquet(file)
    found = closes_by_ticker(frame)
    if found is not None:
        frame = found[0]
        if found[1]:
            warn(f"{file}: {found[1]}")
    if not frame.shape[1]:
        return frame
    table = wide(_index_as_columns(frame), str(file), values, stem=stem)
    cells = with_units(table.iloc[:, 1:]) if ratios else table.iloc[:, 1:]
    return floats(cells.set_axis(dates(table.iloc[:, 0], file), axis=0), file)


def _index_as_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its index, unless that only counts the rows, as its first columns."""
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    taken = set(frame.columns)
    names: list[Any] = [
        name if name is not None and name not in taken else ("" if k == 0 else f"level_{k}")
        for k, name in enumerate(frame.index.names)
    ]
    return frame.reset_index(names=names if len(names) > 1 else names[0], allow_duplicates=True)


def _stem(file: Path) -> str:
    name = file.name
    ending = next(ending for endings in FORMATS.values() for ending in endings[::-1] if name.lower().endswith(ending))
    return name[: -len(ending)]
