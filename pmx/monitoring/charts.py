"""The pictures of a report, as plotly figures; plotly is imported when the first one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pmx.backtest import BacktestResult
from pmx.monitoring.tables import largest_contributions
from pmx.policy import CASH
from pmx.portfolio import UNASSIGNED

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: One colour a portfolio: the one reported on, then what it is compared with.
LINES = ("#14507f", "#c96f14", "#868e96", "#5f3dc4", "#2b8a3e")
#: One colour a bucket; safe buckets and cash are the pale ones.
SAFE = ("#d3e3ee", "#b4cfe0", "#95bbd2")
RISK = ("#14507f", "#c96f14", "#2b8a3e", "#a61e4d", "#5f3dc4", "#9c6b30", "#087f5b")
FLOOR = "#b02a2a"
SAVED = "#2b8a3e"

#: What all figures have in common.
LOOK: dict[str, Any] = {
    "template": "none",
    "font": {"family": "Helvetica, Arial, sans-serif", "size": 12, "color": "#343a40"},
    "paper_bgcolor": "white",
    "plot_bgcolor": "white",
}

#: A bucket or scale that never differs from its neutral value by more than this is left out.
SHOWN_ABOVE = 1e-4


def growth(runs: Mapping[str, BacktestResult]) -> go.Figure:
    """Draw what one unit of money became (logarithmic), and the drawdown from its peak below."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.66, 0.34], vertical_spacing=0.05)
    for (name, run), colour in zip(runs.items(), _cycle(LINES), strict=False):
        line = {"color": colour, "width": 2.2 if colour == LINES[0] else 1.2}
        wealth = run.nav / run.nav.iloc[0]
        figure.add_scatter(x=wealth.index, y=_thin(wealth), name=name, line=line, row=1, col=1)
        lost = -run.drawdown
        figure.add_scatter(x=lost.index, y=_thin(lost), name=name, line=line, showlegend=False, row=2, col=1)
    figure.update_yaxes(type="log", title="growth of 1 (log)", tickformat=".2~f", dtick="D2", row=1, col=1)
    figure.update_yaxes(title="drawdown", tickformat=".0%", row=2, col=1)
    return _styled(figure, 470)


def buckets(result: BacktestResult) -> go.Figure:
    """Draw what each bucket is worth as a share of NAV, stacked, the safe ones at the bottom."""
    weights = result.bucket_weights
    pale = set(result.policy.safe_buckets)
    if result.policy.risk_buckets.portfolio.residual_symbol is not None:
        pale.add(UNASSIGNED)  # what the residual symbol holds in place of cash
    safe = [CASH, *(name for name in weights if name in pale)]
    risk = [name for name in weights if name not in safe]
    shown = [name for name in (*safe, *risk) if weights[name].abs().max() > SHOWN_ABOVE]
    colours = dict(zip(safe, _cycle(SAFE), strict=False)) | dict(zip(risk, _cycle(RISK), strict=False))
    figure = _empty()
    for name in shown:
        figure.add_scatter(
            x=weights.index,
            y=_thin(weights[name]),
            name="cash" if name == CASH else name,
            stackgroup="nav",
            line={"width": 0.4, "color": colours[name]},
            fillcolor=colours[name],
        )
    figure.update_yaxes(title="share of NAV", tickformat=".0%", range=_room(weights[shown].sum(axis=1), 0.0))
    return _styled(figure, 330)


def safety(result: BacktestResult) -> go.Figure:
    """Draw the safe weight of every decision above its floor, and that of what was held."""
    figure = _empty()
    safe, held = result.safe_weight, result.safe_weight_held
    line = {"color": LINES[1], "width": 1.0}
    figure.add_scatter(x=held.index, y=_thin(held), name="safe weight held", line=line)
    figure.add_scatter(x=safe.index, y=_thin(safe), name="safe weight decided", line={"color": LINES[0], "width": 1.0})
    if result.safe_floor > 0:
        ends = [safe.index[0], safe.index[-1]]
        line = {"color": FLOOR, "width": 2.0, "dash": "dash"}
        figure.add_scatter(x=ends, y=[result.safe_floor] * 2, name="floor", mode="lines", line=line)
    lowest = min(float(safe.min()), float(held.min()), result.safe_floor or 1.0)
    figure.update_yaxes(title="share of NAV", tickformat=".0%", range=[max(0.0, lowest - 0.05), 1.02])
    return _styled(figure, 290)


