"""Where what was held was outside the rules: for how long, by how much, why, and when it was cured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.projection.held_rules import OUTSIDE, HeldRules
from pmx.projection.program import Array

Flags = NDArray[np.bool_]

#: Why weights were outside a rule.
DRIFT, WAITING, SUSPENDED, LAPSED = "drift", "waiting", "suspended", "lapsed order"
COSTS, LIMIT, DECISION = "costs", "limit", "decision"
#: A decision may exceed a hard rule by `OUTSIDE`; more than this beside it is no rounding.
ROUNDING = 1e-12
COLUMNS = ("rule", "hard", "first", "last", "days", "worst_excess", "cause", "cured", "days_to_cure")


class Unfilled(NamedTuple):
    """Orders that a close left without a trade.

    Attributes
    ----------
    weights : array, shape (n_slots,)
        What they were for, signed fractions of NAV; NaN where there was none.
    volatility : float or None
        Forecast volatility of what would be held with them filled; None where no rule limits it.
    """

    weights: Array
    volatility: float | None


@dataclass(frozen=True, eq=False)
class HeldDays:
    """What was held after each close's trades, and what stood in the way of holding something else.

    Attributes
    ----------
    dates : Index, length n_days
        The closes.
    weights : array, shape (n_days, n_slots)
        Signed fractions of NAV.
    costs : array, shape (n_days,)
        Costs of the trades at each close, fraction of the NAV after them; 0 where nothing was traded.
    scale : array, shape (n_days, n_buckets), or None
        Risk scales; None where nothing was scaled.
    volatility : array, shape (n_days,), or None
        Forecast volatility of the weights; None where no rule limits it.
    overdue, waiting, lapsed : mapping of day to Unfilled
        Orders that waited for a close, those of them whose symbol had missed no session of its own, and those that
        ended with a delisting; days without any are left out.
    decided : array, shape (n_decisions, n_slots)
        Decided weights.
    decided_scale : array, shape (n_decisions, n_buckets), or None
        Their risk scales.
    in_force : array of int, shape (n_days,)
        The decision whose orders were traded last; −1 before the first.
    """

    dates: pd.Index
    weights: Array
    costs: Array
    scale: Array | None
    volatility: Array | None
    overdue: dict[int, Unfilled]
    waiting: dict[int, Unfilled]
    lapsed: dict[int, Unfilled]
    decided: Array
    decided_scale: Array | None
    in_force: NDArray[np.intp]


def breaches(rules: HeldRules, days: HeldDays) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the breaches, and what they come to for each rule.

    Returns
    -------
    DataFrame
        One row a spell, as `pmx.backtest.BacktestResult.breaches`.
    DataFrame by rule
        ``days_outside`` (closes), ``max_excess_held`` (fraction of NAV; 0 where it was never outside).
    """
    excess = rules.excess(days.weights, days.scale, days.volatility)
    excess[days.in_force < 0] = -np.inf  # nothing was decided yet
    outside = excess > OUTSIDE
    held = {
        "days_outside": outside.sum(axis=0),
        "max_excess_held": np.maximum(np.where(outside, excess, 0.0).max(axis=0, initial=0.0), 0.0),
    }
    spells: list[tuple[Any, ...]] = []
    found = np.flatnonzero(held["days_outside"]).tolist()
    if found:
        causes = _causes(rules, days, outside)
        for rule in found:
            spells += _spells(rules, days, rule, excess[:, rule], causes[:, rule])
    names = pd.Index(list(rules.names), name="rule", dtype="str")
    return _table(sorted(spells, key=lambda spell: spell[2]), days.dates.dtype), pd.DataFrame(held, index=names)


def by_cause(spells: pd.DataFrame) -> pd.DataFrame:
    """Return one row a rule and cause: how often, how long and how far it was exceeded, and how long a cure took.

    Returns
    -------
    DataFrame by (rule, cause)
        ``hard``, ``spells``, ``days`` (closes), ``worst_excess`` and ``longest_to_cure`` (closes; missing where no
        spell was cured), hard rules first.
    """
    groups = spells.groupby(["rule", "cause"], sort=False)
    table = groups.agg(
        hard=("hard", "first"),
        spells=("days", "size"),
        days=("days", "sum"),
        worst_excess=("worst_excess", "max"),
        longest_to_cure=("days_to_cure", "max"),
    )
    return table.sort_values("hard", ascending=False, kind="stable")


def _active(rules: HeldRules, days: HeldDays) -> Flags:
    """Return which rules the decision in force had itself exceeded, shape (n_days, n_rules)."""
    if not len(days.decided):
        return np.zeros((len(days.dates), len(rules.names)), dtype=bool)
    exceeded = rules.excess(days.decided, days.decided_scale) > OUTSIDE + ROUNDING
    return exceeded[days.in_force] & (days.in_force >= 0)[:, None]


