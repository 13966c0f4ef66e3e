"""An allocation explains itself: which rule moved which position by how much, at what price, in tables and in words."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series, random_case

import pmx
from pmx import DataError, Status
from pmx.policy import Policy

A, B, TWIN, T = ("core", "A"), ("core", "B"), ("tilt", "A"), ("safe", "T")
COVARIANCE = pd.DataFrame(np.diag([0.04, 0.09, 0.0]), index=["A", "B", "T"], columns=["A", "B", "T"])


def policy(**changes) -> Policy:
    plain = bare_policy(
        {
            "risk_buckets": {
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.5},
                    "core": {"role": "risk", "base_nav_frac": 0.5, "allow_short": True},
                    "tilt": {"role": "risk", "base_nav_frac": 0.5, "allow_short": True},
                },
                "portfolio": {"distance": "absolute", "cash_min": None, "gross_max": None},
            },
            "barbell": {
                "safe_bucket": {"min_weight": 0.0, "max_weight": None},
                "risk_bucket": {"max_weight": None},
            },
        }
    )
    return plain.override({key.replace("__", "."): value for key, value in changes.items()})


def project(rules: Policy, wish: dict, **arguments) -> pmx.Allocation:
    if "previous" in arguments:
        arguments["previous"] = position_series(arguments["previous"])
    return pmx.Projector(rules, list(wish)).project(position_series(wish), **arguments)


def moves(allocation: pmx.Allocation, position: tuple[str, str]) -> dict[str, float]:
    row = allocation.attribution.loc[position].drop(["target", "weight"])
    return {name: move for name, move in row.items() if move != 0.0}


# --- who moved what --------------------------------------------------------------------------------------


def test_two_rules_share_a_cut():
    """The cap on all risk takes 0.05 from either; A's own cap takes what is left of its way down to 0.35."""
    rules = policy(barbell__risk_bucket__max_weight=0.6, barbell__symbol_caps={"A": 0.35})
    allocation = project(rules, {A: 0.5, B: 0.3, T: 0.2})
    assert moves(allocation, A) == pytest.approx({"barbell.risk.cap": -0.05, "symbol.A.cap": -0.1}, abs=1e-12)
    assert moves(allocation, B) == pytest.approx({"barbell.risk.cap": -0.05}, abs=1e-12)
    assert moves(allocation, T) == {}
    assert allocation.rules.loc["barbell.risk.cap", "shadow_price"] == pytest.approx(0.05, abs=1e-12)
    assert allocation.rules.loc["symbol.A.cap", "shadow_price"] == pytest.approx(0.1, abs=1e-12)


def test_signed_moves_of_a_short():
    """What cuts a short raises its signed weight."""
    allocation = project(policy(risk_buckets__portfolio__gross_max=0.6), {A: 0.5, B: -0.3})
    assert moves(allocation, A) == pytest.approx({"leverage.gross": -0.1}, abs=1e-12)
    assert moves(allocation, B) == pytest.approx({"leverage.gross": 0.1}, abs=1e-12)


def test_a_position_that_stops_at_zero_is_held_there_by_its_sign():
    allocation = project(policy(risk_buckets__portfolio__gross_max=0.4), {A: 0.5, B: 0.02})
    assert moves(allocation, A) == pytest.approx({"leverage.gross": -0.1}, abs=1e-12)
    assert moves(allocation, B) == pytest.approx({"leverage.gross": -0.1, "sign": 0.08}, abs=1e-12)


def test_prices_of_the_relative_metric_read_as_fractions_cut():
    rules = policy(risk_buckets__portfolio__distance="relative", barbell__risk_bucket__max_weight=0.6)
    allocation = project(rules, {A: 0.5, B: 0.3})
    assert allocation.rules.loc["barbell.risk.cap", "shadow_price"] == pytest.approx(0.25, abs=1e-12)
    assert moves(allocation, A) == pytest.approx({"barbell.risk.cap": -0.125}, abs=1e-12)


def test_cost_and_limit_of_turnover_are_told_apart():
    """Each trade of 0.4 less 0.1 for its cost; ½ (0.3 + 0.3) is over 0.2 by 0.1, which takes 0.1 more from both."""
    rules = policy(execution__turnover__max=0.2, execution__turnover__cost=0.1)
    allocation = project(rules, {A: 0.5, T: 0.0}, previous={A: 0.1, T: 0.4})
    assert moves(allocation, A) == pytest.approx({"turnover.cost": -0.1, "turnover.max": -0.1}, abs=1e-9)
    assert moves(allocation, T) == pytest.approx({"turnover.cost": 0.1, "turnover.max": 0.1}, abs=1e-9)


