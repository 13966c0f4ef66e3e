"""Risk scaling: a bucket's budget shrinks as its volatility and its drawdown grow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked
from pmx.data.calendar import BUSINESS_DAYS
from pmx.errors import DataError, PolicyError
from pmx.risk.drawdown import Drawdown
from pmx.risk.recursion import checked_return
from pmx.risk.volatility import GarchVolatility, VolatilityForecast

if TYPE_CHECKING:
    from pmx.policy import Policy

#: Returns that a bucket must have shown before its scale leaves 1.
MIN_OBSERVATIONS = 20


@checked
@dataclass(frozen=True, slots=True)
class BucketRiskState:
    """Hold the risk of one bucket, on its own capital.

    Parameters
    ----------
    realized_vol : float
        Forecast volatility, annualised, ≥ 0.
    current_drawdown : float
        Drawdown now, fraction of the peak in [0, 1].
    max_drawdown : float
        Drawdown that the bucket is allowed, fraction of the peak in [0, 1].
    target_vol : float
        Volatility at which the budget is left as it is, annualised, > 0.

    Raises
    ------
    DataError
        If a field is not finite or out of its range; the message names it.

    Examples
    --------
    >>> BucketRiskState(realized_vol=0.2, current_drawdown=0.05, max_drawdown=0.2, target_vol=0.1).target_vol
    0.1
    """

    realized_vol: float
    current_drawdown: float
    max_drawdown: float
    target_vol: float

    def __post_init__(self) -> None:
        for name, valid, limit in (
            ("realized_vol", 0.0 <= self.realized_vol < math.inf, "must be finite and not negative"),
            ("current_drawdown", 0.0 <= self.current_drawdown <= 1.0, "must lie in [0, 1]"),
            ("max_drawdown", 0.0 <= self.max_drawdown <= 1.0, "must lie in [0, 1]"),
            ("target_vol", 0.0 < self.target_vol < math.inf, "must be finite and positive"),
        ):
            if not valid:
                value = getattr(self, name)
                raise DataError(f"BucketRiskState.{name} = {value!r} {limit}; check the bucket's returns")


@checked
@dataclass(frozen=True, slots=True)
class RiskScalerConfig:
    """Hold how a bucket's scale answers to its risk.

    Parameters
    ----------
    vol_sensitivity : float
        Exponent of target ÷ realised volatility, ≥ 0; 0 ignores volatility, 1 holds it constant.
    dd_sensitivity : float
        Cut per share of the allowed drawdown used up, ≥ 0; 0 ignores drawdown.
    min_scale, max_scale : float
        Limits of the scale, 0 ≤ min ≤ max.

    Raises
    ------
    PolicyError
        If a field is not finite or out of its range; the message names it.

    Notes
    -----
    With ``min_scale = 0`` a bucket that has used up its drawdown is never bought again, for its drawdown
    cannot recover while it holds nothing.

    Examples
    --------
    >>> RiskScalerConfig(vol_sensitivity=1.0, dd_sensitivity=1.0, min_scale=0.25, max_scale=1.0).max_scale
    1.0
    """

    vol_sensitivity: float
    dd_sensitivity: float
    min_scale: float
    max_scale: float

    def __post_init__(self) -> None:
        for name in ("vol_sensitivity", "dd_sensitivity", "min_scale", "max_scale"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise PolicyError(f"RiskScalerConfig.{name} = {value!r} must be finite and ≥ 0; correct it")
        if self.min_scale > self.max_scale:
            raise PolicyError(
                f"RiskScalerConfig.min_scale = {self.min_scale!r} exceeds max_scale = {self.max_scale!r}; "
                "lower the first or raise the second"
            )


@checked
def compute_scaling_factor(bucket_name: str, state: BucketRiskState, config: RiskScalerConfig) -> float:
    r"""Return the factor by which a bucket's budget is scaled.

    .. math::

        s = \operatorname{clip}\!\left[
            \left(\frac{\sigma_{\text{target}}}{\sigma_{\text{realized}}}\right)^{a}
            \max\!\left(0,\; 1 - b\, \frac{D}{D_{\max}}\right),\; s_{\min},\; s_{\max}\right]

    with a = ``vol_sensitivity``, b = ``dd_sensitivity``, D = ``current_drawdown``, D_max = ``max_drawdown``.

    Parameters
    ----------
    bucket_name : str
        For messages.
    state : BucketRiskState
        The bucket's risk, known when the scale is used.
    config : RiskScalerConfig
        Sensitivities and limits.

    Returns
    -------
    float
        The scale, in [min_scale, max_scale]. It never rises with realised volatility or drawdown, and never
        falls with target volatility or allowed drawdown.

    Raises
    ------
    DataError
        If there is a drawdown but none is allowed (``max_drawdown`` 0).

    Notes
    -----
    A realised volatility of 0 is the limit of ever smaller ones: where a > 0 the scale is ``max_scale``,
    unless the drawdown factor is 0.

    References
    ----------
    Moreira and Muir (2017), "Volatility-managed portfolios", Journal of Finance 72(4), section I. Grossman
    and Zhou (1993), "Optimal investment strategies for controlling drawdowns", Mathematical Finance 3(3).

    Examples
    --------
    >>> state = BucketRiskState(realized_vol=0.2, current_drawdown=0.05, max_drawdown=0.2, target_vol=0.15)
    >>> config = RiskScalerConfig(vol_sensitivity=1.0, dd_sensitivity=1.0, min_scale=0.25, max_scale=1.0)
    >>> round(compute_scaling_factor("ts_core", state, config), 4)
    0.5625
    """
    drawdown_factor = 1.0
    if state.current_drawdown > 0.0:
        if state.max_drawdown == 0.0:
            raise DataError(
                f"bucket {bucket_name!r}: current_drawdown is {state.current_drawdown!r}, max_drawdown 0; "
                "allow the bucket some drawdown"
            )
        if config.dd_sensitivity > 0.0:
            used = state.current_drawdown / state.max_drawdown
            drawdown_factor = max(0.0, 1.0 - config.dd_sensitivity * used)
    volatility_factor = _ratio_power(state.target_vol, state.realized_vol, config.vol_sensitivity)
    scale = volatility_factor * drawdown_factor if drawdown_factor > 0.0 else 0.0
    return min(max(scale, config.min_scale), config.max_scale)


def _ratio_power(target: float, realized: float, exponent: float) -> float:
    """Return (target / realized) ** exponent, infinite where that is its limit or it overflows."""
    if exponent == 0.0:
        return 1.0
    if realized == 0.0:
        return math.inf
    try:
        return float((target / realized) ** exponent)
    except OverflowError:
        return math.inf


@dataclass(frozen=True, slots=True)
class _BucketRecord:
    """Where one bucket's returns are kept."""

    config: RiskScalerConfig
    target_vol: float
    max_drawdown: float
    volatility: GarchVolatility
    drawdown: Drawdown

    @property
    def ready(self) -> bool:
        return self.volatility.observations >= MIN_OBSERVATIONS


