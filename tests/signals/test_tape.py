import numpy as np
import pandas as pd
import pytest

from pmx.policy.schema import TimeSeriesEngine
from pmx.signals import Signal
from pmx.signals.tape import SignalTape
from pmx.signals.time_series import TimeSeriesCore


class LastClose:
    """Says something that depends on the whole history, and counts how often it was asked."""

    source = "time_series_core"

    def __init__(self):
        self.asked = 0

    def signals(self, prices):
        self.asked += 1
        edge = float(np.nansum(prices.to_numpy())) / 1e6
        return [Signal(str(s), 1, strength=1.0, edge_score=edge, confidence=0.6, source=self.source) for s in prices]


@pytest.fixture
def prices():
    rng = np.random.default_rng(7)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, size=(40, 2)), axis=0))
    return pd.DataFrame(closes, index=pd.bdate_range("2020-01-01", periods=40), columns=["A", "B"])


def play(tape, prices, first=1):
    return [tape.signals(prices.iloc[:n]) for n in range(first, len(prices) + 1)]


def test_a_second_run_is_played_from_the_tape(prices):
    engine = LastClose()
    tape = SignalTape(engine)
    assert tape.source == "time_series_core"
    first = play(tape, prices)
    assert engine.asked == len(prices)
    assert play(tape, prices) == first == play(LastClose(), prices)
    assert engine.asked == len(prices)


def test_a_longer_run_asks_only_for_what_is_new(prices):
    engine = LastClose()
    tape = SignalTape(engine)
    play(tape, prices.iloc[:30])
    assert play(tape, prices, first=11) == play(LastClose(), prices, first=11)
    assert engine.asked == len(prices)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.iloc[:, ::-1],
        lambda p: p.rename(columns={"B": "C"}),
        lambda p: p.set_axis(p.index + pd.Timedelta(days=1), axis=0),
        lambda p: p.drop(p.index[0]).reindex(p.index),
        lambda p: p.assign(B=p["B"].where(p.index != p.index[0], 99.0)),
        lambda p: p.iloc[1:],
    ],
    ids=["column order", "column name", "dates", "a missing row", "an early close", "a later start"],
)
def test_other_prices_are_never_answered_from_the_tape(prices, change):
    engine = LastClose()
    tape = SignalTape(engine)
    play(tape, prices)
    asked, other = engine.asked, change(prices)
    assert play(tape, other) == play(LastClose(), other)
    assert engine.asked == asked + len(other)


def test_the_caller_cannot_change_what_is_on_the_tape(prices):
    tape = SignalTape(LastClose())
    first = tape.signals(prices)
    kept = list(first)
    first.clear()
    assert tape.signals(prices) == kept


def test_a_real_engine_gives_the_same_through_a_tape(prices):
    rng = np.random.default_rng(3)
    long = pd.DataFrame(
        {"A": 100.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.01, size=130)))},
        index=pd.bdate_range("2020-01-01", periods=130),
    )
    config = TimeSeriesEngine(members=("ar_garch",), evidence=0.0, window=120, min_observations=100, refit_every=20)
    plain = TimeSeriesCore(config, round_trip_cost=0.0)
    tape = SignalTape(TimeSeriesCore(config, round_trip_cost=0.0))
    want = play(plain, long, first=95)
    assert play(tape, long, first=95) == want == play(tape, long, first=95)
    assert any(want)


def test_two_histories_share_the_tape_up_to_where_they_part(prices):
    engine = LastClose()
    tape = SignalTape(engine)
    play(tape, prices)
    other = prices.copy()
    other.iloc[25:] *= 1.5
    assert play(tape, other) == play(LastClose(), other)
    assert engine.asked == len(prices) + len(other) - 25
