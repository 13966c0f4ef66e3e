"""What would have come out under another bound: the shadow price says it for small steps, the re-solve for any."""

import math

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series, random_case

import pmx
from pmx import DataError, InfeasibleError, Status
from pmx.policy import Policy

POSITIONS = [("core", "A"), ("core", "B")]


def policy(**changes) -> Policy:
    plain = bare_policy(
        {
            "risk_buckets": {
                "buckets": {"core": {"role": "risk", "base_nav_frac": 0.5}},
                "portfolio": {"distance": "absolute", "cash_min": None, "gross_max": None},
            },
            "barbell": {"safe_bucket": {"min_weight": 0.0, "max_weight": None}, "risk_bucket": {"max_weight": 0.6}},
        }
    )
    return plain.override({key.replace("__", "."): value for key, value in changes.items()})


def project(rules: Policy, wish: dict, **arguments) -> pmx.Allocation:
    return pmx.Projector(rules, list(wish)).project(position_series(wish), **arguments)


def test_another_bound_gives_what_the_other_policy_would():
    wish = {("core", "A"): 0.5, ("core", "B"): 0.3}
    there = project(policy(), wish).what_if("barbell.risk.cap", 0.7)
    again = project(policy(barbell__risk_bucket__max_weight=0.7), wish)
    assert there.positions.to_numpy() == pytest.approx(again.positions.to_numpy(), abs=1e-12)
    assert there.rules["shadow_price"].to_numpy() == pytest.approx(again.rules["shadow_price"].to_numpy(), abs=1e-12)
    assert there.rules.loc["barbell.risk.cap", "bound"] == 0.7


def test_a_rule_that_was_implied_can_become_the_tightest():
    wish = {("core", "A"): 0.5, ("core", "B"): 0.3}
    allocation = project(policy(risk_buckets__portfolio__gross_max=0.9), wish)
    assert allocation.rules.loc["leverage.gross", "implied_by"] == "barbell.risk.cap"
    less = allocation.what_if("leverage.gross", 0.4)
    assert less.positions.sum() == pytest.approx(0.4, abs=1e-12)
    assert less.rules.loc["barbell.risk.cap", "implied_by"] == "leverage.gross"


def test_the_safe_floor_is_a_limit_on_the_weight_at_risk():
    rules = policy(barbell__safe_bucket={"min_weight": 0.5, "max_weight": None})
    allocation = project(rules, {("core", "A"): 0.5, ("core", "B"): 0.3})
    assert allocation.safe_weight == pytest.approx(0.5, abs=1e-12)
    assert allocation.what_if("barbell.safe.floor", 0.55).safe_weight == pytest.approx(0.45, abs=1e-12)
    assert allocation.what_if("barbell.safe.floor", 0.1).safe_weight == pytest.approx(0.9, abs=1e-12)


def test_caps_turnover_and_volatility_have_bounds_too():
    covariance = pd.DataFrame(np.diag([0.04, 0.04]), index=["A", "B"], columns=["A", "B"])
    rules = policy(barbell__symbol_caps={"A": 0.2}, execution__turnover={"max": 0.1, "hard": True})
    held = position_series({("core", "A"): 0.1})
    allocation = project(rules, {("core", "A"): 0.5, ("core", "B"): 0.05}, previous=held)
    assert allocation.what_if("symbol.A.cap", 0.15).positions["core", "A"] == pytest.approx(0.15, abs=1e-12)
    turnover = (allocation.what_if("turnover.max", 0.03).positions - [0.1, 0.0]).abs().sum() / 2
    assert turnover == pytest.approx(0.03, abs=1e-12)
    capped = project(
        policy(risk_buckets__portfolio__volatility_max=0.05), {("core", "A"): 0.4, ("core", "B"): 0.2},
        covariance=covariance,
    ).what_if("volatility.max", 0.04)  # fmt: skip
    assert math.sqrt(0.04 * float((capped.positions**2).sum())) == pytest.approx(0.04, abs=1e-8)


def test_a_gate_can_be_opened_a_little():
    allocation = project(policy(), {("core", "A"): 0.3, ("core", "B"): 0.1}, gated={"A": "exit"})
    assert allocation.what_if("gate.A", 0.05).positions["core", "A"] == pytest.approx(0.05, abs=1e-12)