def test_a_gate_owns_the_whole_cut_though_a_soft_limit_on_sales_gave_way():
    """Out of A at once: prices would say that the gate overcomes the wish of 0.5 and the full price 1.0 of the sale."""
    rules = policy(execution__liquidity__participation=0.1, execution__liquidity__penalty=2.0)
    allocation = project(rules, {A: 0.5}, previous={A: 0.5}, adv={"A": 1e6}, nav=1e6, gated={"A": "exit"})
    assert moves(allocation, A) == pytest.approx({"gate.A": -0.5}, abs=1e-12)
    assert allocation.rules.loc["liquidity.A", "violation"] == pytest.approx(0.4, abs=1e-9)


def test_columns_follow_the_order_of_the_rules():
    rules = policy(barbell__risk_bucket__max_weight=0.5, barbell__symbol_caps={"A": 0.3, "T": 0.1})
    allocation = project(rules, {A: 0.5, B: 0.3, T: 0.2})
    names = [name for name in allocation.rules.index if name in allocation.attribution.columns]
    assert list(allocation.attribution.columns) == ["target", *names, "weight"]


def test_a_volatility_cap_takes_in_proportion_to_marginal_risk():
    allocation = project(policy(risk_buckets__portfolio__volatility_max=0.08), {A: 0.4, B: 0.2}, covariance=COVARIANCE)
    x = allocation.positions.to_numpy()
    marginal = np.array([0.04, 0.09]) * x / 0.08
    price = allocation.rules.loc["volatility.max", "shadow_price"]
    assert allocation.attribution["volatility.max"].to_numpy() == pytest.approx(-price * marginal, abs=1e-8)


@pytest.mark.parametrize("volatility", [False, True])
def test_each_column_is_what_stationarity_says(volatility):
    """Column of a rule over a row = −σ A y ÷ d, from the price in the table and the rule's own coefficients.

    Not so where nothing was asked for and nothing is held, and where a rule says that nothing may be held.
    """
    checked = 0
    for seed in range(40):
        case = random_case(seed, volatility=volatility)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        program, table = allocation.program, allocation.attribution
        shut = program.upper == 0.0
        for rule in program.rules:
            if rule.kind == "row" and rule.hard and rule.hi == 0.0 and (program.A[rule.index] >= 0.0).all():
                shut |= program.A[rule.index] > 0.0
        free = ~((allocation.point.u == 0.0) & ((program.target == 0.0) | shut))
        for rule, price in zip(program.rules, allocation.rules["shadow_price"], strict=True):
            if rule.kind == "row" and price > 1e-9:
                side = 1.0 if allocation.point.rows[rule.index] > 0 else -1.0
                expected = -program.sign * program.A[rule.index] * side * price / program.distance
                column = table[rule.name].to_numpy() if rule.name in table else 0.0
                assert np.allclose((column - expected)[free], 0.0, atol=1e-9 * (1 + price)), (seed, rule.name)
                checked += 1
        for _, row in table.iterrows():
            assert abs(math.fsum(row[:-1]) - row["weight"]) <= 1e-15 * max(1.0, float(row.abs().max())), seed
    assert checked >= 30


# --- tables ----------------------------------------------------------------------------------------------


def test_the_rules_table_and_the_readings_are_the_same():
    case = random_case(11)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments)
    assert len(allocation.rules) == len(allocation.readings) > 5
    assert allocation.rules.index.name == "rule"
    assert allocation.rules.index.is_unique
    for reading in allocation.readings:
        assert tuple(allocation.rules.loc[reading.name]) == reading[1:]
    assert list(allocation.rules.columns) == [
        "source", "hard", "bound", "value", "slack", "shadow_price", "binding", "violation", "implied_by",
        "unique", "side",
    ]  # fmt: skip


