import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest

from pmx.data import dated
from pmx.data.dates import date_index, day, moment, on_the_clock_of
from pmx.errors import DataError

DAYS = pd.DatetimeIndex(["2024-03-08", "2024-03-11"])  # the clocks change in New York in between


def business_periods():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.PeriodIndex(["2024-03-08", "2024-03-11"], freq="B")


FORMS = {
    "parsed": DAYS,
    "nanoseconds": DAYS.as_unit("ns"),
    "New York": DAYS.tz_localize("America/New_York"),
    "Tokyo": DAYS.tz_localize("Asia/Tokyo"),
    "text": pd.Index(["2024-03-08", "2024-03-11"]),
    "text with blanks": pd.Index([" 2024-03-08", "2024-03-11 "]),
    "text with a zone": pd.Index(["2024-03-08 00:00:00-05:00", "2024-03-11T00:00:00-0400"]),
    "categories": pd.CategoricalIndex(["2024-03-08", "2024-03-11"]),
    "date": pd.Index([dt.date(2024, 3, 8), dt.date(2024, 3, 11)], dtype=object),
    "datetime": pd.Index([dt.datetime(2024, 3, 8), dt.datetime(2024, 3, 11)], dtype=object),
    "several zones": pd.Index([DAYS[0].tz_localize("UTC"), DAYS[1].tz_localize("Asia/Tokyo")], dtype=object),
    "mixed": pd.Index([dt.date(2024, 3, 8), "2024-03-11"], dtype=object),
    "date32": pd.Index(pd.array([dt.date(2024, 3, 8), dt.date(2024, 3, 11)], dtype="date32[day][pyarrow]")),
    "timestamp[pyarrow]": pd.Index(pd.array(list(DAYS), dtype="timestamp[ns][pyarrow]")),
    "periods": DAYS.to_period("D"),
    "business periods": business_periods(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backwards", [False, True])
def test_every_form_of_dates_comes_out_the_same(form, backwards):
    given = pd.DataFrame({"A": [1.0, 2.0]}, index=FORMS[form])
    clean = dated(given[::-1] if backwards else given, "targets")
    assert clean.index.tolist() == DAYS.tolist()
    assert clean.index.tz is None
    assert clean["A"].tolist() == [1.0, 2.0]


def test_a_table_that_is_right_is_handed_back_itself():
    table = pd.DataFrame({"A": [1.0, 2.0]}, index=DAYS)
    assert dated(table, "prices") is table


def test_times_of_day_are_kept():
    given = pd.Series([1.0, 2.0], index=["2024-03-08 16:00", "2024-03-08T16:30:00.5Z"])
    assert dated(given, "x").index.tolist() == [
        pd.Timestamp("2024-03-08 16:00"),
        pd.Timestamp("2024-03-08 16:30:00.5"),
    ]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ([0, 1], "targets: the index is int64, not dates; use a DatetimeIndex$"),
        ([20240308, 20240311], r"to_datetime\(index.astype\(str\), format='%Y%m%d'\)"),
        ([1.5, 2.5], "targets: the index is float64, not dates"),
        ([True, False], "targets: the index is bool, not dates"),
        (pd.to_timedelta([1, 2]), "not dates"),
        (pd.MultiIndex.from_product([["a"], ["b", "c"]]), "not dates"),
        (["a", "b"], "targets: row 1: 'a' is not a date; write it as YYYY-MM-DD$"),
        (["2024-03-08", "03/11/2024"], r"row 2: '03/11/2024' is not a date; .*dayfirst"),
        (["2024-03-08", "2024-02-30"], "row 2: '2024-02-30' is not a date"),
        (["2024-03-08", "20240311"], "row 2: '20240311' is not a date"),
        (["2024-03-08", ""], "row 2: '' is not a date"),
        (["2024-03-08", None], "row 2 has no date; give it one or drop it"),
        ([pd.Timestamp("2024-03-08"), pd.NaT], "row 2 has no date"),
        ([dt.date(2024, 3, 8), 3], "row 2: 3 is not a date"),
        (["2024-03-08", "2024-03-08"], "the date 2024-03-08 occurs twice; keep one row for each date"),
        (pd.PeriodIndex(["2024-03", "2024-04"], freq="M"), r"period\[M\], and a period has many days; name the day"),
    ],
)
def test_what_is_no_date_is_refused_by_name_and_row(index, words):
    with pytest.raises(DataError, match=words):
        dated(pd.Series([1.0, 2.0], index=index), "targets")


