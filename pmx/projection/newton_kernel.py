"""The compiled kernel of the fast engine: semismooth Newton on the dual, no allocation in its loop.

Positions that meet the same rules with the same coefficients form a group and lie next to each other: rules see a
group only through sums, so one pass costs a handful of operations a position, however many rules there are.

Rules are written one-sided, ``B u ≤ c`` with prices in ``[low, high]``; the turnover rule, if any, is the last one.
Symmetric matrices are kept as their lower triangle.

References
----------
Qi and Sun (1993), A nonsmooth version of Newton's method. Bertsekas (1982), Projected Newton methods for optimization
problems with simple constraints. Nocedal and Wright (2006), Numerical Optimization, section 16.5 (active sets).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pmx.projection.program import Array, Index

# Sums may be reordered (and so vectorised); infinities and NaN keep their meaning.
SUMS = {"reassoc", "contract", "nsz"}
MAX_ROUNDS = 100
MAX_TRIES = 60
#: Smallest damping of the model, in units of each rule's curvature with every position free.
RIDGE = 1e-13
#: A rule whose curvature is less than this share of that meets no free position.
FLAT = 1e-9


class Groups(NamedTuple):
    """Which rules each group of positions meets.

    Attributes
    ----------
    start : array of int, shape (n_groups + 1,)
        First position of each group.
    rule_start : array of int, shape (n_groups + 1,)
        First entry of each group in ``rule`` and ``coefficient``; rules ascend within a group.
    rule : array of int
        Rule of each entry.
    coefficient : array
        Its coefficient.
    """

    start: Index
    rule_start: Index
    rule: Index
    coefficient: Array


class Positions(NamedTuple):
    """The arrays of a program in group order, each of shape (n,); names as in :class:`Program`."""

    distance: Array
    softness: Array  # 1 / distance
    target: Array
    lower: Array
    upper: Array
    previous: Array
    cost: Array
    floor: Array
    floor_penalty: Array


class Rules(NamedTuple):
    """One-sided rules: bound ``c`` and range of the price, each of shape (n_rules,); row of the turnover rule or −1."""

    bound: Array
    low: Array
    high: Array
    turnover: int
    trading: bool


@njit(cache=True, nogil=True, fastmath=SUMS)
def _pass_plain(groups, at, y, u, excess, H):
    """Respond to prices without trading terms; fill ``u``, rule sums and curvature; return the Lagrangian."""
    value = 0.0
    excess[:] = 0.0
    H[:] = 0.0
    for g in range(groups.start.shape[0] - 1):
        first, last = groups.rule_start[g], groups.rule_start[g + 1]
        price = 0.0
        for e in range(first, last):
            price += y[groups.rule[e]] * groups.coefficient[e]
        total = 0.0
        weight = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            x = at.target[j] - price * at.softness[j]
            inside = at.softness[j]
            if x <= at.lower[j]:
                x = at.lower[j]
                inside = 0.0
            if x >= at.upper[j]:
                x = at.upper[j]
                inside = 0.0
            u[j] = x
            total += x
            weight += inside
            gap = x - at.target[j]
            value += 0.5 * at.distance[j] * gap * gap
        value += price * total
        for e in range(first, last):
            excess[groups.rule[e]] += groups.coefficient[e] * total
            scaled = weight * groups.coefficient[e]
            for f in range(first, e + 1):
                H[groups.rule[e], groups.rule[f]] += scaled * groups.coefficient[f]
    return value


@njit(cache=True, nogil=True, fastmath=SUMS)
def _pass_trading(groups, at, turnover_row, y, u, excess, H):
    """Do the same with trading costs, the turnover rule and soft floors."""
    value = 0.0
    tau = y[turnover_row] if turnover_row >= 0 else 0.0
    excess[:] = 0.0
    H[:] = 0.0
    turnover = 0.0
    turnover_curve = 0.0
    for g in range(groups.start.shape[0] - 1):
        first, last = groups.rule_start[g], groups.rule_start[g + 1]
        price = 0.0
        for e in range(first, last):
            price += y[groups.rule[e]] * groups.coefficient[e]
        total = 0.0
        weight = 0.0
        leaning = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            soft = at.softness[j]
            width = at.cost[j] + 0.5 * tau
            centre = at.target[j] - price * soft
            x = min(centre + width * soft, max(at.previous[j], centre - width * soft))
            x = min(centre + (width + at.floor_penalty[j]) * soft, max(at.floor[j], x))
            x = min(max(x, at.lower[j]), at.upper[j])
            u[j] = x
            total += x
            move = x - at.previous[j]
            away = abs(move)
            turnover += away
            still = width > 0.0 and move == 0.0
            if not (x <= at.lower[j] or x >= at.upper[j] or x == at.floor[j] or still):
                side = 0.5 if move > 0.0 else (-0.5 if move < 0.0 else 0.0)
                weight += soft
                leaning += side * soft
                turnover_curve += side * side * soft
            gap = x - at.target[j]
            value += 0.5 * at.distance[j] * gap * gap + width * away
            value += at.floor_penalty[j] * max(at.floor[j] - x, 0.0)
        value += price * total
        for e in range(first, last):
            excess[groups.rule[e]] += groups.coefficient[e] * total
            scaled = weight * groups.coefficient[e]
            for f in range(first, e + 1):
                H[groups.rule[e], groups.rule[f]] += scaled * groups.coefficient[f]
            if turnover_row >= 0:
                H[turnover_row, groups.rule[e]] += leaning * groups.coefficient[e]
    if turnover_row >= 0:
        excess[turnover_row] = 0.5 * turnover
        H[turnover_row, turnover_row] = turnover_curve
    return value


@njit(cache=True, nogil=True)
def _evaluate(groups, at, rules, y, u, excess, H):
    """Return the dual's value; fill the response, its excess over each rule, and the curvature."""
    if rules.trading:
        value = _pass_trading(groups, at, rules.turnover, y, u, excess, H)
    else:
        value = _pass_plain(groups, at, y, u, excess, H)
    for s in range(y.shape[0]):
        value -= y[s] * rules.bound[s]
        excess[s] -= rules.bound[s]
    return value


