"""Several forecasts made one: weights by the CRPS of the mixture, and the mixture's mean and variance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_shape
from pmx.errors import DataError
from pmx.signals.forecasting.types import Forecast

FloatArray = npt.NDArray[np.float64]

#: Steps of the search for weights at most, and the gain below which it ends, in units of volatility.
_STEPS, _TOLERANCE = 500, 1e-10


@checked
def crps_weights(means: FloatArray, variances: FloatArray, outcomes: FloatArray) -> FloatArray:
    r"""Return the weights whose normal mixture would have had the least CRPS.

    For independent draws :math:`X_k \sim N(\mu_k, \sigma_k^2)` of the members and the outcome y,

    .. math:: \text{CRPS}(w) = \sum_k w_k E|X_k - y| - \tfrac12 \sum_{k,l} w_k w_l E|X_k - X_l|,

    a convex quadratic function on the simplex, here averaged over the origins and minimised. Each origin counts in
    units of the members' volatility there, so that turbulent days do not decide alone.

    Parameters
    ----------
    means, variances : ndarray, shape (n, K)
        Of K members at n origins; variances > 0.
    outcomes : ndarray, shape (n,)
        What came.

    Returns
    -------
    ndarray, shape (K,)
        ≥ 0, sum 1.

    References
    ----------
    Grimit, Gneiting, Berrocal and Johnson (2006), "The continuous ranked probability score for circular variables
    and its application to mesoscale forecast ensemble verification", section 2, for the score of a mixture.

    Examples
    --------
    >>> outcomes = np.random.default_rng(0).normal(size=400)
    >>> means = np.column_stack([0.9 * outcomes, np.zeros(400)])
    >>> bool(crps_weights(means, np.full((400, 2), [0.01, 1.0]), outcomes)[0] > 0.9)
    True
    """
    require_shape("means", means, (None, None), "one row for each origin, one column for each member")
    require_shape("variances", variances, means.shape, "one for each mean")
    require_shape("outcomes", outcomes, means.shape[:1], "one for each origin")
    if not means.size:
        raise DataError("there is no origin, or no member; give one of each at least")
    unit = np.sqrt(variances).mean(axis=1)
    means, variances = means / unit[:, None], variances / unit[:, None] ** 2
    misses = _mean_absolute(means - (outcomes / unit)[:, None], variances).mean(axis=0)
    apart = means[:, :, None] - means[:, None, :]
    spread = _mean_absolute(apart, variances[:, :, None] + variances[:, None, :]).mean(axis=0)
    return _least_on_simplex(misses, spread)


def _mean_absolute(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return E|X| of X ~ N(mean, variance)."""
    from scipy.special import erf

    deviation = np.sqrt(variance)
    score = mean / deviation
    density = np.exp(-0.5 * score**2) / math.sqrt(2.0 * math.pi)
    result: FloatArray = 2.0 * deviation * density + mean * erf(score / math.sqrt(2.0))
    return result


def _least_on_simplex(linear: FloatArray, spread: FloatArray) -> FloatArray:
    """Minimise linear·w − ½ wᵀ spread w over the simplex: weight moves from the worst member to the best."""
    weights = np.full(linear.size, 1.0 / linear.size)
    for _ in range(_STEPS):
        slope = linear - spread @ weights
        best, worst = int(np.argmin(slope)), int(np.argmax(np.where(weights > 0.0, slope, -math.inf)))
        gain = slope[worst] - slope[best]
        if gain <= _TOLERANCE:
            break
        bend = 2.0 * spread[best, worst] - spread[best, best] - spread[worst, worst]
        step = weights[worst] if bend * weights[worst] <= gain else gain / bend
        weights[best] += step
        weights[worst] -= step
    total: float = weights.sum()
    return weights / total


