"""Run a policy over history: decide on what is known at a close, trade at a later one, keep the books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from pmx.backtest.recorder import Recorder
from pmx.backtest.result import BacktestResult
from pmx.data import check_prices
from pmx.errors import DataError
from pmx.execution import Account, CostModel, Desk, Fill, Holdings, Step, default_engines, step
from pmx.policy import Policy
from pmx.projection import by_position
from pmx.signals import SignalEngine

TradeAt = Literal["next_close", "close"]
#: Bucket label of what the residual symbol holds in place of cash.
RESIDUAL = "residual"


def backtest(
    prices: pd.DataFrame,
    policy: Policy,
    *,
    engines: Sequence[SignalEngine] | None = None,
    targets: pd.DataFrame | None = None,
    initial_nav: float = 1e6,
    costs: CostModel | float | None = None,
    cash_rate: pd.Series | None = None,
    trade_at: TradeAt | None = None,
    start: Any = None,
    end: Any = None,
    adv: pd.DataFrame | None = None,
    periods_per_year: float = 252.0,
    progress: bool = False,
) -> BacktestResult:
    """Run a policy over a price history.

    Each close: interest on cash for the calendar days since the last one; mark to market; trade what was decided
    earlier, at this close; then decide, on rows up to this close alone. Weights are of the NAV before costs at the
    close where they are traded; costs come out of cash. A symbol without a price is neither traded nor signalled, and
    keeps its last mark; after ``execution.max_stale_bars`` rows it is delisted, to cash at that mark.

    Parameters
    ----------
    prices : DataFrame, date × symbol
        Closes in the base currency, NaN where a symbol has none.
    policy : Policy
        The policy.
    engines : sequence of SignalEngine, optional
        Asked at every close. Those that the policy switches on when omitted.
    targets : DataFrame, date × symbol or date × (bucket, symbol), signed fractions of NAV, optional
        Wishes in place of engines. Dates without a row trade nothing. NaN is 0 where the symbol has no price yet.
    initial_nav : float
        Opening cash, base currency.
    costs : CostModel or float, optional
        Cost of one side, or one rate for all symbols (fraction of traded value); the policy's when omitted.
    cash_rate : Series by date, optional
        Simple rate a calendar day, known at its date; the last known one accrues. 0 when omitted.
    trade_at : {"next_close", "close"}, optional
        Which close a decision trades at; the policy's ``execution.trade_at`` when omitted.
    start, end : date-like, optional
        First and last close of the run; engines see all earlier rows.
    adv : DataFrame, date × symbol, base currency a day, optional
        Average daily value traded, for ``liquidity.participation``.
    periods_per_year : float
        For the metrics.
    progress : bool
        Show a progress bar.

    Returns
    -------
    BacktestResult

    Raises
    ------
    DataError
        When prices, targets or rates are malformed; names the symbol and the date.
    InfeasibleError, SolverError
        When a day has no certified answer; names the date.

    Examples
    --------
    >>> import numpy as np, pandas as pd, pmx
    >>> dates = pd.bdate_range("2020-01-01", periods=4)
    >>> prices = pd.DataFrame({"SP500": [100.0, 101.0, 102.0, 103.0]}, index=dates)
    >>> targets = pd.DataFrame({"SP500": [0.5] * 4}, index=dates)
    >>> result = pmx.backtest(prices, pmx.load_policy(), targets=targets)
    >>> round(float(result.weights["SP500"].iloc[-1]), 3)
    0.1
    """
    run = _Run(prices, policy, engines, targets, initial_nav, costs, cash_rate, trade_at, start, end, adv)
    for i in _with_progress(run.rows, progress):
        run.day(i)
    return run.recorder.result(policy, run.rf(periods_per_year), periods_per_year)


class _Run:
    """One backtest under way."""

    def __init__(
        self,
        prices: pd.DataFrame,
        policy: Policy,
        engines: Sequence[SignalEngine] | None,
        targets: pd.DataFrame | None,
        initial_nav: float,
        costs: CostModel | float | None,
        cash_rate: pd.Series | None,
        trade_at: TradeAt | None,
        start: Any,
        end: Any,
        adv: pd.DataFrame | None,
    ) -> None:
        if engines is not None and targets is not None:
            raise DataError("give engines or targets, not both")
        self.prices = check_prices(prices, "prices")
        self.policy = policy
        self.closes = self.prices.to_numpy(dtype=np.float64)
        symbols = [str(symbol) for symbol in self.prices.columns]
        self.targets = None if targets is None else _targets(targets, policy, self.prices)
        wanted = [] if self.targets is None else list(self.targets.columns)
        if self.targets is None and engines is None:
            engines = default_engines(policy, symbols)
        self.desk = Desk(policy, symbols, engines or (), wanted)
        self.trade_at = trade_at or policy.execution.trade_at
        if self.trade_at not in ("next_close", "close"):
            raise DataError(f"trade_at is {self.trade_at!r}; it must be 'next_close' or 'close'")
        self.adv = adv
        self.residual = policy.risk_buckets.portfolio.residual_symbol
        slots = list(self.desk.index)
        if self.residual is not None:
            slots.append((RESIDUAL, self.residual))
        self.account = Account(slots, symbols, initial_nav, _rates(costs, policy, symbols))
        self.rows = self._rows(start, end)
        self.rates = _daily_rates(cash_rate, self.prices.index)
        self.pending: Step | None = None
        self.recorder = Recorder(self.prices.index, slots, symbols, self.desk)
        self._bucket_slots = {
            bucket: np.array([j for j, (b, _) in enumerate(self.desk.index) if b == bucket], dtype=np.intp)
            for bucket in dict.fromkeys(b for b, _ in self.desk.index)
        }
        self._target_rows = None if self.targets is None else set(self.targets.index)

    def _rows(self, start: Any, end: Any) -> range:
        index = self.prices.index
        first = 0 if start is None else int(index.searchsorted(pd.Timestamp(start), side="left"))
        last = len(index) if end is None else int(index.searchsorted(pd.Timestamp(end), side="right"))
        if first >= last:
            raise DataError(f"there are no prices between {start or index[0]} and {end or index[-1]}")
        self._warm_up(first)
        return range(first, last)

    def _warm_up(self, first: int) -> None:
        """Let the account and the desk see the closes before the run, without holding or deciding anything."""
        for i in range(first):
            self.account.mark(self.closes[i])
            self.desk.observe(self.prices.iloc[: i + 1])

    def day(self, i: int) -> None:
        """Live through one close."""
        account = self.account
        span = (self.prices.index[i] - self.prices.index[i - 1]).days if i > self.rows.start else 0
        rate = float(self.rates[i - 1]) * span if span else 0.0
        interest = account.accrue(rate)
        before = np.abs(account.values)
        profit = account.mark(self.closes[i])
        fills = account.close_delisted(self.policy.execution.max_stale_bars)
        if self.pending is not None:
            fills += self._trade(self.pending, i)
            self.pending = None
        decision = self._decide(i, self._bucket_returns(before, profit))
        if decision is not None and self.trade_at == "close":
            fills += self._trade(decision, i)
        elif decision is not None:
            self.pending = decision
        self.recorder.close(i, account, decision, fills, interest, rate)

    def _bucket_returns(self, before: np.ndarray, profit: np.ndarray) -> dict[str, float]:
        """Return on each bucket's own capital, the gross value it held over the bar."""
        returns: dict[str, float] = {}
        for bucket, slots in self._bucket_slots.items():
            capital = float(before[slots].sum())
            if capital > 1e-9 * self.account.nav:
                returns[bucket] = float(profit[slots].sum()) / capital
        return returns

    def _decide(self, i: int, bucket_returns: Mapping[str, float]) -> Step | None:
        date = self.prices.index[i]
        wish = None
        if self.targets is not None:
            if self._target_rows is None or date not in self._target_rows:
                self.desk.scaler.update(bucket_returns)
                self.desk.observe(self.prices.iloc[: i + 1])
                return None
            wish = self.targets.loc[date]
        nav = self.account.nav
        if nav <= 0:
            raise DataError(f"NAV is {nav:.2f} at {date}: the account is bankrupt; lower leverage.gross or the targets")
        holdings = Holdings(nav, self.account.values[: len(self.desk.index)] / nav, bucket_returns)
        adv = None if self.adv is None else self.adv.loc[date].to_dict()
        try:
            return step(self.desk, holdings, self.prices.iloc[: i + 1], targets=wish, adv=adv)
        except Exception as error:
            error.add_note(f"while deciding at the close of {date}")
            raise

    def _trade(self, decision: Step, i: int) -> list[Fill]:
        weights = decision.weights
        if self.residual is not None:
            weights = np.append(weights, decision.allocation.residual)
        return self.account.rebalance(weights, np.isfinite(self.closes[i]))

    def rf(self, periods_per_year: float) -> pd.Series:
        """Return the cash return of each period."""
        del periods_per_year
        return self.recorder.rf()


