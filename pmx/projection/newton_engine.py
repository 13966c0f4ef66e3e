"""The fast engine: the program solved through its dual, which has as many unknowns as rules.

For given prices of the rules each position has a closed-form best response; the dual is concave and piecewise
quadratic, and :mod:`pmx.projection.kernels.newton` climbs it. Cones are left to the cvxpy engine. What this engine
returns is judged by the same certificate as any other answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from pmx.projection.certificate import Certificate, from_figures
from pmx.projection.frame import Numbers, Sheet, Solved
from pmx.projection.program import Array, Index, Point, Program

#: Matrices whose groups of positions are kept.
GROUPINGS_KEPT = 16
NO_CONES = np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Positions grouped by the rows that they meet: rows see a group only through sums.

    Attributes
    ----------
    order : array of int, shape (n,)
        Positions in group order.
    start : array of int, shape (n_groups + 1,)
        First position of each group, in that order.
    row_start : array of int, shape (n_groups + 1,)
        First entry of each group in ``row`` and ``coefficient``; rows ascend within a group.
    row : array of int
        Row of each entry.
    coefficient : array
        Its coefficient.
    groups : Groups
        All but the order, as compiled code takes it.
    """

    order: Index
    start: Index
    row_start: Index
    row: Index
    coefficient: Array
    groups: Any

    @classmethod
    def of(cls, A: Array) -> Grouping:
        """Return the grouping of the columns of a matrix, shape (K, n)."""
        from pmx.projection.kernels.passes import Groups

        member, heads = equal_columns(A)
        order = np.argsort(member, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(member, minlength=len(heads)))])
        parts = (start.astype(np.intp), *sparse_rows(heads))
        return cls(order.astype(np.intp), *parts, Groups(*parts))


def equal_columns(A: Array) -> tuple[Index, Array]:
    """Return the number of each column among the different ones, shape (n,), and those, one a row."""
    columns = np.ascontiguousarray(A.T) + 0.0  # −0.0 and 0.0 are the same
    n, width = columns.shape
    if width == 0:
        return np.zeros(n, dtype=np.intp), np.zeros((1, 0))
    key = columns.view(np.dtype((np.void, columns.dtype.itemsize * width))).ravel()
    _, first, member = np.unique(key, return_index=True, return_inverse=True)
    return member.astype(np.intp), columns[first]


def sparse_rows(matrix: Array) -> tuple[Index, Index, Array]:
    """Return the start of each row's entries, and the column and the value of each entry."""
    row, column = np.nonzero(matrix)
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(matrix)))])
    return start.astype(np.intp), column.astype(np.intp), np.ascontiguousarray(matrix[row, column])


class NewtonEngine:
    """Solve programs; groupings of the last matrices are kept, so that new numbers under old rules cost little."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[Array, Grouping]] = OrderedDict()
        self._marked = False

    def solve(self, program: Program, unit: float = 1.0, start: Point | None = None) -> tuple[Point, int]:
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
        from pmx.projection.kernels.solving import lower_prices, solve_program

        g = self._grouping(program.A)
        p = program
        rows = np.zeros(len(p.A)) if start is None else start.rows.copy()
        metric = (p.distance, p.target, p.lower, p.upper, p.previous, p.cost, p.floor, p.floor_penalty)
        u, turnover, rounds = solve_program(
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
        lower_prices(p.A, *metric, p.lo, p.hi, p.penalty, u, rows, turnover, NO_CONES)
        return Point(u=u, rows=rows, turnover=turnover), int(rounds)

    def answer(self, sheet: Sheet, start: Point | None = None) -> tuple[Solved, Certificate]:
        """Write the program of a sheet without cones, solve it and judge the answer, in one compiled call.

        ``start`` as in :meth:`solve`.
        """
        from pmx.projection.kernels.answering import answer

        frame = sheet.frame
        g = self._grouping(frame.long)
        rows, turnover = np.zeros(len(frame.long)), 0.0
        if start is not None:
            rows, turnover = start.rows.copy(), start.turnover
        *numbers, u, turnover, _, judged = answer(
            frame.law, frame.long, g.order, g.groups, *sheet.arrays, rows, turnover
        )
        self._compiled()
        return Solved(Point(u, rows, turnover), sheet, Numbers(*numbers)), from_figures("newton", *judged)

    def _compiled(self) -> None:
        """Note, once, that everything that a solve needs is compiled by now."""
        if not self._marked:
            from pmx.projection.kernels.compiled import mark_complete

            mark_complete()
            self._marked = True

    def _grouping(self, A: Array) -> Grouping:
        kept = self._kept.get(id(A))
        if kept is not None and kept[0] is A:
            return kept[1]
        grouping = Grouping.of(A)
        self._kept[id(A)] = (A, grouping)
        if len(self._kept) > GROUPINGS_KEPT:
            self._kept.popitem(last=False)
        return grouping
