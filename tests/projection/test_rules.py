"""Every rule of the policy, one by one: alone it gives the answer worked out by hand, with its price and its source."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from zoo.bare import bare_policy
from zoo.policies import position_series

import pmx
from pmx import Status
from pmx.errors import DataError, InfeasibleError
from pmx.policy import Policy, load_policy, write_default_policy

A, B, T = ("core", "A"), ("core", "B"), ("safe", "T")
WISH = {A: 0.5, B: -0.1, T: 0.4}


def bare(
    *,
    core: dict | None = None,
    portfolio: dict | None = None,
    custom: dict | None = None,
    execution: dict | None = None,
    **barbell,
) -> Policy:
    """A policy without any limit but the buckets' maxima of 1, plus what a test adds; Euclidean distance."""
    buckets = {
        "safe": {"role": "safe", "base_nav_frac": 0.5},
        "core": {"role": "risk", "base_nav_frac": 0.4, "allow_short": True} | (core or {}),
        "tilt": {"role": "risk", "base_nav_frac": 0.2, "allow_short": True},
    }
    limits = {"distance": "absolute", "cash_min": None, "gross_max": None} | (portfolio or {})
    open_ends = {"min_weight": 0.0, "max_weight": None}
    ends = {
        "enable_barbell_allocation": bool(barbell),
        "safe_bucket": open_ends | barbell.pop("safe_bucket", {}),
        "risk_bucket": {"max_weight": None} | barbell.pop("risk_bucket", {}),
    }
    return bare_policy(
        {
            "risk_buckets": {"buckets": buckets, "portfolio": limits, "custom_rules": custom or {}},
            "barbell": ends | barbell,
            "execution": execution or {},
        }
    )


def project(policy: Policy, wish: dict, **arguments) -> pmx.Allocation:
    """Project a wish over the universe of what it names and what is held."""
    held = arguments.pop("previous", {})
    if held:
        arguments["previous"] = position_series(held)
    universe = list(dict.fromkeys([*wish, *held]))
    return pmx.Projector(policy, universe).project(position_series(wish), **arguments)


