"""Traded values from files."""

import pandas as pd
import pytest

from pmx.data import read_adv, read_traded_values
from pmx.errors import DataError


def written(tmp_path, text, name="adv.csv"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_columns_come_in_any_order_and_case(tmp_path):
    adv = read_adv(written(tmp_path, "ADV,Symbol\n3.5e9,GLD\n0,WTI\n"))
    assert adv.to_dict() == {"GLD": 3.5e9, "WTI": 0.0}
    assert adv.name == "adv"


def test_parquet_with_symbols_as_its_index(tmp_path):
    file = tmp_path / "adv.parquet"
    pd.DataFrame({"adv": [1e6, 2e6]}, index=pd.Index(["A", "B"], name="symbol")).to_parquet(file)
    assert read_adv(file).to_dict() == {"A": 1e6, "B": 2e6}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("symbol,volume\nA,1\n", "has the columns symbol,volume; the columns must be symbol,adv"),
        ("symbol,adv\nA,1\nA,2\n", "A is given twice"),
        ("symbol,adv\n,1\n", "entry 1 names no symbol"),
        ("symbol,adv\nA,many\n", "'many' is not a number"),
        ("symbol,adv\nA,-1\n", "A: adv -1 is not a finite number"),
        ("symbol,adv\nA,\n", "A: adv nan is not a finite number"),
        ("symbol,adv\nA,inf\n", "A: adv inf is not a finite number"),
    ],
)
def test_what_cannot_be_read_names_file_and_symbol(tmp_path, text, wrong):
    with pytest.raises(DataError, match=rf"adv\.csv: .*{wrong}"):
        read_adv(written(tmp_path, text))


def test_by_date_a_value_below_zero_is_refused_with_its_place(tmp_path):
    file = written(tmp_path, "date,A,B\n2020-01-02,1e6,2e6\n2020-01-03,1e6,-5\n")
    with pytest.raises(DataError, match=r"B on 2020-01-03: -5 is not a finite number ≥ 0; give its average"):
        read_traded_values(file)
    table = read_traded_values(written(tmp_path, "date,A,B\n2020-01-03,2e6,\n2020-01-02,1e6,2e6\n"))
    assert table["A"].tolist() == [1e6, 2e6]
    assert table["B"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["adv", "value"])
def test_by_date_a_long_table_is_read_and_percent_is_not(tmp_path, name):
    text = f"date,symbol,{name}\n2020-01-02,A,1e6\n2020-01-02,B,2e6\n2020-01-03,A,3e6\n2020-01-03,B,4e6\n"
    assert read_traded_values(written(tmp_path, text)).to_dict("list") == {"A": [1e6, 3e6], "B": [2e6, 4e6]}
    with pytest.raises(DataError, match=r"A at 2020-01-02: '60%' is not a number"):
        read_traded_values(written(tmp_path, "date,A\n2020-01-02,60%\n"))
