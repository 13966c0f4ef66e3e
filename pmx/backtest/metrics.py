"""Performance figures of a NAV series, with the risk-free rate and the year's length made explicit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from pmx.errors import DataError

#: Tail of the loss distribution that ``cvar`` averages over.
CVAR_TAIL = 0.05


def drawdown(nav: pd.Series) -> pd.Series:
    """Return the drawdown from the running peak, fraction ≥ 0, Series by date.

    Examples
    --------
    >>> drawdown(pd.Series([100.0, 110.0, 99.0])).round(2).tolist()
    [0.0, 0.0, 0.1]
    """
    return (1.0 - nav / nav.cummax()).rename("drawdown")


def performance(nav: pd.Series, *, rf: pd.Series | float = 0.0, periods_per_year: float = 252.0) -> pd.Series:
    r"""Return the performance figures of a NAV series.

    .. math::

        \text{sharpe} = \frac{\overline{r - r_f}}{\operatorname{std}(r - r_f)} \sqrt{P}, \qquad
        \text{sortino} = \frac{\overline{r - r_f}}{\sqrt{\overline{\min(r - r_f, 0)^2}}} \sqrt{P}

    Parameters
    ----------
    nav : Series by date
        Net asset value, > 0.
    rf : float or Series by date
        Risk-free simple return of one period (not of a year); a Series must cover every period.
    periods_per_year : float
        ``P``.

    Returns
    -------
    Series
        ``total_return``, ``annualized_return`` (geometric), ``annualized_volatility``, ``sharpe_ratio``,
        ``sortino_ratio``, ``max_drawdown`` (positive), ``calmar_ratio``, ``cvar`` (mean of the worst 5 % of periods,
        positive for a loss), ``worst_period``, ``best_period``, ``share_of_gains``, ``skewness``, then ``rf_annual`` and
        ``periods_per_year`` as used. A ratio whose denominator is zero is NaN.

    Raises
    ------
    DataError
        When there are fewer than two values, one is not positive, or ``rf`` misses a date.

    References
    ----------
    Sharpe (1994), The Sharpe Ratio. Rockafellar and Uryasev (2000), Optimization of Conditional Value-at-Risk.

    Examples
    --------
    >>> figures = performance(pd.Series([100.0, 101.0, 100.0, 103.0]), periods_per_year=252)
    >>> round(float(figures["max_drawdown"]), 4)
    0.0099
    """
    if len(nav) < 2:
        raise DataError(f"performance needs at least two NAV values; got {len(nav)}")
    values = nav.to_numpy(dtype=np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        where = nav.index[int(np.flatnonzero(~(np.isfinite(values) & (values > 0)))[0])]
        raise DataError(f"NAV at {where} is {nav.loc[where]}; returns need NAV above zero")
    returns = values[1:] / values[:-1] - 1.0
    free = _per_period(rf, nav.index[1:])
    excess = returns - free
    years = len(returns) / periods_per_year
    growth = float(values[-1] / values[0])
    annual = growth ** (1.0 / years) - 1.0
    deepest = float(drawdown(nav).max())
    tail = np.sort(returns)[: max(1, math.ceil(CVAR_TAIL * len(returns)))]
    root = math.sqrt(periods_per_year)
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else math.nan
    excess_spread = float(excess.std(ddof=1)) if len(returns) > 1 else math.nan
    return pd.Series(
        {
            "total_return": growth - 1.0,
            "annualized_return": annual,
            "annualized_volatility": spread * root,
            "sharpe_ratio": _ratio(float(excess.mean()) * root, excess_spread),
            "sortino_ratio": _ratio(float(excess.mean()) * root, downside),
            "max_drawdown": deepest,
            "calmar_ratio": _ratio(annual, deepest),
            "cvar": -float(tail.mean()),
            "worst_period": float(returns.min()),
            "best_period": float(returns.max()),
            "share_of_gains": float((returns > 0).mean()),
            "skewness": _skewness(returns),
            "rf_annual": float(free.mean()) * periods_per_year,
            "periods_per_year": float(periods_per_year),
        },
        name="value",
    )


def _per_period(rf: pd.Series | float, dates: pd.Index) -> np.ndarray:
    if not isinstance(rf, pd.Series):
        return np.full(len(dates), float(rf))
    aligned = rf.reindex(dates)
    if aligned.isna().any():
        raise DataError(f"rf has no value at {dates[int(np.flatnonzero(aligned.isna())[0])]}; give one for every period")
    return aligned.to_numpy(dtype=np.float64)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 1e-15 else math.nan


def _skewness(returns: np.ndarray) -> float:
    spread = float(returns.std())
    return float(np.mean((returns - returns.mean()) ** 3)) / spread**3 if spread > 1e-15 else math.nan
