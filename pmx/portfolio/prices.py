"""Prices of one moment, checked where they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TypeGuard

import pandas as pd

from pmx.errors import DataError


class PriceBook:
    """Prices by symbol, none of which is returned unless it is a finite positive number.

    Parameters
    ----------
    prices : mapping or Series by symbol
        In each symbol's own currency. A Series named by a date, such as a row of closes, gives its date to
        the messages.
    as_of : Timestamp, optional
        Date for the messages where the prices carry none.

    Raises
    ------
    DataError
        If a symbol is listed twice.

    Examples
    --------
    >>> PriceBook({"SPY": 450.0})["SPY"]
    450.0
    >>> PriceBook({"SPY": float("nan")})["SPY"]
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: price of SPY is missing; ...
    """

    def __init__(self, prices: Mapping[str, float] | pd.Series[float], as_of: pd.Timestamp | None = None) -> None:
        if isinstance(prices, pd.Series):
            self._when = _moment(prices.name if isinstance(prices.name, pd.Timestamp) else as_of)
            if not prices.index.is_unique:
                twice = prices.index[prices.index.duplicated()][0]
                raise DataError(f"price of {twice}{self._when} is listed twice; keep one")
            self._prices: Mapping[str, float] = dict(zip(prices.index.tolist(), prices.tolist(), strict=True))
        else:
            self._when = _moment(as_of)
            self._prices = prices

    def __getitem__(self, symbol: str) -> float:
        price = self.get(symbol)
        if price is None:
            raise DataError(
                f"price of {symbol}{self._when} is missing; give one, or close the position at its last price"
            )
        return price

    def get(self, symbol: str) -> float | None:
        """Return the price of a symbol, None where it is absent or NaN.

        Raises
        ------
        DataError
            If there is a price, but not a finite positive one.
        """
        price = self._prices.get(symbol)
        if price is None or pd.isna(price):
            return None
        if not is_price(price):
            raise DataError(f"price of {symbol}{self._when} is {price!r}, must be a finite number > 0; correct it")
        return float(price)


def is_price(value: object) -> TypeGuard[float]:
    """Return whether a value can be a price or a rate: a finite number above 0."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0.0 < float(value) < math.inf


def _moment(as_of: pd.Timestamp | None) -> str:
    return "" if as_of is None else f" on {as_of.date()}"
