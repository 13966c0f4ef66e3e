"""The certificate claims no more than it can prove, and what cannot be certified is refused."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.planted import planted
from zoo.policies import position_series

import pmx
from pmx.errors import DataError, SolverError
from pmx.policy import Policy
from pmx.projection import Cone, certify

A, B = ("core", "A"), ("core", "B")


def policy(custom: dict | None = None, **portfolio: object) -> Policy:
    return bare_policy(
        {
            "risk_buckets": {
                "buckets": {"core": {"role": "risk", "base_nav_frac": 1.0}},
                "custom_rules": custom or {},
                "portfolio": {"distance": "absolute", **portfolio},
            },
            "barbell": {"enable_barbell_allocation": False},
        }
    )


def test_multipliers_that_do_not_cancel_on_free_variables_prove_nothing():
    known = planted(0, n=1, rows=0)
    cone = Cone("nonnegative", np.array([[1.0]]), np.array([0.01]), np.array([[-1e-9]]))
    program = replace(known.program, cones=(cone,), upper=np.array([1.0]), lower=np.zeros(1), target=np.array([0.02]))
    point = replace(known.point, u=np.array([0.01]), cones=(np.array([0.01]),), auxiliary=np.zeros(1))
    sharp = certify(program, point, "x")
    loose = certify(replace(program, cones=(replace(cone, H=np.array([[-1e-3]])),)), point, "x")
    assert np.isfinite(sharp.distance_bound)
    assert loose.distance_bound == np.inf


def test_a_point_outside_a_cone_is_charged_for_it():
    known = planted(4, n=6, rows=0, cone=True)
    certificate = certify(known.program, known.point, "planted")
    outside = replace(known.point, u=known.point.u * (1 + 1e-6))
    worse = certify(known.program, outside, "outside")
    assert certificate.accepted
    assert worse.primal_residual > 1e-9
    assert worse.distance_bound >= float(np.linalg.norm(outside.u - known.point.u))


def test_a_rule_on_a_small_multiple_of_a_weight_is_as_strict_as_any():
    known = planted(2, n=5, rows=3)
    program = known.program
    row = np.zeros((1, 5))
    row[0, 0] = 1e-6
    tiny = replace(
        program,
        A=np.vstack([program.A, row]),
        lo=np.append(program.lo, -np.inf),
        hi=np.append(program.hi, 1e-6 * (known.point.u[0] - 1e-4)),
        penalty=np.append(program.penalty, np.inf),
    )
    point = replace(known.point, rows=np.append(known.point.rows, 0.0))
    assert certify(tiny, point, "x").primal_residual == pytest.approx(1e-4, rel=1e-6)


def test_soft_rules_on_the_same_weights_each_pay_their_own_price():
    """With ρ = .08 the rule at .10 alone leads to .12; the one at .11 adds its price, and .11 is best."""
    soft = {"symbols": {"A": 1.0}, "hard": False, "penalty": 0.4}
    rules = {"c": soft | {"max": 0.10}, "d": soft | {"max": 0.11}}
    for engine in ("newton", "cvxpy"):
        answer = pmx.solve(policy(rules), position_series({A: 0.2}), engine=engine)
        assert answer.positions[A] == pytest.approx(0.11, abs=1e-9)


def test_a_soft_rule_holds_whatever_its_coefficients():
    answer = pmx.solve(policy({"c": {"symbols": {"A": 0.01}, "max": 0.001, "hard": False}}), position_series({A: 0.2}))
    assert answer.positions[A] == pytest.approx(0.1, abs=1e-9)
    answer = pmx.solve(policy({"c": {"symbols": {"A": 1.0}, "min": 0.2, "hard": False}}), position_series({A: 0.001}))
    assert answer.positions[A] == pytest.approx(0.2, abs=1e-9)


def test_a_constraint_with_a_variable_of_its_own_is_refused():
    y = cp.Variable(name="y")
    for written in ({"c": lambda w: w.x[0] <= y}, {"d": lambda w: w.symbol("A") == y}):
        name, build = next(iter(written.items()))
        with pytest.raises(SolverError, match=f"{name}.*'y'"):
            pmx.Projector(policy(), [A, B], constraints=lambda w, name=name, build=build: {name: build(w)})


def test_a_constraint_may_not_take_a_name_that_the_policy_uses():
    taken = policy({"cap": {"symbols": {"A": 1.0}, "max": 0.5}})
    with pytest.raises(DataError, match=r"custom\.cap is in the policy already"):
        pmx.Projector(taken, [A], constraints=lambda w: {"cap": w.x[0] <= 0.1})


def test_cash_is_no_position():
    with pytest.raises(DataError, match="CASH"):
        pmx.solve(policy(), position_series({("core", "CASH"): 0.5}))


def test_a_risk_asset_does_not_become_safe_by_being_held_there():
    shipped = pmx.load_policy()
    wish = position_series({("safe", "SP500"): 1.0})
    with pytest.raises(DataError, match="bucket safe does not admit SP500"):
        pmx.solve(shipped, wish)
    held = pmx.project_to_feasible(0.9 * wish, shipped, previous=0.9 * wish)  # it was held there before: it is risk
    assert held.weights["SP500"] <= 0.1 + 1e-9
    assert held.safe_weight >= 0.9 - 1e-9
    barbell = pmx.BarbellConstraint(shipped)
    assert barbell.project_to_feasible({"SP500": 0.9}, buckets={"SP500": "safe"}).weights["SP500"] <= 0.1 + 1e-9


def test_an_answer_cannot_be_changed_and_does_not_change_with_its_input():
    given = position_series({A: 0.5})
    off = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
    answer = pmx.solve(policy().override(off), given)
    given.iloc[0] = 0.9
    assert answer.positions[A] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        answer.signed[0] = 0.1


def test_budgets_switched_off_make_relative_weights_fractions_of_nav():
    barbell_only = pmx.load_policy(overrides={"risk_buckets.enabled": False})
    wish = position_series({("ts_core", "SP500"): 0.08})
    assert pmx.solve(barbell_only, wish).positions.iloc[0] == pytest.approx(0.08, abs=1e-9)
    with pytest.raises(DataError, match="risk_scale= would scale nothing"):
        pmx.solve(barbell_only, wish, risk_scale={"ts_core": 0.1})


@pytest.mark.parametrize("weights", [None, [0.1], {"A": "much"}, pd.Series([0.1, 0.2], index=["A", "A"])])
def test_what_is_no_table_of_weights_is_refused(weights):
    with pytest.raises(DataError):
        pmx.project_to_feasible(weights, pmx.load_policy())
