"""Optima known without a solver are found, and the certificate measures the distance to them truthfully."""

from dataclasses import replace

import numpy as np
import pytest
from zoo.planted import planted

from pmx.projection import EngineChain, certify

KINDS = {
    "rows and bounds": {},
    "degenerate": {"degenerate": True},
    "badly scaled": {"scale": 100.0},
    "badly scaled and degenerate": {"scale": 100.0, "degenerate": True},
    "soft rows": {"soft": True},
    "soft and degenerate": {"soft": True, "degenerate": True},
    "trading cost": {"trades": "cost"},
    "hard turnover": {"trades": "hard"},
    "soft turnover": {"trades": "soft", "soft": True},
    "turnover gives way": {"trades": "soft given way"},
    "soft floors": {"floors": True},
    "floors and turnover": {"floors": True, "trades": "soft", "soft": True},
    "volatility cone": {"cone": True},
    "cone, soft rows and turnover": {"cone": True, "soft": True, "trades": "soft"},
    "one position": {"n": 1, "rows": 2},
    "no rows": {"n": 10, "rows": 0},
    "more rules than positions": {"n": 4, "rows": 20, "degenerate": True},
    "hundreds of positions": {"n": 400, "rows": 25},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_planted_point_certifies_itself(kind):
    for seed in range(5):
        known = planted(seed, **KINDS[kind])
        certificate = certify(known.program, known.point, "planted")
        assert certificate.accepted, certificate
        assert certificate.duality_gap <= 1e-13


@pytest.mark.parametrize("engine", ["auto", "cvxpy"])
@pytest.mark.parametrize("kind", KINDS)
def test_planted_optima_are_recovered(kind, engine):
    for seed in range(5):
        known = planted(seed, **KINDS[kind])
        point, certificate = EngineChain(("CLARABEL", "OSQP", "SCS")).solve(known.program, engine)
        error = float(np.linalg.norm(point.u - known.point.u))
        assert error <= 1e-6, (seed, error, certificate)
        assert error <= certificate.distance_bound + 1e-9
        assert certificate.accepted


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_bound_holds_for_wrong_answers(kind):
    """Any feasible point with any admissible duals: the bound must cover the true distance."""
    rng = np.random.default_rng(7)
    for seed in range(5):
        known = planted(seed, **KINDS[kind])
        program, truth = known.program, known.point
        for size in (1e-6, 1e-3, 0.3):
            u = np.clip(truth.u + size * 0.1 * rng.normal(size=program.n), program.lower, program.upper)
            rows = np.clip(
                truth.rows * (1 + size * rng.normal(size=len(truth.rows))), -program.penalty, program.penalty
            )
            rows = np.where(np.sign(rows) == np.sign(truth.rows), rows, 0.0)
            price = float(np.clip(truth.turnover * (1 + size * rng.normal()), 0.0, program.turnover_penalty))
            wrong = replace(truth, u=u, rows=rows, turnover=price)
            certificate = certify(program, wrong, "wrong")
            if certificate.primal_residual <= 1e-12:
                assert certificate.distance_bound >= float(np.linalg.norm(u - truth.u)) * (1 - 1e-9)


def test_a_gap_is_at_least_the_true_gap():
    """Sum of the certificate's terms against objective minus dual value, computed the textbook way."""
    rng = np.random.default_rng(3)
    for seed in range(20):
        known = planted(seed, n=8, rows=4)
        program, truth = known.program, known.point
        u = np.clip(truth.u * (1 - 0.1 * rng.random(8)), program.lower, program.upper)
        y = truth.rows * rng.uniform(0.5, 1.5, 4)
        value = program.A @ u
        if (value > program.hi).any() or (value < program.lo).any():
            continue
        objective = 0.5 * float(program.distance @ (u - program.target) ** 2)
        best = np.clip(program.target - program.A.T @ y / program.distance, program.lower, program.upper)
        limits = np.where(y > 0, program.hi, np.where(y < 0, program.lo, 0.0))
        dual = 0.5 * float(program.distance @ (best - program.target) ** 2) + float(y @ (program.A @ best) - y @ limits)
        certificate = certify(program, replace(truth, u=u, rows=y), "x")
        assert certificate.duality_gap == pytest.approx(objective - dual, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("spoil", ["sign", "penalty", "turnover", "cone", "nan", "absent side"])
def test_inadmissible_duals_prove_nothing(spoil):
    known = planted(1, soft=True, trades="soft", cone=True)
    program, point = known.program, known.point
    if spoil == "sign":
        k = int(np.flatnonzero(np.isinf(program.lo))[0])
        point = replace(point, rows=np.where(np.arange(12) == k, -0.1, point.rows))
    elif spoil == "penalty":
        k = int(np.flatnonzero(np.isfinite(program.penalty))[0])
        point = replace(point, rows=np.where(np.arange(12) == k, program.penalty[k] * 1.1, point.rows))
    elif spoil == "turnover":
        point = replace(point, turnover=-0.1)
    elif spoil == "cone":
        z = point.cones[0].copy()
        z[0] *= 0.9
        point = replace(point, cones=(z,))
    elif spoil == "nan":
        point = replace(point, u=np.where(np.arange(program.n) == 0, np.nan, point.u))
    else:
        program = replace(program, turnover_max=np.inf)
    certificate = certify(program, point, "spoiled")
    assert not certificate.accepted
    assert certificate.distance_bound == np.inf
