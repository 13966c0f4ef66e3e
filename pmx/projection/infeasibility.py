"""When the hard rules cannot hold together: which ones, the cheapest way out, and a proof.

The linear rules are tested by a linear program that lets every hard rule give way at a price of one per unit of NAV:
its optimum is the cheapest relaxation, its duals are Farkas multipliers. Rules are then dropped one by one while the
rest still clash, which leaves a minimal set.

References
----------
Chinneck (2008), Feasibility and Infeasibility in Optimization, chapter 6 (elastic and deletion filters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from pmx.errors import InfeasibleError
from pmx.projection.program import Array, Program

#: Hard rules clash when they must be relaxed by more than this, fraction of NAV.
CLASH = 1e-9


@dataclass(frozen=True, slots=True)
class Limits:
    """Every hard limit as ``B u ≤ c`` with the index of its rule; −1 for ``u ≥ 0``, which never gives way.

    A hard turnover rule is written with ``n`` further columns ``z ≥ |u − p|``.
    """

    B: Array
    c: Array
    rule: np.ndarray


def require_feasible(program: Program) -> None:
    """Raise when the hard rules of a program cannot hold together; return quietly otherwise.

    Raises
    ------
    InfeasibleError
        With a minimal set of rule names, the cheapest relaxation and multipliers.
    """
    limits = _limits(program)
    relaxation, multipliers = _elastic(limits)
    if sum(relaxation.values()) > CLASH:
        clash = _minimal(limits, sorted(multipliers))
        proof = _elastic(only(limits, clash))[1]
        refuse(program, clash, relaxation, proof)
    if program.cones:
        from pmx.projection.infeasibility_conic import require_cones

        require_cones(program, limits)


def _limits(program: Program) -> Limits:
    n = program.n
    B: list[Array] = []
    c: list[float] = []
    rule: list[int] = []

    def add(row: Array, bound: float, owner: int) -> None:
        if np.isfinite(bound):
            B.append(row)
            c.append(bound)
            rule.append(owner)

    for k in np.flatnonzero(np.isinf(program.penalty)):
        add(program.A[k], float(program.hi[k]), int(program.hi_owner[k]))
        add(-program.A[k], -float(program.lo[k]), int(program.lo_owner[k]))
    unit = np.eye(n)
    for j in range(n):
        add(unit[j], float(program.upper[j]), int(program.upper_owner[j]))
        add(-unit[j], -float(program.lower[j]), int(program.lower_owner[j]))
    if not (program.has_turnover_rule and np.isinf(program.turnover_penalty)):
        return Limits(np.array(B).reshape(len(B), n), np.array(c), np.array(rule, dtype=np.intp))
    owner = next(i for i, r in enumerate(program.rules) if r.kind == "turnover")
    wide = np.hstack([np.array(B).reshape(len(B), n), np.zeros((len(B), n))])
    trades = np.vstack([np.hstack([unit, -unit]), np.hstack([-unit, -unit])])
    cap = np.concatenate([np.zeros(n), np.full(n, 0.5)])
    return Limits(
        np.vstack([wide, trades, cap]),
        np.concatenate([c, program.previous, -program.previous, [program.turnover_max]]),
        np.concatenate([rule, np.full(2 * n, -1), [owner]]).astype(np.intp),
    )


def only(limits: Limits, rules: list[int]) -> Limits:
    """Return the limits of some rules, and those that never give way."""
    keep = np.isin(limits.rule, [*rules, -1])
    return Limits(limits.B[keep], limits.c[keep], limits.rule[keep])


def _elastic(limits: Limits) -> tuple[dict[int, float], dict[int, float]]:
    """Return the cheapest relaxation and the multipliers, both by rule index."""
    names = sorted(set(limits.rule.tolist()) - {-1})
    if not names:
        return {}, {}
    column = {rule: i for i, rule in enumerate(names)}
    give = np.zeros((len(limits.c), len(names)))
    for k, rule in enumerate(limits.rule):
        if rule >= 0:
            give[k, column[int(rule)]] = -1.0
    width = limits.B.shape[1]
    answer = linprog(
        np.concatenate([np.zeros(width), np.ones(len(names))]),
        A_ub=np.hstack([limits.B, give]),
        b_ub=limits.c,
        bounds=[(None, None)] * width + [(0.0, None)] * len(names),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        return {}, {}
    slack = answer.x[width:]
    relaxation = {rule: float(s) for rule, s in zip(names, slack, strict=True) if s > CLASH}
    multipliers: dict[int, float] = {}
    for rule, price in zip(limits.rule, -answer.ineqlin.marginals, strict=True):
        if rule >= 0 and price > 1e-12:
            multipliers[int(rule)] = multipliers.get(int(rule), 0.0) + float(price)
    return relaxation, multipliers


def _minimal(limits: Limits, candidates: list[int]) -> list[int]:
    """Drop every rule without which the others still clash."""
    kept = list(candidates)
    for rule in candidates:
        rest = [other for other in kept if other != rule]
        if sum(_elastic(only(limits, rest))[0].values()) > CLASH:
            kept = rest
    return kept


def _with_twins(program: Program, relaxation: dict[int, float]) -> dict[int, float]:
    """Add the rules on the same row that would stop a relaxed rule before it has given way as far as it must."""
    full = dict(relaxation)
    for i, amount in relaxation.items():
        rule = program.rules[i]
        if rule.kind != "row":
            continue
        reach_up = rule.hi + amount if program.hi_owner[rule.index] == i else np.inf
        reach_down = rule.lo - amount if program.lo_owner[rule.index] == i else -np.inf
        for k, twin in enumerate(program.rules):
            if k != i and twin.kind == "row" and twin.index == rule.index:
                need = max(reach_up - twin.hi if np.isfinite(reach_up) else 0.0, 0.0)
                need = max(need, twin.lo - reach_down if np.isfinite(reach_down) else 0.0)
                if need > CLASH:
                    full[k] = max(need, full.get(k, 0.0))
    return full


def refuse(program: Program, clash: list[int], relaxation: dict[int, float], multipliers: dict[int, float]) -> None:
    """Raise for rules, given by index, that clash; their cheapest relaxation; their multipliers."""
    rules = program.rules
    relaxation = _with_twins(program, relaxation)
    lines = [f"  {rules[i].name} ({rules[i].source})" for i in clash]
    ways = [f"{rules[i].name} by {amount:.4%} of NAV" for i, amount in relaxation.items()]
    raise InfeasibleError(
        "these hard rules cannot hold together:\n"
        + "\n".join(lines)
        + "\nThe cheapest way out is to relax "
        + ", ".join(ways)
        + ".",
        rules=tuple(rules[i].name for i in clash),
        relaxation={rules[i].name: amount for i, amount in relaxation.items()},
        multipliers={rules[i].name: price for i, price in multipliers.items()},
    )
