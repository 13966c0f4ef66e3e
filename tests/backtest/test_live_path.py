"""Live use and the backtest are one path: a portfolio run by hand, snapshot by snapshot, decides the same."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.execution import Desk, Holdings, Step, step
from pmx.portfolio import UNASSIGNED

DAYS = 45
SYMBOLS = ["SP500", "NASDAQ", "WTI", "BIL"]
COST = 0.0005
POLICY = pmx.load_policy().override(
    {
        "risk_buckets.buckets.ml_secondary.allow_short": True,
        "risk_buckets.buckets.safe.standing": {"BIL": 0.5},
        "risk_buckets.portfolio.residual_symbol": "BIL",
        "risk_buckets.portfolio.cash_min": 0.02,
        "barbell.safe_bucket.max_per_position": None,
        "signal_routing_config.sources.ml_secondary.min_confidence": 0.0,
        "risk_scaler.buckets.ts_core.target_vol": 0.05,
        "execution.turnover.max": 0.02,
    }
)


class Whims:
    """Opinions that are a function of source, symbol and day, and nothing else; holds now and then."""

    def __init__(self, source: str, down: float) -> None:
        self.source = source
        self.down = down

    def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
        said = []
        for k, (symbol, close) in enumerate(prices.iloc[-1].items()):
            mood = math.sin(1.7 * k + 0.9 * len(prices) + 5 * self.down)
            direction = 0 if abs(mood) < 0.15 else 1 if mood > self.down else -1
            if not math.isnan(close):
                said.append(pmx.Signal(str(symbol), direction, 1.0, direction * abs(mood), 0.9, self.source))
        return said


def engines() -> list[Whims]:
    return [Whims("time_series_core", -0.5), Whims("ml_secondary", 0.3)]


def market() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    steps = rng.normal(0.0, [0.015, 0.02, 0.03, 0.0001], size=(DAYS, 4))
    prices = pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), pd.bdate_range("2020-01-01", periods=DAYS), SYMBOLS)
    prices.iloc[30, 2] = math.nan
    return prices


def run_by_hand(prices: pd.DataFrame, rate: float) -> tuple[list[Step], list[float]]:
    """Cash and quantities in a dictionary, valued by compute_nav, traded at the next close."""
    desk = Desk(POLICY, SYMBOLS, engines())
    cash, held, mark = 1e6, {}, {}
    order: dict[tuple[str, str], float] | None = None
    decisions, navs = [], []
    for i, (day, row) in enumerate(prices.iterrows()):
        if i:
            cash += cash * rate * (day - prices.index[i - 1]).days
        today = {symbol: close for symbol, close in row.items() if not math.isnan(close)}
        capital: dict[str, float] = {}
        profit: dict[str, float] = {}
        for (bucket, symbol), quantity in held.items():
            capital[bucket] = capital.get(bucket, 0.0) + abs(quantity) * mark[symbol]
            profit[bucket] = profit.get(bucket, 0.0) + quantity * (today.get(symbol, mark[symbol]) - mark[symbol])
        mark.update(today)
        returns = {b: profit[b] / c for b, c in capital.items() if b != UNASSIGNED}
        if order is not None:
            nav = pmx.compute_nav(pmx.PortfolioSnapshot(cash, held), mark).total
            wanted = held | {p: w * nav / mark[p[1]] for p, w in order.items() if p[1] in today}
            traded = dict.fromkeys(SYMBOLS, 0.0)
            for position, quantity in wanted.items():
                traded[position[1]] += quantity - held.get(position, 0.0)
            cash -= sum(q * mark[s] + abs(q) * mark[s] * COST for s, q in traded.items() if s in mark)
            held = {position: quantity for position, quantity in wanted.items() if quantity}
        snapshot = pmx.PortfolioSnapshot(cash, held)
        holdings = Holdings.of(snapshot, mark, desk, returns)
        decision = step(desk, holdings, prices.iloc[: i + 1])
        order = dict(zip(desk.index, decision.weights.tolist(), strict=True))
        order[(UNASSIGNED, "BIL")] = decision.allocation.residual
        decisions.append(decision)
        navs.append(holdings.nav)
    return decisions, navs


@pytest.fixture(scope="module")
def both() -> tuple[list[Step], list[float], pmx.BacktestResult]:
    prices = market()
    rate = pd.Series(0.0001, prices.index[:1])
    result = pmx.backtest(prices, POLICY, engines=engines(), costs=COST, cash_rate=rate)
    return *run_by_hand(prices, 0.0001), result


def test_snapshots_by_hand_decide_what_the_backtest_decides(
    both: tuple[list[Step], list[float], pmx.BacktestResult],
) -> None:
    decisions, navs, result = both
    by_hand = pd.DataFrame([d.allocation.weights for d in decisions], index=result.weights.index)
    np.testing.assert_allclose(result.weights, by_hand[result.weights.columns], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.nav, navs, rtol=1e-12)
    scales = pd.DataFrame([d.risk_scale for d in decisions], index=result.risk_scale.index)
    np.testing.assert_allclose(result.risk_scale, scales, rtol=0, atol=1e-9)
    assert [d.as_of for d in decisions] == result.weights.index.tolist()
    # The run is worth comparing: two buckets hold one symbol, one goes short, a budget is scaled, turnover binds.
    held = result.positions != 0
    assert (held["ts_core", "SP500"] & held["ml_secondary", "SP500"]).any()
    assert (result.positions["ml_secondary"] < 0).any(axis=None)
    assert result.risk_scale["ts_core"].iloc[-1] < 1.0
    assert result.rules.loc["turnover.max", "days_binding"] > 3
    assert set(result.positions.columns.get_level_values("bucket")) == {"safe", "ts_core", "ml_secondary", UNASSIGNED}


def test_the_rule_ledger_adds_up_the_days(both: tuple[list[Step], list[float], pmx.BacktestResult]) -> None:
    decisions, _, result = both
    tables = [decision.allocation.rules for decision in decisions]
    assert set(result.rules.index) == {name for table in tables for name in table.index}
    for name, line in result.rules.iterrows():
        days = [table.loc[name] for table in tables if name in table.index]
        assert line["days"] == len(days)
        assert line["days_binding"] == sum(day["binding"] for day in days), name
        assert line["share_binding"] == line["days_binding"] / len(days)
        assert line["mean_shadow_price"] == pytest.approx(
            sum(day["shadow_price"] for day in days) / len(days), rel=1e-6, abs=1e-9
        )
        assert line["days_given_way"] == sum(day["violation"] > 1e-9 for day in days)
        assert line["max_violation"] == pytest.approx(max(day["violation"] for day in days), abs=1e-12)
        assert line["source"] == days[0]["source"]
    assert result.rules.loc["clamp.ts_core", "days"] < DAYS  # some rules are not there every day
    assert result.rules.loc["barbell.safe.cap", "days_given_way"] > 0
    assert result.rules.loc[["turnover.max", "clamp.ts_core"], "mean_shadow_price"].gt(0.1).all()
    assert (result.status == "relaxed").sum() == sum(d.allocation.status is pmx.Status.RELAXED for d in decisions) > 0


def test_the_result_holds_the_last_decision_and_every_certificate(
    both: tuple[list[Step], list[float], pmx.BacktestResult],
) -> None:
    decisions, _, result = both
    assert result.last.weights.to_dict() == pytest.approx(decisions[-1].allocation.weights.to_dict(), abs=1e-12)
    assert (result.distance_bound <= 1e-6).all()
    assert (result.safe_weight >= result.safe_floor - 1e-9).all()
    assert result.safe_weight.tolist() == pytest.approx([d.allocation.safe_weight for d in decisions], abs=1e-12)
    assert result.policy is POLICY
