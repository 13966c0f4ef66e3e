"""Net asset value: the one place where cash, quantities, prices and rates of exchange become money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from types import MappingProxyType

import pandas as pd

from pmx.errors import DataError
from pmx.policy import CASH
from pmx.portfolio.fx import Date, FxTable, currency_code, timestamp
from pmx.portfolio.prices import PriceBook

#: Bucket of a quantity that was given by symbol alone.
UNASSIGNED = "unassigned"

Position = tuple[str, str]
Holdings = Mapping[str, float] | Mapping[Position, float] | pd.Series


@dataclass(frozen=True, init=False)
class PortfolioSnapshot:
    """What is owned at one moment: cash, quantities, and the rates that turn both into the base currency.

    Parameters
    ----------
    cash : float or mapping of str to float
        Amount in the base currency, or amounts by currency. Negative is borrowed.
    positions : mapping or Series
        Quantities in units (shares, contracts), negative where short, by symbol or by (bucket, symbol). Those
        given by symbol alone belong to the bucket `UNASSIGNED`. A quantity of 0 is no position.
    base_currency : str
        ISO 4217 code of the currency of NAV.
    fx : mapping of str to float, optional
        ``"EURUSD": 1.08`` (1 EUR costs 1.08 USD) or ``"EUR": 1.08`` (in the base currency).
    currencies : mapping of str to str, optional
        Symbol to the currency of its price; the base currency where a symbol is not named.
    as_of : date, optional
        The moment of the snapshot.
    fx_as_of : date or mapping of str to date, optional
        When the rates were true: one date, or one for each key of ``fx``. Without it they are taken to be of
        the snapshot's moment.
    max_fx_age_days : int
        Greatest age of a dated rate, calendar days.

    Attributes
    ----------
    cash : mapping of str to float
        By currency.
    holdings : mapping of (str, str) to float
        Quantities by (bucket, symbol), without zeros.
    base_currency, fx, currencies, as_of
        As above, read and checked.

    Raises
    ------
    DataError
        If an amount or quantity is not a finite number, a position is given twice, or a currency, rate or
        date is malformed.

    Examples
    --------
    >>> snapshot = PortfolioSnapshot(1_000.0, {("ts_core", "SPY"): 2.0, ("safe", "BIL"): 5.0})
    >>> float(compute_nav(snapshot, {"SPY": 450.0, "BIL": 90.0}))
    2350.0
    """

    cash: Mapping[str, float]
    holdings: Mapping[Position, float]
    base_currency: str
    fx: FxTable
    currencies: Mapping[str, str]
    as_of: pd.Timestamp | None

    def __init__(
        self,
        cash: float | Mapping[str, float],
        positions: Holdings,
        base_currency: str = "USD",
        fx: Mapping[str, float] | None = None,
        *,
        currencies: Mapping[str, str] | None = None,
        as_of: Date | None = None,
        fx_as_of: Date | Mapping[str, Date] | None = None,
        max_fx_age_days: int = 5,
    ) -> None:
        base = currency_code(base_currency, "base currency")
        amounts = cash if isinstance(cash, Mapping) else {base: cash}
        fields = {
            "cash": MappingProxyType(
                {currency_code(code, "cash in"): _number(f"cash in {code}", x) for code, x in amounts.items()}
            ),
            "holdings": MappingProxyType(_holdings(positions)),
            "base_currency": base,
            "fx": FxTable.from_mapping(fx or {}, base, as_of=as_of, dates=fx_as_of, max_age_days=max_fx_age_days),
            "currencies": MappingProxyType(
                {s: currency_code(code, f"currency of {s}") for s, code in (currencies or {}).items()}
            ),
            "as_of": None if as_of is None else timestamp(as_of, "snapshot as_of"),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def positions(self) -> pd.Series[float]:
        """Return quantities, Series by (bucket, symbol), in units."""
        return by_position(self.holdings, "quantity")

    def currency_of(self, symbol: str) -> str:
        """Return the currency in which a symbol is priced."""
        return self.currencies.get(symbol, self.base_currency)


@dataclass(frozen=True, eq=False)
class Nav:
    """Net asset value and its parts, in the base currency.

    Attributes
    ----------
    total : float
        Cash + Σ values.
    currency : str
        The base currency.
    cash : float
        All cash, changed into the base currency.
    values : mapping of (str, str) to float
        Signed market value by (bucket, symbol).

    Examples
    --------
    >>> nav = Nav(total=200.0, currency="USD", cash=150.0, values={("ts_core", "SPY"): 50.0})
    >>> float(nav), nav.weights.to_dict()
    (200.0, {('ts_core', 'SPY'): 0.25})
    """

    total: float
    currency: str
    cash: float
    values: Mapping[Position, float]

    def __float__(self) -> float:
        return self.total

    @cached_property
    def by_position(self) -> pd.Series[float]:
        """Market value, Series by (bucket, symbol)."""
        return by_position(self.values, "value")

    @property
    def by_symbol(self) -> pd.Series[float]:
        """Market value, Series by symbol, over all buckets."""
        return self.by_position.groupby(level="symbol").sum()

    @property
    def by_bucket(self) -> pd.Series[float]:
        """Market value, Series by bucket; cash belongs to none."""
        return self.by_position.groupby(level="bucket").sum()

    @cached_property
    def weights(self) -> pd.Series[float]:
        """Signed fraction of NAV, Series by (bucket, symbol); what lacks to 1 is cash.

        Raises
        ------
        DataError
            If NAV is not positive: fractions of it would mean nothing.
        """
        if self.total <= 0.0:
            raise DataError(
                f"NAV is {self.total:.6g} {self.currency}, must be > 0 for weights; add cash or close shorts"
            )
        return (self.by_position / self.total).rename("weight")


def compute_nav(snapshot: PortfolioSnapshot, prices: Mapping[str, float] | pd.Series[float]) -> Nav:
    r"""Value a portfolio: the only source of NAV.

    .. math:: V = \sum_c \text{cash}_c \, f_c + \sum_j q_j \, p_j \, f_{c(j)}

    with :math:`f_c` the rate of currency :math:`c` to the base currency.

    Parameters
    ----------
    snapshot : PortfolioSnapshot
        Cash, quantities, rates.
    prices : mapping or Series by symbol
        Prices in each symbol's own currency; those of symbols that are not held are not read.

    Returns
    -------
    Nav
        In the snapshot's base currency.

    Raises
    ------
    DataError
        If a price is missing, NaN, zero or negative, or a rate is missing, stale or ambiguous; the message
        names it. Nothing is skipped and no rate is taken to be 1.

    Examples
    --------
    >>> snapshot = PortfolioSnapshot(
    ...     {"USD": 100.0, "NGN": 150_000.0}, {"DANGCEM": 10.0}, "USD", {"USDNGN": 1500.0},
    ...     currencies={"DANGCEM": "NGN"},
    ... )
    >>> nav = compute_nav(snapshot, {"DANGCEM": 600.0})
    >>> round(nav.total, 9), round(nav.cash, 9), nav.currency
    (204.0, 200.0, 'USD')
    """
    book = PriceBook(prices, snapshot.as_of)
    codes = {*snapshot.cash, *(snapshot.currency_of(symbol) for _, symbol in snapshot.holdings)}
    rates = {code: snapshot.fx.rate(code) for code in codes}
    cash = [amount * rates[code] for code, amount in snapshot.cash.items()]
    values = {
        position: quantity * book[position[1]] * rates[snapshot.currency_of(position[1])]
        for position, quantity in snapshot.holdings.items()
    }
    for (bucket, symbol), value in values.items():
        if not math.isfinite(value):
            raise DataError(f"value of {bucket}/{symbol} is not finite; check its quantity, price and FX rate")
    total = math.fsum([*cash, *values.values()])
    return Nav(total, snapshot.base_currency, math.fsum(cash), MappingProxyType(values))


def _holdings(positions: Holdings) -> dict[Position, float]:
    holdings: dict[Position, float] = {}
    for key, quantity in positions.items():
        position = (UNASSIGNED, key) if isinstance(key, str) else key
        if not (isinstance(position, tuple) and len(position) == 2 and all(isinstance(name, str) for name in position)):
            raise DataError(f"position {key!r} is neither a symbol nor (bucket, symbol); name it so")
        if position[1] == CASH:
            raise DataError("CASH is no position; give the amount as cash")
        if position in holdings:
            raise DataError(f"position {position[0]}/{position[1]} is given twice; add the quantities up")
        holdings[position] = _number(f"quantity of {position[0]}/{position[1]}", quantity)
    return {position: quantity for position, quantity in holdings.items() if quantity != 0.0}


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise DataError(f"{what} is {value!r}, must be a finite number; correct it")
    return float(value)


def by_position(values: Mapping[Position, float], name: str) -> pd.Series[float]:
    """Return a mapping of (bucket, symbol) as a Series with that index."""
    index = pd.MultiIndex.from_arrays(
        [[bucket for bucket, _ in values], [symbol for _, symbol in values]], names=["bucket", "symbol"]
    )
    return pd.Series(list(values.values()), index=index, dtype=float, name=name)
