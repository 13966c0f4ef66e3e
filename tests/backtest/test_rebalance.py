"""Between decisions: quantities stand, rules that drift breaks are cured, orders wait for their symbol's close."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import PolicyError
from pmx.policy import Policy

BUCKETS = {
    "safe": {"role": "safe", "base_nav_frac": 0.6, "symbols": ["BIL"]},
    "core": {"role": "risk", "base_nav_frac": 0.4, "max_nav_frac": 0.4},
}


def policy(floor: float = 0.6, **execution: object) -> Policy:
    """One risk bucket under a cap, a floor of the safe weight, no other limit, no costs."""
    return Policy.from_mapping(
        {
            "risk_buckets": {"buckets": BUCKETS, "default_bucket": "core"},
            "barbell": {
                "safe_bucket": {"symbols": ["BIL"], "min_weight": floor, "max_weight": None, "max_per_position": None},
                "risk_bucket": {"max_weight": None, "max_per_position": None},
            },
            "execution": {"costs": {"commission_bps": 0.0, "half_spread_bps": 0.0}, **execution},
        }
    )


def walk(seed: int, days: int, symbols: int, drift: float = 0.001) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    closes = 100.0 * np.exp(rng.normal(drift, 0.015, (days, symbols)).cumsum(axis=0))
    return pd.DataFrame(closes, pd.bdate_range("2010-01-04", periods=days), [f"S{j}" for j in range(symbols)])


def held(result: pmx.BacktestResult, prices: pd.DataFrame) -> pd.DataFrame:
    """Weights held after each close's trades, from quantities and prices alone."""
    marks = prices.ffill().loc[result.positions.index]
    worth = result.positions.mul(marks[result.positions.columns.get_level_values("symbol")].to_numpy()).fillna(0.0)
    return worth.div(result.nav.loc[worth.index], axis=0).droplevel("bucket", axis=1)


# -- what the schedule does ------------------------------------------------------------------------------------


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
def test_one_row_of_targets_and_ten_years_stay_under_the_cap(trade_at: str) -> None:
    prices = walk(0, 2520, 3)
    targets = pd.DataFrame(0.12, prices.index[:1], prices.columns)
    left = pmx.backtest(prices, policy(), targets=targets, trade_at=trade_at, schedule="on_targets")
    assert held(left, prices).sum(axis=1).max() > 0.70  # the bucket drifts far beyond its cap of 40 %
    assert len(left.trades) == 3
    result = pmx.backtest(prices, policy(), targets=targets, trade_at=trade_at)
    risk = held(result, prices).sum(axis=1)
    cured = result.occasion[result.occasion == "breach"].index
    assert len(cured) > 50
    if trade_at == "close":
        assert risk.max() <= 0.40 + 1e-9
        assert result.breaches.empty
    else:
        over = risk > 0.40 + 1e-9
        assert over[over].index.equals(cured)  # each is traded away at the next close
        assert not (over & over.shift(1, fill_value=False))[1:].all()
        assert set(result.breaches["cause"]) == {"drift"}
        floor = result.breaches[result.breaches["rule"] == "barbell.safe.floor"]
        assert floor["days"].sum() == over.sum() == result.rules.loc["barbell.safe.floor", "days_outside"]
        assert floor["worst_excess"].max() == pytest.approx(risk.max() - 0.40)
        assert (floor["cured"] > floor["last"]).all()
    # The other days trade nothing, and no cure buys.
    after = np.minimum(prices.index.get_indexer(cured) + 1, len(prices) - 1)
    moment = cured if trade_at == "close" else prices.index[after]
    later = result.trades[result.trades["date"] > prices.index[1]]
    assert set(later["date"]) <= set(moment)
    assert (later["quantity"] < 0.0).all()
    np.testing.assert_allclose(result.safe_weight_held, 1.0 - risk, rtol=0, atol=1e-12)
    assert result.metrics["lowest_safe_weight_held"] == result.safe_weight_held.min()
    assert result.metrics["lowest_safe_weight"] == result.safe_weight.min() >= 0.6 - 1e-9


