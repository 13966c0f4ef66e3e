r"""What each rule did: the rules table and the attribution, both from the duals.

Stationarity says exactly where each position ended and why,

.. math:: u_j - t_j = -\frac{1}{d_j}\Bigl(\sum_k A_{kj} y_k + \text{bound, cost and cone terms}\Bigr),

so every term on the right, divided by ``d_j``, is the part of the cut that one rule made. Two kinds of position need no
prices: one with target and weight 0 did not move, and one that a rule prohibits owes that rule its whole target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pmx.projection.kernels import kernel
from pmx.projection.least_prices import sets, shared
from pmx.projection.program import Array, Index, Point, Program, RuleRecord
from pmx.projection.prohibition import settled_at_zero
from pmx.projection.response import linear_term
from pmx.projection.sheet import Solved
from pmx.projection.uniqueness import settled

BINDING = 1e-9
#: A move of no more than this is the rounding of a weight, and nothing moved.
NOTHING = 1e-15
#: A soft rule has given way when it is overrun by more than this.
RELAXED_ABOVE = 1e-9

#: Column of the attribution for positions that stop at zero because a wish never changes its sign.
SIGN = "sign"
#: Column for wishes to take the other side that the trading rules did not let get through zero.
THROUGH_ZERO = "through_zero"
#: Column for what the prices do not account for; only where an answer's prices are not sharp.
UNEXPLAINED = "unexplained"
#: Stands for trading costs where rules are told by their numbers.
COST = -2
#: Column for the objective's own trading cost ``κ``.
TURNOVER_COST = "turnover.cost"


Side = Literal["max", "min", "both"]


class RuleReading(NamedTuple):
    """One rule at one answer.

    Attributes
    ----------
    name, source : str
        The rule, and the file and line that set it.
    hard : bool
        Whether it may never give way.
    bound, value, slack : float
        Its nearer limit, its left-hand side, and the room between them (negative when broken).
    shadow_price : float
        How much the objective falls for each unit by which the bound is relaxed, ≥ 0; NaN for a constraint of the
        user's that cvxpy rewrote with variables of its own.
    binding : bool
        Whether there is no room left.
    violation : float
        How far it is overrun; more than rounding only for a soft rule.
    implied_by : str
        A tighter rule with the same left-hand side; empty if there is none.
    unique : bool
        Whether no other price explains the answer. Where others do, the prices shown are the ones with the smallest
        sum of squares.
    side : {"max", "min", "both"}
        Which limit ``bound`` is: ``value`` may be no more, no less, or is to be exactly that.
    """

    name: str
    source: str
    hard: bool
    bound: float
    value: float
    slack: float
    shadow_price: float
    binding: bool
    violation: float
    implied_by: str
    unique: bool
    side: Side


class RuleFigures(NamedTuple):
    """The rules at one answer as arrays over the rules; the names are one object for as long as the rules are the same.

    Attributes
    ----------
    names, sources : tuple of str
        As in :class:`RuleReading`; so are the arrays.
    binding : array of bool
    shadow_price, violation : array
    gave_way : bool
        Whether a soft rule is overrun by more than 1e-9.
    """

    names: tuple[str, ...]
    sources: tuple[str, ...]
    binding: np.ndarray
    shadow_price: Array
    violation: Array
    gave_way: bool


RULE_COLUMNS = list(RuleReading._fields[1:])


@dataclass(frozen=True, slots=True)
class Forces:
    """The objective's pull on each position, split by who pulls; each array has shape (n,).

    ``cost + turnover + floor + upper + lower`` plus rows and cones balance ``d (u − t)`` exactly; positive
    forces push a position down.
    """

    cost: Array
    turnover: Array
    floor: Array
    upper: Array
    lower: Array


def forces(program: Program, point: Point) -> Forces:
    """Split what bounds, kinks and trading costs do to each position.

    At a kink (``u = p`` or ``u`` at a soft floor) the force is whatever balances the rest; what the kinks cannot
    carry, the bounds do.
    """
    u, p = point.u, program.previous
    half = np.full(program.n, 0.5 * point.turnover)
    width = program.cost + half
    rest = -(program.distance * (u - program.target) + linear_term(program, point))
    trade = np.where(u > p, width, np.where(u < p, -width, np.clip(rest, -width, width)))
    rest = rest - trade
    floor = np.where(
        u < program.floor,
        -program.floor_penalty,
        np.where(u == program.floor, np.clip(rest, -program.floor_penalty, 0.0), 0.0),
    )
    rest = rest - floor
    at_upper, at_lower = u >= program.upper, u <= program.lower
    share = np.divide(half, width, out=np.zeros(program.n), where=width > 0)
    return Forces(
        cost=trade * (1.0 - share),
        turnover=trade * share,
        floor=floor,
        upper=np.where(at_upper & ((rest > 0) | ~at_lower), rest, 0.0),
        lower=np.where(at_lower & ~(at_upper & (rest > 0)), rest, 0.0),
    )


def read_rules(program: Program, point: Point, added: Mapping[str, float] | None = None) -> list[RuleReading]:
    """Return one reading for each named rule, in the order of the rules.

    ``added`` is what something beside the positions (the residual symbol) adds to a rule's left-hand side, by name.
    """
    force, together, unique = forces(program, point), shared(program), settled(program, point)
    more = added or {}
    return [
        _read(program, point, force, together, i, rule, more.get(rule.name, 0.0), bool(unique[i]))
        for i, rule in enumerate(program.rules)
    ]


def rule_figures(solved: Solved, added: Mapping[str, float] | None = None) -> RuleFigures:
    """Return what a ledger adds up of each rule; ``added`` as in :func:`read_rules`."""
    sheet, numbers, point, more = solved.sheet, solved.numbers, solved.point, added or {}
    if sheet is None or numbers is None:
        readings = read_rules(solved.program, point, more)
        names, sources = tuple(r.name for r in readings), tuple(r.source for r in readings)
        return RuleFigures(
            names,
            sources,
            binding=np.array([r.binding for r in readings], dtype=bool),
            shadow_price=np.array([r.shadow_price for r in readings]),
            violation=np.array([r.violation for r in readings]),
            gave_way=any(r.violation > RELAXED_ABOVE for r in readings if not r.hard),
        )
    frame = sheet.frame
    beside = np.array([more.get(name, 0.0) for name in frame.names]) if more else frame.nothing
    binding, price, violation, gave_way = kernel("reading", "read_rules")(
        frame.law, frame.long, sheet.sign, sheet.target, sheet.clamp, sheet.room, sheet.least, sheet.most,
        numbers.positions, numbers.owners, numbers.limits, point.u, point.rows, point.turnover, beside,
        frame.soft,
    )  # fmt: skip
    return RuleFigures(frame.names, frame.sources, binding, price, violation, gave_way)


def rules_table(readings: Sequence[RuleReading]) -> pd.DataFrame:
    """Return readings as a table by rule name; columns as in :class:`RuleReading`."""
    index = pd.Index([reading.name for reading in readings], name="rule", dtype="str")
    return pd.DataFrame([reading[1:] for reading in readings], index=index, columns=RULE_COLUMNS)


def _read(
    program: Program,
    point: Point,
    force: Forces,
    together: Index,
    i: int,
    rule: RuleRecord,
    added: float,
    unique: bool,
) -> RuleReading:
    implied_by = ""
    if rule.kind == "row":
        value = float(program.A[rule.index] @ point.u) + added
        lo, hi = rule.lo, rule.hi
        y = float(point.rows[rule.index])
        above, below = int(program.hi_owner[rule.index]), int(program.lo_owner[rule.index])
        share = int(together[int(y > 0.0), rule.index])
        price = abs(y) / share if y and sets(program, i, rule, upper=y > 0.0) else 0.0
        owner = above if np.isfinite(hi) else below
        if rule.complement:
            value, lo, hi = 1.0 - value, 1.0 - hi, 1.0 - lo
        own = sets(program, i, rule, upper=bool(np.isfinite(rule.hi)))
        implied_by = "" if own or owner == -1 else program.rules[owner].name
    elif rule.kind == "turnover":
        value, lo, hi, price = program.turnover(point.u), -np.inf, rule.hi, point.turnover
    elif rule.kind == "bound":
        value, lo, hi, price = _bound_line(program, point, force, i, rule)
        value += added
    else:
        value, lo, hi, price = _cone_line(program, point, rule)
    slack = min(hi - value, value - lo)
    return RuleReading(
        name=rule.name,
        source=rule.source,
        hard=rule.hard,
        bound=hi if hi - value <= value - lo else lo,
        value=value,
        slack=slack,
        shadow_price=price,
        binding=slack <= BINDING,
        violation=max(0.0, -slack),
        implied_by=implied_by,
        unique=unique,
        side="both" if hi == lo else "max" if hi - value <= value - lo else "min",
    )


def _bound_line(
    program: Program, point: Point, force: Forces, i: int, rule: RuleRecord
) -> tuple[float, float, float, float]:
    """Return value, lower, upper and price of a rule on single positions; it speaks of the one with the least room."""
    members = rule.members
    u = point.u[members]
    room = np.minimum(rule.member_upper - u, np.where(rule.member_lower > 0, u - rule.member_lower, np.inf))
    tightest = int(np.argmin(room))
    price = 0.0
    for owner, pull in (
        (program.upper_owner, force.upper),
        (program.lower_owner, force.lower),
        (program.floor_owner, force.floor),
    ):
        price += float(np.abs(pull[members][owner[members] == i]).sum())
    lower = float(rule.member_lower[tightest])
    return float(u[tightest]), lower if lower > 0 else -np.inf, float(rule.member_upper[tightest]), price


def _cone_line(program: Program, point: Point, rule: RuleRecord) -> tuple[float, float, float, float]:
    """Return value, lower, upper and price: of the volatility cap as such, of a user's constraint as room left to 0."""
    price, room = 0.0, np.inf
    for i in rule.cones:
        cone, z = program.cones[i], point.cones[i]
        s = cone.slack(point.u, point.auxiliary)
        if cone.kind == "second_order":
            norm = float(np.linalg.norm(s[1:]))
            if np.isfinite(rule.hi):
                return norm, -np.inf, rule.hi, float(z[0])
            price += float(z[0])
            room = min(room, float(s[0]) - norm)
        else:
            price += float(np.abs(z).sum())
            worst = -float(np.abs(s).max(initial=0.0)) if cone.kind == "zero" else float(s.min(initial=np.inf))
            room = min(room, worst)
    if program.n_auxiliary and any(program.cones[i].H.any() for i in rule.cones):
        price = np.nan  # the constraint was rewritten with variables of its own; its price is spread over them
    return -room, -np.inf, 0.0, price


