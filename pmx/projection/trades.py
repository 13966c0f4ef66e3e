"""The same program with its limits on trades counted from what is held now: gates, liquidity and turnover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pmx.errors import DataError
from pmx.projection.program import Array, Program, RuleRecord

#: Holdings and NAV that differ by no more than this, of NAV, are the same.
SAME = 1e-12


def trade_rules(program: Program, symbols: Sequence[str]) -> dict[int, str]:
    """Return the number of each rule on single positions that is about trades, and its kind: gate or liquidity.

    Parameters
    ----------
    program : Program
        The rules.
    symbols : sequence of str, length n
        Of the positions.
    """
    kinds: dict[int, str] = {}
    for i, rule in enumerate(program.rules):
        if rule.kind == "bound" and len(rule.members):
            symbol = symbols[int(rule.members[0])]
            kind = rule.name.removesuffix(f".{symbol}")
            if kind in ("gate", "liquidity"):
                kinds[i] = kind
    return kinds


def counted_from(
    program: Program,
    symbols: Sequence[str],
    held: Array,
    gates: Mapping[str, str],
    larger: float,
) -> Program:
    """Return a program whose limits on trades are counted from other holdings.

    Parameters
    ----------
    program : Program
        The rules.
    symbols : sequence of str, length n
        Of the positions.
    held : array, shape (n,), signed fraction of NAV
        What is held now.
    gates : mapping of symbol to {"reduce_only", "exit"}
        The gates of the program.
    larger : float
        NAV that the program was written with, as a multiple of NAV now: a trade is limited in money.

    Raises
    ------
    DataError
        When a position has no size within its bounds any more.
    """
    kinds, previous = trade_rules(program, symbols), program.sign * held
    rules = list(program.rules)
    for i, kind in kinds.items():
        rule = rules[i]
        before, now = program.previous[rule.members], previous[rule.members]
        if kind == "liquidity":
            room = (rule.member_upper - before) * larger
            rules[i] = replace(rule, member_lower=now - room, member_upper=now + room)
        elif gates.get(symbols[int(rule.members[0])]) == "reduce_only":
            moved = rule.member_upper - np.maximum(before, 0.0)  # other than zero only where a bound was supposed
            rules[i] = replace(rule, member_upper=np.maximum(now, 0.0) + moved)
    return _bounded(program, tuple(rules), kinds, previous, symbols)


def _bounded(
    program: Program, rules: tuple[RuleRecord, ...], kinds: Mapping[int, str], previous: Array, symbols: Sequence[str]
) -> Program:
    """Return a program with the bounds that its rules set, and other holdings."""
    n = program.n
    lower, upper, floor = np.zeros(n), np.full(n, np.inf), np.full(n, -np.inf)
    lower_owner, upper_owner = np.full(n, -1, dtype=np.intp), np.full(n, -1, dtype=np.intp)
    for i, rule in enumerate(rules):
        if rule.kind != "bound":
            continue
        at = rule.members
        tighter = rule.member_upper < upper[at]
        upper[at[tighter]], upper_owner[at[tighter]] = rule.member_upper[tighter], i
        if rule.hard:
            tighter = rule.member_lower > lower[at]
            lower[at[tighter]], lower_owner[at[tighter]] = rule.member_lower[tighter], i
        elif kinds.get(i) == "liquidity" and not rule.rank:
            soft = program.floor_penalty[at] > 0.0
            floor[at[soft]] = rule.member_lower[soft]
    closed = lower > upper + SAME
    if closed.any():
        j = int(np.argmax(closed))
        names = [rules[int(i)].name for i in (lower_owner[j], upper_owner[j]) if i >= 0]
        raise DataError(
            f"{symbols[j]} was {program.sign[j] * program.previous[j]:.6g} of NAV when the allocation was solved, and "
            f"is {program.sign[j] * previous[j]:.6g} now: from there {' and '.join(names)} leave it no size (at least "
            f"{lower[j]:.6g}, at most {upper[j]:.6g}); solve again with previous= from this snapshot"
        )
    return replace(
        program,
        previous=previous,
        lower=np.minimum(lower, upper),
        upper=upper,
        lower_owner=lower_owner,
        upper_owner=upper_owner,
        floor=floor,
        rules=rules,
    )
