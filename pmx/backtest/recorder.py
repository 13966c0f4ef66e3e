"""Keeps a backtest's books as arrays and turns them into tables once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pmx.backtest.result import BacktestResult
from pmx.execution import Account, Desk, Fill, Step
from pmx.policy import Policy
from pmx.projection import CASH, Allocation

TRADE_COLUMNS = ["date", "symbol", "quantity", "price", "value", "cost", "reason"]


class Recorder:
    """Takes in one close at a time.

    Parameters
    ----------
    dates : Index
        All closes of the price history.
    slots : sequence of (bucket, symbol)
        What the account can hold.
    symbols : sequence of str
        Price columns.
    desk : Desk
        Whose decisions are recorded.
    """

    def __init__(self, dates: pd.Index, slots: Sequence[tuple[str, str]], symbols: Sequence[str], desk: Desk) -> None:
        self._dates = dates
        self._slots = tuple(slots)
        self._symbols = tuple(dict.fromkeys(s for _, s in slots))
        self._desk = desk
        column = {symbol: i for i, symbol in enumerate(self._symbols)}
        self._slot_column = np.array([column[s] for _, s in self._slots], dtype=np.intp)
        self._buckets = tuple(dict.fromkeys(b for b, _ in self._slots))
        self._slot_bucket = np.array([self._buckets.index(b) for b, _ in self._slots], dtype=np.intp)
        self._rows: list[int] = []
        self._nav: list[float] = []
        self._quantities: list[np.ndarray] = []
        self._bucket_values: list[np.ndarray] = []
        self._interest: list[float] = []
        self._rate: list[float] = []
        self._fills: list[tuple[int, Fill]] = []
        self._decided: list[int] = []
        self._weights: list[np.ndarray] = []
        self._safe: list[float] = []
        self._scales: list[np.ndarray] = []
        self._status: list[str] = []
        self._distance: list[float] = []
        self._rules: dict[str, list[Any]] = {}
        self._last: Allocation | None = None

    def close(
        self, i: int, account: Account, decision: Step | None, fills: list[Fill], interest: float, rate: float
    ) -> None:
        """Record one close, after its trading."""
        nav = account.nav
        self._rows.append(i)
        self._nav.append(nav)
        self._quantities.append(account.quantities.copy())
        by_bucket = np.bincount(self._slot_bucket, weights=account.values, minlength=len(self._buckets))
        self._bucket_values.append(np.append(by_bucket, account.cash) / nav)
        self._interest.append(interest)
        self._rate.append(rate)
        self._fills += [(i, fill) for fill in fills]
        if decision is not None:
            self._decision(i, decision)

    def _decision(self, i: int, decision: Step) -> None:
        allocation = decision.allocation
        weights = decision.weights
        if len(self._slots) > len(weights):
            weights = np.append(weights, allocation.residual)
        by_symbol = np.bincount(self._slot_column, weights=weights, minlength=len(self._symbols))
        self._decided.append(i)
        self._weights.append(np.append(by_symbol, allocation.cash))
        self._safe.append(allocation.safe_weight)
        self._scales.append(decision.risk_scale.to_numpy())
        self._status.append(str(allocation.status))
        self._distance.append(allocation.certificate.distance_bound)
        self._last = allocation
        for reading in allocation.readings:
            tally = self._rules.setdefault(reading.name, [0, 0, 0.0, 0, 0.0, reading.source])
            tally[0] += 1
            tally[1] += reading.binding
            tally[2] += reading.shadow_price
            tally[3] += reading.violation > 1e-9
            tally[4] = max(tally[4], reading.violation)

    def rf(self) -> pd.Series:
        """Return the return of cash over each period."""
        return pd.Series(self._rate, index=self._dates[self._rows], name="rf")

    def result(self, policy: Policy, rf: pd.Series, periods_per_year: float) -> BacktestResult:
        """Return the tables."""
        lived, decided = self._dates[self._rows], self._dates[self._decided]
        slots = pd.MultiIndex.from_tuples(self._slots, names=["bucket", "symbol"])
        scales = list(self._desk.policy.risk_buckets.buckets)
        trades = [{"date": self._dates[i], **asdict(fill)} for i, fill in self._fills]
        return BacktestResult(
            policy=policy,
            nav=pd.Series(self._nav, index=lived, name="nav"),
            weights=_frame(self._weights, decided, [*self._symbols, CASH]),
            positions=_frame(self._quantities, lived, slots),
            bucket_weights=_frame(self._bucket_values, lived, [*self._buckets, CASH]),
            safe_weight=pd.Series(self._safe, index=decided, name="safe_weight", dtype="float64"),
            safe_floor=policy.safe_floor,
            risk_scale=_frame(self._scales, decided, scales),
            trades=pd.DataFrame(trades, columns=TRADE_COLUMNS),
            rules=self._rule_ledger(),
            status=pd.Series(self._status, index=decided, name="status", dtype="str"),
            distance_bound=pd.Series(self._distance, index=decided, name="distance_bound", dtype="float64"),
            interest=pd.Series(self._interest, index=lived, name="interest"),
            last=self._last,
            rf=rf,
            periods_per_year=periods_per_year,
        )

    def _rule_ledger(self) -> pd.DataFrame:
        lines = {
            name: {
                "days": days,
                "days_binding": binding,
                "share_binding": binding / days,
                "mean_shadow_price": price / days,
                "days_given_way": given,
                "max_violation": worst,
                "source": source,
            }
            for name, (days, binding, price, given, worst, source) in self._rules.items()
        }
        columns = [
            "days",
            "days_binding",
            "share_binding",
            "mean_shadow_price",
            "days_given_way",
            "max_violation",
            "source",
        ]
        return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("rule")


def _frame(rows: list[np.ndarray], index: pd.Index, columns: Any) -> pd.DataFrame:
    return pd.DataFrame(np.array(rows).reshape(len(rows), len(columns)), index=index, columns=columns)
