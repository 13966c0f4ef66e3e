"""Engines in order, each answer judged; only a certified one leaves this module.

With ``engine="auto"`` the Newton engine answers programs without cones, and cvxpy the others and whatever Newton misses.
cvxpy's solvers are tried in the policy's order (``execution.solver.name``, CLARABEL unless changed, then its
``fallbacks``), each answer polished on its active set first. A solver that is not installed, fails, or misses the certificate is
logged and named in the certificate's ``note``. When none is left, hard rules that clash raise ``InfeasibleError``;
otherwise ``SolverError``. Nothing is ever returned in place of an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from pmx.errors import SolverError
from pmx.projection.certificate import Certificate, certify
from pmx.projection.infeasibility import require_feasible
from pmx.projection.least_prices import with_least_prices
from pmx.projection.polish import polish_dual
from pmx.projection.polish_conic import polish_conic
from pmx.projection.program import Point, Program, best_response, linear_term

if TYPE_CHECKING:
    from pmx.projection.cvxpy_engine import CvxpyEngine, Shape

Engine = Literal["auto", "newton", "cvxpy"]
ENGINES = ("auto", "newton", "cvxpy")

log = logging.getLogger("pmx.projection")


class EngineChain:
    """Solve programs of one shape; the compiled problem is kept between solves.

    Parameters
    ----------
    solvers : tuple of str
        cvxpy solver names, in the order in which they are tried.
    """

    def __init__(self, solvers: tuple[str, ...] = ("CLARABEL",)) -> None:
        self.solvers = solvers
        self._compiled: CvxpyEngine | None = None
        self._room: Shape | None = None

    def reserve(self, shape: Shape) -> None:
        """Compile for at least this shape when the first program arrives."""
        self._room = shape

    def compiled(self, shape: Shape) -> CvxpyEngine:
        """Return an engine with room for a shape, compiling one when the present one is too small."""
        from pmx.projection.cvxpy_engine import CvxpyEngine

        if self._compiled is None or not self._compiled.shape.holds(shape):
            roomy = self._room is not None and self._room.holds(shape)
            self._compiled = CvxpyEngine(self._room if roomy and self._room else shape)
        return self._compiled

    def solve(self, program: Program, engine: Engine = "auto") -> tuple[Point, Certificate]:
        """Return a certified point.

        Raises
        ------
        InfeasibleError
            When the hard rules cannot hold together.
        SolverError
            When nothing that was tried produced a point that the certificate accepts.
        """
        if program.n == 0:
            return self._empty(program)
        misses: list[str] = []
        if engine != "cvxpy":
            answer = _try_newton(program, misses)
            if answer is not None:
                return answer
        if engine != "newton":
            answer = self._try_cvxpy(program, misses)
            if answer is not None:
                return answer
        require_feasible(program)
        raise SolverError(
            "no engine produced an answer that its certificate accepts ("
            + "; ".join(misses)
            + "); use engine='auto', check the scale of the policy's numbers, or install another cvxpy solver and name it "
            "in execution.yml"
        )

    def _try_cvxpy(self, program: Program, misses: list[str]) -> tuple[Point, Certificate] | None:
        """Try the solvers in order; add to ``misses`` why the ones before the answer gave none."""
        from pmx.projection.cvxpy_engine import EngineFailureError, Shape

        engine = self.compiled(Shape.of(program))
        for solver in self.solvers:
            try:
                guess = engine.solve(program, solver)
            except EngineFailureError as failure:
                if failure.infeasible:
                    require_feasible(program)
                misses.append(str(failure))
                log.info("%s", failure)
                continue
            point, certificate = _best(program, guess, f"cvxpy/{solver}", "; ".join(misses))
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
            require_feasible(program)
            raise SolverError("a constraint on an empty universe cannot be certified; add positions or drop it")
        return point, certificate


def _try_newton(program: Program, misses: list[str]) -> tuple[Point, Certificate] | None:
    """Try the fast engine; add to ``misses`` why it gave no answer."""
    from pmx.projection.newton_engine import KernelUnavailableError, solve_dual

    if program.cones:
        misses.append("newton: takes no cones (a volatility cap, constraints of your own)")
        return None
    try:
        point, _ = solve_dual(program)
    except KernelUnavailableError as error:
        misses.append(f"newton: {error}")
        log.warning("%s", misses[-1])
        return None
    point = with_least_prices(program, point)
    certificate = certify(program, point, "newton")
    if certificate.accepted:
        return point, certificate
    _miss(misses, "newton", certificate)
    return None


def _miss(misses: list[str], engine: str, certificate: Certificate) -> None:
    misses.append(f"{engine}: residual {certificate.primal_residual:.1e}, distance {certificate.distance_bound:.1e}")
    log.warning("an answer missed the certificate: %s", misses[-1])


def _best(program: Program, guess: Point, engine: str, note: str) -> tuple[Point, Certificate]:
    """Return the first candidate that is accepted, or else the one with the smallest distance bound."""
    judged = []
    for point, how in _candidates(program, guess):
        certificate = certify(program, point, engine, "; ".join(filter(None, [note, how])))
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
