"""Engines in order, each answer judged; only a certified one leaves this module.

With ``engine="auto"`` the Newton engine answers programs without cones; cvxpy answers the others, and whatever Newton
misses. cvxpy's solvers are tried in the policy's order (``execution.solver.name``, CLARABEL unless changed, then its
``fallbacks``), each answer polished on its active set first. An engine that is not installed, fails, or misses the
certificate is logged and named in the certificate's ``note``. When none is left, hard rules that clash raise
``InfeasibleError``; otherwise ``SolverError``. Nothing is ever returned in place of an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from pmx.arguments import checked
from pmx.errors import SolverError
from pmx.projection.certificate import Certificate, certify
from pmx.projection.infeasibility import require_feasible
from pmx.projection.kernels import kernel
from pmx.projection.least_prices import with_least_prices
from pmx.projection.newton_engine import solve_dual
from pmx.projection.polish import polish_dual
from pmx.projection.polish_conic import polish_conic
from pmx.projection.program import Point, Program
from pmx.projection.response import best_response, linear_term

if TYPE_CHECKING:
    from pmx.projection.cvxpy_engine import CvxpyEngine, Shape

Engine = Literal["auto", "newton", "cvxpy"]
ENGINES = ("auto", "newton", "cvxpy")

log = logging.getLogger("pmx.projection")


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A program, and what its objective is multiplied with to suit engines.

    Engines stop at absolute tolerances; a metric of variances, say, should not be solved less sharply for its unit. So
    where every position is soft, the objective is multiplied by ``unit``, a power of two, until the stiffest is of
    order 1. Answers are judged on the program as it was written.
    """

    program: Program
    unit: float

    @classmethod
    def of(cls, program: Program) -> Job:
        """Return the job of solving a program."""
        return cls(program, float(kernel("answering", "unit_of")(program.distance)))

    def scaled(self) -> Program:
        """Return the program in the unit that suits engines."""
        program, unit = self.program, self.unit
        if unit == 1.0:
            return program
        return replace(
            program,
            distance=program.distance * unit,
            cost=program.cost * unit,
            floor_penalty=program.floor_penalty * unit,
            penalty=program.penalty * unit,
            turnover_penalty=program.turnover_penalty * unit,
        )

    def judge(self, point: Point, engine: str, note: str) -> tuple[Point, Certificate]:
        """Return a point of the scaled program as one of the program itself, with its certificate."""
        unit = self.unit
        if unit != 1.0:
            cones = tuple(z / unit for z in point.cones)
            point = replace(point, rows=point.rows / unit, turnover=point.turnover / unit, cones=cones)
        return point, certify(self.program, point, engine, note)


