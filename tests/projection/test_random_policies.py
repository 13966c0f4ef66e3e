"""Random policies and wishes: the answer obeys every hard rule in exact arithmetic and is proven optimal."""

import math
from collections import Counter

import pytest
from zoo.policies import exact_violation, random_case

import pmx

CHUNK = 200


def check(seed: int, *, volatility: bool) -> str:
    case = random_case(seed, volatility=volatility)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments, engine="cvxpy")
    worst, rule = exact_violation(case, allocation.positions)
    assert float(worst) <= 1e-9, (seed, float(worst), rule)
    assert allocation.certificate.primal_residual <= 1e-9, seed
    assert allocation.certificate.distance_bound <= (1e-5 if volatility else 1e-6), (seed, allocation.certificate)
    assert abs(float(allocation.weights.sum()) - 1.0) <= 1e-12, seed
    moves = allocation.attribution.drop(columns="weight").to_numpy()
    largest = max(1.0, float(abs(moves).max(initial=0.0)))  # forces that oppose each other may be large
    for row, weight in zip(moves, allocation.positions, strict=True):
        assert abs(math.fsum(row) - weight) <= 1e-15 * largest, seed
    return allocation.certificate.note.split(":")[0]


@pytest.mark.parametrize("chunk", [0, 1, *(pytest.param(k, marks=pytest.mark.fuzz) for k in range(2, 9))])
def test_linear_rules(chunk):
    notes = Counter(check(seed, volatility=False) for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK))
    assert notes["polished"] >= 0.98 * CHUNK, notes


@pytest.mark.parametrize("seeds", [range(50), pytest.param(range(50, 200), marks=pytest.mark.fuzz)])
def test_volatility_cap(seeds):
    for seed in seeds:
        check(seed, volatility=True)


@pytest.mark.fuzz
def test_many_more():
    for seed in range(10_000, 20_000):
        check(seed, volatility=seed % 5 == 0)
