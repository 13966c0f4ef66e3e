"""What an ensemble is asked to do, and what it answers: its schedule, its forecast and its diagnostics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pmx.arguments import checked
from pmx.signals.forecasting.types import Forecast

#: Half-width of the 90 % interval of a normal distribution, in standard deviations.
NORMAL_REACH_90 = 1.6448536269514722


@checked
@dataclass(frozen=True, slots=True)
class Schedule:
    """Hold when members are fitted and what their weights rest on; all in bars of the series' own.

    Parameters
    ----------
    horizon : int
        Bars ahead of a forecast.
    window, refit_every, min_observations : int
        Returns in a fit at most, bars between fits, and returns before the first.
    weight_bars : int
        Past forecasts that the weights are fitted to.
    score_bars : int
        Past forecasts of the ensemble that its credibility and diagnostics rest on.
    weight_shrinkage : float
        Pull of the weights towards equal, from 0 to 1.
    evidence : float
        t statistic below which a mean is not believed; 0 believes all.
    """

    horizon: int
    window: int
    refit_every: int
    min_observations: int
    weight_bars: int = 252
    score_bars: int = 504
    weight_shrinkage: float = 0.5
    evidence: float = 0.0

    @checked
    def fit_at_or_before(self, bar: int) -> int:
        """Return the bar of the last fit at ``bar`` or before it, at least that of the first."""
        past_first = max(bar - self.min_observations, 0)
        return self.min_observations + past_first - past_first % self.refit_every


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Hold what the ensemble's forecasts were worth out of sample, up to its last fit; NaN where nothing is known.

    Nothing is known of a single member while ``evidence`` is 0: there is nothing to weigh or to doubt.

    Parameters
    ----------
    origins : int
        Forecasts whose outcome is known.
    coverage_90 : float
        Share of outcomes inside the 90 % interval of a normal distribution.
    reach_90 : float
        Standard deviations that held 90 % of the outcomes; 1.645, as of a normal distribution, while fewer than 60
        are known.
    ljung_box_p : float
        p-value of the Ljung–Box test on the standardized errors one bar ahead.
    t_statistic : float
        Of the profit of following the forecasts (see `profit_t_statistic`).
    credibility : float
        How much of the mean may be acted on, from 0 to 1.
    """

    origins: int = 0
    coverage_90: float = math.nan
    reach_90: float = NORMAL_REACH_90
    ljung_box_p: float = math.nan
    t_statistic: float = math.nan
    credibility: float = 1.0


@dataclass(frozen=True, slots=True)
class ForecastBundle:
    """Hold the forecast of one series with all that led to it.

    Parameters
    ----------
    forecast : Forecast or None
        The ensemble's; None if every member left. With one member in all, that member's own.
    members : mapping of str to Forecast
        Those that have one, by name.
    weights : mapping of str to float
        Theirs; sum 1.
    left : mapping of str to str
        Members that have none, and why.
    diagnostics : Diagnostics
        Of the ensemble; those of each fit are in its forecast.
    """

    forecast: Forecast | None
    members: Mapping[str, Forecast]
    weights: Mapping[str, float]
    left: Mapping[str, str]
    diagnostics: Diagnostics

    @property
    def believed_mean(self) -> float:
        """Return the expected log return over the horizon, as far as past forecasts give reason to act on it.

        That is the forecast's mean times its credibility. The forecast itself stays as it is: it is the best that the
        members know, and is scored as such; a bet on it wants more. NaN without a forecast.
        """
        return math.nan if self.forecast is None else self.diagnostics.credibility * self.forecast.total_mean

    @property
    def interval_90(self) -> tuple[float, float]:
        """Return the ends of the 90 % interval of the log return over the horizon; NaN without a forecast.

        It reaches as many standard deviations from the mean as held 90 % of past outcomes (``reach_90``): returns
        are not normal, and a volatility alone does not say where nine in ten of them end.
        """
        if self.forecast is None:
            return math.nan, math.nan
        mean, reach = self.forecast.total_mean, self.diagnostics.reach_90 * self.forecast.total_volatility
        return mean - reach, mean + reach
