"""Keeps a backtest's books as arrays and turns them into tables once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pmx.backtest.budget_book import BudgetBook
from pmx.backtest.contributions import Contributions, saved_and_cost
from pmx.backtest.gate_spells import GateSpells
from pmx.backtest.held_book import HeldBook
from pmx.backtest.ledger import RuleLedger
from pmx.backtest.result import BacktestResult
from pmx.backtest.signal_book import SignalBook
from pmx.execution import Account, Fills, Step
from pmx.policy import CASH, Policy
from pmx.projection import Allocation, Status

if TYPE_CHECKING:
    from pmx.backtest.orders import Orders
    from pmx.backtest.watch import Watch
    from pmx.projection.explain import RuleFigures


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
    watch : Watch
        Its rules judge what is held.
    trade_at : {"next_close", "close"}
        Which close a decision trades at.
    opening : float, base currency
        NAV before the first close.
    """

    def __init__(
        self,
        policy: Policy,
        dates: pd.Index,
        slots: Sequence[tuple[str, str]],
        watch: Watch,
        trade_at: str,
        opening: float,
    ) -> None:
        self._policy, self._opening = policy, opening
        self._at_close = trade_at == "close"
        self._held = HeldBook(watch, at_close=self._at_close)
        self._dates = dates
        self._slots = pd.MultiIndex.from_tuples(list(slots), names=["bucket", "symbol"])
        self._slot_column, self._symbols = pd.factorize(self._slots.get_level_values("symbol"))
        self._slot_bucket, self._buckets = pd.factorize(self._slots.get_level_values("bucket"))
        self._rows: list[int] = []
        self._nav: list[float] = []
        self._quantities: list[np.ndarray] = []
        self._cash: list[float] = []
        self._bucket_values: list[np.ndarray] = []
        self._interest: list[float] = []
        self._rate: list[float] = []
        self._fills: list[tuple[int, Fills]] = []
        self._decided: list[int] = []
        self._occasion: list[str] = []
        self._weights: list[np.ndarray] = []
        self._cash_weights: list[float] = []
        self._safe: list[float] = []
        self._scales: list[np.ndarray] = []
        self._status: list[str] = []
        self._distance: list[float] = []
        self._ledger = RuleLedger()
        self._gates = GateSpells()
        self._signals = SignalBook()
        self._budgets = BudgetBook()
        self._last: Allocation | None = None

    def close(
        self,
        i: int,
        account: Account,
        orders: Orders,
        decision: Step | None,
        occasion: str,
        fills: list[Fills],
        interest: float,
        rate: float,
    ) -> None:
        """Record one close, after its trading.

        Parameters
        ----------
        i : int
            Row of the price history.
        account : Account
            What is owned.
        orders : Orders
            What is to be traded.
        decision : Step or None
            What was decided.
        occasion : str
            Why something was decided.
        fills : list of Fills
            What was traded.
        interest : float
            Base currency.
        rate : float
            Return of cash since the close before, fraction.
        """
        self._held.orders(account, orders)
        self.lived(i, account.nav, account.cash, account.quantities, account.values, fills, interest, rate)
        if decision is None:
            return
        allocation, weights = decision.allocation, decision.weights
        if len(self._slots) > len(weights):
            weights = np.append(weights, allocation.residual)
        self._last = allocation
        self._gates.take_in(i, decision.gates)
        if decision.routing is not None:
            self._signals.take_in(i, decision.signals, decision.routing.records, decision.gates)
            self._budgets.take_in(i, decision.routing.uses)
        figures = None if allocation.status is Status.BYPASSED else allocation.figures
        distance = allocation.certificate.distance_bound
        safe, status = allocation.safe_weight, allocation.status
        self.decided(i, weights, allocation.cash, safe, decision.scales, status, distance, figures, occasion)

    def lived(
        self,
        i: int,
        nav: float,
        cash: float,
        quantities: np.ndarray,
        values: np.ndarray,
        fills: list[Fills],
        interest: float,
        rate: float,
    ) -> None:
        """Record what is owned after one close; see :meth:`close` and the attributes of :class:`Account`."""
        self._rows.append(i)
        self._nav.append(nav)
        self._quantities.append(quantities)
        self._held.hold(values)
        self._cash.append(cash)
        self._bucket_values.append(np.bincount(self._slot_bucket, weights=values, minlength=len(self._buckets)))
        self._interest.append(interest)
        self._rate.append(rate)
        self._fills += [(i, traded) for traded in fills if len(traded)]

    def decided(
        self,
        i: int,
        weights: np.ndarray,
        cash: float,
        safe: float,
        scales: np.ndarray,
        status: Status,
        distance: float,
        figures: RuleFigures | None,
        occasion: str,
    ) -> None:
        """Record one decision.

        Parameters
        ----------
        i : int
            Row of the price history.
        weights : array, shape (n_slots,)
            Signed weights.
        cash, safe, distance : float, fraction of NAV
            Weight of cash, safe weight, and the distance bound of the certificate.
        scales : array, shape (n_buckets,)
            Risk scales.
        status : Status
            How it came about.
        figures : RuleFigures or None
            What the rules did.
        occasion : str
            Why something was decided.
        """
        self._decided.append(i)
        self._occasion.append(occasion)
        self._held.decide(weights)
        self._weights.append(np.bincount(self._slot_column, weights=weights, minlength=len(self._symbols)))
        self._cash_weights.append(cash)
        self._safe.append(safe)
        self._scales.append(scales)
        self._status.append(str(status))
        self._distance.append(distance)
        if figures is not None:
            self._ledger.add(figures)

    def result(
        self,
        periods_per_year: float,
        contributions: Contributions,
        data_warnings: pd.DataFrame,
        corporate_actions: pd.DataFrame,
        delistings: pd.DataFrame,
    ) -> BacktestResult:
        """Return the tables."""
        lived, decided = self._dates[self._rows], self._dates[self._decided]
        buckets = list(self._policy.risk_buckets.buckets)
        earned = contributions.table(lived)
        safe, spells, outside = self._held.judged(
            lived, self._rows, self._nav, self._fills, self._decided, self._scales
        )
        worth = _frame(self._bucket_values, lived, self._buckets).assign(**{CASH: self._cash})
        return BacktestResult(
            policy=self._policy,
            nav=self._with_opening(lived),
            weights=_frame(self._weights, decided, self._symbols).assign(**{CASH: self._cash_weights}),
            positions=_frame(self._quantities, lived, self._slots),
            bucket_weights=worth.div(self._nav, axis=0),
            safe_weight=pd.Series(self._safe, index=decided, name="safe_weight", dtype="float64"),
            safe_weight_held=safe,
            safe_floor=self._policy.safe_floor,
            risk_scale=_frame(self._scales, decided, buckets),
            trades=self._trades(),
            delistings=delistings,
            rules=self._held.with_held(_with_earnings(self._ledger.table(), earned), outside),
            breaches=spells,
            contributions=earned,
            status=pd.Series(self._status, index=decided, name="status", dtype="str"),
            occasion=pd.Series(self._occasion, index=decided, name="occasion", dtype="str"),
            distance_bound=pd.Series(self._distance, index=decided, name="distance_bound", dtype="float64"),
            interest=pd.Series(self._interest, index=lived, name="interest"),
            gates=self._gates.table(self._dates),
            signals=self._signals.table(self._dates),
            budgets=self._budgets.table(self._dates),
            last=self._last,
            rf=pd.Series(self._rate, index=lived, name="rf"),
            periods_per_year=periods_per_year,
            data_warnings=data_warnings,
            corporate_actions=corporate_actions,
        )

    def _with_opening(self, lived: pd.Index) -> pd.Series:
        """Return NAV by close; where the first close trades already, after the one that the account opened with."""
        nav = pd.Series(self._nav, index=lived, name="nav")
        if not self._at_close:
            return nav
        first = self._rows[0]
        opened = self._dates[first - 1] if first else self._dates[0] - pd.Timedelta(days=1)
        return pd.Series([self._opening, *self._nav], index=lived.insert(0, opened), name="nav")

    def _trades(self) -> pd.DataFrame:
        days, fills = zip(*self._fills, strict=True) if self._fills else ((), ())
        sizes = [len(traded) for traded in fills]

        def joined(column: str) -> np.ndarray:
            return np.concatenate([np.zeros(0), *(getattr(traded, column) for traded in fills)])

        symbols = [traded.symbols[k] for traded in fills for k in traded.column.tolist()]
        columns = {
            "date": self._dates[np.repeat(np.array(days, dtype=np.intp), sizes)],
            "symbol": pd.array(symbols, dtype="str"),
            **{column: joined(column) for column in ("quantity", "price", "value", "cost")},
            "reason": pd.array(np.repeat([traded.reason for traded in fills], sizes), dtype="str"),
        }
        return pd.DataFrame(columns)


def _with_earnings(rules: pd.DataFrame, earned: pd.DataFrame) -> pd.DataFrame:
    """Return the ledger with what each rule's cuts earned, after its prices; 0 for rules that never moved anything."""
    figures = saved_and_cost(earned).reindex(rules.index, fill_value=0.0)
    after = list(rules.columns).index("mean_shadow_price") + 1
    return pd.concat([rules.iloc[:, :after], figures, rules.iloc[:, after:]], axis=1)


def _frame(rows: list[np.ndarray], index: pd.Index, columns: Any) -> pd.DataFrame:
    return pd.DataFrame(np.array(rows).reshape(len(rows), len(columns)), index=index, columns=columns)
