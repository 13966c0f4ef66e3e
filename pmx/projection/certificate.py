r"""The certificate: how wrong an answer can be at most, computed from the answer and its duals alone.

For any duals of the right sign the Lagrangian's minimum is a lower bound on the optimum, and the objective is
strongly convex in the metric ``d``. So a point ``u`` with duality gap ``ε`` lies within
:math:`‖u-u^*‖_2 ≤ \sqrt{2ε / \min d}` of the exact answer, whoever computed it.

A limit is known no better than the sum that meets it. Where a large price turns that rounding into a distance above
the tolerance, rules within a last place of their limits (1e-15, times what the sum's terms add up to where that is more
than 1) are taken to be on them, and the note says so: the figures then refer to the program whose limits are moved by
that much.

The gap is not taken as a difference of two objectives, which would lose half the digits. It is summed from
terms that are each zero at the optimum and never negative: how much each position could still gain against
the prices (Fenchel–Young), price times slack of every rule, unspent penalty times violation of every soft one.

Nothing here is shared with a solver: only the arrays of the program, and a compiled kernel of its own.

References
----------
Boyd and Vandenberghe (2004), Convex Optimization, section 5.5. Nesterov (2018), Lectures on Convex
Optimization, section 2.1.3 (strong convexity).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pmx.arguments import checked
from pmx.projection.kernels import kernel
from pmx.projection.program import Array, Cone, Point, Program

HARD_TOLERANCE = 1e-9
DISTANCE_TOLERANCE = 1e-6
CONIC_DISTANCE_TOLERANCE = 1e-5
#: Half a unit in the last place of 1.
ROUND_OFF = 1.2e-16
#: Multipliers on auxiliary variables must cancel to this.
AUXILIARY_TOLERANCE = 1e-10


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


@checked
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
    p = program
    tolerance = CONIC_DISTANCE_TOLERANCE if p.cones else DISTANCE_TOLERANCE
    if p.cones and not _cones_admissible(p, point):
        return Certificate(np.inf, np.inf, np.inf, engine, note, tolerance)
    pull = np.zeros(p.n if p.cones else 0)
    for cone, z in zip(p.cones, point.cones, strict=True):
        pull += cone.G.T @ z
    residual, gap, moved, stiffness = kernel("judging", "judge")(
        p.A, p.lo, p.hi, p.penalty, p.distance, p.target, p.previous, p.cost, p.lower, p.upper, p.floor,
        p.floor_penalty, p.turnover_max, p.turnover_penalty, point.u, point.rows, point.turnover, pull,
    )  # fmt: skip
    if p.cones and np.isfinite(residual):
        residual = max([residual, *(cone_violation(cone, point.u, point.auxiliary) for cone in p.cones)])
        more = [_cone_gap(cone, z, point) for cone, z in zip(p.cones, point.cones, strict=True)]
        extra = math.fsum([*more, _auxiliary_gap(p, point)])
        gap, moved = gap + extra, moved + extra
    return from_figures(engine, residual, gap, moved, stiffness, note, tolerance)


def from_figures(
    engine: str,
    residual: float,
    gap: float,
    moved: float,
    stiffness: float,
    note: str = "",
    tolerance: float = DISTANCE_TOLERANCE,
) -> Certificate:
    """Return the certificate of what :func:`pmx.projection.kernels.judging.judge` measured."""
    if not math.isfinite(gap):
        return Certificate(residual, math.inf, math.inf, engine, note, tolerance)
    distance = math.sqrt(2.0 * gap / stiffness)
    if distance > tolerance and math.sqrt(2.0 * moved / stiffness) <= tolerance:
        note = "; ".join(filter(None, [note, "limits within the last place of their sums taken as met"]))
        gap, distance = moved, math.sqrt(2.0 * moved / stiffness)
    return Certificate(residual, gap, distance, engine, note, tolerance)


def _cones_admissible(program: Program, point: Point) -> bool:
    """Return whether the duals of cones are finite and in their dual cones."""
    finite = all(np.isfinite(values).all() for values in (point.auxiliary, *point.cones))
    return finite and all(_in_dual_cone(cone, z) for cone, z in zip(program.cones, point.cones, strict=True))


def cone_violation(cone: Cone, u: Array, auxiliary: Array) -> float:
    """Return how far a point is outside a cone, fraction of NAV; negative inside."""
    s = cone.slack(u, auxiliary)
    if cone.kind == "zero":
        return float(np.abs(s).max(initial=0.0))
    if cone.kind == "nonnegative":
        return float((-s).max(initial=-np.inf))
    return float(np.linalg.norm(s[1:]) - s[0])


def _cone_gap(cone: Cone, z: Array, point: Point) -> float:
    s = cone.slack(point.u, point.auxiliary)
    if cone.kind != "second_order":
        return float(np.abs(z) @ np.abs(s))
    outside = max(float(np.linalg.norm(s[1:]) - s[0]), 0.0)
    # The products nearly cancel: what their rounding may hide is added.
    hidden = ROUND_OFF * (len(s) + 1) * math.fsum(np.abs(z * s).tolist())
    return max(math.fsum((z * s).tolist()) + float(z[0]) * outside, 0.0) + hidden


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
