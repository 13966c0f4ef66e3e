"""Prices up to and including now, as an array with its labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked
from pmx.data.dates import dated
from pmx.errors import DataError


class History(NamedTuple):
    """The first rows of a table of closes, without a copy.

    Attributes
    ----------
    table : DataFrame, date × symbol
        Closes; what it holds beyond the last row of ``closes`` is not looked at.
    closes : array, shape (n_rows, n_symbols)
        Its first rows, up to and including now; NaN where there is no close.
    now : date-like
        The label of the last of these rows.

    Examples
    --------
    >>> prices = pd.DataFrame({"SPY": [100.0, 101.0]}, index=pd.to_datetime(["2020-01-02", "2020-01-03"]))
    >>> yesterday = History(prices, prices.to_numpy()[:1], prices.index[0])
    >>> yesterday.frame["SPY"].tolist(), History.of(prices).now.day
    ([100.0], 3)
    """

    table: pd.DataFrame
    closes: NDArray[np.float64]
    now: Any

    @classmethod
    @checked
    def of(cls, prices: pd.DataFrame | History) -> History:
        """Return a whole table as a history; a history as it is.

        Raises
        ------
        DataError
            When the rows are not dated, as `pmx.data.dated`, or there is none.
        """
        if isinstance(prices, History):
            return prices
        prices = dated(prices, "prices")
        if not len(prices):
            raise DataError("prices have no row; give the closes up to and including now")
        return cls(prices, prices.to_numpy(dtype=np.float64), prices.index[-1])

    @property
    def frame(self) -> pd.DataFrame:
        """The rows up to now as a DataFrame."""
        return self.table.iloc[: len(self.closes)]
