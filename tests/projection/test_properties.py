"""What every projection must satisfy, on random policies; and the optimum against a second writing of the problem."""

import math
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from zoo.policies import MARKETS, Case, exact_violation, random_case

import pmx
from pmx import InfeasibleError
from pmx.projection import EngineChain, Program

EXAMPLES = settings(max_examples=50, deadline=None, derandomize=True)
seeds = st.integers(0, 10**6)


def projector(case: Case, **overrides) -> pmx.Projector:
    policy = case.policy.override({key.replace("__", "."): value for key, value in overrides.items()})
    return pmx.Projector(policy, case.relative.index)


def without_soft_rules(case: Case) -> dict:
    """Overrides that leave only hard rules and reports: then the answer is a projection in the strict sense."""
    custom = {name: rule.model_dump() | {"hard": True} for name, rule in case.policy.risk_buckets.custom_rules.items()}
    return {
        "risk_buckets__custom_rules": custom,
        "barbell__safe_bucket__max_weight_penalty": 0.0,
        "execution__turnover__cost": 0.0,
        "execution__turnover__max": None,
    }


def wishes(case: Case, seed: int, *, size: float = 0.4) -> pd.Series:
    """Random signed weights over a case's universe, short only where its bucket may be."""
    rng = np.random.default_rng(seed)
    shorts = [case.policy.risk_buckets.buckets[b].allow_short for b in case.relative.index.get_level_values(0)]
    sign = np.where(np.array(shorts) & (rng.random(len(case.relative)) < 0.4), -1.0, 1.0)
    values = sign * rng.exponential(size, len(case.relative)) * (rng.random(len(case.relative)) < 0.8)
    return pd.Series(values, index=case.relative.index).clip(-2.0, 2.0)


def objective(program: Program, u: np.ndarray) -> float:
    """The definition's objective, soft rules included."""
    value = 0.5 * program.distance @ (u - program.target) ** 2 + program.cost @ np.abs(u - program.previous)
    if len(program.A):
        row = program.A @ u
        over = np.maximum(np.maximum(row - program.hi, program.lo - row), 0.0)
        soft = np.isfinite(program.penalty)
        value += program.penalty[soft] @ over[soft]
    value += program.floor_penalty @ np.maximum(np.where(np.isfinite(program.floor), program.floor - u, 0.0), 0.0)
    if program.has_turnover_rule and np.isfinite(program.turnover_penalty):
        value += program.turnover_penalty * max(program.turnover(u) - program.turnover_max, 0.0)
    return float(value)


# --- projections ----------------------------------------------------------------------------------------


@EXAMPLES
@given(seeds)
def test_a_feasible_target_comes_back_unchanged(seed):
    case = random_case(seed)
    changed = projector(case, **without_soft_rules(case))
    judged = Case(changed.policy, case.relative, {k: v for k, v in case.arguments.items() if k == "covariance"})
    weights = wishes(case, seed)
    while exact_violation(judged, weights)[0] > 0:
        weights = weights / 2 if float(weights.abs().max()) > 1e-4 else weights * 0.0
    allocation = changed.project(weights, **judged.arguments)
    assert float((allocation.positions - weights).abs().max()) <= 1e-9


@EXAMPLES
@given(seeds)
def test_projecting_twice_changes_nothing(seed):
    case = random_case(seed)
    again = projector(case, **without_soft_rules(case))
    once = again.project(wishes(case, seed), **case.arguments)
    assume(not (once.rules["violation"].gt(1e-9) & (once.rules.index != "barbell.safe.cap")).any())
    twice = again.project(once.positions, **case.arguments)
    assert float((twice.positions - once.positions).abs().max()) <= 2e-9


