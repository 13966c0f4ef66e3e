"""One series' forecasts from several members, weighed by what they were worth out of sample."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.signals.forecasting.bundle import NORMAL_REACH_90, Diagnostics, ForecastBundle, Schedule
from pmx.signals.forecasting.evidence import credibility, profit_t_statistic
from pmx.signals.forecasting.fitting import Fit, reason_of
from pmx.signals.forecasting.pooling import crps_weights, mixture, mixture_of_paths, mixture_of_totals, shrunk
from pmx.signals.forecasting.residuals import ljung_box
from pmx.signals.forecasting.types import FittedForecaster, Forecast, Forecaster

FloatArray = npt.NDArray[np.float64]

_LOG = logging.getLogger(__name__)

_FIGURES = re.compile(r"\d+")

#: Known outcomes below which the weights are equal.
LEAST_ORIGINS = 60


@dataclass(slots=True)
class _Origin:
    """What was forecast after one bar, kept for later judgement."""

    means: list[float]  # of the sum over the horizon, by member; NaN where there is none
    variances: list[float]
    mean: float  # of the mixture; 0 where there is none
    variance: float
    path_mean: FloatArray  # of the mixture, bar by bar
    path_variance: FloatArray


class Ensemble:
    r"""Forecast one series with several members, brought forward one return at a time.

    At bar ``min_observations`` and every ``refit_every`` bars after it all members are fitted to the last ``window``
    returns; in between they are advanced with fixed parameters. After each bar every member's forecast is noted. At
    a fit, the forecasts whose h bars have passed are compared with what came, and the weights of the next stretch
    are those of the mixture with the least CRPS (`crps_weights`), pulled towards equal. How far its mean may be acted
    on is another question: the credibility ρ of the ensemble's own past forecasts (`credibility`).

    A member that fails leaves until the next fit, or for one bar if only its forecast failed; the reason is logged
    and kept in the bundle.

    Parameters
    ----------
    members : sequence of Forecaster
        With different names.
    schedule : Schedule
        When fits are due, and what the weights rest on.
    label : str
        What the series is, for the log.

    Notes
    -----
    The fits themselves are made outside: `due` gives the histories, `accept` takes the fits, so that those of many
    series can be made at once. The state after n returns is a function of those n returns: of a long history only
    as many fits are made as the last weights and diagnostics rest on, and the numbers are the same to the bit.

    Examples
    --------
    >>> from pmx.signals.forecasting import SingularSpectrum, Theta, fit_members
    >>> members = SingularSpectrum(), Theta()
    >>> ensemble = Ensemble(members, Schedule(horizon=5, window=250, refit_every=50, min_observations=250))
    >>> ensemble.extend(np.random.default_rng(0).normal(0.0, 0.01, size=400).tolist())
    >>> due = ensemble.due()
    >>> ensemble.accept({bar: fit_members(members, history) for bar, history in due.items()})
    >>> bundle = ensemble.bundle()
    >>> list(due), {name: round(weight, 2) for name, weight in bundle.weights.items()}
    ([250, 300, 350, 400], {'singular_spectrum': 0.41, 'theta': 0.59})
    """

    @checked
    def __init__(self, members: Sequence[Forecaster], schedule: Schedule, label: str = "series") -> None:
        self._names = tuple(member.name for member in members)
        self._schedule = schedule
        self._label = label
        self._judged = len(members) > 1 or schedule.evidence > 0.0
        self._returns: list[float] = []
        self._told: dict[str, str] = {}
        self._restart(0)

    @property
    def observations(self) -> int:
        """Return how many returns have been taken in."""
        return len(self._returns)

    @property
    def fitted(self) -> bool:
        """Say whether the first fit has been made."""
        return self._last_fit > 0

    @checked
    def extend(self, returns: Sequence[float]) -> None:
        """Take in the returns of the bars since the last; then `accept` what is `due`."""
        self._returns.extend(returns)
        first = self._first_fit_needed()
        if first > max(self._bar, self._last_fit):
            self._restart(first)

    def due(self) -> dict[int, FloatArray]:
        """Return the histories that wait for a fit, by their bar."""
        schedule = self._schedule
        begin = max(self._begin, self._last_fit + schedule.refit_every if self._last_fit else schedule.min_observations)
        bars = range(begin, self.observations + 1, schedule.refit_every)
        return {bar: np.array(self._returns[max(0, bar - schedule.window) : bar]) for bar in bars}

    @checked
    def accept(self, fits: Mapping[int, Sequence[Fit]]) -> None:
        """Come up to the last return, with the fits that were due."""
        for bar, made in fits.items():
            if len(made) != len(self._names):
                raise DataError(f"bar {bar} has {len(made)} fits; give one for each of {len(self._names)} members")
        while self._bar < self.observations:
            self._bar += 1
            self._advance(self._returns[self._bar - 1])
            if self._bar in fits:
                self._open(fits[self._bar])
            if self._last_fit:
                self._note()

    def bundle(self) -> ForecastBundle | None:
        """Return the forecast of the bars after the last return; None before the first fit."""
        if not self.fitted:
            return None
        names = [self._names[at] for at in self._present]
        members = dict(zip(names, self._forecasts, strict=True))
        if not members:
            forecast = None
        elif len(self._names) == 1:
            (forecast,) = self._forecasts
        else:
            forecast = mixture(self._forecasts, self._present_weights, "ensemble")
        weights = dict(zip(names, self._present_weights, strict=True))
        return ForecastBundle(forecast, members, weights, dict(self._left), self._diagnostics)

    def _restart(self, begin: int) -> None:
        """Forget everything but the returns; go on at the fit of bar ``begin``."""
        self._begin = begin
        self._bar = max(begin - 1, 0)
        self._last_fit = 0
        self._models: list[FittedForecaster | None] = []
        self._weights: FloatArray = np.empty(0)
        self._broken: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._present: list[int] = []
        self._present_weights: list[float] = []
        self._forecasts: list[Forecast] = []
        self._diagnostics = Diagnostics()
        self._origins: dict[int, _Origin] = {}

    def _first_fit_needed(self) -> int:
        """Return the first fit on which anything that is said at the last return rests."""
        schedule = self._schedule
        if self.observations < schedule.min_observations:
            return 0
        last = schedule.fit_at_or_before(self.observations)
        if not self._judged:
            return last
        scored_from = schedule.fit_at_or_before(last - schedule.score_bars)
        return schedule.fit_at_or_before(scored_from - schedule.weight_bars)

    def _advance(self, value: float) -> None:
        for at, model in enumerate(self._models):
            if model is None:
                continue
            try:
                model.update(value)
            except Exception as error:  # noqa: BLE001  as in `_ask`
                self._models[at] = None
                self._broken[self._names[at]] = reason_of(error)
                self._tell(self._names[at], reason_of(error))

    def _open(self, fits: Sequence[Fit]) -> None:
        """Begin the stretch that uses new fits."""
        self._last_fit = self._bar
        self._models = [fit.model for fit in fits]
        self._broken = {name: fit.reason for name, fit in zip(self._names, fits, strict=True) if fit.model is None}
        for name, reason in self._broken.items():
            self._tell(name, reason)
        if not self._judged:
            self._weights = np.ones(1)
            return
        oldest = self._bar - max(self._schedule.score_bars, self._schedule.weight_bars)
        self._origins = {bar: origin for bar, origin in self._origins.items() if bar >= oldest}
        self._weights = self._weigh([at for at, fit in enumerate(fits) if fit.model is not None])
        self._diagnostics = self._judge()

    def _weigh(self, live: list[int]) -> FloatArray:
        """Return a weight for each member, zero for those that left."""
        weights = np.zeros(len(self._names))
        if not live:
            return weights
        bars = self._known(self._schedule.weight_bars)
        means = np.array([[self._origins[bar].means[at] for at in live] for bar in bars])
        variances = np.array([[self._origins[bar].variances[at] for at in live] for bar in bars])
        best = np.full(len(live), 1.0 / len(live))
        if len(live) > 1 and len(bars):
            whole = ~np.isnan(means).any(axis=1)
            if np.count_nonzero(whole) >= LEAST_ORIGINS:
                outcomes = np.array([self._total(bar) for bar in bars])
                best = crps_weights(means[whole], variances[whole], outcomes[whole])
        weights[live] = shrunk(best, self._schedule.weight_shrinkage)
        return weights

    def _judge(self) -> Diagnostics:
        """Say what the ensemble's own forecasts were worth."""
        schedule = self._schedule
        scored = [bar for bar in range(self._bar - schedule.score_bars, self._bar) if bar in self._origins]
        origins = [self._origins[bar] for bar in scored]
        if not origins:
            return Diagnostics(credibility=credibility(math.nan, schedule.evidence))
        following = np.array([self._returns[bar] for bar in scored])
        t_statistic = profit_t_statistic(
            np.array([origin.path_mean for origin in origins]),
            np.array([origin.path_variance for origin in origins]),
            following,
        )
        pairs = list(zip(origins, following.tolist(), strict=True))
        errors = [(r - o.path_mean.item(0)) / math.sqrt(o.path_variance.item(0)) for o, r in pairs]
        known = [bar for bar in self._known(schedule.score_bars) if math.isfinite(self._origins[bar].variance)]
        misses = [
            abs(self._total(bar) - self._origins[bar].mean) / math.sqrt(self._origins[bar].variance) for bar in known
        ]
        return Diagnostics(
            origins=len(known),
            reach_90=float(np.quantile(misses, 0.9)) if len(known) >= LEAST_ORIGINS else NORMAL_REACH_90,
            coverage_90=sum(miss <= NORMAL_REACH_90 for miss in misses) / len(known) if known else math.nan,
            ljung_box_p=ljung_box(np.array(errors)),
            t_statistic=t_statistic,
            credibility=credibility(t_statistic, schedule.evidence),
        )

    def _known(self, bars: int) -> list[int]:
        """Return the latest ``bars`` bars with a forecast whose horizon has passed."""
        through = self._bar - self._schedule.horizon
        return [bar for bar in range(self._bar - bars, through + 1) if bar in self._origins]

    def _total(self, bar: int) -> float:
        """Return what came over the horizon after ``bar``."""
        return sum(self._returns[bar : bar + self._schedule.horizon])

    def _note(self) -> None:
        """Ask every member, and keep what they say."""
        self._present, self._forecasts = [], []
        left = dict(self._broken)
        for at, model in enumerate(self._models):
            if model is None:
                continue
            forecast, reason = self._ask(model)
            if forecast is None:
                left[self._names[at]] = reason
                self._tell(self._names[at], reason)
            else:
                self._told.pop(self._names[at], None)
                self._present.append(at)
                self._forecasts.append(forecast)
        self._left = left
        weights = self._weights[self._present]
        # those who are left share the whole; where all their weights are zero, equally
        total = float(weights.sum())
        self._present_weights = (
            weights / total if total > 0.0 else np.full(weights.size, 1.0 / max(weights.size, 1))
        ).tolist()
        if self._judged:
            self._origins[self._bar] = self._origin()

    def _ask(self, model: FittedForecaster) -> tuple[Forecast | None, str]:
        try:
            forecast = model.forecast(self._schedule.horizon)
        except Exception as error:  # noqa: BLE001  a member may be anybody's code: whatever it raises is its reason
            return None, reason_of(error)
        if forecast.horizon != self._schedule.horizon:
            return None, f"it forecast {forecast.horizon} bars, {self._schedule.horizon} were asked"
        return forecast, ""

    def _origin(self) -> _Origin:
        means, variances = [math.nan] * len(self._names), [math.nan] * len(self._names)
        for at, forecast in zip(self._present, self._forecasts, strict=True):
            means[at], variances[at] = forecast.total_mean, forecast.total_variance
        if not self._present:
            nothing = np.zeros(self._schedule.horizon)
            return _Origin(means, variances, 0.0, math.inf, nothing, nothing + math.inf)
        weights = self._present_weights
        mean, variance = mixture_of_totals(
            [means[at] for at in self._present], [variances[at] for at in self._present], weights
        )
        path_mean, path_variance = mixture_of_paths(self._forecasts, weights)
        return _Origin(means, variances, mean, variance, path_mean, path_variance)

    def _tell(self, name: str, reason: str) -> None:
        """Log why a member leaves; not again while it stays away for the same reason, whatever its figures."""
        kind = _FIGURES.sub("#", reason)
        if self._told.get(name) == kind:
            return
        self._told[name] = kind
        _LOG.warning("%s: %s leaves the ensemble at bar %d: %s", self._label, name, self._bar, reason)
