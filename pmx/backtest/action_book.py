"""Splits and dividends of a backtest: what they do to the account, and a table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pmx.backtest.contributions import Contributions
    from pmx.data.corporate_actions import CorporateActions
    from pmx.execution import Account
    from pmx.projection.program import Array

COLUMNS = {
    "date": "datetime64[ns]",
    "symbol": "str",
    "kind": "str",
    "value": "float64",
    "quantity": "float64",
    "cash": "float64",
}


class ActionBook:
    """Applies each day's splits and dividends before the day is marked, and keeps them.

    Parameters
    ----------
    actions : CorporateActions or None
        In the shape of the prices.
    dates : Index
        All closes of the price history.

    Attributes
    ----------
    actions : CorporateActions or None
        As given.
    days : array of bool, shape (n_dates,)
        Rows on which there is one.
    """

    def __init__(self, actions: CorporateActions | None, dates: pd.Index) -> None:
        self.actions, self._dates = actions, dates
        self.days = np.zeros(len(dates), dtype=bool) if actions is None else actions.days
        self._rows: list[tuple[pd.Timestamp, str, str, float, float, float]] = []

    def apply(self, i: int, account: Account, contributions: Contributions) -> tuple[Array | float, Array | float]:
        """Turn units into what they split into, and pay dividends on them.

        Parameters
        ----------
        i : int
            Row of the price history, not marked yet.
        account : Account
            What is held from the close before.
        contributions : Contributions
            The parts that are held.

        Returns
        -------
        tuple of array
            Dividend of one unit, shape (n_symbols,), and what each position got, shape (n,), base currency; 0 on days
            without a split or a dividend.
        """
        if self.actions is None or not self.days[i]:
            return 0.0, 0.0
        ratios, dividends = self.actions.ratios[i], self.actions.dividends[i]
        held = account.held_by_symbol()
        account.split(ratios)
        contributions.split(ratios[account.column])
        paid = account.pay_dividends(dividends)
        for k in np.flatnonzero(ratios != 1.0).tolist():
            self._rows.append((self._dates[i], account.symbols[k], "split", ratios[k], held[k], 0.0))
        for k in np.flatnonzero(dividends).tolist():
            quantity = held[k] * ratios[k]
            cash = quantity * dividends[k]
            self._rows.append((self._dates[i], account.symbols[k], "dividend", dividends[k], quantity, cash))
        return dividends, paid

    def table(self) -> pd.DataFrame:
        """Return one row a split or dividend; see `BacktestResult.corporate_actions`."""
        return pd.DataFrame(self._rows, columns=list(COLUMNS)).astype(COLUMNS)
