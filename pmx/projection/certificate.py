r"""The certificate: how wrong an answer can be at most, computed from the answer and its duals alone.

For any duals of the right sign the Lagrangian's minimum is a lower bound on the optimum, and the objective is
strongly convex in the metric ``d``. So a point ``u`` with duality gap ``ε`` lies within
:math:`‖u-u^*‖_2 ≤ \sqrt{2ε / \min d}` of the exact answer, whoever computed it.

A limit is known no better than the sum that meets it. Where a large price turns that rounding into a distance above
the tolerance, rules within 1e-15 of their limits are taken to be on them, and the note says so: the figures then refer
to the program whose limits are moved by that much.

The gap is not taken as a difference of two objectives, which would lose half the digits. It is summed from
terms that are each zero at the optimum and never negative: how much each position could still gain against
the prices (Fenchel–Young), price times slack of every rule, unspent penalty times violation of every soft one.

Nothing here is shared with a solver: only numpy and the arrays of the program.

References
----------
Boyd and Vandenberghe (2004), Convex Optimization, section 5.5. Nesterov (2018), Lectures on Convex
Optimization, section 2.1.3 (strong convexity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pmx.projection.program import Array, Cone, Point, Program

HARD_TOLERANCE = 1e-9
DISTANCE_TOLERANCE = 1e-6
CONIC_DISTANCE_TOLERANCE = 1e-5
#: A soft rule overrun by no more than this is held: the excess is rounding, and enters the residual instead.
ROUNDING = 1e-12
#: Multipliers on auxiliary variables must cancel to this.
AUXILIARY_TOLERANCE = 1e-10
#: Where a large price would make rounding look like distance, a rule this close to its limit is taken to be on it: the
#: sum that says otherwise is itself not known better.
LAST_PLACE = 1e-15


@dataclass(frozen=True, slots=True)
class Certificate:
    """Proof of an answer, in plain numbers.

    Attributes
    ----------
    primal_residual : float, fraction of NAV
        Worst violation of a hard rule or bound, or overrun of a soft one within rounding (1e-12). When it is not zero
        the other two figures refer to the program whose limits are relaxed by that much.
    duality_gap : float, objective units
        Upper bound on objective minus optimum.
    distance_bound : float, fraction of NAV
        Euclidean distance to the exact optimum is at most this.
    engine : str
        What computed the answer.
    note : str
        Why that engine, and what happened on the way (fallbacks, polishing); empty when nothing did.
    tolerance : float, fraction of NAV
        What ``distance_bound`` is held to.
    """

    primal_residual: float
    duality_gap: float
    distance_bound: float
    engine: str
    note: str = ""
    tolerance: float = DISTANCE_TOLERANCE

    @property
    def accepted(self) -> bool:
        """Whether the answer may be returned."""
        return self.primal_residual <= HARD_TOLERANCE and self.distance_bound <= self.tolerance


def certify(program: Program, point: Point, engine: str, note: str = "") -> Certificate:
    """Judge a point of a program.

    Parameters
    ----------
    program : Program
        The problem.
    point : Point
        Primal and dual values. Duals of the wrong sign or above their penalty make the bound infinite.
    engine, note : str
        Recorded in the certificate.

    Returns
    -------
    Certificate
        With infinite figures when anything is not finite.
    """
    tolerance = CONIC_DISTANCE_TOLERANCE if program.cones else DISTANCE_TOLERANCE
    u = point.u
    numbers = [u, point.rows, point.auxiliary, *point.cones, np.array([point.turnover])]
    if not all(np.isfinite(values).all() for values in numbers) or not duals_admissible(program, point):
        return Certificate(np.inf, np.inf, np.inf, engine, note, tolerance)
    residual = primal_residual(program, point)
    gap = _gap(program, point, 0.0)
    distance = _reach(program, gap)
    if distance > tolerance:
        moved = _gap(program, point, LAST_PLACE)
        if _reach(program, moved) <= tolerance:
            note = "; ".join(filter(None, [note, f"limits within {LAST_PLACE:.0e} of their rules taken as met"]))
            gap, distance = moved, _reach(program, moved)
    return Certificate(residual, gap, distance, engine, note, tolerance)


def _gap(program: Program, point: Point, last_place: float) -> float:
    """Return the duality gap, with rules within ``last_place`` of their limits taken to be on them."""
    return math.fsum(
        [
            *_position_gaps(program, point).tolist(),
            *_row_gaps(program, point, last_place).tolist(),
            _turnover_gap(program, point, last_place),
            *(_cone_gap(cone, z, point) for cone, z in zip(program.cones, point.cones, strict=True)),
            _auxiliary_gap(program, point),
        ]
    )


def _reach(program: Program, gap: float) -> float:
    """Return how far from the optimum a point with this gap can be, Euclidean, fraction of NAV."""
    return math.sqrt(2.0 * gap / float(program.distance.min())) if program.n else 0.0


def duals_admissible(program: Program, point: Point) -> bool:
    """Return whether every dual has the right sign and none exceeds its penalty."""
    y = point.rows
    presses_nothing = ((y > 0) & np.isinf(program.hi)) | ((y < 0) & np.isinf(program.lo))
    if presses_nothing.any() or (np.abs(y) > program.penalty).any():
        return False
    if not 0.0 <= point.turnover <= program.turnover_penalty:
        return False
    if point.turnover > 0 and not program.has_turnover_rule:
        return False
    return all(_in_dual_cone(cone, z) for cone, z in zip(program.cones, point.cones, strict=True))


def primal_residual(program: Program, point: Point) -> float:
    """Return the worst violation of a hard row, bound, cone or turnover rule, fraction of NAV."""
    u = point.u
    worst = [0.0, float(np.max(program.lower - u, initial=0.0)), float(np.max(u - program.upper, initial=0.0))]
    if len(program.A):
        value = program.A @ u
        # A rule on a small multiple of weights is as strict about the weights as any other.
        size = np.minimum(np.abs(program.A).max(axis=1, initial=0.0), 1.0)
        excess = np.maximum(value - program.hi, program.lo - value) / np.where(size > 0.0, size, 1.0)
        held = np.isinf(program.penalty) | (excess <= ROUNDING)
        worst.append(float(np.max(excess[held], initial=0.0)))
    if program.has_turnover_rule:
        over = program.turnover(u) - program.turnover_max
        if np.isinf(program.turnover_penalty) or over <= ROUNDING:
            worst.append(over)
    worst += [cone_violation(cone, u, point.auxiliary) for cone in program.cones]
    return max(worst)


def cone_violation(cone: Cone, u: Array, auxiliary: Array) -> float:
    """Return how far a point is outside a cone, fraction of NAV; negative inside."""
    s = cone.slack(u, auxiliary)
    if cone.kind == "zero":
        return float(np.abs(s).max(initial=0.0))
    if cone.kind == "nonnegative":
        return float((-s).max(initial=-np.inf))
    return float(np.linalg.norm(s[1:]) - s[0])


def _position_gaps(program: Program, point: Point) -> Array:
    """Return what each position could still gain at the given prices, shape (n,); zero at its best response."""
    d, t, p = program.distance, program.target, program.previous
    f, rho = program.floor, program.floor_penalty
    kappa = program.cost + 0.5 * point.turnover
    g = program.A.T @ point.rows
    for cone, z in zip(program.cones, point.cones, strict=True):
        g = g + cone.G.T @ z

    # The minimiser is one of: a kink (p, f), an end (lower, upper), or a stationary point of one smooth piece.
    # Which one follows from the sign of the one-sided slopes, so it is found by bisecting the kinks.
    def slope_right(at: Array) -> Array:
        return d * (at - t) + g + np.where(at >= p, kappa, -kappa) - np.where(at >= f, 0.0, rho)

    def slope_left(at: Array) -> Array:
        return d * (at - t) + g + np.where(at > p, kappa, -kappa) - np.where(at > f, 0.0, rho)

    best = np.where(slope_right(p) < 0, t - (g + kappa) / d, t - (g - kappa) / d)
    best = np.where((slope_left(p) <= 0) & (slope_right(p) >= 0), p, best)
    floored = np.isfinite(f)
    if floored.any():
        at = np.where(floored, f, 0.0)
        below = floored & (slope_left(at) > 0)
        best = np.where(below, t - (g - kappa - rho) / d, best)
        best = np.where(floored & (slope_left(at) <= 0) & (slope_right(at) >= 0), at, best)
    best = np.clip(best, program.lower, program.upper)

    step = point.u - best
    change = step * (0.5 * d * step + d * (best - t) + g)
    change += kappa * (np.abs(point.u - p) - np.abs(best - p))
    change += rho * (np.maximum(f - point.u, 0.0) - np.maximum(f - best, 0.0))
    return np.asarray(np.where(step == 0.0, 0.0, np.abs(change)))


def _row_gaps(program: Program, point: Point, last_place: float) -> Array:
    """Price times slack of each row, plus unspent penalty times violation of each soft one, shape (K,)."""
    y = point.rows
    if not len(y):
        return np.zeros(0)
    value = program.A @ point.u
    side = np.where(y > 0, program.hi, np.where(y < 0, program.lo, value))
    soft = np.isfinite(program.penalty)
    violation = np.maximum(np.maximum(value - program.hi, program.lo - value), 0.0)
    gaps = np.abs(y) * np.maximum(np.abs(value - side) - last_place, 0.0)
    if soft.any():
        # On the violated side of a soft row the limit moves along: y (hi + v − A u) = 0.
        pressed = np.where(y > 0, value - program.hi, np.where(y < 0, program.lo - value, 0.0))
        gaps = np.where(soft, np.abs(y) * np.maximum(-pressed - last_place, 0.0), gaps)
        unspent = np.where(soft, program.penalty - np.where(pressed > 0, np.abs(y), 0.0), 0.0)
        held = np.abs(y) * np.maximum(violation - last_place, 0.0)
        gaps = gaps + np.where(soft & (violation > 0), np.where(violation > ROUNDING, unspent * violation, held), 0.0)
    return np.asarray(gaps)


def _turnover_gap(program: Program, point: Point, last_place: float) -> float:
    if not program.has_turnover_rule:
        return 0.0
    over = program.turnover(point.u) - program.turnover_max
    if np.isinf(program.turnover_penalty) or over <= ROUNDING:
        return point.turnover * max(abs(over) - last_place, 0.0)
    return (program.turnover_penalty - point.turnover) * over


def _cone_gap(cone: Cone, z: Array, point: Point) -> float:
    s = cone.slack(point.u, point.auxiliary)
    if cone.kind != "second_order":
        return float(np.abs(z) @ np.abs(s))
    outside = max(float(np.linalg.norm(s[1:]) - s[0]), 0.0)
    return max(math.fsum((z * s).tolist()) + float(z[0]) * outside, 0.0)


def _auxiliary_gap(program: Program, point: Point) -> float:
    """Return an allowance for multipliers that do not quite cancel on auxiliary variables.

    These are variables that cvxpy brought in to rewrite a constraint (the value of a norm, say). The bound assumes
    that at the optimum each lies within 1 + |its value here| of its value here; beyond rounding it is infinite.
    """
    if not program.n_auxiliary:
        return 0.0
    residual = np.zeros(program.n_auxiliary)
    for cone, z in zip(program.cones, point.cones, strict=True):
        residual = residual + cone.H.T @ z
    if float(np.abs(residual).max()) > AUXILIARY_TOLERANCE:
        return math.inf
    return float(np.abs(residual) @ (1.0 + np.abs(point.auxiliary)))


def _in_dual_cone(cone: Cone, z: Array) -> bool:
    if cone.kind == "zero":
        return True
    if cone.kind == "nonnegative":
        return bool((z >= 0).all())
    return float(np.linalg.norm(z[1:])) <= float(z[0]) * (1.0 + 1e-15)
