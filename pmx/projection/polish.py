"""Sharpen an interior-point answer to working precision.

An interior point stops near the optimum, with every rule a little slack. A gap of 1e-8 proves weights only to
about 1e-4, so the answer is finished on its active set: take the duals as a guess, see which positions are free
and which rules press, solve the small linear system that this leaves, check, repeat. On a piecewise quadratic
dual this is Newton's method and ends after finitely many steps.

References
----------
Hintermüller, Ito and Kunisch (2002), The primal-dual active set strategy as a semismooth Newton method.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import lsq_linear

from pmx.projection.program import Array, Point, Program, best_response, linear_term

MAX_ROUNDS = 40
RESIDUAL = 1e-15


def polish(program: Program, guess: Point) -> Point:
    """Return the point that the guessed active set leads to.

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
    if not program.cones:
        return polish_dual(program, guess)
    return _polish_conic(program, guess)


# --- without cones: Newton on the dual ---------------------------------------------------------------------


class _Dual:
    """The concave dual in the non-negative prices of one-sided rules, the turnover rule last.

    ``pull``, shape (n,), is what the cones take from each position's gradient.
    """

    def __init__(self, program: Program, pull: Array) -> None:
        self.program, self.pull = program, pull
        above = np.flatnonzero(np.isfinite(program.hi) & (program.penalty > 0))
        below = np.flatnonzero(np.isfinite(program.lo) & (program.penalty > 0))
        self.row = np.concatenate([above, below])
        self.direction = np.concatenate([np.ones(len(above)), -np.ones(len(below))])
        self.B = self.direction[:, None] * program.A[self.row]
        self.c = np.concatenate([program.hi[above], -program.lo[below]])
        self.ceiling = program.penalty[self.row]
        self.turnover = program.has_turnover_rule
        if self.turnover:
            self.c = np.append(self.c, program.turnover_max)
            self.ceiling = np.append(self.ceiling, program.turnover_penalty)

    def start(self, guess: Point) -> Array:
        y = np.maximum(self.direction * guess.rows[self.row], 0.0)
        if self.turnover:
            y = np.append(y, guess.turnover)
        return np.asarray(np.minimum(y, self.ceiling), dtype=np.float64)

    def respond(self, y: Array) -> Array:
        pull = self.pull + self.B.T @ y[: len(self.row)]
        return best_response(self.program, pull, float(y[-1]) if self.turnover else 0.0)

    def excess(self, u: Array) -> Array:
        """Gradient of the dual: how far each rule is overrun, shape (K,)."""
        value = self.B @ u
        if self.turnover:
            value = np.append(value, self.program.turnover(u))
        return np.asarray(value - self.c, dtype=np.float64)

    def value(self, y: Array, u: Array) -> float:
        p = self.program
        pull = self.pull + self.B.T @ y[: len(self.row)]
        price = p.cost + (0.5 * y[-1] if self.turnover else 0.0)
        terms = (
            0.5 * p.distance * (u - p.target) ** 2
            + pull * u
            + price * np.abs(u - p.previous)
            + p.floor_penalty * np.maximum(p.floor - u, 0.0)
        )
        return float(terms.sum() - y @ self.c)

    def gradients(self, y: Array, u: Array) -> tuple[Array, np.ndarray]:
        """Return how each rule sees the positions that are free to move, shape (K, n_free), and which those are."""
        p = self.program
        resting = (u <= p.lower) | (u >= p.upper) | (u == p.floor)
        priced = p.cost + (0.5 * y[-1] if self.turnover else 0.0) > 0
        free = np.flatnonzero(~(resting | (priced & (u == p.previous))))
        rows = self.B[:, free]
        if self.turnover:
            rows = np.vstack([rows, 0.5 * np.sign(u[free] - p.previous[free])])
        return rows, free

    def curvature(self, y: Array, u: Array) -> Array:
        """Return ``A_f D_f⁻¹ A_fᵀ`` over the positions that are free to move, shape (K, K)."""
        rows, free = self.gradients(y, u)
        return np.asarray((rows / self.program.distance[free]) @ rows.T)


def polish_dual(program: Program, guess: Point) -> Point:
    """Finish rows and turnover by Newton's method on the dual; prices of cones stay as they are guessed."""
    pull = np.zeros(program.n)
    for cone, z in zip(program.cones, guess.cones, strict=True):
        pull += cone.G.T @ z
    dual = _Dual(program, pull)
    y = dual.start(guess)
    u = dual.respond(y)
    best = (np.inf, y, u)
    for _ in range(MAX_ROUNDS):
        excess = dual.excess(u)
        error = _stationarity(y, excess, dual.ceiling)
        if error < best[0]:
            best = (error, y, u)
        if error <= RESIDUAL or not len(y):
            break
        y, u, moved = _newton_step(dual, y, u, excess)
        if not moved:
            break
    _, y, u = best
    u = _tighten(dual, y, u)
    rows = np.zeros(len(program.A))
    np.add.at(rows, dual.row, dual.direction * y[: len(dual.row)])
    return replace(guess, u=u, rows=rows, turnover=float(y[-1]) if dual.turnover else 0.0)


