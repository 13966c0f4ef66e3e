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

from pmx.projection.program import Array, Point, Program
from pmx.projection.response import best_response

MAX_ROUNDS = 40
RESIDUAL = 1e-15


class DualModel:
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
        """Return a guess's prices, cut to their ranges."""
        y = np.maximum(self.direction * guess.rows[self.row], 0.0)
        if self.turnover:
            y = np.append(y, guess.turnover)
        return np.asarray(np.minimum(y, self.ceiling), dtype=np.float64)

    def respond(self, y: Array) -> Array:
        """Return the best response to prices, shape (n,)."""
        pull = self.pull + self.B.T @ y[: len(self.row)]
        return best_response(self.program, pull, float(y[-1]) if self.turnover else 0.0)

    def excess(self, u: Array) -> Array:
        """Gradient of the dual: how far each rule is overrun, shape (K,)."""
        value = self.B @ u
        if self.turnover:
            value = np.append(value, self.program.turnover(u))
        return np.asarray(value - self.c, dtype=np.float64)

    def value(self, y: Array, u: Array) -> float:
        """Return the dual's value at prices and the response to them."""
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
    dual = DualModel(program, pull)
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


def _tighten(dual: DualModel, y: Array, u: Array) -> Array:
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


def _newton_step(dual: DualModel, y: Array, u: Array, excess: Array) -> tuple[Array, Array, bool]:
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
