"""One bucket, shared out by hand-computed figures and by properties that always hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.policy.schema import Bucket
from pmx.signals import Signal
from pmx.signals.sharing import share_bucket


def bucket(**fields: object) -> Bucket:
    return Bucket(**{"role": "risk", "base_nav_frac": 0.2, **fields})  # type: ignore[arg-type]


def signal(symbol: str, direction: int, conviction: float) -> Signal:
    return Signal(symbol, direction, 1.0, -conviction if direction < 0 else conviction, 1.0, "ts")


def weights(the_bucket: Bucket, signals: list[Signal], held: dict[str, float], full: float = 1.0) -> dict[str, float]:
    budget = min(max(the_bucket.base_nav_frac, the_bucket.min_nav_frac), the_bucket.max_nav_frac)
    shares = share_bucket(the_bucket, full, {s.symbol: s for s in signals}, held, budget)
    return {symbol: share.relative_weight for symbol, share in shares.items()}


def test_strong_conviction_fills_the_bucket_in_proportion() -> None:
    assert weights(bucket(), [signal("A", 1, 3.0), signal("B", 1, 1.0)], {}) == {"A": 0.75, "B": 0.25}


def test_weak_conviction_does_not_fill_it() -> None:
    assert weights(bucket(), [signal("A", 1, 0.3), signal("B", 1, 0.1)], {}, full=0.8) == pytest.approx(
        {"A": 0.375, "B": 0.125}
    )


def test_a_sell_exits_where_long_only_and_shorts_where_allowed() -> None:
    signals = [signal("A", 1, 1.0), signal("B", -1, 1.0)]
    assert weights(bucket(), signals, {"B": 0.05}) == {"A": 1.0, "B": 0.0}
    assert weights(bucket(allow_short=True), signals, {"B": 0.05}) == {"A": 0.5, "B": -0.5}


def test_a_hold_keeps_the_nav_fraction_and_others_share_the_rest() -> None:
    shares = weights(bucket(), [signal("A", 1, 2.0), signal("H", 0, 9.0)], {"H": 0.05})
    assert shares == pytest.approx({"A": 0.75, "H": 0.25})


@pytest.mark.parametrize(
    ("fields", "held"),
    [({}, 0.0), ({"base_nav_frac": 0.0}, 0.05), ({}, -0.05)],
    ids=["nothing held", "no budget", "short in a long-only bucket"],
)
def test_a_hold_keeps_nothing_where_there_is_nothing_to_keep(fields: dict[str, float], held: float) -> None:
    holdings = {"H": held} if held else {}
    assert weights(bucket(**fields), [signal("H", 0, 1.0)], holdings) == {"H": 0.0}


def test_the_held_short_of_a_bucket_that_may_be_short_is_kept() -> None:
    assert weights(bucket(allow_short=True), [signal("H", 0, 1.0)], {"H": -0.05}) == {"H": -0.25}


def test_a_hold_is_a_share_of_the_budget_that_there_is_now() -> None:
    hold = {"H": signal("H", 0, 1.0)}
    assert share_bucket(bucket(), 1.0, hold, {"H": 0.05}, 0.1)["H"].relative_weight == 0.5
    assert share_bucket(bucket(), 1.0, hold, {"H": 0.05}, 0.4)["H"].relative_weight == 0.125


def test_what_is_held_beyond_the_bucket_is_scaled_to_it_and_leaves_nothing() -> None:
    shares = weights(bucket(), [signal("A", 1, 2.0), signal("H", 0, 1.0), signal("I", 0, 1.0)], {"H": 0.3, "I": 0.1})
    assert shares == pytest.approx({"A": 0.0, "H": 0.75, "I": 0.25})


def test_standing_weights_are_reserved_like_held_ones() -> None:
    shares = weights(bucket(standing={"S": 0.4}), [signal("A", 1, 2.0)], {"S": 0.01})
    assert shares == pytest.approx({"A": 0.6, "S": 0.4})


def test_a_live_signal_takes_the_place_of_a_standing_weight() -> None:
    the_bucket = bucket(standing={"S": 0.4})
    assert weights(the_bucket, [signal("S", -1, 1.0)], {"S": 0.08}) == {"S": 0.0}
    assert weights(the_bucket, [signal("S", 0, 1.0)], {"S": 0.05}) == {"S": 0.25}
    assert weights(the_bucket, [signal("S", 1, 2.0)], {}) == {"S": 1.0}


def test_what_is_held_without_a_live_signal_is_closed() -> None:
    assert weights(bucket(), [], {"OLD": 0.07}) == {"OLD": 0.0}


@given(
    directions=st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.floats(0.0, 5.0)), max_size=6),
    held=st.dictionaries(st.sampled_from("ABCDEFGH"), st.floats(-0.3, 0.3).filter(bool), max_size=6),
    standing=st.dictionaries(st.sampled_from("ABCXY"), st.floats(0.0, 0.5), max_size=2),
    allow_short=st.booleans(),
    full=st.floats(0.1, 3.0),
)
def test_a_bucket_never_gives_more_than_itself(
    directions: list[tuple[int, float]],
    held: dict[str, float],
    standing: dict[str, float],
    allow_short: bool,
    full: float,
) -> None:
    signals = [signal("ABCDEF"[i], direction, c) for i, (direction, c) in enumerate(directions)]
    the_bucket = bucket(allow_short=allow_short, standing=standing)
    shares = weights(the_bucket, signals, held, full)

    assert math.fsum(abs(weight) for weight in shares.values()) <= 1.0 + 1e-12
    assert set(shares) == {s.symbol for s in signals} | set(held) | set(standing)
    assert list(shares) == sorted(shares)
    if not allow_short:
        assert min(shares.values(), default=0.0) >= 0.0
    for s in signals:
        if s.direction > 0:
            assert shares[s.symbol] >= 0.0
        elif s.direction < 0:
            assert shares[s.symbol] <= 0.0