def _tighten(dual: _Dual, y: Array, u: Array) -> Array:
    """Move the free positions by the least that makes every pressing rule exactly tight.

    Where large prices nearly cancel, the response to them carries their rounding; the rules themselves do not.
    """
    for _ in range(2):
        excess = dual.excess(u)
        pressing = (y > 0) & (np.abs(excess) < 1e-9)
        rows, free = dual.gradients(y, u)
        rows = rows[pressing]
        if not rows.size:
            return u
        weighted = rows / dual.program.distance[free]
        shift = weighted.T @ np.linalg.lstsq(weighted @ rows.T, excess[pressing], rcond=1e-12)[0]
        moved = u.copy()
        moved[free] = np.clip(u[free] - shift, dual.program.lower[free], dual.program.upper[free])
        if np.abs(dual.excess(moved)[pressing]).max() >= np.abs(excess[pressing]).max():
            return u
        u = moved
    return u


def _stationarity(y: Array, excess: Array, ceiling: Array) -> float:
    """Worst complementarity: a price without pressure, or pressure that a price could still answer."""
    held = np.minimum(y, -excess)
    pressed = np.minimum(ceiling - y, excess)
    return float(np.where(excess < 0, held, pressed).max(initial=0.0))


def _newton_step(dual: _Dual, y: Array, u: Array, excess: Array) -> tuple[Array, Array, bool]:
    """Ascend the dual once; return the new prices, the response to them, and whether anything moved."""
    H = dual.curvature(y, u)
    # Prices that their own pressure sends to an end of their range go there; the others share one small system.
    own = np.maximum(np.diag(H), 1e-12 * float(np.diag(H).max(initial=0.0)))
    endless = np.where(excess > 0, np.inf, np.where(excess < 0, -np.inf, 0.0))
    reach = np.divide(excess, own, out=endless, where=own > 0)
    to_zero, to_ceiling = y + reach <= 0.0, y + reach >= dual.ceiling
    step = np.where(to_zero, -y, np.where(to_ceiling & np.isfinite(dual.ceiling), dual.ceiling - y, 0.0))
    moving = ~(to_zero | (to_ceiling & np.isfinite(dual.ceiling)))
    if moving.any():
        left = (excess - H @ step)[moving]
        room = (dual.ceiling - y)[moving]
        step[moving] = _box_step(H[np.ix_(moving, moving)], left, -y[moving], room, dual.program)
    here = dual.value(y, u)
    slope = float(excess @ step)
    length = 1.0
    for _ in range(30):
        trial = np.clip(y + length * step, 0.0, dual.ceiling)
        response = dual.respond(trial)
        if dual.value(trial, response) >= here + 1e-4 * length * slope - 1e-14 * (1.0 + abs(here)):
            return trial, response, bool((trial != y).any())
        length *= 0.5
    return y, u, False


def _box_step(H: Array, excess: Array, low: Array, high: Array, program: Program) -> Array:
    """Maximise ``excess·s − ½ s·H s`` over a box, exactly.

    Redundant rules and rules without free positions leave H singular; a small multiple of its size keeps the step
    defined and is too small to move the answer, since the excess itself decides when to stop.
    """
    size = np.diag(H).copy()
    largest = float(size.max())
    size = np.maximum(size, 1e-12 * largest if largest > 0 else 1.0 / float(program.distance.max()))
    scale = 1.0 / np.sqrt(size)
    scaled = H * np.outer(scale, scale) + 1e-13 * np.eye(len(H))
    try:
        root = np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        root = np.linalg.cholesky(scaled + 1e-10 * np.eye(len(H)))
    right = np.linalg.solve(root, scale * excess)
    low, high = low / scale, high / scale
    high = np.maximum(high, np.nextafter(low, np.inf))
    best = np.linalg.solve(root.T, right)
    if ((best >= low) & (best <= high)).all():
        return np.asarray(scale * best)
    answer = lsq_linear(root.T, right, bounds=(low, high), method="bvls", tol=1e-15, max_iter=50 * len(H))
    return np.asarray(scale * answer.x)


# --- with cones: Newton on the optimality conditions of a fixed active set ----------------------------------


def _polish_conic(program: Program, guess: Point) -> Point:
    system = _ActiveSystem(program, guess)
    for _ in range(12):
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
        dual = _Dual(program, np.zeros(program.n))
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
        return rows[self.active]

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