def test_a_breach_is_traded_to_the_nearest_weights() -> None:
    prices = pd.DataFrame(
        {"A": [100.0, 100.0, 150.0], "B": [50.0, 50.0, 50.0]}, pd.bdate_range("2024-01-01", periods=3)
    )
    targets = pd.DataFrame({"A": [0.20], "B": [0.20]}, prices.index[:1])
    result = pmx.backtest(prices, policy(), targets=targets, initial_nav=1000.0, trade_at="close")
    # NAV 1,100: A is 300, B is 200, at most 440. Each is cut in proportion, as the relative metric has it.
    worth = result.positions.iloc[-1].to_numpy() * prices.iloc[-1].to_numpy()
    assert worth == pytest.approx([264.0, 176.0])
    assert result.occasion.tolist() == ["targets", "breach"]
    assert result.weights.iloc[-1].to_dict() == pytest.approx({"A": 0.24, "B": 0.16, "CASH": 0.6})
    # What the floor took earns nothing yet; the wish is that of the targets still.
    assert result.contributions["target"].iloc[-1] == pytest.approx(100.0 / 1000.0)


def test_a_tolerance_lets_drift_go_so_far() -> None:
    prices = walk(1, 800, 3)
    targets = pd.DataFrame(0.12, prices.index[:1], prices.columns)
    strict = pmx.backtest(prices, policy(), targets=targets, trade_at="close")
    loose = pmx.backtest(prices, policy(), targets=targets, trade_at="close", tolerance=0.02)
    risk = held(loose, prices).sum(axis=1)
    assert 0.41 < risk.max() <= 0.42 + 1e-9
    assert 0 < (loose.occasion == "breach").sum() < (strict.occasion == "breach").sum() / 5
    assert loose.policy.execution.rebalance.tolerance == 0.02
    assert (loose.breaches["cause"] == "drift").all()


def test_with_the_layer_off_nothing_is_enforced() -> None:
    prices = walk(0, 600, 3)
    off = policy().override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    targets = pd.DataFrame(0.3, prices.index[:1], prices.columns)
    result = pmx.backtest(prices, off, targets=targets)
    assert len(result.trades) == 3
    assert (len(result.breaches), len(result.rules)) == (0, 0)


@pytest.mark.parametrize(("schedule", "code"), [("daily", "%Y-%m-%d"), ("weekly", "%G-%V"), ("monthly", "%Y-%m")])
def test_a_calendar_goes_back_to_the_latest_targets(schedule: str, code: str) -> None:
    prices = walk(2, 90, 3).iloc[3:]
    targets = pd.DataFrame([[0.1] * 3, [0.05] * 3], prices.index[[0, 30]], prices.columns)
    result = pmx.backtest(prices, policy(), targets=targets, schedule=schedule, trade_at="close")
    period = prices.index.strftime(code)
    first = prices.index[~pd.Series(period).duplicated().to_numpy()]
    assert result.weights.index.equals(first)
    wanted = np.where(first < prices.index[30], 0.1, 0.05)
    np.testing.assert_allclose(held(result, prices).loc[first, "S1"], wanted, rtol=0, atol=1e-9)
    assert (result.occasion == "targets").all()


def test_engines_are_asked_at_the_first_close_of_each_week() -> None:
    class Long:
        source = "time_series_core"

        def signals(self, known: pd.DataFrame) -> list[pmx.Signal]:
            return [pmx.Signal(s, 1, strength=1.0, edge_score=1.0, confidence=1.0, source=self.source) for s in known]

    prices = walk(3, 60, 2).rename(columns={"S0": "SP500", "S1": "WTI"})
    shipped = pmx.load_policy()
    daily = pmx.backtest(prices, shipped, engines=[Long()])
    assert len(daily.weights) == 60
    weekly = pmx.backtest(prices, shipped, engines=[Long()], schedule="weekly")
    assert weekly.weights.index.equals(prices.index[prices.index.day_of_week == 0])
    assert set(weekly.trades["date"]) <= set(prices.index[prices.index.day_of_week == 1])
    assert (weekly.occasion == "signals").all()


def test_soft_turnover_does_not_stop_a_cure() -> None:
    prices = walk(4, 400, 3, drift=0.004)
    limited = policy(turnover={"max": 0.0005, "penalty": 0.01})
    targets = pd.DataFrame(0.13, prices.index[:1], prices.columns)
    result = pmx.backtest(prices, limited, targets=targets, trade_at="close")
    assert (result.occasion == "breach").sum() > 50
    assert held(result, prices).sum(axis=1).max() <= 0.40 + 1e-9
    assert result.rules.loc["turnover.max", "days_given_way"] > 0


