"""What each rule did at an answer: its slack and its shadow price, for ledgers that add up many answers."""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.pricing import TIED, tied
from pmx.projection.kernels.writing import EXIT, OPEN

#: A rule with no more room than this binds, fraction of NAV.
BINDING = 1e-9
#: A soft rule that is overrun by more than this gave way.
GIVEN_WAY = 1e-9


@compiled()
def read_rules(
    law, A, sign, target, clamp, room, least, most, positions, owners, limits, u, rows, turnover, beside, soft
):  # fmt: skip
    """Return whether each rule binds, its price, and by how much it is overrun, each of shape (n_rules,).

    And whether one of those that are ``soft`` gave way.

    ``positions``, ``owners`` and ``limits`` are the blocks that :func:`write_numbers` returns; ``beside``, shape
    (n_rules,), is what something else than the positions adds to each rule's left-hand side.
    """
    K, n = A.shape
    distance, previous, cost, lower, upper = positions[0], positions[1], positions[2], positions[3], positions[4]
    floor, floor_penalty = positions[5], positions[6]
    slack, price = np.full(beside.shape[0], np.nan), np.zeros(beside.shape[0])
    value, g = np.zeros(K), np.zeros(n)
    for k in range(K):
        for j in range(n):
            value[k] += A[k, j] * u[j]
            g[j] += A[k, j] * rows[k]
    together = tied(law, clamp, limits[0], limits[1])
    for r in range(law.rule_row.shape[0]):
        i, k = law.rule_number[r], law.rule_row[r]
        limit = clamp[law.rule_clamp[r]] if law.rule_clamp[r] >= 0 else law.rule_hi[r]
        here = value[k] + beside[i]
        slack[i] = min(limit - here, here - law.rule_lo[r])
        apart = limit - limits[1, k] if rows[k] > 0.0 else limits[0, k] - law.rule_lo[r]
        if rows[k] != 0.0 and apart <= TIED:
            price[i] = abs(rows[k]) / together[int(rows[k] > 0.0), k]
    trade = 0.0
    for j in range(n):
        trade += abs(u[j] - previous[j])
        if law.cap_rule[j] >= 0:
            _least(slack, law.cap_rule[j], law.cap[j] - u[j] - beside[law.cap_rule[j]])
        if sign[j] < 0.0 and law.short_rule[j] >= 0:
            _least(slack, law.short_rule[j], -u[j])
        if law.liquidity_rule[j] >= 0:
            i = law.liquidity_rule[j]
            _least(slack, i, previous[j] + room[j] - u[j] - beside[i])
            if previous[j] - room[j] > 0.0:
                _least(slack, i, u[j] + beside[i] - (previous[j] - room[j]))
        if law.gate[j] != OPEN:
            allowed = 0.0 if law.gate[j] == EXIT else max(previous[j], 0.0)
            _least(slack, law.gate_rule[j], allowed - u[j] - beside[law.gate_rule[j]])
        if law.bounds_rule >= 0:
            _least(slack, law.bounds_rule, most[j] - u[j] - beside[law.bounds_rule])
            if least[j] > 0.0:
                _least(slack, law.bounds_rule, u[j] + beside[law.bounds_rule] - least[j])
        _bound_prices(
            price, distance[j], target[j], previous[j], cost[j], 0.5 * turnover, lower[j], upper[j], floor[j],
            floor_penalty[j], owners[0, j], owners[1, j], owners[2, j], g[j], u[j],
        )  # fmt: skip
    if law.turnover_rule >= 0:
        slack[law.turnover_rule] = law.turnover_max - 0.5 * trade
        price[law.turnover_rule] = turnover
    binding, gave_way = np.empty(slack.shape[0], np.bool_), False
    for i in range(slack.shape[0]):
        binding[i] = slack[i] <= BINDING
        slack[i] = max(-slack[i], 0.0)
        gave_way = gave_way or (soft[i] and slack[i] > GIVEN_WAY)
    return binding, price, slack, gave_way


@compiled()
def _least(slack, i, room):
    slack[i] = room if np.isnan(slack[i]) else min(slack[i], room)


@compiled()
def _bound_prices(price, d, t, p, cost, half, lower, upper, floor, rho, lower_owner, upper_owner, floor_owner, g, u):
    """Add to the prices of the rules that bound one position what they carry of its gradient.

    At a kink the force is whatever balances the rest; what the kinks cannot carry, the bounds do.
    """
    width = cost + half
    rest = -(d * (u - t) + g)
    rest -= width if u > p else (-width if u < p else min(max(rest, -width), width))
    carried = -rho if u < floor else (min(max(rest, -rho), 0.0) if u == floor else 0.0)
    rest -= carried
    if carried != 0.0 and floor_owner >= 0:
        price[floor_owner] += abs(carried)
    if u >= upper and (rest > 0.0 or u > lower):
        if upper_owner >= 0:
            price[upper_owner] += abs(rest)
    elif u <= lower and lower_owner >= 0:
        price[lower_owner] += abs(rest)
