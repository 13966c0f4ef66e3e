"""An engine whose every signal is judged by what became of the earlier ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import pandas as pd

from pmx.data.calendar import PeriodsPerYear
from pmx.errors import DataError, SignalError
from pmx.risk import Gates
from pmx.signals.router import SignalRouter
from pmx.signals.success import Result, Verdict, judge
from pmx.signals.track_record import RowByRow, TrackRecord
from pmx.signals.types import Signal, SignalEngine

if TYPE_CHECKING:
    from pmx.policy import Policy


class JudgedEngine:
    """Wrap an engine: its signals stay as they are, each gets a verdict, and gates shut on symbols that it gets wrong.

    Parameters
    ----------
    engine : SignalEngine
        Asked at every row, also at those before the first that it is given: a record must not depend on when it was
        begun.
    policy : Policy
        Its ``quant_success_config`` and ``forecaster_monitoring.gate``.
    round_trip_cost : mapping of symbol to float
        Cost of buying and selling again, fraction of the traded value: what following a signal pays, and what is put
        back on its edge to score the forecast. See `pmx.signals.success.measure` for engines that reckon with another.

    Raises
    ------
    SignalError
        If the engine states a horizon that is no number of bars.

    Notes
    -----
    The outcome of a signal is that of ``quant_success_config.horizon_bars``; where that is null, of the engine's own
    ``horizon``, if it or an engine inside it has one, and else of the time-series engine's.

    A verdict moves a gate only where the router hears the signal: above ``min_edge`` and ``min_confidence`` of its
    source, in a bucket that admits the symbol. A signal that is not heard gets its verdict, and enters the record, but
    is a bar without a verdict to the gate.

    At bar t only outcomes that are known at t count, those of signals given at t − h or before. Signals are judged
    whether they were traded or not, so a symbol whose gate is shut can prove itself again.

    Examples
    --------
    >>> import numpy as np, pmx
    >>> class Bull:
    ...     source = "time_series_core"
    ...     def signals(self, prices):
    ...         return [Signal("SP500", 1, strength=1.0, edge_score=0.2, confidence=0.6, source=self.source)]
    >>> dates = pd.bdate_range("2020-01-01", periods=100)
    >>> falling = pd.DataFrame({"SP500": 100.0 * 0.999 ** np.arange(100)}, index=dates)
    >>> engine = JudgedEngine(Bull(), pmx.load_policy(), {"SP500": 0.0004})
    >>> _ = engine.signals(falling)
    >>> engine.verdicts[0].result.value, engine.gated
    ('FAIL', frozenset({'SP500'}))
    """

    def __init__(self, engine: SignalEngine, policy: Policy, round_trip_cost: Mapping[str, float]) -> None:
        self._rows = RowByRow(engine)
        self._config = policy.quant_success_config
        self._horizon = (
            self._config.horizon_bars
            or _own_horizon(engine)
            or policy.signal_routing_config.engines.time_series.horizon
        )
        self._router = SignalRouter(policy)
        self._year = PeriodsPerYear(policy.risk_scaler.volatility.periods_per_year)
        self._dates = pd.DatetimeIndex([])
        self._costs = dict(round_trip_cost)
        self._gates = Gates(policy)
        self._forget()

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._rows.engine.source

    @property
    def engine(self) -> SignalEngine:
        """Return the engine inside."""
        return self._rows.engine

    @property
    def horizon(self) -> int:
        """Return the bars from a signal to the outcome that it is judged by."""
        return self._horizon

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the verdicts on the signals of the last row."""
        return self._verdicts

    @property
    def gated(self) -> frozenset[str]:
        """Return the symbols whose gate is shut at the last row."""
        return self._gates.shut

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the engine's signals at the last row of ``prices``, unchanged.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row); NaN where there is none.

        Raises
        ------
        DataError
            If the prices are malformed (see `GrowingHistory`), or a symbol has no cost. Nothing is remembered then.
        """
        self._dates = pd.DatetimeIndex(prices.index) if isinstance(prices.index, pd.DatetimeIndex) else self._dates
        self._rows.read(prices, self._forget, self._take_in)
        return list(self._signals)

    def _forget(self) -> None:
        self._gates.forget()
        self._records: dict[str, TrackRecord] = {}
        self._signals: list[Signal] = []
        self._verdicts: tuple[Verdict, ...] = ()

    def _take_in(self, date: Any, closes: Mapping[str, float], signals: list[Signal]) -> None:
        said = {signal.symbol: signal for signal in signals}
        bad: dict[str, bool | None] = {}
        verdicts = []
        periods = self._year.at(self._dates[: self._dates.searchsorted(date, side="right")]) if said else math.nan
        for symbol, close in closes.items():
            record = self._records.get(symbol)
            if record is None:
                record = self._records[symbol] = TrackRecord(self._horizon)
            signal = said.get(symbol)
            record.add(close, signal)
            bad[symbol] = None
            if signal is not None:
                outcomes = record.outcomes(self._config.lookback_bars)
                verdict = judge(date, signal, outcomes, self._config, self._cost(symbol), periods)
                if verdict.result is not Result.UNPROVEN and self._router.hears(signal):
                    bad[symbol] = verdict.result is Result.FAIL
                verdicts.append(verdict)
        self._gates.update(bad)
        self._signals = signals
        shut = self._gates.shut
        self._verdicts = tuple(replace(verdict, gated=verdict.signal.symbol in shut) for verdict in verdicts)

    def _cost(self, symbol: str) -> float:
        if symbol not in self._costs:
            raise DataError(f"no round-trip cost for {symbol!r}; add it to round_trip_cost")
        return self._costs[symbol]


def _own_horizon(engine: SignalEngine) -> int | None:
    """Return the bars that an engine says its signals are about, asking those that it wraps where it is silent."""
    inner: Any = engine
    while inner is not None:
        horizon = getattr(inner, "horizon", None)
        if horizon is not None:
            if isinstance(horizon, bool) or not isinstance(horizon, Integral) or horizon < 1:
                raise SignalError(
                    f"engine {engine.source!r} has a horizon of {horizon!r}; give a number of bars ≥ 1, or set "
                    "quant_success_config.horizon_bars"
                )
            return int(horizon)
        inner = getattr(inner, "engine", None)
    return None