def _eased(rules: HeldRules, days: HeldDays) -> Flags:
    """Return which rules would hold under the limits of the close before, shape (n_days, n_rules)."""
    if days.scale is None:
        return np.zeros((len(days.dates), len(rules.names)), dtype=bool)
    before = np.vstack([days.scale[:1], days.scale[:-1]])
    then: Flags = rules.excess(days.weights, before, days.volatility) <= OUTSIDE
    return then


def _judged(rules: HeldRules, days: HeldDays, unfilled: dict[int, Unfilled]) -> tuple[Flags, Flags]:
    """Return where rules are exceeded with some orders filled, and where only costs are why, shape (n_days, n_rules).

    Costs are why where nothing would be exceeded had a close's trades cost nothing, and from then on as long as no more
    is exceeded than at that close, the costs of later trades apart, and no more than the latest trades cost.
    """
    uncharged = 1.0 / (1.0 + days.costs)  # NAV after costs ÷ NAV before
    weights, before = days.weights.copy(), days.weights * uncharged[:, None]
    volatility = None if days.volatility is None else days.volatility.copy()
    for day, orders in unfilled.items():
        some = np.isfinite(orders.weights)
        weights[day, some] = before[day, some] = orders.weights[some]
        if volatility is not None and orders.volatility is not None:
            volatility[day] = orders.volatility
    excess = rules.excess(weights, days.scale, volatility)
    free = rules.excess(before, days.scale, None if volatility is None else volatility * uncharged)
    by_costs = np.zeros(excess.shape, dtype=bool)
    most = none = np.full(excess.shape[1], OUTSIDE)
    cost = 0.0
    for day, paid in enumerate(days.costs.tolist()):
        if paid > 0.0:
            cost = paid
            most = np.where(free[day] <= most + ROUNDING, np.maximum(excess[day], OUTSIDE), none)
        by_costs[day] = excess[day] <= np.minimum(most, rules.size * cost + OUTSIDE) + ROUNDING
    outside = excess > OUTSIDE + ROUNDING
    return outside, outside & by_costs


def _causes(rules: HeldRules, days: HeldDays, outside: Flags) -> NDArray[np.object_]:
    """Return why each rule was exceeded at each close, shape (n_days, n_rules); empty text where it was not."""
    causes = np.where(outside, DRIFT, "").astype(object)
    for unfilled, cause in ((days.overdue, SUSPENDED), (days.waiting, WAITING), (days.lapsed, LAPSED)):
        if unfilled:
            still, by_costs = _judged(rules, days, unfilled)
            at = np.zeros((len(outside), 1), dtype=bool)
            at[list(unfilled)] = True
            causes[(causes == DRIFT) & ~at & by_costs] = COSTS
            causes[outside & at & (~still | by_costs)] = cause
    causes[outside & _judged(rules, days, {})[1]] = COSTS
    causes[outside & _active(rules, days)] = DECISION
    # A limit that was lowered stays the reason until what is held is inside, or something else is.
    row, drift = np.arange(len(outside))[:, None], causes == DRIFT
    eased = np.maximum.accumulate(np.where(drift & _eased(rules, days), row, -1), axis=0)
    causes[drift & (eased > np.maximum.accumulate(np.where(drift, -1, row), axis=0))] = LIMIT
    return causes


def _spells(
    rules: HeldRules, days: HeldDays, rule: int, excess: Array, causes: NDArray[np.object_]
) -> list[tuple[Any, ...]]:
    """Return the spells of one rule: runs of closes outside it for one cause."""
    starts = np.flatnonzero(np.append(causes[:1] != "", causes[1:] != causes[:-1]))
    ends = np.append(starts[1:], len(causes))
    inside = causes == ""
    spells = []
    for first, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if inside[first]:
            continue
        cause = causes[first]
        later = np.flatnonzero(inside[end:])
        cured = end + int(later[0]) if len(later) else None
        spells.append(
            (
                rules.names[rule], bool(rules.hard[rule]), days.dates[first], days.dates[end - 1], end - first,
                float(excess[first:end].max()), cause, pd.NaT if cured is None else days.dates[cured],
                pd.NA if cured is None else cured - first,
            )
        )  # fmt: skip
    return spells


def _table(spells: list[tuple[Any, ...]], dates: Any) -> pd.DataFrame:
    columns = zip(*spells, strict=True) if spells else ((),) * len(COLUMNS)
    rule, hard, first, last, days, worst, cause, cured, to_cure = (list(column) for column in columns)
    values = (
        pd.array(rule, dtype="str"), np.array(hard, dtype=bool), pd.DatetimeIndex(first, dtype=dates),
        pd.DatetimeIndex(last, dtype=dates), np.array(days, dtype=np.int64), np.array(worst, dtype=np.float64),
        pd.array(cause, dtype="str"), pd.DatetimeIndex(cured, dtype=dates), pd.array(to_cure, dtype="Int64"),
    )  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
