"""The point of least norm in the polytope of prices that explain an answer, by an active set.

It starts from prices that explain the answer and never leaves the polytope, so that every step of it explains the same
answer.

References
----------
Nocedal and Wright (2006), Numerical Optimization, section 16.5 (active sets).
"""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled

#: Directions whose sine to others is smaller than this are the same direction.
PARALLEL = 1e-12
#: What counts as rounding, relative to the prices.
ROUNDING = 1e-13


@compiled()
def widen(basis, rank, vector):
    """Add a vector to an orthonormal basis, shape (T, T) of which ``rank`` rows are used; return the new rank."""
    T = vector.shape[0]
    new = vector.copy()
    size = 0.0
    for i in range(T):
        size += new[i] * new[i]
    for _ in range(2):  # twice is enough
        for b in range(rank):
            along = 0.0
            for i in range(T):
                along += basis[b, i] * new[i]
            for i in range(T):
                new[i] -= along * basis[b, i]
    left = 0.0
    for i in range(T):
        left += new[i] * new[i]
    if rank == T or left <= PARALLEL * PARALLEL * size or size == 0.0:
        return rank
    for i in range(T):
        basis[rank, i] = new[i] / np.sqrt(left)
    return rank + 1


@compiled()
def _normal_of(c, normal, u, previous, trading, out):
    """Write constraint ``c`` as ``out · z ≥ …``: n least pulls, n greatest ones, T least prices, T greatest ones."""
    n, T = normal.shape
    if c < 2 * n:
        j = c if c < n else c - n
        up = 1.0 if c < n else -1.0
        for i in range(T):
            out[i] = up * normal[j, i]
        if trading and u[j] == previous[j]:  # the kink lets the pull range wider by half the price of turnover
            out[T - 1] = 0.5
        return
    for i in range(T):
        out[i] = 0.0
    out[(c - 2 * n) % T] = 1.0 if c < 2 * n + T else -1.0


@compiled()
def _limit_of(c, n, T, low, high, least, most):
    if c < n:
        return least[c]
    if c < 2 * n:
        return -most[c - n]
    return low[c - 2 * n] if c < 2 * n + T else -high[c - 2 * n - T]


@compiled()
def _solve(matrix, right):
    """Overwrite ``right`` with the solution of a positive definite system given by its lower triangle."""
    m = right.shape[0]
    for a in range(m):
        for b in range(a + 1):
            total = matrix[a, b]
            for i in range(b):
                total -= matrix[a, i] * matrix[b, i]
            matrix[a, b] = np.sqrt(max(total, 1e-300)) if a == b else total / matrix[b, b]
    for a in range(m):
        for i in range(a):
            right[a] -= matrix[a, i] * right[i]
        right[a] /= matrix[a, a]
    for a in range(m - 1, -1, -1):
        for i in range(a + 1, m):
            right[a] -= matrix[i, a] * right[i]
        right[a] /= matrix[a, a]


@compiled()
def _newton_step(H, basis, rank, slope, step):
    """Write the step to the minimum in the directions across a basis; return its largest component."""
    T = H.shape[0]
    whole = np.empty((T, T))
    for b in range(rank):
        whole[b] = basis[b]
    full = rank
    unit = np.empty(T)
    for i in range(T):
        unit[:] = 0.0
        unit[i] = 1.0
        full = widen(whole, full, unit)
    m = full - rank
    step[:] = 0.0
    if m == 0:
        return 0.0
    small, right = np.zeros((m, m)), np.zeros(m)
    for a in range(m):
        for i in range(T):
            right[a] += whole[rank + a, i] * slope[i]
        for b in range(a + 1):
            total = 0.0
            for i in range(T):
                for k in range(T):
                    total += whole[rank + a, i] * H[i, k] * whole[rank + b, k]
            small[a, b] = total
    _solve(small, right)
    largest = 0.0
    for i in range(T):
        for a in range(m):
            step[i] += whole[rank + a, i] * right[a]
        largest = max(largest, abs(step[i]))
    return largest


