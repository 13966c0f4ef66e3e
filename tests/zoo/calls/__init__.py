"""One call that works of every public function, class and method: name → arguments, made afresh each time."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

ROOMS = (
    "data", "policy", "portfolio", "risk", "signals", "signals.forecasting", "signals.scoring",
    "signals.language_model", "signals.machine_learning", "projection", "execution", "backtest", "linting",
    "monitoring", "monitoring.sequential", "verify",
)  # fmt: skip


class Good(NamedTuple):
    """What to call, and with what."""

    call: Callable[..., Any]
    arguments: dict[str, Any]


class Case(NamedTuple):
    """A known good call; ``heavy`` where it takes more than a few hundredths of a second."""

    name: str
    make: Callable[[Path], Good]
    heavy: bool


CASES: dict[str, Case] = {}


def case(*names: str, heavy: bool = False) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Register a maker under the name of what it calls, without ``pmx.``."""

    def register(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
        for name in names:
            assert name not in CASES, name
            CASES[name] = Case(name, lambda folder: Good(*make(folder)), heavy)
        return make

    return register


def public_callables() -> Iterator[str]:
    """Yield the name of every public function, class that users make, and public method that takes arguments."""
    seen: set[int] = set()
    for room in ROOMS:
        module = importlib.import_module(f"pmx.{room}")
        for name in module.__all__:
            thing = getattr(module, name)
            if id(thing) in seen or not callable(thing):
                continue
            seen.add(id(thing))
            if not inspect.isclass(thing):
                yield f"{room}.{name}"
            elif not issubclass(thing, BaseException | Enum) and not getattr(thing, "_is_protocol", False):
                yield from _of_class(f"{room}.{name}", thing)


def _of_class(name: str, thing: type) -> Iterator[str]:
    yield name
    for key, value in vars(thing).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        shown = not key.startswith("_") or key in ("__call__", "__getitem__")
        if shown and inspect.isfunction(function) and function.__module__.startswith("pmx"):
            takes = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
            if takes:
                yield f"{name}.{key}"


for _room in ("data", "portfolio", "risk", "signals", "forecasting", "projection", "execution", "reports"):
    importlib.import_module(f"zoo.calls.{_room}")
