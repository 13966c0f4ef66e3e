"""The small quadratic model of the fast engine: one step over the prices of the rules, solved exactly.

Symmetric matrices are kept as their lower triangle; nothing is allocated.

References
----------
Nocedal and Wright (2006), Numerical Optimization, section 16.5 (active sets).
"""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled


@compiled()
def cholesky_solve(H, members, m, right, L, x):
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


@compiled()
def _slope(H, pressure, step, slope):
    """Fill in the model's gradient ``pressure − H step``."""
    for s in range(step.shape[0]):
        total = pressure[s]
        for k in range(s + 1):
            total -= H[s, k] * step[k]
        for k in range(s + 1, step.shape[0]):
            total -= H[k, s] * step[k]
        slope[s] = total


@compiled()
def _room(y, low, high, step, members, m, x):
    """Return how much of the joint step ``x`` the ranges leave, at most 1, and the price that stops it (−1: none)."""
    length = 1.0
    stop = -1
    for a in range(m):
        s = members[a]
        to = y[s] + step[s] + x[a]
        if low[s] <= to <= high[s]:
            continue
        share = max(((low[s] if to < low[s] else high[s]) - y[s] - step[s]) / x[a], 0.0)
        if share < length or stop < 0:
            length = min(share, 1.0)
            stop = s
    return length, stop


@compiled()
def model_step(H, pressure, y, low, high, step, free, members, slope, L, x):
    """Maximise ``pressure·s − ½ s·H s`` over ``low ≤ y + s ≤ high``, exactly: a primal active-set method.

    False when H is not positive definite.
    """
    S = y.shape[0]
    strongest = 0.0
    for s in range(S):
        # A price that its own pressure sends to an end of its range starts there.
        reach = y[s] + pressure[s] / H[s, s]
        free[s] = low[s] < reach < high[s]
        step[s] = 0.0 if free[s] else (low[s] if reach <= low[s] else high[s]) - y[s]
        strongest = max(strongest, abs(pressure[s]) / np.sqrt(H[s, s]))
    for _ in range(4 * S + 20):
        m = 0
        for s in range(S):
            if free[s]:
                members[m] = s
                m += 1
        _slope(H, pressure, step, slope)
        if m > 0:
            if not cholesky_solve(H, members, m, slope, L, x):
                return False
            length, stop = _room(y, low, high, step, members, m, x)
            to_high = False
            for a in range(m):
                if members[a] == stop:
                    to_high = x[a] > 0.0
                step[members[a]] += length * x[a]
            if stop >= 0:
                free[stop] = False
                step[stop] = (high[stop] if to_high else low[stop]) - y[stop]
                continue
            _slope(H, pressure, step, slope)
        # Release the fixed price that most wants to move inwards.
        worst = 1e-14 * strongest
        pick = -1
        for s in range(S):
            if free[s] or low[s] >= high[s]:
                continue
            wish = (slope[s] if y[s] + step[s] <= low[s] else -slope[s]) / np.sqrt(H[s, s])
            if wish > worst:
                worst = wish
                pick = s
        if pick < 0:
            return True
        free[pick] = True
    return True
