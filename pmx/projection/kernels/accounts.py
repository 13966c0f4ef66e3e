"""Many accounts under one policy; each is written, solved and judged by itself, so that threads do not matter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmx.projection.kernels.answering import answer
from pmx.projection.kernels.compiled import compiled
from pmx.projection.kernels.passes import Groups
from pmx.projection.kernels.reading import read_rules
from pmx.projection.kernels.writing import Statutes

Array = NDArray[np.float64]
Index = NDArray[np.intp]


class Rulebook(NamedTuple):
    """What all accounts share.

    Attributes
    ----------
    law : Statutes
        The rules.
    long, short : array, shape (K, n)
        Rows as positions meet them long and short.
    member_long, member_short : array of int, shape (n,)
        Which of the different columns a position has, long and short.
    head_start, head_row, head_value : arrays
        The different columns, sparse.
    distance : array, shape (n,) or (0,)
        The metric where the covariance sets it.
    column : array of int, shape (n_rules,)
        Where the price of each rule is reported; −1: nowhere.
    soft : array of bool, shape (n_rules,)
        Which rules may give way.
    beside : array, shape (n_rules,)
        Zeros.
    limited : bool
        Whether trading is limited, so that a position turns only if the rules let it get through zero.
    zero, relaxed_above : float
        A position this small has left its side; a soft rule overrun by more than this gave way.
    residual, tolerance : float, fraction of NAV
        Worst violation that is accepted, and the distance to the exact optimum that an answer must prove.
    """

    law: Statutes
    long: Array
    short: Array
    member_long: Index
    member_short: Index
    head_start: Index
    head_row: Index
    head_value: Array
    distance: Array
    column: Index
    soft: NDArray[np.bool_]
    beside: Array
    limited: bool
    zero: float
    relaxed_above: float
    residual: float
    tolerance: float


class Answers(NamedTuple):
    """One row for each account.

    Attributes
    ----------
    positions : array, shape (n_accounts, n)
        Signed weights.
    figures : array, shape (n_accounts, 5)
        Worst violation, duality gap, distance bound, 1 if a soft rule gave way, 1 if limits within the last place of
        their sums are taken as met.
    prices : array, shape (n_accounts, n_columns)
        Shadow prices of rows and turnover.
    rounds : array of int, shape (n_accounts,)
        Newton rounds.
    tally : array, shape (4, n_rules)
        Over all accounts: how many each rule binds, its prices added up, in how many it gave way, its worst overrun.
    """

    positions: Array
    figures: Array
    prices: Array
    rounds: Index
    tally: Array


@compiled()
def _groups(book, sign):
    """Return positions in group order, and the groups over rows, for one pattern of signs."""
    n, G = sign.shape[0], book.head_start.shape[0] - 1
    member, count = np.empty(n, np.intp), np.zeros(G, np.intp)
    for j in range(n):
        member[j] = book.member_short[j] if sign[j] < 0.0 else book.member_long[j]
        count[member[j]] += 1
    used, entries = 0, 0
    for g in range(G):
        if count[g] > 0:
            used += 1
            entries += book.head_start[g + 1] - book.head_start[g]
    start, row_start = np.zeros(used + 1, np.intp), np.zeros(used + 1, np.intp)
    row, value, place = np.empty(entries, np.intp), np.empty(entries), np.empty(G, np.intp)
    used, entries = 0, 0
    for g in range(G):
        if count[g] == 0:
            continue
        place[g] = start[used]
        for e in range(book.head_start[g], book.head_start[g + 1]):
            row[entries], value[entries] = book.head_row[e], book.head_value[e]
            entries += 1
        used += 1
        start[used], row_start[used] = start[used - 1] + count[g], entries
    order = np.empty(n, np.intp)
    for j in range(n):
        order[place[member[j]]] = j
        place[member[j]] += 1
    return order, Groups(start, row_start, row, value)


@compiled()
def _solve(book, sign, target, held, clamp, room, least, most, i, out):
    """Solve and judge one program; fill in row ``i``; return ``u``, and what the rules did."""
    law = book.law
    K, n = book.long.shape
    A = np.empty((K, n))
    for k in range(K):
        for j in range(n):
            A[k, j] = book.short[k, j] if sign[j] < 0.0 else book.long[k, j]
    order, groups = _groups(book, sign)
    rows = np.zeros(K)
    positions, owners, limits, _, _, u, turnover, rounds, judged = answer(
        law, A, order, groups, sign, target, book.distance, held, clamp, room, least, most, rows, 0.0
    )
    reading = read_rules(
        law, A, sign, target, clamp, room, least, most, positions, owners, limits, u, rows, turnover,
        book.beside, book.soft,
    )  # fmt: skip
    residual, gap, moved, stiffness = judged
    reach, last_place = np.sqrt(2.0 * gap / stiffness), 0.0
    if reach > book.tolerance and np.sqrt(2.0 * moved / stiffness) <= book.tolerance:
        gap, reach, last_place = moved, np.sqrt(2.0 * moved / stiffness), 1.0
    out.figures[i, 0], out.figures[i, 1], out.figures[i, 2] = residual, gap, reach
    out.figures[i, 3], out.figures[i, 4] = 1.0 if reading[3] else 0.0, last_place
    out.rounds[i] = rounds
    for j in range(n):
        out.positions[i, j] = sign[j] * u[j] + 0.0
    for r in range(book.column.shape[0]):
        if book.column[r] >= 0:
            out.prices[i, book.column[r]] = reading[1][r]
    return u, reading


@compiled()
def _add_up(book, reading, i, out):
    """Add what the rules did for one account to the tally; one whose answer is not accepted is left out."""
    if not (out.figures[i, 0] <= book.residual and out.figures[i, 2] <= book.tolerance):
        return
    binding, price, violation, _ = reading
    for r in range(binding.shape[0]):
        out.tally[0, r] += 1.0 if binding[r] else 0.0
        out.tally[1, r] += price[r]
        out.tally[2, r] += 1.0 if violation[r] > book.relaxed_above else 0.0
        out.tally[3, r] = max(out.tally[3, r], violation[r])


@compiled()
def solve_accounts(book, wish, held, clamp, room, least, most, out):
    """Solve accounts in turn; fill in the rows of ``out``.

    ``wish`` has shape (n_accounts, n); ``held``, ``room``, ``least`` and ``most`` too, or no columns where there is
    none; ``clamp`` has shape (n_accounts, n_buckets).
    """
    N, n = wish.shape
    sign, target = np.empty(n), np.empty(n)
    turning = np.empty(n, np.bool_)
    for i in range(N):
        turns = False
        for j in range(n):
            lean = wish[i, j]
            turning[j] = False
            if held.shape[1]:
                lean = held[i, j] if lean == 0.0 else lean
                turning[j] = book.limited and wish[i, j] * held[i, j] < 0.0
                turns = turns or turning[j]
            sign[j] = -1.0 if lean < 0.0 else 1.0
            target[j] = abs(wish[i, j])
        if turns:
            # As for a single account: first on the side where it is held, then over if it got to zero.
            for j in range(n):
                if turning[j]:
                    sign[j], target[j] = -sign[j], 0.0
            u, reading = _solve(book, sign, target, held[i], clamp[i], room[i], least[i], most[i], i, out)
            again = False
            for j in range(n):
                if turning[j]:
                    reachable = room.shape[1] == 0 or abs(held[i, j]) <= room[i, j]
                    if u[j] <= book.zero and reachable:
                        again = True
                        sign[j], target[j] = -sign[j], abs(wish[i, j])
            if not again:
                _add_up(book, reading, i, out)
                continue
        _, reading = _solve(book, sign, target, held[i], clamp[i], room[i], least[i], most[i], i, out)
        _add_up(book, reading, i, out)
