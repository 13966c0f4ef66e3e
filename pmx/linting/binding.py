r"""Rules that can never bind, and budgets that can never be filled: how far the other hard rules let a sum go.

A rule :math:`a \cdot u \le h` never binds if the maximum of :math:`a \cdot u` within all other hard rules stays below
:math:`h`. Scales and gates only narrow the region that the maximum is taken over (see `pmx.linting.corners`), so one
linear program at scales of 1, without gates, speaks for every state. Its duals :math:`y \ge 0` are the proof:
:math:`\sum_k y_k a_k \ge a` and :math:`\sum_k y_k h_k < h`. Rules that rule all cash out are left aside, since each of
them is an error of its own. Rules within `TIE` of each other count as tied, and a tie is no fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pmx.linting.finding import Finding, some
from pmx.linting.region import Array, Limit, Region, linear
from pmx.linting.universe import Universe, place
from pmx.policy import Policy

#: How far below its bound the other rules must keep a sum, fraction of NAV.
TIE = 1e-7
#: The two ends of the barbell: limits of the same sum, given as a floor and as a cap.
ENDS = frozenset({"barbell.safe.floor", "barbell.risk.cap"})


@dataclass(frozen=True)
class Idle:
    """One limit that never binds: what its sum can reach, and the weights on other rules that prove it."""

    limit: Limit
    reach: float
    multipliers: Mapping[str, float]


def idle_rules(universe: Universe) -> Iterator[Finding]:
    """Yield budgets that can never be filled and rules that can never bind."""
    if not universe.positions:
        return
    region = Region(universe.policy, universe.positions)
    if region.demands:
        region = Region(linear(universe.policy, region.demands), universe.positions)
    unfillable = list(_budgets(universe, region))
    yield from unfillable
    told = {finding.rules[0] for finding in unfillable}
    lines: dict[tuple[str, ...], list[Limit]] = {}
    for limit in region.limits:
        if limit.name not in told and not _says_nothing(limit):
            lines.setdefault(_line(universe, limit), []).append(limit)
    for limits in lines.values():
        idle = _all_idle(region, limits)
        if idle is not None:
            yield _finding(region, idle)
    yield from _turnover(universe, region)
    yield from _symbol_caps(universe.policy)


def _all_idle(region: Region, limits: list[Limit]) -> Idle | None:
    """Return the first of the limits that one line sets, if none of them ever binds."""
    first: Idle | None = None
    for limit in limits:
        idle = _idle(region, limit)
        if idle is None:
            return None
        first = first or idle
    return first


def _idle(region: Region, limit: Limit) -> Idle | None:
    """Return why a limit never binds, by one other rule where one suffices; None if it can bind."""
    reach = region.furthest(limit.row, without=[limit])
    if not reach.value < limit.bound - TIE:
        return None
    others = [other for other in region.limits if other is not limit and other.hard and np.isfinite(other.bound)]
    alone = [(other.bound * y, y, other.name) for other in others for y in _covers(other, limit.row)]
    value, multiple, name = min(alone, default=(np.inf, 0.0, ""))
    if value < limit.bound - TIE:
        return Idle(limit, value, {name: multiple})
    return Idle(limit, reach.value, reach.multipliers)


def _covers(other: Limit, row: Array) -> tuple[float, ...]:
    """Return the least multiple of another rule's row that is nowhere below a row, if there is one above zero."""
    if other.bound < 0.0 or (row[other.row <= 0.0] > 0.0).any() or (other.row < 0.0).any():
        return ()
    met = other.row > 0.0
    multiple = float((row[met] / other.row[met]).max(initial=0.0))
    return (multiple,) if multiple > 0.0 else ()


def _says_nothing(limit: Limit) -> bool:
    """Return whether a limit is a default, the whole of NAV, or not the rule's own, so that it need not bind."""
    own = limit.name.startswith("custom.")
    free = limit.furthest or not np.isfinite(limit.bound)
    return free or limit.source == "default" or (limit.bound == 1.0 and not own)


def _line(universe: Universe, limit: Limit) -> tuple[str, ...]:
    """Return what identifies the line of the policy that sets a limit; one line may cap every symbol."""
    symbol = limit.name.removeprefix("symbol.").removesuffix(".cap")
    if not limit.name.startswith("symbol.") or universe.policy.barbell.symbol_caps.get(symbol) == limit.bound:
        return limit.name, "lower" if limit.lower else "upper"
    general = (universe.policy.source(f"barbell.{role}_bucket.max_per_position") for role in ("risk", "safe"))
    source = next((line for line in general if limit.source.startswith(line)), limit.source)  # it may name a looser one
    return "symbols", source, f"{limit.bound!r}"