class EngineChain:
    """Solve programs of one shape; the compiled problem is kept between solves.

    Parameters
    ----------
    solvers : tuple of str
        cvxpy solver names, in the order in which they are tried.
    room : callable, optional
        Returns the shape to compile for when cvxpy is first needed.
    positions : sequence of (bucket, symbol), optional
        What to call positions when rules clash.
    """

    @checked
    def __init__(
        self,
        solvers: tuple[str, ...] = ("CLARABEL",),
        room: Callable[[], Shape] | None = None,
        positions: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.solvers = solvers
        self.positions = positions
        self._room = room
        self._compiled: CvxpyEngine | None = None

    @checked
    def compiled(self, shape: Shape) -> CvxpyEngine:
        """Return an engine with room for a shape, compiling one when the present one is too small."""
        from pmx.projection.cvxpy_engine import CvxpyEngine

        if self._compiled is None or not self._compiled.shape.holds(shape):
            room = shape if self._room is None else self._room()
            self._compiled = CvxpyEngine(room if room.holds(shape) else shape)
        return self._compiled

    @checked
    def solve(
        self, program: Program, engine: Engine = "auto", missed: Certificate | None = None
    ) -> tuple[Point, Certificate]:
        """Return a certified point.

        Parameters
        ----------
        program : Program
            The problem.
        engine : {"auto", "newton", "cvxpy"}
            Which engine answers.
        missed : Certificate, optional
            Of an answer of the Newton engine that was not accepted, so that it is not tried again.

        Raises
        ------
        InfeasibleError
            When the hard rules cannot hold together.
        SolverError
            When nothing that was tried produced a point that the certificate accepts.
        """
        if program.n == 0:
            return self._empty(program)
        job = Job.of(program)
        misses: list[str] = []
        if missed is not None:
            _miss(misses, "newton", missed)
        elif engine != "cvxpy":
            answer = self._try_newton(job, misses)
            if answer is not None:
                return answer
        if misses and not program.cones:
            require_feasible(program, self.positions)  # takes milliseconds; compiling a cvxpy problem takes longer
        if engine != "newton":
            answer = self._try_cvxpy(job, misses)
            if answer is not None:
                return answer
        require_feasible(program, self.positions)
        raise SolverError(
            "no engine produced an answer that its certificate accepts ("
            + "; ".join(misses)
            + "); use engine='auto', check the scale of the wishes and of the policy's numbers, or install another "
            "cvxpy solver and name it in execution.yml"
        )

    def _try_newton(self, job: Job, misses: list[str]) -> tuple[Point, Certificate] | None:
        """Try the fast engine; add to ``misses`` why it gave no answer."""
        program = job.program
        if program.cones:
            misses.append("newton: takes no cones (a volatility cap, constraints of your own)")
            return None
        point, _ = solve_dual(program, job.unit)
        certificate = certify(program, point, "newton")
        if certificate.accepted:
            return point, certificate
        _miss(misses, "newton", certificate)
        return None

    def _try_cvxpy(self, job: Job, misses: list[str]) -> tuple[Point, Certificate] | None:
        """Try the solvers in order; add to ``misses`` why the ones before the answer gave none."""
        from pmx.projection.cvxpy_engine import EngineFailureError, Shape

        scaled = job.scaled()
        engine = self.compiled(Shape.of(scaled))
        for solver in self.solvers:
            try:
                guess = engine.solve(scaled, solver)
            except EngineFailureError as failure:
                if failure.infeasible:
                    require_feasible(job.program, self.positions)
                misses.append(str(failure))
                log.info("%s", failure)
                continue
            point, certificate = _best(job, scaled, guess, f"cvxpy/{solver}", "; ".join(misses))
            if certificate.accepted:
                return point, certificate
            _miss(misses, solver, certificate)
        return None

    def _empty(self, program: Program) -> tuple[Point, Certificate]:
        point = Point(
            u=np.zeros(0),
            rows=np.zeros(len(program.A)),
            cones=tuple(np.zeros(len(cone.h)) for cone in program.cones),
            auxiliary=np.zeros(program.n_auxiliary),
        )
        certificate = certify(program, point, "closed form", "no positions")
        if not certificate.accepted:
            require_feasible(program, self.positions)
            raise SolverError("a constraint on an empty universe cannot be certified; add positions or drop it")
        return point, certificate


def _miss(misses: list[str], engine: str, certificate: Certificate) -> None:
    misses.append(f"{engine}: residual {certificate.primal_residual:.1e}, distance {certificate.distance_bound:.1e}")
    log.info("an answer missed the certificate: %s", misses[-1])


def _best(job: Job, scaled: Program, guess: Point, engine: str, note: str) -> tuple[Point, Certificate]:
    """Return the first candidate that is accepted, or else the one with the smallest distance bound."""
    judged = []
    for candidate, how in _candidates(scaled, guess):
        point, certificate = job.judge(candidate, engine, "; ".join(filter(None, [note, how])))
        if certificate.accepted:
            return point, certificate
        judged.append((point, certificate))
    return min(judged, key=lambda pair: (pair[1].primal_residual > 1e-9, pair[1].distance_bound))


def _candidates(program: Program, guess: Point) -> Iterator[tuple[Point, str]]:
    """Yield polished answers, then the raw one; each first with the exact response to its own prices."""
    tries = []
    if program.cones:
        polished = polish_conic(program, guess)
        tries.append((polished, "polished"))
        tries.append((polish_dual(program, replace(guess, cones=polished.cones)), "polished in two steps"))
    else:
        tries.append((polish_dual(program, guess), "polished"))
    for point, how in (*tries, (guess, "not polished")):
        responding = replace(point, u=best_response(program, linear_term(program, point), point.turnover))
        yield with_least_prices(program, responding), how
        yield point, how
