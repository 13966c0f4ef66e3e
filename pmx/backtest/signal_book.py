"""Every signal of a backtest, and what became of it, kept as numbers until the table is wanted."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from pmx.execution.oversight import at_the_gate
from pmx.signals import Decision, Signal

_TEXTS = ("symbol", "source", "bucket", "why")
_NUMBERS = ("edge", "strength", "confidence")


class SignalBook:
    """Takes in the signals of one decision at a time.

    Examples
    --------
    >>> book = SignalBook()
    >>> buy = Signal("SPY", 1, strength=0.5, edge_score=0.2, confidence=0.6, source="mine")
    >>> book.take_in(0, [buy], [Decision("SPY", "mine", 1, "ts_core", True, "buy", 0.06, 0.3)], {})
    >>> book.table(pd.to_datetime(["2020-01-02"])).loc[0, ["symbol", "why"]].tolist()
    ['SPY', 'buy']
    """

    def __init__(self) -> None:
        self._row, self._direction, self._kept = array("i"), array("b"), array("b")
        self._codes = {name: array("i") for name in _TEXTS}
        self._known: dict[str, dict[str, int]] = {name: {} for name in _TEXTS}
        self._numbers = {name: array("d") for name in _NUMBERS}

    def take_in(
        self, i: int, signals: Iterable[Signal], decisions: Iterable[Decision], gates: Mapping[str, str]
    ) -> None:
        """Record what was said at row ``i`` of the prices, what the router made of it, and the gates it met."""
        of = {(decision.symbol, decision.source): decision for decision in decisions}
        for signal in signals:
            decision = of[signal.symbol, signal.source]
            self._row.append(i)
            self._direction.append(signal.direction)
            self._kept.append(decision.kept)
            for name, number in zip(_NUMBERS, (signal.edge_score, signal.strength, signal.confidence), strict=True):
                self._numbers[name].append(number)
            why = at_the_gate(decision.reason, gates.get(signal.symbol))
            texts = signal.symbol, signal.source, decision.bucket, why
            for name, text in zip(_TEXTS, texts, strict=True):
                known = self._known[name]
                self._codes[name].append(known.setdefault(text, len(known)))

    def table(self, dates: pd.Index) -> pd.DataFrame:
        """Return one row a signal, in the order in which they were given; ``dates`` are those of the price history."""
        texts = {
            name: pd.array(list(known), dtype="str").take(np.array(self._codes[name], dtype=np.intp))
            for name, known in self._known.items()
        }
        return pd.DataFrame(
            {
                "date": dates[np.array(self._row, dtype=np.intp)],
                "symbol": texts["symbol"],
                "source": texts["source"],
                "direction": np.array(self._direction, dtype=np.int64),
                **{name: np.array(numbers) for name, numbers in self._numbers.items()},
                "bucket": texts["bucket"],
                "kept": np.array(self._kept, dtype=bool),
                "why": texts["why"],
            }
        )
