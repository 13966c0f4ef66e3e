"""Figures against the money that following the signals would have made, step by step, and verdicts at their limits."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pmx
from pmx.policy.schema import QuantSuccess
from pmx.signals import Signal
from pmx.signals.success import FIGURE_OF, Figures, Result, criteria_missed, judge, measure
from pmx.signals.track_record import TrackRecord


def signal(direction, edge=None, symbol="SPY"):
    return Signal(symbol, direction, 1.0, direction * 0.1 if edge is None else edge, 0.6, "time_series_core")


def record_of(closes, said, horizon):
    record = TrackRecord(horizon)
    for close, direction in zip(closes, said, strict=True):
        record.add(close, None if direction is None else signal(direction))
    return record


def world(seed, n=120, drift=0.0):
    rng = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(rng.normal(drift, 0.01, n)))
    return closes, [None if x > 0.9 else int(d) for x, d in zip(rng.random(n), rng.integers(-1, 2, n), strict=True)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(20, 90))
@example(680, 1, 20)  # nothing is ever lost
def test_every_figure_is_what_a_loop_over_the_signals_says(seed, horizon, lookback):
    closes, said = world(seed)
    cost, now = 0.001, len(closes) - 1
    bars = range(max(0, now - lookback), now - horizon + 1)

    def half_round_trip(t, other):
        """Return what a slice pays between a signal and the one before or after it in the same slice."""
        return 0.0 if other >= 0 and said[t] == said[other] else cost / 2

    spoke = [t for t in bars if said[t] not in (None, 0)]
    trades = {t: (half_round_trip(t, t - horizon), half_round_trip(t, t + horizon)) for t in spoke}
    profits = [said[t] * (closes[t + horizon] / closes[t] - 1) - sum(trades[t]) for t in spoke]
    following = dict.fromkeys(range(bars.start + 1, now + 1), 0.0)
    for t in bars:
        if said[t] not in (None, 0):
            following[t + 1] -= trades[t][0] / horizon
            following[t + horizon] -= trades[t][1] / horizon
            for b in range(t + 1, t + horizon + 1):
                following[b] += said[t] / horizon * (closes[b] / closes[b - 1] - 1)
    p = np.array(list(following.values()))
    wealth = np.concatenate([[1.0], np.cumprod(1 + p)])
    outcomes = record_of(closes, said, horizon).outcomes(lookback)
    figures = measure(outcomes, cost, 4, 252.0)
    assert figures.expected_profit == pytest.approx(np.mean(profits), abs=1e-12)
    gains, losses = sum(x for x in profits if x > 0), -sum(x for x in profits if x < 0)
    assert figures.profit_factor == (pytest.approx(gains / losses) if losses else math.inf)
    assert figures.sharpe_ratio == pytest.approx(p.mean() / p.std(ddof=1) * math.sqrt(252), abs=1e-9)
    downside = math.sqrt((np.minimum(p, 0) ** 2).mean())
    assert figures.sortino_ratio == (pytest.approx(p.mean() / downside * math.sqrt(252)) if downside else math.inf)
    assert figures.max_drawdown == pytest.approx(max(1 - wealth[k] / wealth[: k + 1].max() for k in range(len(wealth))))
    # Following all signals with 1/h of the capital earns their mean times their number ÷ h, up to compounding.
    assert p.sum() == pytest.approx(sum(profits) / horizon, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_the_costs_add_up_to_those_of_the_book_that_follows_every_signal(seed, horizon):
    """The book holds, in each of h slices, what the last signal of that slice said; it pays for what it trades."""
    closes, said = world(seed)
    flat = [None] * horizon  # silence at the end sells everything
    closes, said = [*closes, *closes[-1:] * np.ones(2 * horizon)], [*said, *flat, *flat]
    held, paid, cost = [0] * horizon, 0.0, 0.001
    for t, direction in enumerate(said):
        paid += abs((direction or 0) - held[t % horizon]) * cost / 2
        held[t % horizon] = direction or 0
    assert held == [0] * horizon
    outcomes = record_of(closes, said, horizon).outcomes(10**6)
    dear, free = (measure(outcomes, kappa, 4, 252.0).expected_profit for kappa in (cost, 0.0))
    assert (free - dear) * outcomes.signed.sum() == pytest.approx(paid, rel=1e-9)


def test_who_holds_on_pays_once():
    closes = 100 * 1.0001 ** np.arange(260)  # a basis point a day, and eleven for a round trip of ten days
    config = pmx.load_policy().quant_success_config
    steady = record_of(closes, [1] * 260, 10).outcomes(200)
    assert measure(steady, 0.0011, 4, 252.0).expected_profit == pytest.approx(1.0001**10 - 1)
    assert judge("now", signal(1), steady, config, 0.0011, 252.0).result is Result.PASS
    dithering = [1 if (t // 10) % 2 == 0 else 0 for t in range(260)]  # in for ten days, out for ten
    figures = measure(record_of(closes, dithering, 10).outcomes(200), 0.0011, 4, 252.0)
    assert figures.expected_profit == pytest.approx(1.0001**10 - 1 - 0.0011)
    turning = [1 if (t // 10) % 2 == 0 else -1 for t in range(260)]  # long for ten days, short for ten: both pay
    figures = measure(record_of(closes, turning, 10).outcomes(200), 0.0011, 4, 252.0)
    assert figures.expected_profit == pytest.approx(-0.0011, abs=1e-4)


def test_a_sell_is_judged_as_a_short():
    falling = 100 * 0.999 ** np.arange(80)
    figures = measure(record_of(falling, [-1] * 80, 5).outcomes(60), 0.0, 4, 252.0)
    assert figures.expected_profit == pytest.approx(1 - 0.999**5)


def test_accuracy_is_averaged_over_folds_and_not_over_signals():
    closes = 100 * 1.01 ** np.arange(41)
    said = [1] * 30 + [-1, None, None, None, None, None, None, None, None, None, None]
    figures = measure(record_of(closes, said, 1).outcomes(100), 0.0, 4, 252.0)
    assert figures.fold_accuracies == (1.0, 1.0, 1.0, 0.0)
    assert figures.directional_accuracy == 0.75


def test_the_error_is_below_one_for_who_knows_and_above_for_who_pretends():
    rng = np.random.default_rng(4)
    steps = rng.normal(0.0, 0.01, 400)
    closes = 100 * np.exp(np.cumsum(steps))

    def error(edge_of):
        record = TrackRecord(1)
        for t in range(399):
            edge = edge_of(t)
            record.add(closes[t], signal(int(np.sign(edge)), edge))
        return measure(record.outcomes(300), 0.0, 4, 252.0).error_vs_baseline

    assert error(lambda t: 0.9 * steps[t + 1] / 0.01) < 0.4
    assert error(lambda t: 1.0 * rng.normal()) > 1.2
    assert error(lambda t: 1e-9) == pytest.approx(1.0, abs=1e-6)


def test_the_error_is_that_of_the_forecast_and_not_of_what_is_left_after_cost():
    rng = np.random.default_rng(4)
    closes = 100 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 400)))
    told, cost = TrackRecord(1), 0.002
    for close in closes:
        told.add(close, None)
    volatility = told.outcomes(1000).volatility
    record = TrackRecord(1)
    for t in range(399):
        coming = math.log(closes[t + 1] / closes[t])
        gain = abs(coming) - cost
        direction = int(np.sign(coming)) if gain > 0 else 0
        edge = direction * gain / volatility[t] if direction and volatility[t] > 0 else 0.0
        record.add(closes[t], signal(direction, edge))
    figures = measure(record.outcomes(300), cost, 4, 252.0)
    assert figures.error_vs_baseline < 0.08  # all that is left are moves too small to pay, of which nothing was said
    assert measure(record.outcomes(300), 0.0, 4, 252.0).error_vs_baseline > 0.18


def test_outcomes_that_are_not_known_yet_do_not_count():
    closes, said = world(3)
    for now in range(30, 60):
        whole, cut = record_of(closes[:now], said[:now], 5), record_of(closes[:now], said[:now], 5)
        early = cut.outcomes(40)
        assert len(early.direction) == min(now - 5, 40 - 5 + 1)
        longer = record_of(closes[: now + 3], said[: now + 3], 5)
        assert whole.outcomes(1000).direction.tolist() == longer.outcomes(1000).direction.tolist()[: now - 5]
    assert len(record_of(closes[:5], said[:5], 5).outcomes(40).direction) == 0


GOOD = Figures(0.001, 1.0, 1.0, 1.5, 0.1, 0.55, 0.99, (0.55,))
BAD = {
    "min_expected_profit": {"expected_profit": -1e-9},
    "min_sharpe_ratio": {"sharpe_ratio": 0.29},
    "min_sortino_ratio": {"sortino_ratio": 0.39},
    "min_profit_factor": {"profit_factor": 1.09},
    "max_drawdown": {"max_drawdown": 0.26},
    "min_directional_accuracy": {"directional_accuracy": 0.49},
    "max_error_vs_baseline": {"error_vs_baseline": 1.03},
}


@pytest.mark.parametrize("criterion", BAD)
def test_each_criterion_is_missed_on_its_own(criterion):
    from dataclasses import replace

    config = pmx.load_policy().quant_success_config
    assert criteria_missed(GOOD, config) == ()
    assert criteria_missed(replace(GOOD, **BAD[criterion]), config) == (criterion,)
    at_limit = replace(GOOD, **{FIGURE_OF[criterion]: getattr(config, criterion)})
    assert criteria_missed(at_limit, config) == ()


def rising(n=80):
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.002, 0.01, n)))
    return closes, [1] * n


def test_hard_criteria_decide_alone_and_the_score_decides_the_rest():
    closes, said = rising()
    outcomes = record_of(closes, said, 5).outcomes(252)

    def verdict(**changes):
        return judge("now", signal(1), outcomes, QuantSuccess(**changes), 0.0004, 252.0)

    assert verdict().result is Result.PASS
    failed = verdict(max_drawdown=0.0)
    assert (failed.result, failed.missed) == (Result.FAIL, ("max_drawdown",))
    assert failed.score == pytest.approx(8 / 10)  # max_drawdown weighs 2 of 10
    assert verdict(max_drawdown=0.0, score_weights={}).score == pytest.approx(6 / 7)  # all weigh the same
    soft = {"hard_criteria": (), "max_drawdown": 0.0}
    assert verdict(**soft).result is Result.PASS
    assert verdict(**soft, score_weights={"max_drawdown": 3.0, "min_sharpe_ratio": 1.0}).score == 0.25
    assert verdict(**soft, score_weights={"max_drawdown": 3.0, "min_sharpe_ratio": 1.0}).result is Result.FAIL
    assert verdict(**soft, score_weights={"max_drawdown": 1.0, "min_sharpe_ratio": 3.0}).result is Result.PASS


def test_few_outcomes_prove_nothing():
    closes, said = rising(24)
    outcomes = record_of(closes, said, 5).outcomes(252)
    verdict = judge("now", signal(1), outcomes, QuantSuccess(min_judged=20), 0.0, 252.0)
    assert (verdict.result, verdict.judged, verdict.figures) == (Result.UNPROVEN, 19, None)
    assert math.isnan(verdict.score)
    assert judge("now", signal(1), outcomes, QuantSuccess(min_judged=19), 0.0, 252.0).result is Result.PASS


def test_nothing_lost_and_nothing_moving():
    up = measure(record_of(1.01 ** np.arange(60), [1] * 60, 2).outcomes(50), 0.0, 2, 252.0)
    assert (up.profit_factor, up.sortino_ratio, up.max_drawdown) == (math.inf, math.inf, 0.0)
    flat = measure(record_of([100.0] * 60, [1] * 60, 2).outcomes(50), 0.0, 2, 252.0)
    assert (flat.profit_factor, flat.sharpe_ratio, flat.directional_accuracy, flat.error_vs_baseline) == (0, 0, 0, 0)
