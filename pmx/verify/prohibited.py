"""Positions that hold nothing for a reason that needs no price: nothing was asked for, or a rule prohibits them.

Where the answer is 0 because it must be, what prices say of it is a pull and a bound that cancel. The attribution shows
neither: a position without a target did not move, and one that a rule prohibits owes that rule its whole target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from .exact import HALF, ZERO, total
from .record import Program, Proof

#: What rules carry of one position's slope, by the number of the rule; −1 for none.
Forces = dict[int, Fraction]


def settled_at_zero(proof: Proof) -> dict[int, int]:
    """Return the positions that hold nothing for such a reason, and the rule that prohibits each; −1 for none."""
    p, u = proof.program, proof.answer.u
    prohibited = _prohibited(p)
    return {j: prohibited.get(j, -1) for j, size in enumerate(u) if size == 0 and (p.target[j] == 0 or j in prohibited)}


def _prohibited(p: Program) -> dict[int, int]:
    """Return which rule lets a position hold nothing: by its bound, else the first sum without negative terms."""
    found = {j: p.upper_rule[j] for j, most in enumerate(p.upper) if most <= 0 and p.upper_rule[j] >= 0}
    for row in p.rows:
        if row.hard and row.hi <= 0 and row.hi_rule >= 0 and all(a >= 0 for a in row.sum.coefficients):
            for j, a in zip(row.sum.at, row.sum.coefficients, strict=True):
                if a > 0:
                    found.setdefault(j, row.hi_rule)
    return found


def forces_at_zero(proof: Proof, due: Mapping[str, Sequence[Fraction]]) -> dict[int, Forces]:
    """Return what bounds carry of the slope of each position settled at 0; ``due`` is what rows and cones carry."""
    return {j: _forces(proof, j, total(column[j] for column in due.values())) for j in settled_at_zero(proof)}


def _forces(proof: Proof, j: int, due: Fraction) -> Forces:
    """Return what bounds and a soft floor carry of a position's slope, by rule."""
    p, u, held = proof.program, proof.answer.u[j], proof.program.held[j]
    width = p.cost[j] + HALF * proof.answer.turnover
    rest = -p.distance[j] * (u - p.target[j]) - due
    rest -= width if u > held else -width if u < held else min(max(rest, -width), width)
    forces: Forces = {}
    if u <= p.floor[j]:
        lift = -p.floor_price[j] if u < p.floor[j] else min(max(rest, -p.floor_price[j]), ZERO)
        forces[p.floor_rule[j]] = lift
        rest -= lift
    if u >= p.upper[j] and (rest > 0 or u > p.lower[j]):
        forces[p.upper_rule[j]] = forces.get(p.upper_rule[j], ZERO) + rest
    elif u <= p.lower[j]:
        forces[p.lower_rule[j]] = forces.get(p.lower_rule[j], ZERO) + rest
    return forces
