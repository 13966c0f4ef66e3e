"""What to add to a policy so that a name in it, or in a signal, means something."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pmx.policy.problem import did_you_mean, near

if TYPE_CHECKING:
    from pmx.policy.policy import Policy

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def add_source(policy: Policy, name: str) -> str:
    """Return how a source becomes known to the router: the known name it resembles, and lines that add it.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> buckets = {"core": {"role": "risk", "base_nav_frac": 0.2}}
    >>> print(add_source(Policy.from_mapping({"risk_buckets": {"buckets": buckets}}), "momentum"))
    add it to signal_routing_config.yml under sources:
        sources:
          momentum: {bucket: core, priority: 1}
    """
    sources = policy.signal_routing_config.sources
    if not _LABEL.fullmatch(name):
        return "give the engine a source of letters, digits, _ and -, and add that to signal_routing_config.sources"
    homes = [policy.risk_buckets.default_bucket, *policy.risk_bucket_names, *policy.safe_buckets]
    bucket = next((home for home in homes if home is not None), "BUCKET")
    priority = 1 + max((source.priority for source in sources.values()), default=0)
    place = policy.source("signal_routing_config.sources")
    where = place if ":" in place else "signal_routing_config.yml"
    meant = near(name, tuple(sources))
    first = f"did you mean {meant!r}? If not, add" if meant else "add"
    lines = f"    sources:\n      {name}: {{bucket: {bucket}, priority: {priority}}}"
    return f"{first} it to {where} under sources:\n{lines}"


def add_name(name: str, known: tuple[str, ...], table: str) -> str:
    """Return the remedy for a name that a table of the policy does not have: what was meant, or where to add it.

    Examples
    --------
    >>> add_name("ng", ("ngx", "em"), "barbell.markets")
    "did you mean 'ngx'?"
    >>> add_name("asia", (), "barbell.markets")
    'add it to barbell.markets'
    """
    if near(name, known):
        return did_you_mean(name, known)
    return f"add it to {table}" + (f", which has {', '.join(known)}" if known else "")