def _finding(region: Region, idle: Idle) -> Finding:
    limit, sources = idle.limit, {limit.name: limit.source for limit in region.limits}
    side, sign = ("at least", -1.0) if limit.lower else ("at most", 1.0)
    what = f"{limit.name} ({side} {sign * limit.bound:.6g}) never binds: "
    held = f"{sign * idle.reach:.6g}"
    by = [f"{name} ({sources[name]})" for name in idle.multipliers]
    remedy = "tighten it, widen the others, or remove it"
    if {limit.name, *idle.multipliers} == ENDS:
        code, what = "barbell-gap", what + f"{by[0]} keeps the same weight to {held}"
        remedy = "nothing, if it is meant as a backstop; else make the two meet"
    elif len(by) == 1:
        code, what = "shadowed-rule", what + f"{by[0]} keeps it to {held}"
    elif by:
        code, what = "never-binds", what + f"{some(by)} keep it to {held}"
    elif not limit.row.any():
        code, what = "never-binds", what + "it meets no position of the universe"
    else:
        code, what = "never-binds", what + f"nothing can bring it beyond {held}"
    return Finding(code, limit.source, what, remedy, (limit.name, *idle.multipliers), multipliers=idle.multipliers)


def _turnover(universe: Universe, region: Region) -> Iterator[Finding]:
    """Check the limit on turnover: from weights within the rules to others, all that may be held is traded at most."""
    cap, key = universe.policy.execution.turnover.max, "execution.turnover.max"
    most = region.furthest(np.ones(len(region.position)))
    if cap is not None and cap < 1.0 and most.value < cap - TIE and universe.policy.source(key) != "default":
        by = some(list(most.multipliers))
        what = f"turnover.max ({cap:g}) never binds: no more than {most.value:.6g} can be held, by {by}"
        rules = ("turnover.max", *most.multipliers)
        yield Finding(
            "never-binds", universe.policy.source(key), what, "tighten it or remove it", rules,
            multipliers=most.multipliers,
        )  # fmt: skip


def _symbol_caps(policy: Policy) -> Iterator[Finding]:
    """Yield the caps of single symbols that the cap of every position makes void; they become no rule of their own."""
    barbell, buckets = policy.barbell, policy.risk_buckets.buckets
    ends = {"safe": barbell.safe_bucket.max_per_position, "risk": barbell.risk_bucket.max_per_position}
    for symbol, cap in barbell.symbol_caps.items() if barbell.enable_barbell_allocation else ():
        roles = {bucket.role for name, bucket in buckets.items() if policy.admits(name, symbol)}
        for role in sorted(roles):
            most, key = ends[role], f"barbell.{role}_bucket.max_per_position"
            if most is not None and cap > most + TIE:
                where = policy.source(f"barbell.symbol_caps.{symbol}")
                what = f"the cap of {symbol}, {cap:g}, never binds: {key} ({place(policy, key)}) keeps it to {most:g}"
                yield Finding("shadowed-rule", where, what, "lower it, or remove it")


def _budgets(universe: Universe, region: Region) -> Iterator[Finding]:
    """Yield the buckets whose budget no weights fill."""
    config = universe.policy.risk_buckets
    held = {bucket for bucket, _ in universe.positions}
    sources = {limit.name: limit.source for limit in region.limits}
    for name, bucket in config.buckets.items() if config.enabled else ():
        reach = region.furthest(region.columns(name))
        if name not in held or not reach.value < bucket.base_nav_frac - TIE:
            continue
        key = f"risk_buckets.buckets.{name}.base_nav_frac"
        by = some([f"{rule} ({sources[rule]})" for rule in reach.multipliers])
        yield Finding(
            "unfillable-budget",
            place(universe.policy, key),
            f"bucket {name} has a budget of {bucket.base_nav_frac:g} and can hold {reach.value:.6g} at most, by {by}",
            "lower base_nav_frac, or widen one of these",
            (f"bucket.{name}.max", *reach.multipliers),
            multipliers=reach.multipliers,
        )