def covariance(volatilities: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(np.diag(np.square(list(volatilities.values()))), index=[*volatilities], columns=[*volatilities])


@dataclass
class Alone:
    """One rule at work and the answer worked out by hand."""

    rule: str
    limits: dict
    answer: dict
    bound: float
    price: float
    wish: dict = field(default_factory=lambda: dict(WISH))
    arguments: dict = field(default_factory=dict)
    hard: bool = True


THIRD = 1 / 30
ALONE = {
    # A short brings cash in: under a limit on the net it grows while the longs shrink.
    "cash.min": Alone(
        "cash.min", {"portfolio": {"cash_min": 0.3}}, {A: 0.5 - THIRD, B: -0.1 - THIRD, T: 0.4 - THIRD}, 0.7, THIRD
    ),
    "leverage.gross": Alone(
        "leverage.gross", {"portfolio": {"gross_max": 0.85}}, {A: 0.45, B: -0.05, T: 0.35}, 0.85, 0.05
    ),
    "bucket max": Alone("bucket.core.max", {"core": {"max_nav_frac": 0.5}}, {A: 0.45, B: -0.05, T: 0.4}, 0.5, 0.05),
    "clamp": Alone(
        "clamp.core",
        {"core": {"base_nav_frac": 0.5, "max_nav_frac": 0.55}},
        {A: 0.42, B: -0.02, T: 0.4},
        0.44,
        0.08,
        arguments={"risk_scale": {"core": 0.8}},
    ),
    "clamp at the bucket's minimum": Alone(
        "clamp.core",
        {"core": {"base_nav_frac": 0.5, "min_nav_frac": 0.45}},
        {A: 0.425, B: -0.025, T: 0.4},
        0.45,
        0.075,
        arguments={"risk_scale": {"core": 0.1}},
    ),
    "safe floor": Alone(
        "barbell.safe.floor", {"safe_bucket": {"min_weight": 0.5}}, {A: 0.45, B: -0.05, T: 0.4}, 0.5, 0.05
    ),
    "safe cap with a penalty": Alone(
        "barbell.safe.cap",
        {"safe_bucket": {"max_weight": 0.3, "max_weight_penalty": 10.0}},
        {A: 0.55, B: -0.15, T: 0.4},
        0.3,
        0.05,
        hard=False,
    ),
    "risk cap": Alone("barbell.risk.cap", {"risk_bucket": {"max_weight": 0.5}}, {A: 0.45, B: -0.05, T: 0.4}, 0.5, 0.05),
    # The market holds T too, but safe positions are no part of its cap.
    "market cap": Alone(
        "market.us.cap",
        {"markets": {"us": ["A", "B", "T"]}, "market_caps": {"us": 0.5}},
        {A: 0.45, B: -0.05, T: 0.4},
        0.5,
        0.05,
    ),
    "symbol cap on one position": Alone(
        "symbol.A.cap", {"symbol_caps": {"A": 0.3}}, {A: 0.3, B: -0.1, T: 0.4}, 0.3, 0.2
    ),
    "symbol cap over two buckets": Alone(
        "symbol.A.cap",
        {"symbol_caps": {"A": 0.3}},
        {A: 0.25, ("tilt", "A"): 0.05, B: 0.1},
        0.3,
        0.1,
        wish={A: 0.35, ("tilt", "A"): 0.15, B: 0.1},
    ),
    "most per risk position": Alone(
        "symbol.A.cap", {"risk_bucket": {"max_per_position": 0.3}}, {A: 0.3, B: -0.1, T: 0.4}, 0.3, 0.2
    ),
    "most per safe position": Alone(
        "symbol.T.cap", {"safe_bucket": {"max_per_position": 0.3}}, {A: 0.5, B: -0.1, T: 0.3}, 0.3, 0.1
    ),
    # Trades of 0.5 − 0.2 and 0.4 − 0.1 make a turnover of 0.3; the price 0.2 pulls each back by half of it.
    "hard turnover": Alone(
        "turnover.max",
        {"execution": {"turnover": {"max": 0.2, "hard": True}}},
        {A: 0.4, T: 0.3},
        0.2,
        0.2,
        wish={A: 0.5, T: 0.4},
        arguments={"previous": {A: 0.2, T: 0.1}},
    ),
    "soft turnover": Alone(
        "turnover.max",
        {"execution": {"turnover": {"max": 0.2}}},
        {A: 0.4, T: 0.3},
        0.2,
        0.2,
        wish={A: 0.5, T: 0.4},
        arguments={"previous": {A: 0.2, T: 0.1}},
        hard=False,
    ),
    "liquidity when buying": Alone(
        "liquidity.A",
        {"execution": {"liquidity": {"participation": 0.1}}},
        {A: 0.25, B: -0.1, T: 0.4},
        0.25,
        0.25,
        arguments={"previous": {A: 0.2}, "adv": {"A": 5e5, "B": 1e7, "T": 1e7}, "nav": 1e6},
        hard=False,
    ),
    "liquidity when selling": Alone(
        "liquidity.A",
        {"execution": {"liquidity": {"participation": 0.1}}},
        {A: 0.65, B: -0.1, T: 0.4},
        0.65,
        0.15,
        arguments={"previous": {A: 0.7}, "adv": {"A": 5e5, "B": 1e7, "T": 1e7}, "nav": 1e6},
        hard=False,
    ),
    "hard liquidity when selling": Alone(
        "liquidity.A",
        {"execution": {"liquidity": {"participation": 0.1, "hard": True}}},
        {A: 0.65, B: -0.1, T: 0.4},
        0.65,
        0.15,
        arguments={"previous": {A: 0.7}, "adv": {"A": 5e5, "B": 1e7, "T": 1e7}, "nav": 1e6},
    ),
    "liquidity of a short": Alone(
        "liquidity.B",
        {"execution": {"liquidity": {"participation": 0.1}}},
        {A: 0.5, B: -0.07, T: 0.4},
        0.07,
        0.03,
        arguments={"previous": {A: 0.5, B: -0.05}, "adv": {"A": 1e7, "B": 2e5, "T": 1e7}, "nav": 1e6},
        hard=False,
    ),
    "gate, reduce only": Alone(
        "gate.A",
        {},
        {A: 0.2, B: -0.1, T: 0.4},
        0.2,
        0.3,
        arguments={"previous": {A: 0.2}, "gated": {"A": "reduce_only"}},
    ),
    # What is held the other way round cannot be turned over while the gate is shut, only closed.
    "gate, reduce only against the wish": Alone(
        "gate.A",
        {},
        {A: 0.0, B: -0.1, T: 0.4},
        0.0,
        0.5,
        arguments={"previous": {A: -0.2}, "gated": {"A": "reduce_only"}},
    ),
    "gate, exit": Alone(
        "gate.A", {}, {A: 0.0, B: -0.1, T: 0.4}, 0.0, 0.5, arguments={"previous": {A: 0.2}, "gated": {"A": "exit"}}
    ),
    "long only": Alone("bucket.core.long_only", {"core": {"allow_short": False}}, {A: 0.5, B: 0.0, T: 0.4}, 0.0, 0.1),
    # One risky position of volatility 0.2 under a cap of 0.05.
    "volatility": Alone(
        "volatility.max",
        {"portfolio": {"volatility_max": 0.05}},
        {A: 0.25, T: 0.4},
        0.05,
        1.25,  # the objective gains 0.25 a weight, and a weight costs 0.2 of volatility
        wish={A: 0.5, T: 0.4},
        arguments={"covariance": covariance({"A": 0.2, "T": 0.0})},
    ),
    "custom, net, symbols": Alone(
        "custom.own",
        {"custom": {"own": {"symbols": {"A": 1.0, "B": 2.0}, "max": 0.2}}},
        {A: 0.48, B: -0.14, T: 0.4},  # 0.5 − 2 × 0.1 = 0.3, squared length of the row 5
        0.2,
        0.02,
    ),
    "custom, gross, symbols": Alone(
        "custom.own",
        {"custom": {"own": {"symbols": {"A": 1.0, "B": 2.0}, "exposure": "gross", "max": 0.6}}},
        {A: 0.48, B: -0.06, T: 0.4},
        0.6,
        0.02,
    ),
    "custom, net, buckets": Alone(
        "custom.own",
        {"custom": {"own": {"buckets": {"core": 1.0, "safe": -1.0}, "min": 0.06}}},
        {A: 0.52, B: -0.08, T: 0.38},
        0.06,
        0.02,
    ),
    "custom, gross, buckets": Alone(
        "custom.own",
        {"custom": {"own": {"buckets": {"core": 1.0}, "exposure": "gross", "min": 0.7}}},
        {A: 0.55, B: -0.15, T: 0.4},
        0.7,
        0.05,
    ),
    # Unlike a cap on a market, a rule of one's own over it takes every position in it.
    "custom, net, markets": Alone(
        "custom.own",
        {"custom": {"own": {"markets": {"us": 1.0}, "max": 0.7}}, "markets": {"us": ["A", "T"]}},
        {A: 0.4, B: -0.1, T: 0.3},
        0.7,
        0.1,
    ),
    "custom, several groups at once": Alone(
        "custom.own",
        {"custom": {"own": {"symbols": {"A": 1.0}, "buckets": {"core": 1.0}, "min": 1.0, "max": 2.0}}},
        {A: 0.54, B: -0.08, T: 0.4},  # 2 × 0.5 − 0.1 = 0.9
        1.0,
        0.02,
    ),
    "custom, soft": Alone(
        "custom.own",
        {"custom": {"own": {"symbols": {"A": 1.0}, "max": 0.3, "hard": False}}},
        {A: 0.3, B: -0.1, T: 0.4},
        0.3,
        0.2,
        hard=False,
    ),
}


@pytest.mark.parametrize("case", ALONE.values(), ids=ALONE)
def test_a_rule_alone(case):
    allocation = project(bare(**case.limits), case.wish, **case.arguments)
    for position, weight in case.answer.items():
        assert allocation.positions[position] == pytest.approx(weight, abs=1e-9)
    rules = allocation.rules
    line = rules.loc[case.rule]
    assert line["bound"] == pytest.approx(case.bound, abs=1e-12)
    assert line["value"] == pytest.approx(case.bound, abs=1e-9)
    assert line["slack"] == pytest.approx(0.0, abs=1e-9)
    assert line["shadow_price"] == pytest.approx(case.price, abs=1e-7)
    assert line["binding"]
    assert line["violation"] <= 1e-9
    assert line["hard"] == case.hard
    others = rules.drop(index=case.rule)
    assert (others["shadow_price"] == 0.0).all(), others
    assert list(allocation.attribution.columns) == ["target", case.rule, "weight"]
    cut = pd.Series(case.answer) - pd.Series(case.wish)
    assert np.allclose(allocation.attribution[case.rule].reindex(cut.index), cut, atol=1e-9)
    assert allocation.status is Status.OPTIMAL


@pytest.mark.filterwarnings("ignore:adv= has no effect")
@pytest.mark.parametrize("case", ALONE.values(), ids=ALONE)
def test_without_its_limit_the_rule_is_absent(case):
    """The same wishes and data under a policy without the limit come back as they are."""
    arguments = {k: v for k, v in case.arguments.items() if k not in ("risk_scale", "gated")}
    allocation = project(bare(), case.wish, **arguments)
    if case.rule != "bucket.core.max":  # a bucket's maximum always has a value
        assert case.rule not in allocation.rules.index
    for position, weight in case.wish.items():
        assert allocation.positions[position] == pytest.approx(weight, abs=1e-12)


def test_a_policy_without_limits_keeps_only_the_maxima_of_its_buckets():
    allocation = project(bare(), {**WISH, ("tilt", "A"): 0.1}, previous={A: 0.2})
    assert sorted(allocation.rules.index) == ["bucket.core.max", "bucket.safe.max", "bucket.tilt.max"]
    assert not allocation.rules["binding"].any()


def test_buckets_switched_off_take_their_rules_along():
    policy = bare(core={"max_nav_frac": 0.45}, risk_bucket={"max_weight": 0.5}).override(
        {"risk_buckets.enabled": False}
    )
    allocation = project(policy, WISH)
    assert list(allocation.rules.index) == ["barbell.safe.floor", "barbell.risk.cap"]


def test_barbell_switched_off_takes_its_rules_along():
    policy = bare(
        safe_bucket={"min_weight": 0.9, "max_weight": 0.95, "max_per_position": 0.1},
        risk_bucket={"max_weight": 0.1},
        symbol_caps={"A": 0.01},
        markets={"us": ["A"]},
        market_caps={"us": 0.01},
    ).override({"barbell.enable_barbell_allocation": False})
    allocation = project(policy, WISH)
    assert {name.split(".")[0] for name in allocation.rules.index} == {"bucket"}
    assert allocation.positions.to_dict() == pytest.approx(WISH, abs=1e-12)


# --- the barbell ----------------------------------------------------------------------------------------


def test_a_short_is_risk_even_of_a_safe_symbol():
    policy = bare(safe_bucket={"min_weight": 0.5}).override({"risk_buckets.buckets.safe.allow_short": True})
    allocation = project(policy, {A: 0.4, T: -0.3})
    assert allocation.positions[A] == pytest.approx(0.3, abs=1e-9)
    assert allocation.positions[T] == pytest.approx(-0.2, abs=1e-9)
    assert allocation.safe_weight == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("barbell", "buckets", "floor", "key"),
    [
        (0.5, 0.3, 0.5, "barbell.safe_bucket.min_weight"),
        (0.3, 0.5, 0.5, "risk_buckets.buckets.safe.min_nav_frac"),
        (0.5, 0.5, 0.5, "barbell.safe_bucket.min_weight"),
    ],
)
def test_the_floor_is_the_larger_of_both_files(barbell, buckets, floor, key):
    policy = bare(safe_bucket={"min_weight": barbell}).override({"risk_buckets.buckets.safe.min_nav_frac": buckets})
    allocation = project(policy, WISH)
    line = allocation.rules.loc["barbell.safe.floor"]
    assert line["bound"] == pytest.approx(1 - floor, abs=1e-12)
    assert line["source"] == policy.source(key)
    assert allocation.safe_weight >= floor - 1e-9
    assert line["source"] == ("override" if key.startswith("risk_buckets") else "python")


