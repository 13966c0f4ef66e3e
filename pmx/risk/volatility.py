"""GARCH volatility on arch: fitted every few bars, advanced exactly and cheaply in between."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.errors import DataError, PolicyError
from pmx.risk.recursion import MAX_RETURN, RISKMETRICS_DECAY, EwmaVariance, ModelName, VarianceProcess, checked_return

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


@dataclass(frozen=True, slots=True)
class VolatilityForecast:
    """Hold a volatility forecast and the model that made it.

    Parameters
    ----------
    volatility : float
        Standard deviation of the sum of the returns over the horizon, or the annualised figure if that was
        asked.
    variances : ndarray, shape (horizon,)
        Expected variance of each bar, per bar, never annualised.
    model : str
        "GARCH", "GJR", "EGARCH" or "EWMA".
    fallback_reason : str
        Why it is "EWMA"; empty otherwise.

    Examples
    --------
    >>> forecast = GarchVolatility().fit([0.01, -0.01, 0.01]).forecast()
    >>> round(forecast.volatility, 6), forecast.model, forecast.fallback_reason
    (0.01, 'EWMA', '3 returns, 250 needed')
    """

    volatility: float
    variances: FloatArray
    model: str
    fallback_reason: str = ""


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
    size = float(np.abs(returns).max())
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


class GarchVolatility:
    r"""Forecast the volatility of one series of returns.

    A zero-mean GARCH-type model is fitted on the trailing ``window`` of returns at bar ``min_observations``,
    counted from the first return, and again every ``refit_every`` bars. In between, its parameters are frozen
    and each return advances the variance by one exact, constant-time step of the recursion (see
    `VarianceProcess`).

    A bad fit (no convergence, persistence ≥ 1, non-finite parameters, constant returns), a forecast
    volatility outside [1/10, 10] times the root mean square return of the fitted window, and a history that
    is still too short are all replaced by the exponentially weighted variance (`EwmaVariance`), and the
    forecast says so.

    Parameters
    ----------
    model : {"GARCH", "GJR", "EGARCH"}
        Variance model, one lag of each term.
    distribution : {"normal", "t"}
        Of the shocks.
    window : int
        Returns that a fit uses at most, bars.
    refit_every : int
        Bars between fits.
    min_observations : int
        Returns before the first fit.
    ewma_decay : float
        λ of the fallback, in (0, 1).
    periods_per_year : float
        Bars in a year, for annualised figures.

    Raises
    ------
    PolicyError
        If a setting is out of range.

    Notes
    -----
    The state after n returns is a function of those n returns: feeding them at once with `fit`, or some with
    `fit` and the rest with `update`, gives the same numbers bit for bit. Memory is bounded by ``window``.

    References
    ----------
    Bollerslev (1986), "Generalized autoregressive conditional heteroskedasticity", Journal of Econometrics
    31.

    Examples
    --------
    >>> returns = np.random.default_rng(2).normal(scale=0.01, size=300)
    >>> forecast = GarchVolatility(min_observations=250).fit(returns).forecast(annualized=True)
    >>> forecast.model, round(forecast.volatility, 2)
    ('GARCH', 0.16)
    """

    def __init__(
        self,
        model: ModelName = "GARCH",
        distribution: DistributionName = "normal",
        window: int = 1000,
        refit_every: int = 63,
        min_observations: int = 250,
        ewma_decay: float = RISKMETRICS_DECAY,
        periods_per_year: float = 252.0,
    ) -> None:
        for name, value, valid, limit in (
            ("model", model, model in get_args(ModelName), "must be GARCH, GJR or EGARCH"),
            ("distribution", distribution, distribution in get_args(DistributionName), "must be normal or t"),
            ("window", window, window >= 50, "must be at least 50 bars"),
            ("refit_every", refit_every, refit_every >= 1, "must be at least 1 bar"),
            ("min_observations", min_observations, min_observations >= 20, "must be at least 20 bars"),
            ("ewma_decay", ewma_decay, 0.0 < ewma_decay < 1.0, "must lie strictly between 0 and 1"),
            ("periods_per_year", periods_per_year, 0.0 < periods_per_year < math.inf, "must be positive"),
        ):
            if not valid:
                raise PolicyError(f"GarchVolatility.{name} = {value!r} {limit}; correct it")
        self._model: ModelName = model
        self._distribution: DistributionName = distribution
        self._window = window
        self._refit_every = refit_every
        self._min_observations = min_observations
        self._ewma_decay = ewma_decay
        self._periods_per_year = periods_per_year
        self._reset()

    def _reset(self) -> None:
        self._returns: deque[float] = deque(maxlen=self._window)
        self._ewma = EwmaVariance(self._ewma_decay)
        self._observations = 0
        self._process: VarianceProcess | None = None
        self._next_variance = math.nan
        self._sample_volatility = math.nan
        self._problem = ""

    @property
    def observations(self) -> int:
        """Return how many returns have been taken in."""
        return self._observations

    @property
    def process(self) -> VarianceProcess | None:
        """Return the fitted recursion in use, in the unit of the returns; None while there is none."""
        return self._process

    def fit(self, returns: pd.Series | FloatArray | Sequence[float]) -> Self:
        """Forget everything and take in a whole history.

        Parameters
        ----------
        returns : Series or array, shape (n,)
            Simple or log returns per bar, fractions, oldest first.

        Returns
        -------
        GarchVolatility
            This object.

        Raises
        ------
        DataError
            If a return is NaN, infinite or larger than 1e6 in size, or ``returns`` is not one-dimensional;
            nothing is changed then.

        Notes
        -----
        The parameters are those of the last scheduled fit, as if the history had come bar by bar; only that
        one fit is run. Build with ``refit_every=1`` for parameters fitted through the last bar.
        """
        values = _checked_series(returns)
        self._reset()
        past_first = values.size - self._min_observations
        last_fit = values.size - past_first % self._refit_every if past_first >= 0 else -1
        for bar, value in enumerate(values.tolist(), start=1):
            self._advance(value)
            if bar == last_fit:
                self._refit()
        return self

    def update(self, period_return: float) -> None:
        """Take in one bar: a constant-time step, and a fit if one is due.

        Parameters
        ----------
        period_return : float
            Return over the bar, fraction.

        Raises
        ------
        DataError
            If the return is NaN, infinite or larger than 1e6 in size; nothing is changed then.
        """
        self._advance(checked_return(period_return, f"bar {self._observations}"))
        past_first = self._observations - self._min_observations
        if past_first >= 0 and past_first % self._refit_every == 0:
            self._refit()

    def _advance(self, value: float) -> None:
        if self._process is not None:
            self._next_variance = self._process.step(self._next_variance, value)
        self._ewma.update(value)
        self._returns.append(value)
        self._observations += 1

    def _refit(self) -> None:
        fit = fit_arch(np.array(self._returns), self._model, self._distribution)
        if isinstance(fit, BadFit):
            self._process, self._problem = None, fit.reason
        else:
            self._process, self._problem = fit.process, ""
            self._next_variance, self._sample_volatility = fit.next_variance, fit.residual_volatility

    def forecast(self, horizon: int = 1, annualized: bool = False) -> VolatilityForecast:
        """Forecast the volatility of the bars to come.

        Parameters
        ----------
        horizon : int
            Number of bars, ≥ 1.
        annualized : bool
            Give √(mean variance × periods_per_year) in place of the standard deviation of the horizon's sum.

        Returns
        -------
        VolatilityForecast
            Known with the last return that was taken in.

        Raises
        ------
        DataError
            If no return has been taken in, or ``horizon`` is below 1.
        """
        if not self._observations:
            raise DataError("volatility forecast before any return; call fit or update first")
        if horizon < 1:
            raise DataError(f"volatility forecast over {horizon} bars; ask for at least 1")
        model, reason, variances = self._variances(horizon)
        total = float(variances.sum())
        if annualized:
            total *= self._periods_per_year / horizon
        return VolatilityForecast(math.sqrt(total), variances, model, reason)

    def _variances(self, horizon: int) -> tuple[str, str, FloatArray]:
        if self._process is not None:
            variances = self._process.path(self._next_variance, horizon)
            reason = out_of_range(variances, self._sample_volatility)
            if not reason:
                return self._model, "", variances
        elif self._observations < self._min_observations:
            reason = f"{self._observations} returns, {self._min_observations} needed"
        else:
            reason = self._problem
        return "EWMA", reason, np.full(horizon, self._ewma.variance)


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
    for variance in (float(variances.min()), float(variances.max())):
        ratio = math.sqrt(variance) / sample_volatility
        if not 1.0 / FORECAST_RANGE <= ratio <= FORECAST_RANGE:
            return f"forecast volatility is {ratio:.3g} times that of the sample, outside [1/10, 10]"
    return ""


def _checked_series(returns: pd.Series | FloatArray | Sequence[float]) -> FloatArray:
    """Return the values, or raise a DataError that names the first bad one by its date or position."""
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1:
        raise DataError(f"returns have shape {values.shape}; give one series, shape (n,)")
    bad = ~(np.abs(values) <= MAX_RETURN)  # NaN too
    if bad.any():
        at = int(np.argmax(bad))
        where = f"{returns.index[at]} (bar {at})" if isinstance(returns, pd.Series) else f"bar {at}"
        checked_return(float(values[at]), where)
    return values
