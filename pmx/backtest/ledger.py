"""What each rule did over a backtest, summed as the decisions come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pmx.projection.explain import RuleFigures

#: A soft rule has given way when it is overrun by more than this.
GIVEN_WAY = 1e-9


class _Tally:
    """Sums over the decisions in which exactly the same rules were written; each array has shape (n_rules,)."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        n = len(sources)
        self.sources = sources
        self.days = 0
        self.days_binding = np.zeros(n, dtype=np.int64)
        self.days_given_way = np.zeros(n, dtype=np.int64)
        self.shadow_price = np.zeros(n)
        self.max_violation = np.zeros(n)


class RuleLedger:
    """Counts and sums of what each rule did.

    Rules come and go with clamps and gates, but mostly the same set is written day after day: its figures are added
    up as arrays, and sets are brought together rule by rule only in `table`.
    """

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, ...], _Tally] = {}

    def add(self, figures: RuleFigures) -> None:
        """Take in one decision."""
        tally = self._tallies.get(figures.names)
        if tally is None:
            tally = self._tallies[figures.names] = _Tally(figures.sources)
        tally.days += 1
        tally.days_binding += figures.binding
        tally.days_given_way += figures.violation > GIVEN_WAY
        tally.shadow_price += figures.shadow_price
        np.fmax(tally.max_violation, figures.violation, out=tally.max_violation)

    def table(self) -> pd.DataFrame:
        """Return one row a rule, in the order in which they first came; columns as in `BacktestResult.rules`."""
        row: dict[str, int] = {}
        sources: list[str] = []
        for names, tally in self._tallies.items():
            for name, source in zip(names, tally.sources, strict=True):
                if row.setdefault(name, len(row)) == len(sources):
                    sources.append(source)
        total = _Tally(tuple(sources))
        days = np.zeros(len(row), dtype=np.int64)
        for names, tally in self._tallies.items():
            at = [row[name] for name in names]
            days[at] += tally.days
            total.days_binding[at] += tally.days_binding
            total.days_given_way[at] += tally.days_given_way
            total.shadow_price[at] += tally.shadow_price
            total.max_violation[at] = np.fmax(total.max_violation[at], tally.max_violation)
        columns = {
            "days": days,
            "days_binding": total.days_binding,
            "share_binding": total.days_binding / days,
            "mean_shadow_price": total.shadow_price / days,
            "days_given_way": total.days_given_way,
            "max_violation": total.max_violation,
            "source": sources,
        }
        return pd.DataFrame(columns, index=pd.Index(list(row), name="rule", dtype="str"))
