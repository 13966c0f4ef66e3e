"""Draw demo.svg, the picture of the README, from the runs of ``pmx demo``.

Run it as ``.venv/bin/python docs/figures/demo.py``; it takes as long as the demo. The SVG is written by hand, so that
it stays small, sharp and the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

import pmx
from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.monitoring import demo_policy, demo_runs

WIDTH, LEFT, RIGHT = 880.0, 58.0, 196.0
TOP, TALL = 48.0, 210.0
LOWER, LOW = 322.0, 110.0
COLOURS = ("#14507f", "#c96f14", "#868e96")
#: Every fifth close is drawn; more cannot be seen.
EVERY = 5


def draw(runs: Mapping[str, pmx.BacktestResult]) -> str:
    """Return the picture as SVG text: growth of one unit above, safe weight and floor below."""
    first = next(iter(runs.values()))
    dates = first.nav.index[::EVERY]
    x = LEFT + (WIDTH - LEFT - RIGHT) * ((dates - dates[0]) / (dates[-1] - dates[0])).to_numpy()
    height = LOWER + LOW + 34.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#343a40">',
        f'<rect width="{WIDTH:.0f}" height="{height:.0f}" fill="#fff"/>',
        *growth(runs, x),
        *safety(first, x),
        *years(dates, x),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def growth(runs: Mapping[str, pmx.BacktestResult], x: np.ndarray) -> list[str]:
    """Draw what one unit of money became, on a logarithmic scale."""
    wealth = {name: (run.nav / run.nav.iloc[0]).to_numpy()[::EVERY] for name, run in runs.items()}
    low = math.log(min(float(values.min()) for values in wealth.values())) - 0.05
    high = math.log(max(float(values.max()) for values in wealth.values())) + 0.05

    def y(values: np.ndarray) -> np.ndarray:
        return TOP + TALL * (high - np.log(values)) / (high - low)

    parts = [title(TOP, "Growth of 1, after costs (log scale)")]
    for level in (1.0, 2.0, 4.0):
        if low < math.log(level) < high:
            parts.append(grid(float(y(np.array([level]))[0]), f"{level:g}"))
    ends = spread([float(y(values)[-1]) for values in wealth.values()])
    for (name, values), colour, end in zip(wealth.items(), COLOURS, ends, strict=True):
        parts.append(path(x, y(values), colour, 2.4 if colour == COLOURS[0] else 1.3))
        lost = float(runs[name].metrics["max_drawdown"])
        parts.append(label(end, name, colour, bold=True))
        parts.append(label(end + 15, f"worst fall {lost:.0%}", colour))
    return parts


def safety(run: pmx.BacktestResult, x: np.ndarray) -> list[str]:
    """Draw the safe weight of every decision above its floor."""
    bottom, top = 0.6, 1.0
    # The lowest of each group of closes, so that no dip is lost.
    lowest = run.safe_weight.groupby(np.arange(len(run.safe_weight)) // EVERY).min().to_numpy()

    def y(values: np.ndarray) -> np.ndarray:
        return LOWER + LOW * (top - values) / (top - bottom)

    floor = float(y(np.array([run.safe_floor]))[0])
    parts = [title(LOWER, "Safe weight of each decision, share of NAV")]
    parts += [grid(float(y(np.array([level]))[0]), f"{level:.0%}") for level in (0.6, 0.8, 1.0)]
    parts.append(path(x, y(lowest), COLOURS[0], 1.2))
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor:.1f}" y2="{floor:.1f}" stroke="#b02a2a" '
        'stroke-width="2" stroke-dasharray="7 4"/>'
    )
    parts.append(label(floor + 4, f"floor {run.safe_floor:.0%}", "#b02a2a", bold=True))
    parts.append(label(LOWER + 18, f"lowest {run.safe_weight.min():.2%}", COLOURS[0], bold=True))
    return parts


def years(dates: pd.DatetimeIndex, x: np.ndarray) -> list[str]:
    """Write every fourth year under the lower panel."""
    parts = []
    for year in range(dates[0].year + 1, dates[-1].year + 1):
        if year % 4 == 0:
            at = float(x[dates.searchsorted(pd.Timestamp(year, 1, 1))])
            parts.append(f'<text x="{at:.1f}" y="{LOWER + LOW + 20:.0f}" text-anchor="middle">{year}</text>')
    return parts


def spread(ends: list[float], apart: float = 36.0) -> list[float]:
    """Move label positions apart, in order, until none overlap."""
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    placed = list(ends)
    for before, after in pairwise(order):
        placed[after] = max(placed[after], placed[before] + apart)
    return placed


def path(x: np.ndarray, y: np.ndarray, colour: str, width: float) -> str:
    """Return a line."""
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'


def grid(y: float, text: str) -> str:
    """Return a horizontal grid line with its value."""
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dee2e6"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#5c646c">{text}</text>'
    )


def title(y: float, text: str) -> str:
    """Return the heading of a panel."""
    return f'<text x="{LEFT}" y="{y - 14:.0f}" font-weight="bold">{text}</text>'


def label(y: float, text: str, colour: str, bold: bool = False) -> str:
    """Return a text at the right end of a line."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{WIDTH - RIGHT + 10}" y="{y:.1f}" fill="{colour}"{weight}>{text}</text>'


if __name__ == "__main__":
    target = Path(__file__).with_suffix(".svg")
    results = dict(demo_runs(demo_policy(), load_demo_prices(), load_demo_cash_rate()))
    target.write_text(draw(results), encoding="utf-8")
    print(f"wrote {target}")
