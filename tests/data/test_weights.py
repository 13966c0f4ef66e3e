"""Weights come through exactly or are refused by name."""

import json

import pandas as pd
import pytest

from pmx.data import read_weights
from pmx.errors import DataError

BY_SYMBOL = pd.Series({"SPY": 0.6, "BIL": 0.5, "WTI": -0.1}, name="weight").rename_axis("symbol")
BY_POSITION = pd.Series(
    [0.6, 0.5, -0.1],
    index=pd.MultiIndex.from_tuples([("core", "SPY"), ("safe", "BIL"), ("core", "WTI")], names=["bucket", "symbol"]),
    name="weight",
)


def write(tmp_path, content, name):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def refusal(file):
    with pytest.raises(DataError) as caught:
        read_weights(file)
    assert str(caught.value).startswith(f"{file}: ")
    return str(caught.value)


@pytest.mark.parametrize("weights", [BY_SYMBOL, BY_POSITION])
@pytest.mark.parametrize("kind", ["csv", "parquet", "parquet index", "json"])
def test_weights_come_through(tmp_path, weights, kind):
    table = weights.reset_index()
    file = tmp_path / f"weights.{kind.split()[0]}"
    if kind == "csv":
        table[table.columns[::-1]].to_csv(file, index=False)
    elif kind == "parquet":
        table.to_parquet(file)
    elif kind == "parquet index":
        weights.to_frame().to_parquet(file)
    else:
        table.to_json(file, orient="records")
    pd.testing.assert_series_equal(read_weights(str(file)), weights, check_index_type=False)


def test_a_plain_json_object(tmp_path):
    file = write(tmp_path, json.dumps(BY_SYMBOL.to_dict()), "weights.json")
    pd.testing.assert_series_equal(read_weights(file), BY_SYMBOL, check_index_type=False)


def test_whole_numbers_and_cash_are_weights(tmp_path):
    read = read_weights(write(tmp_path, '{"SPY": 1, "CASH": 0}', "weights.json"))
    assert read.to_dict() == {"SPY": 1.0, "CASH": 0.0}


def test_a_symbol_is_taken_as_written(tmp_path):
    assert list(read_weights(write(tmp_path, "symbol,weight\nNA,0.1\n7,0.2\n", "w.csv")).index) == ["NA", "7"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("symbol,weight\nSPY,0.1\nSPY,0.2\n", "SPY is given twice"),
        ("bucket,symbol,weight\ncore,SPY,0.1\ncore,SPY,0.2\n", "core/SPY is given twice"),
        ("symbol,weight\nSPY,abc\n", "weight at SPY: 'abc' is not a number"),
        ("symbol,weight\nSPY,10%\nBIL,0.2\n", "'10%' is in percent and '0.2' is not; write all as fractions of 1"),
        ("symbol,weight\nSPY,\n", "SPY: weight nan is not finite"),
        ("symbol,weight\nSPY,0.1\nBIL,inf\n", "BIL: weight inf is not finite"),
        ("symbol,weight\n,0.1\n", "entry 1: '' is no symbol; name it"),
        ("bucket,symbol,weight\n ,SPY,0.1\n", "entry 1: '' is no bucket; name it"),
        ("share,weight\nSPY,0.1\n", "has the columns share,weight; the columns must be symbol,weight or"),
        ("symbol,weight,note\nSPY,0.1,x\n", "has the columns symbol,weight,note"),
        ("symbol,weight,weight\nSPY,0.1,0.1\n", "has the columns symbol,weight,weight"),
        ("symbol\nSPY\n", "has the columns symbol;"),
        ("symbol,weight\n", "holds no weights"),
        ("", "is empty"),
    ],
)
def test_a_csv_that_is_wrong(tmp_path, content, words):
    assert words in refusal(write(tmp_path, content, "weights.csv"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"SPY": 0.1, "SPY": 0.2}', "SPY is given twice"),
        ('{"SPY": true}', "SPY: weight True is not a number"),
        ('{"SPY": "a tenth"}', "weight at SPY: 'a tenth' is not a number"),
        ('{"SPY": null}', "SPY: weight None is not a number"),
        ('{"SPY": NaN}', "SPY: weight nan is not finite"),
        ('{"SPY": 1e999}', "SPY: weight inf is not finite"),
        (f'{{"SPY": 1{"0" * 400}}}', "SPY: weight inf is not finite"),
        ('{"": 0.1}', "entry 1: '' is no symbol"),
        ("{}", "holds no weights"),
        ("[]", "holds no weights"),
        ("3", "holds no weights"),
        ("[0.1]", "entry 1: 0.1 is not a record"),
        ("[[0.1]]", "entry 1: [0.1] is not a record"),
        ('[{"symbol": "SPY"}]', "SPY: weight None is not a number"),
        ('[{"weight": 0.1}]', "has the columns weight;"),
        ('[{"symbol": "SPY", "weight": 0.1}, {"weight": 0.2}]', "entry 2: nan is no symbol"),
        ('[{"symbol": "SPY", "weight": 0.1, "weight": 0.2}]', "entry 1: has a key twice"),
        ('[{"symbol": 7.5, "weight": 0.1}]', "entry 1: 7.5 is no symbol"),
        ('{"SPY": 0.1', "cannot be read as JSON"),
        (b'{"S\xe9": 0.1}', "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_a_json_that_is_wrong(tmp_path, content, words):
    assert words in refusal(write(tmp_path, content, "weights.json"))


def test_a_parquet_with_weights_of_the_wrong_kind(tmp_path):
    file = tmp_path / "weights.parquet"
    pd.DataFrame({"symbol": ["SPY"], "weight": [True]}).to_parquet(file)
    assert "weight holds bool values, not numbers" in refusal(file)


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.json", "nothing.parquet"])
def test_a_file_that_does_not_exist(tmp_path, name):
    assert "does not exist; check the name" in refusal(tmp_path / name)


def test_a_file_of_an_unknown_kind(tmp_path):
    assert "of an unknown kind" in refusal(write(tmp_path, "", "weights.xlsx"))
