"""Rules that never bind: against an independent linear program over the arrays of a solve, and against real solves."""

import numpy as np
import pytest
from scipy.optimize import linprog
from zoo.policies import random_case, random_policy

import pmx
from pmx.linting.binding import TIE, idle_rules
from pmx.linting.region import Limit, Region, linear
from pmx.linting.universe import Universe
from pmx.projection import Inputs, RuleBook

SYMBOLS = [f"{market}{i}" for market in ("US", "NGX", "EM", "X") for i in range(4)]


def flagged(universe):
    codes = ("never-binds", "shadowed-rule", "barbell-gap")
    return {finding.rules[0]: finding for finding in idle_rules(universe) if finding.code in codes and finding.rules}


def most(program, row):
    """How far a sum can go, from the arrays that a solve would be given."""
    hard = np.isinf(program.penalty)
    A = np.vstack([program.A[hard], -program.A[hard]])
    b = np.concatenate([program.hi[hard], -program.lo[hard]])
    keep = np.isfinite(b)
    bounds = [(0.0, None if np.isinf(upper) else upper) for upper in program.upper]
    answer = linprog(-row, A_ub=A[keep], b_ub=b[keep], bounds=bounds)
    return np.inf if answer.status == 3 else -answer.fun


def line_of(rule, caps):
    """What tells apart the caps of symbols: the symbol where it has its own, and the cap."""
    if not rule.name.startswith("symbol."):
        return None
    cap, symbol = float(rule.hi if rule.kind == "row" else rule.member_upper[0]), rule.name.split(".")[1]
    return (symbol if caps.get(symbol) == cap else "", cap)


def most_of(program, rule):
    row = program.A[rule.index] if rule.kind == "row" else np.eye(program.n)[rule.members[0]]
    return most(program, row)


def check_long_only(seed):
    """Every rule on a sum is flagged exactly if nothing brings it to its limit."""
    policy = random_policy(np.random.default_rng(seed))
    shorts = {f"risk_buckets.buckets.{name}.allow_short": False for name in policy.risk_buckets.buckets}
    policy = linear(policy.override(shorts))
    if policy.bypassed:
        return 0
    universe = Universe.of(policy, SYMBOLS)
    n = len(universe.positions)
    program = RuleBook(policy, universe.positions).program(Inputs(np.ones(n), np.zeros(n)))
    found = list(idle_rules(universe))
    unfillable = {finding.rules[0] for finding in found if finding.code == "unfillable-budget"}
    idle = flagged(universe)
    count = 0
    for rule in program.rules:
        plain = rule.kind == "row" and np.isfinite(rule.hi) and rule.name not in unfillable
        if not plain or rule.name.startswith("symbol.") or (rule.hi == 1.0 and not rule.name.startswith("custom.")):
            continue
        reach = most(program, program.A[rule.index])
        if abs(reach - (rule.hi - TIE)) < 1e-9:
            continue
        assert (rule.name in idle) == (reach < rule.hi - TIE), (rule.name, reach, rule.hi)
        count += rule.name in idle
    own = policy.barbell.symbol_caps
    for line in {
        line for line in (line_of(rule, own) for rule in program.rules) if line is not None and line[1] != 1.0
    }:
        caps = [rule for rule in program.rules if line_of(rule, own) == line]
        assert any(rule.name in idle for rule in caps) == all(most_of(program, rule) < line[1] - TIE for rule in caps)
    return count


@pytest.mark.parametrize("seed", range(40))
def test_a_rule_is_flagged_exactly_if_nothing_brings_it_to_its_limit(seed):
    check_long_only(seed)


@pytest.mark.fuzz
def test_rules_of_many_policies():
    counts = [check_long_only(seed) for seed in range(1000, 1600)]
    print(sum(counts), "rules flagged in", len(counts), "policies")
    assert sum(counts) > 300


def proof_holds(region, limit, finding):
    """Whether the weights on other rules keep a sum below its limit; −1e-9 for the sums of a solver."""
    bounds = {}
    for other in region.limits:
        if other.hard and other.name in finding.multipliers and other.name != limit.name:
            bounds.setdefault(other.name, []).append(other)
    cover = np.zeros(len(limit.row))
    total = 0.0
    for name, y in finding.multipliers.items():
        rows = bounds[name]
        cover += y * np.max([row.row for row in rows], axis=0)
        total += y * max(row.bound for row in rows)
    return (cover >= limit.row - 1e-9).all() and total < limit.bound - 0.5 * TIE


@pytest.mark.parametrize("seed", range(40))
def test_its_multipliers_prove_it(seed):
    policy = random_policy(np.random.default_rng(seed))
    if policy.bypassed:
        return
    universe = Universe.of(policy, SYMBOLS)
    region = Region(policy, universe.positions)
    cap = policy.execution.turnover.max
    limits = [*region.limits, Limit("turnover.max", "", np.ones(len(region.position)), cap, True, False)]
    for name, finding in flagged(universe).items():
        own = [limit for limit in limits if limit.name == name]
        assert any(proof_holds(region, limit, finding) for limit in own), str(finding)


@pytest.mark.parametrize("seed", range(60))
def test_no_solve_brings_a_flagged_rule_to_its_limit(seed):
    case = random_case(seed)
    if case.policy.bypassed:
        return
    symbols = sorted(set(case.relative.index.get_level_values("symbol")))
    idle = flagged(Universe.of(case.policy, symbols))
    rules = pmx.solve(case.policy, case.relative, **case.arguments).rules
    for name in rules.index.intersection(list(idle)):
        if " (at least " not in idle[name].message:  # the slack is that of the nearer side
            assert rules.loc[name, "slack"] > 0.5 * TIE, name
            assert not rules.loc[name, "binding"]


def test_a_tie_is_no_fault():
    policy = pmx.load_policy()
    assert policy.risk_buckets.buckets["ts_core"].max_nav_frac == policy.barbell.risk_bucket.max_weight
    assert "bucket.ts_core.max" not in flagged(Universe.of(policy))


def test_a_shadowed_rule_names_the_tighter_one_and_where_it_stands():
    policy = pmx.load_policy().override({"risk_buckets.buckets.ts_core.max_nav_frac": 0.4})
    finding = flagged(Universe.of(policy))["bucket.ts_core.max"]
    assert finding.code == "shadowed-rule"
    assert finding.rules == ("bucket.ts_core.max", "barbell.risk.cap")
    assert f"barbell.risk.cap ({policy.source('barbell.risk_bucket.max_weight')}) keeps it to 0.25" in finding.message
    assert finding.multipliers == {"barbell.risk.cap": 1.0}


def test_a_cap_of_all_positions_is_flagged_only_if_it_binds_on_none():
    policy = pmx.load_policy()
    eem = policy.override({"barbell.market_caps.em": 0.02, "risk_buckets.buckets.em_risk.max_nav_frac": 0.02})
    assert "symbol.EEM.cap" not in flagged(Universe.of(eem))


def test_turnover_never_binds_where_less_can_be_held():
    policy = pmx.load_policy().override({"execution.turnover.max": 0.9, "risk_buckets.portfolio.cash_min": 0.2})
    finding = flagged(Universe.of(policy))["turnover.max"]
    assert finding.rules == ("turnover.max", "cash.min")
    assert "no more than 0.8 can be held" in finding.message