def test_all_cash_and_a_safe_cap():
    """Report-only by default: nothing is lifted, the rule says how far the safe weight is above its cap."""
    policy = bare(safe_bucket={"max_weight": 0.9})
    allocation = project(policy, {A: 0.0, T: 0.2})
    assert allocation.positions[A] == 0.0
    assert allocation.status is Status.RELAXED
    line = allocation.rules.loc["barbell.safe.cap"]
    assert not line["hard"]
    assert line["shadow_price"] == 0.0
    assert line["violation"] == pytest.approx(0.1, abs=1e-12)
    assert (line["bound"], line["value"]) == pytest.approx((0.9, 1.0), abs=1e-12)


def test_a_penalty_on_the_safe_cap_lifts_risk_by_at_most_that_fraction():
    limits = {"max_weight": 0.5, "max_weight_penalty": 0.2}
    policy = bare(safe_bucket=limits, portfolio={"distance": "relative"})
    allocation = project(policy, {A: 0.2, ("tilt", "C"): 0.1, T: 0.3})
    assert allocation.positions.to_dict() == pytest.approx({A: 0.24, ("tilt", "C"): 0.12, T: 0.3}, abs=1e-9)
    line = allocation.rules.loc["barbell.safe.cap"]
    assert line["shadow_price"] == pytest.approx(0.2, abs=1e-12)
    assert line["violation"] == pytest.approx(0.14, abs=1e-9)
    assert allocation.status is Status.RELAXED


