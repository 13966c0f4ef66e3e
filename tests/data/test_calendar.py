import math

import numpy as np
import pandas as pd
import pytest

from pmx.data import load_demo_prices
from pmx.data.calendar import PeriodsPerYear, rows_per_year, warn_of_contradiction
from pmx.errors import PmxWarning


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [("B", 252), ("D", 365), ("W-WED", 52), ("2W", 26), ("ME", 12), ("BME", 12), ("QE", 4), ("YE", 1)],
)
@pytest.mark.parametrize("rows", [7, 10, 31, 300])
def test_rows_in_a_year(frequency, expected, rows):
    assert rows_per_year(pd.date_range("2020-01-01", periods=rows, freq=frequency)) == expected


@pytest.mark.parametrize(
    ("days", "expected"), [("Sun Mon Tue Wed Thu", 252), ("Mon Tue Wed Thu Fri Sat", 312), ("Mon Wed Fri", 156)]
)
def test_other_weeks(days, expected):
    assert rows_per_year(pd.bdate_range("2020-01-01", periods=200, freq="C", weekmask=days)) == expected


def test_times_of_day_are_counted():
    assert rows_per_year(pd.date_range("2020-01-01", periods=24 * 30, freq="h")) == 365 * 24
    opening = pd.bdate_range("2020-01-01", periods=40)
    half_days = opening.append(opening + pd.Timedelta(hours=12)).sort_values()
    assert rows_per_year(half_days) == 504


def test_too_few_rows_count_as_business_days():
    for rows in range(5):
        assert rows_per_year(pd.date_range("2020-01-31", periods=rows, freq="ME")) == 252


def test_holidays_and_halts_of_twenty_years_change_nothing():
    dates = load_demo_prices().index
    assert {rows_per_year(dates[:n]) for n in range(1, len(dates), 7)} == {252}


def test_the_latest_rows_decide():
    daily = pd.bdate_range("2020-01-01", periods=300)
    weekly = pd.date_range(daily[-1] + pd.Timedelta(days=7), periods=300, freq="7D")
    assert rows_per_year(daily.append(weekly)) == 52


def test_what_is_known_at_a_row_rests_on_the_rows_up_to_it():
    dates = pd.date_range("2020-01-01", periods=200)
    growing = PeriodsPerYear("auto")
    seen = [growing.at(dates[:n]) for n in range(201)]
    assert seen == [PeriodsPerYear("auto").at(dates[:n]) for n in range(201)]
    assert seen[:5] == [252] * 5  # the first weekend is complete with the fifth row
    assert set(seen[5:]) == {365}


def test_each_symbol_has_a_year_of_its_own():
    dates = pd.date_range("2020-01-01", periods=300)
    closes = np.ones((300, 3))
    closes[dates.day_of_week >= 5, 1] = np.nan
    closes[:298, 2] = np.nan  # too new to tell
    assert PeriodsPerYear("auto").by_symbol(dates, closes).tolist() == [365, 252, 365]
    assert PeriodsPerYear(260.0).by_symbol(dates, closes).tolist() == [260, 260, 260]


def test_a_stated_figure_that_contradicts_the_dates():
    days = pd.date_range("2020-01-01", periods=60)
    with pytest.warns(
        PmxWarning, match=r"^figure is 252, and the dates have about 365 rows a year; .* 0.83: state 365"
    ):
        warn_of_contradiction(252.0, days, "figure")
    assert math.sqrt(252 / 365) == pytest.approx(0.83, abs=0.005)
    business = pd.bdate_range("2020-01-01", periods=60)
    for stated in (None, "auto", 250.0, 260.0, 261.0):
        warn_of_contradiction(stated, business, "figure")
    warn_of_contradiction(12.0, days[:4], "figure")
    warn_of_contradiction(12.0, pd.RangeIndex(60), "figure")


def test_a_contradiction_is_said_once():
    year = PeriodsPerYear(52.0)
    year.check(pd.bdate_range("2020-01-01", periods=4), "figure")
    with pytest.warns(PmxWarning):
        year.check(pd.bdate_range("2020-01-01", periods=5), "figure")
    year.check(pd.bdate_range("2020-01-01", periods=6), "figure")
