"""Constraints written in cvxpy: hard rules like any other, on signed weights, with parameters that may change."""

import warnings
from collections.abc import Callable

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy

import pmx
from pmx import InfeasibleError, SolverError
from pmx.policy import Policy

POSITIONS = [("core", "A"), ("core", "B"), ("tilt", "A"), ("tilt", "C")]
LONG = np.array([0.3, 0.25, 0.2, 0.1])
SHORT = np.array([0.3, -0.25, 0.2, -0.1])
BENCHMARK = np.array([0.15, 0.2, 0.1, 0.15])
ROOT = np.array([[0.2, 0.05, 0.2, 0.0], [0.0, 0.3, 0.0, 0.1], [0.1, 0.0, 0.1, 0.4]])


def policy(**portfolio) -> Policy:
    bucket = {"role": "risk", "base_nav_frac": 0.5, "allow_short": True}
    return bare_policy(
        {
            "risk_buckets": {
                "buckets": {"core": bucket, "tilt": bucket},
                "portfolio": {"distance": "absolute", "cash_min": None, "gross_max": None} | portfolio,
            },
            "barbell": {"enable_barbell_allocation": False},
        }
    )


def projector(constraints: Callable, **portfolio) -> pmx.Projector:
    return pmx.Projector(policy(**portfolio), POSITIONS, constraints=constraints)


def project(constraints: Callable, wish: np.ndarray, **portfolio) -> pmx.Allocation:
    chosen = projector(constraints, **portfolio)
    return chosen.project(pd.Series(wish, index=chosen.index))


def directly(write: Callable, wish: np.ndarray) -> np.ndarray:
    """The nearest signed weights by cvxpy alone: same signs as the wish, buckets of at most 1."""
    x = cp.Variable(len(wish))
    size = cp.multiply(np.where(wish < 0, -1.0, 1.0), x)
    constraints = [size >= 0, size[0] + size[1] <= 1, size[2] + size[3] <= 1, write(x)]
    names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x - wish)), constraints)
    with warnings.catch_warnings():  # at this precision the solver may stop a little short
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        problem.solve(solver=cp.CLARABEL, **dict.fromkeys(names, 1e-11))
    assert problem.status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE)
    return np.asarray(x.value)


#: One constraint, for the projector's weights and for a plain variable alike.
KINDS = {
    "linear": lambda x: np.array([1.0, 0.4, 0.0, -1.0]) @ x <= 0.1,
    "several linear": lambda x: x <= 0.12,
    "equality": lambda x: x[0] + x[1] == 0.08,
    "two equalities": lambda x: np.array([[1.0, 0, 1, 0], [0, 1.0, 0, 1]]) @ x == np.array([0.2, 0.0]),
    "norm1": lambda x: cp.norm1(x - 0.1) <= 0.4,
    "infinity norm": lambda x: cp.norm_inf(x) <= 0.15,
    "largest": lambda x: cp.max(x) - cp.min(x) <= 0.15,
    "norm2": lambda x: cp.norm(ROOT @ (x - 0.05)) <= 0.08,
    "sum of squares": lambda x: cp.sum_squares(x) <= 0.05,
    "quadratic tracking": lambda x: cp.quad_form(x - 0.05, ROOT.T @ ROOT + 0.01 * np.eye(4)) <= 0.01,
    "sum of norms": lambda x: cp.norm(x[:2]) + cp.norm(x[2:]) <= 0.3,
    "second-order cone": lambda x: cp.SOC(0.05 + 0.2 * x[0], ROOT @ x),
    "absolute values": lambda x: cp.abs(x) <= 0.11,
    "holds already": lambda x: cp.sum(x) <= 5.0,
}


