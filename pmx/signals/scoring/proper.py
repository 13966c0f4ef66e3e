"""Proper scores of normal and Student t forecasts, in closed form.

A forecast is a mean, a standard deviation (not a scale), and degrees of freedom, infinite for the normal. Arrays
broadcast against each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import DataError

FloatArray = npt.NDArray[np.float64]
Numbers = npt.ArrayLike


@checked
def crps(outcome: Numbers, mean: Numbers, volatility: Numbers, degrees_of_freedom: Numbers = np.inf) -> FloatArray:
    r"""Return the continuous ranked probability score; lower is better, 0 is perfect.

    .. math:: \mathrm{CRPS}(F, y) = \int (F(x) - 1\{x \ge y\})^2 \, dx

    With scale s, :math:`z = (y - \mu) / s` and Φ, φ or :math:`F_\nu, f_\nu` the standard distribution and density,

    .. math::

        \text{normal:} \quad & s \left[ z (2 \Phi(z) - 1) + 2 \varphi(z) - 1 / \sqrt{\pi} \right] \\
        \text{Student t:} \quad & s \left[ z (2 F_\nu(z) - 1) + 2 f_\nu(z) \frac{\nu + z^2}{\nu - 1}
        - \frac{2 \sqrt{\nu}}{\nu - 1} \frac{B(\frac12, \nu - \frac12)}{B(\frac12, \frac{\nu}{2})^2} \right]

    Parameters
    ----------
    outcome, mean : array_like
        What happened and what was expected, in one unit.
    volatility : array_like
        Standard deviation of the forecast, > 0, in the same unit.
    degrees_of_freedom : array_like
        Of the Student t, > 2; infinite for the normal.

    Returns
    -------
    ndarray
        In the unit of the outcome; the absolute error, generalised to distributions.

    Raises
    ------
    DataError
        If a volatility is not positive, or there are no more than two degrees of freedom.

    References
    ----------
    Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", JASA 102, section 4.2.
    Jordan, Krüger and Lerch (2019), "Evaluating probabilistic forecasts with scoringRules", Journal of Statistical
    Software 90(12), appendix A.

    Examples
    --------
    >>> float(crps(0.0, 0.0, 1.0).round(6))
    0.233695
    """
    from scipy.special import beta

    z, scale, df, normal = _standardised(outcome, mean, volatility, degrees_of_freedom)
    between = z * (2.0 * _distribution(z, df, normal) - 1.0)
    density = np.exp(_log_density(z, df, normal))
    finite = np.where(normal, 5.0, df)  # any number will do where the normal's formula is taken
    spread = 2.0 * np.sqrt(finite) / (finite - 1.0) * beta(0.5, finite - 0.5) / beta(0.5, 0.5 * finite) ** 2
    of_t = between + 2.0 * density * (finite + z * z) / (finite - 1.0) - spread
    of_normal = between + 2.0 * density - 1.0 / np.sqrt(np.pi)
    score: FloatArray = scale * np.where(normal, of_normal, of_t)
    return score


@checked
def log_score(outcome: Numbers, mean: Numbers, volatility: Numbers, degrees_of_freedom: Numbers = np.inf) -> FloatArray:
    r"""Return the negative logarithm of the forecast density at what happened; lower is better.

    .. math:: \mathrm{LogS}(f, y) = -\log f(y)

    Parameters, Raises
        As for `crps`.

    Returns
    -------
    ndarray
        In nats. A difference of 0.01 is one percent more density on what happened.

    References
    ----------
    Good (1952), "Rational decisions", Journal of the Royal Statistical Society B 14.

    Examples
    --------
    >>> float(log_score(0.0, 0.0, 1.0).round(6))
    0.918939
    """
    z, scale, df, normal = _standardised(outcome, mean, volatility, degrees_of_freedom)
    score: FloatArray = np.log(scale) - _log_density(z, df, normal)
    return score


@checked
def pit(outcome: Numbers, mean: Numbers, volatility: Numbers, degrees_of_freedom: Numbers = np.inf) -> FloatArray:
    """Return the probability integral transform, F(outcome), in [0, 1].

    Uniform if the forecasts are calibrated; heaped at both ends if they are too sure of themselves, in the middle if
    they are not sure enough.

    Parameters, Raises
        As for `crps`.

    Returns
    -------
    ndarray
        Probabilities.

    References
    ----------
    Dawid (1984), "Statistical theory: the prequential approach", JRSS A 147.

    Examples
    --------
    >>> float(pit(0.0, 0.0, 1.0))
    0.5
    """
    z, _, df, normal = _standardised(outcome, mean, volatility, degrees_of_freedom)
    return _distribution(z, df, normal)


@checked
def quantile(
    probability: Numbers, mean: Numbers, volatility: Numbers, degrees_of_freedom: Numbers = np.inf
) -> FloatArray:
    """Return the quantile of the forecast, the inverse of `pit`.

    Parameters, Raises
        As for `crps`; ``probability`` lies in (0, 1).

    Returns
    -------
    ndarray
        In the unit of the mean.

    Examples
    --------
    >>> quantile([0.05, 0.95], 0.0, 1.0).round(4).tolist()
    [-1.6449, 1.6449]
    """
    from scipy.special import ndtri, stdtrit

    _, scale, df, normal = _standardised(mean, mean, volatility, degrees_of_freedom)
    finite = np.where(normal, 5.0, df)
    p = np.asarray(probability, dtype=np.float64)
    if not ((p >= 0.0) & (p <= 1.0)).all():
        raise DataError(f"a probability is {p[~((p >= 0.0) & (p <= 1.0))].flat[0]}; it must lie in (0, 1)")
    try:
        np.broadcast_shapes(p.shape, scale.shape)
    except ValueError:
        raise DataError(
            f"probability and forecast have the shapes {p.shape} and {scale.shape}; give one of each, or one for all"
        ) from None
    value: FloatArray = np.asarray(mean) + scale * np.where(normal, ndtri(p), stdtrit(finite, p))
    return value


def _standardised(
    outcome: Numbers, mean: Numbers, volatility: Numbers, degrees_of_freedom: Numbers
) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Return (z, scale, degrees of freedom, whether normal)."""
    given = [np.asarray(values, dtype=np.float64) for values in (outcome, mean, volatility, degrees_of_freedom)]
    try:
        y, mu, sigma, df = np.broadcast_arrays(*given)
    except ValueError:
        shapes = ", ".join(str(values.shape) for values in given)
        raise DataError(
            f"what happened and the forecasts of it have the shapes {shapes}; give one of each, or one number for all"
        ) from None
    if not (sigma > 0.0).all():
        raise DataError(f"volatility of a forecast is {sigma.min():.3g}; it must be above 0: leave such forecasts out")
    if not (df > 2.0).all():
        raise DataError(
            f"degrees of freedom of a forecast are {df.min():.3g}; with 2 or fewer there is no variance: give more"
        )
    normal = np.isinf(df)
    stretch = np.sqrt(np.where(normal, 1.0, (np.where(normal, 5.0, df) - 2.0) / np.where(normal, 5.0, df)))
    scale = sigma * stretch
    return (y - mu) / scale, scale, df, normal


def _distribution(z: FloatArray, df: FloatArray, normal: npt.NDArray[np.bool_]) -> FloatArray:
    from scipy.special import ndtr, stdtr

    value: FloatArray = np.where(normal, ndtr(z), stdtr(np.where(normal, 5.0, df), z))
    return value


def _log_density(z: FloatArray, df: FloatArray, normal: npt.NDArray[np.bool_]) -> FloatArray:
    from scipy.special import betaln

    finite = np.where(normal, 5.0, df)
    of_t = -0.5 * (finite + 1.0) * np.log1p(z * z / finite) - betaln(0.5, 0.5 * finite) - 0.5 * np.log(finite)
    value: FloatArray = np.where(normal, -0.5 * z * z - 0.5 * np.log(2.0 * np.pi), of_t)
    return value
