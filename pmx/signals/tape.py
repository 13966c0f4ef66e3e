"""A tape of an engine's signals: recorded once, played again to every further backtest on the same prices."""

from __future__ import annotations

import hashlib

import pandas as pd

from pmx.signals.growing import GrowingHistory
from pmx.signals.types import Signal, SignalEngine


class SignalTape:
    """Wrap an engine and remember its answers, so that comparing policies does not compute the signals again.

    An answer is filed under a digest of the dates, symbols and closes that led to it. Prices that differ anywhere are
    another history: they are handed to the engine, never answered from the tape.

    Parameters
    ----------
    engine : SignalEngine
        Asked for whatever is not on the tape.

    Notes
    -----
    As for the engines themselves, the rows that were read in an earlier call are trusted not to change while a
    history grows row by row; so each call reads its new rows only. A history that does not go on where the last call
    ended is read from its beginning.

    Examples
    --------
    >>> import pandas as pd
    >>> class Coin:
    ...     source, asked = "time_series_core", 0
    ...     def signals(self, prices):
    ...         self.asked += 1
    ...         return [Signal("SPY", 1, strength=1.0, edge_score=0.2, confidence=0.6, source=self.source)]
    >>> coin = Coin()
    >>> tape = SignalTape(coin)
    >>> prices = pd.DataFrame({"SPY": [100.0, 101.0]}, index=pd.bdate_range("2020-01-01", periods=2))
    >>> tape.signals(prices) == tape.signals(prices), coin.asked
    (True, 1)
    >>> _ = tape.signals(prices * 2.0)
    >>> coin.asked
    2
    """

    def __init__(self, engine: SignalEngine) -> None:
        self._engine = engine
        self._answers: dict[bytes, tuple[Signal, ...]] = {}
        self._history = GrowingHistory()
        self._digest = hashlib.sha256()

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._engine.source

    @property
    def engine(self) -> SignalEngine:
        """Return the engine inside."""
        return self._engine

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the signals known at the last row of ``prices``, from the tape where it has them.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row); NaN where there is none.

        Returns
        -------
        list of Signal
            What the engine says to these prices.

        Raises
        ------
        DataError
            If the prices are malformed (see `GrowingHistory`).
        """
        key = self._digest_of(prices)
        if key not in self._answers:
            self._answers[key] = tuple(self._engine.signals(prices))
        return list(self._answers[key])

    def _digest_of(self, prices: pd.DataFrame) -> bytes:
        """Return a digest of the whole history, reading only the rows that are new."""
        first, closes = self._history.read(prices)
        if first == 0:
            self._digest = hashlib.sha256(repr(tuple(map(str, prices.columns))).encode())
        for date, row in zip(prices.index[first:], closes, strict=True):
            self._digest.update(repr(date).encode())
            self._digest.update(row.tobytes())
        return self._digest.digest()
