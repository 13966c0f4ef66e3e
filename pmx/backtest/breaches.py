"""Where what was held was outside the rules: for how long, by how much, why, and when it was cured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        Costs of the latest trades up to each close, fraction of NAV.
    scale : array, shape (n_days, n_buckets), or None
        Risk scales; None where nothing was scaled.
    volatility : array, shape (n_days,), or None
        Forecast volatility of the weights; None where no rule limits it.
    overdue, suspended, lapsed : mapping of day to array of bool, shape (n_slots,)
        Orders that waited for a close, those of them whose symbol had missed a session of its own, and those that ended
        with a delisting; days without any are left out.
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
    overdue: dict[int, Flags]
    suspended: dict[int, Flags]
    lapsed: dict[int, Flags]
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
        active = _active(rules, days)
        eased = _eased(rules, days)
        for rule in found:
            spells += _spells(rules, days, rule, excess[:, rule], active[:, rule], eased[:, rule])
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


def _spells(
    rules: HeldRules, days: HeldDays, rule: int, excess: Array, active: Flags, eased: Flags
) -> list[tuple[Any, ...]]:
    """Return the spells of one rule: runs of closes outside it, those within the costs of trading apart.

    A run of which some closes are within the costs is several spells in a row, all cured at the same close.
    """
    outside = excess > OUTSIDE
    by_costs = outside & ~active & (excess <= rules.size[rule] * days.costs + OUTSIDE)
    state = np.where(by_costs, 1, np.where(outside, 2, 0))
    starts = np.flatnonzero(np.diff(state, prepend=0) != 0)
    ends = np.append(starts[1:], len(state))
    inside = np.flatnonzero(state == 0)
    members = rules.members(rule)
    spells = []
    for first, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if state[first] == 0:
            continue
        cause = COSTS if state[first] == 1 else _cause(days, members, range(first, end), active, eased)
        at = int(np.searchsorted(inside, end))
        cure = int(inside[at]) if at < len(inside) else None
        spells.append(
            (
                rules.names[rule], bool(rules.hard[rule]), days.dates[first], days.dates[end - 1], end - first,
                float(excess[first:end].max()), cause, pd.NaT if cure is None else days.dates[cure],
                pd.NA if cure is None else cure - first,
            )
        )  # fmt: skip
    return spells


def _cause(days: HeldDays, members: Flags, span: range, active: Flags, eased: Flags) -> str:
    """Return why weights were outside a rule over some closes; what kept them there comes first."""
    if active[span.start : span.stop].any():
        return DECISION
    for held_up, cause in ((days.lapsed, LAPSED), (days.suspended, SUSPENDED), (days.overdue, WAITING)):
        if any((held_up[day] & members).any() for day in span if day in held_up):
            return cause
    return LIMIT if eased[span.start] else DRIFT


def _table(spells: list[tuple[Any, ...]], dates: Any) -> pd.DataFrame:
    columns = zip(*spells, strict=True) if spells else ((),) * len(COLUMNS)
    rule, hard, first, last, days, worst, cause, cured, to_cure = (list(column) for column in columns)
    values = (
        pd.array(rule, dtype="str"), np.array(hard, dtype=bool), pd.DatetimeIndex(first, dtype=dates),
        pd.DatetimeIndex(last, dtype=dates), np.array(days, dtype=np.int64), np.array(worst, dtype=np.float64),
        pd.array(cause, dtype="str"), pd.DatetimeIndex(cured, dtype=dates), pd.array(to_cure, dtype="Int64"),
    )  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
