"""What a model may know of a symbol at a close: lagged returns, momentum, volatility, the calendar."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import pandas as pd

from pmx.arguments import checked, require_count
from pmx.errors import DataError

#: Past returns among the features, at most.
MOST_LAGS = 1_000
#: Bars over which momentum is measured; the longest is also that of the fall from the high.
MOMENTUM = (5, 21, 63)
#: Returns that a symbol must have shown before it has features.
WARM_UP = max(MOMENTUM)
#: Decays of the variances: fast, the one that scales everything (RiskMetrics), slow.
DECAYS = (0.80, 0.94, 0.985)


@checked
def feature_names(lags: int) -> tuple[str, ...]:
    """Return the names of the columns of a feature matrix.

    Examples
    --------
    >>> feature_names(2)[:3], len(feature_names(2))
    (('lag_1', 'lag_2', 'momentum_5'), 11)
    """
    require_count("lags", lags, most=MOST_LAGS, unit="lags")
    return (
        *(f"lag_{k}" for k in range(1, lags + 1)),
        *(f"momentum_{bars}" for bars in MOMENTUM),
        "fall_from_high",
        "volatility_fast",
        "volatility_slow",
        "weekday",
        "month",
        "day_of_month",
    )


class SymbolBars:
    r"""Keep one symbol's bars: closes, features, volatilities, and the rows of the table that they stand in.

    A bar is a row on which the symbol has a close. With log returns :math:`r_t` and the exponentially weighted
    volatility :math:`\sigma_t` of decay 0.94, both known at the close of bar t, the features are

    .. math::

        \frac{r_{t+1-k}}{\sigma_t}, \quad
        \frac{\log (p_t / p_{t-n})}{\sigma_t \sqrt{n}}, \quad
        \frac{\log (p_t / \max_{63} p)}{\sigma_t \sqrt{63}}, \quad
        \frac{\sigma^{0.80}_t}{\sigma_t}, \quad \frac{\sigma_t}{\sigma^{0.985}_t},

    and weekday (0 is Monday), month and day of the month of the bar's own date. They have no unit, so symbols of
    different volatility may be learnt together.

    Parameters
    ----------
    lags : int
        Lagged returns among the features, ≤ `WARM_UP`.

    Notes
    -----
    Bars are taken in one by one with scalar arithmetic: a history read at once and one read row by row give the same
    bits, and nothing later than a bar can reach its features.

    Examples
    --------
    >>> dates = pd.bdate_range("2020-01-01", periods=80)
    >>> bars = SymbolBars(lags=3)
    >>> for row, date in enumerate(dates):
    ...     bars.push(row, 100.0 * 1.01**row * (1.02 if row % 2 else 1.0), date)
    >>> len(bars.closes), bars.features[62], len(bars.features[63]) == len(feature_names(3))
    (80, None, True)
    >>> round(bars.label(70, horizon=2), 3) == round(2 * math.log(1.01) / (bars.volatilities[70] * math.sqrt(2)), 3)
    True
    """

    @checked
    def __init__(self, lags: int) -> None:
        require_count("lags", lags, most=MOST_LAGS, unit="lags")
        self._lags = lags
        self._variances = [math.nan] * len(DECAYS)
        self._returns: deque[float] = deque(maxlen=lags)
        self._recent: deque[float] = deque(maxlen=WARM_UP + 1)
        self.rows: list[int] = []
        self.closes: list[float] = []
        self.features: list[tuple[float, ...] | None] = []
        self.volatilities: list[float] = []

    @checked
    def push(self, row: int, close: float, date: pd.Timestamp) -> None:
        """Take in a row of the table, with NaN where the symbol has no close on it."""
        if math.isnan(close):
            return
        if not 0.0 < close < math.inf:
            raise DataError(f"close of row {row} is {close}, must be a finite number > 0; correct it")
        if self.closes:
            value = math.log(close / self.closes[-1])
            self._returns.appendleft(value)
            square = value * value
            self._variances = [
                square if math.isnan(variance) else decay * variance + (1.0 - decay) * square
                for decay, variance in zip(DECAYS, self._variances, strict=True)
            ]
        self._recent.append(close)
        self.rows.append(row)
        self.closes.append(close)
        self.volatilities.append(math.sqrt(self._variances[1]))
        self.features.append(self._describe(date))

    @checked
    def label(self, bar: int, horizon: int) -> float:
        r"""Return :math:`\log(p_{t+h} / p_t) / (\sigma_t \sqrt h)`, known only at the close of bar t + h."""
        require_count("bar", bar, least=0, most=len(self.closes) - 1, unit="(a bar of the symbol)")
        require_count("horizon", horizon, most=max(len(self.closes) - 1 - bar, 1))
        if not self.volatilities[bar] > 0.0 or bar + horizon >= len(self.closes):
            raise DataError(f"bar {bar} has no label over {horizon} bars yet; give one that has a volatility")
        move = math.log(self.closes[bar + horizon] / self.closes[bar])
        return move / (self.volatilities[bar] * math.sqrt(horizon))

    def _describe(self, date: pd.Timestamp) -> tuple[float, ...] | None:
        """Return the features of the last bar; None while there are too few, or where nothing has moved."""
        fast, scale, slow = (math.sqrt(variance) for variance in self._variances)
        if len(self._recent) <= WARM_UP or not min(fast, scale, slow) > 0.0:
            return None
        close = self._recent[-1]
        momentum = (math.log(close / self._recent[-1 - n]) / (scale * math.sqrt(n)) for n in MOMENTUM)
        fall = math.log(close / max(self._recent)) / (scale * math.sqrt(WARM_UP))
        calendar = (float(date.weekday()), float(date.month), float(date.day))
        return (*(value / scale for value in self._returns), *momentum, fall, fast / scale, scale / slow, *calendar)


def labelled_bars(bars: SymbolBars, after: int, upto: int, horizon: int) -> Sequence[int]:
    """Return the bars that may be learnt from: features there, after row ``after``, label known by row ``upto``.

    Examples
    --------
    >>> bars = SymbolBars(lags=1)
    >>> for row, date in enumerate(pd.bdate_range("2020-01-01", periods=70)):
    ...     bars.push(row, 100.0 + row % 3, date)
    >>> labelled_bars(bars, after=-1, upto=68, horizon=3)
    [63, 64, 65]
    """
    last = len(bars.rows) - horizon
    chosen = []
    for bar in range(last - 1, WARM_UP - 1, -1):
        if bars.rows[bar] <= after:
            break
        if bars.rows[bar + horizon] <= upto and bars.features[bar] is not None:
            chosen.append(bar)
    return chosen[::-1]