@EXAMPLES
@given(seeds)
def test_permuting_positions_permutes_the_answer(seed):
    case = random_case(seed)
    order = np.random.default_rng(seed).permutation(len(case.relative))
    plain = pmx.solve(case.policy, case.relative, **case.arguments)
    shuffled = {k: v.iloc[order] if k == "previous" else v for k, v in case.arguments.items()}
    mixed = pmx.solve(case.policy, case.relative.iloc[order], **shuffled)
    bound = 1e-9 + plain.certificate.distance_bound + mixed.certificate.distance_bound
    assert float((mixed.positions.reindex(plain.index) - plain.positions).abs().max()) <= bound
    assert set(mixed.rules.index) == set(plain.rules.index)


CAPS = [
    "risk_buckets.portfolio.gross_max",
    "barbell.risk_bucket.max_weight",
    "barbell.risk_bucket.max_per_position",
    "barbell.safe_bucket.max_per_position",
    "barbell.market_caps.us",
    "barbell.symbol_caps.US0",
    "execution.turnover.max",
]


def read(policy: pmx.Policy, key: str) -> float | None:
    value = policy.to_mapping()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


@EXAMPLES
@given(seeds, st.sampled_from(CAPS), st.floats(0.05, 0.95))
def test_tightening_a_cap_never_lowers_the_distance(seed, key, factor):
    case = random_case(seed)
    cap = read(case.policy, key)
    assume(cap is not None and cap > 0.0)
    tighter = Case(case.policy.override({key: cap * factor}), case.relative, case.arguments)
    before, after = (pmx.solve(c.policy, c.relative, **c.arguments) for c in (case, tighter))
    loose, tight = (objective(a.program, a.point.u) for a in (before, after))
    assert tight >= loose - 1e-9 * (1.0 + loose)


@EXAMPLES
@given(seeds)
def test_answers_are_no_further_apart_than_their_wishes(seed):
    """In a fixed metric. The wishes share their signs, and their largest one, which sets the price of soft rules."""
    case = random_case(seed)
    changed = projector(case, risk_buckets__portfolio__distance="absolute")
    first = wishes(case, seed)
    rng = np.random.default_rng(seed + 1)
    second = first * np.exp(rng.normal(0, 1, len(first)))
    second = second.clip(-2.0, 2.0)
    first = first.clip(-2.0, 2.0)
    first.iloc[0] = second.iloc[0] = 2.0
    a, b = changed.project(first, **case.arguments), changed.project(second, **case.arguments)
    moved = float(np.linalg.norm(a.positions - b.positions))
    assert moved <= float(np.linalg.norm(first - second)) + 1e-9


@EXAMPLES
@given(seeds)
def test_all_cash_obeys_every_hard_rule_so_nothing_is_infeasible(seed):
    case = random_case(seed)
    allocation = projector(case).project((5 * wishes(case, seed)).clip(-2.0, 2.0), **case.arguments)
    program = allocation.program
    hard = np.isinf(program.penalty)
    assert (program.lo[hard] <= 0).all()
    assert (program.hi[hard] >= 0).all()
    assert (program.lower == 0).all()
    assert (program.upper >= 0).all()
    nothing = {k: v for k, v in case.arguments.items() if k == "covariance"}
    none = projector(case, barbell__safe_bucket__max_weight_penalty=0.0).project(0.0 * case.relative, **nothing)
    assert none.weights["CASH"] == 1.0


@EXAMPLES
@given(seeds, st.booleans())
def test_weights_add_to_one_and_the_attribution_adds_up(seed, volatility):
    case = random_case(seed, volatility=volatility)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments)
    assert abs(math.fsum(allocation.weights) - 1.0) <= 1e-12
    by_symbol = allocation.positions.groupby(level="symbol").sum()
    assert float((by_symbol - allocation.weights.drop("CASH")).abs().max()) <= 1e-15
    assert float(abs(allocation.by_bucket.sum() + allocation.weights["CASH"] - 1.0)) <= 1e-12
    table = allocation.attribution
    size = max(1.0, float(table.abs().to_numpy().max()))
    for _, row in table.iterrows():
        assert abs(math.fsum(row[:-1]) - row["weight"]) <= 1e-15 * size


