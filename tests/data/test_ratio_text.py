"""Ratios of splits in words are the numbers that they mean, in every kind of table."""

import pandas as pd
import pytest

import pmx
from pmx.data import read_splits
from pmx.errors import DataError

WRITTEN = {"4:1": 4.0, "1:10": 0.1, "1:8": 0.125, "3-for-2": 1.5, "1/10": 0.1, "7 for 1": 7.0, "2": 2.0, "1:3": 1 / 3}


@pytest.mark.parametrize(("separator", "half"), [(",", "0.5"), (";", "0.5"), (";", "0,5")])
def test_ratios_in_a_file(tmp_path, separator, half):
    """Before, 4:1 was refused with the advice to write a decimal point, which gave 4.1."""
    file = tmp_path / "splits.csv"
    rows = [(f"S{k}", text) for k, text in enumerate([*WRITTEN, half])]
    lines = ["date;symbol;ratio", *(f"2020-08-31;{symbol};{text}" for symbol, text in rows)]
    file.write_text("\n".join(lines).replace(";", separator), encoding="utf-8")
    assert read_splits(file).iloc[0].tolist() == [*WRITTEN.values(), 0.5]


def test_ratios_in_parquet_and_in_a_frame(tmp_path):
    file = tmp_path / "splits.parquet"
    dates = pd.to_datetime(["2020-01-03", "2020-01-06"])
    pd.DataFrame({"date": dates, "symbol": ["SP500", "WTI"], "ratio": ["4:1", "1:10"]}).to_parquet(file)
    read = read_splits(file)
    assert (read.loc["2020-01-03", "SP500"], read.loc["2020-01-06", "WTI"]) == (4.0, 0.1)
    prices = pd.DataFrame({"SP500": [100.0, 100.0, 25.0, 25.0]}, index=pd.bdate_range("2020-01-01", periods=4))
    targets = pd.DataFrame({"SP500": [0.1]}, index=prices.index[:1])
    splits = pd.DataFrame({"SP500": ["4:1"]}, index=dates[:1])
    done = pmx.backtest(prices, pmx.load_policy(), targets=targets, splits=splits, costs=0.0)
    assert done.nav.to_numpy() == pytest.approx(1e6, rel=1e-12)
    assert done.corporate_actions["value"].tolist() == [4.0]


def test_what_is_no_ratio_names_the_cell_and_the_number_to_write(tmp_path):
    file = tmp_path / "splits.csv"
    for text in ("04:01:00", "4:0", "0/1"):
        file.write_text(f"date,symbol,ratio\n2020-08-31,AAPL,{text}\n", encoding="utf-8")
        with pytest.raises(DataError, match=rf"AAPL at 2020-08-31: '{text}' is no ratio; .* 4 for a 4:1 split"):
            read_splits(file)
