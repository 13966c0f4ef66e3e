r"""Of all prices that explain an answer, the ones with the smallest sum of squares.

Where more rules press than positions are free to answer, prices are not unique: two limits that meet in the same place
may share the pressure in many ways, and an engine returns an arbitrary one. The prices that explain an answer ``u``
form a polytope (each position's pull must leave it where it is, each price has its sign and its largest value), and

.. math:: \min_{y, τ}\; ½ \sum_k \frac{y_k^2}{m_k} + ½ τ^2 + ½ \sum_j μ_j(y, τ)^2

over it has one solution: ``m_k`` rules that share a row share its price, ``μ_j`` is the price of a bound on position
``j`` alone. The quadratic program is solved by an active set that starts from the engine's prices and never leaves the
polytope, so that every step of it explains the same answer.

References
----------
Nocedal and Wright (2006), Numerical Optimization, section 16.5 (active sets).
"""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.active_set import descend, widen
from pmx.projection.kernels.compiled import compiled

#: A rule no further from its limit than this, times what its terms add up to where that is more than 1, presses.
LAST_PLACE = 1e-15
#: What stands for the turnover rule among numbers of rows.
TURNOVER = -1
#: Rules on a row whose limits are no further apart than this set it together.
TIED = 1e-12
#: Prices must leave every position this near to where it is, fraction of NAV.
NEAR = 1e-11


@compiled()
def least_norm_prices(
    A, shared, distance, target, lower, upper, previous, cost, floor, floor_penalty, lo, hi, penalty,
    turnover_max, turnover_penalty, u, rows, turnover, cones,
):  # fmt: skip
    """Overwrite ``rows`` with the least-norm prices and return that of turnover.

    ``shared``, shape (2, K), is how many rules set the lower and the upper limit of each row; ``cones``, shape (n,) or
    empty, what cones take from each position's gradient. ``u`` must be the best response to the prices.
    """
    n = A.shape[1]
    which, low, high, weight = candidates(
        A, shared, previous, lo, hi, penalty, turnover_max, turnover_penalty, u, rows, turnover
    )
    T = which.shape[0]
    trading = T > 0 and which[T - 1] == TURNOVER
    if determined(A, which, lower, upper, previous, cost, floor, floor_penalty, u, turnover):
        return turnover
    normal, least, most = ranges(
        A, which, distance, target, lower, upper, previous, cost, floor, floor_penalty, u, rows, turnover, cones
    )
    z = np.empty(T)
    for i in range(T):
        z[i] = min(max(rows[which[i]] if which[i] >= 0 else turnover, low[i]), high[i])
    kinked = np.empty(n, np.bool_)
    for j in range(n):
        kinked[j] = _kinked(j, u, previous, cost, floor, floor_penalty, turnover, trading)
    before = _astray(normal, z, least, most, u, previous, distance, trading)
    descend(normal, weight, low, high, z, least, most, u, previous, lower, upper, kinked, trading)
    if _astray(normal, z, least, most, u, previous, distance, trading) > 2.0 * before + NEAR:
        return turnover  # prices so large that their rounding would move positions
    for i in range(T):
        if which[i] >= 0:
            rows[which[i]] = z[i]
    return z[T - 1] if trading else turnover


@compiled()
def candidates(A, shared, previous, lo, hi, penalty, turnover_max, turnover_penalty, u, rows, turnover):
    """Return which rules may bear another price, least and greatest prices, weights in the norm, each of shape (T,).

    Rows are named by their numbers, the turnover rule, which comes last, by ``TURNOVER``.
    """
    K = A.shape[0]
    which, low, high, weight = np.empty(K + 1, np.intp), np.empty(K + 1), np.empty(K + 1), np.ones(K + 1)
    value, terms = _row_values(A, u)
    T = 0
    for k in range(K):
        side = _pressing(value[k], terms[k], lo[k], hi[k], penalty[k], rows[k])
        if side == 0:
            continue
        which[T] = k
        low[T] = 0.0 if side == 1 else -penalty[k]
        high[T] = 0.0 if side == -1 else penalty[k]
        if side == 1 and hi[k] - value[k] > LAST_PLACE * max(terms[k], 1.0):
            high[T] = rows[k]  # a price that rounding has left on a rule with room may only fall
        elif side == -1 and value[k] - lo[k] > LAST_PLACE * max(terms[k], 1.0):
            low[T] = rows[k]
        bearing = rows[k] > 0.0 if side == 2 else side == 1
        weight[T] = 1.0 / max(shared[int(bearing), k], 1)
        T += 1
    if _trading(u, previous, turnover, turnover_max, turnover_penalty):
        which[T], low[T], high[T] = TURNOVER, 0.0, turnover_penalty
        T += 1
    return which[:T], low[:T], high[:T], weight[:T]


@compiled()
def tied(law, clamp, lo, hi):
    """Return how many rules set the lower and the upper limit of each row, shape (2, K)."""
    shared = np.zeros((2, lo.shape[0]), np.intp)
    for r in range(law.rule_row.shape[0]):
        k = law.rule_row[r]
        most = clamp[law.rule_clamp[r]] if law.rule_clamp[r] >= 0 else law.rule_hi[r]
        if law.rule_lo[r] > -np.inf and lo[k] - law.rule_lo[r] <= TIED:
            shared[0, k] += 1
        if most < np.inf and most - hi[k] <= TIED:
            shared[1, k] += 1
    return shared


