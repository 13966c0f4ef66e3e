"""The range of a whole number."""

from __future__ import annotations

from pmx.errors import DataError

#: Bars that a forecast reaches at most: four hundred years of days.
MOST_BARS = 100_000


def require_count(name: str, value: int, least: int = 1, most: int = MOST_BARS, unit: str = "bars") -> None:
    """Raise unless a whole number lies in a range.

    Parameters
    ----------
    name : str
        Of the argument.
    value : int
        As given.
    least, most : int
        The range, both ends included.
    unit : str
        What is counted.

    Raises
    ------
    DataError
        Naming the value and the range.

    Examples
    --------
    >>> require_count("horizon", 0)
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: horizon is 0; give from 1 to 100,000 bars
    """
    if not least <= value <= most:
        raise DataError(f"{name} is {value:,}; give from {least:,} to {most:,} {unit}")