def test_a_schedule_that_is_none_and_a_tolerance_that_nothing_reads_are_refused() -> None:
    prices = walk(5, 5, 1)
    targets = pd.DataFrame(0.1, prices.index[:1], prices.columns)
    with pytest.raises(PolicyError, match=r"execution\.rebalance\.schedule"):
        pmx.backtest(prices, policy(), targets=targets, schedule="sometimes")
    with pytest.raises(PolicyError, match="only the schedule on_breach reads it"):
        pmx.backtest(prices, policy(), targets=targets, schedule="daily", tolerance=0.01)
    with pytest.raises(PolicyError, match=r"execution\.rebalance\.tolerance"):
        pmx.backtest(prices, policy(), targets=targets, tolerance=-0.01)


def test_a_custom_rule_with_a_lower_bound_is_cured_by_buying() -> None:
    rule = {"least": {"symbols": {"A": 1.0}, "min": 0.10}}
    own = policy().override({"risk_buckets.custom_rules": rule})
    prices = pd.DataFrame({"A": [100.0, 100.0, 70.0, 70.0]}, pd.bdate_range("2024-01-01", periods=4))
    result = pmx.backtest(prices, own, targets=pd.DataFrame({"A": [0.12]}, prices.index[:1]))
    assert result.trades["quantity"].gt(0.0).all()
    assert held(result, prices)["A"].iloc[-1] == pytest.approx(0.10)
    [spell] = result.breaches.to_dict("records")
    assert (spell["rule"], spell["cause"], spell["days"]) == ("custom.least", "drift", 1)
    assert (spell["first"], spell["cured"]) == (prices.index[2], prices.index[3])


def test_a_falling_risk_scale_lowers_a_limit() -> None:
    rng = np.random.default_rng(3)
    moves = np.concatenate([rng.normal(0, 0.004, 80), rng.normal(0, 0.03, 120)])
    prices = pd.DataFrame({"A": 100.0 * np.exp(moves.cumsum())}, pd.bdate_range("2020-01-01", periods=200))
    scaler = {"volatility": {"min_observations": 20, "window": 60}, "buckets": {"core": {"target_vol": 0.10}}}
    scaled = Policy.from_mapping({**policy().to_mapping(), "risk_scaler": scaler})
    targets = pd.DataFrame({"A": [0.35]}, prices.index[:1])
    result = pmx.backtest(prices, scaled, targets=targets, trade_at="next_close")
    clamped = result.breaches[result.breaches["rule"] == "clamp.core"]
    assert set(clamped["cause"]) == {"limit"} or set(clamped["cause"]) == {"limit", "drift"}
    assert (clamped["days_to_cure"].dropna() == 1).mean() > 0.5
    at_last = result.risk_scale["core"].iloc[-1]
    assert at_last < 0.5
    cures = result.occasion[result.occasion == "breach"].index
    np.testing.assert_allclose(
        result.weights.loc[cures, "A"], np.minimum(result.risk_scale.loc[cures, "core"] * 0.4, 1.0), atol=1e-9
    )


# -- orders that wait -------------------------------------------------------------------------------------------


def week_with_a_weekend() -> pd.DataFrame:
    """Seven days a week of BTC, and two stocks without closes on Saturdays and Sundays."""
    dates = pd.date_range("2024-01-01", periods=28)
    rng = np.random.default_rng(0)
    closes = 100.0 * np.exp(rng.normal(0.0, 0.01, (28, 3)).cumsum(axis=0))
    prices = pd.DataFrame(closes, dates, ["AAPL", "MSFT", "BTC"])
    prices.loc[dates.day_of_week >= 5, ["AAPL", "MSFT"]] = np.nan
    return prices


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
def test_orders_of_a_friday_are_traded_on_monday(trade_at: str) -> None:
    prices = week_with_a_weekend()
    fridays = prices.index[prices.index.day_of_week == 4]
    sizes = np.where(np.arange(len(fridays)) % 2, 0.12, 0.06)[:, None]
    targets = pd.DataFrame(sizes * np.ones(3), fridays, prices.columns)
    result = pmx.backtest(prices, policy(), targets=targets, trade_at=trade_at)
    stocks = result.trades[result.trades["symbol"] != "BTC"]
    days = fridays if trade_at == "close" else fridays[:-1] + pd.Timedelta(days=3)
    assert sorted(set(stocks["date"])) == days.tolist()
    assert len(stocks) == 2 * len(days)
    coins = result.trades[result.trades["symbol"] == "BTC"]["date"]
    assert sorted(coins) == (fridays if trade_at == "close" else fridays + pd.Timedelta(days=1)).tolist()
    np.testing.assert_allclose(held(result, prices).loc[days[1], "AAPL"], 0.12, rtol=0, atol=1e-9)


