"""Performance figures of a NAV series, with the risk-free rate and the year's length made explicit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked
from pmx.data.calendar import BUSINESS_DAYS, rows_per_year_of_run, warn_of_contradiction
from pmx.data.dates import dated, day
from pmx.errors import DataError
from pmx.policy.units import check_risk_free

Array = NDArray[np.float64]

#: Share of the periods, the worst ones, that ``cvar`` averages over.
CVAR_TAIL = 0.05
#: A standard deviation of returns or a drawdown below this is rounding.
NOTHING = 1e-14


@checked
def drawdown(nav: pd.Series) -> pd.Series:
    """Return the drawdown from the running peak, fraction ≥ 0, Series by date.

    Examples
    --------
    >>> drawdown(pd.Series([100.0, 110.0, 99.0])).round(2).tolist()
    [0.0, 0.0, 0.1]
    """
    return (1.0 - nav / nav.cummax()).rename("drawdown")


@checked
def performance(nav: pd.Series, *, rf: pd.Series | float = 0.0, periods_per_year: float | None = None) -> pd.Series:
    r"""Return the performance figures of a NAV series.

    With simple returns r of n periods, the risk-free return f of each, and P periods in a year,

    .. math::

        \text{annualized return} = (V_n / V_0)^{P/n} - 1, \qquad
        \text{annualized volatility} = \operatorname{std}(r) \sqrt{P}, \qquad
        \text{sharpe} = \frac{\overline{r - f}}{\operatorname{std}(r - f)} \sqrt{P}, \qquad
        \text{sortino} = \frac{\overline{r - f}}{\sqrt{\overline{\min(r - f, 0)^2}}} \sqrt{P},

    std with divisor n − 1, and

    .. math:: \text{cvar} = \min_a \; a + \frac{1}{0.05 \, n} \sum_i \max(-r_i - a, 0),

    the mean loss of the worst 5 % of periods, a fraction of a period counting as a fraction.

    Parameters
    ----------
    nav : Series by date
        Net asset value, > 0.
    rf : float or Series by date
        Risk-free simple return of one period (not of a year); a Series must cover every period.
    periods_per_year : float, optional
        ``P`` > 0. Counted by the dates of ``nav`` when omitted, 252 where they do not tell; a figure that contradicts
        them by more than 20 % is warned of.

    Returns
    -------
    Series
        ``total_return``, ``annualized_return``, ``annualized_volatility``, ``sharpe_ratio``, ``sortino_ratio``,
        ``max_drawdown`` (positive), ``calmar_ratio`` (annualized return ÷ max drawdown), ``cvar`` (positive for a
        loss), ``worst_period``, ``best_period``, ``share_of_gains`` (of periods with r > 0), ``skewness`` (third
        moment ÷ σ³, divisor n), then ``rf_annual`` (mean f × P) and ``periods_per_year`` as used. A ratio whose
        denominator is zero is NaN.

    Raises
    ------
    DataError
        When there are fewer than two values, one is not positive, ``rf`` misses a date, is not finite or is a year's,
        or ``periods_per_year`` is not positive.

    References
    ----------
    Sharpe (1994), The Sharpe Ratio. Rockafellar and Uryasev (2000), Optimization of Conditional Value-at-Risk,
    section 2.

    Examples
    --------
    >>> figures = performance(pd.Series([100.0, 101.0, 100.0, 103.0]), periods_per_year=252)
    >>> round(float(figures["max_drawdown"]), 4)
    0.0099
    """
    check_periods(periods_per_year)
    periods_per_year = _periods(periods_per_year, nav.index)
    if len(nav) < 2:
        raise DataError(f"performance needs at least two NAV values; got {len(nav)}")
    if isinstance(rf, pd.Series):
        nav, rf = dated(nav, "nav"), dated(rf, "rf")
    values = nav.to_numpy(dtype=np.float64)
    sound = np.isfinite(values) & (values > 0)
    if not sound.all():
        bad = int(np.argmin(sound))
        raise DataError(f"NAV at {nav.index[bad]} is {values[bad]}; returns need a finite NAV above zero")
    returns = values[1:] / values[:-1] - 1.0
    free = _per_period(rf, nav.index[1:])
    check_risk_free(float(free.mean()), periods_per_year)
    excess = returns - free
    growth = math.log(values[-1] / values[0])
    with np.errstate(over="ignore"):  # a leap in a few periods can be infinite by the year
        annual = float(np.expm1(growth * periods_per_year / len(returns)))
    deepest = float(drawdown(nav).max())
    root = math.sqrt(periods_per_year)
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    return pd.Series(
        {
            "total_return": values[-1] / values[0] - 1.0,
            "annualized_return": annual,
            "annualized_volatility": _spread(returns) * root,
            "sharpe_ratio": _ratio(float(excess.mean()) * root, _spread(excess)),
            "sortino_ratio": _ratio(float(excess.mean()) * root, downside),
            "max_drawdown": deepest,
            "calmar_ratio": _ratio(annual, deepest),
            "cvar": _cvar(-returns),
            "worst_period": float(returns.min()),
            "best_period": float(returns.max()),
            "share_of_gains": float((returns > 0).mean()),
            "skewness": _skewness(returns),
            "rf_annual": float(free.mean()) * periods_per_year,
            "periods_per_year": float(periods_per_year),
        },
        name="value",
    )


def _periods(stated: float | None, dates: pd.Index) -> float:
    if stated is not None:
        warn_of_contradiction(stated, dates, "periods_per_year")
        return stated
    return rows_per_year_of_run(dates) if isinstance(dates, pd.DatetimeIndex) else BUSINESS_DAYS


def check_periods(periods_per_year: float | None) -> None:
    """Refuse a year without periods.

    Raises
    ------
    DataError
        When ``periods_per_year`` is not a finite number above zero.
    """
    if periods_per_year is not None and not 0.0 < periods_per_year < math.inf:
        raise DataError(f"periods_per_year is {periods_per_year}; give a number above zero, 252 for daily closes")


def _per_period(rf: pd.Series | float, dates: pd.Index) -> Array:
    if not isinstance(rf, pd.Series):
        free = np.full(len(dates), float(rf))
    else:
        free = rf.reindex(dates).to_numpy(dtype=np.float64)
    if not np.isfinite(free).all():
        bad = int(np.argmin(np.isfinite(free)))
        raise DataError(f"rf at {day(dates[bad])} is {free[bad]}; give a finite return for every period")
    return free


def _cvar(losses: Array) -> float:
    share = CVAR_TAIL * len(losses)
    worst = np.sort(losses)[::-1]
    counted = np.clip(share - np.arange(len(worst)), 0.0, 1.0)
    return float(counted @ worst) / share if share >= 1.0 else float(worst[0])


def _spread(returns: Array) -> float:
    return float(returns.std(ddof=1)) if len(returns) > 1 else math.nan


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > NOTHING else math.nan


def _skewness(returns: Array) -> float:
    spread = float(returns.std())
    return float(np.mean((returns - returns.mean()) ** 3)) / spread**3 if spread > NOTHING else math.nan
