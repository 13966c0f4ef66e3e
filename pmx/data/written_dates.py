"""Dates as they are written in a table, read where there is no doubt about the order of day and month."""

from __future__ import annotations

import pandas as pd

from pmx.errors import DataError

_ISO = r"\d{4}-\d{2}-\d{2}([ T][\d:.]+)?"
_LOCAL_MIDNIGHT = r"\d{4}-\d{2}-\d{2}[ T]00:00(:00(\.0+)?)?(Z|[-+]\d{2}:?\d{2})"
#: Other ways to write a date: a pattern for every cell, and the formats that it may have.
_OTHERS = (
    (r"\d{8}", ("%Y%m%d",)),
    (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y",)),  # a point is written where the day comes first
    (r"\d{1,2}/\d{1,2}/\d{4}", ("%d/%m/%Y", "%m/%d/%Y")),
)


def dates(written: pd.Series, path: object) -> pd.DatetimeIndex:
    """Return a column of text as dates.

    Read are ``YYYY-MM-DD``, with a time of day or without, and, where every cell is so written, ``YYYYMMDD``,
    ``YYYY/MM/DD``, ``DD.MM.YYYY``, and ``DD/MM/YYYY`` or ``MM/DD/YYYY``: that one which alone reads every cell. Where
    every cell is a midnight with a time zone, as ``2020-01-02 00:00:00-05:00``, the zone is dropped.

    Parameters
    ----------
    written : Series
        Text, or dates already; its index, where it is named ``line``, says where each stands.
    path : path-like
        For the message.

    Raises
    ------
    DataError
        If a cell is anything else, carries a time zone, or may be read in two ways.

    Examples
    --------
    >>> dates(pd.Series(["31/01/2020", "03/02/2020"]), "prices.csv").month.tolist()
    [1, 2]
    """
    if pd.api.types.is_datetime64_any_dtype(written.dtype):
        return pd.DatetimeIndex(written)
    text = written.astype(str)
    days = pd.to_datetime(text.where(text.str.fullmatch(_ISO)), format="ISO8601", errors="coerce")
    if days.notna().all():
        return pd.DatetimeIndex(days)
    if text.str.fullmatch(_LOCAL_MIDNIGHT).all():
        return pd.DatetimeIndex(pd.to_datetime(text.str[:10], format="%Y-%m-%d"))
    for pattern, formats in _OTHERS:
        if text.str.fullmatch(pattern).all():
            return _read(text, formats, path)
    row = int(days.isna().to_numpy().argmax())
    raise DataError(f"{path}: {_place(text, row)}: {text.iloc[row]!r} is not a date; write it as YYYY-MM-DD")


def look_like_dates(cells: pd.Series) -> bool:
    """Return whether every cell is a date, or written as one."""
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return True
    if len(cells) == 0 or pd.api.types.is_numeric_dtype(cells.dtype):
        return False
    text = cells.astype(str)
    patterns = (r"\d{4}-\d{2}-\d{2}([ T].*)?", *(pattern for pattern, _ in _OTHERS[1:]))
    return any(bool(text.str.fullmatch(pattern).all()) for pattern in patterns)


def _read(text: pd.Series, formats: tuple[str, ...], path: object) -> pd.DatetimeIndex:
    readings = [pd.to_datetime(text, format=form, errors="coerce") for form in formats]
    whole = [reading for reading in readings if reading.notna().all()]
    if len(whole) > 1 and not whole[0].equals(whole[1]):
        row = int((whole[0] != whole[1]).to_numpy().argmax())
        raise DataError(
            f"{path}: {_place(text, row)}: {text.iloc[row]!r} is not a date without doubt: day or month may come "
            "first, and no other row tells; write it as YYYY-MM-DD"
        )
    if not whole:
        most = max(readings, key=lambda reading: reading.notna().sum())
        row = int(most.isna().to_numpy().argmax())
        raise DataError(f"{path}: {_place(text, row)}: {text.iloc[row]!r} is not a date; write it as YYYY-MM-DD")
    return pd.DatetimeIndex(whole[0])


def _place(text: pd.Series, row: int) -> str:
    return f"line {text.index[row]}" if text.index.name == "line" else f"row {row + 1}"
