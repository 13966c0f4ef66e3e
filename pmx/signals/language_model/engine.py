"""The last resort: a language model, asked only where every other engine is silent, and believed only within bounds."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, SignalError
from pmx.signals.edge import RoundTripCosts, edge_signal
from pmx.signals.language_model.answer import Opinion, opinions_from
from pmx.signals.language_model.exchange import Endpoint, ask
from pmx.signals.language_model.question import Subject, may_be_named, question_about
from pmx.signals.language_model.refusal import Refused
from pmx.signals.language_model.secret import Secret
from pmx.signals.language_model.trust import trusted
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy.schema import LanguageModelEngine

log = logging.getLogger("pmx.signals.language_model")

#: Returns over which a symbol's volatility is measured.
VOLATILITY_BARS = 60


class LanguageModelFallback:
    r"""Ask a language model about symbols on which every other engine is silent.

    The model sees names and recent returns, and answers with an edge z (expected return over the horizon in units of
    its volatility) and a confidence. With the volatility :math:`\sigma_h` of the last 60 returns, scaled to the
    horizon, and the round-trip cost κ,

    - ``direction`` is the sign of z if :math:`|z| \sigma_h > \kappa`, else 0 (HOLD);
    - ``edge_score`` is direction · (|z| − κ / σ_h);
    - ``strength`` is tanh(|edge_score| · √(252 / h));
    - ``confidence`` is what the model says, in [0, 1]. Nobody has calibrated it.

    Parameters
    ----------
    config : LanguageModelEngine
        Endpoint, model and limits: ``policy.signal_routing_config.engines.language_model``.
    round_trip_cost : float or mapping of symbol to float
        Cost of buying and selling again, fraction of the traded value, ≥ 0.
    api_key : str or Secret, optional
        Shown to the endpoint as a bearer token; that in ``config.api_key_file`` if omitted, none if there is no such
        file. A `Secret` keeps it out of the frames between here and where it was made.
    source : str
        Name under which the signals are routed.
    today : callable, optional
        Returns the current date; the system's clock if omitted.

    Raises
    ------
    SignalError
        If no model is named, the endpoint is no plain http or https address, the key is malformed, unreadable or
        readable by others, or would travel in the clear, or there are no authorities to believe over https.
    DataError
        If a cost is negative or not finite.

    Notes
    -----
    The answer is untrusted. It has to be strict JSON in exactly the shape asked for, about symbols that were asked
    about, with finite numbers in range, whole within ``timeout_seconds`` and ``max_response_bytes``, without
    redirects. Anything else is no signal, and a reason on the logger ``pmx.signals.language_model`` that quotes
    neither the server nor the key.

    A language model has read the past, so its opinion of it is worth nothing and cannot be tested. Prices that end
    more than ``max_age_days`` ago are not asked about, and `pmx.backtest` leaves the engine out.

    The same model may answer differently tomorrow, so these signals are the only ones that are not a function of the
    prices. A question is put once: while rows, symbols and prices stay the same, its accepted answer stands.

    Examples
    --------
    Prices of 2020 are the past, so nobody is asked:

    >>> from pmx.policy.schema import LanguageModelEngine
    >>> engine = LanguageModelFallback(LanguageModelEngine(model="tiny"), round_trip_cost=0.0004)
    >>> prices = pd.DataFrame({"SPY": 100.0 + np.arange(90.0)}, index=pd.bdate_range("2020-01-01", periods=90))
    >>> engine.signals_for(prices, ["SPY"])
    []
    >>> engine.diagnostics["SPY"]
    'prices end on 2020-05-05, which is the past: a language model has read what came after'
    """

    @checked
    def __init__(
        self,
        config: LanguageModelEngine,
        *,
        round_trip_cost: float | Mapping[str, float],
        api_key: str | Secret | None = None,
        source: str = "llm_fallback",
        today: Callable[[], date] = date.today,
    ) -> None:
        try:
            self._key = _key(config, api_key)
        finally:
            del api_key  # no error that is raised from here on carries it
        if config.model is None:
            raise SignalError(
                "signal_routing_config.engines.language_model.model is null, so there is no language model to ask; "
                "name one that the endpoint serves"
            )
        self._config, self._model, self._source, self._today = config, config.model, source, today
        self._round_trip = RoundTripCosts(round_trip_cost)
        self._endpoint = Endpoint.parse(config.endpoint, with_key=self._key is not None)
        self._trust = trusted(config.ca_file) if self._endpoint.secure else None
        self._last: tuple[bytes, list[Opinion]] | None = None
        self._status: dict[str, str] = {}
        self._told_of_the_past = False

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._source

    @property
    def diagnostics(self) -> Mapping[str, str]:
        """Return, for each symbol of the last call, "signal" or why there is none."""
        return dict(self._status)

    @checked
    def signals_for(self, prices: pd.DataFrame, symbols: Sequence[str]) -> list[Signal]:
        """Return signals for symbols on which every other engine is silent.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row), its index dates; NaN where there is none.
        symbols : sequence of str
            Columns to ask about.

        Returns
        -------
        list of Signal
            In the order of ``symbols``; none where the answer is refused. Never raises for what a server does.

        Raises
        ------
        DataError
            If the rows are not dated, or a symbol has no column or no round-trip cost.
        """
        self._status = dict.fromkeys(symbols, "not asked")
        past = self._past(prices)
        subjects = [] if past else self._subjects(prices, symbols)
        if past:
            self._status = dict.fromkeys(symbols, past)
        if not subjects:
            return []
        try:
            opinions = self._opinions(subjects, prices.index[-1])
        except Refused as refusal:
            reason = f"refused: {refusal}"
            log.warning("no signal from the language model for %d symbols: %s", len(subjects), reason)
            self._status |= dict.fromkeys((subject.symbol for subject in subjects), reason)
            return []
        known = {opinion.symbol: opinion for opinion in opinions}
        signals = []
        for subject in subjects:
            opinion = known.get(subject.symbol)
            self._status[subject.symbol] = "answered without an opinion" if opinion is None else "signal"
            if opinion is not None:
                signals.append(self._signal(subject, opinion))
        return signals

    def _past(self, prices: pd.DataFrame) -> str:
        """Return why these prices are not of the present, or nothing."""
        if not len(prices) or not isinstance(prices.index, pd.DatetimeIndex):
            raise DataError("prices have no dated row; give closes up to now with a DatetimeIndex")
        last = prices.index[-1].date()
        age = (self._today() - last).days
        if -1 <= age <= self._config.max_age_days:  # a market ahead of this clock may close tomorrow
            return ""
        when = "which is the past: a language model has read what came after" if age > 0 else "which is yet to come"
        reason = f"prices end on {last:%Y-%m-%d}, {when}"
        if not self._told_of_the_past:
            log.warning("the language model is not asked: %s", reason)
        self._told_of_the_past = True
        return reason

    def _subjects(self, prices: pd.DataFrame, symbols: Sequence[str]) -> list[Subject]:
        """Return what can be asked about, no more than fits into one question."""
        subjects: list[Subject] = []
        for symbol in symbols:
            if symbol not in prices.columns:
                raise DataError(f"{symbol!r} has no price column; add its prices, or do not ask about it")
            if not may_be_named(symbol):
                self._status[symbol] = "its name is too long or not printable"
            elif len(subjects) == self._config.max_symbols:
                self._status[symbol] = f"more than {self._config.max_symbols} symbols in one question"
            else:
                subject = self._subject(symbol, prices[symbol])
                if subject is None:
                    self._status[symbol] = "no close today, too few, or none that moved"
                else:
                    subjects.append(subject)
        left_out = len(symbols) - len(subjects)
        if left_out:
            log.info("%d symbols are not asked about; see the engine's diagnostics", left_out)
        return subjects

    def _subject(self, symbol: str, column: pd.Series[float]) -> Subject | None:
        closes = column.to_numpy(dtype=np.float64)
        own = closes[np.isfinite(closes) & (closes > 0.0)][-(max(VOLATILITY_BARS, self._config.bars) + 1) :]
        if len(own) <= self._config.bars or own[-1] != closes[-1]:
            return None
        moves = np.diff(np.log(own))
        volatility = math.sqrt(float(np.mean(moves * moves)) * self._config.horizon)
        returns = own[1:] / own[:-1] - 1.0
        if not (volatility > 0.0 and np.isfinite(returns).all()):
            return None
        return Subject(symbol, tuple(returns[-self._config.bars :].tolist()), volatility)

    def _opinions(self, subjects: Sequence[Subject], now: pd.Timestamp) -> list[Opinion]:
        config = self._config
        question = question_about(
            subjects, date=f"{now:%Y-%m-%d}", model=self._model, horizon=config.horizon, max_edge=config.max_edge
        )
        if self._last is None or self._last[0] != question:
            body = ask(
                self._endpoint,
                question,
                key=self._key,
                trust=self._trust,
                seconds=config.timeout_seconds,
                max_bytes=config.max_response_bytes,
            )
            asked = {subject.symbol for subject in subjects}
            self._last = question, opinions_from(body, asked, config.max_edge)
        return self._last[1]

    def _signal(self, subject: Subject, opinion: Opinion) -> Signal:
        return edge_signal(
            subject.symbol,
            opinion.edge * subject.volatility,
            subject.volatility,
            confidence=opinion.confidence,
            cost=self._round_trip.of([subject.symbol])[0],
            horizon=self._config.horizon,
            source=self._source,
        )


def _key(config: LanguageModelEngine, api_key: str | Secret | None) -> Secret | None:
    """Return the key to show: the one given, else that of the file, else none."""
    try:
        if api_key is None:
            return None if config.api_key_file is None else Secret.from_file(config.api_key_file)
        return api_key if isinstance(api_key, Secret) else Secret(api_key)
    finally:
        del api_key
