"""The chain of solvers: what is missing or misses is named and passed over; only a certified answer comes out."""

import logging
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from zoo.planted import planted
from zoo.policies import position_series, random_case

import pmx
from pmx import SolverError
from pmx.projection import EngineChain, certify

INSTALLED = [name for name in ("CLARABEL", "OSQP", "SCS") if name in cp.installed_solvers()]
WISH = position_series({("ts_core", "SP500"): 0.6, ("ts_core", "WTI"): 0.4, ("ml_secondary", "SP500"): 1.0})


def policy(name: str, *fallbacks: str) -> pmx.Policy:
    return pmx.load_policy(overrides={"execution.solver.name": name, "execution.solver.fallbacks": list(fallbacks)})


def test_the_first_solver_answers_and_says_so():
    certificate = pmx.solve(policy("CLARABEL", "OSQP"), WISH, engine="cvxpy").certificate
    assert certificate.engine == "cvxpy/CLARABEL"
    assert certificate.note == "polished"


def test_a_solver_that_is_not_installed_is_skipped_and_named():
    allocation = pmx.solve(policy("ABSENT", "MISSING", "CLARABEL"), WISH, engine="cvxpy")
    assert allocation.certificate.accepted
    assert allocation.certificate.engine == "cvxpy/CLARABEL"
    assert "ABSENT: not installed" in allocation.certificate.note
    assert "MISSING: not installed" in allocation.certificate.note
    assert "cvxpy/CLARABEL" in allocation.explain()
    plain = pmx.solve(policy("CLARABEL"), WISH, engine="cvxpy")
    assert (allocation.positions == plain.positions).all()


def test_what_is_skipped_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="pmx.projection"):
        pmx.solve(policy("ABSENT", "CLARABEL"), WISH, engine="cvxpy")
    assert "ABSENT: not installed" in caplog.text


def test_a_chain_of_missing_solvers_gives_no_answer():
    with pytest.raises(SolverError) as failure:
        pmx.solve(policy("ABSENT", "MISSING"), WISH, engine="cvxpy")
    for text in ("ABSENT: not installed", "MISSING: not installed", "install another cvxpy solver", "execution.yml"):
        assert text in str(failure.value)


def test_a_solver_named_twice_is_tried_once():
    with pytest.raises(SolverError) as failure:
        pmx.solve(policy("ABSENT", "ABSENT"), WISH, engine="cvxpy")
    assert str(failure.value).count("ABSENT") == 1


def test_a_failed_chain_leaves_the_projector_usable():
    """The wish is the same; a projector whose chain failed once fails again, it does not return what it had."""
    projector = pmx.Projector(policy("ABSENT"), WISH.index)
    for _ in range(2):
        with pytest.raises(SolverError):
            projector.solve(WISH, engine="cvxpy")


@pytest.mark.parametrize("solver", INSTALLED)
def test_every_solver_alone_reaches_the_same_certified_answer(solver):
    for seed in range(12):
        case = random_case(seed)
        solver_alone = {"execution.solver.name": solver, "execution.solver.fallbacks": []}
        alone = pmx.solve(case.policy.override(solver_alone), case.relative, **case.arguments, engine="cvxpy")
        usual = pmx.solve(case.policy, case.relative, **case.arguments)
        assert alone.certificate.engine == f"cvxpy/{solver}"
        assert alone.certificate.accepted
        assert float(np.linalg.norm(alone.positions - usual.positions)) <= (
            alone.certificate.distance_bound + usual.certificate.distance_bound + 1e-12
        )


@pytest.mark.parametrize("solver", INSTALLED)
def test_every_solver_alone_recovers_planted_optima(solver):
    for seed in range(4):
        known = planted(seed, n=12, rows=6, soft=True, trades="soft")
        point, certificate = EngineChain((solver,)).solve(known.program, "cvxpy")
        assert certificate.engine == f"cvxpy/{solver}"
        assert float(np.abs(point.u - known.point.u).max()) <= 1e-6


def test_a_solver_that_cannot_take_cones_is_passed_over():
    """OSQP solves quadratic programs only; with a volatility cap the next in the chain answers."""
    covariance = pd.DataFrame(np.diag([0.04, 0.09]), index=["SP500", "WTI"], columns=["SP500", "WTI"])
    strict = {"risk_buckets.portfolio.volatility_max": 0.01}
    certificate = pmx.solve(policy("OSQP", "CLARABEL").override(strict), WISH, covariance=covariance).certificate
    assert certificate.engine == "cvxpy/CLARABEL"
    assert "OSQP" in certificate.note
    with pytest.raises(SolverError, match="OSQP"):
        pmx.solve(policy("OSQP").override(strict), WISH, covariance=covariance)


def test_an_answer_is_judged_by_its_own_point_not_by_the_solvers_word():
    """The certificate can be recomputed from what the allocation holds, and comes out the same."""
    for seed in range(5):
        case = random_case(seed)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        again = certify(allocation.program, allocation.point, "again")
        assert again.duality_gap == allocation.certificate.duality_gap
        assert again.primal_residual == allocation.certificate.primal_residual
        assert again.accepted


def test_an_answer_beyond_a_hard_limit_is_not_accepted():
    known = planted(2, n=12, rows=4)
    assert certify(known.program, known.point, "planted").accepted
    (j, *_) = np.flatnonzero(known.point.u == known.program.lower)
    certificate = certify(known.program, replace(known.point, u=known.point.u - 2e-9 * (np.arange(12) == j)), "beyond")
    assert certificate.primal_residual == pytest.approx(2e-9, rel=1e-6)
    assert not certificate.accepted


def test_one_chain_solves_programs_of_different_shapes():
    chain = EngineChain()
    for kind in ({}, {"trades": "soft"}, {"soft": True}, {"trades": "hard"}, {"floors": True}, {"cone": True}, {}):
        known = planted(5, n=10, rows=5, **kind)
        point, certificate = chain.solve(known.program)
        assert certificate.accepted
        assert float(np.abs(point.u - known.point.u).max()) <= 1e-6
