"""One table is one run, however its dates are written."""

import datetime as dt
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.backtest.metrics import performance
from pmx.data import load_demo_prices
from pmx.errors import DataError, PmxWarning

DATES = pd.bdate_range("2024-01-02", periods=8)
PRICES = pd.DataFrame(
    {"A": [100.0, 101.0, 99.0, 102.0, 103.0, 101.0, 104.0, 105.0], "B": np.linspace(50.0, 55.0, 8)}, index=DATES
)
TARGETS = pd.DataFrame({"A": [0.05, 0.1, 0.02], "B": [0.03, 0.0, 0.06]}, index=DATES[[0, 2, 5]])
RATE = pd.Series([1e-4, 2e-4], index=DATES[[0, 3]])
ADV = PRICES * 1e4
POLICY = pmx.load_policy(overrides={"execution.liquidity.participation": 0.1, "risk_buckets.default_bucket": "ts_core"})

FORMS = {
    "text": lambda index: index.strftime("%Y-%m-%d"),
    "date": lambda index: pd.Index([stamp.date() for stamp in index], dtype=object),
    "date32": lambda index: pd.Index(pd.array([stamp.date() for stamp in index], dtype="date32[day][pyarrow]")),
    "New York": lambda index: index.tz_localize("America/New_York"),
    "Tokyo": lambda index: index.tz_localize("Asia/Tokyo"),
    "periods": lambda index: index.to_period("D"),
    "seconds": lambda index: index.as_unit("s"),
}
TABLES = {"prices": PRICES, "targets": TARGETS, "cash_rate": RATE, "adv": ADV}


def run(**changes):
    given = TABLES | changes
    return pmx.backtest(given.pop("prices"), POLICY, **given)


EXPECTED = run()


def same(result, expected=EXPECTED):
    assert len(expected.trades)
    np.testing.assert_array_equal(result.nav.to_numpy(), expected.nav.to_numpy())
    np.testing.assert_array_equal(result.weights.to_numpy(), expected.weights.to_numpy())
    assert result.nav.index.equals(expected.nav.index)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [*TABLES, "all"])
def test_the_same_table_is_the_same_run(name, form):
    names = TABLES if name == "all" else [name]
    same(run(**{key: TABLES[key].set_axis(FORMS[form](TABLES[key].index), axis=0) for key in names}))


@pytest.mark.parametrize("name", TABLES)
def test_rows_may_come_in_any_order(name):
    same(run(**{name: TABLES[name].iloc[::-1]}))


def test_targets_read_without_parsing_their_dates(tmp_path):
    TARGETS.to_csv(tmp_path / "targets.csv")
    text, parsed = (pd.read_csv(tmp_path / "targets.csv", index_col=0, parse_dates=parse) for parse in (False, True))
    assert isinstance(text.index[0], str)
    same(run(targets=text), run(targets=parsed))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_dates_is_refused_by_name(name):
    with pytest.raises(DataError, match=rf"^{name}: the index is int64, not dates"):
        run(**{name: TABLES[name].reset_index(drop=True)})


@pytest.mark.parametrize("name", ["targets", "cash_rate", "adv"])
def test_times_of_day_beside_dates_are_refused(name):
    with pytest.raises(DataError, match=f"^{name} has times of day, such as 2024-01-02 16:00:00"):
        run(**{name: TABLES[name].set_axis(TABLES[name].index + timedelta(hours=16), axis=0)})


@pytest.mark.parametrize(
    ("form", "value"),
    [("text", "2024-01-04"), ("date", dt.date(2024, 1, 4)), ("zone", pd.Timestamp("2024-01-04", tz="Asia/Tokyo"))],
)
def test_start_and_end_in_any_form(form, value):
    expected = run(start=pd.Timestamp("2024-01-04"), end=pd.Timestamp("2024-01-09"))
    same(run(start=value, end="2024-01-09"), expected)
    assert expected.nav.index[0] == pd.Timestamp("2024-01-04")


@pytest.mark.parametrize("value", [2024, "01/04/2024", 20240104])
def test_a_start_that_is_no_date_is_refused(value):
    with pytest.raises(DataError, match=r"start .* is no date"):
        run(start=value)


# --- Dates of targets on which nothing trades ---------------------------------------------------------------


