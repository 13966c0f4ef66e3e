"""A ticker such as 5930 is the same symbol as a number and as text."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError

DATES = pd.bdate_range("2020-01-01", periods=5)
PRICES = pd.DataFrame({5930: [100.0, 101, 102, 103, 104], 660: [50.0, 51, 50, 51, 52]}, index=DATES)


def as_text(table):
    return table.set_axis(table.columns.astype(str), axis=1)


def test_a_projection_by_numbers_is_that_by_text():
    policy = pmx.load_policy()
    wish = pd.Series({5930: 0.6, 660: 0.2})
    one = pmx.project_to_feasible(wish, policy, previous={660: 0.1}, gated=[660])
    other = pmx.project_to_feasible(
        {"5930": 0.6, "660": 0.2}, policy, previous=pd.Series({"660": 0.1}), gated={"660": "reduce_only"}
    )
    pd.testing.assert_series_equal(one.weights, other.weights)
    assert {"5930", "660"} <= set(one.weights.index)


def test_relative_weights_by_numbers():
    policy = pmx.load_policy()
    wish = pd.Series({("ts_core", 5930): 0.6, ("ts_core", 660): 0.4})
    text = pd.Series({("ts_core", "5930"): 0.6, ("ts_core", "660"): 0.4})
    pd.testing.assert_series_equal(pmx.solve(policy, wish).weights, pmx.solve(policy, text).weights)


def test_a_backtest_by_numbers_is_that_by_text():
    policy = pmx.load_policy()
    targets = pd.DataFrame(0.1, index=DATES, columns=PRICES.columns)
    one = pmx.backtest(PRICES, policy, targets=targets)
    other = pmx.backtest(as_text(PRICES), policy, targets=as_text(targets))
    pd.testing.assert_series_equal(one.nav, other.nav, check_exact=True)
    assert one.weights.columns.tolist() == ["5930", "660", "CASH"]


def test_nav_orders_and_costs_by_numbers():
    policy = pmx.load_policy()
    snapshot = pmx.PortfolioSnapshot(900.0, {5930: 1.0, ("ts_core", 660): 0.0})
    assert float(pmx.compute_nav(snapshot, pd.Series({5930: 100.0, 660: 50.0}))) == 1_000.0
    allocation = pmx.project_to_feasible({5930: 0.05}, policy, buckets={5930: "ts_core"})
    plan = pmx.size_orders(allocation, snapshot, {5930: 100.0})
    assert plan.orders["symbol"].tolist() == ["5930"]
    costs = pmx.execution.CostModel(1.0, 0.0, {5930: 50.0})
    assert costs.rate("5930") == 0.005


def test_columns_without_names_are_no_tickers():
    with pytest.raises(DataError, match=r"the symbols are numbered 0, 1, 2, \.\.\., not named"):
        pmx.backtest(pd.DataFrame(np.full((5, 2), 10.0), index=DATES), pmx.load_policy())


def test_a_backtest_on_one_share_of_close_and_volume_is_refused():
    one = pd.DataFrame({"Close": [10.0, 11.0], "Volume": [1e6, 2e6]}, index=DATES[:2])
    with pytest.raises(DataError, match="this is one share's open, high, low, close and volume table"):
        pmx.backtest(one, pmx.load_policy())


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (pd.DataFrame({"date": DATES[[0, 0]], "symbol": [5930, 660], "weight": [0.1, 0.1]}),
         r"targets: this is a long table, .* df.pivot\(index='date', columns='symbol', values='weight'\)"),
        (pd.DataFrame({"weight": [0.1]}, pd.MultiIndex.from_arrays([DATES[:1], ["660"]], names=["date", "symbol"])),
         r"targets: the rows are labelled by date and symbol, not by date; .* df\['weight'\].unstack\(\)"),
        (pd.DataFrame({"date": ["2020-01-01"], "5930": [0.1]}), "targets: the dates are in the column date, not"),
    ],
)  # fmt: skip
def test_targets_in_another_layout_are_refused_with_the_line_that_converts_them(targets, words):
    with pytest.raises(DataError, match=words):
        pmx.backtest(as_text(PRICES), pmx.load_policy(), targets=targets)
