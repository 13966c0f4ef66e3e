"""The close at which a target of a given date takes effect."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pmx.data.dates import day
from pmx.errors import warn


def effective(targets: pd.DataFrame, dates: pd.DatetimeIndex) -> pd.DataFrame:
    """Return targets by the date of the close at which they take effect: their own, or else the next one.

    Where several fall on one close, the latest rules. What is dated after the last close has no effect. One warning
    says how many rows that concerns, another how many take effect later than dated.

    Parameters
    ----------
    targets : DataFrame by date
        Dates ascending and unique.
    dates : DatetimeIndex
        Those of the prices.

    Examples
    --------
    >>> closes = pd.DatetimeIndex(["1993-05-28", "1993-06-01"])
    >>> targets = pd.DataFrame({"SPY": [0.1, 0.2]}, index=pd.DatetimeIndex(["1993-05-28", "1993-06-01"]))
    >>> effective(targets, closes).index.equals(closes)
    True
    """
    given = pd.DatetimeIndex(targets.index)
    row = dates.searchsorted(given, side="left")
    inside = row < len(dates)
    if not inside.all():
        first, count = given[~inside][0], int((~inside).sum())
        warn(
            f"targets: {_rows(count)} after the last close, {day(dates[-1])}"
            f"{', the first ' + day(first) if count > 1 else ''}, and {_have(count)} no effect; give prices up to then"
        )
    at = dates[row[inside]]
    moved = at != given[inside]
    if moved.any():
        k, count = int(np.argmax(moved)), int(moved.sum())
        what = f"the first {day(given[k])}; each takes" if count > 1 else f"{day(given[k])}; it takes"
        warn(
            f"targets: {_rows(count)} on days without prices, {what} effect at the next close"
            f"{', the first' if count > 1 else ','} at {day(at[k])}"
        )
    taken = targets[inside].set_axis(at, axis=0)
    return taken[~at.duplicated(keep="last")]


def _rows(count: int) -> str:
    return "1 row is dated" if count == 1 else f"{count:,} rows are dated"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