def attribution_table(
    program: Program, point: Point, index: pd.MultiIndex, wished: Array | None = None
) -> pd.DataFrame:
    """Return the walk from wish to weight, one row a position, signed fractions of NAV.

    Columns: ``target`` (``wished`` where given), one for each rule that moved something, ``weight``. ``target`` plus
    the rules' columns equals ``weight``.
    """
    moves = {name: np.where(np.abs(move) > NOTHING, move, 0.0) for name, move in _moves(program, point).items()}
    moves = {name: move for name, move in moves.items() if np.any(move)}
    solved, weight = program.sign * program.target, program.sign * point.u
    left = _absorb_rounding(list(moves.values()), weight - solved)
    if np.any(left != 0.0):
        moves[UNEXPLAINED] = left
    wish = solved if wished is None else wished
    if np.any(wish != solved):
        moves = {THROUGH_ZERO: solved - wish, **moves}
    columns = {name: move + 0.0 for name, move in moves.items()}  # no −0.0
    return pd.DataFrame({"target": wish, **columns, "weight": weight}, index=index)


def _absorb_rounding(moves: list[Array], change: Array) -> Array:
    """Let the largest move of each position carry what rounding left over, so that its row sums.

    Return what is too large to be rounding (an answer whose prices are not exact, say), shape (n,).
    """
    left = np.array([change[j] - math.fsum(move[j] for move in moves) for j in range(len(change))])
    if not moves:
        return left
    sizes = np.abs(np.array(moves))
    rounding = np.abs(left) <= 1e-12 * (1.0 + sizes.sum(axis=0))
    for j in np.flatnonzero(rounding):
        moves[int(np.argmax(sizes[:, j]))][j] += left[j]
    return np.where(rounding, 0.0, left)


