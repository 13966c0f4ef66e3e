"""The sample data are what the demo says they are."""

import numpy as np
import pandas as pd
import pytest

from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.data.sample import by_month
from pmx.errors import DataError


def test_prices_are_the_published_closes():
    prices = load_demo_prices()
    assert list(prices.columns) == ["SP500", "NASDAQ", "WTI"]
    assert (prices.index[0], prices.index[-1]) == (pd.Timestamp("1999-01-04"), pd.Timestamp("2018-12-31"))
    assert len(prices) == 5031
    assert prices.index.is_unique
    assert prices.index.is_monotonic_increasing
    # S&P 500 on the day after Lehman's filing, its low of March 2009, and oil at its record.
    assert prices.loc["2008-09-15", "SP500"] == pytest.approx(1192.70)
    assert prices.loc["2009-03-09", "SP500"] == pytest.approx(676.53)
    assert prices.loc["2000-03-10", "NASDAQ"] == pytest.approx(5048.62)
    assert prices.loc["2008-07-03", "WTI"] == pytest.approx(145.31)


def test_only_oil_has_days_without_a_price():
    missing = load_demo_prices().isna().sum()
    assert missing.to_dict() == {"SP500": 0, "NASDAQ": 0, "WTI": 19}


def test_cash_rate_covers_every_calendar_day():
    rate = load_demo_cash_rate()
    assert rate.index.equals(pd.date_range("1999-01-04", "2018-12-31", name="date"))
    assert rate.dtype == np.float64
    assert rate.between(0.0, 0.0003).all()


@pytest.mark.parametrize(("month", "percent"), [("1999-02", 0.35), ("2007-01", 0.44), ("2018-11", 0.18)])
def test_a_month_of_days_compounds_to_the_published_return(month, percent):
    rate = load_demo_cash_rate()[month]
    assert float((1.0 + rate).prod() - 1.0) == pytest.approx(percent / 100.0, abs=1e-12)
    assert (rate == rate.iloc[0]).all()


def test_the_last_month_carries_the_last_published_return():
    rate = load_demo_cash_rate()
    november, december = ((1.0 + rate[month]).prod() for month in ("2018-11", "2018-12"))
    assert december == pytest.approx(november, abs=1e-12)


def test_months_are_read_from_nanoseconds():
    rates = pd.Series([0.1, 0.2], index=pd.to_datetime([199912, 200001], unit="ns"))
    assert by_month(rates).to_dict() == {pd.Period("1999-12"): 0.1, pd.Period("2000-01"): 0.2}


def test_an_index_that_is_no_month_is_refused():
    with pytest.raises(DataError, match="199913 is not YYYYMM"):
        by_month(pd.Series([0.1], index=pd.to_datetime([199913], unit="ns")))