def test_readings_are_consistent_with_each_other():
    for seed in range(40):
        case = random_case(seed)
        for r in pmx.solve(case.policy, case.relative, **case.arguments).readings:
            assert r.shadow_price >= 0.0
            assert r.violation == max(0.0, -r.slack)
            assert r.binding == (r.slack <= 1e-9)
            assert math.isinf(r.bound) or abs(abs(r.bound - r.value) - abs(r.slack)) <= 1e-12
            assert not (r.hard and r.violation > 1e-9)
            # A price is only paid for a rule without room.
            assert r.binding or r.shadow_price * r.slack <= 1e-9 * (1 + r.shadow_price), (seed, r)


def test_a_limit_from_below_shows_that_limit():
    rules = policy(risk_buckets__custom_rules={"own": {"symbols": {"A": 1.0}, "min": 0.2, "max": 0.6}})
    low = project(rules, {A: 0.1}).rules.loc["custom.own"]
    high = project(rules, {A: 0.9}).rules.loc["custom.own"]
    between = project(rules, {A: 0.3}).rules.loc["custom.own"]
    assert (low["bound"], high["bound"], between["bound"]) == (0.2, 0.6, 0.2)
    assert (low["binding"], high["binding"], between["binding"]) == (True, True, False)
    assert between["slack"] == pytest.approx(0.1, abs=1e-12)
    assert low["shadow_price"] == pytest.approx(0.1, abs=1e-12)
    assert high["shadow_price"] == pytest.approx(0.3, abs=1e-12)


def test_sums_by_bucket_and_symbol():
    allocation = project(policy(), {A: 0.3, TWIN: -0.1, B: 0.2, T: 0.4})
    assert allocation.by_bucket.to_dict() == pytest.approx({"core": 0.5, "tilt": -0.1, "safe": 0.4}, abs=1e-12)
    assert allocation.weights.to_dict() == pytest.approx({"A": 0.2, "B": 0.2, "T": 0.4, "CASH": 0.2}, abs=1e-12)
    assert allocation.safe_weight == pytest.approx(1 - 0.6, abs=1e-12)
    off = project(policy(barbell__enable_barbell_allocation=False), {A: 0.3, TWIN: -0.1, T: 0.4})
    assert off.safe_weight == pytest.approx(1 - 0.8, abs=1e-12)


def test_an_allocation_is_frozen():
    allocation = project(policy(), {A: 0.3})
    with pytest.raises(dataclasses.FrozenInstanceError):
        allocation.status = Status.RELAXED


# --- judging other weights -------------------------------------------------------------------------------

BOUNDED = {
    "risk_buckets__portfolio__gross_max": 0.9,
    "barbell__risk_bucket__max_weight": 0.7,
    "barbell__symbol_caps": {"T": 0.3},
    "risk_buckets__portfolio__volatility_max": 0.1,
    "execution__turnover__max": 0.5,
    "execution__turnover__hard": True,
    "risk_buckets__custom_rules": {"own": {"symbols": {"B": 1.0}, "min": 0.05}},
}


@pytest.mark.parametrize(
    ("weights", "broken"),
    [
        ({A: 0.3, B: 0.1, T: 0.2}, {}),
        ({A: 0.3, B: 0.1, T: 0.35}, {"symbol.T.cap": 0.05}),
        ({A: 0.49, B: 0.05, T: 0.3}, {}),
        ({A: 0.55, B: 0.1, T: 0.3}, {"leverage.gross": 0.05, "volatility.max": math.hypot(0.11, 0.03) - 0.1}),
        ({A: 0.3, B: 0.01, T: 0.2}, {"custom.own": 0.04}),
        ({A: 0.3}, {"custom.own": 0.05}),
        ({A: -0.1, B: 0.1}, {"sign": 0.1}),
        ({A: 0.0, B: 0.35, T: 0.3}, {"volatility.max": 0.005}),
        (
            {A: 0.9, B: 0.2},
            {
                "leverage.gross": 0.2,
                "bucket.core.max": 0.1,
                "barbell.safe.floor": 0.1,
                "barbell.risk.cap": 0.4,
                "volatility.max": math.hypot(0.18, 0.06) - 0.1,
                "turnover.max": 0.05,
            },
        ),
    ],
)
def test_violations_of_other_weights(weights, broken):
    allocation = project(policy(**BOUNDED), {A: 0.3, B: 0.1, T: 0.2}, previous={A: 0.0}, covariance=COVARIANCE)
    assert allocation.violations(position_series(weights)).to_dict() == pytest.approx(broken, abs=1e-12)


