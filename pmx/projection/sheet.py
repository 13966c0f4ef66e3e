"""The day's inputs laid out over a frame, the numbers that compiled code writes from them, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, overload

import numpy as np

from pmx.projection.frame import GATES, Frame
from pmx.projection.program import Array, Index, Point, Program, RuleRecord


class Ledger(Sequence[RuleRecord]):
    """The rules of one program, with the limits of the day; written when they are asked for.

    Attributes
    ----------
    frame : Frame
        The rules.
    clamp, room, bounds : arrays
        As in :class:`Sheet`.
    """

    def __init__(self, frame: Frame, clamp: Array, previous: Array, room: Array, bounds: tuple[Array, Array]) -> None:
        self.frame, self.clamp, self.room, self.bounds = frame, clamp, room, bounds
        self._previous = previous

    def __len__(self) -> int:
        return len(self.frame.records)

    @overload
    def __getitem__(self, i: int) -> RuleRecord: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[RuleRecord, ...]: ...
    def __getitem__(self, i: int | slice) -> RuleRecord | tuple[RuleRecord, ...]:
        if isinstance(i, slice):
            return tuple(self.record(k) for k in range(len(self))[i])
        return self.record(range(len(self))[i])

    def __iter__(self) -> Iterator[RuleRecord]:
        return iter([self.record(i) for i in range(len(self))])

    def record(self, i: int) -> RuleRecord:
        """Return one rule, with the limits of the day."""
        rule, law = self.frame.records[i], self.frame.law
        if i not in self.frame.varying:
            return rule
        if rule.kind == "row":
            bucket = int(law.rule_clamp[int(np.flatnonzero(law.rule_number == i)[0])])
            return replace(rule, hi=float(self.clamp[bucket]))
        members = rule.members
        lower = rule.member_lower
        if i == law.bounds_rule:
            lower, upper = self.bounds
        elif law.gate_rule[members[0]] == i:
            held = np.maximum(self._previous[members], 0.0)
            upper = held if law.gate[members[0]] == GATES["reduce_only"] else np.zeros(len(members))
        else:
            lower = self._previous[members] - self.room[members]
            upper = self._previous[members] + self.room[members]
        return replace(rule, member_upper=upper, member_lower=lower)


class Numbers(NamedTuple):
    """What :func:`pmx.projection.kernels.writing.write_numbers` returns; its docstring says which row is which.

    Attributes
    ----------
    positions, owners : array, shape (7, n) and (3, n)
    limits, limit_owners : array, shape (3, K) and (2, K)
    turnover_penalty : float
    """

    positions: Array
    owners: Index
    limits: Array
    limit_owners: Index
    turnover_penalty: float


class Sheet(NamedTuple):
    """A frame and the inputs of the day, laid out for compiled code.

    Attributes
    ----------
    frame : Frame
        Which rules there are.
    sign, target : array, shape (n,)
        As in :class:`Inputs`.
    distance : array, shape (n,) or (0,)
        The metric where the covariance sets it.
    held, room, least, most : array, shape (n,) or (0,)
        Holdings, largest trades and bounds; empty where there are none.
    clamp : array, shape (n_buckets,)
        Bound of each bucket's clamp; inf where there is none.
    """

    frame: Frame
    sign: Array
    target: Array
    distance: Array
    held: Array
    clamp: Array
    room: Array
    least: Array
    most: Array

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Everything but the frame."""
        return self[1:]

    def program(self, numbers: Numbers) -> Program:
        """Return the program whose numbers compiled code has written."""
        positions, owners, limits, limit_owners, turnover_penalty = numbers
        distance, previous, cost, lower, upper, floor, floor_penalty = positions
        lower_owner, upper_owner, floor_owner = owners
        lo, hi, penalty = limits
        lo_owner, hi_owner = limit_owners
        ledger = Ledger(self.frame, self.clamp, previous, self.room, (self.least, self.most))
        turnover_max = self.frame.law.turnover_max if len(self.held) else np.inf
        return Program(
            self.sign, self.target, distance, previous, cost, lower, upper, lower_owner, upper_owner,
            floor, floor_penalty, floor_owner, self.frame.shown, lo, hi, lo_owner, hi_owner, penalty,
            turnover_max, turnover_penalty, (), ledger,
        )  # fmt: skip


class Solved:
    """A program and its solution; the program is spelled out when it is first asked for.

    Parameters
    ----------
    point : Point
        The solution.
    sheet, numbers : Sheet and Numbers, optional
        What the program is written in.
    program : Program, optional
        The program, where it is there already.
    """

    __slots__ = ("_program", "numbers", "point", "sheet")

    def __init__(
        self, point: Point, sheet: Sheet | None = None, numbers: Numbers | None = None, program: Program | None = None
    ) -> None:
        self.point, self.sheet, self.numbers, self._program = point, sheet, numbers, program

    @property
    def program(self) -> Program:
        """The program."""
        if self._program is None:
            assert self.sheet is not None
            assert self.numbers is not None
            self._program = self.sheet.program(self.numbers)
        return self._program
