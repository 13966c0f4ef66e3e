"""What a solve has not: rules on trades without holdings, and names that a rule counts and nobody gave."""

from __future__ import annotations

import pandas as pd
import pytest

import pmx
from pmx.errors import InfeasibleError


def with_rule(**rule):
    return pmx.load_policy().override({"risk_buckets.custom_rules": {"pinned": rule}})


def test_rules_on_trades_are_said_to_be_missing_without_holdings():
    changes = {
        "execution.turnover.max": 0.3,
        "execution.turnover.cost": 0.001,
        "execution.liquidity.participation": 0.1,
    }
    policy = pmx.load_policy().override(changes)
    weights = {"SP500": 0.08, "WTI": 0.05}
    without = pmx.project_to_feasible(weights, policy)
    assert without.left_out == ("turnover.max", "turnover.cost", "liquidity")
    assert "turnover.max" not in without.rules.index
    assert "Not in this solve: turnover.max, turnover.cost, liquidity." in without.explain()
    volumes = {"adv": {"SP500": 1e9, "WTI": 1e9}, "nav": 1e6}
    known = pmx.project_to_feasible(weights, policy, previous={"SP500": 0.0}, **volumes)
    assert known.left_out == ()
    assert "turnover.max" in known.rules.index
    assert "Not in this solve" not in known.explain()


def test_nothing_is_missing_from_a_policy_without_rules_on_trades():
    policy = pmx.load_policy().override({"execution.turnover.max": None})
    assert pmx.project_to_feasible({"SP500": 0.08}, policy).left_out == ()


def test_a_pinned_symbol_that_is_not_in_the_solve_is_named_with_the_remedy():
    policy = with_rule(symbols={"GLD": 1.0}, min=0.05)
    with pytest.raises(InfeasibleError, match="this hard rule cannot hold") as caught:
        pmx.project_to_feasible({"SP500": 0.1}, policy)
    hint = "custom.pinned counts GLD, which is not in this solve: give it with target 0, so that it can be raised."
    assert caught.value.hints == (hint,)
    assert str(caught.value).endswith(hint)
    # The remedy is one.
    assert pmx.project_to_feasible({"SP500": 0.1, "GLD": 0.0}, policy).weights["GLD"] == pytest.approx(0.05)


def test_several_absent_members_are_named_together():
    policy = with_rule(symbols={"GLD": 1.0, "SLV": 1.0}, buckets={"em_risk": 1.0}, min=0.05)
    with pytest.raises(InfeasibleError, match="counts GLD, SLV and bucket em_risk, which are not in this solve"):
        pmx.project_to_feasible({"SP500": 0.1}, policy)


def test_a_minimum_that_cannot_hold_for_another_reason_has_no_hint():
    policy = with_rule(symbols={"SP500": 1.0}, min=0.2)
    with pytest.raises(InfeasibleError) as caught:
        pmx.project_to_feasible({"SP500": 0.1}, policy)
    assert caught.value.hints == ()


def test_the_same_holds_for_many_accounts():
    policy = with_rule(symbols={"GLD": 1.0}, min=0.05)
    projector = pmx.Projector(policy, [("ts_core", "SP500")])
    with pytest.raises(InfeasibleError, match=r"custom\.pinned counts GLD, which is not in this solve"):
        projector.solve_many(pd.DataFrame([[0.1]], columns=projector.index))