def test_a_target_of_a_day_without_prices_takes_effect_at_the_next_close():
    """31 May 1993 was Memorial Day: the row is decided at the close of 1 June."""
    dates = pd.DatetimeIndex(["1993-05-27", "1993-05-28", "1993-06-01", "1993-06-02", "1993-06-03"])
    prices = pd.DataFrame({"A": [450.0, 451.0, 453.0, 454.0, 452.0]}, index=dates)
    targets = pd.DataFrame({"A": [0.1]}, index=["1993-05-31"])
    with pytest.warns(PmxWarning, match="1 row is dated on days without prices, 1993-05-31; it takes effect at the ne"):
        moved = pmx.backtest(prices, POLICY_FREE, targets=targets)
    exact = pmx.backtest(prices, POLICY_FREE, targets=targets.set_axis(pd.DatetimeIndex(["1993-06-01"]), axis=0))
    same_nav(moved, exact)
    assert moved.weights.index.tolist() == [pd.Timestamp("1993-06-01")]
    assert moved.trades["date"].tolist() == [pd.Timestamp("1993-06-02")]
    assert moved.nav.iloc[-1] == pytest.approx(1e6 + 1e5 * (452 / 454 - 1) - 1e5 * 2e-4, abs=1e-6)


POLICY_FREE = pmx.load_policy(
    overrides={
        "risk_buckets.default_bucket": "ts_core",
        "execution.turnover.max": None,
        "risk_scaler.enabled": False,
        "execution.rebalance.schedule": "on_targets",
    }
)


def same_nav(one, other):
    np.testing.assert_array_equal(one.nav.to_numpy(), other.nav.to_numpy())


def test_the_later_of_two_that_fall_on_one_close_rules():
    weekend = pd.DataFrame({"A": [0.02, 0.06, 0.1]}, index=pd.DatetimeIndex(["2024-01-05", "2024-01-06", "2024-01-07"]))
    with pytest.warns(PmxWarning, match=r"2 rows are dated on days without prices, the first 2024-01-06; .*2024-01-08"):
        result = pmx.backtest(PRICES, POLICY_FREE, targets=weekend)
    assert result.weights["A"].round(9).tolist() == [0.02, 0.1]
    assert result.weights.index.tolist() == [pd.Timestamp("2024-01-05"), pd.Timestamp("2024-01-08")]


def test_a_date_of_its_own_rules_over_one_that_was_moved():
    targets = pd.DataFrame({"A": [0.1, 0.04]}, index=pd.DatetimeIndex(["2024-01-06", "2024-01-08"]))
    with pytest.warns(PmxWarning, match="2024-01-06"):
        result = pmx.backtest(PRICES, POLICY_FREE, targets=targets)
    assert result.weights["A"].round(9).tolist() == [0.04]


def test_a_target_after_the_last_close_is_said_to_have_no_effect():
    late = pd.concat([TARGETS, TARGETS.iloc[:1].set_axis(pd.DatetimeIndex(["2024-02-01"]), axis=0)])
    with pytest.warns(PmxWarning, match="1 row is dated after the last close, 2024-01-11, and has no effect"):
        same(run(targets=late))


def test_before_the_first_close_the_latest_takes_effect_there():
    early = pd.DataFrame({"A": [0.02, 0.1]}, index=pd.DatetimeIndex(["2023-11-30", "2023-12-29"]))
    with pytest.warns(PmxWarning, match=r"2 rows are dated on days without prices, the first 2023-11-30; .*2024-01-02"):
        result = pmx.backtest(PRICES, POLICY_FREE, targets=early)
    assert result.weights["A"].round(9).to_dict() == {pd.Timestamp("2024-01-02"): 0.1}


def test_a_run_that_starts_later_begins_in_cash_and_with_the_first_target_that_takes_effect_in_it():
    result = pmx.backtest(PRICES, POLICY_FREE, targets=TARGETS, start=DATES[4])
    assert result.weights.index.tolist() == [DATES[5]]
    saturday = pd.DataFrame({"A": [0.1]}, index=["2024-01-06"])
    with pytest.warns(PmxWarning, match="2024-01-06"):
        moved = pmx.backtest(PRICES, POLICY_FREE, targets=saturday, start="2024-01-08")
    assert moved.weights.index.tolist() == [pd.Timestamp("2024-01-08")]


# --- What cash earns ------------------------------------------------------------------------------------------

NO_TARGETS = pd.DataFrame({"A": [0.0]}, index=DATES[:1])


def cash_run(rate):
    return pmx.backtest(PRICES, POLICY_FREE, targets=NO_TARGETS, cash_rate=rate, initial_nav=1_000.0).nav