def test_the_other_answer_can_be_asked_again():
    allocation = project(policy(), {("core", "A"): 0.5, ("core", "B"): 0.3})
    there_and_back = allocation.what_if("barbell.risk.cap", 0.3).what_if("barbell.risk.cap", 0.6)
    assert there_and_back.positions.to_numpy() == pytest.approx(allocation.positions.to_numpy(), abs=1e-12)


def test_what_cannot_be_asked_is_refused():
    allocation = project(policy(barbell__symbol_caps={"A": 0.2}), {("core", "A"): 0.5, ("core", "B"): 0.3})
    with pytest.raises(DataError, match=r"no rule 'barbell\.risk\.caps'.*did you mean barbell\.risk\.cap"):
        allocation.what_if("barbell.risk.caps", 0.5)
    with pytest.raises(DataError, match="give a number"):
        allocation.what_if("barbell.risk.cap", math.nan)
    with pytest.raises(DataError, match="give a number"):
        allocation.what_if("barbell.risk.cap", "0.5")
    with pytest.raises(InfeasibleError):
        allocation.what_if("barbell.risk.cap", -0.1)
    off = policy(risk_buckets__enabled=False, barbell__enable_barbell_allocation=False)
    bypassed = project(off, {("core", "A"): 0.5})
    assert bypassed.status is Status.BYPASSED
    with pytest.raises(DataError, match="cannot be solved again"):
        bypassed.what_if("barbell.risk.cap", 0.5)


def test_a_constraint_of_the_users_own_has_no_bound_to_move():
    projector = pmx.Projector(policy(), POSITIONS, constraints=lambda w: {"own": w.symbol("A") <= 0.1})
    allocation = projector.project(np.array([0.3, 0.2]))
    with pytest.raises(DataError, match="without a bound to move"):
        allocation.what_if("custom.own", 0.2)
    assert allocation.what_if("barbell.risk.cap", 0.2).positions.sum() == pytest.approx(0.2, abs=1e-6)


# --- the shadow price is the slope -----------------------------------------------------------------------


def presses_from_above(allocation: pmx.Allocation, name: str, bound: float) -> bool:
    rule = next(rule for rule in allocation.program.rules if rule.name == name)
    if rule.kind == "row":
        return (1.0 - rule.lo if rule.complement else rule.hi) == bound
    return rule.kind != "bound" or bool((rule.member_upper == bound).any())


def compare(seed: int, engine: str) -> int:
    """Hold each unique price of a random case to central differences; return how many were held."""
    case = random_case(seed)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments, engine=engine)
    held = 0
    for rule in allocation.readings:
        if not (rule.unique and math.isfinite(rule.bound) and rule.binding and rule.shadow_price > 1e-3):
            continue
        if rule.violation > 1e-9:
            continue  # its own limit no longer sets where it is
        step = 1e-5
        relaxed = 1.0 if presses_from_above(allocation, rule.name, rule.bound) else -1.0
        try:
            more = allocation.what_if(rule.name, rule.bound + relaxed * step)
            less = allocation.what_if(rule.name, rule.bound - relaxed * step)
        except InfeasibleError:
            continue
        gained, lost = allocation.objective - more.objective, less.objective - allocation.objective
        # The objective is convex in the bound, so its slope at the bound lies between the two differences.
        slack = 1e-9 / step
        assert gained / step <= rule.shadow_price + slack, (seed, rule.name)
        assert lost / step >= rule.shadow_price - slack, (seed, rule.name)
        stiff = float(allocation.program.distance.max())
        if lost - gained <= 2.0 * stiff * step**2 * allocation.program.n:  # no rule came or went within the step
            assert 0.5 * (gained + lost) / step == pytest.approx(rule.shadow_price, rel=5e-3, abs=1e-3 * stiff * step)
            held += 1
    return held


@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_prices_are_the_slopes_of_what_if(engine):
    assert sum(compare(seed, engine) for seed in range(40)) >= 25


@pytest.mark.fuzz
@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_prices_are_the_slopes_of_what_if_in_many_cases(engine):
    assert sum(compare(seed, engine) for seed in range(40, 1_000)) >= 500
