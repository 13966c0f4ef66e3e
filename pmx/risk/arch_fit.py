"""One fit of a variance model by arch: what it found, or why it cannot be used."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_shape
from pmx.errors import DataError
from pmx.risk.recursion import ModelName, VarianceProcess

FloatArray = npt.NDArray[np.float64]
DistributionName = Literal["normal", "t"]

#: A fit whose persistence comes within the optimiser's tolerance of 1 is explosive.
PERSISTENCE_LIMIT = 1.0 - 1e-6
#: Residuals beyond these multiples of the returns' size: the mean explains all, or went astray.
SMALLEST_RESIDUALS, LARGEST_RESIDUALS = 1e-6, 1.1
#: A forecast volatility beyond this factor above or below the sample's is out of range.
FORECAST_RANGE = 10.0
#: The squares of returns below this are lost to underflow.
_SMALLEST_RETURN = 1e-100
#: Those of returns beyond this overflow.
_LARGEST_RETURN = 1e100


@dataclass(frozen=True, slots=True)
class ArchFit:
    """Hold the parameters of a fitted model and the variance it forecasts, in the unit of the returns.

    Parameters
    ----------
    process : VarianceProcess
        The variance recursion.
    next_variance : float
        Variance forecast for the bar after the last return.
    mean : tuple of float
        Constant and AR coefficients (lag 1 first); empty for the zero-mean model.
    degrees_of_freedom : float
        Of the shocks' Student t distribution; infinite for normal shocks.
    residual_volatility : float
        Root mean square of the residuals.
    """

    process: VarianceProcess
    next_variance: float
    mean: tuple[float, ...]
    degrees_of_freedom: float
    residual_volatility: float


@dataclass(frozen=True, slots=True)
class BadFit:
    """Say why a fit is not to be used."""

    reason: str


@checked
def fit_arch(returns: FloatArray, model: ModelName, distribution: DistributionName, lags: int = 0) -> ArchFit | BadFit:
    """Fit a GARCH-type model by maximum likelihood, with zero mean or with a constant and an AR mean.

    Parameters
    ----------
    returns : ndarray, shape (n,)
        Finite returns per bar, oldest first.
    model : {"GARCH", "GJR", "EGARCH"}
        Variance model, with one lag of each term.
    distribution : {"normal", "t"}
        Of the shocks.
    lags : int
        0 for zero mean, p for a constant and p autoregressive terms.

    Returns
    -------
    ArchFit or BadFit
        `BadFit` if the returns are constant, the optimiser did not converge, a parameter is not finite, the
        mean leaves residuals larger than 1.1 times the returns or next to none, the persistence is 1 or more,
        or the next variance is out of range (see `out_of_range`).

    Notes
    -----
    The answer depends on ``returns`` alone: each fit starts from arch's own grid, never from an earlier fit.
    That costs a sixth more time than a warm start and makes the state of a model that was updated bar by bar
    equal that of one rebuilt from the same history.

    Examples
    --------
    >>> fit_arch(np.full(300, 0.001), "GARCH", "normal")
    BadFit(reason='the returns are constant')
    """
    require_shape("returns", returns, (None,), "one return a bar")
    if not returns.size or not np.isfinite(returns).all():
        raise DataError("returns must be finite numbers, at least one; leave out bars without a return")
    size = float(np.abs(returns).max())
    if size > _LARGEST_RETURN:
        return BadFit(f"a return of {size:.3g} is too large for its square to be added up")
    if size < _SMALLEST_RETURN or np.ptp(returns) <= 1e-12 * size:
        return BadFit("the returns are constant")
    # The optimiser wants returns of size one. A power of two rescales them without rounding.
    exponent = -round(math.log2(_root_mean_square(returns)))
    scaled = np.ldexp(returns, exponent)
    fit = _judged(_optimise(scaled, model, distribution, lags), scaled, model, lags)
    return fit if isinstance(fit, BadFit) else _rescaled(fit, -exponent)


def _judged(result: Any, returns: FloatArray, model: ModelName, lags: int) -> ArchFit | BadFit:
    """Turn arch's result for ``returns`` into a fit, or say what is wrong with it."""
    if result.convergence_flag != 0:
        return BadFit(f"the optimiser did not converge (code {result.convergence_flag})")
    params = np.asarray(result.params, dtype=np.float64)
    variance, residuals = float(result.conditional_volatility[-1]) ** 2, np.asarray(result.resid)[lags:]
    if not (np.isfinite(params).all() and 0.0 < variance < math.inf):
        return BadFit("a parameter or the variance is not finite")
    noise = _root_mean_square(residuals)
    share = noise / _root_mean_square(returns)
    if not SMALLEST_RESIDUALS <= share <= LARGEST_RESIDUALS:
        return BadFit(f"the mean leaves residuals {share:.3g} times the size of the returns")
    values = params.tolist()
    mean = tuple(values[: 1 + lags]) if lags else ()
    omega, alpha, *others = values[len(mean) :]
    gamma = others.pop(0) if model != "GARCH" else 0.0
    beta, *shape = others
    process = VarianceProcess(model, omega, alpha, gamma, beta)
    if process.persistence >= PERSISTENCE_LIMIT:
        return BadFit(f"explosive variance: persistence {process.persistence:.6f}, limit 1")
    next_variance = process.step(variance, float(residuals[-1]))
    reason = out_of_range(np.array([next_variance]), noise)
    if reason:
        return BadFit(reason)
    return ArchFit(process, next_variance, mean, shape[0] if shape else math.inf, noise)


