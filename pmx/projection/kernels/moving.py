"""What each rule moved at an answer, as a list, and what such moves earn once they are held.

The list says the same as the table of the attribution, in an order that a ledger of many days can add up fast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmx.projection.kernels.compiled import compiled

#: Codes of what is not a rule, counted from the number of rules on.
TARGET, THROUGH_ZERO, TURNOVER_COST, SIGN, UNEXPLAINED = 0, 1, 2, 3, 4
#: How many of these codes there are.
OTHERS = 5
#: What is left of a row of the attribution up to this much, times one plus the row's moves, is rounding.
ROUNDING = 1e-12
#: A move of no more than this is the rounding of a weight, and nothing moved.
NOTHING = 1e-15


class Moves(NamedTuple):
    """Signed parts of positions, in the order of the positions; each array has shape (n_moves,).

    Attributes
    ----------
    cause : array of int
        The rule, or the number of rules plus one of the codes above.
    position : array of int
    amount : array
        Fraction of NAV, or units once it is held.
    """

    cause: NDArray[np.intp]
    position: NDArray[np.intp]
    amount: NDArray[np.float64]


@compiled()
def split(
    A, sign, wished, target, positions, owners, limits, limit_owners, rule_row, rule_number, price, u, rows, turnover,
    turnover_rule, pulls, pull_owner,
):  # fmt: skip
    """Return what adds up to each position's signed weight: its wish, and what every rule took or gave.

    ``positions``, ``owners``, ``limits`` and ``limit_owners`` are the blocks that :func:`write_numbers` returns,
    ``price``, shape (n_rules,), what :func:`read_rules` does; the rules ``rule_number`` are on the rows ``rule_row``.
    ``pulls``, shape (P, n), is what cones take from each position's gradient, for the rules ``pull_owner``. Parts that
    are zero are left out.

    A position with target and weight 0 has no moves. One that a rule prohibits owes that rule its whole target.
    """
    n_rules = price.shape[0]
    prohibited = prohibiting(A, limits, limit_owners, positions[4], owners[1])
    bearing = np.flatnonzero((rows[rule_row] != 0.0) & (price[rule_number] != 0.0))
    row, rule = rule_row[bearing], rule_number[bearing]
    pressing = np.sign(rows[row]) * price[rule]
    n, P = A.shape[1], pulls.shape[0]
    distance, previous, cost, lower, upper = positions[0], positions[1], positions[2], positions[3], positions[4]
    floor, floor_penalty = positions[5], positions[6]
    most = n * (row.shape[0] + P + 8)
    cause, position, amount = np.empty(most, np.intp), np.empty(most, np.intp), np.empty(most)
    count = 0
    for j in range(n):
        count = _put(cause, position, amount, count, n_rules + TARGET, j, wished[j])
        count = _put(cause, position, amount, count, n_rules + THROUGH_ZERO, j, sign[j] * target[j] - wished[j])
        if u[j] == 0.0 and (target[j] == 0.0 or prohibited[j] >= 0):
            count = _put(cause, position, amount, count, prohibited[j], j, -sign[j] * target[j])
            continue
        first, scale, g = count, -sign[j] / distance[j], 0.0
        for b in range(row.shape[0]):
            pull = A[row[b], j] * pressing[b]
            count = _put(cause, position, amount, count, rule[b], j, scale * pull)
            g += pull
        for c in range(P):
            count = _put(cause, position, amount, count, pull_owner[c], j, scale * pulls[c, j])
            g += pulls[c, j]
        # At a kink the force is whatever balances the rest; what the kinks cannot carry, the bounds do.
        half = 0.5 * turnover
        width = cost[j] + half
        rest = -(distance[j] * (u[j] - target[j]) + g)
        trade = width if u[j] > previous[j] else (-width if u[j] < previous[j] else min(max(rest, -width), width))
        share = half / width if width > 0.0 else 0.0
        count = _put(cause, position, amount, count, turnover_rule, j, scale * (trade * share))
        count = _put(cause, position, amount, count, n_rules + TURNOVER_COST, j, scale * (trade * (1.0 - share)))
        rest -= trade
        rho = floor_penalty[j]
        lift = -rho if u[j] < floor[j] else (min(max(rest, -rho), 0.0) if u[j] == floor[j] else 0.0)
        count = _put(cause, position, amount, count, owners[2, j], j, scale * lift)
        rest -= lift
        if u[j] >= upper[j] and (rest > 0.0 or u[j] > lower[j]):
            count = _put(cause, position, amount, count, owners[1, j], j, scale * rest)
        elif u[j] <= lower[j]:
            owner = owners[0, j] if owners[0, j] >= 0 else n_rules + SIGN
            count = _put(cause, position, amount, count, owner, j, scale * rest)
        count = _close(cause, position, amount, first, count, n_rules + UNEXPLAINED, j, sign[j] * (u[j] - target[j]))
    return Moves(cause[:count].copy(), position[:count].copy(), amount[:count].copy())


@compiled()
def prohibiting(A, limits, limit_owners, upper, upper_owner):
    """Return the hard rule that lets each position hold nothing, shape (n,); −1 where none does.

    That is the rule whose upper bound is 0; else the first one whose sum, of no negative coefficients, may not exceed
    0 and counts the position.
    """
    K, n = A.shape
    found = np.full(n, -1, np.intp)
    for j in range(n):
        if upper[j] <= 0.0:
            found[j] = upper_owner[j]
    for k in range(K):
        if limits[1, k] > 0.0 or np.isfinite(limits[2, k]) or limit_owners[1, k] < 0:
            continue
        if A[k].min() < 0.0:
            continue
        for j in range(n):
            if A[k, j] > 0.0 and found[j] < 0:
                found[j] = limit_owners[1, k]
    return found


@compiled()
def _put(cause, position, amount, count, owner, j, move):
    """Append a part unless it is zero, or no more than rounding; return how many there are now."""
    if abs(move) <= NOTHING:
        return count
    cause[count], position[count], amount[count] = owner, j, move
    return count + 1


@compiled()
def _close(cause, position, amount, first, count, unexplained, j, change):
    """Let the largest move of a position carry what rounding left over, so that its parts add up; return the count."""
    left, size, largest = change, 0.0, -1
    for e in range(first, count):
        left -= amount[e]
        size += abs(amount[e])
        if largest < 0 or abs(amount[e]) > abs(amount[largest]):
            largest = e
    if largest >= 0 and abs(left) <= ROUNDING * (1.0 + size):
        amount[largest] += left
        return count
    return _put(cause, position, amount, count, unexplained, j, left)


@compiled()
def earn(held, quantities, column, last, now, rate, worth, total, out):
    """Write into ``out`` what each cause's units earned over cash, and under ``total`` what the quantities did.

    ``last`` and ``now``, shape (m,), are the marks of the symbols; ``column`` says which is whose. ``rate`` is the
    return of cash, and ``worth`` what everything was worth before.
    """
    n = quantities.shape[0]
    gain = np.empty(n)
    out[:] = 0.0
    for j in range(n):
        before = last[column[j]]
        gain[j] = 0.0 if np.isnan(before) else (now[column[j]] - before - before * rate) / worth
        out[total] += quantities[j] * gain[j]
    for e in range(held.amount.shape[0]):
        out[held.cause[e]] += held.amount[e] * gain[held.position[e]]
