"""Orders: whole lots, netted, that reconcile to the last cent and still obey every hard rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pmx.errors import DataError, InfeasibleError, SolverError
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED, OrderPlan, PortfolioSnapshot, compute_nav, size_orders
from pmx.projection import Projector, project_to_feasible, solve

Array = NDArray[np.float64]
Key = tuple[str, str]
INF = np.inf


@dataclass(frozen=True)
class Rules:
    """Linear rules as plain arrays."""

    names: tuple[str, ...]
    A: Array
    lo: Array
    hi: Array
    hard: NDArray[np.bool_]
    lower: Array
    upper: Array
    sign: Array


@dataclass(frozen=True)
class Weights:
    """An allocation made of arrays: signed weights, linear rules, and a hard limit on turnover."""

    given: dict[Key, float]
    rows: dict[str, tuple[list[float], float, float]] = field(default_factory=dict)
    upper: float = INF
    residual_symbol: str | None = None
    cash: float = 0.0
    previous: dict[Key, float] = field(default_factory=dict)
    turnover: float = INF
    policy: Policy | None = None

    @property
    def positions(self) -> pd.Series:
        index = pd.MultiIndex.from_tuples(list(self.given), names=["bucket", "symbol"])
        return pd.Series(list(self.given.values()), index=index, dtype=float)

    @property
    def weights(self) -> pd.Series:
        by_symbol = self.positions.groupby(level="symbol").sum()
        left = 1.0 - by_symbol.sum()
        if self.residual_symbol is None:
            return pd.concat([by_symbol, pd.Series({"CASH": left})])
        by_symbol[self.residual_symbol] = by_symbol.get(self.residual_symbol, 0.0) + left - self.cash
        return pd.concat([by_symbol, pd.Series({"CASH": self.cash})])

    def linear_rules(self) -> Rules:
        n = len(self.given)
        A = np.array([row for row, _, _ in self.rows.values()], dtype=float).reshape(len(self.rows), n)
        return Rules(
            tuple(self.rows),
            A,
            np.array([lo for _, lo, _ in self.rows.values()]),
            np.array([hi for _, _, hi in self.rows.values()]),
            np.ones(len(self.rows), dtype=bool),
            np.zeros(n),
            np.full(n, self.upper),
            np.where(np.array(list(self.given.values())) < 0.0, -1.0, 1.0),
        )

    def violations(self, positions: pd.Series) -> pd.Series:
        rules, x = self.linear_rules(), positions.reindex(self.positions.index).to_numpy()
        u = rules.sign * x
        value = rules.A @ u
        worst = dict(zip(rules.names, np.maximum(value - rules.hi, rules.lo - value).tolist(), strict=True))
        before = np.array([self.previous.get(key, 0.0) for key in self.given])
        worst["turnover.max"] = 0.5 * float(np.abs(x - before).sum()) - self.turnover
        worst["bounds"] = float(np.maximum(u - rules.upper, rules.lower - u).max(initial=0.0))
        return pd.Series({name: excess for name, excess in worst.items() if excess > 1e-9}, dtype=float)


def check(plan: OrderPlan, snapshot: PortfolioSnapshot, prices: dict[str, float], allocation: Weights) -> None:
    """Hold a plan to the accounts: money, quantities, weights and rules."""
    nav = compute_nav(snapshot, prices)
    rate = {symbol: snapshot.fx.rate(snapshot.currency_of(symbol)) for symbol in prices}
    side = plan.orders["side"].map({"BUY": 1.0, "SELL": -1.0}).astype(float)
    traded = dict(zip(plan.orders["symbol"], side * plan.orders["quantity"], strict=True))
    assert len(traded) == len(plan.orders)
    assert (plan.orders["quantity"] > 0.0).all()
    assert plan.orders["side"].tolist() == sorted(plan.orders["side"], reverse=True)
    spent = sum(units * prices[symbol] * rate[symbol] for symbol, units in traded.items())
    assert plan.cash_after == pytest.approx(nav.cash - spent, abs=1e-9 * nav.total)

    after = plan.quantities.groupby(level="symbol").sum().to_dict()
    before = snapshot.positions.groupby(level="symbol").sum().to_dict()
    for symbol in {*after, *before}:
        change = after.get(symbol, 0.0) - before.get(symbol, 0.0)
        assert change == pytest.approx(traded.get(symbol, 0.0), abs=1e-9 * (1.0 + abs(change)))
    values = {key: units * prices[key[1]] * rate[key[1]] for key, units in plan.quantities.items() if units}
    assert plan.cash_after + sum(values.values()) == pytest.approx(nav.total, rel=1e-9)
    for key, value in values.items():
        assert plan.weights[key] == pytest.approx(value / nav.total, abs=1e-12)
    wanted = allocation.positions
    assert plan.max_deviation == pytest.approx(float((plan.weights[wanted.index] - wanted).abs().max()), abs=1e-12)
    assert allocation.violations(plan.weights).empty


def orders(plan: OrderPlan) -> list[tuple[str, str, float]]:
    return list(plan.orders[["symbol", "side", "quantity"]].itertuples(index=False, name=None))


def test_positions_are_rounded_toward_zero_and_the_rest_is_cash() -> None:
    allocation = Weights({("core", "SPY"): 0.3, ("core", "VIX"): -0.1}, upper=1.0)
    snapshot, prices = PortfolioSnapshot(10_000.0, {}), {"SPY": 450.0, "VIX": 30.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert orders(plan) == [("VIX", "SELL", 33.0), ("SPY", "BUY", 6.0)]
    assert plan.cash_after == 10_000.0 - 6 * 450.0 + 33 * 30.0
    assert plan.quantities.to_dict() == {("core", "SPY"): 6.0, ("core", "VIX"): -33.0}
    assert plan.orders["notional"].tolist() == [990.0, 2700.0]
    assert plan.max_deviation == pytest.approx(0.03)
    check(plan, snapshot, prices, allocation)


def test_without_a_lot_size_the_weights_are_met_exactly() -> None:
    allocation = Weights({("core", "SPY"): 0.3, ("safe", "BIL"): 0.7})
    snapshot, prices = PortfolioSnapshot(10_000.0, {("core", "SPY"): 5.0}), {"SPY": 450.0, "BIL": 91.0}
    plan = size_orders(allocation, snapshot, prices)
    assert plan.max_deviation <= 1e-15
    assert plan.cash_after == pytest.approx(0.0, abs=1e-9)
    check(plan, snapshot, prices, allocation)


def test_a_symbol_may_have_lots_of_its_own() -> None:
    allocation = Weights({("core", "SPY"): 0.3, ("ngx", "MTNN"): 0.3, ("core", "BTC"): 0.1})
    snapshot, prices = PortfolioSnapshot(10_000.0, {}), {"SPY": 450.0, "MTNN": 7.0, "BTC": 60_000.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0, lot_sizes={"MTNN": 100.0, "BTC": 0.001})
    assert plan.quantities.to_dict() == {("core", "SPY"): 6.0, ("ngx", "MTNN"): 400.0, ("core", "BTC"): 0.016}
    check(plan, snapshot, prices, allocation)
    only_some = size_orders(allocation, snapshot, prices, lot_sizes={"MTNN": 100.0})
    assert only_some.weights["core", "SPY"] == pytest.approx(0.3, abs=1e-15)
    assert only_some.quantities["ngx", "MTNN"] == 400.0


def test_orders_are_netted_over_buckets_and_positions_kept_apart() -> None:
    allocation = Weights({("a", "X"): 0.3, ("b", "X"): -0.1})
    snapshot, prices = PortfolioSnapshot(100.0, {("a", "X"): 10.0, ("b", "X"): -10.0}), {"X": 1.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert orders(plan) == [("X", "BUY", 20.0)]
    assert plan.quantities.to_dict() == {("a", "X"): 30.0, ("b", "X"): -10.0}
    check(plan, snapshot, prices, allocation)
    crossed = PortfolioSnapshot(80.0, {("a", "X"): -10.0, ("b", "X"): 30.0})
    assert orders(size_orders(allocation, crossed, prices, lot_size=1.0)) == []


def test_what_the_allocation_does_not_know_is_sold_odd_lots_and_all() -> None:
    allocation = Weights({("core", "SPY"): 0.9})
    snapshot = PortfolioSnapshot(0.0, {"OLD": 10.5, ("gone", "SPY"): 1.0})
    prices = {"OLD": 20.0, "SPY": 10.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert orders(plan) == [("OLD", "SELL", 10.5), ("SPY", "BUY", 18.0)]
    check(plan, snapshot, prices, allocation)


def test_foreign_symbols_are_priced_in_their_currency_and_weighed_in_the_base() -> None:
    allocation = Weights({("ngx", "MTNN"): 0.2})
    snapshot = PortfolioSnapshot(
        {"USD": 900.0, "NGN": 150_000.0}, {}, fx={"USDNGN": 1500.0}, currencies={"MTNN": "NGN"}
    )
    plan = size_orders(allocation, snapshot, {"MTNN": 200.0}, lot_size=10.0)
    (order,) = plan.orders.to_dict("records")
    assert order == {
        "symbol": "MTNN",
        "side": "BUY",
        "quantity": 1500.0,
        "price": 200.0,
        "notional": 300_000.0,
        "currency": "NGN",
    }
    check(plan, snapshot, {"MTNN": 200.0}, allocation)


def test_a_rule_with_a_lower_limit_sends_rounding_to_the_nearest_whole_lots() -> None:
    allocation = Weights(
        {("safe", "BIL"): 0.55, ("core", "SPY"): 0.45},
        {"custom.bonds": ([1.0, 0.0], 0.55, INF), "leverage.gross": ([1.0, 1.0], -INF, 1.0)},
    )
    snapshot, prices = PortfolioSnapshot(1000.0, {}), {"BIL": 100.0, "SPY": 100.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert plan.quantities.to_dict() == {("safe", "BIL"): 6.0, ("core", "SPY"): 4.0}
    check(plan, snapshot, prices, allocation)


def test_shorts_that_pay_for_longs_are_rounded_so_that_cash_stays_above_its_minimum() -> None:
    allocation = Weights({("a", "L"): 1.2, ("a", "S"): -0.25}, {"cash.min": ([1.0, -1.0], -INF, 0.95)})
    snapshot, prices = PortfolioSnapshot(1000.0, {}), {"L": 10.0, "S": 100.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert plan.quantities.to_dict() == {("a", "L"): 120.0, ("a", "S"): -3.0}
    assert plan.cash_after == 100.0
    check(plan, snapshot, prices, allocation)


def test_where_no_whole_lots_obey_the_rules_in_conflict_are_named() -> None:
    allocation = Weights(
        {("safe", "BIL"): 0.55, ("core", "SPY"): 0.2},
        {
            "custom.bonds": ([1.0, 0.0], 0.52, INF),
            "bucket.safe.max": ([1.0, 0.0], -INF, 0.58),
            "leverage.gross": ([1.0, 1.0], -INF, 1.0),
        },
    )
    with pytest.raises(
        InfeasibleError, match=r"custom\.bonds, bucket\.safe\.max: .* breaks custom.bonds by 0\.02"
    ) as caught:
        size_orders(allocation, PortfolioSnapshot(1000.0, {}), {"BIL": 100.0, "SPY": 10.0}, lot_size=1.0)
    assert caught.value.rules == ("custom.bonds", "bucket.safe.max")


@pytest.mark.parametrize(("x", "y"), [(0.36, 0.44), (0.34, 0.4)], ids=["nearest", "toward what is held"])
def test_a_hard_limit_on_turnover_holds_after_rounding(x: float, y: float) -> None:
    previous = {("a", "X"): 0.4, ("a", "Y"): 0.4}
    allocation = Weights({("a", "X"): x, ("a", "Y"): y}, previous=previous, turnover=0.04)
    snapshot = PortfolioSnapshot(200.0, {("a", "X"): 4.0, ("a", "Y"): 4.0})
    prices = {"X": 100.0, "Y": 100.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert plan.quantities.to_dict() == {("a", "X"): 4.0, ("a", "Y"): 4.0}
    check(plan, snapshot, prices, allocation)


def test_where_a_rule_that_is_not_linear_cannot_be_met_nothing_is_returned() -> None:
    allocation = Weights({("a", "X"): 0.35}, previous={("a", "X"): 0.37}, turnover=0.01)
    with pytest.raises(SolverError, match=r"turnover\.max; use smaller lots"):
        size_orders(allocation, PortfolioSnapshot(1000.0, {}), {"X": 100.0}, lot_size=1.0)


def test_small_orders_are_not_sent_where_every_rule_holds_without_them() -> None:
    allocation = Weights({("a", "X"): 0.40, ("a", "Y"): 0.30, ("a", "Z"): 0.2})
    snapshot = PortfolioSnapshot(81.0, {"X": 395.0, "Y": 304.0, ("a", "Z"): 220.0})
    prices = dict.fromkeys("XYZ", 1.0)
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0, min_order_nav_frac=0.01)
    assert orders(plan) == [("Z", "SELL", 20.0)]
    assert set(plan.skipped) == {"X", "Y"}
    assert plan.quantities.to_dict() == {("a", "X"): 395.0, ("a", "Y"): 304.0, ("a", "Z"): 200.0}
    assert plan.max_deviation == pytest.approx(0.005)
    check(plan, snapshot, prices, allocation)


def test_a_small_order_is_sent_where_a_rule_needs_it() -> None:
    allocation = Weights({("a", "X"): 0.40, ("a", "Y"): 0.30}, {"symbol.Y.cap": ([0.0, 1.0], -INF, 0.301)})
    snapshot, prices = PortfolioSnapshot(301.0, {"X": 395.0, "Y": 304.0}), {"X": 1.0, "Y": 1.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0, min_order_nav_frac=0.01)
    assert orders(plan) == [("Y", "SELL", 4.0)]
    assert plan.skipped == ("X",)
    check(plan, snapshot, prices, allocation)


def test_a_small_order_is_sent_where_buckets_cannot_be_told_apart() -> None:
    allocation = Weights({("a", "X"): 0.4, ("b", "X"): 0.1})
    snapshot, prices = PortfolioSnapshot(501.0, {"X": 499.0}), {"X": 1.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0, min_order_nav_frac=0.01)
    assert orders(plan) == [("X", "BUY", 1.0)]
    check(plan, snapshot, prices, allocation)


def test_a_portfolio_that_is_where_it_should_be_is_not_traded() -> None:
    allocation = Weights({("a", "X"): 0.1, ("a", "Y"): 0.7})
    snapshot, prices = PortfolioSnapshot(0.3 * 3.0 - 0.3, {"X": 0.1, "Y": 7 * 0.1 * 3.0}), {"X": 3.0, "Y": 1.0}
    plan = size_orders(allocation, snapshot, prices)
    assert orders(plan) == []
    assert plan.skipped == ()
    assert list(plan.orders.columns) == ["symbol", "side", "quantity", "price", "notional", "currency"]
    assert plan.cash_after == snapshot.cash["USD"]


def test_the_residual_symbol_takes_what_is_left_above_the_cash() -> None:
    allocation = Weights({("core", "SPY"): 0.25}, residual_symbol="BIL", cash=0.02)
    snapshot, prices = PortfolioSnapshot(1000.0, {}), {"SPY": 90.0, "BIL": 10.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert plan.quantities.to_dict() == {("core", "SPY"): 2.0, (UNASSIGNED, "BIL"): 80.0}
    assert plan.cash_after == 20.0
    check(plan, snapshot, prices, allocation)
    fractional = size_orders(allocation, snapshot, prices)
    assert fractional.weights.to_dict() == pytest.approx({("core", "SPY"): 0.25, (UNASSIGNED, "BIL"): 0.73})


def test_small_orders_in_the_residual_symbol_are_not_sent_unless_cash_is_needed() -> None:
    allocation = Weights({("core", "SPY"): 0.2}, residual_symbol="BIL", cash=0.02)
    prices = {"SPY": 1.0, "BIL": 1.0}
    for cash, bil, expected in ((25.0, 775.0, []), (15.0, 785.0, [("BIL", "SELL", 5.0)])):
        snapshot = PortfolioSnapshot(cash, {("core", "SPY"): 200.0, (UNASSIGNED, "BIL"): bil})
        plan = size_orders(allocation, snapshot, prices, lot_size=1.0, min_order_nav_frac=0.01)
        assert orders(plan) == expected
        assert plan.cash_after >= 20.0
        check(plan, snapshot, prices, allocation)


def test_nothing_is_left_for_a_residual_symbol_where_positions_take_all() -> None:
    allocation = Weights({("core", "SPY"): 0.98}, residual_symbol="BIL", cash=0.02)
    snapshot, prices = PortfolioSnapshot(900.0, {"BIL": 10.0}), {"SPY": 300.0, "BIL": 10.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert orders(plan) == [("BIL", "SELL", 10.0), ("SPY", "BUY", 3.0)]
    assert plan.cash_after == 100.0
    check(plan, snapshot, prices, allocation)


def test_the_residual_symbol_may_be_a_position_too() -> None:
    allocation = Weights({("safe", "BIL"): 0.5, ("core", "SPY"): 0.2}, residual_symbol="BIL")
    snapshot, prices = PortfolioSnapshot(400.0, {("safe", "BIL"): 50.0, "BIL": 10.0}), {"SPY": 10.0, "BIL": 10.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert plan.quantities.to_dict() == {("safe", "BIL"): 50.0, ("core", "SPY"): 20.0, (UNASSIGNED, "BIL"): 30.0}
    assert orders(plan) == [("BIL", "BUY", 20.0), ("SPY", "BUY", 20.0)]
    check(plan, snapshot, prices, allocation)


def test_a_symbol_without_price_weight_or_holding_is_left_alone() -> None:
    allocation = Weights({("a", "X"): 0.5, ("a", "UNLISTED"): 0.0}, {"custom.floor": ([1.0, 1.0], 0.5, INF)})
    plan = size_orders(allocation, PortfolioSnapshot(1000.0, {}), {"X": 300.0}, lot_size=1.0)
    assert plan.quantities.to_dict() == {("a", "X"): 2.0, ("a", "UNLISTED"): 0.0}


@pytest.mark.parametrize(
    ("prices", "options", "message"),
    [
        ({}, {}, "price of X is missing"),
        ({"X": -1.0}, {}, "price of X is -1.0"),
        ({"X": 1.0}, {"lot_size": 0.0}, "lot size lot_size = 0.0"),
        ({"X": 1.0}, {"lot_sizes": {"X": -5.0}}, "lot size X = -5.0"),
        ({"X": 1.0}, {"lot_size": np.nan}, "lot size lot_size = nan"),
        ({"X": 1.0}, {"lot_size": "1"}, "lot size lot_size = '1'"),
        ({"X": 1.0}, {"lot_size": True}, "lot size lot_size = True"),
        ({"X": 1.0}, {"lot_sizes": 5.0}, "lot_sizes is 5.0, must be a mapping"),
        ({"X": 1.0}, {"min_order_nav_frac": "none"}, "min_order_nav_frac is 'none'"),
        ({"X": 1.0}, {"min_order_nav_frac": -0.1}, "min_order_nav_frac is -0.1"),
        ({"X": 1.0}, {"min_order_nav_frac": np.nan}, "min_order_nav_frac is nan"),
    ],
)
def test_bad_input_is_refused(prices: dict[str, float], options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        size_orders(Weights({("a", "X"): 0.5}), PortfolioSnapshot(1000.0, {}), prices, **options)  # type: ignore[arg-type]


def test_without_a_positive_nav_there_are_no_orders() -> None:
    with pytest.raises(DataError, match="NAV is -5 USD, must be > 0"):
        size_orders(Weights({("a", "X"): 0.5}), PortfolioSnapshot(-5.0, {}), {"X": 1.0})


SIZED = {"execution": {"sizing": {"lot_size": 1, "lot_sizes": {"MTNN": 100}, "min_order_nav_frac": 0.02}}}


def test_the_policy_says_how_orders_are_sized() -> None:
    policy = Policy.from_mapping(SIZED)
    allocation = Weights({("core", "SPY"): 0.31, ("ngx", "MTNN"): 0.35, ("core", "OLD"): 0.1}, policy=policy)
    snapshot = PortfolioSnapshot(8_900.0, {("core", "OLD"): 110.0})
    prices = {"SPY": 100.0, "MTNN": 1.0, "OLD": 10.0}
    plan = size_orders(allocation, snapshot, prices)
    assert plan.quantities.to_dict() == {("core", "SPY"): 31.0, ("ngx", "MTNN"): 3500.0, ("core", "OLD"): 110.0}
    assert plan.skipped == ("OLD",)
    fine = size_orders(allocation, snapshot, prices, lot_size=None, lot_sizes={}, min_order_nav_frac=0.0)
    assert fine.weights.to_dict() == pytest.approx(allocation.given, abs=1e-15)
    assert fine.skipped == ()
    by_five = size_orders(allocation, snapshot, prices, lot_size=5.0)
    assert by_five.quantities.to_dict() == {("core", "SPY"): 30.0, ("ngx", "MTNN"): 3500.0, ("core", "OLD"): 110.0}


def test_every_allocation_knows_its_policy() -> None:
    buckets = {"risk_buckets": {"buckets": {"core": {"role": "risk", "base_nav_frac": 0.5}}}}
    index = pd.MultiIndex.from_tuples([("core", "SPY")], names=["bucket", "symbol"])
    relative, prices = pd.Series([1.0], index=index), {"SPY": 3.0}
    off = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
    for changes in ({}, off):
        policy = Policy.from_mapping({**buckets, **SIZED}).override(changes)
        answers = [solve(policy, relative), project_to_feasible(relative / 2, policy)]
        answers += [Projector(policy, index).solve(relative), Projector(policy, index).project(relative / 2)]
        for answer in answers:
            assert answer.policy is policy
            bought = size_orders(answer, PortfolioSnapshot(1_000.0, {}), prices).quantities.iloc[0]
            assert bought == math.floor(answer.positions.iloc[0] * 1_000.0 / 3.0 + 1e-9) > 0.0


def test_orders_are_not_sized_in_another_currency_than_the_policy_s() -> None:
    policy = Policy.from_mapping({"risk_buckets": {"portfolio": {"base_currency": "EUR"}}})
    allocation = Weights({("core", "SPY"): 0.5}, policy=policy)
    with pytest.raises(DataError, match=r"NAV is in USD, the policy's budgets are in EUR .* the FX rate USDEUR"):
        size_orders(allocation, PortfolioSnapshot(1_000.0, {}), {"SPY": 10.0})
    in_euro = PortfolioSnapshot({"USD": 1_000.0}, {}, "EUR", {"USDEUR": 0.8}, currencies={"SPY": "USD"})
    assert orders(size_orders(allocation, in_euro, {"SPY": 10.0})) == [("SPY", "BUY", 50.0)]


def test_orders_are_not_sized_on_old_prices_or_rates() -> None:
    policy = Policy.from_mapping({"execution": {"max_fx_age_days": 2}})
    allocation = Weights({("core", "SPY"): 0.5}, policy=policy)
    closes = pd.Series({"SPY": 10.0}, name=pd.Timestamp("2024-05-03"))
    snapshot = PortfolioSnapshot(1_000.0, {}, as_of="2024-05-06")
    with pytest.raises(DataError, match="price of SPY of 2024-05-03 is 3 days old on 2024-05-06, limit 2"):
        size_orders(allocation, snapshot, closes)
    assert len(size_orders(allocation, snapshot, closes, prices_as_of="2024-05-06").orders) == 1
    foreign = PortfolioSnapshot(
        {"EUR": 1_000.0}, {}, fx={"EURUSD": 1.2}, as_of="2024-05-06", fx_as_of="2024-05-03", max_fx_age_days=30
    )
    with pytest.raises(DataError, match="FX rate EURUSD of 2024-05-03 is 3 days old on 2024-05-06, limit 2"):
        size_orders(allocation, foreign, {"SPY": 10.0})


def test_what_is_neither_held_nor_wanted_needs_no_rate() -> None:
    allocation = Weights({("core", "SPY"): 0.5, ("ngx", "MTNN"): 0.0})
    snapshot = PortfolioSnapshot({"USD": 1_000.0, "NGN": 0.0}, {}, currencies={"MTNN": "NGN"})
    plan = size_orders(allocation, snapshot, {"SPY": 10.0, "MTNN": 200.0}, lot_size=1.0)
    assert plan.quantities.to_dict() == {("core", "SPY"): 50.0, ("ngx", "MTNN"): 0.0}


KEYS = [("a", "X"), ("a", "Y"), ("b", "X"), ("b", "Z")]


@given(seed=st.integers(0, 2**32 - 1), lot=st.sampled_from([None, 1.0, 10.0]), small=st.sampled_from([0.0, 0.02]))
@settings(max_examples=80, deadline=None)
def test_any_plan_reconciles_and_obeys(seed: int, lot: float | None, small: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(5))[:4] * rng.choice([1.0, -1.0], 4, p=[0.7, 0.3])
    gross = float(np.abs(weights).sum())
    allocation = Weights(
        dict(zip(KEYS, weights.tolist(), strict=True)),
        {
            "leverage.gross": ([1.0] * 4, -INF, gross),
            "custom.a": ([1.0, 1.0, 0.0, 0.0], float(np.abs(weights[:2]).sum()) - 0.02, INF),
        },
        upper=0.9,
    )
    prices = dict(zip("XYZ", rng.uniform(1.0, 50.0, 3).tolist(), strict=True))
    held = {key: float(rng.integers(-20, 60)) for key in KEYS if rng.random() < 0.6}
    snapshot = PortfolioSnapshot(20_000.0, held)
    plan = size_orders(allocation, snapshot, prices, lot_size=lot, min_order_nav_frac=small)
    check(plan, snapshot, prices, allocation)
    if lot is not None:
        for (_, symbol), units in plan.quantities.items():
            assert units % lot == 0.0 or symbol in plan.skipped


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_lots_of_a_solved_allocation_obey_its_policy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    policy = Policy.from_mapping(
        {
            "risk_buckets": {
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.75, "symbols": ["BIL"]},
                    "core": {"role": "risk", "base_nav_frac": 0.25, "max_nav_frac": 0.3},
                    "short": {"role": "risk", "base_nav_frac": 0.1, "allow_short": True},
                },
                "custom_rules": {"bonds": {"symbols": {"BIL": 1.0}, "min": float(rng.uniform(0.3, 0.6))}},
            },
            "barbell": {"safe_bucket": {"symbols": ["BIL"], "min_weight": 0.7}},
        }
    )
    keys = [("safe", "BIL"), ("core", "SPY"), ("core", "QQQ"), ("short", "SPY")]
    index = pd.MultiIndex.from_tuples(keys, names=["bucket", "symbol"])
    relative = pd.Series([1.0, *(rng.dirichlet(np.ones(3))[:2]).tolist(), -float(rng.uniform(0.1, 1.0))], index=index)
    allocation = solve(policy, relative)
    prices = {"BIL": 91.0, "SPY": 450.0, "QQQ": 380.0}
    plan = size_orders(allocation, PortfolioSnapshot(100_000.0, {}), prices, lot_size=1.0)
    assert allocation.violations(plan.weights).empty
    assert plan.max_deviation < 0.02
    risk = plan.weights.drop(("safe", "BIL")).abs().sum()
    assert 1.0 - risk >= policy.safe_floor - 1e-9
