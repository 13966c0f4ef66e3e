"""What became of confidence, as it was stated and as it was calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked
from pmx.monitoring.forecast_report import ForecastReport
from pmx.signals.scoring import reliability_table

FloatArray = npt.NDArray[np.float64]

STATED, CALIBRATED = "as stated", "calibrated"


@dataclass(frozen=True, eq=False)
class _Statements:
    """Confidences of BUYs and SELLs, by name, beside whether they were right; all of one length."""

    confidence: dict[str, FloatArray]
    right: npt.NDArray[np.bool_]
    made: int  # calibrated or not


def reliability_curves(report: ForecastReport) -> dict[str, pd.DataFrame]:
    """Return the reliability tables of confidence as stated and, where some was calibrated, of the same, calibrated."""
    said = _statements(report)
    return {name: reliability_table(confidence, said.right) for name, confidence in said.confidence.items()}


@checked
def confidence_table(report: ForecastReport) -> pd.DataFrame:
    r"""Return how confidence compares with what came, as text; one row as stated, one as calibrated.

    The Brier score is the mean of :math:`(c - 1\{\text{right}\})^2`: lower is better, 0.25 is what 0.5 gets, always.

    References
    ----------
    Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78.
    """
    said = _statements(report)
    rows = {
        name: {
            "statements": f"{len(said.right):,}",
            "mean": f"{confidence.mean():.3f}",
            "right": f"{said.right.mean():.3f}",
            "Brier score": f"{np.mean((confidence - said.right) ** 2):.4f}",
        }
        for name, confidence in said.confidence.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("confidence")


@checked
def confidence_words(report: ForecastReport) -> str:
    """Return what was done about confidence, in a sentence or two."""
    said = _statements(report)
    coin = "A Brier score of 0.25 is what a confidence of 0.5 gets, always."
    if not said.confidence:
        return "No BUY or SELL was given, so that there is no confidence to score."
    if report.calibration == "none":
        return f"Confidence is as the engine states it (signal_routing_config.calibration.method: none). {coin}"
    method = f"signal_routing_config.calibration.method: {report.calibration}"
    if CALIBRATED not in said.confidence:
        return (
            f"{method}, but nothing was calibrated: at no date were min_outcomes separate outcomes of BUYs and SELLs "
            f"known. Confidence is as stated. {coin}"
        )
    return (
        f"{method}. Of {said.made:,} BUYs and SELLs, {len(said.right):,} came after the first map was fitted; "
        f"confidence is scored on these, calibrated by what was known before each. {coin}"
    )


def _statements(report: ForecastReport) -> _Statements:
    walks = list(report.engine.values())
    stated = np.concatenate([walk.confidence for walk in walks])
    calibrated = np.concatenate(
        [np.full(len(walk), np.nan) if walk.calibrated is None else walk.calibrated for walk in walks]
    )
    right = np.concatenate([walk.right for walk in walks])
    known = np.concatenate([walk.signed for walk in walks]) & np.isfinite(stated)
    both = known & np.isfinite(calibrated)
    if both.any():
        return _Statements({STATED: stated[both], CALIBRATED: calibrated[both]}, right[both], int(known.sum()))
    confidence = {STATED: stated[known]} if known.any() else {}
    return _Statements(confidence, right[known], int(known.sum()))
