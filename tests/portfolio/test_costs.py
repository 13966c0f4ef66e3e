"""Costs are a fraction of the traded value, one side."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.portfolio import CostModel

COSTS = CostModel(commission_bps=1.5, half_spread_bps=2.5, per_symbol_bps={"NGX:MTNN": 60.0, "FREE": 0.0})


def test_rates() -> None:
    assert COSTS.rate("SPY") == pytest.approx(0.0004)
    assert COSTS.rate("NGX:MTNN") == pytest.approx(0.006)
    assert COSTS.rates(["FREE", "SPY"]).tolist() == pytest.approx([0.0, 0.0004])
    assert COSTS.rates([]).shape == (0,)


def test_they_come_from_the_policy() -> None:
    costs = {"commission_bps": 3.0, "half_spread_bps": 4.0, "per_symbol_bps": {"WTI": 25.0}}
    model = CostModel.from_policy(Policy.from_mapping({"execution": {"costs": costs}}))
    assert (model.rate("SPY"), model.rate("WTI")) == pytest.approx((0.0007, 0.0025))


@given(values=st.dictionaries(st.sampled_from(["SPY", "NGX:MTNN", "FREE", "QQQ"]), st.floats(-1e9, 1e9)))
def test_a_round_trip_costs_twice_and_the_side_does_not_matter(values: dict[str, float]) -> None:
    cost = COSTS.cost(values)
    assert cost == COSTS.cost({symbol: -value for symbol, value in values.items()})
    assert cost == COSTS.cost(pd.Series(values, dtype=float))
    assert cost == pytest.approx(sum(abs(value) * COSTS.rate(symbol) for symbol, value in values.items()))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="traded value of SPY"):
        COSTS.cost({"SPY": value})


@pytest.mark.parametrize(
    ("figures", "name"),
    [((-1.0, 0.0, {}), "commission_bps"), ((0.0, math.nan, {}), "half_spread_bps"), ((0.0, 0.0, {"X": -2.0}), "X")],
)
def test_a_bad_figure_is_refused(figures: tuple[float, float, dict[str, float]], name: str) -> None:
    with pytest.raises(DataError, match=name):
        CostModel(*figures)


def test_a_cost_model_cannot_change() -> None:
    figures = {"X": 5.0}
    model = CostModel(1.0, 1.0, figures)
    figures["X"] = 50.0
    assert model.rate("X") == pytest.approx(0.0005)
    with pytest.raises(TypeError):
        model.per_symbol_bps["X"] = 1.0  # type: ignore[index]
