"""Twenty years of real prices and rates, which ship with the ``arch`` package."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pmx.data.prices import check_prices
from pmx.errors import DataError

#: First and last day of the sample.
START, END = pd.Timestamp("1999-01-04"), pd.Timestamp("2018-12-31")


def load_demo_prices() -> pd.DataFrame:
    """Load the daily closes of the S&P 500, the NASDAQ Composite and WTI crude oil, 1999 to 2018.

    Returns
    -------
    DataFrame, date × symbol
        5,031 trading days of the two indices; the columns are ``SP500`` and ``NASDAQ`` in index points and
        ``WTI`` in dollars a barrel, NaN on the 19 days on which oil was not quoted.

    Notes
    -----
    The indices carry no dividends, and WTI is a spot price that no fund can hold: the sample shows how the
    parts work together, not what an investor would have earned.

    Examples
    --------
    >>> prices = load_demo_prices()
    >>> prices.shape, list(prices.columns)
    ((5031, 3), ['SP500', 'NASDAQ', 'WTI'])
    """
    from arch.data import nasdaq, sp500, wti  # heavy, so not before it is wanted

    indices = pd.DataFrame({"SP500": sp500.load()["Adj Close"], "NASDAQ": nasdaq.load()["Adj Close"]}).dropna()
    oil = wti.load()["DCOILWTICO"].rename("WTI")
    return check_prices(indices.join(oil).loc[START:END], "the sample prices")


def load_demo_cash_rate() -> pd.Series:
    """Load what cash earned in one-month T-bills on each calendar day, 1999 to 2018.

    Returns
    -------
    Series, calendar day
        Simple rate a calendar day, named ``cash_rate``: compounded over all days of a month, it makes exactly
        that month's T-bill return.

    Notes
    -----
    A T-bill's yield is quoted when it is bought, so a month's rate is known on its first day: nothing here
    looks ahead. The source ends in November 2018; its last rate is carried through December.

    References
    ----------
    Kenneth R. French, Data Library, "Fama/French 3 Factors", column RF (one-month T-bill, from Ibbotson).

    Examples
    --------
    >>> rate = load_demo_cash_rate()
    >>> float(((1 + rate["2007-01"]).prod() - 1).round(6))
    0.0044
    """
    from arch.data import frenchdata

    monthly = by_month(frenchdata.load()["RF"]) / 100.0
    days = pd.date_range(START, END, freq="D", name="date")
    months = days.to_period("M")
    rate = monthly.reindex(pd.period_range(months[0], months[-1], freq="M")).ffill()
    daily = np.expm1(np.log1p(rate.loc[months].to_numpy()) / months.days_in_month.to_numpy())
    return pd.Series(daily, index=days, name="cash_rate")


def by_month(rates: pd.Series) -> pd.Series:
    """Index by month: the loader takes the file's YYYYMM for a count of nanoseconds since 1970."""
    codes = pd.DatetimeIndex(rates.index).as_unit("ns").asi8.astype(str)
    try:
        months = pd.to_datetime(codes, format="%Y%m").to_period("M")
    except ValueError as error:
        raise DataError(f"the sample rates: {codes[0]} is not YYYYMM; install another arch release") from error
    return pd.Series(rates.to_numpy(), index=months)
