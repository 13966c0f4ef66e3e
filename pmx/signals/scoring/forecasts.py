"""Forecasts beside what happened, and the random walk that they have to beat."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked, require_count, require_shape
from pmx.errors import SignalError
from pmx.risk import RISKMETRICS_DECAY, EwmaVariance
from pmx.signals.forecasting.types import MOST_AHEAD, Forecast
from pmx.signals.scoring.comparison import DieboldMariano, diebold_mariano
from pmx.signals.scoring.proper import crps, log_score, pit

FloatArray = npt.NDArray[np.float64]

#: The interval whose coverage is reported, and the range of it that passes for calibrated.
LEVEL, CALIBRATED = 0.90, (0.88, 0.92)
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
        Stated probability that ``outcome`` has the sign of the side; NaN where none was stated.
    overlap : int
        Consecutive forecasts whose outcomes overlap.
    seconds : float
        What making them took.
    calibrated : ndarray, shape (n,), optional
        ``confidence`` as it was calibrated; NaN where it was not. None: nowhere.
    interval : ndarray, shape (n, 2), optional
        Ends of the 90 % interval that the model itself gave; NaN where it gave none. None: nowhere.
    direction : ndarray, shape (n,), optional
        Side that was taken on each, −1, 0 or 1; None: the sign of ``mean``. An engine that does not believe its mean,
        or finds it not worth the cost, takes none.
    made_by : tuple of str, shape (n,), optional
        What made each forecast, where that is said more closely than by ``model``.

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
    calibrated: FloatArray | None = None
    interval: FloatArray | None = None
    direction: FloatArray | None = None
    made_by: tuple[str, ...] = ()

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
    def sides(self) -> FloatArray:
        """Return the side that was taken on each outcome: −1, 0 or 1."""
        return np.sign(self.mean) if self.direction is None else self.direction

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Return whether each side had the sign of the outcome."""
        return self.sides * self.outcome > 0.0

    @property
    def signed(self) -> npt.NDArray[np.bool_]:
        """Return which forecasts took a side and had an outcome that did."""
        return np.asarray(self.sides * self.outcome != 0.0, dtype=np.bool_)

    @property
    def directional_accuracy(self) -> float:
        """Return the share of right signs among the `signed` ones; NaN where there are none."""
        return float(self.right[self.signed].mean()) if self.signed.any() else math.nan

    @checked
    def coverage(self, level: float) -> float:
        """Return the share of outcomes inside the central interval of that probability."""
        return float((np.abs(self.pit - 0.5) <= 0.5 * level).mean())

    @property
    def interval_coverage(self) -> float:
        """Return the share of outcomes inside the 90 % intervals that the model itself gave; NaN if it gave none."""
        if self.interval is None:
            return math.nan
        low, high = self.interval.T
        given = np.isfinite(low) & np.isfinite(high)
        inside = (low <= self.outcome) & (self.outcome <= high)
        return float(inside[given].mean()) if given.any() else math.nan

    @checked
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

    @checked
    def only(self, keep: npt.NDArray[np.bool_]) -> Forecasts:
        """Return some of the forecasts."""
        require_shape("keep", keep, self.mean.shape, "one flag for each forecast")
        columns = ("dates", "mean", "volatility", "degrees_of_freedom", "outcome", "confidence")
        kept: dict[str, Any] = {name: getattr(self, name)[keep] for name in columns}
        for name in ("calibrated", "interval", "direction"):
            kept[name] = None if getattr(self, name) is None else getattr(self, name)[keep]
        return replace(self, made_by=tuple(compress(self.made_by, keep)), **kept)


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

    @checked
    def __init__(self, decay: float = RISKMETRICS_DECAY) -> None:
        self._decay = decay

    @checked
    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Return the forecast of the next bars; see `Forecaster`."""
        require_count("horizon", horizon, most=MOST_AHEAD)
        require_shape("returns", returns, (None,), "one return a bar")
        if len(returns) < LEAST_RETURNS:
            raise SignalError(f"{self.name}: {len(returns)} returns, {LEAST_RETURNS} needed; give a longer history")
        ewma = EwmaVariance(self._decay)
        for value in returns[-2000:].tolist():  # what is older weighs nothing
            ewma.update(value)
        if not ewma.variance > 0.0:
            raise SignalError(f"{self.name}: the returns are all zero; there is nothing to forecast")
        return Forecast(np.zeros(horizon), np.full(horizon, ewma.variance), self.name)
