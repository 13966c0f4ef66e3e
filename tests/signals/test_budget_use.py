"""A bucket that leaves part of its budget for want of conviction says so, from the router to the report."""

import numpy as np
import pandas as pd
import pytest
from zoo.policies import position_series

import pmx
from pmx.execution import opinions_today
from pmx.monitoring import report_html
from pmx.monitoring.tables import budgets_table
from pmx.signals import Signal, SignalRouter

POLICY = pmx.load_policy()
CORE = "time_series_core"
DATES = pd.bdate_range("2024-01-01", periods=6)


def buy(symbol, conviction):
    """A BUY of a given conviction: strength 1, confidence 1, edge = conviction."""
    return Signal(symbol, 1, strength=1.0, edge_score=conviction, confidence=1.0, source=CORE)


class Buying:
    """Buy SP500 with the conviction of each day."""

    source = CORE

    def __init__(self, convictions):
        self.convictions = dict(zip(DATES, convictions, strict=True))

    def signals(self, prices):
        return [buy("SP500", self.convictions[prices.index[-1]])]


def prices():
    return pd.DataFrame({"SP500": np.linspace(100.0, 101.0, 6)}, index=DATES)


def test_the_routing_says_how_far_conviction_reaches():
    """A conviction of 0.092 is 46 % of the 0.20 that fill the bucket."""
    routing = SignalRouter(POLICY).route([buy("SP500", 0.05), buy("WTI", 0.05)])
    assert routing.utilisation.loc["ts_core", "used"] == pytest.approx(0.5, abs=1e-12)
    routing = SignalRouter(POLICY).route([buy("SP500", 0.092)])
    line = routing.utilisation.loc["ts_core"]
    assert line.to_dict() == pytest.approx({"conviction": 0.092, "full_conviction": 0.2, "reserved": 0.0, "used": 0.46})
    assert routing.explain() == "bucket ts_core: conviction 0.092 of 0.2, 46% of its budget used"


def test_a_bucket_with_enough_conviction_says_nothing():
    routing = SignalRouter(POLICY).route([buy("SP500", 0.15), buy("WTI", 0.10)])
    assert routing.utilisation.loc["ts_core", "used"] == pytest.approx(1.0, abs=1e-12)
    assert routing.explain() == ""
    assert SignalRouter(POLICY).route([]).utilisation.empty


def test_what_is_held_or_standing_counts_as_used():
    policy = POLICY.override({"risk_buckets.buckets.ts_core.standing": {"GLD": 0.3}})
    [use] = SignalRouter(policy).route([buy("SP500", 0.1)]).uses
    assert use[1:] == pytest.approx((0.1, 0.2, 0.3, 0.3 + 0.7 * 0.1 / 0.2))
    assert str(use) == "bucket ts_core: conviction 0.1 of 0.2 beside 30% held or standing, 65% of its budget used"


def test_an_allocation_says_what_share_of_each_budget_was_asked_for():
    wish = position_series({("ts_core", "SP500"): 0.26, ("ts_core", "WTI"): 0.20, ("em_risk", "EEM"): 1.0})
    answer = pmx.solve(POLICY, wish)
    assert answer.utilisation.to_dict() == pytest.approx({"ts_core": 0.46, "em_risk": 1.0})
    lines = [line for line in answer.explain().splitlines() if line.startswith("bucket ")]
    assert lines == ["bucket ts_core: its relative weights add up to 0.46, so 46% of its budget is used"]
    assert answer.by_bucket["ts_core"] == pytest.approx(0.46 * POLICY.risk_buckets.buckets["ts_core"].base_nav_frac)
    assert pmx.project_to_feasible({"SP500": 0.05}, POLICY).utilisation is None


def test_a_backtest_keeps_it_and_its_report_shows_it():
    convictions = [0.092, 0.092, 0.06, 0.30, 0.25, 0.092]
    result = pmx.backtest(prices(), POLICY, engines=[Buying(convictions)])
    used = result.budgets.set_index("date")["used"]
    assert used.to_numpy() == pytest.approx(np.minimum(np.array(convictions) / 0.2, 1.0))
    [row] = budgets_table(result).to_dict("records")
    assert row == {
        "bucket": "ts_core",
        "decisions": "6",
        "median conviction": "0.092 of 0.2",
        "mean use of budget": f"{100 * used.mean():.2f}%",
        "short of conviction": "4",
        "share": "66.67%",
    }
    page = report_html({"portfolio": result})
    assert "Use of budgets" in page
    assert "0.092 of 0.2" in page


def test_a_backtest_of_targets_has_no_signals_to_count():
    result = pmx.backtest(prices(), POLICY, targets=prices() * 0.0 + 0.05)
    assert result.budgets.empty
    assert "Use of budgets" not in report_html({"portfolio": result})


def test_today_says_it_too():
    today = opinions_today(prices(), POLICY, engines=[Buying([0.092] * 6)])
    assert [str(use) for use in today.routing.uses] == [
        "bucket ts_core: conviction 0.092 of 0.2, 46% of its budget used"
    ]
