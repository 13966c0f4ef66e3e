"""What is believed of one symbol's return: a forecast as far as past ones bear it out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pmx.signals.forecasting import Forecast, ForecastBundle


@dataclass(frozen=True, slots=True)
class Outlook:
    """Hold what is believed of one symbol's log return over the horizon.

    Parameters
    ----------
    mean : float
        Expected log return over the horizon, times its credibility.
    volatility : float
        Standard deviation of the log return over the horizon.
    degrees_of_freedom : float
        Of its Student t distribution; infinite for the normal.
    model : str
        Variance model that was used; "EWMA" if the fitted one could not be; "ensemble" for several members.
    fallback_reason : str
        Why it is "EWMA", or which members left the ensemble and why; empty otherwise.

    Examples
    --------
    >>> outlook = Outlook(0.01, 0.02, degrees_of_freedom=math.inf, model="GARCH", fallback_reason="")
    >>> round(outlook.confidence, 4)
    0.6915
    """

    mean: float
    volatility: float
    degrees_of_freedom: float
    model: str
    fallback_reason: str

    @property
    def confidence(self) -> float:
        """Return the probability that the return over the horizon has the sign of its mean, in [0.5, 1]."""
        score = abs(self.mean) / self.volatility
        if math.isinf(self.degrees_of_freedom):
            return 0.5 * math.erfc(-score / math.sqrt(2.0))
        from scipy.special import stdtr

        # Student t with unit variance
        stretch = math.sqrt(self.degrees_of_freedom / (self.degrees_of_freedom - 2.0))
        return float(stdtr(self.degrees_of_freedom, score * stretch))


def outlook_of(bundle: ForecastBundle, forecast: Forecast) -> Outlook:
    """Return what is believed, given a bundle and its forecast, which there must be."""
    return Outlook(
        bundle.believed_mean,
        forecast.total_volatility,
        forecast.degrees_of_freedom,
        forecast.variance_model or forecast.model,
        "; ".join(filter(None, [forecast.fallback_reason, *(f"{name}: {why}" for name, why in bundle.left.items())])),
    )