class RiskScaler:
    """Follow each bucket's own returns and scale its budget by them.

    Parameters
    ----------
    policy : Policy
        Its ``risk_scaler`` section says which buckets are scaled and how; its ``risk_buckets`` names all
        buckets.

    Notes
    -----
    `scales` uses the returns that `update` was given and nothing else. Call `update` with the bar's returns
    first and `scales` after it to decide at the bar's close.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> policy = Policy.from_mapping({
    ...     "risk_buckets": {"buckets": {"safe": {"role": "safe", "base_nav_frac": 0.8},
    ...                                  "ts_core": {"role": "risk", "base_nav_frac": 0.2}}},
    ...     "risk_scaler": {"buckets": {"ts_core": {"target_vol": 0.10}}},
    ... })
    >>> scaler = RiskScaler(policy)
    >>> for day in range(30):
    ...     scaler.update({"ts_core": 0.02 if day % 2 else -0.02})
    >>> scaler.scales().round(3)
    safe       1.000
    ts_core    0.306
    Name: risk_scale, dtype: float64
    """

    @checked
    def __init__(self, policy: Policy) -> None:
        section = policy.risk_scaler
        self._buckets = tuple(policy.risk_buckets.buckets)
        self._records: dict[str, _BucketRecord] = {}
        self._scales = np.ones(len(self._buckets))
        self._moved: set[str] = set()  # buckets whose scale is older than their last return
        stated = section.volatility.periods_per_year
        self._periods_per_year = BUSINESS_DAYS if stated == "auto" else float(stated)
        if not (section.enabled and policy.risk_buckets.enabled):  # without budgets there is nothing to scale
            return
        settings = section.volatility.model_dump() | {"periods_per_year": self._periods_per_year}
        for name, bucket in section.buckets.items():
            self._records[name] = _BucketRecord(
                config=RiskScalerConfig(
                    bucket.vol_sensitivity, bucket.dd_sensitivity, bucket.min_scale, bucket.max_scale
                ),
                target_vol=bucket.target_vol,
                max_drawdown=bucket.max_drawdown,
                volatility=GarchVolatility(**settings),
                drawdown=Drawdown(),
            )

    @property
    def periods_per_year(self) -> float:
        """Bars in a year, by which volatilities are annualised: the policy's; while that is ``auto``, 252 until set."""
        return self._periods_per_year

    @periods_per_year.setter
    def periods_per_year(self, periods: float) -> None:
        if periods == self._periods_per_year:
            return
        self._periods_per_year = periods
        for record in self._records.values():
            record.volatility.periods_per_year = periods
        self._moved |= {name for name, record in self._records.items() if record.ready}

    @property
    def listens(self) -> bool:
        """Whether any bucket's scale follows its returns."""
        return bool(self._records)

    @checked
    def update(self, bucket_returns: Mapping[str, float] | pd.Series[float]) -> None:
        """Take in one bar.

        Parameters
        ----------
        bucket_returns : mapping of str to float, or Series by bucket
            Simple return of each bucket on its own capital over the bar, fraction. A bucket that is absent or
            NaN (it held nothing) keeps its state.

        Raises
        ------
        DataError
            If a bucket is unknown, or its return is infinite or larger than 1e6 in size; nothing is changed
            then.
        """
        heard: dict[str, float] = {}
        for name, value in bucket_returns.items():
            if name not in self._records and name not in self._buckets:
                raise DataError(
                    f"return of unknown bucket {name!r}; the policy has {', '.join(self._buckets) or 'none'}"
                )
            if math.isnan(value):
                continue
            number = checked_return(value, f"bucket {name!r}")
            if name in self._records:
                heard[name] = number
        for name, number in heard.items():
            self._moved.add(name)
            self._records[name].volatility.update(number)
            self._records[name].drawdown.update(number)

    def scales(self) -> pd.Series:
        """Return the scale of each bucket.

        Returns
        -------
        Series by bucket
            In the policy's order. 1 for a bucket without a scaler, with the scaler switched off, or with
            fewer than 20 returns so far.
        """
        return pd.Series(self.scale_array(), index=self._buckets, name="risk_scale")

    def scale_array(self) -> npt.NDArray[np.float64]:
        """Return `scales` as an array, shape (n_buckets,)."""
        for name, state, _ in self._ready(self._moved):
            scale = compute_scaling_factor(name, state, self._records[name].config)
            self._scales[self._buckets.index(name)] = scale
        self._moved.clear()
        return self._scales.copy()

    def states(self) -> dict[str, BucketRiskState]:
        """Return the risk of each scaled bucket that has shown at least 20 returns."""
        return {name: state for name, state, _ in self._ready(self._records)}

    def diagnostics(self) -> pd.DataFrame:
        """Return what each scale rests on.

        Returns
        -------
        DataFrame by scaled bucket
            Columns ``observations``, ``realized_vol`` (annualised; NaN while the scale is held at 1),
            ``current_drawdown`` and ``deepest_drawdown`` (fractions), ``model``, ``fallback_reason``,
            ``scale``.
        """
        scales = self.scales()
        rows = {
            name: {
                "observations": record.volatility.observations,
                "realized_vol": math.nan,
                "current_drawdown": record.drawdown.current,
                "deepest_drawdown": record.drawdown.maximum,
                "model": "",
                "fallback_reason": f"{record.volatility.observations} returns, {MIN_OBSERVATIONS} needed",
                "scale": float(scales[name]),
            }
            for name, record in self._records.items()
        }
        for name, _, forecast in self._ready(self._records):
            rows[name]["realized_vol"] = forecast.volatility
            rows[name]["model"] = forecast.model
            rows[name]["fallback_reason"] = forecast.fallback_reason
        columns = [
            "observations",
            "realized_vol",
            "current_drawdown",
            "deepest_drawdown",
            "model",
            "fallback_reason",
            "scale",
        ]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return table.rename_axis("bucket")

    def _ready(self, names: Iterable[str]) -> Iterator[tuple[str, BucketRiskState, VolatilityForecast]]:
        """Yield those of the buckets whose scale rests on their own returns."""
        for name in names:
            record = self._records[name]
            if record.ready:
                forecast = record.volatility.forecast(annualized=True)
                state = BucketRiskState(
                    realized_vol=forecast.volatility,
                    current_drawdown=record.drawdown.current,
                    max_drawdown=record.max_drawdown,
                    target_vol=record.target_vol,
                )
                yield name, state, forecast