@pytest.mark.parametrize("wish", [LONG, SHORT], ids=["long", "with shorts"])
@pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)
def test_the_answer_is_that_of_cvxpy_alone(write, wish):
    if write is KINDS["two equalities"] and wish is LONG:
        wish = np.array([0.3, 0.25, 0.2, -0.1])  # B and C can only cancel with signs that differ
    allocation = project(lambda w: {"own": write(w.x)}, wish)
    assert allocation.certificate.accepted
    assert allocation.certificate.distance_bound <= 1e-5
    assert np.allclose(allocation.positions, directly(write, wish), atol=1e-5)
    assert (allocation.positions * wish >= 0).all()
    x = cp.Variable(4, value=allocation.positions.to_numpy())
    assert float(np.max(write(x).violation())) <= 2e-9
    assert "custom.own" in allocation.rules.index
    assert allocation.rules.loc[["custom.own"], "hard"].all()
    assert (allocation.rules.loc[["custom.own"], "source"] == "constraints=").all()
    assert allocation.rules.index.is_unique
    assert allocation.violations(allocation.positions).empty
    assert allocation.rules.loc[["custom.own"], "binding"].any() == (write is not KINDS["holds already"])
    moves = allocation.attribution.drop(columns=["target", "weight"])
    assert np.allclose(moves.sum(axis=1) + wish, allocation.positions, atol=1e-12)
    assert np.allclose(allocation.target, wish, atol=0)


def test_prices_of_linear_constraints():
    """½‖x − t‖² under one row a·x ≤ c: the price is (a·t − c) ÷ ‖a‖²; an equality prices its distance alike."""
    row = np.array([1.0, 2.0, 0.0, -1.0])
    allocation = project(lambda w: {"own": row @ w.x <= 0.5}, LONG)
    price = (row @ LONG - 0.5) / (row @ row)
    assert allocation.rules.loc["custom.own", "shadow_price"] == pytest.approx(price, abs=1e-8)
    assert allocation.attribution["custom.own"].to_numpy() == pytest.approx(-price * row, abs=1e-8)
    equal = project(lambda w: {"own": w.symbol("C") == 0.16}, LONG)
    assert equal.rules.loc["custom.own", "shadow_price"] == pytest.approx(0.06, abs=1e-8)
    assert equal.attribution["custom.own"].to_numpy() == pytest.approx([0, 0, 0, 0.06], abs=1e-8)


def test_the_attribution_of_a_constraint_made_of_several_cones():
    """A norm plus a sum pulls on each weight by both its parts, while another rule binds as well."""
    chosen = policy().override({"risk_buckets.custom_rules": {"cap": {"symbols": {"B": 1.0, "C": 1.0}, "max": 0.1}}})
    projector = pmx.Projector(chosen, POSITIONS, constraints=lambda w: {"own": cp.norm(w.x[:2]) + cp.sum(w.x) <= 0.7})
    allocation = projector.project(pd.Series(LONG, index=projector.index))
    x = allocation.positions.to_numpy()
    slope = np.ones(4) + np.append(x[:2] / np.linalg.norm(x[:2]), [0.0, 0.0])
    column = allocation.attribution["custom.own"].to_numpy()
    assert column == pytest.approx(-slope * -column[2], abs=1e-7)  # A of the tilt feels the sum alone
    assert allocation.attribution["custom.cap"].to_numpy()[[0, 2]] == pytest.approx([0.0, 0.0], abs=0)
    assert column[2] < -0.04


def test_violations_of_other_weights_by_linear_constraints():
    allocation = project(lambda w: {"line": w.symbol("C") <= 0.05, "level": w.symbol("B") == 0.2}, LONG)
    broken = allocation.violations(pd.Series(LONG, index=allocation.index))
    assert broken.to_dict() == pytest.approx({"custom.line": 0.05, "custom.level": 0.05}, abs=1e-12)


