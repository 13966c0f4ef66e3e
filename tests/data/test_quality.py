"""Probable faults of prices are found by symbol and date, and ordinary prices raise none."""

import warnings

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.data import load_demo_prices, price_findings
from pmx.data.quality import messages, warn_of
from pmx.errors import DataError, PmxWarning


def walk(n=600, m=4, seed=0, volatility=0.015, freq="B"):
    """Ordinary closes: fat-tailed daily returns, cents."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(5, size=(n, m)) * volatility / np.sqrt(5 / 3)
    dates = pd.date_range("2015-01-01", periods=n, freq=freq, name="date")
    return pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), dates, [f"S{k}" for k in range(m)]).round(2)


def kinds(prices):
    return price_findings(prices)["kind"].tolist()


def test_twenty_years_of_indices_and_oil_raise_nothing():
    prices = load_demo_prices()  # 1999 to 2018: two crashes, and oil at a quarter of its peak
    assert price_findings(prices).empty
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = pmx.backtest(prices[-300:], pmx.load_policy(), targets=prices[-300:] * 0.0 + 0.1)
    assert result.data_warnings.empty


def test_ordinary_closes_raise_next_to_nothing():
    found = [price_findings(walk(n=2500, m=100, seed=seed)) for seed in range(4)]  # a million closes
    assert sum(map(len, found)) <= 1


@pytest.mark.parametrize("freq", ["B", "D", "W", "ME"])
def test_ordinary_closes_at_other_intervals(freq):
    scale = {"B": 1, "D": 1, "W": 5**0.5, "ME": 21**0.5}[freq]
    assert kinds(walk(n=200, volatility=0.01 * scale, freq=freq)) == []


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(4.0, "as in a 4:1 split"), (1.5, "as in a 3:2 split"), (2.0, "a 2:1 split"), (20.0, "a 20:1 split"),
     (0.1, "a 1:10 reverse split")],
)  # fmt: skip
def test_a_split_is_named_with_its_ratio(ratio, words):
    prices = walk()
    prices.loc[prices.index[300] :, "S1"] /= ratio
    [found] = price_findings(prices).itertuples(index=False)
    assert (found.kind, found.symbol, found.date) == ("split", "S1", prices.index[300])
    assert found.value == pytest.approx(ratio)
    assert words in found.text


def test_the_three_for_two_that_was_a_crash_among_large_moves_is_none():
    prices = walk()
    level = prices["S1"].iloc[300]
    prices.iloc[300:304, 1] = [level / 1.2, level / 1.8, level / 1.5, level / 1.9]
    assert "split" not in kinds(prices)


def test_a_jump_is_a_move_beyond_half():
    prices = walk()
    prices.iloc[100:, 0] *= 0.457  # 2.19: no split
    prices.iloc[200:, 2] *= 1.83
    found = price_findings(prices)
    assert found[["kind", "symbol"]].to_numpy().tolist() == [["jump", "S0"], ["jump", "S2"]]
    moves = prices.pct_change().to_numpy()
    assert found["value"].tolist() == pytest.approx([moves[100, 0], moves[200, 2]])


def test_thirty_missing_days_are_a_gap_and_weekends_beside_crypto_are_none():
    prices = walk(n=700, freq="D")
    stocks = prices.columns[:3]
    prices.loc[prices.index.day_of_week >= 5, stocks] = np.nan
    assert kinds(prices) == []
    prices.loc["2015-06-01":"2015-06-30", "S2"] = np.nan
    [found] = price_findings(prices).itertuples(index=False)
    assert (found.kind, found.symbol, found.date) == ("gap", "S2", pd.Timestamp("2015-07-01"))
    assert found.value == 33.0
    assert found.text == "S2 has none between 2015-05-29 and 2015-07-01, 33 days"


def test_thirty_days_missing_from_the_whole_table_are_a_gap_of_each_symbol():
    prices = walk()
    assert kinds(prices.drop(prices.loc["2016-02-01":"2016-03-01"].index)) == ["gap"] * 4


def test_a_market_that_closes_for_ten_days_twice_a_year_has_no_gap():
    prices = walk(n=1000)
    days = prices.index
    golden = (days.month.isin([2, 10])) & (days.day <= 9)
    assert kinds(prices[~golden]) == []


def test_frozen_closes():
    prices = walk()
    prices.iloc[100:125, 3] = prices.iloc[100, 3]
    [found] = price_findings(prices).itertuples(index=False)
    assert (found.kind, found.symbol, found.value) == ("frozen", "S3", 25.0)
    assert found.date == prices.index[124]


def test_what_is_always_the_same_and_what_rarely_trades_is_not_frozen():
    prices = walk()
    prices["MONEY"] = 1.0
    prices["RARE"] = np.repeat(prices["S0"].to_numpy()[::15], 15)[: len(prices)]
    assert kinds(prices) == []


def test_two_symbols_with_the_same_closes():
    prices = walk()
    prices["COPY"] = prices["S2"]
    [found] = price_findings(prices).itertuples(index=False)
    assert (found.kind, found.symbol, found.text) == ("copy", "COPY", "COPY and S2, all 600")


def test_what_is_no_table_of_prices_is_refused():
    with pytest.raises(DataError, match="long table"):
        price_findings(walk(n=3).reset_index().melt("date", var_name="symbol", value_name="close"))


def test_one_warning_a_kind_names_the_worst_few():
    prices = walk(m=8)
    for k in range(8):
        prices.iloc[50 * (k + 1) :, k] /= k + 2
    prices.iloc[500:520, 0] = prices.iloc[500, 0]
    with pytest.warns(PmxWarning) as caught:
        warn_of(price_findings(prices), "closes.csv")
    split, frozen = (str(warning.message) for warning in caught)
    assert split.startswith("closes.csv: looks like a split that is not adjusted: S7 on ")
    assert split.endswith(", and 5 more; give adjusted prices, or the ratios as splits")
    assert frozen.startswith("closes.csv: the same close again and again: S0 is ")
    assert [line.kind for line in messages(price_findings(prices))] == ["split", "frozen"]


def test_a_backtest_warns_of_a_split_and_lists_it():
    prices = walk(n=60, m=2).rename(columns={"S0": "SP500", "S1": "WTI"})
    prices.iloc[30:, 0] /= 4
    targets = pd.DataFrame(0.1, prices.index, prices.columns)
    with pytest.warns(PmxWarning, match="prices: looks like a split that is not adjusted: SP500 on 2015-02-12"):
        result = pmx.backtest(prices, pmx.load_policy(), targets=targets)
    assert result.data_warnings[["kind", "symbol"]].to_numpy().tolist() == [["split", "SP500"]]
    assert pmx.backtest(prices, pmx.load_policy(), targets=targets, end="2015-02-11").data_warnings.empty
