"""How much of each bucket's budget the signals of a backtest asked for, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pmx.signals import BudgetUse


class BudgetBook:
    """Takes in the budgets of one decision at a time.

    Examples
    --------
    >>> book = BudgetBook()
    >>> book.take_in(1, [BudgetUse("ts_core", 0.09, 0.20, 0.0, 0.45)])
    >>> book.table(pd.to_datetime(["2020-01-01", "2020-01-02"])).loc[:, ["bucket", "used"]].to_numpy().tolist()
    [['ts_core', 0.45]]
    """

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._uses: list[BudgetUse] = []

    def take_in(self, i: int, uses: Sequence[BudgetUse]) -> None:
        """Record what the buckets were asked to use at row ``i`` of the prices."""
        self._rows += [i] * len(uses)
        self._uses += uses

    def table(self, dates: pd.Index) -> pd.DataFrame:
        """Return one row a decision and bucket; ``dates`` are those of the price history."""
        table = pd.DataFrame(self._uses, columns=list(BudgetUse._fields))
        table.insert(0, "date", dates[self._rows])
        return table
