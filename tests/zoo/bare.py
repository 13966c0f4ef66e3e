"""A policy without the limits that the defaults would bring, so that one rule can be seen alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pmx.policy import Policy

#: Limits that are not there unless the test writes them.
NO_LIMIT = (
    ("barbell", "safe_bucket", "max_per_position"),
    ("barbell", "risk_bucket", "max_per_position"),
    ("execution", "turnover", "max"),
)


def bare_policy(data: Mapping[str, Any]) -> Policy:
    """Build a policy as `Policy.from_mapping` does, with no cap a position and no turnover limit but those given."""
    filled = {name: dict(section) for name, section in data.items()}
    for section, part, key in NO_LIMIT:
        content = filled.setdefault(section, {})
        content[part] = {key: None, **content.get(part, {})}
    return Policy.from_mapping(filled)
