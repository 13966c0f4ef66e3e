"""When cones clash with linear rules that do hold together: the same elastic and deletion filters, through cvxpy."""

from __future__ import annotations

import warnings

import cvxpy as cp
import numpy as np

from pmx.projection.infeasibility import Limits, only, refuse
from pmx.projection.program import Program

#: Rules clash when they must be relaxed by more than this, fraction of NAV; cones are solved less sharply than rows.
CONIC_CLASH = 1e-7


def require_cones(program: Program, limits: Limits) -> None:
    """Test the cones on top of linear rules that do hold together."""
    rules = sorted({*limits.rule.tolist(), *_owners(program)} - {-1})
    relaxation, multipliers = _elastic_cones(program, limits, rules)
    if sum(relaxation.values()) <= CONIC_CLASH:
        return
    clash = sorted(multipliers)
    for rule in sorted(multipliers):
        rest = [other for other in clash if other != rule]
        if sum(_elastic_cones(program, limits, rest)[0].values()) > CONIC_CLASH:
            clash = rest
    refuse(program, clash, relaxation, _elastic_cones(program, limits, clash)[1])


def _owners(program: Program) -> list[int]:
    """Return the rule of each cone."""
    owners = [-1] * len(program.cones)
    for i, rule in enumerate(program.rules):
        for cone in rule.cones:
            owners[cone] = i
    return owners


def _elastic_cones(program: Program, limits: Limits, rules: list[int]) -> tuple[dict[int, float], dict[int, float]]:
    """Return the cheapest relaxation of some rules and their multipliers; the other rules are left out."""
    column = {rule: i for i, rule in enumerate(rules)}
    some = only(limits, rules)
    x = cp.Variable(limits.B.shape[1])
    a = cp.Variable(max(program.n_auxiliary, 1))
    give = cp.Variable(max(len(rules), 1), nonneg=True)
    share = np.zeros((len(some.c), give.size))
    for k, rule in enumerate(some.rule):
        share[k, column.get(int(rule), 0)] = float(rule >= 0)
    blocks: list[tuple[int, cp.Constraint]] = []
    for cone, rule in zip(program.cones, _owners(program), strict=True):
        if rule in column:
            s = cone.h - cone.G @ x[: program.n]
            s = s - cone.H @ a if program.n_auxiliary else s
            blocks.append((rule, _relaxed(cone.kind, s, give[column[rule]])))
    linear = some.B @ x <= some.c + share @ give
    problem = cp.Problem(cp.Minimize(cp.sum(give)), [linear, *(block for _, block in blocks)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.error.SolverError:
            return {}, {}
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return {}, {}
    relaxation = {rule: float(give.value[i]) for rule, i in column.items() if give.value[i] > 0.1 * CONIC_CLASH}
    multipliers = dict.fromkeys(rules, 0.0)
    for rule, price in zip(some.rule.tolist(), linear.dual_value, strict=True):
        if rule >= 0:
            multipliers[rule] += float(price)
    for rule, block in blocks:
        apex = block.dual_value[0] if isinstance(block, cp.SOC) else block.dual_value
        multipliers[rule] += float(np.sum(apex))
    return relaxation, {rule: price for rule, price in multipliers.items() if price > 1e-6}


def _relaxed(kind: str, s: cp.Expression, give: cp.Expression) -> cp.Constraint:
    """Return ``s ∈ K``, softened by ``give``."""
    if kind == "zero":
        return cp.abs(s) <= give
    if kind == "nonnegative":
        return -s <= give
    return cp.SOC(s[0] + give, s[1:])