def scales(result: BacktestResult) -> go.Figure | None:
    """Draw the risk scale of each bucket that was ever scaled; None when none was."""
    moved = [name for name in result.risk_scale if (result.risk_scale[name] - 1.0).abs().max() > SHOWN_ABOVE]
    if not moved:
        return None
    figure = _empty()
    for name, colour in zip(moved, _cycle(RISK), strict=False):
        scale = result.risk_scale[name]
        figure.add_scatter(x=scale.index, y=_thin(scale), name=name, line={"color": colour, "width": 1.2})
    figure.add_hline(y=1.0, line={"color": "#868e96", "width": 1, "dash": "dot"})
    figure.update_yaxes(title="risk scale", tickformat=".2f", range=_room(result.risk_scale[moved].max(axis=1), 0.0))
    return _styled(figure, 290)


def contributions(result: BacktestResult) -> go.Figure | None:
    """Draw what the cuts of each rule added up to, and what they saved and cost; None when no rule moved anything."""
    daily = largest_contributions(result)
    if not len(daily.columns):
        return None
    from plotly.subplots import make_subplots

    months = daily.groupby(pd.DatetimeIndex(daily.index).to_period("M")).sum()
    saved, cost = months.clip(lower=0.0).sum(), months.clip(upper=0.0).sum()
    lines, bars = 250, 34 * (1 + len(daily.columns))
    heights = [lines / (lines + bars), bars / (lines + bars)]
    figure = make_subplots(rows=2, cols=1, row_heights=heights, vertical_spacing=0.12)
    for name, colour in zip(daily, _cycle(RISK), strict=False):
        line = {"color": colour, "width": 1.4}
        figure.add_scatter(x=daily.index, y=_thin(daily[name].cumsum()), name=name, line=line, row=1, col=1)
    figure.add_hline(y=0.0, line={"color": "#868e96", "width": 1, "dash": "dot"}, row=1, col=1)
    for name, sums, colour in (("saved", saved, SAVED), ("cost", cost, FLOOR)):
        text = [f"{abs(value):.2%}" for value in sums]
        figure.add_bar(
            x=_thin(sums), y=list(sums.index), name=name, orientation="h", marker={"color": colour}, text=text,
            textposition="auto", hovertemplate="%{text}", showlegend=False, row=2, col=1,
        )  # fmt: skip
    figure.update_yaxes(title="sum of NAV fractions", tickformat=".1%", row=1, col=1)
    figure.update_yaxes(autorange="reversed", automargin=True, row=2, col=1)
    figure.update_xaxes(tickformat=".0%", row=2, col=1)
    figure.update_layout(barmode="relative")
    return _styled(figure, lines + bars + 110)


def as_html(figure: go.Figure, name: str) -> str:
    """Return a figure as an HTML fragment that expects plotly.js to be on the page already."""
    options = {"displayModeBar": False, "responsive": True}
    text: str = figure.to_html(include_plotlyjs=False, full_html=False, div_id=name, config=options)
    return text


def plotly_js() -> str:
    """Return the text of plotly.js, to be put into a page once."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text


def _empty() -> go.Figure:
    import plotly.graph_objects as go

    return go.Figure()


def _styled(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        **LOOK,
        height=height,
        margin={"l": 64, "r": 12, "t": 34, "b": 28},
        legend={"orientation": "h", "x": 0.0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        hovermode="x unified",
        showlegend=True,
    )
    figure.update_traces(selector={"type": "scatter"}, hovertemplate="%{y}")
    figure.update_xaxes(showgrid=False, showline=True, linecolor="#adb5bd", ticks="outside", tickcolor="#adb5bd")
    figure.update_yaxes(gridcolor="#e9ecef", zeroline=False)
    return figure


def _thin(values: pd.Series) -> np.ndarray:
    """Return values with the digits that can be seen; the page is a fifth of the size for it."""
    return np.round(values.to_numpy(dtype=np.float64), 5)


def _room(values: pd.Series, bottom: float) -> list[float]:
    """Return an axis range from ``bottom`` to a little above the largest value."""
    top = float(values.max())
    return [bottom, top + 0.03 * (top - bottom)]


def _cycle(colours: Sequence[str]) -> list[Any]:
    return list(colours) * 8
