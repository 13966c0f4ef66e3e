"""The comparison at one glance, as SVG written by hand: small, sharp and the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.monitoring.sequential import svg
from pmx.monitoring.sequential.comparison import FULLY_INVESTED, LIMITS_ONLY, SequentialComparison
from pmx.monitoring.sequential.wording import basis_points, further, limits_overrun, share
from pmx.projection.program import Array

WIDTH, LEFT, RIGHT, GAP = 960.0, 64.0, 24.0, 56.0
WIDE = (WIDTH - LEFT - RIGHT - GAP) / 2.0
TOP, TALL = 130.0, 300.0
FLOOR = TOP + TALL
#: Height of the strip in which tries lie that work; those that fail lie above it, however little they miss.
STRIP = 22.0
COLOUR = {LIMITS_ONLY: "#14507f", FULLY_INVESTED: "#c96f14"}
#: Side of the squares in which tries are counted together; radius of a dot that counts all, and of the smallest.
CELL, LARGEST, SMALLEST = 9.0, 16.0, 1.7
#: Distance between ticks, as a share of the joint answer's distance.
STEPS = (0.01, 0.02, 0.05, 0.10, 0.20, 0.50, 1.0, 2.0, 5.0)
#: Losses below this are rounding.
ROUNDING = 1e-7
#: Rules of one kind, whatever they are about.
KIND = r"^(symbol|market|bucket|clamp)\..*?(\.(?:cap|max))?$"
BAR = 24.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: what it is about, how long it is, and what is written behind it."""

    name: str
    share: float
    note: str = ""


@checked
def comparison_svg(comparison: SequentialComparison) -> str:
    """Return a picture of a comparison: what fails, how much distance the rest loses, which rules break, and when.

    Parameters
    ----------
    comparison : SequentialComparison
        At least one outcome.

    Returns
    -------
    str
        A whole SVG document.
    """
    right, below = LEFT + WIDE + GAP, FLOOR + 140.0
    rescaled = FULLY_INVESTED in set(comparison.outcomes["aim"])
    parts = [*_heading(comparison), *_legend(rescaled), *_scatter(comparison), *_losses(comparison, right)]
    if not rescaled:
        return svg.document(WIDTH, below, parts)
    rules, overrun = _broken_rules(comparison), _failing_by_overrun(comparison)
    parts += [
        svg.text(LEFT, below, "Rescaled, one sweep: the rule broken worst, share of tries", bold=True),
        *_bars(rules, LEFT, below + 14.0, room=138.0),
    ]
    if overrun:
        parts.append(
            svg.text(right, below, "Rescaled, one sweep: tries that fail, by limits the wish overruns", bold=True)
        )
        parts += _bars(overrun, right, below + 14.0, room=100.0)
    return svg.document(WIDTH, below + 30.0 + BAR * max(len(rules), len(overrun), 1), parts)


def _heading(comparison: SequentialComparison) -> list[str]:
    orders = int(comparison.outcomes.groupby(["portfolio", "aim"])["order"].nunique().max())
    wishes = "One wish" if comparison.portfolios == 1 else f"{comparison.portfolios:,} wishes"
    some = "a sample of" if comparison.sampled else "all"
    words = f"{wishes}, {some} {orders:,} orders of clip-and-rescale. A try is one wish in one order."
    if comparison.forbidden:
        which = "it" if comparison.portfolios == 1 else f"{len(comparison.forbidden):,}"
        words += f" Not rescaled: {which} may not be fully invested."
    return [
        svg.text(LEFT, 30, "Joint against sequential", bold=True, size=18),
        svg.text(LEFT, 53, words, colour=svg.SOFT),
    ]


def _legend(rescaled: bool) -> list[str]:
    y = 80.0
    entries = (
        (LEFT + 6.0, LIMITS_ONLY, False, "cut only, the rest stays in cash"),
        (LEFT + 240.0, FULLY_INVESTED, False, "rescaled to 100%"),
        (LEFT + 382.0, FULLY_INVESTED, True, "rescaled, obeys, but is not fully invested"),
    )
    x = LEFT + (678.0 if rescaled else 240.0)
    parts = [svg.star(x, y - 4), svg.text(x + 16.0, y, "joint answer", colour=svg.GREEN, bold=True)]
    for x, aim, hollow, words in entries if rescaled else entries[:1]:
        parts += [svg.dot(x, y - 4, 5.0, COLOUR[aim], hollow=hollow), svg.text(x + 12, y, words)]
    return parts


