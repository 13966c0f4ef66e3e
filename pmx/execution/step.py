"""One cycle: signals and holdings in, a certified allocation out.

The backtest, the paper loop and live use all call :func:`step`; there is no second way to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.execution.desk import Desk
from pmx.execution.history import History
from pmx.execution.oversight import strictest
from pmx.portfolio import Date, PortfolioSnapshot, compute_nav, require_currency
from pmx.portfolio.moments import check_age, timestamp
from pmx.projection import Allocation
from pmx.projection.passthrough import refuse_limits
from pmx.signals import Routing, Signal
from pmx.signals.success import Verdict

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a cycle must know of the portfolio.

    Attributes
    ----------
    nav : float
        Base currency, > 0.
    weights : array, shape (n,)
        Signed fraction of NAV of each position of the desk, at current marks. What the residual symbol holds in
        place of cash is not among them.
    bucket_returns : mapping of bucket to float
        Return of each bucket on its own capital since the last cycle; a bucket that held nothing is absent.
    currency : str or None
        Of NAV, where it is known.
    as_of : Timestamp or None
        The moment of the snapshot, where it is known.
    """

    nav: float
    weights: Array
    bucket_returns: Mapping[str, float]
    currency: str | None = None
    as_of: pd.Timestamp | None = None

    @classmethod
    @checked(outside=["prices"])
    def of(
        cls,
        snapshot: PortfolioSnapshot,
        prices: Mapping[str, float] | pd.Series,
        desk: Desk,
        bucket_returns: Mapping[str, float] | None = None,
        *,
        prices_as_of: Date | Mapping[str, Date] | None = None,
    ) -> Holdings:
        """Value a snapshot with :func:`pmx.compute_nav`, under the desk's policy.

        A quantity of no bucket belongs to its symbol's only position; of the residual symbol, to none: it stands in
        for cash.

        Raises
        ------
        DataError
            When a price or exchange rate is missing or too old, the snapshot's base currency is not the policy's, NAV
            is not positive, or something is held that is not in the desk's universe.

        Examples
        --------
        >>> import pmx
        >>> desk = Desk(pmx.load_policy(), ["SP500"], positions=[("ts_core", "SP500")])
        >>> holdings = Holdings.of(pmx.PortfolioSnapshot(900.0, {"SP500": 1.0}), {"SP500": 100.0}, desk)
        >>> holdings.nav, holdings.weights.tolist()
        (1000.0, [0.1])
        """
        nav = compute_nav(snapshot, prices, desk.policy, prices_as_of=prices_as_of)
        weights = np.zeros(len(desk.index))
        held = nav.weights
        for (bucket, symbol), weight in zip(held.index.tolist(), held.tolist(), strict=True):
            row = desk.row_of(bucket, symbol)
            if row is not None:
                weights[row] += weight
        return cls(float(nav), weights, dict(bucket_returns or {}), nav.currency, snapshot.as_of)


