"""The fast engine: the program solved through its dual, which has as many unknowns as rules.

For given prices of the rules each position has a closed-form best response; the dual is concave and piecewise
quadratic, and :mod:`pmx.projection.kernels.newton` climbs it. Cones are left to the cvxpy engine. What this engine
returns is judged by the same certificate as any other answer.
"""

from __future__ import annotations

import numpy as np

from pmx.projection.certificate import Certificate, from_figures
from pmx.projection.grouping import Grouping
from pmx.projection.kernels import kernel
from pmx.projection.least_prices import with_least_prices
from pmx.projection.program import Point, Program
from pmx.projection.sheet import Numbers, Sheet, Solved


def solve_dual(program: Program, unit: float = 1.0, start: Point | None = None) -> tuple[Point, int]:
    """Return the answer of a program without cones, not judged here, and the rounds it took.

    The answer depends on the program and the start alone, to the last bit.

    Parameters
    ----------
    program : Program
        The problem; its ``cones`` must be empty.
    unit : float
        A power of two that the objective is multiplied with on the way.
    start : Point, optional
        Its prices are where the climb starts; they need not be near. Zero prices if not given.
    """
    p, g = program, Grouping.of(program.A)
    rows = np.zeros(len(p.A)) if start is None else start.rows.copy()
    metric = (p.distance, p.target, p.lower, p.upper, p.previous, p.cost, p.floor, p.floor_penalty)
    u, turnover, rounds = kernel("solving", "solve_program")(
        g.order,
        g.groups,
        unit,
        *metric,
        p.lo,
        p.hi,
        p.penalty,
        p.turnover_max,
        p.turnover_penalty,
        rows,
        0.0 if start is None else start.turnover,
    )
    return with_least_prices(program, Point(u=u, rows=rows, turnover=turnover)), int(rounds)


def answer(sheet: Sheet, start: Point | None = None) -> tuple[Solved, Certificate]:
    """Write the program of a sheet without cones, solve it and judge the answer, in one compiled call.

    ``start`` as in :func:`solve_dual`.
    """
    frame = sheet.frame
    g = frame.grouping
    rows, turnover = np.zeros(len(frame.long)), 0.0
    if start is not None:
        rows, turnover = start.rows.copy(), start.turnover
    *numbers, u, turnover, _, judged = kernel("answering", "answer")(
        frame.law, frame.long, g.order, g.groups, *sheet.arrays, rows, turnover
    )
    return Solved(Point(u, rows, turnover), sheet, Numbers(*numbers)), from_figures("newton", *judged)
