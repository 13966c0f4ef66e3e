"""What a line of a journal says, as plain data: the solve or the refusal, the program, what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pmx.errors import ClashingLimit, InfeasibleError, PmxError
from pmx.projection.asked import Asked, asked_record
from pmx.projection.program import Cone, Point, Program, RuleRecord

if TYPE_CHECKING:
    from pmx.projection.allocation import Allocation


def solve_record(allocation: Allocation) -> dict[str, Any]:
    """Return what a line of a journal says of an allocation, as plain data."""
    residual, part = None, allocation.residual_part
    if part is not None:
        residual = {
            "symbol": part.symbol,
            "weight": float(allocation.residual),
            "room": float(part.room),
            "coefficients": {name: float(a) for name, a in part.coefficients.items()},
            "cones": [_cone(cone) for cone in part.cones],
            "column": int(part.column),
        }
    return {
        "status": str(allocation.status),
        "positions": [[str(bucket), str(symbol)] for bucket, symbol in allocation.index],
        "weights": {
            "positions": allocation.signed.tolist(),
            "residual": residual,
            "cash": float(allocation.cash),
            "cash_min": float(allocation.cash_min),
        },
        "asked": None if allocation.asked is None else asked_record(allocation.asked),
        "proof": None
        if allocation.solved is None
        else _proof(allocation, allocation.solved.program, allocation.solved.point),
    }


def refusal_record(error: PmxError, asked: Asked | None) -> dict[str, Any]:
    """Return what a line of a journal says of a solve that was refused, as plain data.

    Parameters
    ----------
    error : PmxError
        Why.
    asked : Asked, optional
        What was asked, as far as it is known.
    """
    asked = asked if error.asked is None else error.asked
    universe = None if asked is None else asked.universe
    positions = None if universe is None else [[str(bucket), str(symbol)] for bucket, symbol in universe.index]
    clash = error if isinstance(error, InfeasibleError) else None
    return {
        "kind": _kind(error),
        "message": str(error),
        "rules": [] if clash is None else [str(name) for name in clash.rules],
        "relaxation": {} if clash is None else {name: float(amount) for name, amount in clash.relaxation.items()},
        "positions": positions,
        "asked": None if asked is None else asked_record(asked),
        "proof": None if clash is None or clash.program is None else _clash(clash, positions or []),
    }


def _kind(error: PmxError) -> str:
    """Return the kind of an error; rules that clash elsewhere than in a solve, as those of whole lots, say so."""
    name = type(error).__name__
    return f"{name} without a program" if isinstance(error, InfeasibleError) and error.program is None else name


def _clash(error: InfeasibleError, positions: list[list[str]]) -> dict[str, Any]:
    return {
        "program": program_record(error.program),
        "limits": [_clashing(limit, positions) for limit in error.limits],
        "proven": bool(error.proven_minimal),
    }


def _clashing(limit: ClashingLimit, positions: list[list[str]]) -> dict[str, Any]:
    """Return one limit of a proof; its multiplier is exact, as text of hexadecimal digits such as ``1/a``."""
    at = limit.position
    if isinstance(at, tuple):
        at = positions.index([str(part) for part in at])
    return {
        "rule": limit.rule,
        "side": limit.side,
        "bound": None if np.isnan(limit.bound) else _limit(limit.bound),
        "position": at,
        "multiplier": f"{limit.multiplier.numerator:x}/{limit.multiplier.denominator:x}",
    }


def _proof(allocation: Allocation, program: Program, point: Point) -> dict[str, Any]:
    table = allocation.attribution
    columns = {str(name): table[name].tolist() for name in table if name not in ("target", "weight")}
    stated = allocation.certificate
    return {
        "program": program_record(program),
        "answer": {
            "u": point.u.tolist(),
            "rows": point.rows.tolist(),
            "turnover": float(point.turnover),
            "cones": [z.tolist() for z in point.cones],
            "auxiliary": point.auxiliary.tolist(),
        },
        "certificate": {
            "primal_residual": float(stated.primal_residual),
            "duality_gap": float(stated.duality_gap),
            "distance_bound": float(stated.distance_bound),
            "tolerance": float(stated.tolerance),
            "engine": stated.engine,
            "note": stated.note,
        },
        "readings": [
            {
                "bound": _limit(reading.bound),
                "value": float(reading.value),
                "slack": _limit(reading.slack),
                "shadow_price": None if np.isnan(reading.shadow_price) else float(reading.shadow_price),
                "violation": float(reading.violation),
                "unique": bool(reading.unique),
            }
            for reading in allocation.readings
        ],
        "attribution": {
            "target": table["target"].tolist(),
            "moves": columns,
            "totals": {name: float(np.sum(column)) for name, column in columns.items()},
        },
    }


def program_record(p: Program) -> dict[str, Any]:
    """Return what a line of a journal says of a program, as plain data."""
    return {
        "sign": p.sign.tolist(),
        "target": p.target.tolist(),
        "distance": p.distance.tolist(),
        "held": p.previous.tolist(),
        "cost": p.cost.tolist(),
        "lower": _limits(p.lower),
        "upper": _limits(p.upper),
        "lower_rule": p.lower_owner.tolist(),
        "upper_rule": p.upper_owner.tolist(),
        "floor": _limits(p.floor),
        "floor_price": p.floor_penalty.tolist(),
        "floor_rule": p.floor_owner.tolist(),
        "rows": [_row(p, k) for k in range(len(p.A))],
        "turnover_max": _limit(p.turnover_max),
        "turnover_penalty": _limit(p.turnover_penalty),
        "cones": [_cone(cone) for cone in p.cones],
        "rules": [_rule(rule) for rule in p.rules],
    }


def _row(p: Program, k: int) -> dict[str, Any]:
    at = np.flatnonzero(p.A[k])
    return {
        "at": at.tolist(),
        "coefficients": p.A[k][at].tolist(),
        "lo": _limit(p.lo[k]),
        "hi": _limit(p.hi[k]),
        "penalty": _limit(p.penalty[k]),
        "lo_rule": int(p.lo_owner[k]),
        "hi_rule": int(p.hi_owner[k]),
    }


def _cone(cone: Cone) -> dict[str, Any]:
    return {"kind": cone.kind, "G": cone.G.tolist(), "h": cone.h.tolist(), "H": cone.H.tolist()}


def _rule(rule: RuleRecord) -> dict[str, Any]:
    return {
        "name": rule.name,
        "source": rule.source,
        "hard": bool(rule.hard),
        "rank": int(rule.rank),
        "most": _limit(rule.most),
        "kind": rule.kind,
        "index": int(rule.index),
        "lo": _limit(rule.lo),
        "hi": _limit(rule.hi),
        "complement": bool(rule.complement),
        "cones": [int(i) for i in rule.cones],
        "members": rule.members.tolist(),
        "member_lower": _limits(rule.member_lower),
        "member_upper": _limits(rule.member_upper),
    }


def _limit(value: float) -> float | str:
    """Return a number as it is, an infinite one in words: JSON has none."""
    return float(value) if np.isfinite(value) else str(float(value))


def _limits(values: np.ndarray) -> list[float | str]:
    return [_limit(value) for value in values.tolist()]
