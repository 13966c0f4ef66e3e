r"""Whether the attribution is what the prices say, and sums: what each rule did to each position.

Stationarity says that the slope of the objective at the answer is carried by the rules,

.. math:: -d_j (u_j - t_j) = \sum_k A_{kj} y_k + \sum_c (G_c^⊤ z_c)_j + r_j,

so a row or cone moves position ``j`` by its term divided by ``-d_j``. What is left, ``r_j``, belongs to trading costs,
turnover, soft floors and bounds, each of which can carry forces of one range only: a bound nothing unless the position
rests on it, and then of one sign; trading ``±κ`` and ``±τ/2``, and anything in between where the position stays at what
is held. What lies outside the sum of these ranges is unexplained, and has a column of its own. A position that is 0
without need of a price (see `prohibited`) has no moves, or one: a prohibition took its whole target.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import reduce

from .exact import HALF, INFINITY, ONE, ZERO, Limit, between, beyond, plus, shown, total
from .feasibility import Problem
from .linear import Numbers
from .prohibited import settled_at_zero
from .record import Answer, Program, Proof

#: Rows, columns and moves agree to this, times the sizes of a row's moves where they sum to more than 1.
TOLERANCE = Fraction(1, 10**12)

SIGN = "sign"
THROUGH_ZERO = "through_zero"
UNEXPLAINED = "unexplained"
TURNOVER_COST = "turnover.cost"
#: Columns that are no rule's.
SPECIAL = (SIGN, THROUGH_ZERO, UNEXPLAINED, TURNOVER_COST)

#: The least and most force of each column on one position; positive forces push it down.
Ranges = dict[str, tuple[Limit, Limit]]


def wrong_moves(proof: Proof, weights: Numbers, distance: Fraction) -> Iterator[Problem]:
    """Yield columns of the attribution that are not what they should be, and rows and columns that do not sum.

    An answer that may be ``distance`` from its optimum may be that far from where its forces balance.
    """
    p, moves = proof.program, proof.moves
    strange = [name for name in moves if name not in SPECIAL and all(rule.name != name for rule in p.rules)]
    for name in strange:
        yield name, "has a column in the attribution, but is no rule"
    if strange:
        return
    due, settled = priced_moves(proof), settled_at_zero(proof)
    for j in range(len(weights)):
        row = {name: column[j] for name, column in moves.items() if column[j]}
        near = TOLERANCE * max(ONE, total(map(abs, row.values())))
        if abs(proof.target[j] + total(row.values()) - weights[j]) > near:
            off = proof.target[j] + total(row.values()) - weights[j]
            yield "attribution", f"row {j}: wish and moves are {shown(off)} off the weight"
        if j in settled:
            yield from _wrong_at_zero(proof, row, j, settled[j], near)
        else:
            yield from _wrong_row(proof, row, {name: column[j] for name, column in due.items()}, j, near, distance)
    for name, column in moves.items():
        near = TOLERANCE * max(ONE, total(map(abs, column)))
        if name not in proof.totals or abs(total(column) - proof.totals[name]) > near:
            yield name, f"its column of the attribution sums to {shown(total(column))}, not to its total"
    for name in proof.totals.keys() - moves.keys():
        yield name, "has a total in the attribution, but no column"


def priced_moves(proof: Proof) -> dict[str, list[Fraction]]:
    """Return the forces of rules on rows and cones on each position: price times coefficient."""
    p, answer = proof.program, proof.answer
    forces: dict[str, list[Fraction]] = {}
    for rule, reading in zip(p.rules, proof.readings, strict=True):
        column = forces.setdefault(rule.name, [ZERO] * len(p.sign)) if rule.kind in ("row", "cone") else []
        if rule.kind == "row" and reading.shadow_price:
            price = reading.shadow_price if answer.rows[rule.index] > 0 else -reading.shadow_price
            row = p.rows[rule.index].sum
            for j, a in zip(row.at, row.coefficients, strict=True):
                column[j] += a * price
        for i in rule.cones:
            for j, force in enumerate(p.cones[i].map.pull(answer.cones[i])):
                column[j] += force
    return {name: column for name, column in forces.items() if any(column)}


def _wrong_row(
    proof: Proof, row: dict[str, Fraction], due: dict[str, Fraction], j: int, near: Fraction, distance: Fraction
) -> Iterator[Problem]:
    """Yield what is wrong with the moves of one position; ``due`` are the forces of rows and cones on it."""
    p, u = proof.program, proof.answer.u
    scale, wish = -p.sign[j] / p.distance[j], p.sign[j] * p.target[j]
    ranges = _ranges(p, proof.answer, j)
    for name in sorted(row.keys() | due.keys() | {THROUGH_ZERO}):
        move = row.get(name, ZERO)
        if name == THROUGH_ZERO:
            wrong = abs(move - (wish - proof.target[j]))
        elif name == UNEXPLAINED:
            left = -p.distance[j] * (u[j] - p.target[j]) - sum(due.values(), ZERO)
            low, high = (reduce(plus, ends) for ends in zip(*ranges.values(), strict=True))
            wrong = abs(move / scale - (left - between(left, low, high))) * abs(scale) - distance
        elif name in due and name not in ranges:
            wrong = abs(move - scale * due[name])
        else:
            low, high = ranges.get(name, (ZERO, ZERO))
            wrong = beyond(move / scale - due.get(name, ZERO), low, high) * abs(scale) - distance
        if wrong > near:
            yield name, f"its move of position {j} in the attribution is {shown(wrong)} off what its price says"


def _wrong_at_zero(proof: Proof, row: dict[str, Fraction], j: int, rule: int, near: Fraction) -> Iterator[Problem]:
    """Yield what is wrong with the moves of a position that is 0 without need of a price."""
    p = proof.program
    wish = p.sign[j] * p.target[j]
    right = {THROUGH_ZERO: wish - proof.target[j]} | ({p.rules[rule].name: -wish} if rule >= 0 else {})
    for name in sorted(row.keys() | right.keys()):
        wrong = abs(row.get(name, ZERO) - right.get(name, ZERO))
        if wrong > near:
            why = f"{p.rules[rule].name} prohibits it" if rule >= 0 and wish else "it has no target and no weight"
            yield name, f"its move of position {j} in the attribution is {shown(wrong)} off: {why}"


def _ranges(p: Program, answer: Answer, j: int) -> Ranges:
    """Return which forces trading, a soft floor and bounds can carry on a position where it is."""
    u, held = answer.u[j], p.held[j]
    ranges: Ranges = {}

    def add(name: str, low: Limit, high: Limit) -> None:
        least, most = ranges.get(name, (ZERO, ZERO))
        ranges[name] = (plus(least, low), plus(most, high))

    for name, size in ((TURNOVER_COST, p.cost[j]), ("turnover.max", HALF * answer.turnover)):
        add(name, -size if u <= held else size, size if u >= held else -size)
    price = p.floor_price[j]
    if u <= p.floor[j]:
        add(p.name(p.floor_rule[j]), -price, ZERO if u == p.floor[j] else -price)
    if u >= p.upper[j]:
        add(p.name(p.upper_rule[j]), ZERO, INFINITY)
    if u <= p.lower[j]:
        add(p.name(p.lower_rule[j]), -INFINITY, ZERO)
    return ranges
