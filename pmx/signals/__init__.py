"""Signals and their way into buckets.

The engines themselves are not imported here, because their models are heavy: `engines_of` builds them.
"""

from pmx.signals.engines import ENGINES, engines_of, fallback_of
from pmx.signals.router import SignalRouter
from pmx.signals.routing import NO_SIGNAL, STANDING, BudgetUse, Decision, Routing
from pmx.signals.types import FallbackEngine, Signal, SignalEngine

__all__ = [
    "ENGINES",
    "NO_SIGNAL",
    "STANDING",
    "BudgetUse",
    "Decision",
    "FallbackEngine",
    "Routing",
    "Signal",
    "SignalEngine",
    "SignalRouter",
    "engines_of",
    "fallback_of",
]
