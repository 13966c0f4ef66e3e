"""A price is a finite positive number, or there is none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from pmx.errors import DataError
from pmx.portfolio import PriceBook

DAY = pd.Timestamp("2024-05-06 16:00")


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, True, "450"])
def test_a_mad_price_is_refused_by_symbol_value_and_date(bad: object) -> None:
    book = PriceBook(pd.Series({"SPY": bad, "BIL": 90.0}, name=DAY, dtype=object))
    assert book["BIL"] == 90.0
    for read in (book.get, book.__getitem__):
        with pytest.raises(DataError) as caught:
            read("SPY")
        assert str(caught.value).startswith(f"price of SPY on 2024-05-06 is {bad!r}, must be")


@pytest.mark.parametrize("absent", [math.nan, None, pd.NA, np.float64("nan")])
def test_an_absent_price_is_none_to_ask_for_and_an_error_to_take(absent: object) -> None:
    book = PriceBook({"SPY": absent}, as_of=DAY)  # type: ignore[dict-item]
    for symbol in ("SPY", "QQQ"):
        assert book.get(symbol) is None
        with pytest.raises(DataError, match=f"price of {symbol} on 2024-05-06 is missing"):
            book[symbol]


def test_the_date_of_the_prices_comes_before_that_of_the_snapshot() -> None:
    row = pd.DataFrame({"SPY": [math.nan]}, index=[DAY]).iloc[0]
    with pytest.raises(DataError, match="on 2024-05-06 is missing"):
        PriceBook(row, as_of=pd.Timestamp("2030-01-01"))["SPY"]
    with pytest.raises(DataError, match="price of SPY is missing"):
        PriceBook({})["SPY"]


def test_a_symbol_listed_twice_is_refused() -> None:
    with pytest.raises(DataError, match="SPY on 2024-05-06 is listed twice"):
        PriceBook(pd.Series([1.0, 2.0], index=["SPY", "SPY"], name=DAY))
