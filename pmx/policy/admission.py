"""Why a bucket may not hold a symbol, and which bucket or symbol was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pmx.policy.problem import near

if TYPE_CHECKING:
    from pmx.policy.policy import Policy

#: Names of a list that a message spells out.
_SHOWN = 5


def lists_hold(policy: Policy) -> bool:
    """Return whether what a bucket lists is what it may hold; not while the buckets are switched off."""
    return policy.risk_buckets.enabled and not policy.bypassed


def not_admitted(policy: Policy, bucket: str, symbol: str) -> str | None:
    """Return why a bucket may not hold a symbol and what to do about it; None if it may.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> core = {"role": "risk", "base_nav_frac": 0.2}
    >>> buckets = {"core": core, "hedge": core | {"symbols": ["VIXY"]}}
    >>> policy = Policy.from_mapping({"risk_buckets": {"buckets": buckets}})
    >>> not_admitted(policy, "hedge", "VIXY")
    >>> print(not_admitted(policy, "hedge", "BBY"))
    bucket hedge does not admit BBY: its symbols are VIXY (python); did you mean bucket core, which admits it?
    """
    if policy.admits(bucket, symbol):
        return None
    what = f"bucket {bucket} does not admit {symbol}: {_why(policy, bucket, symbol)}"
    homes = [name for name in policy.risk_buckets.buckets if policy.admits(name, symbol)]
    listed = policy.risk_buckets.buckets[bucket].symbols
    meant = near(symbol, listed)
    if meant is not None:
        return f"{what}; did you mean {meant}?"
    if homes:
        home = next((name for name in homes if policy.risk_buckets.buckets[name].symbols), homes[0])
        return f"{what}; did you mean bucket {home}, which admits it?"
    if policy.is_safe(symbol):
        return f"{what}; add a bucket with role: safe to risk_buckets.buckets"
    return f"{what}; add it there, or leave the position out"


def _why(policy: Policy, bucket: str, symbol: str) -> str:
    content = policy.risk_buckets.buckets[bucket]
    if content.role == "risk" and policy.is_safe(symbol):
        key = "barbell.safe_bucket.symbols"
        if symbol not in policy.barbell.safe_bucket.symbols:
            key = f"risk_buckets.buckets.{policy.safe_buckets[0]}.symbols"
        return f"it is a safe symbol ({key}, {policy.source(key)}), and a bucket of role risk holds none"
    key, listed = f"risk_buckets.buckets.{bucket}.symbols", content.symbols
    if not listed:
        key, listed = "barbell.safe_bucket.symbols", policy.barbell.safe_bucket.symbols
    shown = ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
    return f"its symbols are {shown} ({policy.source(key)})"
