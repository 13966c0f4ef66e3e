"""A share on a table with weekends is delisted after sessions of its own, not after rows."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.execution import Desk, Holdings, step

DATES = pd.date_range("2001-08-20", "2001-09-21")
FREE = pmx.load_policy(
    overrides={
        "risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False, "risk_scaler.enabled": False,
        "risk_buckets.default_bucket": "ts_core", "execution.costs.commission_bps": 0.0,
        "execution.costs.half_spread_bps": 0.0, "execution.max_stale_bars": 5,
    }
)  # fmt: skip


def tables():
    """A share that stood at 1,092 before it was shut from 11 to 16 September, and at 1,038 after; and a coin."""
    share = pd.Series(1092.0, DATES)
    share["2001-09-17":] = 1038.0
    share[(DATES.day_of_week >= 5) | ((DATES >= "2001-09-11") & (DATES <= "2001-09-16"))] = np.nan
    prices = pd.DataFrame({"SHARE": share, "COIN": 10.0})
    return prices, pd.DataFrame({"SHARE": [0.5]}, index=DATES[:1])


def test_a_share_that_was_shut_for_four_sessions_is_not_delisted():
    prices, targets = tables()
    result = pmx.backtest(prices, FREE, targets=targets, initial_nav=1_000.0)
    assert result.trades["reason"].unique().tolist() == ["rebalance"]
    assert round(result.nav["2001-09-17"], 2) == 975.27
    assert result.nav["2001-09-17"] == pytest.approx(500.0 + 500.0 * 1038 / 1092, rel=1e-12)
    assert (result.positions["ts_core", "SHARE"].loc["2001-08-21":] > 0.0).all()


@pytest.mark.filterwarnings("ignore:held without prices")
def test_after_six_sessions_it_is():
    prices, targets = tables()
    prices.loc["2001-09-11":"2001-09-18", "SHARE"] = np.nan
    result = pmx.backtest(prices, FREE, targets=targets, initial_nav=1_000.0)
    gone = result.trades[result.trades["reason"] == "delisted"]
    assert gone["date"].tolist() == [pd.Timestamp("2001-09-18")]
    assert gone["price"].tolist() == [1092.0]


@pytest.mark.parametrize("last", [pd.Timestamp("2001-09-15"), pd.Timestamp("2001-09-18"), pd.Timestamp("2001-09-19")])
def test_the_desk_counts_as_the_account_does(last):
    prices, _ = tables()
    prices.loc["2001-09-11":, "SHARE"] = np.nan
    desk = Desk(FREE, ["SHARE", "COIN"], positions=[("ts_core", "SHARE")])
    known = prices.loc[:last]
    gone = last >= pd.Timestamp("2001-09-18")
    assert desk.silent(known) == (["SHARE"] if gone else [])
    policy = pmx.load_policy(overrides={"risk_buckets.default_bucket": "ts_core", "execution.turnover.max": None})
    decided = step(
        Desk(policy, ["SHARE", "COIN"], positions=[("ts_core", "SHARE")]),
        Holdings(1e6, np.array([0.05]), {}), known, targets=np.array([0.1]),
    )  # fmt: skip
    assert decided.weights[0] == pytest.approx(0.0 if gone else 0.1, abs=1e-9)


@pytest.mark.filterwarnings("ignore:held without prices")
def test_a_missing_target_stands_for_as_many_sessions():
    """Targets at every row, none for the share while it is shut: the last one stands, over weekends too."""
    prices, _ = tables()
    targets = pd.DataFrame({"SHARE": 0.5, "COIN": 0.1}, index=DATES).where(prices.notna())
    result = pmx.backtest(prices, FREE, targets=targets, initial_nav=1_000.0)
    weights = result.weights["SHARE"]
    assert (weights.loc["2001-08-20":"2001-09-21"] == 0.5).all()
    prices.loc["2001-09-11":, "SHARE"] = np.nan
    targets = targets.where(prices.notna())
    weights = pmx.backtest(prices, FREE, targets=targets, initial_nav=1_000.0).weights["SHARE"]
    assert (weights.loc[:"2001-09-17"] == 0.5).all()
    assert (weights.loc["2001-09-18":] == 0.0).all()


@pytest.mark.filterwarnings("ignore:held without prices")
def test_later_rows_do_not_change_what_was_counted():
    prices, targets = tables()
    prices.loc["2001-09-11":"2001-09-18", "SHARE"] = np.nan
    whole = pmx.backtest(prices, FREE, targets=targets, initial_nav=1_000.0).nav
    for n in range(20, len(DATES)):
        cut = pmx.backtest(prices.iloc[:n], FREE, targets=targets, initial_nav=1_000.0).nav
        np.testing.assert_array_equal(cut.to_numpy(), whole.to_numpy()[:n])


@pytest.mark.parametrize(("shut", "cause"), [([], "waiting"), (["2001-09-10"], "suspended")])
def test_an_order_over_a_weekend_waits_and_one_over_a_missed_session_is_suspended(shut, cause):
    """The share doubles on a Friday and leaves too little cash; it is cut on its next session, a Monday or Tuesday."""
    share = pd.Series(100.0, DATES)
    share["2001-09-07":] = 200.0
    share[(DATES.day_of_week >= 5) | DATES.isin(pd.to_datetime(shut))] = np.nan
    prices = pd.DataFrame({"SHARE": share, "COIN": 10.0})
    policy = pmx.load_policy(
        overrides={
            "risk_buckets.default_bucket": "ts_core", "risk_scaler.enabled": False, "execution.turnover.max": None,
            "risk_buckets.portfolio.cash_min": 0.93,
        }
    )  # fmt: skip
    result = pmx.backtest(prices, policy, targets=pd.DataFrame({"SHARE": [0.05]}, index=DATES[:1]), costs=0.0)
    spells = result.breaches[result.breaches["rule"].str.startswith("cash")]
    assert spells["cause"].tolist() == ["drift", "waiting", "suspended"][: 2 + len(shut)]
    assert (spells["cause"].iloc[-1], spells["first"].iloc[0]) == (cause, pd.Timestamp("2001-09-07"))
    assert (spells["cured"] == pd.Timestamp("2001-09-11" if shut else "2001-09-10")).all()