def test_a_market_of_safe_symbols_has_no_cap():
    policy = bare(markets={"bills": ["T"]}, market_caps={"bills": 0.0})
    allocation = project(policy, WISH)
    assert allocation.positions[T] == pytest.approx(0.4, abs=1e-12)
    assert "market.bills.cap" not in allocation.rules.index


def test_a_symbol_of_two_markets_obeys_both():
    policy = bare(markets={"us": ["A", "B"], "oil": ["A"]}, market_caps={"us": 0.5, "oil": 0.2})
    allocation = project(policy, WISH)
    assert allocation.positions[A] == pytest.approx(0.2, abs=1e-9)
    assert allocation.positions[B] == pytest.approx(-0.1, abs=1e-9)
    assert allocation.rules.loc["market.us.cap", "slack"] == pytest.approx(0.2, abs=1e-9)


def test_a_symbol_cap_is_a_row_over_two_buckets_and_a_bound_on_one():
    policy = bare(symbol_caps={"A": 0.3, "B": 0.05})
    program = project(policy, {A: 0.35, ("tilt", "A"): 0.15, B: 0.1}).program
    kinds = {rule.name: rule.kind for rule in program.rules}
    assert kinds["symbol.A.cap"] == "row"
    assert kinds["symbol.B.cap"] == "bound"


def test_the_tightest_of_several_caps_on_a_symbol_counts():
    policy = bare(symbol_caps={"A": 0.3, "B": 0.3}, risk_bucket={"max_per_position": 0.2})
    allocation = project(policy, {A: 0.35, B: 0.25})
    assert allocation.positions.to_dict() == pytest.approx({A: 0.2, B: 0.2}, abs=1e-12)


# --- same rows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floor", "cap", "presses"), [(0.7, 0.25, "barbell.risk.cap"), (0.8, 0.25, "barbell.safe.floor")]
)
def test_rules_with_the_same_row_are_merged_to_the_tightest(floor, cap, presses):
    policy = bare(safe_bucket={"min_weight": floor}, risk_bucket={"max_weight": cap})
    allocation = project(policy, WISH)
    both = ["barbell.safe.floor", "barbell.risk.cap"]
    implied = next(name for name in both if name != presses)
    rules = allocation.rules
    assert rules.loc[implied, "implied_by"] == presses
    assert rules.loc[presses, "implied_by"] == ""
    assert rules.loc[implied, "shadow_price"] == 0.0
    assert not rules.loc[implied, "binding"]
    assert rules.loc[presses, "shadow_price"] > 0.1
    assert rules.loc[implied, "value"] == rules.loc[presses, "value"]
    rows = [rule.index for rule in allocation.program.rules if rule.name in both]
    assert len(set(rows)) == 1