def test_the_words_for_writing_constraints():
    """Symbols add up over buckets, signed; cash is what the positions leave."""

    def write(w):
        assert w.positions == tuple(POSITIONS)
        return {"a": w.symbol("A") <= 0.4, "tilt": w.bucket("tilt") >= 0.08, "cash": w.cash >= 0.9}

    weights = project(write, SHORT).weights
    assert weights["A"] <= 0.4 + 1e-9
    assert weights["CASH"] >= 0.9 - 1e-9
    assert project(write, SHORT).by_bucket["tilt"] >= 0.08 - 1e-9
    expected = directly(
        lambda x: cp.vstack([x[0] + x[2], -x[2] - x[3], cp.sum(x)]) <= np.array([[0.4], [-0.08], [0.1]]), SHORT
    )
    assert np.allclose(project(write, SHORT).positions, expected, atol=1e-5)


def test_several_constraints_with_auxiliary_variables_of_their_own():
    def write(x):
        return {
            "one": cp.norm1(x - BENCHMARK) <= 0.35,
            "two": cp.sum_squares(x) <= 0.08,
            "three": cp.norm(x[:2]) + cp.norm(x[2:]) <= 0.45,
            "four": cp.sum(x) == 0.5,
        }

    def together(x):
        return (
            cp.vstack(
                [
                    cp.norm1(x - BENCHMARK) - 0.35,
                    cp.sum_squares(x) - 0.08,
                    cp.norm(x[:2]) + cp.norm(x[2:]) - 0.45,
                    cp.abs(cp.sum(x) - 0.5),
                ]
            )
            <= 0
        )

    allocation = project(lambda w: write(w.x), LONG)
    assert np.allclose(allocation.positions, directly(together, LONG), atol=1e-5)
    assert {"custom.one", "custom.two", "custom.three", "custom.four"} <= set(allocation.rules.index)


def test_constraints_stand_beside_the_policys_own_cone():
    covariance = pd.DataFrame(np.diag([0.04, 0.09, 0.01]), index=list("ABC"), columns=list("ABC"))
    chosen = projector(lambda w: {"own": cp.norm(w.x) <= 0.3}, volatility_max=0.06)
    allocation = chosen.project(pd.Series(SHORT, index=chosen.index), covariance=covariance)
    x = allocation.positions.to_numpy()
    by_symbol = np.array([x[0] + x[2], x[1], x[3]])
    assert np.sqrt(by_symbol**2 @ np.diag(covariance)) <= 0.06 + 1e-9
    assert np.linalg.norm(x) <= 0.3 + 1e-9
    stack = np.array([[0.2, 0, 0.2, 0], [0, 0.3, 0, 0], [0, 0, 0, 0.1]])
    expected = directly(lambda v: cp.maximum(cp.norm(stack @ v) - 0.06, cp.norm(v) - 0.3) <= 0, SHORT)
    assert np.allclose(x, expected, atol=5e-6)


# --- parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda x, limit: cp.sum(x) <= limit,
        lambda x, limit: cp.norm1(x - 0.1) <= limit,
        lambda x, limit: cp.norm(x) <= limit,
        lambda x, limit: cp.sum_squares(x) <= 0.3 * limit,
        lambda x, limit: limit * x[0] + x[1] <= 0.1,
    ],
    ids=["sum", "norm1", "norm2", "squares", "coefficient"],
)
def test_a_parameter_may_change_between_solves(write):
    limit = cp.Parameter(nonneg=True, value=0.5)
    chosen = projector(lambda w: {"own": write(w.x, limit)})
    wish = pd.Series(LONG, index=chosen.index)
    chosen.project(wish)
    problem = chosen.problem
    answers = {}
    for value in (0.5, 0.25, 0.4, 0.25):
        limit.value = value
        answer = chosen.project(wish).positions.to_numpy()
        assert np.allclose(answer, directly(lambda x, v=value: write(x, v), LONG), atol=1e-5)
        assert np.allclose(answer, answers.setdefault(value, answer), atol=1e-12)
    assert chosen.problem is problem
    assert not np.allclose(answers[0.25], answers[0.4], atol=1e-4)