# --- prices ----------------------------------------------------------------------------------------------


def moved(program: Program, name: str, by: float) -> Program:
    """The program with one rule's limits relaxed by so much (tightened where negative)."""
    i = next(k for k, rule in enumerate(program.rules) if rule.name == name)
    return replace(
        program,
        hi=program.hi + by * (program.hi_owner == i),
        lo=program.lo - by * (program.lo_owner == i),
        upper=program.upper + by * (program.upper_owner == i),
        lower=program.lower - by * (program.lower_owner == i),
        floor=program.floor - by * (program.floor_owner == i),
        turnover_max=program.turnover_max + by * (name == "turnover.max"),
        cones=tuple(
            replace(cone, h=cone.h + by * np.eye(len(cone.h))[0] * (program.rules[i].kind == "cone"))
            for cone in program.cones
        ),
    )


@EXAMPLES
@given(seeds, st.booleans())
def test_shadow_prices_lie_between_the_finite_differences(seed, volatility):
    """The optimum is convex in each limit: its slopes to either side enclose the price, whether or not they agree."""
    case = random_case(seed, volatility=volatility)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments)
    program, chain = allocation.program, EngineChain()
    least = objective(program, allocation.point.u)
    step = 1e-5
    for name, price in allocation.rules["shadow_price"].items():
        if price <= 1e-6:
            continue

        def optimum(by, name=name):
            changed = moved(program, name, by)
            if (changed.upper < changed.lower).any():
                return math.inf
            try:
                return objective(changed, chain.solve(changed)[0].u)
            except InfeasibleError:
                return math.inf

        rounding = (1e-9 if volatility else 1e-11) * (1.0 + abs(least) + price) / step
        gained, lost = (least - optimum(step)) / step, (optimum(-step) - least) / step
        assert gained - rounding <= price <= lost + rounding, name


def test_prices_are_the_slope_where_the_optimum_is_smooth():
    """Away from kinks both differences agree, so the price is not merely enclosed but met."""
    met = 0
    for seed in range(25):
        case = random_case(seed)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        program, chain = allocation.program, EngineChain()
        for reading in allocation.readings:
            if reading.shadow_price <= 1e-3 or reading.violation > 0 or reading.bound <= 1e-3:
                continue
            slopes = [
                (objective(p, chain.solve(p)[0].u) - objective(program, allocation.point.u)) / by
                for by in (1e-6, -1e-6)
                for p in [moved(program, reading.name, by)]
            ]
            if abs(slopes[0] - slopes[1]) <= 1e-2 * reading.shadow_price:
                assert -np.mean(slopes) == pytest.approx(reading.shadow_price, rel=1e-2)
                met += 1
    assert met >= 25


# --- the same problem, written a second time ------------------------------------------------------------


