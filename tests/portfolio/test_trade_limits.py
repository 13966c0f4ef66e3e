"""Rules on trades hold from what is held when orders are sized, whatever the allocation was solved with."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED, OrderPlan, PortfolioSnapshot, size_orders
from pmx.projection import Allocation, solve

CORE = {"core": {"role": "risk", "base_nav_frac": 0.4, "max_nav_frac": 0.5}}
LOTS = pytest.mark.parametrize("lot", [1.0, None])


def policy_of(execution: dict[str, Any] | None = None, **buckets: Any) -> Policy:
    free = {"costs": {"commission_bps": 0.0, "half_spread_bps": 0.0}, "sizing": {"min_order_nav_frac": 0.0}}
    return Policy.from_mapping(
        {
            "risk_buckets": {"buckets": {**CORE, **buckets}},
            "barbell": {
                "safe_bucket": {"min_weight": 0.2},
                "risk_bucket": {"max_weight": 0.8, "max_per_position": 0.3},
            },
            "execution": {**free, **(execution or {})},
        }
    )


def series(values: dict[tuple[str, str], float]) -> pd.Series:
    return pd.Series(list(values.values()), index=pd.MultiIndex.from_tuples(list(values), names=["bucket", "symbol"]))


def signed(plan: OrderPlan) -> dict[str, float]:
    """Return units traded by symbol, sales negative."""
    side = plan.orders["side"].map({"BUY": 1.0, "SELL": -1.0}).astype(float)
    return dict(zip(plan.orders["symbol"], side * plan.orders["quantity"], strict=True))


def gated(mode: str, policy: Policy | None = None) -> Allocation:
    wish = series({("core", "A"): 0.5, ("core", "B"): 0.5})
    held = series({("core", "A"): 0.2, ("core", "B"): 0.1})
    return solve(policy or policy_of(), wish, previous=held, gated={"A": mode})


@LOTS
def test_a_symbol_that_may_only_be_reduced_is_not_bought_after_its_price_fell(lot: float | None) -> None:
    allocation = gated("reduce_only")
    assert allocation.positions["core", "A"] == pytest.approx(0.2)
    # 20 units at 85 are 0.17 of a NAV of 10,000: two more would bring them to the weight.
    snapshot = PortfolioSnapshot(7_300.0, {("core", "A"): 20.0, ("core", "B"): 10.0})
    plan = size_orders(allocation, snapshot, {"A": 85.0, "B": 100.0}, lot_size=lot)
    assert "A" not in signed(plan)
    assert plan.quantities["core", "A"] == 20.0
    assert signed(plan)["B"] == pytest.approx(10.0)


@LOTS
def test_a_symbol_that_may_only_be_reduced_is_not_bought_where_less_is_held(lot: float | None) -> None:
    snapshot = PortfolioSnapshot(8_000.0, {("core", "A"): 10.0, ("core", "B"): 10.0})
    plan = size_orders(gated("reduce_only"), snapshot, {"A": 100.0, "B": 100.0}, lot_size=lot)
    assert plan.quantities["core", "A"] == 10.0
    # Of no bucket, it is held for the symbol's only position.
    loose = PortfolioSnapshot(8_000.0, {(UNASSIGNED, "A"): 10.0, ("core", "B"): 10.0})
    assert "A" not in signed(size_orders(gated("reduce_only"), loose, {"A": 100.0, "B": 100.0}, lot_size=lot))


@LOTS
def test_what_is_held_for_no_bucket_counts_for_the_positions_of_its_symbol(lot: float | None) -> None:
    policy = policy_of(other={"role": "risk", "base_nav_frac": 0.2})
    wish = series({("core", "A"): 0.25, ("other", "A"): 0.5})
    held = series({("core", "A"): 0.1, ("other", "A"): 0.1})
    allocation = solve(policy, wish, previous=held, gated={"A": "reduce_only"})
    snapshot = PortfolioSnapshot(8_500.0, {(UNASSIGNED, "A"): 15.0})
    plan = size_orders(allocation, snapshot, {"A": 100.0}, lot_size=lot)
    assert 14.0 <= float(plan.quantities.groupby(level="symbol").sum()["A"]) <= 15.0
    assert signed(plan).get("A", 0.0) <= 0.0


@LOTS
def test_what_must_be_sold_is_sold_whatever_is_held(lot: float | None) -> None:
    for held in (20.0, 31.0, 4.5):
        snapshot = PortfolioSnapshot(9_000.0, {("core", "A"): held, ("core", "B"): 10.0})
        plan = size_orders(gated("exit"), snapshot, {"A": 85.0, "B": 100.0}, lot_size=lot)
        assert plan.quantities["core", "A"] == 0.0
        assert signed(plan)["A"] == -held


LIQUID = {"liquidity": {"participation": 0.1, "hard": True}}


def liquid() -> Allocation:
    wish = series({("core", "A"): 0.5, ("core", "B"): 0.5})
    previous = series({("core", "A"): 0.0, ("core", "B"): 0.0})
    return solve(policy_of(LIQUID), wish, previous=previous, adv={"A": 9_000.0, "B": 9_000.0}, nav=10_000.0)


@LOTS
def test_liquidity_is_money_whatever_nav_is(lot: float | None) -> None:
    allocation = liquid()
    assert allocation.positions.tolist() == pytest.approx([0.09, 0.09])
    for nav in (20_000.0, 10_000.0, 100_000.0):
        plan = size_orders(allocation, PortfolioSnapshot(nav, {}), {"A": 23.0, "B": 130.0}, lot_size=lot)
        most = dict(zip(plan.orders["symbol"], plan.orders["notional"], strict=True))
        whole = {"A": 39 * 23.0, "B": 6 * 130.0}
        assert most == pytest.approx({"A": 900.0, "B": 900.0} if lot is None else whole)


def test_a_pickled_allocation_counts_from_the_snapshot_too() -> None:
    allocation = pickle.loads(pickle.dumps(liquid()))
    plan = size_orders(allocation, PortfolioSnapshot(20_000.0, {}), {"A": 1.0, "B": 1.0}, lot_size=1.0)
    assert plan.orders["notional"].tolist() == [900.0, 900.0]


@LOTS
def test_a_hard_limit_on_turnover_is_counted_from_the_snapshot(lot: float | None) -> None:
    policy = policy_of({"turnover": {"max": 0.05, "hard": True}})
    wish = series({("core", "A"): 0.5, ("core", "B"): 0.5})
    allocation = solve(policy, wish, previous=series({("core", "A"): 0.15, ("core", "B"): 0.15}))
    snapshot = PortfolioSnapshot(8_000.0, {("core", "A"): 10.0, ("core", "B"): 10.0})
    plan = size_orders(allocation, snapshot, {"A": 100.0, "B": 100.0}, lot_size=lot)
    assert 0.5 * float(plan.orders["notional"].sum()) == pytest.approx(0.05 * 10_000.0)


def test_where_limits_leave_a_position_no_size_the_difference_and_the_remedy_are_named() -> None:
    snapshot = PortfolioSnapshot(5_000.0, {("core", "A"): 50.0})  # half of NAV; the cap is 0.3, a trade 0.09
    with pytest.raises(DataError, match=r"A was 0 of NAV .* is 0\.5 now: .*liquidity\.A.* solve again with previous="):
        size_orders(liquid(), snapshot, {"A": 100.0, "B": 100.0})


def test_an_allocation_that_does_not_say_its_traded_values_is_refused() -> None:
    told = liquid()
    silent = Allocation(
        told.certificate, told.index, told.signed.copy(), told.wished.copy(), told.solved, policy=told.policy
    )
    with pytest.raises(DataError, match=r"does not say .* solve again with previous= from this snapshot"):
        size_orders(silent, PortfolioSnapshot(20_000.0, {}), {"A": 100.0, "B": 100.0})


@LOTS
def test_a_residual_symbol_that_may_only_be_reduced_is_not_bought(lot: float | None) -> None:
    policy = Policy.from_mapping(
        {
            "risk_buckets": {
                "portfolio": {"residual_symbol": "BIL"},
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.7, "max_nav_frac": 0.9, "symbols": ["BIL"]},
                    "core": {"role": "risk", "base_nav_frac": 0.1},
                },
            },
            "barbell": {"safe_bucket": {"symbols": ["BIL"], "min_weight": 0.6, "max_per_position": None}},
        }
    )
    wish = series({("safe", "BIL"): 0.5, ("core", "SPY"): 1.0})
    previous = series({("safe", "BIL"): 0.5, ("core", "SPY"): 0.0})
    allocation = solve(policy, wish, previous=previous, gated={"BIL": "reduce_only"})
    for held in ({("safe", "BIL"): 30.0}, {("safe", "BIL"): 20.0, (UNASSIGNED, "BIL"): 15.0}):
        snapshot = PortfolioSnapshot(10_000.0 - 100.0 * sum(held.values()), held)
        plan = size_orders(allocation, snapshot, {"BIL": 100.0, "SPY": 50.0}, lot_size=lot)
        assert signed(plan).get("BIL", 0.0) <= 0.0


@LOTS
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_rules_on_trades_hold_from_any_snapshot(lot: float | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = list("ABCDEF")
    keys = [("core", symbol) for symbol in symbols]
    price = rng.uniform(20.0, 150.0, 6)
    units = np.round(rng.uniform(0.0, 1_200.0, 6) / price)
    nav = 20_000.0
    adv = dict(zip(symbols, rng.uniform(2_000.0, 20_000.0, 6).tolist(), strict=True))
    policy = policy_of({"liquidity": {"participation": 0.1, "hard": bool(rng.random() < 0.5)}})
    allocation = solve(
        policy,
        series(dict(zip(keys, rng.dirichlet(np.ones(6)).tolist(), strict=True))),
        previous=series(dict(zip(keys, (units * price / nav).tolist(), strict=True))),
        gated={"A": "reduce_only", "B": "reduce_only"} | ({} if policy.execution.liquidity.hard else {"C": "exit"}),
        adv=adv,
        nav=nav,
    )
    now = price * rng.uniform(0.7, 1.4, 6)
    held = np.maximum(np.round(units + rng.integers(-5, 6, 6)), 0.0)
    total = nav * float(rng.uniform(0.6, 2.0))
    snapshot = PortfolioSnapshot(total - float(held @ now), dict(zip(keys, held.tolist(), strict=True)))
    plan = size_orders(allocation, snapshot, dict(zip(symbols, now.tolist(), strict=True)), lot_size=lot)
    after = plan.quantities.reindex(series(dict.fromkeys(keys, 0.0)).index).to_numpy()
    trades = signed(plan)
    money = np.array([trades.get(symbol, 0.0) for symbol in symbols]) * now
    most = 0.1 * np.array(list(adv.values()))
    assert (after[:2] <= held[:2]).all()
    assert (money <= most + 1e-8 * total).all()
    if policy.execution.liquidity.hard:
        assert (money >= -most - 1e-8 * total).all()
    else:
        assert after[2] == 0.0
    weights = after * now / total
    assert (weights <= 0.3 + 1e-9).all()
    assert weights.sum() <= 0.5 + 1e-9
    assert plan.cash_after == pytest.approx(total - float(held @ now) - float(money.sum()) - plan.costs)
    assert np.array([trades.get(symbol, 0.0) for symbol in symbols]) == pytest.approx(after - held, abs=1e-9)
