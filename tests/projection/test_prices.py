"""Of all prices that explain an answer, the ones with the least norm; and whether there are others."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series, random_case
from zoo.programs import random_program

import pmx
from pmx.policy import Policy
from pmx.projection.certificate import certify
from pmx.projection.chain import Job
from pmx.projection.least_prices import with_least_prices
from pmx.projection.newton_engine import solve_dual
from pmx.projection.program import Point, Program

A, B, C = ("core", "A"), ("core", "B"), ("core", "C")


def policy(**changes) -> Policy:
    plain = bare_policy(
        {
            "risk_buckets": {
                "buckets": {"core": {"role": "risk", "base_nav_frac": 0.5}},
                "portfolio": {"distance": "absolute", "cash_min": None, "gross_max": None},
            },
            "barbell": {"safe_bucket": {"min_weight": 0.0, "max_weight": None}, "risk_bucket": {"max_weight": None}},
        }
    )
    return plain.override({key.replace("__", "."): value for key, value in changes.items()})


def project(rules: Policy, wish: dict, **arguments) -> pmx.Allocation:
    return pmx.Projector(rules, list(wish)).project(position_series(wish), **arguments)


@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_rules_that_set_one_limit_together_share_its_price(engine):
    """0.7 + 0.3 into 0.4 costs 0.3 from either; the bucket, the risk cap and the leverage each take a third."""
    rules = policy(
        barbell__risk_bucket__max_weight=0.4,
        risk_buckets__portfolio__gross_max=0.4,
        risk_buckets__buckets__core__base_nav_frac=0.4,
        risk_buckets__buckets__core__max_nav_frac=0.4,
    )
    allocation = project(rules, {A: 0.7, B: 0.3}, engine=engine)
    tied = ["leverage.gross", "bucket.core.max", "barbell.risk.cap"]
    assert allocation.rules.loc[tied, "shadow_price"].to_numpy() == pytest.approx(np.full(3, 0.1), abs=1e-9)
    assert (allocation.rules.loc[tied, "implied_by"] == "").all()
    assert not allocation.rules.loc[tied, "unique"].any()
    assert not allocation.unique
    assert allocation.attribution.loc[A, tied].to_numpy() == pytest.approx(np.full(3, -0.1), abs=1e-9)
    assert "Other prices explain these weights as well" in allocation.explain()


@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_a_cap_on_one_symbol_and_one_on_its_market_share(engine):
    """Both stop A at 0.2; each takes half of the 0.3 that it is cut by."""
    rules = policy(barbell__markets={"m": ["A"]}, barbell__market_caps={"m": 0.2}, barbell__symbol_caps={"A": 0.2})
    allocation = project(rules, {A: 0.5, B: 0.1}, engine=engine)
    assert allocation.rules.loc[["market.m.cap", "symbol.A.cap"], "shadow_price"].to_numpy() == pytest.approx(
        [0.15, 0.15], abs=1e-9
    )
    assert not allocation.rules.loc[["market.m.cap", "symbol.A.cap"], "unique"].any()


def test_nested_limits_that_meet_share_by_least_squares():
    """A ≤ 0.2, A + B ≤ 0.3 and B ≤ 0.1 from wishes of 0.5 and 0.4: prices (y, μA, μB) with y + μ = 0.3 for both."""
    rules = policy(
        risk_buckets__custom_rules={
            "both": {"symbols": {"A": 1.0, "B": 1.0}, "max": 0.3},
            "a": {"symbols": {"A": 1.0}, "max": 0.2},
            "b": {"symbols": {"B": 1.0}, "max": 0.1},
        }
    )
    prices = project(rules, {A: 0.5, B: 0.4}).rules["shadow_price"]
    # min y² + 2 (0.3 − y)²: y = 0.2.
    assert prices[["custom.both", "custom.a", "custom.b"]].to_numpy() == pytest.approx([0.2, 0.1, 0.1], abs=1e-12)


def test_prices_that_cannot_be_others_are_unique():
    rules = policy(barbell__risk_bucket__max_weight=0.4, barbell__symbol_caps={"A": 0.3})
    allocation = project(rules, {A: 0.7, B: 0.3})
    assert allocation.unique
    assert allocation.rules["unique"].all()
    assert "Other prices" not in allocation.explain()


def test_a_rule_that_only_presses_what_rests_anyway_costs_nothing_beyond_need():
    """C rests at zero under its gate, whatever the market's cap would take from it."""
    rules = policy(barbell__markets={"m": ["B", "C"]}, barbell__market_caps={"m": 0.1})
    allocation = project(rules, {B: 0.15, C: 0.4}, gated={"C": "exit"})
    assert allocation.rules.loc["market.m.cap", "shadow_price"] == pytest.approx(0.05, abs=1e-12)
    assert allocation.attribution.loc[C, "gate.C"] == pytest.approx(
        -0.4, abs=1e-12
    )  # a prohibition is the whole reason


# --- held to another solver ------------------------------------------------------------------------------


def counted(program: Program, point: Point) -> np.ndarray:
    """Return which positions rest at a bound of a rule, held there by nothing else: their bounds' prices count."""
    p, u = program, point.u
    pressing = point.turnover > 0.0 or abs(p.turnover(u) - p.turnover_max) <= 1e-15
    kinked = ((u == p.previous) & ((p.cost > 0.0) | pressing)) | ((u == p.floor) & (p.floor_penalty > 0.0))
    return ((u >= p.upper) != (u <= p.lower)) & ((u >= p.upper) | (p.lower > 0.0)) & ~kinked


