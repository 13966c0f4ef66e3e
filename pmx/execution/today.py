"""What every engine says of every symbol now, what becomes of it, and why the silent ones are silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from pmx.data import check_prices
from pmx.errors import SignalError
from pmx.execution.desk import Desk
from pmx.execution.priced_engines import default_engines, fallback_engines
from pmx.policy import Policy
from pmx.signals import FallbackEngine, Signal, SignalEngine
from pmx.signals.asking import checked_engines
from pmx.signals.routing import Decision


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
        What it does, why the router drops it, or why the engine is silent; and that the symbol's gate is shut.
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
        Engines, or names of ``signal_routing_config.engines``. When omitted, those that the policy switches on, a
        language model among them.
    progress : bool
        Show a progress bar for long work on fits, on standard error where that is a terminal.

    Returns
    -------
    DataFrame
        One row a symbol and engine, symbols in the order of the columns; the columns are the fields of `Opinion`.
        Missing numbers are NaN, a missing direction is NA. Nothing is taken to be held, so that a HOLD, which keeps
        what is held, asks for nothing.

    Raises
    ------
    DataError, SignalError
        As `pmx.backtest`; a SignalError too when two engines have the same source.

    Examples
    --------
    >>> import pmx
    >>> from pmx.data import load_demo_prices
    >>> table = signals_today(load_demo_prices().loc[:"1999-06"], pmx.load_policy())
    >>> table.loc[0, ["symbol", "why"]].tolist()
    ['SP500', 'too few observations: 123 returns, 500 needed']
    """
    prices = check_prices(prices)
    symbols = [str(symbol) for symbol in prices.columns]
    speakers = _speakers(policy, symbols, engines, progress)
    desk = Desk(policy, symbols, speakers)
    signals = desk.signals(prices)
    decisions = {(d.symbol, d.source): d for d in desk.router.route(signals).records}
    heard, gated = {(signal.symbol, signal.source): signal for signal in signals}, desk.oversight.gated
    rows = []
    for symbol in symbols:
        for engine in speakers:
            key = (symbol, engine.source)
            bucket = desk.router.bucket_for(engine.source, symbol) or ""
            rows.append(_opinion(key, heard.get(key), decisions.get(key), bucket, gated.get(symbol), engine))
    numbers = dict.fromkeys(("edge", "strength", "confidence"), "float64")
    return pd.DataFrame(rows, columns=list(Opinion._fields)).astype({"direction": "Int64", **numbers})


def _speakers(
    policy: Policy,
    symbols: Sequence[str],
    engines: Sequence[SignalEngine | FallbackEngine | str] | None,
    progress: bool,
) -> list[Any]:
    if engines is None:
        return [*default_engines(policy, symbols, progress=progress), *fallback_engines(policy, symbols)]
    given = checked_engines(engines)
    names = [engine for engine in given if isinstance(engine, str)]
    named = default_engines(policy, symbols, names, progress=progress)
    speakers = [*named, *(engine for engine in given if not isinstance(engine, str))]
    sources = [engine.source for engine in speakers]
    for source in sources:
        if sources.count(source) > 1:
            raise SignalError(f"{sources.count(source)} engines speak as {source!r}; give each a source of its own")
    return speakers


def _opinion(
    key: tuple[str, str], signal: Signal | None, decision: Decision | None, bucket: str, gate: str | None, engine: Any
) -> Opinion:
    if signal is None or decision is None:
        return Opinion(*key, None, None, None, None, bucket, False, _silence(engine, key[0]))
    why = decision.reason if gate is None else f"{decision.reason}; its gate is shut ({gate})"
    return Opinion(
        *key,
        signal.direction,
        signal.edge_score,
        signal.strength,
        signal.confidence,
        decision.bucket,
        decision.kept,
        why,
    )


def _silence(engine: Any, symbol: str) -> str:
    """Return why an engine is silent on a symbol, as far as it tells: in the column ``status`` of its diagnostics."""
    if isinstance(engine, FallbackEngine):
        return "not asked, or no answer that could be used"
    inside = getattr(engine, "engine", engine)
    table = getattr(inside, "diagnostics", None)
    if not isinstance(table, pd.DataFrame) or "status" not in table or symbol not in table.index:
        return "no signal"
    status = table.loc[symbol, "status"]
    return "no signal" if not isinstance(status, str) or status == "signal" else status
