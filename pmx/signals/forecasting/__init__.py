"""Forecasts of one series of returns: models behind one protocol, and the ensemble that weighs them."""

from pmx.signals.forecasting.ar_garch import ArGarch, HarGarch
from pmx.signals.forecasting.bundle import Diagnostics, ForecastBundle, Schedule
from pmx.signals.forecasting.ensemble import Ensemble
from pmx.signals.forecasting.evidence import credibility, profit_t_statistic
from pmx.signals.forecasting.fitting import Fit, Fitter, fit_members
from pmx.signals.forecasting.pooling import crps_weights, mixture
from pmx.signals.forecasting.residuals import NO_VARIATION, ljung_box
from pmx.signals.forecasting.sarimax import Sarimax
from pmx.signals.forecasting.singular_spectrum import SingularSpectrum
from pmx.signals.forecasting.smoothing import Theta
from pmx.signals.forecasting.types import FittedForecaster, Forecast, Forecaster, RefittableForecaster

__all__ = [
    "NO_VARIATION",
    "ArGarch",
    "Diagnostics",
    "Ensemble",
    "Fit",
    "FittedForecaster",
    "Fitter",
    "Forecast",
    "ForecastBundle",
    "Forecaster",
    "HarGarch",
    "RefittableForecaster",
    "Sarimax",
    "Schedule",
    "SingularSpectrum",
    "Theta",
    "credibility",
    "crps_weights",
    "fit_members",
    "ljung_box",
    "mixture",
    "profit_t_statistic",
]
