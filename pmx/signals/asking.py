"""Asking an engine for its signals, whoever wrote it: what is no engine, or no answer, is named with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pmx.errors import PmxError, SignalError
from pmx.signals.types import FallbackEngine, Signal, SignalEngine

if TYPE_CHECKING:
    import pandas as pd

_RAISED = "raised by the engine"
_FORM = "an engine has a source and a method signals(prices), see pmx.signals.SignalEngine"


def asked(engine: SignalEngine, prices: pd.DataFrame) -> list[Signal]:
    """Return what an engine says to prices.

    Raises
    ------
    SignalError
        If its answer is anything but `Signal` objects, in a list or another iterable.

    Examples
    --------
    >>> class Mute:
    ...     source = "time_series_core"
    ...     def signals(self, prices):
    ...         return None
    >>> asked(Mute(), None)
    Traceback (most recent call last):
    ...
    pmx.errors.SignalError: engine 'time_series_core' (Mute) answered None, not a list; return a list of pmx.Signal, ...
    """
    try:
        answer = engine.signals(prices)
    except PmxError:
        raise
    except Exception as error:
        if not any(note.startswith(_RAISED) for note in getattr(error, "__notes__", ())):  # an engine may hold another
            error.add_note(f"{_RAISED} {engine.source!r} ({type(engine).__name__})")
        raise
    return answered(engine, answer)


def answered(engine: SignalEngine | FallbackEngine, answer: Any) -> list[Signal]:
    """Return an engine's answer as a list.

    Raises
    ------
    SignalError
        As `asked`.
    """
    who = f"engine {engine.source!r} ({type(engine).__name__}) answered"
    if isinstance(answer, str | bytes | Mapping) or not _is_iterable(answer):
        kind = "None" if answer is None else f"a {type(answer).__name__}"
        raise SignalError(f"{who} {kind}, not a list; return a list of pmx.Signal, empty where there is nothing to say")
    signals = list(answer)
    for number, signal in enumerate(signals):
        if not isinstance(signal, Signal):
            kind = type(signal).__name__
            raise SignalError(f"{who} a list whose entry {number} is a {kind}, not a Signal; build it with pmx.Signal")
    return signals


def checked_engines(given: Any) -> tuple[Any, ...]:
    """Return engines, and the names that may stand for them, as a tuple.

    Parameters
    ----------
    given : iterable of SignalEngine, FallbackEngine or str
        What was given.

    Raises
    ------
    SignalError
        If it is one name or one engine and no list, or an entry is a class or has no ``source`` or no ``signals``.

    Examples
    --------
    >>> checked_engines(["time_series"])
    ('time_series',)
    >>> checked_engines("time_series")
    Traceback (most recent call last):
    ...
    pmx.errors.SignalError: engines is the text 'time_series', not a list; write ['time_series']
    """
    if isinstance(given, str):
        raise SignalError(f"engines is the text {given!r}, not a list; write [{given!r}]")
    if not _is_iterable(given):
        raise SignalError(f"engines is {_named(given)}, not a list; put it into one: [engine]")
    engines = tuple(given)
    for engine in engines:
        if not isinstance(engine, str):
            _check(engine)
    return engines


def _is_iterable(value: Any) -> bool:
    """Return whether there is something to go through; a NumPy array without an axis only says so."""
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def _check(engine: Any) -> None:
    if isinstance(engine, type):
        name = engine.__name__
        raise SignalError(f"engine {name} is a class, not an object; make one of it: {name}()")
    if not any(callable(getattr(engine, method, None)) for method in ("signals", "signals_for")):
        raise SignalError(f"engine {_named(engine)} has no method signals(prices); {_FORM}")
    source = getattr(engine, "source", None)
    if not isinstance(source, str) or not source:
        raise SignalError(
            f"engine {_named(engine)} has the source {source!r}, not a name; give it one that stands under "
            "signal_routing_config.sources"
        )


def _named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
