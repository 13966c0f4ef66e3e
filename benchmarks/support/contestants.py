"""Who takes part in the race over one projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from pmx.projection import Projector
from pmx.projection.program import Array
from support.cases import Case
from support.cvxpy_peers import CUBIC, SHARP, Cvxpy, installed
from support.kernel import Floor, Kernel
from support.peers import Osqp, Piqp, PyPortfolioOpt, Skfolio

WARM, COLD, FLOOR = "pmx kernel, warm", "pmx kernel, cold", "floor: one pass over the data"
CALL_WARM, CALL_COLD = "pmx call, arrays, warm, certified", "pmx call, arrays, cold, certified"
CALL_SERIES = "pmx call, Series, cold, certified"
OWN = (WARM, COLD, CALL_WARM, CALL_COLD, CALL_SERIES, FLOOR)
PIQP, COMPILED = "PIQP in place", "cvxpy compiled"
#: Packages whose versions matter.
PACKAGES = (
    "piqp", "osqp", "cvxpy", "PyPortfolioOpt", "skfolio", "daqp", "proxsuite", "highspy", "qoco", "scs", "clarabel",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A way to solve the problem.

    Attributes
    ----------
    name : str
        What tables call it.
    build : callable
        Takes the case; returns what has ``load``, ``solve``, and ``point`` or ``allocation``.
    order : float
        How its time grows at least: 1 is linear. With dense matrices it is 3 in the end, though small sizes hide it.
    """

    name: str
    build: Callable[[Case], Any]
    order: float = 1.0


class Call:
    """The public call: rules written, solved, certified, and recorded in an ``Allocation``."""

    def __init__(self, case: Case, *, warm: bool = False, series: bool = False) -> None:
        self.warm, self.series = warm, series
        self.projector = Projector(case.policy, case.positions)
        self.target: Any = None
        self.allocation: Any = None

    def load(self, target: Array) -> None:
        """Ready the next target, as a caller would have it."""
        self.target = pd.Series(target, index=self.projector.index) if self.series else target

    def solve(self) -> None:
        """Project."""
        start = self.allocation if self.warm else None
        self.allocation = self.projector.project(self.target, warm_start=start)


def entries() -> list[Entry]:
    """Return everything that takes part."""
    solvers = installed()
    best = "PIQP" if "PIQP" in solvers else "CLARABEL"
    return [
        Entry(WARM, lambda case: Kernel(case.program, warm=True)),
        Entry(COLD, lambda case: Kernel(case.program, warm=False)),
        Entry(CALL_WARM, partial(Call, warm=True)),
        Entry(CALL_COLD, Call),
        Entry(CALL_SERIES, partial(Call, series=True)),
        Entry(FLOOR, lambda case: Floor(case.program)),
        Entry(f"{PIQP}, sparse, 1e-10", lambda case: Piqp(case.program, eps=1e-10, dense=False)),
        Entry(f"{PIQP}, sparse, 1e-8", lambda case: Piqp(case.program, eps=1e-8, dense=False)),
        Entry(f"{PIQP}, dense, 1e-10", lambda case: Piqp(case.program, eps=1e-10, dense=True), 3.0),
        Entry("OSQP in place, polished, 1e-10", lambda case: Osqp(case.program, eps=1e-10)),
        Entry("OSQP in place, polished, 1e-8", lambda case: Osqp(case.program, eps=1e-8)),
        *(
            Entry(f"{COMPILED}, {solver}", partial(_cvxpy, solver=solver, compiled=True), 3.0 if solver in CUBIC else 1)
            for solver in solvers
        ),
        Entry(f"{COMPILED}, {best}, by constraint", partial(_cvxpy, solver=best, compiled=True, by_constraint=True)),
        Entry(f"cvxpy built each time, {best}", partial(_cvxpy, solver=best, compiled=False)),
        Entry(f"PyPortfolioOpt, {best}", partial(_library, peer=PyPortfolioOpt, solver=best)),
        Entry("skfolio, CLARABEL", partial(_library, peer=Skfolio, solver="CLARABEL"), 3.0),
    ]


def _cvxpy(case: Case, *, solver: str, compiled: bool, by_constraint: bool = False) -> Cvxpy:
    return Cvxpy(case.program, solver, compiled=compiled, by_constraint=by_constraint)


def _library(case: Case, *, peer: Callable[..., Any], solver: str) -> Any:
    return peer(case.program, solver=solver, options=SHARP[solver])
