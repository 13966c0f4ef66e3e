"""What a calibration rests on, and what a calibrated engine still tells of the one inside."""

import numpy as np
import pandas as pd
import pytest

from pmx.policy.schema import CalibrationRule
from pmx.signals import Signal
from pmx.signals.calibrated_engine import CalibratedEngine
from pmx.signals.scoring import fit_calibration

SYMBOLS = ["A", "B"]


class Now:
    """Takes a side every ``every`` bars, HOLD in between, with a confidence of its own each time."""

    source = "time_series_core"

    def __init__(self, every=1):
        self.every = every

    def signals(self, prices):
        rng = np.random.default_rng(len(prices))
        side = 1 if len(prices) % self.every == 0 else 0
        return [Signal(s, side, 1.0, 0.1 * side, float(rng.uniform(0.5, 0.8)), self.source) for s in prices.columns]


def closes(n, seed=0):
    steps = np.random.default_rng(seed).normal(0.0, 0.01, (n, 2))
    return pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), pd.bdate_range("2015-01-01", periods=n), SYMBOLS)


def first_map(every, horizon, least=50):
    """Return after how many rows the first map was there."""
    rule = CalibrationRule(method="platt", min_outcomes=least, refit_every=1)
    engine, prices = CalibratedEngine(Now(every), rule, horizon=horizon), closes(600)
    for row in range(1, len(prices) + 1):
        engine.signals(prices.iloc[:row])
        if engine.calibration is not None:
            return row
    return None


@pytest.mark.parametrize(("every", "horizon"), [(1, 1), (1, 10), (1, 5), (3, 10), (10, 10), (15, 10)])
def test_outcomes_that_share_bars_count_once(every, horizon):
    """Fifty separate outcomes of two symbols are twenty-five of each, no closer than a horizon."""
    apart = every * -(-horizon // every)  # bars from one separate signal to the next
    assert first_map(every, horizon) == every + 24 * apart + horizon


def test_the_map_is_that_of_all_outcomes_weighed_by_their_overlap():
    rule = CalibrationRule(method="isotonic", min_outcomes=50, refit_every=300, window=400)
    engine, prices = CalibratedEngine(Now(), rule, horizon=4), closes(300)
    engine.signals(prices)
    stated, right = [], []
    for row in range(1, len(prices) - 3):
        for signal in Now().signals(prices.iloc[:row]):
            stated.append(signal.confidence)
            right.append(prices[signal.symbol].iloc[row + 3] > prices[signal.symbol].iloc[row - 1])
    alone = sum(1 for row in range(1, len(prices) - 3) if (row - 1) % 4 == 0 and 2 * row > len(stated) - 400)
    expected = fit_calibration(stated[-400:], right[-400:], "isotonic", overlap=400 / (2 * alone))
    at = np.linspace(0.4, 0.9, 50)
    assert engine.calibration(at).tolist() == expected(at).tolist()


def test_it_shows_what_is_inside():
    rule = CalibrationRule(method="platt", min_outcomes=50, refit_every=10)
    engine, prices = CalibratedEngine(Now(2), rule, horizon=3), closes(200)
    signals = engine.signals(prices)
    assert (engine.horizon, engine.forecasts) == (3, {})
    assert engine.as_stated == Now(2).signals(prices)
    assert [s.direction for s in signals] == [1, 1]
    assert all(s.confidence != t.confidence for s, t in zip(signals, engine.as_stated, strict=True))
    holds = engine.signals(closes(201))
    assert holds == engine.as_stated

    class Open(Now):
        @property
        def forecasts(self):
            return {"A": self.source}

    assert CalibratedEngine(Open(), rule, horizon=3).forecasts == {"A": Open.source}