@njit(cache=True, nogil=True)
def _full_curvature(groups, at, turnover_row, full):
    """Fill in each rule's curvature with every position free; never zero."""
    full[:] = 0.0
    for g in range(groups.start.shape[0] - 1):
        weight = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            if at.lower[j] < at.upper[j]:
                weight += at.softness[j]
        for e in range(groups.rule_start[g], groups.rule_start[g + 1]):
            full[groups.rule[e]] += weight * groups.coefficient[e] * groups.coefficient[e]
        if turnover_row >= 0:
            full[turnover_row] += 0.25 * weight
    largest = 0.0
    for s in range(full.shape[0]):
        largest = max(largest, full[s])
    for s in range(full.shape[0]):
        if full[s] <= 0.0:
            full[s] = largest if largest > 0.0 else 1.0


@njit(cache=True, nogil=True)
def _wrongness(y, low, high, excess):
    """Return complementarity: pressure that a price could still answer, or a price without pressure."""
    if excess > 0.0:
        return min(high - y, excess)
    return min(y - low, -excess)


@njit(cache=True, nogil=True)
def _cholesky_solve(H, members, m, right, L, x):
    """Solve ``H[F, F] x = right[F]`` for the first ``m`` members; False when a pivot is not positive."""
    for a in range(m):
        for b in range(a + 1):
            total = H[max(members[a], members[b]), min(members[a], members[b])]
            for k in range(b):
                total -= L[a, k] * L[b, k]
            if a == b:
                if total <= 0.0:
                    return False
                L[a, a] = np.sqrt(total)
            else:
                L[a, b] = total / L[b, b]
    for a in range(m):
        total = right[members[a]]
        for k in range(a):
            total -= L[a, k] * x[k]
        x[a] = total / L[a, a]
    for a in range(m - 1, -1, -1):
        total = x[a]
        for k in range(a + 1, m):
            total -= L[k, a] * x[k]
        x[a] = total / L[a, a]
    return True


@njit(cache=True, nogil=True)
def _model_slope(H, excess, step, slope):
    """Fill in the model's gradient ``excess − H step``."""
    for s in range(step.shape[0]):
        total = excess[s]
        for k in range(s + 1):
            total -= H[s, k] * step[k]
        for k in range(s + 1, step.shape[0]):
            total -= H[k, s] * step[k]
        slope[s] = total


