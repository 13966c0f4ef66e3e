"""Numbers, and arrays and Series of numbers, in whatever kind they come."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from pmx.arguments.describing import described
from pmx.arguments.misfit import Misfit
from pmx.errors import DataError

#: Whole numbers beyond this cannot count anything here.
LARGEST = 2**63 - 1


def read_number(value: Any, name: str) -> float:
    """Return a real number of any kind as a float; NaN as it is.

    Raises
    ------
    DataError
        If it is too large for a float.

    Examples
    --------
    >>> read_number(Decimal("0.5"), "costs")
    0.5
    """
    return value if type(value) is float else _float(value, name)


def _float(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal) or type(value).__name__.startswith("bool"):
        raise Misfit
    try:
        return float(value)
    except OverflowError:
        raise DataError(f"{name} is {described(value)}, beyond the range of numbers; give a smaller one") from None
    except ValueError:  # Decimal("sNaN")
        return math.nan


def plain_number(value: Any) -> float:
    """Return a real number of any kind as a float, NaN for what is none or lies beyond their range.

    Examples
    --------
    >>> plain_number(Decimal("0.5")), plain_number("0.5"), plain_number(10**400)
    (0.5, nan, nan)
    """
    try:
        return read_number(value, "")
    except (Misfit, DataError):
        return math.nan


def is_nan(value: Any) -> bool:
    """Return whether a value is a number that is none, of whatever kind.

    Examples
    --------
    >>> is_nan(float("nan")), is_nan(Decimal("sNaN")), is_nan("nan")
    (True, True, False)
    """
    return value.is_nan() if isinstance(value, Decimal) else isinstance(value, Real) and bool(value != value)


def read_whole_number(value: Any, name: str) -> int:
    """Return a whole number of any kind as an int.

    Raises
    ------
    DataError
        If it is larger than any count.

    Examples
    --------
    >>> read_whole_number(5.0, "horizon")
    5
    """
    if type(value) is not int:
        if not isinstance(value, Integral):
            number = _float(value, name)
            if not number.is_integer():
                raise Misfit
        elif isinstance(value, bool):
            raise Misfit
        value = int(value)
    if abs(value) > LARGEST:
        raise DataError(f"{name} is {described(value)}; give a smaller whole number")
    return int(value)


def read_flag(value: Any, name: str) -> bool:
    """Return True or False, NumPy's own too."""
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise Misfit
    return bool(value)


def read_array(value: Any, name: str, kinds: str, element: str) -> Any:
    """Return anything that NumPy reads as an array of numbers as that array.

    Parameters
    ----------
    value : array-like
        As given.
    name : str
        Of the argument, for messages.
    kinds : str
        NumPy's letters for the kinds of element that are taken.
    element : str
        Name of NumPy's type that is asked for; empty where any number will do.

    Raises
    ------
    DataError
        If it holds something that is no number, or is masked.
    """
    import numpy as np

    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray) and value.dtype.name == element:
        return value
    if isinstance(value, str | bytes | dict | set) or value is None:
        raise Misfit
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise DataError(f"{name} is a masked array; fill what is masked, with nan where there is no value")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = _unboxed(array, name)
        if array.size == 0:
            array = array.astype(element or np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Misfit from None
    if array.dtype.kind not in kinds:
        raise Misfit
    return array.astype(element) if element and array.dtype.name != element else array


def _unboxed(array: Any, name: str) -> Any:
    """Return an array of Python's own numbers as floats."""
    import numpy as np
    import pandas as pd

    if array.ndim == 0:
        raise Misfit
    values = [math.nan if item is None or item is pd.NA else _float(item, name) for item in array.ravel().tolist()]
    return np.array(values, dtype=np.float64).reshape(array.shape)


def read_numbers_by_label(series: Any, name: str, at: str = "of") -> Any:
    """Return a Series of numbers, in whatever kind they come, as one that NumPy can add up.

    Raises
    ------
    DataError
        If it holds something that is no number, naming its label.
    """
    import numpy as np
    import pandas as pd

    kind = series.dtype
    if kind == np.float64 and isinstance(kind, np.dtype):
        return series
    if kind.kind in "iuf":  # narrower ones, whole numbers, and those that know missing values
        return series.astype("float64")
    if kind.kind == "O" and kind.name == "object":
        values = []
        for label, item in zip(series.index, series.tolist(), strict=True):
            try:
                values.append(math.nan if item is None or item is pd.NA else _float(item, f"{name} {at} {label}"))
            except Misfit:
                raise DataError(f"{name} {at} {label} is {described(item)}; give a number") from None
        return pd.Series(values, index=series.index, name=series.name, dtype="float64")
    if len(series) == 0:
        return series.astype("float64")
    raise DataError(f"{name} holds {kind} values, not numbers; convert it with .astype(float)")
