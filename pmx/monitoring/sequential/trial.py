"""One wish: its joint answer, and every order of the passes judged beside it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from pmx.monitoring.sequential.judging import distances, holds, limits_overrun, violations
from pmx.monitoring.sequential.orders import SETTLED, orders_of, run_orders
from pmx.monitoring.sequential.passes import passes_of
from pmx.policy import Policy
from pmx.projection import Allocation
from pmx.projection.program import Array

#: A distance below this is none: rounding, nothing more.
NO_DISTANCE = 1e-9


def with_full_investment(policy: Policy) -> tuple[Policy, str, float]:
    """Return a policy with full investment as one more hard rule, that rule's name, and the gross exposure it asks."""
    limits, rules = policy.risk_buckets.portfolio, policy.risk_buckets.custom_rules
    gross = min(1.0 - (limits.cash_min or 0.0), 1.0 if limits.gross_max is None else limits.gross_max)
    name = "fully_invested"
    while name in rules:
        name += "_"
    rule = {"buckets": dict.fromkeys(policy.risk_buckets.buckets, 1.0), "exposure": "gross", "min": gross}
    return policy.override({f"risk_buckets.custom_rules.{name}": rule}), f"custom.{name}", gross


class Trial:
    """One joint answer, and the passes on the same wish.

    Parameters
    ----------
    allocation : Allocation
        The joint answer.
    investment : str
        The rule of full investment, which is the aim and no rule of the policy.
    gross : float, fraction of NAV, or None
        The gross exposure aimed at, if any.
    """

    def __init__(self, allocation: Allocation, investment: str, gross: float | None) -> None:
        assert allocation.program is not None
        assert allocation.point is not None
        self.program, self.u = allocation.program, allocation.point.u
        self.investment, self.gross = investment, gross
        self.overrun = limits_overrun(self.program, self.program.target, investment)
        self.passes = passes_of(self.program, gross, investment)

    def run(self, sweeps: int, most: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, bool]:
        """Return outcomes, broken rules, and whether orders were drawn from more."""
        orders = orders_of(len(self.passes), most, seed)
        ends = run_orders(self.passes, orders, self.program.target, sweeps)
        names = [" › ".join(self.passes[i].name for i in order) for order in orders.tolist()]
        stages = {1: ends.once} if sweeps == 1 else {1: ends.once, sweeps: ends.repeated}
        outcomes, broken = [], []
        for count, U in stages.items():
            rows, rules = self.judged(U)
            settled = ends.settled if count == sweeps else np.abs(U - ends.repeated).max(axis=1, initial=0.0) <= SETTLED
            outcomes.append(rows.assign(order=names, settled=settled, sweeps=count))
            broken.append(rules.assign(sweeps=count))
        return pd.concat(outcomes), pd.concat(broken), math.factorial(len(self.passes)) > len(orders)

    def judged(self, U: Array) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return one row a candidate, and one row a rule that any of them breaks."""
        amounts = violations(self.program, U)
        amounts.pop(self.investment, None)
        names, matrix = np.array(list(amounts), dtype=object), np.array(list(amounts.values()))
        worst = matrix.max(axis=0)
        obeys = holds(worst)
        uninvested = np.zeros(len(U)) if self.gross is None else np.abs(np.abs(U).sum(axis=1) - self.gross)
        own, far = float(distances(self.program, self.u[None, :])[0]), distances(self.program, U)
        rows = pd.DataFrame(
            {
                "violation": worst,
                "worst_rule": np.where(obeys, "", names[matrix.argmax(axis=0)]),
                "uninvested": uninvested,
                "obeys": obeys,
                "works": obeys & holds(uninvested),
                "distance": far,
                "lost": _further(far, own),
                "swing": float((U.max(axis=0) - U.min(axis=0)).max(initial=0.0)),
                "overrun": self.overrun,
            }
        )
        rules = pd.DataFrame({"rule": names, "share": (~holds(matrix)).mean(axis=1), "worst": matrix.max(axis=1)})
        return rows, rules[rules["share"] > 0.0]


def _further(far: Array, own: float) -> Array:
    """Return how much further than ``own`` something is, as a fraction of it; inf where ``own`` is no distance."""
    if own > NO_DISTANCE:
        return np.asarray(far / own - 1.0)
    return np.where(far > NO_DISTANCE, np.inf, 0.0)
