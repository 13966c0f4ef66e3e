"""The router: thresholds, priorities, fallbacks, and a reason for everything."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.errors import DataError, SignalError
from pmx.policy import Policy
from pmx.signals import Signal, SignalRouter

RISK = {"role": "risk", "base_nav_frac": 0.1}
SOURCES = {
    "time_series_core": {"bucket": "ts_core", "priority": 1, "min_edge": 0.1, "min_confidence": 0.5},
    "ml_secondary": {"bucket": "ml_secondary", "priority": 2, "market_buckets": {"ngx": "ngx_risk"}},
    "ml_core": {"bucket": "ts_core", "priority": 3},
    "llm_fallback": {"bucket": "llm_fallback", "priority": 4, "fallback": True},
}


def make_policy(llm: bool = True, **buckets: dict[str, Any]) -> Policy:
    base: dict[str, dict[str, Any]] = {
        "safe": {"role": "safe", "base_nav_frac": 0.5, "symbols": ["BIL"]},
        "ts_core": RISK,
        "ml_secondary": RISK,
        "llm_fallback": RISK,
        "ngx_risk": {**RISK, "symbols": ["NGX:*"]},
        "short": {**RISK, "allow_short": True},
    }
    return Policy.from_mapping(
        {
            "risk_buckets": {"buckets": {name: {**bucket, **buckets.get(name, {})} for name, bucket in base.items()}},
            "barbell": {"safe_bucket": {"symbols": ["BIL"], "min_weight": 0.0}, "markets": {"ngx": ["NGX:*"]}},
            "signal_routing_config": {
                "enable_llm_fallback": llm,
                "default_full_conviction": 1.0,
                "sources": {**SOURCES, "short_desk": {"bucket": "short", "priority": 9}},
            },
        }
    )


POLICY = make_policy()


def say(
    symbol: str,
    source: str = "time_series_core",
    direction: int = 1,
    strength: float = 1.0,
    edge: float = 1.0,
    confidence: float = 1.0,
) -> Signal:
    return Signal(symbol, direction, strength, -edge if direction < 0 else edge, confidence, source)


def positions(weights: dict[tuple[str, str], float]) -> pd.Series:
    return pd.Series(weights, index=pd.MultiIndex.from_tuples(list(weights), names=["bucket", "symbol"]))


def route(*signals: Signal, policy: Policy = POLICY, previous: pd.Series | None = None) -> tuple[dict, dict]:
    routing = SignalRouter(policy).route(signals, previous)
    reasons = {(d.bucket, d.symbol, d.source): (d.kept, d.reason) for d in routing.records}
    return routing.relative_weights.to_dict(), reasons


def test_a_signal_goes_to_the_bucket_of_its_source_or_of_its_market() -> None:
    weights, _ = route(say("SPY"), say("SPY", "ml_secondary"), say("NGX:MTNN", "ml_secondary"))
    assert weights == {("ts_core", "SPY"): 1.0, ("ml_secondary", "SPY"): 1.0, ("ngx_risk", "NGX:MTNN"): 1.0}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"edge": 0.09}, "edge 0.09 < min_edge 0.1"),
        ({"confidence": 0.4}, "confidence 0.4 < min_confidence 0.5"),
    ],
)
def test_a_signal_below_a_threshold_is_dropped(fields: dict[str, float], reason: str) -> None:
    weights, reasons = route(say("SPY", **fields))
    assert weights == {}
    assert reasons == {("ts_core", "SPY", "time_series_core"): (False, reason)}


def test_a_signal_at_its_thresholds_lives() -> None:
    assert route(say("SPY", edge=0.1, confidence=0.5))[0] == pytest.approx({("ts_core", "SPY"): 0.05})


def test_a_hold_needs_confidence_but_no_edge() -> None:
    held = positions({("ts_core", "SPY"): 0.04})
    assert route(say("SPY", direction=0, edge=0.0), previous=held)[0] == pytest.approx({("ts_core", "SPY"): 0.4})
    weights, reasons = route(say("SPY", direction=0, confidence=0.4), previous=held)
    assert weights == {("ts_core", "SPY"): 0.0}
    assert reasons["ts_core", "SPY", "none"] == (True, "no live signal: exit")


def test_in_one_bucket_the_first_priority_above_its_thresholds_wins() -> None:
    _, reasons = route(say("SPY"), say("SPY", "ml_core"))
    assert reasons["ts_core", "SPY", "time_series_core"] == (True, "buy")
    assert reasons["ts_core", "SPY", "ml_core"] == (False, "superseded by time_series_core")
    _, reasons = route(say("SPY", edge=0.05), say("SPY", "ml_core"))
    assert reasons["ts_core", "SPY", "ml_core"] == (True, "buy")


def test_a_symbol_that_its_bucket_does_not_admit_is_dropped() -> None:
    weights, reasons = route(say("BIL"))
    assert weights == {}
    assert reasons["ts_core", "BIL", "time_series_core"] == (False, "bucket ts_core does not admit BIL")


def test_a_bucket_can_be_asked_for_ahead() -> None:
    router = SignalRouter(POLICY)
    assert router.bucket_for("ml_secondary", "NGX:MTNN") == "ngx_risk"
    assert router.bucket_for("time_series_core", "BIL") is None
    with pytest.raises(SignalError, match="'SPY': source 'horoscope' is unknown"):
        router.bucket_for("horoscope", "SPY")


@pytest.mark.parametrize("direction", [-1, 0, 1])
def test_a_fallback_is_silent_where_another_source_speaks_whatever_it_says(direction: int) -> None:
    weights, reasons = route(say("SPY", direction=direction), say("SPY", "llm_fallback"))
    assert ("llm_fallback", "SPY") not in weights
    assert reasons["llm_fallback", "SPY", "llm_fallback"] == (
        False,
        "fallback not needed: time_series_core speaks",
    )


def test_a_fallback_speaks_where_the_others_are_below_their_thresholds_or_silent() -> None:
    weights, _ = route(say("SPY", edge=0.01), say("SPY", "llm_fallback"), say("GLD", "llm_fallback"))
    assert weights == {("llm_fallback", "GLD"): 0.5, ("llm_fallback", "SPY"): 0.5}


def test_a_fallback_is_silent_while_the_switch_is_off() -> None:
    weights, reasons = route(say("SPY", "llm_fallback"), policy=make_policy(llm=False))
    assert weights == {}
    assert reasons["llm_fallback", "SPY", "llm_fallback"] == (
        False,
        "fallback is off (signal_routing_config.enable_llm_fallback)",
    )


def test_buy_sell_hold_and_silence() -> None:
    held = positions(
        {("ts_core", "SOLD"): 0.02, ("ts_core", "KEPT"): 0.05, ("ts_core", "FORGOTTEN"): 0.01, ("short", "S"): 0.01}
    )
    weights, reasons = route(
        say("BOUGHT"),
        say("SOLD", direction=-1),
        say("KEPT", direction=0),
        say("S", "short_desk", direction=-1),
        previous=held,
    )
    assert weights == {
        ("ts_core", "BOUGHT"): 0.5,
        ("ts_core", "FORGOTTEN"): 0.0,
        ("ts_core", "KEPT"): 0.5,
        ("ts_core", "SOLD"): 0.0,
        ("short", "S"): -1.0,
    }
    assert [reason for _, reason in reasons.values()] == [
        "buy",
        "no live signal: exit",
        "hold",
        "sell: exit, the bucket is long-only",
        "sell: short",
    ]


def test_standing_weights_need_no_signal() -> None:
    policy = make_policy(safe={"standing": {"BIL": 0.6}})
    routing = SignalRouter(policy).route([])
    assert routing.relative_weights.to_dict() == {("safe", "BIL"): 0.6}
    (decision,) = routing.records
    assert (decision.source, decision.direction, decision.kept, decision.reason) == (
        "standing",
        1,
        True,
        "standing weight",
    )
    assert math.isnan(decision.conviction)


def test_full_conviction_is_set_by_bucket() -> None:
    policy = POLICY.override({"signal_routing_config.full_conviction": {"ts_core": 4.0}})
    assert route(say("SPY"), say("SPY", "ml_secondary"), policy=policy)[0] == {
        ("ts_core", "SPY"): 0.25,
        ("ml_secondary", "SPY"): 1.0,
    }


def test_what_is_held_may_be_a_mapping() -> None:
    held = {("ts_core", "SPY"): 0.04, ("ts_core", "OLD"): 0.0}
    one, other = (SignalRouter(POLICY).route([say("SPY", direction=0)], kind) for kind in (held, positions(held)))
    assert (one.shares, one.records) == (other.shares, other.records)
    assert one.shares == pytest.approx({("ts_core", "SPY"): 0.4})
    assert one.relative_weights.to_dict() == one.shares


def test_nothing_asked_is_nothing_answered() -> None:
    routing = SignalRouter(POLICY).route([])
    assert len(routing.relative_weights) == 0
    assert list(routing.relative_weights.index.names) == ["bucket", "symbol"]
    assert routing.relative_weights.dtype == "float64"
    assert list(routing.decisions.columns) == [
        "symbol",
        "source",
        "direction",
        "bucket",
        "kept",
        "reason",
        "conviction",
        "relative_weight",
    ]


def test_one_router_answers_for_other_positions_each_time() -> None:
    router = SignalRouter(POLICY)
    first = router.route([say("SPY"), say("GLD")]).relative_weights
    second = router.route([say("GLD", strength=0.5), say("SPY")]).relative_weights
    third = router.route([say("SPY")]).relative_weights
    assert first.index.equals(second.index)
    assert third.to_dict() == {("ts_core", "SPY"): 1.0}
    assert first.to_dict() == {("ts_core", "GLD"): 0.5, ("ts_core", "SPY"): 0.5}


@pytest.mark.parametrize(
    ("signals", "parts"),
    [
        ([say("SPY"), say("SPY", strength=0.1)], ["'SPY'", "'time_series_core'", "twice"]),
        ([say("SPY", "horoscope")], ["'SPY'", "'horoscope'", "unknown", "add it to signal_routing_config.yml"]),
        (["SPY"], ["'SPY'", "str", "pmx.Signal"]),
    ],
)
def test_a_malformed_set_of_signals_is_refused(signals: list[Any], parts: list[str]) -> None:
    with pytest.raises(SignalError) as caught:
        SignalRouter(POLICY).route(signals)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("previous", "parts"),
    [
        (pd.Series({"SPY": 0.1}), ["(bucket, symbol)"]),
        (positions({("moon", "SPY"): 0.1}), ["SPY", "'moon'", "ts_core"]),
        (positions({("ts_core", "SPY"): math.nan}), ["ts_core/SPY", "nan"]),
        (pd.concat([positions({("ts_core", "SPY"): 0.1})] * 2), ["repeats"]),
    ],
)
def test_malformed_previous_positions_are_refused(previous: pd.Series, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        SignalRouter(POLICY).route([], previous)
    for part in parts:
        assert part in str(caught.value)


signals_of = st.lists(
    st.builds(
        say,
        symbol=st.sampled_from(["SPY", "GLD", "NGX:MTNN", "BIL"]),
        source=st.sampled_from([*SOURCES, "short_desk"]),
        direction=st.sampled_from([-1, 0, 1]),
        strength=st.floats(0.0, 1.0),
        edge=st.just(0.0) | st.floats(0.05, 0.5),
        confidence=st.floats(0.3, 1.0),
    ),
    unique_by=lambda s: (s.symbol, s.source),
    max_size=10,
)
held_in = st.dictionaries(
    st.tuples(st.sampled_from(["ts_core", "short", "llm_fallback"]), st.sampled_from(["SPY", "GLD", "OLD"])),
    st.floats(-0.1, 0.1),
    max_size=4,
)


@given(signals=signals_of, held=held_in, data=st.data())
@settings(max_examples=150, deadline=None)
def test_every_signal_has_one_decision_and_the_order_of_signals_does_not_matter(
    signals: list[Signal], held: dict[tuple[str, str], float], data: st.DataObject
) -> None:
    previous = positions(held) if held else None
    router = SignalRouter(POLICY)
    routing = router.route(signals, previous)
    shuffled = SignalRouter(POLICY).route(data.draw(st.permutations(signals)), previous)
    pd.testing.assert_series_equal(routing.relative_weights, shuffled.relative_weights, check_exact=True)
    pd.testing.assert_frame_equal(routing.decisions, shuffled.decisions, check_exact=True)

    table, weights = routing.decisions, routing.relative_weights
    spoken = table[table["source"] != "none"]
    assert sorted(zip(spoken["symbol"], spoken["source"], strict=True)) == sorted((s.symbol, s.source) for s in signals)
    kept = table[table["kept"].astype(bool)]
    assert list(zip(kept["bucket"], kept["symbol"], strict=True)) == weights.index.tolist()
    assert kept["relative_weight"].tolist() == weights.tolist()
    assert set(table.loc[~table["kept"].astype(bool), "relative_weight"]) <= {0.0}
    assert (table["reason"] != "").all()

    order = list(POLICY.risk_buckets.buckets)
    assert weights.index.tolist() == sorted(weights.index.tolist(), key=lambda key: (order.index(key[0]), key[1]))
    assert (weights.abs().groupby(level="bucket").sum() <= 1.0 + 1e-12).all()
    assert {key for key, weight in held.items() if weight != 0.0} <= set(weights.index.tolist())
