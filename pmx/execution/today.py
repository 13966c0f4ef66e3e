"""What every engine says of every symbol now, what becomes of it, and why the silent ones are silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.data import check_prices, price_findings
from pmx.data.quality import warn_of
from pmx.execution.desk import Desk
from pmx.execution.oversight import at_the_gate
from pmx.execution.priced_engines import default_engines, fallback_engines
from pmx.policy import Policy
from pmx.signals import FallbackEngine, Signal, SignalEngine
from pmx.signals.asking import checked_engines
from pmx.signals.routing import Decision, Routing


class Opinion(NamedTuple):
    """What one engine says of one symbol.

    Attributes
    ----------
    symbol, source : str
        Whom it is about, and whose it is.
    direction : int or None
        +1 BUY, 0 HOLD, −1 SELL; None where the engine is silent, as are the next three.
    edge, strength, confidence : float or None
        Of the signal, see `pmx.Signal`.
    bucket : str
        The bucket that the source speaks for on that symbol.
    kept : bool
        Whether it decides what is wished of that bucket.
    why : str
        What it does, why the router drops it, or why the engine is silent; that the symbol's gate is shut; and of
        which date a signal is whose symbol has no price at the last one.
    """

    symbol: str
    source: str
    direction: int | None
    edge: float | None
    strength: float | None
    confidence: float | None
    bucket: str
    kept: bool
    why: str


@dataclass(frozen=True, eq=False)
class Today:
    """What the engines say now, and what becomes of it.

    Attributes
    ----------
    opinions : DataFrame
        As `signals_today` returns it.
    routing : Routing
        What the signals ask of each bucket, with nothing held.
    """

    opinions: pd.DataFrame
    routing: Routing


@checked(elsewhere=["engines"], outside=["prices"])
def signals_today(
    prices: pd.DataFrame,
    policy: Policy,
    *,
    engines: Sequence[SignalEngine | FallbackEngine | str] | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Return what every engine says of every symbol at the last row of ``prices``.

    Parameters
    ----------
    prices : DataFrame, date × symbol
        Closes up to and including now, NaN where a symbol has none.
    policy : Policy
        Its engines, thresholds and buckets.
    engines : sequence of engines or str, optional
        Engines, or names of ``signal_routing_config.engines``; those that the policy switches on when omitted. The
        language model that the policy switches on is asked in any case, unless a fallback engine is given.
    progress : bool
        Show a progress bar for long work on fits, on standard error where that is a terminal.

    Returns
    -------
    DataFrame
        One row a symbol and source, symbols in the order of the columns; the columns are the fields of `Opinion`.
        Missing numbers are NaN, a missing direction is NA. Nothing is taken to be held, so that a HOLD, which keeps
        what is held, asks for nothing.

    Raises
    ------
    DataError, SignalError
        As `pmx.backtest`.

    Examples
    --------
    >>> import pmx
    >>> from pmx.data import load_demo_prices
    >>> table = signals_today(load_demo_prices().loc[:"1999-06"], pmx.load_policy())
    >>> table.loc[0, ["symbol", "why"]].tolist()
    ['SP500', 'too few observations: 123 returns, 500 needed']
    """
    return opinions_today(prices, policy, engines=engines, progress=progress).opinions


