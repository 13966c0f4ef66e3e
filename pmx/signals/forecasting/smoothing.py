"""The Theta method on the log price: exponential smoothing with half the trend."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_count
from pmx.signals.forecasting.residuals import ResidualVariance, checked_history, ljung_box
from pmx.signals.forecasting.types import MOST_AHEAD, FittedForecaster, Forecast

FloatArray = npt.NDArray[np.float64]


@checked
@dataclass(frozen=True, slots=True)
class Theta:
    r"""Forecast the log price by simple exponential smoothing with half of its fitted trend as drift.

    With log price p, level :math:`\ell_t = \alpha p_t + (1 - \alpha) \ell_{t-1}` and least-squares trend b over
    the T + 1 prices of the fit,

    .. math:: E[p_{t+j}] = \ell_t + \tfrac{b}{2} \left(j - 1 + \frac{1 - (1 - \alpha)^{n}}{\alpha}\right)

    where n counts the prices so far. The variance of the sum over h bars is that of the smoothing model,
    :math:`\sigma^2 (1 + (h - 1) \alpha^2)` for a constant one-step variance σ².

    Parameters
    ----------
    name : str
        Name in the ensemble.

    Notes
    -----
    α is fitted by statsmodels (simple exponential smoothing that begins at the first price).

    References
    ----------
    Hyndman and Billah (2003), "Unmasking the Theta method", International Journal of Forecasting 19.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> forecast = Theta().forecast(rng.normal(0.002, 0.01, size=400), horizon=5)
    >>> 0.0 < forecast.total_mean < 0.02
    True
    """

    name: str = "theta"

    @checked
    def fit(self, returns: FloatArray) -> FittedForecaster:
        """Fit to ``returns``, shape (T,), T ≥ 30; raise a SignalError if that fails."""
        return FittedTheta(self.name, checked_history(returns, 30))

    @checked
    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Fit to ``returns`` and forecast the ``horizon`` bars after them."""
        require_count("horizon", horizon, most=MOST_AHEAD)
        return self.fit(returns).forecast(horizon)


class FittedTheta:
    """A level and a trend with a fixed smoothing constant, brought forward one return at a time."""

    def __init__(self, name: str, returns: FloatArray) -> None:
        self._name = name
        size = math.sqrt(float(np.mean(returns**2)))
        prices = np.concatenate([[0.0], np.cumsum(returns)])
        self._alpha, self._converged = _smoothing_constant(prices / size)
        bars = np.arange(prices.size) - 0.5 * (prices.size - 1)
        self._half_trend = 0.5 * float(np.sum(bars * prices) / np.sum(bars**2))
        # the gap is the log price less its level; only that matters to returns
        self._gap, self._count = 0.0, 1
        residuals = []
        for value in returns.tolist():
            residuals.append(value - self._first_step())
            self._follow(value)
        self._variance = ResidualVariance(np.array(residuals), size)
        self._ljung_box = ljung_box(self._variance.standardized)

    def update(self, value: float) -> None:
        """Take in the log return of one more bar."""
        self._variance.update(value - self._first_step())
        self._follow(value)

    def forecast(self, horizon: int) -> Forecast:
        """Forecast the bars after the last return."""
        means = np.full(horizon, self._half_trend)
        means[0] = self._first_step()
        path = self._variance.path(horizon)
        alpha = self._alpha
        # a shock moves the price at once by itself and for good by α of itself
        bars = path + (1.0 - alpha) ** 2 * np.concatenate([[0.0], path[:-1]])
        total = float(path[-1] + alpha**2 * path[:-1].sum())
        diagnostics = {"converged": float(self._converged), "ljung_box_p": self._ljung_box, "alpha": alpha}
        return Forecast(means, bars, self._name, diagnostics, total)

    def _first_step(self) -> float:
        """Return the expected return of the next bar."""
        alpha, count = self._alpha, self._count
        if alpha >= 1.0:
            steps = 1.0
        elif alpha > 0.0:
            steps = -math.expm1(count * math.log1p(-alpha)) / alpha
        else:
            steps = float(count)
        return self._half_trend * steps - self._gap

    def _follow(self, value: float) -> None:
        self._gap = (1.0 - self._alpha) * (self._gap + value)
        self._count += 1


def _smoothing_constant(prices: FloatArray) -> tuple[float, bool]:
    """Return the fitted α in [0, 1] of prices in units of their daily move, and whether the fit converged."""
    # statsmodels adds warning filters of its own when it is imported; they go when this block ends
    with warnings.catch_warnings():
        from statsmodels.tsa.holtwinters import SimpleExpSmoothing

        warnings.simplefilter("ignore")  # non-convergence is read from its flag
        model = SimpleExpSmoothing(prices, initialization_method="known", initial_level=float(prices[0]))
        result = model.fit()
    return min(max(float(result.params["smoothing_level"]), 0.0), 1.0), bool(result.mle_retvals.success)
