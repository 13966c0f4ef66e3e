"""The search for the nearest whole-lot portfolio: a mixed-integer linear problem in lots away from the weights.

What a position is away from its weight is convex in its number of lots. Written as lots below the weight, the one lot
that crosses it, and lots above, its linear relaxation is the best there is for each position alone, so that only the
rules that positions share are left to branch on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmx.errors import SolverError

if TYPE_CHECKING:
    from pmx.portfolio.lots import LinearRules, LotGrid, Trading

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: A count this close to a whole number is that number: counts come from divisions.
ROUNDING = 1e-9
#: Tolerance of the solver on a row, fraction of NAV: coarser than that of hard rules, so its answer is checked.
SEARCH_TOLERANCE = 1e-6
#: How much less cash counts than positions: of portfolios as near as each other, that which holds less above weight.
CASH_DISCOUNT = 1e-4

#: When the search stops: the distance is within this share of the least, or within a tenth of a basis point of NAV of
#: it, or so many subproblems were solved.
RELATIVE_GAP = 1e-4
GAP = 1e-5
NODES = 500

_INFEASIBLE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search found.

    Attributes
    ----------
    u : array, shape (n,), unsigned fraction of NAV
        The portfolio.
    bound : float, fraction of NAV
        No portfolio that obeys the same rows is nearer.
    """

    u: Array
    bound: float


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """The ways in which positions can leave where they start, a column for each.

    Attributes
    ----------
    start : array, shape (n,), unsigned fraction of NAV
        Where positions are when no column moves.
    position : array of int, shape (C,)
        Whose move each column is.
    step : array, shape (C,), fraction of NAV
        What one unit of the column adds to the position.
    price : array, shape (C,), fraction of NAV
        What it adds to the distance.
    most : array, shape (C,)
        Greatest number of units.
    whole : array of bool, shape (C,)
        Whether units are whole.
    """

    start: Array
    position: Index
    step: Array
    price: Array
    most: Array
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, grid: LotGrid, rules: LinearRules, target: Array) -> Moves | None:
        """Return the moves within the bounds; None where a position has no place within them."""
        unit = np.where(grid.free, grid.unit, 0.0)
        lots = grid.whole & (unit > 0.0)
        low, high = np.maximum(rules.lower, 0.0), rules.upper
        least, most = _counts(low, unit, lots, np.ceil, -ROUNDING), _counts(high, unit, lots, np.floor, ROUNDING)
        fixed = np.where(np.isnan(grid.stay), 0.0, grid.stay)
        astray = (unit == 0.0) & ((fixed < low - ROUNDING) | (fixed > high + ROUNDING))
        if (least > most).any() or (low > high).any() or astray.any():
            return None
        count = np.clip(_counts(target, unit, lots, np.floor, ROUNDING), least, most)
        loose = (unit > 0.0) & ~lots
        start = np.where(lots, count * unit, np.where(loose, np.clip(target, low, high), fixed))
        beyond = np.ceil(1.0 / np.where(lots, unit, 1.0)) + 1.0  # a whole NAV more than anything needs
        crossing = np.abs(start + unit - target) - np.abs(start - target)
        parts = [
            (lots, -unit, unit, count - least, True),
            (lots, unit, crossing, np.minimum(most - count, 1.0), True),
            (lots, unit, unit, np.minimum(most - count - 1.0, beyond), True),
            (loose, -unit, unit, start - low, False),
            (loose, unit, unit, np.minimum(high - start, 2.0), False),
        ]
        columns = [
            (np.flatnonzero(rows & (room > 0.0)), step, price, room, whole) for rows, step, price, room, whole in parts
        ]
        return cls(
            start,
            np.concatenate([at for at, *_ in columns]),
            np.concatenate([step[at] for at, step, *_ in columns]),
            np.concatenate([price[at] for at, _, price, *_ in columns]),
            np.concatenate([room[at] for at, _, _, room, _ in columns]),
            np.concatenate([np.full(len(at), whole) for at, *_, whole in columns]),
        )


