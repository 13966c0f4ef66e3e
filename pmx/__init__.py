"""pmx: trading signals in, portfolio weights that provably obey a risk policy out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pmx.backtest import BacktestResult, backtest
    from pmx.errors import (
        BrokerError,
        DataError,
        InfeasibleError,
        LedgerError,
        PmxError,
        PmxWarning,
        PolicyError,
        SignalError,
        SolverError,
    )
    from pmx.linting import PolicyCheck, check_policy
    from pmx.policy import Policy, load_policy
    from pmx.portfolio import PortfolioSnapshot, compute_nav, size_orders
    from pmx.projection import Allocation, Certificate, Journal, Projector, Status, project_to_feasible, replay, solve
    from pmx.risk import (
        BarbellConstraint,
        BucketRiskState,
        GarchVolatility,
        RiskScaler,
        RiskScalerConfig,
        compute_scaling_factor,
    )
    from pmx.signals import Signal, SignalRouter

#: Public name → module; each is imported when it is first used, so that ``import pmx`` stays light.
_HOME = {
    "backtest": "pmx.backtest",
    "BacktestResult": "pmx.backtest",
    "BrokerError": "pmx.errors",
    "DataError": "pmx.errors",
    "InfeasibleError": "pmx.errors",
    "LedgerError": "pmx.errors",
    "PmxError": "pmx.errors",
    "PmxWarning": "pmx.errors",
    "PolicyError": "pmx.errors",
    "SignalError": "pmx.errors",
    "SolverError": "pmx.errors",
    "PolicyCheck": "pmx.linting",
    "check_policy": "pmx.linting",
    "Policy": "pmx.policy",
    "load_policy": "pmx.policy",
    "PortfolioSnapshot": "pmx.portfolio",
    "compute_nav": "pmx.portfolio",
    "size_orders": "pmx.portfolio",
    "Allocation": "pmx.projection",
    "Certificate": "pmx.projection",
    "Journal": "pmx.projection",
    "Projector": "pmx.projection",
    "Status": "pmx.projection",
    "project_to_feasible": "pmx.projection",
    "replay": "pmx.projection",
    "solve": "pmx.projection",
    "BarbellConstraint": "pmx.risk",
    "BucketRiskState": "pmx.risk",
    "GarchVolatility": "pmx.risk",
    "RiskScaler": "pmx.risk",
    "RiskScalerConfig": "pmx.risk",
    "compute_scaling_factor": "pmx.risk",
    "Signal": "pmx.signals",
    "SignalRouter": "pmx.signals",
}

__all__ = [
    "Allocation",
    "BacktestResult",
    "BarbellConstraint",
    "BrokerError",
    "BucketRiskState",
    "Certificate",
    "DataError",
    "GarchVolatility",
    "InfeasibleError",
    "Journal",
    "LedgerError",
    "PmxError",
    "PmxWarning",
    "Policy",
    "PolicyCheck",
    "PolicyError",
    "PortfolioSnapshot",
    "Projector",
    "RiskScaler",
    "RiskScalerConfig",
    "Signal",
    "SignalError",
    "SignalRouter",
    "SolverError",
    "Status",
    "backtest",
    "check_policy",
    "compute_nav",
    "compute_scaling_factor",
    "load_policy",
    "project_to_feasible",
    "replay",
    "size_orders",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pmx' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