def norm(program: Program, point: Point) -> float:
    """Return the sum of squares of all prices."""
    p, u, y, width = program, point.u, point.rows, program.cost + 0.5 * point.turnover
    pull = p.distance * (u - p.target) + p.A.T @ y + np.where(u > p.previous, width, -width)
    bounds = (pull - np.where(u < p.floor, p.floor_penalty, 0.0))[counted(p, point)]
    return float(y @ y + point.turnover**2 + bounds @ bounds)


def least_norm(program: Program, point: Point) -> float | None:
    """Return the least sum of squares of the prices that explain a point, by an interior point over all of them."""
    p, u, near = program, point.u, 1e-15
    y, turnover = cp.Variable(len(p.A)), cp.Variable(nonneg=True)
    up, low, trade, floor = (cp.Variable(p.n) for _ in range(4))
    rules = [up >= 0, low >= 0]
    value = p.A @ u
    for k, row in enumerate(p.A):
        close = near * max(1.0, float(np.abs(row) @ np.abs(u)))
        if np.isfinite(p.penalty[k]):
            rules.append(cp.abs(y[k]) <= p.penalty[k])
            if max(value[k] - p.hi[k], p.lo[k] - value[k]) > close:
                rules.append(y[k] == point.rows[k])
                continue
        if p.lo[k] == p.hi[k]:
            continue
        if abs(value[k] - p.hi[k]) > close and not point.rows[k] > 0:
            rules.append(y[k] <= 0)
        if abs(value[k] - p.lo[k]) > close and not point.rows[k] < 0:
            rules.append(y[k] >= 0)
    if not p.has_turnover_rule or (p.turnover(u) < p.turnover_max - near and point.turnover == 0.0):
        rules.append(turnover == 0)
    elif np.isfinite(p.turnover_penalty):
        rules.append(turnover <= p.turnover_penalty)
        if p.turnover(u) > p.turnover_max + near:
            rules.append(turnover == point.turnover)
    for j in range(p.n):
        width = p.cost[j] + 0.5 * turnover
        rules += [up[j] == 0] if u[j] < p.upper[j] else []
        rules += [low[j] == 0] if u[j] > p.lower[j] else []
        rules += [trade[j] <= width] if u[j] <= p.previous[j] else [trade[j] == width]
        rules += [trade[j] >= -width] if u[j] >= p.previous[j] else [trade[j] == -width]
        rules += [floor[j] <= 0] if u[j] >= p.floor[j] else [floor[j] == -p.floor_penalty[j]]
        rules += [floor[j] >= -p.floor_penalty[j]] if u[j] <= p.floor[j] else [floor[j] == 0]
    rules.append(cp.multiply(p.distance, u - p.target) + p.A.T @ y + trade + floor + up - low == 0)
    size = cp.sum_squares(y) + cp.square(turnover) + cp.sum_squares(cp.multiply(counted(p, point) * 1.0, up + low))
    problem = cp.Problem(cp.Minimize(size), rules)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        try:
            problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        except cp.error.SolverError:
            return None
    return float(problem.value) if problem.status == cp.OPTIMAL else None


def compare(seed: int) -> str:
    """Return whether a random program's prices are the least, or why that is not asked."""
    program = random_program(seed)
    stiff = program.distance.max()
    if not len(program.A) or program.n > 40 or stiff / program.distance.min() > 1e3 or not 1e-3 < stiff < 1e4:
        return "no rows, or badly scaled"
    point, _ = solve_dual(program, Job.of(program).unit)
    before = certify(program, point, "newton")
    if not before.accepted or np.abs(point.rows).max(initial=0.0) > 1e3:
        return "large prices"
    for kink in (program.previous, program.floor, program.lower, program.upper):
        if ((np.abs(point.u - kink) < 1e-14) & (point.u != kink)).any():
            return "beside a kink by rounding, where the side is not known"
    again = with_least_prices(program, point)
    assert np.allclose(again.rows, point.rows, rtol=1e-7, atol=1e-9 * (1.0 + np.abs(point.rows).max(initial=0.0)))
    least = least_norm(program, point)
    if least is None:
        return "no reference"
    return "least" if norm(program, point) <= least * (1.0 + 1e-6) + 1e-8 else "not least"


def test_least_norm_prices_of_random_programs():
    found = [compare(seed) for seed in range(120)]
    assert found.count("least") >= 30
    assert "not least" not in found


@pytest.mark.fuzz
def test_least_norm_prices_of_many_random_programs():
    found = [compare(seed) for seed in range(120, 3_000)]
    assert found.count("least") >= 600
    # A vertex where many more limits meet than there are prices can stop the active set early.
    assert found.count("not least") <= 0.002 * found.count("least")


def test_what_prices_explain_does_not_depend_on_where_they_start():
    """From any prices that explain the answer the least are the same."""
    checked = 0
    for seed in range(60):
        case = random_case(seed)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        if allocation.point is None or allocation.unique:
            continue
        other = pmx.solve(case.policy, case.relative, **case.arguments, engine="cvxpy")
        here = allocation.rules["shadow_price"]
        assert np.allclose(here, other.rules["shadow_price"], atol=1e-5 * (1.0 + here.max())), seed
        checked += 1
    assert checked >= 5
