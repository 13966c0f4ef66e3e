"""Orders: whole lots, netted, that reconcile to the last cent and still obey every hard rule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize

from pmx.errors import DataError, InfeasibleError, SolverError
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED, CostModel, LinearRules, OrderPlan, PortfolioSnapshot, compute_nav, size_orders
from pmx.projection import Projector, project_to_feasible, solve

Array = NDArray[np.float64]
Key = tuple[str, str]
INF = np.inf


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

    def residual_room(self, positions: pd.Series) -> float:
        return INF

    def counted_from(self, held: pd.Series, nav: float, beside: float = 0.0) -> Weights:
        return self

    def linear_rules(self, tangent_at: Sequence[pd.Series] = ()) -> LinearRules:
        n = len(self.given)
        A = np.array([row for row, _, _ in self.rows.values()], dtype=float).reshape(len(self.rows), n)
        return LinearRules(
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


def on_grid(plan: OrderPlan, lot: float | None) -> bool:
    """Whether every quantity, and every order from whole lots, is a whole number of lots in decimal."""
    if lot is None:
        return True
    left = [units for (_, symbol), units in plan.quantities.items() if symbol not in plan.skipped]
    traded = plan.orders.loc[~plan.orders["symbol"].isin(plan.odd_lots), "quantity"].tolist()
    return all(Decimal(str(units)) % Decimal(str(lot)) == 0 for units in [*left, *traded])


def orders(plan: OrderPlan) -> list[tuple[str, str, float]]:
    return list(plan.orders[["symbol", "side", "quantity"]].itertuples(index=False, name=None))


def test_positions_are_rounded_to_the_nearest_whole_lots_and_the_rest_is_cash() -> None:
    allocation = Weights({("core", "SPY"): 0.3, ("core", "VIX"): -0.1}, upper=1.0)
    snapshot, prices = PortfolioSnapshot(10_000.0, {}), {"SPY": 450.0, "VIX": 30.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0)
    assert orders(plan) == [("VIX", "SELL", 34.0), ("SPY", "BUY", 7.0)]
    assert plan.cash_after == 10_000.0 - 7 * 450.0 + 34 * 30.0
    assert plan.quantities.to_dict() == {("core", "SPY"): 7.0, ("core", "VIX"): -34.0}
    assert plan.orders["notional"].tolist() == [1020.0, 3150.0]
    assert plan.max_deviation == pytest.approx(0.015)
    assert plan.distance == pytest.approx(0.015 + 0.002 + 0.013)
    assert plan.proven_nearest
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
    assert plan.quantities.to_dict() == {("core", "SPY"): 7.0, ("ngx", "MTNN"): 400.0, ("core", "BTC"): 0.017}
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
    assert orders(plan) == [
        ("OLD", "SELL", 10.5),
        ("SPY", "BUY", 19.0),
    ]  # 189 of 220 at 10 each: 18.9 more than are held
    assert plan.odd_lots == ("OLD",)
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
    assert plan.quantities.to_dict() == {("core", "SPY"): 3.0, (UNASSIGNED, "BIL"): 71.0}
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
            assert abs(bought - answer.positions.iloc[0] * 1_000.0 / 3.0) <= 0.5
            assert bought.is_integer()


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


# Thirty names in 10,000 USD: rounding toward zero leaves 20.9 % idle, and eleven names with nothing.
PRICES = [1303.61, 63.9, 506.73, 32.66, 24.05, 43.06, 194.01, 66.64, 89.31, 7.77, 85.92, 178.85, 110.12, 144.59, 58.05]
PRICES += [40.14, 408.11, 40.57, 118.19, 61.66, 148.51, 80.88, 390.33, 50.57, 151.35, 14.51, 36.56, 25.97, 1009.16]
PRICES += [80.46]
SHARES = [
    0.0372,
    0.0425,
    0.0626,
    0.0015,
    0.0195,
    0.0051,
    0.0033,
    0.0347,
    0.0172,
    0.1497,
    0.1215,
    0.0168,
    0.0377,
    0.0051,
]
SHARES += [
    0.0305,
    0.0189,
    0.0303,
    0.0064,
    0.1095,
    0.0081,
    0.0501,
    0.005,
    0.0014,
    0.0082,
    0.0121,
    0.0334,
    0.0662,
    0.0244,
]
SHARES += [0.041, 0.0001]
THIRTY = Weights({("core", f"S{i:02}"): share for i, share in enumerate(SHARES)})
QUOTES = {f"S{i:02}": price for i, price in enumerate(PRICES)}


def greedily_filled(weights: Array, unit: Array) -> Array:
    """Round down, then buy whatever is furthest below its weight, as long as there is cash for a lot."""
    count = np.floor(weights / unit + 1e-9)
    while True:
        left = 1.0 - float(count @ unit)
        affordable = np.flatnonzero(unit <= left)
        if not len(affordable):
            return count
        count[affordable[np.argmax((weights - count * unit)[affordable] / unit[affordable])]] += 1.0


def test_whole_lots_are_nearer_than_a_greedy_fill() -> None:
    weights, unit = np.array(SHARES), np.array(PRICES) / 10_000.0
    down, filled = np.floor(weights / unit + 1e-9), greedily_filled(weights, unit)
    assert (round(1.0 - float(down @ unit), 3), int((down == 0.0).sum())) == (0.209, 11)
    assert round(10_000.0 * (1.0 - float(filled @ unit)), 2) == 6.49
    assert round(float(np.abs(filled * unit - weights).sum()), 3) == 0.189

    plan = size_orders(THIRTY, PortfolioSnapshot(10_000.0, {}), QUOTES, lot_size=1.0)
    away = np.abs(plan.weights.to_numpy() - weights).sum()
    assert away <= 0.189
    assert 0.0 <= plan.cash_after <= 60.0
    assert plan.distance == pytest.approx(away + plan.cash_after / 10_000.0)
    assert plan.distance <= float(np.abs(filled * unit - weights).sum()) + 1.0 - float(filled @ unit)
    assert plan.proven_nearest
    check(plan, PortfolioSnapshot(10_000.0, {}), QUOTES, THIRTY)


def nearest_by_another_formulation(weights: Array, unit: Array, rate: float, caps: list[tuple[Array, float]]) -> float:
    """The least distance by scipy, with counts and the distance of each position as variables."""
    n, one = len(weights), np.ones((1, 1))
    eye, none = np.eye(n), np.zeros((n, 1))
    rows = [np.hstack([np.diag(unit), eye, none]), np.hstack([-np.diag(unit), eye, none])]
    lo = [weights, -weights, np.array([weights.sum()])]
    rows.append(np.hstack([unit[None], np.zeros((1, n)), one]))  # cash above weight
    rows += [np.hstack([(inside * unit)[None], np.zeros((1, n)), 0 * one]) for inside, _ in caps]
    rows.append(np.hstack([(1.0 + rate) * unit[None], np.zeros((1, n)), 0 * one]))
    top = [*(cap for _, cap in caps), 1.0]
    answer = optimize.milp(
        np.concatenate([np.zeros(n), np.ones(n + 1)]),
        integrality=np.concatenate([np.ones(n), np.zeros(n + 1)]),
        constraints=optimize.LinearConstraint(
            np.vstack(rows),
            np.concatenate([*lo, np.full(len(top), -INF)]),
            np.concatenate([np.full(2 * n + 1, INF), top]),
        ),
        options={"mip_rel_gap": 1e-6},
    )
    return float(answer.fun)


@pytest.mark.parametrize("seed", range(4))
def test_whole_lots_agree_with_another_formulation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, rate = 12, 0.002
    weights, unit = rng.dirichlet(np.ones(n)), rng.uniform(0.01, 0.15, n)
    inside = (rng.random(n) < 0.5).astype(float)
    cap = float(inside @ weights) + 0.01
    allocation = Weights(
        {("a", f"S{i:02}"): w for i, w in enumerate(weights.tolist())}, {"a.cap": (inside.tolist(), -INF, cap)}
    )
    prices = {f"S{i:02}": size * 1_000.0 for i, size in enumerate(unit.tolist())}
    snapshot = PortfolioSnapshot(1_000.0, {})
    plan = size_orders(allocation, snapshot, prices, lot_size=1.0, costs=CostModel(1e4 * rate, 0.0))
    best = nearest_by_another_formulation(weights, unit, rate, [(inside, cap)])
    assert plan.distance == pytest.approx(best, abs=2e-4)
    assert plan.least_distance <= best + 1e-6
    assert plan.proven_nearest
    assert plan.cash_after >= 0.0
    assert plan.costs == pytest.approx(rate * plan.orders["notional"].sum())


def test_quantities_are_decimal() -> None:
    allocation = Weights({("a", "X"): 0.3, ("a", "Y"): 0.7})
    prices, lots = {"X": 1.0, "Y": 1.0}, {"X": 0.1, "Y": 0.05}
    plan = size_orders(allocation, PortfolioSnapshot(1.0, {}), prices, lot_sizes=lots)
    assert [str(units) for units in plan.quantities] == ["0.3", "0.7"]  # 3 * 0.1 is 0.30000000000000004
    held = {("a", "X"): 0.1 + 0.2, ("a", "Y"): 0.1}  # a lot that came from such a product is whole all the same
    more = size_orders(
        Weights({("a", "X"): 0.4, ("a", "Y"): 0.6}), PortfolioSnapshot(0.6, held), prices, lot_sizes=lots
    )
    assert orders(more) == [("X", "BUY", 0.1), ("Y", "BUY", 0.5)]
    assert more.odd_lots == ()


@given(seed=st.integers(0, 2**32 - 1), lot=st.sampled_from([1e-8, 0.001, 0.01, 0.05, 0.1, 0.25, 3.0, 100.0]))
@settings(max_examples=40, deadline=None)
def test_every_quantity_lies_on_the_grid_of_lots(seed: int, lot: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(6))[:5]
    allocation = Weights({("a", f"S{i}"): w for i, w in enumerate(weights.tolist())})
    prices = {f"S{i}": price for i, price in enumerate(rng.uniform(0.01, 0.1, 5).round(4).tolist())}
    snapshot = PortfolioSnapshot(1_000.0 * lot, {f"S{i}": float(Decimal(str(lot)) * i) for i in range(3)})
    plan = size_orders(allocation, snapshot, prices, lot_size=lot)
    assert on_grid(plan, lot)
    assert plan.odd_lots == ()
    check(plan, snapshot, prices, allocation)


COSTLY = CostModel(30.0, 20.0, {"Z": 200.0})


@given(seed=st.integers(0, 2**32 - 1), lot=st.sampled_from([None, 1.0, 10.0]), small=st.sampled_from([0.0, 0.02]))
@settings(max_examples=60, deadline=None)
def test_cash_for_costs_is_set_aside(seed: int, lot: float | None, small: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(4)) * rng.choice([1.0, 1.0, 0.9])  # often all of NAV
    allocation = Weights(dict(zip(KEYS, weights.tolist(), strict=True)), upper=0.9)
    prices = dict(zip("XYZO", rng.uniform(1.0, 50.0, 4).tolist(), strict=True))
    held = {key: float(rng.integers(0, 60)) for key in [*KEYS, ("old", "O")] if rng.random() < 0.6}
    snapshot = PortfolioSnapshot(float(rng.choice([0.0, 200.0, 20_000.0])) + 1e-3, held)
    plan = size_orders(allocation, snapshot, prices, lot_size=lot, min_order_nav_frac=small, costs=COSTLY)
    notional = dict(zip(plan.orders["symbol"], plan.orders["notional"], strict=True))
    assert plan.costs == pytest.approx(sum(COSTLY.rate(symbol) * value for symbol, value in notional.items()))
    nav = compute_nav(snapshot, prices).total
    assert plan.cash_after >= -1e-11 * nav
    assert plan.cash_after + plan.costs + plan.weights.sum() * nav == pytest.approx(nav)
    again = size_orders(allocation, snapshot, prices, lot_size=lot, min_order_nav_frac=small, costs=COSTLY)
    assert again.orders.equals(plan.orders)
    assert again.quantities.equals(plan.quantities)


def test_costs_are_paid_out_of_purchases_in_proportion_where_any_size_will_do() -> None:
    allocation = Weights({("a", "X"): 0.5, ("a", "Y"): 0.3, ("a", "Z"): 0.2})
    snapshot, prices = PortfolioSnapshot(500.0, {("a", "X"): 500.0}), dict.fromkeys("XYZ", 1.0)
    plan = size_orders(allocation, snapshot, prices, costs=CostModel(100.0, 0.0))
    bought = 500.0 / 1.01
    assert plan.quantities.tolist() == pytest.approx([500.0, 0.6 * bought, 0.4 * bought])
    assert plan.costs == pytest.approx(500.0 - bought)
    assert plan.cash_after == pytest.approx(0.0, abs=1e-8)


def test_costs_count_a_symbol_that_is_wanted_for_one_of_its_buckets() -> None:
    allocation = Weights({("a", "X"): 0.0, ("b", "X"): 1.0})
    plan = size_orders(
        allocation, PortfolioSnapshot(1_000.0, {}), {"X": 1.0}, lot_size=1.0, costs=CostModel(100.0, 0.0)
    )
    assert orders(plan) == [("X", "BUY", 990.0)]
    assert plan.cash_after == pytest.approx(0.1)


def test_the_policy_s_costs_and_least_cash_are_kept() -> None:
    policy = Policy.from_mapping(
        {
            "risk_buckets": {
                "portfolio": {"cash_min": 0.05},
                "buckets": {"safe": {"role": "safe", "base_nav_frac": 1.0, "symbols": ["BIL"]}},
            },
            "execution": {"costs": {"commission_bps": 40.0, "half_spread_bps": 10.0}, "sizing": {"lot_size": 1}},
            "barbell": {"safe_bucket": {"symbols": ["BIL"], "min_weight": 0.5, "max_per_position": 1.0}},
        }
    )
    index = pd.MultiIndex.from_tuples([("safe", "BIL")], names=["bucket", "symbol"])
    allocation = solve(policy, pd.Series([1.0], index=index))
    assert allocation.positions.iloc[0] == pytest.approx(0.95)
    plan = size_orders(allocation, PortfolioSnapshot(1_000.0, {}), {"BIL": 1.0})
    assert orders(plan) == [("BIL", "BUY", 945.0)]  # 945 and half a per cent of it; 946 would leave 49.27
    assert (plan.costs, plan.cash_after) == (pytest.approx(4.725), pytest.approx(50.275))
    free = size_orders(allocation, PortfolioSnapshot(1_000.0, {}), {"BIL": 1.0}, costs=None)
    assert orders(free) == [("BIL", "BUY", 950.0)]
    with pytest.raises(DataError, match=r"costs is 0\.01, must be a CostModel"):
        size_orders(allocation, PortfolioSnapshot(1_000.0, {}), {"BIL": 1.0}, costs=0.01)  # type: ignore[arg-type]


def test_an_odd_lot_is_left_until_whole_lots_are_nearer() -> None:
    prices, lots = {"X": 1.0, "Y": 1.0}, {"lot_size": 10.0}
    held = {("a", "X"): 37.0, ("a", "Y"): 37.0}
    plan = size_orders(Weights({("a", "X"): 0.36, ("a", "Y"): 0.61}), PortfolioSnapshot(26.0, held), prices, **lots)
    assert plan.quantities.to_dict() == {("a", "X"): 37.0, ("a", "Y"): 60.0}
    assert orders(plan) == [("Y", "BUY", 23.0)]
    assert (plan.skipped, plan.odd_lots) == (("X",), ("Y",))
    as_it_is = size_orders(Weights({("a", "X"): 0.37, ("a", "Y"): 0.37}), PortfolioSnapshot(26.0, held), prices, **lots)
    assert orders(as_it_is) == []
    assert as_it_is.skipped == ()
    capped = Weights({("a", "X"): 0.36, ("a", "Y"): 0.37}, {"symbol.X.cap": ([1.0, 0.0], -INF, 0.36)})
    sold = size_orders(capped, PortfolioSnapshot(26.0, held), prices, **lots)
    assert sold.quantities["a", "X"] == 30.0


def test_rounding_up_breaks_no_restriction() -> None:
    buckets = {"core": {"role": "risk", "base_nav_frac": 0.4}, "hedge": {"role": "risk", "base_nav_frac": 0.1}}
    policy = Policy.from_mapping(
        {
            "risk_buckets": {"buckets": buckets},
            "barbell": {
                "safe_bucket": {"min_weight": 0.5},
                "risk_bucket": {"max_weight": 0.5, "max_per_position": 0.5},
                "symbol_caps": {"CAP": 0.139},
            },
            "execution": {"sizing": {"lot_size": 1}},
        }
    )
    keys = [("core", "CAP"), ("core", "KEPT"), ("core", "GONE"), ("hedge", "FREE")]
    index = pd.MultiIndex.from_tuples(keys, names=["bucket", "symbol"])
    previous = pd.Series([0.0, 0.069, 0.05, 0.0], index=index)
    allocation = solve(
        policy,
        pd.Series([0.4, 0.3, 0.3, 1.0], index=index),
        previous=previous,
        gated={"KEPT": "reduce_only", "GONE": "exit"},
    )
    snapshot = PortfolioSnapshot(881.0, {("core", "KEPT"): 6.9, ("core", "GONE"): 5.0})
    plan = size_orders(allocation, snapshot, {"CAP": 20.0, "KEPT": 10.0, "GONE": 10.0, "FREE": 7.0})
    assert plan.quantities["core"].to_dict() == {
        "CAP": 6.0,  # 6.95 by weight, and 7 would break the cap
        "KEPT": 6.9,  # 7 would be more than is held
        "GONE": 0.0,
    }
    assert allocation.violations(plan.weights).empty


def test_the_residual_symbol_keeps_to_its_cap_beside_rounded_positions() -> None:
    policy = Policy.from_mapping(
        {
            "risk_buckets": {
                "portfolio": {"residual_symbol": "BIL"},
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.7, "max_nav_frac": 0.7, "symbols": ["BIL", "SHY"]},
                    "core": {"role": "risk", "base_nav_frac": 0.2},
                },
            },
            "barbell": {"safe_bucket": {"symbols": ["BIL", "SHY"], "min_weight": 0.6}},
            "execution": {"sizing": {"lot_size": 1}},
        }
    )
    index = pd.MultiIndex.from_tuples([("safe", "SHY"), ("core", "SPY")], names=["bucket", "symbol"])
    allocation = solve(policy, pd.Series([0.24, 0.5], index=index))
    for shy in (180.0, 140.0, 100.0, 60.0):
        plan = size_orders(allocation, PortfolioSnapshot(1_000.0, {}), {"SHY": shy, "SPY": 45.0, "BIL": 9.0})
        bil = plan.weights[UNASSIGNED, "BIL"]
        assert plan.weights["safe", "SHY"] + bil <= 0.7 + 1e-9
        assert plan.cash_after >= 0.0


@pytest.mark.parametrize("seed", range(5))
def test_whole_lots_keep_to_a_volatility_cap_and_are_the_nearest_that_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = ["A", "B", "C", "D"]
    policy = Policy.from_mapping(
        {
            "risk_buckets": {
                "portfolio": {"volatility_max": 0.05},
                "buckets": {"core": {"role": "risk", "base_nav_frac": 0.9}},
            },
            "barbell": {"enable_barbell_allocation": False},
            "execution": {"sizing": {"lot_size": 1}, "costs": {"commission_bps": 0.0, "half_spread_bps": 0.0}},
        }
    )
    index = pd.MultiIndex.from_tuples([("core", s) for s in symbols], names=["bucket", "symbol"])
    spread = rng.normal(0.0, 0.15, (4, 3))
    covariance = pd.DataFrame(spread @ spread.T + 0.01 * np.eye(4), index=symbols, columns=symbols)
    allocation = solve(policy, pd.Series(rng.dirichlet(np.ones(4)), index=index), covariance=covariance)
    prices = {s: float(rng.uniform(20.0, 60.0)) for s in symbols}
    plan = size_orders(allocation, PortfolioSnapshot(1_000.0, {}), prices)
    assert allocation.violations(plan.weights).empty

    unit, wanted = np.array([prices[s] for s in symbols]) / 1_000.0, allocation.positions.to_numpy()
    near = [range(max(0, int(w / size) - 2), int(w / size) + 4) for w, size in zip(wanted, unit, strict=True)]
    away = [
        float(np.abs(x - wanted).sum() + abs((x - wanted).sum()))
        for k in itertools.product(*near)
        if (x := unit * np.array(k)).sum() <= 1.0 and x @ covariance.to_numpy() @ x <= 0.05**2
    ]
    assert plan.distance == pytest.approx(min(away), abs=1.5e-4)
    assert plan.proven_nearest


@given(seed=st.integers(0, 2**32 - 1), lot=st.sampled_from([None, 1.0]))
@settings(max_examples=40, deadline=None)
def test_costs_of_the_residual_symbol_are_paid_too(seed: int, lot: float | None) -> None:
    rng = np.random.default_rng(seed)
    spy, own = float(rng.uniform(0.1, 0.6)), float(rng.choice([0.0, 0.2]))
    allocation = Weights({("core", "SPY"): spy, ("safe", "BIL"): own}, residual_symbol="BIL", cash=0.02)
    held = {("core", "SPY"): float(rng.integers(0, 9)), "BIL": float(rng.integers(0, 60)), ("safe", "BIL"): 10.0}
    snapshot, prices = PortfolioSnapshot(200.0, held), {"SPY": 90.0, "BIL": 10.0}
    plan = size_orders(allocation, snapshot, prices, lot_size=lot, costs=CostModel(100.0, 0.0))
    nav = compute_nav(snapshot, prices).total
    assert plan.costs == pytest.approx(0.01 * plan.orders["notional"].sum())
    assert plan.cash_after + plan.costs + plan.weights.sum() * nav == pytest.approx(nav)
    assert plan.cash_after >= 0.0
    if (UNASSIGNED, "BIL") in plan.weights.index:
        assert plan.cash_after >= 0.02 * nav - 1e-6
        assert plan.cash_after <= 0.02 * nav + (1e-6 if lot is None else 10.2)


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
    assert on_grid(plan, lot)


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
            "barbell": {
                "safe_bucket": {"symbols": ["BIL"], "min_weight": 0.7, "max_per_position": None},
                "risk_bucket": {"max_per_position": None},
            },
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
