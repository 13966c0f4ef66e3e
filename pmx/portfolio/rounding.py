"""From weights to whole lots: the nearest portfolio that obeys every hard rule and leaves cash for its costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.errors import InfeasibleError, SolverError
from pmx.portfolio.lots import ROUNDING, SEARCH_TOLERANCE, LinearRules, LotGrid, Trading, distance

if TYPE_CHECKING:
    from pmx.portfolio.order_plan import SizableAllocation

Array = NDArray[np.float64]

#: Greatest excess over a hard rule, fraction of NAV.
TOLERANCE = 1e-9
#: An order smaller than this fraction of NAV is rounding of floating-point numbers, not trading.
DUST = 1e-12
#: How often a conic rule that is broken may bring one more tangent: more often where a search is short.
TANGENTS = (8, 20)
SHORT_SEARCH = 100
#: What is spent beyond the cash that there is, when purchases and costs take more.
CASH = "cash for costs"


@dataclass(frozen=True, eq=False)
class Limits:
    """What whole lots must obey: the hard rules of an allocation, and the cash for purchases and costs.

    Attributes
    ----------
    allocation : Allocation
        Its hard rules.
    trading : Trading
        Cash and costs.
    """

    allocation: SizableAllocation
    trading: Trading

    def broken(self, weights: Array) -> dict[str, float]:
        """Return by how much signed weights break which limits, fraction of NAV; shape (n,)."""
        positions = pd.Series(weights, index=self.allocation.positions.index)
        broken = {str(rule): by for rule, by in self.allocation.violations(positions).items() if by > TOLERANCE}
        excess = self.trading.excess(weights)
        return broken if excess <= DUST else {**broken, CASH: excess}


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """Weights in whole lots.

    Attributes
    ----------
    grid : LotGrid
        On which they are.
    weights : array, shape (n,), signed fraction of NAV
        What each position holds.
    least_distance : float, fraction of NAV
        No portfolio on the grid that obeys is nearer.
    """

    grid: LotGrid
    weights: Array
    least_distance: float


def rounded(limits: Limits, grid: LotGrid, wanted: Array, held: Array) -> Rounded:
    """Return the nearest weights on a grid that obey every limit.

    Parameters
    ----------
    limits : Limits
        What is obeyed.
    grid : LotGrid
        The sizes that positions can take. A position that it leaves as it is held is let go where no portfolio obeys
        otherwise.
    wanted, held : array, shape (n,), signed fraction of NAV
        What to be near to, and what is held.

    Returns
    -------
    Rounded

    Raises
    ------
    InfeasibleError
        If no portfolio on the grid obeys; it names the limits that cannot hold together.
    SolverError
        If none is found, though none of the linear limits forbids it.
    """
    there = grid.toward_zero(wanted)
    if float(np.abs(there - wanted).max(initial=0.0)) <= DUST and not limits.broken(there):
        return Rounded(grid, there, 0.0)
    if not (grid.whole & (grid.unit > 0.0)).any():
        fewer = _fewer_purchases(limits.trading, wanted, held)
        if not limits.broken(fewer):
            return Rounded(grid, fewer, 0.0)
    stopped, least = None, 0.0
    broken = tuple(limits.broken(there))
    try:
        grid, nearest, broken = _searched(limits, grid, wanted)
        if not broken:
            return nearest
        least = nearest.least_distance
    except SolverError as error:
        stopped = error
    within = _within(limits.allocation.linear_rules(), wanted)
    for start in (grid.toward(held, within), grid.toward_zero(within)):
        if not limits.broken(start):
            return Rounded(grid, _filled(limits, grid, wanted, start), least)
    raise SolverError(
        f"no whole-lot portfolio found that obeys {', '.join(broken)}; use smaller lots, or leave that rule some room"
    ) from stopped


def _searched(limits: Limits, grid: LotGrid, wanted: Array) -> tuple[LotGrid, Rounded, tuple[str, ...]]:
    """Return the nearest portfolio that obeys the linear rules, and what it breaks all the same: nothing, mostly.

    A conic rule takes part by its tangents: at the weights, and where an answer breaks it.
    """
    index = limits.allocation.positions.index
    points = [pd.Series(wanted, index=index)]
    most = TANGENTS[len(wanted) <= SHORT_SEARCH]
    while True:
        rules = limits.allocation.linear_rules(points)
        found = grid.nearest(rules, wanted, trading=limits.trading)
        if found is None and not grid.free.all():
            grid = replace(grid, stay=np.where(_between_lots(grid, rules), grid.stay, np.nan))
            found = grid.nearest(rules, wanted, trading=limits.trading)
        if found is None:
            raise _infeasible(limits, grid, rules, wanted)
        weights = rules.sign * found.u
        broken = limits.broken(weights)
        worst = max(broken.values(), default=0.0)
        if 0.0 < worst <= 10.0 * SEARCH_TOLERANCE:  # no more than the solver's tolerance, added up
            spared = grid.nearest(rules, wanted, max(SEARCH_TOLERANCE, 2.0 * worst), limits.trading)
            if spared is not None and not limits.broken(rules.sign * spared.u):
                weights, broken = rules.sign * spared.u, {}
        points.append(pd.Series(weights, index=index))
        more = len(limits.allocation.linear_rules(points).lo) > len(rules.lo)
        if not broken or not more or len(points) > most:
            return grid, Rounded(grid, weights, found.bound), tuple(broken)


def _within(rules: LinearRules, wanted: Array) -> Array:
    """Return signed weights moved into the bounds of single positions."""
    return np.asarray(rules.sign * np.clip(rules.sign * wanted, rules.lower, rules.upper))


def _filled(limits: Limits, grid: LotGrid, wanted: Array, start: Array) -> Array:
    """Return weights that obey, with a lot more wherever that is nearer and still obeys: the largest shares first."""
    side = np.where(wanted < 0.0, -1.0, 1.0)
    short = np.abs(wanted) - np.abs(start)
    share = np.divide(short, grid.unit, out=np.zeros_like(short), where=grid.unit > 0.0)
    weights = start
    for j in np.argsort(-share, kind="stable").tolist():
        if not (grid.whole[j] and grid.free[j] and share[j] > ROUNDING):
            continue
        trial = weights.copy()
        trial[j] += side[j] * grid.unit[j]
        if distance(trial, wanted) < distance(weights, wanted) and not limits.broken(trial):
            weights = trial
    return weights


def _fewer_purchases(trading: Trading, wanted: Array, held: Array) -> Array:
    """Return weights of any size with every purchase cut in proportion, so that costs can be paid."""
    excess = trading.excess(wanted)
    after = np.bincount(trading.symbol, weights=wanted, minlength=trading.held.size)
    buys = (after > trading.held)[trading.symbol] & (wanted > held)
    spent = float(((wanted - held) * (1.0 + trading.rate[trading.symbol]))[buys].sum())
    if excess <= 0.0 or spent <= 0.0:
        return wanted
    kept = max(0.0, 1.0 - (excess + DUST) / spent)
    return np.where(buys, held + kept * (wanted - held), wanted)


def _between_lots(grid: LotGrid, rules: LinearRules) -> NDArray[np.bool_]:
    """Return which positions have no whole number of lots within their bounds, shape (n,)."""
    unit = np.where(grid.unit > 0.0, grid.unit, 1.0)
    least = np.ceil(np.maximum(rules.lower, 0.0) / unit - ROUNDING)
    return np.asarray(grid.whole & (least > np.floor(rules.upper / unit + ROUNDING)))


def odd_lots_left(
    grid: LotGrid, rules: LinearRules, wanted: Array, held: Array, odd: NDArray[np.bool_], alone: NDArray[np.bool_]
) -> Array:
    """Return what positions held in odd lots are left at, NaN where they are traded, unsigned, shape (n,).

    One is left where no whole number of lots lies within its bounds, and, if it is alone in its symbol, where none is
    nearer to its weight.
    """
    u, t = rules.sign * held, rules.sign * wanted
    unit = np.where(grid.unit > 0.0, grid.unit, 1.0)
    below = np.floor(t / unit + ROUNDING) * unit
    to_lot = np.minimum(t - below, below + unit - t)
    allowed = odd & (u >= 0.0) & (u >= rules.lower - TOLERANCE) & (u <= rules.upper + TOLERANCE)
    stays = allowed & ((alone & (np.abs(u - t) <= to_lot + DUST)) | _between_lots(grid, rules))
    return np.where(stays, u, np.nan)


def _infeasible(limits: Limits, grid: LotGrid, rules: LinearRules, wanted: Array) -> InfeasibleError:
    names = grid.conflict(rules, limits.trading)
    if grid.nearest(rules, wanted) is not None:
        names = (*names, CASH)
    broken = limits.broken(grid.toward_zero(wanted))
    names = names or tuple(broken) or ("the bounds of single positions",)
    worst = max(broken, key=broken.__getitem__, default="")
    toward_zero = f"rounding toward zero breaks {worst} by {broken[worst]:.3g} of NAV, and " if worst else ""
    return InfeasibleError(
        f"no whole-lot portfolio obeys {', '.join(names)}: {toward_zero}no other rounding helps; use smaller lots or "
        "more NAV",
        rules=names,
    )
