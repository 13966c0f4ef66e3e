"""Signals and their way into buckets.

`pmx.signals.time_series` holds the first engine; it is not imported here, because its model is heavy.
"""

from pmx.signals.router import SignalRouter
from pmx.signals.routing import NO_SIGNAL, STANDING, Decision, Routing
from pmx.signals.types import Signal, SignalEngine

__all__ = [
    "NO_SIGNAL",
    "STANDING",
    "Decision",
    "Routing",
    "Signal",
    "SignalEngine",
    "SignalRouter",
]
