"""Sums of products that several checks ask for: each remembers its last answer, exact arithmetic being slow."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

from .exact import ONE, ZERO, dot

Numbers = tuple[Fraction, ...]
T = TypeVar("T")


class _Remembering:
    """What was asked for last, by the kind of question."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def _once(self, what: str, of: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """Return what was computed from the very same objects, or compute it."""
        known = self._last.get(what)
        if known is None or any(a is not b for a, b in zip(known[0], of, strict=True)):
            known = self._last[what] = of, compute()
        value: T = known[1]
        return value


class Sum(_Remembering):
    """``Σ coefficients · u[at]``."""

    def __init__(self, at: tuple[int, ...], coefficients: Numbers) -> None:
        super().__init__()
        self.at, self.coefficients = at, coefficients
        #: The largest coefficient, at most 1: what a violation is measured in.
        self.unit = min(max(map(abs, coefficients), default=ZERO), ONE) or ONE

    def value(self, u: Numbers) -> Fraction:
        """Return the sum."""
        return self._once("value", (u,), lambda: dot(self.coefficients, [u[j] for j in self.at]))

    def size(self, u: Numbers) -> Fraction:
        """Return what the absolute values of the products sum to."""
        absolute = [abs(a) for a in self.coefficients]
        return self._once("size", (u,), lambda: dot(absolute, [abs(u[j]) for j in self.at]))


class Map(_Remembering):
    """``G u + H a``, both matrices by rows."""

    def __init__(self, G: tuple[Numbers, ...], H: tuple[Numbers, ...]) -> None:
        super().__init__()
        self.G, self.H = G, H

    def value(self, u: Numbers, a: Numbers) -> Numbers:
        """Return the product, one number a row."""
        rows = list(zip(self.G, self.H, strict=True))
        return self._once("value", (u, a), lambda: tuple(dot(g, u) + dot(h, a) for g, h in rows))

    def sizes(self, u: Numbers, a: Numbers) -> Numbers:
        """Return what the absolute values of each row's products sum to."""

        def compute() -> Numbers:
            x = [abs(value) for value in (*u, *a)]
            return tuple(dot([abs(c) for c in (*g, *h)], x) for g, h in zip(self.G, self.H, strict=True))

        return self._once("sizes", (u, a), compute)

    def pull(self, z: Numbers) -> Numbers:
        """Return ``Gᵀ z``."""
        return self._once("pull", (z,), lambda: tuple(dot(column, z) for column in zip(*self.G, strict=True)))

    def left(self, z: Numbers) -> Numbers:
        """Return ``Hᵀ z``."""
        return tuple(dot(column, z) for column in zip(*self.H, strict=True))
