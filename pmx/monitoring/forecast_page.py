"""The forecast report for people: a page that loads nothing from elsewhere, and tables of text."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

import pmx
from pmx.arguments import checked
from pmx.monitoring.forecast_confidence import confidence_table, confidence_words, reliability_curves
from pmx.monitoring.forecast_pictures import pit_picture, reliability_picture
from pmx.monitoring.forecast_report import ALL, ForecastReport
from pmx.monitoring.page import cards, figure, heading, page, paragraph, side_by_side, table
from pmx.signals.scoring.forecasts import CALIBRATED, LEVEL

#: Columns of the table that are not about the distribution as a whole.
OF_INTERVALS = ["sign", "up", "in 90 %", "by σ", "RW"]
#: What the columns of the table mean.
LEGEND = (
    "÷ RW: ratio to the random walk's, below 1 is better. p: Diebold–Mariano test of equal accuracy, two-sided, with "
    "the correction of Harvey, Leybourne and Newbold; – where outcomes overlap and forecasts are too few for that. log "
    "gain: nats a forecast over the random walk, above 0 is better. sign: BUYs and SELLs that were right, and how many "
    "of the forecasts those are; up: outcomes above 0, which is what always saying up gets right. in 90 %: outcomes "
    "inside the engine's own 90 % interval; by σ: inside that of its distribution; RW: of the random walk's."
)

WORDS = (
    "A forecast is a distribution, so it is scored as one. CRPS is the absolute error of a distribution, in units of "
    "the return; the log score is the negative logarithm of the density that it gave to what happened. Lower is better "
    "in both. The random walk expects no return and scales yesterday's exponentially weighted volatility: it knows "
    "nothing of direction and most of what there is to know of volatility.",
    "What to expect: the variance of daily returns can be forecast, their direction hardly. Whoever always says up is "
    "right as often as the market rises, so look at the two beside each other; a lasting lead of two or three points "
    "is rare, and one of ten points to an error in the data before it points to a discovery. The p-values are of "
    "single tests: among twenty symbols, one is below 0.05 by chance alone. A better score on the past "
    "is no promise, least of all where models were chosen by looking at it.",
)


@checked
def forecast_report_html(report: ForecastReport, title: str = "Forecasts") -> str:
    """Return the report as one HTML page that loads nothing from elsewhere."""
    first = min(walk.dates[0] for walk in report.engine.values())
    last = max(walk.dates[-1] for walk in report.engine.values())
    source = next(iter(report.engine.values())).model
    span = (
        f"{source} beside a random walk: {count(len(report.engine), 'symbol')}, forecasts of "
        f"{count(report.horizon, 'bar')}, one every {'row' if report.every == 1 else f'{report.every} rows'}, "
        f"{first:%d %B %Y} to {last:%d %B %Y}. Each was made with what was known at its date."
    )
    left = f" Left out, for want of forecasts to score: {', '.join(report.left_out)}." if report.left_out else ""
    body = [
        f"<header>{heading(title, 1)}{paragraph(span + left, 'soft')}</header>",
        *(paragraph(words) for words in WORDS),
        cards(_key_figures(report)),
        heading("Scores"),
        table(forecast_table(report), marks=["total" if name == ALL else "" for name in report.table.index]),
        paragraph(LEGEND, "soft"),
        heading("Calibration"),
        *_calibration(report),
        f"<footer>pmx {pmx.__version__}</footer>",
    ]
    return page(title, body, [])


@checked
def forecast_table(report: ForecastReport) -> pd.DataFrame:
    """Return the scores as text, one row a symbol and one for all."""
    rows = report.table
    text = {
        "n": rows["forecasts"].map("{:,}".format),
        "CRPS": rows["crps"].map("{:.3%}".format),
        "÷ RW": rows["crps_ratio"].map("{:.3f}".format),
        "p": rows["crps_p"].map(_p_value),
        "RMSE ÷ RW": rows["rmse_ratio"].map("{:.3f}".format),
        "p ": rows["rmse_p"].map(_p_value),
        "log gain": rows["log_score_gain"].map("{:+.3f}".format),
        "sign": [_sign(row) for row in rows.to_dict(orient="records")],
        "up": rows["up"].map("{:.1%}".format),
        "in 90 %": rows["interval_coverage"].map(_share),
        "by σ": rows["coverage"].map(_share),
        "RW": rows["baseline_coverage"].map(_share),
    }
    return pd.DataFrame(text, index=rows.index)


def count(number: int, thing: str) -> str:
    """Return so many things, in words.

    Examples
    --------
    >>> count(1, "bar"), count(10, "bar")
    ('1 bar', '10 bars')
    """
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _key_figures(report: ForecastReport) -> Iterator[tuple[str, str, str]]:
    symbols = report.table.drop(index=ALL)
    row = report.table.to_dict(orient="index")[ALL]
    low, high = CALIBRATED
    share, chance = row["interval_coverage"], 2.0 * math.sqrt(LEVEL * (1.0 - LEVEL) / row["forecasts"])
    off = "bad" if abs(share - LEVEL) > chance else ""  # of few forecasts, chance alone leaves the range
    yield _share(share), "of outcomes inside the 90 % interval", "good" if low <= share <= high else off
    yield f"{row['crps_ratio']:.3f}", "CRPS ÷ that of a random walk, geometric mean over symbols", ""
    lower = symbols["crps_ratio"].round(3) < 1.0  # what the table shows
    surely = lower & (symbols["crps_p"] < 0.05)
    yield f"{lower.sum()} of {len(symbols)}", f"symbols with a lower CRPS; {surely.sum()} of them with p < 0.05", ""
    yield _sign(row), f"right, among BUYs and SELLs; always up: {row['up']:.1%}", ""
    yield f"{report.seconds:.1f} s", f"for {count(int(row['forecasts']), 'forecast')}", ""


def _calibration(report: ForecastReport) -> Iterator[str]:
    mine, other = (np.concatenate([w.pit for w in walks.values()]) for walks in (report.engine, report.baseline))
    drawn = [
        figure(
            pit_picture(mine, other),
            "Where in its forecast distribution each outcome fell. Calibrated forecasts give level bars; heaps at both "
            "ends say that they were too sure, a heap in the middle that they were not sure enough, a slope that they "
            "were biased. The band holds 95 % of the bars of independent calibrated forecasts; symbols that move "
            "together leave it more often.",
        )
    ]
    curves = reliability_curves(report)
    if curves:
        drawn.append(
            figure(
                reliability_picture(curves),
                "Confidence beside the share of signs that were right, with 95 % intervals as of separate statements; "
                "as many points as leave 50 in each, up to 10. On the dotted line, a confidence of 0.6 means right six "
                "times in ten.",
            )
        )
    yield side_by_side(drawn)
    if curves:
        yield table(confidence_table(report))
    yield paragraph(confidence_words(report), "soft")


def _sign(row: Mapping[Hashable, Any]) -> str:
    if not row["signed"]:
        return "–"
    few = f" of {row['signed']:,.0f}" if row["signed"] < row["forecasts"] else ""
    return f"{row['directional_accuracy']:.1%}{few}"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1%}"


def _p_value(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
