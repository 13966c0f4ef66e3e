"""What is common to the members: a check of the history, the variance of residuals, and their autocorrelation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import SignalError
from pmx.risk import VarianceProcess

FloatArray = npt.NDArray[np.float64]

#: Why there is no forecast of a price that does not move.
NO_VARIATION = "no variation"
#: Weights of the last square and of the last variance; the rest pulls to the variance of the window.
SHOCK, MEMORY = 0.06, 0.92
#: Residuals below this share of the returns' size are rounding.
_ROUNDING = 1e-9
#: The squares of returns below this are lost to underflow.
_SMALLEST_RETURN = 1e-100
#: Those of returns beyond this overflow.
_LARGEST_RETURN = 1e100


def checked_history(returns: FloatArray, least: int) -> FloatArray:
    """Return ``returns`` as an array that a model can be fitted to.

    Parameters
    ----------
    returns : ndarray, shape (T,)
        Log returns per bar.
    least : int
        Returns that the model needs.

    Returns
    -------
    ndarray, shape (T,)

    Raises
    ------
    SignalError
        If there are fewer, one is not finite, or they are constant.

    Examples
    --------
    >>> checked_history(np.zeros(5), least=3)
    Traceback (most recent call last):
        ...
    pmx.errors.SignalError: no variation
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1 or values.size < least:
        raise SignalError(f"history has shape {values.shape}, one series of at least {least} returns is needed")
    if not np.isfinite(values).all():
        bar = int(np.argmin(np.isfinite(values)))
        raise SignalError(f"return {values[bar]} of bar {bar} is not finite; repair or drop the bar")
    if np.abs(values).max() > _LARGEST_RETURN:
        raise SignalError(f"return {values[np.abs(values).argmax()]:.3g} is too large to be squared; correct it")
    if is_constant(values):
        raise SignalError(NO_VARIATION)
    return values


def is_constant(values: FloatArray) -> bool:
    """Say whether the values differ by no more than rounding.

    Examples
    --------
    >>> is_constant(np.full(3, 0.1)), is_constant(np.array([0.1, 0.2]))
    (True, False)
    """
    size = float(np.abs(values).max())
    return size < _SMALLEST_RETURN or float(np.ptp(values)) <= 1e-12 * size


class ResidualVariance:
    r"""Keep the variance of one-step residuals: a GARCH recursion whose parameters are not fitted.

    .. math:: h_{t+1} = (1 - a - b) s^2 + a e_t^2 + b h_t, \qquad a = 0.06,\ b = 0.92

    with s² the mean square of the residuals that it begins with. It follows bursts as the RiskMetrics average
    does, and forecasts their decay to s². It costs nothing to fit.

    Parameters
    ----------
    residuals : ndarray, shape (n,)
        Past residuals, oldest first.
    size : float
        Typical size of the returns: residuals that are nothing beside it are rounding.

    Raises
    ------
    SignalError
        If the residuals are not finite or all but zero: the model explains everything.

    References
    ----------
    Engle and Mezrich (1996), "GARCH for groups", on variance targeting.

    Examples
    --------
    >>> variance = ResidualVariance(np.array([0.01, -0.01, 0.01]), size=0.01)
    >>> variance.path(3).round(8).tolist()
    [0.0001, 0.0001, 0.0001]
    """

    def __init__(self, residuals: FloatArray, size: float) -> None:
        mean_square = float(np.mean(residuals**2))
        if not math.isfinite(mean_square):
            raise SignalError("the residuals are not finite")
        if not math.sqrt(mean_square) > _ROUNDING * size:
            raise SignalError(NO_VARIATION)
        self._process = VarianceProcess("GARCH", (1.0 - SHOCK - MEMORY) * mean_square, SHOCK, 0.0, MEMORY)
        self._variance = mean_square
        standardized = []
        for residual in residuals.tolist():
            standardized.append(residual / math.sqrt(self._variance))
            self.update(residual)
        self.standardized = np.array(standardized)

    def update(self, residual: float) -> None:
        """Take in one bar's residual."""
        self._variance = self._process.step(self._variance, residual)

    def path(self, horizon: int) -> FloatArray:
        """Return the expected variance of each of the next bars, shape (horizon,), > 0."""
        return self._process.path(self._variance, horizon)


@checked
def ljung_box(standardized: FloatArray, lags: int = 10) -> float:
    r"""Return the p-value of the Ljung–Box test for autocorrelation.

    .. math:: Q = n (n + 2) \sum_{k=1}^{m} \frac{\hat\rho_k^2}{n - k} \sim \chi^2_m

    Parameters
    ----------
    standardized : ndarray, shape (n,)
        Residuals divided by their forecast volatility: raw ones are autocorrelated in size, which the test takes
        for more than it is.
    lags : int
        m, the lags that are looked at.

    Returns
    -------
    float
        In [0, 1]; small where the residuals can still be forecast. NaN below 2m values, or if they are constant.

    Notes
    -----
    No degrees of freedom are taken off for fitted coefficients, so it is slightly lenient on a model's own sample.

    References
    ----------
    Ljung and Box (1978), "On a measure of lack of fit in time series models", Biometrika 65.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=500)
    >>> ljung_box(noise) > 0.05, ljung_box(np.cumsum(noise)) < 1e-6
    (True, True)
    """
    from scipy.special import gammaincc

    count = standardized.size
    if count < 2 * lags:
        return math.nan
    centred = standardized - standardized.mean()
    total = float(np.sum(centred**2))
    if not total > 0.0:
        return math.nan
    correlations = [float(np.sum(centred[k:] * centred[:-k])) / total for k in range(1, lags + 1)]
    statistic = count * (count + 2.0) * sum(rho**2 / (count - k) for k, rho in enumerate(correlations, start=1))
    return float(gammaincc(0.5 * lags, 0.5 * statistic))
