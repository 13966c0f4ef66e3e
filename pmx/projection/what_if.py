"""The same program with one rule's bound moved: what would have come out had the policy said something else."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pmx.errors import DataError
from pmx.projection.explain import RuleReading
from pmx.projection.program import Array, Cone, Index, Program, RuleRecord


def with_bound(program: Program, reading: RuleReading, bound: float) -> Program:
    """Return a program in which one rule has another bound; everything else, penalties too, stays as it was.

    Parameters
    ----------
    program : Program
        The problem.
    reading : RuleReading
        The rule at some answer. Of a rule with two limits the one that it names as ``bound`` moves. Of one that bounds
        positions, all bounds open or close by as much.
    bound : float
        The new bound, in the units of ``reading.bound``.

    Raises
    ------
    DataError
        When the bound is not a number, or the rule has none that could be moved.
    """
    if isinstance(bound, bool) or not isinstance(bound, int | float | np.number) or math.isnan(bound):
        raise DataError(f"bound of rule {reading.name} is {bound!r}; give a number")
    bound = float(bound)
    names = [rule.name for rule in program.rules]
    i = names.index(reading.name)
    rule = program.rules[i]
    if rule.kind == "cone" and not math.isfinite(rule.hi):
        raise DataError(
            f"rule {rule.name} is a constraint written in cvxpy, without a bound to move; give it a cvxpy Parameter"
        )
    if not math.isfinite(reading.bound):
        raise DataError(f"rule {rule.name} limits nothing here, so it has no bound to move")
    if rule.kind == "cone":
        program = _with_cap(program, rule, bound)
    moved = _rebounded(rule, reading.bound, bound) if rule.kind == "bound" else _relimited(rule, reading.bound, bound)
    rules = list(program.rules)
    rules[i] = moved
    return as_written(replace(program, rules=tuple(rules)))


def as_written(program: Program) -> Program:
    """Return a program with every limit read again from its rules; the first of the tightest owns each.

    So limits that were moved because ranked rules give way are back where the policy has them.
    """
    n, K = program.n, len(program.A)
    lo, hi, lower, upper = np.full(K, -np.inf), np.full(K, np.inf), np.zeros(n), np.full(n, np.inf)
    lo_owner, hi_owner, lower_owner, upper_owner = (np.full(m, -1, dtype=np.intp) for m in (K, K, n, n))
    floor, turnover_max = program.floor.copy(), program.turnover_max
    for i, rule in enumerate(program.rules):
        if rule.kind == "row":
            if rule.hi < hi[rule.index]:
                hi[rule.index], hi_owner[rule.index] = rule.hi, i
            if rule.lo > lo[rule.index]:
                lo[rule.index], lo_owner[rule.index] = rule.lo, i
        elif rule.kind == "turnover":
            turnover_max = rule.hi
        elif rule.kind == "bound":
            _tighten(upper, upper_owner, rule.members, rule.member_upper, i, above=True)
            if rule.hard or rule.rank:
                _tighten(lower, lower_owner, rule.members, rule.member_lower, i, above=False)
            else:
                soft = program.floor_owner[rule.members] == i
                floor[rule.members[soft]] = rule.member_lower[soft]
    return replace(
        program,
        lo=lo, hi=hi, lo_owner=lo_owner, hi_owner=hi_owner, lower=lower, upper=upper, lower_owner=lower_owner,
        upper_owner=upper_owner, floor=floor, turnover_max=turnover_max,
    )  # fmt: skip


def _tighten(values: Array, owner: Index, members: Index, limits: Array, i: int, *, above: bool) -> None:
    here = values[members]
    tighter = limits < here if above else limits > here
    values[members[tighter]] = limits[tighter]
    owner[members[tighter]] = i


def _relimited(rule: RuleRecord, old: float, new: float) -> RuleRecord:
    """Return a rule whose limit ``old`` is ``new``; of a range of no width, both ends."""
    if rule.complement:
        old, new = 1.0 - old, 1.0 - new
    near = 1e-12 * (1.0 + abs(old))
    hi = new if abs(rule.hi - old) <= near else rule.hi
    lo = new if abs(rule.lo - old) <= near else rule.lo
    return replace(rule, lo=lo, hi=hi)


def _rebounded(rule: RuleRecord, old: float, new: float) -> RuleRecord:
    """Return a rule on positions all of whose bounds are opened, or closed, as far as ``old`` is to ``new``."""
    wider = new - old if (rule.member_upper == old).any() else old - new
    asked = rule.member_lower > 0.0
    lower = np.where(asked, rule.member_lower - wider, rule.member_lower)
    return replace(rule, member_upper=rule.member_upper + wider, member_lower=lower)


def _with_cap(program: Program, rule: RuleRecord, cap: float) -> Program:
    """Return the program with another cap on volatility, which is the head of its cone."""
    cones: list[Cone] = list(program.cones)
    for c in rule.cones:
        cones[c] = replace(cones[c], h=np.concatenate([[cap], cones[c].h[1:]]))
    return replace(program, cones=tuple(cones))
