"""The same quadratic program through cvxpy: compiled once, or built at every solve."""

from __future__ import annotations

import warnings
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp

from pmx.projection import Point, Program
from pmx.projection.program import Array
from support.peers import Peer, UnsolvedError

#: Solvers of quadratic programs that cvxpy may find, and the options that ask each for an accuracy of 1e-10.
SHARP: dict[str, dict[str, Any]] = {
    "PIQP": dict.fromkeys(("eps_abs", "eps_rel", "eps_duality_gap_abs", "eps_duality_gap_rel"), 1e-10),
    "CLARABEL": {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10},
    "OSQP": {"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iter": 100_000, "polishing": True},
    "PROXQP": {"eps_abs": 1e-10},
    "DAQP": {"primal_tol": 1e-10, "dual_tol": 1e-10},
    "HIGHS": {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    "QOCO": {"abstol": 1e-10, "reltol": 1e-10},
    "SCS": {"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iters": 100_000},
}
#: Solvers whose time grows as the cube of the size: cvxpy gives the first two dense matrices (it cannot call the sparse
#: form of PROXQP), and the method of HIGHS for quadratic programs is as steep.
CUBIC = ("DAQP", "PROXQP", "HIGHS")
#: Above this many positions the target enters by a constraint: cvxpy lays the parameters of a quadratic objective out
#: in a dense matrix, parameters by variables, which for 100,000 would take 80 GB.
LARGE = 30_000


def installed() -> list[str]:
    """Return the solvers of :data:`SHARP` that are installed here."""
    found = cp.installed_solvers()
    return [name for name in SHARP if name in found]


class Cvxpy(Peer):
    """A cvxpy problem, compiled with the linear term as its only parameter, or built at every solve.

    Parameters
    ----------
    program : Program
        With hard rows and bounds alone.
    solver : str
        One of :data:`SHARP`.
    compiled : bool
        Whether it is built once.
    by_constraint : bool
        Whether the target enters by a constraint on the distance, not by the objective: more variables, but numbers
        that cvxpy rewrites faster.
    """

    def __init__(self, program: Program, solver: str, *, compiled: bool, by_constraint: bool = False) -> None:
        super().__init__(program)
        self.solver, self.compiled = solver, compiled
        self.D, self.A = sp.diags_array(program.distance, format="csc"), sp.csr_array(program.A)
        self.above, self.below = np.flatnonzero(np.isfinite(program.hi)), np.flatnonzero(np.isfinite(program.lo))
        self.parameter = cp.Parameter(program.n)
        self.by_constraint = by_constraint or (compiled and program.n > LARGE)
        if compiled:
            self._build(self.parameter)

    def _build(self, q: Array | cp.Parameter) -> None:
        p = self.program
        self.u = cp.Variable(p.n, bounds=[p.lower, p.upper])
        self.rows = [
            self.A[self.above] @ self.u <= p.hi[self.above],
            self.A[self.below] @ self.u >= p.lo[self.below],
        ]
        if self.by_constraint:
            away = cp.Variable(p.n)
            self.rows.append(away == self.u + sp.diags_array(1.0 / p.distance) @ q)
            cost = 0.5 * cp.quad_form(away, self.D, assume_PSD=True)
        else:
            cost = 0.5 * cp.quad_form(self.u, self.D, assume_PSD=True) + q @ self.u
        self.problem = cp.Problem(cp.Minimize(cost), self.rows)

    def solve(self) -> None:
        """Solve; what is timed."""
        if self.compiled:
            self.parameter.value = self.q
        else:
            self._build(self.q)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": the certificate says how much
            self.problem.solve(solver=self.solver, warm_start=True, **SHARP[self.solver])
        if self.problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            raise UnsolvedError(f"{self.solver}: {self.problem.status}")

    def point(self) -> Point:
        """Return the last answer."""
        prices = np.zeros(len(self.program.A))
        prices[self.above] += self.rows[0].dual_value
        prices[self.below] -= self.rows[1].dual_value
        return self.admissible(np.asarray(self.u.value), prices)
