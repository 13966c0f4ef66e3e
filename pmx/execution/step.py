"""One cycle: signals and holdings in, a certified allocation out.

The backtest, the paper loop and live use all call :func:`step`; there is no second way to decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.errors import DataError
from pmx.execution.costs import CostModel
from pmx.policy import Policy
from pmx.portfolio import PortfolioSnapshot, compute_nav
from pmx.projection import Allocation, Projector
from pmx.risk import EwmaCovariance, RiskScaler
from pmx.signals import Routing, Signal, SignalEngine, SignalRouter

Array = NDArray[np.float64]
LEVELS = ["bucket", "symbol"]

#: Returns that a symbol must have shown before a rule that needs its covariance lets it be held.
COVARIANCE_OBSERVATIONS = 60


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a cycle must know of the portfolio.

    Attributes
    ----------
    nav : float
        Base currency.
    weights : array, shape (n,)
        Signed fraction of NAV of each position of the desk, at current marks.
    bucket_returns : mapping of bucket to float
        Return of each bucket on its own capital since the last cycle; a bucket that held nothing is absent.
    """

    nav: float
    weights: Array
    bucket_returns: Mapping[str, float]

    @classmethod
    def of(
        cls,
        snapshot: PortfolioSnapshot,
        prices: pd.Series,
        desk: Desk,
        bucket_returns: Mapping[str, float] | None = None,
    ) -> Holdings:
        """Value a snapshot with :func:`pmx.compute_nav`.

        Raises
        ------
        DataError
            When a price or exchange rate is missing, or a position is not in the desk's universe.
        """
        nav = compute_nav(snapshot, prices)
        held = nav.weights
        strange = held.index.difference(desk.index)
        if len(strange):
            raise DataError(f"position {strange[0]} is held but not in the universe; build the desk with its symbol")
        weights = held.reindex(desk.index, fill_value=0.0).to_numpy(dtype=np.float64)
        return cls(float(nav), weights, dict(bucket_returns or {}))


@dataclass(frozen=True, slots=True)
class Step:
    """What one cycle decided, and on what grounds.

    Attributes
    ----------
    as_of : date-like
        Label of the last price row that was used.
    nav : float
        NAV before trading, base currency.
    routing : Routing or None
        What the signals asked for; None when weights were given instead.
    risk_scale : Series by bucket
        Scales ``s_b``.
    allocation : Allocation
        The answer, certified.
    weights : array, shape (n,)
        Its signed weights in the order of the desk's positions.
    """

    as_of: date | Any
    nav: float
    routing: Routing | None
    risk_scale: pd.Series
    allocation: Allocation
    weights: Array


