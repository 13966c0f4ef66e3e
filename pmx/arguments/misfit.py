"""The record of a kind of argument, and what it raises for a value of another kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Misfit(Exception):  # noqa: N818  it never leaves this room
    """The value is of another kind; whoever asked knows its name and says so."""


class Kind(NamedTuple):
    """One kind of argument.

    Attributes
    ----------
    wanted : str
        What it takes, in words: "a number".
    read : callable of (value, name)
        Returns the value as it is passed on; raises `Misfit` where it is of another kind, and `DataError` where it is
        of this kind but holds something that is not.
    """

    wanted: str
    read: Callable[[Any, str], Any]
