"""One account from its inputs to a judged answer, compiled as one."""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.judging import judge
from pmx.projection.kernels.pricing import least_norm_prices, tied
from pmx.projection.kernels.solving import solve_program
from pmx.projection.kernels.writing import write_numbers


@compiled()
def unit_of(distance):
    """Return the power of two that brings the stiffest position to order 1 where every one is soft; 1 elsewhere."""
    stiffest = 0.0
    for j in range(distance.shape[0]):
        stiffest = max(stiffest, distance[j])
    return 1.0 if stiffest >= 0.1 else 2.0 ** -np.floor(np.log2(stiffest))


@compiled()
def lean(side, target, held, limited):
    """Return the sign of each position, its signed wish, and whether one shall turn though trading is ``limited``.

    A position without a side keeps the one where it is held.
    """
    n = side.shape[0]
    sign, wish, turns = np.ones(n), np.empty(n), False
    for j in range(n):
        leaning = side[j]
        if held.shape[0]:
            leaning = held[j] if leaning == 0.0 else leaning
            turns = turns or (limited and side[j] * held[j] < 0.0)
        if leaning < 0.0:
            sign[j] = -1.0
        wish[j] = -target[j] if side[j] < 0.0 and target[j] > 0.0 else target[j]
    return sign, wish, turns


@compiled()
def answer(law, A, order, groups, sign, target, given_distance, held, clamp, room, least, most, rows, turnover):
    """Write a program, solve it from prices ``rows`` and ``turnover``, judge the answer; overwrite ``rows``.

    Return the blocks of :func:`write_numbers`, then ``u``, the turnover rule's price, the rounds, and the figures of
    :func:`judge`.
    """
    positions, owners, limits, limit_owners, turnover_penalty = write_numbers(
        law, sign, target, given_distance, held, clamp, room, least, most
    )
    distance, previous, cost, lower, upper = positions[0], positions[1], positions[2], positions[3], positions[4]
    floor, floor_penalty = positions[5], positions[6]
    lo, hi, penalty = limits[0], limits[1], limits[2]
    turnover_max = law.turnover_max if held.shape[0] else np.inf
    none = np.empty(0)
    u, price, rounds = solve_program(
        order, groups, unit_of(distance), distance, target, lower, upper, previous, cost, floor, floor_penalty,
        lo, hi, penalty, turnover_max, turnover_penalty, rows, turnover,
    )  # fmt: skip
    price = least_norm_prices(
        A, tied(law, clamp, lo, hi), distance, target, lower, upper, previous, cost, floor, floor_penalty,
        lo, hi, penalty, turnover_max, turnover_penalty, u, rows, price, none,
    )  # fmt: skip
    judged = judge(
        A, lo, hi, penalty, distance, target, previous, cost, lower, upper, floor, floor_penalty,
        turnover_max, turnover_penalty, u, rows, price, none,
    )  # fmt: skip
    return positions, owners, limits, limit_owners, turnover_penalty, u, price, rounds, judged