def written_again(
    case: Case, stuck: np.ndarray | None = None
) -> tuple[cp.Problem, cp.Variable, np.ndarray, np.ndarray]:
    """The definition as a plain cvxpy problem, straight from the policy's numbers; variables are signed weights.

    Returns the problem, its variable, the metric and the signed wish.
    """
    policy, args = case.policy, case.arguments
    config, barbell, execution = policy.risk_buckets, policy.barbell, policy.execution
    positions = list(case.relative.index)
    n = len(positions)
    relative = case.relative.to_numpy()
    buckets = [config.buckets[b] for b, _ in positions]
    scale = [args.get("risk_scale", {}).get(b, 1.0) for b, _ in positions]
    held = args["previous"].to_numpy() if "previous" in args else None
    wish = np.array(
        [
            abs(r) * min(max(b.base_nav_frac * max(1.0, s), b.min_nav_frac), b.max_nav_frac)
            for r, b, s in zip(relative, buckets, scale, strict=True)
        ]
    )
    sign = np.array(
        [-1.0 if r < 0 or (r == 0 and held is not None and held[j] < 0) else 1.0 for j, r in enumerate(relative)]
    )
    # A position that the trading rules keep from turning is wished to zero on the side where it is held.
    if stuck is None:
        stuck = np.zeros(n, dtype=bool) if held is None else sign * held < 0.0
    sign, wish = np.where(stuck, -sign, sign), np.where(stuck, 0.0, wish)
    room = None
    if held is not None and execution.liquidity.participation is not None:
        symbols = [s for _, s in positions]
        room = np.array(
            [execution.liquidity.participation * args["adv"][s] / args["nav"] / symbols.count(s) for s in symbols]
        )
    d = {
        "absolute": lambda: np.ones(n),
        "relative": lambda: 1 / np.maximum(wish, 1e-4),
        "risk": lambda: np.array([args["covariance"].loc[s, s] for _, s in positions]),
    }[config.portfolio.distance]()
    if config.portfolio.distance == "risk":
        d = np.maximum(d, 1e-4 * d.max())
    before = np.zeros(n) if held is None else held
    pull = float((d * np.maximum(wish, np.abs(before))).max()) or 1.0

    x = cp.Variable(n)
    size = cp.multiply(sign, x)
    cost = 0.5 * cp.sum_squares(cp.multiply(np.sqrt(d), size - wish))
    rules = [size >= 0]

    def members(test) -> list[int]:
        return [j for j, p in enumerate(positions) if test(*p)]

    def total(group: list[int]):
        return cp.sum(size[group]) if group else cp.Constant(0.0)

    if config.portfolio.cash_min is not None:
        rules.append(1 - cp.sum(x) >= config.portfolio.cash_min)
    if config.portfolio.gross_max is not None:
        rules.append(cp.sum(size) <= config.portfolio.gross_max)
    for name, bucket in config.buckets.items():
        group = members(lambda b, _, name=name: b == name)
        rules.append(total(group) <= bucket.max_nav_frac)
        s = args.get("risk_scale", {}).get(name, 1.0)
        if s < 1 and group:
            budget = min(max(bucket.base_nav_frac * s, bucket.min_nav_frac), bucket.max_nav_frac)
            rules.append(total(group) <= np.abs(relative[group]).sum() * budget)
        if not bucket.allow_short:
            rules += [x[j] >= 0 for j in group if sign[j] < 0]
    if barbell.enable_barbell_allocation:
        risky = [j for j, (b, _) in enumerate(positions) if config.buckets[b].role == "risk" or sign[j] < 0]
        least = sum(b.min_nav_frac for b in config.buckets.values() if b.role == "safe")
        rules.append(total(risky) <= 1 - max(least, barbell.safe_bucket.min_weight))
        if barbell.safe_bucket.max_weight is not None:
            short = cp.pos(1 - barbell.safe_bucket.max_weight - total(risky))
            cost += barbell.safe_bucket.max_weight_penalty * (float((d * wish).max()) or 1.0) * short
        if barbell.risk_bucket.max_weight is not None:
            rules.append(total(risky) <= barbell.risk_bucket.max_weight)
        for market, cap in barbell.market_caps.items():
            stem = MARKETS[market][0].rstrip("*")
            rules.append(total([j for j in risky if positions[j][1].startswith(stem)]) <= cap)
        for symbol in {s for _, s in positions}:
            group = members(lambda _, s, symbol=symbol: s == symbol)
            caps = [barbell.symbol_caps.get(symbol)]
            caps += [
                (barbell.safe_bucket if buckets[j].role == "safe" else barbell.risk_bucket).max_per_position
                for j in group
            ]
            rules += [total(group) <= cap for cap in caps if cap is not None]
    for rule in config.custom_rules.values():
        weights = np.array([rule.symbols.get(s, 0.0) for _, s in positions])
        value = weights @ (x if rule.exposure == "net" else size)
        if rule.hard:
            rules.append(value <= rule.max)
        else:
            largest = float(np.abs(weights).max())
            reach = float(d[weights != 0].max(initial=0.0)) * abs(rule.max) / largest if largest else 0.0
            cost += rule.penalty * max(pull, reach) / (largest or 1.0) * cp.pos(value - rule.max)
    if held is not None:
        cost += execution.turnover.cost * cp.norm1(x - held)
        if execution.turnover.max is not None:
            over = 0.5 * cp.norm1(x - held) - execution.turnover.max
            if execution.turnover.hard:
                rules.append(over <= 0)
            else:
                cost += execution.turnover.penalty * pull * cp.pos(over)
        if room is not None:
            rules.append(size <= sign * held + room)
            cost += execution.liquidity.penalty * pull * cp.sum(cp.pos(np.maximum(sign * held - room, 0.0) - size))
    for symbol, mode in args.get("gated", {}).items():
        for j in members(lambda _, s, symbol=symbol: s == symbol):
            rules.append(size[j] <= (max(sign[j] * before[j], 0.0) if mode == "reduce_only" else 0.0))
    if config.portfolio.volatility_max is not None:
        sigma = args["covariance"]
        held_of = np.array([[float(s == symbol) for _, s in positions] for symbol in sigma.index])
        root = np.linalg.cholesky(sigma.to_numpy()).T
        rules.append(cp.norm(root @ held_of @ x) <= config.portfolio.volatility_max)
    return cp.Problem(cp.Minimize(cost), rules), x, d, sign * wish


