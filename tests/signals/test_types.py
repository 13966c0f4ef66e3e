"""The signal validates itself; its conviction is strength × confidence × |edge|."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import SignalError
from pmx.signals import Signal

GOOD = {
    "symbol": "AAPL",
    "direction": 1,
    "strength": 0.5,
    "edge_score": 0.8,
    "confidence": 0.6,
    "source": "ml_secondary",
}

unit = st.floats(0.0, 1.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", ""),
        ("symbol", None),
        ("symbol", "CASH"),
        ("source", ""),
        ("source", 3),
        ("direction", 2),
        ("direction", True),
        ("direction", 1.0),
        ("direction", "1"),
        ("strength", -0.1),
        ("strength", 1.1),
        ("strength", math.nan),
        ("strength", True),
        ("confidence", 1.0000001),
        ("confidence", math.inf),
        ("confidence", None),
        ("edge_score", math.nan),
        ("edge_score", -math.inf),
        ("edge_score", "0.8"),
        ("edge_score", -0.8),
    ],
)
def test_a_bad_field_is_refused_by_name_value_and_remedy(field: str, value: object) -> None:
    fields = {**GOOD, field: value}
    with pytest.raises(SignalError) as caught:
        Signal(**fields)  # type: ignore[arg-type]
    message = str(caught.value)
    for part in (repr(fields["symbol"]), repr(fields["source"]), f"{field} = {value!r}", "; "):
        assert part in message


@given(strength=unit, confidence=unit, edge=st.floats(0.0, 1e6))
def test_conviction_is_the_same_whichever_way_the_signal_points(
    strength: float, confidence: float, edge: float
) -> None:
    for direction, signed in ((1, edge), (-1, -edge), (0, edge), (0, -edge)):
        signal = Signal("X", direction, strength, signed, confidence, "s")
        assert signal.conviction == pytest.approx(strength * confidence * edge)


@given(edge=st.floats(min_value=0.0, max_value=1e6, exclude_min=True), direction=st.sampled_from([-1, 1]))
def test_an_edge_against_the_direction_is_refused(edge: float, direction: int) -> None:
    with pytest.raises(SignalError, match="opposite sign"):
        Signal("X", direction, 1.0, -direction * edge, 1.0, "s")


def test_numpy_numbers_become_plain_ones() -> None:
    signal = Signal("X", np.int64(-1), np.float32(0.5), np.float64(-0.25), 1, "s")  # type: ignore[arg-type]
    assert (signal.direction, signal.strength, signal.edge_score, signal.confidence) == (-1, 0.5, -0.25, 1.0)
    assert [type(getattr(signal, f.name)) for f in dataclasses.fields(Signal)] == [
        str,
        int,
        float,
        float,
        float,
        str,
    ]


def test_a_signal_cannot_change_and_can_be_a_key() -> None:
    signal = Signal(**GOOD)  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        signal.strength = 1.0  # type: ignore[misc]
    assert {signal: 1}[Signal(**GOOD)] == 1  # type: ignore[arg-type]
