"""How good forecasts are: proper scores, calibration, comparison with a random walk, and walks through history."""

from pmx.signals.scoring.calibration import Calibration, fit_calibration, reliability_table
from pmx.signals.scoring.comparison import DieboldMariano, diebold_mariano
from pmx.signals.scoring.forecasts import Forecasts, RandomWalk
from pmx.signals.scoring.proper import crps, log_score, pit, quantile
from pmx.signals.scoring.walk import ForecastingEngine, walk_engine, walk_forecaster

__all__ = [
    "Calibration",
    "DieboldMariano",
    "ForecastingEngine",
    "Forecasts",
    "RandomWalk",
    "crps",
    "diebold_mariano",
    "fit_calibration",
    "log_score",
    "pit",
    "quantile",
    "reliability_table",
    "walk_engine",
    "walk_forecaster",
]
