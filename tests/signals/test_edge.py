"""From a forecast to a signal, net of cost."""

import math

import pytest

from pmx import DataError
from pmx.signals.edge import RoundTripCosts, edge_signal


def signal(mean: float, cost: float = 0.001):
    return edge_signal("A", mean, 0.02, confidence=0.6, cost=cost, horizon=63, source="mine")


def test_an_edge_is_what_is_left_after_cost():
    assert (signal(0.011).direction, signal(0.011).edge_score) == (1, pytest.approx(0.5))
    assert (signal(-0.011).direction, signal(-0.011).edge_score) == (-1, pytest.approx(-0.5))
    assert signal(0.011).strength == pytest.approx(math.tanh(0.5 * 2.0))


@pytest.mark.parametrize("mean", [0.0, 0.0005, -0.0005, 0.001, -0.001])
def test_what_does_not_pay_for_its_trades_is_a_hold(mean):
    held = signal(mean)
    assert (held.direction, held.edge_score, held.strength) == (0, 0.0, 0.0)
    assert math.copysign(1.0, held.edge_score) == 1.0


@pytest.mark.parametrize("cost", [-0.1, math.inf, math.nan, {"A": -0.1}])
def test_costs_that_are_none_are_refused(cost):
    with pytest.raises(DataError, match="finite fraction"):
        RoundTripCosts(cost)


def test_a_symbol_without_a_cost_is_named():
    assert RoundTripCosts(0.01).of(["A", "B"]) == [0.01, 0.01]
    with pytest.raises(DataError, match="no round-trip cost for 'B'"):
        RoundTripCosts({"A": 0.01}).of(["A", "B"])
