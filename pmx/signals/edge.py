"""From a forecast of one symbol's return to a signal: what is left of it after the cost of trading on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pmx.errors import DataError
from pmx.signals.types import Signal

#: Bars in a year, to which the edge is scaled in `Signal.strength`.
BARS_PER_YEAR = 252.0


def edge_signal(
    symbol: str, mean: float, volatility: float, *, confidence: float, cost: float, horizon: int, source: str
) -> Signal:
    r"""Return the signal of a forecast, net of cost.

    .. math:: \text{edge} = \operatorname{sign}(\mu) \frac{(|\mu| - \kappa)^+}{\sigma}, \qquad
        \text{strength} = \tanh\bigl(|\text{edge}| \sqrt{252 / h}\bigr)

    Parameters
    ----------
    symbol, source : str
        Of the signal.
    mean, volatility : float
        Expected log return over the horizon, and its standard deviation, > 0.
    confidence : float
        Probability that the return has the sign of its mean, in [0, 1].
    cost : float
        Of buying and selling again, fraction of the traded value, ≥ 0.
    horizon : int
        Bars that the forecast covers.

    Examples
    --------
    >>> signal = edge_signal("SPY", -0.011, 0.02, confidence=0.7, cost=0.001, horizon=252, source="mine")
    >>> signal.direction, round(signal.edge_score, 6), round(signal.strength, 4)
    (-1, -0.5, 0.4621)
    """
    gain = abs(mean) - cost
    direction = (1 if mean > 0.0 else -1) if gain > 0.0 else 0
    edge = direction * gain / volatility if direction else 0.0
    return Signal(
        symbol=symbol,
        direction=direction,
        strength=math.tanh(abs(edge) * math.sqrt(BARS_PER_YEAR / horizon)),
        edge_score=edge,
        confidence=confidence,
        source=source,
    )


class RoundTripCosts:
    """What it costs to buy a symbol and sell it again.

    Parameters
    ----------
    cost : float or mapping of symbol to float
        Fraction of the traded value, ≥ 0.

    Raises
    ------
    DataError
        If a cost is negative or not finite.

    Examples
    --------
    >>> RoundTripCosts({"SPY": 0.0004, "WTI": 0.001}).of(["WTI", "SPY"])
    [0.001, 0.0004]
    """

    def __init__(self, cost: float | Mapping[str, float]) -> None:
        self._cost = cost
        for symbol, value in (cost if isinstance(cost, Mapping) else {"every symbol": cost}).items():
            if not 0.0 <= value < math.inf:
                raise DataError(f"round-trip cost of {symbol} is {value!r}; give a finite fraction ≥ 0")

    def of(self, symbols: Iterable[str]) -> list[float]:
        """Return the cost of each of some symbols.

        Raises
        ------
        DataError
            If one has none.
        """
        if not isinstance(self._cost, Mapping):
            return [float(self._cost) for _ in symbols]
        costs = []
        for symbol in symbols:
            if symbol not in self._cost:
                raise DataError(f"no round-trip cost for {symbol!r}; add it to round_trip_cost")
            costs.append(float(self._cost[symbol]))
        return costs
