"""Calls of signals, their router, engines, language model and machine learning."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from zoo.calls import case
from zoo.calls.market import POLICY, buy, long_prices

from pmx import signals
from pmx.signals import language_model, machine_learning
from pmx.signals.machine_learning import SymbolBars

ENGINES = POLICY.signal_routing_config.engines

case("signals.Signal")(
    lambda _: (
        signals.Signal,
        {
            "symbol": "SPY", "direction": 1, "strength": 0.5, "edge_score": 0.25, "confidence": 0.75,
            "source": "time_series_core",
        },
    )
)  # fmt: skip
case("signals.SignalRouter")(lambda _: (signals.SignalRouter, {"policy": POLICY}))
case("signals.SignalRouter.route")(
    lambda _: (
        signals.SignalRouter(POLICY).route,
        {
            "signals": [buy()],
            "previous": {("ts_core", "SP500"): 0.0625},
            "risk_scale": {"ts_core": 0.5},
        },
    )
)
case("signals.SignalRouter.silent")(
    lambda _: (signals.SignalRouter(POLICY).silent, {"signals": [buy()], "symbols": ["SP500", "WTI"]})
)
case("signals.SignalRouter.hears")(lambda _: (signals.SignalRouter(POLICY).hears, {"signal": buy()}))
case("signals.SignalRouter.bucket_for")(
    lambda _: (signals.SignalRouter(POLICY).bucket_for, {"source": "time_series_core", "symbol": "SP500"})
)
case("signals.Routing")(lambda _: (signals.Routing, {"shares": {("ts_core", "SP500"): 0.5}, "records": ()}))
case("signals.Decision")(
    lambda _: (
        signals.Decision,
        {
            "symbol": "SPY", "source": "a", "direction": 1, "bucket": "b", "kept": True, "reason": "r",
            "conviction": 0.5, "relative_weight": 0.5,
        },
    )
)  # fmt: skip
case("signals.engines_of")(
    lambda _: (
        signals.engines_of,
        {"policy": POLICY, "round_trip_cost": 0.0005, "names": ["time_series"], "progress": False},
    )
)
case("signals.fallback_of")(
    lambda _: (
        signals.fallback_of,
        {
            "policy": POLICY.override(
                {
                    "signal_routing_config.enable_llm_fallback": True,
                    "signal_routing_config.engines.language_model.model": "tiny",
                }
            ),
            "round_trip_cost": 0.0005,
            "api_key": None,
        },
    )
)
SAID = '{"signals": [{"symbol": "SPY", "edge": -0.2, "confidence": 0.6}]}'
BODY = json.dumps({"choices": [{"message": {"role": "assistant", "content": SAID}}]}).encode()
case("signals.language_model.opinions_from")(
    lambda _: (language_model.opinions_from, {"body": BODY, "asked": ["SPY"], "max_edge": 0.5})
)
case("signals.language_model.Opinion")(
    lambda _: (language_model.Opinion, {"symbol": "SPY", "edge": 0.25, "confidence": 0.5})
)
case("signals.language_model.Endpoint")(
    lambda _: (language_model.Endpoint, {"secure": True, "host": "localhost", "port": 443, "path": "/v1"})
)
case("signals.language_model.Endpoint.parse")(
    lambda _: (language_model.Endpoint.parse, {"url": "http://127.0.0.1:11434/v1", "with_key": True})
)
case("signals.language_model.Secret")(lambda _: (language_model.Secret, {"key": "sk-not-a-key"}))


@case("signals.language_model.Secret.from_file")
def _(folder):
    path = folder / "key"
    path.write_text("sk-not-a-key", encoding="utf-8")
    path.chmod(0o600)
    return language_model.Secret.from_file, {"path": path}


case("signals.language_model.LanguageModelFallback")(
    lambda _: (
        language_model.LanguageModelFallback,
        {
            "config": ENGINES.language_model.model_copy(update={"model": "tiny"}),
            "round_trip_cost": {"SP500": 0.0005},
            "api_key": "sk-not-a-key",
            "source": "llm_fallback",
        },
    )
)


@case("signals.language_model.LanguageModelFallback.signals_for")
def _(_):
    engine = language_model.LanguageModelFallback(
        ENGINES.language_model.model_copy(update={"model": "tiny"}), round_trip_cost=0.0005
    )
    return engine.signals_for, {"prices": long_prices(), "symbols": ["SP500"]}


case("signals.machine_learning.MachineLearningSecondary")(
    lambda _: (
        machine_learning.MachineLearningSecondary,
        {"config": ENGINES.machine_learning, "round_trip_cost": 0.0005, "estimator": None, "source": "ml_secondary"},
    )
)
case("signals.machine_learning.MachineLearningSecondary.signals")(
    lambda _: (
        machine_learning.MachineLearningSecondary(ENGINES.machine_learning, round_trip_cost=0.0005).signals,
        {"prices": long_prices()},
    )
)


def bars() -> SymbolBars:
    kept = SymbolBars(lags=2)
    for row, date in enumerate(pd.bdate_range("2020-01-01", periods=70)):
        kept.push(row, 100.0 * 1.01**row * (1.02 if row % 2 else 1.0), date)
    return kept


case("signals.machine_learning.SymbolBars")(lambda _: (SymbolBars, {"lags": 2}))
case("signals.machine_learning.SymbolBars.push")(
    lambda _: (bars().push, {"row": 70, "close": 128.0, "date": pd.Timestamp("2021-01-01")})
)
case("signals.machine_learning.SymbolBars.label")(lambda _: (bars().label, {"bar": 65, "horizon": 2}))
case("signals.machine_learning.feature_names")(lambda _: (machine_learning.feature_names, {"lags": 2}))
case("signals.machine_learning.boosted_trees")(
    lambda _: (machine_learning.boosted_trees, {"config": ENGINES.machine_learning})
)
case("signals.machine_learning.Learnt")(
    lambda _: (
        machine_learning.Learnt,
        {"row": 1, "samples": 10, "skill": machine_learning.Skill(1, 1.0, 1.0, 1.0, 0.5), "silence": "", "model": None},
    )
)
case("signals.machine_learning.Skill")(
    lambda _: (
        machine_learning.Skill,
        {"samples": 10, "slope": 1.0, "t_statistic": 2.0, "residual_volatility": 1.0, "directional_accuracy": 0.5},
    )
)
ROWS = np.arange(60)
X = np.random.default_rng(2).normal(size=(60, 1))
Y = 0.5 * X[:, 0] + np.random.default_rng(3).normal(size=60)
case("signals.machine_learning.skill_of")(
    lambda _: (
        machine_learning.skill_of,
        {"start": ROWS.copy(), "label": Y.copy(), "predicted": X[:, 0].copy(), "horizon": 1},
    )
)
case("signals.machine_learning.walk_forward_folds")(
    lambda _: (
        machine_learning.walk_forward_folds, {"start": ROWS.copy(), "end": ROWS + 2, "folds": 3, "embargo": 1}
    )
)  # fmt: skip


def least_squares(known, label, others):
    if not np.isfinite(known).all() or not np.isfinite(label).all():
        return np.zeros(len(others))
    return others @ np.linalg.lstsq(known, label, rcond=None)[0]


case("signals.machine_learning.walk_forward_skill")(
    lambda _: (
        machine_learning.walk_forward_skill,
        {
            "fit_predict": least_squares, "features": X.copy(), "label": Y.copy(), "start": ROWS.copy(),
            "end": ROWS + 1, "folds": 3, "embargo": 0, "horizon": 1,
        },
    )
)  # fmt: skip
case("signals.BudgetUse")(
    lambda _: (
        signals.BudgetUse,
        {"bucket": "ts_core", "conviction": 0.5, "full_conviction": 1.0, "reserved": 0.0, "used": 0.5},
    )
)