def _targets(targets: pd.DataFrame, policy: Policy, prices: pd.DataFrame) -> pd.DataFrame:
    """Return the wishes by (bucket, symbol), NaN only where there is no price to hold at."""
    unknown = targets.index.difference(prices.index)
    if len(unknown):
        raise DataError(f"targets has a row for {unknown[0]}, on which there are no prices; drop it or move it")
    if targets.index.has_duplicates:
        raise DataError(f"targets has two rows for {targets.index[targets.index.duplicated()][0]}; keep one")
    frame = targets.astype("float64")
    if frame.columns.nlevels == 1:
        frame = frame.drop(columns="CASH", errors="ignore")
        columns = by_position(pd.Series(0.0, index=frame.columns), policy)[0].index
        frame = frame.set_axis(columns, axis=1)
    for bucket, symbol in frame.columns:
        if symbol not in prices.columns:
            raise DataError(f"targets wishes for {symbol}, which has no price column; add its prices or drop it")
        missing = frame[(bucket, symbol)].isna() & prices[symbol].reindex(frame.index).notna()
        if missing.any():
            raise DataError(f"targets of {symbol} is missing at {missing.idxmax()}; give 0 to hold nothing")
    if not np.isfinite(frame.fillna(0.0).to_numpy()).all():
        bad = frame.columns[int(np.argwhere(~np.isfinite(frame.fillna(0.0).to_numpy()))[0][1])]
        raise DataError(f"targets of {bad} is not finite; repair it")
    return frame.fillna(0.0).sort_index()


