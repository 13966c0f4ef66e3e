"""The proven distance: nothing at a planted optimum, and never less than the true one."""

import json
from fractions import Fraction

import numpy as np
import pytest
from zoo.planted import planted

from pmx.projection import certify
from pmx.projection.records import program_record
from pmx.verify.exact import HALF, ROUND_OFF, ZERO, dot, norm_above, root_above, rounded_down, shown, summing, total
from pmx.verify.field import Field
from pmx.verify.linear import Map, Sum
from pmx.verify.optimality import bounds, objective, wrong_prices
from pmx.verify.reading import read_program
from pmx.verify.record import Answer

KINDS = [
    {},
    {"degenerate": True},
    {"scale": 1e3},
    {"soft": True},
    {"trades": "cost"},
    {"trades": "hard", "floors": True},
    {"trades": "soft given way", "soft": True},
    {"cone": True},
    {"cone": True, "floors": True, "trades": "soft", "soft": True},
]


def exact(values):
    return tuple(Fraction(float(value)) for value in values)


def exactly(program, point):
    """Return a program and point as the verifier reads them."""
    field = Field(json.loads(json.dumps(program_record(program))))
    cones = tuple(exact(z) for z in point.cones)
    answer = Answer(exact(point.u), exact(point.rows), Fraction(float(point.turnover)), cones, ())
    return read_program(field, program.n), answer


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_a_planted_optimum_is_proven(kind, seed):
    problem = planted(seed, **kind)
    p, answer = exactly(problem.program, problem.point)
    assert [*wrong_prices(p, answer)] == []
    _, within = bounds(p, answer)
    assert within.gap >= 0
    assert float(within.distance) <= 1e-7
    assert float(within.moved) <= 1e-11


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_no_distance_is_understated(kind, seed):
    """Points in between the optimum and the middle of what the rules allow, with prices that are not the best."""
    problem = planted(seed, **kind)
    program, best = problem.program, problem.point
    rng = np.random.default_rng(seed)
    for step in (1e-6, 1e-3, 0.1):
        u = np.clip(best.u + step * rng.normal(size=program.n), program.lower, program.upper)
        rows = best.rows * rng.uniform(0.0, 1.0, len(best.rows))
        p, answer = exactly(program, type(best)(u=u, rows=rows, turnover=best.turnover, cones=best.cones))
        written, within = bounds(p, answer)
        assert written.gap >= 0
        assert within.gap >= 0
        if written.moved == 0:  # it obeys every rule, so that the distance is to the optimum of the program itself
            assert float(written.distance) >= np.linalg.norm(u - best.u) - 1e-9
        # The same figure as the certificate's, which knows rounding only.
        stated = certify(program, type(best)(u=u, rows=rows, turnover=best.turnover, cones=best.cones), "somebody")
        assert float(within.distance) <= stated.distance_bound * (1.0 + 1e-6) + 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_the_dual_value_bounds_the_objective_of_every_point_that_obeys(seed):
    """Weak duality itself: objective − gap never lies above the objective of any feasible point."""
    problem = planted(seed, soft=True, trades="soft", floors=True)
    p, answer = exactly(problem.program, problem.point)
    rng = np.random.default_rng(seed)
    other = Answer(
        answer.u, tuple(y * Fraction(float(rng.uniform())) for y in answer.rows), answer.turnover / 2, (), ()
    )
    below = objective(p, answer.u) - bounds(p, other)[0].gap
    for _ in range(20):
        u = np.clip(
            problem.point.u + 0.02 * rng.normal(size=problem.program.n), problem.program.lower, problem.program.upper
        )
        value = problem.program.A @ u
        hard = np.isinf(problem.program.penalty)
        if (value[hard] <= problem.program.hi[hard]).all() and (value[hard] >= problem.program.lo[hard]).all():
            assert objective(p, exact(u)) >= below


