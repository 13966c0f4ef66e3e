"""The attribution of an allocation as a list of parts, for ledgers that add up many days."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pmx.errors import DataError
from pmx.projection.explain import SIGN, THROUGH_ZERO, TURNOVER_COST, UNEXPLAINED
from pmx.projection.kernels import kernel
from pmx.projection.program import Array, Index, Point, Program
from pmx.projection.rules import plain
from pmx.projection.sheet import Solved

if TYPE_CHECKING:
    from pmx.projection.allocation import Allocation

#: Cash that is not more than this above its minimum is at it, fraction of NAV.
ROUNDING = 1e-12
NO_CONES = (np.zeros((0, 0)), np.zeros(0, dtype=np.intp))
TARGET = "target"
#: The wish, and what moves a position without being a rule: names in the order of the codes that the parts carry.
OTHERS = (TARGET, THROUGH_ZERO, TURNOVER_COST, SIGN, UNEXPLAINED)


def moves(allocation: Allocation) -> Any:
    """Return the parts that add up to each position's signed weight, as `pmx.projection.kernels.moving.Moves`.

    They say the same as ``allocation.attribution``. A part's cause is a rule, counted as in
    ``allocation.figures.names``, or from their number on one of `OTHERS`. What a residual symbol takes is one
    more position, after the last. What is cut falls into it where it leaves no more than the minimum in cash: each
    rule then moves it the other way.

    Raises
    ------
    DataError
        When the layer was bypassed, so that there is nothing to attribute.

    Examples
    --------
    >>> import pandas as pd, pmx
    >>> projector = pmx.Projector(pmx.load_policy(), [("ts_core", "SP500"), ("ts_core", "WTI")])
    >>> parts = moves(projector.project(pd.Series([0.3, 0.05], index=projector.index)))
    >>> parts.position.tolist(), parts.amount.round(6).tolist()
    ([0, 0, 1], [0.3, -0.2, 0.05])
    """
    if allocation.solved is None:
        raise DataError("the policy layer was switched off, so no rule moved anything; take the weights as wishes")
    found = _split(allocation, allocation.solved)
    return found if allocation.residual_part is None else _with_residual(found, allocation)


def _split(allocation: Allocation, solved: Solved) -> Any:
    point, sheet, numbers, wished = solved.point, solved.sheet, solved.numbers, plain(allocation.wished)
    price = allocation.figures.shadow_price
    if sheet is not None and numbers is not None:
        law = sheet.frame.law
        return kernel("moving", "split")(
            sheet.frame.long, sheet.sign, wished, sheet.target, numbers.positions, numbers.owners, numbers.limits,
            numbers.limit_owners, law.rule_row, law.rule_number, price, point.u, point.rows, point.turnover,
            law.turnover_rule, *NO_CONES,
        )  # fmt: skip
    p = solved.program
    positions = np.array([p.distance, p.previous, p.cost, p.lower, p.upper, p.floor, p.floor_penalty])
    owners = np.array([p.lower_owner, p.upper_owner, p.floor_owner], dtype=np.intp)
    limits = np.array([p.lo, p.hi, p.penalty]).reshape(3, len(p.A))
    limit_owners = np.array([p.lo_owner, p.hi_owner], dtype=np.intp).reshape(2, len(p.A))
    number = np.array([i for i, rule in enumerate(p.rules) if rule.kind == "row"], dtype=np.intp)
    row = np.array([p.rules[i].index for i in number.tolist()], dtype=np.intp)
    turnover_rule = next((i for i, rule in enumerate(p.rules) if rule.kind == "turnover"), -1)
    return kernel("moving", "split")(
        plain(p.A), plain(p.sign), wished, plain(p.target), positions, owners, limits, limit_owners, row, number, price,
        point.u, point.rows, point.turnover, turnover_rule, *_cone_pulls(p, point),
    )  # fmt: skip


def _cone_pulls(p: Program, point: Point) -> tuple[Array, Index]:
    """Return ``Gᵀz`` of each cone, shape (n_cones, n), and the rule that it carries."""
    owner = {cone: i for i, rule in enumerate(p.rules) for cone in rule.cones}
    pulls = [cone.G.T @ z for cone, z in zip(p.cones, point.cones, strict=True)]
    return np.array(pulls).reshape(len(pulls), p.n), np.array([owner[c] for c in range(len(pulls))], dtype=np.intp)


def _with_residual(found: Any, allocation: Allocation) -> Any:
    held, n, n_rules = allocation.residual, len(allocation.signed), len(allocation.figures.names)
    moved = np.zeros(n_rules + len(OTHERS))
    if held > 0.0 and allocation.cash - allocation.cash_min <= ROUNDING:
        # Nothing but the minimum is left in cash: the symbol takes whatever is cut and gives up whatever is added.
        moved -= np.bincount(found.cause, weights=found.amount, minlength=len(moved))
    target = n_rules + OTHERS.index(TARGET)
    moved[target] = 0.0
    moved[target] = held - math.fsum(moved.tolist())
    causes = np.flatnonzero(moved)
    return type(found)(
        np.concatenate([found.cause, causes]),
        np.concatenate([found.position, np.full(len(causes), n, dtype=np.intp)]),
        np.concatenate([found.amount, moved[causes]]),
    )
