"""The reference engine: the program as a cvxpy problem, compiled once and re-solved with parameters.

cvxpy is the definition of the problem and the home of cones and of user-written constraints. Every number of a
program is a parameter, so the compiled problem serves every program of the same :class:`Shape`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from pmx.errors import SolverError
from pmx.projection.program import Array, Point, Program

#: Stands for "no limit" in the compiled problem, where every row needs a finite bound.
NEVER_BINDS = 10.0

#: Options of each solver, in the order in which they are tried: sharp first, then blunter, for polishing to finish.
SOLVER_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "CLARABEL": (
        {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12, "max_iter": 200},
        {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8, "max_iter": 200},
    ),
    "PIQP": ({"eps_abs": 1e-11, "eps_rel": 1e-11, "max_iter": 500},),
    "OSQP": ({"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iter": 200_000, "polishing": True},),
    "SCS": ({"eps_abs": 1e-10, "eps_rel": 1e-10, "max_iters": 200_000},),
}


class EngineFailureError(Exception):
    """The engine produced no point; the message says why, ``infeasible`` whether it claims that none exists."""

    def __init__(self, reason: str, *, infeasible: bool = False) -> None:
        super().__init__(reason)
        self.infeasible = infeasible


@dataclass(frozen=True, slots=True)
class Sides:
    """Rows written one-sided, ``B u ≤ c``, hard ones and soft ones apart.

    ``row`` and ``direction`` say where each side came from: ``B = direction · A[row]``.
    """

    row: np.ndarray
    direction: Array
    B: Array
    c: Array
    rho: Array

    @classmethod
    def of(cls, program: Program, *, hard: bool) -> Sides:
        """Return the finite sides of the hard rows, or of the soft rows that have a price."""
        wanted = np.isinf(program.penalty) if hard else np.isfinite(program.penalty) & (program.penalty > 0)
        above = np.flatnonzero(wanted & np.isfinite(program.hi))
        below = np.flatnonzero(wanted & np.isfinite(program.lo))
        row = np.concatenate([above, below])
        direction = np.concatenate([np.ones(len(above)), -np.ones(len(below))])
        return cls(
            row=row,
            direction=direction,
            B=direction[:, None] * program.A[row],
            c=np.concatenate([program.hi[above], -program.lo[below]]),
            rho=program.penalty[row],
        )

    def fold(self, duals: Array, rows: Array) -> None:
        """Add the duals of these sides to the signed duals of the rows."""
        np.add.at(rows, self.row, self.direction * duals[: len(self.row)])


@dataclass(frozen=True, slots=True)
class Shape:
    """What the compiled problem must have room for."""

    n: int
    hard_sides: int
    soft_sides: int
    trades: bool
    turnover: str  # "none", "hard", "soft"
    floors: bool
    cones: tuple[tuple[str, int], ...]
    n_auxiliary: int

    @classmethod
    def of(cls, program: Program) -> Shape:
        """Return the smallest shape that holds a program."""
        turnover = "none"
        if program.has_turnover_rule:
            turnover = "hard" if np.isinf(program.turnover_penalty) else "soft"
        return cls(
            n=program.n,
            hard_sides=len(Sides.of(program, hard=True).row),
            soft_sides=len(Sides.of(program, hard=False).row),
            trades=turnover != "none" or bool((program.cost > 0).any()),
            turnover=turnover,
            floors=bool(np.isfinite(program.floor).any()),
            cones=tuple((cone.kind, len(cone.h)) for cone in program.cones),
            n_auxiliary=program.n_auxiliary,
        )

    def holds(self, other: Shape) -> bool:
        """Whether a problem compiled for this shape can take a program of the other one."""
        return (
            self.n == other.n
            and self.hard_sides >= other.hard_sides
            and self.soft_sides >= other.soft_sides
            and self.trades >= other.trades
            and other.turnover in ("none", self.turnover)
            and self.floors >= other.floors
            and self.cones == other.cones
            and self.n_auxiliary == other.n_auxiliary
        )


class CvxpyEngine:
    """A compiled cvxpy problem of one shape.

    Parameters
    ----------
    shape : Shape
        Room to compile for.

    Raises
    ------
    SolverError
        When the problem does not follow the disciplined parametrized programming rules.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        n = shape.n
        self._u = u = cp.Variable(n, name="u")
        self._a = cp.Variable(max(shape.n_auxiliary, 1), name="auxiliary")
        self._p: dict[str, cp.Parameter] = {}
        self._dual: dict[str, cp.Constraint] = {}
        cost = 0.5 * cp.sum_squares(cp.multiply(self._new("root_d", n, nonneg=True), u) - self._new("root_d_t", n))
        constraints = [u >= self._new("lower", n), u <= self._new("upper", n)]
        cost += self._rows(constraints)
        cost += self._trades(constraints)
        if shape.floors:
            under = cp.Variable(n, nonneg=True, name="under")
            constraints.append(under >= self._new("floor", n) - u)
            cost += self._new("floor_penalty", n, nonneg=True) @ under
        self._cones(constraints)
        self.problem = cp.Problem(cp.Minimize(cost), constraints)
        self._installed = frozenset(cp.installed_solvers())
        require_dpp(self.problem)

    def _new(self, name: str, *shape: int, nonneg: bool = False) -> cp.Parameter:
        self._p[name] = cp.Parameter(shape, name=name, nonneg=nonneg)
        return self._p[name]

    def _rows(self, constraints: list[cp.Constraint]) -> Any:
        n, hard, soft = self.shape.n, self.shape.hard_sides, self.shape.soft_sides
        if hard:
            self._dual["hard"] = self._new("B_hard", hard, n) @ self._u <= self._new("c_hard", hard)
            constraints.append(self._dual["hard"])
        if not soft:
            return 0.0
        v = cp.Variable(soft, nonneg=True, name="v")
        self._dual["soft"] = self._new("B_soft", soft, n) @ self._u <= self._new("c_soft", soft) + v
        constraints.append(self._dual["soft"])
        return self._new("rho", soft, nonneg=True) @ v

    def _trades(self, constraints: list[cp.Constraint]) -> Any:
        if not self.shape.trades:
            return 0.0
        n = self.shape.n
        p = self._new("previous", n)
        trade = cp.Variable(n, name="trade")
        constraints += [trade >= self._u - p, trade >= p - self._u]
        cost = self._new("kappa", n, nonneg=True) @ trade
        if self.shape.turnover == "none":
            return cost
        limit = self._new("turnover_max", 1)
        if self.shape.turnover == "soft":
            over = cp.Variable(1, nonneg=True, name="turnover_over")
            cost += self._new("turnover_penalty", 1, nonneg=True) @ over
            limit = limit + over
        self._dual["turnover"] = 0.5 * cp.sum(trade) <= limit
        constraints.append(self._dual["turnover"])
        return cost

    def _cones(self, constraints: list[cp.Constraint]) -> None:
        for i, (kind, m) in enumerate(self.shape.cones):
            s = self._new(f"h{i}", m) - self._new(f"G{i}", m, self.shape.n) @ self._u
            if self.shape.n_auxiliary:
                s = s - self._new(f"H{i}", m, self.shape.n_auxiliary) @ self._a
            if kind == "zero":
                constraint: cp.Constraint = s == 0
            elif kind == "nonnegative":
                constraint = s >= 0
            else:
                constraint = cp.SOC(s[0], s[1:])
            self._dual[f"cone{i}"] = constraint
            constraints.append(constraint)

    def load(self, program: Program) -> tuple[Sides, Sides]:
        """Write a program into the parameters; return its hard and soft sides."""
        hard, soft = Sides.of(program, hard=True), Sides.of(program, hard=False)
        root = np.sqrt(program.distance)
        values: dict[str, Any] = {
            "root_d": root,
            "root_d_t": root * program.target,
            "lower": program.lower,
            "upper": np.minimum(program.upper, NEVER_BINDS),
            "previous": program.previous,
            "kappa": program.cost,
            "turnover_max": np.array([min(program.turnover_max, NEVER_BINDS)]),
            "turnover_penalty": np.array([program.turnover_penalty if np.isfinite(program.turnover_penalty) else 1.0]),
            "floor": np.maximum(program.floor, -1.0),
            "floor_penalty": program.floor_penalty,
        }
        for name, sides, room in (("hard", hard, self.shape.hard_sides), ("soft", soft, self.shape.soft_sides)):
            spare = room - len(sides.row)
            values[f"B_{name}"] = np.vstack([sides.B, np.zeros((spare, program.n))])
            values[f"c_{name}"] = np.concatenate([sides.c, np.ones(spare)])
        values["rho"] = np.concatenate([soft.rho, np.ones(self.shape.soft_sides - len(soft.row))])
        for i, cone in enumerate(program.cones):
            values |= {f"G{i}": cone.G, f"h{i}": cone.h, f"H{i}": cone.H}
        for name, parameter in self._p.items():
            parameter.value = values[name]
        return hard, soft

    def solve(self, program: Program, solver: str) -> Point:
        """Return an approximate primal and dual solution by one cvxpy solver.

        Raises
        ------
        EngineFailureError
            When the solver is not installed, fails, or claims that the rules cannot hold together.
        """
        hard, soft = self.load(program)
        status = self._run(solver)
        if status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
            claims = status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE)
            raise EngineFailureError(f"{solver}: {status}", infeasible=claims)
        point = self._point(program, hard, soft)
        if not np.isfinite(point.u).all():
            raise EngineFailureError(f"{solver}: not finite")
        return point

    def _run(self, solver: str) -> str:
        """Return cvxpy's status, or in words why there is none."""
        if solver not in self._installed:
            return "not installed"
        status = ""
        for options in SOLVER_OPTIONS.get(solver, ({},)):
            status = self._attempt(solver, options)
            if status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
                break
        return status

    def _attempt(self, solver: str, options: dict[str, Any]) -> str:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            try:
                self.problem.solve(solver=solver, **options, enforce_dpp=True, warm_start=False)
            except (
                cp.error.SolverError,
                ValueError,
            ) as error:  # ValueError: cvxpy's "cannot take this kind of problem"
                return (str(error).splitlines() or [type(error).__name__])[0]
        return str(self.problem.status)

    def _point(self, program: Program, hard: Sides, soft: Sides) -> Point:
        rows = np.zeros(len(program.A))
        if "hard" in self._dual:
            hard.fold(np.maximum(self._dual["hard"].dual_value, 0.0), rows)
        if "soft" in self._dual:
            soft.fold(np.maximum(self._dual["soft"].dual_value, 0.0), rows)
        price = float(np.ravel(self._dual["turnover"].dual_value)[0]) if "turnover" in self._dual else 0.0
        if not program.has_turnover_rule:
            price = 0.0
        return Point(
            u=np.clip(self._u.value, program.lower, program.upper),
            rows=np.clip(rows, -program.penalty, program.penalty),
            turnover=float(np.clip(price, 0.0, program.turnover_penalty)),
            cones=tuple(self._cone_dual(i, kind) for i, (kind, _) in enumerate(self.shape.cones)),
            auxiliary=np.asarray(self._a.value, dtype=np.float64)[: program.n_auxiliary]
            if program.n_auxiliary
            else np.empty(0),
        )

    def _cone_dual(self, i: int, kind: str) -> Array:
        value = self._dual[f"cone{i}"].dual_value
        if kind == "zero":
            return -np.ravel(value)
        if kind == "nonnegative":
            return np.maximum(np.ravel(value), 0.0)
        z = np.concatenate([np.ravel(value[0]), np.ravel(value[1])])
        z[0] = max(float(z[0]), float(np.linalg.norm(z[1:])))
        return z


def require_dpp(problem: cp.Problem) -> None:
    """Refuse a problem that cvxpy would have to compile anew at every solve.

    Raises
    ------
    SolverError
        When the problem is not convex, or not in the parametrized form.
    """
    if not problem.is_dcp():
        raise SolverError("the problem is not convex by cvxpy's rules; rewrite the constraint that you added")
    if not problem.is_dcp(dpp=True):
        raise SolverError(
            "the problem is not DPP: a parameter is multiplied by another parameter or enters nonlinearly; "
            "rewrite the constraint so that it is affine in its parameters"
        )
