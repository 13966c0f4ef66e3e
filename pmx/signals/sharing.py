"""How one bucket is shared out among its live signals, its standing weights, and what it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pmx.signals.routing import NO_SIGNAL, STANDING
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy.schema import Bucket


class Share(NamedTuple):
    """What one symbol is asked to take of its bucket.

    Attributes
    ----------
    source : str
        Who decided: a signal's source, `STANDING`, or `NO_SIGNAL`.
    relative_weight : float
        Signed share of the bucket, abs ≤ 1.
    reason : str
        What the decision does.
    """

    source: str
    relative_weight: float
    reason: str


def share_bucket(
    bucket: Bucket,
    full_conviction: float,
    signals: Mapping[str, Signal],
    held: Mapping[str, float],
    budget: float,
) -> dict[str, Share]:
    r"""Share one bucket out.

    HOLDs and standing weights are reserved first (scaled down together if they exceed the bucket). Active
    signals (BUY, and SELL where the bucket may be short) split the rest by conviction :math:`c`, and fill it
    only where their convictions reach ``full_conviction`` :math:`C`:

    .. math:: r_j = \pm \frac{c_j}{\max(\sum_i c_i,\ C)} \Bigl(1 - \sum_{h} |r_h|\Bigr), \qquad
              r_h = \frac{w_h}{\text{budget}}

    Parameters
    ----------
    bucket : Bucket
        Its limits, its standing weights, and whether it may be short.
    full_conviction : float
        :math:`C > 0`.
    signals : mapping of str to Signal
        Symbol to the live signal that decides it.
    held : mapping of str to float
        Symbol to :math:`w`, the signed NAV fraction held for this bucket; never 0.
    budget : float, fraction of NAV
        What the whole bucket may take now, ``clip(base · scale, min, max)``.

    Returns
    -------
    dict of str to Share
        By symbol, sorted; Σ abs(relative_weight) ≤ 1. Every symbol of ``signals``, ``held`` and the standing
        weights is present; 0 closes a position.

    Examples
    --------
    >>> from pmx.policy.schema import Bucket
    >>> bucket = Bucket(role="risk", base_nav_frac=0.2)
    >>> buy = Signal("SPY", 1, strength=1.0, edge_score=1.0, confidence=0.5, source="ts")
    >>> hold = Signal("QQQ", 0, strength=1.0, edge_score=0.0, confidence=0.5, source="ts")
    >>> shares = share_bucket(bucket, 1.0, {"SPY": buy, "QQQ": hold}, {"QQQ": 0.1, "OLD": 0.05}, 0.2)
    >>> {symbol: share.relative_weight for symbol, share in shares.items()}
    {'OLD': 0.0, 'QQQ': 0.5, 'SPY': 0.25}
    """
    shares = {symbol: Share(NO_SIGNAL, 0.0, "no live signal: exit") for symbol in held}
    reserved = {symbol: Share(STANDING, weight, "standing weight") for symbol, weight in bucket.standing.items()}
    active: list[Signal] = []
    for symbol, signal in signals.items():
        reserved.pop(symbol, None)
        if signal.direction == 0:
            reserved[symbol] = _hold(bucket, budget, signal.source, held.get(symbol, 0.0))
        elif signal.direction > 0 or bucket.allow_short:
            active.append(signal)
        else:
            shares[symbol] = Share(signal.source, 0.0, "sell: exit, the bucket is long-only")

    total = math.fsum(abs(share.relative_weight) for share in reserved.values())
    if total > 1.0:
        reserved = {
            symbol: Share(share.source, share.relative_weight / total, f"{share.reason}, scaled to the bucket")
            for symbol, share in reserved.items()
        }
    shares |= reserved

    conviction = math.fsum(signal.conviction for signal in active)
    unit = max(0.0, 1.0 - total) / max(conviction, full_conviction)
    for signal in active:
        reason = "buy" if signal.direction > 0 else "sell: short"
        shares[signal.symbol] = Share(signal.source, signal.direction * signal.conviction * unit, reason)
    return dict(sorted(shares.items()))


def _hold(bucket: Bucket, budget: float, source: str, weight: float) -> Share:
    """Return the share that reproduces a held NAV fraction."""
    if weight == 0.0:
        return Share(source, 0.0, "hold: nothing is held")
    if weight < 0.0 and not bucket.allow_short:
        return Share(source, 0.0, "hold: exit, the bucket is long-only")
    if budget == 0.0:
        return Share(source, 0.0, "hold: exit, the bucket has no budget")
    return Share(source, weight / budget, "hold")
