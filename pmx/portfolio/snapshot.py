"""What is owned at one moment, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType

import pandas as pd

from pmx.arguments import checked, plain_number
from pmx.errors import DataError
from pmx.policy import CASH
from pmx.policy.symbols import is_number_ticker
from pmx.portfolio.fx import FxTable, currency_code
from pmx.portfolio.moments import MAX_AGE_DAYS, Date, timestamp

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
    max_fx_age_days : int, optional
        Greatest age of a dated rate or price, calendar days. Where a policy is known too, the tighter of this and its
        ``execution.max_fx_age_days`` counts; 5 where neither is known.

    Attributes
    ----------
    cash : mapping of str to float
        By currency.
    holdings : mapping of (str, str) to float
        Quantities by (bucket, symbol), without zeros.
    base_currency, fx, currencies, as_of, max_fx_age_days
        As above, read and checked.

    Raises
    ------
    DataError
        If an amount or quantity is not a finite number, a position is given twice, or a currency, rate or
        date is malformed.

    Examples
    --------
    >>> from pmx.portfolio import compute_nav
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
    max_fx_age_days: int | None

    @checked(outside=["positions", "fx", "currencies"], elsewhere=["cash", "as_of", "fx_as_of", "max_fx_age_days"])
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
        max_fx_age_days: int | None = None,
    ) -> None:
        base = currency_code(base_currency, "base currency")
        amounts = cash if isinstance(cash, Mapping) else {base: cash}
        oldest = MAX_AGE_DAYS if max_fx_age_days is None else days("max_fx_age_days", max_fx_age_days)
        fields = {
            "cash": MappingProxyType(
                {currency_code(code, "cash in"): _number(f"cash in {code}", x) for code, x in amounts.items()}
            ),
            "holdings": MappingProxyType(_holdings(positions)),
            "base_currency": base,
            "fx": FxTable.from_mapping(fx or {}, base, as_of=as_of, dates=fx_as_of, max_age_days=oldest),
            "currencies": MappingProxyType(
                {s: currency_code(code, f"currency of {s}") for s, code in (currencies or {}).items()}
            ),
            "as_of": None if as_of is None else timestamp(as_of, "snapshot as_of"),
            "max_fx_age_days": None if max_fx_age_days is None else oldest,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def positions(self) -> pd.Series[float]:
        """Return quantities, Series by (bucket, symbol), in units."""
        return by_position(self.holdings, "quantity")

    @checked
    def currency_of(self, symbol: str) -> str:
        """Return the currency in which a symbol is priced."""
        return self.currencies.get(symbol, self.base_currency)


def days(what: str, value: object) -> int:
    """Return a number of days, or refuse it.

    Raises
    ------
    DataError
        If it is no whole number ≥ 0.

    Examples
    --------
    >>> days("max_age_days", 5)
    5
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise DataError(f"{what} is {value!r}, must be a whole number of days ≥ 0; correct it")
    return int(value)


def _holdings(positions: Holdings) -> dict[Position, float]:
    holdings: dict[Position, float] = {}
    for key, quantity in positions.items():
        key = str(key) if is_number_ticker(key) else key
        position = (UNASSIGNED, key) if isinstance(key, str) else key
        if isinstance(position, tuple) and len(position) == 2 and is_number_ticker(position[1]):
            position = (position[0], str(position[1]))
        if not (isinstance(position, tuple) and len(position) == 2 and all(isinstance(name, str) for name in position)):
            raise DataError(f"position {key!r} is neither a symbol nor (bucket, symbol); name it so")
        if position[1] == CASH:
            raise DataError("CASH is no position; give the amount as cash")
        if position in holdings:
            raise DataError(f"position {position[0]}/{position[1]} is given twice; add the quantities up")
        holdings[position] = _number(f"quantity of {position[0]}/{position[1]}", quantity)
    return {position: quantity for position, quantity in holdings.items() if quantity != 0.0}


def _number(what: str, value: object) -> float:
    number = plain_number(value)
    if not math.isfinite(number):
        raise DataError(f"{what} is {value!r}, must be a finite number; correct it")
    return number


def by_position(values: Mapping[Position, float], name: str) -> pd.Series[float]:
    """Return a mapping of (bucket, symbol) as a Series with that index."""
    index = pd.MultiIndex.from_arrays(
        [[bucket for bucket, _ in values], [symbol for _, symbol in values]], names=["bucket", "symbol"]
    )
    return pd.Series(list(values.values()), index=index, dtype=float, name=name)
