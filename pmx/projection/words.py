"""An allocation in words: who wanted what, who got what, and which rules stood between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pmx.projection.explain import RELAXED_ABOVE, RuleReading
from pmx.projection.program import Program, RuleRecord
from pmx.projection.prohibition import prohibitions

if TYPE_CHECKING:
    from pmx.projection.allocation import Allocation

#: Moves smaller than this would read 0.00 %, and are not told one by one; fraction of NAV.
WORTH_A_WORD = 5e-5
#: A change of no more than this is rounding.
ROUNDING = 1e-12
#: The two sides of a rule that gave way at its penalty are told as one where each is this many times their sum.
DROWNED = 3.0


def in_words(allocation: Allocation) -> str:
    """Return what :meth:`pmx.Allocation.explain` says."""
    gave_way = [_gave_way(allocation, rule) for rule in _overrun(allocation)]
    lines = [allocation.status.advice, *_positions(allocation), *gave_way]
    shared = [rule.name for rule in allocation.readings if not rule.unique and rule.shadow_price > 0.0]
    if shared:
        lines.append(
            f"Other prices explain these weights as well; of all that do, those with the smallest sum of squares are "
            f"shown for {', '.join(shared)}."
        )
    if allocation.left_out:
        lines.append(left_out_in_words(allocation))
    c = allocation.certificate
    moved = ", of limits moved by that violation" if c.primal_residual > 0.0 else ""
    lines.append(
        f"Proof: worst hard-rule violation {c.primal_residual:.1e}; at most {c.distance_bound:.1e} of NAV from the "
        f"exact optimum{moved} ({c.engine})."
    )
    return "\n".join(lines)


def left_out_in_words(allocation: Allocation, holdings: str = "what is held") -> str:
    """Return which rules on trades are not in a solve, for want of ``holdings``."""
    return f"Not in this solve: {', '.join(allocation.left_out)}. Rules on trades need to know {holdings}."


def _overrun(allocation: Allocation) -> list[RuleReading]:
    return [rule for rule in allocation.readings if rule.violation > RELAXED_ABOVE]


def _positions(allocation: Allocation) -> Iterator[str]:
    """Yield a line for each position that does not get what it wanted; one for all that miss it by next to nothing."""
    table, prohibited = allocation.attribution, _prohibited(allocation)
    rules = [column for column in table.columns if column not in ("target", "weight")]
    gave_way, least = {rule.name for rule in _overrun(allocation)}, _least(allocation)
    values = table.to_numpy()
    slight: list[float] = []
    for j, ((bucket, symbol), row) in enumerate(zip(allocation.index.tolist(), values, strict=True)):
        target, weight = row[0], row[-1]
        if abs(weight - target) < WORTH_A_WORD:
            slight += [abs(weight - target)] if abs(weight - target) > ROUNDING else []
            continue
        moves = {name: float(v) for name, v in zip(rules, row[1:-1], strict=True) if v}
        reasons = prohibited.get(j) or ", ".join(_reasons(_worth_a_word(moves), gave_way, least))
        yield f"{bucket}/{symbol} wanted {target:.2%}, gets {weight + 0.0:.2%}: {reasons}"
    if math.fsum(slight) >= WORTH_A_WORD:
        yield f"{len(slight):,} positions changed by less than 0.01% each, {math.fsum(slight):.2%} in all."


def _least(allocation: Allocation) -> dict[str, float]:
    """Return the lower limits of rules on one position that press on it from below, by rule."""
    records = () if allocation.program is None else allocation.program.rules
    return {
        reading.name: reading.bound
        for rule, reading in zip(records, allocation.readings, strict=True)
        if rule.kind == "bound" and len(rule.members) == 1 and reading.binding and reading.side == "min"
    }


def _prohibited(allocation: Allocation) -> dict[int, str]:
    """Return which positions a rule prohibits, by number, and which rule that is, in words."""
    program = allocation.program
    if program is None:
        return {}
    rule = prohibitions(program)
    at = np.flatnonzero((rule >= 0) & (program.target > 0.0) & (allocation.signed == 0.0))
    return {j: _prohibition(program.rules[int(rule[j])]) for j in at.tolist()}


def _prohibition(rule: RuleRecord) -> str:
    """Return what prohibits a position.

    Examples
    --------
    >>> _prohibition(RuleRecord("symbol.WTI.cap", "barbell.yml:59", True, "bound"))
    'prohibited by symbol.WTI.cap = 0 (barbell.yml:59)'
    >>> _prohibition(RuleRecord("gate.WTI", "gate (exit)", True, "bound"))
    'prohibited by gate.WTI (exit)'
    """
    mode = rule.source.removeprefix("gate ")
    how = f" = 0 ({rule.source})" if mode == rule.source else f" {mode}"
    return f"prohibited by {rule.name}{how}"


def _worth_a_word(moves: dict[str, float]) -> dict[str, float]:
    """Return moves in which those that would read 0.00 % are one, if together they would not."""
    told = {name: move for name, move in moves.items() if abs(move) >= WORTH_A_WORD}
    rest = [move for name, move in moves.items() if name not in told]
    if abs(math.fsum(rest)) >= WORTH_A_WORD:
        told[f"{len(rest)} others"] = math.fsum(rest)
    return told


def _reasons(moves: dict[str, float], gave_way: set[str], least: dict[str, float]) -> Iterator[str]:
    """Yield what each rule moved.

    A rule that gave way at its penalty pulls with all of it, and what it gave way to pulls back as hard: two large
    numbers whose sum alone means something.
    """
    pulling = sum(move for name, move in moves.items() if name in gave_way)
    sides = {name: move for name, move in moves.items() if name in gave_way or move * pulling < 0.0}
    net = sum(sides.values())
    drowned = len(sides) > 1 and min(abs(pulling), abs(net - pulling)) > DROWNED * abs(net)
    for name, move in moves.items():
        if not (drowned and name in sides):
            yield f"{name} {move:+.2%}" + (f" (at least {least[name]:.2%})" if name in least else "")
    if drowned:
        against = " and ".join(name for name in sides if name not in gave_way)
        yield f"{' and '.join(name for name in sides if name in gave_way)} against {against} {net:+.2%}"


def _gave_way(allocation: Allocation, rule: RuleReading) -> str:
    below = rule.value < rule.bound
    asked = f"{'at least' if below else 'at most'} {rule.bound:.2%}"
    others = _in_the_way(allocation, rule, below=below)
    left = f"; {', '.join(others)} left no more room" if others else ""
    return f"{rule.name} gave way: {rule.value:.2%} where {asked} is asked ({rule.source}){left}"


def _in_the_way(allocation: Allocation, overrun: RuleReading, *, below: bool) -> list[str]:
    """Return the rules that bind from the other side on positions that an overrun rule sees, but for lower ranks."""
    program = allocation.program
    assert program is not None
    records = {rule.name: rule for rule in program.rules}
    mine = records[overrun.name]
    seen = _seen(program, mine)
    found = []
    for reading in allocation.readings:
        other = records[reading.name]
        outranked = not reading.hard and (other.rank <= mine.rank or reading.violation > RELAXED_ABOVE)
        sides = ("max", "min") if reading.side == "both" else (reading.side,)
        presses_down = {(side == "max") != other.complement for side in sides}
        if reading.name == overrun.name or outranked or not reading.binding or reading.implied_by:
            continue
        if (below != mine.complement) in presses_down and bool((seen & _seen(program, other)).any()):
            found.append(reading.name)
    return found


def _seen(program: Program, rule: RuleRecord) -> np.ndarray:
    """Return which positions a rule speaks of, array of bool, shape (n,)."""
    if rule.kind == "row":
        return np.asarray(program.A[rule.index] != 0.0)
    seen = np.zeros(program.n, dtype=bool)
    seen[rule.members if rule.kind == "bound" else slice(None)] = True
    return seen
