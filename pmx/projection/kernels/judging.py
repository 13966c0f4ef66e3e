"""The arithmetic of the certificate. It knows nothing of how an answer was found: no other kernel is imported."""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled

#: A soft rule overrun by no more than this is held: the excess is rounding, and enters the residual instead.
ROUNDING = 1e-12
#: Where a large price would make rounding look like distance, a rule this close to its limit, in units of a weight that
#: it sees (or of what its terms sum to, where that is more), is taken to be on it: its sum is not known better.
LAST_PLACE = 1e-15
#: Half a unit in the last place of 1.
ROUND_OFF = 1.2e-16


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
def _position_gap(d, t, p, kappa, f, rho, lower, upper, g, blur, u):
    """Return what a position could still gain at the given prices; zero at its best response.

    ``blur`` is how far rounding may have moved ``g``: the gap for the exact one is larger by at most what is added.

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
    blurred = blur * (abs(step) + 0.5 * blur / d)
    if step == 0.0:
        return blurred
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
    return abs(change) + blurred


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

    All but the last are infinite when duals have the wrong sign or exceed their penalty, when a number is not finite
    that should be, or when a soft floor lies above what is held, which the closed form does not cover.

    ``pull``, shape (n,) or empty, is what cones take from each position's gradient.
    """
    K, n = A.shape
    stiffness = np.inf
    for j in range(n):
        stiffness = min(stiffness, distance[j])
    traded = turnover_max < np.inf
    sound = 0.0 <= turnover <= turnover_penalty and (turnover == 0.0 or traded) and turnover < np.inf
    sound = sound and not np.isnan(turnover_max)
    for k in range(K):
        y = rows[k]
        nothing = (y > 0.0 and hi[k] == np.inf) or (y < 0.0 and lo[k] == -np.inf)
        sound = sound and np.isfinite(y) and not nothing and abs(y) <= penalty[k]
        sound = sound and not np.isnan(lo[k]) and not np.isnan(hi[k])
    for j in range(n):
        sound = sound and np.isfinite(u[j]) and np.isfinite(target[j]) and 0.0 < distance[j] < np.inf
        sound = sound and np.isfinite(previous[j]) and 0.0 <= cost[j] < np.inf and 0.0 <= floor_penalty[j] < np.inf
        # Comparisons with NaN are false, and so refuse it.
        sound = sound and lower[j] < np.inf and upper[j] > -np.inf and floor[j] <= previous[j]
    value, size, terms = row_values(A, u)
    for k in range(K):
        sound = sound and np.isfinite(value[k]) and np.isfinite(size[k])
    if not sound:
        return np.inf, np.inf, np.inf, stiffness
    g, mass, pressing = np.zeros(n), np.zeros(n), 1.0
    if pull.shape[0]:
        g += pull
        mass += np.abs(pull)
    for k in range(K):
        if rows[k] != 0.0:
            pressing += 1.0
            for j in range(n):
                g[j] += A[k, j] * rows[k]
                mass[j] += abs(A[k, j] * rows[k])
    residual, gap, moved = 0.0, 0.0, 0.0
    trade, held = 0.0, 0.0
    for j in range(n):
        residual = max(residual, lower[j] - u[j], u[j] - upper[j])
        trade += abs(u[j] - previous[j])
        kappa = cost[j] + 0.5 * turnover
        gap += _position_gap(
            distance[j], target[j], previous[j], kappa, floor[j], floor_penalty[j], lower[j], upper[j], g[j],
            ROUND_OFF * pressing * mass[j], u[j],
        )  # fmt: skip
        held += abs(u[j]) + abs(previous[j])
    moved = gap
    for k in range(K):
        # A rule on a small multiple of weights is as strict about the weights as any other.
        unit = min(size[k], 1.0) if size[k] > 0.0 else 1.0
        excess = max(value[k] - hi[k], lo[k] - value[k]) / unit
        if np.isinf(penalty[k]) or excess <= ROUNDING:
            residual = max(residual, excess)
        gap += _row_gap(rows[k], value[k], lo[k], hi[k], penalty[k], ROUNDING * unit, 0.0)
        last = LAST_PLACE * max(unit, terms[k])
        moved += _row_gap(rows[k], value[k], lo[k], hi[k], penalty[k], ROUNDING * unit, last)
    if traded:
        over = 0.5 * trade - turnover_max
        if np.isinf(turnover_penalty) or over <= ROUNDING:
            residual = max(residual, over)
            gap += turnover * abs(over)
            moved += turnover * max(abs(over) - LAST_PLACE * max(1.0, 0.5 * held), 0.0)
        else:
            gap += (turnover_penalty - turnover) * over
            moved += (turnover_penalty - turnover) * over
    return residual, gap, moved, stiffness