def test_a_clamp_and_a_maximum_share_their_row():
    allocation = project(bare(core={"max_nav_frac": 0.5}), WISH, risk_scale={"core": 0.5})
    assert allocation.rules.loc["bucket.core.max", "implied_by"] == "clamp.core"
    assert len(allocation.program.A) == len({row.tobytes() for row in allocation.program.A})


def test_lower_and_upper_limits_of_one_row_come_from_different_rules():
    custom = {"least": {"buckets": {"core": 1.0}, "exposure": "gross", "min": 0.7}}
    allocation = project(bare(custom=custom), WISH)
    assert allocation.rules.loc["custom.least", "shadow_price"] == pytest.approx(0.05, abs=1e-9)
    assert allocation.rules.loc["bucket.core.max", "shadow_price"] == 0.0
    assert allocation.rules.loc["bucket.core.max", "implied_by"] == ""
    assert allocation.rules.loc["custom.least", "implied_by"] == ""


@pytest.mark.parametrize("first", [0.6, 0.7])
def test_of_two_minima_on_one_row_the_higher_counts(first):
    custom = {
        name: {"buckets": {"core": 1.0}, "exposure": "gross", "min": least}
        for name, least in (("one", first), ("two", 1.3 - first))
    }
    allocation = project(bare(custom=custom), {A: 0.5, B: -0.05})
    higher, lower = ("custom.one", "custom.two") if first == 0.7 else ("custom.two", "custom.one")
    assert allocation.positions.to_dict() == pytest.approx({A: 0.575, B: -0.125}, abs=1e-9)
    assert allocation.rules.loc[higher, "shadow_price"] == pytest.approx(0.075, abs=1e-9)
    assert allocation.rules.loc[lower, "shadow_price"] == 0.0


def test_net_and_gross_share_a_row_where_no_member_is_short():
    custom = {
        exposure: {"symbols": {"A": 1.0}, "exposure": exposure, "max": limit}
        for exposure, limit in (("net", 0.4), ("gross", 0.3))
    }
    allocation = project(bare(custom=custom), WISH)
    assert allocation.rules.loc["custom.net", "implied_by"] == "custom.gross"


# --- trading ---------------------------------------------------------------------------------------------


def test_soft_turnover_gives_way_only_as_far_as_a_gate_needs():
    execution = {"turnover": {"max": 0.2}}
    allocation = project(bare(execution=execution), {A: 0.8, T: 0.4}, previous={A: 0.9, T: 0.1}, gated={"A": "exit"})
    assert allocation.positions.to_dict() == pytest.approx({A: 0.0, T: 0.1}, abs=1e-9)
    line = allocation.rules.loc["turnover.max"]
    assert line["violation"] == pytest.approx(0.25, abs=1e-9)
    assert line["shadow_price"] == pytest.approx(10.0 * 0.9, abs=1e-9)  # ten times the strongest pull
    assert allocation.status is Status.RELAXED


def test_hard_turnover_does_not_give_way():
    execution = {"turnover": {"max": 0.2, "hard": True}}
    with pytest.raises(InfeasibleError) as refusal:
        project(bare(execution=execution), {A: 0.8}, previous={A: 0.9}, gated={"A": "exit"})
    assert set(refusal.value.rules) == {"turnover.max", "gate.A"}


def test_without_holdings_there_is_no_turnover_and_no_liquidity():
    execution = {"turnover": {"max": 0.1, "hard": True, "cost": 3.0}, "liquidity": {"participation": 0.1}}
    allocation = project(bare(execution=execution), WISH)
    assert {name.split(".")[0] for name in allocation.rules.index} == {"bucket"}
    assert allocation.positions.to_dict() == pytest.approx(WISH, abs=1e-12)


def test_a_trade_that_gains_less_than_it_costs_is_not_made():
    execution = {"turnover": {"cost": 0.05}}
    allocation = project(bare(execution=execution), {A: 0.5, B: 0.32, T: 0.1}, previous={A: 0.3, B: 0.3, T: 0.3})
    assert allocation.positions.to_dict() == pytest.approx({A: 0.45, B: 0.3, T: 0.15}, abs=1e-9)
    assert allocation.attribution["turnover.cost"].to_dict() == pytest.approx({A: -0.05, B: -0.02, T: 0.05}, abs=1e-9)


@pytest.mark.parametrize("hard", [False, True])
def test_a_forced_sale_faster_than_the_market(hard):
    policy = bare(execution={"liquidity": {"participation": 0.1, "hard": hard}})
    arguments = {"previous": {A: 0.5}, "adv": {"A": 1e6}, "nav": 1e6, "gated": {"A": "exit"}}
    if hard:
        with pytest.raises(InfeasibleError) as refusal:
            project(policy, {A: 0.5}, **arguments)
        assert set(refusal.value.rules) == {"liquidity.A", "gate.A"}
        return
    allocation = project(policy, {A: 0.5}, **arguments)
    assert allocation.positions[A] == 0.0
    line = allocation.rules.loc["liquidity.A"]
    assert line["violation"] == pytest.approx(0.4, abs=1e-12)
    assert line["bound"] == pytest.approx(0.4, abs=1e-12)
    assert allocation.status is Status.RELAXED


