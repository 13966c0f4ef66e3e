"""From the positions that are wanted to orders: small ones left, the residual symbol filled, buckets netted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.policy import CASH
from pmx.portfolio.lots import ROUNDING, distance, exact
from pmx.portfolio.market import Holding, Market
from pmx.portfolio.order_plan import OrderPlan
from pmx.portfolio.rounding import DUST, Limits
from pmx.portfolio.snapshot import UNASSIGNED, by_position

Array = NDArray[np.float64]
ZERO = Decimal(0)


@dataclass(frozen=True, eq=False)
class Books:
    """What is held, what it is worth, and what may be done with it.

    Attributes
    ----------
    limits : Limits
        What every portfolio must obey.
    market : Market
        Prices, lots, costs and the smallest order.
    holding : Holding
        What is held.
    value : array, shape (n,), fraction of NAV
        Of one unit of each position.
    """

    limits: Limits
    market: Market
    holding: Holding
    value: Array

    @property
    def smallest(self) -> float:
        """Value of the smallest order, fraction of NAV."""
        return max(self.market.sizing.min_order_nav_frac, DUST)

    def plan(self, quantity: Array, least_distance: float, left: Sequence[str]) -> OrderPlan:
        """Return the orders that lead to quantities, shape (n,).

        Parameters
        ----------
        quantity : array, shape (n,), units
            What positions shall hold.
        least_distance : float, fraction of NAV
            As in `OrderPlan`.
        left : sequence of str
            Symbols with an odd lot that is left.
        """
        quantity, skipped = self._skip_small(quantity)
        allocation, market = self.limits.allocation, self.market
        wanted = np.array(allocation.positions, dtype=np.float64)
        weights = quantity * self.value
        owned = dict(zip(allocation.positions.index.tolist(), quantity.tolist(), strict=True))
        worth = dict(zip(owned, weights.tolist(), strict=True))
        residual = self._residual(quantity)
        if residual:
            key = (UNASSIGNED, str(allocation.residual_symbol))
            owned[key] = float(residual)
            worth[key] = owned[key] * market.value(key[1])
        trades, odd = self._netted(owned)
        traded = {symbol: float(units) * market.worth(symbol) for symbol, units in trades.items()}
        costs = market.sizing.costs.cost(traded)
        return OrderPlan(
            orders=_orders_table(market, trades),
            quantities=by_position(owned, "quantity"),
            weights=by_position(worth, "weight"),
            cash_after=market.cash - math.fsum([*traded.values(), costs]),
            costs=costs,
            max_deviation=float(np.abs(weights - wanted).max(initial=0.0)),
            distance=distance(weights, wanted),
            least_distance=least_distance,
            skipped=tuple(dict.fromkeys([*skipped, *(symbol for symbol in left if symbol not in trades)])),
            odd_lots=odd,
        )

    def _skip_small(self, quantity: Array) -> tuple[Array, tuple[str, ...]]:
        """Leave symbols as they are held where their order is too small, as long as every limit is obeyed.

        Returns quantities, shape (n,), and the symbols that were left.
        """

        def without(symbols: Sequence[str], quantity: Array) -> Array | None:
            rows = [row for symbol in symbols for row in self.holding.rows_of[symbol]]
            trial = quantity.copy()
            trial[rows] = self.holding.quantity[rows]
            return None if self.limits.broken(trial * self.value) else trial

        held = self.holding.by_symbol
        size = {
            symbol: abs(math.fsum(quantity[rows]) - float(held.get(symbol, ZERO))) * self.value[rows[0]]
            for symbol, rows in self.holding.rows_of.items()
            if symbol not in self.holding.mixed
        }
        small = sorted((symbol for symbol in size if 0.0 < size[symbol] < self.smallest), key=size.__getitem__)
        if not small:
            return quantity, ()
        together = without(small, quantity)
        left = [] if together is None else small
        quantity = quantity if together is None else together
        for symbol in small[len(left) :]:
            trial = without([symbol], quantity)
            if trial is not None:
                quantity = trial
                left.append(symbol)
        return quantity, tuple(symbol for symbol in left if size[symbol] > DUST)

    def _residual(self, quantity: Array) -> Decimal:
        """Return the units of the residual symbol that belong to no position.

        It takes what positions and costs leave above the weight of cash, in whole lots, as far as hard rules let it; an
        order too small is not made where that leaves enough cash.
        """
        allocation, market = self.limits.allocation, self.market
        symbol = allocation.residual_symbol
        if symbol is None:
            return ZERO
        weights = quantity * self.value
        rows = self.holding.rows_of.get(symbol, [])
        own = math.fsum(allocation.positions.to_numpy()[rows])
        if allocation.weights.get(symbol, 0.0) - own <= DUST:
            return ZERO
        value, lot = market.value(symbol), market.sizing.lot_of(symbol)
        room = min(
            self._affordable(weights, math.fsum(weights[rows]), symbol),
            allocation.residual_room(pd.Series(weights, index=allocation.positions.index)),
        )
        units = exact(room / value) if lot is None else lot * math.floor(room / (value * float(lot)) + ROUNDING)
        unchanged = self.holding.by_symbol.get(symbol, ZERO) - sum((exact(q) for q in quantity[rows]), ZERO)
        small = abs(float(units - unchanged)) * value < self.smallest
        return unchanged if small and 0.0 <= float(unchanged) * value <= room + DUST else units

    def _affordable(self, weights: Array, own: float, symbol: str) -> float:
        """Return the weight of the residual symbol for which there is cash above the weight of cash and all costs."""
        market, trading = self.market, self.limits.trading
        value, rate = market.value(symbol), market.sizing.costs.rate(symbol)
        at = np.array([s == symbol for s in self.limits.allocation.positions.index.get_level_values(1)], dtype=bool)
        others = trading.costs(np.where(at, 0.0, weights))
        if at.any():  # what the symbol's own positions trade is counted with what the residual trades
            others -= trading.rate[trading.symbol[at][0]] * abs(trading.held[trading.symbol[at][0]])
        left = 1.0 - float(weights.sum()) - others - trading.fixed - float(self.limits.allocation.weights[CASH])
        lacking = float(self.holding.by_symbol.get(symbol, ZERO)) * value - own
        most = (left + rate * lacking) / (1.0 + rate)  # bought up to there
        if most < lacking:
            most = (left - rate * lacking) / (1.0 - rate)  # sold down to there
        return max(most, 0.0)

    def _netted(self, owned: Mapping[tuple[str, str], float]) -> tuple[dict[str, Decimal], tuple[str, ...]]:
        """Return what is traded of each symbol over all buckets, signed, and the symbols traded in an odd lot."""
        net = {symbol: -units for symbol, units in self.holding.by_symbol.items()}
        for (_, symbol), after in owned.items():
            net[symbol] = net.get(symbol, ZERO) + exact(after)
        trades, odd = {}, []
        for symbol, units in net.items():
            if units == 0 or abs(float(units)) * self.market.value(symbol) <= DUST:
                continue
            trades[symbol], whole = self.market.in_lots(symbol, units)
            if not whole:
                odd.append(symbol)
        return {symbol: units for symbol, units in trades.items() if units}, tuple(sorted(odd))


def _orders_table(market: Market, trades: Mapping[str, Decimal]) -> pd.DataFrame:
    """Return one row a symbol, sales first: they bring in the cash for the rest."""
    rows = []
    for symbol in sorted(trades, key=lambda symbol: (trades[symbol] > 0, symbol)):
        units, price = float(abs(trades[symbol])), market.marks.book[symbol]
        side = "BUY" if trades[symbol] > 0 else "SELL"
        rows.append((symbol, side, units, price, units * price, market.marks.snapshot.currency_of(symbol)))
    table = pd.DataFrame(rows, columns=["symbol", "side", "quantity", "price", "notional", "currency"])
    return table.astype({"quantity": float, "price": float, "notional": float})
