"""Cash and quantities: marked at closes, traded at closes, never losing a cent between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmx.arguments import checked, require_shape
from pmx.data.sessions import NEVER
from pmx.errors import DataError, LedgerError
from pmx.portfolio import PortfolioSnapshot

Array = NDArray[np.float64]


class Fill(NamedTuple):
    """One symbol's trade, netted over buckets.

    Attributes
    ----------
    symbol : str
        What was traded.
    quantity : float
        Units, signed.
    price, value, cost : float
        Base currency; ``value`` is signed, ``cost`` is not.
    reason : str
        ``"rebalance"`` or ``"delisted"``.
    """

    symbol: str
    quantity: float
    price: float
    value: float
    cost: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """What was traded at once, a row for each symbol; iterates over each `Fill`.

    Attributes
    ----------
    symbols : tuple of str
        The account's symbols.
    column : array of int, shape (n_fills,)
        Which of them each row is about.
    quantity, price, value, cost : array, shape (n_fills,)
        As in `Fill`.
    reason : str
        As in `Fill`, of all rows.
    """

    symbols: tuple[str, ...]
    column: NDArray[np.intp]
    quantity: Array
    price: Array
    value: Array
    cost: Array
    reason: str

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Iterator[Fill]:
        figures = zip(self.quantity.tolist(), self.price.tolist(), self.value.tolist(), self.cost.tolist(), strict=True)
        for column, (quantity, price, value, cost) in zip(self.column.tolist(), figures, strict=True):
            yield Fill(self.symbols[column], quantity, price, value, cost, self.reason)


class Account:
    r"""What is owned, by (bucket, symbol), in one currency.

    Profit is kept apart by bucket; trades are netted by symbol, and costs are charged on the net. From one close to
    the next, with quantities :math:`q` held between them and marks :math:`p`,

    .. math:: V_t - V_{t-1} = \sum_j q_j (p_{j,t} - p_{j,t-1}) + \text{interest} - \text{costs} .

    Parameters
    ----------
    positions : sequence of (bucket, symbol)
        Everything that can be held.
    symbols : sequence of str
        The columns of the price rows.
    cash : float
        Opening cash, base currency.
    cost_rates : array, shape (n_symbols,)
        Cost of one side, fraction of the traded value.

    Attributes
    ----------
    cash : float
        Base currency; negative is borrowed.
    quantities : array, shape (n,)
        Units of each position, signed.
    values : array, shape (n,)
        Marked value of each position, base currency.
    marks : array, shape (n_symbols,)
        Last close of each symbol; NaN before the first.
    bars_stale : array of int, shape (n_symbols,)
        Sessions since the last close; rows, before the first one.
    cost_rates : array, shape (n_symbols,)
        Cost of one side, fraction of the traded value.

    Raises
    ------
    DataError
        When cash is not a positive number, a position is given twice, or its symbol has no price column.

    Examples
    --------
    >>> account = Account([("ts_core", "SPY")], ["SPY"], cash=1_000.0, cost_rates=np.array([0.001]))
    >>> account.mark(np.array([100.0])).tolist(), account.accrue(0.01)
    ([0.0], 10.0)
    >>> [fill] = account.rebalance(np.array([0.5]), tradable=np.array([True]))
    >>> fill.quantity, round(fill.cost, 6), round(account.nav, 6)
    (5.05, 0.505, 1009.495)
    """

    @checked
    def __init__(
        self, positions: Sequence[tuple[str, str]], symbols: Sequence[str], cash: float, cost_rates: Array
    ) -> None:
        if not np.isfinite(cash) or cash <= 0:
            raise DataError(f"opening cash is {cash}; it must be a positive amount of the base currency")
        self.positions = tuple(positions)
        self.symbols = tuple(symbols)
        if len(set(self.positions)) < len(self.positions):
            twice = next(position for position in self.positions if self.positions.count(position) > 1)
            raise DataError(f"position {twice[0]}/{twice[1]} is given twice; keep one")
        column = {symbol: i for i, symbol in enumerate(self.symbols)}
        missing = [symbol for _, symbol in self.positions if symbol not in column]
        if missing:
            raise DataError(f"there is no price column for {missing[0]}; add it, or leave the symbol out of the policy")
        self.column = np.array([column[symbol] for _, symbol in self.positions], dtype=np.intp)
        self.cash = float(cash)
        self.quantities = np.zeros(len(self.positions))
        self.values = np.zeros(len(self.positions))
        self.marks = np.full(len(self.symbols), np.nan)
        self._never_stale = np.zeros(len(self.symbols), dtype=np.int64)
        self.bars_stale = self._never_stale
        self.cost_rates = np.asarray(cost_rates, dtype=np.float64)
        self._worth = 0.0
        none = np.zeros(0)
        self._nothing = Fills(self.symbols, np.zeros(0, dtype=np.intp), none, none, none, none, "")
        self._prices = np.zeros(len(self.positions))  # the mark of each position's symbol; 0 before the first

    @property
    def nav(self) -> float:
        """Cash plus marked value, base currency."""
        return self.cash + self._worth

    def _revalue(self) -> None:
        self.values = self.quantities * self._prices
        self._worth = float(self.values.sum())

    @checked
    def accrue(self, rate: float) -> float:
        """Add interest on cash, ``rate`` a simple fraction for the whole span; return the amount.

        Borrowed cash pays the same rate.
        """
        interest = self.cash * rate
        self.cash += interest
        return interest

    @checked
    def mark(self, closes: Array, missed: NDArray[np.int64] | None = None) -> Array:
        """Take in one row of closes; return each position's profit since the last one, shape (n,).

        A missing close keeps the last mark. Symbols that were never priced have no mark and cannot be held.

        Parameters
        ----------
        closes : array, shape (n_symbols,)
            NaN where there is none.
        missed : array of int, shape (n_symbols,), optional
            Sessions that each symbol has missed, see `pmx.data.sessions`; every row is one where they are not given.
        """
        require_shape("closes", closes, (len(self.symbols),), "one close for each symbol of the account")
        fresh = np.isfinite(closes)
        if fresh.all():
            self.marks, self.bars_stale = closes.copy(), self._never_stale
            prices = closes[self.column]
        else:
            self.marks = np.where(fresh, closes, self.marks)
            rows = np.where(fresh, 0, self.bars_stale + 1)
            self.bars_stale = rows if missed is None else np.where(missed == NEVER, rows, missed)
            prices = np.where(fresh[self.column], self.marks[self.column], self._prices)
        profit = self.quantities * (prices - self._prices)
        self._prices = prices
        self._revalue()
        return profit

    @checked
    def split(self, ratios: Array) -> None:
        """Turn each unit of a symbol into ``ratios`` units, shape (n_symbols,), each marked at so much less."""
        require_shape("ratios", ratios, (len(self.symbols),), "one ratio for each symbol of the account")
        of = ratios[self.column]
        self.quantities, self._prices = self.quantities * of, self._prices / of
        self.marks = self.marks / ratios
        self._revalue()

    @checked
    def pay_dividends(self, amounts: Array) -> Array:
        """Take in ``amounts`` of cash for each unit held, shape (n_symbols,); return each position's part, shape (n,).

        Who is short pays.
        """
        require_shape("amounts", amounts, (len(self.symbols),), "one amount for each symbol of the account")
        paid: Array = self.quantities * amounts[self.column]
        self.cash += float(paid.sum())
        return paid

    def held_by_symbol(self) -> Array:
        """Return the units of each symbol over all positions, shape (n_symbols,)."""
        return np.bincount(self.column, weights=self.quantities, minlength=len(self.symbols)).astype(np.float64)

    @checked
    def resume(self, cash: float, quantities: Array, closes: Array) -> None:
        """Take over cash and quantities as they are after a close at which every symbol had a price."""
        require_shape("quantities", quantities, (len(self.positions),), "units of each position of the account")
        require_shape("closes", closes, (len(self.symbols),), "one close for each symbol of the account")
        self.cash, self.quantities = cash, quantities.copy()
        self.marks, self.bars_stale, self._prices = closes.copy(), self._never_stale, closes[self.column]
        self._revalue()

    @checked
    def rebalance(self, weights: Array, tradable: NDArray[np.bool_], among: NDArray[np.bool_] | None = None) -> Fills:
        """Trade to weights of the NAV before costs, at the marks.

        Costs come out of cash, so that each weight of the NAV after costs is a little larger.

        Parameters
        ----------
        weights : array, shape (n,)
            Signed fractions of NAV. Positions in symbols that are not tradable are left as they are.
        tradable : array of bool, shape (n_symbols,)
            Symbols that have a price to trade at.
        among : array of bool, shape (n,), optional
            The positions that are traded; all when omitted.

        Returns
        -------
        Fills
            One for each symbol that traded.
        """
        require_shape("weights", weights, (len(self.positions),), "one weight for each position of the account")
        require_shape("tradable", tradable, (len(self.symbols),), "one flag for each symbol of the account")
        can = tradable[self.column] & (self._prices > 0.0)
        if among is not None:
            require_shape("among", among, (len(self.positions),), "one flag for each position of the account")
            can &= among
        if can.all():
            return self.trade_to(weights * self.nav / self._prices, "rebalance")
        wanted = np.divide(weights * self.nav, self._prices, out=self.quantities.copy(), where=can)
        return self.trade_to(wanted, "rebalance")

    @checked
    def trade_to(self, quantities: Array, reason: str) -> Fills:
        """Change the quantities at the marks, charge costs, and return what was traded.

        Raises
        ------
        LedgerError
            When something without a price would be traded; nothing is changed then.
        """
        require_shape("quantities", quantities, (len(self.positions),), "units of each position of the account")
        change = quantities - self.quantities
        if not self._prices.all():
            unpriced = self._prices == 0.0
            if change[unpriced].any():
                symbol = self.positions[int(np.argmax(unpriced & (change != 0.0)))][1]
                raise LedgerError(f"{symbol} has never had a price and cannot be traded; wait for its first close")
        net = np.asarray(np.bincount(self.column, weights=change, minlength=len(self.symbols)), dtype=np.float64)
        moved = net.nonzero()[0]
        traded, price = net[moved], self.marks[moved]
        value = traded * price
        cost = np.abs(value) * self.cost_rates[moved]
        self.quantities = np.array(quantities, dtype=np.float64)
        self._revalue()
        self.cash -= float(value.sum()) + float(cost.sum())
        return Fills(self.symbols, moved, traded, price, value, cost, reason)

    @checked
    def write_down(self, gone: NDArray[np.bool_], fraction: float) -> Array:
        """Move the marks of symbols against what is held of them; return each position's profit by it, shape (n,).

        Parameters
        ----------
        gone : array of bool, shape (n,)
            Positions whose symbols are written down.
        fraction : float
            Of the mark: a long loses it, a short too.
        """
        net = np.bincount(self.column, weights=np.where(gone, self.quantities, 0.0), minlength=len(self.symbols))
        self.marks = self.marks * (1.0 - fraction * np.sign(net))
        prices = np.where(gone, self.marks[self.column], self._prices)
        profit: Array = self.quantities * (prices - self._prices)
        self._prices = prices
        self._revalue()
        return profit

    @checked
    def close_delisted(self, max_stale_bars: int) -> Fills:
        """Close positions that missed more than ``max_stale_bars`` sessions, at their last mark and usual cost."""
        if self.bars_stale is self._never_stale:
            return self._nothing
        gone = (self.bars_stale > max_stale_bars)[self.column] & (self.quantities != 0.0)
        if not gone.any():
            return self._nothing
        return self.trade_to(np.where(gone, 0.0, self.quantities), "delisted")

    @checked
    def snapshot(self, base_currency: str) -> PortfolioSnapshot:
        """Return what is owned as a snapshot, for :func:`pmx.compute_nav` and :func:`pmx.size_orders`."""
        held = {position: float(q) for position, q in zip(self.positions, self.quantities, strict=True) if q}
        return PortfolioSnapshot(self.cash, held, base_currency)
