"""What each engine says now: a signal with its fate, or the reason for its silence."""

import math

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import SignalError
from pmx.execution import Opinion, signals_today
from pmx.signals import Signal

POLICY = pmx.load_policy()
DATES = pd.bdate_range("2020-01-01", periods=40)
PRICES = pd.DataFrame(
    100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, (40, 3)), axis=0)),
    DATES,
    ["SP500", "WTI", "BIL"],
)


class Saying:
    """Say a fixed (direction, edge, confidence) of each symbol that has a price."""

    def __init__(self, source, **says):
        self.source, self.says = source, says

    def signals(self, prices):
        known = {s: said for s, said in self.says.items() if not math.isnan(prices[s].iloc[-1])}
        return [Signal(s, d, 1.0, edge, c, self.source) for s, (d, edge, c) in known.items()]


class Explaining(Saying):
    @property
    def diagnostics(self):
        return pd.DataFrame({"status": ["too tired"]}, index=["WTI"])


def test_every_engine_has_its_row_for_every_symbol():
    first = Saying("time_series_core", SP500=(1, 0.2, 0.6), WTI=(0, 0.0, 0.6), BIL=(1, 0.2, 0.6))
    second = Explaining("ml_secondary", SP500=(-1, -0.01, 0.6))
    table = signals_today(PRICES, POLICY, engines=[first, second])
    rows = [Opinion(*row) for row in table.itertuples(index=False)]
    assert [(row.symbol, row.source) for row in rows] == [
        (symbol, source) for symbol in PRICES for source in ("time_series_core", "ml_secondary")
    ]
    assert rows[0] == ("SP500", "time_series_core", 1, 0.2, 1.0, 0.6, "ts_core", True, "buy")
    assert rows[1] == (
        "SP500", "ml_secondary", -1, -0.01, 1.0, 0.6, "ml_secondary", False, "edge 0.01 < min_edge 0.1",
    )  # fmt: skip
    assert rows[2].kept
    assert "hold" in rows[2].why
    assert rows[4].why == "bucket ts_core does not admit BIL"
    assert [row.why for row in rows if pd.isna(row.direction)] == ["too tired", "no signal"]


def test_two_engines_of_one_name_cannot_be_told_apart():
    with pytest.raises(SignalError, match="2 engines speak as 'ml_secondary'; give each a source of its own"):
        signals_today(PRICES, POLICY, engines=[Saying("ml_secondary"), Saying("ml_secondary")])


def test_a_symbol_without_a_price_shows_the_signal_that_stands():
    engine = Saying("time_series_core", SP500=(1, 0.2, 0.6))
    late = PRICES.copy()
    late.iloc[-1, 0] = np.nan
    assert signals_today(late, POLICY, engines=[engine]).loc[0, "why"] == "buy"
    late.iloc[-10:, 0] = np.nan
    assert signals_today(late, POLICY, engines=[engine]).loc[0, "why"] == "no signal"


def test_a_shut_gate_is_said():
    falling = pd.DataFrame({"SP500": 100.0 * 0.999 ** np.arange(120)}, pd.bdate_range("2020-01-01", periods=120))
    engine = Saying("time_series_core", SP500=(1, 0.2, 0.6))
    on = POLICY.override({"barbell.enable_barbell_validation": True})
    assert "; its gate is shut (" in signals_today(falling, on, engines=[engine]).loc[0, "why"]
    assert signals_today(falling, POLICY, engines=[engine]).loc[0, "why"] == "buy"
