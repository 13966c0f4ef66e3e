"""Prices come through exactly or are refused by symbol and date."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.data import check_prices, read_prices
from pmx.errors import DataError

DATES = pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-06"])
GOOD = "date,SPY,BIL\n2020-01-02,324.87,91.5\n2020-01-03,322.41,\n2020-01-06,323.64,91.6\n"


def frame(**columns):
    return pd.DataFrame(columns, index=DATES)


def good():
    return frame(SPY=[324.87, 322.41, 323.64], BIL=[91.5, np.nan, 91.6])


def write(tmp_path, content, name="prices.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_good_prices_come_back_equal_as_a_copy():
    given = good()
    checked = check_prices(given)
    pd.testing.assert_frame_equal(checked, given, check_names=False)
    assert checked.index.name == "date"
    checked.iloc[0, 0] = 1.0
    assert given.iloc[0, 0] == 324.87


def test_whole_numbers_and_nullable_floats_become_floats():
    checked = check_prices(frame(A=[1, 2, 3], B=pd.array([1.5, None, 2.5], dtype="Float64")))
    assert list(checked.dtypes) == [np.float64, np.float64]
    assert np.isnan(checked.loc["2020-01-03", "B"])


def test_dates_out_of_order_are_put_in_order():
    pd.testing.assert_frame_equal(check_prices(good().iloc[::-1]), check_prices(good()))


def test_a_symbol_without_any_price_yet_is_allowed():
    assert check_prices(frame(A=[1.0, 2.0, 3.0], B=[np.nan] * 3))["B"].isna().all()


@pytest.mark.parametrize("bad", [0.0, -36.98, np.inf, -np.inf])
def test_a_price_that_is_none_names_symbol_date_and_value(bad):
    given = good()
    given.loc["2020-01-06", "BIL"] = bad
    message = refusal(check_prices, given)
    assert message.startswith(f"prices: BIL on 2020-01-06: price {bad:g} is not a finite number above zero; ")
    assert "leave it empty" in message


def test_the_first_bad_price_in_time_is_named():
    given = frame(A=[1.0, 1.0, -1.0], B=[1.0, -2.0, 1.0])
    assert "B on 2020-01-03" in refusal(check_prices, given)


def test_a_time_of_day_is_named_too():
    given = pd.DataFrame({"A": [-1.0]}, index=pd.to_datetime(["2020-01-02 15:30"]))
    assert "A on 2020-01-02 15:30:00" in refusal(check_prices, given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pd.DataFrame(), "holds no prices"),
        (good().iloc[:0], "holds no prices"),
        (good()[[]], "holds no prices"),
        (good().reset_index(drop=True), "the index is int64, not dates; use a DatetimeIndex"),
        (good().set_index(pd.DatetimeIndex([DATES[0], pd.NaT, DATES[2]])), "row 2 has no date"),
        (good().iloc[[0, 1, 1]], "the date 2020-01-03 occurs twice"),
        (good()[["SPY", "BIL", "SPY"]], "the symbol SPY has two columns"),
        (good().rename(columns={"SPY": 3.5}), "a symbol is named 3.5; name it by text, such as 'AAPL'"),
        (good().set_axis([0, 1], axis=1), "the symbols are numbered 0, 1, 2, ..., not named"),
        (good().rename(columns={"SPY": ""}), "a symbol is named ''"),
        (good().rename(columns={"SPY": "CASH"}), "CASH, which stands for cash"),
        (frame(A=["1", "2", "3"]), "A: holds str values, not numbers; convert it to float"),
        (frame(A=[True, False, True]), "A: holds bool values, not numbers"),
        (frame(A=[1j, 2j, 3j]), "A: holds complex128 values, not numbers"),
        (frame(A=[1.0, None, "x"]), "A: holds object values, not numbers"),
        (frame(A=DATES), "A: holds datetime64"),
    ],
)
def test_a_frame_that_is_no_table_of_prices(given, words):
    message = refusal(check_prices, given, "my frame")
    assert message.startswith("my frame: ")
    assert words in message


def test_csv_comes_through_to_the_last_digit(tmp_path):
    pd.testing.assert_frame_equal(read_prices(write(tmp_path, GOOD)), check_prices(good()))
    assert read_prices(str(write(tmp_path, GOOD))).loc["2020-01-02", "SPY"] == 324.87


def test_csv_compressed_with_a_byte_order_mark_and_blanks(tmp_path):
    text = GOOD.replace(",SPY", ", SPY ").replace("324.87", " 324.87 ").encode("utf-8-sig")
    file = write(tmp_path, gzip.compress(text, mtime=0), "PRICES.CSV.GZ")
    pd.testing.assert_frame_equal(read_prices(file), check_prices(good()))


@pytest.mark.parametrize("missing", ["", "NaN", "NA", "null", "."])
def test_missing_prices_in_csv(tmp_path, missing):
    read = read_prices(write(tmp_path, GOOD.replace("322.41,", f"322.41,{missing}")))
    assert read.isna().to_numpy().sum() == 1


@pytest.mark.parametrize("symbol", ["NA", "NaN", "null", "123", "NGX:MTNN"])
def test_a_symbol_is_taken_as_written(tmp_path, symbol):
    assert list(read_prices(write(tmp_path, GOOD.replace("BIL", symbol))).columns) == ["SPY", symbol]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("322.41", "abc", "SPY at 2020-01-03: 'abc' is not a number; "),
        ("322.41", '"1,32.41"', "SPY at 2020-01-03: '1,32.41' is not a number; "),
        ("322.41", "true", "'true' is not a number"),
        ("322.41", "-322.41", "SPY on 2020-01-03: price -322.41 is not"),
        ("322.41", "inf", "SPY on 2020-01-03: price inf is not"),
        ("322.41", "1e999", "SPY on 2020-01-03: price inf is not"),
        ("2020-01-03", "03/01/2020", "line 3: '03/01/2020' is not a date; write it as YYYY-MM-DD"),
        ("2020-01-03", "2020-02-31", "line 3: '2020-02-31' is not a date"),
        ("2020-01-03", "20200103", "line 3: '20200103' is not a date"),
        ("2020-01-03", "", "line 3: '' is not a date"),
        ("2020-01-03", "2020-01-03T00:00:00Z", "is not a date"),
        ("2020-01-03", "2020-01-02", "the date 2020-01-02 occurs twice"),
        ("date,SPY,BIL", "date,SPY,SPY", "the symbol SPY has two columns"),
        ("date,SPY,BIL", "date,SPY,", "a symbol is named ''"),
        ("date,SPY,BIL", "date,SPY,CASH", "stands for cash"),
        ("date,SPY,BIL", "date,SPY", "line 2: has 3 cells, the header 2; complete it"),
        ("2020-01-03,322.41,", "2020-01-03,322.41", "line 3: has 2 cells, the header 3; complete it"),
    ],
)
def test_a_csv_that_is_wrong_names_file_place_and_remedy(tmp_path, old, new, words):
    assert GOOD.count(old) == 1
    file = write(tmp_path, GOOD.replace(old, new))
    message = refusal(read_prices, file)
    assert message.startswith(f"{file}: ")
    assert words in message
    assert "; " in message


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("", "prices.csv", "is empty"),
        ('date,SPY\n2020-01-02,"1', "prices.csv", "cannot be read as CSV"),
        ("date,SPY\n", "prices.csv", "holds no prices"),
        ("date\n2020-01-02\n", "prices.csv", "holds no prices"),
        (b"date,S\xe9\n2020-01-02,1\n", "prices.csv", "save it as UTF-8"),
        (b"not gzip", "prices.csv.gz", "cannot be read as CSV"),
        (gzip.compress(GOOD.encode(), mtime=0)[:20] + b"\xff" * 20, "prices.csv.gz", "cannot be read as CSV"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-12], "prices.csv.gz", "cannot be read as CSV"),
        (b"PAR1 not really", "prices.parquet", "cannot be read as Parquet"),
        (GOOD, "prices.txt", "of an unknown kind; the name must end in one of .csv, .csv.gz, .parquet, .pq"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, name, words):
    file = write(tmp_path, content, name)
    message = refusal(read_prices, file)
    assert message.startswith(f"{file}: ")
    assert words in message


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.parquet"])
def test_a_file_that_does_not_exist(tmp_path, name):
    assert "does not exist; check the name" in refusal(read_prices, tmp_path / name)


@pytest.mark.parametrize("name", ["folder.csv", "folder.parquet"])
def test_a_folder_in_place_of_a_file(tmp_path, name):
    (tmp_path / name).mkdir()
    assert refusal(read_prices, tmp_path / name).startswith(str(tmp_path / name))


@pytest.mark.parametrize("as_column", [False, True])
def test_parquet_with_dates_as_index_or_first_column(tmp_path, as_column):
    given = check_prices(good())
    file = tmp_path / "prices.parquet"
    (given.reset_index() if as_column else given).to_parquet(file)
    pd.testing.assert_frame_equal(read_prices(file), given)


def test_parquet_with_dates_as_text(tmp_path):
    given = check_prices(good())
    given.set_index(given.index.strftime("%Y-%m-%d")).reset_index().to_parquet(tmp_path / "prices.pq")
    pd.testing.assert_frame_equal(read_prices(tmp_path / "prices.pq"), given)


def test_parquet_without_dates(tmp_path):
    good().reset_index(drop=True).to_parquet(tmp_path / "prices.parquet")
    assert "row 1: '324.87' is not a date" in refusal(read_prices, tmp_path / "prices.parquet")


PRICES = st.floats(min_value=1e-6, max_value=1e9) | st.just(float("nan"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(PRICES, PRICES), min_size=1, max_size=8))
def test_what_pandas_writes_is_read_back_exactly(tmp_path_factory, rows):
    dates = pd.date_range("2020-01-01", periods=len(rows), name="date")
    given = pd.DataFrame(rows, index=dates, columns=["A", "B"])
    file = tmp_path_factory.mktemp("prices") / "prices.csv"
    given.to_csv(file)
    pd.testing.assert_frame_equal(read_prices(file), check_prices(given), check_exact=True)
