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


def test_two_engines_of_one_source_share_its_rows_as_long_as_they_speak_of_different_symbols():
    first, second = Saying("ml_secondary", SP500=(1, 0.2, 0.6)), Explaining("ml_secondary", BIL=(0, 0.0, 0.6))
    table = signals_today(PRICES, POLICY, engines=[first, second])
    assert table["symbol"].tolist() == list(PRICES)
    assert table["direction"].notna().tolist() == [True, False, True]
    assert table.loc[1, "why"] == "no signal; too tired"
    for run in (signals_today, pmx.backtest):
        with pytest.raises(SignalError, match="signal for 'SP500' from 'ml_secondary' is given twice; keep one for"):
            run(PRICES, POLICY, engines=[first, Saying("ml_secondary", SP500=(-1, -0.2, 0.6))])


def test_a_symbol_without_a_price_shows_the_signal_that_stands():
    engine = Saying("time_series_core", SP500=(1, 0.2, 0.6))
    late = PRICES.copy()
    late.iloc[-1, 0] = np.nan
    said = signals_today(late, POLICY, engines=[engine])["why"]
    assert said[0] == f"buy; of {DATES[-2]:%Y-%m-%d}, no price today"
    late.iloc[-10:, 0] = np.nan
    assert signals_today(late, POLICY, engines=[engine]).loc[0, "why"] == "no signal"


def test_a_shut_gate_is_said():
    falling = pd.DataFrame({"SP500": 100.0 * 0.999 ** np.arange(120)}, pd.bdate_range("2020-01-01", periods=120))
    engine = Saying("time_series_core", SP500=(1, 0.2, 0.6))
    on = POLICY.override({"barbell.enable_barbell_validation": True})
    assert "; its gate is shut (" in signals_today(falling, on, engines=[engine]).loc[0, "why"]
    assert signals_today(falling, POLICY, engines=[engine]).loc[0, "why"] == "buy"


# -- the language model ----------------------------------------------------------------------------------

MODEL = "signal_routing_config.engines.language_model."
ON = POLICY.override(
    {"signal_routing_config.enable_llm_fallback": True, "risk_buckets.buckets.llm_fallback.symbols": ["SP500", "WTI"]}
)
NAMED = ON.override({MODEL + "model": "tiny"})


def said_of_the_model(table):
    mine = table[table["source"] == "llm_fallback"]
    return dict(zip(mine["symbol"], mine["why"], strict=True))


class Resort:
    """Tell of each symbol why it says nothing of it."""

    source = "llm_fallback"
    diagnostics = {"SP500": "refused: too wise", "WTI": "answered without an opinion"}  # noqa: RUF012

    def signals_for(self, prices, symbols):
        return []


@pytest.mark.parametrize("engines", [None, ["machine_learning"], [Saying("time_series_core")]])
def test_the_language_model_has_its_rows_whoever_else_is_asked(engines):
    said = said_of_the_model(signals_today(PRICES, NAMED, engines=engines))
    past = f"prices end on {DATES[-1]:%Y-%m-%d}, which is the past: a language model has read what came after"
    assert said == {"SP500": past, "WTI": past, "BIL": "not asked: its bucket does not admit the symbol"}
    assert said_of_the_model(signals_today(PRICES, ON, engines=engines)) == {}


def test_its_silence_has_the_reason_that_it_has():
    speaking = Saying("time_series_core", SP500=(1, 0.2, 0.6))
    said = said_of_the_model(signals_today(PRICES, NAMED, engines=[speaking, Resort()]))
    assert (said["SP500"], said["WTI"]) == ("not asked: another engine speaks", "answered without an opinion")
    late = PRICES.copy()
    late.iloc[-1, 1] = np.nan
    said = said_of_the_model(signals_today(late, ON, engines=[Resort()]))
    assert (said["SP500"], said["WTI"]) == ("refused: too wise", "not asked: no price today")
    off = said_of_the_model(signals_today(PRICES, POLICY, engines=[Resort()]))
    assert set(off.values()) == {"not asked: signal_routing_config.enable_llm_fallback is off"}


def test_a_switch_without_a_model_is_logged(caplog):
    signals_today(PRICES, ON, engines=[Saying("time_series_core")])
    assert "language_model.model is null, so that no language model is asked" in caplog.text
    caplog.clear()
    signals_today(PRICES, POLICY, engines=[Saying("time_series_core")])
    assert caplog.text == ""