def test_a_parameter_without_a_value_is_refused():
    limit = cp.Parameter(name="limit")
    with pytest.raises(SolverError, match="own"):
        project(lambda w: {"own": cp.sum(w.x) <= limit}, LONG)


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda w: cp.norm(w.x) >= 0.1,
        lambda w: cp.sqrt(cp.abs(w.x[0])) <= 0.1,
        lambda w: cp.sum_squares(w.x) == 0.1,
        lambda w: w.x[0] * w.x[1] <= 0.1,
        lambda w: cp.Parameter(value=1.0) * cp.Parameter(value=2.0) * w.x[0] <= 0.1,
    ],
    ids=["norm from below", "concave", "curved equality", "product", "product of parameters"],
)
def test_what_is_not_convex_or_not_dpp_is_refused_by_name(write):
    with pytest.raises(SolverError, match=r"own.*(not convex|not DPP)"):
        projector(lambda w: {"own": write(w)})


@pytest.mark.parametrize(
    "write",
    [
        lambda w: cp.log(1 + w.x[0]) >= 0.1,
        lambda w: cp.exp(w.x[0]) <= 1.1,
        lambda w: cp.bmat([[1, w.x[0]], [w.x[0], 1]]) >> 0,
    ],
    ids=["logarithm", "exponential", "semidefinite"],
)
def test_a_cone_that_cannot_be_certified_is_refused_by_name(write):
    with pytest.raises(SolverError, match=r"own.*cone"):
        project(lambda w: {"fine": cp.sum(w.x) <= 0.3, "own": write(w)}, LONG)


@pytest.mark.parametrize("given", [True, None, "x <= 1", cp.Variable(2)])
def test_what_is_no_constraint_is_refused_by_name(given):
    with pytest.raises(SolverError, match=r"own.*not a cvxpy constraint"):
        projector(lambda w: {"own": given})


@pytest.mark.parametrize("part", ["symbol", "bucket"])
def test_an_absent_name_is_refused(part):
    with pytest.raises(SolverError, match="'Z' has no position"):
        projector(lambda w: {"own": getattr(w, part)("Z") <= 0.1})


@pytest.mark.parametrize(
    ("write", "clash"),
    [
        (lambda w: {"own": w.symbol("A") >= 0.9}, {"custom.own", "leverage.gross"}),
        (lambda w: {"own": w.symbol("A") == 0.9, "fine": cp.norm(w.x) <= 1.0}, {"custom.own", "leverage.gross"}),
        (lambda w: {"own": cp.norm(w.x - 0.5) <= 0.1}, {"custom.own", "leverage.gross"}),
        (lambda w: {"own": cp.norm1(w.x - 0.5) <= 0.1}, {"custom.own", "leverage.gross"}),
        (lambda w: {"own": cp.sum(w.x) >= 0.5, "other": cp.sum_squares(w.x) <= 0.01}, {"custom.own", "custom.other"}),
        # Signs are those of the wish, so neither of these can be met alone: one is a minimal clash.
        (lambda w: {"own": cp.norm1(w.x + 0.5) <= 0.1}, {"custom.own"}),
    ],
)
def test_a_clash_names_the_constraint(write, clash):
    with pytest.raises(InfeasibleError) as refusal:
        project(write, LONG, gross_max=0.8)
    assert set(refusal.value.rules) == clash
    assert min(refusal.value.relaxation.values()) > 0


def test_of_two_impossible_constraints_one_is_a_minimal_clash():
    def write(w):
        return {"own": cp.norm1(w.x + 0.5) <= 0.1, "other": cp.sum_squares(w.x + 0.5) <= 0.01}

    with pytest.raises(InfeasibleError) as refusal:
        project(write, LONG)
    assert len(refusal.value.rules) == 1


def test_no_constraints_are_no_rules():
    allocation = project(lambda w: {}, LONG)
    assert np.allclose(allocation.positions, LONG, atol=1e-12)
    assert not [name for name in allocation.rules.index if name.startswith("custom.")]
