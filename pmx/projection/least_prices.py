"""The least prices that explain an answer.

Where a rule presses only on positions that rest anyway (at zero, at a bound, at what is held), its price is not unique:
any price above some least one leads to the same answer, and an interior point returns an arbitrary one. Rules are
gone through in order, and each price is lowered until the first position would start to move.
"""

from __future__ import annotations

from dataclasses import replace

from pmx.projection.kernels import kernel
from pmx.projection.program import Point, Program
from pmx.projection.response import cone_term


def with_least_prices(program: Program, point: Point) -> Point:
    """Return the point with every row's price lowered as far as the answer allows.

    Parameters
    ----------
    program : Program
        The problem.
    point : Point
        Its ``u`` must be the best response to its prices.

    Returns
    -------
    Point
        The same ``u``, still the best response; prices of soft rows that gave way stay at their penalty.
    """
    p, rows = program, point.rows.copy()
    metric = (p.distance, p.target, p.lower, p.upper, p.previous, p.cost, p.floor, p.floor_penalty)
    kernel("solving", "lower_prices")(
        p.A, *metric, p.lo, p.hi, p.penalty, point.u, rows, point.turnover, cone_term(program, point)
    )
    return replace(point, rows=rows)
