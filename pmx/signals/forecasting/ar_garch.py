"""An autoregressive mean with a GARCH-type variance: fitted by arch, advanced by scalar steps in between."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_count
from pmx.errors import SignalError
from pmx.risk import RISKMETRICS_DECAY, ArchFit, BadFit, EwmaVariance, fit_arch, out_of_range
from pmx.signals.forecasting.residuals import NO_VARIATION, ljung_box
from pmx.signals.forecasting.types import MOST_AHEAD, FittedForecaster, Forecast

FloatArray = npt.NDArray[np.float64]
VolatilityModel = Literal["GARCH", "GJR", "EGARCH"]
Distribution = Literal["normal", "t"]

#: Bars over which the heterogeneous mean averages: a day, a week, a month.
HAR_SPANS = (1, 5, 22)
#: A variance below this share of the returns' size, squared, is rounding.
_ROUNDING = 1e-9


@checked
@dataclass(frozen=True, slots=True)
class ArGarch:
    r"""Forecast with an AR(p) mean and a GARCH-type variance, fitted jointly by maximum likelihood.

    With :math:`r_t = c + \sum_i \varphi_i r_{t-i} + e_t`, and :math:`\psi_k` the response of the return to a shock
    k bars ago,

    .. math::

        \operatorname{Var}[R_h] = \sum_{j=1}^{h} \Big(\sum_{k=0}^{h-j} \psi_k\Big)^2 E[e_{t+j}^2].

    A fit that cannot be used (see `pmx.risk.fit_arch`; also an explosive mean, or a variance out of range) gives
    way to the exponentially weighted variance, with a mean by least squares, or zero mean if that explodes.

    Parameters
    ----------
    lags : int
        p, ≥ 1.
    volatility : {"GARCH", "GJR", "EGARCH"}
        Variance model.
    distribution : {"normal", "t"}
        Of the shocks.
    name : str
        Name in the ensemble.

    References
    ----------
    Tsay (2010), "Analysis of Financial Time Series", sections 2.4 (AR forecasts) and 3.5 (GARCH).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> forecast = ArGarch().forecast(rng.normal(0.002, 0.01, size=400), horizon=5)
    >>> forecast.model, round(forecast.total_volatility / 5**0.5, 3)
    ('ar_garch', 0.01)
    """

    lags: int = 1
    volatility: VolatilityModel = "GARCH"
    distribution: Distribution = "normal"
    name: str = "ar_garch"

    @checked
    def fit(self, returns: FloatArray) -> FittedForecaster:
        """Fit to ``returns``, shape (T,); raise a SignalError if they are fewer than 20 + lags."""
        returns = _long_enough(returns, 20 + self.lags)
        fit = fit_arch(returns, self.volatility, self.distribution, self.lags)
        if not isinstance(fit, BadFit) and _explosive(fit.mean[1:]):
            fit = BadFit("explosive mean")
        mean = _least_squares_mean(returns, self.lags) if isinstance(fit, BadFit) else fit.mean
        return FittedAutoregression(self.name, returns, mean, fit)

    @checked
    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Fit to ``returns`` and forecast the ``horizon`` bars after them."""
        require_count("horizon", horizon, most=MOST_AHEAD)
        return self.fit(returns).forecast(horizon)


