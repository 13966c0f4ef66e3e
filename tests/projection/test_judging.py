"""The certificate's arithmetic refuses what it cannot judge, and allows for its own rounding."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from zoo.planted import planted

from pmx.projection import Point, Program, certify

FIELDS = ("A", "lo", "hi", "target", "distance", "previous", "cost", "lower", "upper", "floor_penalty")


@pytest.mark.parametrize("field", FIELDS)
def test_a_number_that_is_not_one_proves_nothing(field):
    for seed in range(10):
        known = planted(seed, trades="soft", soft=True)
        assert certify(known.program, known.point, "planted").accepted
        values = getattr(known.program, field).copy()
        values.flat[np.random.default_rng(seed).integers(values.size)] = np.nan
        certificate = certify(replace(known.program, **{field: values}), known.point, "spoiled")
        assert not certificate.accepted
        assert certificate.distance_bound == np.inf


def test_a_turnover_cap_that_is_not_a_number_proves_nothing():
    known = planted(1, trades="soft")
    assert not certify(replace(known.program, turnover_max=np.nan), known.point, "spoiled").accepted


def test_a_soft_floor_above_what_is_held_is_refused():
    known = planted(2, floors=True)
    floor = np.where(np.isfinite(known.program.floor), known.program.previous + 0.01, known.program.floor)
    assert not certify(replace(known.program, floor=floor), known.point, "spoiled").accepted


def test_prices_that_cancel_in_rounding_prove_no_more_than_they_can():
    """Two nearly parallel rows with huge opposite prices: the gradient's last places are weights."""
    known = planted(0, n=1, rows=1)
    A = np.array([[1.0], [1.0 + 2.0**-40]])
    price = 2.0**41
    rows = np.array([price, -price * (1.0 - 2.0**-40)])
    pull = sum(Fraction(float(a)) * Fraction(float(y)) for a, y in zip(A[:, 0], rows, strict=True))
    u = 0.1
    program = replace(
        known.program,
        A=A,
        lo=np.array([-np.inf, A[1, 0] * u]),
        hi=np.array([u, np.inf]),
        lo_owner=np.array([-1, 0]),
        hi_owner=np.array([0, -1]),
        penalty=np.full(2, np.inf),
        target=np.array([u + float(pull) + 1e-4]),
        distance=np.ones(1),
        lower=np.zeros(1),
        upper=np.ones(1),
        previous=np.zeros(1),
    )
    best = Fraction(float(program.target[0])) - pull
    certificate = certify(program, Point(u=np.array([u]), rows=rows), "made up")
    assert certificate.distance_bound >= abs(float(best - Fraction(u)))


def test_where_large_prices_meet_rounding_the_note_says_so():
    """A limit missed in the last place of its sum, at a price that would make that a distance."""
    known = planted(3, n=2, rows=1)
    price = 1e5
    target = np.array([0.1, 0.2]) + price
    u = target - price
    program = replace(
        known.program,
        A=np.ones((1, 2)),
        lo=np.array([-np.inf]),
        hi=np.array([float(u.sum()) + 5e-16]),
        lo_owner=np.array([-1]),
        hi_owner=np.array([0]),
        penalty=np.array([np.inf]),
        target=target,
        distance=np.ones(2),
        lower=np.zeros(2),
        upper=np.ones(2),
        previous=np.zeros(2),
    )
    certificate = certify(program, Point(u=u, rows=np.array([price])), "made up")
    assert certificate.accepted
    assert "last place" in certificate.note
    loose = replace(program, hi=program.hi + 1e-12)
    assert not certify(loose, Point(u=u, rows=np.array([price])), "made up").accepted


def test_programs_show_rows_that_cannot_be_written():
    import pmx

    projector = pmx.Projector(pmx.load_policy(), [("ts_core", "A"), ("ml_secondary", "B")])
    before = projector.project(np.array([0.3, 0.2]))
    for rows in (before.program.A, before.linear_rules().A):
        with pytest.raises(ValueError, match="read-only"):
            rows[0] *= 0.5
    assert isinstance(before.program, Program)
    assert projector.project(np.array([0.3, 0.2])).signed.tobytes() == before.signed.tobytes()
