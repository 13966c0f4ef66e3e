r"""A refusal: a solve that got no answer, its reason, and where its rules clash the proof that they do.

Limits :math:`b_k u \le c_k` cannot hold together if multipliers :math:`y_k > 0` make

.. math:: \min_{u \ge 0}\; \sum_k y_k (b_k u - c_k) > 0,

for if all of them held, no term would be above zero. The limits are those of the recorded rules, which are held to the
policy as those of an answer are; the minimum is exact. Where cones take part nothing is proven, and nothing is said to
be, but the program is recorded, and its rules are held to the policy all the same. Whether data was bad, no whole lots
fit, or no solver found an answer, cannot be told from a line.

References
----------
Farkas (1902). Boyd and Vandenberghe (2004), *Convex Optimization*, section 5.8 (theorems of alternatives).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from .exact import HALF, ZERO, Limit, minus, plus, shown
from .feasibility import Problem
from .field import Field
from .inputs import Asked, read_asked
from .reading import read_positions, read_program
from .record import Program, Rule

#: Rules that clash in a solve, which has a program to show for it, and an error of the same name from anywhere else.
INFEASIBLE, ELSEWHERE = "InfeasibleError", "InfeasibleError without a program"
KINDS = (INFEASIBLE, ELSEWHERE, "DataError", "PolicyError", "SolverError", "SignalError")
SIDES = ("max", "min")
#: Multipliers are exact and may be long: hexadecimal digits are read in a time that grows with their number alone.
MULTIPLIER = re.compile(r"[1-9a-f][0-9a-f]*/[1-9a-f][0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Clashing:
    """One limit with its multiplier; ``position`` is −1 for one on sums."""

    rule: Rule
    side: str
    bound: Limit
    position: int
    multiplier: Fraction


@dataclass(frozen=True, slots=True)
class Clash:
    """The program whose rules clash, and the limits that prove it; where cones take part, they prove nothing."""

    asked: Asked
    program: Program
    limits: tuple[Clashing, ...]
    proven: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line of a journal; ``clash`` is None where a line brings no program."""

    number: int
    policy: str
    kind: str
    rules: tuple[str, ...]
    positions: list[tuple[str, str]]
    clash: Clash | None


def read_refusal(line: Field) -> Refusal:
    """Return the refusal of a line.

    Raises
    ------
    MalformedError
        When a field is missing or is not what it should be.
    """
    positions = () if line["positions"].absent else read_positions(line["positions"])
    line["message"].text()
    list(line["relaxation"].items())
    if not line["asked"].absent:
        line["asked"]["how"].text("solve", "project")
    proof = line["proof"]
    if not proof.absent and not proof["proven"].flag() and not list(proof["program"]["cones"]):
        raise proof["proven"].wrong("true, where no cone takes part")
    return Refusal(
        number=line["number"].integer(1, 10**12),
        policy=line["policy"].text(),
        kind=line["kind"].text(),
        rules=line["rules"].texts(len(list(line["rules"]))),
        positions=[*positions],
        clash=None if proof.absent else _clash(line, proof, positions),
    )


def _clash(line: Field, proof: Field, positions: tuple[tuple[str, str], ...]) -> Clash:
    program = read_program(proof["program"], len(positions))
    rules = {rule.name: rule for rule in program.rules}
    proven = proof["proven"].flag()  # the limits of cones have no exact multipliers
    limits = tuple(_clashing(item, rules, len(positions)) for item in proof["limits"]) if proven else ()
    return Clash(read_asked(line["asked"], positions), program, limits, proven)


def _clashing(item: Field, rules: dict[str, Rule], n: int) -> Clashing:
    position, text = item["position"], item["multiplier"].text()
    if not MULTIPLIER.fullmatch(text):
        raise item["multiplier"].wrong("a fraction above zero in hexadecimal digits, such as 1/a")
    if item["rule"].text() not in rules:
        raise item["rule"].wrong("a rule of the program")
    return Clashing(
        rule=rules[item["rule"].value],
        side=item["side"].text(*SIDES),
        bound=item["bound"].limit(),
        position=-1 if position.absent else position.integer(0, n - 1),
        multiplier=Fraction(*(int(part, 16) for part in text.split("/"))),
    )


