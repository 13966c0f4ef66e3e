"""The first engine: an ensemble of time-series models for each symbol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.errors import SignalError
from pmx.signals.edge import RoundTripCosts, edge_signal
from pmx.signals.forecasting import (
    NO_VARIATION,
    ArGarch,
    Ensemble,
    Fitter,
    ForecastBundle,
    Forecaster,
    HarGarch,
    Sarimax,
    Schedule,
    SingularSpectrum,
    Theta,
)
from pmx.signals.forecasting.evidence import LEAST_BARS
from pmx.signals.growing import GrowingHistory
from pmx.signals.outlook import outlook_of
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy.schema import TimeSeriesEngine

FloatArray = npt.NDArray[np.float64]

#: Moments and worth of a forecast that there is not.
_NOTHING = (math.nan,) * 5


class TimeSeriesCore:
    r"""Give signals from an ensemble of forecasts of each symbol's log returns.

    Each member forecasts mean and variance of the next h bars; `Ensemble` weighs them by what they were worth, and
    says how far past forecasts give reason to act on the mean: its credibility ρ. For the return over the horizon,
    :math:`R_h = \sum_{j=1}^h r_{t+j}`, with :math:`\mu_h` the expected one times ρ, :math:`\sigma_h` its volatility and
    κ the round-trip cost,

    - ``direction`` is the sign of :math:`\mu_h` if :math:`|\mu_h| > \kappa`, else 0 (HOLD: what is held is not worth
      trading);
    - ``edge_score`` is direction · (|μ_h| − κ) / σ_h;
    - ``strength`` is tanh(|edge_score| · √(252 / h)): an edge worth an annual Sharpe ratio of 1 gives 0.76;
    - ``confidence`` is the probability that :math:`R_h` has the sign of :math:`\mu_h`.

    Parameters
    ----------
    config : TimeSeriesEngine
        Members, horizon and windows: ``policy.signal_routing_config.engines.time_series``.
    round_trip_cost : float or mapping of symbol to float
        Cost of buying and selling again, fraction of the traded value, ≥ 0.
    source : str
        Name under which the signals are routed.
    members : sequence of Forecaster, optional
        In place of those that ``config`` names.
    progress : bool
        Show a progress bar where many fits are due at once, on standard error where that is a terminal.

    Raises
    ------
    DataError
        If a cost is negative or not finite.
    SignalError
        If there is no member, or two have one name.

    Notes
    -----
    A symbol's bars are the rows on which it has a price; a return across a gap starts from the last known
    price. The members are fitted at the symbol's bar ``min_observations`` and every ``refit_every`` bars of its
    own after that, on the trailing ``window`` of returns, and their parameters are frozen in between. So the
    answer depends on the prices alone, not on when the engine was made or how often it was asked: fits are
    cached from call to call, and a history that does not extend the one before (other columns, an earlier
    end, another last row) is read afresh. Earlier rows are trusted not to change between calls.

    A member that fails leaves the ensemble until it is fitted again, with its reason in the log and in `forecasts`;
    a symbol on which every member failed has no signal, and `diagnostics` says why. Nor has one whose past forecasts
    give no evidence that they foretell anything: credibility 0 is silence, not HOLD, as nothing speaks for being in it.

    Returns are logarithmic throughout: a mean is one of growth. The expected simple return is about σ²/2 higher, which
    a volatile symbol has whatever is forecast of it, and which no signal is made of.

    With ``workers`` above 1 the fits that are due in one call are shared among that many processes; the numbers are
    the same.

    Examples
    --------
    >>> from pmx.policy.schema import TimeSeriesEngine
    >>> rng = np.random.default_rng(0)
    >>> closes = 100.0 * np.exp(np.cumsum(rng.normal(0.002, 0.01, size=300)))
    >>> prices = pd.DataFrame({"UP": closes}, index=pd.bdate_range("2020-01-01", periods=300))
    >>> engine = TimeSeriesCore(TimeSeriesEngine(min_observations=120), round_trip_cost=0.0004)
    >>> signal = engine.signals(prices)[0]
    >>> signal.symbol, signal.direction
    ('UP', 1)
    """

    def __init__(
        self,
        config: TimeSeriesEngine,
        *,
        round_trip_cost: float | Mapping[str, float],
        source: str = "time_series_core",
        members: Sequence[Forecaster] | None = None,
        progress: bool = False,
    ) -> None:
        self._config = config
        self._members = tuple(_named_members(config) if members is None else members)
        names = [member.name for member in self._members]
        if not names or len(set(names)) < len(names):
            raise SignalError(f"members of {source}: {names}; give at least one, each with a name of its own")
        self._fitter = Fitter(self._members, config.workers, progress)
        self._schedule = Schedule(
            horizon=config.horizon,
            window=config.window,
            refit_every=config.refit_every,
            min_observations=config.min_observations,
            weight_bars=config.weight_bars,
            score_bars=config.score_bars,
            weight_shrinkage=config.weight_shrinkage,
            evidence=config.evidence,
        )
        self._source = source
        self._round_trip = RoundTripCosts(round_trip_cost)
        self._forget()
        self._rows: list[tuple[object, ...]] = []

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._source

    @property
    def horizon(self) -> int:
        """Return the bars that a forecast covers."""
        return self._config.horizon

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the signals known at the last row of ``prices``.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row); NaN where there is none.

        Returns
        -------
        list of Signal
            In the order of the columns, one for each symbol that has a price now and a model; `diagnostics`
            says why the others have none.

        Raises
        ------
        DataError
            If there is no row, dates or symbols repeat or dates are out of order, a price is zero, negative
            or infinite (named by symbol and date), or a symbol has no round-trip cost. Nothing is remembered
            then.
        """
        self._read(prices)
        self._rows = []
        signals = []
        for symbol, series, cost in zip(self._history.columns, self._series, self._costs, strict=True):
            signal, row = self._judge(symbol, series, cost)
            self._rows.append(row)
            if signal is not None:
                signals.append(signal)
        return signals

    @property
    def diagnostics(self) -> pd.DataFrame:
        """Return what the last call to `signals` made of each symbol.

        Returns
        -------
        DataFrame by symbol
            Columns ``status`` ("signal", or why there is none), ``model``, ``fallback_reason``,
            ``observations`` (returns so far), ``expected_return`` and ``volatility`` (log return over the
            horizon), ``degrees_of_freedom`` (of its Student t distribution; infinite for the normal),
            ``t_statistic`` of the profit of past forecasts, ``credibility`` of the expected return (see
            `pmx.signals.forecasting.credibility`), ``round_trip_cost``.
        """
        columns = (
            "status",
            "model",
            "fallback_reason",
            "observations",
            "expected_return",
            "volatility",
            "degrees_of_freedom",
            "t_statistic",
            "credibility",
            "round_trip_cost",
        )
        return pd.DataFrame(self._rows, index=pd.Index(self._history.columns, name="symbol"), columns=columns)

    @property
    def forecasts(self) -> dict[str, ForecastBundle]:
        """Return the forecasts behind the last call to `signals`, by symbol.

        Returns
        -------
        dict of str to ForecastBundle
            One for each symbol that has a price and has been fitted: the combined forecast, those of the members,
            their weights, who left and why, and what the forecasts were worth out of sample.
        """
        bundles = {}
        for symbol, series in zip(self._history.columns, self._series, strict=True):
            bundle = series.ensemble.bundle() if series.priced else None
            if bundle is not None:
                bundles[symbol] = bundle
        return bundles

    def _judge(self, symbol: str, series: _SymbolSeries, cost: float) -> tuple[Signal | None, tuple[object, ...]]:
        """Return the symbol's signal, if it has one, and its row of the diagnostics."""
        seen = series.ensemble.observations
        if not series.priced:
            return None, ("no price today", "", "", seen, *_NOTHING, cost)
        bundle = series.ensemble.bundle()
        if bundle is None:
            status = f"too few observations: {seen} returns, {self._config.min_observations} needed"
            return None, (status, "", "", seen, *_NOTHING, cost)
        if bundle.forecast is None:
            status = "; ".join(f"{name}: {reason}" for name, reason in bundle.left.items())
            if set(bundle.left.values()) == {NO_VARIATION}:
                status = NO_VARIATION
            return None, (status, "", "", seen, *_NOTHING, cost)
        outlook = outlook_of(bundle, bundle.forecast)
        worth, mean = bundle.diagnostics, bundle.forecast.total_mean
        moments = mean, outlook.volatility, outlook.degrees_of_freedom, worth.t_statistic, worth.credibility
        facts = outlook.model, outlook.fallback_reason, seen, *moments, cost
        if worth.credibility == 0.0:
            return None, (self._unbelieved(worth.t_statistic), *facts)
        signal = edge_signal(
            symbol,
            outlook.mean,
            outlook.volatility,
            confidence=outlook.confidence,
            cost=cost,
            horizon=self._config.horizon,
            source=self._source,
        )
        return signal, ("signal", *facts)

    def _unbelieved(self, t_statistic: float) -> str:
        if math.isnan(t_statistic):
            return f"no evidence yet: fewer than {LEAST_BARS} bars of past forecasts, or none that took a side"
        return f"no evidence: past forecasts paid with t = {t_statistic:.2f}, and {self._config.evidence:g} is needed"

    def _forget(self) -> None:
        self._history = GrowingHistory()
        self._series: list[_SymbolSeries] = []
        self._costs: list[float] = []

    def _read(self, prices: pd.DataFrame) -> None:
        """Bring every symbol's model up to the last row."""
        try:
            first, fresh = self._history.read(prices)
            if first == 0:
                self._costs = self._round_trip.of(prices.columns)
                self._series = [
                    _SymbolSeries(Ensemble(self._members, self._schedule, str(symbol))) for symbol in prices.columns
                ]
            for series, closes in zip(self._series, fresh.T.tolist(), strict=True):
                series.push(closes)
            self._fit()
        except BaseException:
            self._forget()  # a half-read history must not be continued
            raise

    def _fit(self) -> None:
        """Make every fit that is due, and bring the ensembles up to their last return."""
        due = [series.ensemble.due() for series in self._series]
        fits = iter(self._fitter.fit([history for histories in due for history in histories.values()]))
        for series, histories in zip(self._series, due, strict=True):
            series.ensemble.accept({bar: next(fits) for bar in histories})


class _SymbolSeries:
    """One symbol's log returns from close to close, and what is forecast of them."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.priced = False
        self._last_close = math.nan

    def push(self, closes: list[float]) -> None:
        """Take in the closes of new rows, NaN where there is none."""
        returns = []
        for close in closes:
            self.priced = not math.isnan(close)
            if self.priced:
                previous, self._last_close = self._last_close, close
                if not math.isnan(previous):
                    returns.append(math.log(close / previous))
        self.ensemble.extend(returns)


def _named_members(config: TimeSeriesEngine) -> tuple[Forecaster, ...]:
    """Return the members that the configuration names."""
    named: dict[str, Forecaster] = {
        "ar_garch": ArGarch(config.lags, config.volatility, config.distribution),
        "har_garch": HarGarch(config.volatility, config.distribution),
        "theta": Theta(),
        "sarimax": Sarimax(period=config.seasonal_period),
        "singular_spectrum": SingularSpectrum(),
    }
    return tuple(named[name] for name in config.members)