def _scatter(comparison: SequentialComparison) -> list[str]:
    """Draw each try after one sweep at its distance lost and its worst miss."""
    rows = comparison.outcomes.query("sweeps == 1")
    lost = rows["lost"].to_numpy()
    miss = np.where(rows["works"], 0.0, np.maximum(rows["violation"], rows["uninvested"]))
    low, high, step = _axis(lost)
    top = float(_log_scale(max(float(miss.max()), 1e-3))) * 1.06

    def at_x(value: Any) -> Any:
        return LEFT + WIDE * (np.clip(value, low, high) - low) / (high - low)

    def at_y(value: Any) -> Any:
        return np.where(value == 0.0, FLOOR, FLOOR - STRIP - (TALL - STRIP) * _log_scale(value) / top)

    parts = [svg.text(LEFT, TOP - 16, _failing(rows), bold=True)]
    for points in (1, 10, 100, 1000):
        y = float(at_y(1e-4 * points))
        if y > TOP:
            parts += [svg.line(LEFT, y, LEFT + WIDE, y, svg.GRID), _tick(LEFT - 8, y + 4, f"{points}", "end")]
    parts += [svg.rect(LEFT, FLOOR - STRIP / 2, WIDE, STRIP, "#e6f4ea"), _tick(LEFT - 8, FLOOR + 4, "0", "end")]
    for value in np.arange(low, high + 0.5 * step, step):
        x = float(at_x(value))
        parts += [
            svg.line(x, FLOOR + STRIP / 2, x, FLOOR + STRIP / 2 + 4, "#adb5bd"),
            _tick(x, FLOOR + 29, _signed(value)),
        ]
    zero = float(at_x(0.0))
    parts.append(svg.line(zero, TOP, zero, FLOOR, "#adb5bd", dash="3 3"))
    for aim, colour in COLOUR.items():
        some = (rows["aim"] == aim).to_numpy()
        parts += _dots(at_x(lost[some]), at_y(miss[some]), rows["obeys"].to_numpy()[some], colour)
    if zero - LEFT > 190.0:
        parts.append(svg.text(LEFT + 6, FLOOR + 4, "works", colour=svg.GREEN))
        parts.append(_tick(zero - 10, TOP + 6, "nearer the wish because it fails", "end"))
    return [
        *parts,
        svg.star(zero, FLOOR),
        svg.text(LEFT + WIDE / 2, FLOOR + 49, "further from the wish than the joint answer, by", anchor="middle"),
        svg.upright(LEFT - 46, TOP + TALL / 2, "worst miss, basis points of NAV (log scale)"),
    ]


def _failing(rows: pd.DataFrame) -> str:
    some = rows[rows["aim"] == FULLY_INVESTED]
    if some.empty:
        return "One sweep through the passes"
    broken, failed = 1.0 - some["obeys"].mean(), 1.0 - some["works"].mean()
    return f"One sweep: {share(broken)} of the rescaled tries break a rule, {share(failed)} fail"


def _dots(x: Array, y: Array, obeys: np.ndarray, colour: str) -> list[str]:
    """Draw tries as dots whose area is the number of them; hollow where only full investment is missed."""
    cells = pd.DataFrame({"i": np.round(x / CELL), "j": np.round(y / CELL), "obeys": obeys, "x": x, "y": y})
    groups = cells.groupby(["i", "j", "obeys"])
    table = groups[["x", "y"]].mean().assign(count=groups.size()).reset_index()
    spots = table.sort_values("count", ascending=False, kind="stable").to_dict("records")
    return [
        svg.dot(
            spot["x"],
            spot["y"],
            max(SMALLEST, LARGEST * math.sqrt(spot["count"] / len(x))),
            colour,
            hollow=spot["obeys"] and spot["y"] < FLOOR - 0.5,
        )
        for spot in spots
    ]


