"""The forecast of one series, and what anything that makes one must offer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import SignalError

FloatArray = npt.NDArray[np.float64]

#: Bars ahead at most, ten years of days: what a forecast holds grows with their square.
MOST_AHEAD = 2_520


@checked
@dataclass(frozen=True, slots=True)
class Forecast:
    r"""Hold one model's opinion of the returns of the bars to come, validated when it is made.

    With log returns :math:`r_{t+j}` and :math:`R_h = \sum_{j=1}^h r_{t+j}`,

    .. math::

        E[R_h] = \sum_j E[r_{t+j}], \qquad
        \operatorname{Var}[R_h] = \sum_{i,j} \operatorname{Cov}[r_{t+i}, r_{t+j}]

    Parameters
    ----------
    mean : ndarray, shape (h,)
        Expected log return of each of the next h bars, per bar, in natural units (0.01 is one percent).
    variance : ndarray, shape (h,)
        Variance of each bar's log return as known now, per bar, > 0.
    model : str
        Name of the model that spoke.
    diagnostics : mapping of str to float
        What the model says of its own fit; NaN where it cannot tell.
    horizon_variance : float, optional
        Variance of the sum over the h bars, > 0; left out where the bars are uncorrelated, so that it is the
        sum of ``variance``.
    variance_model : str
        What made the variances, such as "GARCH"; empty where the model has only one way.
    fallback_reason : str
        Why that is not what the model would rather have used; empty otherwise.

    Raises
    ------
    SignalError
        If ``mean`` and ``variance`` are not one-dimensional, of one length ≥ 1 and finite, or a variance is
        not positive.

    Examples
    --------
    >>> forecast = Forecast(np.array([0.001, 0.0]), np.array([1e-4, 3e-4]), "mine")
    >>> forecast.horizon, forecast.total_mean, round(forecast.total_volatility, 6)
    (2, 0.001, 0.02)
    """

    mean: FloatArray
    variance: FloatArray
    model: str
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    horizon_variance: float | None = None
    variance_model: str = ""
    fallback_reason: str = ""

    def __post_init__(self) -> None:
        for name in ("mean", "variance"):
            values = np.array(getattr(self, name), dtype=np.float64)  # a copy: nobody else may write to it
            if values.ndim != 1 or not values.size:
                raise self._error(name, f"has shape {values.shape}", "give one number for each bar, shape (h,)")
            if not np.isfinite(values).all():
                raise self._error(name, "is not finite", "raise a SignalError where there is no forecast")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.mean.shape != self.variance.shape:
            raise self._error("variance", f"has {self.variance.size} bars, mean {self.mean.size}", "give the same bars")
        if not self.variance.min() > 0.0:
            raise self._error("variance", f"is {self.variance.min():.3g} on a bar, not above 0", "correct the model")
        if self.horizon_variance is not None and not 0.0 < self.horizon_variance < math.inf:
            raise self._error("horizon_variance", f"is {self.horizon_variance!r}", "it must be positive and finite")
        object.__setattr__(self, "diagnostics", MappingProxyType(dict(self.diagnostics)))

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the fields: a read-only mapping does not travel between processes by itself."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Forecast, tuple((fields | {"diagnostics": dict(self.diagnostics)}).values())

    @property
    def horizon(self) -> int:
        """Return the number of bars ahead, h."""
        return self.mean.size

    @property
    def total_mean(self) -> float:
        """Return the expected log return over all h bars."""
        return float(self.mean.sum())

    @property
    def total_variance(self) -> float:
        """Return the variance of the log return over all h bars, > 0."""
        return float(self.variance.sum()) if self.horizon_variance is None else self.horizon_variance

    @property
    def degrees_of_freedom(self) -> float:
        """Return ν of the Student t distribution of the returns, if the diagnostics name it; else infinity, normal."""
        return self.diagnostics.get("degrees_of_freedom", math.inf)

    @property
    def total_volatility(self) -> float:
        """Return the standard deviation of the log return over all h bars, > 0."""
        return math.sqrt(self.total_variance)

    def _error(self, name: str, problem: str, remedy: str) -> SignalError:
        return SignalError(f"forecast of {self.model!r}: {name} {problem}; {remedy}")


class Forecaster(Protocol):
    """Anything that reads one series of returns and forecasts the bars to come.

    A forecast depends on the returns it is given and on nothing else: the same returns give the same numbers
    to the bit, whenever and however often it is asked.
    """

    @property
    def name(self) -> str:
        """Return the name under which the forecasts are weighed and reported."""
        ...

    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Forecast the ``horizon`` bars after the last return.

        Parameters
        ----------
        returns : ndarray, shape (T,)
            Finite log returns, one a bar of this symbol, natural units, oldest first.
        horizon : int
            Bars ahead, ≥ 1.

        Returns
        -------
        Forecast
            Of ``horizon`` bars.

        Raises
        ------
        SignalError
            If there is no forecast that can be trusted: the history is short or constant, or the fit failed.
        """
        ...


class FittedForecaster(Protocol):
    """A model whose parameters are fixed, brought forward one return at a time.

    Its state depends on the fit and on the order of the returns alone: the same returns give the same numbers to
    the bit.
    """

    def update(self, value: float) -> None:
        """Take in the log return of one more bar: a cheap step."""
        ...

    def forecast(self, horizon: int) -> Forecast:
        """Forecast the ``horizon`` bars after the last return, or raise a SignalError."""
        ...


@runtime_checkable
class RefittableForecaster(Forecaster, Protocol):
    """A forecaster that can be fitted once and then asked at many bars, which saves most of the work."""

    def fit(self, returns: FloatArray) -> FittedForecaster:
        """Fit to ``returns``, shape (T,), finite log returns; raise a SignalError if that fails."""
        ...
