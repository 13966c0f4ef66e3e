"""What the dates of a table say of its calendar: how many rows make a year."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.errors import warn

#: Business days in a year, of a table that is too short to tell.
BUSINESS_DAYS = 252.0
#: Rows below which a table does not tell.
FEWEST_ROWS = 5
#: The latest rows that are looked at.
LATEST_ROWS = 260
#: A stated figure further than this from the dates' own contradicts them.
CONTRADICTION = 0.20
#: A usual number of rows a year stands for a count of them up to this far from it.
USUAL = 0.05
#: Rows a year where rows are more than a few days apart.
_SPARSE = np.array([52.0, 26.0, 12.0, 6.0, 4.0, 2.0, 1.0])
#: Rows up to which the dates are looked at each time, and the rows between two looks from then on.
EVERY_ROW, SOME_ROWS = 63, 21
_USUAL = np.array([365.0, BUSINESS_DAYS, 52.0, 12.0, 4.0, 1.0])
_DAYS_PER_YEAR = 365.25
#: Calendar days from which on every day of the week has come several times.
_WEEKS = 28


def rows_per_year(dates: pd.DatetimeIndex) -> float:
    """Return how many rows of a table make a year, by the dates of its latest 260 rows.

    Parameters
    ----------
    dates : DatetimeIndex
        Ascending.

    Returns
    -------
    float
        252 for business days, 365 where there are rows on all days of the week, 52 a row a week, 12 a month, 4 a
        quarter, 1 a year; other numbers of days a week by 52; times of day by their number a day. 252 where there are
        fewer than five rows.

    Examples
    --------
    >>> [rows_per_year(pd.date_range("2020-01-01", periods=60, freq=freq)) for freq in ("B", "D", "W", "ME")]
    [252.0, 365.0, 52.0, 12.0]
    """
    if len(dates) < FEWEST_ROWS:
        return BUSINESS_DAYS
    latest = dates[-LATEST_ROWS:]
    stamps = latest.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64)
    days, rows = np.unique(stamps, return_counts=True)
    a_day = float(np.median(rows))
    if len(days) < 2:
        return a_day * BUSINESS_DAYS
    gap = float(np.median(np.diff(days)))
    if gap >= 5.0:
        a_year = _SPARSE[np.argmin(np.abs(np.log(_SPARSE * gap / _DAYS_PER_YEAR)))]
        return a_day * float(a_year)
    return a_day * _by_days_of_the_week(days)


def rows_per_year_of_run(dates: pd.DatetimeIndex) -> float:
    """Return how many rows a year a whole run has, which annualises its figures.

    Parameters
    ----------
    dates : DatetimeIndex
        Ascending.

    Returns
    -------
    float
        Where the run lasts a year or more, its rows ÷ its years, or the usual number (that of `rows_per_year`, else
        365, 252, 52, 12, 4 or 1) within 5 % of this. `rows_per_year` where the run is shorter or has fewer than five
        rows.

    Examples
    --------
    >>> shares = pd.bdate_range("2020-01-01", "2021-12-31")
    >>> denser = shares.append(pd.date_range("2022-01-01", "2023-12-31"))
    >>> rows_per_year_of_run(shares), round(rows_per_year_of_run(denser), 1)
    (252.0, 313.2)
    """
    usual = rows_per_year(dates)
    if len(dates) < FEWEST_ROWS:
        return usual
    years = (dates[-1] - dates[0]) / pd.Timedelta(days=_DAYS_PER_YEAR)
    if years < 1.0 - 1.0 / _DAYS_PER_YEAR:
        return usual
    count = (len(dates) - 1) / years
    for figures in (np.array([usual]), _USUAL):
        nearest = float(figures[np.argmin(np.abs(figures / count - 1.0))])
        if abs(nearest / count - 1.0) <= USUAL:
            return nearest
    return float(count)


def _by_days_of_the_week(days: npt.NDArray[np.int64]) -> float:
    """Return the days a year on which there are rows, where they lie a few days apart at most."""
    span = np.arange(days[0], days[-1] + 1)
    possible = np.bincount((span + 3) % 7, minlength=7)  # 1 January 1970 was a Thursday
    present = np.bincount((days + 3) % 7, minlength=7)
    if len(span) < _WEEKS:
        return 365.0 if present[5] and present[6] else BUSINESS_DAYS
    count = int((2 * present >= possible).sum())
    return {7: 365.0, 5: BUSINESS_DAYS}.get(count, 52.0 * max(count, 1))


class PeriodsPerYear:
    """The periods in a year at each row of a growing table: as stated, or by its dates up to then.

    Parameters
    ----------
    stated : float or "auto"
        The policy's ``risk_scaler.volatility.periods_per_year``.

    Notes
    -----
    From 63 rows on the dates are looked at once in 21 rows. What is said at a row depends on its number and on the
    dates up to it, so one that starts anew says the same.

    Examples
    --------
    >>> days = pd.date_range("2020-01-01", periods=30)
    >>> PeriodsPerYear("auto").at(days), PeriodsPerYear(260.0).at(days)
    (365.0, 260.0)
    """

    def __init__(self, stated: float | Literal["auto"]) -> None:
        self._stated = stated
        self._known: tuple[int, object, float] = (0, None, BUSINESS_DAYS)
        self._said = False
        self._by_symbol: tuple[int, object, npt.NDArray[np.float64]] = (-1, None, np.zeros(0))

    @property
    def to_check(self) -> bool:
        """Whether what is stated has not been held against dates yet."""
        return not self._said and self._stated != "auto"

    def check(self, dates: pd.DatetimeIndex, source: str) -> None:
        """Warn, once, where what is stated contradicts the dates; see `warn_of_contradiction`."""
        if self.to_check and len(dates) >= FEWEST_ROWS:
            self._said = True
            warn_of_contradiction(self._stated, dates, source)

    def at(self, dates: pd.DatetimeIndex) -> float:
        """Return the periods in a year as known at the last of these dates."""
        if self._stated != "auto":
            return float(self._stated)
        rows, last = _looked_at(dates)
        if self._known[:2] != (rows, last):
            self._known = (rows, last, rows_per_year(dates[:rows]))
        return self._known[2]

    def by_symbol(self, dates: pd.DatetimeIndex, closes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how many returns a year each symbol has, as known at the last row, shape (n_symbols,).

        On a table with weekends that of a share is 252, beside 365 of a coin; of a symbol with hardly any closes, that
        of the table.

        Parameters
        ----------
        dates : DatetimeIndex
            Up to now.
        closes : array, shape (n_rows, n_symbols)
            NaN where there is none.
        """
        of_table = self.at(dates)
        rows, last = _looked_at(dates)
        if self._by_symbol[:2] != (rows, last):
            priced = np.isfinite(closes[max(0, rows - LATEST_ROWS) : rows])
            found = np.full(closes.shape[1], of_table)
            latest = dates[max(0, rows - LATEST_ROWS) : rows]
            for column in np.flatnonzero(~priced.all(axis=0)) if self._stated == "auto" else ():
                own = latest[priced[:, column]]
                if len(own) >= FEWEST_ROWS:
                    found[column] = rows_per_year(own)
            self._by_symbol = (rows, last, found)
        return self._by_symbol[2]


def _looked_at(dates: pd.DatetimeIndex) -> tuple[int, object]:
    """Return how many rows are looked at, and the date of the last of them."""
    rows = len(dates)
    if rows > EVERY_ROW:
        rows -= rows % SOME_ROWS
    return rows, dates[rows - 1] if rows else None


def warn_of_contradiction(stated: float | Literal["auto"] | None, dates: pd.Index, source: str) -> None:
    """Warn where a stated number of periods a year is more than 20 % off what the dates say.

    Parameters
    ----------
    stated : float, "auto" or None
        What is stated; nothing is said of ``auto`` and None.
    dates : DatetimeIndex
        Of the rows that it is used for; fewer than five say nothing, and neither do labels that are no dates.
    source : str
        Who states it, for the message.
    """
    if stated is None or stated == "auto" or len(dates) < FEWEST_ROWS or not isinstance(dates, pd.DatetimeIndex):
        return
    inferred = rows_per_year_of_run(dates)
    if abs(stated / inferred - 1.0) > CONTRADICTION:
        warn(
            f"{source} is {stated:g}, and the dates have about {inferred:g} rows a year; annualised figures are off by "
            f"a factor of {math.sqrt(stated / inferred):.2f}: state {inferred:g}, or 'auto'"
        )