@pytest.mark.parametrize(
    ("held", "wish", "answer"),
    [
        (0.3, -0.4, 0.2),  # too thin to get out in one go: out as far as it goes, and no further
        (-0.3, 0.4, -0.2),
        (0.1, -0.4, 0.0),  # just out
        (0.04, -0.4, -0.06),  # across
        (-0.04, 0.03, 0.03),
    ],
)
def test_a_thin_market_is_not_crossed_in_one_go(held, wish, answer):
    policy = bare(execution={"liquidity": {"participation": 0.1}})
    allocation = project(policy, {A: wish}, previous={A: held}, adv={"A": 1e6}, nav=1e6)
    assert allocation.positions[A] == pytest.approx(answer, abs=1e-9)


def test_the_volume_of_a_symbol_is_shared_by_its_positions():
    policy = bare(execution={"liquidity": {"participation": 0.2}})
    twin = ("tilt", "A")
    allocation = project(policy, {A: 0.5, twin: 0.5}, previous={A: 0.1, twin: 0.2}, adv={"A": 1e6}, nav=1e6)
    assert allocation.positions.to_dict() == pytest.approx({A: 0.2, twin: 0.3}, abs=1e-9)
    assert allocation.rules.loc["liquidity.A", "shadow_price"] == pytest.approx(0.3 + 0.2, abs=1e-9)


def test_gates_without_a_mode_take_the_mode_of_the_policy():
    for mode, answer in (("reduce_only", 0.2), ("exit", 0.0)):
        allocation = project(bare(execution={"gate_mode": mode}), WISH, previous={A: 0.2}, gated=["A"])
        assert allocation.positions[A] == pytest.approx(answer, abs=1e-12)
        assert mode in allocation.rules.loc["gate.A", "source"]


def test_a_reduce_only_gate_lets_a_position_shrink():
    allocation = project(bare(), {A: 0.1}, previous={A: 0.2}, gated={"A": "reduce_only"})
    assert allocation.positions[A] == pytest.approx(0.1, abs=1e-12)
    assert allocation.rules.loc["gate.A", "shadow_price"] == 0.0


def test_a_gate_holds_in_every_bucket():
    twin = ("tilt", "A")
    allocation = project(bare(), {A: 0.4, twin: 0.4}, previous={A: 0.1, twin: -0.1}, gated={"A": "reduce_only"})
    assert allocation.positions.to_dict() == pytest.approx({A: 0.1, twin: 0.0}, abs=1e-12)


def test_a_short_that_is_held_and_not_wished_is_bought_back_as_far_as_turnover_allows():
    execution = {"turnover": {"max": 0.1, "hard": True}}
    allocation = project(bare(execution=execution), {A: 0.0}, previous={A: -0.5})
    assert allocation.positions[A] == pytest.approx(-0.3, abs=1e-9)


def test_what_is_held_and_not_wished_is_sold():
    allocation = project(bare(), {A: 0.3}, previous={B: -0.4, T: 0.2})
    assert allocation.positions.to_dict() == pytest.approx({A: 0.3, B: 0.0, T: 0.0}, abs=1e-12)


# --- rules of one's own ----------------------------------------------------------------------------------


def test_a_soft_rule_gives_way_where_a_hard_one_forces_it():
    custom = {"own": {"symbols": {"A": 1.0}, "min": 0.6, "hard": False, "penalty": 3.0}}
    allocation = project(bare(custom=custom, symbol_caps={"A": 0.3}), WISH)
    assert allocation.positions[A] == pytest.approx(0.3, abs=1e-12)
    line = allocation.rules.loc["custom.own"]
    assert line["violation"] == pytest.approx(0.3, abs=1e-9)
    assert line["shadow_price"] == pytest.approx(3.0 * 0.6, abs=1e-9)  # penalty × the pull of the limit itself
    assert allocation.status is Status.RELAXED


def test_a_cheap_soft_rule_moves_its_position_by_no_more_than_its_price():
    custom = {"own": {"symbols": {"A": 1.0}, "max": 0.1, "hard": False, "penalty": 0.2}}
    allocation = project(bare(custom=custom), WISH)
    assert allocation.positions[A] == pytest.approx(0.5 - 0.2 * 0.5, abs=1e-9)
    assert allocation.rules.loc["custom.own", "violation"] == pytest.approx(0.3, abs=1e-9)


def test_a_rule_of_ones_own_over_absent_symbols_says_nothing():
    custom = {"own": {"symbols": {"Z": 1.0}, "max": 0.1}}
    allocation = project(bare(custom=custom), WISH)
    assert allocation.positions.to_dict() == pytest.approx(WISH, abs=1e-12)


# --- the metrics -----------------------------------------------------------------------------------------


def test_the_relative_metric_cuts_in_proportion_and_leaves_zeros():
    wish = {A: 0.4, B: -0.2, ("core", "C"): 0.0}
    allocation = project(bare(portfolio={"distance": "relative", "gross_max": 0.3}), wish)
    assert allocation.positions.to_dict() == pytest.approx({A: 0.2, B: -0.1, ("core", "C"): 0.0}, abs=1e-12)
    assert allocation.rules.loc["leverage.gross", "shadow_price"] == pytest.approx(0.5, abs=1e-9)  # half is cut


