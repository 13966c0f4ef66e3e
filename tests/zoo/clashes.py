"""Programs and policies that are infeasible, or only just feasible, by construction; and exact judges of both.

Infeasible ones are planted with Farkas multipliers, feasible ones with a point, and both are checked in rational
arithmetic from the limits of the rules' records. No code is shared with the package's verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pandas as pd
from scipy.optimize import linprog
from zoo.policies import random_case
from zoo.programs import random_program

import pmx
from pmx.projection import Program, RuleRecord
from pmx.projection.exact import decide

#: What an answer may overrun a limit, in units of the row (of its largest coefficient, at most 1).
ALLOWANCE = Fraction(1, 10**9)


@dataclass(frozen=True)
class Limit:
    """``sign · (row · u − bound) ≤ 0`` with ``row`` a vector; for turnover, ``½ Σ|u − p| ≤ bound``."""

    rule: str
    side: str
    position: int | None
    row: np.ndarray
    bound: float
    turnover: bool = False

    @property
    def sign(self) -> int:
        return 1 if self.side == "max" else -1

    @property
    def unit(self) -> float:
        size = float(np.abs(self.row).max(initial=0.0))
        return min(size, 1.0) if size > 0.0 else 1.0


def limits_of(program: Program) -> list[Limit]:
    """Every hard limit of every rule, from the rules' own records."""
    found = []

    def add(rule, side, position, row, bound, turnover=False):
        if np.isfinite(bound):
            found.append(Limit(rule.name, side, position, row, float(bound), turnover))

    unit = np.eye(program.n)
    for rule in program.rules:
        if rule.kind == "row" and rule.hard:
            add(rule, "max", None, program.A[rule.index], rule.hi)
            add(rule, "min", None, program.A[rule.index], rule.lo)
        elif rule.kind == "turnover" and rule.hard:
            add(rule, "max", None, np.ones(program.n), rule.hi, turnover=True)
        elif rule.kind == "bound":
            for j, upper, lower in zip(rule.members, rule.member_upper, rule.member_lower, strict=True):
                add(rule, "max", int(j), unit[j], upper)
                if rule.hard and lower > 0.0:
                    add(rule, "min", int(j), unit[j], lower)
    return found


