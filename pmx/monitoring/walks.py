"""The walk from wish to weight, rule by rule, of a position, a symbol, a bucket or all of them, in steps one can read.

A walk adds up the rows of ``Allocation.attribution``. Longs and shorts are added up apart: a rule that cuts both
would else seem to do nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from pmx.errors import DataError
from pmx.policy import CASH
from pmx.projection import Allocation
from pmx.projection.program import Array

if TYPE_CHECKING:
    import pandas as pd

#: Rules that moved less than this are taken together, fraction of NAV: a twentieth of a basis point.
SMALL = 5e-6
#: A move of no more than this is rounding and has no step.
ROUNDING = 1e-12
#: Most steps of a walk.
MOST = 10
#: Opposing rules are told by their sum where one by one they would lead further than this many times the larger of
#: wish and weight.
REACH = 2.0
#: What is not a rule, and comes first or last.
THROUGH_ZERO, RESIDUAL = "through_zero", "residual"
#: Rules that there is one of for each symbol.
FAMILY = re.compile(r"^(symbol|liquidity|gate)\.(.+?)(\.cap)?$")


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """What some rules did together.

    Attributes
    ----------
    name : str
        The rule, or what its rules are together.
    rules : dict of str to array, shape (2,)
        What each rule moved, longs and shorts apart, signed fractions of NAV.
    move : array, shape (2,)
        What all of them moved.
    opposing : bool
        Whether they pull against each other so hard that only their sum can be drawn.
    """

    name: str
    rules: Mapping[str, Array]
    move: Array
    opposing: bool = False

    @property
    def size(self) -> float:
        """How much it moved, longs and shorts together, whatever the direction."""
        return float(np.abs(self.move).sum())

    @property
    def taken(self) -> float:
        """How much it took from longs and shorts together; negative where it gave."""
        return taken(self.move)


@dataclass(frozen=True, eq=False, slots=True)
class Walk:
    """From wish to weight; ``target`` plus the steps' moves equals ``weight``.

    Attributes
    ----------
    name : str
        Whose it is.
    positions : int
        How many positions it adds up.
    target, weight : array, shape (2,)
        What was asked for and what is held, longs and shorts apart, signed fractions of NAV.
    steps : tuple of Step
        What was between them, at most `MOST`.
    bypassed : bool
        Whether the policy layer was switched off, so that there were no rules.
    """

    name: str
    positions: int
    target: Array
    weight: Array
    steps: tuple[Step, ...]
    bypassed: bool

    @property
    def levels(self) -> Array:
        """Where the walk stands before each step, and at its end, shape (steps + 1, 2)."""
        return np.cumsum([self.target, *(step.move for step in self.steps)], axis=0)


def taken(move: Array) -> float:
    """Return by how much a move of longs and shorts leads towards zero; negative where it leads away."""
    return float(move[1] - move[0])


def walk_of(allocation: Allocation, symbol: str | None = None, bucket: str | None = None) -> Walk:
    """Return the walk of a symbol over all its buckets, of a bucket, of one position, or of all positions.

    Parameters
    ----------
    allocation : Allocation
        The answer.
    symbol, bucket : str, optional
        The symbol, the bucket, or for one position both.

    Raises
    ------
    DataError
        When there is no such position.
    """
    chosen = select(allocation, symbol, bucket)
    name = " / ".join(part for part in (bucket, symbol) if part is not None) or "all positions"
    return add_up(allocation, chosen, name, residual=bucket is None and symbol is not None)


def select(allocation: Allocation, symbol: str | None, bucket: str | None) -> np.ndarray:
    """Return which positions are of a symbol and a bucket, array of bool.

    Raises
    ------
    DataError
        When none is.
    """
    buckets, symbols = (allocation.index.get_level_values(level) for level in (0, 1))
    chosen = np.ones(len(symbols), dtype=bool)
    if bucket is not None:
        _require(bucket, set(buckets), "bucket")
        chosen &= np.asarray(buckets == bucket)
    if symbol is not None:
        if symbol == CASH:
            raise DataError("cash has no wish: it is what the rules leave; ask for a symbol or a bucket")
        beside = allocation.residual_symbol if bucket is None else None
        _require(symbol, {*symbols, beside} - {None}, "symbol")
        chosen &= np.asarray(symbols == symbol)
        if bucket is not None and not chosen.any():
            held = ", ".join(dict.fromkeys(buckets[symbols == symbol]))
            raise DataError(f"symbol {symbol!r} has no position in bucket {bucket!r}; it has one in {held}")
    return chosen


def _require(name: str, known: Collection[str], what: str) -> None:
    if name in known:
        return
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    some = sorted(known)[:8]
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(some)}" + ", …" * (len(known) > 8)
    raise DataError(f"there is no {what} {name!r} in this allocation; {hint}")


def add_up(allocation: Allocation, chosen: np.ndarray, name: str, *, residual: bool = False) -> Walk:
    """Return the walk of some positions together.

    Parameters
    ----------
    allocation : Allocation
        The answer.
    chosen : array of bool, shape (n_positions,)
        Which positions.
    name : str
        What they are together.
    residual : bool
        Whether they are all positions of one symbol, to which what it takes as the residual belongs.
    """
    table = allocation.attribution
    sums = _sides(allocation, chosen, table)
    steps = [Step(rule, {rule: move}, move) for rule, move in zip(table.columns[1:-1], sums[1:-1], strict=True)]
    steps = [step for step in steps if np.abs(step.move).max() > ROUNDING]
    target, weight = sums[0], sums[-1]
    if residual and allocation.residual_symbol == name and allocation.residual:
        rest = np.array([allocation.residual, 0.0])
        steps.append(Step(RESIDUAL, {RESIDUAL: rest}, rest))
        weight = weight + rest
    bypassed = allocation.solved is None
    return Walk(name, int(chosen.sum()), target, weight, _readable(steps, target, weight), bypassed)


def _sides(allocation: Allocation, chosen: np.ndarray, table: pd.DataFrame) -> Array:
    """Return the sums of the attribution's columns, longs and shorts apart, shape (columns, 2).

    A position that is held on one side and wished on the other goes to zero on the side of the wish; all else happens
    to it on the other side. Where one side neither wishes nor holds anything, all is told of the other.
    """
    rows, program = table.to_numpy()[chosen], allocation.program
    short = (allocation.signed < 0.0 if program is None else program.sign < 0.0)[chosen]
    wished_short = np.where(rows[:, 0] == 0.0, short, rows[:, 0] < 0.0)
    if len(rows) == 1:
        short = wished_short
    there, turned = np.zeros_like(rows), short != wished_short
    if turned.any():
        through_zero, wish = table.columns.get_loc(THROUGH_ZERO), rows[turned, 0]
        there[turned, 0], there[turned, through_zero] = wish, -wish
    here = rows - there
    sides = np.array([here[~short].sum(axis=0) + there[short].sum(axis=0),
                     here[short].sum(axis=0) + there[~short].sum(axis=0)]).T  # fmt: skip
    idle = np.abs(sides[[0, -1]]).max(axis=0) < SMALL
    if idle.sum() == 1:
        return np.where(idle, 0.0, sides.sum(axis=1, keepdims=True))
    return sides


def _readable(steps: list[Step], target: Array, weight: Array) -> tuple[Step, ...]:
    """Return at most `MOST` steps with the same sum, the largest first."""
    first = [step for step in steps if step.name == THROUGH_ZERO]
    last = [step for step in steps if step.name == RESIDUAL]
    between = [step for step in steps if step.name not in (THROUGH_ZERO, RESIDUAL)]
    if len(between) > MOST:
        between = _families(between)
    start = np.sum([target, *(step.move for step in first)], axis=0)
    between = _net(between, start, REACH * max(float(np.abs([target, start, weight]).max()), SMALL))
    room = MOST - len(first) - len(last)
    small = [step for step in between if step.size < SMALL and not step.opposing]
    large = [step for step in between if step not in small]
    if len(large) + bool(small) > room:
        large, small = large[: room - 1], large[room - 1 :] + small
    other = [_together(f"{len(small)} others" if len(small) > 1 else small[0].name, small)] if small else []
    return (*first, *large, *other, *last)


def _families(steps: list[Step]) -> list[Step]:
    """Return steps in which the rules that there is one of for each symbol are taken together."""
    members: dict[str, list[Step]] = {}
    for step in steps:
        members.setdefault(FAMILY.sub(r"\1.*\3", step.name), []).append(step)
    return [
        _together(f"{name} ({len(some)} rules)", some) if len(some) > 1 else some[0] for name, some in members.items()
    ]


def _net(steps: list[Step], start: Array, reach: float) -> list[Step]:
    """Return steps by size, as many of the largest as one step as it takes for the walk to stay within reach."""
    steps = sorted(steps, key=_by_size)
    walk = steps
    for count in range(2, len(steps) + 1):
        if np.abs(np.cumsum([start, *(step.move for step in walk)], axis=0)).max() <= reach:
            break
        walk = sorted([_opposing(steps[:count]), *steps[count:]], key=_by_size)
    return walk


def _by_size(step: Step) -> float:
    return -step.size


def _opposing(steps: Sequence[Step]) -> Step:
    taker, giver = max(steps, key=lambda step: step.taken), min(steps, key=lambda step: step.taken)
    more = " and others" if len(steps) > 2 else ""
    return _together(f"{taker.name} against {giver.name}{more}", steps, opposing=True)


def _together(name: str, steps: Sequence[Step], *, opposing: bool = False) -> Step:
    rules = {rule: move for step in steps for rule, move in step.rules.items()}
    return Step(name, rules, np.sum([step.move for step in steps], axis=0), opposing)
