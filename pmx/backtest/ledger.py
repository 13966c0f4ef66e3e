"""What each rule did over a backtest, summed as the decisions come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pmx.projection.explain import RuleFigures

#: A soft rule has given way when it is overrun by more than this.
GIVEN_WAY = 1e-9
#: Decisions whose figures are kept before they are added up.
WAITING = 1024


class _Tally:
    """Sums over the decisions in which exactly the same rules were written; each array has shape (n_rules,)."""

    def __init__(self, first: RuleFigures) -> None:
        n = len(first.names)
        self.names, self.sources = first.names, first.sources
        self.days = 0
        self.days_binding = np.zeros(n, dtype=np.int64)
        self.days_given_way = np.zeros(n, dtype=np.int64)
        self.shadow_price = np.zeros(n)
        self.max_violation = np.zeros(n)
        self.waiting: list[RuleFigures] = []

    def add_up(self) -> _Tally:
        """Add up what waits."""
        if not self.waiting:
            return self
        violation = np.array([figures.violation for figures in self.waiting])
        self.days_binding += np.array([figures.binding for figures in self.waiting]).sum(axis=0)
        self.days_given_way += (violation > GIVEN_WAY).sum(axis=0)
        self.shadow_price += np.array([figures.shadow_price for figures in self.waiting]).sum(axis=0)
        np.fmax(self.max_violation, np.fmax.reduce(violation), out=self.max_violation)
        self.days += len(self.waiting)
        self.waiting.clear()
        return self


class RuleLedger:
    """Counts and sums of what each rule did.

    Rules come and go with clamps and gates, but mostly the same set is written day after day: its figures are added
    up as arrays, and sets are brought together rule by rule only in `table`.
    """

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}  # by the identity of the names, which are one object a set of rules

    def add(self, figures: RuleFigures) -> None:
        """Take in one decision."""
        tally = self._tallies.get(id(figures.names))
        if tally is None:
            tally = self._tallies[id(figures.names)] = _Tally(figures)
        tally.waiting.append(figures)
        if len(tally.waiting) >= WAITING:
            tally.add_up()

    def table(self) -> pd.DataFrame:
        """Return one row a rule, in the order in which they first came; columns as in `BacktestResult.rules`."""
        row: dict[str, int] = {}
        sources: list[str] = []
        for tally in self._tallies.values():
            for name, source in zip(tally.names, tally.sources, strict=True):
                if row.setdefault(name, len(row)) == len(sources):
                    sources.append(source)
        n = len(row)
        counts, price, worst = np.zeros((2, n), dtype=np.int64), np.zeros(n), np.zeros(n)
        days = np.zeros(n, dtype=np.int64)
        for tally in self._tallies.values():
            tally.add_up()
            at = [row[name] for name in tally.names]
            days[at] += tally.days
            counts[:, at] += (tally.days_binding, tally.days_given_way)
            price[at] += tally.shadow_price
            worst[at] = np.fmax(worst[at], tally.max_violation)
        columns = {
            "days": days,
            "days_binding": counts[0],
            "share_binding": counts[0] / days,
            "mean_shadow_price": price / days,
            "days_given_way": counts[1],
            "max_violation": worst,
            "source": sources,
        }
        return pd.DataFrame(columns, index=pd.Index(list(row), name="rule", dtype="str"))
