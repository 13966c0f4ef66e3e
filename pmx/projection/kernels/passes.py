"""Passes over the positions: their best response to prices, what the rules see of it, and the dual's curvature.

Positions that meet the same rules with the same coefficients form a group and lie next to each other: rules see a
group only through sums, so one pass costs a handful of operations a position, however many rules there are.

Rules are written one-sided, ``B u ≤ c`` with prices in ``[low, high]``; the turnover rule, if any, is the last one.
Symmetric matrices are kept as their lower triangle.
"""

from __future__ import annotations

from typing import NamedTuple

from pmx.projection.kernels.compiled import compiled
from pmx.projection.program import Array, Index


class Groups(NamedTuple):
    """Which rules each group of positions meets.

    Attributes
    ----------
    start : array of int, shape (n_groups + 1,)
        First position of each group.
    rule_start : array of int, shape (n_groups + 1,)
        First entry of each group in ``rule`` and ``coefficient``; rules ascend within a group.
    rule : array of int
        Rule of each entry.
    coefficient : array
        Its coefficient.
    """

    start: Index
    rule_start: Index
    rule: Index
    coefficient: Array


class Positions(NamedTuple):
    """The arrays of a program in group order, each of shape (n,); names as in :class:`Program`."""

    distance: Array
    softness: Array  # 1 / distance
    target: Array
    lower: Array
    upper: Array
    previous: Array
    cost: Array
    floor: Array
    floor_penalty: Array


class Rules(NamedTuple):
    """One-sided rules: bound ``c`` and range of the price, each of shape (n_rules,); row of the turnover rule or −1."""

    bound: Array
    low: Array
    high: Array
    turnover: int
    trading: bool


@compiled()
def group_prices(groups, y, price):
    """Fill in what the rules' prices add up to on each position of a group, shape (n_groups,)."""
    for g in range(price.shape[0]):
        total = 0.0
        for e in range(groups.rule_start[g], groups.rule_start[g + 1]):
            total += y[groups.rule[e]] * groups.coefficient[e]
        price[g] = total


@compiled()
def _plain(price, target, soft, lower, upper):
    """Return the best response of a position that trades freely."""
    x = target - price * soft
    x = lower if x < lower else x
    return upper if x > upper else x


@compiled()
def _trading(price, width, target, soft, lower, upper, previous, floor, floor_penalty):
    """Return the best response of a position where trading costs ``width``, or below a soft floor, matter.

    Prices are added before they are multiplied: large ones may cancel.
    """
    sold = price - width
    bought = target - (price + width) * soft
    x = previous if bought < previous else bought
    most = target - sold * soft
    x = most if x > most else x
    x = floor if x < floor else x
    most = target - (sold - floor_penalty) * soft
    x = most if x > most else x
    x = lower if x < lower else x
    return upper if x > upper else x


@compiled(reorder=True)
def _pass_plain(groups, at, price, excess, H):
    """Respond to prices without trading terms; fill in rule sums and curvature.

    Nothing is stored in the loop over positions: where sums may be reordered, the compiler would otherwise choose
    between orders by where arrays happen to lie in memory, and the same input would not give the same bits.
    """
    excess[:] = 0.0
    H[:] = 0.0
    for g in range(groups.start.shape[0] - 1):
        first, last = groups.rule_start[g], groups.rule_start[g + 1]
        total = 0.0
        weight = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            x = _plain(price[g], at.target[j], at.softness[j], at.lower[j], at.upper[j])
            total += x
            weight += 0.0 if x <= at.lower[j] or x >= at.upper[j] else at.softness[j]
        for e in range(first, last):
            excess[groups.rule[e]] += groups.coefficient[e] * total
            scaled = weight * groups.coefficient[e]
            for f in range(first, e + 1):
                H[groups.rule[e], groups.rule[f]] += scaled * groups.coefficient[f]


@compiled(reorder=True)
def _pass_trading(groups, at, turnover_row, tau, price, excess, H):
    """Do the same with trading costs, the turnover rule and soft floors."""
    excess[:] = 0.0
    H[:] = 0.0
    turnover = 0.0
    turnover_curve = 0.0
    for g in range(groups.start.shape[0] - 1):
        first, last = groups.rule_start[g], groups.rule_start[g + 1]
        total = 0.0
        weight = 0.0
        leaning = 0.0
        for j in range(groups.start[g], groups.start[g + 1]):
            width = at.cost[j] + 0.5 * tau
            x = _trading(
                price[g], width, at.target[j], at.softness[j], at.lower[j], at.upper[j], at.previous[j], at.floor[j],
                at.floor_penalty[j],
            )  # fmt: skip
            total += x
            move = x - at.previous[j]
            turnover += abs(move)
            still = width > 0.0 and move == 0.0
            resting = x <= at.lower[j] or x >= at.upper[j] or x == at.floor[j] or still
            soft = 0.0 if resting else at.softness[j]
            side = 0.5 if move > 0.0 else (-0.5 if move < 0.0 else 0.0)
            weight += soft
            leaning += side * soft
            turnover_curve += side * side * soft
        for e in range(first, last):
            excess[groups.rule[e]] += groups.coefficient[e] * total
            scaled = weight * groups.coefficient[e]
            for f in range(first, e + 1):
                H[groups.rule[e], groups.rule[f]] += scaled * groups.coefficient[f]
            if turnover_row >= 0:
                H[turnover_row, groups.rule[e]] += leaning * groups.coefficient[e]
    if turnover_row >= 0:
        excess[turnover_row] = 0.5 * turnover
        H[turnover_row, turnover_row] = turnover_curve


@compiled()
def evaluate(groups, at, rules, y, price, excess, H):
    """Fill in group prices, how far the response overruns each rule (the dual's gradient), and the dual's curvature."""
    group_prices(groups, y, price)
    tau = y[rules.turnover] if rules.turnover >= 0 else 0.0
    if rules.trading:
        _pass_trading(groups, at, rules.turnover, tau, price, excess, H)
    else:
        _pass_plain(groups, at, price, excess, H)
    for s in range(y.shape[0]):
        excess[s] -= rules.bound[s]


@compiled()
def respond(groups, at, rules, y, price, u):
    """Fill in group prices, and the best response, shape (n,)."""
    group_prices(groups, y, price)
    tau = y[rules.turnover] if rules.turnover >= 0 else 0.0
    for g in range(groups.start.shape[0] - 1):
        if rules.trading:
            for j in range(groups.start[g], groups.start[g + 1]):
                u[j] = _trading(
                    price[g], at.cost[j] + 0.5 * tau, at.target[j], at.softness[j], at.lower[j], at.upper[j],
                    at.previous[j], at.floor[j], at.floor_penalty[j],
                )  # fmt: skip
        else:
            for j in range(groups.start[g], groups.start[g + 1]):
                u[j] = _plain(price[g], at.target[j], at.softness[j], at.lower[j], at.upper[j])
