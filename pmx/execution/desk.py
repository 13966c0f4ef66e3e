"""What a cycle keeps from one bar to the next: engines, router, risk scaler, covariance, compiled projector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked, require_shape
from pmx.data.calendar import PeriodsPerYear
from pmx.data.sessions import Sessions
from pmx.errors import DataError, SignalError
from pmx.execution.history import History
from pmx.execution.oversight import Oversight
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED, CostModel
from pmx.projection import Projector
from pmx.risk import EwmaCovariance, RiskScaler
from pmx.signals import FallbackEngine, Routing, Signal, SignalEngine, SignalRouter
from pmx.signals.asking import answered, asked, checked_engines

Array = NDArray[np.float64]
Position = tuple[str, str]

#: Returns that a symbol must have shown before a rule that needs its covariance lets it be held.
COVARIANCE_OBSERVATIONS = 60


class Desk:
    """What a cycle keeps between calls: engines, router, scaler, covariance, compiled projector.

    Its positions are those given, each that an engine may ask for, and each that the policy holds without a signal
    (the last two not where positions are given and engines are not).

    Parameters
    ----------
    policy : Policy
        The policy.
    symbols : sequence of str
        The columns of all prices that will be given, in their order.
    engines : sequence of SignalEngine or FallbackEngine
        Asked at every cycle; a `pmx.signals.FallbackEngine` only while ``enable_llm_fallback`` is on, after the others,
        about symbols on which they are silent.
    positions : sequence of (bucket, symbol), optional
        Further positions that may be wished for, held, or both.
    judge : bool
        Judge every signal, as an audit log needs it, even while ``barbell.enable_barbell_validation`` is off.
    costs : CostModel, optional
        What signals are judged by; the policy's when omitted. What engines know of costs is theirs.

    Attributes
    ----------
    oversight : Oversight
        The verdicts on the signals of the last bar, and the gates that they shut.
    index : MultiIndex (bucket, symbol)
        The positions: buckets in the policy's order, symbols sorted.
    positions : tuple of (bucket, symbol)
        The same, as plain pairs.
    buckets : tuple of str
        The policy's buckets.

    Raises
    ------
    DataError
        When there is no position at all, one is of an unknown bucket, or a symbol is given twice.
    SignalError
        When something given as an engine is none: a class, a name, or without ``source`` and ``signals``; or when its
        source is unknown to the policy.

    Examples
    --------
    >>> import pmx
    >>> desk = Desk(pmx.load_policy(), ["SP500", "WTI"], positions=[("ts_core", "WTI"), ("ts_core", "SP500")])
    >>> desk.index.tolist()
    [('ts_core', 'SP500'), ('ts_core', 'WTI')]
    """

    @checked(elsewhere=["engines"])
    def __init__(
        self,
        policy: Policy,
        symbols: Sequence[str],
        engines: Sequence[SignalEngine | FallbackEngine] = (),
        positions: Sequence[Position] = (),
        *,
        judge: bool = False,
        costs: CostModel | None = None,
    ) -> None:
        self.policy = policy
        self.symbols = tuple(symbols)
        if len(set(self.symbols)) < len(self.symbols):
            twice = next(symbol for symbol in self.symbols if self.symbols.count(symbol) > 1)
            raise DataError(f"symbols names {twice} twice; keep one")
        given = _objects(engines)
        self.fallbacks = tuple(engine for engine in given if isinstance(engine, FallbackEngine))
        plain = [engine for engine in given if not isinstance(engine, FallbackEngine)]
        self.oversight = Oversight(policy, self.symbols, plain, judge, costs)
        self.engines = self.oversight.engines
        self.router = SignalRouter(policy)
        self.scaler = RiskScaler(policy)
        self._year = PeriodsPerYear(policy.risk_scaler.volatility.periods_per_year)
        key = "risk_scaler.volatility.periods_per_year"
        self._source_of_year = f"{key} ({policy.source(key)})"
        universe = self._universe(positions)
        if not universe:
            raise DataError(
                "there is nothing to hold: no engine is on, no weight is standing, no position was given; switch an "
                "engine on in signal_routing_config.yml, or give targets"
            )
        self.projector = Projector(policy, universe)
        self.index = self.projector.index
        self.covariance = self._covariance()
        self.positions = tuple(universe)
        self.buckets = tuple(policy.risk_buckets.buckets)
        self._columns = pd.Index(self.symbols)
        self._row = {position: row for row, position in enumerate(universe)}
        self._at = self._places()
        self._heard: dict[str, tuple[Any, list[Signal]]] = {}  # by symbol: when, and what was said
        self._sessions = Sessions()
        self._observed: Any = None
        self._closes: Array = np.full(len(self.symbols), np.nan)

    def _universe(self, given: Sequence[Position]) -> list[Position]:
        known = dict.fromkeys(given)
        sources = [engine.source for engine in self.engines] + [engine.source for engine in self.fallbacks]
        for source in sources:
            for symbol in self.symbols:
                bucket = self.router.bucket_for(source, symbol)
                if bucket is not None:
                    known[(bucket, symbol)] = None
        buckets = self.policy.risk_buckets.buckets
        if self.engines or self.fallbacks or not given:
            known |= dict.fromkeys((name, symbol) for name, bucket in buckets.items() for symbol in bucket.standing)
        order = {name: i for i, name in enumerate(buckets)}
        return sorted(known, key=lambda position: (order.get(position[0], len(order)), position[1]))

    def _covariance(self) -> EwmaCovariance | None:
        limits = self.policy.risk_buckets.portfolio
        if self.policy.bypassed or (limits.volatility_max is None and limits.distance != "risk"):
            return None
        decay, periods = self.policy.risk_scaler.covariance_decay, self.scaler.periods_per_year
        return EwmaCovariance(self.symbols, decay, periods, COVARIANCE_OBSERVATIONS)

    def _places(self) -> tuple[NDArray[np.intp], ...] | None:
        """Return where the positions' covariances stand in that of the symbols; None where it has to be named.

        That is so if the projector also needs that of a residual symbol, and if a position has no prices.
        """
        column = self._columns.get_indexer(self.index.get_level_values("symbol"))
        named = (column < 0).any() or self.policy.risk_buckets.portfolio.residual_symbol is not None
        return None if named else np.ix_(column, column)

    @checked
    def row_of(self, bucket: str, symbol: str) -> int | None:
        """Return the row of a holding among the positions; None for what stands in for cash.

        Raises
        ------
        DataError
            When it belongs to none, or, held for no bucket, to several.
        """
        if (bucket, symbol) in self._row:
            return self._row[bucket, symbol]
        if bucket == UNASSIGNED:
            if symbol == self.policy.risk_buckets.portfolio.residual_symbol:
                return None
            rows = [row for (_, name), row in self._row.items() if name == symbol]
            if len(rows) == 1:
                return rows[0]
        raise DataError(f"{symbol} is held for bucket {bucket}, which is not in the universe; build the desk with it")

    @checked
    def held(self, weights: Array) -> dict[Position, float]:
        """Return what is held by position, without zeros; ``weights`` has shape (n,)."""
        require_shape("weights", weights, (len(self.positions),), "one weight for each position of the desk")
        return {self.positions[row]: float(weights[row]) for row in np.flatnonzero(weights)}

    @checked
    def wishes(self, routing: Routing) -> Array:
        """Return the relative weights of a routing in the order of the positions, shape (n,).

        Raises
        ------
        DataError
            When a signal asks for a position that is not in the universe.
        """
        wishes = np.zeros(len(self.positions))
        for position, share in routing.shares.items():
            if position not in self._row:
                raise DataError(
                    f"signals ask for {position[0]}/{position[1]}, which is not in the universe; let each engine "
                    "speak under its own source, or build the desk with that position"
                )
            wishes[self._row[position]] = share
        return wishes

    @checked
    def signals(self, prices: pd.DataFrame | History) -> list[Signal]:
        """Ask every engine; where a symbol has no price now, its last signals stand until it counts as delisted.

        Those are the signals of its last price, also where the desk was not asked then: a new desk says what one says
        that has been there all along. Only a fallback engine is never asked about an earlier row.

        Raises
        ------
        DataError
            When an engine names a symbol that there are no prices for.
        SignalError
            When an engine's answer is no list of signals.
        """
        known = self._known(prices)
        priced = np.isfinite(known.closes[-1]).tolist()
        waiting = [] if all(priced) else self._waiting(known, priced)
        heard = [signal for symbol in waiting for signal in self._heard[symbol][1]]
        fresh = [symbol for symbol, now in zip(self.symbols, priced, strict=True) if now]
        heard += self._ask(known, len(known.closes) - 1)
        if self.policy.signal_routing_config.enable_llm_fallback:
            for fallback in self.fallbacks:
                late = self._last_resort(fallback, known.frame, heard, fresh)
                for signal in late:
                    self._heard[signal.symbol][1].append(signal)
                heard += late
        return heard

    def _waiting(self, known: History, priced: Sequence[bool]) -> list[str]:
        """Return the symbols without a price now whose last signals stand, after asking for those not yet heard."""
        gone = set(self.silent(known))
        waiting = [s for s, now in zip(self.symbols, priced, strict=True) if not (now or s in gone)]
        unheard = set()
        for symbol in waiting:
            row = int(np.flatnonzero(np.isfinite(known.closes[:, self.symbols.index(symbol)]))[-1])
            if symbol not in self._heard or self._heard[symbol][0] != known.table.index[row]:
                unheard.add(row)
        for row in sorted(unheard):
            self._ask(known, row)
        return waiting

    def _ask(self, known: History, row: int) -> list[Signal]:
        """Return, and remember, what the engines say at a row of those symbols that have a price there."""
        frame, date = known.table.iloc[: row + 1], known.table.index[row]
        priced = np.isfinite(known.closes[row]).tolist()
        said: dict[str, list[Signal]] = {symbol: [] for symbol, now in zip(self.symbols, priced, strict=True) if now}
        heard = []
        for engine in self.engines:
            for signal in asked(engine, frame):
                if signal.symbol in said:
                    heard.append(signal)
                    said[signal.symbol].append(signal)
                elif signal.symbol not in self.symbols:
                    raise DataError(
                        f"engine {signal.source} gave a signal for {signal.symbol}, which has no price column; "
                        "add its prices or drop the signal"
                    )
        self._heard |= {symbol: (date, signals) for symbol, signals in said.items()}
        return heard

    def _last_resort(
        self, engine: FallbackEngine, frame: pd.DataFrame, heard: Sequence[Signal], priced: Sequence[str]
    ) -> list[Signal]:
        """Ask an engine about the symbols on which all others are silent, where its bucket admits them."""
        silent = self.router.silent(heard, priced)
        wanted = [symbol for symbol in silent if self.router.bucket_for(engine.source, symbol) is not None]
        signals = answered(engine, engine.signals_for(frame, wanted)) if wanted else []
        for signal in signals:
            if signal.symbol not in wanted:
                raise DataError(
                    f"fallback engine {signal.source} gave a signal for {signal.symbol}, which it was not asked about; "
                    "answer about the given symbols only"
                )
        return signals

    def _known(self, prices: pd.DataFrame | History) -> History:
        """Return prices as a history, if its columns are the desk's symbols and its rows come after those seen."""
        known = History.of(prices)
        columns = known.table.columns
        if columns is not self._columns:
            if not columns.equals(self._columns):
                raise DataError(
                    "the columns of prices are not the desk's symbols; reorder them, or build the desk anew"
                )
            self._columns = columns  # a history that grows row by row keeps its columns
        if self._observed is not None:
            try:
                _ = known.now <= self._observed
            except TypeError as error:
                raise DataError(
                    f"prices end at {known.now!r}, but the desk has seen {self._observed!r}; label all rows by "
                    "dates of one kind"
                ) from error
        return known

    @checked
    def silent(self, prices: pd.DataFrame | History) -> list[str]:
        """Return the symbols that are not yet or no longer listed: more than ``max_stale_bars`` sessions `missed`.

        Parameters
        ----------
        prices : DataFrame, date × symbol, or History
            Closes up to and including now.
        """
        known = self._known(prices)
        if np.isfinite(known.closes[-1]).all():
            return []
        gone = self.missed(known) > self.policy.execution.listed_for
        return [symbol for symbol, much in zip(self.symbols, gone.tolist(), strict=True) if much]

    def stale(self, prices: pd.DataFrame | History) -> list[str]:
        """Return the symbols that missed more than ``max_stale_bars`` sessions and yet count as listed.

        There are none but where ``execution.delisting`` is ``hold``.
        """
        known, rule = History.of(prices), self.policy.execution
        if rule.delisting != "hold" or np.isfinite(known.closes[-1]).all():
            return []
        missed = self.missed(known)
        stale = (missed > rule.max_stale_bars) & (missed <= rule.listed_for)
        return [symbol for symbol, some in zip(self.symbols, stale.tolist(), strict=True) if some]

    def missed(self, prices: pd.DataFrame | History) -> NDArray[np.int64]:
        """Return how many of its own sessions each symbol has missed since its last close, shape (n_symbols,).

        Rows on which it does not trade, such as weekends of a share on a table with coins, are none; see
        `pmx.data.sessions.Sessions`.
        """
        known = History.of(prices)
        return self._sessions.missed(pd.DatetimeIndex(known.table.index), known.closes)

    @checked
    def observe(self, prices: pd.DataFrame | History, bucket_returns: Mapping[str, float] | None = None) -> None:
        """Take in the bar: the buckets' returns, and into the covariance every row that it has not seen.

        A bar that was taken in before changes nothing, so that a cycle may be repeated.

        Parameters
        ----------
        prices : DataFrame, date × symbol, or History
            Closes up to and including now; its columns are the desk's symbols.
        bucket_returns : mapping of bucket to float, optional
            Return of each bucket on its own capital over the bar.

        Raises
        ------
        DataError
            When the columns are not the desk's symbols, or ``prices`` ends before the last bar taken in.
        """
        table, closes, now = self._known(prices)
        if self._observed is not None and now <= self._observed:
            if now < self._observed:
                raise DataError(
                    f"prices end at {now}, but the desk has seen {self._observed}; build a new desk to go back in time"
                )
            return
        if self.scaler.listens or self.covariance is not None or self._year.to_check:
            self._take_year(pd.DatetimeIndex(table.index[: len(closes)]), closes)
        self.scaler.update(bucket_returns or {})
        if self.covariance is not None:
            seen = 0 if self._observed is None else int(table.index.searchsorted(self._observed, side="right"))
            for row in closes[seen:]:
                self.covariance.update(row / self._closes - 1.0)
                self._closes = np.where(np.isfinite(row), row, self._closes)
        self._observed = now

    def _take_year(self, dates: pd.DatetimeIndex, closes: Array) -> None:
        """Let what annualises know how many periods a year has, by the dates up to now."""
        self.check_year(dates)
        if self.scaler.listens:
            self.scaler.periods_per_year = self._year.at(dates)
        if self.covariance is not None:
            self.covariance.periods_per_year = self._year.by_symbol(dates, closes)

    def check_year(self, dates: pd.DatetimeIndex) -> None:
        """Warn, once, where the policy's periods in a year contradict the dates of prices."""
        self._year.check(dates, self._source_of_year)

    def risk_view(self) -> tuple[pd.DataFrame | Array | None, list[str]]:
        """Return the covariance forecast, by position or named by symbol, and the symbols too new for one.

        Those may not be held, so that their rows do not matter. Without a rule that needs it: None, and none.
        """
        if self.covariance is None:
            return None, []
        known = self.covariance.known
        matrix = self.covariance.matrix() if known.any() else np.eye(len(known))
        unknown = [symbol for symbol, some in zip(self.symbols, known.tolist(), strict=True) if not some]
        if self._at is None:
            return pd.DataFrame(matrix, self._columns, self._columns), unknown
        return matrix[self._at], unknown


def _objects(engines: Sequence[SignalEngine | FallbackEngine]) -> tuple[SignalEngine | FallbackEngine, ...]:
    """Return engines; a name, for which only the policy knows the engine, is refused."""
    given = checked_engines(engines)
    for engine in given:
        if isinstance(engine, str):
            raise SignalError(
                f"engine {engine!r} is a name, not an engine; make it with "
                f"pmx.execution.default_engines(policy, symbols, [{engine!r}])"
            )
    return given