@njit(cache=True, nogil=True)
def _model_step(H, excess, y, low, high, step, free, members, slope, L, x):
    """Maximise ``excess·s − ½ s·H s`` over ``low ≤ y + s ≤ high``, exactly: a primal active-set method.

    False when H is not positive definite.
    """
    S = y.shape[0]
    for s in range(S):
        # A price that its own pressure sends to an end of its range starts there.
        reach = y[s] + excess[s] / H[s, s]
        free[s] = low[s] < reach < high[s]
        step[s] = 0.0 if free[s] else (low[s] if reach <= low[s] else high[s]) - y[s]
    for _ in range(4 * S + 20):
        m = 0
        for s in range(S):
            if free[s]:
                members[m] = s
                m += 1
        _model_slope(H, excess, step, slope)
        if m > 0:
            if not _cholesky_solve(H, members, m, slope, L, x):
                return False
            length = 1.0
            stop = -1
            end = 0.0
            for a in range(m):
                s = members[a]
                to = y[s] + step[s] + x[a]
                if low[s] <= to <= high[s]:
                    continue
                limit = low[s] if to < low[s] else high[s]
                share = max((limit - y[s] - step[s]) / x[a], 0.0)
                if share < length or stop < 0:
                    length = min(share, 1.0)
                    stop = s
                    end = limit - y[s]
            for a in range(m):
                step[members[a]] += length * x[a]
            if stop >= 0:
                free[stop] = False
                step[stop] = end
                continue
            _model_slope(H, excess, step, slope)
        # Release the fixed price that most wants to move inwards.
        worst = 0.0
        pick = -1
        for s in range(S):
            if free[s] or low[s] >= high[s]:
                continue
            wish = slope[s] if y[s] + step[s] <= low[s] else -slope[s]
            if wish > 1e-14 * (1.0 + abs(excess[s])) and wish / np.sqrt(H[s, s]) > worst:
                worst = wish / np.sqrt(H[s, s])
                pick = s
        if pick < 0:
            return True
        free[pick] = True
    return True


@njit(cache=True, nogil=True)
def _single_step(H, full, excess, y, low, high, step):
    """Move one price only: the most wrong one that meets no free position, or else the most wrong one."""
    worst = -1.0
    pick = 0
    pick_flat = False
    for s in range(y.shape[0]):
        step[s] = 0.0
        wrong = _wrongness(y[s], low[s], high[s], excess[s])
        flat = wrong > 1e-12 and H[s, s] <= FLAT * full[s]
        if (flat and not pick_flat) or (flat == pick_flat and wrong > worst):
            worst = wrong
            pick = s
            pick_flat = flat
    curvature = full[pick] if pick_flat else max(H[pick, pick], RIDGE * full[pick])
    step[pick] = min(max(y[pick] + excess[pick] / curvature, low[pick]), high[pick]) - y[pick]


@njit(cache=True, nogil=True)
def _line_search(groups, at, rules, y, step, value, pressure, trial, u, excess, H):
    """Find a length along the step where the dual has risen and its slope has at least halved.

    The dual is concave, so the slope falls along the step: expand while it stays steep, then close in between a length
    where it is positive and one where it is negative. Leaves the pass at ``trial`` in ``u``, ``excess``, ``H``.
    """
    S = y.shape[0]
    first = 0.0
    longest = np.inf
    for s in range(S):
        first += pressure[s] * step[s]
        if step[s] > 0.0:
            longest = min(longest, (rules.high[s] - y[s]) / step[s])
        elif step[s] < 0.0:
            longest = min(longest, (rules.low[s] - y[s]) / step[s])
    low, low_slope = 0.0, first
    high, high_slope = np.inf, 0.0
    length = 1.0
    now = value
    for tries in range(MAX_TRIES):
        for s in range(S):
            trial[s] = min(max(y[s] + length * step[s], rules.low[s]), rules.high[s])
        now = _evaluate(groups, at, rules, trial, u, excess, H)
        slope = 0.0
        for s in range(S):
            slope += excess[s] * step[s]
        risen = now >= value + 1e-4 * length * first - 1e-13 * (1.0 + abs(value))
        if first <= 0.0 or (risen and abs(slope) <= 0.5 * first):
            break
        if slope > 0.0:
            low, low_slope = length, slope
            if high == np.inf:
                if length >= longest:
                    break
                length = min(4.0 * length, longest)
                continue
        else:
            high, high_slope = length, slope
        if tries % 2 == 1 and high > 100.0 * low:
            length = 0.1 * high
        else:
            length = low + min(max(low_slope / (low_slope - high_slope), 0.05), 0.95) * (high - low)
    return length, now


