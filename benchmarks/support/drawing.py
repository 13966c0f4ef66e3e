"""Drawings in one hand: few lines, each named at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INK = "#334155"
OWN = "#0f766e"
PEERS = ("#b45309", "#7c3aed", "#be123c", "#1d4ed8", "#64748b", "#a16207", "#0e7490", "#9d174d")


def blank(title: str, x: str, y: str, *, width: float = 8.0, height: float = 4.8) -> tuple[Any, Any]:
    """Return a figure and its axes, styled."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.fonttype": "path", "svg.hashsalt": "pmx", "font.size": 10.0}
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set_title(title, loc="left", color=INK, fontsize=11.5)
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.grid(visible=True, which="major", color="#e2e8f0", linewidth=0.8)
    axes.tick_params(colors=INK, which="both")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#94a3b8")
    return figure, axes


def log_lines(axes: Any, lines: Mapping[str, Sequence[tuple[float, float]]], own: Sequence[str]) -> None:
    """Draw lines on two logarithmic axes, each named at its right end; names never overlap."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    colours = iter(PEERS * 3)
    ends = []
    for name, points in lines.items():
        if not points:
            continue
        mine = name in own
        colour = OWN if mine else next(colours)
        style: dict[str, Any] = {"linewidth": 2.2 if mine else 1.3, "markersize": 4.5 if mine else 3.5}
        if name.startswith("floor"):
            style["linestyle"] = "--"
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, **style)
        ends.append((points[-1], name, colour, mine))
    _name_the_ends(axes, ends)


def _name_the_ends(axes: Any, ends: list[tuple[tuple[float, float], str, str, bool]]) -> None:
    """Write the names in a column at the right, in the order of the lines' ends, a leader to each."""
    import numpy as np

    low, high = np.log10(axes.get_ylim())
    spread = (high - low) / 20.0
    right = max(x for (x, _), *_ in ends)
    ends = sorted(ends, key=lambda end: end[0][1])
    heights = [float(np.log10(y)) for (_, y), *_ in ends]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + spread)
    heights[-1] = min(heights[-1], high)
    for i in range(len(heights) - 2, -1, -1):
        heights[i] = min(heights[i], heights[i + 1] - spread)
    leader = {"arrowstyle": "-", "linewidth": 0.5, "alpha": 0.6, "shrinkB": 3, "relpos": (0.0, 0.5)}
    for height, (end, name, colour, mine) in zip(heights, ends, strict=True):
        axes.annotate(
            name,
            xy=end,
            xytext=(right * 1.8, 10**height),
            color=colour,
            fontsize=8.5,
            fontweight="bold" if mine else "normal",
            va="center",
            annotation_clip=False,
            arrowprops=leader | {"color": colour},
        )
    axes.set_xlim(right=right * 1.25)


def bars(axes: Any, values: Mapping[str, float], own: Sequence[str], label: Any) -> None:
    """Draw horizontal bars on a logarithmic axis, smallest on top, each with its value."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    for i, (name, value) in enumerate(ordered):
        axes.barh(i, value, color=OWN if name in own else "#94a3b8", height=0.62)
        axes.text(value * 1.08, i, label(value), va="center", color=INK, fontsize=9)
    axes.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    axes.set_xscale("log")
    axes.grid(visible=False, axis="y")
    axes.set_xlim(right=ordered[0][1] * 6)
