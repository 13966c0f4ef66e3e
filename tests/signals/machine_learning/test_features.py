"""Features are known at their bar, have no unit, and do not depend on how the history was read."""

import math

import numpy as np
import pandas as pd
import pytest

from pmx.signals.machine_learning import SymbolBars, feature_names
from pmx.signals.machine_learning.features import WARM_UP, labelled_bars


def read(closes: np.ndarray, lags: int = 5) -> SymbolBars:
    bars = SymbolBars(lags)
    for row, date in enumerate(pd.bdate_range("2019-06-03", periods=len(closes))):
        bars.push(row, float(closes[row]), date)
    return bars


def path(seed: int, size: int = 300) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, size)))


def test_the_features_are_what_they_are_said_to_be() -> None:
    closes = path(0)
    bars = read(closes, lags=3)
    at = 250
    row = dict(zip(feature_names(3), bars.features[at], strict=True))
    r = np.diff(np.log(closes))[:at]

    def volatility(decay: float) -> float:
        variance = r[0] ** 2
        for value in r[1:]:
            variance = decay * variance + (1.0 - decay) * value**2
        return math.sqrt(variance)

    scale = volatility(0.94)
    assert bars.volatilities[at] == pytest.approx(scale)
    assert [row[f"lag_{k}"] for k in (1, 2, 3)] == pytest.approx([r[-k] / scale for k in (1, 2, 3)])
    for n in (5, 21, 63):
        assert row[f"momentum_{n}"] == pytest.approx(r[-n:].sum() / (scale * math.sqrt(n)))
    high = closes[at - 63 : at + 1].max()
    assert row["fall_from_high"] == pytest.approx(math.log(closes[at] / high) / (scale * math.sqrt(63)))
    assert row["volatility_fast"] == pytest.approx(volatility(0.80) / scale)
    assert row["volatility_slow"] == pytest.approx(scale / volatility(0.985))
    date = pd.bdate_range("2019-06-03", periods=300)[at]
    assert (row["weekday"], row["month"], row["day_of_month"]) == (date.weekday(), date.month, date.day)
    assert bars.label(at, 10) == pytest.approx(math.log(closes[at + 10] / closes[at]) / (scale * math.sqrt(10)))


@pytest.mark.parametrize("cut", [70, 200, 299])
def test_later_closes_reach_no_earlier_feature(cut: int) -> None:
    closes, other = path(1), path(1)
    other[cut:] *= np.linspace(0.2, 3.0, len(other) - cut)
    assert read(closes).features[:cut] == read(other).features[:cut]
    assert read(closes).features[cut] != read(other).features[cut]


def test_features_have_no_unit() -> None:
    closes = path(2)
    stretched = 7.0 * closes
    here, there = read(closes).features[200], read(stretched).features[200]
    assert here == pytest.approx(there, rel=1e-9)
    loud = np.exp(3.0 * np.log(closes))  # three times the volatility
    assert read(loud).features[200] == pytest.approx(here, rel=1e-9)


def test_there_are_none_before_the_warm_up_nor_where_nothing_moves() -> None:
    features = read(path(3)).features
    assert [f is None for f in features[: WARM_UP + 1]] == [True] * WARM_UP + [False]
    assert read(np.full(100, 5.0)).features == [None] * 100


def test_only_labels_that_are_complete_may_be_learnt() -> None:
    closes = path(4)
    closes[100:110] = np.nan
    bars = read(closes)
    for upto in (70, 99, 105, 110, 150, 299):
        for bar in labelled_bars(bars, after=80, upto=upto, horizon=7):
            assert 80 < bars.rows[bar] < bars.rows[bar + 7] <= upto
