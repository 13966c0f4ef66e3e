"""Walks with forecasters whose truth is known: the calibrated one is found so, the overconfident one is caught."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pmx.errors import DataError, SignalError
from pmx.signals import Signal
from pmx.signals.forecasting import Diagnostics, ForecastBundle
from pmx.signals.forecasting.types import Forecast
from pmx.signals.scoring import RandomWalk, walk_engine, walk_forecaster

VOLATILITY = 0.01


class Knowing:
    """Forecasts an AR(1) exactly; ``stretch`` makes it over- or underconfident."""

    name = "knowing"

    def __init__(self, phi=0.3, stretch=1.0):
        self.phi, self.stretch = phi, stretch

    def forecast(self, returns, horizon):
        if len(returns) < 2:
            raise SignalError("too short")
        mean = returns[-1] * self.phi ** np.arange(1, horizon + 1)
        response = np.cumsum(self.phi ** np.arange(horizon))
        total = VOLATILITY**2 * float((response**2).sum()) * self.stretch**2
        bars = np.full(horizon, VOLATILITY**2)
        return Forecast(mean, bars, self.name, horizon_variance=total)


def ar1(n=6000, phi=0.3, seed=1):
    shocks = VOLATILITY * np.random.default_rng(seed).normal(size=n)
    returns = np.zeros(n)
    for t in range(n):
        returns[t] = shocks[t] + (phi * returns[t - 1] if t else 0.0)
    return pd.Series(returns, pd.bdate_range("2000-01-03", periods=n), name="SPY")


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_calibrated_forecaster_has_a_uniform_pit_and_covers_what_it_says(horizon):
    walk = walk_forecaster(Knowing(), ar1(), horizon, first=50)
    assert 0.88 <= walk.coverage(0.9) <= 0.92
    assert stats.kstest(walk.pit, "uniform").pvalue > 0.01
    baseline = walk_forecaster(RandomWalk(), ar1(), horizon, at=walk.dates)
    of_crps, of_error = walk.against(baseline)
    assert walk.crps.mean() < baseline.crps.mean()
    assert max(of_crps.p_value, of_error.p_value) < 0.05
    assert of_crps.statistic < 0
    assert walk.directional_accuracy > 0.52
    assert math.isnan(baseline.directional_accuracy)


@pytest.mark.parametrize(("stretch", "low", "high"), [(0.6, 0.60, 0.74), (1.8, 0.985, 1.0)])
def test_one_that_is_too_sure_or_not_sure_enough_is_caught(stretch, low, high):
    walk = walk_forecaster(Knowing(stretch=stretch), ar1(), 1, first=50)
    assert low < walk.coverage(0.9) < high
    assert stats.kstest(walk.pit, "uniform").pvalue < 1e-6
    true = walk_forecaster(Knowing(), ar1(), 1, first=50)
    assert walk.crps.mean() > true.crps.mean()
    assert walk.log_score.mean() > true.log_score.mean()


def test_overlapping_and_separate_outcomes_are_the_sums_that_followed():
    returns = ar1(200)
    for every in (1, 2, 5, None):
        walk = walk_forecaster(RandomWalk(), returns, 5, first=30, every=every)
        assert walk.overlap == {1: 5, 2: 3, 5: 1, None: 1}[every]
        for date, outcome in zip(walk.dates, walk.outcome, strict=True):
            k = returns.index.get_loc(date)
            assert outcome == pytest.approx(returns.iloc[k + 1 : k + 6].sum(), abs=1e-12)
        assert len(returns) - returns.index.get_loc(walk.dates[-1]) - 1 >= 5
    again = walk_forecaster(RandomWalk(), returns, 5, at=walk.dates)
    assert again.mean.tolist() == walk.mean.tolist()
    assert again.dates.equals(walk.dates)


def test_what_comes_later_changes_no_forecast():
    returns = ar1(300)
    other = returns.copy()
    other.iloc[150:] *= -3.0
    one, two = (walk_forecaster(Knowing(), series, 4, first=20, every=1) for series in (returns, other))
    before = one.dates < returns.index[150]
    for name in ("mean", "volatility", "degrees_of_freedom"):
        assert getattr(one, name)[before].tobytes() == getattr(two, name)[before].tobytes()
    assert not np.array_equal(one.mean, two.mean)


class Peeking:
    """An engine that notes the last row it was shown, and expects 0.001 of every symbol that has a price."""

    source = "time_series_core"

    def __init__(self):
        self.shown = []

    def signals(self, prices):
        self.shown.append(prices.index[-1])
        now = prices.iloc[-1]
        rows = [(0.001, 0.02) if math.isfinite(close) else (math.nan, math.nan) for close in now]
        self.diagnostics = pd.DataFrame(rows, index=prices.columns, columns=["expected_return", "volatility"])
        return [Signal(s, 1, 1.0, 0.05, 0.6, self.source) for s in prices.columns if math.isfinite(now[s])]


def test_an_engine_is_walked_by_the_bars_of_each_symbol():
    returns = ar1(120)
    closes = 100 * np.exp(returns.cumsum())
    prices = pd.DataFrame({"A": closes, "B": closes[::-1].to_numpy()})
    prices.iloc[40:43, 1] = math.nan
    engine = Peeking()
    walked = walk_engine(engine, prices, 4, every=3)
    assert engine.shown == list(prices.index[2:116:3])
    b = prices["B"].dropna()
    for symbol, own in (("A", prices["A"]), ("B", b)):
        walk = walked[symbol]
        assert (walk.overlap, set(walk.confidence)) == (2, {0.6})
        for date, outcome in zip(walk.dates, walk.outcome, strict=True):
            k = own.index.get_loc(date)
            assert outcome == pytest.approx(math.log(own.iloc[k + 4] / own.iloc[k]), abs=1e-12)
    assert prices.index[41] not in walked["B"].dates


class Telling(Peeking):
    """Says of each symbol more than it has to: an interval, a model, and a side now and then."""

    def signals(self, prices):
        signals = super().signals(prices)
        self.diagnostics["model"] = [f"model of {symbol}" for symbol in prices.columns]
        half = Forecast(np.array([0.001]), np.array([0.02**2]), "any")
        bundle = ForecastBundle(half, {}, {}, {}, Diagnostics(reach_90=2.0))
        self.forecasts = {"A": bundle} if len(prices) % 2 else {}
        self.as_stated = signals
        side = [1, 0, -1][len(prices) % 3]
        confidence = 0.55 if side < 0 else 0.6
        return [Signal(s.symbol, side, 1.0, 0.05 * side, confidence, self.source) for s in signals[:1]]


def test_what_an_engine_says_besides_is_kept_with_its_forecast():
    closes = 100 * np.exp(ar1(120).cumsum())
    walked = walk_engine(Telling(), pd.DataFrame({"A": closes, "B": closes}), 4, every=1)
    a, b = walked["A"], walked["B"]
    shown = np.array([closes.index.get_loc(date) + 1 for date in a.dates])  # rows that the engine saw
    assert a.direction.tolist() == [[1, 0, -1][n % 3] for n in shown]
    assert b.direction.tolist() == [0] * len(b)
    assert (a.confidence == 0.6).all()
    assert np.isnan(a.calibrated).tolist() == [n % 3 != 2 for n in shown]
    assert np.isnan(b.calibrated).all()
    expected = np.where((shown % 2 == 1)[:, None], [0.001 - 0.04, 0.001 + 0.04], math.nan)
    np.testing.assert_allclose(a.interval, expected, rtol=1e-12)
    inside = (expected[:, 0] <= a.outcome) & (a.outcome <= expected[:, 1])
    assert a.interval_coverage == pytest.approx(inside[shown % 2 == 1].mean())
    assert math.isnan(b.interval_coverage)
    right = [d * y > 0 for d, y in zip(a.direction, a.outcome, strict=True) if d]
    assert (a.signed.sum(), a.directional_accuracy) == (len(right), pytest.approx(np.mean(right)))
    assert math.isnan(b.directional_accuracy)
    assert (set(a.made_by), set(b.made_by)) == ({"model of A"}, {"model of B"})
    odd = a.only(shown % 2 == 1)
    assert (len(odd), len(odd.made_by), np.isfinite(odd.interval).all()) == (len(odd.dates), len(odd), True)
    assert odd.direction.tolist() == [[1, 0, -1][n % 3] for n in shown if n % 2 == 1]


def test_refusals():
    engine = Peeking()
    engine.diagnostics = None

    class Mute(Peeking):
        def signals(self, prices):
            self.diagnostics = pd.DataFrame({"volatility": [1.0]})
            return []

    prices = pd.DataFrame({"A": np.arange(1.0, 50.0)}, index=pd.bdate_range("2020-01-01", periods=49))
    with pytest.raises(SignalError, match="no column 'expected_return'"):
        walk_engine(Mute(), prices, 3)
    with pytest.raises(DataError, match="horizon 0"):
        walk_engine(Peeking(), prices, 0)
    bad = ar1(100)
    bad.iloc[7] = math.nan
    with pytest.raises(DataError, match="not finite at"):
        walk_forecaster(RandomWalk(), bad, 3, first=30)
    with pytest.raises(SignalError, match="20 needed"):
        RandomWalk().forecast(np.ones(5), 1)
    with pytest.raises(SignalError, match="all zero"):
        RandomWalk().forecast(np.zeros(50), 1)
    walk = walk_forecaster(RandomWalk(), ar1(100), 3, first=30)
    with pytest.raises(SignalError, match="different outcomes"):
        walk.against(walk_forecaster(RandomWalk(), ar1(100, seed=9), 3, first=30))


def test_outcomes_overlap_by_the_symbols_own_bars():
    """Every tenth row of a seven-day table is seven or eight bars of a symbol that trades five days a week."""
    from pmx.signals.scoring.walk import _overlap

    assert _overlap(np.array([0, 10, 20]), 10) == 1
    assert _overlap(np.array([0, 7, 14, 22]), 10) == 2
    assert _overlap(np.array([0, 1, 2, 3]), 3) == 3