def misplaced_claim(refusal: Refusal) -> Iterator[Problem]:
    """Yield what a refusal of its kind cannot say: rules that clash without a program, or other errors with rules."""
    if refusal.kind == INFEASIBLE and refusal.clash is None:
        yield "proof", f"is missing: {_list({*refusal.rules})} are said to clash, and no program is recorded"
    elif refusal.kind != INFEASIBLE and refusal.clash is not None:
        yield "proof", f"a {refusal.kind} has none"
    elif refusal.kind not in (INFEASIBLE, ELSEWHERE) and refusal.rules:
        yield "refusal", f"a {refusal.kind} names no rules; this one names {_list({*refusal.rules})}"


def without_cones(refusal: Refusal, clash: Clash) -> Iterator[Problem]:
    """Yield a clash that nothing proves, though each rule that it names is linear, or is none of the program."""
    cones = {rule.name for rule in clash.program.rules if rule.kind == "cone"}
    if not cones & {*refusal.rules}:
        yield "proof", f"{_list({*refusal.rules})} are said to clash without a proof, and none of them is a cone"
    unknown = {*refusal.rules} - {rule.name for rule in clash.program.rules}
    if unknown:
        yield "proof", f"names {_list(unknown)}, which the program has not"


def unproven(refusal: Refusal, clash: Clash) -> Iterator[Problem]:
    """Yield what keeps a proof from holding: a limit that is not its rule's, or a sum that can be zero or less."""
    p, wrong = clash.program, False
    for limit in clash.limits:
        due = _limit(p, limit)
        if limit.bound != due:
            wrong = True
            yield limit.rule.name, f"is said to clash at {shown(limit.bound)}, its limit is {shown(due)}"
    named = {limit.rule.name for limit in clash.limits}
    if named != set(refusal.rules):
        yield "proof", f"names {', '.join(sorted(refusal.rules)) or 'no rule'}; the limits are those of {_list(named)}"
    if wrong:
        return
    excess = least_excess(p, clash.limits)
    if excess is None or excess <= 0:
        reached = "any value" if excess is None else shown(excess)
        yield "proof", f"{_list(named)} are said to clash, but the weighted sum of their excesses can be {reached}"


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no rule"


def _limit(p: Program, limit: Clashing) -> Limit:
    """Return the limit of a rule on one side, given way as far as it may where it does so by rank."""
    rule, upper = limit.rule, limit.side == "max"
    unlimited = plus(ZERO, float("inf")) if upper else minus(ZERO, float("inf"))
    if rule.kind in ("row", "turnover"):
        end = rule.hi if upper else rule.lo
    elif limit.position in rule.members:
        at = rule.members.index(limit.position)
        end = rule.member_upper[at] if upper else rule.member_lower[at]
    else:
        return unlimited
    if rule.priced and (rule.kind != "bound" or not upper):
        return unlimited  # what gives way at a price clashes with nothing
    if not rule.rank or (rule.kind == "bound" and upper):
        return end
    moved = plus(end, rule.most) if upper else minus(end, rule.most)
    return Fraction(float(moved)) if isinstance(moved, Fraction) else moved


def least_excess(p: Program, limits: tuple[Clashing, ...]) -> Fraction | None:
    r"""Return :math:`\min_{u \ge 0} \sum_k y_k (b_k u - c_k)`, exactly; None where it has no minimum."""
    slope, total, price = [ZERO] * len(p.sign), ZERO, ZERO
    for limit in limits:
        signed = limit.multiplier if limit.side == "max" else -limit.multiplier
        if not isinstance(limit.bound, Fraction):
            return None
        total -= signed * limit.bound
        if limit.rule.kind == "row":
            row = p.rows[limit.rule.index].sum
            for j, a in zip(row.at, row.coefficients, strict=True):
                slope[j] += signed * a
        elif limit.rule.kind == "turnover":
            price += signed
        else:
            slope[limit.position] += signed
    half = HALF * price
    for j, g in enumerate(slope):
        if g + half < 0:
            return None
        held = max(p.held[j], ZERO)
        total += min(g * u + half * abs(u - p.held[j]) for u in (ZERO, held))
    return total
