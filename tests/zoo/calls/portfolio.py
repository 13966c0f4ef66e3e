"""Calls about NAV, exchange rates, prices, lots and orders."""

from __future__ import annotations

import numpy as np
import pandas as pd
from zoo.calls import case
from zoo.calls.market import BY_POSITION, INDEX, POLICY

import pmx
from pmx import portfolio

ALLOCATION = pmx.Projector(POLICY, INDEX).project(BY_POSITION)


def snapshot() -> portfolio.PortfolioSnapshot:
    return portfolio.PortfolioSnapshot(1000.0, {("ts_core", "SP500"): 2.0})


def priced(**given):
    return portfolio.PriceBook(**given).get("SP500")


def grid() -> portfolio.LotGrid:
    return portfolio.LotGrid(unit=np.array([0.03125, 1.0]), whole=np.array([True, False]))


def fx() -> portfolio.FxTable:
    return portfolio.FxTable.from_mapping({"EURUSD": 1.25}, "USD")


case("portfolio.PortfolioSnapshot")(
    lambda _: (
        portfolio.PortfolioSnapshot,
        {
            "cash": {"USD": 1000.0},
            "positions": {("ts_core", "SP500"): 2.0},
            "base_currency": "USD",
            "fx": {"EURUSD": 1.25},
            "currencies": {"SP500": "USD"},
            "as_of": "2020-01-02",
            "fx_as_of": "2020-01-02",
            "max_fx_age_days": 5,
        },
    )
)
case("portfolio.PortfolioSnapshot.currency_of")(lambda _: (snapshot().currency_of, {"symbol": "SP500"}))
case("portfolio.compute_nav")(
    lambda _: (portfolio.compute_nav, {"snapshot": snapshot(), "prices": pd.Series({"SP500": 100.0, "WTI": 50.0})})
)
case("portfolio.size_orders")(
    lambda _: (
        portfolio.size_orders,
        {
            "allocation": ALLOCATION,
            "snapshot": snapshot(),
            "prices": {"SP500": 10.0, "WTI": 5.0},
            "lot_size": 1.0,
            "lot_sizes": {"WTI": 2.0},
            "min_order_nav_frac": 0.0,
        },
    )
)
case("portfolio.FxTable")(
    lambda _: (portfolio.FxTable, {"base": "USD", "quotes": {}, "as_of": None, "max_age_days": 5})
)
case("portfolio.FxTable.from_mapping")(
    lambda _: (
        portfolio.FxTable.from_mapping,
        {"rates": {"EURUSD": 1.25}, "base": "USD", "as_of": "2020-01-02", "dates": "2020-01-02", "max_age_days": 5},
    )
)
case("portfolio.FxTable.rate")(lambda _: (fx().rate, {"currency": "EUR"}))
case("portfolio.Quote")(lambda _: (portfolio.Quote, {"rate": 1.25, "as_of": pd.Timestamp("2020-01-02")}))
case("portfolio.PriceBook")(lambda _: (priced, {"prices": {"SP500": 100.0}, "as_of": pd.Timestamp("2020-01-02")}))
case("portfolio.PriceBook.__getitem__")(lambda _: (portfolio.PriceBook({"SPY": 1.0}).__getitem__, {"symbol": "SPY"}))
case("portfolio.PriceBook.get")(lambda _: (portfolio.PriceBook({"SPY": 1.0}).get, {"symbol": "SPY"}))
case("portfolio.LotGrid")(
    lambda _: (portfolio.LotGrid, {"unit": np.array([0.5, 1.0]), "whole": np.array([True, False]), "seconds": 30.0})
)
case("portfolio.LotGrid.toward_zero")(lambda _: (grid().toward_zero, {"weights": np.array([0.1, -0.25])}))
case("portfolio.LotGrid.toward")(
    lambda _: (grid().toward, {"held": np.array([0.0, 0.0]), "weights": np.array([0.1, -0.25])})
)
case("portfolio.LotGrid.nearest")(
    lambda _: (
        grid().nearest,
        {"rules": ALLOCATION.linear_rules(), "weights": ALLOCATION.positions.to_numpy(), "margin": 0.0},
    )
)
case("portfolio.LotGrid.conflict")(lambda _: (grid().conflict, {"rules": ALLOCATION.linear_rules()}))
case("portfolio.LinearRules")(
    lambda _: (
        portfolio.LinearRules,
        {
            "names": (), "A": np.zeros((0, 2)), "lo": np.zeros(0), "hi": np.zeros(0), "hard": np.zeros(0, bool),
            "lower": np.zeros(2), "upper": np.ones(2), "sign": np.ones(2),
        },
    )
)  # fmt: skip
case("portfolio.Nav")(
    lambda _: (portfolio.Nav, {"total": 200.0, "currency": "USD", "cash": 150.0, "values": {("ts_core", "SPY"): 50.0}})
)
case("portfolio.NavAllocator")(lambda _: (portfolio.NavAllocator, {"policy": POLICY}))
case("portfolio.NavAllocator.allocate")(
    lambda _: (
        portfolio.NavAllocator(POLICY).allocate,
        {"relative_weights": BY_POSITION.copy(), "risk_scale": {"ts_core": 0.5}, "positions": INDEX},
    )
)
case("portfolio.NavAllocator.scaled_maxima")(
    lambda _: (portfolio.NavAllocator(POLICY).scaled_maxima, {"positions": INDEX, "risk_scale": {"ts_core": 0.5}})
)
case("portfolio.NavBudget")(
    lambda _: (
        portfolio.NavBudget,
        {
            "positions": INDEX, "relative": np.zeros(2), "target": np.zeros(2), "sign": np.ones(2), "clamps": {},
            "budgets": {},
        },
    )
)  # fmt: skip
case("portfolio.OrderPlan")(
    lambda _: (
        portfolio.OrderPlan,
        {
            "orders": pd.DataFrame(), "quantities": pd.Series(dtype=float), "weights": pd.Series(dtype=float),
            "cash_after": 1.0, "costs": 0.0, "max_deviation": 0.0, "distance": 0.0, "least_distance": 0.0,
            "skipped": (), "odd_lots": (),
        },
    )
)  # fmt: skip
case("portfolio.LotGrid.snapped")(lambda _: (grid().snapped, {"u": np.array([0.0625, 0.25])}))
case("portfolio.require_currency")(lambda _: (portfolio.require_currency, {"given": "USD", "policy": POLICY}))
case("portfolio.NavAllocator.clamps_of")(
    lambda _: (
        portfolio.NavAllocator(POLICY).clamps_of,
        {"scale": np.full(len(POLICY.risk_buckets.buckets), 0.5)},
    )
)
