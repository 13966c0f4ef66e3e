"""Dates of rows: however they were given, they come out without a time zone, ascending, and each once.

One rule holds for prices and for everything that is matched with them. A time zone is dropped and the local date and
time of day are kept: midnight of 2 January in New York is 2 January, as it would be in Tokyo.
"""

from __future__ import annotations

from datetime import date
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from pmx.errors import DataError

Table = TypeVar("Table", pd.DataFrame, pd.Series)

#: An ISO date, with or without a time of day; then, apart, a time zone if there is one.
_ISO = r"^(\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?)(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?$"
_REMEDY = "write it as YYYY-MM-DD"


def day(label: Any) -> str:
    """Return a date for a message: without the time of day where there is none.

    Examples
    --------
    >>> day(pd.Timestamp("2020-01-02")), day(pd.Timestamp("2020-01-02 16:00"))
    ('2020-01-02', '2020-01-02 16:00:00')
    """
    if isinstance(label, pd.Timestamp) and not pd.isna(label) and label == label.normalize():
        return f"{label:%Y-%m-%d}"
    return str(label)


def dated(table: Table, name: str) -> Table:
    """Return a table or series by date with its dates as everything in pmx expects them, or refuse.

    Parameters
    ----------
    table : DataFrame or Series by date
        Its index holds dates: a DatetimeIndex, days as a PeriodIndex, `datetime.date`, Arrow dates, or ISO text.
    name : str
        What the messages call it: the argument or the file.

    Returns
    -------
    DataFrame or Series by date
        The same values by a DatetimeIndex without a time zone, ascending and unique. The table itself where it is that
        already. Of a time zone, the local date and time of day are kept.

    Raises
    ------
    DataError
        If the index holds anything else than dates, a label is missing or no date, or a date comes twice. The message
        names the argument, the label and the remedy.

    Examples
    --------
    >>> rates = pd.Series([0.1, 0.2], index=["2020-01-03", "2020-01-02"])
    >>> dated(rates, "cash_rate").index.tolist()
    [Timestamp('2020-01-02 00:00:00'), Timestamp('2020-01-03 00:00:00')]
    >>> dated(pd.Series([0.1], index=["02/01/2020"]), "cash_rate")
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: cash_rate: row 1: '02/01/2020' is not a date; write it as YYYY-MM-DD...
    """
    if not isinstance(table, pd.DataFrame | pd.Series):
        raise DataError(f"{name} is {_kind(table)}; give a pandas table whose index holds the dates")
    index = date_index(table.index, name, columns=table.columns if isinstance(table, pd.DataFrame) else None)
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        remedy = "keep one row for each date"
        if getattr(table.index, "tz", None) is not None and table.index.is_unique:
            remedy = "the clock was put back then, so convert it first with tz_convert('UTC')"
        raise DataError(f"{name}: the date {day(twice)} occurs twice; {remedy}")
    if index is not table.index:
        table = table.set_axis(index, axis=0)
    return table if index.is_monotonic_increasing else table.sort_index()


def date_index(labels: pd.Index, name: str, *, first_row: int = 1, columns: pd.Index | None = None) -> pd.DatetimeIndex:
    """Return labels as dates without a time zone, in the order in which they stand.

    Parameters
    ----------
    labels : Index
        As `dated` takes them.
    name : str
        For the message.
    first_row : int
        The number of the first label in the message; 2 in a file with a header.
    columns : Index, optional
        Names beside the labels, one of which may be where the dates are.

    Raises
    ------
    DataError
        If they are anything else than dates.
    """
    if isinstance(labels, pd.DatetimeIndex):
        index = labels
    elif isinstance(labels, pd.PeriodIndex):
        index = _days(labels, name)
    elif labels.nlevels > 1 or labels.dtype.kind in "biufcm":
        raise DataError(f"{name}: the index is {labels.dtype}, not dates; {_remedy(labels, columns)}")
    else:
        index = _parsed(labels, name, first_row)
    if index.hasnans:
        row = int(np.argmax(index.isna()))
        raise DataError(f"{name}: row {row + first_row} has no date; give it one or drop it")
    return index if index.tz is None else index.tz_localize(None)


def moment(value: Any, name: str) -> pd.Timestamp:
    """Return one date without its time zone, the local date and time of day kept.

    Parameters
    ----------
    value : date-like
        `datetime.date`, `datetime.datetime`, Timestamp, or ISO text; a whole year or month as text is its first day.
    name : str
        What the message calls it.

    Raises
    ------
    DataError
        If it is no date.

    Examples
    --------
    >>> moment("2024-05-06", "start")
    Timestamp('2024-05-06 00:00:00')
    >>> moment("06/05/2024", "start")
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: start '06/05/2024' is no date; write it as 2024-05-06
    """
    known = isinstance(value, date | np.datetime64 | str)
    if known and not pd.isna(value):
        whole = (value + "-01-01")[:10] if isinstance(value, str) and len(value) in (4, 7) else value
        try:
            return date_index(pd.Index([whole], dtype=object), name)[0]
        except DataError:
            pass
    raise DataError(f"{name} {value!r} is no date; write it as 2024-05-06")


