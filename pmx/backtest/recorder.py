"""Keeps a backtest's books as arrays and turns them into tables once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pmx.backtest.result import BacktestResult
from pmx.execution import Account, Fill, Step
from pmx.policy import CASH, Policy
from pmx.projection import Allocation

if TYPE_CHECKING:
    from pmx.projection.explain import RuleReading

#: A soft rule has given way when it is overrun by more than this.
GIVEN_WAY = 1e-9
FILL_FIELDS = [field.name for field in fields(Fill)]


@dataclass(slots=True)
class _Tally:
    """What one rule did, over the decisions in which it was written."""

    source: str
    days: int = 0
    days_binding: int = 0
    total_shadow_price: float = 0.0
    days_given_way: int = 0
    max_violation: float = 0.0

    def add(self, reading: RuleReading) -> None:
        self.days += 1
        self.days_binding += reading.binding
        self.total_shadow_price += reading.shadow_price
        self.days_given_way += reading.violation > GIVEN_WAY
        self.max_violation = max(self.max_violation, reading.violation)

    def line(self) -> dict[str, Any]:
        return {
            "days": self.days,
            "days_binding": self.days_binding,
            "share_binding": self.days_binding / self.days,
            "mean_shadow_price": self.total_shadow_price / self.days,
            "days_given_way": self.days_given_way,
            "max_violation": self.max_violation,
            "source": self.source,
        }


class Recorder:
    """Takes in one close at a time.

    Parameters
    ----------
    policy : Policy
        The policy that is run.
    dates : Index
        All closes of the price history.
    slots : sequence of (bucket, symbol)
        What the account can hold: the positions of every decision, then that of a residual symbol if there is one.
    """

    def __init__(self, policy: Policy, dates: pd.Index, slots: Sequence[tuple[str, str]]) -> None:
        self._policy = policy
        self._dates = dates
        self._slots = pd.MultiIndex.from_tuples(list(slots), names=["bucket", "symbol"])
        self._slot_column, self._symbols = pd.factorize(self._slots.get_level_values("symbol"))
        self._slot_bucket, self._buckets = pd.factorize(self._slots.get_level_values("bucket"))
        self._rows: list[int] = []
        self._nav: list[float] = []
        self._quantities: list[np.ndarray] = []
        self._bucket_weights: list[np.ndarray] = []
        self._interest: list[float] = []
        self._rate: list[float] = []
        self._fills: list[tuple[int, Fill]] = []
        self._decided: list[int] = []
        self._weights: list[np.ndarray] = []
        self._safe: list[float] = []
        self._scales: list[np.ndarray] = []
        self._status: list[str] = []
        self._distance: list[float] = []
        self._tallies: dict[str, _Tally] = {}
        self._last: Allocation | None = None

    def close(
        self, i: int, account: Account, decision: Step | None, fills: list[Fill], interest: float, rate: float
    ) -> None:
        """Record one close, after its trading.

        Parameters
        ----------
        i : int
            Row of the price history.
        account : Account
            What is owned.
        decision : Step or None
            What was decided.
        fills : list of Fill
            What was traded.
        interest : float
            Base currency.
        rate : float
            Return of cash since the close before, fraction.
        """
        nav = account.nav
        self._rows.append(i)
        self._nav.append(nav)
        self._quantities.append(account.quantities)
        by_bucket = np.bincount(self._slot_bucket, weights=account.values, minlength=len(self._buckets))
        self._bucket_weights.append(np.append(by_bucket, account.cash) / nav)
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
            if reading.name not in self._tallies:
                self._tallies[reading.name] = _Tally(reading.source)
            self._tallies[reading.name].add(reading)

    def result(self, periods_per_year: float) -> BacktestResult:
        """Return the tables."""
        lived, decided = self._dates[self._rows], self._dates[self._decided]
        buckets = list(self._policy.risk_buckets.buckets)
        return BacktestResult(
            policy=self._policy,
            nav=pd.Series(self._nav, index=lived, name="nav"),
            weights=_frame(self._weights, decided, [*self._symbols, CASH]),
            positions=_frame(self._quantities, lived, self._slots),
            bucket_weights=_frame(self._bucket_weights, lived, [*self._buckets, CASH]),
            safe_weight=pd.Series(self._safe, index=decided, name="safe_weight", dtype="float64"),
            safe_floor=self._policy.safe_floor,
            risk_scale=_frame(self._scales, decided, buckets),
            trades=self._trades(),
            rules=self._rule_ledger(),
            status=pd.Series(self._status, index=decided, name="status", dtype="str"),
            distance_bound=pd.Series(self._distance, index=decided, name="distance_bound", dtype="float64"),
            interest=pd.Series(self._interest, index=lived, name="interest"),
            last=self._last,
            rf=pd.Series(self._rate, index=lived, name="rf"),
            periods_per_year=periods_per_year,
        )

    def _trades(self) -> pd.DataFrame:
        table = {name: [getattr(fill, name) for _, fill in self._fills] for name in FILL_FIELDS}
        kinds = {name: "str" if name in ("symbol", "reason") else "float64" for name in FILL_FIELDS}
        trades = pd.DataFrame(table).astype(kinds)
        trades.insert(0, "date", self._dates[[i for i, _ in self._fills]])
        return trades

    def _rule_ledger(self) -> pd.DataFrame:
        columns = list(_Tally("", days=1).line())
        lines = {name: tally.line() for name, tally in self._tallies.items()}
        return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("rule")


def _frame(rows: list[np.ndarray], index: pd.Index, columns: Any) -> pd.DataFrame:
    return pd.DataFrame(np.array(rows).reshape(len(rows), len(columns)), index=index, columns=columns)
