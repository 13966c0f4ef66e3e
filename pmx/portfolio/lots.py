"""Whole lots: exact quantities, rounding, and the nearest whole-lot portfolio that obeys linear rules."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from pmx.arguments import checked, require_shape
from pmx.errors import DataError, SolverError
from pmx.portfolio.lot_search import ROUNDING, SEARCH_TOLERANCE, Found, search

__all__ = ["ROUNDING", "SEARCH_TOLERANCE", "Found", "LinearRules", "LotGrid", "Trading", "distance", "exact"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: A weight beyond this is a mistake.
LARGEST_WEIGHT = 1e9


def exact(units: float) -> Decimal:
    """Return a quantity as the decimal number that its shortest text shows.

    Examples
    --------
    >>> exact(0.1) * 3, float(exact(0.1) * 3), 0.1 * 3
    (Decimal('0.3'), 0.3, 0.30000000000000004)
    """
    return Decimal(repr(float(units)))


@dataclass(frozen=True, slots=True, eq=False)
class LinearRules:
    """Linear rules on unsigned weights ``u``: ``lo ≤ A u ≤ hi``, ``lower ≤ u ≤ upper``, ``½ Σ|u − p| ≤ max``.

    Attributes
    ----------
    names : tuple of str, length K
        One for each row.
    A : array, shape (K, n)
        Coefficients.
    lo, hi : array, shape (K,), fraction of NAV
        ±inf where there is none.
    hard : array of bool, shape (K,)
        Rows that may never be exceeded.
    lower, upper : array, shape (n,), fraction of NAV
        Bounds of each position.
    sign : array, shape (n,)
        Signed weight = ``sign · u``.
    previous : array, shape (n,), or None
        What turnover is counted from, along ``sign``.
    turnover_max : float, fraction of NAV
        A hard limit on turnover; inf where there is none.
    """

    names: tuple[str, ...]
    A: Array
    lo: Array
    hi: Array
    hard: Mask
    lower: Array
    upper: Array
    sign: Array
    previous: Array | None = None
    turnover_max: float = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Trading:
    """What purchases and their costs may take of NAV.

    Attributes
    ----------
    symbol : array of int, shape (n,)
        Which symbol each position is in.
    held : array, shape (n_symbols,), signed fraction of NAV
        What is held of each symbol, over all buckets.
    rate : array, shape (n_symbols,)
        Cost of one side, fraction of the traded value.
    most : float, fraction of NAV
        Greatest sum of signed weights and costs.
    fixed : float, fraction of NAV
        Costs that are paid in any case, which ``most`` leaves room for.
    """

    symbol: Index
    held: Array
    rate: Array
    most: float
    fixed: float = 0.0

    def costs(self, weights: Array) -> float:
        """Return what it costs to get to signed weights, shape (n,), netted by symbol; fraction of NAV."""
        after = np.bincount(self.symbol, weights=weights, minlength=self.held.size)
        return float(self.rate @ np.abs(after - self.held))

    def excess(self, weights: Array) -> float:
        """Return by how much signed weights and the costs to get there take more than they may; fraction of NAV."""
        return float(weights.sum()) + self.costs(weights) - self.most


@checked
@dataclass(frozen=True, eq=False)
class LotGrid:
    """The sizes that positions can take: whole multiples of a lot, any size, or what they are now.

    Attributes
    ----------
    unit : array, shape (n,), fraction of NAV
        Value of one lot; 1 where any size will do; 0 where nothing can be held.
    whole : array of bool, shape (n,)
        Whether the position comes in whole lots.
    stay : array, shape (n,), unsigned fraction of NAV
        Where a position is left as it is held; NaN where it is free. None where all are.
    seconds : float
        Longest search, as a last resort: it ends by itself after a number of steps.

    Examples
    --------
    >>> grid = LotGrid(unit=np.array([0.03, 1.0]), whole=np.array([True, False]))
    >>> grid.toward_zero(np.array([0.1, -0.25])).round(9).tolist()
    [0.09, -0.25]
    """

    unit: Array
    whole: Mask
    stay: Array = field(default_factory=lambda: np.zeros(0))
    seconds: float = 30.0

    def __post_init__(self) -> None:
        require_shape("whole", self.whole, self.unit.shape, "one flag for each position")
        if self.stay.size == 0:
            object.__setattr__(self, "stay", np.full(self.unit.size, np.nan))

    @property
    def free(self) -> Mask:
        """Which positions are not left as they are, shape (n,)."""
        return np.isnan(self.stay)

    @checked
    def snapped(self, u: Array) -> Array:
        """Return unsigned weights on the grid, of such as are there but for rounding, shape (n,)."""
        count = np.round(self._count(u))
        return np.where(self.free, np.where(self.whole, count * self.unit, u), self.stay)

    @checked
    def toward_zero(self, weights: Array) -> Array:
        """Return signed weights rounded toward zero to whole lots, shape (n,)."""
        count = self._count(weights)
        smaller = np.sign(count) * np.floor(np.abs(count) + ROUNDING)
        return self._left(np.where(self.whole, smaller * self.unit, weights), weights)

    @checked
    def toward(self, held: Array, weights: Array) -> Array:
        """Return signed weights rounded to whole lots in the direction of what is held, shape (n,)."""
        count = self._count(weights)
        require_shape("held", held, self.unit.shape, "one weight for each position of the grid")
        nearer = np.where(held < weights, np.floor(count + ROUNDING), np.ceil(count - ROUNDING))
        return self._left(np.where(self.whole, nearer * self.unit, weights), weights)

    @checked(elsewhere=["rules"])
    def nearest(
        self, rules: LinearRules, weights: Array, margin: float = 0.0, trading: Trading | None = None
    ) -> Found | None:
        r"""Return the nearest portfolio on the grid that obeys the hard rows and the bounds.

        .. math:: \min \sum_j |x_j - w_j| + \Bigl| \sum_j (x_j - w_j) \Bigr|

        over positions, and over cash, which is what they leave.

        Parameters
        ----------
        rules : LinearRules
            Those that are hard are obeyed.
        weights : array, shape (n,), signed fraction of NAV
            What to be near to.
        margin : float, fraction of NAV
            Room to spare that each row is given.
        trading : Trading, optional
            What purchases and their costs may take.

        Returns
        -------
        Found or None
            None where no portfolio on the grid obeys.

        Raises
        ------
        SolverError
            If the search ends without an answer.
        """
        _require_rules(rules)
        require_shape("weights", weights, self.unit.shape, "one weight for each position of the grid")
        if not (np.abs(weights) <= LARGEST_WEIGHT).all():
            raise DataError(f"a weight is {np.abs(weights).max()}, beyond {LARGEST_WEIGHT:g} times NAV; correct it")
        return search(self, rules, np.flatnonzero(rules.hard), rules.sign * weights, trading, margin)

    @checked(elsewhere=["rules"])
    def conflict(self, rules: LinearRules, trading: Trading | None = None) -> tuple[str, ...]:
        """Return a minimal set of hard rows that no portfolio on the grid obeys together within the bounds.

        To be asked where `nearest` finds nothing. Empty where the bounds alone leave no room. A row stays in the
        set where the search does not show that it can go.
        """
        _require_rules(rules)
        rows = np.flatnonzero(rules.hard)
        for row in rows.tolist():
            others = rows[rows != row]
            try:
                redundant = search(self, rules, others, None, trading, 0.0) is None
            except SolverError:
                redundant = False
            rows = others if redundant else rows
        return tuple(rules.names[row] for row in rows.tolist())

    def _count(self, weights: Array) -> Array:
        require_shape("weights", weights, self.unit.shape, "one weight for each position of the grid")
        return np.divide(weights, self.unit, out=np.zeros_like(weights), where=self.unit > 0.0)

    def _left(self, rounded: Array, weights: Array) -> Array:
        """Return rounded weights, but for positions that are left as they are."""
        side = np.where(weights < 0.0, -1.0, 1.0)
        return np.where(self.free, rounded, side * np.nan_to_num(self.stay))


def distance(weights: Array, wanted: Array) -> float:
    """Return how far signed weights are from others, over positions and the cash that they leave; fraction of NAV.

    Half of it is the turnover between the two.

    Examples
    --------
    >>> distance(np.array([0.3, 0.1]), np.array([0.25, 0.25])).__round__(9)
    0.3
    """
    away = weights - wanted
    return float(np.abs(away).sum()) + abs(float(away.sum()))


def _require_rules(rules: object) -> None:
    """Raise unless something has what `LinearRules` has; any record with these arrays will do."""
    missing = [part.name for part in fields(LinearRules) if part.name != "names" and not hasattr(rules, part.name)]
    if missing or isinstance(rules, type):
        raise DataError(f"rules are a {type(rules).__name__} without {', '.join(missing)}; give LinearRules")
