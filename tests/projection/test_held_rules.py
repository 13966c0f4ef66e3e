"""The rules as they bear on what is held: the same limits, summed here by hand."""

from __future__ import annotations

import numpy as np
import pytest

import pmx
from pmx.policy import Policy
from pmx.projection.held_rules import HeldRules

POSITIONS = [("core", "A"), ("core", "B"), ("tail", "B"), ("tail", "C"), ("safe", "BIL")]


def policy(**portfolio: object) -> Policy:
    return Policy.from_mapping(
        {
            "risk_buckets": {
                "portfolio": {"cash_min": 0.05, "gross_max": 0.9, **portfolio},
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.5, "symbols": ["BIL"]},
                    "core": {"role": "risk", "base_nav_frac": 0.2, "max_nav_frac": 0.25, "allow_short": True},
                    "tail": {"role": "risk", "base_nav_frac": 0.2, "min_nav_frac": 0.02, "max_nav_frac": 0.22},
                },
                "custom_rules": {"tilt": {"symbols": {"A": 1.0, "C": -0.5}, "min": -0.02, "max": 0.03, "hard": False}},
            },
            "barbell": {
                "safe_bucket": {"symbols": ["BIL"], "min_weight": 0.7, "max_weight": 0.9, "max_per_position": None},
                "risk_bucket": {"max_weight": 0.28, "max_per_position": 0.12},
                "markets": {"old": ["A", "B"]},
                "market_caps": {"old": 0.15},
            },
        }
    )


def by_hand(w: dict[tuple[str, str], float], scale: dict[str, float]) -> dict[str, float]:
    """Excess of each rule; positive is outside."""
    net, gross = sum(w.values()), sum(map(abs, w.values()))
    risk = sum(abs(x) for (bucket, _), x in w.items() if bucket != "safe" or x < 0.0)
    of = {bucket: sum(abs(x) for (b, _), x in w.items() if b == bucket) for bucket in ("safe", "core", "tail")}
    tilt = w["core", "A"] - 0.5 * w["tail", "C"]
    limits = {"core": max(scale["core"] * 0.25, 0.0), "tail": max(scale["tail"] * 0.22, 0.02)}
    found = {
        "cash.min": net - 0.95,
        "leverage.gross": gross - 0.9,
        "bucket.core.max": of["core"] - 0.25,
        "bucket.tail.max": of["tail"] - 0.22,
        "bucket.safe.max": of["safe"] - 1.0,
        "bucket.safe.long_only": max(-w["safe", "BIL"], 0.0),
        "bucket.tail.long_only": max(-w["tail", "B"], -w["tail", "C"], 0.0),
        "barbell.safe.floor": risk - 0.3,
        "barbell.safe.cap": (1.0 - risk) - 0.9,
        "barbell.risk.cap": risk - 0.28,
        "market.old.cap": sum(abs(x) for (_, s), x in w.items() if s in "AB") - 0.15,
        "custom.tilt": max(tilt - 0.03, -0.02 - tilt),
        "symbol.A.cap": abs(w["core", "A"]) - 0.12,
        "symbol.B.cap": abs(w["core", "B"]) + abs(w["tail", "B"]) - 0.12,
        "symbol.C.cap": abs(w["tail", "C"]) - 0.12,
    }
    clamps = {f"clamp.{b}": of[b] - limit for b, limit in limits.items() if scale[b] < 1.0}
    return found | clamps


@pytest.mark.parametrize("residual", [False, True])
def test_every_limit_is_a_sum_over_what_is_held(residual: bool) -> None:
    rules_of = policy(residual_symbol="BIL") if residual else policy()
    rules = HeldRules(pmx.Projector(rules_of, POSITIONS))
    assert rules.slots == len(POSITIONS) + residual
    rng = np.random.default_rng(0)
    weights = rng.normal(0.05, 0.08, (300, rules.slots))
    scale = np.ones((300, 3))
    scale[:, 1:] = rng.uniform(0.0, 1.5, (300, 2))
    excess = rules.excess(weights, scale)
    safe = rules.safe_weight(weights)
    for day in range(300):
        w = dict(zip(POSITIONS, weights[day], strict=False))
        if residual:
            w["safe", "BIL"] += weights[day, -1]
        expected = by_hand(w, dict(zip(("safe", "core", "tail"), scale[day], strict=True)))
        for name, over in expected.items():
            if name == "bucket.tail.long_only" and over == 0.0:
                continue
            assert excess[day, rules.names.index(name)] == pytest.approx(over, abs=1e-12), name
        assert safe[day] == pytest.approx(0.7 - expected["barbell.safe.floor"], abs=1e-12)
        hard = [over for name, over in expected.items() if name not in ("custom.tilt", "barbell.safe.cap")]
        assert rules.worst(weights[day], scale[day]) == pytest.approx(max(hard), abs=1e-12)
    assert dict(zip(rules.names, rules.hard, strict=True))["custom.tilt"] == np.False_
    assert (excess > 0.0).any(axis=0)[[name.startswith(("barbell", "symbol", "clamp.t")) for name in rules.names]].all()


def test_a_rule_looks_at_its_own_positions() -> None:
    rules = HeldRules(pmx.Projector(policy(residual_symbol="BIL"), POSITIONS))

    def seen(name: str) -> list[bool]:
        return rules.members(rules.names.index(name)).tolist()

    assert seen("market.old.cap") == [True, True, True, False, False, False]
    assert seen("symbol.C.cap") == [False, False, False, True, False, False]
    assert seen("barbell.safe.floor") == [True, True, True, True, True, True]  # a short of bills would be risk
    assert seen("custom.tilt") == [True, False, False, True, False, False]


def test_with_the_layer_off_there_is_no_rule_and_all_gross_exposure_is_risk() -> None:
    off = policy().override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    rules = HeldRules(pmx.Projector(off, POSITIONS))
    assert rules.names == ()
    weights = np.array([[0.2, -0.1, 0.0, 0.3, 0.1]])
    assert rules.excess(weights).shape == (1, 0)
    assert rules.worst(weights[0]) == -np.inf
    assert rules.safe_weight(weights)[0] == pytest.approx(0.3)
