"""Rates of exchange to the base currency: direct, inverse, or through one cross; never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.portfolio.moments import MAX_AGE_DAYS, Date, check_age, date_of, timestamp
from pmx.portfolio.prices import is_price

#: Greatest relative difference between two ways to the same rate.
AGREEMENT = 1e-6

Pair = tuple[str, str]


@checked
@dataclass(frozen=True, slots=True)
class Quote:
    """One rate: a unit of the pair's first currency in units of its second.

    Attributes
    ----------
    rate : float
        Finite, > 0.
    as_of : Timestamp or None
        When it was true; None where rates come without dates.
    """

    rate: float
    as_of: pd.Timestamp | None


@checked
@dataclass(frozen=True, slots=True)
class FxTable:
    """Rates of one moment, from which `rate` finds the way to the base currency.

    Build one with `FxTable.from_mapping`.

    Attributes
    ----------
    base : str
        ISO 4217 code.
    quotes : mapping of (str, str) to Quote
        As given, by pair.
    as_of : Timestamp or None
        The moment for which rates are asked.
    max_age_days : int
        Greatest age of a dated rate, calendar days.
    """

    base: str
    quotes: Mapping[Pair, Quote]
    as_of: pd.Timestamp | None
    max_age_days: int

    @classmethod
    @checked(outside=["rates"], elsewhere=["as_of", "dates", "max_age_days"])
    def from_mapping(
        cls,
        rates: Mapping[str, float],
        base: str,
        *,
        as_of: Date | None = None,
        dates: Date | Mapping[str, Date] | None = None,
        max_age_days: int = MAX_AGE_DAYS,
    ) -> FxTable:
        """Read rates.

        Parameters
        ----------
        rates : mapping of str to float
            ``"EURUSD": 1.08`` says that 1 EUR costs 1.08 USD; ``"EUR": 1.08`` says the same of the base.
        base : str
            Base currency, ISO 4217.
        as_of : date, optional
            The moment for which rates are asked; needed where ``dates`` are given.
        dates : date or mapping of str to date, optional
            When the rates were true, one date for all or one for each key of ``rates``. Without it the rates
            are taken to be of ``as_of``.
        max_age_days : int
            Greatest age of a dated rate, calendar days.

        Raises
        ------
        DataError
            If a key is no currency or pair, a rate is not a finite positive number, two quotes of a pair
            differ by more than `AGREEMENT`, or ``dates`` come without ``as_of``.

        Examples
        --------
        >>> fx = FxTable.from_mapping({"USDNGN": 1500.0, "EURUSD": 1.2}, "EUR")
        >>> round(fx.rate("USD"), 6), round(fx.rate("NGN") * 1800, 6)
        (0.833333, 1.0)
        """
        base = currency_code(base, "base currency")
        if dates is not None and as_of is None:
            raise DataError("FX dates are given, but the snapshot has no as_of to judge their age by; set as_of")
        quotes: dict[Pair, Quote] = {}
        for key, rate in rates.items():
            pair = _pair(key, base)
            if not is_price(rate):
                raise DataError(f"FX rate {key} = {rate!r} must be a finite number > 0; correct or remove it")
            quote = Quote(float(rate), date_of(key, dates, "FX rate", "FX date"))
            for known, other in ((pair, 1.0 / quote.rate), (pair[::-1], quote.rate)):
                if known in quotes and abs(quotes[known].rate * other - 1.0) > AGREEMENT:
                    raise DataError(
                        f"FX rates for {''.join(pair)} disagree: {key} = {rate!r} against "
                        f"{''.join(known)} = {quotes[known].rate!r}; keep one of them"
                    )
            quotes.setdefault(pair, quote)
        moment = None if as_of is None else timestamp(as_of, "snapshot as_of")
        return cls(base, MappingProxyType(quotes), moment, max_age_days)

    @checked
    def rate(self, currency: str) -> float:
        """Return what one unit of a currency is worth in the base currency.

        The direct quote is used, else the inverse one, else a cross of two quotes through one other currency.

        Raises
        ------
        DataError
            If there is no way, a quote on the way is too old or from after ``as_of``, or crosses differ by
            more than `AGREEMENT`.
        """
        if currency == self.base:
            return 1.0
        if self._quoted(currency, self.base):
            return self._leg(currency, self.base)
        wanted, others = f"{currency}{self.base}", {code for pair in self.quotes for code in pair}
        crosses = {
            via: self._leg(currency, via) * self._leg(via, self.base)
            for via in sorted(others)
            if self._quoted(currency, via) and self._quoted(via, self.base)
        }
        when = "" if self.as_of is None else f" on {self.as_of.date()}"
        if not crosses:
            raise DataError(
                f"FX rate {wanted}{when} is missing; give {wanted}, its inverse, or two rates that cross in "
                "one other currency"
            )
        if max(crosses.values()) > min(crosses.values()) * (1.0 + AGREEMENT):
            ways = ", ".join(f"{rate!r} through {via}" for via, rate in crosses.items())
            raise DataError(f"FX rate {wanted}{when} is ambiguous: {ways}; give {wanted} itself")
        return next(iter(crosses.values()))

    def _quoted(self, currency: str, to: str) -> bool:
        return (currency, to) in self.quotes or (to, currency) in self.quotes

    def _leg(self, currency: str, to: str) -> float:
        """Return one quoted rate, turned the right way round, after a look at its age."""
        pair = (currency, to) if (currency, to) in self.quotes else (to, currency)
        quote = self.quotes[pair]
        check_age(f"FX rate {''.join(pair)}", "rate", quote.as_of, self.as_of, self.max_age_days)
        return quote.rate if pair[0] == currency else 1.0 / quote.rate


def currency_code(code: object, what: str) -> str:
    """Return an ISO 4217 code, or refuse it: ``"GBp"`` is pence, not pounds.

    Raises
    ------
    DataError
        If it is not three capital letters.

    Examples
    --------
    >>> currency_code("NGN", "cash")
    'NGN'
    """
    if not (isinstance(code, str) and len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()):
        raise DataError(f"{what} {code!r} is no currency; use its ISO 4217 code, such as USD or NGN")
    return code


def _pair(key: str, base: str) -> Pair:
    what = f"FX key {key!r}:"
    if not isinstance(key, str) or len(key) not in (3, 6):
        raise DataError(f"FX key {key!r} is neither a currency nor a pair; write EUR or EURUSD")
    pair = (currency_code(key[:3], what), currency_code(key[3:] or base, what))
    if pair[0] == pair[1]:
        raise DataError(f"FX key {key!r} is a currency against itself; remove it")
    return pair
