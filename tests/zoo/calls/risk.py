"""Calls about volatility, covariance, drawdown, scaling and gates."""

from __future__ import annotations

import numpy as np
from zoo.calls import case
from zoo.calls.market import COVARIANCE, POLICY, RETURNS, WEIGHTS

from pmx import risk

SETTINGS = {
    "model": "GARCH", "distribution": "normal", "window": 100, "refit_every": 50, "min_observations": 200,
    "ewma_decay": 0.9375, "periods_per_year": 256.0,
}  # fmt: skip


def garch() -> risk.GarchVolatility:
    return risk.GarchVolatility(**SETTINGS).fit(RETURNS)


def scaler() -> risk.RiskScaler:
    kept = risk.RiskScaler(POLICY)
    kept.update({"ts_core": 0.01})
    return kept


def covariance() -> risk.EwmaCovariance:
    kept = risk.EwmaCovariance(["SP500", "WTI"], min_observations=2)
    for row in ([0.01, 0.02], [0.02, -0.01], [-0.01, 0.01]):
        kept.update(row)
    return kept


def ewma() -> risk.EwmaVariance:
    kept = risk.EwmaVariance(0.9375)
    kept.update(0.01)
    return kept


def drawdown() -> risk.Drawdown:
    kept = risk.Drawdown()
    kept.update(-0.1)
    return kept


PROCESS = {"model": "GARCH", "omega": 2.0**-20, "alpha": 0.0625, "gamma": 0.0, "beta": 0.875}
STATE = {"realized_vol": 0.25, "current_drawdown": 0.0625, "max_drawdown": 0.25, "target_vol": 0.125}
CONFIG = {"vol_sensitivity": 1.0, "dd_sensitivity": 1.0, "min_scale": 0.25, "max_scale": 1.0}

case("risk.GarchVolatility")(lambda _: (risk.GarchVolatility, dict(SETTINGS)))
case("risk.GarchVolatility.fit")(lambda _: (risk.GarchVolatility(**SETTINGS).fit, {"returns": RETURNS.copy()}))
case("risk.GarchVolatility.update")(lambda _: (garch().update, {"period_return": 0.03125}))
case("risk.GarchVolatility.forecast")(lambda _: (garch().forecast, {"horizon": 3, "annualized": True}))
case("risk.VarianceProcess")(lambda _: (risk.VarianceProcess, dict(PROCESS)))
case("risk.VarianceProcess.step")(
    lambda _: (risk.VarianceProcess(**PROCESS).step, {"variance": 2.0**-10, "residual": 0.03125})
)
case("risk.VarianceProcess.path")(
    lambda _: (risk.VarianceProcess(**PROCESS).path, {"variance": 2.0**-10, "horizon": 3})
)
case("risk.EwmaVariance")(lambda _: (risk.EwmaVariance, {"decay": 0.9375}))
case("risk.EwmaVariance.update")(lambda _: (ewma().update, {"residual": 0.03125}))
case("risk.EwmaCovariance")(
    lambda _: (
        risk.EwmaCovariance,
        {"symbols": ["SP500", "WTI"], "decay": 0.9375, "periods_per_year": 256.0, "min_observations": 2},
    )
)
case("risk.EwmaCovariance.update")(lambda _: (covariance().update, {"returns": np.array([0.5, 0.25])}))
case("risk.EwmaCovariance.forecast")(lambda _: (covariance().forecast, {"symbols": ["WTI", "SP500"]}))
case("risk.Drawdown")(lambda _: (risk.Drawdown, {}))
case("risk.Drawdown.update")(lambda _: (drawdown().update, {"period_return": 0.03125}))
case("risk.BucketRiskState")(lambda _: (risk.BucketRiskState, dict(STATE)))
case("risk.RiskScalerConfig")(lambda _: (risk.RiskScalerConfig, dict(CONFIG)))
case("risk.compute_scaling_factor")(
    lambda _: (
        risk.compute_scaling_factor,
        {
            "bucket_name": "ts_core",
            "state": risk.BucketRiskState(**STATE),
            "config": risk.RiskScalerConfig(**CONFIG),
        },
    )
)
case("risk.RiskScaler")(lambda _: (risk.RiskScaler, {"policy": POLICY}))
case("risk.RiskScaler.update")(lambda _: (scaler().update, {"bucket_returns": {"ts_core": 0.03125, "safe": 0.0}}))
case("risk.BarbellConstraint")(lambda _: (risk.BarbellConstraint, {"policy": POLICY}))
case("risk.BarbellConstraint.project_to_feasible", heavy=True)(
    lambda _: (
        risk.BarbellConstraint(POLICY).project_to_feasible,
        {"weights": WEIGHTS.copy(), "buckets": {"SP500": "ts_core"}, "covariance": COVARIANCE.copy()},
    )
)
case("risk.Gate")(lambda _: (risk.Gate, {"rule": POLICY.forecaster_monitoring.gate}))
case("risk.Gate.update")(lambda _: (risk.Gate(POLICY.forecaster_monitoring.gate).update, {"bad": True}))
case("risk.Gates")(lambda _: (risk.Gates, {"policy": POLICY}))
case("risk.Gates.update")(lambda _: (risk.Gates(POLICY).update, {"bad": {"SP500": True, "WTI": None}}))
case("risk.may_be_gated")(lambda _: (risk.may_be_gated, {"policy": POLICY, "symbol": "SP500"}))
case("risk.checked_return")(lambda _: (risk.checked_return, {"value": 0.03125, "where": "bucket ts_core"}))
case("risk.fit_arch", heavy=True)(
    lambda _: (risk.fit_arch, {"returns": RETURNS.copy(), "model": "GARCH", "distribution": "normal", "lags": 0})
)
case("risk.out_of_range")(lambda _: (risk.out_of_range, {"variances": np.array([1.0, 2.0]), "sample_volatility": 0.5}))
case("risk.ArchFit")(
    lambda _: (
        risk.ArchFit,
        {
            "process": risk.VarianceProcess(**PROCESS), "next_variance": 1.0, "mean": (0.0,),
            "degrees_of_freedom": 5.0, "residual_volatility": 1.0,
        },
    )
)  # fmt: skip
case("risk.BadFit")(lambda _: (risk.BadFit, {"reason": "odd"}))
case("risk.VolatilityForecast")(
    lambda _: (risk.VolatilityForecast, {"volatility": 0.5, "variances": np.array([0.25]), "model": "EWMA"})
)
