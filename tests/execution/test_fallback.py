"""An engine of last resort: asked after the others, about their silence only, and never in a backtest."""

import logging

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError, SignalError
from pmx.execution import CostModel, Desk, default_engines, fallback_engines
from pmx.signals import FallbackEngine, Signal

SYMBOLS = ["SP500", "NASDAQ", "WTI", "GOLD"]
ON = pmx.load_policy().override({"signal_routing_config.enable_llm_fallback": True})


class Speaking:
    """Say the given (edge, confidence) of each symbol."""

    source = "time_series_core"

    def __init__(self, **says: tuple[float, float]) -> None:
        self.says = says

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        return [Signal(s, 1, 1.0, edge, confidence, self.source) for s, (edge, confidence) in self.says.items()]


class Resort:
    """Remember what it was asked about, and say the same of everything, or of what it likes."""

    source = "llm_fallback"

    def __init__(self, likes: tuple[str, ...] = ()) -> None:
        self.asked: list[list[str]] = []
        self.likes = likes

    def signals_for(self, prices: pd.DataFrame, symbols: list[str]) -> list[Signal]:
        self.asked.append(list(symbols))
        return [Signal(symbol, 1, 1.0, 0.4, 0.8, self.source) for symbol in self.likes or symbols]


def prices(**gone: int) -> pd.DataFrame:
    moves = np.random.default_rng(0).normal(0.0, 0.01, (80, len(SYMBOLS)))
    table = pd.DataFrame(
        100.0 * np.exp(np.cumsum(moves, axis=0)), index=pd.bdate_range("2020-01-01", periods=80), columns=SYMBOLS
    )
    for symbol, bars in gone.items():
        table.loc[table.index[-bars:], symbol] = np.nan
    return table


def test_it_is_asked_only_where_the_others_are_silent_or_too_weak() -> None:
    resort = Resort()
    # SP500 is above its thresholds, NASDAQ below the least edge, WTI below the least confidence, GOLD not spoken of.
    engine = Speaking(SP500=(0.2, 0.6), NASDAQ=(0.01, 0.9), WTI=(0.3, 0.1))
    desk = Desk(ON, SYMBOLS, [resort, engine])
    heard = desk.signals(prices())
    assert resort.asked == [["NASDAQ", "WTI", "GOLD"]]
    kept = desk.router.route(heard).decisions.query("kept").set_index("symbol")["source"].to_dict()
    assert kept == {"SP500": "time_series_core"} | dict.fromkeys(["NASDAQ", "WTI", "GOLD"], "llm_fallback")
    assert ("llm_fallback", "WTI") in desk.index


def test_it_is_not_asked_where_nobody_is_silent_nor_while_it_is_off() -> None:
    resort = Resort()
    everything = Speaking(**dict.fromkeys(SYMBOLS, (0.2, 0.6)))
    Desk(ON, SYMBOLS, [everything, resort]).signals(prices())
    Desk(pmx.load_policy(), SYMBOLS, [resort]).signals(prices())
    assert resort.asked == []


def test_it_is_not_asked_about_a_symbol_without_a_price_now_or_that_its_bucket_does_not_admit() -> None:
    resort = Resort()
    narrow = ON.override({"risk_buckets.buckets.llm_fallback.symbols": ["WTI", "SP500"]})
    Desk(narrow, SYMBOLS, [resort]).signals(prices(WTI=2))
    assert resort.asked == [["SP500"]]


def test_it_may_speak_only_of_what_it_was_asked() -> None:
    desk = Desk(ON, SYMBOLS, [Speaking(SP500=(0.2, 0.6)), Resort(likes=("SP500",))])
    with pytest.raises(DataError, match="SP500, which it was not asked about"):
        desk.signals(prices())


def test_a_backtest_does_not_ask_it(caplog) -> None:
    table = prices()
    with pytest.raises(SignalError, match="'llm_fallback' may only be asked about the present"):
        pmx.backtest(table, ON, engines=[Resort()])
    named = ON.override({"signal_routing_config.engines.language_model.model": "tiny"})
    with caplog.at_level(logging.INFO, "pmx.backtest"):
        result = pmx.backtest(table, named)
    assert "the language model is left out" in caplog.text
    assert "llm_fallback" not in {bucket for bucket, _ in result.positions.columns}


def test_engines_are_built_as_the_policy_and_the_names_say() -> None:
    key = "signal_routing_config.engines"
    both = ON.override({f"{key}.machine_learning.enabled": True, f"{key}.language_model.model": "tiny"})
    assert [engine.source for engine in default_engines(both, SYMBOLS)] == ["time_series_core", "ml_secondary"]
    assert [engine.source for engine in default_engines(ON, SYMBOLS, ["machine_learning"])] == ["ml_secondary"]
    (fallback,) = fallback_engines(both, SYMBOLS, api_key="sk-x")
    assert isinstance(fallback, FallbackEngine)
    assert fallback_engines(ON, SYMBOLS) == []
    assert fallback_engines(both.override({"signal_routing_config.enable_llm_fallback": False}), SYMBOLS) == []
    for names in (["time_series", "time_series"], ["tea_leaves"], ["language_model"]):
        with pytest.raises(SignalError, match=f"engine '{names[-1]}'"):
            default_engines(ON, SYMBOLS, names)


def test_engines_pay_their_own_cost_or_that_of_the_policy() -> None:
    key = "signal_routing_config.engines.machine_learning."
    small = ON.override(
        {
            f"{key}window": 150, f"{key}min_observations": 50, f"{key}min_skill_t": 0.0, f"{key}trees": 5,
            f"{key}horizon": 1, f"{key}samples_per_leaf": 10, f"{key}refit_every": 10,
        }
    )  # fmt: skip
    rng = np.random.default_rng(0)
    moves = np.zeros(160)
    for bar in range(1, 160):
        moves[bar] = -0.7 * moves[bar - 1] + rng.normal(0.0, 0.01)
    table = pd.DataFrame({"WTI": 100.0 * np.exp(np.cumsum(moves))}, index=pd.bdate_range("2020-01-01", periods=160))

    def edge(policy: pmx.Policy) -> tuple[float, float]:
        (engine,) = default_engines(policy, ["WTI"], ["machine_learning"])
        (signal,) = engine.signals(table)
        return abs(signal.edge_score), float(engine.diagnostics.loc["WTI", "volatility"])

    free, volatility = edge(small.override({f"{key}round_trip_cost_bps": 0.0}))
    assert edge(small.override({f"{key}round_trip_cost_bps": 3.0}))[0] == pytest.approx(free - 3e-4 / volatility)
    assert edge(small)[0] == pytest.approx(free - 2.0 * CostModel.from_policy(ON).rate("WTI") / volatility)