@compiled()
def _to_release(basis, equal, active, count, normal, u, previous, trading, slope, tolerance):
    """Return which active constraint holds the prices back from a smaller norm the most; −1 if none does."""
    T = slope.shape[0]
    across = np.empty((count, T))
    row = np.empty(T)
    for a in range(count):
        _normal_of(active[a], normal, u, previous, trading, row)
        for _ in range(2):
            for b in range(equal):
                along = 0.0
                for i in range(T):
                    along += basis[b, i] * row[i]
                for i in range(T):
                    row[i] -= along * basis[b, i]
        across[a] = row
    gram, right = np.zeros((count, count)), np.zeros(count)
    for a in range(count):
        for i in range(T):
            right[a] += across[a, i] * slope[i]
        for b in range(a + 1):
            for i in range(T):
                gram[a, b] += across[a, i] * across[b, i]
    _solve(gram, right)
    worst, which = tolerance, -1
    for a in range(count):
        if right[a] > worst:  # the slope leads into the polytope
            worst, which = right[a], a
    return which


@compiled()
def descend(normal, weight, low, high, z, least, most, u, previous, lower, upper, kinked, trading):
    """Move prices ``z`` to the least-norm ones within the polytope, in place."""
    n, T = normal.shape
    H, h = np.zeros((T, T)), np.zeros(T)
    for i in range(T):
        H[i, i] = weight[i]
    basis, equal = np.empty((T, T)), 0
    for j in range(n):
        held = trading and u[j] == previous[j]
        if least[j] == most[j] and not held:
            equal = widen(basis, equal, normal[j])
        bounded = (u[j] >= upper[j]) != (u[j] <= lower[j]) and (u[j] >= upper[j] or lower[j] > 0.0)
        rest = most[j] if u[j] >= upper[j] else least[j]
        if bounded and not kinked[j]:
            for i in range(T):
                h[i] += rest * normal[j, i]
                for k in range(T):
                    H[i, k] += normal[j, i] * normal[j, k]
    active, count = np.empty(T, np.intp), 0
    row, step, slope = np.empty(T), np.empty(T), np.empty(T)
    for _ in range(20 + 10 * T):
        rank = equal
        for a in range(count):
            _normal_of(active[a], normal, u, previous, trading, row)
            rank = widen(basis, rank, row)
        size = 1e-300
        for i in range(T):
            size = max(size, abs(z[i]))
            slope[i] = h[i]
            for k in range(T):
                slope[i] -= H[i, k] * z[k]
        length = _newton_step(H, basis, rank, slope, step)
        if length <= ROUNDING * size:
            worst = _to_release(basis, equal, active, count, normal, u, previous, trading, slope, ROUNDING * size)
            if worst < 0:
                return
            count -= 1
            active[worst] = active[count]
            continue
        reach, blocker = 1.0, -1
        for c in range(2 * n + 2 * T):
            limit = _limit_of(c, n, T, low, high, least, most)
            if not np.isfinite(limit) or (c < 2 * n and least[c % n] == most[c % n] and not (
                trading and u[c % n] == previous[c % n])):  # fmt: skip
                continue
            _normal_of(c, normal, u, previous, trading, row)
            along, here, steep = 0.0, 0.0, 0.0
            for i in range(T):
                along += row[i] * step[i]
                here += row[i] * z[i]
                steep += abs(row[i])
            if along < -4.0 * PARALLEL * steep * length:
                room = max(here - limit, 0.0) / -along
                if room < reach:
                    reach, blocker = room, c
        for i in range(T):
            z[i] = min(max(z[i] + reach * step[i], low[i]), high[i])
        if blocker >= 0:
            if count == T:
                return
            active[count] = blocker
            count += 1
            if blocker >= 2 * n:
                i = (blocker - 2 * n) % T
                z[i] = low[i] if blocker < 2 * n + T else high[i]
