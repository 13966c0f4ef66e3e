"""What was held after each close's trades, kept as arrays until it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from pmx.backtest.breaches import HeldDays, Unfilled, breaches
from pmx.projection.program import Array

if TYPE_CHECKING:
    from pmx.backtest.orders import Orders
    from pmx.backtest.watch import Watch
    from pmx.execution import Account, Fills

#: Weights no further apart than this are the same.
SAME = 1e-12


class HeldBook:
    """Takes in one close at a time, then judges all of them at once.

    Parameters
    ----------
    watch : Watch
        Its rules judge what is held.
    at_close : bool
        Whether a decision trades at its own close.
    """

    def __init__(self, watch: Watch, *, at_close: bool) -> None:
        self._watch, self._at_close = watch, at_close
        self._values: list[Array] = []
        self._scale: list[Array] = []
        self._volatility: list[float] = []
        self._overdue: dict[int, Unfilled] = {}
        self._waiting: dict[int, Unfilled] = {}
        self._lapsed: dict[int, Unfilled] = {}
        self._decided: list[Array] = []

    def orders(self, account: Account, orders: Orders) -> None:
        """Record, before `hold`, what the rules ask of a close, and which orders could not be traded at it."""
        scale, weights = self._watch.scale, account.values / account.nav
        if scale is not None:
            self._scale.append(scale)
        volatility = self._watch.volatility(weights, account)
        if volatility is not None:
            self._volatility.append(volatility)
        day = len(self._values)
        if orders.any and orders.overdue.any():
            asked = orders.overdue_for(weights)
            missed = (account.bars_stale > 0)[account.column]
            self._note(self._overdue, day, weights, asked, account)
            self._note(self._waiting, day, weights, np.where(missed, np.nan, asked), account)
        if orders.lapsed.any():
            self._note(self._lapsed, day, weights, np.where(orders.lapsed, orders.lapsed_weights, np.nan), account)

    def _note(self, into: dict[int, Unfilled], day: int, held: Array, asked: Array, account: Account) -> None:
        some = np.abs(asked - held) > SAME  # False where nothing was asked
        if some.any():
            filled = np.where(some, asked, held)
            into[day] = Unfilled(np.where(some, asked, np.nan), self._watch.volatility(filled, account))

    def hold(self, values: Array) -> None:
        """Record what the positions are worth after a close's trades, shape (n_slots,), base currency."""
        self._values.append(values)

    def decide(self, weights: Array) -> None:
        """Record decided weights, shape (n_slots,)."""
        self._decided.append(weights)

    def judged(
        self,
        dates: pd.Index,
        rows: Sequence[int],
        nav: Sequence[float],
        fills: Sequence[tuple[int, Fills]],
        decided: Sequence[int],
        scales: Sequence[Array],
    ) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame]:
        """Return the safe weight held by date, the breaches, and their sums by rule, as `breaches` does.

        Parameters
        ----------
        dates : Index, length n_days
            The closes.
        rows, nav : sequence, length n_days
            Their rows in the price history, and NAV after their trades.
        fills : sequence of (row, Fills)
            What was traded.
        decided, scales : sequence, length n_decisions
            Rows and risk scales of the decisions.
        """
        worth, width = np.array(nav), self._watch.rules.slots
        weights = np.array(self._values).reshape(-1, width) / worth[:, None]
        side: Literal["left", "right"] = "right" if self._at_close else "left"
        scaled = bool(self._scale)
        days = HeldDays(
            dates,
            weights,
            _costs(np.array(rows), worth, fills),
            np.array(self._scale) if scaled else None,
            np.array(self._volatility) if self._volatility else None,
            self._overdue,
            self._waiting,
            self._lapsed,
            np.array(self._decided).reshape(-1, width),
            np.array(scales) if scaled else None,
            np.searchsorted(np.array(decided), np.array(rows), side=side) - 1,
        )
        spells, outside = breaches(self._watch.rules, days)
        safe = pd.Series(self._watch.rules.safe_weight(weights), index=dates, name="safe_weight_held")
        return safe, spells, outside

    def with_held(self, rules: pd.DataFrame, outside: pd.DataFrame) -> pd.DataFrame:
        """Return a ledger with the closes at which each rule was exceeded by what was held, and by how much at most.

        Rules about trades, of which holdings say nothing, have none; a rule that no decision had is added where it was
        exceeded.
        """
        broken = outside.index[outside["days_outside"].to_numpy() > 0]
        late = [name for name in broken if name not in rules.index]
        if late:
            sources = dict(zip(self._watch.rules.names, self._watch.rules.sources, strict=True))
            nothing = dict.fromkeys((name for name in rules if name != "source"), 0)
            added = pd.DataFrame([{**nothing, "source": sources[name]} for name in late], index=pd.Index(late))
            rules = pd.concat([rules, added.rename_axis("rule")]) if len(rules) else added.rename_axis("rule")
        at = outside.index.get_indexer(rules.index)
        unknown, last = at < 0, list(rules.columns).index("source")
        days = pd.arrays.IntegerArray(np.where(unknown, 0, outside["days_outside"].to_numpy()[at]), unknown)
        rules.insert(last, "days_outside", pd.Series(days, index=rules.index))
        rules.insert(last + 1, "max_excess_held", np.where(unknown, np.nan, outside["max_excess_held"].to_numpy()[at]))
        return rules


def _costs(rows: np.ndarray, nav: Array, fills: Sequence[tuple[int, Fills]]) -> Array:
    """Return the costs of each close's trades, fraction of the NAV after them, shape (n_days,)."""
    paid = np.zeros(len(rows))
    if fills:
        day = np.searchsorted(rows, [row for row, _ in fills])
        np.add.at(paid, day, [float(some.cost.sum()) for _, some in fills])
    return paid / nav
