"""When cones clash with linear rules that do hold together: the same elastic and deletion filters, through cvxpy.

An interior point is only so sharp. So nothing is proven here: the rules that are named clash as far as the solver can
tell, and amounts are rounded up by what it may be wrong.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection
from fractions import Fraction
from typing import Literal, NamedTuple

import cvxpy as cp
import numpy as np

from pmx.projection.certificate import cone_violation
from pmx.projection.elastic import Limits, limits_of
from pmx.projection.exact import ZERO
from pmx.projection.farkas import Weighted
from pmx.projection.program import Array, Program
from pmx.projection.refusal import Positions, refusal

#: Rules clash when they must be relaxed by more than this, fraction of NAV; cones are solved less sharply than rows.
CONIC_CLASH = 1e-7
#: Multipliers below this part of the largest are rounding.
NO_PRICE = 1e-6
#: Fewer rules are relaxed in place of more if that costs at most this part more.
DEARER = 1e-3


class Elastic(NamedTuple):
    """The cheapest relaxation of some rules.

    Attributes
    ----------
    cost : float, fraction of NAV
        Sum of what the rules give.
    given : dict of int to float
        What each rule, by index, gives.
    u, auxiliary : array, shape (n,) and (n_auxiliary,)
        Weights and auxiliary variables.
    proof : list of Weighted
        The limits that press, with the solver's multipliers.
    """

    cost: float
    given: dict[int, float]
    u: Array
    auxiliary: Array
    proof: list[Weighted]

    @property
    def clash(self) -> set[int]:
        """The rules that press."""
        return {w.rule for w in self.proof}


def require_cones(program: Program, positions: Positions) -> None:
    """Test the cones on top of linear rules that do hold together.

    Raises
    ------
    InfeasibleError
        With the rules that clash and the cheapest relaxation.
    """
    tightest = limits_of(program)
    rules = {*tightest.rule.tolist(), *_owners(program)} - {-1}
    found = _elastic(program, tightest, rules)
    if found is None or found.cost <= CONIC_CLASH:
        return
    for rule in sorted(found.clash):
        without = _elastic(program, tightest, found.clash - {rule}) if rule in found.clash else None
        if without is not None and without.cost > CONIC_CLASH:
            found = without
    raise refusal(program, found.proof, _few(program), positions, proven_minimal=False)


def least_given(
    program: Program, limits: Limits, rules: Collection[int], giving: Collection[int]
) -> dict[int, float] | None:
    """Return by how much some of a set of rules must give way at least in all; None where the solver finds nothing.

    Amounts are rounded up by what the solver may be wrong; rules that need not give way are left out.
    """
    found = _elastic(program, limits, rules, giving)
    if found is None:
        return None
    return {rule: amount + CONIC_CLASH for rule, amount in found.given.items() if amount > CONIC_CLASH}


def _few(program: Program) -> dict[int, float]:
    """Return the amounts of a cheapest relaxation that speaks of few rules, rounded up.

    Where several rules could give way at the same price, an interior point lets all of them; each is held in turn, the
    smallest first, if that costs no more.
    """
    limits = limits_of(program, every=True)
    rules = {*limits.rule.tolist(), *_owners(program)} - {-1}
    best = _elastic(program, limits, rules)
    if best is None:
        return {}
    ceiling = best.cost * (1.0 + DEARER) + CONIC_CLASH
    giving = {rule for rule, amount in best.given.items() if amount > 0.1 * CONIC_CLASH}
    for rule in sorted(giving, key=best.given.__getitem__):
        fewer = _elastic(program, limits, rules, giving - {rule}) if len(giving) > 1 else None
        if fewer is not None and fewer.cost <= ceiling:
            giving, best = giving - {rule}, fewer
    amounts = {
        rule: float(over) for rule, over in limits.overruns(np.maximum(best.u, program.lower.clip(max=0.0))).items()
    }
    for cone, rule in zip(program.cones, _owners(program), strict=True):
        amounts[rule] = max(amounts.get(rule, 0.0), cone_violation(cone, best.u, best.auxiliary))
    return {rule: amount + CONIC_CLASH for rule, amount in sorted(amounts.items()) if amount > CONIC_CLASH}


def _owners(program: Program) -> list[int]:
    """Return the rule of each cone."""
    owners = [-1] * len(program.cones)
    for i, rule in enumerate(program.rules):
        for cone in rule.cones:
            owners[cone] = i
    return owners


def _elastic(
    program: Program, limits: Limits, rules: Collection[int], giving: Collection[int] | None = None
) -> Elastic | None:
    """Return the cheapest relaxation of some rules, the others left out; None where the solver finds none.

    ``giving``: those of them that may give way; all of them if not given.
    """
    some = limits.only(rules)
    column = {rule: i for i, rule in enumerate(sorted(rules if giving is None else giving))}
    x, a = cp.Variable(limits.B.shape[1]), cp.Variable(max(program.n_auxiliary, 1))
    give = cp.Variable(max(len(column), 1), nonneg=True)
    share = np.zeros((len(some.c), give.size))
    for k, rule in enumerate(some.rule.tolist()):
        if rule in column:
            share[k, column[rule]] = 1.0
    blocks: list[tuple[int, cp.Constraint]] = []
    for cone, rule in zip(program.cones, _owners(program), strict=True):
        if rule in rules:
            s = cone.h - cone.G @ x[: program.n]
            s = s - cone.H @ a if program.n_auxiliary else s
            blocks.append((rule, _relaxed(cone.kind, s, give[column[rule]] if rule in column else 0.0)))
    linear = some.B @ x <= some.c + share @ give
    problem = cp.Problem(cp.Minimize(cp.sum(give)), [linear, *(block for _, block in blocks)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.error.SolverError:
            return None
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return None
    return Elastic(
        float(give.value.sum()) if column else 0.0,
        {rule: float(give.value[i]) for rule, i in column.items()},
        np.asarray(x.value[: program.n]),
        np.asarray(a.value) if program.n_auxiliary else np.zeros(0),
        _proof(program, some, linear, blocks),
    )


def _proof(
    program: Program, limits: Limits, linear: cp.Constraint, blocks: list[tuple[int, cp.Constraint]]
) -> list[Weighted]:
    """Return the limits that press with their multipliers, the largest being 1."""
    prices: dict[int, float] = {}
    for rule, block in blocks:
        apex = block.dual_value[0] if isinstance(block, cp.SOC) else block.dual_value
        prices[rule] = prices.get(rule, 0.0) + float(np.sum(apex))
    limit = {rule: program.rules[rule].hi for rule in prices}
    found = [(Weighted(i, "max", limit[i] if np.isfinite(limit[i]) else math.nan, ZERO), prices[i]) for i in prices]
    bound = limits.side * limits.c
    for k in np.flatnonzero(limits.rule >= 0).tolist():
        rule, position = int(limits.rule[k]), int(limits.position[k])
        side: Literal["max", "min"] = "max" if limits.side[k] > 0.0 else "min"
        found.append((Weighted(rule, side, float(bound[k]), ZERO, position=position), float(linear.dual_value[k])))
    largest = max((price for _, price in found), default=1.0)
    return [w._replace(multiplier=Fraction(price / largest)) for w, price in found if price > NO_PRICE * largest]


def _relaxed(kind: str, s: cp.Expression, give: cp.Expression | float) -> cp.Constraint:
    """Return ``s ∈ K``, softened by ``give``."""
    if kind == "zero":
        return cp.abs(s) <= give
    if kind == "nonnegative":
        return -s <= give
    return cp.SOC(s[0] + give, s[1:])
