r"""Limits that may give way at a price: the cheapest way to make clashing rules hold together.

.. math:: \min_{u,\,v \ge 0}\; \sum_r v_r / s_r \quad\text{subject to}\quad b_k u \le c_k + v_{r(k)},

where :math:`r(k)` is the rule of limit :math:`k` and :math:`s_r` is what one weight counts on it (its largest
coefficient, at most 1), so that all of a rule's limits move together, and every rule costs the same per unit of NAV.

References
----------
Chinneck (2008), Feasibility and Infeasibility in Optimization, chapter 6 (elastic filter).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, diags_array, hstack, vstack

from pmx.projection.exact import ZERO
from pmx.projection.farkas import dot, turnover_rule
from pmx.projection.feasibility import CLASH, unit_of_rows
from pmx.projection.program import Array, Index, Program

#: From so many variables on, an interior point is quicker than the simplex method.
MANY = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """``m`` limits as ``B x ≤ c``. With a turnover rule ``x = (u, z)``, ``z ≥ |u − p|``; without one, ``x = u``.

    Attributes
    ----------
    B : sparse array, shape (m, n) or (m, 2 n)
        Coefficients.
    c : array, shape (m,)
        Bounds.
    rule : array of int, shape (m,)
        Index of the rule of each; −1 for what never gives way, ``u ≥ 0`` for one.
    side : array, shape (m,)
        1 for an upper limit of the rule; −1 for a lower one, which ``B`` and ``c`` hold with its signs changed.
    position : array of int, shape (m,)
        The position that it bounds; −1 for a limit on sums.
    unit : array, shape (m,)
        What one weight counts on each.
    previous : array, shape (n,), fraction of NAV
        ``p``.
    """

    B: csr_array
    c: Array
    rule: Index
    side: Array
    position: Index
    unit: Array
    previous: Array

    def only(self, rules: Collection[int]) -> Limits:
        """Return the limits of some rules, and those that never give way."""
        return self.at(np.isin(self.rule, [*rules, -1]))

    def at(self, which: np.ndarray) -> Limits:
        """Return some of the limits, by number or by mask, as arrays of their own."""
        own = [field.name for field in fields(self) if field.name != "previous"]
        return replace(self, **{name: getattr(self, name)[which] for name in own})

    def overruns(self, u: Array) -> dict[int, Fraction]:
        """Return by how much weights ``u``, shape (n,), overrun each rule that they break, exactly.

        Overruns of at most ``CLASH`` are no breach.
        """
        wide = self.B.shape[1] > len(u)
        near = self.B @ (np.concatenate([u, np.abs(u - self.previous)]) if wide else u) - self.c
        x = [Fraction(v) for v in u.tolist()]
        if wide:
            x += [abs(a - Fraction(p)) for a, p in zip(x, self.previous.tolist(), strict=True)]
        worst: dict[int, Fraction] = {}
        for k in np.flatnonzero((near > 0.0) & (self.rule >= 0)).tolist():
            entries = slice(self.B.indptr[k], self.B.indptr[k + 1])
            value = dot(self.B.data[entries].tolist(), [x[j] for j in self.B.indices[entries].tolist()])
            over, rule = value - Fraction(float(self.c[k])), int(self.rule[k])
            if over > Fraction(CLASH * float(self.unit[k])):
                worst[rule] = max(over, worst.get(rule, ZERO))
        return worst


class _Side(NamedTuple):
    """Upper or lower limits of rows, or of positions: which, 1 or −1, the limits, and the rule of each."""

    of: Index
    sign: float
    limit: Array
    rule: Index


def limits_of(program: Program, *, every: bool = False) -> Limits:
    """Return the hard linear limits of a program: the tightest on each row and position, or ``every`` rule's own."""
    n = program.n
    hard, owned = np.flatnonzero(np.isinf(program.penalty)), np.flatnonzero(program.lower_owner >= 0)
    on_rows = [
        _Side(hard, 1.0, program.hi[hard], program.hi_owner[hard]),
        _Side(hard, -1.0, program.lo[hard], program.lo_owner[hard]),
    ]
    on_positions = [
        _Side(np.arange(n), 1.0, program.upper, program.upper_owner),
        _Side(np.arange(n), -1.0, program.lower, program.lower_owner),
        _Side(owned, -1.0, np.minimum(program.lower[owned], 0.0), np.full(len(owned), -1)),
    ]
    if every:
        _add_implied(program, on_rows, on_positions)
    row, row_side, row_limit, row_rule = _joined(on_rows)
    at, side, limit, rule = _joined(on_positions)
    single = csr_array((side, at, np.arange(len(at) + 1)), shape=(len(at), n))
    limits = Limits(
        csr_array(vstack([diags_array(row_side) @ csr_array(program.A[row]), single], format="csr")),
        np.concatenate([row_side * row_limit, side * limit]),
        np.concatenate([row_rule, rule]),
        np.concatenate([row_side, side]),
        np.concatenate([np.full(len(row), -1), at]),
        np.concatenate([unit_of_rows(program.A)[row], np.ones(len(at))]),
        program.previous,
    )
    return _with_turnover(program, limits) if np.isinf(program.turnover_penalty) else limits