def shrunk(weights: FloatArray, shrinkage: float) -> FloatArray:
    """Return weights that are pulled towards equal.

    Parameters
    ----------
    weights : ndarray, shape (K,)
        Sum 1.
    shrinkage : float
        0 keeps them, 1 makes them equal.

    Examples
    --------
    >>> shrunk(np.array([1.0, 0.0]), 0.5).tolist()
    [0.75, 0.25]
    """
    return (1.0 - shrinkage) * weights + shrinkage / weights.size


@checked
def mixture(forecasts: Sequence[Forecast], weights: Sequence[float], model: str) -> Forecast:
    r"""Return the mean and variance of the mixture of several forecasts.

    .. math::

        \mu = \sum_k w_k \mu_k, \qquad \sigma^2 = \sum_k w_k \big(\sigma_k^2 + (\mu_k - \mu)^2\big)

    for each bar and for the sum over the horizon. Its tails are those of a Student t distribution with
    :math:`1/\nu = \sum_k w_k / \nu_k`, between the heaviest and the lightest of the members', where a normal one has
    ν = ∞. A member that could not use the variance model that it would rather have used says so in ``fallback_reason``.

    Parameters
    ----------
    forecasts : sequence of Forecast
        Of one horizon, at least one.
    weights : sequence of float
        ≥ 0, sum 1.
    model : str
        Name of the mixture.

    Examples
    --------
    >>> one = Forecast(np.array([0.01]), np.array([1e-4]), "one")
    >>> two = Forecast(np.array([0.03]), np.array([1e-4]), "two")
    >>> both = mixture([one, two], [0.5, 0.5], "both")
    >>> both.mean.round(6).tolist(), both.variance.round(6).tolist()
    ([0.02], [0.0002])
    """
    if not forecasts or len(weights) != len(forecasts):
        raise DataError(f"{len(forecasts)} forecasts and {len(weights)} weights; give one for each, at least one")
    if len({forecast.horizon for forecast in forecasts}) > 1:
        raise DataError("the forecasts cover different numbers of bars; give those of one horizon")
    mean, variance = mixture_of_paths(forecasts, weights)
    _, total = mixture_of_totals([f.total_mean for f in forecasts], [f.total_variance for f in forecasts], weights)
    tail = sum(w / f.degrees_of_freedom for w, f in zip(weights, forecasts, strict=True))
    diagnostics = {"degrees_of_freedom": 1.0 / tail} if tail > 0.0 else {}
    reasons = [f"{f.model}: {f.fallback_reason}" for f in forecasts if f.fallback_reason]
    return Forecast(mean, variance, model, diagnostics, total, fallback_reason="; ".join(reasons))


def mixture_of_paths(forecasts: Sequence[Forecast], weights: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Return the mean and variance of each bar in a mixture of forecasts, shapes (h,).

    Examples
    --------
    >>> one, two = (Forecast(np.array([mean]), np.array([1.0]), "any") for mean in (0.0, 2.0))
    >>> mixture_of_paths([one, two], [0.5, 0.5])
    (array([1.]), array([2.]))
    """
    mean, variance = np.zeros(forecasts[0].horizon), np.zeros(forecasts[0].horizon)
    for weight, forecast in zip(weights, forecasts, strict=True):
        mean += weight * forecast.mean
    for weight, forecast in zip(weights, forecasts, strict=True):
        variance += weight * (forecast.variance + (forecast.mean - mean) ** 2)
    return mean, variance


def mixture_of_totals(
    means: Sequence[float], variances: Sequence[float], weights: Sequence[float]
) -> tuple[float, float]:
    """Return the mean and variance of a mixture of single numbers.

    Examples
    --------
    >>> mixture_of_totals([0.0, 2.0], [1.0, 1.0], [0.5, 0.5])
    (1.0, 2.0)
    """
    mean = sum(w * m for w, m in zip(weights, means, strict=True))
    variance = sum(w * (v + (m - mean) ** 2) for w, m, v in zip(weights, means, variances, strict=True))
    return mean, variance
