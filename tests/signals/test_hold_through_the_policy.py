"""HOLD keeps the NAV fraction that is held, whatever the bucket's scale, all the way through the projection."""

import pandas as pd
import pytest

import pmx
from pmx.policy import Policy

SOURCES = {"sources": {"ts": {"bucket": "core", "priority": 1}}}
HELD = pd.Series({("core", "A"): 0.03}, name="weight").rename_axis(["bucket", "symbol"])


def policy(**switches: bool) -> Policy:
    bucket = {"role": "risk", "base_nav_frac": 0.2, "max_nav_frac": 0.4}
    buckets = {"safe": {"role": "safe", "base_nav_frac": 0.5}, "core": bucket}
    on = switches.get("on", True)
    return Policy.from_mapping(
        {
            "risk_buckets": {"enabled": on, "buckets": buckets},
            "barbell": {"enable_barbell_allocation": on, "safe_bucket": {"min_weight": 0.5}},
            "signal_routing_config": SOURCES,
        }
    )


def held_after(the_policy: Policy, scale: dict[str, float] | None) -> float:
    hold = pmx.Signal("A", 0, strength=1.0, edge_score=0.0, confidence=1.0, source="ts")
    routing = pmx.SignalRouter(the_policy).route([hold], HELD, scale)
    answer = pmx.solve(the_policy, routing.relative_weights, risk_scale=scale, previous=HELD)
    return float(answer.positions[("core", "A")])


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 1.25, 2.0])
def test_a_hold_keeps_its_weight_at_any_scale_that_leaves_room(scale: float) -> None:
    assert held_after(policy(), {"core": scale}) == pytest.approx(0.03, abs=1e-9)


def test_a_hold_larger_than_the_scaled_budget_is_cut_to_it() -> None:
    assert held_after(policy(), {"core": 0.1}) == pytest.approx(0.02, abs=1e-9)


def test_a_hold_keeps_its_weight_with_the_policy_switched_off() -> None:
    assert held_after(policy(on=False), None) == 0.03
