"""The signal: one source's opinion of one symbol, and what an engine must offer to give signals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pmx.errors import SignalError
from pmx.policy import CASH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_DIRECTIONS = (-1, 0, 1)


@dataclass(frozen=True, slots=True)
class Signal:
    r"""Hold one source's opinion of one symbol, validated when it is made.

    .. math:: \text{conviction} = \text{strength} \cdot \text{confidence} \cdot |\text{edge score}|

    Parameters
    ----------
    symbol : str
        What the signal is about; not empty, not ``"CASH"``.
    direction : int
        +1 BUY, 0 HOLD, −1 SELL. `SignalRouter` says what each of them does to a position.
    strength : float
        How strongly the source leans that way, in [0, 1].
    edge_score : float
        Expected return ÷ predicted volatility over the signal's horizon, finite: not negative for a BUY, not
        positive for a SELL. Only its absolute value counts.
    confidence : float
        Probability-like trust of the source in its own opinion, in [0, 1].
    source : str
        The engine that speaks, such as ``"time_series_core"``; not empty.

    Raises
    ------
    SignalError
        If a field has the wrong type, is out of range or not finite, or ``direction · edge_score < 0``.

    Examples
    --------
    >>> signal = Signal("AAPL", 1, strength=0.5, edge_score=0.8, confidence=0.6, source="ml_secondary")
    >>> round(signal.conviction, 3)
    0.24
    """

    symbol: str
    direction: int
    strength: float
    edge_score: float
    confidence: float
    source: str

    def __post_init__(self) -> None:
        for name in ("symbol", "source"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise self._error(name, "must be a non-empty string", "name the symbol and the source")
        if self.symbol == CASH:
            raise self._error("symbol", "is the label of cash, not of a holding", "leave cash to the projection")
        if (
            not isinstance(self.direction, Integral)
            or isinstance(self.direction, bool)
            or self.direction not in _DIRECTIONS
        ):
            raise self._error("direction", "must be the integer −1, 0 or +1", "use +1 BUY, 0 HOLD, −1 SELL")
        object.__setattr__(self, "direction", int(self.direction))
        for name in ("strength", "edge_score", "confidence"):
            self._store_number(name)
        for name in ("strength", "confidence"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise self._error(name, "must lie in [0, 1]", "scale it into that range")
        if self.direction * self.edge_score < 0.0:
            raise self._error(
                "edge_score",
                f"has the opposite sign of direction {self.direction:+d}",
                "turn one of the two round",
            )

    @property
    def conviction(self) -> float:
        """Return strength × confidence × abs(edge_score), ≥ 0, without unit."""
        return self.strength * self.confidence * abs(self.edge_score)

    def _store_number(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, Real) or isinstance(value, bool) or not _finite(value):
            raise self._error(name, "must be a finite number", "drop the signal if the source has no such number")
        object.__setattr__(self, name, float(value))

    def _error(self, field: str, limit: str, remedy: str) -> SignalError:
        where = f"signal for {self.symbol!r} from {self.source!r}"
        return SignalError(f"{where}: {field} = {getattr(self, field)!r} {limit}; {remedy}")


def _finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the range of floats
        return False


class SignalEngine(Protocol):
    """Anything that reads closes and gives signals.

    An engine may cache state between calls with growing histories, but its answer is the same as that of a
    fresh engine fed the whole history, and uses nothing beyond the last row.
    """

    @property
    def source(self) -> str:
        """Return the name under which the engine's signals are routed."""
        ...

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the signals known at the last row of ``prices``.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row), in each symbol's currency.

        Returns
        -------
        list of Signal
            At most one a symbol, all with this engine's ``source``.
        """
        ...


@runtime_checkable
class FallbackEngine(Protocol):
    """An engine that is asked after the others, only about symbols on which they are silent, and never in a backtest.

    It need not answer as it did before, nor be a function of the prices.
    """

    @property
    def source(self) -> str:
        """Return the name under which the engine's signals are routed; the policy marks it ``fallback: true``."""
        ...

    def signals_for(self, prices: pd.DataFrame, symbols: Sequence[str]) -> list[Signal]:
        """Return the signals known at the last row of ``prices`` for some symbols.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row), in each symbol's currency.
        symbols : sequence of str
            Columns on which every other engine is silent, not empty; each has a close now.

        Returns
        -------
        list of Signal
            At most one a symbol, all with this engine's ``source``, about these symbols alone.
        """
        ...
