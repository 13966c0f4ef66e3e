"""Constraints that a user writes in cvxpy, turned into cone rows that the certificate understands.

cvxpy reduces a constraint to ``h − G u − H a ∈ K`` with auxiliary variables ``a`` of its own. Doing that once, apart
from the main problem, gives every constraint its multipliers in a form that a lower bound can be computed from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np

from pmx.errors import SolverError
from pmx.projection.program import Array, Cone, Program, RuleRecord


class Weights:
    """The portfolio as cvxpy expressions, for writing constraints. All are signed fractions of NAV.

    Attributes
    ----------
    x : cvxpy Expression, shape (n,)
        Weight of every position, in the order of ``positions``.
    positions : tuple of (bucket, symbol)
        The positions.
    """

    def __init__(self, x: cp.Expression, positions: Sequence[tuple[str, str]]) -> None:
        self.x = x
        self.positions = tuple(positions)

    @property
    def cash(self) -> cp.Expression:
        """Weight of cash."""
        return 1.0 - cp.sum(self.x)

    def symbol(self, name: str) -> cp.Expression:
        """Weight of a symbol over all buckets."""
        return self._sum([s == name for _, s in self.positions], f"symbol {name!r}")

    def bucket(self, name: str) -> cp.Expression:
        """Weight of a bucket."""
        return self._sum([b == name for b, _ in self.positions], f"bucket {name!r}")

    def _sum(self, members: list[bool], what: str) -> cp.Expression:
        if not any(members):
            raise SolverError(f"{what} has no position in this universe; add it to the projector's positions")
        return np.array(members, dtype=np.float64) @ self.x


ConstraintWriter = Callable[[Weights], Mapping[str, cp.Constraint]]


@dataclass(frozen=True, slots=True)
class _Canonical:
    """One user constraint, reduced."""

    name: str
    problem: cp.Problem
    x: cp.Variable


class ExtraConstraints:
    """User-written constraints, reduced to cones at every solve so that their parameters may change.

    Parameters
    ----------
    write : callable
        Takes :class:`Weights`, returns named cvxpy constraints.
    positions : sequence of (bucket, symbol)
        The universe.

    Raises
    ------
    SolverError
        When something is not a constraint, not convex or not DPP; at a solve, when a constraint needs a cone other than
        linear and second-order, or a parameter has no value.
    """

    def __init__(self, write: ConstraintWriter, positions: Sequence[tuple[str, str]]) -> None:
        n = len(positions)
        self._parts: list[_Canonical] = []
        x = cp.Variable(n, name="x")
        written = write(Weights(x, positions))
        if not isinstance(written, Mapping):
            raise SolverError(f"constraints must return a mapping of name to constraint; it returned {written!r}")
        for name, constraint in written.items():
            if not isinstance(constraint, cp.Constraint):
                raise SolverError(
                    f"constraint {name!r} is {constraint!r}, not a cvxpy constraint; compare cvxpy expressions of the "
                    "weights with <=, >= or =="
                )
            foreign = [v.name() for v in constraint.variables() if v.id != x.id]
            if foreign:
                raise SolverError(
                    f"constraint {name!r} has the variable {foreign[0]!r} of its own; write it with the weights and "
                    "parameters alone, so that it can be certified"
                )
            problem = cp.Problem(cp.Minimize(cp.sum(x) * 0.0), [constraint])
            if not problem.is_dcp(dpp=True):
                raise SolverError(
                    f"constraint {name!r} is not convex or not DPP by cvxpy's rules: {constraint}; rewrite it "
                    "with cvxpy atoms that are convex, affine in their parameters"
                )
            self._parts.append(_Canonical(name, problem, x))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rules that the constraints become."""
        return tuple(f"custom.{part.name}" for part in self._parts)

    def violations(self, signed: Array) -> dict[str, float]:
        """Return how far other weights would break each constraint, as cvxpy measures it; rule name to amount."""
        amounts: dict[str, float] = {}
        for part in self._parts:
            part.x.value = signed
            amounts[f"custom.{part.name}"] = float(np.max(part.problem.constraints[0].violation()))
        return amounts

    def limits(self, signed: Array) -> dict[str, tuple[str, float, float]]:
        """Return relation, bound and value of each constraint at some weights, by rule name.

        Known where a constraint compares one number with a constant; NaN elsewhere.
        """
        found: dict[str, tuple[str, float, float]] = {}
        for part in self._parts:
            part.x.value = signed
            found[f"custom.{part.name}"] = _comparison(part.problem.constraints[0])
        return found

    def onto(self, program: Program) -> Program:
        """Return the program with these constraints as further cones."""
        blocks = [self._reduce(part, program.sign) for part in self._parts]
        width = sum(H.shape[1] for _, _, _, H in blocks if H is not None) if blocks else 0
        cones = [replace(cone, H=np.zeros((len(cone.h), width))) for cone in program.cones]
        rules = list(program.rules)
        start = 0
        for part, (kinds, G, h, H) in zip(self._parts, blocks, strict=True):
            wide = np.zeros((len(h), width))
            wide[:, start : start + H.shape[1]] = H
            start += H.shape[1]
            row = 0
            first = len(cones)
            for kind, m in kinds:
                rows = slice(row, row + m)
                cones.append(Cone(kind, G[rows], h[rows], wide[rows]))  # type: ignore[arg-type]
                row += m
            carried_by = tuple(range(first, len(cones)))
            rules.append(RuleRecord(f"custom.{part.name}", "constraints=", True, "cone", cones=carried_by))
        return replace(program, cones=tuple(cones), rules=tuple(rules))

    def _reduce(self, part: _Canonical, sign: Array) -> tuple[list[tuple[str, int]], Array, Array, Array]:
        for parameter in part.problem.parameters():
            if parameter.value is None:
                raise SolverError(
                    f"constraint {part.name!r} has the parameter {parameter.name()!r} without a value; give it one "
                    "before solving"
                )
        data, _, inverse = part.problem.get_problem_data(cp.CLARABEL)
        dims = data["dims"]
        if dims.exp or dims.psd or dims.p3d:
            raise SolverError(
                f"constraint {part.name!r} needs an exponential, power or semidefinite cone; pmx certifies linear and "
                "second-order cone constraints only: rewrite it with those"
            )
        A = data["A"].toarray()
        columns = _columns_of(inverse, part.x)
        G = A[:, columns] * sign
        H = np.delete(A, columns, axis=1)
        kinds = [("zero", dims.zero), ("nonnegative", dims.nonneg), *(("second_order", m) for m in dims.soc)]
        return [(kind, int(m)) for kind, m in kinds if m], G, np.asarray(data["b"]), H


def _comparison(constraint: cp.Constraint) -> tuple[str, float, float]:
    """Return relation, bound and value of a comparison of one number with a constant; NaN for any other."""
    relation = {"Inequality": "≤", "Equality": "="}.get(type(constraint).__name__)
    if relation is None or constraint.size != 1:
        return "", math.nan, math.nan
    left, right = constraint.args
    if left.is_constant() == right.is_constant():
        return "", math.nan, math.nan
    if left.is_constant():
        left, right, relation = right, left, "≥" if relation == "≤" else relation
    return relation, float(np.squeeze(right.value)), float(np.squeeze(left.value))


def _columns_of(inverse: object, x: cp.Variable) -> np.ndarray:
    """Return the columns of the reduced matrix that belong to ``x``."""
    for item in reversed(list(inverse)):  # type: ignore[call-overload]
        offsets = getattr(item, "var_offsets", None)
        if offsets and x.id in offsets:
            return np.arange(offsets[x.id], offsets[x.id] + x.size)
    raise SolverError("cvxpy's reduction does not say where the weights are; this version of cvxpy is not supported")
