"""The fast engine: the program solved through its dual, which has as many unknowns as rules.

For given prices of the rules each position has a closed-form best response; the dual is concave and piecewise
quadratic, and :mod:`pmx.projection.newton_kernel` climbs it. Cones are left to the cvxpy engine. What this engine
returns is judged by the same certificate as any other answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmx.projection.program import Array, Index, Point, Program

#: Complementarity at which the kernel stops, fraction of NAV: a few units in the last place of 1.
TOLERANCE = 1e-15


class KernelUnavailableError(Exception):
    """The compiled kernel cannot be loaded on this machine; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The program's rows one-sided, and its positions grouped by the rules that they meet.

    Attributes
    ----------
    row : array of int, shape (n_sides,)
        Row of each side.
    direction : array, shape (n_sides,)
        +1 for ``A u ≤ hi``, −1 for ``−A u ≤ −lo``.
    equality : array of bool, shape (n_sides,)
        Whether both sides of the row coincide; its price may then have either sign.
    order : array of int, shape (n,)
        Positions in group order.
    start, rule_start, rule, coefficient : arrays
        As in :class:`pmx.projection.newton_kernel.Groups`.
    """

    row: Index
    direction: Array
    equality: np.ndarray
    order: Index
    start: Index
    rule_start: Index
    rule: Index
    coefficient: Array

    @classmethod
    def of(cls, program: Program) -> Layout:
        """Return the layout of a program."""
        priced = program.penalty > 0
        equal = priced & (program.lo == program.hi)
        above = np.flatnonzero(priced & np.isfinite(program.hi))
        below = np.flatnonzero(priced & np.isfinite(program.lo) & ~equal)
        row = np.concatenate([above, below])
        direction = np.concatenate([np.ones(len(above)), -np.ones(len(below))])
        columns = np.ascontiguousarray((direction[:, None] * program.A[row]).T) + 0.0
        order, start, heads = _group_equal(columns)
        group, rule = np.nonzero(heads)
        rule_start = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=len(heads)))])
        return cls(
            row=row,
            direction=direction,
            equality=equal[row],
            order=order,
            start=start.astype(np.intp),
            rule_start=rule_start.astype(np.intp),
            rule=rule.astype(np.intp),
            coefficient=np.ascontiguousarray(heads[group, rule]),
        )


def _group_equal(columns: Array) -> tuple[Index, Index, Array]:
    """Group equal rows of a matrix: their order, the start of each group, and one row of each."""
    n, width = columns.shape
    if width == 0:
        return np.arange(n, dtype=np.intp), np.array([0, n], dtype=np.intp), np.zeros((1, 0))
    key = columns.view(np.dtype((np.void, columns.dtype.itemsize * width))).ravel()
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    size = np.bincount(member, minlength=len(first))
    order = np.argsort(member, kind="stable")
    return order, np.concatenate([[0], np.cumsum(size)]), columns[first]


def solve_dual(program: Program) -> tuple[Point, int]:
    """Return the answer of a program without cones, not judged here, and the rounds it took.

    The climb starts from prices of zero, so the same program always gives the same bits.

    Parameters
    ----------
    program : Program
        The problem; its ``cones`` must be empty.

    Raises
    ------
    KernelUnavailableError
        When the compiled kernel cannot be loaded here.
    """
    try:
        from pmx.projection.newton_kernel import Groups, Positions, Rules, maximise_dual
    except (ImportError, RuntimeError) as error:  # numba's word for "there is nowhere to keep compiled code"
        raise KernelUnavailableError(f"the compiled kernel cannot be loaded: {error}") from error

    layout = Layout.of(program)
    order = layout.order
    distance = program.distance[order]
    positions = Positions(
        distance=distance,
        softness=1.0 / distance,
        target=program.target[order],
        lower=program.lower[order],
        upper=program.upper[order],
        previous=program.previous[order],
        cost=program.cost[order],
        floor=program.floor[order],
        floor_penalty=program.floor_penalty[order],
    )
    groups = Groups(layout.start, layout.rule_start, layout.rule, layout.coefficient)
    rules = Rules(*_sides(program, layout))
    prices, u = np.zeros(len(rules.bound)), np.empty(program.n)
    rounds, _ = maximise_dual(groups, positions, rules, prices, u, TOLERANCE)
    answer = np.empty(program.n)
    answer[order] = u
    rows = np.zeros(len(program.A))
    np.add.at(rows, layout.row, layout.direction * prices[: len(layout.row)])
    turnover = float(prices[-1]) if program.has_turnover_rule else 0.0
    return Point(u=answer, rows=rows, turnover=turnover), int(rounds)


def _sides(program: Program, layout: Layout) -> tuple[Array, Array, Array, int, bool]:
    """Return the fields of the kernel's rules: bounds, ranges of prices, the turnover row, whether trading matters."""
    bound = np.where(layout.direction > 0, program.hi[layout.row], -program.lo[layout.row])
    high = program.penalty[layout.row]
    low = np.where(layout.equality, -high, 0.0)
    turnover = -1
    if program.has_turnover_rule:
        turnover = len(bound)
        bound = np.append(bound, program.turnover_max)
        high = np.append(high, program.turnover_penalty)
        low = np.append(low, 0.0)
    trading = turnover >= 0 or bool((program.cost > 0).any()) or bool(np.isfinite(program.floor).any())
    return bound, low, high, turnover, trading