def _counts(weights: Array, unit: Array, lots: NDArray[np.bool_], rounding: Any, slack: float) -> Array:
    """Return weights as whole numbers of lots, 0 where there are none."""
    count = np.divide(weights, unit, out=np.zeros_like(weights), where=lots)
    return np.asarray(rounding(count + slack), dtype=np.float64)


def search(
    grid: LotGrid, rules: LinearRules, rows: Index, target: Array | None, trading: Trading | None, margin: float
) -> Found | None:
    r"""Return the nearest portfolio that obeys some rows and the bounds, or any where there is no target.

    .. math:: \min \sum_j |u_j - t_j| + \Bigl| \sum_j \sigma_j (u_j - t_j) \Bigr|

    Parameters
    ----------
    grid : LotGrid
        Where positions can be.
    rules : LinearRules
        The rows and bounds, and the limit on turnover.
    rows : array of int
        The rows that are obeyed.
    target : array, shape (n,), unsigned fraction of NAV, or None
        What to be near to.
    trading : Trading or None
        The cash there is for purchases and their costs; None where it does not matter.
    margin : float, fraction of NAV
        Room to spare that each row is given.

    Returns
    -------
    Found or None
        None where no portfolio obeys.

    Raises
    ------
    SolverError
        If the search ends without an answer.
    """
    # Deferred, because scipy.optimize takes longer to load than this package.
    from scipy.optimize import Bounds, LinearConstraint, milp

    wanted = np.zeros(grid.unit.size) if target is None else target
    moves = Moves.of(grid, rules, wanted)
    if moves is None or (rules.lo[rows] > rules.hi[rows] - 2.0 * margin).any():
        return None
    system = _System(moves, rules.sign)
    system.add(rules.A[rows], rules.lo[rows] + margin, rules.hi[rows] - margin)
    system.add_trading(rules, trading, margin)
    off = float(rules.sign @ (moves.start - wanted))
    system.add_distance(np.ones((1, rules.sign.size)) * rules.sign, np.array([-off]), 1.0 - CASH_DISCOUNT)
    A, lo, hi, price, most = system.finish(float(np.abs(moves.start - wanted).sum()))
    integer = np.concatenate([moves.whole, np.zeros(price.size - moves.whole.size, dtype=bool)])
    least = np.zeros_like(price)
    least[-1] = 1.0
    nearest = float(np.minimum(np.abs(moves.start - wanted), _beside(moves, wanted)).sum())
    gap = max(RELATIVE_GAP, min(GAP / max(nearest, GAP), 0.5))
    result = milp(
        price if target is not None else np.zeros_like(price),
        integrality=integer.astype(np.int8),
        bounds=Bounds(least, most),
        constraints=LinearConstraint(A, lo, hi),
        options={"time_limit": grid.seconds, "node_limit": NODES, "mip_rel_gap": gap},
    )
    if result.x is None:
        if result.status == _INFEASIBLE:
            return None
        raise SolverError(f"whole lots: the search ended without an answer ({result.message}); use smaller lots")
    moved = np.where(moves.whole, np.round(result.x[: moves.step.size]), result.x[: moves.step.size])
    u = moves.start + np.bincount(moves.position, weights=moved * moves.step, minlength=moves.start.size)
    bound = result.mip_dual_bound if integer.any() else result.fun
    u = np.where(grid.free & ~grid.whole, np.clip(u, np.maximum(rules.lower, 0.0), rules.upper), u)
    return Found(grid.snapped(np.maximum(u, 0.0)), max(float(bound or 0.0), 0.0))


def _beside(moves: Moves, target: Array) -> Array:
    """Return how far each position is from its target one move away from where it starts, at least; shape (n,)."""
    away = np.full(target.size, np.inf)
    np.minimum.at(away, moves.position, np.abs(moves.start[moves.position] + moves.step - target[moves.position]))
    return away


