"""From signals to what each bucket is asked to hold: thresholds, priorities, and relative weights."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, SignalError
from pmx.policy.remedy import add_source
from pmx.signals.routing import BudgetUse, Decision, Routing
from pmx.signals.sharing import Share, share_bucket
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy import Policy

_SWITCH = "signal_routing_config.enable_llm_fallback"


@dataclass(frozen=True, slots=True)
class _Rank:
    """Where one source stands on one symbol."""

    bucket: str
    admitted: bool
    fallback: bool
    turn: tuple[bool, int]  # fallbacks last, then priority, which no two sources share


@dataclass(slots=True)
class _Heard:
    """A signal on its way: out of the running as soon as ``dropped`` says why."""

    signal: Signal
    rank: _Rank
    dropped: str


class SignalRouter:
    """Turn signals into relative weights of buckets.

    Each source speaks for one bucket (``market_buckets`` send the symbols of a market elsewhere). Within a
    bucket, the source of highest priority that is above its thresholds decides a symbol; in different buckets
    both live. A fallback source is heard on a symbol only where no other source was above its thresholds,
    whatever the direction, and only while ``enable_llm_fallback`` is on.

    What a direction means:

    - **BUY** (+1): hold a positive weight, in proportion to conviction.
    - **SELL** (−1): exit (weight 0) where the bucket is long-only; hold a negative weight, in proportion to
      conviction, where it allows shorts.
    - **HOLD** (0): keep what is held; that needs no edge. With nothing held, hold nothing.
    - **no signal**, or none above its thresholds: exit.

    `share_bucket` has the formula. A bucket's standing weights need no signal; a live signal on the same
    symbol takes the place of the standing weight.

    Parameters
    ----------
    policy : Policy
        Its ``signal_routing_config`` and ``risk_buckets``.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> policy = Policy.from_mapping({
    ...     "risk_buckets": {"buckets": {"ts_core": {"role": "risk", "base_nav_frac": 0.2}}},
    ...     "signal_routing_config": {"sources": {"time_series_core": {"bucket": "ts_core", "priority": 1}}},
    ... })
    >>> buy = Signal("SPY", 1, strength=1.0, edge_score=0.1, confidence=0.5, source="time_series_core")
    >>> routing = SignalRouter(policy).route([buy])
    >>> float(routing.relative_weights[("ts_core", "SPY")])
    0.25
    >>> routing.decisions[["symbol", "bucket", "kept", "reason"]].to_dict("records")
    [{'symbol': 'SPY', 'bucket': 'ts_core', 'kept': True, 'reason': 'buy'}]
    """

    @checked
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._config = policy.signal_routing_config
        self._buckets = policy.risk_buckets.buckets
        self._bucket_order = {name: position for position, name in enumerate(self._buckets)}
        self._ranks: dict[tuple[str, str], _Rank] = {}

    @checked(outside=["signals"])
    def route(
        self,
        signals: Iterable[Signal],
        previous: Mapping[tuple[str, str], float] | pd.Series[float] | None = None,
        risk_scale: Mapping[str, float] | pd.Series[float] | None = None,
    ) -> Routing:
        """Decide which signals live and what they ask of their buckets.

        Parameters
        ----------
        signals : iterable of Signal
            In any order; the answer does not depend on it.
        previous : mapping or Series by (bucket, symbol), signed fraction of NAV, optional
            What is held now; nothing if omitted.
        risk_scale : mapping or Series by bucket, optional
            Scales that the weights will be allocated with, so that a HOLD keeps what is held; 1 where not named.

        Returns
        -------
        Routing
            Relative weights, and the reason for every signal.

        Raises
        ------
        SignalError
            If a source speaks twice about a symbol, or is unknown to the policy.
        DataError
            If ``previous`` is not by (bucket, symbol), repeats a position, holds a value that is not finite, or
            names a bucket unknown to the policy.
        """
        held = self._held(previous)
        heard = self._hear(signals)
        _silence_fallbacks(heard)
        winners = _contest(heard)

        budgets = self._budgets(risk_scale)
        routing, shares = self._config, dict[tuple[str, str], float]()
        records = [_dropped(h) for h in heard if h.dropped]
        uses: list[BudgetUse] = []
        for name, bucket in self._buckets.items():
            live, here = winners.get(name, {}), held.get(name, {})
            if not (live or here or bucket.standing):
                continue
            full = routing.full_conviction.get(name, routing.default_full_conviction)
            shared = share_bucket(bucket, full, live, here, budgets[name])
            uses.append(_use(name, full, shared, live))
            for symbol, share in shared.items():
                shares[name, symbol] = share.relative_weight
                records.append(_kept(name, symbol, share, live.get(symbol)))
        records.sort(key=self._record_order)
        return Routing(shares, tuple(records), tuple(uses))

    @checked
    def silent(self, signals: Iterable[Signal], symbols: Iterable[str]) -> list[str]:
        """Return the symbols on which no source but fallbacks is above its thresholds, in their order.

        Raises
        ------
        SignalError
            As `route` does.
        """
        spoken = {h.signal.symbol for h in self._hear(signals) if not h.dropped and not h.rank.fallback}
        return [symbol for symbol in symbols if symbol not in spoken]

    @checked
    def hears(self, signal: Signal) -> bool:
        """Say whether a signal is above its source's thresholds and its bucket admits the symbol.

        What other sources say may still drop it.

        Raises
        ------
        SignalError
            If the source is unknown to the policy.
        """
        return self._rank(signal.source, signal.symbol).admitted and not self._below_threshold(signal)

    @checked
    def bucket_for(self, source: str, symbol: str) -> str | None:
        """Return the bucket that a source speaks for on a symbol, or None if that bucket does not admit it.

        Raises
        ------
        SignalError
            If the source is unknown to the policy.
        """
        rank = self._rank(source, symbol)
        return rank.bucket if rank.admitted else None

    def _budgets(self, risk_scale: Mapping[str, float] | pd.Series[float] | None) -> dict[str, float]:
        """Return what each whole bucket may take; all of NAV while budgets are switched off."""
        if not self._policy.risk_buckets.enabled:
            return dict.fromkeys(self._buckets, 1.0)
        scales = {} if risk_scale is None else {str(name): float(scale) for name, scale in risk_scale.items()}
        return {
            name: min(max(b.base_nav_frac * scales.get(name, 1.0), b.min_nav_frac), b.max_nav_frac)
            for name, b in self._buckets.items()
        }

    def _held(self, previous: Mapping[tuple[str, str], float] | pd.Series[float] | None) -> dict[str, dict[str, float]]:
        """Return what is held, by bucket and symbol, without zeros."""
        held: dict[str, dict[str, float]] = defaultdict(dict)
        if previous is None or len(previous) == 0:
            return held
        if not isinstance(previous, Mapping) and (previous.index.nlevels != 2 or not previous.index.is_unique):
            raise DataError("previous positions: the index must be (bucket, symbol) without repeats; add them up")
        entries: Any = previous.items()
        for (bucket, symbol), weight in entries:
            if bucket not in self._buckets:
                raise DataError(
                    f"previous positions: {symbol} is held for bucket {bucket!r}, which the policy does not "
                    f"have; move it to one of {', '.join(self._buckets)}"
                )
            if not math.isfinite(weight):
                raise DataError(f"previous positions: {bucket}/{symbol} is {weight}; give a finite NAV fraction")
            if weight != 0.0:
                held[bucket][symbol] = weight
        return held

    def _hear(self, signals: Iterable[Signal]) -> list[_Heard]:
        """Validate the set and drop what is below its thresholds."""
        heard: list[_Heard] = []
        seen: set[tuple[str, str]] = set()
        for signal in signals:
            if not isinstance(signal, Signal):
                kind = type(signal).__name__
                raise SignalError(f"signal {signal!r} is a {kind}, not a Signal; build it with pmx.Signal")
            rank, key = self._rank(signal.source, signal.symbol), (signal.symbol, signal.source)
            if key in seen:
                raise SignalError(
                    f"signal for {signal.symbol!r} from {signal.source!r} is given twice; "
                    "keep one for each symbol and source"
                )
            seen.add(key)
            heard.append(_Heard(signal, rank, self._below_threshold(signal)))
        return heard

    def _rank(self, speaker: str, symbol: str) -> _Rank:
        key = (speaker, symbol)
        rank = self._ranks.get(key)
        if rank is None:
            source = self._config.sources.get(speaker)
            if source is None:
                raise SignalError(
                    f"signal for {symbol!r}: source {speaker!r} is unknown to "
                    f"signal_routing_config.sources; {add_source(self._policy, speaker)}"
                )
            markets = self._policy.markets_of(symbol)
            diverted = (bucket for market, bucket in source.market_buckets.items() if market in markets)
            bucket = next(diverted, source.bucket)
            turn = (source.fallback, source.priority)
            rank = _Rank(bucket, self._policy.admits(bucket, symbol), source.fallback, turn)
            self._ranks[key] = rank
        return rank

    def _below_threshold(self, signal: Signal) -> str:
        """Return why a signal is too weak to be heard, or nothing."""
        source = self._config.sources[signal.source]
        if source.fallback and not self._config.enable_llm_fallback:
            return f"fallback is off ({_SWITCH})"
        if signal.confidence < source.min_confidence:
            return f"confidence {signal.confidence:.4g} < min_confidence {source.min_confidence:.4g}"
        if signal.direction != 0 and abs(signal.edge_score) < source.min_edge:
            return f"edge {abs(signal.edge_score):.4g} < min_edge {source.min_edge:.4g}"
        return ""

    def _record_order(self, record: Decision) -> tuple[int, str, bool, tuple[bool, int]]:
        rank = self._ranks.get((record.source, record.symbol))
        turn = rank.turn if rank else (True, 0)
        return self._bucket_order[record.bucket], record.symbol, rank is None, turn


def _silence_fallbacks(heard: Sequence[_Heard]) -> None:
    """Drop fallback signals on symbols for which another source is above its thresholds."""
    speaks: dict[str, _Heard] = {}
    for h in heard:
        if not h.dropped and not h.rank.fallback:
            first = speaks.setdefault(h.signal.symbol, h)
            if h.rank.turn < first.rank.turn:
                speaks[h.signal.symbol] = h
    for h in heard:
        if not h.dropped and h.rank.fallback and h.signal.symbol in speaks:
            h.dropped = f"fallback not needed: {speaks[h.signal.symbol].signal.source} speaks"


def _contest(heard: Sequence[_Heard]) -> dict[str, dict[str, Signal]]:
    """Leave each position to the signal whose turn is first, among those that its bucket admits.

    Returns winners by bucket and symbol, and drops the others.
    """
    winners: dict[str, dict[str, Signal]] = defaultdict(dict)
    for h in sorted((h for h in heard if not h.dropped), key=lambda h: h.rank.turn):
        if not h.rank.admitted:
            h.dropped = f"bucket {h.rank.bucket} does not admit {h.signal.symbol}"
            continue
        winner = winners[h.rank.bucket].setdefault(h.signal.symbol, h.signal)
        if winner is not h.signal:
            h.dropped = f"superseded by {winner.source}"
    return winners


def _use(bucket: str, full: float, shared: Mapping[str, Share], live: Mapping[str, Signal]) -> BudgetUse:
    """Return how much of its budget a bucket is asked to use, and with what conviction."""
    sizes = {symbol: abs(share.relative_weight) for symbol, share in shared.items()}
    active = [symbol for symbol, signal in live.items() if signal.direction != 0 and sizes[symbol] > 0.0]
    conviction = math.fsum(live[symbol].conviction for symbol in active)
    reserved = math.fsum(size for symbol, size in sizes.items() if symbol not in active)
    return BudgetUse(bucket, conviction, full, reserved, math.fsum(sizes.values()))


def _dropped(h: _Heard) -> Decision:
    s = h.signal
    return Decision(s.symbol, s.source, s.direction, h.rank.bucket, False, h.dropped, s.conviction, 0.0)


def _kept(bucket: str, symbol: str, share: Share, signal: Signal | None) -> Decision:
    weight = share.relative_weight
    if signal is None:
        direction, conviction = (weight > 0.0) - (weight < 0.0), math.nan
    else:
        direction, conviction = signal.direction, signal.conviction
    return Decision(symbol, share.source, direction, bucket, True, share.reason, conviction, weight)
