"""Do the forecasts foretell anything? A t statistic of the profit of following them, and how far to believe it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_shape

FloatArray = npt.NDArray[np.float64]

#: Bars of profit below which nothing is concluded.
LEAST_BARS = 60


@checked
def profit_t_statistic(means: FloatArray, variances: FloatArray, returns: FloatArray) -> float:
    r"""Return the t statistic of the profit of having followed past forecasts.

    At each bar t the last h forecasts are held at once, each in proportion to what it expected of this bar over the
    variance that it expected, with :math:`\mu_{s,j}` the forecast made at bar s of the j-th bar after it:

    .. math::

        u_t = r_t \sum_{j=1}^{h} \frac{\mu_{t-j,\,j}}{\sigma^2_{t-j,\,j}}, \qquad
        t = \sum_t u_t \Big/ \sqrt{\textstyle\sum_t u_t^2}

    Where returns have mean zero whatever was forecast, u is a martingale difference: although the forecasts overlap,
    t is standard normal for long histories and nothing needs to be corrected.

    Parameters
    ----------
    means, variances : ndarray, shape (n, h)
        Forecast mean and variance of each of the next h bars, made at n bars in a row; variances > 0. Where none was
        made the means are 0.
    returns : ndarray, shape (n,)
        Return of the bar after each of them.

    Returns
    -------
    float
        NaN with fewer than 60 bars at which h forecasts are held, or if the profits are all zero.

    References
    ----------
    Hodrick (1992), "Dividend yields and expected stock returns: alternative procedures for inference and
    measurement", Review of Financial Studies 5, section 2 (standard errors 1B).

    Examples
    --------
    >>> returns = np.random.default_rng(0).normal(size=500)
    >>> seen = profit_t_statistic(0.2 * returns[:, None], np.ones((500, 1)), returns)
    >>> seen > 10.0
    True
    """
    require_shape("means", means, (None, None), "one row for each bar, one column for each bar ahead")
    require_shape("variances", variances, means.shape, "one for each mean")
    require_shape("returns", returns, means.shape[:1], "one for each row of means")
    horizon = means.shape[1]
    if horizon == 0:
        return math.nan
    bars = len(means) - horizon + 1  # at which h forecasts are held
    if bars < LEAST_BARS:
        return math.nan
    wanted, held = means / variances, np.zeros(bars)
    for ahead in range(horizon):  # the forecast made `ahead` bars before the last
        held += wanted[horizon - 1 - ahead : horizon - 1 - ahead + bars, ahead]
    profits = returns[horizon - 1 :] * held
    largest = float(np.abs(profits).max())
    if not largest > 0.0:
        return math.nan
    profits = profits / largest  # nothing under- or overflows
    return float(profits.sum()) / math.sqrt(float(np.sum(profits**2)))


@checked
def credibility(t_statistic: float, threshold: float) -> float:
    r"""Return how much of a forecast mean to believe.

    .. math:: \rho = \max\!\big(0,\ 1 - (z / t)^2\big) \text{ for } t > 0, \text{ else } 0

    the non-negative garrote: nothing below t = z, three quarters at 2 z, all for overwhelming evidence.

    Parameters
    ----------
    t_statistic : float
        t; NaN where there is no evidence yet.
    threshold : float
        z ≥ 0; 0 believes everything.

    Returns
    -------
    float
        In [0, 1].

    References
    ----------
    Breiman (1995), "Better subset regression using the nonnegative garrote", Technometrics 37.

    Examples
    --------
    >>> credibility(1.5, threshold=2.0), credibility(4.0, threshold=2.0), credibility(-9.0, threshold=0.0)
    (0.0, 0.75, 1.0)
    """
    if threshold == 0.0:
        return 1.0
    if not t_statistic > threshold:  # NaN too
        return 0.0
    return 1.0 - (threshold / t_statistic) ** 2