class _System:
    """Rows over the columns of moves, and over further columns that rows bring with them."""

    def __init__(self, moves: Moves, sign: Array) -> None:
        from scipy.sparse import csr_array

        self._moves, self._sign = moves, sign
        count = moves.step.size
        shape = (moves.start.size, count)
        self._steps = csr_array((moves.step, (moves.position, np.arange(count))), shape=shape)
        self._blocks: list[tuple[Any, Array, Array, list[tuple[Array, int]]]] = []
        self._prices: list[Array] = [moves.price]

    def add(self, A: Array, lo: Array, hi: Array, further: list[tuple[Array, int]] | None = None) -> None:
        """Add ``lo ≤ A u ≤ hi``, with coefficients on further columns beside."""
        from scipy.sparse import csr_array

        at_start = A @ self._moves.start
        self._blocks.append((csr_array(A) @ self._steps, lo - at_start, hi - at_start, further or []))

    def add_distance(self, A: Array, center: Array, price: float) -> int:
        """Add the columns ``e ≥ |A u − A start − center|`` at a price each; return where they begin."""
        first = sum(part.size for part in self._prices)
        count = center.size
        self._prices.append(np.full(count, price))
        from scipy.sparse import csr_array

        rows = csr_array(A) @ self._steps
        infinite = np.full(count, np.inf)
        self._blocks.append((rows, -infinite, center, [(-np.ones(count), first)]))
        self._blocks.append((rows, center, infinite, [(np.ones(count), first)]))
        return first

    def add_trading(self, rules: LinearRules, trading: Trading | None, margin: float) -> None:
        """Add the limit on turnover, where it is hard, and on the cash that purchases and costs may take."""
        start, sign = self._moves.start, self._sign
        if np.isfinite(rules.turnover_max) and rules.previous is not None:
            first = self.add_distance(np.eye(start.size), rules.previous - start, 0.0)
            half = np.full(start.size, 0.5)
            self._blocks.append((None, np.array([-np.inf]), np.array([rules.turnover_max - margin]), [(half, first)]))
        if trading is None:
            return
        costly = np.flatnonzero(trading.rate > 0.0)
        invested = float(sign @ start)
        beside: list[tuple[Array, int]] = []
        if costly.size:
            of_symbol = (trading.symbol[None, :] == costly[:, None]) * sign
            center = trading.held[costly] - of_symbol @ start
            beside = [(trading.rate[costly], self.add_distance(of_symbol, center, 0.0))]
        from scipy.sparse import csr_array

        spent = csr_array(sign[None, :]) @ self._steps
        self._blocks.append((spent, np.array([-np.inf]), np.array([trading.most - invested - margin]), beside))

    def finish(self, constant: float) -> tuple[Any, Array, Array, Array, Array]:
        """Return the matrix, its limits, and the price and greatest value of each column.

        The last column is the constant part of the distance, so that the solver's gap is a share of all of it.
        """
        from scipy.sparse import csr_array, hstack, vstack

        price = np.concatenate([*self._prices, [constant]])
        own = self._moves.step.size
        width = price.size - own
        blocks = []
        for rows, lo, _, further in self._blocks:
            count = lo.size
            left = csr_array((count, own)) if rows is None else rows
            right = csr_array((count, width))
            for values, first in further:
                at = np.arange(values.size) + first - own
                line = np.arange(values.size) if values.size == count else np.zeros(values.size, dtype=np.intp)
                right = right + csr_array((values, (line, at)), shape=(count, width))
            blocks.append(hstack([left, right]))
        lo = np.concatenate([lo for _, lo, _, _ in self._blocks])
        hi = np.concatenate([hi for _, _, hi, _ in self._blocks])
        most = np.concatenate([self._moves.most, np.full(width - 1, np.inf), [1.0]])
        return csr_array(vstack(blocks)), lo, hi, price, most
