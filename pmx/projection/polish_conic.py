"""Sharpen an answer in which cones press: Newton's method on the optimality conditions of a fixed active set.

Rules without cones are finished by :mod:`pmx.projection.polish`; a cone's price is a vector, so here positions and
prices are solved for together. An interior point is near enough for the steps to converge quadratically.
"""

from __future__ import annotations

import numpy as np

from pmx.projection.polish import RESIDUAL, DualModel
from pmx.projection.program import Array, Point, Program
from pmx.projection.response import best_response, linear_term

MAX_STEPS = 12


def polish_conic(program: Program, guess: Point) -> Point:
    """Return the point that the guessed active set leads to, or the guess when it leads nowhere.

    Parameters
    ----------
    program : Program
        The problem.
    guess : Point
        An approximate primal and dual solution.

    Returns
    -------
    Point
        Not judged here: the certificate decides whether it is better than the guess.
    """
    system = _ActiveSystem(program, guess)
    for _ in range(MAX_STEPS):
        residual, jacobian = system.linearise()
        if float(np.abs(residual).max(initial=0.0)) <= RESIDUAL:
            break
        system.move(_solve_balanced(jacobian, -residual))
    point = system.point()
    return point if all(np.isfinite(part).all() for part in (point.u, point.rows, *point.cones)) else guess


def _solve_balanced(matrix: Array, right: Array) -> Array:
    """Least-squares solution after scaling rows and columns to like size; prices and weights differ by many powers."""
    columns = np.ones(matrix.shape[1])
    rows = np.ones(matrix.shape[0])
    for _ in range(4):
        scaled = np.abs(matrix * rows[:, None] * columns)
        height, width = scaled.max(axis=1, initial=0.0), scaled.max(axis=0, initial=0.0)
        rows /= np.sqrt(np.where(height > 0, height, 1.0))
        columns /= np.sqrt(np.where(width > 0, width, 1.0))
    balanced = matrix * rows[:, None] * columns
    return np.asarray(columns * np.linalg.lstsq(balanced, rows * right, rcond=1e-14)[0])


