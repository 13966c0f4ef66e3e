from datetime import date

import pandas as pd
import pytest

from pmx.data import read_cash_rate, read_prices, read_targets
from pmx.errors import DataError, PmxWarning


def written(folder, text, name="table.csv"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_targets_by_symbol_are_sorted_by_date_and_keep_gaps_and_shorts(tmp_path):
    file = written(tmp_path, "date,SPY,WTI\n2020-01-03,0.1,-0.2\n2020-01-02,0,\n")
    targets = read_targets(file)
    assert targets.index.tolist() == [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03")]
    assert targets["SPY"].tolist() == [0.0, 0.1]
    assert targets["WTI"].isna().tolist() == [True, False]
    assert targets["WTI"].iloc[1] == -0.2


def test_targets_by_bucket(tmp_path):
    file = written(tmp_path, "date,core/SPY,tail/SPY\n2020-01-02,0.1,0.02\n")
    assert read_targets(file, ["core", "tail"]).columns.tolist() == [("core", "SPY"), ("tail", "SPY")]
    assert read_targets(file).columns.tolist() == ["core/SPY", "tail/SPY"]


@pytest.mark.parametrize("read", [read_targets, read_cash_rate])
def test_parquet_with_dates_in_the_index_or_in_the_first_column(tmp_path, read):
    frame = pd.DataFrame({"x": [0.0001, 0.0002]}, index=pd.DatetimeIndex(["2020-01-02", "2020-01-03"], name="date"))
    frame.to_parquet(tmp_path / "a.parquet")
    frame.reset_index().assign(date=["2020-01-02", "2020-01-03"]).to_parquet(tmp_path / "b.parquet")
    one, two = read(tmp_path / "a.parquet"), read(tmp_path / "b.parquet")
    assert one.equals(two)
    assert one.to_numpy().ravel().tolist() == [0.0001, 0.0002]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("date,SPY\n2020-01-02,a\n", "SPY at 2020-01-02: 'a' is not a number"),
        ("date,SPY\n02/01/2020,0.1\n", "line 2: '02/01/2020' is not a date without doubt"),
        ("date,SPY\n2020-01-02,0.1\n2020-01-02,0.2\n", "2020-01-02 occurs twice"),
        ("date,SPY,SPY\n2020-01-02,0.1,0.2\n", "SPY has two columns"),
        ("date\n2020-01-02\n", "holds no values"),
        ("date,core/SPY,WTI\n2020-01-02,0.1,0.2\n", "column WTI names no bucket"),
    ],
)
def test_wrong_targets_are_refused(tmp_path, text, what):
    with pytest.raises(DataError, match=what):
        read_targets(written(tmp_path, text), ["core"])


def test_text_in_parquet_is_refused(tmp_path):
    frame = pd.DataFrame({"x": ["a"]}, index=pd.DatetimeIndex(["2020-01-02"]))
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"x: holds .* values, not numbers"):
        read_targets(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "index",
    [
        pd.DatetimeIndex(["2020-01-02"], tz="America/New_York"),
        pd.Index(["2020-01-02"]),
        pd.Index([date(2020, 1, 2)], dtype=object),
        pd.Index(pd.array([date(2020, 1, 2)], dtype="date32[day][pyarrow]")),
    ],
    ids=["zone", "text", "date", "date32"],
)
@pytest.mark.parametrize("read", [read_targets, read_cash_rate, read_prices])
def test_parquet_whose_index_holds_dates_of_another_form(tmp_path, read, index):
    pd.DataFrame({"x": [0.0001]}, index=index).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").index.tolist() == [pd.Timestamp("2020-01-02")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("date,rate\n2020-01-02,0.0001\n2020-01-03,0.05\n", "rate 0.05 on 2020-01-03 is not within"),
        ("date,rate\n2020-01-02,\n", "rate nan on 2020-01-02"),
        ("date,rate,more\n2020-01-02,0.0001,0.0001\n", "2 columns beside the date"),
    ],
)
def test_wrong_rates_are_refused(tmp_path, text, what):
    with pytest.raises(DataError, match=what):
        read_cash_rate(written(tmp_path, text))


def test_a_negative_rate_is_a_rate(tmp_path):
    rate = read_cash_rate(written(tmp_path, "date,rate\n2020-01-02,-0.00001\n"))
    assert (rate.name, rate.tolist()) == ("cash_rate", [-0.00001])


def test_a_rate_that_is_probably_annual_is_warned_of(tmp_path):
    with pytest.warns(PmxWarning, match=r"cash_rate is 0.004 a calendar day on 2020-01-03, .* r/365: 1.1e-05") as said:
        read_cash_rate(written(tmp_path, "date,rate\n2020-01-02,0.001\n2020-01-03,0.004\n2020-01-04,0.002\n"))
    assert len(said) == 1
