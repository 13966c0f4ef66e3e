"""A price history that grows row by row, read so that each call sees its own rows only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.errors import DataError

FloatArray = npt.NDArray[np.float64]


class GrowingHistory:
    """Tell an engine which rows of a table it has not read yet.

    A table continues the one before when it has the same columns and, where the last call ended, the same date and
    closes; any other one is read from its beginning. Earlier rows are trusted not to change between calls.

    Attributes
    ----------
    columns : Index
        The symbols of the table that was read last.
    rows : int
        How many of its rows have been read.

    Examples
    --------
    >>> prices = pd.DataFrame({"SPY": [100.0, 101.0, 102.0]}, index=pd.bdate_range("2020-01-01", periods=3))
    >>> history = GrowingHistory()
    >>> history.read(prices.iloc[:2])[0], history.read(prices)[0], history.read(prices * 2.0)[0]
    (0, 2, 0)
    """

    columns: pd.Index
    rows: int
    _last_date: object
    _last_row: FloatArray

    def __init__(self) -> None:
        self._forget()

    def read(self, prices: pd.DataFrame) -> tuple[int, FloatArray]:
        """Take in a table of closes.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now; NaN where there is none.

        Returns
        -------
        first : int
            The first row that has not been read before; 0 where the table is another history.
        closes : array, shape (n_rows − first, n_symbols)
            The rows from there on.

        Raises
        ------
        DataError
            If there is no row, the rows are not dated, dates or symbols repeat or dates are out of order, or a close
            is zero, negative or infinite (named by symbol and date). Nothing is remembered then.
        """
        if not len(prices):
            raise DataError("prices have no row; give closes up to now")
        begin = max(self.rows - 1, 0)
        tail = prices.iloc[begin:]
        block = _numbers(tail)
        if not self._continues(prices, block):
            begin, tail, block = 0, prices, _numbers(prices)
            self._forget()
        try:
            _check(tail, block)
        except DataError:
            self._forget()
            raise
        first, new = self.rows, block[self.rows - begin :]
        self.columns, self.rows = prices.columns, len(prices)
        self._last_date, self._last_row = prices.index[-1], block[-1].copy()
        return first, new

    def _continues(self, prices: pd.DataFrame, block: FloatArray) -> bool:
        return (
            0 < self.rows <= len(prices)
            and prices.columns.equals(self.columns)
            and prices.index[self.rows - 1] == self._last_date
            and np.array_equal(block[0], self._last_row, equal_nan=True)
        )

    def _forget(self) -> None:
        self.columns = pd.Index([], dtype=object)
        self.rows = 0
        self._last_date = None
        self._last_row = np.empty(0)


def _numbers(prices: pd.DataFrame) -> FloatArray:
    try:
        return prices.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"prices hold something that is not a number ({error}); give closes or NaN") from error


def _check(prices: pd.DataFrame, block: FloatArray) -> None:
    """Raise a DataError naming what is wrong with the labels or with a close."""
    index, columns = prices.index, prices.columns
    if not isinstance(index, pd.DatetimeIndex) or index.hasnans:
        raise DataError(f"prices: the index holds {index.dtype}, not dates; give a DatetimeIndex without gaps")
    if not columns.is_unique:
        raise DataError(f"symbol {columns[columns.duplicated()][0]!r} has two columns; give each symbol one")
    if not (index.is_monotonic_increasing and index.is_unique):
        step = next(i for i in range(1, len(index)) if not index[i] > index[i - 1])
        raise DataError(f"prices: row {index[step]} follows {index[step - 1]}; sort the dates and drop repeats")
    bad = ~(np.isnan(block) | ((block > 0.0) & (block < np.inf)))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"price of {columns[column]!r} on {index[row]} is {float(block[row, column])!r}; "
            "it must be finite and positive, or NaN where there is none"
        )
