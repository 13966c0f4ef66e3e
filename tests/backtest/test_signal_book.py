"""The signals of a backtest are those that the engines gave and the router judged, day by day."""

import math

import numpy as np
import pandas as pd

import pmx
from pmx.execution import Desk
from pmx.signals import Signal, SignalRouter

POLICY = pmx.load_policy()
SYMBOLS = ["SP500", "WTI", "BIL"]


class Moody:
    """Say of each symbol what the day's number and its place make of it."""

    def __init__(self, source):
        self.source = source

    def signals(self, prices):
        today = prices.iloc[-1]
        said = []
        for place, symbol in enumerate(prices.columns):
            direction = (len(prices) + place) % 3 - 1
            if not math.isnan(today[symbol]) and (len(prices) * 7 + place) % 5:
                edge = direction * 0.03 * ((len(prices) + place) % 7)
                said.append(Signal(symbol, direction, 0.5, edge, 0.58, self.source))
        return said


def walk(rows):
    moves = np.random.default_rng(3).normal(0.0, 0.01, (rows, 3))
    prices = pd.DataFrame(100.0 * np.exp(np.cumsum(moves, axis=0)), pd.bdate_range("2020-01-01", periods=rows), SYMBOLS)
    return prices.mask(np.random.default_rng(4).random(prices.shape) < 0.1)


def test_they_are_what_the_engines_said_and_the_router_decided():
    prices, engines = walk(40), [Moody("time_series_core"), Moody("ml_secondary")]
    table = pmx.backtest(prices, POLICY, engines=engines, start=prices.index[5]).signals
    desk, router, expected = Desk(POLICY, SYMBOLS, engines), SignalRouter(POLICY), []
    for row in range(5, 40):
        signals = desk.signals(prices.iloc[: row + 1])
        decisions = router.route(signals).decisions.set_index(["symbol", "source"])
        for s in signals:
            decided = decisions.loc[s.symbol, s.source]
            figures = s.direction, s.edge_score, s.strength, s.confidence
            expected.append((prices.index[row], s.symbol, s.source, *figures, decided["bucket"], decided["kept"]))
    assert list(table.drop(columns="why").itertuples(index=False, name=None)) == expected
    assert 0 < table["kept"].sum() < len(table)
    assert table["why"].str.startswith("edge 0.06 < min_edge 0.1").any()
    assert table.loc[table["symbol"] == "BIL", "why"].str.contains("does not admit BIL").any()


def test_wishes_are_no_signals():
    prices = walk(10).ffill().bfill()
    targets = pd.DataFrame({"SP500": [0.1] * 10}, index=prices.index)
    signals = pmx.backtest(prices, POLICY, targets=targets).signals
    assert signals.empty
    assert list(signals.columns)[:4] == ["date", "symbol", "source", "direction"]