@checked
@dataclass(frozen=True, slots=True)
class HarGarch:
    r"""Forecast with a heterogeneous autoregressive mean and a GARCH-type variance.

    .. math:: r_t = c + b_1 r_{t-1} + b_2 \bar r_{t-5:t-1} + b_3 \bar r_{t-22:t-1} + e_t

    The mean is fitted by least squares and the variance to its residuals, which is consistent and cheap. It is an
    AR(22) with three slopes, so that all else is as in `ArGarch`.

    Parameters
    ----------
    volatility, distribution, name
        As in `ArGarch`.

    References
    ----------
    Corsi (2009), "A simple approximate long-memory model of realized volatility", Journal of Financial
    Econometrics 7.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> HarGarch().forecast(rng.normal(0.002, 0.01, size=400), horizon=5).model
    'har_garch'
    """

    volatility: VolatilityModel = "GARCH"
    distribution: Distribution = "normal"
    name: str = "har_garch"

    @checked
    def fit(self, returns: FloatArray) -> FittedForecaster:
        """Fit to ``returns``, shape (T,); raise a SignalError if they are fewer than 66."""
        longest = HAR_SPANS[-1]
        returns = _long_enough(returns, 3 * longest)
        past = _past(returns, longest)
        averages = [past[:, :span].mean(axis=1) for span in HAR_SPANS]
        design = np.column_stack([np.ones(len(past)), *averages])
        constant, *slopes = np.linalg.lstsq(design, returns[longest:], rcond=None)[0].tolist()
        lags = range(1, longest + 1)
        ar = tuple(sum(b / span for b, span in zip(slopes, HAR_SPANS, strict=True) if lag <= span) for lag in lags)
        mean = (0.0,) * (longest + 1) if _explosive(ar) else (constant, *ar)
        residuals = returns[longest:] - mean[0] - past @ np.array(mean[1:])
        return FittedAutoregression(self.name, returns, mean, fit_arch(residuals, self.volatility, self.distribution))

    @checked
    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Fit to ``returns`` and forecast the ``horizon`` bars after them."""
        require_count("horizon", horizon, most=MOST_AHEAD)
        return self.fit(returns).forecast(horizon)


class FittedAutoregression:
    """A linear mean and a variance with fixed parameters, brought forward one return at a time.

    Everything after the fit is computed by scalar steps, so that a history read at once and one read row by row
    give the same numbers bit for bit.

    Parameters
    ----------
    name : str
        Of the model.
    returns : ndarray, shape (T,)
        That it was fitted to.
    mean : tuple of float
        Constant and AR coefficients, lag 1 first.
    fit : ArchFit or BadFit
        Its variance, or why there is only the exponentially weighted one.
    """

    def __init__(self, name: str, returns: FloatArray, mean: tuple[float, ...], fit: ArchFit | BadFit) -> None:
        self._name = name
        self._constant, self._ar = mean[0], mean[1:]
        lags = len(self._ar)
        self._returns: deque[float] = deque(returns[-lags:].tolist(), maxlen=lags)
        self._size = math.sqrt(float(np.mean(returns**2)))
        self._fit = fit
        if isinstance(fit, ArchFit):
            self._next_variance, self._shape = fit.next_variance, fit.degrees_of_freedom
        else:
            self._next_variance, self._shape = math.nan, math.inf
        residuals = returns[lags:] - self._constant - _past(returns, lags) @ np.array(self._ar)
        self._ewma = EwmaVariance(RISKMETRICS_DECAY)
        standardized = []
        for residual in residuals.tolist():
            if self._ewma.variance > 0.0:
                standardized.append(residual / math.sqrt(self._ewma.variance))
            self._ewma.update(residual)
        self._ljung_box = ljung_box(np.array(standardized))
        self._weights: dict[int, _HorizonWeights] = {}

    def update(self, value: float) -> None:
        """Take in the log return of one more bar."""
        mean = self._constant
        for lag, coefficient in enumerate(self._ar, start=1):
            mean += coefficient * self._returns[-lag]
        residual = value - mean
        self._ewma.update(residual)
        if isinstance(self._fit, ArchFit):
            self._next_variance = self._fit.process.step(self._next_variance, residual)
        self._returns.append(value)

    def forecast(self, horizon: int) -> Forecast:
        """Forecast the bars after the last return; raise a SignalError if nothing varies."""
        if horizon not in self._weights:
            self._weights[horizon] = _HorizonWeights.of(self._constant, self._ar, horizon)
        weights = self._weights[horizon]
        means = weights.constant + weights.slopes @ np.array(self._returns)[::-1]
        variances, model, problem = self._variances(horizon)
        shape = math.inf if problem else self._shape
        if horizon > 1:  # the Student t whose excess kurtosis is that of so many independent shocks
            shape += (horizon - 1) * max(shape - 4.0, 0.0)
        diagnostics = {
            "degrees_of_freedom": shape,
            "converged": float(not problem),
            "ljung_box_p": self._ljung_box,
        }
        return Forecast(
            means,
            weights.bars @ variances,
            self._name,
            diagnostics,
            float(variances @ weights.total),
            variance_model=model,
            fallback_reason=problem,
        )

    def _variances(self, horizon: int) -> tuple[FloatArray, str, str]:
        """Return the variances of the shocks to come, the model that made them, and why it is not the fitted one."""
        reason = self._fit.reason if isinstance(self._fit, BadFit) else ""
        if isinstance(self._fit, ArchFit):
            variances = self._fit.process.path(self._next_variance, horizon)
            reason = out_of_range(variances, self._fit.residual_volatility)
            if not reason:
                return variances, self._fit.process.model, ""
        variance = self._ewma.variance
        if not variance > (_ROUNDING * self._size) ** 2:
            raise SignalError(NO_VARIATION)
        return np.full(horizon, variance), "EWMA", reason


@dataclass(frozen=True, slots=True)
class _HorizonWeights:
    """What turns past returns into expected ones, and shock variances into return variances.

    ``constant`` has shape (h,), ``slopes`` (h, lags) on the last returns, latest first; ``bars`` (h, h) gives the
    variance of each bar, ``total`` (h,) that of the sum.
    """

    constant: FloatArray
    slopes: FloatArray
    bars: FloatArray
    total: FloatArray

    @classmethod
    def of(cls, constant: float, coefficients: tuple[float, ...], horizon: int) -> _HorizonWeights:
        ar = np.array(coefficients)
        # column 0: contribution of the constant; column i: of the return i bars ago
        past = np.eye(len(ar), len(ar) + 1, k=1)
        rows = []
        for _ in range(horizon):
            following = ar @ past
            following[0] += constant
            rows.append(following)
            past = np.vstack([following, past[:-1]])
        path = np.array(rows)
        response = [1.0]
        for k in range(1, horizon):
            response.append(sum(a * response[k - lag] for lag, a in enumerate(coefficients, start=1) if lag <= k))
        bars = np.zeros((horizon, horizon))
        for bar in range(horizon):
            bars[bar, : bar + 1] = np.array(response[bar::-1]) ** 2
        return cls(path[:, 0], path[:, 1:], bars, np.cumsum(response)[::-1] ** 2)


def _long_enough(returns: FloatArray, least: int) -> FloatArray:
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 1 or values.size < least or not (np.abs(values) < 1e100).all():
        raise SignalError(f"history of shape {values.shape}: at least {least} finite returns are needed")
    return values


def _past(returns: FloatArray, lags: int) -> FloatArray:
    """Return the ``lags`` returns before each one, latest first, shape (T − lags, lags)."""
    return np.lib.stride_tricks.sliding_window_view(returns, lags)[:-1, ::-1]


def _explosive(ar: tuple[float, ...]) -> bool:
    """Say whether a root of the AR polynomial lies on or inside the unit circle."""
    return bool(np.abs(np.roots([1.0, *(-a for a in ar)])).max(initial=0.0) >= 1.0)


def _least_squares_mean(returns: FloatArray, lags: int) -> tuple[float, ...]:
    """Return constant and AR coefficients by least squares; zeros if they explode."""
    past = _past(returns, lags)
    design = np.column_stack([np.ones(len(past)), past])
    mean = tuple(np.linalg.lstsq(design, returns[lags:], rcond=None)[0].tolist())
    return (0.0,) * (lags + 1) if _explosive(mean[1:]) else mean
