"""The verdict on feasibility, against really solving: every corner is refused, and nothing more ordinary is."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from zoo.policies import position_series

import pmx
from pmx import InfeasibleError
from pmx.linting import Corner, check_policy
from pmx.linting.corners import clash_at, clashes, scale_box, turnover
from pmx.linting.region import Region, linear
from pmx.linting.universe import Universe
from pmx.policy import Policy

SYMBOLS = ["A", "B", "C", "D", "T1", "T2"]


def fraction(rng, low, high):
    return float(round(rng.uniform(low, high), 2))


def demanding_policy(rng):
    """A small policy with hard rules that rule all cash out, over a few symbols, some of which may be short."""
    role = {"safe": "safe", "core": "risk", "side": "risk"}
    symbols = {"safe": ["T*"], "core": [], "side": ["C", "D"]}
    buckets, scalers = {}, {}
    for name in role:
        high = fraction(rng, 0.2, 1.0)
        base = fraction(rng, 0.05, high)
        low = fraction(rng, 0.0, base) if rng.random() < 0.3 and name != "safe" else 0.0
        buckets[name] = {
            "role": role[name], "base_nav_frac": base, "min_nav_frac": low, "max_nav_frac": high,
            "symbols": symbols[name], "allow_short": bool(name != "safe" and rng.random() < 0.5),
        }  # fmt: skip
        if rng.random() < 0.6:
            scalers[name] = {"target_vol": 0.1, "min_scale": fraction(rng, 0.0, 1.2), "max_scale": 1.3}
    custom = {}
    for i in range(int(rng.integers(1, 4))):
        where = {
            "symbols": {s: float(rng.choice([1.0, 1.0, -1.0, 0.5])) for s in SYMBOLS if rng.random() < 0.4},
            "buckets": {b: float(rng.choice([1.0, -1.0])) for b in role if rng.random() < 0.3},
        }
        if not any(where.values()):
            where["symbols"] = {"A": 1.0}
        side = {"min": fraction(rng, 0.01, 0.2)} if rng.random() < 0.7 else {"max": -fraction(rng, 0.01, 0.1)}
        custom[f"own{i}"] = where | side | {"exposure": str(rng.choice(["net", "gross"]))}
        if rng.random() < 0.2:
            custom[f"own{i}"] |= {
                "hard": False,
                "rank": int(rng.integers(1, 3)),
                "max_violation": fraction(rng, 0, 0.05),
            }
    return Policy.from_mapping({
        "risk_buckets": {
            "buckets": buckets, "custom_rules": custom,
            "portfolio": {"gross_max": fraction(rng, 0.3, 1.5), "cash_min": fraction(rng, 0.0, 0.2)},
        },
        "barbell": {
            "safe_bucket": {"min_weight": fraction(rng, 0.0, 0.7), "max_weight": None, "symbols": ["T1", "T2"],
                            "max_per_position": fraction(rng, 0.1, 0.6)},
            "risk_bucket": {"max_weight": fraction(rng, 0.1, 0.8), "max_per_position": fraction(rng, 0.05, 0.5)},
            "markets": {"m": ["A", "C"]}, "market_caps": {"m": fraction(rng, 0.05, 0.5)},
        },
        "risk_scaler": {"buckets": scalers},
    })  # fmt: skip


def really_solved(policy, positions, corner):
    """Return whether a real solve in this state has an answer."""
    wish = position_series({position: corner.relative.get(position, 0.0) for position in positions})
    held = position_series(dict(corner.held)) if corner.held else None
    try:
        allocation = pmx.Projector(policy, positions).solve(
            wish, risk_scale=dict(corner.scales), gated=dict(corner.gates), previous=held
        )
    except InfeasibleError:
        return False
    assert allocation.certificate.accepted
    return True


def random_state(rng, policy, positions, gated=False):
    """Any scales in the box, any signals or none, shorts where they are allowed."""
    buckets = policy.risk_buckets.buckets
    box = scale_box(policy)
    scales = {b: float(rng.choice([low, high, rng.uniform(low, high)])) for b, (low, high) in box.items()}
    size = {p: float(rng.exponential()) * (rng.random() < 0.8) for p in positions}
    fill = {b: float(rng.choice([0.0, 1.0, rng.random()])) / (1e-9 + sum(size[p] for p in positions if p[0] == b))
            for b in buckets}  # fmt: skip
    relative = {
        p: size[p] * fill[p[0]] * (-1.0 if buckets[p[0]].allow_short and rng.random() < 0.5 else 1.0) for p in positions
    }
    gates = {s: str(rng.choice(["exit", "reduce_only"])) for s in SYMBOLS if gated and rng.random() < 0.5}
    return Corner(scales, relative, gates)


def check_one(seed, states=3):
    rng = np.random.default_rng(seed)
    policy = demanding_policy(rng)
    universe = Universe.of(policy, SYMBOLS)
    positions = list(universe.positions)
    found = list(clashes(universe))
    demands = Region(policy, positions).demands
    assert demands <= {rule for finding in found for rule in finding.rules}  # a gate breaks each of them
    for finding in found:
        assert not really_solved(policy, positions, finding.corner)
        assert finding.source == "python"
        assert all(limit.multiplier > Fraction(0) for limit in finding.proof)
    ordinary = [finding for finding in found if finding.code == "infeasible-corner"]
    broken = demands & {rule for finding in ordinary for rule in finding.rules}
    rest = linear(policy, broken)
    for _ in range(states):
        assert really_solved(rest, positions, random_state(rng, policy, positions))
    nothing = linear(policy, demands)
    for _ in range(states):
        assert really_solved(nothing, positions, random_state(rng, policy, positions, gated=True))
    return [finding.code for finding in found], bool([f for f in ordinary if "short" in str(f.corner)])


@pytest.mark.parametrize("seed", [*range(20), 33, 66, 94, 99, 117])
def test_corners_are_refused_and_nothing_more_ordinary_is(seed):
    check_one(seed)


@pytest.mark.fuzz
def test_corners_of_many_policies():
    codes, shorts = [], 0
    for seed in range(1000, 2000):
        found, short = check_one(seed)
        codes += found
        shorts += short
    counts = {code: codes.count(code) for code in set(codes)}
    print(counts, "with short signals:", shorts)
    assert min(counts.values()) > 500
    assert shorts > 50


def sides_by_brute_force(policy, positions, corner):
    """Whether some choice of sides makes a state infeasible, by trying every one."""
    free = [p for p in positions if policy.risk_buckets.buckets[p[0]].allow_short and corner.relative[p] != 0.0]
    for sides in itertools.product((1.0, -1.0), repeat=len(free)):
        relative = dict(corner.relative) | {p: s * abs(corner.relative[p]) for p, s in zip(free, sides, strict=True)}
        if clash_at(policy, positions, replace(corner, relative=relative)) is not None:
            return True
    return False


@pytest.mark.parametrize("seed", [33, 39, 66, 94, 99, 110])
def test_the_worst_sides_are_those_of_trying_all(seed):
    policy = demanding_policy(np.random.default_rng(seed))
    universe = Universe.of(policy, SYMBOLS)
    positions = list(universe.positions)
    found = [finding for finding in clashes(universe) if finding.code == "infeasible-corner"]
    assert any("short signals" in str(finding.corner) for finding in found)
    broken = {rule for finding in found for rule in finding.rules}
    rest = linear(policy, broken)
    least = {bucket: low for bucket, (low, _) in scale_box(policy).items() if low < 1.0}
    full = {p: 1.0 / len([q for q in positions if q[0] == p[0]]) for p in positions}
    for scales, quiet in (({}, ()), (least, ()), (least, least)):
        relative = {p: 0.0 if p[0] in quiet else r for p, r in full.items()}
        assert not sides_by_brute_force(rest, positions, Corner(scales, relative))


def test_without_demands_every_state_is_feasible():
    check = check_policy(pmx.load_policy(), SYMBOLS)
    assert check.infeasible == ()
    assert check.scales["ts_core"] == (0.25, 1.25)
    assert set(check.symbols) > set(SYMBOLS)


def test_a_gate_corner_can_spare_none_of_its_gates():
    policy = pmx.load_policy().override({"risk_buckets.custom_rules": {"own": {"buckets": {"safe": 1.0}, "min": 0.6}}})
    universe = Universe.of(policy)
    (finding,) = clashes(universe)
    assert finding.code == "infeasible-when-gated"
    assert len(finding.corner.gates) == 2  # of three bills, 50 % at most each
    assert clash_at(policy, universe.positions, finding.corner) is not None
    for spared in finding.corner.gates:
        gates = {symbol: mode for symbol, mode in finding.corner.gates.items() if symbol != spared}
        assert clash_at(policy, universe.positions, replace(finding.corner, gates=gates)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"risk_buckets.custom_rules.own": {"symbols": {"SP500": 1.0}, "min": 0.3}}, "let it give way (hard: false)"),
        (
            {"risk_buckets.custom_rules.own": {
                "symbols": {"SP500": 1.0}, "min": 0.3, "hard": False, "rank": 1, "max_violation": 0.1
            }},
            "raise its max_violation",
        ),
        (
            {"barbell.safe_bucket.max_weight_rank": 1, "barbell.safe_bucket.max_weight_max_violation": 0.02},
            "raise its max_weight_max_violation",
        ),
        (
            {"execution.turnover": {"max": 0.1, "hard": False, "rank": 1, "max_violation": 0.01}},
            "raise its max_violation",
        ),
        (
            {"execution.liquidity": {"participation": 0.1, "hard": False, "rank": 1, "max_violation": 0.01}},
            "remove its rank and max_violation",
        ),
    ],
)  # fmt: skip
def test_a_remedy_is_one_that_the_rule_still_has(changes, words):
    check = check_policy(pmx.load_policy().override(changes))
    remedies = [f.remedy for f in check.findings if f.code.startswith("infeasible") or f.code == "hard-liquidity"]
    assert remedies
    assert all(words in remedy for remedy in remedies)
    assert all(("hard: false" in remedy) == ("hard: false" in words) for remedy in remedies)


def test_the_corner_names_no_more_than_what_clashes():
    rule = {"buckets": {"ts_core": 1.0}, "min": 0.1}
    (finding,) = clashes(Universe.of(pmx.load_policy().override({"risk_buckets.custom_rules": {"own": rule}})))
    assert finding.rules == ("clamp.ts_core", "custom.own")
    assert finding.corner.scales == {"ts_core": 0.25}
    assert finding.relaxation == pytest.approx({"custom.own": 0.0625})
    assert str(finding.corner) == "risk scales ts_core 0.25"


@pytest.mark.parametrize("shorts", [False, True])
@pytest.mark.parametrize("cap", [0.2, 0.35, 0.45])
def test_a_hard_turnover_is_safe_from_half_of_what_can_be_held_on(shorts, cap):
    changes = {
        "execution.turnover": {"max": cap, "hard": True},
        "risk_buckets.portfolio.gross_max": 0.8,
        "risk_buckets.buckets.ts_core.allow_short": shorts,
    }
    policy = pmx.load_policy().override(changes)
    universe = Universe.of(policy, SYMBOLS)
    found = list(turnover(universe))
    assert len(found) == (cap < 0.4)
    for finding in found:
        assert sum(map(abs, finding.corner.held.values())) == pytest.approx(0.8)
        assert not really_solved(policy, list(universe.positions), finding.corner)


def test_safe_minima_that_add_up_to_all_of_nav_but_for_rounding_are_no_clash():
    buckets = {name: {"role": "safe", "base_nav_frac": share, "min_nav_frac": share} for name, share in
               {"a": 0.1, "b": 0.2, "c": 0.7 + 5e-10}.items()}  # fmt: skip
    policy = Policy.from_mapping(
        {"risk_buckets": {"buckets": buckets}, "barbell": {"safe_bucket": {"max_weight": None}}}
    )
    assert policy.safe_floor > 1.0
    check = check_policy(policy, ["A", "B"])
    assert check.infeasible == ()
    assert {finding.code for finding in check.warnings} <= {"shadowed-rule", "safe-admits-all"}


@pytest.mark.parametrize(("further", "safe"), [(0.1, False), (0.2, True), (None, True)])
def test_a_turnover_that_may_only_give_way_so_far_is_hard_from_there_on(further, safe):
    limit = {"max": 0.2, "rank": 1, "max_violation": further}
    policy = pmx.load_policy().override({"execution.turnover": limit, "risk_buckets.portfolio.gross_max": 0.8})
    universe = Universe.of(policy, SYMBOLS)
    found = list(turnover(universe))
    assert (found == []) == safe
    for finding in found:
        assert not really_solved(policy, list(universe.positions), finding.corner)


@pytest.mark.parametrize("least", [0.02, 0.05])
def test_a_hard_turnover_is_found_beside_a_minimum_that_the_same_gates_defeat(least):
    rule = {"own": {"symbols": {"SP500": 1.0}, "min": least}}
    changes = {"execution.turnover": {"max": 0.3, "hard": True}, "risk_buckets.custom_rules": rule}
    policy = pmx.load_policy().override(changes)
    check = check_policy(policy)
    assert [finding.code for finding in check.errors] == ["infeasible-corner", "infeasible-turnover"]
    clash = check.errors[1]
    assert "turnover.max" in clash.rules
    assert "custom.own" not in clash.rules
    assert not really_solved(policy, list(Universe.of(policy).positions), clash.corner)


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e-9, 1e-11])
def test_a_minimum_is_judged_in_units_of_its_coefficients(unit):
    def found(least):
        rule = {"own": {"symbols": {"SP500": unit}, "min": least * unit}}
        policy = pmx.load_policy().override({"risk_buckets.custom_rules": rule})
        return policy, check_policy(policy).errors

    assert found(1e-12)[1] == ()
    policy, (clash,) = found(0.9)
    assert clash.rules == ("custom.own", "symbol.SP500.cap")
    assert not really_solved(policy, list(Universe.of(policy).positions), clash.corner)
