"""Walks through history: forecast, look ahead, move on; nothing later than the forecast is ever shown to a model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, SignalError
from pmx.signals.asking import checked_engines
from pmx.signals.forecasting import ForecastBundle
from pmx.signals.forecasting.types import Forecaster
from pmx.signals.scoring.forecasts import Forecasts
from pmx.signals.types import Signal

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


class ForecastingEngine(Protocol):
    """A `SignalEngine` that also says what it expects: `TimeSeriesCore`, or anything with these two tables.

    Two more attributes are read where there are any: ``forecasts``, a mapping of symbol to `ForecastBundle`, whose
    ``interval_90`` is the engine's own; and ``as_stated``, the signals before their confidence was calibrated.
    """

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        ...

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the signals known at the last row."""
        ...

    @property
    def diagnostics(self) -> pd.DataFrame:
        """Return, by symbol, ``expected_return`` and ``volatility`` of the log return over the horizon.

        NaN where there is no forecast. Columns ``degrees_of_freedom`` and ``model`` are used where there are any.
        """
        ...


@checked
def walk_forecaster(
    forecaster: Forecaster,
    returns: pd.Series,
    horizon: int,
    *,
    first: int = 1,
    every: int | None = None,
    at: pd.Index | None = None,
) -> Forecasts:
    """Let a forecaster go through one series of returns.

    Parameters
    ----------
    forecaster : Forecaster
        Asked with all returns up to each origin.
    returns : Series by date
        Log returns, one a bar, without gaps.
    horizon : int
        Bars ahead, ≥ 1.
    first : int
        Returns before the first forecast.
    every : int, optional
        Bars from one forecast to the next; a horizon, so that outcomes do not overlap, when omitted.
    at : Index, optional
        Dates at which to forecast, ``every`` bars apart; in place of counting from ``first``.

    Returns
    -------
    Forecasts
        Of the origins at which it could forecast, and whose outcome is known.

    Raises
    ------
    DataError
        If the returns are not finite.

    Examples
    --------
    >>> from pmx.signals.scoring import RandomWalk
    >>> returns = pd.Series(np.random.default_rng(0).normal(0.0, 0.01, 500), name="SPY")
    >>> walk = walk_forecaster(RandomWalk(), returns, horizon=5, first=100)
    >>> len(walk), 0.8 < walk.coverage(0.9) < 1.0
    (80, True)
    """
    values, step = returns.to_numpy(dtype=np.float64), _step(horizon, every)
    if not np.isfinite(values).all():
        raise DataError(f"returns of {returns.name} are not finite at {returns.index[~np.isfinite(values)][0]}")
    origins: Iterable[int] = range(first, len(values) - horizon + 1, step)
    if at is not None:
        origins = [int(bar) + 1 for bar in returns.index.get_indexer(at) if bar >= 0]
    rows, began = [], time.perf_counter()
    for origin in origins:
        try:
            forecast = forecaster.forecast(values[:origin], horizon)
        except SignalError:
            continue
        df = forecast.diagnostics.get("degrees_of_freedom", math.inf)
        moments = forecast.total_mean, forecast.total_volatility, df if df > 2.0 else math.inf
        side = math.copysign(1.0, forecast.total_mean) if forecast.total_mean else 0.0
        rows.append(_Said(origin - 1, *moments, direction=side, made_by=forecaster.name))
    seconds = time.perf_counter() - began
    walk = _Walked(forecaster.name, str(returns.name), returns.index, np.cumsum(values), horizon, seconds)
    return walk.forecasts(rows)


@checked(elsewhere=["engine"])
def walk_engine(
    engine: ForecastingEngine,
    prices: pd.DataFrame,
    horizon: int,
    *,
    every: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Forecasts]:
    """Let an engine go through a table of closes.

    Parameters
    ----------
    engine : ForecastingEngine
        Asked every ``every`` rows, with all rows up to there.
    prices : DataFrame, date × symbol
        Closes; NaN where there is none.
    horizon : int
        Bars of a symbol, rows on which it has a price, that a forecast covers.
    every : int, optional
        Rows from one forecast to the next; a horizon when omitted.
    advance : callable, optional
        Told after each origin how many were done.

    Returns
    -------
    dict of str to Forecasts
        By symbol, those that had a forecast whose outcome is known. ``confidence`` is that of the signal as stated,
        ``calibrated`` what a `CalibratedEngine` made of it, and the side is that of the signal, none where there is no
        signal. The seconds are the engine's, divided equally over the
        symbols.

    Raises
    ------
    SignalError
        If it is no engine, or its ``diagnostics`` lack what it expects.
    """
    if isinstance(engine, str):
        raise SignalError(f"engine {engine!r} is a name, not an engine; make it with pmx.execution.default_engines")
    checked_engines([engine])
    step, symbols = _step(horizon, every), [str(symbol) for symbol in prices.columns]
    rows: dict[str, list[_Said]] = {symbol: [] for symbol in symbols}
    seconds = 0.0
    for origin in range(step - 1, len(prices) - horizon, step):
        began = time.perf_counter()
        signals = engine.signals(prices.iloc[: origin + 1])
        seconds += time.perf_counter() - began
        for symbol, said in _said(engine, origin, signals):
            rows[symbol].append(said)
        if advance is not None:
            advance(1)
    walked = {}
    for number, symbol in enumerate(symbols):
        closes = prices.iloc[:, number].to_numpy(dtype=np.float64)
        own = np.flatnonzero(np.isfinite(closes))
        bar_of = {int(row): bar for bar, row in enumerate(own)}
        mine = [said._replace(bar=bar_of[said.bar]) for said in rows[symbol] if said.bar in bar_of]
        each = seconds / len(symbols)
        walk = _Walked(engine.source, symbol, prices.index[own], np.log(closes[own]), horizon, each)
        forecasts = walk.forecasts(mine)
        if len(forecasts):
            walked[symbol] = forecasts
    return walked


