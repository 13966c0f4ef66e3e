"""A seasonal ARMA mean: fitted by statsmodels, advanced by its own difference equation in between."""

from __future__ import annotations

import math
import warnings
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_count
from pmx.errors import SignalError
from pmx.signals.forecasting.residuals import ResidualVariance, checked_history, ljung_box
from pmx.signals.forecasting.types import MOST_AHEAD, FittedForecaster, Forecast

FloatArray = npt.NDArray[np.float64]

#: Roots of a polynomial this close to the unit circle are taken for lying on it.
_ROOT_LIMIT = 1.0 - 1e-6


@checked
@dataclass(frozen=True, slots=True)
class Sarimax:
    r"""Forecast returns with a stationary seasonal ARMA model.

    .. math:: \varphi(L)\, \Phi(L^s)\, r_t = c + \theta(L)\, \Theta(L^s)\, e_t

    The parameters come from statsmodels' exact likelihood. Between fits the one-step errors e follow from the
    equation itself, a dozen products a bar, and the variance of the bars to come from them (`ResidualVariance`) and
    the responses :math:`\psi_k` of the equation.

    Parameters
    ----------
    order : tuple of int
        Orders of φ and θ, each ≥ 0.
    seasonal_order : tuple of int
        Orders of Φ and Θ.
    period : int
        s, bars, ≥ 2: 5 is a week of daily bars.
    name : str
        Name in the ensemble.

    References
    ----------
    Box, Jenkins, Reinsel and Ljung (2015), "Time Series Analysis", chapters 5 and 9.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> Sarimax(order=(1, 0)).forecast(rng.normal(0.002, 0.01, size=200), horizon=5).model
    'sarimax'
    """

    order: tuple[int, int] = (1, 1)
    seasonal_order: tuple[int, int] = (1, 0)
    period: int = 5
    name: str = "sarimax"

    @checked
    def fit(self, returns: FloatArray) -> FittedForecaster:
        """Fit to ``returns``, shape (T,), T ≥ 50 + 3 s; raise a SignalError if that fails."""
        returns = checked_history(returns, 50 + 3 * self.period)
        return FittedSarimax(self, returns)

    @checked
    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Fit to ``returns`` and forecast the ``horizon`` bars after them."""
        require_count("horizon", horizon, most=MOST_AHEAD)
        return self.fit(returns).forecast(horizon)


class FittedSarimax:
    """A difference equation with fixed coefficients, brought forward one return at a time."""

    def __init__(self, model: Sarimax, returns: FloatArray) -> None:
        self._name = model.name
        size = math.sqrt(float(np.mean(returns**2)))
        result = _optimise(model, returns / size)
        if not np.isfinite(result.params).all():
            raise SignalError("a parameter of the fit is not finite")
        self._converged = bool(result.mle_retvals["converged"])
        ar, ma = -np.asarray(result.polynomial_reduced_ar), np.asarray(result.polynomial_reduced_ma)
        if np.abs(np.roots(np.concatenate([[1.0], ar[1:] * -1.0]))).max(initial=0.0) > _ROOT_LIMIT:
            raise SignalError("the fitted mean is not stationary")
        self._constant = size * float(result.params[0])
        self._ar, self._ma = tuple(ar[1:].tolist()), tuple(ma[1:].tolist())
        innovations = size * np.asarray(result.resid, dtype=np.float64)
        self._returns = _latest(returns, len(self._ar))
        self._shocks = _latest(innovations, len(self._ma))
        # the first innovations still carry the doubt about the state before the first return
        self._variance = ResidualVariance(innovations[len(self._ar) + len(self._ma) :], size)
        self._ljung_box = ljung_box(self._variance.standardized)

    def update(self, value: float) -> None:
        """Take in the log return of one more bar."""
        shock = value - self._expected(self._returns, self._shocks)
        self._variance.update(shock)
        self._returns.append(value)
        self._shocks.append(shock)

    def forecast(self, horizon: int) -> Forecast:
        """Forecast the bars after the last return."""
        returns, shocks = self._returns.copy(), self._shocks.copy()
        means, response = [], [1.0]
        for bar in range(horizon):
            means.append(self._expected(returns, shocks))
            returns.append(means[-1])
            shocks.append(0.0)
            if bar:
                own = self._ma[bar - 1] if bar <= len(self._ma) else 0.0
                response.append(own + sum(a * response[bar - i] for i, a in enumerate(self._ar[:bar], start=1)))
        path = self._variance.path(horizon)
        squares = np.array(response) ** 2
        bars = [float(squares[bar::-1] @ path[: bar + 1]) for bar in range(horizon)]
        total = float(np.cumsum(response)[::-1] ** 2 @ path)
        diagnostics = {"converged": float(self._converged), "ljung_box_p": self._ljung_box}
        return Forecast(np.array(means), np.array(bars), self._name, diagnostics, total)

    def _expected(self, returns: deque[float], shocks: deque[float]) -> float:
        """Return the expected return of the bar after ``returns``."""
        mean = self._constant
        for lag, coefficient in enumerate(self._ar, start=1):
            mean += coefficient * returns[-lag]
        for lag, coefficient in enumerate(self._ma, start=1):
            mean += coefficient * shocks[-lag]
        return mean


def _optimise(model: Sarimax, returns: FloatArray) -> Any:
    """Run statsmodels' optimiser on returns of size one and return its result."""
    # statsmodels adds warning filters of its own when it is imported; they go when this block ends
    with warnings.catch_warnings():
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        warnings.simplefilter("ignore")  # non-convergence is read from its flag
        (p, q), (seasonal_p, seasonal_q) = model.order, model.seasonal_order
        problem = SARIMAX(returns, order=(p, 0, q), seasonal_order=(seasonal_p, 0, seasonal_q, model.period), trend="c")
        try:
            return problem.fit(disp=False, cov_type="none")
        except (np.linalg.LinAlgError, ValueError) as error:
            raise SignalError(f"the optimiser failed: {error}") from error


def _latest(values: FloatArray, count: int) -> deque[float]:
    """Return the last ``count`` values, which may be none."""
    return deque(values[len(values) - count :].tolist(), maxlen=count)
