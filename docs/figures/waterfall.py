"""Draw waterfall.svg, the picture of docs/explain.md: what the rules did to a symbol and to a bucket.

Run it as ``.venv/bin/python docs/figures/waterfall.py``. It draws the same walks as ``pmx solve --picture``, as an SVG
written by hand, so that it stays small, sharp and the same on every machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import pmx
from pmx.monitoring.sequential import svg
from pmx.monitoring.walks import Walk, walk_of
from pmx.monitoring.waterfall import COLOURS, TARGET, WEIGHT, kind_of, level, signed

WIDTH, GAP, TOP, ROW, BAR = 880.0, 40.0, 62.0, 30.0, 20.0
#: Pixels for the names of rules, and for what is written behind a bar.
NAMES, BEHIND = 146.0, 62.0
WISHES = {
    ("ts_core", "SP500"): 0.14,
    ("ts_core", "NASDAQ"): 0.08,
    ("ts_core", "WTI"): 0.05,
    ("ngx_risk", "NGX:DANGCEM"): 0.030,
    ("ngx_risk", "NGX:GTCO"): 0.015,
    ("em_risk", "EEM"): 0.03,
    ("safe", "BIL"): 0.40,
}
SCALES = {"ngx_risk": 0.5}


def example() -> pmx.Allocation:
    """Return what the shipped policy makes of the wishes when the Nigerian bucket is scaled to a half."""
    projector = pmx.Projector(pmx.load_policy(), list(WISHES))
    return projector.project(pd.Series(list(WISHES.values()), index=projector.index), risk_scale=SCALES)


def draw(walks: list[Walk]) -> str:
    """Return walks beside each other as SVG text."""
    wide = (WIDTH - GAP * (len(walks) - 1)) / len(walks)
    rows = max(len(walk.steps) for walk in walks) + 2
    parts = [part for i, walk in enumerate(walks) for part in panel(walk, (wide + GAP) * i, wide)]
    return svg.document(WIDTH, TOP + ROW * rows + 14.0, parts)


def panel(walk: Walk, left: float, wide: float) -> list[str]:
    """Draw one walk of long positions."""
    levels = np.concatenate([[0.0], walk.levels[:, 0]])
    unit = (wide - NAMES - BEHIND) / float(levels.max())
    zero, target, weight = left + NAMES, float(walk.target[0]), float(walk.weight[0])
    rows = [("target", 0.0, target, TARGET, level(target))]
    rows += [
        (step.name, start, start + float(step.move[0]), COLOURS[kind_of(step)], signed(float(step.move[0])))
        for step, start in zip(walk.steps, walk.levels[:, 0].tolist(), strict=False)
    ]
    rows.append(("weight", 0.0, weight, WEIGHT, level(weight)))
    parts = [svg.text(left + 8, 34, walk.name, bold=True, size=15)]
    for number, (name, start, end, colour, amount) in enumerate(rows):
        y, low, high = TOP + ROW * number, zero + unit * min(start, end), zero + unit * max(start, end)
        whole = number in (0, len(rows) - 1)
        parts += [
            svg.text(zero - 8, y + 15, name, anchor="end", bold=whole),
            svg.rect(low, y, max(high - low, 1.0), BAR, colour),
            svg.text(high + 6, y + 15, amount, bold=whole),
        ]
        if number + 1 < len(rows):
            parts.append(svg.line(zero + unit * end, y + BAR, zero + unit * end, y + ROW, "#adb5bd"))
    return [*parts, svg.line(zero, TOP - 6, zero, TOP + ROW * len(rows) - 4, "#495057")]


if __name__ == "__main__":
    answer = example()
    picture = Path(__file__).with_suffix(".svg")
    picture.write_text(draw([walk_of(answer, symbol="NGX:DANGCEM"), walk_of(answer, bucket="ts_core")]), "utf-8")
    print(answer.explain())
    print(f"wrote {picture}")
