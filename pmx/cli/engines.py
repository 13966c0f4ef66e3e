"""Engines as the command line names them: those of the policy by name, anybody's own by module and name."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
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
    found, file = _found(entry)
    if not isinstance(found, type) and any(hasattr(found, method) for method in ("signals", "signals_for")):
        return found
    if not callable(found):
        raise UsageError(
            f"--engine {entry!r} names a {type(found).__name__} in {file}; name a class, a function or an engine"
        )
    plain, named = _arguments(entry, file, found, {"policy": policy, "symbols": symbols})
    try:
        return found(*plain, **named)
    except PmxError:
        raise
    except (Exception, SystemExit) as error:  # nobody's engine ends a command as if all were well
        raise UsageError(f"--engine {entry!r} makes no engine ({_what(error)}); see {file}") from error


def _found(entry: str) -> tuple[Any, str]:
    """Return what stands at ``package.module:Name``, and the file that it was imported from."""
    module, _, name = entry.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # after all else, so that no file here takes the place of a library
    try:
        importlib.invalidate_caches()
        place = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # as a script that calls sys.exit() when imported
        raise UsageError(f"--engine {entry!r}: {module!r} cannot be imported ({_what(error)}); {_FORM}") from error
    file = getattr(place, "__file__", None) or "the interpreter itself"  # an installed module may have the same name
    if not name or not hasattr(place, name):
        raise UsageError(f"--engine {entry!r}: {module} has no {name or 'empty name'!r}; it is {file}; {_FORM}")
    return getattr(place, name), file


def _arguments(entry: str, file: str, found: Any, known: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return what to call it with: of what is known, those arguments that it needs, by position and by name."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # a class without a signature of its own takes nothing
        return [], {}
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p for p in parameters if p.default is inspect.Parameter.empty and p.kind not in optional]
    strange = [p.name for p in needed if p.name not in known]
    if strange:
        raise UsageError(
            f"--engine {entry!r} in {file} needs {' and '.join(map(repr, strange))}, which nobody gives; an engine is "
            "made with nothing, or with those of the arguments policy and symbols that it names: give the others a "
            "default, or write a function of (policy, symbols) that makes the engine"
        )
    positional = [p for p in needed if p.kind is inspect.Parameter.POSITIONAL_ONLY]
    return [known[p.name] for p in positional], {p.name: known[p.name] for p in needed if p not in positional}


def _what(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