def _losses(comparison: SequentialComparison, left: float) -> list[str]:
    """Draw which share of the tries that work are further from the wish than the joint answer, by more than so much."""
    outcomes = comparison.outcomes
    last = int(outcomes["sweeps"].max())
    after = "one sweep" if last == 1 else f"{last} sweeps"
    lines = []
    for aim, sweeps, words in ((LIMITS_ONLY, 1, "cut only"), (FULLY_INVESTED, last, f"rescaled, {after}")):
        tries = outcomes[(outcomes["aim"] == aim) & (outcomes["sweeps"] == sweeps)]
        if len(tries):
            lines.append((aim, words, tries.loc[tries["works"], "lost"].to_numpy(), len(tries)))
    _, high, step = _axis(np.concatenate([np.zeros(1), *(lost for _, _, lost, _ in lines)]), every=True)
    grid = np.linspace(0.0, high, 241)
    middle = left + WIDE / 2
    parts = [svg.text(left, TOP - 16, "The tries that work, by what they lose", bold=True)]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = FLOOR - TALL * part
        parts += [svg.line(left, y, left + WIDE, y, svg.GRID), _tick(left - 8, y + 4, f"{part:.0%}", "end")]
    for value in np.arange(0.0, high + 0.5 * step, step):
        parts.append(_tick(left + WIDE * value / high, FLOOR + 29, _signed(value)))
    for number, (aim, words, lost, count) in enumerate(lines):
        note = f"{words}: {share(len(lost) / count)} work"
        if len(lost):
            beyond = (lost > np.maximum(grid, ROUNDING)[:, None]).mean(axis=1)
            parts.append(svg.path(zip(left + WIDE * grid / high, FLOOR - TALL * beyond, strict=True), COLOUR[aim]))
            note += f", mean {further(float(lost.mean()))}, worst {further(float(lost.max()))}"
        parts.append(
            svg.text(middle, FLOOR + 76.0 + 20.0 * number, note, anchor="middle", colour=COLOUR[aim], bold=True)
        )
    words = "further from the wish than the joint answer, by more than"
    return [*parts, svg.star(left, FLOOR), svg.text(middle, FLOOR + 49, words, anchor="middle")]


def _broken_rules(comparison: SequentialComparison) -> list[Bar]:
    """Return which rule is broken worst, those of one kind together: share of tries, and the worst amount."""
    rows = comparison.outcomes.query("aim == @FULLY_INVESTED and sweeps == 1")
    broken = rows[~rows["obeys"]]
    groups = broken.groupby(broken["worst_rule"].str.replace(KIND, r"\1.*\2", regex=True))["violation"]
    table = pd.DataFrame({"share": groups.size() / max(len(rows), 1), "worst": groups.max()})
    table = table.sort_values("share", ascending=False, kind="stable").head(6)
    return [Bar(str(name), part, f", up to {basis_points(worst)}") for name, part, worst in table.itertuples(name=None)]


def _failing_by_overrun(comparison: SequentialComparison) -> list[Bar]:
    """Return the share of tries that fail for each number of limits that the wish overruns; none for a single wish."""
    if comparison.portfolios == 1:
        return []
    rows = comparison.by_overrun.reset_index().query("aim == @FULLY_INVESTED and sweeps == 1")
    return [
        Bar(limits_overrun(row["overrun"]), 1.0 - row["works"], f" ({row['portfolios']:,} wishes)")
        for row in rows.to_dict("records")
    ]


def _bars(bars: Sequence[Bar], left: float, top: float, room: float) -> list[str]:
    if not bars:
        return [_tick(left, top + 13, "none", "start")]
    longest = max(max(bar.share for bar in bars), 1e-9)
    parts = []
    for number, bar in enumerate(bars):
        y, length = top + BAR * number, max((WIDE - room - 130.0) * bar.share / longest, 0.5)
        parts.append(svg.text(left + room - 8, y + 13, bar.name, anchor="end"))
        parts.append(svg.rect(left + room, y, length, 17.0, COLOUR[FULLY_INVESTED]))
        parts.append(_tick(left + room + length + 6, y + 13, share(bar.share) + bar.note, "start"))
    return parts


def _axis(values: Array, *, every: bool = False) -> tuple[float, float, float]:
    """Return the ends of an axis around zero, and the step of its ticks; a few in a thousand may lie beyond it."""
    finite = values[np.isfinite(values)]
    beyond = 0.0 if every else 0.002
    low, high = (float(np.quantile(finite, q)) for q in (beyond, 1.0 - beyond)) if len(finite) else (0.0, 0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    step = next(step for step in STEPS if high - low <= 6.0 * step or step == STEPS[-1])
    return step * math.floor(low / step - (0.0 if every else 0.1)), step * max(math.ceil(high / step), 1), step


def _log_scale(miss: Any) -> Any:
    """Return where a miss stands: linear up to a basis point, logarithmic above it."""
    return np.log10(1.0 + 1e4 * miss)


def _signed(value: float) -> str:
    return f"{value:+.0%}" if abs(value) > 1e-9 else "0"


def _tick(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return svg.text(x, y, words, anchor=anchor, colour=svg.SOFT)
