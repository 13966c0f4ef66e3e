"""From weights to orders: whole lots that still obey every hard rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.errors import InfeasibleError, SolverError
from pmx.policy import CASH
from pmx.portfolio.lots import ROUNDING, SEARCH_TOLERANCE, LinearRules, LotGrid
from pmx.portfolio.market import Holding, Market
from pmx.portfolio.moments import Date
from pmx.portfolio.nav import Marks, Prices
from pmx.portfolio.sizing import FromPolicy, Sizing
from pmx.portfolio.snapshot import UNASSIGNED, PortfolioSnapshot, by_position

if TYPE_CHECKING:
    from pmx.policy import Policy

Array = NDArray[np.float64]

#: Greatest excess over a hard rule, fraction of NAV.
TOLERANCE = 1e-9
#: An order smaller than this fraction of NAV is rounding of floating-point numbers, not trading.
DUST = 1e-12


class SizableAllocation(Protocol):
    """What `size_orders` needs to know of an allocation."""

    @property
    def policy(self) -> Policy | None:
        """The policy that it obeys, whose ``execution`` says how orders are sized; None where there is none."""
        ...

    @property
    def positions(self) -> pd.Series[float]:
        """Signed fraction of NAV, Series by (bucket, symbol)."""
        ...

    @property
    def weights(self) -> pd.Series[float]:
        """Signed fraction of NAV, Series by symbol and ``CASH``."""
        ...

    @property
    def residual_symbol(self) -> str | None:
        """Symbol that takes what positions leave above the weight of ``CASH``; None if cash does."""
        ...

    def violations(self, positions: pd.Series[float]) -> pd.Series[float]:
        """Return by how much other weights would break hard rules: rule name → fraction of NAV."""
        ...

    def linear_rules(self) -> LinearRules:
        """Return the linear rules, columns in the order of ``positions``."""
        ...


@dataclass(frozen=True, eq=False)
class OrderPlan:
    """Orders, and what is owned once they are filled at these prices and without costs.

    Attributes
    ----------
    orders : DataFrame
        One row a symbol, sales first: ``symbol``, ``side`` ("BUY" or "SELL"), ``quantity`` > 0 in units,
        ``price`` and ``notional`` in ``currency``, the symbol's own.
    quantities : Series by (bucket, symbol), units
        What each position holds after trading. What a residual symbol holds is of bucket `UNASSIGNED`.
    weights : Series by (bucket, symbol), signed fraction of NAV
        The same, valued.
    cash_after : float, base currency
        Cash of all currencies after trading.
    max_deviation : float, fraction of NAV
        Greatest distance of a position from its allocated weight; a residual symbol's is not counted.
    skipped : tuple of str
        Symbols whose order was too small to be worth sending.
    """

    orders: pd.DataFrame
    quantities: pd.Series[float]
    weights: pd.Series[float]
    cash_after: float
    max_deviation: float
    skipped: tuple[str, ...]


def size_orders(
    allocation: SizableAllocation,
    snapshot: PortfolioSnapshot,
    prices: Prices,
    *,
    lot_size: float | FromPolicy | None = "policy",
    lot_sizes: Mapping[str, float] | FromPolicy | None = "policy",
    min_order_nav_frac: float | FromPolicy = "policy",
    prices_as_of: Date | Mapping[str, Date] | None = None,
) -> OrderPlan:
    """Turn weights into orders whose result still obeys every hard rule.

    Each position is rounded toward zero to whole lots, which no upper limit on long positions minds. Where
    that breaks a hard rule all the same (one with a lower limit, say), the nearest whole-lot portfolio that
    obeys all of them is searched for. Orders are netted over buckets; a symbol that is held, but not in the
    allocation, is sold. No cash is set aside for costs.

    How orders are sized is stated in the policy of the allocation, under ``execution.sizing``; an argument that is
    given replaces the key of its name.

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
    prices_as_of : date or mapping of symbol to date, optional
        When the prices were made, in place of the name of a Series.

    Returns
    -------
    OrderPlan

    Raises
    ------
    DataError
        If :func:`pmx.compute_nav` refuses a price, a rate or the snapshot's currency, NAV is not positive, or a lot
        size or ``min_order_nav_frac`` is out of range.
    InfeasibleError
        If no whole-lot portfolio obeys the hard rules; it names those that cannot hold together.
    SolverError
        If none is found, though none of the linear rules forbids it: a rule on turnover or volatility does.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> from pmx.projection import solve
    >>> policy = Policy.from_mapping({
    ...     "risk_buckets": {"buckets": {"ts_core": {"role": "risk", "base_nav_frac": 0.2}}}})
    >>> index = pd.MultiIndex.from_tuples([("ts_core", "SPY")], names=["bucket", "symbol"])
    >>> allocation = solve(policy, pd.Series([1.0], index=index))
    >>> plan = size_orders(allocation, PortfolioSnapshot(10_000.0, {}), {"SPY": 450.0}, lot_size=1.0)
    >>> plan.orders[["symbol", "side", "quantity"]].to_dict("records"), plan.cash_after
    ([{'symbol': 'SPY', 'side': 'BUY', 'quantity': 4.0}], 8200.0)
    """
    sizing = Sizing.of(allocation.policy, lot_size, lot_sizes, min_order_nav_frac)
    market = Market.open(Marks.of(snapshot, prices, allocation.policy, prices_as_of), sizing)
    positions, wanted = allocation.positions.index.tolist(), np.array(allocation.positions, dtype=np.float64)
    symbols = [symbol for _, symbol in positions]
    holding = Holding.of(snapshot, positions, allocation.residual_symbol)

    value, lot = market.values(symbols, (wanted != 0.0) | (holding.quantity != 0.0)), market.lots(symbols)
    whole, priced = ~np.isnan(lot), value > 0.0
    unit = np.where(whole, np.nan_to_num(lot) * value, np.where(priced, 1.0, 0.0))
    weights = _obeying(allocation, LotGrid(unit, whole), wanted, holding.quantity * value)
    quantity = _divide(weights, value)
    quantity[whole] = np.round(_divide(weights, unit)[whole]) * lot[whole]
    return _plan(allocation, market, holding, quantity, value, max(sizing.min_order_nav_frac, DUST))


def _broken(allocation: SizableAllocation, weights: Array) -> dict[str, float]:
    positions = pd.Series(weights, index=allocation.positions.index)
    return {str(rule): excess for rule, excess in allocation.violations(positions).items() if excess > TOLERANCE}


def _obeying(allocation: SizableAllocation, grid: LotGrid, wanted: Array, held: Array) -> Array:
    """Return weights on the grid that obey every hard rule, near to what is wanted, shape (n,)."""
    rounded = grid.toward_zero(wanted)
    broken = _broken(allocation, rounded)
    if not broken:
        return rounded
    rules = allocation.linear_rules()
    nearest = grid.nearest(rules, wanted)
    if nearest is None:
        names = grid.conflict(rules) or tuple(broken)
        worst = max(broken, key=broken.__getitem__)
        raise InfeasibleError(
            f"no whole-lot portfolio obeys {', '.join(names)}: rounding toward zero breaks {worst} by "
            f"{broken[worst]:.3g} of NAV, and no other rounding helps; use smaller lots or more NAV",
            rules=names,
        )
    candidates: list[Callable[[], Array | None]] = [
        lambda: nearest,
        lambda: grid.nearest(rules, wanted, margin=SEARCH_TOLERANCE),
        lambda: grid.toward(held, wanted),  # less trading: for a limit on turnover, which is not a linear rule
    ]
    for candidate in candidates:
        weights = candidate()
        if weights is not None and not _broken(allocation, weights):
            return weights
    raise SolverError(
        f"no whole-lot portfolio found that obeys {', '.join(_broken(allocation, nearest))}; use smaller "
        "lots, or leave that rule some room"
    )


def _skip_small(
    allocation: SizableAllocation, holding: Holding, quantity: Array, value: Array, smallest: float
) -> tuple[Array, tuple[str, ...]]:
    """Leave symbols as they are held where their order is too small, as long as every hard rule holds.

    Returns quantities, shape (n,), and the symbols that were left.
    """

    def without(symbols: Sequence[str], quantity: Array) -> Array | None:
        rows = [row for symbol in symbols for row in holding.rows_of[symbol]]
        trial = quantity.copy()
        trial[rows] = holding.quantity[rows]
        return None if _broken(allocation, trial * value) else trial

    size = {
        symbol: abs(math.fsum(quantity[rows]) - holding.by_symbol.get(symbol, 0.0)) * value[rows[0]]
        for symbol, rows in holding.rows_of.items()
        if symbol not in holding.mixed
    }
    small = sorted((symbol for symbol in size if 0.0 < size[symbol] < smallest), key=size.__getitem__)
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


def _residual(
    allocation: SizableAllocation,
    market: Market,
    holding: Holding,
    quantity: Array,
    invested: float,
    smallest: float,
) -> float:
    """Return the units of the residual symbol that belong to no position.

    It takes what positions leave above the weight of cash, in whole lots; an order too small is not made
    where that leaves enough cash.
    """
    symbol = allocation.residual_symbol
    if symbol is None:
        return 0.0
    rows = holding.rows_of.get(symbol, [])
    wanted = allocation.weights.get(symbol, 0.0) - math.fsum(allocation.positions.to_numpy()[rows])
    if wanted <= DUST:
        return 0.0
    value, lot = market.value(symbol), market.lots([symbol])[0]
    room = max(0.0, 1.0 - invested - allocation.weights[CASH])
    units = room / value if np.isnan(lot) else math.floor(room / value / lot + ROUNDING) * lot
    unchanged = holding.by_symbol.get(symbol, 0.0) - math.fsum(quantity[rows])
    small = abs(units - unchanged) * value < smallest
    return unchanged if small and 0.0 <= unchanged * value <= room + DUST else units


def _plan(
    allocation: SizableAllocation,
    market: Market,
    holding: Holding,
    quantity: Array,
    value: Array,
    smallest: float,
) -> OrderPlan:
    quantity, skipped = _skip_small(allocation, holding, quantity, value, smallest)
    weights = quantity * value
    deviation = np.abs(weights - allocation.positions.to_numpy())
    owned = dict(zip(allocation.positions.index.tolist(), quantity.tolist(), strict=True))
    worth = dict(zip(owned, weights.tolist(), strict=True))
    residual = _residual(allocation, market, holding, quantity, math.fsum(weights), smallest)
    if residual != 0.0:
        key = (UNASSIGNED, str(allocation.residual_symbol))
        owned[key], worth[key] = residual, residual * market.value(key[1])

    net = {symbol: -units for symbol, units in holding.by_symbol.items()}
    for (_, symbol), units in owned.items():
        net[symbol] = net.get(symbol, 0.0) + units
    trades = {s: units for s, units in net.items() if units != 0.0 and abs(units) * market.value(s) > DUST}
    spent = math.fsum(units * market.worth(symbol) for symbol, units in trades.items())
    return OrderPlan(
        orders=_orders_table(market, trades),
        quantities=by_position(owned, "quantity"),
        weights=by_position(worth, "weight"),
        cash_after=market.cash - spent,
        max_deviation=float(deviation.max(initial=0.0)),
        skipped=skipped,
    )


def _orders_table(market: Market, trades: Mapping[str, float]) -> pd.DataFrame:
    """Return one row a symbol, sales first: they bring in the cash for the rest."""
    rows = []
    for symbol in sorted(trades, key=lambda symbol: (trades[symbol] > 0.0, symbol)):
        units, price = abs(trades[symbol]), market.marks.book[symbol]
        side = "BUY" if trades[symbol] > 0.0 else "SELL"
        rows.append((symbol, side, units, price, units * price, market.marks.snapshot.currency_of(symbol)))
    table = pd.DataFrame(rows, columns=["symbol", "side", "quantity", "price", "notional", "currency"])
    return table.astype({"quantity": float, "price": float, "notional": float})


def _divide(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0.0)
