"""Figures of a comparison as text."""

from __future__ import annotations

import math

from pmx.monitoring.sequential.comparison import MANY
from pmx.monitoring.tables import NONE


def share(value: float) -> str:
    """Return a share in percent, with more digits where it would look like none or all.

    Examples
    --------
    >>> share(0.0), share(0.3404), share(0.9996), share(1.0)
    ('0%', '34%', '99.96%', '100%')
    """
    if not math.isfinite(value):
        return NONE
    text = f"{value:.0%}"
    return text if text not in ("0%", "100%") or value in (0.0, 1.0) else f"{value:.2%}"


def basis_points(value: float) -> str:
    """Return a fraction of NAV in basis points.

    Examples
    --------
    >>> basis_points(0.0627), basis_points(0.00003), basis_points(1e-12)
    ('627 bp', '0.3 bp', '0 bp')
    """
    points = 1e4 * value
    return f"{points:,.0f} bp" if points >= 10.0 or points < 1e-5 else f"{points:.1g} bp"


def further(value: float) -> str:
    """Return how much further than the joint answer something is.

    Examples
    --------
    >>> further(0.1767), further(0.00004), further(1e-12), further(float("nan")), further(float("inf"))
    ('+17.7%', '+0.004%', '0', '–', '∞')
    """
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞"
    if abs(value) < 1e-6:
        return "0"
    return f"{100.0 * value:+.1f}%" if abs(value) >= 5e-4 else f"{100.0 * value:+.1g}%"


def limits_overrun(number: int) -> str:
    """Return how many limits a wish overruns.

    Examples
    --------
    >>> limits_overrun(0), limits_overrun(1), limits_overrun(4)
    ('none', '1 limit', '4 or more')
    """
    if number == 0:
        return "none"
    return "1 limit" if number == 1 else f"{number} or more" if number >= MANY else f"{number} limits"