class _Said(NamedTuple):
    """One forecast: the bar at which it was made, and what it was."""

    bar: int
    mean: float
    volatility: float
    degrees_of_freedom: float
    confidence: float = math.nan
    calibrated: float = math.nan
    low: float = math.nan
    high: float = math.nan
    direction: float = 0.0
    made_by: str = ""


def _said(engine: ForecastingEngine, row: int, signals: Sequence[Signal]) -> Iterator[tuple[str, _Said]]:
    """Yield each symbol of which something is expected at that row, and what."""
    bundles: Mapping[str, ForecastBundle] = getattr(engine, "forecasts", {})
    side = {signal.symbol: float(signal.direction) for signal in signals}
    confidence = {signal.symbol: signal.confidence for signal in signals}
    stated, calibrated = confidence, {}
    if hasattr(engine, "as_stated"):
        stated = {signal.symbol: signal.confidence for signal in engine.as_stated}
        calibrated = {symbol: value for symbol, value in confidence.items() if value != stated[symbol]}
    for symbol, mean, volatility, df, model in _expected(engine.source, engine.diagnostics):
        low, high = bundles[symbol].interval_90 if symbol in bundles else (math.nan, math.nan)
        forecast = bundles[symbol].forecast if symbol in bundles else None
        if forecast is not None and forecast.variance_model:  # two models may make their variances alike
            model = f"{forecast.model} ({forecast.variance_model})"
        sure = stated.get(symbol, math.nan), calibrated.get(symbol, math.nan)
        yield symbol, _Said(row, mean, volatility, df, *sure, low, high, side.get(symbol, 0.0), model or engine.source)


def _expected(source: str, table: pd.DataFrame) -> Iterator[tuple[str, float, float, float, str]]:
    """Yield symbol, mean, volatility, degrees of freedom and model of each forecast that there is."""
    missing = {"expected_return", "volatility"} - set(table.columns)
    if missing:
        raise SignalError(f"diagnostics of engine {source!r} have no column {min(missing)!r}; add it")
    shapes = table["degrees_of_freedom"] if "degrees_of_freedom" in table else pd.Series(math.inf, index=table.index)
    models = table["model"] if "model" in table else pd.Series("", index=table.index)
    columns = (column.tolist() for column in (table["expected_return"], table["volatility"], shapes, models))
    for symbol, mean, volatility, df, model in zip(table.index, *columns, strict=True):
        if math.isfinite(mean) and volatility > 0.0:
            yield str(symbol), mean, volatility, df if df > 2.0 else math.inf, str(model)


@dataclass(frozen=True, eq=False)
class _Walked:
    """What a walk knows once it is over; ``log_price`` is by bar."""

    model: str
    symbol: str
    index: pd.Index
    log_price: FloatArray
    horizon: int
    seconds: float

    def forecasts(self, said: Sequence[_Said]) -> Forecasts:
        """Join what was said with its outcomes, where those are known."""
        known = [one for one in said if one.bar + self.horizon < len(self.log_price)]
        bar = np.array([one.bar for one in known], dtype=np.intp)
        table = np.array([one[1:9] for one in known], dtype=np.float64).reshape(len(known), 8)
        return Forecasts(
            model=self.model,
            symbol=self.symbol,
            dates=self.index[bar],
            mean=table[:, 0],
            volatility=table[:, 1],
            degrees_of_freedom=table[:, 2],
            outcome=self.log_price[bar + self.horizon] - self.log_price[bar],
            confidence=table[:, 3],
            overlap=_overlap(bar, self.horizon),
            seconds=self.seconds,
            calibrated=table[:, 4],
            interval=table[:, 5:7],
            direction=table[:, 7],
            made_by=tuple(one.made_by for one in known),
        )


def _overlap(bar: IntArray, horizon: int) -> int:
    """Return how many forecasts in a row, made at given bars of the symbol's own, share a bar of their outcomes."""
    last = np.searchsorted(bar, bar + horizon, side="left")
    return int((last - np.arange(len(bar))).max(initial=1))


def _step(horizon: int, every: int | None) -> int:
    step = horizon if every is None else every
    if horizon < 1 or step < 1:
        raise DataError(f"horizon {horizon} and every {step} must be 1 bar or more")
    return step
