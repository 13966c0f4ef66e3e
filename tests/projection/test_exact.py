"""The rational simplex method: exactly one of a point and a proof, whichever it is, and it can be checked by hand."""

from fractions import Fraction

import numpy as np
import pytest

from pmx.projection import exact
from pmx.projection.exact import decide


def fractions(values):
    return [None if not np.isfinite(v) else Fraction(float(v)) for v in values]


def random_system(seed):
    """A system that holds at a point, touches it in many rows, or misses it by a little or a lot."""
    rng = np.random.default_rng([seed, 3])
    K, n = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    A = rng.choice([0.0, 1.0, 1.0, -1.0, 2.0], (K, n))
    A *= 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 1.0, (K, n))
    lower = np.where(rng.random(n) < 0.9, 0.0, -np.inf)
    upper = np.where(rng.random(n) < 0.7, 1.0, np.inf)
    value = A @ rng.integers(0, 2, n)
    room = rng.choice([0.0, 0.0, 1e-7, 0.5, -1e-7, -0.5], K, p=[0.3, 0.2, 0.1, 0.2, 0.1, 0.1])
    hi = np.where(rng.random(K) < 0.7, value + room, np.inf)
    lo = np.where(rng.random(K) < 0.5, np.minimum(value - room, hi), -np.inf)
    return A, fractions(lo), fractions(hi), fractions(lower), fractions(upper)


def check(A, lo, hi, lower, upper, answer):
    """Whether the answer is a point is returned; that it is right is asserted."""
    assert (answer.point is None) != (answer.multipliers is None)
    rows = [[Fraction(a) for a in row] for row in A.tolist()]
    if answer.point is not None:
        values = [sum(a * s for a, s in zip(row, answer.point, strict=True)) for row in rows]
        for value, low, high in zip([*values, *answer.point], [*lo, *lower], [*hi, *upper], strict=True):
            assert low is None or value >= low
            assert high is None or value <= high
        return True
    y = answer.multipliers
    least = -sum(m * (high if m > 0 else low) for m, low, high in zip(y, lo, hi, strict=True) if m)
    for column, low, high in zip(zip(*rows, strict=True), lower, upper, strict=True):
        slope = sum(a * m for a, m in zip(column, y, strict=True))
        least += slope * (low if slope > 0 else high) if slope else 0
    assert least > 0
    return False


@pytest.mark.parametrize("patience", [2, 0], ids=["largest first", "in order"])
def test_the_answer_is_a_point_or_a_proof(patience, monkeypatch):
    monkeypatch.setattr(exact, "PATIENCE", patience)
    feasible = 0
    for seed in range(400):
        A, *limits = random_system(seed)
        rows = [[Fraction(a) for a in row] for row in A.tolist()]
        answers = [decide(rows, *limits), decide(rows, *limits, [Fraction(1, 3)] * A.shape[1])]
        verdicts = {check(A, *limits, answer) for answer in answers}
        assert len(verdicts) == 1, seed
        feasible += verdicts.pop()
    assert 100 < feasible < 300


def test_what_floats_cannot_tell_apart():
    one, tiny = Fraction(1), Fraction(1, 10**30)
    box = [Fraction(0)], [one]
    assert decide([[one]], [one], [None], *box).point == [one]
    assert decide([[one]], [one + tiny], [None], *box).multipliers == [-1]


def test_no_rows_and_no_variables():
    assert decide([], [], [], [Fraction(0)], [None]).point == [0]
    assert decide([[]], [Fraction(0)], [None], [], []).point == []
    assert decide([[]], [Fraction(1)], [None], [], []).multipliers == [-1]
