"""Risk: volatility, covariance and drawdown forecasts, and the scaling of budgets by them."""

from pmx.risk.barbell import BarbellConstraint
from pmx.risk.covariance import EwmaCovariance
from pmx.risk.drawdown import Drawdown
from pmx.risk.recursion import EwmaVariance, VarianceProcess, checked_return
from pmx.risk.scaler import BucketRiskState, RiskScaler, RiskScalerConfig, compute_scaling_factor
from pmx.risk.volatility import (
    ArchFit,
    BadFit,
    GarchVolatility,
    VolatilityForecast,
    fit_arch,
    out_of_range,
)

__all__ = [
    "ArchFit",
    "BadFit",
    "BarbellConstraint",
    "BucketRiskState",
    "Drawdown",
    "EwmaCovariance",
    "EwmaVariance",
    "GarchVolatility",
    "RiskScaler",
    "RiskScalerConfig",
    "VarianceProcess",
    "VolatilityForecast",
    "checked_return",
    "compute_scaling_factor",
    "fit_arch",
    "out_of_range",
]