def test_the_risk_metric_takes_from_the_volatile():
    policy = bare(portfolio={"distance": "risk", "gross_max": 0.5})
    allocation = project(policy, {A: 0.4, B: -0.3}, covariance=covariance({"A": 0.1, "B": 0.2}))
    price = 0.2 / (1 / 0.01 + 1 / 0.04)
    expected = {A: 0.4 - price / 0.01, B: -(0.3 - price / 0.04)}
    assert allocation.positions.to_dict() == pytest.approx(expected, abs=1e-9)
    assert allocation.rules.loc["leverage.gross", "shadow_price"] == pytest.approx(price, abs=1e-9)


@pytest.mark.parametrize("metric", ["absolute", "relative", "risk"])
def test_volatility_cap_against_an_independent_calculation(metric):
    """Stationarity under one cap, (D + λ Σ) x = D t, is a single equation in λ where no weight reaches zero."""
    rng = np.random.default_rng(5)
    for _ in range(5):
        symbols = ["A", "B", "C", "D"]
        x = np.array([0.3, -0.2, 0.15, 0.2]) * rng.uniform(0.8, 1.2, 4)
        factor = rng.normal(size=(4, 4)) * 0.05
        sigma = factor @ factor.T + np.diag(rng.uniform(0.01, 0.05, 4))
        d = {"absolute": np.ones(4), "relative": 1 / np.abs(x), "risk": np.diag(sigma)}[metric]
        cap = 0.9 * np.sqrt(x @ sigma @ x)

        def answer(price, d=d, sigma=sigma, x=x):
            return np.linalg.solve(np.diag(d) + price * sigma, d * x)

        def excess(price, cap=cap, sigma=sigma, answer=answer):
            weights = answer(price)
            return np.sqrt(weights @ sigma @ weights) - cap

        price = brentq(excess, 0.0, 1e4, xtol=1e-14)
        expected = answer(price)
        assert (np.sign(expected) == np.sign(x)).all()
        allocation = project(
            bare(portfolio={"distance": metric, "volatility_max": float(cap)}),
            {("core", s): float(v) for s, v in zip(symbols, x, strict=True)},
            covariance=pd.DataFrame(sigma, index=symbols, columns=symbols),
        )
        assert np.allclose(allocation.positions, expected, atol=1e-8)
        assert allocation.rules.loc["volatility.max", "shadow_price"] == pytest.approx(price * cap, rel=1e-6)


def test_the_cash_of_a_volatility_cap_is_riskless_and_twins_add_up():
    """The same symbol in two buckets is one asset: volatilities add, they do not diversify."""
    twin = ("tilt", "A")
    policy = bare(portfolio={"volatility_max": 0.1})
    allocation = project(policy, {A: 0.6, twin: 0.4}, covariance=covariance({"A": 0.2}))
    assert allocation.positions.to_dict() == pytest.approx({A: 0.35, twin: 0.15}, abs=1e-8)


@pytest.mark.parametrize(
    ("limits", "missing"),
    [
        ({"portfolio": {"volatility_max": 0.1}}, "covariance="),
        ({"portfolio": {"distance": "risk"}}, "covariance="),
        ({"execution": {"liquidity": {"participation": 0.1}}}, "adv="),
    ],
)
def test_a_rule_that_lacks_its_data_is_refused(limits, missing):
    with pytest.raises(DataError, match=missing):
        project(bare(**limits), WISH, previous={A: 0.1})


# --- what is left ----------------------------------------------------------------------------------------


def test_the_residual_symbol_takes_what_is_left_above_the_minimum_of_cash():
    policy = bare(safe_bucket={"symbols": ["BIL"]}, portfolio={"cash_min": 0.05, "residual_symbol": "BIL"})
    allocation = project(policy, {A: 0.3, ("safe", "BIL"): 0.2})
    assert allocation.weights.to_dict() == pytest.approx({"A": 0.3, "BIL": 0.65, "CASH": 0.05}, abs=1e-12)
    assert allocation.positions[("safe", "BIL")] == pytest.approx(0.2, abs=1e-12)


# --- where a rule comes from -----------------------------------------------------------------------------

KEYS = {
    "cash.min": "risk_buckets.portfolio.cash_min",
    "leverage.gross": "risk_buckets.portfolio.gross_max",
    "bucket.safe.max": "risk_buckets.buckets.safe.max_nav_frac",
    "bucket.ts_core.max": "risk_buckets.buckets.ts_core.max_nav_frac",
    "clamp.ts_core": "risk_buckets.buckets.ts_core.base_nav_frac",
    "bucket.ts_core.long_only": "risk_buckets.buckets.ts_core.allow_short",
    "barbell.safe.floor": "barbell.safe_bucket.min_weight",
    "barbell.safe.cap": "barbell.safe_bucket.max_weight",
    "barbell.risk.cap": "barbell.risk_bucket.max_weight",
    "market.us_equity.cap": "barbell.market_caps.us_equity",
    "market.commodities.cap": "barbell.market_caps.commodities",
    "symbol.WTI.cap": "barbell.symbol_caps.WTI",
    "symbol.SP500.cap": "barbell.risk_bucket.max_per_position",
    "symbol.BIL.cap": "barbell.safe_bucket.max_per_position",
    "turnover.max": "execution.turnover.max",
    "liquidity.SP500": "execution.liquidity.participation",
    "volatility.max": "risk_buckets.portfolio.volatility_max",
    "custom.tech_tilt": "risk_buckets.custom_rules.tech_tilt",
}


