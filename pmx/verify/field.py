"""JSON read strictly: each value is of the type that is asked for, or there is an error that names the field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from math import isfinite, isinf
from typing import Any

from .exact import INFINITY, Limit

INFINITIES = {"inf": INFINITY, "-inf": -INFINITY}


class MalformedError(Exception):
    """A line does not say what it should; the message names the field."""


class Field:
    """A value and where it stands in its line.

    Parameters
    ----------
    value : object
        As JSON gives it.
    path : str
        Such as ``program.rows[2].hi``; empty for the whole line.
    """

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "") -> None:
        self.value, self.path = value, path

    def __getitem__(self, key: str) -> Field:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        path = f"{self.path}.{key}" if self.path else key
        if key not in self.value:
            raise MalformedError(f"{path} is missing")
        return Field(self.value[key], path)

    def __iter__(self) -> Iterator[Field]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        return iter([Field(item, f"{self.path}[{i}]") for i, item in enumerate(self.value)])

    def items(self) -> Iterator[tuple[str, Field]]:
        """Return the members of an object."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return iter([(key, Field(item, f"{self.path}[{key!r}]")) for key, item in self.value.items()])

    @property
    def absent(self) -> bool:
        """Whether the value is ``null``."""
        return self.value is None

    def wrong(self, wanted: str) -> MalformedError:
        """Return the error that says what should be here."""
        return MalformedError(f"{self.path or 'the line'} is not {wanted}: {_short(self.value)}")

    def text(self, *choices: str) -> str:
        """Return a string, one of ``choices`` where there are any."""
        if not isinstance(self.value, str) or (choices and self.value not in choices):
            raise self.wrong(" or ".join(choices) if choices else "a string")
        return self.value

    def flag(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def integer(self, low: int, high: int) -> int:
        """Return a whole number of a range, ends included."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.wrong(f"a whole number from {low} to {high}")
        return self.value

    def number(self) -> Fraction:
        """Return a finite number, exactly as the float that was written."""
        if type(self.value) is not float or not isfinite(self.value):
            raise self.wrong("a finite number")
        return Fraction(self.value)

    def limit(self) -> Limit:
        """Return a number that may be infinite."""
        if isinstance(self.value, str) and self.value in INFINITIES:
            return INFINITIES[self.value]
        return self.number()

    def _list(self, count: int | None) -> list[Any]:
        if not isinstance(self.value, list) or (count is not None and len(self.value) != count):
            raise self.wrong("a list" if count is None else f"a list of {count}")
        return self.value

    def numbers(self, count: int | None = None) -> tuple[Fraction, ...]:
        """Return a list of finite numbers."""
        values = self._list(count)
        if not all(type(value) is float and isfinite(value) for value in values):
            return tuple(item.number() for item in self)
        return tuple(map(Fraction, values))

    def limits(self, count: int | None = None) -> tuple[Limit, ...]:
        """Return a list of numbers that may be infinite."""
        self._list(count)
        return tuple(item.limit() for item in self)

    def integers(self, low: int, high: int, count: int | None = None) -> tuple[int, ...]:
        """Return a list of whole numbers of a range."""
        self._list(count)
        return tuple(item.integer(low, high) for item in self)

    def texts(self, count: int) -> tuple[str, ...]:
        """Return a list of strings."""
        self._list(count)
        return tuple(item.text() for item in self)


def parse(line: bytes) -> Field:
    """Return a line as its fields.

    Raises
    ------
    MalformedError
        When it is not one JSON object, names a member twice, is nested too deeply, or holds a number that is none.
    """
    try:
        value = json.loads(line.decode("ascii"), object_pairs_hook=_members, parse_constant=_no_constant)
    except RecursionError:
        raise MalformedError("the line is nested too deeply") from None
    except ValueError as error:  # also UnicodeDecodeError, JSONDecodeError, and numbers of thousands of digits
        raise MalformedError(f"the line is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise MalformedError("the line is not a JSON object")
    return Field(value)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} is named twice")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return f"a whole number of {value.bit_length()} bits"
    text = "infinity" if isinstance(value, float) and isinf(value) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
