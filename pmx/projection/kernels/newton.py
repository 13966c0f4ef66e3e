"""The climb of the fast engine: semismooth Newton on the dual, no allocation in its loop.

A few Newton steps usually reach the summit. Where they meet redundant or degenerate rules and stall, or prices grow
that rules which explain each other share, a proximal point method takes over: the same climb on the dual less
``½ Σ damp (y − centre)²``, whose summit is unique and well conditioned, with the centre moved there each time and the
damping lowered as long as summits are reached.

References
----------
Qi and Sun (1993), A nonsmooth version of Newton's method. Bertsekas (1982), Projected Newton methods for optimization
problems with simple constraints. Rockafellar (1976), Augmented Lagrangians and applications of the proximal point
algorithm in convex programming. Li, Sun and Toh (2018), A highly efficient semismooth Newton augmented Lagrangian
method for solving Lasso problems.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pmx.projection.kernels.box_model import model_step
from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.passes import evaluate, respond
from pmx.projection.kernels.tightening import tighten
from pmx.projection.program import Array, Index

#: Newton steps of one climb, and those in a row that may fail to halve the error.
MAX_ROUNDS = 30
MAX_STALLED = 8
#: Tries of one line search.
MAX_TRIES = 60
#: Smallest and largest damping of the model, in units of each rule's own curvature.
RIDGE = 1e-13
MAX_RIDGE = 1e6
#: Complementarity at which a climb may rest when it falls no more: this, and the last places of what prices move.
ROUNDING = 1e-12
PRICE_ROUNDING = 1e-15
#: Prices that would move a weight by more than this, but for others, are looked for anew: their last places matter.
MAX_STRAIN = 1e9
#: Centres of the proximal method. Its damping, in units of each rule's curvature with every position free, begins at 1
#: and does not fall below the last.
MAX_CENTRES = 60
LAST_DAMPING = 1e-13
#: Share of the dual's own error at which a damped climb has reached its summit.
REACHED = 0.03


class Scales(NamedTuple):
    """What a unit of each rule means, each of shape (n_rules,) and positive.

    Attributes
    ----------
    size : array
        Largest coefficient.
    reach : array
        How far a unit of its price moves the weight that it moves most.
    full : array
        Curvature with every position free.
    """

    size: Array
    reach: Array
    full: Array


class Hill(NamedTuple):
    """What is climbed: the dual less ``½ Σ damp (y − centre)²``; arrays of shape (n_rules,)."""

    damp: Array
    centre: Array
    damped: bool


class Space(NamedTuple):
    """Room to work in, per rule, pair of rules or group; ``excess`` and ``H`` are those at the present prices."""

    excess: Array
    H: Array
    pressure: Array
    step: Array
    trial: Array
    slope: Array
    x: Array
    M: Array
    L: Array
    free: Array
    members: Index
    price: Array


@compiled()
def _space(S, G):
    return Space(
        np.empty(S), np.empty((S, S)), np.empty(S), np.empty(S), np.empty(S), np.empty(S), np.empty(S),
        np.empty((S, S)), np.empty((S, S)), np.empty(S, dtype=np.bool_), np.empty(S, dtype=np.intp), np.empty(G),
    )  # fmt: skip


@compiled()
def _scales(groups, at, turnover_row, S):
    """Return the rules' scales, and the softness of the softest position."""
    size, reach, full = np.zeros(S), np.zeros(S), np.zeros(S)
    softest = 0.0
    for g in range(groups.start.shape[0] - 1):
        weight = 0.0
        most = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            soft = at.softness[j]
            weight += soft if at.lower[j] < at.upper[j] else 0.0
            most = max(most, soft)
        for e in range(groups.rule_start[g], groups.rule_start[g + 1]):
            s = groups.rule[e]
            length = abs(groups.coefficient[e])
            size[s] = max(size[s], length)
            reach[s] = max(reach[s], length * most)
            full[s] += weight * length * length
        if turnover_row >= 0:
            full[turnover_row] += 0.25 * weight
        softest = max(softest, most)
    if turnover_row >= 0:
        size[turnover_row] = 0.5
        reach[turnover_row] = 0.5 * softest
    for s in range(full.shape[0]):
        if size[s] <= 0.0:
            size[s] = 1.0
            reach[s] = softest
        if full[s] <= 0.0:
            full[s] = size[s] * size[s] * softest
    return Scales(size, reach, full), softest


@compiled()
def _error(rules, scales, hill, y, excess, damped):
    """Return the worst complementarity, fraction of NAV: pressure a price could answer, or a price without pressure."""
    error = 0.0
    for s in range(y.shape[0]):
        pressure = excess[s]
        if damped:
            pressure -= hill.damp[s] * (y[s] - hill.centre[s])
        pressure /= scales.size[s]
        room = rules.high[s] - y[s] if pressure > 0.0 else y[s] - rules.low[s]
        error = max(error, min(abs(pressure), room * scales.reach[s]))
    return error


@compiled()
def _strain(scales, y):
    """Return how far the strongest price alone would move a weight, fraction of NAV."""
    strain = 0.0
    for s in range(y.shape[0]):
        strain = max(strain, abs(y[s]) * scales.reach[s])
    return strain


