"""What positions do at given prices: the closed form that engines rest on. The certificate does not use it."""

from __future__ import annotations

import numpy as np

from pmx.projection.program import Array, Point, Program


def cone_term(program: Program, point: Point) -> Array:
    """Return ``Σ Gᵀz``, shape (n,): what cones take from each position's gradient; an empty array without cones."""
    pull = np.zeros(program.n if program.cones else 0)
    for cone, z in zip(program.cones, point.cones, strict=True):
        pull += cone.G.T @ z
    return pull


def linear_term(program: Program, point: Point) -> Array:
    """Return ``Aᵀy + Σ Gᵀz``, shape (n,): what rows and cones together take from each position's gradient."""
    pull = program.A.T @ point.rows
    return np.asarray(pull + cone_term(program, point) if program.cones else pull, dtype=np.float64)


def best_response(program: Program, pull: Array, turnover_price: float) -> Array:
    r"""Return the positions that minimise the Lagrangian for given duals, shape (n,).

    Each position solves its own problem in closed form,

    .. math:: \min_{lower ≤ u ≤ upper} ½ d (u-t)^2 + g u + κ̃ |u-p| + ρ (f-u)^+,

    with :math:`g` the pull, :math:`κ̃ = κ + τ/2` and :math:`f ≤ p` the soft floor: shift by ``g/d``, soft-threshold
    about ``p`` and about ``f``, clip.
    """
    d = program.distance
    centre = program.target - pull / d
    band = (program.cost + 0.5 * turnover_price) / d
    buying = centre - band
    selling = centre + band
    forced = selling + program.floor_penalty / d
    inner = np.minimum(selling, np.maximum(program.previous, buying))
    u = np.minimum(forced, np.maximum(program.floor, inner))
    return np.clip(u, program.lower, program.upper)
