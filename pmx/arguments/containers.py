"""Mappings, sequences and pairs of a kind of value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

from pmx.arguments.describing import described
from pmx.arguments.misfit import Kind, Misfit
from pmx.errors import DataError


def mapping_of(key: Kind | None = None, value: Kind | None = None) -> Kind:
    """Return a kind that takes mappings from one kind to another."""

    def read(given: Any, name: str) -> Any:
        if not isinstance(given, Mapping):
            raise Misfit
        changed: dict[Any, Any] = {}
        if key is not None and key.wanted == "a text":
            given = _number_tickers_as_text(given, name)
        for label, item in given.items():
            if key is not None:
                part(key, label, name, f"{name} has the key")
            if value is not None:
                plain = part(value, item, f"{name}[{label!r}]", f"{name}[{label!r}] is")
                if plain is not item:
                    changed[label] = plain
        return {**given, **changed} if changed else given

    content = f" to {value.wanted}" if value is not None else ""
    return Kind(f"a mapping of {key.wanted}{content}" if key is not None else "a mapping", read)


def _number_tickers_as_text(given: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """Return a mapping with whole numbers as keys, which are tickers such as 5930, as their text."""
    numbers = [label for label in given if isinstance(label, Integral) and not isinstance(label, bool)]
    if not numbers:
        return given
    texts = {str(label) if label in numbers else label: item for label, item in given.items()}
    if len(texts) < len(given):
        twice = next(label for label in numbers if str(label) in given)
        raise DataError(f"{name} has the key {twice} as a number and as a text; keep one")
    return texts


def sequence_of(item: Kind | None, form: Callable[[Iterable[Any]], Any] | None) -> Kind:
    """Return a kind that takes lists, tuples and arrays of a kind of value, and no text or mapping.

    Parameters
    ----------
    item : Kind or None
        Of the values; None where they may be anything.
    form : callable or None
        Makes a sequence of what is not; None where anything to iterate over will do.
    """

    def read(given: Any, name: str) -> Any:
        if isinstance(given, str | bytes | bytearray | memoryview | Mapping) or not isinstance(given, Iterable):
            raise Misfit
        if isinstance(given, type) or getattr(given, "ndim", 1) != 1:
            raise Misfit
        if form is not None and not hasattr(given, "__len__"):
            raise Misfit
        values = given if isinstance(given, list | tuple) else list(given)
        if item is None:
            return values
        plain = [part(item, value, f"{name}[{i}]", f"{name}[{i}] is") for i, value in enumerate(values)]
        return values if all(a is b for a, b in zip(plain, values, strict=True)) else plain

    return Kind(f"a list of {plural(item)}", read)


def tuple_of(items: list[Kind | None], repeated: bool) -> Kind:
    """Return a kind that takes tuples of some kinds of value, or of any number of one."""
    if repeated:
        return sequence_of(items[0], list)

    def read(given: Any, name: str) -> Any:
        if not isinstance(given, tuple | list) or len(given) != len(items):
            raise Misfit
        pairs = zip(given, items, strict=True)
        plain = [value if item is None else item.read(value, name) for value, item in pairs]
        same = isinstance(given, tuple) and all(a is b for a, b in zip(plain, given, strict=True))
        return given if same else tuple(plain)

    named = ", ".join("anything" if item is None else item.wanted for item in items)
    return Kind(f"({named})", read)


def part(kind: Kind, value: Any, name: str, is_: str) -> Any:
    """Read one value of several; what does not fit is named."""
    try:
        return kind.read(value, name)
    except Misfit:
        raise DataError(f"{is_} {described(value)}; give {kind.wanted}") from None


def plural(item: Kind | None) -> str:
    """Return what a list holds, in words."""
    if item is None:
        return "values"
    first, _, rest = item.wanted.partition(" ")
    return f"{rest}s" if first in ("a", "an") and " " not in rest else item.wanted