def test_with_trade_at_close_a_decision_on_a_day_without_a_close_waits() -> None:
    prices = week_with_a_weekend()
    saturdays = prices.index[prices.index.day_of_week == 5]
    targets = pd.DataFrame(0.1, saturdays, prices.columns)
    result = pmx.backtest(prices, policy(), targets=targets, trade_at="close")
    first = result.trades[result.trades["date"] <= saturdays[0] + pd.Timedelta(days=2)]
    assert list(zip(first["date"].dt.day_of_week, first["symbol"], strict=True)) == [
        (5, "BTC"),
        (0, "AAPL"),
        (0, "MSFT"),
    ]


def test_a_newer_decision_replaces_an_order_and_a_delisting_ends_it() -> None:
    dates = pd.bdate_range("2024-01-01", periods=12)
    prices = pd.DataFrame({"A": 100.0, "B": 50.0}, dates)
    prices.loc[dates[1:4], "A"] = np.nan
    targets = pd.DataFrame({"A": [0.10, 0.04], "B": [0.10, 0.10]}, dates[[0, 2]])
    result = pmx.backtest(prices, policy(), targets=targets)
    assert held(result, prices)["A"].iloc[4] == pytest.approx(0.04)
    assert (result.trades["symbol"] == "A").sum() == 1
    patient = policy(max_stale_bars=2)
    gone = pmx.backtest(prices, patient, targets=targets.iloc[:1])
    assert set(gone.trades["symbol"]) == {"B"}


def test_a_suspended_position_keeps_its_rule_broken_until_it_trades() -> None:
    dates = pd.bdate_range("2024-01-01", periods=10)
    prices = pd.DataFrame({"A": 100.0, "B": 100.0}, dates)
    prices.loc[dates[3:], "B"] = 200.0
    prices.loc[dates[4:7], "B"] = np.nan
    result = pmx.backtest(prices, policy(), targets=pd.DataFrame({"A": [0.2], "B": [0.2]}, dates[:1]))
    floor = result.breaches[result.breaches["rule"] == "barbell.safe.floor"]
    drift, spell = floor.to_dict("records")  # B doubles at the fourth close, and has none at the next three
    assert (drift["first"], drift["last"], drift["cured"], drift["cause"]) == (dates[3], dates[3], dates[7], "drift")
    assert (spell["first"], spell["last"], spell["cured"]) == (dates[4], dates[6], dates[7])
    assert (spell["days"], spell["days_to_cure"], spell["cause"]) == (3, 3, "suspended")
    assert drift["worst_excess"] == pytest.approx(0.6 / 1.2 - 0.4)
    assert spell["worst_excess"] == pytest.approx(0.4 / 3 + 0.4 / 1.2 - 0.4)  # A's part of the cut has been sold
    assert held(result, prices).sum(axis=1).iloc[7:].max() <= 0.4 + 1e-9
    assert result.trades[result.trades["symbol"] == "B"]["date"].tolist() == [dates[1], dates[7]]


def test_with_targets_every_day_a_suspension_is_still_the_cause() -> None:
    dates = pd.bdate_range("2024-01-01", periods=10)
    prices = pd.DataFrame({"A": 100.0, "B": 100.0}, dates)
    prices.loc[dates[2:7], "B"] = np.nan
    targets = pd.DataFrame({"A": [0.2, *[0.35] * 9], "B": [0.2, *[0.05] * 9]}, dates)
    result = pmx.backtest(prices, policy(), targets=targets)
    # A is bought at the third close, while B, which is to make room for it, has none until the eighth.
    [spell] = result.breaches[result.breaches["rule"] == "barbell.safe.floor"].to_dict("records")
    assert (spell["first"], spell["last"], spell["cured"]) == (dates[2], dates[6], dates[7])
    assert (spell["cause"], spell["worst_excess"]) == ("suspended", pytest.approx(0.15))
