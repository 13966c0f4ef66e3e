"""The compiled kernel by itself, and the floor under it: one pass over the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit

from pmx.projection import Point, Program
from pmx.projection.grouping import Grouping
from pmx.projection.kernels.newton import maximise_dual
from pmx.projection.kernels.passes import Groups, Positions, Rules
from pmx.projection.program import Array

#: Complementarity at which the ascent stops, fraction of NAV: a few units in the last place of 1.
TOLERANCE = 1e-15


class Kernel:
    """The dual ascent over arrays that are readied once; only the target changes from solve to solve.

    Parameters
    ----------
    program : Program
        Without cones, equalities or rules on trading.
    warm : bool
        Whether a solve starts from the prices of the one before, or from zero.
    """

    def __init__(self, program: Program, *, warm: bool) -> None:
        self.program, self.warm = program, warm
        priced = program.penalty > 0
        above = np.flatnonzero(priced & np.isfinite(program.hi))
        below = np.flatnonzero(priced & np.isfinite(program.lo))
        self.row = np.concatenate([above, below])
        self.direction = np.concatenate([np.ones(len(above)), -np.ones(len(below))])
        grouping = Grouping.of(self.direction[:, None] * program.A[self.row])
        self.groups = Groups(grouping.start, grouping.row_start, grouping.row, grouping.coefficient)
        self.order = grouping.order
        names = ("distance", "target", "lower", "upper", "previous", "cost", "floor", "floor_penalty")
        arrays = {name: getattr(program, name)[self.order] for name in names}
        self.at = Positions(softness=1.0 / arrays["distance"], **arrays)
        bound = np.concatenate([program.hi[above], -program.lo[below]])
        self.rules = Rules(bound, np.zeros(len(bound)), program.penalty[self.row], -1, False)
        self.prices, self.u = np.zeros(len(bound)), np.empty(program.n)
        self.wanted = self.at.target.copy()
        self.rounds = 0

    def load(self, target: Array) -> None:
        """Ready the next target."""
        self.wanted = np.abs(target)[self.order]

    def solve(self) -> None:
        """Write the target in place and solve."""
        self.at.target[:] = self.wanted
        if not self.warm:
            self.prices[:] = 0.0
        self.rounds, _ = maximise_dual(self.groups, self.at, self.rules, self.prices, self.u, TOLERANCE)

    def point(self) -> Point:
        """Return the last answer as the certificate takes it."""
        u = np.empty(self.program.n)
        u[self.order] = self.u
        rows = np.zeros(len(self.program.A))
        np.add.at(rows, self.row, self.direction * self.prices)
        return Point(u=u, rows=rows)


def with_target(program: Program, target: Array) -> Program:
    """Return the program with other wishes and everything else, the metric too, as it was."""
    return replace(program, target=np.abs(target))


@njit
def one_pass(target, lower, upper, u):
    """Read three arrays and write one, the least that any answer costs: the wish, cut at the bounds."""
    for j in range(u.shape[0]):
        u[j] = min(max(target[j], lower[j]), upper[j])


class Floor:
    """One compiled pass, called as the kernel is."""

    def __init__(self, program: Program) -> None:
        self.target, self.lower, self.upper = program.target.copy(), program.lower, program.upper
        self.u = np.empty(program.n)

    def load(self, target: Array) -> None:
        """Ready the next target."""
        self.target = np.abs(target)

    def solve(self) -> None:
        """Make the pass."""
        one_pass(self.target, self.lower, self.upper, self.u)
