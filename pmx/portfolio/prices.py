"""Prices of one moment, checked where they are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeGuard

import numpy as np
import pandas as pd

from pmx.arguments import checked, is_nan, plain_number
from pmx.errors import DataError
from pmx.policy.symbols import is_number_ticker
from pmx.portfolio.moments import MAX_AGE_DAYS, Date, check_age, date_of, timestamp

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")


class PriceBook:
    """Prices by symbol, none of which is returned unless it is a finite positive number.

    Parameters
    ----------
    prices : mapping or Series by symbol
        In each symbol's own currency. A Series named by a date, such as a row of closes, is of that date.
    as_of : Timestamp, optional
        The moment that the prices are for.
    dates : date or mapping of symbol to date, optional
        When the prices were made, in place of the Series' name.
    max_age_days : int
        Greatest age of a dated price at ``as_of``, calendar days.

    Raises
    ------
    DataError
        If a symbol is listed twice, or ``dates`` come without ``as_of``.

    Examples
    --------
    >>> PriceBook({"SPY": 450.0})["SPY"]
    450.0
    >>> PriceBook({"SPY": float("nan")})["SPY"]
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: price of SPY is missing; ...
    """

    @checked(outside=["prices"])
    def __init__(
        self,
        prices: Mapping[str, float] | pd.Series[float],
        as_of: pd.Timestamp | None = None,
        *,
        dates: Date | Mapping[str, Date] | None = None,
        max_age_days: int = MAX_AGE_DAYS,
    ) -> None:
        if dates is not None and as_of is None:
            raise DataError("price dates are given, but the snapshot has no as_of to judge their age by; set as_of")
        self._as_of, self._dates, self._max_age_days = as_of, dates, max_age_days
        self._prices: Mapping[str, float]
        if isinstance(prices, pd.Series):
            if dates is None:
                self._dates = _date_named(prices.name)
            if not prices.index.is_unique:
                twice = prices.index[prices.index.duplicated()][0]
                raise DataError(f"price of {twice}{self._when(twice)} is listed twice; keep one")
            self._prices = dict(zip(prices.index.tolist(), prices.tolist(), strict=True))
        else:
            self._prices = prices
        if any(is_number_ticker(symbol) for symbol in self._prices):
            texts = ((str(key) if is_number_ticker(key) else key, price) for key, price in self._prices.items())
            self._prices = dict(texts)

    @checked
    def __getitem__(self, symbol: str) -> float:
        price = self.get(symbol)
        if price is None:
            raise DataError(
                f"price of {symbol}{self._when(symbol)} is missing; give one, or close the position at its last price"
            )
        return price

    @checked
    def get(self, symbol: str) -> float | None:
        """Return the price of a symbol, None where it is absent or NaN.

        Raises
        ------
        DataError
            If there is a price, but not a finite positive one, or it is too old or from after the moment that it
            is for.
        """
        price: Any = self._prices.get(symbol)
        if price is None or price is pd.NA or price is pd.NaT or is_nan(price):
            return None
        if not is_price(price):
            raise DataError(
                f"price of {symbol}{self._when(symbol)} is {price!r}, must be a finite number > 0; correct it"
            )
        made = date_of(symbol, self._dates, "price of", "price date")
        check_age(f"price of {symbol}", "price", made, self._as_of, self._max_age_days)
        return float(price)

    def _when(self, symbol: str) -> str:
        """Return the date of a price for a message, or else the moment that it is for."""
        listed = self._dates is not None and (not isinstance(self._dates, Mapping) or symbol in self._dates)
        moment = date_of(symbol, self._dates, "price of", "price date") if listed else self._as_of
        return "" if moment is None else f" on {moment.date()}"


def is_price(value: object) -> TypeGuard[float]:
    """Return whether a value can be a price or a rate: a finite number above 0."""
    return 0.0 < plain_number(value) < math.inf


def _date_named(name: object) -> pd.Timestamp | None:
    """Return the date that a Series is named by, None where its name is no date."""
    if isinstance(name, date | np.datetime64) and not pd.isna(name):
        return timestamp(pd.Timestamp(name), "price date")
    if isinstance(name, str) and _ISO_DATE.match(name):
        return timestamp(name, "price date")
    return None
