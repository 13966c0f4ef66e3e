"""How good the time-series engine's forecasts have been, beside a random walk: scores, tests, pictures, and words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import pmx
from pmx.errors import DataError
from pmx.execution import default_engines
from pmx.monitoring import charts
from pmx.monitoring.page import SCRIPT, cards, heading, page, paragraph, side_by_side, table
from pmx.policy import Policy
from pmx.projection.progress import counting
from pmx.signals.scoring import Forecasts, RandomWalk, reliability_table, walk_engine, walk_forecaster
from pmx.signals.scoring.comparison import FEWEST

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: The interval whose coverage is reported, and the range of it that passes for calibrated.
LEVEL, CALIBRATED = 0.90, (0.88, 0.92)
SOURCE = "time_series_core"
#: Row of the table that holds all symbols together.
ALL = "all"

#: What the columns of the table mean.
LEGEND = (
    "÷ RW: ratio to the random walk's, below 1 is better. p: Diebold–Mariano test of equal accuracy, two-sided. log "
    "gain: nats a forecast over the random walk, above 0 is better. sign: directions that were right; up: outcomes "
    "above 0, which is what always saying up gets right. in 90 %, RW: outcomes inside the 90 % interval, the engine's "
    "and the random walk's. seconds: for all forecasts of the symbol."
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
        Scores, with a last row ``all``: ``forecasts``; ``crps``, ``crps_ratio`` (to the random walk's) and ``crps_p``
        (Diebold–Mariano, two-sided); ``rmse_ratio`` and ``rmse_p``; ``log_score`` and ``log_score_gain`` (over the
        random walk, nats a forecast); ``directional_accuracy`` and ``up``, the share of outcomes above 0; ``coverage``
        and ``baseline_coverage`` of the 90 % interval; ``seconds``. The row ``all`` has means and no tests, since
        symbols move together.
    """

    engine: Mapping[str, Forecasts]
    baseline: Mapping[str, Forecasts]
    horizon: int
    every: int
    table: pd.DataFrame


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
        If no forecast has a known outcome: the history is too short.
    """
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
    return ForecastReport(mine, others, horizon, step, _scores(mine, others))


def forecast_report_html(report: ForecastReport, title: str = "Forecasts") -> str:
    """Return the report as one HTML page that loads nothing from elsewhere."""
    first = min(walk.dates[0] for walk in report.engine.values())
    last = max(walk.dates[-1] for walk in report.engine.values())
    span = (
        f"{SOURCE} beside a random walk: {len(report.engine)} symbols, forecasts of {report.horizon} bars, one every "
        f"{report.every} rows, {first:%d %B %Y} to {last:%d %B %Y}. Each was made with what was known at its date."
    )
    body = [
        f"<header>{heading(title, 1)}{paragraph(span, 'soft')}</header>",
        *(paragraph(words) for words in WORDS),
        cards(_key_figures(report)),
        heading("Scores"),
        table(forecast_table(report), marks=["total" if name == ALL else "" for name in report.table.index]),
        paragraph(
            f"{LEGEND} The test has the correction of Harvey, Leybourne and Newbold.",
            "soft",
        ),
        heading("Calibration"),
        *_calibration(report),
        f"<footer>pmx {pmx.__version__}</footer>",
    ]
    return page(title, body, [charts.plotly_js(), SCRIPT])


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
        "sign": rows["directional_accuracy"].map("{:.1%}".format),
        "up": rows["up"].map("{:.1%}".format),
        "in 90 %": rows["coverage"].map("{:.1%}".format),
        "RW": rows["baseline_coverage"].map("{:.1%}".format),
        "seconds": rows["seconds"].map("{:.2f}".format),
    }
    return pd.DataFrame(text, index=rows.index)


def forecasts_frame(report: ForecastReport) -> pd.DataFrame:
    """Return every forecast, the engine's and the random walk's, one a row."""
    parts = []
    for walks in (report.engine, report.baseline):
        for symbol, walk in walks.items():
            columns = {
                "date": walk.dates,
                "symbol": symbol,
                "model": walk.model,
                "mean": walk.mean,
                "volatility": walk.volatility,
                "degrees_of_freedom": walk.degrees_of_freedom,
                "confidence": walk.confidence,
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
            "crps": float(walk.crps.mean()),
            "crps_ratio": float(walk.crps.mean() / other.crps.mean()),
            "crps_p": of_crps.p_value,
            "rmse_ratio": math.sqrt(walk.squared_error.mean() / other.squared_error.mean()),
            "rmse_p": of_error.p_value,
            "log_score": float(walk.log_score.mean()),
            "log_score_gain": float((other.log_score - walk.log_score).mean()),
            "directional_accuracy": walk.directional_accuracy,
            "up": float((walk.outcome > 0.0).mean()),
            "coverage": walk.coverage(LEVEL),
            "baseline_coverage": other.coverage(LEVEL),
            "seconds": walk.seconds,
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    together: dict[str, Any] = dict(frame.mean()) | {"forecasts": int(frame["forecasts"].sum())}
    together |= {"crps_p": math.nan, "rmse_p": math.nan}
    for name in ("coverage", "baseline_coverage", "directional_accuracy", "up"):
        together[name] = np.average(frame[name].fillna(0.5), weights=frame["forecasts"])
    return pd.DataFrame.from_dict(rows | {ALL: together}, orient="index").rename_axis("symbol")


def _key_figures(report: ForecastReport) -> Iterator[tuple[str, str, str]]:
    row = report.table.loc[ALL]
    low, high = CALIBRATED
    kind = "good" if low <= row["coverage"] <= high else "bad"
    yield f"{row['coverage']:.1%}", "of outcomes inside the 90 % interval", kind
    yield f"{row['crps_ratio']:.3f}", "CRPS ÷ that of a random walk, mean over symbols", ""
    better = int((report.table["crps_ratio"].iloc[:-1] < 1.0).sum())
    surely = int(((report.table["crps_ratio"] < 1.0) & (report.table["crps_p"] < 0.05)).sum())
    yield f"{better} of {len(report.engine)}", f"symbols with a lower CRPS; {surely} of them with p < 0.05", ""
    yield f"{row['directional_accuracy']:.1%}", f"right signs; always up: {row['up']:.1%}", ""
    yield f"{row['seconds']:.2f} s", "a symbol", ""


def _calibration(report: ForecastReport) -> Iterator[str]:
    stated = np.concatenate([walk.confidence for walk in report.engine.values()])
    right = np.concatenate([walk.right for walk in report.engine.values()])
    # A forecast of nothing has no sign that could be right.
    known = ~np.isnan(stated) & np.concatenate([(w.mean != 0.0) & (w.outcome != 0.0) for w in report.engine.values()])
    drawn = [charts.as_html(_pit(report), "pit")]
    if known.any():
        drawn.append(charts.as_html(_reliability(reliability_table(stated[known], right[known])), "reliability"))
    yield side_by_side(drawn)
    yield paragraph(
        "Left: where in its forecast distribution each outcome fell. Calibrated forecasts give level bars; heaps at "
        "both ends say that they were too sure, a heap in the middle that they were not sure enough, a slope that they "
        "were biased. The band holds 95 % of the bars of independent calibrated forecasts; symbols that move together "
        "leave it more often. Right: confidence as stated beside the share of signs that were right, with 95 % "
        "intervals. On the diagonal, a confidence of 0.6 means right six times in ten; "
        "signal_routing_config.calibration puts it there.",
        "soft",
    )


def _pit(report: ForecastReport, bins: int = 20) -> go.Figure:
    import plotly.graph_objects as go

    values = np.concatenate([walk.pit for walk in report.engine.values()])
    other = np.concatenate([walk.pit for walk in report.baseline.values()])
    edges = np.linspace(0.0, 1.0, bins + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    chart = go.Figure()
    for name, sample, colour in (("engine", values, charts.LINES[0]), ("random walk", other, charts.LINES[2])):
        height = np.histogram(sample, edges)[0] * bins / len(sample)
        if name == "engine":
            chart.add_bar(x=middle, y=np.round(height, 4), name=name, marker={"color": colour})
        else:
            line = {"color": colour, "width": 1.5, "shape": "hvh"}
            chart.add_scatter(x=middle, y=np.round(height, 4), name=name, mode="lines", line=line)
    half = 1.96 * math.sqrt((1 - 1 / bins) * bins / len(values))
    chart.add_hrect(y0=1 - half, y1=1 + half, fillcolor="#adb5bd", opacity=0.35, line_width=0, layer="below")
    chart.add_hline(y=1.0, line={"color": "#868e96", "width": 1, "dash": "dot"})
    chart.update_xaxes(title="probability integral transform", range=[0.0, 1.0])
    chart.update_yaxes(title="density", rangemode="tozero")
    return _look(chart)


def _reliability(bins: pd.DataFrame) -> go.Figure:
    import plotly.graph_objects as go

    chart = go.Figure()
    low, high = (
        float(min(bins["stated"].min(), bins["low"].min())),
        float(max(bins["stated"].max(), bins["high"].max())),
    )
    ends = [max(0.0, low - 0.02), min(1.0, high + 0.02)]
    chart.add_scatter(
        x=ends, y=ends, mode="lines", name="calibrated", line={"color": "#868e96", "width": 1, "dash": "dot"}
    )
    chart.add_scatter(
        x=bins["stated"].round(4), y=bins["right"].round(4), mode="markers+lines", name="as stated",
        line={"color": charts.LINES[0], "width": 1.2}, text=[f"{n:,} forecasts" for n in bins["statements"]],
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.2,
            "array": (bins["high"] - bins["right"]).round(4), "arrayminus": (bins["right"] - bins["low"]).round(4),
        },
    )  # fmt: skip
    chart.update_xaxes(title="confidence stated", range=ends, tickformat=".2f")
    chart.update_yaxes(title="share of right signs", tickformat=".2f")
    return _look(chart)


def _look(chart: go.Figure) -> go.Figure:
    chart.update_layout(
        **charts.LOOK,
        height=340,
        margin={"l": 60, "r": 12, "t": 34, "b": 48},
        legend={"orientation": "h", "x": 0.0, "y": 1.02, "yanchor": "bottom"},
        bargap=0.06,
    )
    chart.update_xaxes(showgrid=False, showline=True, linecolor="#adb5bd", ticks="outside", tickcolor="#adb5bd")
    chart.update_yaxes(gridcolor="#e9ecef", zeroline=False)
    return chart


def _p_value(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