@dataclass(frozen=True)
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
    allocation : Allocation
        The answer, certified.
    weights : array, shape (n,)
        Its signed weights in the order of the desk's positions.
    scales : array, shape (n_buckets,)
        Scales ``s_b`` in the order of the policy's buckets.
    buckets : tuple of str
        The policy's buckets.
    verdicts : tuple of Verdict
        On the signals of this bar, where they are judged.
    gates : mapping of symbol to {"reduce_only", "exit"}
        Those that their verdicts have shut; gates for other reasons are not among them.
    signals : tuple of Signal
        What the engines said, last signals that stand among them; none when weights were given instead.
    """

    as_of: date | Any
    nav: float
    routing: Routing | None
    allocation: Allocation
    weights: Array
    scales: Array
    buckets: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = ()
    gates: Mapping[str, str] = field(default_factory=dict)
    signals: tuple[Signal, ...] = ()

    @cached_property
    def risk_scale(self) -> pd.Series:
        """Scales ``s_b``, Series by bucket."""
        return pd.Series(self.scales.copy(), index=self.buckets, name="risk_scale")


@checked
def step(
    desk: Desk,
    holdings: Holdings,
    prices: pd.DataFrame | History,
    *,
    targets: pd.Series | Array | None = None,
    gated: Mapping[str, str] | None = None,
    adv: Mapping[str, float] | pd.Series | None = None,
) -> Step:
    """Do one whole cycle: scale risk, ask the engines for signals, project these onto the policy.

    A symbol without a price now keeps its last signals. One that missed more than ``execution.max_stale_bars`` of its
    own sessions (with ``execution.delisting`` ``hold``, one that never had a close), and one too new for a covariance
    that a rule needs, is gated with ``exit``; one that is held on so, with ``reduce_only``. With
    ``barbell.enable_barbell_validation``, so is a risk symbol whose signals have gone bad, with
    ``forecaster_monitoring.gate.mode``.

    Parameters
    ----------
    desk : Desk
        Policy, engines and state; it takes the bar in, once, however often the bar is asked about.
    holdings : Holdings
        What is held now.
    prices : DataFrame, date × symbol, or History
        Closes up to and including now. Nothing later can be seen.
    targets : Series by (bucket, symbol), or array in the order of the desk's positions, optional
        Wishes in place of signals, signed fractions of NAV.
    gated : mapping of symbol to {"reduce_only", "exit"}, optional
        Gated symbols.
    adv : mapping or Series by symbol, base currency a day, optional
        Average daily value traded.

    Returns
    -------
    Step

    Raises
    ------
    DataError, SignalError, InfeasibleError, SolverError
        As raised by the stages. The desk has taken the bar in by then, so the cycle may be repeated with better inputs.
        Gates and volumes are refused where both flags of the policy are off, before that.

    Examples
    --------
    >>> import pmx
    >>> desk = Desk(pmx.load_policy(), ["SP500"], positions=[("ts_core", "SP500")])
    >>> prices = pd.DataFrame({"SP500": [100.0]}, index=pd.DatetimeIndex(["2020-01-02"]))
    >>> holdings = Holdings.of(pmx.PortfolioSnapshot(1_000.0, {}), prices.iloc[-1], desk)
    >>> step(desk, holdings, prices, targets=pd.Series([0.5], index=desk.index)).allocation.weights.to_dict()
    {'SP500': 0.1, 'CASH': 0.9}
    """
    require_currency(holdings.currency, desk.policy)
    refuse_limits(desk.policy, gated=gated, adv=adv)
    known = History.of(prices)
    _require_fresh(holdings.as_of, known.now, desk.policy.execution.max_fx_age_days)
    desk.observe(known, holdings.bucket_returns)
    buckets, scales = desk.buckets, desk.scaler.scale_array()
    inputs = {} if desk.policy.bypassed else _limits(desk, holdings, known, scales, gated, adv)
    routing: Routing | None = None
    verdicts: tuple[Verdict, ...] = ()
    shut: dict[str, str] = {}
    signals: list[Signal] = []
    if targets is None:
        risk_scale = dict(zip(buckets, scales.tolist(), strict=True))
        signals = desk.signals(known)
        routing = desk.router.route(signals, desk.held(holdings.weights), risk_scale)
        shut = desk.oversight.gated
        if inputs:
            inputs["gated"] = strictest(inputs["gated"], shut)
        verdicts = desk.oversight.verdicts
        allocation = desk.projector.solve(desk.wishes(routing), **inputs)
    else:
        allocation = desk.projector.project(targets, **inputs)
    weights = _in_order(allocation, desk.index)
    return Step(known.now, holdings.nav, routing, allocation, weights, scales, buckets, verdicts, shut, tuple(signals))


def _require_fresh(held_at: pd.Timestamp | None, now: Any, max_age_days: int) -> None:
    """Refuse to decide on closes that are too old for the snapshot that was valued."""
    if held_at is None or not isinstance(now, date | np.datetime64):
        return
    last = timestamp(pd.Timestamp(now), "last row of prices")
    if last <= held_at:
        check_age("the last row of prices", "row", last, held_at, max_age_days)


def _limits(
    desk: Desk,
    holdings: Holdings,
    known: History,
    scales: Array,
    gated: Mapping[str, str] | None,
    adv: Mapping[str, float] | pd.Series | None,
) -> dict[str, Any]:
    """Return what the rules of a cycle need beside the targets."""
    covariance, unknown = desk.risk_view()
    return {
        "previous": holdings.weights,
        "risk_scale": scales,
        "gated": strictest(
            gated or {},
            dict.fromkeys(desk.stale(known), "reduce_only"),
            dict.fromkeys([*desk.silent(known), *unknown], "exit"),
        ),
        "covariance": covariance,
        "adv": adv,
        "nav": holdings.nav if adv is not None else None,
    }


def _in_order(allocation: Allocation, index: pd.MultiIndex) -> Array:
    """Return the allocation's weights in the desk's order."""
    if allocation.index is index:
        weights = allocation.signed
    else:
        weights = allocation.positions.reindex(index, fill_value=0.0).to_numpy(dtype=np.float64)
    if not np.isfinite(weights).all():
        bucket, symbol = index[int(np.argmin(np.isfinite(weights)))]
        raise DataError(f"the given weight of {bucket}/{symbol} is not finite; repair it, or give 0 to hold nothing")
    return weights
