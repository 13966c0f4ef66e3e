"""Which prices an answer settles, and which could be others and explain it just as well."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from pmx.projection.kernels import kernel
from pmx.projection.least_prices import sets, shared
from pmx.projection.program import Array, Index, Point, Program, RuleRecord
from pmx.projection.response import cone_term

#: A price that may move by no more than this, relative to the largest, is settled.
SETTLED = 1e-6
#: Pulls are known to this, relative to the largest.
ROUNDING = 1e-12


def settled(program: Program, point: Point) -> np.ndarray:
    """Return whether each rule's price is the only one that explains an answer, array of bool, shape (n_rules,).

    The prices that do form a polytope; a price is settled when it is the same in all of it. Prices of cones are
    taken as given, and so is whatever they alone could change.

    Parameters
    ----------
    program : Program
        The problem.
    point : Point
        Its answer; ``u`` must be the best response to the prices.
    """
    p, together = program, shared(program)
    which, low, high, _ = kernel("pricing", "candidates")(
        p.A, together, p.previous, p.lo, p.hi, p.penalty, p.turnover_max, p.turnover_penalty, point.u, point.rows,
        point.turnover,
    )  # fmt: skip
    metric = (p.lower, p.upper, p.previous, p.cost, p.floor, p.floor_penalty)
    loose, moved = np.zeros(len(which), dtype=bool), np.zeros(p.n, dtype=bool)
    if not kernel("pricing", "determined")(p.A, which, *metric, point.u, point.turnover):
        normal, least, most = kernel("pricing", "ranges")(
            p.A, which, p.distance, p.target, *metric, point.u, point.rows, point.turnover, cone_term(p, point)
        )
        loose = _loose(normal, least, most, low, high, kinked=point.u == p.previous, trading=-1 in which)
        moved = (normal[:, loose] != 0.0).any(axis=1)
    open_rows = {int(k) for k in which[loose]}
    rules, bounds = list(enumerate(p.rules)), np.zeros(p.n, dtype=np.intp)
    for _, rule in rules:
        if rule.kind == "bound":
            bounds[rule.members] += rule.member_upper == p.upper[rule.members]
    several = moved | (bounds > 1)
    return np.array([_is_settled(p, point, together, i, rule, open_rows, several) for i, rule in rules], dtype=bool)


def _is_settled(
    p: Program, point: Point, together: Index, i: int, rule: RuleRecord, open_rows: set[int], several: np.ndarray
) -> bool:
    if rule.kind == "turnover":
        return -1 not in open_rows
    if rule.kind == "row":
        y = float(point.rows[rule.index])
        if y != 0.0:
            mine = sets(p, i, rule, upper=y > 0.0)
            return not mine or (rule.index not in open_rows and int(together[int(y > 0.0), rule.index]) == 1)
        mine = sets(p, i, rule, upper=True) or sets(p, i, rule, upper=False)
        return not mine or rule.index not in open_rows
    if rule.kind == "bound":
        pressed = rule.members[point.u[rule.members] >= rule.member_upper]
        return not several[pressed].any()
    return True


def _loose(
    normal: Array, least: Array, most: Array, low: Array, high: Array, *, kinked: np.ndarray, trading: bool
) -> np.ndarray:
    """Return which of some prices may move within the polytope, array of bool, shape (T,)."""
    from_below = normal.copy()
    if trading:  # a position that rests at what is held may be pulled either way by half the price of turnover
        from_below[kinked, -1] = 0.5
    slack = ROUNDING * (1.0 + float(np.abs(np.concatenate([least, most])[np.isfinite([*least, *most])]).max(initial=0)))
    above, below = np.isfinite(most), np.isfinite(least)
    A = np.vstack([normal[above], -from_below[below]])
    b = np.concatenate([most[above], -least[below]]) + slack
    bounds = [(a if np.isfinite(a) else None, z if np.isfinite(z) else None) for a, z in zip(low, high, strict=True)]
    loose = np.zeros(len(low), dtype=bool)
    for i, unit in enumerate(np.eye(len(low))):
        ends = [linprog(side * unit, A_ub=A, b_ub=b, bounds=bounds, method="highs") for side in (1.0, -1.0)]
        if any(end.status not in (0, 3) for end in ends):
            loose[i] = True  # not known to be settled
            continue
        first, last = (float(end.fun or 0.0) if end.status == 0 else -np.inf for end in ends)
        loose[i] = not -last - first <= SETTLED * (1.0 + min(abs(first), abs(last)))
    return loose