@compiled()
def _line_search(groups, at, rules, hill, y, space):
    """Find a length along the step where the dual's slope has fallen to a fraction of what it was.

    The dual is concave, so the slope falls along the step: expand while it stays steep, then close in between a length
    where it is positive and one where it is negative. Moves ``y`` there, with the pass in ``excess`` and ``H``;
    returns whether that is somewhere else.
    """
    step, trial = space.step, space.trial
    S = y.shape[0]
    first = 0.0
    longest = np.inf
    for s in range(S):
        first += space.pressure[s] * step[s]
        if step[s] > 0.0:
            longest = min(longest, (rules.high[s] - y[s]) / step[s])
        elif step[s] < 0.0:
            longest = min(longest, (rules.low[s] - y[s]) / step[s])
    low, low_slope = 0.0, first
    high, high_slope = np.inf, 0.0
    length = 1.0
    for tries in range(MAX_TRIES):
        for s in range(S):
            trial[s] = min(max(y[s] + length * step[s], rules.low[s]), rules.high[s])
        evaluate(groups, at, rules, trial, space.price, space.excess, space.H)
        slope = 0.0
        for s in range(S):
            slope += (space.excess[s] - hill.damp[s] * (trial[s] - hill.centre[s])) * step[s]
        if first <= 0.0 or abs(slope) <= 0.3 * first:
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
    moved = False
    for s in range(S):
        moved = moved or trial[s] != y[s]
    y[:] = trial
    return moved


@compiled()
def _model(hill, full, ridge, H, M):
    """Fill in the model's curvature, positive definite unless rounding makes it not so."""
    for s in range(full.shape[0]):
        for k in range(s + 1):
            M[s, k] = H[s, k]
        if hill.damped:
            M[s, s] += hill.damp[s] + ridge * H[s, s]
        else:
            # A rule that meets no free position has no curvature of its own: it steps as if all were free.
            M[s, s] += ridge * H[s, s] if H[s, s] > 0.0 else full[s]


@compiled()
def _climb(groups, at, rules, scales, hill, tolerance, y, best_y, best, space):
    """Ascend from ``y``; return rounds, the dual's own best error (at ``best_y``), and the error of what is climbed."""
    rounds, stalled = 0, 0
    ridge = RIDGE
    least = np.inf
    while True:
        error = _error(rules, scales, hill, y, space.excess, hill.damped)
        own = _error(rules, scales, hill, y, space.excess, False) if hill.damped else error
        if own < best:
            best = own
            best_y[:] = y
        stalled = 0 if error < 0.5 * least else stalled + 1
        least = min(least, error)
        at_rest = stalled > 0 and least <= ROUNDING + PRICE_ROUNDING * _strain(scales, y)
        if min(error, own) <= tolerance or at_rest or stalled > MAX_STALLED or rounds >= MAX_ROUNDS:
            break
        rounds += 1
        for s in range(y.shape[0]):
            space.pressure[s] = space.excess[s] - hill.damp[s] * (y[s] - hill.centre[s])
        while True:
            _model(hill, scales.full, ridge, space.H, space.M)
            if model_step(space.M, space.pressure, y, rules.low, rules.high, space.step, space.free, space.members,
                          space.slope, space.L, space.x):  # fmt: skip
                break
            ridge *= 1e2
            if ridge > MAX_RIDGE:
                return rounds, best, error
        if not _line_search(groups, at, rules, hill, y, space):
            break
        ridge = RIDGE
    return rounds, best, error


@compiled()
def _approach(groups, at, rules, scales, tolerance, y, best_y, space):
    """Maximise the dual by the proximal point method from prices of zero; return rounds and the best error."""
    S = y.shape[0]
    hill = Hill(np.empty(S), np.empty(S), True)
    for s in range(S):
        y[s] = min(max(0.0, rules.low[s]), rules.high[s])
    evaluate(groups, at, rules, y, space.price, space.excess, space.H)
    damping, best = 1.0, np.inf
    rounds = 0
    for _ in range(MAX_CENTRES):
        hill.centre[:] = y
        hill.damp[:] = damping * scales.full
        more, best, error = _climb(groups, at, rules, scales, hill, tolerance, y, best_y, best, space)
        rounds += more
        if best <= ROUNDING + PRICE_ROUNDING * _strain(scales, y):
            break
        # A summit that was not reached asks for a nearer one, from here.
        damping *= 0.1 if error <= REACHED * best else 10.0
        damping = min(max(damping, LAST_DAMPING), 1.0)
    return rounds, best


@compiled()
def maximise_dual(groups, at, rules, y, u, tolerance):
    """Ascend the dual from the prices in ``y``; overwrite ``y`` and ``u``; return (rounds, worst complementarity)."""
    S = y.shape[0]
    scales, softest = _scales(groups, at, rules.turnover, S)
    space, best_y = _space(S, groups.start.shape[0] - 1), np.empty(S)
    for s in range(S):
        y[s] = min(max(y[s], rules.low[s]), rules.high[s])
    evaluate(groups, at, rules, y, space.price, space.excess, space.H)
    still = Hill(np.zeros(S), np.zeros(S), False)
    rounds, best, _ = _climb(groups, at, rules, scales, still, tolerance, y, best_y, np.inf, space)
    if best > ROUNDING or _strain(scales, best_y) > MAX_STRAIN:
        other_y = np.empty(S)
        more, other = _approach(groups, at, rules, scales, tolerance, y, other_y, space)
        rounds += more
        if other < best or other <= ROUNDING + PRICE_ROUNDING * _strain(scales, other_y):
            best = other
            best_y[:] = other_y
    at_best = True
    for s in range(S):
        at_best = at_best and y[s] == best_y[s]
    if not at_best:
        y[:] = best_y
        evaluate(groups, at, rules, y, space.price, space.excess, space.H)
    respond(groups, at, rules, y, space.price, u)
    tighten(groups, at, rules, scales.size, softest, y, u, space)
    return rounds, best
