"""When a figure was true, and whether that is recent enough for the moment that it is used for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TypeVar

import pandas as pd

from pmx.data.dates import moment
from pmx.errors import DataError

Date = str | date | pd.Timestamp
K = TypeVar("K")

#: Greatest age of a dated price or rate where neither a policy nor a snapshot sets one, calendar days.
MAX_AGE_DAYS = 5


def timestamp(value: Date, what: str) -> pd.Timestamp:
    """Return a date as a Timestamp without zone: a time of day in UTC where it had one, a date alone as it is.

    Raises
    ------
    DataError
        If it is no date, or may be read in two ways.

    Examples
    --------
    >>> timestamp("2024-05-06", "snapshot as_of")
    Timestamp('2024-05-06 00:00:00')
    """
    local = moment(value, what)
    exact = pd.Timestamp(value)
    if exact.tz is None or local == local.normalize():
        return local
    return exact.tz_convert("UTC").tz_localize(None)


def date_of(key: K, dates: Date | Mapping[K, Date] | None, figure: str, date: str) -> pd.Timestamp | None:
    """Return when one figure was true: one date for all, or one for each; None where none is given.

    Raises
    ------
    DataError
        If it is no date, or missing while others have one.

    Examples
    --------
    >>> date_of("SPY", {"BIL": "2024-05-06"}, "price of", "price date")
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: price of SPY has no date, while others have; add SPY to the price dates
    """
    if dates is None:
        return None
    if isinstance(dates, Mapping):
        if key not in dates:
            raise DataError(f"{figure} {key} has no date, while others have; add {key} to the {date}s")
        return timestamp(dates[key], f"{date} of {key}")
    return timestamp(dates, date)


def check_age(
    what: str, kind: str, true_on: pd.Timestamp | None, moment: pd.Timestamp | None, max_age_days: int
) -> None:
    """Refuse a figure that is too old for a moment, or from after it; without both dates there is nothing to check.

    Parameters
    ----------
    what, kind : str
        What the figure is, such as ``"FX rate EURUSD"``, and its kind, such as ``"rate"``.
    true_on : Timestamp or None
        When it was true.
    moment : Timestamp or None
        The snapshot's.
    max_age_days : int
        Greatest age, calendar days.

    Raises
    ------
    DataError
        If it is too old or from the future.

    Examples
    --------
    >>> check_age("price of SPY", "price", pd.Timestamp("2023-05-05"), pd.Timestamp("2024-05-06"), 5)
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: price of SPY of 2023-05-05 is 367 days old on 2024-05-06, limit 5; give a fresher price,
    or raise execution.max_fx_age_days
    """
    if true_on is None or moment is None:
        return
    age = (moment.normalize() - true_on.normalize()).days
    if age < 0:
        raise DataError(
            f"{what} of {true_on.date()} is from after the snapshot of {moment.date()}; give a {kind} known by then, "
            "or a snapshot of the later date"
        )
    if age > max_age_days:
        raise DataError(
            f"{what} of {true_on.date()} is {age} days old on {moment.date()}, limit {max_age_days}; give a fresher "
            f"{kind}, or raise execution.max_fx_age_days"
        )
