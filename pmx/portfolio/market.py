"""The facts that order sizing works from: what units are worth, in what lots they come, and what is held."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from pmx.errors import DataError
from pmx.portfolio.lots import ROUNDING, exact
from pmx.portfolio.nav import Marks, nav_at
from pmx.portfolio.sizing import Sizing
from pmx.portfolio.snapshot import UNASSIGNED, PortfolioSnapshot, Position

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Market:
    """What one unit of each symbol is worth, and in what lots it comes.

    Attributes
    ----------
    marks : Marks
        Prices, rates and currencies.
    nav, cash : float, base currency
        NAV, and the cash in it.
    sizing : Sizing
        Lots.
    """

    marks: Marks
    nav: float
    cash: float
    sizing: Sizing

    @classmethod
    def open(cls, marks: Marks, sizing: Sizing) -> Market:
        """Value the portfolio.

        Raises
        ------
        DataError
            If `compute_nav` does, or NAV is not positive.
        """
        nav = nav_at(marks)
        if nav.total <= 0.0:
            raise DataError(f"NAV is {nav.total:.6g} {nav.currency}, must be > 0 to size orders; add cash")
        return cls(marks, nav.total, nav.cash, sizing)

    def worth(self, symbol: str) -> float:
        """Return what one unit is worth, base currency."""
        return self.marks.worth(symbol)

    def value(self, symbol: str) -> float:
        """Return what one unit is worth, fraction of NAV."""
        return self.worth(symbol) / self.nav

    def values(self, symbols: list[str], needed: set[str]) -> Array:
        """Return `value` of each position, 0 where its symbol is not needed: neither wanted nor held."""
        value = {symbol: self.value(symbol) for symbol in set(symbols) & needed}
        return np.array([value.get(symbol, 0.0) for symbol in symbols], dtype=np.float64)

    def lots(self, symbols: list[str]) -> Array:
        """Return the units in one lot of each position, NaN where any fraction will do."""
        lots = (self.sizing.lot_of(symbol) for symbol in symbols)
        return np.array([math.nan if lot is None else float(lot) for lot in lots], dtype=np.float64)

    def in_lots(self, symbol: str, units: Decimal) -> tuple[Decimal, bool]:
        """Return a quantity, exact where it is a whole number of lots but for rounding, and whether it is one.

        Any quantity is one where any fraction will do.
        """
        lot = self.sizing.lot_of(symbol)
        if lot is None:
            return units, True
        count = (units / lot).to_integral_value()
        whole = abs(units / lot - count) <= Decimal(ROUNDING) * max(Decimal(1), abs(count))
        return (lot * count if whole else units), whole


@dataclass(frozen=True, eq=False)
class Holding:
    """What is held, matched with the positions of an allocation.

    Attributes
    ----------
    rows_of : mapping of str to list of int
        Symbol to the rows of its positions.
    quantity : array, shape (n,), units
        Held for each position.
    by_symbol : mapping of str to Decimal, units
        Held over all buckets, also of symbols without a position.
    mixed : frozenset of str
        Symbols of which some is held for a bucket without a position, so that ``quantity`` does not say all.
    """

    rows_of: Mapping[str, list[int]]
    quantity: Array
    by_symbol: Mapping[str, Decimal]
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
        quantity, by_symbol = np.zeros(len(positions)), defaultdict[str, Decimal](Decimal)
        mixed = set() if residual is None else {residual}
        for (bucket, symbol), units in snapshot.holdings.items():
            by_symbol[symbol] += exact(units)
            if (bucket, symbol) in row_of:
                quantity[row_of[bucket, symbol]] += units
            elif bucket == UNASSIGNED and len(rows_of[symbol]) == 1 and symbol != residual:
                quantity[rows_of[symbol][0]] += units
            else:
                mixed.add(symbol)
        return cls(rows_of, quantity, by_symbol, frozenset(mixed))

    def shared_out(self, wanted: Array, value: Array, residual: str | None) -> Array:
        """Return what is held for each position once what is of no position is shared out, units, shape (n,).

        Limits on trades are counted from it. What is held of a symbol for other buckets goes to its positions, to those
        first that want it; the ``residual`` symbol's stays where it is.
        """
        quantity = self.quantity.copy()
        for symbol in sorted(self.mixed - {residual}):
            rows = self.rows_of.get(symbol, [])
            if not rows:
                continue
            left = float(self.by_symbol[symbol] - sum(exact(units) for units in quantity[rows].tolist()))
            lacking = np.maximum((wanted[rows] - quantity[rows] * value[rows]) * np.sign(left), 0.0)
            total = float(lacking.sum())
            quantity[rows] += left * (lacking / total if total > 0.0 else np.full(len(rows), 1.0 / len(rows)))
        return quantity
