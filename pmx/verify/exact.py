"""Arithmetic without rounding: a float is a fraction whose denominator is a power of two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isqrt, lcm

#: A number that may be infinite; a float is one of ±inf, everything else is a fraction.
Limit = Fraction | float

INFINITY = float("inf")
ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)
#: Most that one rounding to a double changes a number, relative to it.
ROUND_OFF = Fraction(1, 2**53)
#: Lower bounds are rounded down to a multiple of 1 / GRID, so that long sums keep short denominators.
GRID = 2**256
#: Binary digits of what a square root is taken of.
ROOT_DIGITS = 256


def total(terms: Iterable[Fraction]) -> Fraction:
    """Return the sum of fractions; fast where their denominators are powers of two.

    Examples
    --------
    >>> total([Fraction(0.5), Fraction(0.25)]), total([Fraction(1, 2), Fraction(1, 3)])
    (Fraction(3, 4), Fraction(5, 6))
    """
    pairs = [(term.numerator, term.denominator) for term in terms if term]
    return _sum(pairs)


def dot(xs: Sequence[Fraction], ys: Sequence[Fraction]) -> Fraction:
    """Return ``Σ x y``; fast where denominators are powers of two."""
    pairs = [(x.numerator * y.numerator, x.denominator * y.denominator) for x, y in zip(xs, ys, strict=True) if x and y]
    return _sum(pairs)


def _sum(pairs: list[tuple[int, int]]) -> Fraction:
    common = lcm(*{denominator for _, denominator in pairs})
    return Fraction(sum(numerator * (common // denominator) for numerator, denominator in pairs), common)


def root_above(x: Fraction) -> Fraction:
    """Return a fraction that is at least the square root of ``x ≥ 0``, and no more than 1 + 2⁻¹²⁰ times it.

    Examples
    --------
    >>> root_above(Fraction(2)) ** 2 >= 2
    True
    >>> float(root_above(Fraction(9)))
    3.0
    """
    if x <= 0:
        return ZERO
    shift = max(ROOT_DIGITS - (x.numerator.bit_length() - x.denominator.bit_length()), 0) // 2 + 1
    return Fraction(isqrt(-((-x.numerator << 2 * shift) // x.denominator)) + 1, 1 << shift)


def norm_above(vector: Sequence[Fraction]) -> Fraction:
    """Return the Euclidean norm of a vector, or a little more."""
    return root_above(total(x * x for x in vector))


def rounded_down(x: Fraction) -> Fraction:
    """Return the largest multiple of ``1 / GRID`` that is not above ``x``."""
    return Fraction(x.numerator * GRID // x.denominator, GRID)


def summing(count: int, terms: Iterable[Fraction]) -> Fraction:
    """Return how far a sum of that many rounded products may come out in doubles from what it is, whatever the order.

    ``terms`` are not negative; they add up to at least the sizes of the products and of what they are compared with.
    """
    return ROUND_OFF * (count + 2) * total(terms)


def plus(a: Limit, b: Limit) -> Limit:
    """Return a sum of which one part may be infinite."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a + b
    return b if isinstance(a, Fraction) else a


def minus(a: Limit, b: Limit) -> Limit:
    """Return a difference of which one part may be infinite."""
    return plus(a, -b)


def between(x: Fraction, low: Limit, high: Limit) -> Fraction:
    """Return ``x``, or the end of the range ``low ≤ high`` that it lies beyond."""
    if isinstance(low, Fraction) and x < low:
        return low
    return high if isinstance(high, Fraction) and x > high else x


def beyond(x: Fraction, low: Limit, high: Limit) -> Fraction:
    """Return how far ``x`` lies outside a range; 0 inside."""
    below = low - x if isinstance(low, Fraction) else ZERO
    above = x - high if isinstance(high, Fraction) else ZERO
    return max(below, above, ZERO)


def shown(x: Limit) -> str:
    """Return a number for a person: three digits of it.

    Examples
    --------
    >>> shown(Fraction(1, 3)), shown(Fraction(10) ** 400)
    ('0.333', 'more than 1e+308')
    """
    try:
        return f"{float(x):.3g}"
    except OverflowError:
        return f"{'more' if x > 0 else 'less'} than {'' if x > 0 else '-'}1e+308"
