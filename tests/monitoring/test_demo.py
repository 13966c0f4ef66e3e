import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.execution import default_engines
from pmx.monitoring import PORTFOLIOS, switched_off
from pmx.projection import Status


def test_the_three_portfolios_come_in_order(runs):
    assert tuple(runs) == PORTFOLIOS
    assert {len(run.nav) for run in runs.values()} == {150}


def test_the_policy_portfolio_is_an_ordinary_backtest(runs, policy):
    plain = pmx.backtest(load_demo_prices().iloc[:150], policy, cash_rate=load_demo_cash_rate())
    assert runs[PORTFOLIOS[0]].nav.equals(plain.nav)
    assert (plain.weights["CASH"] < 0.95).any()  # signals did speak


def test_without_the_policy_the_same_signals_are_followed_as_they_are(runs, policy):
    ruled, free = runs[PORTFOLIOS[0]], runs[PORTFOLIOS[1]]
    assert set(free.status) == {Status.BYPASSED}
    risk = free.weights.drop(columns="CASH")
    assert risk.sum(axis=1).max() > 0.5
    assert risk.sum(axis=1).max() <= 1.0 + 1e-12
    # Both hold something on the same days: the signals are the same.
    held = (ruled.weights.drop(columns="CASH") > 1e-12).any(axis=1)
    assert held.equals((risk > 1e-12).any(axis=1))
    engine, routed = default_engines(policy, list(risk.columns))[0], pmx.SignalRouter(policy)
    prices = load_demo_prices().iloc[:150]
    wanted = routed.route([s for s in engine.signals(prices) if s.direction > 0]).relative_weights
    for (_, symbol), share in wanted.items():
        assert risk[symbol].iloc[-1] == pytest.approx(share, abs=1e-12)


def test_buy_and_hold_trades_once(runs):
    held = runs[PORTFOLIOS[2]]
    assert sorted(held.trades["symbol"]) == ["NASDAQ", "SP500", "WTI"]
    assert set(held.trades["date"]) == {held.nav.index[1]}
    np.testing.assert_allclose(held.trades["value"] / 1e6, 1 / 3, rtol=1e-3)


def test_switched_off_keeps_what_is_held_on_a_hold():
    off = switched_off(pmx.load_policy())
    assert off.bypassed
    hold = pmx.Signal("SPY", 0, strength=0.0, edge_score=0.0, confidence=0.6, source="time_series_core")
    held = pd.Series({("ts_core", "SPY"): 0.4})
    kept = pmx.SignalRouter(off).route([hold], held).relative_weights
    assert pmx.solve(off, kept).weights["SPY"] == pytest.approx(0.4)
