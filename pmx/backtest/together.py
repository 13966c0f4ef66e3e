"""Days that need nothing but arithmetic, lived through in one compiled loop.

With given wishes, long only, and no volatility, covariance, gate or volume to look at, a day is: mark, decide, trade.
The loop does that with the kernels that :func:`pmx.execution.step` rests on, in its order of operations; a test holds
it to the day-by-day path to the last bit. Any other day is lived by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pmx.execution import Fills, History
from pmx.projection import Inputs, Status
from pmx.projection.certificate import DISTANCE_TOLERANCE, HARD_TOLERANCE, from_figures
from pmx.projection.explain import RuleFigures
from pmx.projection.frame import Frame
from pmx.projection.kernels import kernel

if TYPE_CHECKING:
    from pmx.backtest.engine import _Run

#: Days that are lived at a time, so that what they leave behind stays small.
AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class TogetherDays:
    """The days of a run that may be lived together.

    Attributes
    ----------
    frame : Frame
        The rules, every position long.
    book : Book
        What stays the same, as compiled code takes it.
    plain : array of bool, shape (n_rows,)
        Rows at which every symbol has a close, every wish is a long one, and nothing splits or pays a dividend.
    stop : int
        The row of the last decision, which is made by itself so that its allocation is kept.
    """

    frame: Frame
    book: Any
    plain: np.ndarray
    stop: int

    @classmethod
    def of(cls, run: _Run) -> TogetherDays | None:
        """Return them, or None where every day needs more."""
        desk, projector = run.desk, run.desk.projector
        if (
            run.wishes is None
            or run.adv is not None
            or run.residual is not None
            or run.policy.bypassed
            or desk.covariance is not None
            or desk.scaler.listens
            or desk.engines
            or projector.has_cones
            or projector.admission.barred is not None
            or run.policy.execution.liquidity.participation is not None
            or max(len(desk.positions), run.closes.shape[1]) > kernel("days", "MOST_TERMS")
        ):
            return None
        plain = np.isfinite(run.closes).all(axis=1) & (run.wishes >= 0.0).all(axis=1) & ~run.actions.days
        decided = np.flatnonzero(~np.isnan(run.wishes[:, 0]))
        inside = decided[(decided >= run.rows.start) & (decided < run.rows.stop)]
        n = len(desk.positions)
        sheet = projector.book.lay_out(Inputs(np.ones(n), np.zeros(n), held=np.zeros(n)))
        frame, groups = sheet.frame, sheet.frame.grouping
        account = run.account
        book = kernel("days", "Book")(
            frame.law, frame.long, groups.order, groups.groups, sheet.distance, sheet.clamp, frame.nothing, frame.soft,
            account.column, account.cost_rates, run.trade_at == "close", HARD_TOLERANCE, DISTANCE_TOLERANCE,
            run.contributions.numbers(frame.names), run.contributions.total,
        )  # fmt: skip
        return cls(frame, book, plain, int(inside[-1]) if len(inside) else run.rows.start)

    def live(self, run: _Run, i: int) -> int:
        """Live through days from row ``i`` on and record them; return how many."""
        account, contributions = run.account, run.contributions
        until = min(i + AT_ONCE, self.stop)
        breaks = np.flatnonzero(~self.plain[i:until])
        days = int(breaks[0]) if len(breaks) else until - i
        orders, at_close = run.orders, self.book.at_close
        waiting = orders.any and not at_close
        if days < 2 or (account.quantities < 0.0).any() or (waiting and not (orders.whole and orders.long)):
            return 0
        n, m = len(account.quantities), run.closes.shape[1]
        rules = len(self.frame.names)
        out = kernel("days", "Days")(
            np.empty((days, 3)), np.empty((days, n)), np.empty((days, n)), np.empty((days, n)), np.empty((days, m)),
            np.empty((days, 4)), np.empty((days, rules), dtype=bool), np.empty((days, rules)),
            np.empty((days, rules)), np.empty(days, dtype=bool), np.empty((days, contributions.size)),
        )  # fmt: skip
        quantities, pending = account.quantities.copy(), np.zeros(n)
        if waiting:
            pending[:] = orders.weights
        rates = np.array(run.rates[i : i + days])
        assert run.wishes is not None
        lived, cash, held, ordered = kernel("days", "live")(
            self.book, run.closes[i : i + days], np.ascontiguousarray(run.wishes[i : i + days]), rates, account.cash,
            account.marks.copy(), account.nav, quantities, pending, waiting, contributions.held,
            contributions.ordered, out,
        )  # fmt: skip
        if lived == 0:
            return 0
        for day in range(lived):
            self._record(run, i + day, day, out)
        account.resume(cash, quantities, run.closes[i + lived - 1])
        contributions.resume(held, ordered, out.earned[:lived])
        orders.resume(None if at_close else pending)
        last = i + lived - 1
        run.desk.observe(History(run.seen, run.seen_closes[: last + 1], run.days[last]), {})
        return int(lived)

    def _record(self, run: _Run, i: int, day: int, out: Any) -> None:
        nav, cash, interest = out.money[day].tolist()
        account, recorder = run.account, run.recorder
        moved = out.net[day].nonzero()[0]
        traded, price = out.net[day][moved], run.closes[i][moved]
        value = traded * price
        fills = Fills(
            account.symbols, moved, traded, price, value, np.abs(value) * account.cost_rates[moved], "rebalance"
        )
        recorder.lived(i, nav, cash, out.quantities[day], out.values[day], [fills], interest, run.rates[i])
        weights = out.u[day]
        at_risk = self.frame.at_risk
        risk = weights if at_risk < 0 else self.frame.long[at_risk] * weights
        status = Status.RELAXED if out.gave_way[day] else Status.OPTIMAL
        frame = self.frame
        figures = RuleFigures(
            frame.names, frame.sources, out.binding[day], out.price[day], out.violation[day], bool(out.gave_way[day])
        )
        recorder.decided(
            i,
            weights,
            1.0 - math.fsum(weights.tolist()),
            1.0 - math.fsum(risk.tolist()),
            self.scales(run),
            status,
            from_figures("newton", *out.figures[day].tolist()).distance_bound,
            figures,
            run.asked_by,
        )

    @staticmethod
    def scales(run: _Run) -> np.ndarray:
        """Return the scales, all 1: nothing listens to returns."""
        return np.ones(len(run.desk.buckets))
