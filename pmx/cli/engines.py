"""Engines as the command line names them: those of the policy by name, anybody's own by module and name."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pmx.cli.exits import UsageError
from pmx.errors import PmxError

if TYPE_CHECKING:
    import pandas as pd

    from pmx.policy import Policy

_FORM = "write package.module:Name, found from the working directory"


def engines_from(entries: Sequence[str] | None, policy: Policy, prices: pd.DataFrame) -> list[Any] | None:
    """Return engines for ``--engine`` entries, names of the policy's engines as they are; None if there are none.

    Raises
    ------
    UsageError
        If a module cannot be imported, has no such name, or what stands there makes no engine.
    """
    if not entries:
        return None
    symbols = [str(symbol) for symbol in prices.columns]
    return [_made(entry, policy, symbols) if ":" in entry else entry for entry in entries]


def _made(entry: str, policy: Policy, symbols: list[str]) -> Any:
    """Import what stands at ``package.module:Name`` and call it, unless it is an engine already."""
    found = _found(entry)
    if not isinstance(found, type) and hasattr(found, "signals"):
        return found
    if not callable(found):
        raise UsageError(f"--engine {entry!r} names a {type(found).__name__}; name a class, a function or an engine")
    try:
        wanted = _arguments(found)
        engine = found(policy, symbols) if wanted == 2 else found()
    except PmxError:
        raise
    except Exception as error:
        raise UsageError(
            f"--engine {entry!r} makes no engine ({type(error).__name__}: {error}); it is called with nothing, or, "
            "where it takes two arguments, with the policy and the list of symbols"
        ) from error
    return engine


def _found(entry: str) -> Any:
    module, _, name = entry.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # after all else, so that no file here takes the place of a library
    try:
        importlib.invalidate_caches()
        place = importlib.import_module(module)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"--engine {entry!r}: {module!r} cannot be imported ({why}); {_FORM}") from error
    if not name or not hasattr(place, name):
        raise UsageError(f"--engine {entry!r}: {module} has no {name or 'empty name'!r}; {_FORM}")
    return getattr(place, name)


def _arguments(found: Any) -> int:
    """Return how many arguments a call needs."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # a class without a signature of its own takes nothing
        return 0
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in plain and p.default is inspect.Parameter.empty for p in parameters)