def _moves(program: Program, point: Point) -> dict[str, Array]:
    """Signed change of each position's weight, rule by rule, in the order of the rules."""
    scale = -program.sign / program.distance
    moves: dict[int, Array] = {}

    def add(owner: int, move: Array) -> None:
        moves[owner] = moves[owner] + move if owner in moves else move

    together = shared(program)
    for i, rule in enumerate(program.rules):
        y = float(point.rows[rule.index]) if rule.kind == "row" else 0.0
        if y and sets(program, i, rule, upper=y > 0.0):
            add(i, scale * program.A[rule.index] * (y / int(together[int(y > 0.0), rule.index])))
    for i, rule in enumerate(program.rules):
        if rule.kind == "cone":
            for cone in rule.cones:
                add(i, scale * (program.cones[cone].G.T @ point.cones[cone]))
    force = forces(program, point)
    for i, rule in enumerate(program.rules):
        if rule.kind == "turnover":
            add(i, scale * force.turnover)
    for owners, pull in (
        (program.upper_owner, force.upper),
        (program.lower_owner, force.lower),
        (program.floor_owner, force.floor),
    ):
        for owner in np.unique(owners[pull != 0.0]):
            add(int(owner), scale * np.where(owners == owner, pull, 0.0))
    add(COST, scale * force.cost)
    moves = settled_at_zero(program, point, moves)
    named = {program.rules[owner].name: moves[owner] for owner in sorted(moves) if owner >= 0}
    named[TURNOVER_COST] = moves[COST]
    if -1 in moves:
        named[SIGN] = moves[-1]
    return named
