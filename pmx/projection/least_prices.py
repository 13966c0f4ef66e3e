"""The least prices that explain an answer.

Where a rule presses only on positions that rest anyway (at zero, at a bound, at what is held), its price is not unique:
any price above some least one leads to the same answer, and an interior point returns an arbitrary one. Rules are
gone through in order, and each price is lowered until the first position would start to move.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pmx.projection.program import Array, Point, Program
from pmx.projection.response import linear_term


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
    pull = linear_term(program, point)
    least, most = _resting_range(program, point)
    value = program.A @ point.u
    given_way = np.isfinite(program.penalty) & ((value > program.hi) | (value < program.lo))
    rows = point.rows.copy()
    for k in np.flatnonzero((rows != 0.0) & ~given_way):
        along = program.A[k] * np.sign(rows[k])
        falling, rising = along > 0.0, along < 0.0
        room = min(
            float(np.min((pull - least)[falling] / along[falling], initial=np.inf)),
            float(np.min((most - pull)[rising] / -along[rising], initial=np.inf)),
            abs(float(rows[k])),
        )
        if room > 0.0:
            rows[k] -= np.sign(rows[k]) * room
            pull = pull - room * along
    return replace(point, rows=rows)


def _resting_range(program: Program, point: Point) -> tuple[Array, Array]:
    """Return the least and the greatest pull that leave each position where it is, each of shape (n,)."""
    u, p, f = point.u, program.previous, program.floor
    width, rho = program.cost + 0.5 * point.turnover, program.floor_penalty
    base = program.distance * (u - program.target)
    right = np.where(u >= p, width, -width) - np.where(u >= f, 0.0, rho)
    left = np.where(u > p, width, -width) - np.where(u > f, 0.0, rho)
    least = np.where(u < program.upper, -(base + right), -np.inf)
    most = np.where(u > program.lower, -(base + left), np.inf)
    return least, most
