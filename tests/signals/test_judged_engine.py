"""Judging leaves signals alone, sees nothing of the future, and does not depend on how the history arrived."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError, SignalError
from pmx.signals import Signal
from pmx.signals.calibrated_engine import CalibratedEngine
from pmx.signals.engines import engines_of
from pmx.signals.judged_engine import JudgedEngine
from pmx.signals.success import Result
from pmx.signals.tape import SignalTape

QUICK = {
    "quant_success_config.horizon_bars": 3,
    "quant_success_config.lookback_bars": 40,
    "quant_success_config.min_judged": 8,
    "forecaster_monitoring.gate": {"window": 6, "close_after": 3, "reopen_after": 4, "min_bars_closed": 5},
}
POLICY = pmx.load_policy().override(QUICK)
COSTS = {"A": 0.0004, "B": 0.0004, "BIL": 0.0004}


class Momentum:
    """Follows the last move; a confidence that grows with it."""

    source = "time_series_core"

    def signals(self, prices):
        if len(prices) < 3:
            return []
        said = []
        for symbol in prices:
            own = prices[symbol].dropna()
            if len(own) < 2 or math.isnan(prices[symbol].iloc[-1]):
                continue
            move = math.log(own.iloc[-1] / own.iloc[-2])
            direction = int(np.sign(move)) if abs(move) > 0.002 else 0
            confidence = min(0.99, 0.5 + 20 * abs(move))
            said.append(Signal(symbol, direction, 1.0, direction * abs(move) * 10, confidence, self.source))
        return said


def prices(n=140, seed=0):
    steps = np.random.default_rng(seed).normal(0.0, 0.01, (n, 3))
    table = pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), pd.bdate_range("2020-01-01", periods=n), ["A", "B", "BIL"])
    table.iloc[60:63, 1] = math.nan
    return table


def judged(policy=POLICY):
    return JudgedEngine(Momentum(), policy, COSTS)


def shown(engine):
    """Return what can be compared to the bit; NaN scores are UNPROVEN."""
    return [(v.date, v.signal, v.result, repr(v.figures), v.missed, v.judged, v.gated) for v in engine.verdicts]


def test_the_signals_are_the_engines_and_each_has_a_verdict():
    table, engine = prices(), judged()
    seen = set()
    for row in range(1, len(table) + 1):
        signals = engine.signals(table.iloc[:row])
        assert signals == Momentum().signals(table.iloc[:row])
        assert [v.signal for v in engine.verdicts] == signals
        assert all(v.date == table.index[row - 1] for v in engine.verdicts)
        assert {v.signal.symbol for v in engine.verdicts if v.gated} <= engine.gated
        seen |= {v.result for v in engine.verdicts}
    assert seen == set(Result)


def test_a_fresh_one_that_is_given_all_says_the_same_as_one_that_grew():
    table, grown = prices(), judged()
    for row in range(1, len(table) + 1):
        grown.signals(table.iloc[:row])
        grown.signals(table.iloc[:row])  # asking twice changes nothing
        if row % 23 == 0:
            fresh = judged()
            fresh.signals(table.iloc[:row])
            assert shown(fresh) == shown(grown)
            assert fresh.gated == grown.gated


def test_no_later_price_changes_a_verdict_or_a_gate():
    table = prices()
    for row in (50, 80, 110):
        other = table.copy()
        other.iloc[row:] *= np.exp(np.random.default_rng(row).normal(0.0, 0.2, other.iloc[row:].shape))
        one, two = judged(), judged()
        for k in range(1, len(table) + 1):
            one.signals(table.iloc[:k])
            two.signals(other.iloc[:k])
            if k <= row:
                assert shown(one) == shown(two)
                assert one.gated == two.gated
        assert shown(one) != shown(two)


def test_another_history_is_read_afresh():
    engine, table = judged(), prices()
    engine.signals(table)
    engine.signals(prices(seed=5))
    fresh = judged()
    fresh.signals(prices(seed=5))
    assert shown(engine) == shown(fresh)


class Whisper(Momentum):
    """Momentum with a confidence that the router does not hear."""

    def signals(self, prices):
        return [replace(signal, confidence=0.3) for signal in super().signals(prices)]


class Decided(Momentum):
    """Momentum that never says HOLD, which needs no edge to be heard."""

    def signals(self, prices):
        return [signal for signal in super().signals(prices) if signal.direction != 0]


@pytest.mark.parametrize(
    ("engine", "changes", "hears"),
    [
        (Momentum(), {}, True),
        (Whisper(), {}, False),
        (Decided(), {"signal_routing_config.sources.time_series_core.min_edge": 10.0}, False),
        (Whisper(), {"signal_routing_config.sources.time_series_core.min_confidence": 0.2}, True),
        (Momentum(), {"risk_buckets.buckets.ts_core.symbols": ["C"]}, False),
    ],
)
def test_signals_that_the_router_does_not_hear_are_judged_and_move_no_gate(engine, changes, hears):
    table = prices(seed=3)
    judged_engine = JudgedEngine(engine, POLICY.override(changes), COSTS)
    fails, ever = 0, set()
    for row in range(1, len(table) + 1):
        judged_engine.signals(table.iloc[:row])
        fails += sum(v.result is Result.FAIL for v in judged_engine.verdicts)
        ever |= judged_engine.gated
    assert fails > 100
    assert (ever == {"A", "B"}) if hears else not ever & {"A", "B"}


class Wrapped:
    """An engine around an engine."""

    source = "time_series_core"

    def __init__(self, engine):
        self.engine = engine

    def signals(self, known):
        return self.engine.signals(known)


class Threefold(Momentum):
    horizon = 3


def test_each_engine_is_judged_over_the_bars_that_it_speaks_about():
    own = pmx.load_policy().override({"signal_routing_config.engines.machine_learning.horizon": 4})
    engines = engines_of(own, 0.0004, ["time_series", "machine_learning"])
    platt = own.override({"signal_routing_config.calibration.method": "platt"})
    calibrated = engines_of(platt, 0.0004, ["time_series", "machine_learning"])
    cases = [*zip(engines, (10, 4), strict=True), *zip(calibrated, (10, 4), strict=True)]
    cases += [(Momentum(), 10), (Threefold(), 3), (Wrapped(Wrapped(Threefold())), 3), (SignalTape(Threefold()), 3)]
    for engine, horizon in cases:
        assert JudgedEngine(engine, own, COSTS).horizon == horizon
        assert JudgedEngine(engine, own.override({"quant_success_config.horizon_bars": 7}), COSTS).horizon == 7
    table = prices()
    rest = {key: value for key, value in QUICK.items() if not key.endswith("horizon_bars")}
    by_name = JudgedEngine(Threefold(), own.override(rest), COSTS)
    by_key = JudgedEngine(Momentum(), own.override(QUICK), COSTS)
    for engine in (by_name, by_key):
        engine.signals(table)
    assert shown(by_name) == shown(by_key)


@pytest.mark.parametrize("horizon", [0, -3, 2.5, "ten", True])
def test_a_horizon_that_is_no_number_of_bars_is_refused(horizon):
    engine = Momentum()
    engine.horizon = horizon
    with pytest.raises(SignalError, match=r"'time_series_core' has a horizon of .*; give a number of bars ≥ 1"):
        JudgedEngine(engine, pmx.load_policy(), COSTS)


def test_only_risk_symbols_are_gated():
    engine, table = judged(), prices(seed=3)
    ever = set()
    fails = set()
    for row in range(1, len(table) + 1):
        engine.signals(table.iloc[:row])
        ever |= engine.gated
        fails |= {v.signal.symbol for v in engine.verdicts if v.result is Result.FAIL}
    assert fails == {"A", "B", "BIL"}
    assert ever == {"A", "B"}


@pytest.mark.parametrize(("value", "what"), [(0.0, "must be finite and positive"), (-1.0, "'A' on 2020-04-29")])
def test_a_bad_price_is_named_and_nothing_is_remembered(value, what):
    engine, table = judged(), prices()
    engine.signals(table.iloc[:50])
    bad = table.copy()
    bad.iloc[85, 0] = value
    with pytest.raises(DataError, match=what):
        engine.signals(bad)
    engine.signals(table)
    fresh = judged()
    fresh.signals(table)
    assert shown(engine) == shown(fresh)


class Stumbling(Momentum):
    """Fails once, on the way through the history."""

    stumbled = False

    def signals(self, prices):
        if len(prices) == 60 and not self.stumbled:
            self.stumbled = True
            raise ConnectionError("no line")
        return super().signals(prices)


def test_a_history_that_an_engine_fell_over_is_read_again():
    engine, table = JudgedEngine(Stumbling(), POLICY, COSTS), prices()
    engine.signals(table.iloc[:50])
    with pytest.raises(ConnectionError, match="no line"):
        engine.signals(table)
    engine.signals(table)
    fresh = judged()
    fresh.signals(table)
    assert shown(engine) == shown(fresh)


def test_a_symbol_without_a_cost_is_refused():
    with pytest.raises(DataError, match="no round-trip cost for 'B'"):
        JudgedEngine(Momentum(), POLICY, {"A": 0.0}).signals(prices())


# -- calibrated confidence -------------------------------------------------------------------------------

RULE = POLICY.signal_routing_config.calibration.model_copy(
    update={"method": "platt", "window": 3000, "min_outcomes": 100, "refit_every": 20}
)


class Boastful:
    """Right as often as a hidden probability says, but states a larger one; knows the future of its own world."""

    source = "time_series_core"

    def __init__(self, table, seed=0):
        rng = np.random.default_rng(seed)
        self.truth = rng.uniform(0.5, 0.8, table.shape)
        move = np.sign(table.diff().shift(-1).fillna(1.0).to_numpy())
        self.direction = np.where(rng.random(table.shape) < self.truth, move, -move).astype(int)
        self.row = {date: i for i, date in enumerate(table.index)}

    def signals(self, prices):
        i = self.row[prices.index[-1]]
        return [
            Signal(s, int(d), 1.0, 0.1 * d, min(0.99, p + 0.15), self.source)
            for s, d, p in zip(prices.columns, self.direction[i], self.truth[i], strict=True)
        ]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_calibrated_confidence_means_what_it_says(method):
    table = prices(1400, seed=8)
    table["B"] = table["B"].ffill()
    boastful = Boastful(table)
    engine = CalibratedEngine(boastful, RULE.model_copy(update={"method": method}), horizon=1)
    stated, calibrated, right = [], [], []
    ahead = table.shift(-1)
    for row in range(1, len(table)):
        for raw, signal in zip(boastful.signals(table.iloc[:row]), engine.signals(table.iloc[:row]), strict=True):
            assert (raw.symbol, raw.direction, raw.edge_score) == (signal.symbol, signal.direction, signal.edge_score)
            if row > 700:
                stated.append(raw.confidence)
                calibrated.append(signal.confidence)
                move = ahead[raw.symbol].iloc[row - 1] - table[raw.symbol].iloc[row - 1]
                right.append(raw.direction * move > 0)
    stated, calibrated, right = map(np.array, (stated, calibrated, right))
    assert np.mean(stated) - right.mean() > 0.12  # boastful indeed
    assert abs(calibrated.mean() - right.mean()) < 0.03
    assert np.mean((calibrated - right) ** 2) < np.mean((stated - right) ** 2) - 0.01
    for low, high in [(0.5, 0.6), (0.6, 0.7), (0.7, 0.8)]:
        among = (calibrated >= low) & (calibrated < high)
        assert among.sum() > 100
        assert abs(calibrated[among].mean() - right[among].mean()) < 0.06


def test_calibration_is_causal_and_does_not_depend_on_how_the_history_arrived():
    table = prices(400)
    other = table.copy()
    other.iloc[300:] *= 1.5

    def calibrated():
        return CalibratedEngine(Momentum(), RULE, horizon=2)

    one, two = calibrated(), calibrated()
    for row in range(1, 401):
        a, b = one.signals(table.iloc[:row]), two.signals(other.iloc[:row])
        if row <= 300:
            assert a == b
        if row in (150, 300, 400):
            assert calibrated().signals(table.iloc[:row]) == a
    assert one.calibration is not None
    assert a != Momentum().signals(table)


def test_holds_and_early_signals_stay_as_they_are():
    table, engine = prices(400), CalibratedEngine(Momentum(), RULE, horizon=2)
    assert engine.signals(table.iloc[:40]) == Momentum().signals(table.iloc[:40])
    assert engine.calibration is None
    changed = 0
    for row in range(380, 401):
        for raw, signal in zip(Momentum().signals(table.iloc[:row]), engine.signals(table.iloc[:row]), strict=True):
            assert raw.direction != 0 or signal == raw
            changed += raw != signal
    assert engine.calibration is not None
    assert changed > 10
