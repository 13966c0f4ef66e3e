"""Singular spectrum analysis: the part of the returns that a few oscillations carry, continued."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_count
from pmx.errors import SignalError
from pmx.signals.forecasting.residuals import ResidualVariance, checked_history, ljung_box
from pmx.signals.forecasting.types import MOST_AHEAD, FittedForecaster, Forecast

FloatArray = npt.NDArray[np.float64]

#: Share of the last coordinate in the signal's space beyond which its recurrence is not determined.
_VERTICAL = 1.0 - 1e-6


@checked
@dataclass(frozen=True, slots=True)
class SingularSpectrum:
    r"""Forecast returns by the linear recurrence of their leading singular vectors.

    The centred returns are cut into all their stretches of L bars, the columns of a Hankel matrix H. The leading
    eigenvectors :math:`U` of :math:`H H^\top / K` span what the stretches have in common: trends, cycles, and
    everything else that obeys a short linear recurrence. With π their last coordinates and U' the others, the next
    value of a stretch that lies in this space is

    .. math:: r_{t+1} = \frac{1}{1 - \pi^\top \pi}\, \pi^\top U'^\top (r_{t-L+2}, \dots, r_t)^\top

    The last stretch is projected into the space and continued by this rule for h bars.

    Eigenvalues count as signal only above what white noise would show,
    :math:`\sigma^2 (1 + \sqrt{L / K})^2` with some allowance, σ² being the median eigenvalue; where none is, the
    forecast is the mean of the window.

    Parameters
    ----------
    length : int
        L, bars, ≥ 2.
    allowance : float
        Factor on the edge of the noise. A Hankel matrix repeats its entries, so that its noise reaches further than
        that of independent ones; heavy tails and returns that remember their last take it further yet. At 8, cycles
        that carry a third of a window's variance stand out.
    most : int
        Components at most.
    name : str
        Name in the ensemble.

    References
    ----------
    Golyandina, Nekrutkin and Zhigljavsky (2001), "Analysis of Time Series Structure: SSA and Related Techniques",
    chapter 2.

    Examples
    --------
    >>> bars = np.arange(400)
    >>> wave = 0.01 * np.sin(2.0 * np.pi * bars / 20.0)
    >>> noise = 0.002 * np.random.default_rng(0).normal(size=400)
    >>> forecast = SingularSpectrum().forecast(wave + noise, horizon=5)
    >>> bool(np.abs(forecast.mean - 0.01 * np.sin(2.0 * np.pi * np.arange(400, 405) / 20.0)).max() < 0.001)
    True
    """

    length: int = 60
    allowance: float = 8.0
    most: int = 10
    name: str = "singular_spectrum"

    @checked
    def fit(self, returns: FloatArray) -> FittedForecaster:
        """Fit to ``returns``, shape (T,), T ≥ 3 L; raise a SignalError if that fails."""
        return FittedSpectrum(self, checked_history(returns, 3 * self.length))

    @checked
    def forecast(self, returns: FloatArray, horizon: int) -> Forecast:
        """Fit to ``returns`` and forecast the ``horizon`` bars after them."""
        require_count("horizon", horizon, most=MOST_AHEAD)
        return self.fit(returns).forecast(horizon)


class FittedSpectrum:
    """A fixed space of oscillations, into which each new stretch of returns is projected."""

    def __init__(self, model: SingularSpectrum, returns: FloatArray) -> None:
        self._name, length = model.name, model.length
        size = math.sqrt(float(np.mean(returns**2)))
        self._mean = float(returns.mean())
        stretches = np.lib.stride_tricks.sliding_window_view((returns - self._mean) / size, length)
        self._space = _signal_space(stretches, model)
        self._maps: dict[int, FloatArray] = {}
        self._last = deque((returns[-length:] - self._mean).tolist(), maxlen=length)
        # each bar's error given the stretch before it; the stretches are those of the fit
        ahead = size * (stretches[:-1] @ self._map(1)[0])
        residuals = returns[length:] - self._mean - ahead
        self._variance = ResidualVariance(residuals, size)
        self._ljung_box = ljung_box(self._variance.standardized)

    def update(self, value: float) -> None:
        """Take in the log return of one more bar."""
        self._variance.update(value - self._mean - float(self._map(1)[0] @ np.array(self._last)))
        self._last.append(value - self._mean)

    def forecast(self, horizon: int) -> Forecast:
        """Forecast the bars after the last return."""
        means = self._mean + self._map(horizon) @ np.array(self._last)
        components = float(self._space.shape[1])
        diagnostics = {"converged": 1.0, "ljung_box_p": self._ljung_box, "components": components}
        return Forecast(means, self._variance.path(horizon), self._name, diagnostics)

    def _map(self, horizon: int) -> FloatArray:
        """Return what turns the last L centred returns into the next ``horizon``, shape (horizon, L)."""
        if horizon not in self._maps:
            length = len(self._space)
            last = self._space[-1]
            rule = self._space[:-1] @ last / (1.0 - last @ last)
            # rows: each bar of the projected stretch, then of its continuation, as a map of the stretch
            rows = self._space @ self._space.T
            for _ in range(horizon):
                rows = np.vstack([rows, rule @ rows[len(rows) - length + 1 :]])
            self._maps[horizon] = rows[length:]
        return self._maps[horizon]


def _signal_space(stretches: FloatArray, model: SingularSpectrum) -> FloatArray:
    """Return the eigenvectors above the noise, shape (L, r); r may be 0."""
    count, length = stretches.shape
    try:
        values, vectors = np.linalg.eigh(stretches.T @ stretches / count)
    except np.linalg.LinAlgError as error:
        raise SignalError(f"the eigenvalues were not found: {error}") from error
    edge = float(np.median(values)) * (1.0 + math.sqrt(length / count)) ** 2
    kept = np.flatnonzero(values > model.allowance * edge)[-model.most :]
    space: FloatArray = vectors[:, kept]
    if float(space[-1] @ space[-1]) > _VERTICAL:
        raise SignalError("the last bar alone spans the signal; there is no recurrence")
    return space
