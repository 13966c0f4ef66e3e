"""The last digits of an answer: rules that press made exactly tight, after the climb has found which positions move.

Where large prices nearly cancel, the response to them carries their rounding; the rules themselves do not.
"""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.box_model import cholesky_solve
from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.passes import group_prices, respond

MAX_CORRECTIONS = 12
#: Damping of a correction, in units of each rule's own curvature: rules that repeat others leave it defined.
DAMPING = 1e-11
#: A rule whose excess is more than this, in its own unit, does not press.
NEAR = 1e-6
#: What may be left without one; see ``_missed``.
NO_MISS = 2e-13
#: A weight this close to a kink, relative to itself and 1 % of NAV, is on it.
LAST_PLACES = 4.5e-16


@compiled()
def _snapped(x, lower, upper, previous, floor, trading):
    """Return a weight, put on the kink or bound that only rounding separates it from."""
    near = LAST_PLACES * (abs(x) + 0.01)
    if trading and abs(x - floor) <= near:
        return floor
    if trading and abs(x - previous) <= near:
        return previous
    if x - lower <= near:
        return lower
    return upper if upper - x <= near else x


@compiled()
def _shifted(groups, at, rules, y, shift, price, u, moved, excess):
    """Move the free positions of ``u`` as a shift of prices would; fill in the excess of the outcome."""
    tau = y[rules.turnover] if rules.turnover >= 0 else 0.0
    group_prices(groups, shift, price)
    lean = 0.5 * shift[rules.turnover] if rules.turnover >= 0 else 0.0
    excess[:] = 0.0
    turnover = 0.0
    for g in range(groups.start.shape[0] - 1):
        first, last = groups.rule_start[g], groups.rule_start[g + 1]
        total = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            x = _snapped(u[j], at.lower[j], at.upper[j], at.previous[j], at.floor[j], rules.trading)
            away = x - at.previous[j]
            resting = x <= at.lower[j] or x >= at.upper[j]
            if rules.trading:
                resting = resting or x == at.floor[j] or (away == 0.0 and at.cost[j] + 0.5 * tau > 0.0)
            push = 0.0 if resting else price[g] + (lean if away > 0.0 else -lean)
            moved[j] = min(max(x - push * at.softness[j], at.lower[j]), at.upper[j])
            total += moved[j]
            turnover += abs(moved[j] - at.previous[j])
        for e in range(first, last):
            excess[groups.rule[e]] += groups.coefficient[e] * total
    if rules.turnover >= 0:
        excess[rules.turnover] = 0.5 * turnover
    for s in range(y.shape[0]):
        excess[s] -= rules.bound[s]


@compiled()
def _missed(rules, size, softest, y, excess):
    """Return what rounding left: price times slack of each rule that presses, and overruns of hard ones.

    Both in units in which an answer's certificate allows about 1e-9.
    """
    missed = 0.0
    for s in range(y.shape[0]):
        if rules.low[s] < y[s] < rules.high[s]:
            missed += 1e3 * softest * abs(y[s] * excess[s])
        if y[s] < rules.high[s]:
            missed = max(missed, excess[s] / min(size[s], 1.0))
    return missed


@compiled()
def _apart(groups, at, rules, y, price, u, response):
    """Return the squared distance, in the metric, of ``u`` from the response to prices."""
    respond(groups, at, rules, y, price, response)
    total = 0.0
    for j in range(u.shape[0]):
        gap = u[j] - response[j]
        total += at.distance[j] * gap * gap
    return total


@compiled()
def _correction(rules, size, y, space):
    """Fill in the shift of prices that would leave every pressing rule tight; False when there is none."""
    m = 0
    for s in range(y.shape[0]):
        space.step[s] = 0.0
        near = abs(space.excess[s]) <= NEAR * size[s] and space.H[s, s] > 0.0
        if rules.low[s] < y[s] < rules.high[s] and near:
            space.members[m] = s
            m += 1
    space.M[:] = space.H
    for s in range(y.shape[0]):
        space.M[s, s] *= 1.0 + DAMPING
    if not cholesky_solve(space.M, space.members, m, space.excess, space.L, space.x):
        return False
    for a in range(m):
        space.step[space.members[a]] = space.x[a]
    return True


@compiled()
def tighten(groups, at, rules, size, softest, y, u, space):
    """Move the free positions by the least that makes every pressing rule exactly tight; overwrite ``u`` and ``y``.

    The prices follow if that brings their response nearer to the positions.
    """
    missed = _missed(rules, size, softest, y, space.excess)
    if missed <= NO_MISS:
        return
    moved = np.empty(u.shape[0])
    prices = space.pressure
    prices[:] = y
    for _ in range(MAX_CORRECTIONS):
        if not _correction(rules, size, y, space):
            break
        _shifted(groups, at, rules, y, space.step, space.price, u, moved, space.trial)
        left = _missed(rules, size, softest, y, space.trial)
        if left >= missed:
            break
        missed = left
        u[:] = moved
        space.excess[:] = space.trial
        for s in range(y.shape[0]):
            if rules.low[s] < prices[s] + space.step[s] < rules.high[s]:
                prices[s] += space.step[s]
        if missed <= NO_MISS:
            break
    before = _apart(groups, at, rules, y, space.price, u, moved)
    if _apart(groups, at, rules, prices, space.price, u, moved) < before:
        y[:] = prices
