"""A run: the layer off, symbols that fall silent, and the shape of what comes back."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.backtest import performance
from pmx.errors import DataError, PmxWarning

POLICY = pmx.load_policy()
OFF = POLICY.override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})


def dates(rows: int) -> pd.DatetimeIndex:
    return pd.bdate_range("2020-01-01", periods=rows)


class Always:
    """The same opinion of each symbol every day, also where there is no price."""

    source = "time_series_core"

    def __init__(self, **opinions: tuple[int, float]) -> None:
        self.opinions = opinions

    def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
        return [
            pmx.Signal(symbol, direction, 1.0, direction * edge, 1.0, self.source)
            for symbol, (direction, edge) in self.opinions.items()
        ]


class Changing(Always):
    """An opinion for the first days, another one from a day on."""

    def __init__(self, day: int, before: dict, after: dict) -> None:
        self.day, self.before, self.after = day, before, after

    def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
        self.opinions = self.before if len(prices) <= self.day else self.after
        return super().signals(prices)


# -- the layer off ---------------------------------------------------------------------------------------


def test_with_the_layer_off_weights_come_back_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    prices = pd.DataFrame(100 * np.exp(rng.normal(0, 0.01, (30, 3)).cumsum(axis=0)), dates(30), ["WTI", "BIL", "SP500"])
    targets = pd.DataFrame(rng.normal(0.0, 0.7, size=(30, 3)), prices.index, ["SP500", "WTI", "BIL"])
    result = pmx.backtest(prices, OFF, targets=targets, trade_at="close")
    assert (result.weights[targets.columns].to_numpy() == targets.to_numpy()).all()
    assert (result.status == "bypassed").all()
    assert (result.risk_scale.loc[:, ["safe"]] == 1.0).all(axis=None)
    np.testing.assert_allclose(result.weights.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert (result.safe_floor, len(result.rules)) == (0.0, 0)
    worth = result.positions.mul(prices[result.positions.columns.get_level_values("symbol")].to_numpy())
    cost = result.trades.groupby("date")["cost"].sum()
    executed = worth.droplevel("bucket", axis=1)[targets.columns].div(result.nav.iloc[1:] + cost, axis=0)
    np.testing.assert_allclose(executed, targets, rtol=0, atol=1e-12)


def test_with_the_layer_off_what_is_left_is_cash() -> None:
    prices = pd.DataFrame({"SP500": 1.0}, dates(3))
    policy = OFF.override({"risk_buckets.portfolio.residual_symbol": "BIL"})
    result = pmx.backtest(prices, policy, targets=prices * 0.25)
    assert result.weights.iloc[-1].to_dict() == {"SP500": 0.25, "CASH": 0.75}
    assert result.positions.columns.tolist() == [("ts_core", "SP500")]


def test_with_the_layer_off_signals_become_weights_as_they_are_routed() -> None:
    prices = pd.DataFrame({"SP500": 1.0, "WTI": 2.0}, dates(3))
    weights = pmx.backtest(prices, OFF, engines=[Always(SP500=(1, 0.3), WTI=(1, 0.1))]).weights
    assert weights.iloc[-1].to_dict() == pytest.approx({"SP500": 0.75, "WTI": 0.25, "CASH": 0.0}, abs=1e-12)


# -- symbols that fall silent ----------------------------------------------------------------------------


def test_a_symbol_without_a_price_keeps_its_signal_and_is_not_traded() -> None:
    prices = pd.DataFrame({"SP500": [100.0, 101.0, math.nan, math.nan, 104.0, 105.0], "WTI": 50.0}, dates(6))
    # The sell comes on the day on which there is no price: nobody can act on it, nor know it.
    before, after = {"SP500": (1, 1.0), "WTI": (1, 1.0)}, {"SP500": (-1, 1.0), "WTI": (1, 1.0)}
    result = pmx.backtest(prices, POLICY, engines=[Changing(2, before, after)], trade_at="close")
    wanted = result.weights["SP500"]
    np.testing.assert_allclose(wanted.iloc[:4], 0.075, rtol=0, atol=1e-9)
    np.testing.assert_allclose(wanted.iloc[4:], 0.0, rtol=0, atol=1e-9)
    quantity = result.positions["ts_core", "SP500"]
    assert quantity.iloc[1] == quantity.iloc[2] == quantity.iloc[3] > 0.0
    assert quantity.iloc[4] == pytest.approx(0.0, abs=1e-6)
    silent = result.trades["date"].isin(prices.index[2:4])
    assert set(result.trades[silent]["symbol"]) <= {"WTI"}
    nav = result.nav.loc[prices.index]
    assert nav.iloc[3] == pytest.approx(nav.iloc[1], rel=1e-4)


def test_an_order_without_a_price_waits_for_the_next_close() -> None:
    prices = pd.DataFrame({"SP500": [100.0, math.nan, 100.0, 100.0], "WTI": 50.0}, dates(4))
    targets = pd.DataFrame({"SP500": [0.05], "WTI": [0.05]}, prices.index[:1])
    result = pmx.backtest(prices, POLICY, targets=targets)
    trades = [[prices.index[1], "WTI"], [prices.index[2], "SP500"]]
    assert result.trades[["date", "symbol"]].to_numpy().tolist() == trades
    assert result.positions["ts_core", "SP500"].tolist()[:2] == [0.0, 0.0]
    assert result.trades["value"].to_numpy() / result.nav.iloc[1:3].to_numpy() == pytest.approx([0.05] * 2, rel=1e-4)


@pytest.mark.parametrize("patience", [0, 2])
def test_a_delisted_symbol_is_sold_at_its_last_close_and_not_asked_for_again(patience: int) -> None:
    prices = pd.DataFrame({"SP500": [100.0, 110.0, 121.0, *[math.nan] * 6], "WTI": 50.0}, dates(9))
    policy = POLICY.override({"execution.max_stale_bars": patience})
    with pytest.warns(PmxWarning, match=r"SP500: .* sold on .* at the last mark, 121"):
        result = pmx.backtest(prices, policy, engines=[Always(SP500=(1, 1.0), WTI=(1, 1.0))], costs=0.001)
    [sale] = result.trades[result.trades["reason"] == "delisted"].to_dict("records")
    gone = prices.index[3 + patience]
    assert (sale["date"], sale["symbol"], sale["price"]) == (gone, "SP500", 121.0)
    assert sale["quantity"] == -result.positions["ts_core", "SP500"].iloc[2 + patience]
    assert sale["cost"] == pytest.approx(-sale["value"] * 0.001)
    assert result.positions["ts_core", "SP500"].loc[gone:].eq(0.0).all()
    np.testing.assert_allclose(result.weights["SP500"].loc[gone:], 0.0, rtol=0, atol=1e-12)
    # The bucket is WTI's alone then, up to its cap.
    np.testing.assert_allclose(result.weights["WTI"].loc[gone:], 0.10, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.weights["WTI"].loc[: prices.index[2]], 0.075, rtol=0, atol=1e-9)


def test_standing_weights_wait_for_the_first_price() -> None:
    prices = pd.DataFrame({"BIL": [math.nan, math.nan, 90.0, 90.0, 90.0], "SP500": 100.0}, dates(5))
    policy = POLICY.override({"risk_buckets.buckets.safe.standing": {"BIL": 0.5}, "execution.turnover.max": 0.2})
    weights = pmx.backtest(prices, policy, engines=[Always(SP500=(1, 1.0))]).weights
    # What cannot be bought takes nothing of the room for trades that the others need.
    assert weights["SP500"].tolist() == pytest.approx([0.1] * 5, abs=1e-3)
    assert weights["BIL"].iloc[:2].tolist() == [0.0, 0.0]
    assert weights["BIL"].iloc[2] > 0.3


# -- what comes back -------------------------------------------------------------------------------------


def test_a_run_without_decisions_is_cash() -> None:
    prices = pd.DataFrame({"SP500": [1.0, 2.0, 3.0, 4.0]}, dates(4))
    targets = pd.DataFrame({"SP500": [0.1]}, prices.index[:1])
    result = pmx.backtest(prices, POLICY, targets=targets, start=prices.index[1])
    assert result.nav.tolist() == [1e6] * 3
    assert (len(result.weights), len(result.trades), len(result.rules), result.last) == (0, 0, 0, None)
    assert result.weights.columns.tolist() == ["SP500", "CASH"]
    assert result.bucket_weights["CASH"].tolist() == [1.0] * 3
    assert result.trades.columns.tolist() == ["date", "symbol", "quantity", "price", "value", "cost", "reason"]
    assert result.metrics[["turnover", "cost", "trades"]].tolist() == [0.0, 0.0, 0.0]


def test_a_run_of_one_close_decides_and_has_no_figures() -> None:
    prices = pd.DataFrame({"SP500": [1.0]}, dates(1))
    result = pmx.backtest(prices, POLICY, targets=prices * 0.05, progress=True)
    assert result.weights["SP500"].tolist() == pytest.approx([0.05])
    with pytest.raises(DataError, match="at least two NAV values"):
        _ = result.metrics


def test_the_result_is_frozen_and_its_figures_take_other_assumptions() -> None:
    rng = np.random.default_rng(0)
    prices = pd.DataFrame({"SP500": 100 * np.exp(rng.normal(0, 0.01, 60).cumsum())}, dates(60))
    rate = pd.Series(0.0002, prices.index[:1])
    result = pmx.backtest(prices, POLICY, targets=prices * 0 + 0.1, cash_rate=rate, periods_per_year=260)
    assert result.metrics["periods_per_year"] == 260
    assert result.metrics["rf_annual"] > 0.05
    other = result.performance(rf=0.0, periods_per_year=250)
    pd.testing.assert_series_equal(other.iloc[:-3], performance(result.nav, periods_per_year=250))
    assert other["turnover"] == pytest.approx(result.metrics["turnover"] * 250 / 260)
    pd.testing.assert_series_equal(result.returns, result.nav.pct_change().iloc[1:], check_names=False)
    with pytest.raises(AttributeError):
        result.nav = result.nav * 2


def test_the_policys_own_costs_and_moment_of_trading_are_used() -> None:
    prices = pd.DataFrame({"SP500": 100.0, "WTI": 50.0}, dates(3))
    targets = pd.DataFrame({"SP500": 0.05, "WTI": 0.05}, prices.index[:1])
    late = pmx.backtest(prices, POLICY, targets=targets).trades
    assert late["date"].tolist() == [prices.index[1]] * 2
    assert late["cost"].to_numpy() == pytest.approx(late["value"].to_numpy() * [2e-4, 4e-4])
    # Half of 10 % of NAV traded, and its cost, in two days of 252.
    figures = pmx.backtest(prices, POLICY, targets=targets).metrics
    assert figures[["turnover", "cost"]].to_numpy() / 126 == pytest.approx([0.05, 0.05 * 6e-4], rel=1e-3)
    policy = POLICY.override({"execution.trade_at": "close", "execution.costs.commission_bps": 9.0})
    at_once = pmx.backtest(prices, policy, targets=targets).trades
    assert at_once["date"].tolist() == [prices.index[0]] * 2
    assert at_once["cost"].to_numpy() == pytest.approx(at_once["value"].to_numpy() * [10e-4, 4e-4])
    assert (
        pmx.backtest(prices, policy, targets=targets, trade_at="next_close").trades["date"].iloc[0] == prices.index[1]
    )


def test_rows_in_any_order_are_the_same_run() -> None:
    rng = np.random.default_rng(4)
    prices = pd.DataFrame({"SP500": 100 * np.exp(rng.normal(0, 0.01, 20).cumsum())}, dates(20))
    targets = pd.DataFrame({"SP500": rng.uniform(0, 0.1, 20)}, prices.index)
    straight = pmx.backtest(prices, POLICY, targets=targets)
    shuffled = pmx.backtest(
        prices.sample(frac=1, random_state=1), POLICY, targets=targets.sample(frac=1, random_state=2)
    )
    pd.testing.assert_series_equal(straight.nav, shuffled.nav, check_exact=True, check_freq=False)