def test_an_hour_that_the_clock_gives_twice():
    hours = pd.date_range("2024-11-03 05:00", periods=2, freq="h", tz="UTC").tz_convert("America/New_York")
    with pytest.raises(DataError, match=r"2024-11-03 01:00:00 occurs twice; .*tz_convert\('UTC'\)"):
        dated(pd.Series([1.0, 2.0], index=hours), "prices")


def test_dates_in_a_column_are_pointed_out():
    table = pd.DataFrame({"Date": ["2024-03-08"], "A": [1.0]})
    with pytest.raises(DataError, match=r"set_index\('Date'\)"):
        dated(table, "targets")


def test_what_is_no_table_is_refused():
    with pytest.raises(DataError, match="targets is a dict"):
        dated({"2024-03-08": 1.0}, "targets")


@pytest.mark.parametrize(
    "value",
    ["2024-03-08", dt.date(2024, 3, 8), dt.datetime(2024, 3, 8), DAYS[0], DAYS[0].tz_localize("Asia/Tokyo"),
     np.datetime64("2024-03-08")],
)  # fmt: skip
def test_one_date(value):
    assert moment(value, "start") == DAYS[0]


@pytest.mark.parametrize("value", [2024, 20240308, 1.5, None, pd.NaT, "03/08/2024", "x", "", [DAYS[0]], True])
def test_what_is_no_date_is_no_start(value):
    with pytest.raises(DataError, match=r"^start .* is no date; write it as 2024-05-06"):
        moment(value, "start")


def test_a_year_or_a_month_is_its_first_day():
    assert [moment("2024", "end"), moment("2024-03", "end")] == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-03-01")]


HOURS = pd.DatetimeIndex(["2024-03-08 15:00", "2024-03-08 16:00", "2024-03-11 16:00"])


@pytest.mark.parametrize(
    ("index", "dates", "zone", "words"),
    [
        (HOURS, DAYS, None, r"x has times of day, such as 2024-03-08 15:00:00, .*x.index.normalize\(\)"),
        (DAYS, HOURS, None, "x has dates alone, such as 2024-03-08, and the prices have times of day"),
        (HOURS.tz_localize("UTC"), HOURS, "America/New_York", r"x is in the time zone UTC.*tz_convert\('America/New_Y"),
    ],
)
def test_clocks_that_differ_are_refused(index, dates, zone, words):
    with pytest.raises(DataError, match=words.replace("'", "'?")):
        on_the_clock_of(pd.Series(1.0, index=index), "x", dates, zone)


def test_clocks_that_agree():
    series = pd.Series(1.0, index=HOURS.tz_localize("UTC"))
    assert on_the_clock_of(series, "x", HOURS, "UTC").index.equals(HOURS)
    assert on_the_clock_of(pd.Series(1.0, index=DAYS), "x", HOURS, as_known=True).index.equals(DAYS)
    midnights = pd.date_range("2024-03-08", periods=48, freq="h")
    assert len(on_the_clock_of(pd.Series(1.0, index=midnights[::24]), "x", midnights)) == 2
    of_tokyo = pd.Series(1.0, index=DAYS.tz_localize("Asia/Tokyo"))  # dates alone are the same everywhere
    assert on_the_clock_of(of_tokyo, "x", DAYS, "America/New_York").index.equals(DAYS)


def test_rows_are_counted_as_in_a_file():
    with pytest.raises(DataError, match="row 3: 'x'"):
        date_index(pd.Index(["2024-03-08", "x"]), "prices.csv", first_row=2)


def test_a_date_in_words():
    assert (day(DAYS[0]), day(HOURS[0]), day("A")) == ("2024-03-08", "2024-03-08 15:00:00", "A")
