"""The verdict on programs at the edges: of rounding, of what may be overrun, of boxes without a lid, of size."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from pmx.projection import Program, RuleRecord
from pmx.projection.farkas import least_excess
from pmx.projection.feasibility import CLASH, contradiction, hard_part, only


def program(A, lo, hi, *, upper=np.inf, previous=0.0, turnover=np.inf, soft=()):
    """A program whose rows and bounds are rules of their own: row.k, then bound.j."""
    A = np.array(A, dtype=np.float64)
    K, n = A.shape
    upper = np.broadcast_to(np.asarray(upper, dtype=np.float64), n).copy()
    rows = [RuleRecord(f"row.{k}", "test", k not in soft, "row", index=k, lo=lo[k], hi=hi[k]) for k in range(K)]
    bounds = [
        RuleRecord(f"bound.{j}", "test", True, "bound", members=np.array([j]), member_upper=upper[[j]],
                   member_lower=np.array([-np.inf]))
        for j in range(n)
    ]  # fmt: skip
    none = np.full(n, -1, dtype=np.intp)
    return Program(
        sign=np.ones(n),
        target=np.zeros(n),
        distance=np.ones(n),
        previous=np.broadcast_to(np.asarray(previous, dtype=np.float64), n).copy(),
        cost=np.zeros(n),
        lower=np.zeros(n),
        upper=upper,
        lower_owner=none,
        upper_owner=K + np.arange(n),
        floor=np.full(n, -np.inf),
        floor_penalty=np.zeros(n),
        floor_owner=none,
        A=A,
        lo=np.array(lo, dtype=np.float64),
        hi=np.array(hi, dtype=np.float64),
        lo_owner=np.arange(K),
        hi_owner=np.arange(K),
        penalty=np.array([1.0 if k in soft else np.inf for k in range(K)]),
        turnover_max=turnover,
        turnover_penalty=np.inf,
        cones=(),
        rules=(*rows, *bounds, RuleRecord("turnover.max", "test", True, "turnover", hi=turnover)),
    )


def named(program, proof):
    return {program.rules[w.rule].name: w.multiplier for w in proof}


@pytest.mark.parametrize("scale", [1.0, 1e-8, 0.3, 1e5])
def test_the_line_is_where_an_answer_would_be_refused(scale):
    """A limit may be overrun by 1e-9 in units of the row: of its largest coefficient, at most 1."""
    unit = min(scale, 1.0)
    for gap, clash in ((1.5 * CLASH, False), (2.5 * CLASH, True)):
        # Two rows share the gap between them.
        p = program([[scale, scale], [scale, scale]], [0.5 * scale + gap * unit, -np.inf], [np.inf, 0.5 * scale])
        assert (contradiction(p) is not None) == clash, gap


@pytest.mark.parametrize("n", [1, 4])
def test_the_line_of_bounds_is_drawn_for_all_of_them_together(n):
    p = program(np.zeros((0, n)), [], [], upper=0.2)
    for gap, clash in ((1.5 * CLASH / n, False), (2.5 * CLASH / n, True)):
        floored = replace(p, lower=np.full(n, 0.2 + gap), lower_owner=np.arange(n))
        assert (contradiction(floored) is not None) == clash, gap


def test_what_must_cancel_exactly_does():
    """Positions have no upper bound, so multipliers that are rounded would prove nothing."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        n = int(rng.integers(2, 30))
        row = rng.uniform(0.1, 1.0, n)
        other = row * 3.0
        p = program([row, other], [0.7, -np.inf], [np.inf, 2.1 - 1e-6])
        proof = contradiction(p)
        assert proof is not None
        assert least_excess(p, proof) > 0
        assert {w.row for w in proof} == {0, 1}


def test_a_row_may_contradict_itself():
    p = program([[1.0, 1.0]], [0.3], [0.2])
    assert named(p, contradiction(p)) == {"row.0": 1}
    assert {w.side for w in contradiction(p)} == {"min", "max"}


def test_a_row_that_meets_nothing_may_still_ask():
    p = program([[0.0, 0.0]], [0.1], [np.inf])
    assert named(p, contradiction(p)) == {"row.0": 1}


def test_soft_rules_clash_with_nothing():
    p = program([[1.0, 1.0], [1.0, 0.0]], [0.3, -np.inf], [np.inf, 0.1], upper=[np.inf, 0.1], soft=(0,))
    assert contradiction(p) is None
    assert contradiction(replace(p, penalty=np.full(2, np.inf))) is not None
    assert np.isneginf(hard_part(p).lo).all()


def test_turnover_is_exact_though_positions_stand_apart():
    """Both are held above their caps, and leaving takes 0.5 · (0.2 + 0.1 + 0.05) with what must be bought."""
    asked = {"upper": [0.1, 0.2, 1.0], "previous": [0.3, 0.3, 0.0]}
    rows = [[0.0, 0.0, 1.0]], [0.05], [np.inf]
    assert contradiction(program(*rows, **asked, turnover=0.175)) is None
    p = program(*rows, **asked, turnover=0.175 - 1e-7)
    proof = contradiction(p)
    half = Fraction(1, 2)
    assert named(p, proof) == {"turnover.max": 1, "bound.0": half, "bound.1": half, "row.0": half}
    assert least_excess(p, proof) == pytest.approx(1e-7)


def test_without_a_rule_the_sign_of_a_position_stays():
    p = program([[1.0, -1.0], [1.0, 0.0]], [-np.inf, 0.2], [0.1, np.inf], upper=[np.inf, 0.05])
    assert contradiction(p) is not None
    assert contradiction(only(p, [0, 1])) is None
    p = replace(p, lower=np.array([0.0, 0.2]), lower_owner=np.array([-1, 3]), upper=np.full(2, np.inf))
    assert only(p, [0, 1]).lower.tolist() == [0.0, 0.0]


def test_thousands_of_positions_are_a_few_sums():
    n = 20_000
    p = program(np.ones((2, n)), [0.6, -np.inf], [np.inf, 0.5], upper=1.0)
    assert named(p, contradiction(p)) == {"row.0": 1, "row.1": 1}
    assert contradiction(replace(p, hi=np.array([np.inf, 0.6]))) is None


def test_ten_thousand_small_caps_are_told_from_a_demand_that_they_just_miss():
    """Each cap may not be overrun by 1e-9: together that would be 1e-5."""
    n = 10_000
    p = program(np.ones((1, n)), [0.5 + 1e-7], [np.inf], upper=0.5 / n)
    proof = contradiction(p)
    assert proof is not None
    assert len(proof) == n + 1
    assert contradiction(replace(p, lo=np.array([0.5]))) is None