def free_box(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Bounds that no rule sets."""
    return (
        np.where(program.lower_owner < 0, program.lower, np.minimum(program.lower, 0.0)),
        np.where(program.upper_owner < 0, program.upper, np.inf),
    )


def overrun(limit: Limit, u: list[Fraction], previous: list[Fraction]) -> Fraction:
    """How far a point is beyond a limit, exactly."""
    if limit.turnover:
        return sum(abs(a - b) for a, b in zip(u, previous, strict=True)) / 2 - Fraction(limit.bound)
    value = sum((Fraction(a) * v for a, v in zip(limit.row.tolist(), u, strict=True) if a), Fraction(0))
    return limit.sign * (value - Fraction(limit.bound))


def obeys(program: Program, point: list[Fraction], limits: list[Limit], moved: dict[str, float] | None = None) -> bool:
    """Whether a point obeys limits, each moved out by its rule's amount, to within the allowance, exactly."""
    for v, low, high in zip(point, *free_box(program), strict=True):
        assert low <= v <= high
    previous = [Fraction(p) for p in program.previous.tolist()]
    more = {name: Fraction(amount) for name, amount in (moved or {}).items()}
    return all(
        overrun(limit, point, previous) <= ALLOWANCE * Fraction(limit.unit) + more.get(limit.rule, 0)
        for limit in limits
    )


def least_excess(
    program: Program, weighted: list[tuple[Limit, Fraction]], ceiling: float | None = None
) -> Fraction | None:
    """The least of the limits' weighted overruns over all u that no rule bounds; None if it has none.

    Above zero it proves that the limits cannot hold together. ``ceiling``: what every weight is known not to exceed.
    """
    slope = [Fraction(0)] * program.n
    total, half = Fraction(0), Fraction(0)
    for limit, multiplier in weighted:
        assert multiplier >= 0
        total -= limit.sign * multiplier * Fraction(limit.bound)
        if limit.turnover:
            half += multiplier / 2
            continue
        for j in np.flatnonzero(limit.row).tolist():
            slope[j] += limit.sign * multiplier * Fraction(float(limit.row[j]))
    lower, upper = free_box(program)
    if ceiling is not None:
        upper = np.minimum(upper, ceiling)
    for j in range(program.n):
        p = Fraction(float(program.previous[j]))
        corners = {Fraction(float(end)) for end in (lower[j], upper[j]) if np.isfinite(end)}
        corners |= {p} if lower[j] <= p <= upper[j] else set()
        if (upper[j] == np.inf and slope[j] + half < 0) or (lower[j] == -np.inf and slope[j] - half > 0):
            return None
        total += min(slope[j] * u + half * abs(u - p) for u in corners)
    return total


def margin_of(program: Program, weighted: list[tuple[Limit, Fraction]], ceiling: float | None = None) -> Fraction:
    """By how much every limit could be moved out, in its units, with the clash still proven."""
    excess = least_excess(program, weighted, ceiling)
    return Fraction(-1) if excess is None else excess / sum(m * Fraction(limit.unit) for limit, m in weighted)


def point_within(program: Program, limits: list[Limit], moved: dict[str, float] | None = None) -> list[Fraction]:
    """A point that overruns limits, moved out by their rules' amounts, as little as can be found.

    A linear program finds it in floats; where that is not good enough, another one looks for the correction under a
    magnifying glass, which is iterative refinement. Where weights must be so large that floats cannot hold them, the
    rational simplex method does; whoever found a point, it proves itself.
    """
    moved = moved or {}
    lower, upper = free_box(program)
    u, glass = np.clip(np.zeros(program.n), lower, upper), 1.0
    for _ in range(2):
        u = np.clip(u + _correction(program, limits, moved, u, glass) / glass, lower, upper)
        point = [Fraction(v) for v in u.tolist()]
        if obeys(program, point, limits, moved):
            return point
        glass = 1e5
    if any(limit.turnover for limit in limits):
        return point
    rows = [[Fraction(a) for a in (limit.sign * limit.row).tolist()] for limit in limits]
    most = [limit.sign * Fraction(limit.bound) + ALLOWANCE * Fraction(limit.unit) + Fraction(moved.get(limit.rule, 0))
            for limit in limits]  # fmt: skip
    box = [[Fraction(v) if np.isfinite(v) else None for v in end.tolist()] for end in (lower, upper)]
    return decide(rows, [None] * len(rows), most, *box, point).point or point


def _correction(
    program: Program, limits: list[Limit], moved: dict[str, float], u: np.ndarray, glass: float
) -> np.ndarray:
    """``glass`` times the step from a point to one with the least worst overrun."""
    n = program.n
    exact, nothing = [Fraction(v) for v in u.tolist()], [Fraction(0)] * n
    wide = any(limit.turnover for limit in limits)
    rows, room, units = [], [], []
    for limit in limits:
        row = np.concatenate([np.zeros(n), np.full(n, 0.5)]) if limit.turnover else limit.sign * limit.row
        rows.append(np.pad(row, (0, (2 * n if wide else n) - len(row))))
        over = -Fraction(limit.bound) if limit.turnover else overrun(limit, exact, nothing)
        room.append(glass * float(Fraction(moved.get(limit.rule, 0.0)) - over))
        units.append(limit.unit)
    if wide:
        for sign in (1.0, -1.0):
            rows += list(np.hstack([sign * np.eye(n), -np.eye(n)]))
            room += (sign * glass * (program.previous - u)).tolist()
            units += [0.0] * n
    lower, upper = (glass * (bound - u) for bound in free_box(program))
    table = np.array(rows).reshape(len(rows), 2 * n if wide else n)
    largest = np.abs(table).max(axis=1, initial=0.0)
    scale = 1.0 / np.where(largest > 0.0, largest, 1.0)
    answer = linprog(
        np.append(np.zeros(2 * n if wide else n), 1.0),
        A_ub=np.column_stack([table, -np.array(units)]) * scale[:, None],
        b_ub=np.array(room) * scale,
        bounds=[*zip(lower, upper, strict=True), *([(0.0, None)] * (n if wide else 0)), (0.0, None)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return np.zeros(n) if answer.x is None else answer.x[:n]


# --- programs -------------------------------------------------------------------------------------------


def contradicted_program(seed: int) -> tuple[Program, Fraction]:
    """Return an infeasible program and the margin of its planted proof.

    A random program has one more row, which asks for more of a weighted sum of some of its limits than these allow.
    """
    rng = np.random.default_rng([seed, 11])
    program = _with_records(random_program(seed), rng)
    limits = [limit for limit in limits_of(program) if not limit.turnover]
    chosen = rng.choice(len(limits), min(len(limits), int(rng.integers(1, 7))), replace=False) if limits else []
    weighted = [(limits[i], Fraction(float(rng.choice([1.0, 0.5, rng.uniform(0.1, 3.0)]))) / Fraction(limits[i].unit))
                for i in chosen]  # fmt: skip
    combined = [Fraction(0)] * program.n
    for limit, m in weighted:
        for j in np.flatnonzero(limit.row).tolist():
            combined[j] += limit.sign * m * Fraction(float(limit.row[j]))
    # Rounded down, so that no weight, however large, makes up for what the sum is short.
    row = np.array([v if Fraction(v := float(c)) <= c else np.nextafter(v, -np.inf) for c in combined])
    reach = sum((limit.sign * m * Fraction(limit.bound) for limit, m in weighted), Fraction(0))
    demand = Limit("demand", "min", None, row, 0.0)
    parts = sum((m * Fraction(limit.unit) for limit, m in [*weighted, (demand, Fraction(1))]), Fraction(0))
    asked = float(reach + Fraction(1.01 * 10.0 ** rng.uniform(-7.0, -1.0)) * parts)
    rule = RuleRecord("demand", "planted", True, "row", index=len(program.A), lo=asked)
    planted = replace(
        program,
        A=np.vstack([program.A, row]),
        lo=np.append(program.lo, asked),
        hi=np.append(program.hi, np.inf),
        penalty=np.append(program.penalty, np.inf),
        lo_owner=np.append(program.lo_owner, len(program.rules)),
        hi_owner=np.append(program.hi_owner, -1),
        rules=(*program.rules, rule),
    )
    return planted, margin_of(planted, [*weighted, (replace(demand, bound=asked), Fraction(1))])


def _with_records(program: Program, rng: np.random.Generator) -> Program:
    """The program with its limits in the rules' records, and some of its bounds set by rules.

    Rows with coefficients above 100 are scaled down: the checks look for points in floats, which do not resolve them.
    """
    shrink = 2.0 ** -np.ceil(np.log2(np.maximum(np.abs(program.A).max(axis=1, initial=0.0) / 100.0, 1.0)))
    program = replace(program, A=program.A * shrink[:, None], lo=program.lo * shrink, hi=program.hi * shrink)
    rules = [
        replace(rule, lo=float(program.lo[rule.index]), hi=float(program.hi[rule.index]))
        if rule.kind == "row" and np.isinf(program.penalty[rule.index])
        else replace(rule, hard=rule.kind == "turnover" and rule.hard)
        for rule in program.rules
    ]
    upper_owner, lower_owner = program.upper_owner.copy(), program.lower_owner.copy()
    for _ in range(int(rng.integers(0, 4))):
        free = np.flatnonzero((upper_owner < 0) & (lower_owner < 0) & (rng.random(program.n) < 0.4))
        free = free[np.isfinite(program.upper[free])]
        lower = np.where(program.lower[free] > 0.0, program.lower[free], -np.inf)
        upper_owner[free] = len(rules)
        lower_owner[free[lower > 0.0]] = len(rules)
        rules.append(
            RuleRecord(
                f"bounds.{len(rules)}",
                "random",
                True,
                "bound",
                members=free.astype(np.intp),
                member_upper=program.upper[free],
                member_lower=lower,
            )
        )
    return replace(program, upper_owner=upper_owner, lower_owner=lower_owner, rules=tuple(rules))


# --- policies -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demand:
    """A policy that asks for something; try it with ``projector.solve(relative, **arguments)``.

    Attributes
    ----------
    program : Program
        Of the same policy asking for nothing: its rows, holdings, and bounds that no rule sets.
    limits : list of Limit
        Every hard limit, what is asked for included.
    margin : Fraction
        Where it asks for too much: all limits may be moved out by this, and planted multipliers still prove a clash.
        Where it does not: zero if a planted point obeys all limits.
    slack : float, fraction of NAV
        By how much less it asks, or more, than the other rules allow.
    """

    projector: pmx.Projector
    relative: pd.Series
    arguments: dict
    program: Program
    limits: list[Limit]
    margin: Fraction
    slack: float


def demanding_policy(seed: int, *, feasible: bool) -> Demand:
    """Return a random policy that asks for a little less, or a little more, than its other rules allow.

    The others are caps, clamps, gates, limits on liquidity and turnover, and soft rules. What is asked for is a
    minimum of some sums over symbols, or of many positions each.
    """
    rng = np.random.default_rng([seed, 13, feasible])
    policy, relative, arguments = _trading(rng, int(rng.integers(10**9)))
    symbols = relative.index.get_level_values("symbol").unique()
    if rng.random() < 0.3:
        part = rng.uniform(0.1, 1.0, len(relative)) * (rng.random(len(relative)) < 0.6)
        part[rng.integers(len(part))] = 1.0
        rules = {}
    else:
        part = rng.uniform(0.2, 1.0, int(rng.integers(1, 4)))
        rules = {f"demand{i}": _sum(rng, symbols) for i in range(len(part))}

    def asking(level: float) -> tuple[pmx.Projector, dict]:
        if not rules:
            return pmx.Projector(policy, relative.index), arguments | {"lower": _up(level * part, relative.index)}
        new = {name: rule | {"min": level * p} for (name, rule), p in zip(rules.items(), part, strict=True)}
        old = {name: rule.model_dump() for name, rule in policy.risk_buckets.custom_rules.items()}
        changed = policy.override({"risk_buckets.custom_rules": old | new})
        return pmx.Projector(changed, relative.index), arguments

    projector, given = asking(0.0)
    program = projector.solve(relative, **given).program
    own = limits_of(program)
    others = [limit for limit in own if limit.rule not in rules]
    if rules:
        demands = [next(limit for limit in own if (limit.rule, limit.side) == (name, "min")) for name in
                   (f"custom.{name}" for name in rules)]  # fmt: skip
        others = [limit for limit in own if limit.rule not in {d.rule for d in demands}]
        parts = part
    else:
        asked = np.flatnonzero(part).tolist()
        demands = [Limit("account.bounds", "min", j, np.eye(program.n)[j], 0.0) for j in asked]
        parts = part[asked]
    most, point, prices = _most(program, others, demands, parts)
    size = sum(m * limit.unit for limit, m in zip([*others, *demands], prices, strict=True))
    gap = 1.01 * 10.0 ** rng.uniform(-7.0, -1.0)
    level = max(most - gap, 0.0) if feasible else most + gap * max(size, 1.0)
    demands = [replace(d, bound=float(level * p)) for d, p in zip(demands, parts, strict=True)]
    projector, given = asking(level)
    weighted = [(limit, Fraction(m)) for limit, m in zip([*others, *demands], prices, strict=True) if m > 0.0]
    if feasible:
        exact = [Fraction(v) for v in np.maximum(point, 0.0).tolist()]
        margin = Fraction(0) if obeys(program, exact, [*others, *demands]) else Fraction(1)
    else:
        margin = margin_of(program, weighted, ceiling=1.0)
    return Demand(projector, relative, given, program, [*others, *demands], margin, level - most)


def _trading(rng: np.random.Generator, seed: int) -> tuple[pmx.Policy, pd.Series, dict]:
    """A random case whose holdings obey every cap, so that hard rules on trading leave a way."""
    case = random_case(seed)
    relative = case.relative
    arguments = {k: v for k, v in case.arguments.items() if k in ("risk_scale", "covariance", "nav", "adv")}
    if rng.random() < 0.4:
        return case.policy, relative, arguments
    first = pmx.solve(case.policy, relative, **arguments).positions
    held = first * float(rng.uniform(0.3, 0.999))
    arguments["previous"] = held
    symbols = relative.index.get_level_values("symbol")
    # What hedges something else, in a rule of its own, may have to stay.
    tied = {s for rule in case.policy.risk_buckets.custom_rules.values() for s in rule.symbols}
    gates = {s: "reduce_only" if s in tied else str(rng.choice(["reduce_only", "exit"]))
             for s in symbols.unique() if rng.random() < 0.15}  # fmt: skip
    leaving = symbols.isin([s for s, mode in gates.items() if mode == "exit"])
    changes: dict = {}
    if rng.random() < 0.5:
        room = float(rng.choice([0.0, 0.01, 0.1]))
        changes["execution.turnover"] = {"max": 0.5 * float(held[leaving].abs().sum()) + room, "hard": True}
    if rng.random() < 0.4:
        changes["execution.liquidity"] = {"participation": 0.1, "hard": True}
        arguments["nav"] = 1e6
        arguments["adv"] = {
            s: 1e9 if gone else float(rng.exponential(5e5)) for s, gone in zip(symbols, leaving, strict=True)
        }
    return case.policy.override(changes), relative, arguments | {"gated": gates}


def _sum(rng: np.random.Generator, symbols: pd.Index) -> dict:
    chosen = {str(s): float(rng.choice([1.0, 1.0, 0.5, 2.0, 0.3])) for s in symbols if rng.random() < 0.5}
    return {"symbols": chosen or {str(symbols[0]): 1.0}, "exposure": "gross"}


def _up(values: np.ndarray, index: pd.MultiIndex) -> pd.Series:
    return pd.Series(values, index=index)


def _most(
    program: Program, others: list[Limit], demands: list[Limit], parts: np.ndarray
) -> tuple[float, np.ndarray, list[float]]:
    """The largest level at which every demand can have its part of it, a point there, and the prices of all limits."""
    n = program.n
    wide = any(limit.turnover for limit in others)
    width = 2 * n if wide else n
    rows, bounds = [], []
    for limit, part in zip([*others, *demands], [*np.zeros(len(others)), *parts], strict=True):
        row = np.concatenate([np.zeros(n), np.full(n, 0.5)]) if limit.turnover else limit.sign * limit.row
        rows.append([*np.pad(row, (0, width - len(row))), part])
        bounds.append(0.0 if part else limit.sign * limit.bound)
    if wide:
        for sign in (1.0, -1.0):
            rows += np.column_stack([sign * np.eye(n), -np.eye(n), np.zeros(n)]).tolist()
            bounds += (sign * program.previous).tolist()
    answer = linprog(
        np.append(np.zeros(width), -1.0),
        A_ub=np.array(rows),
        b_ub=bounds,
        bounds=[*[(0.0, 1.0)] * n, *[(0.0, None)] * (width - n), (0.0, 100.0)],
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    prices = np.maximum(-answer.ineqlin.marginals[: len(others) + len(demands)], 0.0)
    return float(answer.x[-1]), answer.x[:n], prices.tolist()