class Desk:
    """What a cycle keeps between calls: router, scaler, compiled projector, engines, covariance.

    Parameters
    ----------
    policy : Policy
        The policy.
    symbols : sequence of str
        Every symbol that prices will be given for.
    engines : sequence of SignalEngine
        Asked at every cycle.
    positions : sequence of (bucket, symbol), optional
        Further positions that may be wished for, held, or both.
    """

    def __init__(
        self,
        policy: Policy,
        symbols: Sequence[str],
        engines: Sequence[SignalEngine] = (),
        positions: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.policy = policy
        self.symbols = tuple(symbols)
        self.engines = tuple(engines)
        self.router = SignalRouter(policy)
        self.scaler = RiskScaler(policy)
        self.index = pd.MultiIndex.from_tuples(self._universe(positions), names=LEVELS)
        self.projector = Projector(policy, self.index)
        self.covariance = self._covariance()
        self._heard: dict[tuple[str, str], Signal] = {}
        self._last_row: Array | None = None

    def _universe(self, further: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        known = dict.fromkeys(further)
        for engine in self.engines:
            for symbol in self.symbols:
                bucket = self.router.bucket_for(engine.source, symbol)
                if bucket is not None:
                    known[(bucket, symbol)] = None
        if self.engines:
            for name, bucket_config in self.policy.risk_buckets.buckets.items():
                for symbol in bucket_config.standing:
                    known[(name, symbol)] = None
        order = {name: i for i, name in enumerate(self.policy.risk_buckets.buckets)}
        return sorted(known, key=lambda position: (order.get(position[0], len(order)), position[1]))

    def _covariance(self) -> EwmaCovariance | None:
        limits = self.policy.risk_buckets.portfolio
        if self.policy.bypassed or (limits.volatility_max is None and limits.distance != "risk"):
            return None
        scaler = self.policy.risk_scaler
        return EwmaCovariance(
            self.symbols, scaler.covariance_decay, scaler.volatility.periods_per_year, COVARIANCE_OBSERVATIONS
        )

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Ask every engine; where a symbol has no new price, its last signals stand.

        Raises
        ------
        DataError
            When an engine names a symbol that there are no prices for.
        """
        fresh = dict(zip(prices.columns, np.isfinite(prices.to_numpy()[-1]), strict=True))
        heard = {key: signal for key, signal in self._heard.items() if not fresh.get(key[1], False)}
        for engine in self.engines:
            for signal in engine.signals(prices):
                if signal.symbol not in fresh:
                    raise DataError(
                        f"engine {signal.source} gave a signal for {signal.symbol}, which has no price column; "
                        "add its prices or drop the signal"
                    )
                if fresh[signal.symbol]:
                    heard[(signal.source, signal.symbol)] = signal
        self._heard = heard
        return list(heard.values())

    def observe(self, prices: pd.DataFrame) -> None:
        """Take the latest row's returns into the covariance, where a rule needs one."""
        if self.covariance is None:
            return
        row = prices.to_numpy(dtype=np.float64)[-1]
        if self._last_row is None:
            self._last_row = row
            return
        self.covariance.update(row / self._last_row - 1.0)
        self._last_row = np.where(np.isfinite(row), row, self._last_row)

    def risk_view(self) -> tuple[pd.DataFrame | None, list[str]]:
        """Return the covariance forecast and the symbols that have shown too little for one."""
        if self.covariance is None:
            return None, []
        enough = self.covariance.observations >= COVARIANCE_OBSERVATIONS
        known = [symbol for symbol in self.symbols if enough[symbol]]
        matrix = pd.DataFrame(0.0, index=list(self.symbols), columns=list(self.symbols))
        if known:
            matrix.loc[known, known] = self.covariance.forecast(known)
        else:
            np.fill_diagonal(matrix.values, 1.0)
        return matrix, [symbol for symbol in self.symbols if not enough[symbol]]


def default_engines(policy: Policy, symbols: Sequence[str]) -> list[SignalEngine]:
    """Return the engines that the policy switches on, priced for these symbols."""
    from pmx.signals.time_series import TimeSeriesCore

    config = policy.signal_routing_config.engines.time_series
    if not config.enabled:
        return []
    if config.round_trip_cost_bps is not None:
        return [TimeSeriesCore(config, round_trip_cost=config.round_trip_cost_bps * 1e-4)]
    costs = CostModel.from_policy(policy)
    return [TimeSeriesCore(config, round_trip_cost={symbol: 2.0 * costs.rate(symbol) for symbol in symbols})]


def step(
    desk: Desk,
    holdings: Holdings,
    prices: pd.DataFrame,
    *,
    targets: pd.Series | None = None,
    gated: Mapping[str, str] | None = None,
    adv: Mapping[str, float] | None = None,
) -> Step:
    """Do one whole cycle: scale risk, hear the signals, project their wishes onto the policy.

    Parameters
    ----------
    desk : Desk
        Policy, engines and state; its risk state takes in this cycle's returns.
    holdings : Holdings
        What is held now.
    prices : DataFrame, date × symbol
        Closes up to and including now. Nothing later can be seen.
    targets : Series by (bucket, symbol), signed fraction of NAV, optional
        Wishes in place of signals.
    gated : mapping of symbol to {"reduce_only", "exit"}, optional
        Gated symbols.
    adv : mapping of symbol to float, base currency a day, optional
        Average daily value traded.

    Returns
    -------
    Step

    Raises
    ------
    DataError, SignalError, InfeasibleError, SolverError
        As raised by the stages; the desk's risk state has then taken in the returns, nothing else changed.
    """
    desk.scaler.update(holdings.bucket_returns)
    desk.observe(prices)
    scale = desk.scaler.scales()
    covariance, unknown = desk.risk_view()
    gates = dict(gated or {}) | dict.fromkeys(unknown, "exit")
    previous = pd.Series(holdings.weights, index=desk.index)
    inputs: dict[str, Any] = {
        "previous": previous,
        "risk_scale": scale,
        "gated": gates,
        "covariance": covariance,
        "adv": adv,
        "nav": holdings.nav if adv is not None else None,
    }
    routing = None
    if targets is None:
        routing = desk.router.route(desk.signals(prices), previous)
        allocation = desk.projector.solve(routing.relative_weights, **inputs)
    else:
        allocation = desk.projector.project(targets, **inputs)
    return Step(prices.index[-1], holdings.nav, routing, scale, allocation, _in_order(allocation, desk.index))


def _in_order(allocation: Allocation, index: pd.MultiIndex) -> Array:
    """Return the allocation's weights in the desk's order."""
    if allocation.index.equals(index):
        weights = allocation.signed
    else:
        weights = allocation.positions.reindex(index, fill_value=0.0).to_numpy(dtype=np.float64)
    if not math.isfinite(float(weights.sum())):
        raise DataError("the given weights are not finite; repair them")
    return np.asarray(weights, dtype=np.float64)
