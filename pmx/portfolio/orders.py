"""From weights to orders: whole lots that still obey every hard rule, and leave cash for their costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked
from pmx.errors import InfeasibleError
from pmx.portfolio.costs import CostModel
from pmx.portfolio.lots import LotGrid, Trading, exact
from pmx.portfolio.market import Holding, Market
from pmx.portfolio.moments import Date
from pmx.portfolio.nav import Marks, Prices
from pmx.portfolio.netting import Books
from pmx.portfolio.order_plan import OrderPlan, SizableAllocation
from pmx.portfolio.rounding import DUST, Limits, odd_lots_left, rounded
from pmx.portfolio.sizing import FromPolicy, Sizing
from pmx.portfolio.snapshot import PortfolioSnapshot

Array = NDArray[np.float64]


@checked(outside=["prices"], elsewhere=["lot_size", "lot_sizes", "costs"])
def size_orders(
    allocation: SizableAllocation,
    snapshot: PortfolioSnapshot,
    prices: Prices,
    *,
    lot_size: float | FromPolicy | None = "policy",
    lot_sizes: Mapping[str, float] | FromPolicy | None = "policy",
    min_order_nav_frac: float | FromPolicy = "policy",
    costs: CostModel | FromPolicy | None = "policy",
    prices_as_of: Date | Mapping[str, Date] | None = None,
) -> OrderPlan:
    """Turn weights into orders whose result still obeys every hard rule.

    Of all portfolios in whole lots that obey every hard rule and leave cash for the costs of their orders, the nearest
    is taken: that with the least Σ abs(weight − allocated weight) over positions and the cash that they leave. Rounding
    up is part of it, where rules, restrictions and cash allow. Quantities are decimal, whole numbers of lots.

    What is held in an odd lot is left as long as no whole number of lots is nearer to its weight; else the first order
    in it leads to whole lots, and is the only odd one. Orders are netted over buckets; a symbol that is held, but not
    in the allocation, is sold, odd lot and all. Cash stays above ``cash_min``, or above zero, or above what the
    allocation borrows.

    Rules on trades are counted from the snapshot, whatever ``previous`` and ``nav`` the allocation was solved with: a
    gate of ``reduce_only`` lets nothing be bought, liquidity is participation × traded value in money, and turnover is
    what the orders trade.

    How orders are sized is stated in the policy of the allocation, under ``execution.sizing`` and ``execution.costs``;
    an argument that is given replaces the key of its name.

    Parameters
    ----------
    allocation : Allocation
        The weights, the rules that they obey, and the policy.
    snapshot : PortfolioSnapshot
        What is owned now, in the policy's base currency.
    prices : mapping or Series by symbol
        Prices in each symbol's own currency. A Series named by a date, such as a row of closes, is of that date.
    lot_size : float or None
        Units in one lot; None where any fraction of a unit can be held.
    lot_sizes : mapping of str to float
        The same for single symbols; empty where there are none.
    min_order_nav_frac : float, fraction of NAV
        A smaller order is not sent if every hard rule holds without it. It is sent where what is held cannot
        be told apart by bucket.
    costs : CostModel or None
        What orders cost, in place of the policy's; None sets nothing aside.
    prices_as_of : date or mapping of symbol to date, optional
        When the prices were made, in place of the name of a Series.

    Returns
    -------
    OrderPlan

    Raises
    ------
    DataError
        If :func:`pmx.compute_nav` refuses a price, a rate or the snapshot's currency, NAV is not positive, a lot size
        or ``min_order_nav_frac`` is out of range, or rules on trades leave a position no size from where it is now.
    InfeasibleError
        If no whole-lot portfolio obeys the hard rules and leaves cash for costs; it names those that cannot hold
        together.
    SolverError
        If none is found, though none of the linear rules forbids it: a rule on volatility or one of your own does.

    Examples
    --------
    >>> import pandas as pd
    >>> from pmx.policy import Policy
    >>> from pmx.projection import solve
    >>> policy = Policy.from_mapping({
    ...     "risk_buckets": {"buckets": {"ts_core": {"role": "risk", "base_nav_frac": 0.2}}}})
    >>> index = pd.MultiIndex.from_tuples([("ts_core", "SPY")], names=["bucket", "symbol"])
    >>> allocation = solve(policy, pd.Series([1.0], index=index))
    >>> plan = size_orders(allocation, PortfolioSnapshot(10_000.0, {}), {"SPY": 450.0}, lot_size=1.0)
    >>> plan.orders[["symbol", "side", "quantity"]].to_dict("records"), plan.cash_after
    ([{'symbol': 'SPY', 'side': 'BUY', 'quantity': 2.0}], 9099.82)
    """
    sizing = Sizing.of(allocation.policy, lot_size, lot_sizes, min_order_nav_frac, costs)
    market = Market.open(Marks.of(snapshot, prices, allocation.policy, prices_as_of), sizing)
    positions, wanted = allocation.positions.index.tolist(), np.array(allocation.positions, dtype=np.float64)
    symbols = [symbol for _, symbol in positions]
    holding = Holding.of(snapshot, positions, allocation.residual_symbol)
    asked = {symbol for symbol, weight in zip(symbols, wanted.tolist(), strict=True) if weight != 0.0}
    value = market.values(symbols, asked | holding.by_symbol.keys())
    held = holding.quantity * value
    limited = _counted_from_now(allocation, market, holding, wanted, value)
    limits = Limits(limited, _trading(allocation, market, holding, symbols, value))
    grid = _grid(limited, market, holding, symbols, wanted, value)
    try:
        answer = rounded(limits, grid, wanted, held)
    except InfeasibleError as error:
        if limited is not allocation:
            error.add_hints(["limits on trades are counted from this snapshot; solve again with previous= from it"])
        raise
    quantity = _quantities(answer.grid, answer.weights, market, holding, symbols, value)
    left = [symbols[j] for j in np.flatnonzero(~answer.grid.free & (np.abs(held - wanted) > DUST))]
    return Books(limits, market, holding, value).plan(quantity, answer.least_distance, left)


def _counted_from_now(
    allocation: SizableAllocation, market: Market, holding: Holding, wanted: Array, value: Array
) -> SizableAllocation:
    """Return the allocation with its limits on trades counted from what is held, and from NAV now."""
    residual, index = allocation.residual_symbol, allocation.positions.index
    held = holding.shared_out(wanted, value, residual) * value
    beside = 0.0
    if residual is not None and residual in holding.by_symbol:
        own = sum((exact(units) for units in holding.quantity[holding.rows_of.get(residual, [])].tolist()), Decimal(0))
        beside = float(holding.by_symbol[residual] - own) * market.value(residual)
    return allocation.counted_from(pd.Series(held, index=index), market.nav, beside)


def _trading(
    allocation: SizableAllocation, market: Market, holding: Holding, symbols: list[str], value: Array
) -> Trading:
    """Return what purchases and their costs may take: all but the least cash, and the costs of what is sold anyway."""
    model, residual = market.sizing.costs, allocation.residual_symbol
    names = list(dict.fromkeys(symbols))
    number = {symbol: i for i, symbol in enumerate(names)}
    held = np.zeros(len(names))
    for symbol, i in number.items():
        rows = holding.rows_of[symbol]
        units = holding.by_symbol.get(symbol, 0) if symbol != residual else math.fsum(holding.quantity[rows])
        held[i] = float(units) * value[rows[0]]
    reserved, sold = 0.0, 0.0
    for symbol, total in holding.by_symbol.items():
        if symbol == residual:
            own = sum(exact(units) for units in holding.quantity[holding.rows_of.get(symbol, [])])
            reserved += model.rate(symbol) * abs(float(total - own)) * market.value(symbol)
        elif symbol not in number:
            sold += model.rate(symbol) * abs(float(total)) * market.value(symbol)
    least = _least_cash(allocation)
    at = np.array([number[symbol] for symbol in symbols], dtype=np.intp)
    return Trading(at, held, model.rates(names), 1.0 - least - reserved - sold, sold)


def _least_cash(allocation: SizableAllocation) -> float:
    """Return the weight of cash that must stay: ``cash_min``, zero, or what the allocation itself borrows."""
    left = 1.0 - math.fsum(allocation.positions.to_numpy())
    policy = allocation.policy
    least = None if policy is None or policy.bypassed else policy.risk_buckets.portfolio.cash_min
    return min(0.0 if least is None else least, left)


def _grid(
    allocation: SizableAllocation,
    market: Market,
    holding: Holding,
    symbols: list[str],
    wanted: Array,
    value: Array,
) -> LotGrid:
    """Return the sizes that positions can take."""
    lot = market.lots(symbols)
    whole = ~np.isnan(lot)
    unit = np.where(whole, np.nan_to_num(lot) * value, np.where(value > 0.0, 1.0, 0.0))
    grid = LotGrid(unit, whole)
    odd = np.array(
        [
            units != 0.0 and symbol not in holding.mixed and not market.in_lots(symbol, exact(units))[1]
            for symbol, units in zip(symbols, holding.quantity.tolist(), strict=True)
        ],
        dtype=bool,
    )
    if not odd.any():
        return grid
    alone = np.array([len(holding.rows_of[symbol]) == 1 for symbol in symbols], dtype=bool)
    stay = odd_lots_left(grid, allocation.linear_rules(), wanted, holding.quantity * value, odd, alone)
    return LotGrid(unit, whole, stay)


def _quantities(
    grid: LotGrid, weights: Array, market: Market, holding: Holding, symbols: list[str], value: Array
) -> Array:
    """Return weights as quantities, whole numbers of lots in decimal, shape (n,)."""
    count = np.round(np.divide(weights, grid.unit, out=np.zeros_like(weights), where=grid.unit > 0.0))
    quantity = np.divide(weights, value, out=np.zeros_like(weights), where=value > 0.0)
    quantity = np.where(np.abs(weights - holding.quantity * value) <= DUST, holding.quantity, quantity)
    for j in np.flatnonzero(grid.whole).tolist():
        lot = market.sizing.lot_of(symbols[j])
        quantity[j] = float(lot * int(count[j])) if lot is not None else quantity[j]
    return np.where(grid.free, quantity, holding.quantity)
