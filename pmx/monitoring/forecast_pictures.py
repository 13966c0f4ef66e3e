"""Where outcomes fell in their forecasts, and how often a stated confidence was right: two pictures, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.monitoring.charts import LINES
from pmx.monitoring.sequential import svg

FloatArray = npt.NDArray[np.float64]

WIDE, HIGH = 520.0, 350.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 508.0, 40.0, 300.0
ENGINE, WALK, SECOND, BAND, AXIS = LINES[0], LINES[2], LINES[1], "#dee2e6", "#adb5bd"
#: Distances between ticks.
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class _Panel:
    """A field of view, in the units of its axes."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - self.y_low) / (self.y_high - self.y_low)

    def axes(self, across: str, up: str) -> Iterator[str]:
        for value in _ticks(self.y_low, self.y_high):
            yield svg.line(LEFT, self.y(value), RIGHT, self.y(value), svg.GRID)
            yield svg.text(LEFT - 8, self.y(value) + 4, f"{value:g}", anchor="end", size=12)
        for value in _ticks(self.x_low, self.x_high):
            yield svg.line(self.x(value), BOTTOM, self.x(value), BOTTOM + 5, AXIS)
            yield svg.text(self.x(value), BOTTOM + 19, f"{value:g}", anchor="middle", size=12)
        yield svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, AXIS)
        yield svg.text((LEFT + RIGHT) / 2, BOTTOM + 40, across, anchor="middle")
        yield svg.upright(16, (TOP + BOTTOM) / 2, up)


def pit_picture(engine: FloatArray, baseline: FloatArray, bins: int = 20) -> str:
    """Draw how the probability integral transforms of an engine and of a random walk lie in [0, 1].

    Parameters
    ----------
    engine, baseline : ndarray
        Probabilities, one an outcome.
    bins : int
        Bars.

    Returns
    -------
    str
        An SVG picture. Its band holds 95 % of the bars of as many independent uniform numbers as ``engine`` has.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    bars, steps = (np.histogram(sample, edges)[0] * bins / len(sample) for sample in (engine, baseline))
    half = 1.96 * math.sqrt((bins - 1) / len(engine))
    panel = _Panel(0.0, 1.0, 0.0, 1.08 * max(float(bars.max()), float(steps.max()), 1.0 + half))
    low, high = max(0.0, 1.0 - half), 1.0 + half
    parts = [svg.rect(LEFT, panel.y(high), RIGHT - LEFT, panel.y(low) - panel.y(high), BAND)]
    parts += panel.axes("probability integral transform", "density")
    for begin, height in zip(edges[:-1].tolist(), bars.tolist(), strict=True):
        bar = svg.rect(
            panel.x(begin) + 1, panel.y(height), 1 / bins * (RIGHT - LEFT) - 2, BOTTOM - panel.y(height), ENGINE
        )
        parts.append(_titled(bar, f"{begin:.2f} to {begin + 1 / bins:.2f}: {height / bins:.1%} of the outcomes"))
    corners = [(x, y) for at, y in enumerate(steps.tolist()) for x in (edges[at], edges[at + 1])]
    parts.append(svg.path(((panel.x(x), panel.y(y)) for x, y in corners), WALK))
    parts.append(svg.line(LEFT, panel.y(1.0), RIGHT, panel.y(1.0), svg.SOFT, dash="2 4"))
    parts += _legend({"engine": ENGINE, "random walk": WALK, "95 % of calibrated bars": BAND})
    return svg.document(WIDE, HIGH, parts)


def reliability_picture(curves: Mapping[str, pd.DataFrame]) -> str:
    """Draw the share of right signs over the confidence, with 95 % intervals, one curve a table.

    Parameters
    ----------
    curves : mapping of str to DataFrame
        Tables of `reliability_table` by name, two at most.

    Returns
    -------
    str
        An SVG picture.
    """
    together = pd.concat(list(curves.values()))
    x_low, x_high = float(together["stated"].min()) - 0.02, float(together["stated"].max()) + 0.02
    y_low, y_high = min(x_low, float(together["low"].min()) - 0.02), max(x_high, float(together["high"].max()) + 0.02)
    panel = _Panel(x_low, x_high, y_low, y_high)
    parts = list(panel.axes("confidence", "share of right signs"))
    ends = (panel.x(x_low), panel.y(x_low), panel.x(x_high), panel.y(x_high))
    parts.append(svg.line(*ends, svg.SOFT, dash="2 4"))
    colours = dict(zip(curves, (ENGINE, SECOND), strict=False))
    for name, table in curves.items():
        colour = colours[name]
        columns = (table[key].tolist() for key in ("stated", "right", "low", "high", "statements"))
        points = list(zip(*columns, strict=True))
        parts.append(svg.path(((panel.x(stated), panel.y(right)) for stated, right, *_ in points), colour))
        for stated, right, low, high, n in points:
            parts.append(svg.line(panel.x(stated), panel.y(low), panel.x(stated), panel.y(high), colour))
            words = f"{name} {stated:.3f}, right {right:.1%} of {n:,}"
            parts.append(_titled(svg.dot(panel.x(stated), panel.y(right), 4.5, colour), words))
    parts += _legend(colours | {"on this line if calibrated": svg.SOFT})
    return svg.document(WIDE, HIGH, parts)


def _legend(entries: Mapping[str, str]) -> Iterator[str]:
    x = LEFT
    for words, colour in entries.items():
        yield svg.rect(x, 14, 11, 11, colour)
        yield svg.text(x + 17, 24, words, size=12)
        x += 34 + 6.4 * len(words)


def _titled(shape: str, words: str) -> str:
    return f"<g><title>{escape(words)}</title>{shape}</g>"


def _ticks(low: float, high: float) -> list[float]:
    step = next((step for step in STEPS if (high - low) / step <= 7.0), STEPS[-1])
    return [round(k * step, 6) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