def _rates(costs: CostModel | float | None, policy: Policy, symbols: Sequence[str]) -> np.ndarray:
    if isinstance(costs, CostModel):
        return costs.rates(symbols)
    if costs is None:
        return CostModel.from_policy(policy).rates(symbols)
    if not np.isfinite(costs) or costs < 0:
        raise DataError(f"costs is {costs}; give a non-negative fraction of the traded value, or a CostModel")
    return np.full(len(symbols), float(costs))


def _daily_rates(cash_rate: pd.Series | None, dates: pd.Index) -> np.ndarray:
    """Last known simple rate a calendar day at each date, shape (n_dates,)."""
    if cash_rate is None:
        return np.zeros(len(dates))
    if not np.isfinite(cash_rate.to_numpy(dtype=np.float64)).all():
        where = cash_rate.index[int(np.flatnonzero(~np.isfinite(cash_rate.to_numpy(dtype=np.float64)))[0])]
        raise DataError(f"cash_rate at {where} is not finite; drop the row or repair it")
    known = cash_rate.sort_index().reindex(dates, method="ffill")
    if known.isna().any():
        raise DataError(f"cash_rate starts at {cash_rate.index.min()}, after the first price; extend it back to {dates[0]}")
    return known.to_numpy(dtype=np.float64)


def _with_progress(rows: range, show: bool) -> Iterator[int]:
    if not show:
        yield from rows
        return
    from rich.progress import track

    yield from track(rows, description="backtest", transient=True)
