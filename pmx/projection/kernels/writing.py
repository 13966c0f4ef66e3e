"""Write the numbers of one program: what changes from solve to solve, once it is settled which rules there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmx.projection.kernels.compiled import compiled

#: How the price of a soft row is scaled.
HARD, OF_WISHES, OF_ROW = 0, 1, 2
#: Metrics.
ABSOLUTE, RELATIVE, GIVEN = 0, 1, 2
#: Gates.
OPEN, REDUCE_ONLY, EXIT = 0, 1, 2
#: The metric of a position is never stiffer than that of a wish of one basis point of NAV.
SMALLEST_WISH = 1e-4

#: Weights no further apart than this, times their size where that is more than 1, are the same.
SAME = 4e-16

Array = NDArray[np.float64]
Index = NDArray[np.intp]


class Statutes(NamedTuple):
    """The rules of one frame as arrays: ``n`` positions, ``K`` rows, ``R`` rules on rows.

    Attributes
    ----------
    rule_row, rule_number : array of int, shape (R,)
        Row of each rule on rows, and its number among all rules.
    rule_lo, rule_hi : array, shape (R,)
        Its limits.
    rule_clamp : array of int, shape (R,)
        The bucket whose clamp it is; −1 for any other rule.
    scaled_by : array of int, shape (K,)
        ``HARD``, ``OF_WISHES`` or ``OF_ROW``.
    multiple, size, reach : array, shape (K,)
        Penalty in units of the strongest pull; largest coefficient; largest weight at which a limit is met.
    meets : array of bool, shape (K, n)
        Which positions a soft row meets.
    short_rule : array of int, shape (n,)
        The rule that forbids to be short; −1 where shorts are allowed.
    cap, cap_rule : array, shape (n,)
        Largest size of a position, and the rule that says so.
    turnover_rule : int
        The turnover rule; −1 if there is none.
    turnover_max, turnover_multiple, cost : float
        The turnover rule (inf: none), its penalty (inf: hard), the objective's cost of trading.
    liquidity_rule : array of int, shape (n,)
        −1 where liquidity sets no limit.
    liquidity_multiple : float
        Penalty of selling faster (inf: hard).
    gate, gate_rule : array of int, shape (n,)
        ``OPEN``, ``REDUCE_ONLY`` or ``EXIT``.
    bounds_rule : int
        The rule of the bounds that came with the solve; −1 if there are none.
    metric : int
        ``ABSOLUTE``, ``RELATIVE`` or ``GIVEN``.
    """

    rule_row: Index
    rule_number: Index
    rule_lo: Array
    rule_hi: Array
    rule_clamp: Index
    scaled_by: Index
    multiple: Array
    size: Array
    reach: Array
    meets: NDArray[np.bool_]
    short_rule: Index
    cap: Array
    cap_rule: Index
    turnover_rule: int
    turnover_max: float
    turnover_multiple: float
    cost: float
    liquidity_rule: Index
    liquidity_multiple: float
    gate: Index
    gate_rule: Index
    bounds_rule: int
    metric: int


@compiled()
def same(weight, place):
    """Return whether a weight is where it says it is, but for rounding."""
    return np.isfinite(place) and abs(weight - place) <= SAME * max(1.0, abs(place))


@compiled()
def write_numbers(law, sign, target, given_distance, held, clamp, room, least, most):
    """Return a program's arrays as blocks: positions, their owners, limits of rows, their owners; price of turnover.

    Rows of the first: distance, previous, cost, lower, upper, floor, floor_penalty; of the second: owners of lower,
    upper and floor; of the third: lo, hi, penalty; of the fourth: owners of lo and hi.

    ``clamp`` has one bound a bucket (inf: none); ``room`` is the largest trade, ``least`` and ``most`` the bounds that
    came with the solve, each of shape (n,) or empty where there is none.
    """
    n, K = sign.shape[0], law.scaled_by.shape[0]
    positions, owners = np.empty((7, n)), np.empty((3, n), np.intp)
    distance, previous, cost, lower, upper = positions[0], positions[1], positions[2], positions[3], positions[4]
    floor, floor_penalty = positions[5], positions[6]
    lower_owner, upper_owner, floor_owner = owners[0], owners[1], owners[2]
    wish, pull = 0.0, 0.0
    for j in range(n):
        if law.metric == RELATIVE:
            distance[j] = 1.0 / max(target[j], SMALLEST_WISH)
        elif law.metric == GIVEN:
            distance[j] = given_distance[j]
        else:
            distance[j] = 1.0
        previous[j] = sign[j] * held[j] if held.shape[0] else 0.0
        cost[j] = law.cost if held.shape[0] else 0.0
        wish = max(wish, distance[j] * target[j])
        pull = max(pull, distance[j] * max(target[j], abs(previous[j])))
    wish = wish if wish > 0.0 else 1.0
    pull = pull if pull > 0.0 else 1.0
    for j in range(n):
        lower[j], lower_owner[j], floor[j], floor_owner[j], floor_penalty[j] = 0.0, -1, -np.inf, -1, 0.0
        upper[j], upper_owner[j] = law.cap[j], law.cap_rule[j]
        if sign[j] < 0.0 and law.short_rule[j] >= 0 and (upper[j] > 0.0 or law.short_rule[j] < upper_owner[j]):
            upper[j], upper_owner[j] = 0.0, law.short_rule[j]
        if law.liquidity_rule[j] >= 0 and room.shape[0]:
            if previous[j] + room[j] < upper[j]:
                upper[j], upper_owner[j] = previous[j] + room[j], law.liquidity_rule[j]
            keep = previous[j] - room[j]
            if keep > 0.0 and np.isinf(law.liquidity_multiple):
                lower[j], lower_owner[j] = keep, law.liquidity_rule[j]
            elif keep > 0.0:
                floor[j], floor_owner[j] = keep, law.liquidity_rule[j]
                floor_penalty[j] = law.liquidity_multiple * pull
        if law.gate[j] != OPEN:
            allowed = max(previous[j], 0.0) if law.gate[j] == REDUCE_ONLY else 0.0
            if allowed < upper[j]:
                upper[j], upper_owner[j] = allowed, law.gate_rule[j]
        if law.bounds_rule >= 0:
            if most[j] < upper[j]:
                upper[j], upper_owner[j] = most[j], law.bounds_rule
            if least[j] > lower[j]:
                lower[j], lower_owner[j] = least[j], law.bounds_rule
        # Places that differ by rounding are one place, so that whoever rests there rests at all of them.
        for place in (lower[j], upper[j]):
            if same(previous[j], place):
                previous[j] = place
        if same(floor[j], previous[j]):
            floor[j] = previous[j]
    limits, limit_owners = np.empty((3, K)), np.full((2, K), -1, np.intp)
    lo, hi, penalty, lo_owner, hi_owner = limits[0], limits[1], limits[2], limit_owners[0], limit_owners[1]
    for k in range(K):
        lo[k], hi[k], penalty[k] = -np.inf, np.inf, np.inf
    for r in range(law.rule_row.shape[0]):
        k = law.rule_row[r]
        most_here = clamp[law.rule_clamp[r]] if law.rule_clamp[r] >= 0 else law.rule_hi[r]
        if most_here < hi[k]:
            hi[k], hi_owner[k] = most_here, law.rule_number[r]
        if law.rule_lo[r] > lo[k]:
            lo[k], lo_owner[k] = law.rule_lo[r], law.rule_number[r]
    for k in range(K):
        if law.scaled_by[k] == OF_WISHES:
            penalty[k] = law.multiple[k] * wish
        elif law.scaled_by[k] == OF_ROW:
            stiffest = 0.0
            for j in range(n):
                if law.meets[k, j]:
                    stiffest = max(stiffest, distance[j])
            strongest = max(pull, stiffest * law.reach[k]) / law.size[k] if law.size[k] > 0.0 else pull
            penalty[k] = law.multiple[k] * strongest
    limited = held.shape[0] > 0 and np.isfinite(law.turnover_max)
    return positions, owners, limits, limit_owners, law.turnover_multiple * pull if limited else np.inf
