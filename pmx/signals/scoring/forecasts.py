"""Forecasts beside what happened, and the random walk that they have to beat."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.errors import SignalError
from pmx.risk import EwmaVariance
from pmx.signals.forecasting.types import Forecast
from pmx.signals.scoring.comparison import DieboldMariano, diebold_mariano
from pmx.signals.scoring.proper import crps, log_score, pit

FloatArray = npt.NDArray[np.float64]

#: Weight of yesterday in the random walk's variance (RiskMetrics).
DECAY = 0.94
#: Returns before the random walk has a variance worth the name.
LEAST_RETURNS = 20


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Hold what one model expected of one symbol, time after time, and what happened.

    Parameters
    ----------
    model, symbol : str
        Who spoke, about what.
    dates : Index, shape (n,)
        The bars at which the forecasts were made.
    mean, volatility : ndarray, shape (n,)
        Of the log return over the horizon, natural units.
    degrees_of_freedom : ndarray, shape (n,)
        Of the Student t; infinite for the normal.
    outcome : ndarray, shape (n,)
        Log return over the horizon that followed.
    confidence : ndarray, shape (n,)
        Stated probability that ``outcome`` has the sign of ``mean``; NaN where none was stated.
    overlap : int
        Consecutive forecasts whose outcomes overlap.
    seconds : float
        What making them took.

    Examples
    --------
    >>> sure = Forecasts("m", "SPY", pd.RangeIndex(2), *np.array([[0.1, 0.1], [1, 1], [np.inf] * 2, [0.2, -0.3],
    ...                  [0.6, 0.6]]), overlap=1, seconds=0.0)
    >>> sure.directional_accuracy, sure.coverage(0.9)
    (0.5, 1.0)
    """

    model: str
    symbol: str
    dates: pd.Index
    mean: FloatArray
    volatility: FloatArray
    degrees_of_freedom: FloatArray
    outcome: FloatArray
    confidence: FloatArray
    overlap: int
    seconds: float

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def crps(self) -> FloatArray:
        """Return the continuous ranked probability score of each forecast."""
        return crps(self.outcome, self.mean, self.volatility, self.degrees_of_freedom)

    @property
    def log_score(self) -> FloatArray:
        """Return the negative log density of each outcome."""
        return log_score(self.outcome, self.mean, self.volatility, self.degrees_of_freedom)

    @property
    def squared_error(self) -> FloatArray:
        """Return the squared error of each mean."""
        error: FloatArray = (self.outcome - self.mean) ** 2
        return error

    @property
    def pit(self) -> FloatArray:
        """Return the probability integral transform of each outcome."""
        return pit(self.outcome, self.mean, self.volatility, self.degrees_of_freedom)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Return whether each mean had the sign of the outcome."""
        return self.mean * self.outcome > 0.0

    @property
    def directional_accuracy(self) -> float:
        """Return the share of right signs among means and outcomes that have one; NaN where there are none."""
        signed = (self.mean != 0.0) & (self.outcome != 0.0)
        return float(self.right[signed].mean()) if signed.any() else math.nan

    def coverage(self, level: float) -> float:
        """Return the share of outcomes inside the central interval of that probability."""
        return float((np.abs(self.pit - 0.5) <= 0.5 * level).mean())

    def against(self, baseline: Forecasts) -> tuple[DieboldMariano, DieboldMariano]:
        """Test CRPS and squared error against another model's forecasts of the same outcomes.

        Raises
        ------
        SignalError
            If the outcomes are not the same.
        """
        same = self.outcome.shape == baseline.outcome.shape
        if not (same and np.allclose(self.outcome, baseline.outcome, rtol=1e-9, atol=1e-12)):
            raise SignalError(f"{self.model} and {baseline.model} forecast different outcomes of {self.symbol}")
        overlap = self.overlap
        return (
            diebold_mariano(self.crps, baseline.crps, overlap),
            diebold_mariano(self.squared_error, baseline.squared_error, overlap),
        )

    def only(self, keep: npt.NDArray[np.bool_]) -> Forecasts:
        """Return some of the forecasts."""
        columns = ("mean", "volatility", "degrees_of_freedom", "outcome", "confidence")
        return replace(self, dates=self.dates[keep], **{name: getattr(self, name)[keep] for name in columns})


class RandomWalk:
    r"""Forecast no return at all, with an exponentially weighted variance.

    .. math:: E[R_h] = 0, \qquad \operatorname{Var}[R_h] = h \, \sigma_t^2

    It knows nothing of direction, and most of what there is to know of volatility: a hard baseline.

    Parameters
    ----------
    decay : float
        Weight of yesterday in the variance, in (0, 1).

    References
    ----------
    J.P. Morgan / Reuters (1996), "RiskMetrics technical document", 4th edition, section 5.2.

    Examples
    --------
    >>> forecast = RandomWalk().forecast(np.full(30, 0.01), 4)
    >>> forecast.total_mean, round(forecast.total_volatility, 6)
    (0.0, 0.02)
    """

    name = "random walk"

    def __init__(self, decay: float = DECAY) -> None:
        self._decay = decay

    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Return the forecast of the next bars; see `Forecaster`."""
        if len(returns) < LEAST_RETURNS:
            raise SignalError(f"{self.name}: {len(returns)} returns, {LEAST_RETURNS} needed; give a longer history")
        ewma = EwmaVariance(self._decay)
        for value in returns[-2000:].tolist():  # what is older weighs nothing
            ewma.update(value)
        if not ewma.variance > 0.0:
            raise SignalError(f"{self.name}: the returns are all zero; there is nothing to forecast")
        return Forecast(np.zeros(horizon), np.full(horizon, ewma.variance), self.name)