def test_wrong_prices_prove_nothing():
    problem = planted(1, soft=True, cone=True, trades="soft")
    program, point = problem.program, problem.point
    for rows, turnover, cones in (
        (-point.rows, point.turnover, point.cones),
        (point.rows * 1e6, point.turnover, point.cones),
        (point.rows, -1.0, point.cones),
        (point.rows, 1e6, point.cones),
        (point.rows, point.turnover, (point.cones[0] * np.array([0.5, 1, 1, 1, 1]),)),
        (point.rows, point.turnover, (-point.cones[0],)),
    ):
        p, answer = exactly(program, type(point)(u=point.u, rows=rows, turnover=turnover, cones=cones))
        assert [*wrong_prices(p, answer)]


# -- exact arithmetic ------------------------------------------------------------------------------------------------


def test_sums_are_exact_whatever_the_denominators():
    rng = np.random.default_rng(0)
    for _ in range(200):
        xs = [Fraction(float(x)) for x in rng.normal(size=7) * 10.0 ** rng.uniform(-30, 30, 7)]
        ys = [Fraction(int(n), int(d)) for n, d in zip(rng.integers(-9, 9, 7), rng.integers(1, 9, 7), strict=True)]
        assert total(xs) == sum(xs)
        assert total([*xs, *ys]) == sum([*xs, *ys])
        assert dot(xs, ys) == sum(x * y for x, y in zip(xs, ys, strict=True))
    assert total([]) == 0 == dot([], [])


def test_roots_and_roundings_are_on_the_safe_side():
    rng = np.random.default_rng(1)
    for exponent in rng.uniform(-600, 600, 200):
        x = Fraction(float(rng.uniform(1, 2))) * Fraction(2) ** int(exponent)
        root = root_above(x)
        assert x <= root * root <= x * (1 + Fraction(1, 2**100))
        assert 0 <= x / 3 - rounded_down(x / 3) < Fraction(1, 2**255)
        assert rounded_down(-x) <= -x
    assert root_above(ZERO) == 0
    assert norm_above((Fraction(3), Fraction(4))) - 5 < Fraction(1, 2**100)
    assert shown(Fraction(10) ** 400).startswith("more than")
    assert HALF + HALF == 1


def test_doubles_stay_within_the_rounding_that_is_allowed_them():
    rng = np.random.default_rng(2)
    for _ in range(200):
        n = int(rng.integers(1, 300))
        a, x = rng.normal(size=n) * 10.0 ** rng.uniform(-3, 3, n), rng.normal(size=n)
        products = [Fraction(float(p)) * Fraction(float(q)) for p, q in zip(a, x, strict=True)]
        allowed = summing(n, [abs(product) for product in products])
        for order in (np.arange(n), rng.permutation(n)):
            one_by_one = 0.0
            for j in order:
                one_by_one += float(a[j] * x[j])
            assert abs(Fraction(one_by_one) - sum(products)) <= allowed
        assert abs(Fraction(float(a @ x)) - sum(products)) <= allowed
    assert Fraction(2) ** -53 == ROUND_OFF


def test_what_is_remembered_is_of_the_same_numbers():
    s, m = Sum((0, 2), exact([1.0, 0.5])), Map((exact([1.0, 2.0]),), (exact([3.0]),))
    first, second = exact([1.0, 5.0, 2.0]), exact([2.0, 5.0, 4.0])
    assert [s.value(u) for u in (first, first, second, first)] == [2, 2, 4, 2]
    assert [s.size(u) for u in (first, second)] == [2, 4]
    assert s.unit == 1
    x, y, a = exact([1.0, -1.0]), exact([0.0, 1.0]), exact([2.0])
    assert [m.value(u, a) for u in (x, y, x)] == [(5,), (8,), (5,)]
    assert m.sizes(x, a) == (9,)
    assert [m.pull(z) for z in (exact([1.0]), exact([2.0]))] == [(1, 2), (2, 4)]
    assert m.left(exact([2.0])) == (6,)
