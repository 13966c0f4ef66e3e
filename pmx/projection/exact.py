r"""Linear inequalities in rational arithmetic: a point that obeys them all, or multipliers that prove there is none.

The simplex method for feasibility alone. Every row :math:`r_k = a_k s` is a variable with limits of its own, basic at
the start. While a basic variable is outside its limits, another one that can still move takes its place; if none can,
the row that says so is the proof. The largest gap and the largest coefficient are taken; after many steps the first in
a fixed order, which makes it end.

References
----------
Dutertre and de Moura (2006), "A fast linear-arithmetic solver for DPLL(T)", CAV, section 3. Bland (1977), "New finite
pivoting rules for the simplex method".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

#: A limit; None where there is none.
Bound = Fraction | None
ZERO = Fraction(0)
#: Steps, in numbers of variables, before candidates are taken in order.
PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """Exactly one of the two.

    Attributes
    ----------
    point : list of Fraction, or None
        Values that obey every limit.
    multipliers : list of Fraction, or None
        One for each row, positive on its upper and negative on its lower limit. Weighted by them, the rows ask for
        more than any point within the bounds can give.
    """

    point: list[Fraction] | None = None
    multipliers: list[Fraction] | None = None


def decide(
    rows: Sequence[Sequence[Fraction]],
    lo: Sequence[Bound],
    hi: Sequence[Bound],
    lower: Sequence[Bound],
    upper: Sequence[Bound],
    start: Sequence[Fraction] | None = None,
) -> Decision:
    """Decide whether ``lo ≤ rows · s ≤ hi`` with ``lower ≤ s ≤ upper`` has a solution.

    Parameters
    ----------
    rows : sequence of sequences, shape (K, n)
        Coefficients.
    lo, hi : sequences, length K
        Limits of the rows; ``lo ≤ hi``.
    lower, upper : sequences, length n
        Bounds of the variables; ``lower ≤ upper``.
    start : sequence, length n, optional
        Where to begin; a point that nearly obeys, or overruns but the rows that clash, saves most of the work.

    Examples
    --------
    >>> one = Fraction(1)
    >>> decide([[one, one]], [Fraction(3)], [None], [ZERO, ZERO], [one, one]).multipliers
    [Fraction(-1, 1)]
    >>> decide([[one, one]], [Fraction(2)], [None], [ZERO, ZERO], [one, one]).point
    [Fraction(1, 1), Fraction(1, 1)]
    """
    return _Tableau(rows, [*lower, *lo], [*upper, *hi], start).decide()


class _Tableau:
    """Basic variables as sums of the others; rows follow the ``n`` variables in numbering."""

    def __init__(
        self,
        rows: Sequence[Sequence[Fraction]],
        lower: list[Bound],
        upper: list[Bound],
        start: Sequence[Fraction] | None,
    ) -> None:
        self.n, self.size = len(lower) - len(rows), len(lower)
        self.lower, self.upper = lower, upper
        self.basic = {self.n + k: {j: a for j, a in enumerate(row) if a} for k, row in enumerate(rows)}
        guess = [ZERO] * self.n if start is None else start
        self.value = [self._within(j, guess[j]) for j in range(self.n)]
        self.value += [sum((a * self.value[j] for j, a in row.items()), ZERO) for row in self.basic.values()]

    def _within(self, j: int, value: Fraction) -> Fraction:
        low, high = self.lower[j], self.upper[j]
        value = value if low is None or value >= low else low
        return value if high is None or value <= high else high

    def decide(self) -> Decision:
        step = 0
        while True:
            step += 1
            short = {i: gap for i in self.basic if (gap := self._within(i, self.value[i]) - self.value[i])}
            if not short:
                return Decision(point=self.value[: self.n])
            in_order = step > PATIENCE * self.size
            leaving = min(short) if in_order else max(short, key=lambda i: abs(short[i]))
            row, gap = self.basic[leaving], short[leaving]
            able = [j for j, a in row.items() if self._can_move(j, gap * a)]
            if not able:
                return Decision(multipliers=self._proof(leaving, gap))
            entering = min(able) if in_order else max(able, key=lambda j: abs(row[j]))
            self._exchange(leaving, entering, gap / row[entering])

    def _can_move(self, j: int, direction: Fraction) -> bool:
        limit = self.upper[j] if direction > 0 else self.lower[j]
        return limit is None or self.value[j] != limit

    def _exchange(self, leaving: int, entering: int, step: Fraction) -> None:
        """Move the entering variable by a step that puts the leaving one on its limit, and swap them."""
        row = self.basic.pop(leaving)
        a = row.pop(entering)
        self.value[leaving] += a * step
        self.value[entering] += step
        swapped = {j: -c / a for j, c in row.items()} | {leaving: 1 / a}
        for i, other in self.basic.items():
            c = other.pop(entering, None)
            if c is not None:
                self.value[i] += c * step
                for j, b in swapped.items():
                    total = other.get(j, ZERO) + c * b
                    if total:
                        other[j] = total
                    else:
                        other.pop(j, None)
        self.basic[entering] = swapped

    def _proof(self, stuck: int, short: Fraction) -> list[Fraction]:
        """Return the multipliers of the row of a variable that cannot come within its limits."""
        side = 1 if short > 0 else -1
        multipliers = [ZERO] * (self.size - self.n)
        for j, a in [(stuck, Fraction(-1)), *self.basic[stuck].items()]:
            if j >= self.n:
                multipliers[j - self.n] = side * a
        return multipliers
