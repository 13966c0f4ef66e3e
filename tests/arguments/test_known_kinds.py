"""Arguments of the wrong kind that once ended in errors of Python's own, and the right kind beside each."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import PmxError

POLICY = pmx.load_policy()
DATES = pd.bdate_range("2020-01-01", periods=4)
PRICES = pd.DataFrame({"SP500": [100.0, 101.0, 102.0, 103.0], "WTI": [50.0, 51.0, 50.0, 52.0]}, index=DATES)
TARGETS = pd.DataFrame({"SP500": 0.05, "WTI": 0.02}, index=DATES)
SNAPSHOT = pmx.PortfolioSnapshot(10_000.0, {})
ALLOCATION = pmx.project_to_feasible({"SP500": 0.05, "WTI": 0.02}, POLICY)


def backtested(**changes: Any) -> Any:
    given = {"prices": PRICES, "targets": TARGETS, **changes}
    return pmx.backtest(given.pop("prices"), POLICY, **given)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": TARGETS["SP500"]},
        {"targets": {"SP500": 0.05}},
        {"targets": TARGETS.to_numpy()},
        {"prices": PRICES["SP500"]},
        {"prices": PRICES.to_dict()},
        {"prices": "prices.csv"},
        {"initial_nav": "1000000"},
        {"initial_nav": "much"},
        {"costs": {"SP500": 0.001}},
        {"costs": "0.001"},
        {"adv": {"SP500": 1e6}},
        {"periods_per_year": "252"},
        {"trade_at": 5},
        {"engines": "time_series", "targets": None},
        {"journal": 5},
        {"audit": 5},
    ],
)
def test_a_backtest_refuses_what_it_cannot_read(change: dict[str, Any]) -> None:
    with pytest.raises(PmxError, match="; "):
        backtested(**change)


@pytest.mark.parametrize("nav", [Decimal(1_000_000), 1_000_000, np.float32(1e6), np.int64(10**6)])
def test_an_opening_nav_of_any_kind_of_number_is_the_same(nav: Any) -> None:
    pd.testing.assert_series_equal(backtested(initial_nav=nav).nav, backtested(initial_nav=1e6).nav, check_exact=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda: pmx.size_orders(ALLOCATION, SNAPSHOT, PRICES.iloc[-1:]),
        lambda: pmx.size_orders(ALLOCATION.weights, SNAPSHOT, {"SP500": 100.0, "WTI": 50.0}),
        lambda: pmx.size_orders(ALLOCATION, {"cash": 1.0}, {"SP500": 100.0, "WTI": 50.0}),
        lambda: pmx.compute_nav(SNAPSHOT, PRICES.iloc[-1:]),
        lambda: pmx.compute_nav(1_000.0, {}),
        lambda: pmx.PortfolioSnapshot(1.0, ["SP500"]),
        lambda: pmx.load_policy(5),
        lambda: pmx.load_policy(overrides="barbell.safe_bucket.min_weight=0.8"),
        lambda: pmx.Projector("config", [("ts_core", "SP500")]),
        lambda: pmx.RiskScaler(POLICY).update([0.1]),
        lambda: pmx.GarchVolatility(window="1000"),
        lambda: pmx.GarchVolatility().fit("returns"),
        lambda: pmx.GarchVolatility().fit([0.1, None]),
        lambda: pmx.SignalRouter(POLICY).route("buy"),
        lambda: pmx.check_policy(POLICY, "SP500"),
        lambda: pmx.Journal(5),
        lambda: pmx.compute_scaling_factor("ts_core", {"realized_vol": 0.1}, None),
    ],
)
def test_others_do_too(call: Callable[[], Any]) -> None:
    with pytest.raises(PmxError, match="; "):
        call()


def test_prices_are_read_from_a_row_of_closes_as_from_a_mapping() -> None:
    row, mapping = PRICES.iloc[-1].rename(None), {"SP500": Decimal(103), "WTI": 52}
    assert pmx.size_orders(ALLOCATION, SNAPSHOT, row).orders.equals(
        pmx.size_orders(ALLOCATION, SNAPSHOT, mapping).orders
    )
