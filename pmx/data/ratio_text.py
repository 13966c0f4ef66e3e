"""Ratios of splits as people write them: 4:1, 4-for-1, 1/10."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd

from pmx.errors import DataError

_NUMBER = r"(\d+(?:\.\d+)?)"
_RATIO = re.compile(rf"{_NUMBER}\s*(?::|/|[\s-](?:for|to)[\s-])\s*{_NUMBER}", re.IGNORECASE)
#: Two numbers that are no decimal number.
_TWO = re.compile(r"\d\s*[:/]\s*\d")


def units_of(text: str) -> float | None:
    """Return units for one held the day before of a text such as ``4:1``; None where it is no such ratio.

    Examples
    --------
    >>> units_of("4:1"), units_of("1:10"), units_of("3-for-2"), units_of("4"), units_of("4:0")
    (4.0, 0.1, 1.5, None, None)
    """
    found = _RATIO.fullmatch(text.strip())
    if found is None or not float(found[1]) or not float(found[2]):
        return None
    return float(Fraction(found[1]) / Fraction(found[2]))


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which ratios of two numbers are units for one held; all else is as it was."""
    texts = [k for k, kind in enumerate(table.dtypes) if kind.kind not in "fiub"]
    columns = [table.iloc[:, k].map(_units_or_same) if k in texts else table.iloc[:, k] for k in range(table.shape[1])]
    return pd.concat(columns, axis=1).infer_objects() if texts else table


def ratios_as_numbers(cells: pd.DataFrame, path: object, rows: pd.Series) -> pd.DataFrame:
    """Return cells of a file in which ratios of two numbers are texts of one number, without a decimal mark.

    Raises
    ------
    DataError
        If a cell holds two numbers that are no ratio.
    """
    texts = {text: _as_number(text) for text in pd.unique(cells.to_numpy(dtype=object).ravel())}
    for row, found in zip(rows, cells.itertuples(index=False, name=None), strict=True):
        for column, text in zip(cells.columns, found, strict=True):
            if _TWO.search(texts[text]):
                raise DataError(
                    f"{path}: {column} at {row}: {text!r} is no ratio; write units for one held the day before: 4 for "
                    "a 4:1 split, 0.1 for a 1:10 reverse split"
                )
    return cells.map(texts.__getitem__)


def _units_or_same(cell: Any) -> Any:
    units = units_of(cell) if isinstance(cell, str) else None
    return cell if units is None else units


def _as_number(text: str) -> str:
    """Return 125e-3 for 1:8: a text that is the same number with decimal points and with decimal commas."""
    units = units_of(text)
    if units is None:
        return text
    _, digits, exponent = Decimal(repr(units)).normalize().as_tuple()
    return f"{''.join(map(str, digits))}e{exponent}"