@pytest.mark.parametrize(
    "rate",
    [1e-4, np.float64(1e-4), pd.Series([1e-4], index=DATES[:1]), pd.DataFrame({"RF": [1e-4]}, index=DATES[:1]),
     pd.DataFrame({"RF": [1e-4]}, index=["2024-01-02"])],
    ids=["number", "numpy", "series", "frame", "text"],
)  # fmt: skip
def test_a_constant_rate_of_a_calendar_day(rate):
    """Nine calendar days lie between 2 and 11 January; interest is simple between closes and compounds from one on."""
    days = np.diff(DATES) / np.timedelta64(1, "D")
    assert days.sum() == 9
    assert cash_run(rate).iloc[-1] == pytest.approx(1_000 * np.prod(1 + 1e-4 * days), rel=1e-14)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.05, r"cash_rate 0.05 is not within ±0.01; .*an annual rate r is about r/365 a day"),
        (-0.05, "cash_rate -0.05 is not within"),
        (float("nan"), "cash_rate nan is not within"),
        (pd.Series([1e-4, 0.05], index=DATES[:2]), "cash_rate 0.05 on 2024-01-03 is not within"),
        (pd.Series([1e-4, np.nan], index=DATES[:2]), "cash_rate nan on 2024-01-03 is not within"),
        (pd.DataFrame({"a": [0.0], "b": [0.0]}, index=DATES[:1]), "cash_rate has 2 columns; give the rate alone"),
        (pd.Series(["0.0001"], index=DATES[:1]), "cash_rate holds str values, not numbers"),
        (pd.Series([True], index=DATES[:1]), "cash_rate holds bool values, not numbers"),
        (pd.Series([], dtype=float), "cash_rate is empty"),
        ("0.0001", "cash_rate is a str; give a Series by date or a number"),
        (True, "cash_rate is a bool"),
        ({"2024-01-02": 1e-4}, "cash_rate is a dict"),
        (pd.Series([1e-4], index=DATES[1:2]), "cash_rate starts on 2024-01-03, after the first close"),
    ],
)
def test_what_cash_cannot_earn_is_refused(rate, words):
    with pytest.raises(DataError, match=words):
        cash_run(rate)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_rate_that_is_probably_annual_is_warned_of_once(sign):
    """0.005 was meant a year, and is 182 % a year if it is a day's; 0.0005 is 18 %."""
    of_dates = pd.Series([1e-4, sign * 0.005], index=DATES[[0, 3]])
    for rate, when in ((sign * 0.005, ""), (of_dates, f" on {DATES[3]:%Y-%m-%d}")):
        with pytest.warns(PmxWarning, match=rf"{sign * 0.005:g} a calendar day{when}, .* r/365: -?1.37e-05") as said:
            cash_run(rate)
        assert len(said) == 1
    assert f"is {sign * 1.825:g} a year" in str(said[0].message)
    cash_run(sign * 0.0005)


# --- The risk-free rate of performance ----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_performance_matches_dates_of_any_form(form):
    nav = PRICES["A"]
    rf = pd.Series(np.linspace(0.0, 1e-4, 8), index=DATES)
    expected = performance(nav, rf=rf, periods_per_year=252)
    got = performance(nav, rf=rf.set_axis(FORMS[form](DATES), axis=0), periods_per_year=252)
    pd.testing.assert_series_equal(got, expected)
    other = performance(nav.set_axis(FORMS[form](DATES), axis=0), rf=rf, periods_per_year=252)
    pd.testing.assert_series_equal(other, expected)


# --- Prices of a step ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_step_on_prices_with_dates_of_any_form(form):
    def decided(prices):
        desk = pmx.execution.Desk(POLICY_FREE, ["A", "B"], positions=[("ts_core", "A"), ("ts_core", "B")])
        holdings = pmx.execution.Holdings(1e6, np.zeros(2), {})
        return pmx.execution.step(desk, holdings, prices, targets=np.array([0.05, 0.02]))

    got, expected = decided(PRICES.set_axis(FORMS[form](DATES), axis=0)), decided(PRICES)
    assert (got.as_of, got.weights.tolist()) == (expected.as_of, expected.weights.tolist())


def test_a_step_on_prices_without_dates_is_refused():
    desk = pmx.execution.Desk(POLICY_FREE, ["A", "B"], positions=[("ts_core", "A")])
    with pytest.raises(DataError, match="prices: the index is int64, not dates"):
        pmx.execution.step(desk, pmx.execution.Holdings(1e6, np.zeros(1), {}), PRICES.reset_index(drop=True))


def test_the_sample_reached_the_same_nav_by_text_and_by_date():
    prices = load_demo_prices().loc["2015":"2018"]
    month_ends = prices.index[
        prices.index.to_series().groupby(prices.index.to_period("M")).transform("max").eq(prices.index)
    ]
    targets = pd.DataFrame({"SP500": 0.12, "NASDAQ": 0.08}, index=month_ends)
    written = targets.set_axis(targets.index.strftime("%Y-%m-%d"), axis=0)
    one, two = (pmx.backtest(prices, pmx.load_policy(), targets=table) for table in (targets, written))
    same_nav(one, two)
    assert len(one.trades) > 40
