"""The shape that an array must have beside others."""

from __future__ import annotations

from typing import Any

from pmx.errors import DataError


def require_shape(name: str, array: Any, shape: tuple[int | None, ...], of: str) -> None:
    """Raise unless an array has a shape.

    Parameters
    ----------
    name : str
        Of the argument.
    array : ndarray
        As given.
    shape : tuple of int or None
        What it must be; None for an axis of any length.
    of : str
        What the axes count, such as "one weight for each position".

    Raises
    ------
    DataError
        Naming both shapes.

    Examples
    --------
    >>> import numpy as np
    >>> require_shape("weights", np.zeros(3), (2,), "one weight for each of 2 positions")
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: weights has the shape (3,); give (2,), one weight for each of 2 positions
    """
    given = array.shape
    fits = len(given) == len(shape) and all(n is None or n == m for n, m in zip(shape, given, strict=True))
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "")
        raise DataError(f"{name} has the shape {given}; give ({wanted}), {of}")