def solve_sharply(problem: cp.Problem, tolerance: float) -> None:
    names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
    problem.solve(solver=cp.CLARABEL, **dict.fromkeys(names, tolerance), max_iter=500)


def check_against_the_second_writing(case: Case, seed: int) -> None:
    allocation = pmx.solve(case.policy, case.relative, **case.arguments)
    stuck = case.relative.to_numpy() * allocation.program.sign < 0.0
    problem, x, d, wish = written_again(case, stuck)
    solve_sharply(problem, 1e-11 if case.policy.risk_buckets.portfolio.volatility_max is None else 1e-9)
    assert problem.status == cp.OPTIMAL, seed
    best, answer, ours = float(problem.value), x.value.copy(), allocation.positions.to_numpy()
    x.save_value(ours)
    value = float(problem.objective.value)
    assert max(float(np.max(c.violation())) for c in problem.constraints) <= 2e-9, seed
    assert value == pytest.approx(best, abs=1e-7 * (1.0 + abs(best))), seed
    # Both lie within their own distance of the optimum: that of a second solver follows from its gap.
    gap = 1e-8 * (1.0 + abs(best))
    reach = allocation.certificate.distance_bound + math.sqrt(2.0 * gap / d.min())
    assert float(np.linalg.norm(ours - answer)) <= reach, seed
    assert np.allclose(allocation.target[~stuck], wish[~stuck], atol=1e-15), seed


@pytest.mark.parametrize("start", [0, 1000, 2000])
def test_the_optimum_agrees_with_a_second_writing_of_the_problem(start):
    for seed in range(start, start + 35):
        check_against_the_second_writing(random_case(seed, volatility=start == 2000), seed)


def test_a_hard_turnover_agrees_too():
    solved = 0
    for seed in range(3000, 3040):
        case = random_case(seed)
        if case.policy.execution.turnover.max is None or "previous" not in case.arguments:
            continue
        arguments = {k: v for k, v in case.arguments.items() if k != "gated"}
        hard = Case(case.policy.override({"execution.turnover.hard": True}), case.relative, arguments)
        try:
            check_against_the_second_writing(hard, seed)
        except InfeasibleError:
            problem, *_ = written_again(hard)
            solve_sharply(problem, 1e-9)
            assert problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE), seed
        else:
            solved += 1
    assert solved >= 5
