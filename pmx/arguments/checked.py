"""A decorator that reads the arguments of a public function by its annotations before its body runs."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, overload

from pmx.arguments.annotations import hints_of
from pmx.arguments.describing import described
from pmx.arguments.kinds import Kind, Misfit, kind_of
from pmx.errors import DataError

#: Where pmx's own files are.
PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep

F = TypeVar("F", bound=Callable[..., Any])


@overload
def checked(function: F) -> F: ...


@overload
def checked(*, elsewhere: Collection[str] = (), outside: Collection[str] = ()) -> Callable[[F], F]: ...


def checked(
    function: F | None = None, *, elsewhere: Collection[str] = (), outside: Collection[str] = ()
) -> F | Callable[[F], F]:
    """Return a function, or a class, whose arguments are read by its annotations first.

    An argument of the right kind is passed on as it is, or as its plain equal: a ``Decimal`` or a NumPy number as the
    float it is, a list of numbers as an array where an array is asked for. Any other is refused before anything has
    been done with it. Ranges, NaN among them,
    and what a table must hold are for the function itself to check.

    Parameters
    ----------
    function : callable
        The function, method or class.
    elsewhere : collection of str
        Arguments that the function hands on to what reads them with more knowledge.
    outside : collection of str
        Mappings, sequences and tables of which only the container is checked here, for the same reason.

    Raises
    ------
    DataError
        From the decorated function: names the argument, what was given, what is asked for, and what it means.

    Notes
    -----
    A wrong number of arguments, and a keyword that does not exist, remain Python's own ``TypeError``. What pmx itself
    passes on is not read again: it was read where it came in.

    Examples
    --------
    >>> @checked
    ... def grow(nav: float, bars: int = 1) -> float:
    ...     return nav * 1.1**bars
    >>> grow("much")
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: nav is 'much', a str; give a number
    """
    if function is None:
        return lambda given: _checked(given, elsewhere, outside)
    return _checked(function, elsewhere, outside)


def _checked(function: F, elsewhere: Collection[str], outside: Collection[str]) -> F:
    if isinstance(function, type):
        function.__init__ = _checked(function.__init__, elsewhere, outside)  # type: ignore[misc]
        return function
    read = _Reading(function, elsewhere, outside)
    frame, inside = sys._getframe, PACKAGE

    def with_arguments_checked(*args: Any, **kwargs: Any) -> Any:
        if not frame(1).f_code.co_filename.startswith(inside):  # pmx's own calls are held to their types by mypy
            args, kwargs = read(args, kwargs)
        return function(*args, **kwargs)

    # With the globals of the function's own module: what collects doctests, and a warning's place, go by them.
    here = FunctionType(
        with_arguments_checked.__code__, function.__globals__, closure=with_arguments_checked.__closure__
    )
    return functools.update_wrapper(here, function)  # type: ignore[return-value]


class _Reading:
    """The kinds of one function's arguments, found when it is first called."""

    def __init__(self, function: Callable[..., Any], elsewhere: Collection[str], outside: Collection[str]) -> None:
        self.function, self.elsewhere, self.outside = function, elsewhere, outside
        self.by_place: list[tuple[str, Kind | None]] | None = None
        self.by_name: dict[str, Kind] = {}
        self.rest: tuple[str, Kind | None] = ("", None)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.by_place is None:
            self.find()
        places: Any = self.by_place
        read = list(args)
        for i, value in enumerate(args):
            name, kind = places[i] if i < len(places) else self.rest
            if kind is not None:
                read[i] = self.read(name, kind, value, args)
        for name in kwargs.keys() & self.by_name.keys():
            kwargs[name] = self.read(name, self.by_name[name], kwargs[name], args)
        return tuple(read), kwargs

    def read(self, name: str, kind: Kind, value: Any, args: tuple[Any, ...]) -> Any:
        try:
            return kind.read(value, name)
        except Misfit:
            owner = args[0] if self.function.__name__ == "__init__" else self.function
            raise DataError(f"{name} is {described(value)}; give {kind.wanted}{_meaning(owner, name)}") from None

    def find(self) -> None:
        hints = hints_of(self.function)
        by_place: list[tuple[str, Kind | None]] = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            read_here = name in hints and name not in self.elsewhere
            kind = kind_of(hints[name], name in self.outside) if read_here else None
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = name, kind
            elif parameter.kind is not parameter.VAR_KEYWORD:
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    by_place.append((name, kind))
                if kind is not None:
                    self.by_name[name] = kind
        self.by_place = by_place


def _meaning(owner: Any, name: str) -> str:
    """Return what the documentation says of an argument: its shape and unit, and its first sentence."""
    lines = (inspect.getdoc(owner if hasattr(owner, "__code__") else type(owner)) or "").splitlines()
    for number, line in enumerate(lines):
        names, colon, form = line.partition(" : ")
        if colon and name in names.split(", "):
            text = " ".join(line.strip() for line in lines[number + 1 : number + 4] if line.startswith("    "))
            sentence = re.split(r"(?<=[.;:])\s", text)[0].rstrip(".;:")
            sentence = sentence.replace("``", "")
            return f" ({form.strip()}: {sentence})" if sentence else f" ({form.strip()})"
    return ""
