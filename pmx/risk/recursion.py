"""Variance recursions, one cheap step a bar: GARCH, GJR, EGARCH with frozen parameters, and the EWMA."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_count
from pmx.errors import DataError

FloatArray = npt.NDArray[np.float64]
ModelName = Literal["GARCH", "GJR", "EGARCH"]

#: A larger return is a mistake of units or data, not a market.
MAX_RETURN = 1e6
#: Weight of yesterday in a variance of daily returns, as RiskMetrics has it.
RISKMETRICS_DECAY = 0.94
_MEAN_ABS_NORMAL = math.sqrt(2.0 / math.pi)
#: Keeps exp(log variance) and its reciprocal finite.
_MAX_LOG_VARIANCE = 700.0


@checked
def checked_return(value: float, where: str) -> float:
    """Return ``value`` as a float if it can be a return over one bar.

    Parameters
    ----------
    value : float
        Simple or log return, fraction.
    where : str
        What the return belongs to, for the message.

    Returns
    -------
    float
        The same number.

    Raises
    ------
    DataError
        If ``value`` is NaN, infinite, or larger than 1e6 in size.

    Examples
    --------
    >>> checked_return(0.01, "bucket ts_core")
    0.01
    """
    number = float(value)
    if not abs(number) <= MAX_RETURN:  # NaN too
        raise DataError(
            f"return of {where} is {number!r}: it must be a finite fraction (limit {MAX_RETURN:g} in size); "
            "repair or drop the bar"
        )
    return number


@checked
@dataclass(frozen=True, slots=True)
class VarianceProcess:
    r"""Step and forecast a conditional variance :math:`h_t` with known parameters.

    .. math::

        \text{GARCH, GJR:}\quad & h_{t+1} = \omega + (\alpha + \gamma\,1[e_t < 0])\,e_t^2 + \beta h_t \\
        \text{EGARCH:}\quad & \ln h_{t+1} = \omega + \alpha\left(|z_t| - \sqrt{2/\pi}\right) + \gamma z_t
                              + \beta \ln h_t, \qquad z_t = e_t / \sqrt{h_t}

    Parameters
    ----------
    model : {"GARCH", "GJR", "EGARCH"}
        Which recursion.
    omega, alpha, gamma, beta : float
        Its parameters, in the unit of the residuals. ``gamma`` is 0 for GARCH.

    References
    ----------
    Bollerslev (1986), "Generalized autoregressive conditional heteroskedasticity". Glosten, Jagannathan and
    Runkle (1993), "On the relation between the expected value and the volatility of the nominal excess return
    on stocks". Nelson (1991), "Conditional heteroskedasticity in asset returns: a new approach".

    Examples
    --------
    >>> process = VarianceProcess("GARCH", omega=1e-6, alpha=0.05, gamma=0.0, beta=0.90)
    >>> round(process.step(1e-4, residual=0.02), 9)
    0.000111
    """

    model: ModelName
    omega: float
    alpha: float
    gamma: float
    beta: float

    @property
    def persistence(self) -> float:
        """Return the factor by which an expected excess variance (EGARCH: log variance) decays a bar."""
        if self.model == "EGARCH":
            return self.beta
        return self.alpha + 0.5 * self.gamma + self.beta

    @checked
    def step(self, variance: float, residual: float) -> float:
        """Return the variance of the next bar.

        Parameters
        ----------
        variance : float
            Variance that was forecast for this bar, > 0.
        residual : float
            What this bar brought: the return less its mean.

        Returns
        -------
        float
            Variance forecast for the next bar.
        """
        if self.model == "EGARCH":
            shock = residual / math.sqrt(variance)
            log_variance = (
                self.omega
                + self.alpha * (abs(shock) - _MEAN_ABS_NORMAL)
                + self.gamma * shock
                + self.beta * math.log(variance)
            )
            return math.exp(min(max(log_variance, -_MAX_LOG_VARIANCE), _MAX_LOG_VARIANCE))
        arch = self.alpha + self.gamma if residual < 0.0 else self.alpha
        return self.omega + arch * residual * residual + self.beta * variance

    @checked
    def path(self, variance: float, horizon: int) -> FloatArray:
        r"""Return the expected variances of the next ``horizon`` bars.

        GARCH and GJR, with persistence p and long-run variance L = ω / (1 − p), exactly:

        .. math:: E[h_{t+k}] = L + p^{k-1} (h_{t+1} - L)

        EGARCH, exactly for normal shocks z:

        .. math::

            E[h_{t+k}] = h_{t+1}^{\beta^{k-1}} \prod_{i=0}^{k-2}
                e^{\beta^i \omega}\, E\!\left[e^{\beta^i (\alpha(|z| - \sqrt{2/\pi}) + \gamma z)}\right]

        Parameters
        ----------
        variance : float
            Variance of the next bar, > 0.
        horizon : int
            Number of bars, ≥ 1.

        Returns
        -------
        ndarray, shape (horizon,)
            Expected variance of each bar; the first is ``variance``.

        Notes
        -----
        The closed form is evaluated by its recursion. For EGARCH with Student t shocks the expectation does
        not exist from the second bar on; the normal one is used there.

        References
        ----------
        Tsay (2010), "Analysis of Financial Time Series", sections 3.5 and 3.8.
        """
        require_count("horizon", horizon)
        if self.model == "EGARCH":
            return self._exponential_path(variance, horizon)
        variances, persistence = [variance], self.persistence
        for _ in range(horizon - 1):
            variances.append(self.omega + persistence * variances[-1])
        return np.array(variances)

    def _exponential_path(self, variance: float, horizon: int) -> FloatArray:
        log_variances = np.empty(horizon)
        log_variances[0] = math.log(variance)
        power, growth = 1.0, 0.0
        for bar in range(1, horizon):
            growth += power * self.omega + self._log_moment(power)
            power *= self.beta
            log_variances[bar] = power * log_variances[0] + growth
        return np.exp(np.clip(log_variances, -_MAX_LOG_VARIANCE, _MAX_LOG_VARIANCE))

    def _log_moment(self, power: float) -> float:
        """Return ln E[exp(power · (α(|z| − √(2/π)) + γz))] for a standard normal z."""
        up, down = power * (self.alpha + self.gamma), power * (self.alpha - self.gamma)
        # Φ(x) = erfc(−x/√2)/2; the larger exponent is taken out so that nothing overflows
        largest = 0.5 * max(up * up, down * down)
        moment = 0.5 * (
            math.exp(0.5 * up * up - largest) * math.erfc(-up / math.sqrt(2.0))
            + math.exp(0.5 * down * down - largest) * math.erfc(-down / math.sqrt(2.0))
        )
        if moment == 0.0:
            return -_MAX_LOG_VARIANCE
        return largest + math.log(moment) - power * self.alpha * _MEAN_ABS_NORMAL


class EwmaVariance:
    r"""Keep the exponentially weighted mean of squares, O(1) a bar.

    .. math:: h_{t+1} = \frac{\sum_{i \ge 0} \lambda^i e_{t-i}^2}{\sum_{i \ge 0} \lambda^i}

    The weights sum to one from the first bar on, so that no starting value is needed.

    Parameters
    ----------
    decay : float
        λ, in (0, 1).

    References
    ----------
    J.P. Morgan / Reuters (1996), "RiskMetrics technical document", 4th edition, section 5.2.

    Examples
    --------
    >>> ewma = EwmaVariance(decay=0.94)
    >>> for value in (0.01, -0.01, 0.01):
    ...     ewma.update(value)
    >>> round(ewma.variance, 12)
    0.0001
    """

    __slots__ = ("_decay", "_sum", "_weight")

    @checked
    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._sum = 0.0
        self._weight = 0.0

    @checked
    def update(self, residual: float) -> None:
        """Take in one bar's residual (zero-mean return)."""
        self._sum = self._decay * self._sum + residual * residual
        self._weight = self._decay * self._weight + 1.0

    @property
    def variance(self) -> float:
        """Return the variance of the next bar; NaN before the first."""
        return self._sum / self._weight if self._weight else math.nan
