"""The arithmetic of the certificate. It knows nothing of how an answer was found: no other kernel is imported."""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled

#: A soft rule overrun by no more than this is held: the excess is rounding, and enters the residual instead.
ROUNDING = 1e-12
#: Where a large price would make rounding look like distance, a rule this close to its limit, in units of what its
#: terms sum to where that is more than 1, is taken to be on it: the sum that says otherwise is not known better.
LAST_PLACE = 1e-15


@compiled(reorder=True)
def row_values(A, u):
    """Return ``A u``, the largest coefficient of each row, and ``|A| |u|``, each of shape (K,)."""
    K, n = A.shape
    value, size, terms = np.zeros(K), np.zeros(K), np.zeros(K)
    for k in range(K):
        total = 0.0
        largest = 0.0
        absolute = 0.0
        for j in range(n):
            total += A[k, j] * u[j]
            absolute += abs(A[k, j] * u[j])
            largest = max(largest, abs(A[k, j]))
        value[k], size[k], terms[k] = total, largest, absolute
    return value, size, terms


@compiled()
def _position_gap(d, t, p, kappa, f, rho, lower, upper, g, u):
    """Return what a position could still gain at the given prices; zero at its best response.

    The minimiser is one of: a kink (p, f), an end (lower, upper), or a stationary point of one smooth piece. Which one
    follows from the sign of the one-sided slopes.
    """
    at_p = d * (p - t) + g
    below_p, above_p = (0.0 if p > f else rho), (0.0 if p >= f else rho)
    if at_p + kappa - above_p < 0.0:
        best = t - (g + kappa) / d
    elif at_p - kappa - below_p <= 0.0:
        best = p
    else:
        best = t - (g - kappa) / d
    if f > -np.inf:
        at_f = d * (f - t) + g
        left = at_f + (kappa if f > p else -kappa) - rho
        right = at_f + (kappa if f >= p else -kappa)
        if left > 0.0:
            best = t - (g - kappa - rho) / d
        elif right >= 0.0:
            best = f
    best = min(max(best, lower), upper)
    step = u - best
    if step == 0.0:
        return 0.0
    # Where both lie on one side of a kink its slope joins the others first: prices that nearly cancel then leave no
    # rounding behind.
    slope = g
    jump = 0.0
    if min(u, best) >= p:
        slope += kappa
    elif max(u, best) <= p:
        slope -= kappa
    else:
        jump += kappa * (abs(u - p) - abs(best - p))
    if max(u, best) <= f:
        slope -= rho
    elif rho > 0.0:
        jump += rho * (max(f - u, 0.0) - max(f - best, 0.0))
    change = step * (0.5 * d * step + (d * (best - t) + slope)) + jump
    return abs(change)


@compiled()
def _row_gap(y, value, lo, hi, rho, rounding, last_place):
    """Return price times slack of a row, plus unspent penalty times violation where it is soft."""
    side = hi if y > 0.0 else (lo if y < 0.0 else value)
    if np.isinf(rho):
        return abs(y) * max(abs(value - side) - last_place, 0.0) if y != 0.0 else 0.0
    # On the violated side of a soft row the limit moves along: y (hi + v − A u) = 0.
    pressed = value - hi if y > 0.0 else (lo - value if y < 0.0 else 0.0)
    gap = abs(y) * max(-pressed - last_place, 0.0) if y != 0.0 else 0.0
    violation = max(value - hi, lo - value)
    if violation > rounding:
        gap += (rho - (abs(y) if pressed > 0.0 else 0.0)) * violation
    elif violation > 0.0:
        gap += abs(y) * max(violation - last_place, 0.0)
    return gap


@compiled()
def judge(
    A, lo, hi, penalty, distance, target, previous, cost, lower, upper, floor, floor_penalty,
    turnover_max, turnover_penalty, u, rows, turnover, pull,
):  # fmt: skip
    """Return worst violation, gap, gap with rules in the last place on their limits, and stiffness of the metric.

    ``pull``, shape (n,) or empty, is what cones take from each position's gradient. Duals of the wrong sign or above
    their penalty, and numbers that are not finite, make the first three infinite.
    """
    K, n = A.shape
    stiffness = np.inf
    for j in range(n):
        stiffness = min(stiffness, distance[j])
    traded = np.isfinite(turnover_max)
    admissible = 0.0 <= turnover <= turnover_penalty and (turnover == 0.0 or traded) and turnover < np.inf
    for k in range(K):
        y = rows[k]
        nothing = (y > 0.0 and hi[k] == np.inf) or (y < 0.0 and lo[k] == -np.inf)
        admissible = admissible and np.isfinite(y) and not nothing and abs(y) <= penalty[k]
    for j in range(n):
        admissible = admissible and np.isfinite(u[j])
    if not admissible:
        return np.inf, np.inf, np.inf, stiffness
    g = np.zeros(n)
    if pull.shape[0]:
        g += pull
    for k in range(K):
        if rows[k] != 0.0:
            for j in range(n):
                g[j] += A[k, j] * rows[k]
    residual, gap, moved = 0.0, 0.0, 0.0
    trade = 0.0
    for j in range(n):
        residual = max(residual, lower[j] - u[j], u[j] - upper[j])
        trade += abs(u[j] - previous[j])
        kappa = cost[j] + 0.5 * turnover
        gap += _position_gap(
            distance[j], target[j], previous[j], kappa, floor[j], floor_penalty[j], lower[j], upper[j], g[j], u[j]
        )
    moved = gap
    value, size, terms = row_values(A, u)
    for k in range(K):
        # A rule on a small multiple of weights is as strict about the weights as any other.
        unit = min(size[k], 1.0) if size[k] > 0.0 else 1.0
        excess = max(value[k] - hi[k], lo[k] - value[k]) / unit
        if np.isinf(penalty[k]) or excess <= ROUNDING:
            residual = max(residual, excess)
        gap += _row_gap(rows[k], value[k], lo[k], hi[k], penalty[k], ROUNDING * unit, 0.0)
        moved += _row_gap(rows[k], value[k], lo[k], hi[k], penalty[k], ROUNDING * unit, LAST_PLACE * max(1.0, terms[k]))
    if traded:
        over = 0.5 * trade - turnover_max
        if np.isinf(turnover_penalty) or over <= ROUNDING:
            residual = max(residual, over)
            gap += turnover * abs(over)
            moved += turnover * max(abs(over) - LAST_PLACE * max(1.0, turnover_max), 0.0)
        else:
            gap += (turnover_penalty - turnover) * over
            moved += (turnover_penalty - turnover) * over
    return residual, gap, moved, stiffness
