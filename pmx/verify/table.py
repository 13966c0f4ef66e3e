"""Whether the weights, the table of rules and the status say what the answer is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from .attribution import priced_moves
from .exact import INFINITY, ONE, ZERO, Limit, minus, norm_above, shown, total
from .feasibility import Problem
from .prohibited import Forces, forces_at_zero
from .record import HARD_TOLERANCE, Proof, Rule, Solve

#: Figures of the table agree to this, or to what the rounding of their sums may be.
NEAR = Fraction(1, 10**12)
#: Prices agree to this, relatively where they are more than 1.
PRICE_NEAR = Fraction(1, 10**9)


def wrong_weights(solve: Solve, proof: Proof) -> Iterator[Problem]:
    """Yield what is wrong with the weights that left: they are the answer's, and what is left over is all there."""
    p, weights = proof.program, solve.weights
    for j, (sign, u, weight) in enumerate(zip(p.sign, proof.answer.u, weights.positions, strict=True)):
        if weight != sign * u:
            yield "weights", f"position {j} has weight {shown(weight)}, its size in the answer is {shown(u)}"
    own = weights.residual
    if own is not None and own.column < len(solve.positions) and solve.positions[own.column][1] != own.symbol:
        yield "weights", f"{own.symbol} is not position {own.column}"
    invested = total(weights.positions)
    residual = weights.residual.weight if weights.residual is not None else ZERO
    if abs(invested + residual + weights.cash - 1) > NEAR * max(ONE, total(map(abs, weights.positions))):
        yield "weights", f"weights and cash sum to {shown(invested + residual + weights.cash)}, not to 1"
    if weights.residual is not None:
        due = max(min(ONE - invested - weights.cash_min, weights.residual.room), ZERO)
        if abs(residual - due) > NEAR * max(ONE, total(map(abs, weights.positions))):
            yield "weights", f"{weights.residual.symbol} takes {shown(residual)} in place of cash, not {shown(due)}"


def wrong_table(solve: Solve, proof: Proof) -> Iterator[Problem]:
    """Yield lines of the table of rules that are not what the answer and its prices say, and a wrong status."""
    p = proof.program
    residual, at_zero = solve.weights.residual, forces_at_zero(proof, priced_moves(proof))
    for i, (rule, reading) in enumerate(zip(p.rules, proof.readings, strict=True)):
        added = ZERO if residual is None else residual.weight * residual.coefficients.get(rule.name, ZERO)
        due = (
            _bound(proof, i, rule, added, at_zero) if rule.kind == "bound" else LINES[rule.kind](proof, i, rule, added)
        )
        for what, stated, right in (
            ("value", reading.value, due.value),
            ("bound", reading.bound, due.bound),
            ("slack", reading.slack, due.slack),
            ("violation", reading.violation, -due.slack if due.slack < 0 else ZERO),
        ):
            if not _close(stated, right, due.near):
                yield rule.name, f"the table of rules gives its {what} as {shown(stated)}; it is {shown(right)}"
        price, stated_price = due.price, reading.shadow_price
        if (price is None) != (stated_price is None):
            yield rule.name, "the table of rules gives a price where there is none, or none where there is one"
        elif (
            price is not None and stated_price is not None and abs(price - stated_price) > PRICE_NEAR * max(price, ONE)
        ):
            yield rule.name, f"the table of rules gives its price as {shown(stated_price)}; it is {shown(price)}"
    for k, y in enumerate(proof.answer.rows):
        on = [
            (rule.name, proof.readings[i].shadow_price)
            for i, rule in enumerate(p.rules)
            if (rule.kind, rule.index) == ("row", k)
        ]
        price = total(price for _, price in on if price is not None)
        if abs(price - abs(y)) > NEAR * max(ONE, abs(y)):
            yield on[0][0], f"the prices of the rules on its row sum to {shown(price)}; the row's is {shown(abs(y))}"
    overrun = [reading.violation for rule, reading in zip(p.rules, proof.readings, strict=True) if not rule.hard]
    gave_way = max(overrun, default=ZERO) > HARD_TOLERANCE
    if solve.status != ("relaxed" if gave_way else "optimal"):
        yield "status", f"is {solve.status!r}, though {'a' if gave_way else 'no'} soft rule gave way"