def _rescaled(fit: ArchFit, exponent: int) -> ArchFit:
    """Return the fit to 2^exponent · r given that to r."""
    process = fit.process
    if process.model == "EGARCH":
        omega = process.omega + (1.0 - process.beta) * 2.0 * exponent * math.log(2.0)
    else:
        omega = math.ldexp(process.omega, 2 * exponent)
    return ArchFit(
        process=replace(process, omega=omega),
        next_variance=math.ldexp(fit.next_variance, 2 * exponent),
        mean=tuple(math.ldexp(m, exponent) if i == 0 else m for i, m in enumerate(fit.mean)),
        degrees_of_freedom=fit.degrees_of_freedom,
        residual_volatility=math.ldexp(fit.residual_volatility, exponent),
    )


def _root_mean_square(values: FloatArray) -> float:
    return math.sqrt(np.mean(values**2))


def _optimise(returns: FloatArray, model: ModelName, distribution: DistributionName, lags: int) -> Any:
    """Run arch's optimiser and return its result."""
    from arch.univariate import ARX, EGARCH, GARCH, Normal, StudentsT, ZeroMean
    from arch.utility.exceptions import ConvergenceWarning

    variance = EGARCH(p=1, o=1, q=1) if model == "EGARCH" else GARCH(p=1, o=int(model == "GJR"), q=1)
    shocks = StudentsT() if distribution == "t" else Normal()
    for part in (variance, shocks):
        _drop_repeated_bounds(part)
    parts = {"volatility": variance, "distribution": shocks, "rescale": False}
    problem = ARX(returns, lags=lags, **parts) if lags else ZeroMean(returns, **parts)
    # arch adds warning filters of its own and never takes them away; non-convergence is read from its flag
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return problem.fit(update_freq=0, disp="off", show_warning=False)


def _drop_repeated_bounds(part: Any) -> None:
    """Leave out the constraints on one parameter, which its bounds hold anyway.

    The optimiser differentiates every constraint numerically at every step: these cost a third of a fit.
    """
    rows, limits = part.constraints()
    if rows.size:
        joint = np.count_nonzero(rows, axis=1) > 1
        part.constraints = lambda: (rows[joint], limits[joint])


@checked
def out_of_range(variances: FloatArray, sample_volatility: float) -> str:
    """Say how a forecast strays beyond [1/10, 10] times the sample's volatility; empty if it does not.

    Parameters
    ----------
    variances : ndarray, shape (horizon,)
        Forecast variance of each bar.
    sample_volatility : float
        Volatility of one bar over the sample.

    Returns
    -------
    str
        The reason, or an empty string.

    Examples
    --------
    >>> out_of_range(np.array([1.0]), sample_volatility=0.01)
    'forecast volatility is 100 times that of the sample, outside [1/10, 10]'
    """
    if not variances.size or not variances.min() > 0.0 or not 0.0 < sample_volatility < math.inf:
        raise DataError(
            f"{variances.size} variances and a sample volatility of {sample_volatility}; give variances "
            "and a volatility above 0"
        )
    for variance in (float(variances.min()), float(variances.max())):
        ratio = math.sqrt(variance) / sample_volatility
        if not 1.0 / FORECAST_RANGE <= ratio <= FORECAST_RANGE:
            return f"forecast volatility is {ratio:.3g} times that of the sample, outside [1/10, 10]"
    return ""
