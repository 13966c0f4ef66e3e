"""How good the time-series engine's forecasts have been, beside a random walk: scores and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.data import check_prices, price_findings
from pmx.data.quality import warn_of
from pmx.errors import DataError
from pmx.execution import default_engines
from pmx.policy import Policy
from pmx.projection.progress import counting
from pmx.signals.scoring import Forecasts, RandomWalk, walk_engine, walk_forecaster
from pmx.signals.scoring.comparison import FEWEST
from pmx.signals.scoring.forecasts import LEVEL

#: Row of the table that holds all symbols together.
ALL = "all"


@dataclass(frozen=True, eq=False)
class ForecastReport:
    """Hold a walk-forward of the engine and of a random walk over the same outcomes.

    Attributes
    ----------
    engine, baseline : mapping of str to Forecasts
        By symbol.
    horizon, every : int
        Bars that a forecast covers; rows from one to the next.
    table : DataFrame by symbol
        Scores, with a last row ``all``: ``forecasts``, and ``signed``, those that became a BUY or a
        SELL; ``crps``, ``crps_ratio`` (to the random walk's) and ``crps_p`` (Diebold–Mariano, two-sided);
        ``rmse_ratio`` and ``rmse_p``; ``log_score`` and ``log_score_gain`` (over the random walk, nats a forecast);
        ``directional_accuracy`` of the signed ones, NaN without any, and ``up``, the share of outcomes above 0;
        ``interval_coverage`` of the engine's own 90 % interval, ``coverage`` of that of its distribution, and
        ``baseline_coverage``. In the row ``all``, ratios are geometric means over symbols, other scores means over
        symbols, and shares those of all forecasts together; it has no tests, since symbols move together.
    calibration : str
        The method by which confidence was calibrated, or ``none``.
    seconds : float
        What the engine took for all its forecasts.
    left_out : tuple of str
        Symbols with too few forecasts to score.
    """

    engine: Mapping[str, Forecasts]
    baseline: Mapping[str, Forecasts]
    horizon: int
    every: int
    table: pd.DataFrame
    calibration: str
    seconds: float
    left_out: tuple[str, ...]


@checked(outside=["prices"])
def forecast_report(
    prices: pd.DataFrame, policy: Policy, *, every: int | None = None, progress: bool = False
) -> ForecastReport:
    """Walk the time-series engine, as the policy configures it, through history, and a random walk beside it.

    Parameters
    ----------
    prices : DataFrame, date × symbol
        Closes; NaN where there is none.
    policy : Policy
        Its ``signal_routing_config.engines.time_series``.
    every : int, optional
        Rows from one forecast to the next; the engine's horizon, so that outcomes do not overlap, when omitted.
    progress : bool
        Show a progress bar, on standard error where that is a terminal.

    Returns
    -------
    ForecastReport

    Raises
    ------
    DataError
        If no forecast has a known outcome: the history is too short; or as `pmx.data.check_prices`.
    """
    prices = check_prices(prices)
    warn_of(price_findings(prices))
    symbols = [str(symbol) for symbol in prices.columns]
    engine: Any = default_engines(policy, symbols, ["time_series"])[0]  # which has diagnostics
    horizon = policy.signal_routing_config.engines.time_series.horizon
    step = every or horizon
    origins = len(range(step - 1, len(prices) - horizon, step))
    with counting("forecasts", origins, progress) as advance:
        walked = walk_engine(engine, prices, horizon, every=step, advance=advance)
    mine, others = {}, {}
    for symbol, forecasts in walked.items():
        closes = prices[symbol].dropna()
        returns = np.log(closes).diff().iloc[1:].rename(symbol)
        baseline = walk_forecaster(RandomWalk(), returns, horizon, every=step, at=forecasts.dates)
        both = forecasts.dates.isin(baseline.dates)
        if both.sum() >= max(FEWEST, 2 * forecasts.overlap):
            mine[symbol], others[symbol] = forecasts.only(both), baseline
    if not mine:
        need = policy.signal_routing_config.engines.time_series.min_observations
        raise DataError(
            f"{len(prices)} rows give fewer than {FEWEST} forecasts with a known outcome; the engine speaks after "
            f"{need} returns (min_observations) and each outcome takes {horizon} bars: give a longer history"
        )
    return ForecastReport(
        engine=mine,
        baseline=others,
        horizon=horizon,
        every=step,
        table=_scores(mine, others),
        calibration=policy.signal_routing_config.calibration.method,
        seconds=sum(forecasts.seconds for forecasts in walked.values()),
        left_out=tuple(symbol for symbol in symbols if symbol not in mine),
    )


@checked
def forecasts_frame(report: ForecastReport) -> pd.DataFrame:
    """Return every forecast, the engine's and the random walk's, one a row."""
    parts = []
    for walks in (report.engine, report.baseline):
        for symbol, walk in walks.items():
            nowhere = np.full(len(walk), math.nan)
            low, high = (nowhere, nowhere) if walk.interval is None else walk.interval.T
            columns = {
                "date": walk.dates,
                "symbol": symbol,
                "source": walk.model,
                "model": list(walk.made_by),
                "horizon": report.horizon,
                "direction": walk.sides.astype(int),
                "mean": walk.mean,
                "volatility": walk.volatility,
                "degrees_of_freedom": walk.degrees_of_freedom,
                "low_90": low,
                "high_90": high,
                "confidence": walk.confidence,
                "calibrated_confidence": nowhere if walk.calibrated is None else walk.calibrated,
                "outcome": walk.outcome,
                "pit": walk.pit,
                "crps": walk.crps,
                "log_score": walk.log_score,
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _scores(engine: Mapping[str, Forecasts], baseline: Mapping[str, Forecasts]) -> pd.DataFrame:
    rows: dict[str, dict[str, Any]] = {}
    for symbol, walk in engine.items():
        other = baseline[symbol]
        of_crps, of_error = walk.against(other)
        rows[symbol] = {
            "forecasts": len(walk),
            "signed": int(walk.signed.sum()),
            "crps": float(walk.crps.mean()),
            "crps_ratio": float(walk.crps.mean() / other.crps.mean()),
            "crps_p": of_crps.p_value,
            "rmse_ratio": math.sqrt(walk.squared_error.mean() / other.squared_error.mean()),
            "rmse_p": of_error.p_value,
            "log_score": float(walk.log_score.mean()),
            "log_score_gain": float((other.log_score - walk.log_score).mean()),
            "directional_accuracy": walk.directional_accuracy,
            "up": float((walk.outcome > 0.0).mean()),
            "interval_coverage": walk.interval_coverage,
            "coverage": walk.coverage(LEVEL),
            "baseline_coverage": other.coverage(LEVEL),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return pd.DataFrame.from_dict(rows | {ALL: _together(frame)}, orient="index").rename_axis("symbol")


def _together(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the row of all symbols."""
    row: dict[str, Any] = dict(frame.mean()) | {"crps_p": math.nan, "rmse_p": math.nan}
    for name in ("forecasts", "signed"):
        row[name] = int(frame[name].sum())
    for name in ("crps_ratio", "rmse_ratio"):
        row[name] = float(np.exp(np.log(frame[name]).mean()))
    for name in ("up", "interval_coverage", "coverage", "baseline_coverage"):
        row[name] = float(np.average(frame[name], weights=frame["forecasts"]))
    right = float((frame["directional_accuracy"].fillna(0.0) * frame["signed"]).sum())
    row["directional_accuracy"] = right / row["signed"] if row["signed"] else math.nan
    return row
