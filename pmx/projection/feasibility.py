"""Whether the hard linear rules of a program can hold together; the verdict is exact, and a refusal brings its proof.

Rules see positions only through sums over groups of equal columns, so that a program of any size shrinks to a few sums
within bounds. A small linear program guesses in floats: a point, or rows that clash. The guess is judged in rational
arithmetic, on the program's floats as they are; where it is neither, an exact simplex method decides.

Every limit is first moved out by ``CLASH``, those of single positions by that much all together. It is what an accepted
answer may overrun (see :mod:`pmx.projection.certificate`), and far more than rounding: as floats, 0.1 + 0.2 is more
than 0.3, which contradicts nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from pmx.projection.exact import ZERO, Bound, decide
from pmx.projection.farkas import (
    Weighted,
    dot,
    free_bounds,
    proof_of_bounds,
    proof_of_row,
    proof_of_rows,
    turnover_rule,
)
from pmx.projection.grouping import equal_columns
from pmx.projection.program import Array, Index, Program

#: Hard rules clash when no point obeys them all within this, in the units of :func:`unit_of_rows`.
CLASH = 1e-9
#: Multipliers of a proof are fractions with a denominator up to this, where such will do.
SIMPLE = 1000


def unit_of_rows(A: Array) -> Array:
    """Return what one weight counts on each row: its largest coefficient, at most 1; shape (K,)."""
    size = np.abs(A).max(axis=1, initial=0.0)
    return np.where(size > 0.0, np.minimum(size, 1.0), 1.0)


def hard_part(program: Program) -> Program:
    """Return the program without the limits of soft rules."""
    hard = np.isinf(program.penalty)
    return replace(
        program,
        lo=np.where(hard, program.lo, -np.inf),
        hi=np.where(hard, program.hi, np.inf),
        turnover_max=program.turnover_max if np.isinf(program.turnover_penalty) else np.inf,
    )


def only(program: Program, rules: Collection[int]) -> Program:
    """Return the program with the limits of some rules alone; ``u ≥ 0`` stays."""
    kept = np.zeros(len(program.rules) + 1, dtype=bool)
    kept[[*rules, -1]] = True  # the last place stands for −1, no rule
    lower, upper = free_bounds(program)
    return replace(
        program,
        lo=np.where(kept[program.lo_owner], program.lo, -np.inf),
        hi=np.where(kept[program.hi_owner], program.hi, np.inf),
        lower=np.where(kept[program.lower_owner], program.lower, lower),
        upper=np.where(kept[program.upper_owner], program.upper, upper),
        turnover_max=program.turnover_max if kept[turnover_rule(program)] else np.inf,
    )


def contradiction(program: Program) -> list[Weighted] | None:
    """Return a proof that the hard linear rules clash by more than ``CLASH``; None where they can hold together.

    The multipliers prove it of the limits as they are, and so all the more of the limits moved out.
    """
    program = hard_part(program)
    loose = _loosened(program)
    rows, bounds = loose.lo - loose.hi, loose.lower - loose.upper
    if rows.max(initial=-np.inf) > 0.0:
        return proof_of_row(program, int(np.argmax(rows)))
    if bounds.max(initial=-np.inf) > 0.0:
        return proof_of_bounds(program, int(np.argmax(bounds)))
    system = System.of(loose)
    y = system.clash() if len(system.rows) else None
    if y is None:
        return None
    price = y.pop() if loose.has_turnover_rule else ZERO
    return proof_of_rows(program, {int(k): m for k, m in zip(system.source, y, strict=True) if m}, price)


def _loosened(program: Program) -> Program:
    """Return the program with every limit of a rule moved out: bounds of positions by ``CLASH`` all together."""
    give, share = CLASH * unit_of_rows(program.A), CLASH / max(program.n, 1)
    lower, upper = free_bounds(program)
    return replace(
        program,
        lo=program.lo - give,
        hi=program.hi + give,
        lower=np.maximum(program.lower - share, lower),
        upper=np.minimum(program.upper + share, upper),
        turnover_max=program.turnover_max + CLASH,
    )


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A program through its sums over groups: ``lo ≤ rows · s ≤ hi``, ``lower ≤ s ≤ upper``.

    With a turnover rule there are two variables for each group, what it buys and what it sells in all; the rule is the
    last row.

    Attributes
    ----------
    rows : array, shape (K, m)
        Coefficients.
    source : array of int
        The program's row of each, but for turnover.
    unit : array, shape (K,)
        What one weight counts on each.
    lo, hi, lower, upper : list of Fraction or None
        Limits; None where there is none.
    """

    rows: Array
    source: Index
    unit: Array
    lo: list[Bound]
    hi: list[Bound]
    lower: list[Bound]
    upper: list[Bound]

    @classmethod
    def of(cls, program: Program) -> System:
        """Return the system of a program."""
        source = np.flatnonzero(np.isfinite(program.lo) | np.isfinite(program.hi))
        member, heads = equal_columns(program.A[source])
        rows, unit = heads.T, unit_of_rows(program.A[source])
        lo, hi = ([_bound(v) for v in limits[source].tolist()] for limits in (program.lo, program.hi))
        lower, upper = (_totals(bounds, member, len(heads)) for bounds in (program.lower, program.upper))
        if not program.has_turnover_rule:
            return cls(rows, source, unit, lo, hi, lower, upper)
        # From standing still, as far as bounds allow, turnover grows with what a group as a whole buys or sells.
        still = np.clip(program.previous, program.lower, program.upper)
        forced = dot(
            [0.5] * program.n, [abs(Fraction(a) - Fraction(b)) for a, b in zip(still, program.previous, strict=True)]
        )
        base = [total or ZERO for total in _totals(still, member, len(heads))]
        here = [dot(row, base) for row in rows.tolist()]
        width = len(heads)
        return cls(
            np.vstack([np.hstack([rows, -rows]), np.full(2 * width, 0.5)]),
            source,
            np.append(unit, 1.0),
            [*_less(lo, here), None],
            [*_less(hi, here), Fraction(program.turnover_max) - forced],
            [ZERO] * (2 * width),
            [*_less(upper, base), *(None if low is None else s - low for low, s in zip(lower, base, strict=True))],
        )

    def clash(self) -> list[Fraction] | None:
        """Return signed multipliers of the rows that prove a clash; None where a point obeys them all."""
        guess, prices = self._by_floats()
        start = None if guess is None else self._within(guess)
        if start is not None and self._holds(start):
            return None
        largest = float(np.abs(prices).max(initial=0.0))
        pressing = np.flatnonzero(np.abs(prices) > 1e-10 * largest)
        if start is not None and len(pressing):
            # Multipliers that people write by hand, if they will do; else the floats, if nothing must cancel exactly.
            floats = [Fraction(price / largest) if k in pressing else ZERO for k, price in enumerate(prices.tolist())]
            for y in ([price.limit_denominator(SIMPLE) for price in floats], floats):
                if self._proves(y):
                    return y
            # Sums with a clear price are on their bounds.
            clear = np.abs(self.rows.T @ prices) > 1e-6 * largest
            exact = self._decide(pressing, start, clear)
            if exact is not None and self._proves(exact):
                return exact
        return self._decide(np.arange(len(self.rows)), start)

    def _proves(self, y: list[Fraction]) -> bool:
        """Return whether multipliers of the rows prove a clash: no point within the bounds makes their sum small."""
        least = ZERO
        for m, low, high in zip(y, self.lo, self.hi, strict=True):
            limit = high if m > 0 else low
            if m and limit is None:
                return False
            least -= m * limit if m and limit is not None else ZERO
        for column, low, high in zip(self.rows.T.tolist(), self.lower, self.upper, strict=True):
            slope = dot(column, y)
            limit = high if slope < 0 else low
            if slope and limit is None:
                return False
            least += slope * limit if slope and limit is not None else ZERO
        return least > 0

    def _by_floats(self) -> tuple[Array | None, Array]:
        """Return the point with the least worst overrun of a row, where there is one, and the prices of the rows.

        It aims inside by half of ``CLASH``, so that a good point survives the exact check.
        """
        inside = 0.5 * CLASH * self.unit
        lo, hi = _floats(self.lo, -np.inf) + inside, _floats(self.hi, np.inf) - inside
        below, above = np.isfinite(lo), np.isfinite(hi)
        overrun = np.concatenate([self.unit[above], self.unit[below]])
        answer = linprog(
            np.append(np.zeros(self.rows.shape[1]), 1.0),
            A_ub=np.column_stack([np.vstack([self.rows[above], -self.rows[below]]), -overrun]),
            b_ub=np.concatenate([hi[above], -lo[below]]),
            bounds=[
                *zip(_floats(self.lower, -np.inf).tolist(), _floats(self.upper, np.inf).tolist(), strict=True),
                (0.0, np.inf),
            ],
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        prices = np.zeros(len(self.rows))
        if answer.x is None:
            return None, prices
        prices[above] -= answer.ineqlin.marginals[: above.sum()]
        prices[below] += answer.ineqlin.marginals[above.sum() :]
        return answer.x[:-1], prices

    def _within(self, guess: Array) -> list[Fraction]:
        """Return a guess as rationals within the bounds."""
        values = []
        for s, low, high in zip(map(Fraction, guess.tolist()), self.lower, self.upper, strict=True):
            least = s if low is None else max(s, low)
            values.append(least if high is None else min(least, high))
        return values

    def _holds(self, point: list[Fraction]) -> bool:
        """Return whether a point within the bounds obeys every row, exactly."""
        for row, low, high in zip(self.rows.tolist(), self.lo, self.hi, strict=True):
            value = dot(row, point)
            if (low is not None and value < low) or (high is not None and value > high):
                return False
        return True

    def _decide(
        self, rows: Index, start: list[Fraction] | None, fixed: NDArray[np.bool_] | None = None
    ) -> list[Fraction] | None:
        """Return multipliers that prove some rows to clash, zero on the others; None where those can hold together.

        ``fixed``: which sums stay where they start.
        """
        lower, upper = self.lower, self.upper
        if start is not None and fixed is not None:
            lower = [s if stay else low for s, low, stay in zip(start, lower, fixed, strict=True)]
            upper = [s if stay else high for s, high, stay in zip(start, upper, fixed, strict=True)]
        exact = [[Fraction(a) for a in row] for row in self.rows[rows].tolist()]
        lo, hi = [self.lo[k] for k in rows], [self.hi[k] for k in rows]
        found = decide(exact, lo, hi, lower, upper, start).multipliers
        if found is None:
            return None
        y = [ZERO] * len(self.rows)
        for k, m in zip(rows.tolist(), found, strict=True):
            y[k] = m
        return y


def _bound(value: float) -> Bound:
    return Fraction(value) if np.isfinite(value) else None


def _floats(bounds: list[Bound], none: float) -> Array:
    return np.array([none if b is None else float(b) for b in bounds])


def _less(bounds: list[Bound], values: list[Fraction]) -> list[Bound]:
    return [None if b is None else b - v for b, v in zip(bounds, values, strict=True)]


def _totals(values: Array, member: Index, groups: int) -> list[Bound]:
    """Return the exact sum of values over each group; None where one of them is infinite."""
    totals: list[Bound] = [ZERO] * groups
    for g, v in zip(member.tolist(), values.tolist(), strict=True):
        before = totals[g]
        totals[g] = before + Fraction(v) if before is not None and np.isfinite(v) else None
    return totals
