"""The kinds of argument: what each takes, and as what it is passed on."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union

from pmx.arguments.containers import mapping_of, sequence_of, tuple_of
from pmx.arguments.describing import described
from pmx.arguments.misfit import Kind, Misfit
from pmx.arguments.numbers import read_array, read_flag, read_number, read_numbers_by_label, read_whole_number
from pmx.arguments.tables import read_table
from pmx.errors import DataError

__all__ = ["Kind", "Misfit", "kind_of"]

#: What file systems take: bytes of one name, and of a whole path.
LONGEST_NAME, LONGEST_PATH = 255, 4095
#: Where to get one, for the classes that are asked for most.
FROM = {
    "Policy": "a Policy (see pmx.load_policy)",
    "MultiIndex": "a pandas MultiIndex",
    "Index": "a pandas Index",
    "Allocation": "an Allocation (see pmx.solve)",
    "PortfolioSnapshot": "a pmx.PortfolioSnapshot",
    "BacktestResult": "the result of pmx.backtest",
    "Signal": "a pmx.Signal",
}


def kind_of(hint: Any, outside: bool = False) -> Kind | None:
    """Return what an annotation takes; None where it takes anything.

    Parameters
    ----------
    hint : annotation
        Evaluated.
    outside : bool
        Look at the kind of a container alone, and not at what it holds.

    Examples
    --------
    >>> kind_of(float | None).wanted
    'a number or None'
    """
    plain = PLAIN.get(hint) if isinstance(hint, type) else None
    if plain is not None:
        return plain
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, typing.TypeVar):
        return None
    if hint is NoneType:
        return Kind("None", _read_none)
    if origin in (Union, UnionType):
        return _union(args, outside)
    if origin is Literal:
        return _choice(args)
    if origin is not None:
        return _generic(origin, args, outside)
    if isinstance(hint, type):
        return _instance(hint, outside)
    return None


def _generic(origin: Any, args: tuple[Any, ...], outside: bool) -> Kind | None:
    if origin.__name__ == "ndarray":
        element = typing.get_args(args[1])
        return _array(element[0].__name__ if element and hasattr(element[0], "__name__") else "")
    if origin is tuple:
        return tuple_of([kind_of(arg) for arg in args if arg is not Ellipsis], Ellipsis in args)
    if issubclass(origin, PathLike):
        return PATH
    if issubclass(origin, Mapping):
        return mapping_of(*(() if outside else map(kind_of, args)))
    if issubclass(origin, Sequence | Collection):
        return sequence_of(None if outside else kind_of(args[0]), list)
    if origin is Iterable:
        return sequence_of(None if outside else kind_of(args[0]), None)
    if origin is Callable:
        return Kind("a function", _read_function)
    return _instance(origin, outside)


def _union(args: tuple[Any, ...], outside: bool) -> Kind | None:
    """Return what takes any of several kinds: the first that fits reads the value."""
    if any(getattr(arg, "__name__", "") == "_SupportsArray" for arg in map(_bare, args)):
        return _array("float64", flags_too=True)  # numpy's ArrayLike
    if str in args and any(arg is Path or _bare(arg) is PathLike for arg in args):
        args = (Path, *(arg for arg in args if arg is not str and arg is not Path and _bare(arg) is not PathLike))
    kinds = [kind_of(arg, outside) for arg in args]
    if None in kinds:
        return None
    known = sorted((kind for kind in kinds if kind is not None), key=_breadth)
    wanted = list(dict.fromkeys(kind.wanted for kind in known))

    def read(value: Any, name: str) -> Any:
        wrong: DataError | None = None
        for kind in known:
            try:
                return kind.read(value, name)
            except Misfit:
                continue
            except DataError as error:  # the right kind with something wrong in it, unless a later kind takes it
                wrong = wrong or error
        raise Misfit if wrong is None else wrong

    return Kind(" or ".join([", ".join(wanted[:-1]), wanted[-1]] if len(wanted) > 1 else wanted), read)


def _breadth(kind: Kind) -> int:
    """Return in which turn a kind of a union reads: what keeps labels first, then arrays, then any sequence."""
    return 0 if kind.wanted.startswith("a pandas") else 1 if kind.wanted.startswith("an array") else 2


def _bare(hint: Any) -> Any:
    return typing.get_origin(hint) or hint


def _choice(choices: tuple[Any, ...]) -> Kind:
    def read(value: Any, name: str) -> Any:
        if type(value) in {type(choice) for choice in choices} and value in choices:
            return value
        raise Misfit

    return Kind(f"{'one of ' if len(choices) > 1 else ''}{', '.join(sorted(map(repr, choices)))}", read)


def _array(element: str, *, flags_too: bool = False) -> Kind:
    whole, flags = element.startswith(("int", "uint")), element == "bool"
    kinds = "iu" if whole else "b" if flags else "biuf" if flags_too else "iuf"
    content = "whole numbers" if whole else "true and false" if flags else "numbers"

    def read(value: Any, name: str) -> Any:
        array = read_array(value, name, kinds, element)
        if array.ndim == 0 and not flags_too:
            raise Misfit
        return array

    return Kind(f"an array of {content}", read)


def _instance(cls: type, outside: bool) -> Kind:
    article = "an" if cls.__name__[:1] in "AEIOU" else "a"
    if cls.__name__ in ("Series", "DataFrame"):
        return Kind(f"a pandas {cls.__name__}", functools.partial(_read_pandas, cls.__name__, outside))
    members = _members(cls)

    def read(value: Any, name: str) -> Any:
        if isinstance(value, cls) if members is None else _has(value, members):
            return value
        raise Misfit

    wanted = FROM.get(cls.__name__, f"{article} {cls.__name__}")
    if members is not None:
        wanted = f"{article} {cls.__name__}, an object with {', '.join(sorted(members))}"
    return Kind(wanted, read)


def _members(cls: type) -> frozenset[str] | None:
    """Return the names that a protocol asks for; None for any other class."""
    if not getattr(cls, "_is_protocol", False):
        return None
    bases = [base for base in cls.__mro__ if getattr(base, "_is_protocol", False)]
    names = {name for base in bases for name in (*vars(base), *getattr(base, "__annotations__", ()))}
    return frozenset(name for name in names if not name.startswith("_"))


def _has(value: Any, members: Iterable[str]) -> bool:
    if isinstance(value, type) or value is None:
        return False
    own = getattr(value, "__dict__", {})
    return all(name in own or hasattr(type(value), name) for name in members)


def _read_none(value: Any, name: str) -> None:
    if value is not None:
        raise Misfit


def _read_function(value: Any, name: str) -> Any:
    if not callable(value):
        raise Misfit
    return value


def _read_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Misfit
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise DataError(f"{name} is {described(value)}, which holds half a character and cannot be written; correct it")
    return value if type(value) is str else str(value)


def _read_bytes(value: Any, name: str) -> bytes:
    if not isinstance(value, bytes):
        raise Misfit
    return value


def _read_date(value: Any, name: str) -> date:
    if not isinstance(value, date) or value != value:  # pandas' NaT is a date that does not equal itself
        raise Misfit
    return value


def read_path(value: Any, name: str) -> Any:
    """Return the name of a file or folder as it is.

    Raises
    ------
    DataError
        If no file can have that name: it is blank, too long, or holds what no name may.
    """
    if not isinstance(value, str | PathLike) or isinstance(value, bytes):
        raise Misfit
    text = value if isinstance(value, str) else value.__fspath__()
    if not isinstance(text, str):
        raise Misfit
    _read_text(text, name)
    if not text.strip() or "\0" in text:
        raise DataError(f"{name} is {described(text)}; give the name of a file or a folder")
    if len(text) > LONGEST_PATH or max(len(part.encode()) for part in text.split("/")) > LONGEST_NAME:
        raise DataError(f"{name} is {described(text)}: longer than a name may be; shorten it")
    return value


def _read_pandas(kind: str, outside: bool, value: Any, name: str) -> Any:
    import pandas as pd

    if not isinstance(value, getattr(pd, kind)):
        raise Misfit
    if outside:
        return value
    return read_numbers_by_label(value, name) if kind == "Series" else read_table(value, name)


PATH = Kind("a path", read_path)
#: Classes that are read in a way of their own.
PLAIN: dict[type, Kind] = {
    float: Kind("a number", read_number),
    int: Kind("a whole number", read_whole_number),
    bool: Kind("True or False", read_flag),
    str: Kind("a text", _read_text),
    bytes: Kind("bytes", _read_bytes),
    date: Kind("a date", _read_date),
    Path: PATH,
}
