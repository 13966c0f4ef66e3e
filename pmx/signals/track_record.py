"""What an engine said of each symbol, bar by bar, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.risk import RISKMETRICS_DECAY, EwmaVariance
from pmx.signals.asking import asked
from pmx.signals.growing import GrowingHistory
from pmx.signals.types import Signal, SignalEngine

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Hold the signals of a stretch of bars whose outcome is known, with the bars themselves.

    Attributes
    ----------
    horizon : int
        Bars from a signal to its outcome, h.
    spoke : ndarray of bool, shape (m,)
        Whether there was a signal at each of m consecutive bars.
    direction, edge, confidence : ndarray, shape (m,)
        Of the signals; 0 where there was none, NaN for ``confidence``.
    total_return : ndarray, shape (m,)
        Simple return over the h bars that followed.
    volatility : ndarray, shape (m,)
        Standard deviation of the log return over h bars as known at the bar: √h times an exponentially weighted one.
    bar_return : ndarray, shape (m + h − 1,)
        Simple returns of the bars after the first of them, up to now.
    entered, left : ndarray of bool, shape (m,)
        Whether who follows the BUYs and SELLs trades at the bar of this one, and again h bars later. Nothing is traded
        where the signal h bars before, or h bars after, has the same direction: the position is held on.
    """

    horizon: int
    spoke: npt.NDArray[np.bool_]
    direction: FloatArray
    edge: FloatArray
    confidence: FloatArray
    total_return: FloatArray
    volatility: FloatArray
    bar_return: FloatArray
    entered: npt.NDArray[np.bool_]
    left: npt.NDArray[np.bool_]

    @property
    def signed(self) -> npt.NDArray[np.bool_]:
        """Return which of them were a BUY or a SELL, shape (m,)."""
        return np.not_equal(self.direction, 0.0)


class TrackRecord:
    """Keep one source's signals on one symbol and the closes since.

    Parameters
    ----------
    horizon : int
        Bars from a signal to its outcome, ≥ 1.

    Notes
    -----
    The bars are the symbol's own: rows on which it has a price. At bar t only signals given at t − h or before have
    an outcome; nothing else is ever told.

    Examples
    --------
    >>> record = TrackRecord(horizon=2)
    >>> buy = Signal("SPY", 1, strength=1.0, edge_score=0.1, confidence=0.6, source="ts")
    >>> for close in (100.0, 101.0, 102.0, 103.0):
    ...     record.add(close, buy)
    >>> record.outcomes(lookback=10).total_return.round(4).tolist()
    [0.02, 0.0198]
    """

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        self._closes: list[float] = []
        self._said: list[tuple[bool, float, float, float]] = []
        self._volatility: list[float] = []
        self._ewma = EwmaVariance(RISKMETRICS_DECAY)

    def add(self, close: float, signal: Signal | None) -> None:
        """Take in one bar: its close, > 0, and the signal that was given at it, if any."""
        if self._closes:
            self._ewma.update(math.log(close / self._closes[-1]))
        self._closes.append(close)
        self._volatility.append(math.sqrt(self._horizon * self._ewma.variance) if len(self._closes) > 1 else math.nan)
        if signal is None:
            self._said.append((False, 0.0, 0.0, math.nan))
        else:
            self._said.append((True, float(signal.direction), signal.edge_score, signal.confidence))

    def outcomes(self, lookback: int) -> Outcomes:
        """Return the signals of the last ``lookback`` bars whose outcome is known now."""
        h, now = self._horizon, len(self._closes) - 1
        begin = max(0, now - lookback)
        end = max(begin, now - h + 1)
        closes = np.array(self._closes[begin:], dtype=np.float64)
        said = np.array(self._said[begin:end], dtype=np.float64).reshape(end - begin, 4)
        m, direction = len(said), said[:, 1]
        return Outcomes(
            horizon=h,
            spoke=said[:, 0] > 0.0,
            direction=direction,
            edge=said[:, 2],
            confidence=said[:, 3],
            total_return=closes[h : h + m] / closes[:m] - 1.0,
            volatility=np.array(self._volatility[begin:end], dtype=np.float64),
            bar_return=closes[1 : m + h] / closes[: m + h - 1] - 1.0 if m else np.empty(0),
            entered=(direction != 0.0) & (direction != self._directions(begin - h, m)),
            left=(direction != 0.0) & (direction != self._directions(begin + h, m)),
        )

    def _directions(self, first: int, m: int) -> FloatArray:
        """Return the directions of m bars from ``first`` on, 0 before the first bar of all."""
        known = [said[1] for said in self._said[max(0, first) : max(0, first + m)]]
        return np.array([0.0] * (m - len(known)) + known, dtype=np.float64)

    @property
    def latest(self) -> tuple[float, float, float] | None:
        """Return direction, confidence and simple return of the signal whose outcome is known since now, if any."""
        t = len(self._closes) - 1 - self._horizon
        if t < 0 or not self._said[t][0]:
            return None
        _, direction, _, confidence = self._said[t]
        return direction, confidence, self._closes[-1] / self._closes[t] - 1.0


class RowByRow:
    """Ask an engine at every row of a growing history, each row once.

    What came of its earlier signals is then known however the history arrived, at once or row by row: a fresh one that
    is given the whole history goes through all of it.

    Parameters
    ----------
    engine : SignalEngine
        What is asked.
    """

    def __init__(self, engine: SignalEngine) -> None:
        self.engine = engine
        self._forget()

    def _forget(self) -> None:
        self._history = GrowingHistory()

    def read(
        self,
        prices: pd.DataFrame,
        begin: Callable[[], None],
        take_in: Callable[[Any, dict[str, float], list[Signal]], None],
    ) -> None:
        """Hand on what the rows not yet read bring; after an error the next call begins anew.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now; NaN where there is none.
        begin : callable
            Called first where this is another history than before.
        take_in : callable
            Called for each row with its date, the closes that it has by symbol, and the signals then.

        Raises
        ------
        DataError
            As `GrowingHistory.read`.
        """
        try:
            first, block = self._history.read(prices)
            if first == 0:
                begin()
            for date, closes, signals in self._ask(prices, first, block):
                take_in(date, closes, signals)
        except BaseException:
            self._forget()  # a half-read history must not be continued
            raise

    def _ask(
        self, prices: pd.DataFrame, first: int, block: FloatArray
    ) -> Iterator[tuple[Any, dict[str, float], list[Signal]]]:
        symbols = [str(symbol) for symbol in prices.columns]
        for row, closes in enumerate(block.tolist(), start=first):
            known = {name: close for name, close in zip(symbols, closes, strict=True) if not math.isnan(close)}
            yield prices.index[row], known, asked(self.engine, prices.iloc[: row + 1])
