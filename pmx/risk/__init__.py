"""Risk: volatility, covariance and drawdown forecasts, the scaling of budgets by them, and gates."""

from pmx.risk.arch_fit import ArchFit, BadFit, fit_arch, out_of_range
from pmx.risk.barbell import BarbellConstraint
from pmx.risk.covariance import EwmaCovariance
from pmx.risk.drawdown import Drawdown
from pmx.risk.gate import Gate, Gates, may_be_gated
from pmx.risk.recursion import RISKMETRICS_DECAY, EwmaVariance, VarianceProcess, checked_return
from pmx.risk.scaler import BucketRiskState, RiskScaler, RiskScalerConfig, compute_scaling_factor
from pmx.risk.volatility import GarchVolatility, VolatilityForecast

__all__ = [
    "RISKMETRICS_DECAY",
    "ArchFit",
    "BadFit",
    "BarbellConstraint",
    "BucketRiskState",
    "Drawdown",
    "EwmaCovariance",
    "EwmaVariance",
    "GarchVolatility",
    "Gate",
    "Gates",
    "RiskScaler",
    "RiskScalerConfig",
    "VarianceProcess",
    "VolatilityForecast",
    "checked_return",
    "compute_scaling_factor",
    "fit_arch",
    "may_be_gated",
    "out_of_range",
]
