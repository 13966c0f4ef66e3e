"""From a program's arrays to the climb on the dual and back, compiled as one."""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.newton import maximise_dual
from pmx.projection.kernels.passes import Groups, Positions, Rules
from pmx.projection.kernels.writing import same

#: Complementarity at which the climb stops, fraction of NAV: a few units in the last place of 1.
TOLERANCE = 1e-15


@compiled()
def _sides(lo, hi, penalty, rows, turnover, turnover_max, turnover_penalty):
    """Return rows as rules ``B u ≤ c``: first rule of each row, directions, bounds, ranges of prices, starting prices.

    A range becomes two rules, an equality one whose price may have either sign. The turnover rule comes last.
    """
    K = lo.shape[0]
    first = np.zeros(K + 1, np.intp)
    for k in range(K):
        above, below = np.isfinite(hi[k]), np.isfinite(lo[k]) and lo[k] != hi[k]
        first[k + 1] = first[k] + (int(above) + int(below) if penalty[k] > 0.0 else 0)
    trading = np.isfinite(turnover_max)
    total = first[K] + int(trading)
    direction, bound, low, high, y = np.empty(total), np.empty(total), np.zeros(total), np.empty(total), np.empty(total)
    for k in range(K):
        for s in range(first[k], first[k + 1]):
            up = s == first[k] and np.isfinite(hi[k])
            direction[s] = 1.0 if up else -1.0
            bound[s] = hi[k] if up else -lo[k]
            high[s] = penalty[k]
            equal = lo[k] == hi[k]
            low[s] = -penalty[k] if equal else 0.0
            y[s] = rows[k] if equal else max(direction[s] * rows[k], 0.0)
    if trading:
        last = first[K]
        direction[last], bound[last], high[last], y[last] = 1.0, turnover_max, turnover_penalty, turnover
    return first, direction, bound, low, high, y


@compiled()
def _on_sides(groups, first, direction):
    """Return groups of positions over one-sided rules, from groups over rows."""
    G = groups.start.shape[0] - 1
    rule_start = np.zeros(G + 1, np.intp)
    rule = np.empty(2 * groups.rule.shape[0], np.intp)
    coefficient = np.empty(2 * groups.rule.shape[0])
    e = 0
    for g in range(G):
        for f in range(groups.rule_start[g], groups.rule_start[g + 1]):
            for s in range(first[groups.rule[f]], first[groups.rule[f] + 1]):
                rule[e], coefficient[e] = s, direction[s] * groups.coefficient[f]
                e += 1
        rule_start[g + 1] = e
    return Groups(groups.start, rule_start, rule[:e], coefficient[:e])


@compiled()
def _settled(u, previous, floor, lower, upper):
    """Return a weight that is within rounding of where a kink or a bound holds it as exactly there.

    Which side of a kink a position is on says who pulls at it, and rounding must not decide that.
    """
    for place in (previous, floor, lower, upper):
        if same(u, place):
            return place
    return u


@compiled()
def solve_program(
    order, groups, unit, distance, target, lower, upper, previous, cost, floor, floor_penalty,
    lo, hi, penalty, turnover_max, turnover_penalty, rows, turnover,
):  # fmt: skip
    """Return ``u``, the price of the turnover rule, rounds; overwrite ``rows``, which hold the prices to start from.

    ``groups`` are over rows, positions ``order`` makes them contiguous; ``unit``, a power of two, is what the objective
    is multiplied with on the way.
    """
    n = target.shape[0]
    d = np.empty(n)
    soft, t, least, most = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    p, c, f, rho = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    trading = np.isfinite(turnover_max)
    for i in range(n):
        j = order[i]
        d[i] = distance[j] * unit
        soft[i] = 1.0 / d[i]
        t[i], least[i], most[i] = target[j], lower[j], upper[j]
        p[i], c[i], f[i], rho[i] = previous[j], cost[j] * unit, floor[j], floor_penalty[j] * unit
        trading = trading or c[i] > 0.0 or f[i] > -np.inf
    first, direction, bound, low, high, y = _sides(
        lo, hi, penalty * unit, rows * unit, turnover * unit, turnover_max, turnover_penalty * unit
    )
    last = first[lo.shape[0]] if np.isfinite(turnover_max) else -1
    at = Positions(d, soft, t, least, most, p, c, f, rho)
    rules = Rules(bound, low, high, last, trading)
    grouped = np.empty(n)
    rounds, _ = maximise_dual(_on_sides(groups, first, direction), at, rules, y, grouped, TOLERANCE)
    u = np.empty(n)
    for i in range(n):
        j = order[i]
        u[j] = _settled(grouped[i], previous[j], floor[j], lower[j], upper[j])
    for k in range(lo.shape[0]):
        rows[k] = 0.0
        for s in range(first[k], first[k + 1]):
            rows[k] += direction[s] * y[s] / unit
    return u, (y[last] / unit if last >= 0 else 0.0), rounds