def line_of(text: str, path: list[str]) -> int:
    """Line of a key in block-style YAML: each part is the next line that starts with it, one step further in."""
    lines, number = text.splitlines(), 0
    for depth, part in enumerate(path):
        while not lines[number].startswith("  " * depth + part + ":"):
            number += 1
        number += 1
    return number


def test_every_rule_of_a_loaded_policy_names_its_file_and_line(tmp_path):
    write_default_policy(tmp_path)
    for name, old, new in (
        ("risk_buckets.yml", "volatility_max: null", "volatility_max: 0.12"),
        (
            "risk_buckets.yml",
            "custom_rules: {}",
            "custom_rules:\n  tech_tilt:\n    symbols: {SP500: 1.0}\n    max: 0.05",
        ),
        ("barbell.yml", "symbol_caps: {}", "symbol_caps:\n  WTI: 0.02"),
        ("execution.yml", "participation: null", "participation: 0.1"),
    ):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
    symbols = ["SP500", "WTI", "BIL"]
    positions = {("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): -0.1, ("safe", "BIL"): 0.4}
    allocation = project(
        load_policy(tmp_path),
        positions,
        previous=dict.fromkeys(positions, 0.01),
        risk_scale={"ts_core": 0.5},
        covariance=covariance(dict.fromkeys(symbols, 0.2)),
        adv=dict.fromkeys(symbols, 1e9),
        nav=1e6,
        gated={"WTI": "exit"},
    )
    sources = allocation.rules["source"].to_dict()
    for rule, key in KEYS.items():
        section, *path = key.split(".")
        text = (tmp_path / f"{section}.yml").read_text(encoding="utf-8")
        assert sources[rule] == f"{section}.yml:{line_of(text, path)}", rule
    assert sources["gate.WTI"] == "gate (exit)"
    unnamed = (
        set(sources) - set(KEYS) - {"gate.WTI", "liquidity.WTI", "liquidity.BIL", "market.ngx.cap", "market.em.cap"}
    )
    assert not unnamed


def test_sources_of_overrides_and_defaults_are_said():
    policy = load_policy(overrides={"barbell.risk_bucket.max_weight": 0.2})
    sources = project(policy, {("ts_core", "SP500"): 0.1}).rules["source"]
    assert sources["barbell.risk.cap"] == "override"
    assert project(bare(), WISH).rules.loc["bucket.core.max", "source"] == "default"


# --- only clamps -----------------------------------------------------------------------------------------


@st.composite
def budgets(draw):
    """Buckets with budgets, scales between 0 and 2, and relative weights with any conviction up to 1."""
    fraction = st.integers(1, 400).map(lambda k: k / 1000)
    buckets, scales, relative = {}, {}, {}
    for b in range(draw(st.integers(1, 4))):
        base = draw(fraction)
        low = draw(st.sampled_from([0.0, base / 2, base]))
        high = draw(st.sampled_from([base, min(1.5 * base, 1.0), 1.0]))
        name = f"b{b}"
        buckets[name] = {
            "role": draw(st.sampled_from(["safe", "risk"])),
            "base_nav_frac": base,
            "min_nav_frac": low,
            "max_nav_frac": high,
            "allow_short": True,
        }
        if draw(st.booleans()):
            scales[name] = draw(st.integers(0, 200)) / 100
        share = draw(st.lists(st.integers(-100, 100), min_size=1, max_size=5))
        total = max(sum(map(abs, share)), 1)
        conviction = draw(st.sampled_from([1.0, 0.9, 0.31]))
        relative |= {(name, f"S{i}"): conviction * k / total for i, k in enumerate(share)}
    return buckets, scales, position_series(relative)


@settings(max_examples=120, deadline=None)
@given(budgets())
def test_with_only_clamps_the_plain_formula_holds(drawn):
    buckets, scales, relative = drawn
    budget = {
        name: float(np.clip(b["base_nav_frac"] * scales.get(name, 1.0), b["min_nav_frac"], b["max_nav_frac"]))
        for name, b in buckets.items()
    }
    wished = {
        name: float(np.clip(b["base_nav_frac"] * max(scales.get(name, 1.0), 1.0), b["min_nav_frac"], b["max_nav_frac"]))
        for name, b in buckets.items()
    }
    names = relative.index.get_level_values("bucket")
    wish = relative.abs() * names.map(wished)
    assume(((wish == 0) | (wish > 1e-4)).all())
    policy = bare_policy(
        {
            "risk_buckets": {"buckets": buckets, "portfolio": {"cash_min": None, "gross_max": None}},
            "barbell": {"enable_barbell_allocation": False},
        }
    )
    allocation = pmx.solve(policy, relative, risk_scale=scales)
    expected = relative * names.map(budget)
    assert float((allocation.positions - expected).abs().max()) <= 1e-9
    for name in buckets:
        assert (f"clamp.{name}" in allocation.rules.index) == (scales.get(name, 1.0) < 1.0)
    assert abs(float(allocation.weights.sum()) - 1.0) <= 1e-12
