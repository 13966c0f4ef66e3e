"""Twenty years of real prices under the policy of the demo: the floor holds at every decision, with proof."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.monitoring import demo_policy

POLICY = demo_policy()


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    return load_demo_prices()


@pytest.fixture(scope="module")
def run(prices: pd.DataFrame) -> pmx.BacktestResult:
    return pmx.backtest(prices, POLICY, cash_rate=load_demo_cash_rate())


def test_every_day_is_decided(run: pmx.BacktestResult, prices: pd.DataFrame) -> None:
    assert run.weights.index.equals(prices.index)
    assert len(run.weights) == 5031
    assert (run.weights[["SP500", "NASDAQ", "WTI"]].sum(axis=1) > 0.01).mean() > 0.5  # and mostly not for cash alone
    assert set(run.status) <= {"optimal", "relaxed"}


def test_the_safe_weight_is_never_below_the_floor(run: pmx.BacktestResult) -> None:
    assert run.safe_floor == 0.7
    assert (run.safe_weight >= 0.7 - 1e-9).all()
    # Counted from the weights alone: nothing here is safe but cash.
    assert (run.weights["CASH"] >= 0.7 - 1e-9).all()
    np.testing.assert_allclose(run.safe_weight, run.weights["CASH"], rtol=0, atol=1e-12)


def test_every_decision_obeys_every_cap(run: pmx.BacktestResult) -> None:
    risk = run.weights.drop(columns="CASH")
    assert (risk.to_numpy() >= 0.0).all()
    assert (risk.to_numpy() <= 0.10 + 1e-9).all()
    assert (risk.sum(axis=1) <= 0.25 + 1e-9).all()
    assert (risk[["SP500", "NASDAQ"]].sum(axis=1) <= 0.20 + 1e-9).all()
    assert (risk["WTI"] <= 0.10 + 1e-9).all()
    clamp = 0.15 * run.risk_scale["ts_core"]
    assert (risk.sum(axis=1) <= np.minimum(clamp, 0.25) + 1e-9).all()
    assert run.risk_scale["ts_core"].between(0.25, 1.25).all()


def test_every_certificate_holds_and_every_row_sums_to_one(run: pmx.BacktestResult) -> None:
    assert (run.distance_bound <= 1e-6).all()
    assert run.rules.loc[run.rules.index != "barbell.safe.cap", "max_violation"].max() <= 1e-9
    np.testing.assert_allclose(run.weights.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.bucket_weights.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def test_what_is_held_after_trading_is_what_was_decided_up_to_costs(
    run: pmx.BacktestResult, prices: pd.DataFrame
) -> None:
    cost = run.trades.groupby("date")["cost"].sum().reindex(run.nav.index, fill_value=0.0)
    held = run.positions["ts_core"].mul(prices.ffill()).div(run.nav + cost, axis=0)
    decided = run.weights[held.columns].shift(1).fillna(0.0)
    priced = prices.notna().all(axis=1)
    np.testing.assert_allclose(held[priced], decided[priced], rtol=0, atol=1e-12)
    risk = run.bucket_weights["ts_core"]
    assert (risk[priced] * (run.nav / (run.nav + cost))[priced] <= 0.25 + 1e-9).all()
    assert (run.bucket_weights["CASH"][priced] >= 0.7 - 1e-9 - (cost / run.nav)[priced]).all()
    # On a day without a quote for oil, its position stays and the others are traded all the same.
    quantity = run.positions["ts_core"]
    assert (quantity["WTI"].diff()[~priced].iloc[1:] == 0.0).all()
    np.testing.assert_allclose(
        held.loc[~priced, ["SP500", "NASDAQ"]], decided.loc[~priced, ["SP500", "NASDAQ"]], atol=1e-12
    )


def test_money_is_accounted_for_over_twenty_years(run: pmx.BacktestResult, prices: pd.DataFrame) -> None:
    quantity = run.positions["ts_core"]
    profit = (quantity.shift(1) * prices.ffill().diff()[quantity.columns]).sum(axis=1)
    cost = run.trades.groupby("date")["cost"].sum().reindex(run.nav.index, fill_value=0.0)
    np.testing.assert_allclose(
        run.nav.diff().iloc[1:], (profit + run.interest - cost).iloc[1:], rtol=0, atol=1e-9 * 1e6
    )
    assert run.nav.iloc[-1] == pytest.approx(1e6 + profit.sum() + run.interest.sum() - cost.sum(), rel=1e-9)
    rate = run.trades["symbol"].map({"SP500": 2e-4, "NASDAQ": 2e-4, "WTI": 4e-4})
    np.testing.assert_allclose(run.trades["cost"], run.trades["value"].abs() * rate, rtol=1e-9)


def test_wishes_and_cuts_make_up_the_return_over_cash(run: pmx.BacktestResult) -> None:
    earned = run.contributions
    assert {"target", "clamp.ts_core", "symbol.SP500.cap", "weight"} <= set(earned.columns)
    assert "unexplained" not in earned
    np.testing.assert_allclose(earned.drop(columns="weight").sum(axis=1), earned["weight"], rtol=0, atol=1e-12)
    cost = run.trades.groupby("date")["cost"].sum().reindex(run.nav.index, fill_value=0.0)
    excess = run.nav.pct_change() - run.rf + cost / run.nav.shift()
    np.testing.assert_allclose(earned["weight"].iloc[1:], excess.iloc[1:], rtol=0, atol=1e-12)
    # Scaling risk down saved when technology fell, and cost over the recoveries that followed.
    clamp = run.contributions_by_year["contribution"].xs("clamp.ts_core", level="rule")
    assert clamp[2001] > 0.03
    assert clamp[[2009, 2010, 2013]].max() < -0.01


def test_the_figures_of_the_run_are_those_of_its_tables(run: pmx.BacktestResult) -> None:
    figures = run.metrics
    years = 5030 / 252
    assert figures["annualized_return"] == pytest.approx((run.nav.iloc[-1] / 1e6) ** (1 / years) - 1, rel=1e-9)
    excess = run.nav.pct_change().iloc[1:] - run.rf.iloc[1:]
    assert figures["sharpe_ratio"] == pytest.approx(excess.mean() / excess.std() * 252**0.5, rel=1e-9)
    at = run.nav.loc[run.trades["date"]].to_numpy()
    assert figures["turnover"] == pytest.approx((run.trades["value"].abs() / at).sum() / 2 / years, rel=1e-9)
    assert figures["cost"] == pytest.approx((run.trades["cost"] / at).sum() / years, rel=1e-9)
    assert figures["trades"] == len(run.trades)
    assert figures["max_drawdown"] == run.drawdown.max()
    # Cash alone, compounded at the rates that the run was given, over the days between the closes.
    cash = load_demo_cash_rate()
    spans = np.diff(run.nav.index) / np.timedelta64(1, "D")
    np.testing.assert_allclose(run.rf.iloc[1:], cash.loc[run.nav.index[:-1]].to_numpy() * spans, rtol=1e-12)
