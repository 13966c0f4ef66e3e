"""Other ways to solve the same quadratic program, each by its best interface.

The program is ``½ uᵀ D u − (D t)ᵀ u`` with rows ``lo ≤ A u ≤ hi`` and bounds on each ``u``. Only the target changes
from solve to solve, the metric ``D`` does not, so a peer that can be updated in place is given a new linear term and
nothing else. What is readied beforehand, the linear term included, is not timed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from pmx.projection import Point, Program
from pmx.projection.program import Array

#: Stands for "no bound" where a peer wants a number: no weight is that large.
NEVER_BINDS = 10.0


class Peer:
    """One peer on one program.

    Parameters
    ----------
    program : Program
        With hard rows and bounds alone.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.q = -program.distance * program.target

    def load(self, target: Array) -> None:
        """Ready the linear term of a target."""
        self.q = -self.program.distance * np.abs(target)

    def solve(self) -> None:
        """Solve; what is timed."""
        raise NotImplementedError

    def point(self) -> Point:
        """Return the last answer as the certificate takes it."""
        raise NotImplementedError

    def admissible(self, u: Array, rows: Array) -> Point:
        """Return a point inside the bounds, its prices of the right signs: the kindest reading of an answer."""
        p = self.program
        rows = np.clip(rows, np.where(np.isinf(p.lo), 0.0, -np.inf), np.where(np.isinf(p.hi), 0.0, np.inf))
        return Point(u=np.clip(u, p.lower, p.upper), rows=rows)


class UnsolvedError(Exception):
    """The peer says that it did not solve the problem."""


class Piqp(Peer):
    """PIQP, an interior point method, updated in place. It starts each solve afresh: it has no warm start."""

    def __init__(self, program: Program, *, eps: float, dense: bool) -> None:
        import piqp

        super().__init__(program)
        self.solver = piqp.DenseSolver() if dense else piqp.SparseSolver()
        settings = self.solver.settings
        settings.eps_abs = settings.eps_rel = settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = eps
        settings.preconditioner_reuse_on_update = True  # a new linear term leaves the scaling as it is
        P, G = sp.diags_array(program.distance), sp.csc_array(program.A)
        matrices = (np.asfortranarray(P.toarray()), np.asfortranarray(program.A)) if dense else (_csc(P), _csc(G))
        box = {"x_l": program.lower, "x_u": program.upper}
        self.solver.setup(matrices[0], self.q, G=matrices[1], h_l=program.lo, h_u=program.hi, **box)
        self._solved = piqp.PIQP_SOLVED

    def solve(self) -> None:
        """Solve; what is timed."""
        self.solver.update(c=self.q)
        if (status := self.solver.solve()) != self._solved:
            raise UnsolvedError(f"PIQP: {status}")

    def point(self) -> Point:
        """Return the last answer."""
        result = self.solver.result
        return self.admissible(np.array(result.x), np.array(result.z_u) - np.array(result.z_l))


class Osqp(Peer):
    """OSQP, an operator-splitting method, updated in place and started from its last answer; polished."""

    def __init__(self, program: Program, *, eps: float, polish: bool = True) -> None:
        import osqp

        super().__init__(program)
        self.solver = osqp.OSQP()
        rows = sp.vstack([sp.csc_array(program.A), sp.eye_array(program.n)])
        low, high = np.concatenate([program.lo, program.lower]), np.concatenate([program.hi, program.upper])
        precision = {"eps_abs": eps, "eps_rel": eps, "max_iter": 100_000, "polishing": polish, "verbose": False}
        self.solver.setup(_csc(sp.diags_array(program.distance)), self.q, _csc(rows), low, high, **precision)
        self.result: Any = None

    def solve(self) -> None:
        """Solve; what is timed."""
        self.solver.update(q=self.q)
        self.result = self.solver.solve(raise_error=False)
        if self.result.info.status != "solved":
            raise UnsolvedError(f"OSQP: {self.result.info.status}")

    def point(self) -> Point:
        """Return the last answer."""
        return self.admissible(self.result.x, self.result.y[: len(self.program.A)])