@checked(elsewhere=["engines"], outside=["prices"])
def opinions_today(
    prices: pd.DataFrame,
    policy: Policy,
    *,
    engines: Sequence[SignalEngine | FallbackEngine | str] | None = None,
    progress: bool = False,
) -> Today:
    """Return what `signals_today` returns, beside what the signals ask of each bucket."""
    prices = check_prices(prices)
    warn_of(price_findings(prices))
    symbols = [str(symbol) for symbol in prices.columns]
    speakers = _speakers(policy, symbols, engines, progress)
    desk = Desk(policy, symbols, speakers)
    signals = desk.signals(prices)
    routing = desk.router.route(signals)
    decisions = {(d.symbol, d.source): d for d in routing.records}
    heard = {(signal.symbol, signal.source): signal for signal in signals}
    ages, gated = _ages(prices), desk.oversight.gated
    by_source: dict[str, list[Any]] = {}
    for engine in speakers:
        by_source.setdefault(engine.source, []).append(engine)
    rows = []
    for symbol in symbols:
        for source, voices in by_source.items():
            key = (symbol, source)
            signal, decision = heard.get(key), decisions.get(key)
            if signal is not None and decision is not None:
                rows.append(_opinion(signal, decision, ages[symbol], gated.get(symbol)))
            else:
                bucket = desk.router.bucket_for(source, symbol) or ""
                whys = dict.fromkeys(
                    _not_asked(desk, engine, symbol, signals, prices) or _silence(engine, symbol) for engine in voices
                )
                rows.append(Opinion(*key, None, None, None, None, bucket, False, "; ".join(whys)))
    numbers = dict.fromkeys(("edge", "strength", "confidence"), "float64")
    table = pd.DataFrame(rows, columns=list(Opinion._fields)).astype({"direction": "Int64", **numbers})
    return Today(table, routing)


def _speakers(
    policy: Policy,
    symbols: Sequence[str],
    engines: Sequence[SignalEngine | FallbackEngine | str] | None,
    progress: bool,
) -> list[Any]:
    given = () if engines is None else checked_engines(engines)
    names = None if engines is None else [engine for engine in given if isinstance(engine, str)]
    named = default_engines(policy, symbols, names, progress=progress)
    speakers = [*named, *(engine for engine in given if not isinstance(engine, str))]
    if not any(isinstance(engine, FallbackEngine) for engine in speakers):
        speakers += fallback_engines(policy, symbols)
    return speakers


def _ages(prices: pd.DataFrame) -> dict[str, str]:
    """Return what is to be said of each symbol's signals where they are of an earlier date."""
    ages = {}
    for symbol in map(str, prices.columns):
        priced = np.flatnonzero(prices[symbol].notna())
        old = len(priced) > 0 and priced[-1] < len(prices) - 1
        ages[symbol] = f"; of {prices.index[priced[-1]]:%Y-%m-%d}, no price today" if old else ""
    return ages


def _opinion(signal: Signal, decision: Decision, age: str, gate: str | None) -> Opinion:
    return Opinion(
        signal.symbol,
        signal.source,
        signal.direction,
        signal.edge_score,
        signal.strength,
        signal.confidence,
        decision.bucket,
        decision.kept,
        at_the_gate(decision.reason + age, gate),
    )


def _not_asked(desk: Desk, engine: Any, symbol: str, signals: Sequence[Signal], prices: pd.DataFrame) -> str:
    """Return why a fallback engine was not asked about a symbol; nothing where it was, and for other engines."""
    if not isinstance(engine, FallbackEngine):
        return ""
    if not desk.policy.signal_routing_config.enable_llm_fallback:
        return "not asked: signal_routing_config.enable_llm_fallback is off"
    if desk.router.bucket_for(engine.source, symbol) is None:
        return "not asked: its bucket does not admit the symbol"
    if pd.isna(prices[symbol].iloc[-1]):
        return "not asked: no price today"
    others = [signal for signal in signals if signal.source != engine.source]
    return "" if desk.router.silent(others, [symbol]) else "not asked: another engine speaks"


def _silence(engine: Any, symbol: str) -> str:
    """Return why an engine is silent on a symbol, as far as it tells in its diagnostics.

    Those are a table with a column ``status``, or, as of a language model, a mapping of symbol to status.
    """
    table = getattr(getattr(engine, "engine", engine), "diagnostics", None)
    status = None
    if isinstance(table, pd.DataFrame):
        status = table["status"].get(symbol) if "status" in table else None
    elif isinstance(table, Mapping):
        status = table.get(symbol)
    return status if isinstance(status, str) and status != "signal" else "no signal"
