"""Exit codes, and errors as a person at a terminal should meet them."""

from __future__ import annotations

import functools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import typer

from pmx.arguments import read_path
from pmx.cli.wording import in_options
from pmx.errors import (
    DataError,
    InfeasibleError,
    LedgerError,
    PmxError,
    PmxWarning,
    PolicyError,
    SignalError,
    SolverError,
)

P = ParamSpec("P")
R = TypeVar("R")

FAILURE, MISTAKE, INFEASIBLE, UNSOLVED = 1, 2, 3, 4

#: Shown under every ``--help``.
EXIT_CODES = (
    "Exit codes: 0 done · 1 unexpected failure · 2 wrong usage or bad input (policy, data, signal) · 3 infeasible "
    "policy · 4 no certified answer. Set PMX_TRACEBACK=1 to see where an error was raised."
)


class UsageError(PmxError):
    """An option, or a file to write to, is wrong; the message names it and the remedy."""


#: Error → what the message begins with, and the exit code. The first match counts.
KINDS: tuple[tuple[type[BaseException], str, int], ...] = (
    (UsageError, "usage error", MISTAKE),
    (PolicyError, "policy error", MISTAKE),
    (DataError, "data error", MISTAKE),
    (SignalError, "signal error", MISTAKE),
    (LedgerError, "ledger error", MISTAKE),
    (InfeasibleError, "infeasible policy", INFEASIBLE),
    (SolverError, "no certified answer", UNSOLVED),
    (Exception, "unexpected failure", FAILURE),
)


def reporting(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that an error becomes a message on stderr and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with plain_warnings(command.__name__):
                for name, value in kwargs.items():
                    if isinstance(value, Path):
                        read_path(value, name)
                answer = command(*args, **kwargs)
            sys.stdout.flush()  # what cannot be written is found out here, and not when the interpreter ends
            return answer
        except (typer.Exit, typer.Abort, BrokenPipeError):  # a closed pipe is the reader's choice: typer ends quietly
            raise
        except Exception as error:  # noqa: BLE001  (the outer edge: everything ends here)
            code = report(error, command.__name__)
            _drop_unwritten()
            raise typer.Exit(code) from None

    return wrapped


@contextmanager
def plain_warnings(command: str = "") -> Iterator[None]:
    """Show each `PmxWarning` as one plain line on stderr, once; ``command`` says which options there are."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", PmxWarning)
        other = warnings.showwarning

        def show(message: Any, category: type[Warning], *rest: Any, **more: Any) -> None:
            if not issubclass(category, PmxWarning):
                other(message, category, *rest, **more)
            elif str(message) not in shown:
                shown.add(str(message))
                typer.echo(f"warning: {in_options(str(message), command)}", err=True)

        warnings.showwarning = show
        yield


def _drop_unwritten() -> None:
    """See to it that output for which there is no room does not fail once more when the interpreter ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def report(error: Exception, command: str = "") -> int:
    """Print an error to stderr, in the options of a command, and return its exit code."""
    kind, code = next((kind, code) for cls, kind, code in KINDS if isinstance(error, cls))
    if os.environ.get("PMX_TRACEBACK"):
        traceback.print_exception(error)
    text = in_options(str(error), command) if code != FAILURE else f"{type(error).__name__}: {error}"
    clash = error if isinstance(error, InfeasibleError) and error.limits else None
    if clash is not None:
        text = text.splitlines()[0]  # the table says the rest
    typer.echo(f"{kind}: {text}", err=True)
    for note in getattr(error, "__notes__", ()):
        typer.echo(f"  {note}", err=True)
    if clash is not None:
        from pmx.cli.output import print_clash

        print_clash(clash)
        for hint in clash.hints:
            typer.echo(hint, err=True)
    if code == FAILURE and not os.environ.get("PMX_TRACEBACK"):
        # A note names whose code it was; without one it is pmx itself, or the machine.
        kind = "" if getattr(error, "__notes__", ()) else "This is a defect or a full disk; "
        typer.echo(f"{kind}PMX_TRACEBACK=1 shows where it came from.", err=True)
    return code
