"""Whole lots: rounding, and the nearest whole-lot portfolio that obeys linear rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmx.errors import SolverError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A count this close below a whole number is that number: counts come from divisions.
ROUNDING = 1e-9

#: Tolerance of the search on a row, fraction of NAV: coarser than that of hard rules, so its answer is checked.
SEARCH_TOLERANCE = 1e-6

_RELATIVE_GAP = 0.01
_INFEASIBLE = 2


@dataclass(frozen=True, slots=True, eq=False)
class LinearRules:
    """Linear rules on unsigned weights ``u``: ``lo ≤ A u ≤ hi`` and ``lower ≤ u ≤ upper``.

    Attributes
    ----------
    names : tuple of str, length K
        One for each row.
    A : array, shape (K, n)
        Coefficients.
    lo, hi : array, shape (K,), fraction of NAV
        ±inf where there is none.
    hard : array of bool, shape (K,)
        Rows that may never give way.
    lower, upper : array, shape (n,), fraction of NAV
        Bounds of each position.
    sign : array, shape (n,)
        Signed weight = ``sign · u``.
    """

    names: tuple[str, ...]
    A: Array
    lo: Array
    hi: Array
    hard: Mask
    lower: Array
    upper: Array
    sign: Array


@dataclass(frozen=True, eq=False)
class LotGrid:
    """The sizes that positions can take: whole multiples of a lot, or any size.

    Attributes
    ----------
    unit : array, shape (n,), fraction of NAV
        Value of one lot; 1 where any size will do; 0 where nothing can be held.
    whole : array of bool, shape (n,)
        Whether the position comes in whole lots.
    seconds : float
        Longest search.

    Examples
    --------
    >>> grid = LotGrid(unit=np.array([0.03, 1.0]), whole=np.array([True, False]))
    >>> grid.toward_zero(np.array([0.1, -0.25])).round(9).tolist()
    [0.09, -0.25]
    """

    unit: Array
    whole: Mask
    seconds: float = 30.0

    def toward_zero(self, weights: Array) -> Array:
        """Return signed weights rounded toward zero to whole lots, shape (n,)."""
        count = self._count(weights)
        smaller = np.sign(count) * np.floor(np.abs(count) + ROUNDING)
        return np.where(self.whole, smaller * self.unit, weights)

    def toward(self, held: Array, weights: Array) -> Array:
        """Return signed weights rounded to whole lots in the direction of what is held, shape (n,)."""
        count = self._count(weights)
        nearer = np.where(held < weights, np.floor(count + ROUNDING), np.ceil(count - ROUNDING))
        return np.where(self.whole, nearer * self.unit, weights)

    def nearest(self, rules: LinearRules, weights: Array, margin: float = 0.0) -> Array | None:
        r"""Return the nearest portfolio on the grid that obeys the hard rows and the bounds.

        .. math:: \min_{k} \sum_j |\text{unit}_j k_j - u_j| \quad \text{s.t.} \quad
                  lo \le A\,(\text{unit} \cdot k) \le hi, \; lower \le \text{unit} \cdot k \le upper

        a mixed-integer linear problem, :math:`k_j` whole where the position is, solved until the total distance
        is within 1 % of the least.

        Parameters
        ----------
        rules : LinearRules
            Those that are hard are obeyed.
        weights : array, shape (n,), signed fraction of NAV
            What to be near to.
        margin : float, fraction of NAV
            Room to spare that each row is given.

        Returns
        -------
        array, shape (n,), signed fraction of NAV, or None
            None where no portfolio on the grid obeys. Rows may be overrun by `SEARCH_TOLERANCE`; a margin of
            that size prevents it.

        Raises
        ------
        SolverError
            If the search ends without an answer, after ``seconds`` for one.
        """
        u = self._search(rules, np.flatnonzero(rules.hard), rules.sign * weights, margin)
        return None if u is None else rules.sign * u

    def conflict(self, rules: LinearRules) -> tuple[str, ...]:
        """Return a minimal set of hard rows that no portfolio on the grid obeys together within the bounds.

        To be asked where `nearest` finds nothing. Empty where the bounds alone leave no room. A row stays in the
        set where the search does not show in time that it can go.
        """
        rows = np.flatnonzero(rules.hard)
        for row in rows.tolist():
            others = rows[rows != row]
            try:
                redundant = self._search(rules, others, None, 0.0) is None
            except SolverError:
                redundant = False
            rows = others if redundant else rows
        return tuple(rules.names[row] for row in rows.tolist())

    def _count(self, weights: Array) -> Array:
        return np.divide(weights, self.unit, out=np.zeros_like(weights), where=self.unit > 0.0)

    def _bounds(self, rules: LinearRules) -> tuple[Array, Array]:
        """Return the least and greatest count of each position, shape (n,)."""
        low, high = np.maximum(self._count(rules.lower), 0.0), self._count(rules.upper)
        low = np.where(self.whole, np.ceil(low - ROUNDING), low)
        high = np.where(self.whole, np.floor(high + ROUNDING), high)
        return low, high

    def _search(self, rules: LinearRules, rows: NDArray[np.intp], wish: Array | None, margin: float) -> Array | None:
        """Return unsigned weights that obey the rows, nearest to a wish if there is one; None if none do."""
        # Deferred, because scipy.optimize takes longer to load than this package.
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array, diags_array, eye_array, hstack, vstack

        n = self.unit.size
        low, high = self._bounds(rules)
        lo, hi = rules.lo[rows] + margin, rules.hi[rows] - margin
        if (low > high).any() or (lo > hi).any():
            return None
        A = csr_array(rules.A[rows] * self.unit)
        if wish is not None:  # n more variables, the distances: e ≥ unit k − wish, e ≥ wish − unit k
            unit, one = csr_array(diags_array(self.unit)), csr_array(eye_array(n))
            A = vstack([hstack([A, csr_array((rows.size, n))]), hstack([unit, one]), hstack([-unit, one])])
            lo, hi = np.concatenate([lo, wish, -wish]), np.concatenate([hi, np.full(2 * n, np.inf)])
            low, high = np.concatenate([low, np.zeros(n)]), np.concatenate([high, np.full(n, np.inf)])
        result = milp(
            np.concatenate([np.zeros(n), np.ones(low.size - n)]),
            integrality=np.concatenate([self.whole, np.zeros(low.size - n)]),
            bounds=Bounds(low, high),
            constraints=LinearConstraint(A, lo, hi),
            options={"time_limit": self.seconds, "mip_rel_gap": _RELATIVE_GAP},
        )
        if result.x is None:
            if result.status == _INFEASIBLE:
                return None
            raise SolverError(f"whole lots: the search ended without an answer ({result.message}); use smaller lots")
        count = result.x[:n]
        return np.asarray(np.where(self.whole, np.round(count), count) * self.unit)
