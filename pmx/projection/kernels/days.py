"""Many days of a backtest in one loop, while nothing that they need is decided outside it.

The loop does what :func:`pmx.execution.step` and :class:`pmx.execution.Account` do, in the same order of operations, so
that it gives the same bits; a day that it may not decide ends it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmx.projection.kernels.answering import answer
from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.moving import Moves, earn, split
from pmx.projection.kernels.passes import Groups
from pmx.projection.kernels.reading import read_rules
from pmx.projection.kernels.writing import Statutes

Array = NDArray[np.float64]
Index = NDArray[np.intp]
#: Terms that numpy adds up in eight sums side by side; more of them it would halve first.
MOST_TERMS = 128


class Book(NamedTuple):
    """What stays the same over the days.

    Attributes
    ----------
    law, A, order, groups : Statutes, array (K, n), array (n,), Groups
        The rules over positions that are all long.
    distance, clamp, beside, soft : arrays
        As in :func:`answer` and :func:`read_rules`.
    column : array of int, shape (n,)
        The price column of each position.
    cost : array, shape (m,)
        Cost of one side of each symbol, fraction of the traded value.
    at_close : bool
        Whether a decision trades at the close it was made on, or at the next one.
    residual, tolerance : float
        What a certificate must show.
    number : array of int
        The column of `Days.earned` of each cause of a move.
    total : int
        The column of what is held.
    """

    law: Statutes
    A: Array
    order: Index
    groups: Groups
    distance: Array
    clamp: Array
    beside: Array
    soft: NDArray[np.bool_]
    column: Index
    cost: Array
    at_close: bool
    residual: float
    tolerance: float
    number: Index
    total: int


class Days(NamedTuple):
    """What is recorded: one row for each day.

    Attributes
    ----------
    money : array, shape (D, 3)
        NAV, cash and interest, after the day's trading.
    quantities, values, u : array, shape (D, n)
        Held after trading, their value, and the decided weights.
    net : array, shape (D, m)
        Units traded of each symbol.
    figures : array, shape (D, 4)
        As :func:`judge` returns them.
    binding, price, violation : array, shape (D, n_rules)
        As :func:`read_rules` returns them.
    gave_way : array of bool, shape (D,)
    earned : array, shape (D, n_causes)
        As :func:`earn` writes it.
    """

    money: Array
    quantities: Array
    values: Array
    u: Array
    net: Array
    figures: Array
    binding: NDArray[np.bool_]
    price: Array
    violation: Array
    gave_way: NDArray[np.bool_]
    earned: Array


@compiled()
def total(values, first, last):
    """Return the sum of at most 128 values in numpy's own order of additions, so that both give the same bits."""
    n = last - first
    if n < 8:
        answer = 0.0 if n == 0 else values[first]
        for i in range(first + 1, last):
            answer += values[i]
        return answer
    r0, r1, r2, r3 = values[first], values[first + 1], values[first + 2], values[first + 3]
    r4, r5, r6, r7 = values[first + 4], values[first + 5], values[first + 6], values[first + 7]
    end = first + n - n % 8
    for i in range(first + 8, end, 8):
        r0 += values[i]
        r1 += values[i + 1]
        r2 += values[i + 2]
        r3 += values[i + 3]
        r4 += values[i + 4]
        r5 += values[i + 5]
        r6 += values[i + 6]
        r7 += values[i + 7]
    answer = ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7))
    for i in range(end, last):
        answer += values[i]
    return answer


@compiled()
def _trade(book, marks, weights, nav, prices, cash, quantities, values, net):
    """Trade to weights at the marks; overwrite quantities, values and units traded; return cash."""
    n, m = quantities.shape[0], marks.shape[0]
    bought = np.zeros(m)
    for j in range(n):
        wanted = weights[j] * nav / prices[j]
        bought[book.column[j]] += wanted - quantities[j]
        quantities[j] = wanted
        values[j] = wanted * prices[j]
    value, cost = np.empty(m), np.empty(m)
    count = 0
    for i in range(m):
        net[i] += bought[i]
        if bought[i] != 0.0:
            value[count] = bought[i] * marks[i]
            cost[count] = abs(value[count]) * book.cost[i]
            count += 1
    return cash - (total(value, 0, count) + total(cost, 0, count))


