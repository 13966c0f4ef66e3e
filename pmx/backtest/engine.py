"""Run a policy over history: decide on what is known at a close, trade at a later one, keep the books."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.backtest.action_book import ActionBook
from pmx.backtest.contributions import Contributions
from pmx.backtest.delistings import Delistings, warn_of_delistings
from pmx.backtest.inputs import cost_model, interest_rates, row_range, target_frame, traded_values
from pmx.backtest.metrics import check_periods
from pmx.backtest.orders import Orders
from pmx.backtest.recorder import Recorder
from pmx.backtest.result import BacktestResult
from pmx.backtest.schedule import scheduled
from pmx.backtest.together import TogetherDays
from pmx.backtest.watch import Watch
from pmx.data import check_prices, price_findings
from pmx.data.calendar import FEWEST_ROWS, rows_per_year_of_run, warn_of_contradiction
from pmx.data.corporate_actions import as_held, corporate_actions, without_declared
from pmx.data.dates import day
from pmx.data.quality import warn_of
from pmx.errors import DataError, SignalError
from pmx.execution import Account, AuditLog, CostModel, Desk, Fills, History, Holdings, Step, default_engines, step
from pmx.execution.audit_log import auditing
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED
from pmx.projection import Journal, recording, refusing
from pmx.projection.passthrough import refuse_limits
from pmx.projection.progress import counting
from pmx.signals import FallbackEngine, SignalEngine
from pmx.signals.asking import checked_engines

log = logging.getLogger("pmx.backtest")

TradeAt = Literal["next_close", "close"]


@checked(elsewhere=["engines", "cash_rate"], outside=["prices", "targets", "adv", "splits", "dividends"])
def backtest(
    prices: pd.DataFrame,
    policy: Policy,
    *,
    engines: Sequence[SignalEngine | str] | None = None,
    targets: pd.DataFrame | None = None,
    initial_nav: float = 1e6,
    costs: CostModel | float | None = None,
    cash_rate: pd.Series | pd.DataFrame | float | None = None,
    trade_at: TradeAt | None = None,
    schedule: str | None = None,
    tolerance: float | None = None,
    start: Any = None,
    end: Any = None,
    adv: pd.DataFrame | None = None,
    splits: pd.DataFrame | None = None,
    dividends: pd.DataFrame | None = None,
    periods_per_year: float | None = None,
    journal: Journal | str | PathLike[str] | None = None,
    audit: AuditLog | str | PathLike[str] | None = None,
    progress: bool = False,
) -> BacktestResult:
    r"""Run a policy over a price history.

    At each close, in this order:

    1. cash earns interest for the calendar days since the last close, at the rate known then; units split, and pay
       dividends, where ``splits`` and ``dividends`` say so;
    2. holdings are marked to the close; a symbol without a price keeps its last mark, and is sold at it after missing
       more than ``execution.max_stale_bars`` of its own sessions (see `pmx.data.sessions`: a weekend on a table with
       coins is no session of a share). ``execution.delisting`` may take a haircut from that, or hold on;
    3. what was decided at the last close is traded at this one: each position to its weight of the NAV before costs,
       orders netted over buckets, costs paid from cash. A symbol without a price is not traded: its order waits for its
       next close, a newer decision, or its delisting;
    4. the next weights are decided, on rows up to this close alone. With ``trade_at="close"`` they are traded at once,
       at the very close that they rest on, as only an order on the close could; step 3 then has nothing to do.

    Engines decide at every close, targets at each date that has a row. Between these dates quantities stand, and what
    is held drifts with prices. With the schedule ``on_breach``, a close at which it exceeds a hard rule by more than
    ``tolerance`` is a decision too: for the weights nearest to those held that obey every rule (for a position whose
    order waits, nearest to what it will be). Only positions that this changes are traded, and only in the direction of
    the change. ``on_targets`` trades at decisions alone. ``daily``, ``weekly`` and ``monthly`` decide at every close,
    or at the first close of each ISO week or month of the run, from the latest row of targets or from the signals then.
    With the layer switched off nothing is enforced.

    .. math:: V_t = V_{t-1} + \sum_j q_j (p_{j,t} - p_{j,t-1}) + c \, \rho \, \Delta
        + \text{dividends} - \text{costs}

    with quantities q and cash c held from the last close, in the units of today, and interest of ρ for each of Δ
    calendar days. Engines and risk models see prices whose returns are those earned, splits and dividends reinvested;
    what became known later never changes them.

    Parameters
    ----------
    prices : DataFrame, date × symbol
        Closes in the base currency, NaN where a symbol has none.
    policy : Policy
        The policy.
    engines : sequence of SignalEngine or str, optional
        Asked at every close: engines, or names of ``signal_routing_config.engines``. Those that the policy switches on
        when omitted. Never a language model: it has read what came after.
    targets : DataFrame, date × symbol or date × (bucket, symbol), signed fractions of NAV, optional
        Wishes in place of engines. A row takes effect at the close of its date or,
        where there are no prices on it, at the next close; the latest rules where several fall on one close. One that
        takes effect before ``start`` is no part of the run, which begins in cash. A missing target is 0 before the
        symbol's first price; where a listed symbol lacks a price, its last target stands. A column ``CASH`` is ignored.
    initial_nav : float
        Opening cash, base currency.
    costs : CostModel or float, optional
        Cost of one side, or one rate for all symbols (fraction of traded value); the policy's when omitted. Signals
        are judged by it, and it prices the edges of the policy's engines that have no ``round_trip_cost_bps``; engines
        given as objects know their own.
    cash_rate : Series or one-column DataFrame by date, or float, optional
        Simple rate a calendar day, known at its date, at most 0.01 in size; the last known one accrues, also on
        borrowed cash. A number is the rate of every day. 0 when omitted.
    trade_at : {"next_close", "close"}, optional
        Which close a decision trades at; the policy's ``execution.trade_at`` when omitted.
    schedule : {"on_breach", "on_targets", "daily", "weekly", "monthly"}, optional
        When to trade between the dates of targets, see below; the policy's ``execution.rebalance.schedule`` when
        omitted. The policy of the result says what was run.
    tolerance : float, fraction of NAV, optional
        How far drift may exceed a hard rule before ``on_breach`` trades; the policy's when omitted.
    start, end : date-like, optional
        First and last close of the run; engines see all earlier rows.
    adv : DataFrame, date × symbol, base currency a day, optional
        Average daily value traded as known at each date, for ``liquidity.participation``.
    splits : DataFrame, date × symbol, or long with columns date, symbol, ratio; optional
        Units for one held the day before: 4 for a 4:1 split, 0.1 for a 1:10 reverse split; missing or 0 for none. For
        prices that are not adjusted: quantities are multiplied before they are marked on that date.
    dividends : DataFrame, date × symbol, or long with columns date, symbol, amount; optional
        Cash for one unit, base currency, by ex-date; missing or 0 for none. Paid that day on what was held at the close
        before, after a split on the same day; who is short pays.

        Dates of all these tables may be a DatetimeIndex, days as a PeriodIndex, `datetime.date` or ISO text. A time
        zone is dropped and the local date kept, of prices and of everything else alike.
    periods_per_year : float, optional
        For the metrics; the policy's ``risk_scaler.volatility.periods_per_year`` when omitted. Where that is ``auto``,
        they are counted by the dates of the run: its rows ÷ its years where it lasts a year or more, or the usual
        number within 5 % of that. A figure that contradicts them by more than 20 % is warned of.
    journal : Journal or path-like, optional
        Where every decision is written, for ``pmx verify``. Each day is then lived by itself, which takes longer.
    audit : AuditLog or path-like, optional
        Where the verdict on every signal is written, for ``pmx health``. Wishes given as ``targets`` are no signals.
    progress : bool
        Show a progress bar, on standard error where that is a terminal.

    Returns
    -------
    BacktestResult

    Raises
    ------
    DataError
        When prices, targets, rates or volumes are malformed, naming symbol and date, when volumes are given though both
        flags of the policy are off, or when NAV falls to zero, naming the date.
    SignalError
        When an engine is named that does not exist, one is a `pmx.signals.FallbackEngine` or no engine at all, or its
        answer is no list of signals.
    InfeasibleError, SolverError
        When a day has no certified answer; a note on the error names the date.
    LedgerError
        When the journal or the audit log cannot be appended to, or the audit log is of another run.

    Notes
    -----
    Weights obey the policy when they are decided. Between then and the next trade prices move them, costs take their
    share of cash, and an order may wait for a close. ``safe_weight_held`` and ``breaches`` say what was held.

    Examples
    --------
    >>> import pandas as pd, pmx
    >>> dates = pd.bdate_range("2020-01-01", periods=4)
    >>> prices = pd.DataFrame({"SP500": [100.0, 101.0, 102.0, 103.0]}, index=dates)
    >>> targets = pd.DataFrame({"SP500": [0.5] * 4}, index=dates)
    >>> result = pmx.backtest(prices, pmx.load_policy(), targets=targets)
    >>> round(float(result.weights["SP500"].iloc[-1]), 3)
    0.1
    """
    given = {"schedule": schedule, "tolerance": tolerance}
    changes = {f"execution.rebalance.{key}": value for key, value in given.items() if value is not None}
    with refusing(policy, journal):
        policy = policy.override(changes) if changes else policy
    with refusing(policy, journal):
        if engines is not None and targets is not None:
            raise DataError("engines and targets are both given; drop one of them")
        check_periods(periods_per_year)
        refuse_limits(policy, adv=adv)
        run = _Run(
            prices, policy, engines, targets, initial_nav, costs, cash_rate, trade_at, start, end, adv, splits,
            dividends, judge=audit is not None, progress=progress,
        )  # fmt: skip
    run.desk.check_year(run.dates[run.rows.start : run.rows.stop])
    if periods_per_year is not None:
        warn_of_contradiction(periods_per_year, run.dates[run.rows.start : run.rows.stop], "periods_per_year")
    with (
        counting("backtest", len(run.rows), progress) as advance,
        auditing(audit, begins=run.dates[run.rows.start]) as run.audit,  # first: one that is refused leaves no journal
        recording(journal) as run.journal,
    ):
        i = run.rows.start
        while i < run.rows.stop:
            lived = run.days_together(i)
            if lived == 0:
                with refusing(policy, run.journal, label=None if run.journal is None else day(run.dates[i])):
                    run.day(i)
            i += max(lived, 1)
            advance(max(lived, 1))
    delistings = run.delistings.table(run.account.symbols, run.rows.stop, run.actions.actions)
    warn_of_delistings(delistings, policy.risk_buckets.portfolio.base_currency, policy.execution.delisting)
    return run.recorder.result(
        run.periods_in_a_year(periods_per_year), run.contributions, run.findings, run.actions.table(), delistings
    )


class _Run:
    """One backtest under way."""

    def __init__(
        self,
        prices: pd.DataFrame,
        policy: Policy,
        engines: Sequence[SignalEngine | str] | None,
        targets: pd.DataFrame | None,
        initial_nav: float,
        costs: CostModel | float | None,
        cash_rate: pd.Series | pd.DataFrame | float | None,
        trade_at: TradeAt | None,
        start: Any,
        end: Any,
        adv: pd.DataFrame | None,
        splits: pd.DataFrame | None,
        dividends: pd.DataFrame | None,
        *,
        judge: bool,
        progress: bool,
    ) -> None:
        self.prices = check_prices(prices, "prices")
        self.policy = policy
        self.dates = pd.DatetimeIndex(self.prices.index)
        self.days = self.dates.tolist()
        self.closes = np.ascontiguousarray(self.prices.to_numpy(dtype=np.float64))
        self.rows = row_range(self.dates, start, end)
        actions = corporate_actions(self.prices, splits, dividends)
        self.actions = ActionBook(actions, self.dates)
        self.seen = self.prices if actions is None else as_held(self.prices, actions)
        self.seen_closes = self.seen.to_numpy(dtype=np.float64)
        unsplit = self.prices if actions is None else as_held(self.prices, actions.without_dividends())
        findings = price_findings(unsplit.iloc[: self.rows.stop])
        self.findings = findings if actions is None else without_declared(findings, self.prices, actions)
        warn_of(self.findings)
        self.trade_at = trade_at or policy.execution.trade_at
        if self.trade_at not in ("next_close", "close"):
            raise DataError(f"trade_at is {self.trade_at!r}; it must be 'next_close' or 'close'")
        symbols = [str(symbol) for symbol in self.prices.columns]
        zone, first = getattr(prices.index, "tz", None), self.rows.start
        wishes = None if targets is None else target_frame(targets, policy, self.prices, zone)
        self.rates = interest_rates(cash_rate, self.dates, first, zone).tolist()
        volumes = traded_values(adv, self.prices, self.rows, zone)
        self.adv = None if volumes is None else volumes.reindex(self.dates).to_numpy()
        trading = cost_model(costs, policy)
        speakers = [] if wishes is not None else _engines(policy, symbols, engines, trading, progress)
        asked: Any = [] if wishes is None else wishes.columns.tolist()
        self.desk = Desk(policy, symbols, speakers, asked, judge=judge, costs=trading)
        given = None if wishes is None else wishes.reindex(self.dates)[self.desk.index].to_numpy()
        self.wishes, self.decides = scheduled(given, policy.execution.rebalance.schedule, self.dates, self.rows)
        self.asked_by = "signals" if wishes is None else "targets"
        self.residual = None if policy.bypassed else policy.risk_buckets.portfolio.residual_symbol
        slots: list[tuple[str, str]] = self.desk.index.tolist()
        if self.residual is not None:
            slots.append((UNASSIGNED, self.residual))
        self.account = Account(slots, symbols, initial_nav, trading.rates(symbols))
        self.watch = Watch(self.desk)
        self.recorder = Recorder(policy, self.dates, slots, self.watch, self.trade_at, float(initial_nav))
        self.contributions = Contributions()
        rule = policy.execution
        self.delistings = Delistings(
            self.dates, self.closes, rule.delisting, rule.delisting_haircut, rule.max_stale_bars
        )
        self.journal: Journal | None = None
        self.audit: AuditLog | None = None
        self.orders = Orders(self.account.column)
        self.together = TogetherDays.of(self)
        bucket_of = [bucket for bucket, _ in self.desk.positions]  # sorted by bucket
        begins = {bucket: bucket_of.index(bucket) for bucket in self.desk.buckets if bucket in bucket_of}
        self.slots_of = {bucket: slice(a, a + bucket_of.count(bucket)) for bucket, a in begins.items()}

    def day(self, i: int) -> None:
        """Live through one close."""
        account, contributions, patience = self.account, self.contributions, self.policy.execution.listed_for
        nav = account.nav
        interest = account.accrue(self.rates[i])
        before = np.abs(account.values)
        dividends, paid = self.actions.apply(i, account, contributions)
        marks = account.marks
        profit = account.mark(self.closes[i], self._missed(i)) + paid
        written_down = self.delistings.book(i, account)
        profit = profit if written_down is None else profit + written_down
        contributions.earn(account, marks, nav, self.rates[i], dividends)
        self._require_solvent(i)
        bucket_returns = self._bucket_returns(before, profit) if self.desk.scaler.listens else {}
        fills = [account.close_delisted(patience)]
        delisted = account.bars_stale > patience
        contributions.drop(delisted[account.column])
        self.orders.drop(delisted, account.quantities)
        at_close = self.trade_at == "close"
        if self.orders.any and not at_close:
            fills.append(self._trade(i))
        decision = self._decide(i, bucket_returns)
        if self.orders.any and at_close:
            fills.append(self._trade(i))
        self._require_solvent(i)
        occasion = self.asked_by if self.decides[i] else "breach"
        self.recorder.close(i, account, self.orders, decision, occasion, fills, interest, self.rates[i])

    def _missed(self, i: int) -> np.ndarray | None:
        """Return the sessions that each symbol has missed; None where all have a close."""
        if np.isfinite(self.closes[i]).all():
            return None
        return self.desk.missed(History(self.prices, self.closes[: i + 1], self.days[i]))

    def _require_solvent(self, i: int) -> None:
        if self.account.nav <= 0.0:
            raise DataError(
                f"NAV is {self.account.nav:.2f} on {day(self.dates[i])}: the account is bankrupt; lower "
                "leverage.gross or the targets, or check the prices"
            )

    def _bucket_returns(self, before: np.ndarray, profit: np.ndarray) -> dict[str, float]:
        """Return on each bucket's own capital, the gross value it held over the bar."""
        least = 1e-9 * self.account.nav
        returns: dict[str, float] = {}
        for bucket, slots in self.slots_of.items():
            capital = float(before[slots].sum())
            if capital > least:
                returns[bucket] = float(profit[slots].sum()) / capital
        return returns

    def _decide(self, i: int, bucket_returns: Mapping[str, float]) -> Step | None:
        known = History(self.seen, self.seen_closes[: i + 1], self.days[i])
        nav = self.account.nav
        holdings = Holdings(nav, self.account.values[: len(self.desk.positions)] / nav, bucket_returns)
        adv = None if self.adv is None else dict(zip(self.desk.symbols, self.adv[i].tolist(), strict=True))
        try:
            if not self.decides[i]:
                self.desk.observe(known, bucket_returns)
                return self._cure(i, holdings, known, adv)
            wish = None if self.wishes is None else self.wishes[i]
            decision = step(self.desk, holdings, known, targets=wish, adv=adv)
            self.orders.decide(self._slot_weights(decision))
            self.contributions.order(decision)
            return self._noted(decision, i)
        except Exception as error:
            error.add_note(f"while deciding at the close of {day(self.dates[i])}")
            raise

    def _cure(self, i: int, holdings: Holdings, known: History, adv: Mapping[str, float] | None) -> Step | None:
        """Order the weights nearest to what is held that obey every rule, where a hard one is broken."""
        account, orders = self.account, self.orders
        if not self.watch.cures or not (orders.any or account.quantities.any()):
            return None
        held = account.values / account.nav
        intended = orders.intended(held)
        if not self.watch.breached(intended, account):
            return None
        decision = step(self.desk, holdings, known, targets=intended[: len(self.desk.positions)], adv=adv)
        weights = self._slot_weights(decision)
        fresh = orders.cure(intended, weights, held)
        self.contributions.cure(decision, weights - intended, fresh)
        return self._noted(decision, i)

    def _noted(self, decision: Step, i: int) -> Step:
        if self.journal is not None:
            self.journal.write(decision.allocation, self.policy, label=day(self.dates[i]))
        if self.audit is not None:
            self.audit.write(decision.verdicts)
        return decision

    def _slot_weights(self, decision: Step) -> np.ndarray:
        if self.residual is None:
            return decision.weights
        return np.append(decision.weights, decision.allocation.residual)

    def _trade(self, i: int) -> Fills:
        account, nav, before = self.account, self.account.nav, self.account.quantities
        fills, went = self.orders.trade(account, np.isfinite(self.closes[i]))
        self.contributions.trade(account, nav, account.quantities - before, went, self.orders.open)
        return fills

    def periods_in_a_year(self, stated: float | None) -> float:
        """Return the periods in a year of the metrics: as stated, the policy's, or those of the run's dates."""
        figure = self.policy.risk_scaler.volatility.periods_per_year if stated is None else stated
        if figure != "auto":
            return float(figure)
        run = self.dates[self.rows.start : self.rows.stop]
        return rows_per_year_of_run(run if len(run) >= FEWEST_ROWS else self.dates[: self.rows.stop])

    def days_together(self, i: int) -> int:
        """Live through as many days from row ``i`` as one compiled loop may; return how many, possibly none."""
        return 0 if self.together is None or self.journal is not None else self.together.live(self, i)


def _engines(
    policy: Policy,
    symbols: Sequence[str],
    given: Sequence[SignalEngine | str] | None,
    costs: CostModel,
    progress: bool,
) -> list[SignalEngine]:
    """Return the engines of a run; one that may only be asked about the present is refused."""
    if given is None:
        if policy.signal_routing_config.enable_llm_fallback:
            log.info("the language model is left out: it has read what came after each date of a backtest")
        return default_engines(policy, symbols, costs=costs, progress=progress)
    engines = checked_engines(given)
    for engine in engines:
        if isinstance(engine, FallbackEngine):
            raise SignalError(
                f"engine {engine.source!r} may only be asked about the present: what it knows of the past includes "
                "what came after, so that a backtest of it is worth nothing; leave it out"
            )
    names = [engine for engine in engines if isinstance(engine, str)]
    named = default_engines(policy, symbols, names, costs=costs, progress=progress)
    return [*named, *(engine for engine in engines if not isinstance(engine, str))]
