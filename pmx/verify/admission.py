"""Whether each bucket holds only what it may: what it does not admit may be sold, and never grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .exact import ZERO, shown
from .feasibility import Problem
from .policy import Position, matches
from .record import HARD_TOLERANCE, Solve


def misplaced(policy: Mapping[str, Any], solve: Solve) -> Iterator[Problem]:
    """Yield the positions that are larger than what was held of them though their buckets do not admit them."""
    if not policy["risk_buckets"]["enabled"] or solve.asked is None:
        return
    previous = solve.asked.previous or (ZERO,) * len(solve.positions)
    for position, weight, held in zip(solve.positions, solve.weights.positions, previous, strict=True):
        kept = abs(held) if weight * held > 0 else ZERO
        if abs(weight) > kept + HARD_TOLERANCE and not admits(policy, position):
            bucket, symbol = position
            what = f"does not admit {symbol}: {shown(kept)} of it was held, and {shown(abs(weight))} is now"
            yield f"bucket.{bucket}.symbols", what


def admits(policy: Mapping[str, Any], position: Position) -> bool:
    """Return whether a bucket may hold a symbol: one that it lists, if it lists any; safe ones in safe buckets only."""
    bucket, symbol = position
    buckets, safe = policy["risk_buckets"]["buckets"], policy["barbell"]["safe_bucket"]["symbols"]
    own = buckets[bucket]
    if own["role"] == "safe":
        return not (own["symbols"] or safe) or matches(symbol, own["symbols"]) or symbol in safe
    listed_safe = any(matches(symbol, b["symbols"]) for b in buckets.values() if b["role"] == "safe")
    return not listed_safe and symbol not in safe and (not own["symbols"] or matches(symbol, own["symbols"]))
