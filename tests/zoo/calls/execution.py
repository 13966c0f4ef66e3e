"""Calls of the account, the costs, the cycle, the audit log and the backtest."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from zoo.calls import case
from zoo.calls.market import DATES, INDEX, POLICY, POSITIONS, PRICES, SYMBOLS, TARGETS, Steady, buy, long_prices

import pmx
from pmx import execution
from pmx.backtest import BacktestResult, backtest, drawdown, performance
from pmx.signals.success import Result, Verdict


def account() -> execution.Account:
    kept = execution.Account(POSITIONS, SYMBOLS, 1024.0, np.array([0.001, 0.002]))
    kept.mark(np.array([128.0, 64.0]))
    kept.rebalance(np.array([0.25, 0.125]), np.array([True, True]))
    return kept


def after(kept: execution.Account, method: str):
    """The answer of a method, and what is owned afterwards."""

    def called(**given):
        answer = getattr(kept, method)(**given)
        return answer, kept.cash, kept.quantities.copy(), kept.marks.copy(), kept.bars_stale.copy(), kept.nav

    return called


case("execution.Account")(
    lambda _: (
        execution.Account,
        {"positions": list(POSITIONS), "symbols": list(SYMBOLS), "cash": 1024.0, "cost_rates": np.array([0.25, 0.5])},
    )
)
for method, arguments in {
    "accrue": {"rate": 0.0625},
    "mark": {"closes": np.array([256.0, 32.0])},
    "resume": {"cash": 512.0, "quantities": np.array([1.0, 2.0]), "closes": np.array([128.0, 64.0])},
    "rebalance": {"weights": np.array([0.125, 0.25]), "tradable": np.array([True, True])},
    "trade_to": {"quantities": np.array([1.0, 2.0]), "reason": "rebalance"},
    "close_delisted": {"max_stale_bars": 3},
    "snapshot": {"base_currency": "USD"},
    "split": {"ratios": np.array([2.0, 1.0])},
    "write_down": {"gone": np.array([True, False]), "fraction": 0.25},
    "pay_dividends": {"amounts": np.array([0.5, 0.0])},
}.items():
    case(f"execution.Account.{method}")(
        lambda _, method=method, arguments=arguments: (
            after(account(), method),
            {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in arguments.items()},
        )
    )
case("execution.Fill")(
    lambda _: (
        execution.Fill,
        {"symbol": "SPY", "quantity": 1.0, "price": 1.0, "value": 1.0, "cost": 0.0, "reason": "rebalance"},
    )
)
case("execution.Fills")(
    lambda _: (
        execution.Fills,
        {
            "symbols": ("SPY",), "column": np.zeros(1, np.intp), "quantity": np.ones(1), "price": np.ones(1),
            "value": np.ones(1), "cost": np.zeros(1), "reason": "rebalance",
        },
    )
)  # fmt: skip


def costs() -> execution.CostModel:
    return execution.CostModel(1.0, 2.0, {"WTI": 50.0})


case("portfolio.CostModel")(
    lambda _: (
        execution.CostModel, {"commission_bps": 1.0, "half_spread_bps": 2.0, "per_symbol_bps": {"WTI": 50.0}}
    )
)  # fmt: skip
case("portfolio.CostModel.from_policy")(lambda _: (execution.CostModel.from_policy, {"policy": POLICY}))
case("portfolio.CostModel.rate")(lambda _: (costs().rate, {"symbol": "SPY"}))
case("portfolio.CostModel.rates")(lambda _: (costs().rates, {"symbols": list(SYMBOLS)}))
case("portfolio.CostModel.round_trip")(lambda _: (costs().round_trip, {"symbols": list(SYMBOLS)}))
case("portfolio.CostModel.cost")(lambda _: (costs().cost, {"traded_value_by_symbol": {"SP500": -1024.0, "WTI": 512.0}}))


def desk() -> execution.Desk:
    kept = execution.Desk(POLICY, SYMBOLS, [Steady()], POSITIONS)
    kept.observe(PRICES.iloc[:-1], {})
    return kept


def holdings(kept: execution.Desk) -> execution.Holdings:
    return execution.Holdings(1024.0, np.zeros(len(kept.index)), {})


case("execution.Desk")(
    lambda _: (
        execution.Desk,
        {
            "policy": POLICY, "symbols": list(SYMBOLS), "engines": [Steady()], "positions": list(POSITIONS),
            "judge": False, "costs": costs(),
        },
    )
)  # fmt: skip
case("execution.Desk.row_of")(lambda _: (desk().row_of, {"bucket": "ts_core", "symbol": "SP500"}))
case("execution.Desk.held")(lambda _: (desk().held, {"weights": np.array([0.25, 0.125])}))
case("execution.Desk.wishes")(lambda _: (desk().wishes, {"routing": pmx.SignalRouter(POLICY).route([buy()])}))
case("execution.Desk.signals")(lambda _: (desk().signals, {"prices": PRICES.copy()}))
case("execution.Desk.stale")(lambda _: (desk().stale, {"prices": PRICES.copy()}))
case("execution.Desk.missed")(lambda _: (desk().missed, {"prices": PRICES.copy()}))
case("execution.Desk.check_year")(lambda _: (desk().check_year, {"dates": DATES}))
case("execution.Desk.silent")(lambda _: (desk().silent, {"prices": PRICES.copy()}))


@case("execution.Desk.observe")
def _(_):
    kept = desk()

    def observed(prices, bucket_returns):
        kept.observe(prices, bucket_returns)
        return kept.silent(prices), kept.scaler.scales()

    return observed, {"prices": PRICES.copy(), "bucket_returns": {"ts_core": 0.03125}}


case("execution.History")(
    lambda _: (execution.History, {"table": PRICES.copy(), "closes": PRICES.to_numpy(), "now": DATES[-1]})
)
case("execution.History.of")(lambda _: (execution.History.of, {"prices": PRICES.copy()}))
case("execution.Holdings")(
    lambda _: (execution.Holdings, {"nav": 1024.0, "weights": np.zeros(2), "bucket_returns": {}})
)


@case("execution.Holdings.of")
def _(_):
    return execution.Holdings.of, {
        "snapshot": pmx.PortfolioSnapshot(1024.0, {("ts_core", "SP500"): 2.0}),
        "prices": {"SP500": 128.0, "WTI": 64.0},
        "desk": desk(),
        "bucket_returns": {"ts_core": 0.03125},
    }


@case("execution.step")
def _(_):
    kept = desk()
    return execution.step, {
        "desk": kept,
        "holdings": holdings(kept),
        "prices": PRICES.copy(),
        "targets": pd.Series([0.25, 0.125], index=INDEX),
        "gated": {"WTI": "reduce_only"},
        "adv": {"SP500": 1e6, "WTI": 1e6},
    }


case("execution.Step")(
    lambda _: (
        execution.Step,
        {
            "as_of": DATES[0], "nav": 1.0, "routing": None, "allocation": None, "weights": np.zeros(2),
            "scales": np.ones(1), "buckets": ("ts_core",),
        },
    )
)  # fmt: skip
case("execution.Opinion")(
    lambda _: (
        execution.Opinion,
        {
            "symbol": "SPY", "source": "a", "direction": 1, "edge": 0.5, "strength": 0.5, "confidence": 0.5,
            "bucket": "b", "kept": True, "why": "",
        },
    )
)  # fmt: skip
case("execution.default_engines")(
    lambda _: (
        execution.default_engines,
        {"policy": POLICY, "symbols": list(SYMBOLS), "names": ["time_series"], "costs": costs(), "progress": False},
    )
)
case("execution.fallback_engines")(
    lambda _: (execution.fallback_engines, {"policy": POLICY, "symbols": list(SYMBOLS), "api_key": None})
)
for name in ("signals_today", "opinions_today"):
    case(f"execution.{name}", heavy=True)(
        lambda _, name=name: (
            getattr(execution, name),
            {"prices": long_prices(), "policy": POLICY, "engines": [Steady()], "progress": False},
        )
    )
case("execution.Today")(
    lambda _: (execution.Today, {"opinions": pd.DataFrame(), "routing": pmx.SignalRouter(POLICY).route([buy()])})
)


def verdict(date: str = "2020-01-02") -> Verdict:
    return Verdict(date, buy(), Result.UNPROVEN, math.nan, (), 3, None)


def audit(folder) -> execution.AuditLog:
    kept = execution.AuditLog(folder / "audit.jsonl")
    kept.write([verdict("2020-01-01")])
    return kept


case("execution.AuditLog")(lambda folder: (execution.AuditLog, {"path": folder / "audit.jsonl"}))


def closing(kept, method):
    def called(**given):
        getattr(kept, method)(**given)
        return kept.path.read_bytes()

    return called


case("execution.AuditLog.write")(lambda folder: (closing(audit(folder), "write"), {"verdicts": [verdict()]}))
case("execution.AuditLog.expect")(lambda folder: (closing(audit(folder), "expect"), {"begins": DATES[3]}))


@case("execution.read_audit_log")
def _(folder):
    audit(folder).close()
    return execution.read_audit_log, {"path": folder / "audit.jsonl"}


@case("execution.AuditLine")
def _(folder):
    kept = audit(folder)
    kept.close()
    [line] = execution.read_audit_log(kept.path).lines
    return execution.AuditLine, {name: getattr(line, name) for name in execution.AuditLine.__dataclass_fields__}


case("execution.AuditRead")(lambda _: (execution.AuditRead, {"lines": (), "torn_bytes": 0}))


@case("backtest.backtest", heavy=True)
def _(folder):
    return backtest, {
        "prices": PRICES.copy(),
        "policy": POLICY,
        "engines": None,
        "targets": TARGETS.copy(),
        "initial_nav": 1024.0,
        "costs": 0.001953125,
        "cash_rate": pd.Series(0.0001220703125, index=DATES),
        "trade_at": "close",
        "start": DATES[1],
        "end": DATES[5],
        "adv": PRICES * 1e6,
        "splits": pd.DataFrame({"SP500": 2.0}, index=DATES[2:3]),
        "dividends": pd.DataFrame({"WTI": 0.5}, index=DATES[3:4]),
        "periods_per_year": 252.0,
        "progress": False,
    }


NAV = pd.Series([100.0, 101.0, 99.0, 102.0], index=DATES[:4])
case("backtest.drawdown")(lambda _: (drawdown, {"nav": NAV.copy()}))
case("backtest.performance")(
    lambda _: (
        performance,
        {"nav": NAV.copy(), "rf": pd.Series(0.0001220703125, index=DATES[:4]), "periods_per_year": 256.0},
    )
)
RESULT = pmx.backtest(PRICES, POLICY, targets=TARGETS)
case("backtest.BacktestResult.performance")(
    lambda _: (RESULT.performance, {"rf": 0.0001220703125, "periods_per_year": 256.0})
)
case("backtest.BacktestResult")(
    lambda _: (
        BacktestResult,
        {name: getattr(RESULT, name) for name in BacktestResult.__dataclass_fields__},
    )
)
