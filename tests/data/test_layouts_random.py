"""Random files: numbers come back to the last bit, and nothing but `DataError` comes out of what is no table."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.data import (
    read_cash_rate,
    read_covariance,
    read_dividends,
    read_prices,
    read_splits,
    read_targets,
    read_weights,
)
from pmx.errors import DataError, PmxWarning

READERS = (read_prices, read_targets, read_weights, read_cash_rate, read_covariance, read_splits, read_dividends)
PRICES = st.floats(min_value=1e-3, max_value=1e7) | st.integers(1, 10**6).map(float) | st.just(float("nan"))
WORDS = st.sampled_from(
    ["date", "Date", "symbol", "Ticker", "close", "Open", "High", "Low", "Adj Close", "Price", "weight", "bucket",
     "SPY", "5930", "0700", "", "2020-01-02", "2020-01-03", "02.01.2020", "13/01/2020", "20200102", "1.5", "1,5",
     "1.234", "60%", "-", "n/a", "inf", "0", "-1", "'", '"', "$5", "1 234", "x", "Unnamed: 0", "sep=;",
     "2020-01-02 00:00:00+01:00"]
)  # fmt: skip


def outcome(read, file):
    """Return what was read, or what was said instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PmxWarning)
        try:
            return read(file), ""
        except DataError as error:
            return None, str(error)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(PRICES, PRICES, PRICES), min_size=2, max_size=8),
    sep=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([".", ","]),
    form=st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%m/%d/%Y"]),
    long=st.booleans(),
)
def test_numbers_come_back_to_the_last_bit_or_are_in_doubt(tmp_path_factory, rows, sep, decimal, form, long):
    dates = pd.date_range("2020-01-25", periods=len(rows), name="date")
    table = pd.DataFrame(rows, index=dates, columns=["AAPL", "5930", "NGX:MTNN"])
    file = tmp_path_factory.mktemp("random") / "prices.csv"
    if long:
        melted = table.reset_index().melt("date", var_name="symbol", value_name="price")
        melted.to_csv(file, sep=sep, decimal=decimal, date_format=form, index=False)
    else:
        table.to_csv(file, sep=sep, decimal=decimal, date_format=form)
    read, refusal = outcome(read_prices, file)
    if refusal:
        assert sep != "," or decimal == ","
        assert "may group thousands or have a decimal mark" in refusal
        return
    pd.testing.assert_frame_equal(read, table, check_exact=True, check_freq=False, check_column_type=False)


@pytest.mark.parametrize("read", READERS)
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(WORDS, min_size=1, max_size=5), max_size=6),
    sep=st.sampled_from([",", ";", "\t"]),
    square=st.booleans(),
    name=st.sampled_from(["prices.csv", "AAPL.csv", "A.csv.gz"]),
)
def test_what_is_no_table_is_refused_by_a_data_error(tmp_path_factory, read, rows, sep, square, name):
    if square and rows:
        rows = [(row * 5)[: len(rows[0])] for row in rows]
    content = "\n".join(sep.join(row) for row in rows).encode()
    file = tmp_path_factory.mktemp("random") / name
    file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    table, refusal = outcome(read, file)
    assert str(file) in refusal if refusal else np.asarray(table).dtype == np.float64
