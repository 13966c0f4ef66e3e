"""Starting from an earlier answer's prices, and bounds that come with a solve."""

import numpy as np
import pandas as pd
import pytest
from zoo.policies import random_case

import pmx
from pmx.errors import DataError, InfeasibleError
from pmx.projection import Projector
from pmx.projection.newton_engine import solve_dual
from pmx.projection.projector import prices_of


def test_the_answer_is_the_same_from_any_earlier_one():
    for seed in range(100):
        case = random_case(seed)
        projector = Projector(case.policy, case.relative.index)
        cold = projector.solve(case.relative, **case.arguments)
        rng = np.random.default_rng(seed)
        others = [
            projector.solve(case.relative * rng.uniform(0.5, 1.0), **case.arguments),
            projector.solve(-case.relative, **{k: v for k, v in case.arguments.items() if k != "risk_scale"}),
        ]
        for other in others:
            warm = projector.solve(case.relative, **case.arguments, warm_start=other)
            reach = warm.certificate.distance_bound + cold.certificate.distance_bound
            assert float(np.linalg.norm(warm.signed - cold.signed)) <= reach + 1e-12, seed


def test_without_a_start_the_past_of_a_projector_leaves_no_trace():
    for seed in range(20):
        case = random_case(seed)
        used = Projector(case.policy, case.relative.index)
        for factor in (0.3, 0.9, 0.5):
            used.solve(case.relative * factor, **case.arguments)
        fresh = Projector(case.policy, case.relative.index).solve(case.relative, **case.arguments)
        assert used.solve(case.relative, **case.arguments).signed.tobytes() == fresh.signed.tobytes()


@pytest.fixture
def policy():
    return pmx.load_policy()


def test_from_its_own_prices_an_answer_takes_no_round(policy):
    names = [("ts_core", f"S{j}") for j in range(30)]
    projector = Projector(policy, names)
    wish = np.linspace(1.0, 2.0, 30) / 45.0
    first = projector.solve(wish, risk_scale={"ts_core": 0.5})
    assert solve_dual(first.program, start=first.point)[1] == 0
    assert solve_dual(first.program)[1] > 0


def test_prices_find_their_rules_in_another_program(policy):
    few = Projector(policy, [("ts_core", "A"), ("ml_secondary", "B")])
    more = Projector(policy, [("ml_secondary", "B"), ("ts_core", "A"), ("ts_core", "C")])
    first = few.solve(np.array([1.0, 1.0]), risk_scale={"ts_core": 0.4})
    second = more.solve(np.array([1.0, 0.5, 0.5]), risk_scale={"ts_core": 0.4})
    start = prices_of(first, second.program.rules.frame)
    by_name = {rule.name: start.rows[rule.index] for rule in second.program.rules if rule.kind == "row"}
    assert by_name["clamp.ts_core"] == first.rules.loc["clamp.ts_core", "shadow_price"] > 0.0
    warm = more.solve(np.array([1.0, 0.5, 0.5]), risk_scale={"ts_core": 0.4}, warm_start=first)
    assert np.abs(warm.signed - second.signed).max() <= 1e-12
    off = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
    nothing = pmx.project_to_feasible({"SP500": 0.5}, policy.override(off))
    assert prices_of(nothing, second.program.rules.frame) is None


def test_bounds_of_the_caller_are_a_named_hard_rule(policy):
    projector = Projector(policy, [("ts_core", "A"), ("ts_core", "B")])
    wish = pd.Series([0.05, 0.05], index=projector.index)
    alloc = projector.project(wish, upper=pd.Series({("ts_core", "A"): 0.02}), lower=np.array([0.0, 0.06]))
    assert alloc.weights.to_dict() == pytest.approx({"A": 0.02, "B": 0.06, "CASH": 0.92})
    assert alloc.attribution["account.bounds"].tolist() == pytest.approx([-0.03, 0.01])
    assert alloc.rules.loc["account.bounds", "source"] == "lower=, upper="
    assert alloc.rules.loc["account.bounds", "binding"]
    with pytest.raises(InfeasibleError) as refusal:
        projector.project(wish, lower=np.array([0.5, 0.0]))
    assert "account.bounds" in refusal.value.rules
    with pytest.raises(DataError, match=r"upper of position \('ts_core', 'B'\) is -0.1"):
        projector.project(wish, upper=np.array([0.1, -0.1]))
    with pytest.raises(DataError, match=r"targets has shape \(3,\); an array must be \(2,\)"):
        projector.project(np.zeros(3))