class Line(NamedTuple):
    """What a line of the table should say, up to ``near``."""

    value: Fraction
    bound: Limit
    slack: Limit
    price: Fraction | None
    near: Fraction


def _between(value: Fraction, lo: Limit, hi: Limit, price: Fraction | None, near: Fraction) -> Line:
    above, below = minus(hi, value), minus(value, lo)
    return Line(value, hi if above <= below else lo, min(above, below), price, near + NEAR)


def _row(proof: Proof, i: int, rule: Rule, added: Fraction) -> Line:
    row, y, stated = proof.program.rows[rule.index], proof.answer.rows[rule.index], proof.readings[i].shadow_price
    price = stated if stated is not None and stated > 0 and _presses(proof, i, rule, y) else ZERO
    value, near = row.sum.value(proof.answer.u) + added, row.rounding(proof.answer.u)
    if rule.complement:
        return _between(ONE - value, minus(ONE, rule.hi), minus(ONE, rule.lo), price, near)
    return _between(value, rule.lo, rule.hi, price, near)


def _presses(proof: Proof, i: int, rule: Rule, y: Fraction) -> bool:
    """Return whether a rule may bear a part of its row's price: its limit is the row's, or as good as that."""
    row = proof.program.rows[rule.index]
    if i == (row.hi_rule if y > 0 else row.lo_rule):
        return y != 0
    own, limit = (rule.hi, row.hi) if y > 0 else (rule.lo, row.lo)
    return y != 0 and isinstance(own, Fraction) and isinstance(limit, Fraction) and abs(own - limit) <= 2 * NEAR


def _turnover(proof: Proof, i: int, rule: Rule, added: Fraction) -> Line:
    p, answer = proof.program, proof.answer
    return _between(p.turnover(answer.u), -INFINITY, rule.hi, answer.turnover, p.turnover_rounding(answer.u))


def _bound(proof: Proof, i: int, rule: Rule, added: Fraction, at_zero: Mapping[int, Forces]) -> Line:
    """Return the line of the position with the least room, of several the one that the table speaks of.

    A lower bound of zero or less is none. How hard the rule presses is what its moves say, but for positions that are 0
    without need of a price.
    """
    p, u = proof.program, proof.answer.u
    lines = [
        _between(u[j] + added, low if low > 0 else -INFINITY, high, None, ZERO)
        for j, low, high in zip(rule.members, rule.member_lower, rule.member_upper, strict=True)
    ]
    moves = proof.moves.get(rule.name, (ZERO,) * len(u))
    price = total(abs(at_zero[j].get(i, ZERO)) if j in at_zero else p.distance[j] * abs(moves[j]) for j in rule.members)
    least, stated = min(line.slack for line in lines), proof.readings[i].value
    tightest = [line for line in lines if _close(line.slack, least, NEAR)]
    return min(tightest, key=lambda line: abs(line.value - stated))._replace(price=price)


def _cone(proof: Proof, i: int, rule: Rule, added: Fraction) -> Line:
    """Return the line of a volatility cap; of a constraint of the user's, the room that it leaves against 0."""
    p, answer = proof.program, proof.answer
    price, near = ZERO, ZERO
    rooms: list[Fraction] = []
    for c in rule.cones:
        cone, z = p.cones[c], answer.cones[c]
        s = cone.slack(answer.u, answer.auxiliary)
        near = max(near, cone.rounding(answer.u, answer.auxiliary))
        if cone.kind == "second_order":
            norm = norm_above(s[1:])
            if isinstance(rule.hi, Fraction):
                return _between(norm, -INFINITY, rule.hi, z[0], near)
            price += z[0]
            rooms.append(s[0] - norm)
        else:
            price += total(map(abs, z))
            rooms += [-abs(x) for x in s] if cone.kind == "zero" else s
    rewritten = any(any(map(any, p.cones[c].map.H)) for c in rule.cones)
    return _between(-min(rooms, default=ZERO), -INFINITY, ZERO, None if rewritten else price, near)


LINES = {"row": _row, "turnover": _turnover, "cone": _cone}


def _close(a: Limit, b: Limit, near: Fraction) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return abs(a - b) <= near
    return a == b
