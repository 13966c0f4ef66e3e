"""The fast engine, held to planted optima and to the cvxpy engine by both certificates."""

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.planted import planted
from zoo.policies import position_series, random_case

import pmx
from pmx.errors import InfeasibleError, SolverError
from pmx.projection import certify
from pmx.projection.grouping import Grouping
from pmx.projection.newton_engine import solve_dual

KINDS = {
    "rows and bounds": {},
    "degenerate": {"degenerate": True},
    "badly scaled": {"scale": 100.0},
    "soft": {"soft": True},
    "trading cost": {"trades": "cost"},
    "hard turnover": {"trades": "hard"},
    "soft turnover": {"trades": "soft", "soft": True},
    "turnover gives way": {"trades": "soft given way"},
    "floors and turnover": {"floors": True, "trades": "soft", "soft": True},
    "one position": {"n": 1, "rows": 2},
    "no rows": {"n": 10, "rows": 0},
    "hundreds of positions": {"n": 400, "rows": 25},
}


@pytest.mark.parametrize("kind", KINDS)
def test_planted_optima_are_recovered(kind):
    for seed in range(40):
        known = planted(seed, **KINDS[kind])
        point, rounds = solve_dual(known.program)
        certificate = certify(known.program, point, "newton")
        assert certificate.accepted, (seed, rounds, certificate)
        assert float(np.linalg.norm(point.u - known.point.u)) <= certificate.distance_bound + 1e-9, seed


def test_it_agrees_with_cvxpy_within_both_bounds_and_rarely_needs_help():
    missed = 0
    for seed in range(5000, 5150):
        case = random_case(seed)
        fast = pmx.solve(case.policy, case.relative, **case.arguments)
        slow = pmx.solve(case.policy, case.relative, **case.arguments, engine="cvxpy")
        missed += fast.certificate.engine != "newton"
        reach = fast.certificate.distance_bound + slow.certificate.distance_bound
        assert float(np.linalg.norm(fast.positions - slow.positions)) <= reach + 1e-12, seed
        assert fast.status == slow.status, seed
    assert missed <= 2


def test_the_same_input_gives_the_same_bits():
    for seed in range(20):
        case = random_case(seed)
        first = pmx.solve(case.policy, case.relative, **case.arguments)
        again = pmx.solve(case.policy, case.relative, **case.arguments)
        assert first.positions.to_numpy().tobytes() == again.positions.to_numpy().tobytes()


def test_positions_that_meet_the_same_rules_form_a_group():
    known = planted(3, n=9, rows=3)
    program = known.program
    program.A[:, 4] = program.A[:, 7] = program.A[:, 1]
    layout = Grouping.of(program.A)
    group = np.repeat(np.arange(len(layout.start) - 1), np.diff(layout.start))
    of = dict(zip(layout.order.tolist(), group.tolist(), strict=True))
    assert of[1] == of[4] == of[7]
    assert sorted(layout.order.tolist()) == list(range(9))
    assert len(set(of.values())) == len({program.A[:, j].tobytes() for j in range(9)})


def test_asked_for_by_name_it_answers_or_refuses():
    policy = pmx.load_policy()
    wish = position_series({("ts_core", "SP500"): 0.5})
    assert pmx.solve(policy, wish, engine="newton").certificate.engine == "newton"
    covariance = pd.DataFrame([[0.04]], index=["SP500"], columns=["SP500"])
    capped = policy.override({"risk_buckets.portfolio.volatility_max": 0.01})
    with pytest.raises(SolverError, match="newton: takes no cones"):
        pmx.solve(capped, wish, covariance=covariance, engine="newton")
    answer = pmx.solve(capped, wish, covariance=covariance)
    assert answer.certificate.engine == "cvxpy/CLARABEL"
    assert "newton: takes no cones" in answer.certificate.note


def test_what_cannot_hold_is_infeasible_whatever_the_engine():
    buckets = {"core": {"role": "risk", "base_nav_frac": 0.5}}
    custom = {"least": {"symbols": {"A": 1.0}, "min": 0.4}, "most": {"symbols": {"A": 1.0}, "max": 0.3}}
    policy = bare_policy(
        {
            "risk_buckets": {"buckets": buckets, "custom_rules": custom},
            "barbell": {"enable_barbell_allocation": False},
        }
    )
    for engine in ("auto", "newton", "cvxpy"):
        with pytest.raises(InfeasibleError) as refusal:
            pmx.solve(policy, position_series({("core", "A"): 1.0}), engine=engine)
        assert set(refusal.value.rules) == {"custom.least", "custom.most"}


@pytest.mark.fuzz
def test_thousands_more():
    missed = 0
    for seed in range(100_000, 110_000):
        case = random_case(seed)
        answer = pmx.solve(case.policy, case.relative, **case.arguments)
        assert answer.certificate.accepted
        missed += answer.certificate.engine != "newton"
    print(f"{missed} of 10,000 programs fell back to cvxpy")
    assert missed <= 10
