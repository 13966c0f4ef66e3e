"""The least prices that explain an answer: of all that do, the ones with the smallest sum of squares.

See :mod:`pmx.projection.kernels.pricing` for what they are and how they are found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pmx.projection.kernels import kernel
from pmx.projection.program import Index, Point, Program, RuleRecord
from pmx.projection.response import cone_term

#: Rules on one row whose limits are no further apart than this set it together, and share its price.
TIED = 1e-12


def with_least_prices(program: Program, point: Point) -> Point:
    """Return the point with the least-norm prices that explain it.

    Parameters
    ----------
    program : Program
        The problem.
    point : Point
        Its ``u`` must be the best response to its prices.

    Returns
    -------
    Point
        The same ``u``, still the best response. Prices of soft rules that gave way stay at their penalty, those of
        cones where they are.
    """
    p, rows = program, point.rows.copy()
    turnover = kernel("pricing", "least_norm_prices")(
        p.A, shared(program), p.distance, p.target, p.lower, p.upper, p.previous, p.cost, p.floor, p.floor_penalty,
        p.lo, p.hi, p.penalty, p.turnover_max, p.turnover_penalty, point.u, rows, point.turnover,
        cone_term(program, point),
    )  # fmt: skip
    return replace(point, rows=rows, turnover=float(turnover))


def shared(program: Program) -> Index:
    """Return how many rules set the lower and the upper limit of each row, shape (2, K)."""
    count = np.zeros((2, len(program.A)), dtype=np.intp)
    for i, rule in enumerate(program.rules):
        if rule.kind == "row":
            count[0, rule.index] += sets(program, i, rule, upper=False)
            count[1, rule.index] += sets(program, i, rule, upper=True)
    return count


def sets(program: Program, i: int, rule: RuleRecord, *, upper: bool) -> bool:
    """Return whether a rule on a row, number ``i``, is among those that set this limit of it."""
    k = rule.index
    if upper:
        return int(program.hi_owner[k]) == i or bool(np.isfinite(rule.hi) and rule.hi - program.hi[k] <= TIED)
    return int(program.lo_owner[k]) == i or bool(np.isfinite(rule.lo) and program.lo[k] - rule.lo <= TIED)