@njit(cache=True, nogil=True)
def _tighten(groups, at, rules, y, u, excess, H, full, members, shift, L, x, moved, after):
    """Move the free positions by the least that makes every pressing rule exactly tight.

    Where large prices nearly cancel, the response to them carries their rounding; the rules themselves do not.
    """
    S = y.shape[0]
    tau = y[rules.turnover] if rules.turnover >= 0 else 0.0
    m = 0
    before = 0.0
    for s in range(S):
        shift[s] = 0.0
        after[s] = 0.0
        if rules.low[s] < y[s] < rules.high[s] and abs(excess[s]) < 1e-9 and H[s, s] > FLAT * full[s]:
            members[m] = s
            m += 1
            before = max(before, abs(excess[s]))
            H[s, s] += 1e-14 * full[s]
    if m == 0 or before <= 1e-17 or not _cholesky_solve(H, members, m, excess, L, x):
        return
    for a in range(m):
        shift[members[a]] = x[a]
    turnover = 0.0
    for g in range(groups.start.shape[0] - 1):
        price = 0.0
        for e in range(groups.rule_start[g], groups.rule_start[g + 1]):
            price += shift[groups.rule[e]] * groups.coefficient[e]
        total = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            away = u[j] - at.previous[j]
            still = at.cost[j] + 0.5 * tau > 0.0 and away == 0.0
            push = 0.0
            if not (u[j] <= at.lower[j] or u[j] >= at.upper[j] or u[j] == at.floor[j] or still):
                push = price
                if rules.turnover >= 0:
                    push += 0.5 * shift[rules.turnover] if away > 0.0 else -0.5 * shift[rules.turnover]
            moved[j] = min(max(u[j] - push * at.softness[j], at.lower[j]), at.upper[j])
            total += moved[j]
            turnover += abs(moved[j] - at.previous[j])
        for e in range(groups.rule_start[g], groups.rule_start[g + 1]):
            after[groups.rule[e]] += groups.coefficient[e] * total
    if rules.turnover >= 0:
        after[rules.turnover] = 0.5 * turnover
    worst = 0.0
    for a in range(m):
        worst = max(worst, abs(after[members[a]] - rules.bound[members[a]]))
    if worst < before:
        u[:] = moved
        for s in range(S):
            excess[s] = after[s] - rules.bound[s]


@njit(cache=True, nogil=True)
def maximise_dual(groups, at, rules, y, u, tolerance):
    """Ascend the dual from the prices in ``y``; overwrite ``y`` and ``u``; return (rounds, worst complementarity)."""
    S = y.shape[0]
    excess, pressure, full, step, slope, x, trial, best_y = (
        np.empty(S), np.empty(S), np.empty(S), np.empty(S), np.empty(S), np.empty(S), np.empty(S), np.empty(S)
    )  # fmt: skip
    H, M, L = np.empty((S, S)), np.empty((S, S)), np.empty((S, S))
    free, members = np.empty(S, dtype=np.bool_), np.empty(S, dtype=np.int64)
    for s in range(S):
        y[s] = min(max(y[s], rules.low[s]), rules.high[s])
    best_y[:] = y
    _full_curvature(groups, at, rules.turnover, full)
    value = _evaluate(groups, at, rules, y, u, excess, H)
    best = np.inf
    stalled, rounds = 0, 0
    ridge = RIDGE
    alone, at_best = False, True
    while True:
        error = 0.0
        for s in range(S):
            error = max(error, _wrongness(y[s], rules.low[s], rules.high[s], excess[s]))
        stalled = 0 if error < 0.5 * best else stalled + 1
        at_best = error < best
        if at_best:
            best = error
            best_y[:] = y
        if error <= tolerance or rounds >= MAX_ROUNDS or (stalled > 3 and best < 1e-10):
            break
        rounds += 1
        pressure[:] = excess
        # Where kinks keep joint steps short, one price moves alone before the next of them.
        alone = not alone and stalled >= 2
        if alone:
            _single_step(H, full, pressure, y, rules.low, rules.high, step)
        else:
            M[:] = H
            for s in range(S):
                # A rule that meets no free position has no curvature of its own: it steps as if all were free.
                M[s, s] += (ridge if H[s, s] > FLAT * full[s] else 1.0) * full[s]
            if not _model_step(M, pressure, y, rules.low, rules.high, step, free, members, slope, L, x):
                ridge = max(ridge * 1e3, 1e-9)
                if ridge > 1e6:
                    break
                continue
        length, value = _line_search(groups, at, rules, y, step, value, pressure, trial, u, excess, H)
        moved = False
        for s in range(S):
            moved = moved or trial[s] != y[s]
        y[:] = trial
        if not moved:
            break
        if length >= 1.0:
            ridge = max(ridge * 1e-3, RIDGE)
        elif length < 0.1:
            ridge = max(ridge * 1e2, 1e-10)
    largest = 0.0
    for s in range(S):
        largest = max(largest, abs(best_y[s]))
    if not at_best or largest > 10.0:
        y[:] = best_y
        _evaluate(groups, at, rules, y, u, excess, H)
    if largest > 10.0:
        n = u.shape[0]
        moved_u = np.empty(n)
        for _ in range(2):
            _tighten(groups, at, rules, y, u, excess, H, full, members, step, L, x, moved_u, trial)
    return rounds, best