class _ActiveSystem:
    """Stationarity, pressing rules and pressing cones as smooth equations in (u, a, y, μ).

    A second-order cone that presses has ``z = μ (s₀, −s₁)`` and ``½(‖s₁‖² − s₀²) = 0``, which is smooth away
    from the cone's tip.
    """

    def __init__(self, program: Program, guess: Point) -> None:
        self.program, self.guess = program, guess
        dual = DualModel(program, np.zeros(program.n))
        self.dual = dual
        y = dual.start(guess)
        excess = dual.excess(guess.u)
        self.fixed = np.where((y > 0) & (dual.ceiling - y < np.maximum(excess, 0.0)), dual.ceiling, 0.0)
        self.active = np.flatnonzero((y > np.maximum(-excess, 0.0)) & (self.fixed == 0.0))
        self.y = y[self.active]
        self.tau = float(y[-1]) if dual.turnover else 0.0
        response = best_response(program, linear_term(program, guess), self.tau)
        priced = program.cost + 0.5 * self.tau > 0
        resting = (response <= program.lower) | (response >= program.upper)
        resting |= (response == program.floor) | (priced & (response == program.previous))
        self.free = np.flatnonzero(~resting)
        self.u = np.where(resting, response, guess.u)
        self.side = np.sign(guess.u - program.previous)
        self.auxiliary = guess.auxiliary.copy()
        self.linear: list[tuple[int, np.ndarray]] = []
        self.curved: list[int] = []
        for i, (cone, z) in enumerate(zip(program.cones, guess.cones, strict=True)):
            s = cone.slack(guess.u, guess.auxiliary)
            if cone.kind == "zero":
                self.linear.append((i, np.arange(len(s))))
            elif cone.kind == "nonnegative":
                self.linear.append((i, np.flatnonzero(z > s)))
            elif z[0] > s[0] - float(np.linalg.norm(s[1:])):
                self.curved.append(i)
        self.z = np.concatenate([np.empty(0), *(guess.cones[i][rows] for i, rows in self.linear)])
        self.mu = np.array([guess.cones[i][0] / max(float(self._slack(i)[0]), 1e-300) for i in self.curved])

    def _slack(self, i: int) -> Array:
        return np.asarray(self.program.cones[i].slack(self.u, self.auxiliary))

    def _rule_rows(self) -> Array:
        """Gradients of the pressing rules on all positions, shape (n_active, n)."""
        rows = self.dual.B
        if self.dual.turnover:
            rows = np.vstack([rows, 0.5 * self.side])
        return np.asarray(rows[self.active])

    def linearise(self) -> tuple[Array, Array]:
        """Return residual and Jacobian of the equations at the current iterate."""
        p, free, dual = self.program, self.free, self.dual
        rows = self._rule_rows()
        linear_G = np.vstack([np.zeros((0, p.n)), *(p.cones[i].G[r] for i, r in self.linear)])
        linear_H = np.vstack([np.zeros((0, p.n_auxiliary)), *(p.cones[i].H[r] for i, r in self.linear)])
        slopes_u, slopes_a, values = [], [], []
        curve_uu = np.diag(p.distance)
        curve_ua = np.zeros((p.n, p.n_auxiliary))
        curve_aa = np.zeros((p.n_auxiliary, p.n_auxiliary))
        for i, mu in zip(self.curved, self.mu, strict=True):
            cone, s = p.cones[i], self._slack(i)
            flip = np.concatenate([[-1.0], np.ones(len(s) - 1)])
            slopes_u.append(-cone.G.T @ (flip * s))
            slopes_a.append(-cone.H.T @ (flip * s))
            values.append(0.5 * float(flip @ (s * s)))
            curve_uu = curve_uu + mu * (cone.G.T * flip) @ cone.G
            curve_ua = curve_ua + mu * (cone.G.T * flip) @ cone.H
            curve_aa = curve_aa + mu * (cone.H.T * flip) @ cone.H
        cone_u = np.array(slopes_u).reshape(len(self.curved), p.n)
        cone_a = np.array(slopes_a).reshape(len(self.curved), p.n_auxiliary)
        equations_u = np.vstack([rows, linear_G, cone_u])
        equations_a = np.vstack([np.zeros((len(rows), p.n_auxiliary)), linear_H, cone_a])
        prices = np.concatenate([self.y, self.z, self.mu])
        fixed = np.vstack([dual.B, 0.5 * self.side]) if dual.turnover else dual.B
        trading = p.cost * self.side - np.where(self.u < p.floor, p.floor_penalty, 0.0)
        gradient = p.distance * (self.u - p.target) + equations_u.T @ prices + fixed.T @ self.fixed + trading
        linear_slack = np.concatenate([np.empty(0), *(self._slack(i)[r] for i, r in self.linear)])
        residual = np.concatenate(
            [gradient[free], equations_a.T @ prices, dual.excess(self.u)[self.active], -linear_slack, values]
        )
        top = np.hstack([curve_uu[np.ix_(free, free)], curve_ua[free], equations_u[:, free].T])
        middle = np.hstack([curve_ua[free].T, curve_aa, equations_a.T])
        bottom = np.hstack([equations_u[:, free], equations_a, np.zeros((len(prices), len(prices)))])
        return residual, np.vstack([top, middle, bottom])

    def move(self, step: Array) -> None:
        """Add a Newton step to the unknowns."""
        ends = np.cumsum([len(self.free), len(self.auxiliary), len(self.y), len(self.z), len(self.mu)])
        du, da, dy, dz, dmu = np.split(step, ends[:-1])
        self.u = self.u.copy()
        self.u[self.free] += du
        self.auxiliary = self.auxiliary + da
        self.y, self.z, self.mu = self.y + dy, self.z + dz, self.mu + dmu

    def point(self) -> Point:
        """Return the iterate as a point, duals cut to their admissible ranges."""
        p, dual = self.program, self.dual
        y = self.fixed.copy()
        y[self.active] = np.clip(self.y, 0.0, dual.ceiling[self.active])
        rows = np.zeros(len(p.A))
        np.add.at(rows, dual.row, dual.direction * y[: len(dual.row)])
        cones = [np.zeros(len(cone.h)) for cone in p.cones]
        start = 0
        for i, members in self.linear:
            z = self.z[start : start + len(members)]
            cones[i][members] = z if p.cones[i].kind == "zero" else np.maximum(z, 0.0)
            start += len(members)
        for i, mu in zip(self.curved, self.mu, strict=True):
            s = self._slack(i)
            cones[i] = max(float(mu), 0.0) * np.concatenate([s[:1], -s[1:]])
            cones[i][0] = np.linalg.norm(cones[i][1:])
        return Point(
            u=np.clip(self.u, p.lower, p.upper),
            rows=rows,
            turnover=float(y[-1]) if dual.turnover else 0.0,
            cones=tuple(cones),
            auxiliary=self.auxiliary,
        )
