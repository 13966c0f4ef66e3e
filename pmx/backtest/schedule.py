"""At which closes a backtest decides, and from which row of targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.projection.program import Array


def scheduled(
    wishes: Array | None, schedule: str, dates: pd.DatetimeIndex, rows: range
) -> tuple[Array | None, NDArray[np.bool_]]:
    """Return the targets of each close, and whether it decides, shape (n_dates,).

    Parameters
    ----------
    wishes : array, shape (n_dates, n), or None
        Targets as they were given, rows of NaN where there are none; None where signal engines decide.
    schedule : {"on_breach", "on_targets", "daily", "weekly", "monthly"}
        The policy's ``execution.rebalance.schedule``.
    dates : DatetimeIndex, length n_dates
        All closes.
    rows : range
        Those of the run; its first close is also the first of a week and of a month.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02"])
    >>> targets = np.array([[0.5], [np.nan], [np.nan], [np.nan]])
    >>> scheduled(targets, "monthly", dates, range(4))[1].tolist()
    [True, False, True, False]
    """
    if schedule in ("on_breach", "on_targets"):
        return wishes, np.ones(len(dates), dtype=bool) if wishes is None else ~np.isnan(wishes[:, 0])
    due = np.zeros(len(dates), dtype=bool)
    due[rows.start : rows.stop] = _first_of_each(schedule, dates[rows.start : rows.stop])
    if wishes is None:
        return None, due
    given = ~np.isnan(wishes[:, 0])
    latest = np.maximum.accumulate(np.where(given, np.arange(len(dates)), -1))
    due &= latest >= 0
    return np.where(due[:, None], wishes[latest], np.nan), due


def _first_of_each(schedule: str, dates: pd.DatetimeIndex) -> NDArray[np.bool_]:
    """Return which closes are the first of their day, ISO week or month."""
    if schedule == "daily":
        return np.ones(len(dates), dtype=bool)
    if schedule == "weekly":
        period = ((dates.normalize() - pd.to_timedelta(dates.day_of_week, unit="D")).asi8).astype(np.int64)
    else:
        period = np.asarray(12 * dates.year + dates.month, dtype=np.int64)
    first: NDArray[np.bool_] = np.diff(period, prepend=period[0] - 1) != 0
    return first
