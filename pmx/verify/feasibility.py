"""Whether the answer obeys every hard rule, and whether the program's limits are those of its named rules."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .exact import INFINITY, ROUND_OFF, ZERO, Limit, beyond, minus, plus, root_above, shown, total
from .linear import Numbers
from .record import Answer, Cone, Program, Residual, Rule

#: The rule that is broken, and how.
Problem = tuple[str, str]


def misstated(p: Program, residual: Residual | None) -> Iterator[Problem]:
    """Yield what makes no sense in a program, and limits that are not those of the rules that are said to set them."""
    for j in range(len(p.sign)):
        if abs(p.sign[j]) != 1 or p.distance[j] <= 0 or p.cost[j] < 0 or p.floor_price[j] < 0:
            yield "program", f"position {j}: sign {shown(p.sign[j])}, distance {shown(p.distance[j])}, cost or price"
        if p.lower[j] == INFINITY or p.upper[j] == -INFINITY or p.floor[j] == INFINITY:
            yield "program", f"position {j} has a bound that nothing can obey"
    yield from _misstated_rows(p)
    yield from _misstated_bounds(p)
    turnover = [rule for rule in p.rules if rule.kind == "turnover"]
    cap, give = (turnover[0].hi, turnover[0].give()) if turnover else (INFINITY, ZERO)
    if not cap <= p.turnover_max <= plus(cap, give):
        yield "turnover.max", f"the program's limit is {shown(p.turnover_max)}, the rule's is {shown(cap)}"
    if len(turnover) > 1 or any(rule.priced != isinstance(p.turnover_penalty, Fraction) for rule in turnover):
        yield "turnover.max", "is there twice, hard with a penalty, or soft without one"
    for rule in p.rules:
        unlimited = rule.kind == "bound" and (rule.lo, rule.hi) != (-INFINITY, INFINITY)
        if unlimited or (rule.hard and rule.rank) or (rule.complement and rule.kind != "row"):
            yield rule.name, "has a limit, a rank or a side that rules of its kind do not have"
        if (rule.kind != "bound" and rule.members) or (rule.kind != "cone" and rule.cones):
            yield rule.name, "lives in two places"
        if rule.kind != "cone":
            continue
        if not rule.hard or not rule.cones:
            yield rule.name, "is a conic rule that is soft, or that no cone carries"
        if isinstance(rule.hi, Fraction) and any(p.cones[i].h[:1] != (rule.hi,) for i in rule.cones):
            yield rule.name, f"its limit is {shown(rule.hi)}, its cone has another"
        wider = residual.cones if residual is not None and residual.weight else ()
        if isinstance(rule.hi, Fraction) and residual is not None and residual.weight and not wider:
            yield rule.name, f"nothing says how {residual.symbol}, in place of cash, changes it"
        if isinstance(rule.hi, Fraction) and any(
            cone.kind != "second_order" or cone.h[:1] != (rule.hi,) for cone in wider
        ):
            yield rule.name, f"with {'' if residual is None else residual.symbol} in place of cash it has another limit"
    carried = {i for rule in p.rules for i in rule.cones}
    if carried != set(range(len(p.cones))) or any(cone.kind == "second_order" and not cone.h for cone in p.cones):
        yield "program", "a cone is empty, or belongs to no rule"


def _misstated_rows(p: Program) -> Iterator[Problem]:
    on: list[list[Rule]] = [[] for _ in p.rows]
    for rule in p.rules:
        if rule.kind == "row":
            on[rule.index].append(rule)
    for row, rules in zip(p.rows, on, strict=True):
        if len(rules) != 1 and not (rules and all(rule.hard for rule in rules)):
            yield "program", f"a row has {len(rules)} rules, which may not share one"
            continue
        if any(rule.priced == row.hard for rule in rules):
            yield rules[0].name, "is hard with a penalty, or soft without one"
        hi, lo = min(rule.hi for rule in rules), max(rule.lo for rule in rules)
        give = rules[0].give(row.unit)
        if not hi <= row.hi <= plus(hi, give):
            yield p.name(row.hi_rule), f"the row's upper limit is {shown(row.hi)}, that of its rules is {shown(hi)}"
        if not minus(lo, give) <= row.lo <= lo:
            yield p.name(row.lo_rule), f"the row's lower limit is {shown(row.lo)}, that of its rules is {shown(lo)}"
        for owner, tightest, none in ((row.hi_rule, hi, INFINITY), (row.lo_rule, lo, -INFINITY)):
            if (owner < 0) != (tightest == none) or (owner >= 0 and p.rules[owner] not in rules):
                yield p.name(owner, rules[0].name), "is said to set a limit of a row, and does not"


def _misstated_bounds(p: Program) -> Iterator[Problem]:
    """Yield bounds that are not the tightest of the rules on single positions; every size is at least zero."""
    n = len(p.sign)
    lower: list[Limit] = [ZERO] * n  # by the rules that never give way
    ranked: list[Limit] = [-INFINITY] * n  # by those that give way where they must
    least: list[Limit] = [-INFINITY] * n  # and as far as they may
    upper: list[Limit] = [INFINITY] * n
    floor: list[Limit] = [-INFINITY] * n
    for rule in p.rules:
        for j, low, high in zip(rule.members, rule.member_lower, rule.member_upper, strict=True):
            upper[j] = min(upper[j], high)
            if rule.hard:
                lower[j] = max(lower[j], low)
            elif rule.rank:
                ranked[j], least[j] = max(ranked[j], low), max(least[j], minus(low, rule.give()))
            elif low > 0:
                floor[j] = max(floor[j], low)
    for j in range(n):
        for stated, low, high, owner, what in (
            (p.lower[j], max(lower[j], least[j]), max(lower[j], ranked[j]), p.lower_rule[j], "lower bound"),
            (p.upper[j], upper[j], upper[j], p.upper_rule[j], "upper bound"),
            (p.floor[j], floor[j], floor[j], p.floor_rule[j], "soft floor"),
        ):
            if not low <= stated <= high:
                due = shown(low) if low == high else f"from {shown(low)} to {shown(high)}"
                yield p.name(owner), f"the {what} of position {j} is {shown(stated)}, that of its rules is {due}"
            elif owner >= 0 and not _sets(p.rules[owner], j, stated):
                yield p.name(owner), f"is said to set the {what} of position {j}, and does not"


def _sets(rule: Rule, j: int, bound: Limit) -> bool:
    limits = zip(rule.members, rule.member_lower, rule.member_upper, strict=True)
    return any(j == member and (bound in (low, high) or rule.rank > 0) for member, low, high in limits)


def violations(p: Program, answer: Answer, residual: Residual | None) -> Iterator[tuple[str, Fraction, Fraction]]:
    """Yield every hard rule with its violation and what rounding may have added to it, both in weights."""
    u, seen = answer.u, {} if residual is None else residual.coefficients
    own, weight = (None, ZERO) if residual is None else (residual.column, residual.weight)
    at_rows = [(row.sum.value(u), row.rounding(u), row.unit, row.lo, row.hi) for row in p.rows]
    for rule in p.rules:
        added = seen.get(rule.name, ZERO) * weight
        if rule.kind == "row" and not rule.priced:
            value, rounding, unit, lo, hi = at_rows[rule.index]
            lo, hi = (rule.lo, rule.hi) if rule.hard else (lo, hi)
            over = max(beyond(value, lo, hi), beyond(value + added, lo, hi))
            yield rule.name, over / unit, (rounding + ROUND_OFF * abs(added)) / unit
        elif rule.kind == "bound":
            yield rule.name, max(_over_bounds(rule, u, own, added), default=ZERO), ROUND_OFF
        elif rule.kind == "turnover" and not rule.priced and isinstance(p.turnover_max, Fraction):
            yield rule.name, beyond(p.turnover(u), -INFINITY, p.turnover_max), p.turnover_rounding(u)
        elif rule.kind == "cone":
            for i in rule.cones:
                yield (
                    rule.name,
                    cone_violation(p.cones[i], u, answer.auxiliary),
                    p.cones[i].rounding(u, answer.auxiliary),
                )
            if isinstance(rule.hi, Fraction) and residual is not None:
                for cone in residual.cones:
                    wider = residual.sizes(u)
                    yield rule.name, cone_violation(cone, wider, ()), cone.rounding(wider, ())
    for j, low in enumerate(p.lower):
        yield p.name(p.lower_rule[j]), beyond(u[j], low, INFINITY), ZERO


def _over_bounds(rule: Rule, u: Numbers, own: int | None, added: Fraction) -> Iterator[Fraction]:
    """Yield violations of bounds on single positions. What a soft one of them may give is its lower bound alone."""
    for j, low, high in zip(rule.members, rule.member_lower, rule.member_upper, strict=True):
        yield beyond(u[j], low if rule.hard else -INFINITY, high)
        if j == own:
            yield beyond(u[j] + added, -INFINITY, high)


def cone_violation(cone: Cone, u: Numbers, auxiliary: Numbers) -> Fraction:
    """Return how far sizes are outside a cone, or a little more."""
    s = cone.slack(u, auxiliary)
    if cone.kind == "zero":
        return max(map(abs, s), default=ZERO)
    if cone.kind == "nonnegative":
        return max(-min(s, default=ZERO), ZERO)
    squares = total(x * x for x in s[1:])
    return ZERO if s[0] >= 0 and squares <= s[0] * s[0] else max(root_above(squares) - s[0], ZERO)