def _add_implied(program: Program, on_rows: list[_Side], on_positions: list[_Side]) -> None:
    """Add the limits of rules that a tighter one implies; they count once that one has given way."""
    for i, rule in enumerate(program.rules):
        if rule.kind == "row" and rule.hard:
            k = np.array([rule.index])
            for sign, limit, owner in ((1.0, rule.hi, program.hi_owner), (-1.0, rule.lo, program.lo_owner)):
                if owner[rule.index] != i:
                    on_rows.append(_Side(k, sign, np.array([limit]), np.array([i])))
        elif rule.kind == "bound":
            of, number = rule.members, np.full(len(rule.members), i)
            above = np.where(program.upper_owner[of] == i, np.inf, rule.member_upper)
            # A lower bound of zero is no rule's, and that of a soft rule no limit.
            implied = rule.hard & (program.lower_owner[of] != i) & (rule.member_lower > 0.0)
            below = np.where(implied, rule.member_lower, -np.inf)
            on_positions += [_Side(of, 1.0, above, number), _Side(of, -1.0, below, number)]


def _joined(sides: list[_Side]) -> tuple[Index, Array, Array, Index]:
    """Return the limits that are finite: which row or position, side, limit, rule."""
    of = np.concatenate([s.of for s in sides]).astype(np.intp)
    sign = np.concatenate([np.full(len(s.of), s.sign) for s in sides])
    limit = np.concatenate([s.limit for s in sides])
    rule = np.concatenate([s.rule for s in sides]).astype(np.intp)
    finite = np.isfinite(limit)
    return of[finite], sign[finite], limit[finite], rule[finite]


def _with_turnover(program: Program, limits: Limits) -> Limits:
    if not program.has_turnover_rule:
        return limits
    n, m = program.n, len(limits.c)
    one = csr_array(diags_array(np.ones(n)))
    half = csr_array(np.full((1, n), 0.5))
    B = vstack([hstack([limits.B, csr_array((m, n))]), hstack([one, -one]), hstack([-one, -one]),
                hstack([csr_array((1, n)), half])], format="csr")  # fmt: skip
    p, none = program.previous, np.full(2 * n + 1, -1)
    return Limits(
        csr_array(B),
        np.concatenate([limits.c, p, -p, [program.turnover_max]]),
        np.concatenate([limits.rule, none[1:], [turnover_rule(program)]]),
        np.concatenate([limits.side, np.ones(2 * n + 1)]),
        np.concatenate([limits.position, none]),
        np.concatenate([limits.unit, np.ones(2 * n + 1)]),
        p,
    )


def least_overrun(limits: Limits, give: Collection[int]) -> Array | None:
    """Return weights at which some rules are overrun least in all, the others hold; None where those cannot.

    Parameters
    ----------
    limits : Limits
        All limits that count.
    give : collection of int
        Rules that may give way, all of one rule's limits together. The cost is the sum of their overruns, each in
        units of what one weight counts on it.

    Returns
    -------
    array, shape (n,), fraction of NAV
        Accurate to HiGHS' 1e-10; :meth:`Limits.overruns` says exactly what gives way.
    """
    n, width = len(limits.previous), limits.B.shape[1]
    rules = np.array(sorted(give), dtype=np.intp)
    soft = np.flatnonzero(np.isin(limits.rule, rules))
    column = np.searchsorted(rules, limits.rule[soft])
    unit = np.full(len(rules), np.inf)
    np.minimum.at(unit, column, limits.unit[soft])
    unit[np.isinf(unit)] = 1.0
    relief = csr_array((-unit[column], (soft, column)), shape=(len(limits.c), len(rules)))
    # Coefficients of order 1, for the sake of tolerances.
    largest = np.zeros(len(limits.c))
    np.maximum.at(largest, np.repeat(np.arange(len(limits.c)), np.diff(limits.B.indptr)), np.abs(limits.B.data))
    scale = 1.0 / np.where(largest > 0.0, largest, 1.0)
    rows = diags_array(scale)
    answer = linprog(
        np.concatenate([np.zeros(width), np.ones(len(rules))]),
        A_ub=hstack([rows @ limits.B, rows @ relief], format="csr"),
        b_ub=scale * limits.c,
        bounds=[(None, None)] * width + [(0.0, None)] * len(rules),
        method="highs-ds" if width < MANY else "highs-ipm",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return None if answer.x is None else np.asarray(answer.x[:n])