def test_an_answer_violates_nothing():
    for seed in range(30):
        case = random_case(seed, volatility=seed % 2 == 0)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        assert allocation.violations(allocation.positions).empty


def test_violations_by_strange_positions():
    allocation = project(policy(), {A: 0.3})
    with pytest.raises(DataError, match=r"\('core', 'B'\) is not in this allocation"):
        allocation.violations(position_series({B: 0.1}))


def test_linear_rules_are_those_of_the_table():
    allocation = project(policy(**BOUNDED), {A: 0.3, B: 0.1, T: 0.4}, covariance=COVARIANCE)
    rules = allocation.linear_rules()
    u = rules.sign * allocation.positions.to_numpy()
    assert (rules.A @ u <= rules.hi + 1e-9).all()
    assert (rules.A @ u >= rules.lo - 1e-9).all()
    assert (u <= rules.upper + 1e-9).all()
    assert (u >= rules.lower - 1e-9).all()
    assert rules.hard.all()
    for name, row in zip(rules.names, rules.A @ u, strict=True):
        assert allocation.rules.loc[name, "value"] == row
    assert {"leverage.gross", "barbell.risk.cap", "custom.own"} <= set(rules.names)
    assert rules.upper[2] == 0.3


# --- in words --------------------------------------------------------------------------------------------


def test_the_words_name_positions_rules_and_proof():
    rules = policy(barbell__risk_bucket__max_weight=0.6, barbell__symbol_caps={"A": 0.35})
    text = project(rules, {A: 0.5, B: 0.3, T: 0.2}).explain()
    assert text.splitlines()[0] == Status.OPTIMAL.advice
    assert "core/A wanted 50.00%, gets 35.00%: barbell.risk.cap -5.00%, symbol.A.cap -10.00%" in text
    assert "core/B wanted 30.00%, gets 25.00%: barbell.risk.cap -5.00%" in text
    assert "safe/T" not in text
    assert "Proof: worst hard-rule violation" in text
    assert "newton" in text


def test_the_words_say_what_gave_way_and_where_it_is_written():
    execution = {"execution__turnover__max": 0.2}
    allocation = project(policy(**execution), {A: 0.5}, previous={A: 0.9}, gated={"A": "exit"})
    assert allocation.status is Status.RELAXED
    assert "turnover.max gave way: 45.00% where at most 20.00% is asked (override)" in allocation.explain()
    assert allocation.explain().splitlines()[0] == Status.RELAXED.advice


def test_nothing_moved_is_nothing_said():
    text = project(policy(), {A: 0.5}).explain()
    assert "wanted" not in text
    assert len(text.splitlines()) == 2


def test_a_bypassed_allocation_explains_itself_too():
    rules = policy(risk_buckets__enabled=False, barbell__enable_barbell_allocation=False)
    allocation = project(rules, {A: 1.5, B: -0.3})
    assert allocation.explain().splitlines()[0] == Status.BYPASSED.advice
    assert list(allocation.attribution.columns) == ["target", "weight"]
    assert allocation.rules.empty
    assert allocation.readings == ()
    assert allocation.violations(allocation.positions).empty
    assert len(allocation.linear_rules().A) == 0
    assert allocation.safe_weight == pytest.approx(1 - 1.8, abs=1e-12)


def test_every_status_is_advice():
    assert len({status.advice for status in Status}) == len(Status)


# --- sums, on many ---------------------------------------------------------------------------------------


def sums(seed: int, engine: str) -> None:
    """Hold rows and columns of one random allocation's attribution to exact sums."""
    case = random_case(seed)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments, engine=engine)
    table = allocation.attribution
    moved = table.drop(columns=["target", "weight"])
    largest = max(1.0, float(table.abs().to_numpy().max(initial=0.0)))
    for _, row in table.iterrows():
        assert abs(math.fsum(row.iloc[:-1]) - row["weight"]) <= 1e-12 * largest, seed
    by_rule = math.fsum(moved.to_numpy().ravel().tolist())
    assert abs(by_rule - (table["weight"].sum() - table["target"].sum())) <= 1e-12 * largest * len(table), seed
    assert "unexplained" not in table, seed


@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_rows_and_columns_sum(engine):
    for seed in range(60):
        sums(seed, engine)


@pytest.mark.fuzz
@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_rows_and_columns_sum_on_ten_thousand(engine):
    for seed in range(10_000):
        sums(seed, engine)
