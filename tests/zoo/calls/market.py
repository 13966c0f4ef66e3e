"""The small market and policy that the known good calls share."""

from __future__ import annotations

import numpy as np
import pandas as pd

import pmx
from pmx.signals import Signal

POLICY = pmx.load_policy(overrides={"signal_routing_config.engines.time_series.members": ["theta"]})
POSITIONS = [("ts_core", "SP500"), ("ts_core", "WTI")]
INDEX = pd.MultiIndex.from_tuples(POSITIONS, names=["bucket", "symbol"])
DATES = pd.bdate_range("2020-01-01", periods=8)
PRICES = pd.DataFrame(
    {
        "SP500": [100.0, 101.0, 99.0, 98.0, 103.0, 104.0, 102.0, 105.0],
        "WTI": [50.0, 51.0, 50.5, 52.0, 51.0, 50.0, 49.0, 50.0],
    },
    index=DATES,
)
TARGETS = pd.DataFrame({"SP500": 0.0625, "WTI": 0.03125}, index=DATES)
WEIGHTS = pd.Series({"SP500": 0.25, "WTI": 0.125})
BY_POSITION = pd.Series([0.25, 0.125], index=INDEX)
COVARIANCE = pd.DataFrame([[0.0625, 0.03125], [0.03125, 0.125]], index=["SP500", "WTI"], columns=["SP500", "WTI"])
SYMBOLS = ["SP500", "WTI"]
RETURNS = np.random.default_rng(0).normal(0.0, 0.01, 120)


class Steady:
    """An engine that always says the same."""

    source = "time_series_core"

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        return [buy()]


def buy() -> Signal:
    return Signal("SP500", 1, strength=0.5, edge_score=0.5, confidence=0.75, source="time_series_core")


def long_prices(rows: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (rows, 2)), axis=0))
    return pd.DataFrame(closes, index=pd.bdate_range("2019-01-01", periods=rows), columns=SYMBOLS)
