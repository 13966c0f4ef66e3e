"""The facts that order sizing works from: what units are worth, in what lots they come, and what is held."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.errors import DataError
from pmx.portfolio.nav import UNASSIGNED, PortfolioSnapshot, Position, compute_nav
from pmx.portfolio.prices import PriceBook

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Market:
    """What one unit of each symbol is worth, and in what lots it comes.

    Attributes
    ----------
    snapshot : PortfolioSnapshot
        Rates and currencies.
    book : PriceBook
        Prices.
    nav, cash : float, base currency
        NAV, and the cash in it.
    lot_size : float or None, units
        Of symbols that ``lot_sizes`` does not name; None where any fraction of a unit can be held.
    lot_sizes : mapping of str to float, units
        Of single symbols.
    """

    snapshot: PortfolioSnapshot
    book: PriceBook
    nav: float
    cash: float
    lot_size: float | None
    lot_sizes: Mapping[str, float]

    @classmethod
    def open(
        cls,
        snapshot: PortfolioSnapshot,
        prices: Mapping[str, float] | pd.Series[float],
        lot_size: float | None,
        lot_sizes: Mapping[str, float],
    ) -> Market:
        """Value the portfolio and check the lots.

        Raises
        ------
        DataError
            If `compute_nav` does, NAV is not positive, or a lot size is not finite and positive.
        """
        for name, lot in {"lot_size": lot_size, **lot_sizes}.items():
            if lot is not None and not (math.isfinite(lot) and lot > 0.0):
                raise DataError(f"lot size {name} = {lot} must be finite and > 0; leave it out for fractional units")
        nav = compute_nav(snapshot, prices)
        if nav.total <= 0.0:
            raise DataError(f"NAV is {nav.total:.6g} {nav.currency}, must be > 0 to size orders; add cash")
        return cls(snapshot, PriceBook(prices, snapshot.as_of), nav.total, nav.cash, lot_size, lot_sizes)

    def worth(self, symbol: str) -> float:
        """Return what one unit is worth, base currency."""
        return self.book[symbol] * self.snapshot.fx.rate(self.snapshot.currency_of(symbol))

    def value(self, symbol: str) -> float:
        """Return what one unit is worth, fraction of NAV."""
        return self.worth(symbol) / self.nav

    def values(self, symbols: list[str], wanted: Array) -> Array:
        """Return `value` of each position, 0 where there is no price and nothing is wanted."""
        priced = (
            self.value(symbol) if weight != 0.0 or self.book.get(symbol) is not None else 0.0
            for symbol, weight in zip(symbols, wanted.tolist(), strict=True)
        )
        return np.fromiter(priced, dtype=np.float64, count=len(symbols))

    def lots(self, symbols: list[str]) -> Array:
        """Return the units in one lot of each position, NaN where any fraction will do."""
        return np.array([self.lot_sizes.get(s, self.lot_size) for s in symbols], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Holding:
    """What is held, matched with the positions of an allocation.

    Attributes
    ----------
    rows_of : mapping of str to list of int
        Symbol to the rows of its positions.
    quantity : array, shape (n,), units
        Held for each position.
    by_symbol : mapping of str to float, units
        Held over all buckets, also of symbols without a position.
    mixed : frozenset of str
        Symbols of which some is held for a bucket without a position, so that ``quantity`` does not say all.
    """

    rows_of: Mapping[str, list[int]]
    quantity: Array
    by_symbol: Mapping[str, float]
    mixed: frozenset[str]

    @classmethod
    def of(cls, snapshot: PortfolioSnapshot, positions: list[Position], residual: str | None) -> Holding:
        """Match a snapshot with positions.

        A quantity of no bucket belongs to the symbol's only position; where it is the ``residual`` symbol, to
        none.
        """
        row_of = {position: row for row, position in enumerate(positions)}
        rows_of: dict[str, list[int]] = defaultdict(list)
        for (_, symbol), row in row_of.items():
            rows_of[symbol].append(row)
        quantity, by_symbol = np.zeros(len(positions)), defaultdict[str, float](float)
        mixed = set() if residual is None else {residual}
        for (bucket, symbol), units in snapshot.holdings.items():
            by_symbol[symbol] += units
            if (bucket, symbol) in row_of:
                quantity[row_of[bucket, symbol]] += units
            elif bucket == UNASSIGNED and len(rows_of[symbol]) == 1 and symbol != residual:
                quantity[rows_of[symbol][0]] += units
            else:
                mixed.add(symbol)
        return cls(rows_of, quantity, by_symbol, frozenset(mixed))
