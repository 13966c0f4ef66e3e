"""A value as nested tuples that are equal only where it is the same to the last bit, whatever it is made of."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pmx import Policy

#: What differs from run to run: time spent, and where a file lies.
LEFT_OUT = ("seconds", "path", "_path", "_file", "again", "own_violations", "asked")
DEPTH = 12


def bits(value: Any, depth: int = DEPTH) -> Any:
    """Return the value's contents; private state of objects too."""
    if depth == 0:
        return "deeper"
    inner = functools.partial(bits, depth=depth - 1)
    if value is None or isinstance(value, bool | int | str | bytes | Fraction | Decimal | datetime.date):
        return type(value).__name__, repr(value)
    if isinstance(value, float):
        return float(value).hex()
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return array.dtype.str, array.shape, inner(array.tolist()) if array.dtype.kind == "O" else array.tobytes()
    if isinstance(value, pd.DataFrame):
        return inner(value.index), inner(value.columns), tuple(inner(value.iloc[:, j]) for j in range(value.shape[1]))
    if isinstance(value, pd.Series):
        return inner(value.index), str(value.dtype), inner(value.to_numpy())
    if isinstance(value, pd.Index):
        return tuple(map(str, value.tolist()))
    if isinstance(value, Policy):
        return value.fingerprint
    if isinstance(value, Path) or callable(value) or isinstance(value, type):
        return type(value).__name__
    if isinstance(value, Mapping):
        return tuple((inner(key), inner(item)) for key, item in value.items())
    if isinstance(value, set | frozenset):
        return tuple(sorted(map(repr, value)))
    if isinstance(value, list | tuple | Iterator):
        return tuple(map(inner, value))
    if hasattr(value, "to_json"):
        return value.to_json()
    if type(value).__module__.startswith("pmx."):
        return type(value).__name__, tuple((name, inner(item)) for name, item in _fields(value))
    return type(value).__name__


def _fields(value: Any) -> list[tuple[str, Any]]:
    names = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    if not names:
        names = [
            *getattr(value, "__dict__", {}),
            *(s for base in type(value).__mro__ for s in vars(base).get("__slots__", ())),
        ]
    return [(name, getattr(value, name, None)) for name in names if name not in LEFT_OUT]