@compiled()
def _held(ordered, nav, prices):
    """Return the parts of what was ordered as units, once it is traded at these prices."""
    units = np.empty(ordered.amount.shape[0])
    for e in range(units.shape[0]):
        units[e] = ordered.amount[e] * nav / prices[ordered.position[e]]
    return Moves(ordered.cause, ordered.position, units)


@compiled()
def live(book, closes, wishes, rates, cash, last, worth, quantities, pending, waiting, held_parts, ordered, out):
    """Live through days until one needs more than this loop; return how many, cash, and the parts held and ordered.

    ``last``, shape (m,), and ``worth`` are the marks and the NAV before the first day. ``last``, ``quantities`` and
    ``pending`` (weights still to be traded, if any are ``waiting``) are overwritten with those after the last day that
    was lived. ``held_parts`` and ``ordered`` say of both what each cause moved.
    """
    D, m = closes.shape
    n = quantities.shape[0]
    none = np.empty(0)
    no_cones, no_owners = np.empty((0, n)), np.empty(0, np.intp)
    sign = np.ones(n)
    target, prices, values, held, weights = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    units, net = np.empty(n), np.empty(m)
    for day in range(D):
        interest = cash * rates[day]
        money = cash + interest
        for j in range(n):
            prices[j] = closes[day, book.column[j]]
            units[j] = quantities[j]
            values[j] = units[j] * prices[j]
        net[:] = 0.0
        nav = money + total(values, 0, n)
        if not nav > 0.0:
            return day, cash, held_parts, ordered
        earn(held_parts, units, book.column, last, closes[day], rates[day], worth, book.total, out.earned[day])
        parts = held_parts
        if waiting and not book.at_close:
            parts = _held(ordered, nav, prices)
            money = _trade(book, closes[day], pending, nav, prices, money, units, values, net)
            nav = money + total(values, 0, n)
        for j in range(n):
            held[j] = values[j] / nav
            target[j] = abs(wishes[day, j])
        rows = np.zeros(book.A.shape[0])
        positions, owners, limits, limit_owners, _, u, turnover, _, judged = answer(
            book.law, book.A, book.order, book.groups, sign, target, book.distance, held, book.clamp, none, none, none,
            rows, 0.0,
        )  # fmt: skip
        residual, gap, _, stiffness = judged
        if not (residual <= book.residual and np.sqrt(2.0 * gap / stiffness) <= book.tolerance):
            return day, cash, held_parts, ordered
        binding, price, violation, gave_way = read_rules(
            book.law, book.A, sign, target, book.clamp, none, none, none, positions, owners, limits, u, rows,
            turnover, book.beside, book.soft,
        )  # fmt: skip
        for j in range(n):
            weights[j] = u[j] + 0.0
        decided = split(
            book.A, sign, target, target, positions, owners, limits, limit_owners, book.law.rule_row,
            book.law.rule_number, price, u, rows, turnover, book.law.turnover_rule, no_cones, no_owners,
        )  # fmt: skip
        for e in range(decided.cause.shape[0]):
            decided.cause[e] = book.number[decided.cause[e]]
        if book.at_close:
            parts = _held(decided, nav, prices)
            money = _trade(book, closes[day], weights, nav, prices, money, units, values, net)
            nav = money + total(values, 0, n)
        if not nav > 0.0:
            return day, cash, held_parts, ordered
        cash, worth, held_parts, ordered = money, nav, parts, decided
        last[:] = closes[day]
        quantities[:] = units
        if not book.at_close:
            pending[:] = weights
            waiting = True
        out.money[day, 0], out.money[day, 1], out.money[day, 2] = nav, cash, interest
        out.quantities[day], out.values[day], out.u[day], out.net[day] = units, values, u, net
        out.figures[day, 0], out.figures[day, 1], out.figures[day, 2], out.figures[day, 3] = judged
        out.binding[day], out.price[day], out.violation[day] = binding, price, violation
        out.gave_way[day] = gave_way
    return D, cash, held_parts, ordered
