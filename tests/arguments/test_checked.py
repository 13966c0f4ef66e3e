"""What the decorator takes for each annotation, what it passes on, and what it says of the rest."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import pmx
from pmx.arguments import checked
from pmx.errors import DataError

if TYPE_CHECKING:
    from somewhere import Unimported


class Engine(Protocol):
    @property
    def source(self) -> str: ...

    def signals(self, prices: Any) -> list[Any]: ...


class Sound:
    source = "a"

    def signals(self, prices: Any) -> list[Any]:
        return []


@checked
def number(value: float) -> Any:
    return value


@checked
def count(value: int) -> Any:
    return value


@checked
def flag(value: bool) -> Any:
    return value


@checked
def choice(value: Literal["close", "next_close"] | None) -> Any:
    return value


@checked
def array(value: npt.NDArray[np.float64]) -> Any:
    return value


@checked
def mask(value: npt.NDArray[np.bool_]) -> Any:
    return value


@checked
def labelled(value: pd.Series[float] | Mapping[str, float]) -> Any:
    return value


@checked
def names(value: Sequence[str]) -> Any:
    return value


@checked
def any_names(value: Iterable[str]) -> Any:
    return value


@checked
def pairs(value: Mapping[tuple[str, str], float]) -> Any:
    return value


@checked
def path(value: str | Path) -> Any:
    return value


@checked
def day(value: datetime.date) -> Any:
    return value


@checked
def engine(value: Engine) -> Any:
    return value


@checked
def function(value: Callable[[int], object] | None) -> Any:
    return value


@checked
def unimported(value: Unimported) -> Any:
    return value


@checked
def policy(value: pmx.Policy) -> Any:
    return value


SERIES = pd.Series({"SPY": 0.5, "WTI": 0.25})


@pytest.mark.parametrize(
    ("take", "given", "passed"),
    [
        (number, 1, 1.0),
        (number, Decimal("0.5"), 0.5),
        (number, Fraction(1, 4), 0.25),
        (number, np.float32(0.5), 0.5),
        (number, np.int64(3), 3.0),
        (number, float("inf"), float("inf")),
        (count, 3.0, 3),
        (count, np.int32(3), 3),
        (count, Decimal(3), 3),
        (flag, np.bool_(True), True),
        (choice, "close", "close"),
        (choice, None, None),
        (names, ("a", "b"), ("a", "b")),
        (names, pd.Index(["a"]), ["a"]),
        (any_names, {"a"}, ["a"]),
        (any_names, (name for name in "ab"), ["a", "b"]),
        (pairs, {("a", "b"): Decimal("0.5")}, {("a", "b"): 0.5}),
        (labelled, {"SPY": Fraction(1, 2)}, {"SPY": 0.5}),
        (path, "a/b", "a/b"),
        (day, pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-02")),
        (function, len, len),
    ],
)
def test_what_says_the_same_is_passed_on_as_its_plain_equal(take: Any, given: Any, passed: Any) -> None:
    read = take(given)
    assert read == passed
    assert type(read) is type(passed)


@pytest.mark.parametrize(
    "given",
    [
        [0.5, 0.25],
        np.array([0.5, 0.25], dtype=np.float32),
        np.array([Decimal("0.5"), Fraction(1, 4)], dtype=object),
        pd.Series([0.5, 0.25], dtype="Float64"),
        np.ma.array([0.5, 0.25]),
    ],
)
def test_any_array_of_numbers_becomes_floats(given: Any) -> None:
    read = array(given)
    assert read.dtype == np.float64
    assert read.tolist() == [0.5, 0.25]


@pytest.mark.parametrize("kind", ["float32", "Float64", object])
def test_a_series_of_numbers_can_be_added_up(kind: Any) -> None:
    assert labelled(SERIES.astype(kind)).sum() == 0.75
    assert labelled(SERIES) is SERIES


@pytest.mark.parametrize(
    ("take", "given", "message"),
    [
        (number, "0.5", "value is '0.5', a str; give a number"),
        (number, True, "value is True; give a number"),
        (number, 1 + 2j, r"value is \(1\+2j\), a complex; give a number"),
        (number, [0.5], r"value is \[0.5\], a list; give a number"),
        (number, 10**400, "value is 1000+.*, beyond the range of numbers"),
        (number, float, "value is the class float; give a number"),
        (count, 2.5, "value is 2.5, a float; give a whole number"),
        (count, 10**30, "give a smaller whole number"),
        (flag, 1, "value is 1, an int; give True or False"),
        (choice, "open", "value is 'open', a str; give one of 'close', 'next_close' or None"),
        (array, "text", "value is 'text', a str; give an array of numbers"),
        (array, [1 + 2j], "give an array of numbers"),
        (array, np.array([True]), "an ndarray of shape .* give an array of numbers"),
        (array, np.array([[0.5], ["x"]]), "give an array of numbers"),
        (array, np.ma.array([0.5, 0.25], mask=[True, False]), "value is a masked array; fill what is masked"),
        (mask, np.array([0.5]), "give an array of true and false"),
        (labelled, {"SPY": "x"}, r"value\['SPY'\] is 'x', a str; give a number"),
        (labelled, {5930.5: 0.5}, "value has the key 5930.5, a float; give a text"),
        (labelled, {5930: 0.5, "5930": 0.5}, "value has the key 5930 as a number and as a text; keep one"),
        (labelled, pd.Series({"SPY": "x"}, dtype=object), "value of SPY is 'x', a str; give a number"),
        (labelled, pd.Series(["a", "b"], dtype="category"), "value holds category values, not numbers"),
        (labelled, pd.Series([1 + 1j]), "value holds complex128 values, not numbers"),
        (labelled, 0.5, "value is 0.5, a float; give a pandas Series or a mapping of a text to a number"),
        (names, "SPY", "value is 'SPY', a str; give a list of texts"),
        (names, {"SPY": 1}, "give a list of texts"),
        (names, ["SPY", 5930], r"value\[1\] is 5930, an int; give a text"),
        (names, (name for name in "ab"), "give a list of texts"),
        (pairs, {"SPY": 0.5}, r"value has the key 'SPY', a str; give \(a text, a text\)"),
        (path, b"a", "value is b'a', a bytes; give a path"),
        (path, "a\0b", "give the name of a file or a folder"),
        (path, "", "give the name of a file or a folder"),
        (day, pd.NaT, "value is NaT, a NaTType; give a date"),
        (day, "2020-01-02", "give a date"),
        (engine, Sound, "value is the class Sound; give an Engine, an object with signals, source"),
        (engine, object(), "give an Engine, an object with signals, source"),
        (function, 5, "value is 5, an int; give a function or None"),
        (unimported, 5, "value is 5, an int; give an Unimported"),
        (policy, "config", "value is 'config', a str; give a Policy .see pmx.load_policy."),
    ],
)
def test_what_does_not_fit_is_named_with_what_does(take: Any, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        take(given)


def test_a_class_of_which_only_the_name_is_known_is_recognised_by_it() -> None:
    class Unimported:
        pass

    class Child(Unimported):
        pass

    child = Child()
    assert unimported(child) is child
    sound = Sound()
    assert engine(sound) is sound


def test_the_message_says_what_the_argument_means() -> None:
    with pytest.raises(DataError, match=r"initial_nav is 'much', a str; give a number \(float: Opening cash, base"):
        pmx.backtest(pd.DataFrame(), pmx.load_policy(), initial_nav="much")


def test_a_wrong_number_of_arguments_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="positional argument"):
        number(1.0, 2.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'valve'"):
        number(valve=1.0)


def test_an_argument_that_is_read_elsewhere_is_passed_on() -> None:
    @checked(elsewhere=["engines"])
    def asked(engines: Sequence[Engine], score: float) -> Any:
        return engines, score

    assert asked("time_series", 1) == ("time_series", 1.0)
    with pytest.raises(DataError, match="score is 'x'"):
        asked([], "x")


def test_nan_is_a_number_whose_meaning_the_function_knows() -> None:
    for value in (float("nan"), np.float32("nan"), Decimal("NaN"), Decimal("sNaN")):
        read = number(value)
        assert type(read) is float
        assert read != read


def test_a_class_is_checked_where_it_is_made() -> None:
    with pytest.raises(DataError, match="realized_vol is 'x', a str; give a number"):
        pmx.BucketRiskState("x", 0.1, 0.2, 0.1)


def test_a_value_whose_own_description_fails_is_named_by_its_kind() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(DataError, match="value is an Odd; give a number"):
        number(Odd())


def test_a_ticker_that_is_a_number_is_its_text() -> None:
    assert labelled({5930: 0.5, "SPY": 0.25}) == {"5930": 0.5, "SPY": 0.25}
