"""Values of wrong kinds, shapes, indexes and sizes, and some that say the same in another kind."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

DATES = pd.bdate_range("2020-01-01", periods=4)


class Other(NamedTuple):
    """One value to pass in place of a good one; ``same`` where it says the same."""

    label: str
    value: Any
    same: bool = False


#: Name → maker, for some are used up.
ANYTHING: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "much",
    "empty text": lambda: "",
    "blank text": lambda: "  ",
    "long text": lambda: "x" * 5000,
    "text with NUL": lambda: "a\0b",
    "half a character": lambda: "\ud800",
    "number as text": lambda: "0.5",
    "bytes": lambda: b"much",
    "true": lambda: True,
    "false": lambda: False,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "0.3": lambda: 0.3,
    "1e308": lambda: 1e308,
    "1e-320": lambda: 1e-320,
    "2**62": lambda: 2**62,
    "10**400": lambda: 10**400,
    "decimal": lambda: Decimal("0.25"),
    "decimal nan": lambda: Decimal("nan"),
    "decimal snan": lambda: Decimal("sNaN"),
    "decimal inf": lambda: Decimal("inf"),
    "fraction": lambda: Fraction(1, 3),
    "complex": lambda: 1 + 2j,
    "float32": lambda: np.float32(0.5),
    "int64": lambda: np.int64(3),
    "numpy bool": lambda: np.bool_(True),
    "numpy text": lambda: np.str_("SPY"),
    "date": lambda: datetime.date(2020, 1, 2),
    "datetime": lambda: datetime.datetime(2020, 1, 2, 3),
    "timestamp": lambda: pd.Timestamp("2020-01-02"),
    "timestamp with zone": lambda: pd.Timestamp("2020-01-02", tz="UTC"),
    "NaT": lambda: pd.NaT,
    "NA": lambda: pd.NA,
    "timedelta": lambda: pd.Timedelta("1D"),
    "dict": lambda: {"SP500": 0.1},
    "empty dict": dict,
    "dict of texts": lambda: {"SP500": "much"},
    "dict of None": lambda: {"SP500": None},
    "dict of nan": lambda: {"SP500": float("nan")},
    "dict by numbers": lambda: {5930: 0.1, (1, 2): 0.2, None: 0.1},
    "dict of dicts": lambda: {"SP500": {"SP500": 0.1}},
    "list": lambda: [0.1, 0.2],
    "empty list": list,
    "list of texts": lambda: ["SP500", "WTI"],
    "list with a stranger": lambda: [0.1, object()],
    "ragged list": lambda: [[0.1], [0.1, 0.2]],
    "tuple": lambda: (0.1, 0.2),
    "pairs": lambda: [("ts_core", "SP500")],
    "triples": lambda: [("ts_core", "SP500", "x")],
    "set": lambda: {"SP500"},
    "generator": lambda: (number for number in (0.1, 0.2)),
    "range": lambda: range(3),
    "0-d array": lambda: np.array(0.5),
    "array": lambda: np.array([0.1, 0.2]),
    "empty array": lambda: np.zeros(0),
    "3-d array": lambda: np.zeros((2, 2, 2)),
    "array of texts": lambda: np.array(["a", "b"]),
    "array of objects": lambda: np.array([object(), None], dtype=object),
    "complex array": lambda: np.array([1 + 1j, 2]),
    "array of nan": lambda: np.full(3, np.nan),
    "array of dates": lambda: DATES.to_numpy(),
    "masked array": lambda: np.ma.array([0.1, 0.2], mask=[True, False]),
    "Series": lambda: pd.Series([0.1, 0.2], index=["SP500", "WTI"]),
    "empty Series": lambda: pd.Series(dtype="float64"),
    "Series of texts": lambda: pd.Series(["a", "b"], index=["SP500", "WTI"]),
    "Series by date": lambda: pd.Series([0.1] * 4, index=DATES),
    "frame": lambda: pd.DataFrame({"SP500": [1.0] * 4}, index=DATES),
    "empty frame": pd.DataFrame,
    "frame of texts": lambda: pd.DataFrame({"SP500": list("abcd")}, index=DATES),
    "index": lambda: pd.Index(["SP500", "WTI"]),
    "MultiIndex": lambda: pd.MultiIndex.from_tuples([("a", "b", "c")]),
    "path": lambda: Path("no/such/file"),
    "open file": lambda: io.StringIO("a,b"),
    "function": lambda: lambda *_, **__: None,
    "class": lambda: dict,
    "object": object,
    "module": lambda: np,
    "exception": lambda: ValueError("x"),
}


def others(good: Any) -> Iterator[Other]:
    """Yield values to pass in place of a good one."""
    for label, make in ANYTHING.items():
        yield Other(label, make())
    yield Other("its class", type(good))
    if isinstance(good, bool) or good is None:
        return
    if isinstance(good, int | float):
        yield from _numbers(good)
    elif isinstance(good, str):
        yield from (Other(f"text {text!r}", text) for text in (good.upper() + "x", f" {good} ", good.swapcase()))
        yield Other("numpy's own text", np.str_(good), same=True)
    elif isinstance(good, np.ndarray):
        yield from _arrays(good)
    elif isinstance(good, pd.Series):
        yield from _series(good)
    elif isinstance(good, pd.DataFrame):
        yield from _frames(good)
    elif isinstance(good, Mapping):
        yield from _mappings(good)
    elif isinstance(good, list | tuple):
        yield from _sequences(good)


def _numbers(good: float) -> Iterator[Other]:
    if np.isfinite(good):
        yield Other("decimal of it", Decimal(good), same=True)
        yield Other("fraction of it", Fraction(good), same=True)
    yield Other("numpy's own", np.float64(good) if isinstance(good, float) else np.int64(good), same=True)
    if float(good).is_integer():
        yield Other("as int", int(good), same=True)
        yield Other("as float", float(good), same=True)
    if float(np.float32(good)) == good:
        yield Other("as float32", np.float32(good), same=True)
    yield from (Other(f"times {k}", good * k) for k in (-1, 100, 1e12, 1e-12))
    yield Other("as text", str(good))
    yield Other("in a list", [good])
    yield Other("in an array", np.array([good]))


def _arrays(good: np.ndarray) -> Iterator[Other]:
    frozen = good.copy()
    frozen.setflags(write=False)
    yield Other("read-only", frozen, same=True)
    yield Other("not contiguous", np.repeat(good, 2, axis=0)[::2], same=True)
    yield Other("Fortran order", np.asfortranarray(good), same=True)
    yield Other("as lists", good.tolist(), same=True)
    yield Other("as objects", good.astype(object), same=True)
    yield Other("unmasked", np.ma.array(good), same=True)
    if good.dtype.kind == "f":
        narrow = good.astype(np.float32)
        yield Other("as float32", narrow, same=bool((narrow == good).all()))
    yield Other("as int", np.clip(np.nan_to_num(good.astype(np.float64)), -9, 9).astype(np.int64))
    yield Other("as bool", good.astype(bool))
    yield Other("as texts", good.astype(str))
    yield Other("one more axis", good[..., None])
    yield Other("flat", good.ravel())
    yield Other("transposed", good.T)
    yield Other("shorter", good[:-1])
    yield Other("longer", np.concatenate([good, good]))
    yield Other("none", good[:0])
    yield Other("one", good[:1])
    if good.dtype.kind == "f":
        for label, number in (("nan", np.nan), ("inf", np.inf), ("1e308", 1e308), ("-1", -1.0), ("1e-320", 1e-320)):
            yield Other(f"all {label}", np.full_like(good, number))
            changed = good.copy()
            changed.flat[:1] = number
            yield Other(f"one {label}", changed)


def _labels(index: pd.Index) -> Iterator[tuple[str, Any]]:
    n = len(index)
    yield "numbered", pd.RangeIndex(n)
    yield "by text", pd.Index([str(label) for label in index])
    yield "by float", pd.Index(np.arange(n) / 2)
    yield "by None", pd.Index([None] * n, dtype=object)
    yield (
        "by mixed labels",
        pd.Index([1, "a", None, 2.5, (1, 2)][:n] + list(range(n - 5)), dtype=object, tupleize_cols=False),
    )
    yield "three levels", pd.MultiIndex.from_arrays([["a"] * n, ["b"] * n, range(n)], names=list("xyz"))
    yield "two levels", pd.MultiIndex.from_arrays([["ts_core"] * n, [str(i) for i in range(n)]])
    yield "all alike", pd.Index([index[0]] * n) if n else index
    yield "categories", pd.CategoricalIndex([str(label) for label in index])
    if isinstance(index, pd.DatetimeIndex):
        yield "with zone", index.tz_localize("UTC") if index.tz is None else index
        yield "periods", index.to_period("D")
        yield "intervals", pd.interval_range(0, n, periods=n)


def _series(good: pd.Series) -> Iterator[Other]:
    yield Other("reversed", good.iloc[::-1])
    yield Other("shorter", good.iloc[:-1])
    yield Other("none", good.iloc[:0])
    yield Other("one", good.iloc[:1])
    yield Other("twice", pd.concat([good, good]))
    yield Other("as frame", good.to_frame())
    yield Other("as dict", good.to_dict(), same=True)
    yield Other("as list", good.tolist())
    if good.dtype.kind == "f":
        narrow = good.astype("float32")
        yield Other("as float32", narrow, same=bool((narrow == good).all()))
        yield Other("as nullable", good.astype("Float64"), same=True)
        yield Other("as decimals", good.map(Decimal).astype(object), same=True)
    yield Other("as objects", good.astype(object), same=True)
    yield Other("as texts", good.astype(str))
    yield Other("as categories", good.astype("category"))
    if good.dtype.kind in "iuf":
        yield Other("as complex", good.astype(complex))
        yield Other("as bool", good.astype(bool))
    yield Other("as dates", pd.Series(pd.Timestamp("2020-01-01"), index=good.index))
    figures = (("nan", np.nan), ("inf", np.inf), ("1e308", 1e308), ("-1", -1.0), ("None", None), ("x", "x"))
    for label, number in figures if good.dtype.kind == "f" else ():
        changed = good.astype(object) if isinstance(number, str) else good.copy()
        if len(changed):
            changed.iloc[0] = number
        yield Other(f"one {label}", changed)
    for label, index in _labels(good.index):
        yield Other(label, good.set_axis(index))


def _frames(good: pd.DataFrame) -> Iterator[Other]:
    yield Other("rows reversed", good.iloc[::-1])
    yield Other("columns reversed", good.iloc[:, ::-1])
    yield Other("no rows", good.iloc[:0])
    yield Other("one row", good.iloc[:1])
    yield Other("no columns", good.iloc[:, :0])
    yield Other("one column", good.iloc[:, :1])
    yield Other("transposed", good.T)
    yield Other("rows twice", pd.concat([good, good]))
    yield Other("columns twice", pd.concat([good, good], axis=1))
    yield Other("a row twice", good.iloc[[0, *range(len(good))]] if len(good) else good)
    yield Other("as dict", good.to_dict())
    yield Other("as array", good.to_numpy())
    yield Other("as Series", good.iloc[:, 0] if good.shape[1] else pd.Series(dtype="float64"))
    yield Other("as objects", good.astype(object), same=True)
    yield Other("as texts", good.astype(str))
    yield Other("as categories", good.astype("category"))
    if good.columns.nlevels == 1:
        yield Other("another column of texts", good.assign(NOTE="x"))
    if all(kind.kind == "f" for kind in good.dtypes):
        yield Other("as nullable", good.astype("Float64"), same=True)
        yield Other("as complex", good.astype(complex))
        yield Other("as bool", good.astype(bool))
        narrow = good.astype("float32")
        yield Other("as float32", narrow, same=bool((narrow == good).all(axis=None)))
        for label, number in (("nan", np.nan), ("inf", np.inf), ("1e308", 1e308), ("-1", -1.0), ("1e-320", 1e-320)):
            changed = good.copy()
            if changed.size:
                changed.iloc[len(changed) // 2, 0] = number
            yield Other(f"one {label}", changed)
        yield Other("all nan", good * np.nan)
        changed = good.astype(object)
        if changed.size:
            changed.iloc[len(changed) // 2, 0] = "x"
        yield Other("one text", changed)
    if good.shape[1]:
        yield Other("a column twice", good.iloc[:, [0, *range(good.shape[1])]])
    for label, index in _labels(good.index):
        yield Other(f"rows {label}", good.set_axis(index))
    for label, index in _labels(good.columns):
        yield Other(f"columns {label}", good.set_axis(index, axis=1))


def _mappings(good: Mapping[Any, Any]) -> Iterator[Other]:
    yield Other("another mapping", dict(good), same=True)
    yield Other("as pairs", list(good.items()))
    for label, make in ANYTHING.items():
        yield Other(f"values {label}", dict.fromkeys(good, make()))
    if all(isinstance(value, float) for value in good.values()) and good:
        yield Other("decimals", {key: Decimal(value) for key, value in good.items()}, same=True)
        yield Other("as Series", pd.Series(good), same=True)
    yield Other("unknown key", {**good, "no such name": next(iter(good.values()), 0.1)})
    yield Other("numbered", dict(enumerate(good.values())))
    yield Other("pairs as keys", {("no_such", key): value for key, value in good.items()})


def _sequences(good: Sequence[Any]) -> Iterator[Other]:
    yield Other("tuple of it", tuple(good), same=True)
    yield Other("list of it", list(good), same=True)
    yield Other("used up once", iter(list(good)))
    yield Other("twice", [*good, *good])
    yield Other("nested", [list(good)])
    yield Other("first alone", good[0] if len(good) else None)
    for label, make in ANYTHING.items():
        yield Other(f"with {label}", [*good, make()])


def is_callable_argument(value: Any) -> bool:
    """Whether a value is code of the caller's own, whose errors are the caller's."""
    return callable(value) and not isinstance(value, type)


def names_of(values: Iterable[Other]) -> list[str]:
    """Return the labels."""
    return [other.label for other in values]
