"""Whole lots of random policies: feasible, paid for, the same every time; and filled up where a search ends early."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from zoo.policies import random_case

import pmx
from pmx.errors import SolverError
from pmx.portfolio import LinearRules, LotGrid
from pmx.portfolio.lots import Trading, distance
from pmx.portfolio.rounding import Limits, rounded


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 600), marks=pytest.mark.fuzz)])
def test_whole_lots_of_any_policy_obey_it_and_leave_cash_for_costs(seeds: range) -> None:
    for seed in seeds:
        case, rng = random_case(seed, volatility=seed % 4 == 0), np.random.default_rng(seed)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        portfolio = case.policy.risk_buckets.portfolio
        symbols = {*allocation.index.get_level_values(1), allocation.residual_symbol} - {None}
        nav, lot = float(rng.choice([3e3, 1e4, 1e6])), float(rng.choice([0.1, 1.0, 10.0]))
        prices = {symbol: float(np.exp(rng.normal(3.5, 1.0))) for symbol in sorted(symbols)}
        held = {}
        for key, weight in case.arguments.get("previous", pd.Series(dtype=float)).items():
            units = weight * nav / prices.get(key[1], np.inf)
            held[key] = units if rng.random() < 0.3 else round(float(np.trunc(units / lot)) * lot, 6)
        cash = nav - sum(units * prices[key[1]] for key, units in held.items() if units)
        snapshot = pmx.PortfolioSnapshot(cash, held, portfolio.base_currency)

        plan = pmx.size_orders(allocation, snapshot, prices, lot_size=lot)
        positions = plan.weights.reindex(allocation.index)
        now = pd.Series({key: units * prices[key[1]] / nav for key, units in held.items() if units}, dtype=float)
        limited = allocation.counted_from(now.reindex(allocation.index, fill_value=0.0), nav)
        assert limited.violations(positions).empty, seed
        assert plan.cash_after / nav >= min(portfolio.cash_min or 0.0, 1.0 - allocation.signed.sum()) - 1e-9, seed
        assert plan.cash_after + plan.costs + plan.weights.sum() * nav == pytest.approx(nav), seed
        assert plan.least_distance - 1e-9 <= plan.distance, seed
        assert plan.distance == pytest.approx(distance(positions.to_numpy(), allocation.signed)), seed
        assert plan.orders.equals(pmx.size_orders(allocation, snapshot, prices, lot_size=lot).orders), seed


class Unruled:
    """An allocation of weights under one limit on their sum."""

    def __init__(self, weights: np.ndarray, most: float) -> None:
        index = pd.MultiIndex.from_tuples([("a", f"S{i}") for i in range(len(weights))], names=["bucket", "symbol"])
        self.positions = pd.Series(weights, index=index)
        self.most = most

    def violations(self, positions: pd.Series) -> pd.Series:
        excess = float(positions.sum()) - self.most
        return pd.Series({"sum": excess} if excess > 1e-9 else {}, dtype=float)

    def linear_rules(self, tangent_at: object = ()) -> LinearRules:
        n = len(self.positions)
        one, none = np.ones((1, n)), np.full(n, np.inf)
        hi = np.array([self.most])
        return LinearRules(("sum",), one, -hi * np.inf, hi, np.array([True]), np.zeros(n), none, np.ones(n))


def test_where_a_search_ends_early_lots_are_filled_up_and_nothing_is_called_proven() -> None:
    rng = np.random.default_rng(3)
    weights, unit = rng.dirichlet(np.ones(40)), rng.uniform(0.005, 0.05, 40)
    allocation = Unruled(weights, 0.97)
    limits = Limits(allocation, Trading(np.arange(40), np.zeros(40), np.full(40, 1e-4), 1.0))  # type: ignore[arg-type]
    grid = LotGrid(unit, np.ones(40, dtype=bool), seconds=1e-9)
    with pytest.raises(SolverError, match="Time limit"):
        grid.nearest(allocation.linear_rules(), weights, trading=limits.trading)
    answer = rounded(limits, grid, weights, np.zeros(40))
    assert not limits.broken(answer.weights)
    assert answer.least_distance == 0.0
    best = LotGrid(unit, np.ones(40, dtype=bool)).nearest(allocation.linear_rules(), weights, trading=limits.trading)
    assert best is not None
    nearest = distance(best.u, weights)
    assert nearest <= distance(answer.weights, weights) <= nearest + 0.05 < distance(grid.toward_zero(weights), weights)
