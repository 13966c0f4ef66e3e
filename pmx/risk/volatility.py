"""GARCH volatility on arch: fitted every few bars, advanced exactly and cheaply in between."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import MOST_BARS, checked
from pmx.errors import DataError, PolicyError
from pmx.risk.arch_fit import BadFit, DistributionName, fit_arch, out_of_range
from pmx.risk.recursion import MAX_RETURN, RISKMETRICS_DECAY, EwmaVariance, ModelName, VarianceProcess, checked_return

FloatArray = npt.NDArray[np.float64]


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


MODELS, SHOCKS = get_args(ModelName), get_args(DistributionName)


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

    @checked(elsewhere=["model", "distribution"])
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
            ("model", model, str(model) in MODELS, "must be GARCH, GJR or EGARCH"),
            (
                "distribution",
                distribution,
                isinstance(distribution, str) and distribution in SHOCKS,
                "must be normal or t",
            ),
            ("window", window, window >= 50, "must be at least 50 bars"),
            ("refit_every", refit_every, refit_every >= 1, "must be at least 1 bar"),
            ("min_observations", min_observations, min_observations >= 20, "must be at least 20 bars"),
            ("ewma_decay", ewma_decay, 0.0 < ewma_decay < 1.0, "must lie strictly between 0 and 1"),
            ("periods_per_year", periods_per_year, 0.0 < periods_per_year < math.inf, "must be positive"),
        ):
            if not valid:
                raise PolicyError(f"GarchVolatility.{name} = {value!r} {limit}; correct it")
        self._model: ModelName = MODELS[MODELS.index(model)]
        self._distribution: DistributionName = SHOCKS[SHOCKS.index(distribution)]
        self._window = window
        self._refit_every = refit_every
        self._min_observations = min_observations
        self._ewma_decay = ewma_decay
        self.periods_per_year = periods_per_year
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

    @checked
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

    @checked
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

    @checked
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
        if not 1 <= horizon <= MOST_BARS:
            raise DataError(f"volatility forecast over {horizon:,} bars; ask for at least 1, at most {MOST_BARS:,}")
        model, reason, variances = self._variances(horizon)
        total = float(variances.sum())
        if annualized:
            total *= self.periods_per_year / horizon
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