def on_the_clock_of(
    table: Table, name: str, dates: pd.DatetimeIndex, zone: Any = None, *, as_known: bool = False
) -> Table:
    """Return a table by date to be matched with the rows of prices; `dated`, and refused where the clocks differ.

    Parameters
    ----------
    table : DataFrame or Series by date
        As `dated` takes it.
    name : str
        For the message.
    dates : DatetimeIndex
        Those of the prices.
    zone : tzinfo, optional
        The time zone that the prices were given in.
    as_known : bool
        Whether the last row before a price counts, so that a date alone may stand beside times of day.

    Raises
    ------
    DataError
        As `dated`; if one has times of day and the other has not; if both have, in different time zones.
    """
    clean = dated(table, name)
    index = pd.DatetimeIndex(clean.index)
    own = getattr(table.index, "tz", None)
    timed, priced_at_times = _has_times(index), _has_times(dates)
    if timed and not priced_at_times:
        first = index[index != index.normalize()][0]
        raise DataError(
            f"{name} has times of day, such as {first}, and the prices have dates alone; write "
            f"{name}.index = {name}.index.normalize() where the day is meant"
        )
    if priced_at_times and not timed and not as_known and len(index) and not index.isin(dates).any():
        raise DataError(
            f"{name} has dates alone, such as {day(index[0])}, and the prices have times of day, such as {dates[0]}; "
            "give the time of the close with each date"
        )
    if timed and own is not None and zone is not None and str(own) != str(zone):
        raise DataError(f"{name} is in the time zone {own}, the prices in {zone}; convert it with tz_convert({zone!s})")
    return clean


def _has_times(index: pd.DatetimeIndex) -> bool:
    return bool((index != index.normalize()).any())


def _days(labels: pd.PeriodIndex, name: str) -> pd.DatetimeIndex:
    frequency = str(labels.dtype)  # its freqstr warns where it is B
    if frequency not in ("period[D]", "period[B]"):
        raise DataError(
            f"{name}: the index is {frequency}, and a period has many days; name the day, such as "
            f"{name}.index = {name}.index.to_timestamp(how='end').normalize() for the last one"
        )
    ordinals = pd.PeriodIndex(labels.astype("period[D]")).asi8
    return pd.DatetimeIndex(ordinals.astype("datetime64[D]"), name=labels.name).as_unit("us")


def _parsed(labels: pd.Index, name: str, first_row: int) -> pd.DatetimeIndex:
    """Return text, `datetime.date` and the like as dates."""
    cells = labels.astype(object)
    values = [_plain(cell) for cell in cells]
    text = pd.Series(values, dtype=object)
    written = np.array([isinstance(value, str) for value in values], dtype=bool)
    wrong = ~written & np.array([not isinstance(value, date | np.datetime64) for value in values], dtype=bool)
    if written.any():
        text[written] = text[written].astype(str).str.extract(_ISO, expand=False).astype(object)
    days = pd.to_datetime(text.where(~wrong), format="ISO8601", errors="coerce")
    if days.isna().any():
        row = int(days.isna().to_numpy().argmax())
        cell = cells[row]
        if not isinstance(cell, str) and pd.isna(cell):
            raise DataError(f"{name}: row {row + first_row} has no date; give it one or drop it")
        raise DataError(f"{name}: row {row + first_row}: {cell!r} is not a date; {_REMEDY}{_how(cell)}")
    return pd.DatetimeIndex(days, name=labels.name).as_unit("us")


def _plain(cell: Any) -> Any:
    """Return a moment without its zone, anything else as it is."""
    if isinstance(cell, date) and getattr(cell, "tzinfo", None) is not None:
        return cell.replace(tzinfo=None)  # type: ignore[call-arg]
    return cell.strip() if isinstance(cell, str) else cell


def _how(cell: Any) -> str:
    """Return how to convert what is a date in another way of writing."""
    if not isinstance(cell, str) or not cell[:2].strip().isdigit() or not any(mark in cell for mark in "/."):
        return ""
    return " (its day and month can be read either way: pd.to_datetime(..., dayfirst=True) or dayfirst=False)"


def _remedy(labels: pd.Index, columns: pd.Index | None) -> str:
    """Return the line that puts dates into an index that has none."""
    column = next((c for c in (() if columns is None else columns) if str(c).lower() in ("date", "datetime")), None)
    if column is not None:
        return f"use a DatetimeIndex: set_index({column!r})"
    if labels.dtype.kind in "iu" and len(labels) and 18000101 <= labels[0] <= 22001231:
        return "use a DatetimeIndex: pd.to_datetime(index.astype(str), format='%Y%m%d')"
    return "use a DatetimeIndex"


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
