"""Net asset value: the one place where cash, quantities, prices and rates of exchange become money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.portfolio.fx import FxTable
from pmx.portfolio.moments import MAX_AGE_DAYS, Date
from pmx.portfolio.prices import PriceBook
from pmx.portfolio.snapshot import PortfolioSnapshot, Position, by_position, days

if TYPE_CHECKING:
    from pmx.policy import Policy

Prices = Mapping[str, float] | pd.Series


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


@dataclass(frozen=True, eq=False)
class Marks:
    """The prices and rates of one valuation, none of which is returned where it is missing, mad or too old.

    Attributes
    ----------
    snapshot : PortfolioSnapshot
        Currencies and moment.
    book : PriceBook
        Prices.
    fx : FxTable
        Rates.
    """

    snapshot: PortfolioSnapshot
    book: PriceBook
    fx: FxTable

    @classmethod
    def of(
        cls,
        snapshot: PortfolioSnapshot,
        prices: Prices,
        policy: Policy | None = None,
        prices_as_of: Date | Mapping[str, Date] | None = None,
        max_age_days: int | None = None,
    ) -> Marks:
        """Read prices and rates as :func:`compute_nav` does; its parameters and errors."""
        stated = [snapshot.max_fx_age_days]
        if policy is not None:
            require_currency(snapshot.base_currency, policy)
            stated.append(policy.execution.max_fx_age_days)
        oldest = min((days for days in stated if days is not None), default=MAX_AGE_DAYS)
        if max_age_days is not None:
            oldest = days("max_age_days", max_age_days)
        book = PriceBook(prices, snapshot.as_of, dates=prices_as_of, max_age_days=oldest)
        return cls(snapshot, book, replace(snapshot.fx, max_age_days=oldest))

    def worth(self, symbol: str) -> float:
        """Return what one unit is worth, base currency."""
        return self.book[symbol] * self.fx.rate(self.snapshot.currency_of(symbol))


@checked(outside=["prices"], elsewhere=["max_age_days"])
def compute_nav(
    snapshot: PortfolioSnapshot,
    prices: Prices,
    policy: Policy | None = None,
    *,
    prices_as_of: Date | Mapping[str, Date] | None = None,
    max_age_days: int | None = None,
) -> Nav:
    r"""Value a portfolio: the only source of NAV.

    .. math:: V = \sum_c \text{cash}_c \, f_c + \sum_j q_j \, p_j \, f_{c(j)}

    with :math:`f_c` the rate of currency :math:`c` to the base currency. A balance of zero needs no rate, a quantity
    of zero neither price nor rate.

    Parameters
    ----------
    snapshot : PortfolioSnapshot
        Cash, quantities, rates.
    prices : mapping or Series by symbol
        Prices in each symbol's own currency; those of symbols that are not held are not read. A Series named by a
        date, such as a row of closes, is of that date.
    policy : Policy, optional
        Whose base currency the snapshot must have, and whose ``execution.max_fx_age_days`` counts.
    prices_as_of : date or mapping of symbol to date, optional
        When the prices were made, in place of the name of a Series.
    max_age_days : int, optional
        Greatest age of a dated rate or price at the snapshot's ``as_of``, calendar days; in place of the policy's and
        the snapshot's.

    Returns
    -------
    Nav
        In the snapshot's base currency.

    Raises
    ------
    DataError
        If a price is missing, NaN, zero or negative, or a rate is missing or ambiguous; if one of them is dated and too
        old for the snapshot's ``as_of`` or from after it; if the policy has another base currency. The message names
        it. Nothing is skipped and no rate is taken to be 1.

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
    return nav_at(Marks.of(snapshot, prices, policy, prices_as_of, max_age_days))


def nav_at(marks: Marks) -> Nav:
    """Value a portfolio at prices and rates that have been read."""
    snapshot = marks.snapshot
    held = {code: amount for code, amount in snapshot.cash.items() if amount != 0.0}
    codes = {*held, *(snapshot.currency_of(symbol) for _, symbol in snapshot.holdings)}
    rates = {code: marks.fx.rate(code) for code in codes}
    cash = [amount * rates[code] for code, amount in held.items()]
    values = {
        position: quantity * marks.book[position[1]] * rates[snapshot.currency_of(position[1])]
        for position, quantity in snapshot.holdings.items()
    }
    for (bucket, symbol), value in values.items():
        if not math.isfinite(value):
            raise DataError(f"value of {bucket}/{symbol} is not finite; check its quantity, price and FX rate")
    try:
        total = math.fsum([*cash, *values.values()])
    except (OverflowError, ValueError):
        total = math.inf
    if not math.isfinite(total):
        raise DataError("NAV is beyond all numbers; check the cash and its FX rates")
    return Nav(total, snapshot.base_currency, math.fsum(cash), MappingProxyType(values))


@checked
def require_currency(given: str | None, policy: Policy) -> None:
    """Refuse a NAV in another currency than that of the policy's budgets; where it is not known there is no check.

    Raises
    ------
    DataError
        Naming both currencies and the remedy.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> require_currency("USD", Policy.from_mapping({"risk_buckets": {"portfolio": {"base_currency": "EUR"}}}))
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: NAV is in USD, the policy's budgets are in EUR (risk_buckets.portfolio.base_currency, python);
    make the snapshot with base_currency='EUR' and the FX rate USDEUR, or set that key to USD
    """
    key = "risk_buckets.portfolio.base_currency"
    wanted = policy.risk_buckets.portfolio.base_currency
    if given is not None and wanted != given:
        raise DataError(
            f"NAV is in {given}, the policy's budgets are in {wanted} ({key}, {policy.source(key)}); make the snapshot "
            f"with base_currency={wanted!r} and the FX rate {given}{wanted}, or set that key to {given}"
        )
