r"""A proof that rules clash: a multiplier for every limit that takes part, checked in rational arithmetic.

Multipliers :math:`y_k > 0` of limits :math:`b_k u \le c_k` prove that these cannot hold together when

.. math:: \min_{u \ge 0}\; \sum_k y_k (b_k u - c_k) > 0,

for if all of them held, no term of the sum would be above zero. The turnover rule enters as
:math:`\tfrac12 \sum_j |u_j - p_j| - c`. A program's floats are taken as the rationals that they are.

References
----------
Farkas (1902). Boyd and Vandenberghe (2004), Convex Optimization, section 5.8 (theorems of alternatives).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np

from pmx.projection.exact import ZERO
from pmx.projection.grouping import equal_columns
from pmx.projection.program import Array, Index, Program


class Weighted(NamedTuple):
    """One limit of a rule with its multiplier in a proof.

    Attributes
    ----------
    rule : int
        Index into the program's rules.
    side : {"max", "min"}
        Which limit of the rule.
    bound : float
        The limit.
    multiplier : Fraction
        Above zero.
    row, position : int
        The row or the position that it limits; −1 for the others, both −1 for turnover.
    """

    rule: int
    side: Literal["max", "min"]
    bound: float
    multiplier: Fraction
    row: int = -1
    position: int = -1


def turnover_rule(program: Program) -> int:
    """Return the index of the turnover rule, −1 where there is none."""
    return next((i for i, rule in enumerate(program.rules) if rule.kind == "turnover"), -1)


def free_bounds(program: Program) -> tuple[Array, Array]:
    """Return the bounds of positions that hold without any rule, each of shape (n,): ``u ≥ 0``."""
    lower = np.where(program.lower_owner < 0, program.lower, np.minimum(program.lower, 0.0))
    return lower, np.where(program.upper_owner < 0, program.upper, np.inf)


def proof_of_rows(program: Program, y: dict[int, Fraction], price: Fraction) -> list[Weighted]:
    """Return the limits of a proof, the largest multiplier being 1.

    Parameters
    ----------
    program : Program
        The program.
    y : dict of int to Fraction
        Multiplier of each row, positive on its upper and negative on its lower limit.
    price : Fraction
        Multiplier of the turnover rule.
    """
    proof = []
    for k, m in y.items():
        owner, bound = (program.hi_owner, program.hi) if m > 0 else (program.lo_owner, program.lo)
        proof.append(Weighted(int(owner[k]), "max" if m > 0 else "min", float(bound[k]), abs(m), row=k))
    if price:
        proof.append(Weighted(turnover_rule(program), "max", program.turnover_max, price))
    member, sums = _slopes(program.A, y)
    half = price / 2
    for j, slope in enumerate(sums[g] for g in member.tolist()):
        p, lower, upper = float(program.previous[j]), float(program.lower[j]), float(program.upper[j])
        # Where the sum still falls above the upper bound, or below the lower one, the bound is what holds it up.
        above, below = slope + (half if upper >= p else -half), slope - (half if lower <= p else -half)
        if above < 0 and program.upper_owner[j] >= 0:
            proof.append(Weighted(int(program.upper_owner[j]), "max", upper, -above, position=j))
        if below > 0 and program.lower_owner[j] >= 0 and lower > 0.0:
            proof.append(Weighted(int(program.lower_owner[j]), "min", lower, below, position=j))
    largest = max((w.multiplier for w in proof), default=Fraction(1))
    return [w._replace(multiplier=w.multiplier / largest) for w in proof]


def proof_of_row(program: Program, k: int) -> list[Weighted]:
    """Return the limits of a row whose lower one lies above the upper one."""
    one = Fraction(1)
    return [
        Weighted(int(program.lo_owner[k]), "min", float(program.lo[k]), one, row=k),
        Weighted(int(program.hi_owner[k]), "max", float(program.hi[k]), one, row=k),
    ]


def proof_of_bounds(program: Program, j: int) -> list[Weighted]:
    """Return the bounds of a position whose lower one lies above the upper one."""
    one = Fraction(1)
    lower, upper = int(program.lower_owner[j]), int(program.upper_owner[j])
    proof = []
    if lower >= 0 and program.lower[j] > 0.0:
        proof.append(Weighted(lower, "min", float(program.lower[j]), one, position=j))
    if upper >= 0:
        proof.append(Weighted(upper, "max", float(program.upper[j]), one, position=j))
    return proof


def least_excess(program: Program, proof: Iterable[Weighted]) -> Fraction | None:
    r"""Return :math:`\min_u \sum_k y_k (b_k u - c_k)` over all ``u ≥ 0``, exactly; None where it has no minimum.

    Above zero, the limits cannot hold together.
    """
    y: dict[int, Fraction] = {}
    own: dict[int, Fraction] = {}
    total, price = ZERO, ZERO
    for w in proof:
        signed = w.multiplier if w.side == "max" else -w.multiplier
        total -= signed * Fraction(w.bound)
        if w.row >= 0:
            y[w.row] = y.get(w.row, ZERO) + signed
        elif w.position >= 0:
            own[w.position] = own.get(w.position, ZERO) + signed
        else:
            price += signed
    member, sums = _slopes(program.A, y)
    lower, upper = free_bounds(program)
    for j, g in enumerate(member.tolist()):
        least = _least(
            sums[g] + own.get(j, ZERO), price / 2, float(program.previous[j]), float(lower[j]), float(upper[j])
        )
        if least is None:
            return None
        total += least
    return total


def _least(slope: Fraction, half: Fraction, previous: float, lower: float, upper: float) -> Fraction | None:
    """Return the least of ``slope · u + half · |u − previous|`` over an interval; None where there is none."""
    if (upper == np.inf and slope + half < 0) or (lower == -np.inf and slope - half > 0):
        return None
    p = Fraction(previous)
    turns = [Fraction(u) for u in (lower, upper) if np.isfinite(u)]
    if lower <= previous <= upper:
        turns.append(p)
    return min((slope * u + half * abs(u - p) for u in turns), default=ZERO)


def _slopes(A: Array, y: dict[int, Fraction]) -> tuple[Index, list[Fraction]]:
    """Return the group of each position, shape (n,), and ``Aᵀ y`` of each group."""
    member, heads = equal_columns(A[sorted(y)])
    prices = [y[k] for k in sorted(y)]
    return member, [dot(head, prices) for head in heads.tolist()]


def dot(coefficients: Sequence[float], values: Sequence[Fraction]) -> Fraction:
    """Return the exact sum of products of floats and rationals."""
    return sum((Fraction(a) * v for a, v in zip(coefficients, values, strict=True) if a), ZERO)
