"""Numbers as people write them, and how a policy file writes the same."""

from __future__ import annotations

import re
from decimal import Decimal

_PLAIN = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d+,\d+")
_GROUPED = re.compile(r"[-+]?\d{1,3}([,_ ]\d{3})+(\.\d+)?")
_PERCENT = re.compile(r"(.*?)\s*(%|percent|pct)")
_BASIS = re.compile(r"(.*?)\s*(bps?|basis points?)")


def as_written(text: str, *, basis_points: bool = False, at_most_one: bool = False) -> str | None:
    """Return the number that a text means, as a policy file writes it; None where that is not certain.

    Parameters
    ----------
    text : str
        What stands in the file.
    basis_points : bool
        Whether the key is in basis points and not in fractions.
    at_most_one : bool
        Whether the key is a fraction, so that a comma cannot separate thousands.

    Examples
    --------
    >>> as_written("60%"), as_written("0,60"), as_written("0.60"), as_written("5 bps", basis_points=True)
    ('0.60', '0.60', '0.60', '5')
    >>> as_written("1,000"), as_written("1,000", at_most_one=True), as_written("most of it")
    ('1000', '1.000', None)
    """
    text = text.strip()
    for pattern, shift in ((_PERCENT, 2 if basis_points else -2), (_BASIS, 0 if basis_points else -4)):
        found = pattern.fullmatch(text)
        if found:
            number = _plain(found[1], at_most_one=shift < 0 and at_most_one)
            return None if number is None else f"{Decimal(number).scaleb(shift):f}"
    return _plain(text, at_most_one=at_most_one)


def as_fraction(percent: float) -> str:
    """Return a number of percent as a fraction, with at least two decimals.

    Examples
    --------
    >>> as_fraction(60), as_fraction(7.5), as_fraction(150.0)
    ('0.60', '0.075', '1.50')
    """
    fraction = Decimal(repr(percent)).scaleb(-2).normalize()
    places = max(2, -int(fraction.as_tuple().exponent))
    return f"{fraction:.{places}f}"


def _plain(text: str, *, at_most_one: bool) -> str | None:
    if _PLAIN.fullmatch(text):
        return text
    if _COMMA.fullmatch(text) and (at_most_one or not _GROUPED.fullmatch(text)):
        return text.replace(",", ".")
    if _GROUPED.fullmatch(text):
        return re.sub("[,_ ]", "", text)
    return None
