"""The annotations of a function as objects, though some of their names are imported for the type checker alone."""

from __future__ import annotations

import builtins
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class _UnimportedType(type):
    """Kind of a class of which only the name is known."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return unimported(name)

    def __instancecheck__(cls, value: object) -> bool:
        return any(base.__name__ == cls.__name__ for base in type(value).__mro__)


def unimported(name: str) -> type:
    """Return a stand-in for a class that the module does not import: what has its name is an instance of it."""
    return _UnimportedType(name, (), {"__class_getitem__": classmethod(lambda cls, item: cls)})


class _Labelled:
    """Stands for ``pandas.Series`` in an annotation such as ``pd.Series[float]``, which pandas itself cannot read."""

    def __init__(self, pandas: Any) -> None:
        self._pandas = pandas
        self.Series = _UnimportedType("Series", (), {"__class_getitem__": classmethod(lambda cls, item: cls)})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pandas, name)


class _Names(Mapping[str, Any]):
    """What each name in an annotation means."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._known = getattr(function, "__globals__", {})

    def __getitem__(self, name: str) -> Any:
        if name == "pd" and name in self._known:
            return _Labelled(self._known[name])
        if name in self._known:
            return self._known[name]
        return getattr(builtins, name) if hasattr(builtins, name) else unimported(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotation of each parameter of a function, evaluated.

    Examples
    --------
    >>> def bars(count: int, unit: "NoSuchClass") -> None: ...
    >>> hints = hints_of(bars)
    >>> hints["count"], hints["unit"].__name__
    (<class 'int'>, 'NoSuchClass')
    """
    hints = typing.get_type_hints(function, {}, _Names(function))
    hints.pop("return", None)
    return hints
