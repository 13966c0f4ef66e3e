"""How many sessions of its own a symbol has missed, on a table whose rows are not all sessions of every symbol."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

#: Calendar days before its last close in which a symbol shows when it trades.
WINDOW_DAYS = 60
#: A time of the week counts as a session where a symbol has closes on it this often, against its most frequent one.
OFTEN = 0.25
#: What a symbol without any close has missed.
NEVER = np.iinfo(np.int64).max

_WEEK = np.timedelta64(7, "D")

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Sessions:
    """Count, for each symbol of a table that grows row by row, the sessions since its last close.

    A row without a close counts where the symbol would have traded: on a time of the week (a day of the week, where
    there are no times of day) on which it had closes in the 60 calendar days up to its last one. So a weekend on a
    table with coins is no session of a share. A time of the week that no row fell on in those days, after the symbol's
    first close, counts: nothing speaks against it.

    Notes
    -----
    What is said at a row rests on the rows up to it, so one that starts anew says the same. Rows that were read are
    trusted not to change.

    Examples
    --------
    >>> dates = pd.date_range("2020-01-06", periods=14)  # two weeks from a Monday on
    >>> closes = np.ones((14, 1))
    >>> closes[[5, 6, 9, 10, 11, 12, 13]] = np.nan  # a weekend; then from Thursday to Sunday
    >>> Sessions().missed(dates, closes).tolist()
    [3]
    """

    def __init__(self) -> None:
        self._begin(0)
        self._index: pd.Index | None = None

    def _begin(self, n: int) -> None:
        self._rows = 0
        self._last_date: object = None
        self._missed = np.full(n, NEVER, dtype=np.int64)
        self._first = np.zeros(n, dtype=np.int64)  # row of the first close
        self._trades = np.ones((0, n), dtype=bool)  # at each known time of the week
        self._times = np.zeros(0, dtype=np.int64)  # those, ascending

    def missed(self, dates: pd.DatetimeIndex, closes: Array) -> Counts:
        """Return the sessions missed since the last close of each symbol, shape (n_symbols,).

        Parameters
        ----------
        dates : DatetimeIndex
            Those of the table; what lies beyond the rows of ``closes`` is not looked at.
        closes : array, shape (n_rows, n_symbols)
            Up to and including now; NaN where there is none.

        Returns
        -------
        array of int
            0 for a symbol with a close now, `NEVER` for one that has had none yet.
        """
        rows, n = closes.shape
        goes_on = 0 < self._rows <= rows and n == len(self._missed) and dates[self._rows - 1] == self._last_date
        if not goes_on:
            self._begin(n)
            self._index = None
        if self._rows < rows:
            self._note_times(dates)
            for row in range(self._rows, rows):
                self._read(row, closes)
            self._rows, self._last_date = rows, dates[rows - 1]
        return self._missed

    def _note_times(self, dates: pd.DatetimeIndex) -> None:
        if dates is self._index:
            return
        self._index = dates
        stamps = dates.to_numpy()
        self._days = stamps.astype("datetime64[D]").astype(np.int64)
        week = (stamps - stamps.astype("datetime64[W]")).astype("timedelta64[s]").astype(np.int64)
        times = np.unique(np.concatenate([self._times, week]))
        trades = np.ones((len(times), len(self._missed)), dtype=bool)
        trades[np.searchsorted(times, self._times)] = self._trades
        self._times, self._trades = times, trades
        self._time = np.searchsorted(times, week)

    def _read(self, row: int, closes: Array) -> None:
        fresh = np.isfinite(closes[row])
        if fresh.all():
            if (self._missed == NEVER).any():
                self._first = np.where(self._missed == NEVER, row, self._first)
            self._missed = np.zeros(len(fresh), dtype=np.int64)
            return
        newly = ~fresh & (self._missed == 0)
        if newly.any():
            self._see(row, newly.nonzero()[0], closes)
        ever = self._missed < NEVER
        self._first = np.where(fresh & ~ever, row, self._first)
        counts = self._trades[self._time[row]] & ever
        self._missed = np.where(fresh, 0, self._missed + counts)

    def _see(self, row: int, columns: npt.NDArray[np.intp], closes: Array) -> None:
        """Learn when symbols trade whose last close was one row ago."""
        begin = int(np.searchsorted(self._days, self._days[row - 1] - WINDOW_DAYS))
        listed = np.arange(begin, row)[:, None] >= self._first[columns]
        priced = np.isfinite(closes[begin:row, columns])
        order = np.argsort(self._time[begin:row], kind="stable")
        times = self._time[begin:row][order]
        starts = np.flatnonzero(np.diff(times, prepend=-1))
        possible = np.add.reduceat(listed[order], starts, axis=0, dtype=np.float64)
        present = np.add.reduceat(priced[order], starts, axis=0, dtype=np.float64)
        share = np.divide(present, possible, out=np.zeros_like(present), where=possible > 0.0)
        trades = np.ones((len(self._times), len(columns)), dtype=bool)
        trades[times[starts]] = (possible == 0.0) | (share >= OFTEN * share.max(axis=0))
        self._trades[:, columns] = trades


def missed_by_row(dates: pd.DatetimeIndex, closes: Array) -> Counts:
    """Return `Sessions.missed` at each row, shape (n_rows, n_symbols)."""
    counts, sessions = np.zeros(closes.shape, dtype=np.int64), Sessions()
    for row in range(len(closes)):
        counts[row] = sessions.missed(dates, closes[: row + 1])
    return counts