class PyPortfolioOpt(Peer):
    """PyPortfolioOpt: the same objective and constraints through its convex optimiser, built anew at every solve.

    It has no way to change a number of a problem that it has solved.
    """

    def __init__(self, program: Program, *, solver: str, options: dict[str, Any]) -> None:
        import pypfopt  # noqa: F401 - missing, it shall say so before the clock starts

        super().__init__(program)
        self.D, self.A = sp.diags_array(program.distance, format="csc"), sp.csr_array(program.A)
        self.above, self.below = np.flatnonzero(np.isfinite(program.hi)), np.flatnonzero(np.isfinite(program.lo))
        self.bounds = np.column_stack([program.lower, np.minimum(program.upper, NEVER_BINDS)])
        self.solver, self.options = solver, options
        self.weights: Array = np.zeros(program.n)

    def solve(self) -> None:
        """Solve; what is timed."""
        import cvxpy as cp
        from pypfopt.base_optimizer import BaseConvexOptimizer

        p, q = self.program, self.q
        optimiser = BaseConvexOptimizer(
            p.n, weight_bounds=self.bounds, solver=self.solver, solver_options=dict(self.options)
        )
        optimiser.add_constraint(lambda w: self.A[self.above] @ w <= p.hi[self.above])
        optimiser.add_constraint(lambda w: self.A[self.below] @ w >= p.lo[self.below])
        optimiser.convex_objective(
            lambda w: 0.5 * cp.quad_form(w, self.D, assume_PSD=True) + q @ w, weights_sum_to_one=False
        )
        self.weights = np.asarray(optimiser.weights)

    def point(self) -> Point:
        """Return the last answer."""
        return self.admissible(self.weights, np.full(len(self.program.A), np.nan))


class Skfolio(Peer):
    """skfolio: least variance of ``w − t`` under a given covariance ``D``, which is the same problem, fitted anew.

    It wants returns to fit, so it is given two rows of zeros and a prior that ignores them.
    """

    def __init__(self, program: Program, *, solver: str, options: dict[str, Any]) -> None:
        from skfolio.prior import BasePrior, ReturnDistribution

        super().__init__(program)
        n = program.n
        given = ReturnDistribution(mu=np.zeros(n), covariance=np.diag(program.distance), returns=np.zeros((2, n)))

        class Given(BasePrior):
            def __init__(self) -> None:
                pass

            def fit(self, X: Any, y: Any = None, **_: Any) -> Given:
                self.return_distribution_ = given
                return self

        above, below = np.isfinite(program.hi), np.isfinite(program.lo)
        self.left = np.vstack([program.A[above], -program.A[below]])
        self.right = np.concatenate([program.hi[above], -program.lo[below]])
        self.prior, self.returns = Given(), np.zeros((2, n))
        self.solver, self.options = solver, options
        self.target = program.target
        self.weights: Array = np.zeros(n)

    def load(self, target: Array) -> None:
        """Ready a target."""
        self.target = np.abs(target)

    def solve(self) -> None:
        """Solve; what is timed."""
        from skfolio.optimization import MeanRisk

        p = self.program
        model = MeanRisk(
            prior_estimator=self.prior,
            min_weights=p.lower,
            max_weights=np.minimum(p.upper, NEVER_BINDS),
            budget=None,
            target_weights=self.target,
            left_inequality=self.left,
            right_inequality=self.right,
            solver=self.solver,
            solver_params=dict(self.options),
        )
        self.weights = model.fit(self.returns).weights_

    def point(self) -> Point:
        """Return the last answer."""
        return self.admissible(self.weights, np.full(len(self.program.A), np.nan))


def _csc(matrix: Any) -> sp.csc_matrix:
    """Return a matrix in the form that compiled solvers take."""
    return sp.csc_matrix(matrix)