@compiled(reorder=True)
def _row_values(A, u):
    """Return ``A u`` and ``|A| |u|``, each of shape (K,)."""
    K, n = A.shape
    value, terms = np.empty(K), np.empty(K)
    for k in range(K):
        total, absolute = 0.0, 0.0
        for j in range(n):
            total += A[k, j] * u[j]
            absolute += abs(A[k, j] * u[j])
        value[k], terms[k] = total, absolute
    return value, terms


@compiled()
def _pressing(value, terms, lo, hi, penalty, price):
    """Return 1 where a row's upper limit may bear a price, −1 where its lower one, 2 where both are the same, 0 else.

    A soft row that is overrun has its price, the whole penalty.
    """
    near = LAST_PLACE * max(terms, 1.0)
    if penalty == 0.0 or (np.isfinite(penalty) and max(value - hi, lo - value) > near):
        return 0
    if lo == hi:
        return 2
    above, below = abs(value - hi) <= near, abs(value - lo) <= near
    if above != below:
        return 1 if above else -1
    return int(np.sign(price))


@compiled()
def _trading(u, previous, turnover, turnover_max, turnover_penalty):
    """Return whether the turnover rule may bear another price."""
    if not np.isfinite(turnover_max) or turnover_penalty == 0.0:
        return False
    trade, held = 0.0, 0.0
    for j in range(u.shape[0]):
        trade += 0.5 * abs(u[j] - previous[j])
        held += 0.5 * (abs(u[j]) + abs(previous[j]))
    near = LAST_PLACE * max(1.0, held)
    if np.isfinite(turnover_penalty) and trade - turnover_max > near:
        return False
    return turnover > 0.0 or abs(trade - turnover_max) <= near


@compiled()
def _column(A, which, u, previous, j, out):
    """Write what one unit of each price adds to the pull on position ``j``."""
    for i in range(which.shape[0]):
        if which[i] == TURNOVER:
            out[i] = 0.5 if u[j] > previous[j] else -0.5
        else:
            out[i] = A[which[i], j]


@compiled()
def determined(A, which, lower, upper, previous, cost, floor, floor_penalty, u, turnover):
    """Return whether the positions that are free to move settle the prices of some rules."""
    T = which.shape[0]
    if T == 0:
        return True
    trading = which[T - 1] == TURNOVER
    basis, column, rank = np.empty((T, T)), np.empty(T), 0
    for j in range(u.shape[0]):
        kinked = _kinked(j, u, previous, cost, floor, floor_penalty, turnover, trading)
        if lower[j] < u[j] < upper[j] and not kinked:
            _column(A, which, u, previous, j, column)
            rank = widen(basis, rank, column)
            if rank == T:
                return True
    return False


@compiled()
def _kinked(j, u, previous, cost, floor, floor_penalty, turnover, trading):
    """Return whether a position rests where the cost of trading or a soft floor holds it."""
    held = u[j] == previous[j] and (cost[j] + turnover > 0.0 or trading)
    return held or (u[j] == floor[j] and floor_penalty[j] > 0.0)


@compiled()
def _astray(normal, z, least, most, u, previous, distance, trading):
    """Return how far prices would move the position that they suit least, fraction of NAV."""
    n, T = normal.shape
    worst = 0.0
    for j in range(n):
        pull, width = 0.0, 0.0
        for i in range(T):
            pull += normal[j, i] * z[i]
        if trading and u[j] == previous[j]:  # what is known of its column is the side of selling
            pull += z[T - 1]
            width = z[T - 1]
        worst = max(worst, (least[j] - pull) / distance[j], (pull - width - most[j]) / distance[j])
    return worst


@compiled()
def ranges(A, which, distance, target, lower, upper, previous, cost, floor, floor_penalty, u, rows, turnover, cones):
    """Return what a unit of each price adds to each pull, shape (n, T), and the least and greatest pull, shape (n,).

    Between those two, every position stays where it is. They are of the prices ``which`` alone: what the others pull is
    taken off. Where a position rests at what is held, the price of turnover widens the range on both sides.
    """
    K, n = A.shape
    T = which.shape[0]
    trading = T > 0 and which[T - 1] == TURNOVER
    fixed = np.ones(K, np.bool_)
    for i in range(T):
        if which[i] >= 0:
            fixed[which[i]] = False
    normal, least, most = np.empty((n, T)), np.empty(n), np.empty(n)
    for j in range(n):
        _column(A, which, u, previous, j, normal[j])
        beside = cones[j] if cones.shape[0] else 0.0
        for k in range(K):
            if fixed[k]:
                beside += A[k, j] * rows[k]
        base = distance[j] * (u[j] - target[j]) + beside
        width = cost[j] if trading else cost[j] + 0.5 * turnover
        right = (width if u[j] >= previous[j] else -width) - (0.0 if u[j] >= floor[j] else floor_penalty[j])
        left = (width if u[j] > previous[j] else -width) - (0.0 if u[j] > floor[j] else floor_penalty[j])
        least[j] = -(base + right) if u[j] < upper[j] else -np.inf
        most[j] = -(base + left) if u[j] > lower[j] else np.inf
    return normal, least, most
