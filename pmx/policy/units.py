"""What a number can mean in its unit: percent given for fractions, basis points for rates, a day's for a year's.

Each check refuses what cannot be meant, warns of what is unlikely, and says how the number is written right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmx.errors import DataError, warn
from pmx.policy.number_text import as_fraction

if TYPE_CHECKING:
    from pmx.policy.policy import Policy

Array = NDArray[np.float64]

#: Holdings that add up to so many times what the policy lets them are percent; to more than so many, probably.
GROSS_REFUSED, GROSS_WARNED = 10.0, 3.0
#: Likewise for one target: what many ask for together may be many times what there is.
TARGET_REFUSED, TARGET_WARNED = 5.0, 2.0
#: What takes the place of a gross_max that is not there.
UNLIMITED = 10.0
_FRACTIONS = "give fractions of NAV: 0.05 for 5 %"
#: A risk scale is a factor.
SCALE_REFUSED, SCALE_WARNED = 10.0, 2.0
#: Cost of one side, fraction of the traded value.
COST_REFUSED, COST_WARNED = 1.0, 0.02
#: Less than this, a cost in basis points was given as a fraction.
BPS_WARNED = 0.01
#: Volatility a year, as a fraction.
VOLATILITY_REFUSED, VOLATILITY_WARNED, VOLATILITY_DAILY = 10.0, 3.0, 0.02
#: Risk-free rate a year, as a fraction.
RATE_REFUSED, RATE_WARNED = 10.0, 1.0
#: Rows that are added up at a time.
_BLOCK = 65_536


def check_targets(targets: Array, policy: Policy) -> None:
    """Check that targets, shape (n,) or (n_accounts, n), can be fractions of NAV, however much they ask for together.

    Raises
    ------
    DataError
        When one is 5 times what ``gross_max`` (at least 1) allows the whole portfolio, or more.

    Warns
    -----
    PmxWarning
        When one is more than twice that.
    """
    allowed, may = _allowed(policy)
    if targets.ndim == 1 and float(targets @ targets) <= (TARGET_WARNED * allowed) ** 2:
        return  # no one of them is larger than all together
    largest = max(float(targets.max(initial=0.0)), -float(targets.min(initial=0.0)))
    if largest <= TARGET_WARNED * allowed:
        return
    what = f"the largest of targets is {largest:.6g}, that is {largest:.0%} of NAV ({may})"
    if largest >= TARGET_REFUSED * allowed:
        raise DataError(f"{what}; {_FRACTIONS}")
    warn(f"{what}; if they are percent, {_FRACTIONS}")


def check_holdings(previous: Array, policy: Policy) -> None:
    """Check that what is held, shape (n,) or (n_accounts, n), can be fractions of NAV.

    Raises
    ------
    DataError
        When its sizes add up to 10 times what ``gross_max`` (at least 1) allows, or more.

    Warns
    -----
    PmxWarning
        When they add up to more than 3 times that.
    """
    allowed, may = _allowed(policy)
    if previous.ndim == 1 and len(previous) * float(previous @ previous) <= (GROSS_WARNED * allowed) ** 2:
        return  # (Σ|w|)² ≤ n Σ w²
    table = np.atleast_2d(previous)
    largest = max(float(table.max(initial=0.0)), -float(table.min(initial=0.0)))
    if largest * table.shape[1] <= GROSS_WARNED * allowed:
        return
    gross = np.concatenate([np.abs(table[i : i + _BLOCK]).sum(axis=1) for i in range(0, len(table), _BLOCK)])
    account = int(np.argmax(gross))
    if gross[account] <= GROSS_WARNED * allowed:
        return
    of = f" of account {account}" if previous.ndim == 2 else ""
    what = (
        f"previous{of} adds up to {gross[account]:.6g} in absolute value, that is {gross[account]:.0%} of NAV ({may})"
    )
    if gross[account] >= GROSS_REFUSED * allowed:
        raise DataError(f"{what}; {_FRACTIONS}")
    warn(f"{what}; if these are percent, {_FRACTIONS}")


def _allowed(policy: Policy) -> tuple[float, str]:
    """Return the gross exposure that weights are measured by, and what a message says of it."""
    limit = policy.risk_buckets.portfolio.gross_max
    return (UNLIMITED, "no gross_max") if limit is None else (max(1.0, limit), f"gross_max {limit:g}")


def check_scales(scales: Array, names: tuple[str, ...], policy: Policy) -> None:
    """Check that risk scales, shape (n_buckets,) or (n_accounts, n_buckets), can be factors.

    Raises
    ------
    DataError
        When one is 10 or more, and more than the policy's ``max_scale`` of its bucket.

    Warns
    -----
    PmxWarning
        When one is more than 2, and more than that.
    """
    if not scales.size or float(scales.max()) <= SCALE_WARNED:
        return
    most = np.atleast_2d(scales).max(axis=0)
    for name, scale in zip(names, most.tolist(), strict=True):
        scaler = policy.risk_scaler.buckets.get(name)
        if scale <= max(SCALE_WARNED, 0.0 if scaler is None else scaler.max_scale):
            continue
        what = f"risk scale of bucket {name} is {scale:g}, a factor on its budget"
        if scale >= SCALE_REFUSED:
            raise DataError(f"{what}; write {as_fraction(scale)} for {scale:g} %")
        warn(f"{what}, which its max_nav_frac cuts off; 1 leaves the budget as it is")


def check_cost(rate: Any, name: str = "costs") -> None:
    """Check that a cost of one side can be a fraction of the traded value.

    Raises
    ------
    DataError
        When it is 100 % or more; `check_basis_points` warns of less.
    """
    if rate >= COST_REFUSED:
        what = f"{name} is {rate:g}, that is {rate:.0%} of the traded value on one side"
        raise DataError(f"{what}; give a fraction: 0.0005 for 5 basis points")


def check_basis_points(bps: float, name: str) -> None:
    """Check that a cost of one side can be in basis points.

    Raises
    ------
    DataError
        When it is 10,000 or more, which is 100 %.

    Warns
    -----
    PmxWarning
        When it is more than 200, or above 0 and less than 0.01.
    """
    what = f"{name} is {bps:g} basis points, that is {0.01 * bps:.6g} % of the traded value on one side"
    if bps >= 1e4 * COST_REFUSED:
        raise DataError(f"{what}; give basis points: 5 for 0.05 %")
    if bps > 1e4 * COST_WARNED or 0.0 < bps < BPS_WARNED:
        warn(f"{what}; if that is not meant, give basis points: 5 for 0.05 %")


def check_risk_free(rate: float, periods_per_year: float) -> None:
    """Check that a mean risk-free rate can be that of one period.

    Raises
    ------
    DataError
        When it is 1,000 % a year or more.

    Warns
    -----
    PmxWarning
        When it is more than 100 % a year.
    """
    year = rate * periods_per_year
    if abs(year) <= RATE_WARNED:
        return
    what = f"rf is {rate:g} a period, that is {year:.0%} a year at {periods_per_year:g} periods"
    if abs(year) >= RATE_REFUSED:
        raise DataError(f"{what}; divide a year's rate by {periods_per_year:g}")
    warn(f"{what}; a year's rate is divided by {periods_per_year:g}")


def check_sizes(least: Array, most: Array, labels: Any, policy: Policy) -> None:
    """Check that bounds on positions, each of shape (n,) or (n_accounts, n), can be fractions of NAV.

    Raises
    ------
    DataError
        When a lower bound is above what ``gross_max`` (at least 1) allows the whole portfolio.

    Warns
    -----
    PmxWarning
        When a finite upper bound is.
    """
    limit = policy.risk_buckets.portfolio.gross_max
    if limit is None:
        return
    allowed = max(1.0, limit)
    for name, values in (("lower", least), ("upper", np.where(np.isfinite(most), most, 0.0))):
        over = np.argwhere(np.atleast_2d(values) > allowed)
        if len(over):
            value = float(np.atleast_2d(values)[tuple(over[0])])
            what = f"{name} of position {labels[int(over[0][1])]} is {value:g}, that is {value:.0%} of NAV"
            if name == "lower":
                raise DataError(f"{what}, above gross_max {limit:g}; give fractions of NAV: 0.05 for 5 %")
            warn(f"{what}, which limits nothing; give fractions of NAV, 0.05 for 5 %, or inf for no bound")


def check_volatilities(covariance: Array, symbols: list[str]) -> None:
    """Check that a covariance, shape (n, n), can be a year's, of returns as fractions.

    Raises
    ------
    DataError
        When a volatility is 1,000 % a year or more, or a correlation is above 1 in absolute value.

    Warns
    -----
    PmxWarning
        When a volatility is above 300 % a year, or the largest of several is below 2 %, as a day's is.
    """
    volatility = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    if not volatility.size:
        return
    j = int(np.argmax(volatility))
    what = f"the covariance gives {symbols[j]} a volatility of {volatility[j]:.4g}, that is {volatility[j]:.0%} a year"
    if volatility[j] >= VOLATILITY_REFUSED:
        raise DataError(f"{what}; give returns as fractions, 0.01 for 1 %: divide a covariance of percent by 10,000")
    if volatility[j] > VOLATILITY_WARNED:
        warn(f"{what}; a covariance of percent is divided by 10,000")
    elif 0.0 < volatility[j] < VOLATILITY_DAILY and len(set(symbols)) > 1:
        what = f"the largest volatility of the covariance is {volatility[j]:.2%} a year, of {symbols[j]}"
        warn(f"{what}; a covariance of daily returns is multiplied by 252")
    bound = np.outer(volatility, volatility)
    beyond = np.argwhere(np.abs(covariance) > bound * (1.0 + 1e-8) + 1e-14)
    if len(beyond):
        a, b = beyond[0].tolist()
        raise DataError(
            f"the covariance of {symbols[a]} and {symbols[b]} is {covariance[a, b]:.4g}, above {bound[a, b]:.4g}, the "
            "product of their volatilities, so it is not positive semidefinite; shrink it, or estimate it again"
        )
