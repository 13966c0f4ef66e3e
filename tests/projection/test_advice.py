"""Following the advice of an infeasible policy leads to a feasible one, also where several rules share a row."""

import pytest

import pmx
from pmx.errors import InfeasibleError, SolverError

INDEX = [("ts_core", "AAPL"), ("ts_core", "MSFT"), ("ts_core", "XOM")]


def test_the_advice_names_every_rule_that_must_give_way():
    """bucket.ts_core.max and barbell.risk.cap are both 25 %: relaxing one of them alone helps nobody."""
    least = {"least": {"buckets": {"ts_core": 1.0}, "min": 0.28}}
    policy = pmx.load_policy(overrides={"risk_buckets.custom_rules": least})
    with pytest.raises(InfeasibleError) as refusal:
        pmx.project_to_feasible({"AAPL": 0.1, "MSFT": 0.1, "XOM": 0.1}, policy)
    advice = refusal.value.relaxation
    limits = {
        "bucket.ts_core.max": ("risk_buckets.buckets.ts_core.max_nav_frac", 0.25),
        "barbell.risk.cap": ("barbell.risk_bucket.max_weight", 0.25),
        "custom.least": ("risk_buckets.custom_rules.least.min", 0.28),
    }
    assert set(advice) <= set(limits)
    signs = {"custom.least": -1.0}
    changes = {limits[name][0]: limits[name][1] + signs.get(name, 1.0) * by for name, by in advice.items()}
    followed = pmx.project_to_feasible({"AAPL": 0.1, "MSFT": 0.1, "XOM": 0.1}, policy.override(changes))
    assert followed.certificate.accepted


def test_constraints_must_come_as_a_mapping():
    with pytest.raises(SolverError, match="mapping of name to constraint"):
        pmx.Projector(pmx.load_policy(), INDEX, constraints=lambda w: [w.x[0] <= 0.1])


def test_an_allocation_prints_in_one_line():
    text = repr(pmx.project_to_feasible({"AAPL": 0.05}, pmx.load_policy()))
    assert text.startswith("Allocation(")
    assert len(text) < 200


def test_a_scale_of_almost_one_changes_almost_nothing():
    wish = {("ts_core", "AAPL"): 0.08, ("ts_core", "MSFT"): 0.08, ("ts_core", "XOM"): 0.08}
    import pandas as pd

    projector = pmx.Projector(pmx.load_policy(), INDEX)
    plain = projector.project(pd.Series(wish)).positions
    scaled = projector.project(pd.Series(wish), risk_scale={"ts_core": 0.999999}).positions
    assert scaled.to_numpy() == pytest.approx(plain.to_numpy(), abs=1e-6)
