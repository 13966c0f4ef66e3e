"""The usual way to make weights obey limits: one pass after another, each minding its own limit alone.

A pass clips positions to their caps, or scales a group down to what it may have. Each is what a careful person would
write for that limit, and right when no other limit matters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from pmx.projection import Cone, Program, RuleRecord
from pmx.projection.program import Array

#: The pass that scales all positions to full investment.
RESCALE = "rescale to 100%"
#: Pass → patterns of the rules that it is about.
RULES_OF = {
    "no shorts": ("bucket.*.long_only",),
    "gates": ("gate.*",),
    "symbol caps": ("symbol.*.cap",),
    "market caps": ("market.*.cap",),
    "bucket limits": ("bucket.*.max", "clamp.*"),
    "barbell": ("barbell.safe.floor", "barbell.risk.cap"),
    "custom rules": ("custom.*",),
    "liquidity": ("liquidity.*",),
    "turnover": ("turnover.max",),
    "volatility": ("volatility.max",),
    "leverage": ("leverage.gross",),
    "cash": ("cash.min",),
}


@dataclass(frozen=True, slots=True)
class Pass:
    """One step of the sequential way.

    Attributes
    ----------
    name : str
        What it is about: a key of `RULES_OF`, or `RESCALE`.
    apply : callable
        Sizes of positions, shape (m, n), to new ones of the same shape, row by row.
    """

    name: str
    apply: Callable[[Array], Array]


def passes_of(program: Program, invested: float | None = None, ignored: str = "") -> tuple[Pass, ...]:
    """Return the passes for the rules of a program.

    Parameters
    ----------
    program : Program
        Its hard rules, and those on trading, are turned into passes.
    invested : float, fraction of NAV, optional
        Gross exposure that a last kind of pass scales all positions to. What the barbell's pass takes from risk then
        goes to the safe positions, and leverage and cash need no pass. Without it, what is cut stays in cash.
    ignored : str
        A rule that gets no pass of its own.

    Returns
    -------
    tuple of Pass
        In the order of `RULES_OF`.
    """
    passes = []
    for name, patterns in RULES_OF.items():
        if invested is not None and name in ("leverage", "cash"):
            continue
        rules = [
            rule
            for i, rule in enumerate(program.rules)
            if any(fnmatchcase(rule.name, pattern) for pattern in patterns)
            and rule.name != ignored
            and (rule.hard or name in ("liquidity", "turnover"))
            and (name not in ("leverage", "cash") or _owns_its_row(program, i, rule))
        ]
        if rules:
            passes.append(Pass(name, _steps(program, name, rules, refill=invested is not None)))
    if invested is not None:
        passes.append(Pass(RESCALE, lambda U: scaled_to(U, invested)))
    return tuple(passes)


def _owns_its_row(program: Program, i: int, rule: RuleRecord) -> bool:
    """Return whether no rule with the same left-hand side is tighter: without shorts, leverage is one with cash."""
    return bool(program.hi_owner[rule.index] == i)


def _steps(program: Program, name: str, rules: Sequence[RuleRecord], *, refill: bool) -> Callable[[Array], Array]:
    """Return the function that goes through the rules of one pass."""

    def run(U: Array) -> Array:
        for rule in rules:
            if rule.kind == "bound":
                U = U.copy()
                U[:, rule.members] = np.clip(U[:, rule.members], rule.member_lower, rule.member_upper)
            elif rule.kind == "turnover":
                U = traded_less(U, program.previous, rule.hi)
            elif rule.kind == "cone":
                U = less_volatile(U, program.cones[rule.cones[0]])
            elif name == "barbell":
                U = risk_cut(U, program.A[rule.index] > 0.0, rule.hi, refill=refill)
            elif name in ("leverage", "cash"):
                U = U * _factor(U @ program.A[rule.index], rule.hi)[:, None]
            else:
                U = within(U, program.A[rule.index], rule.lo, rule.hi)
        return U

    return run


def within(U: Array, row: Array, lo: float, hi: float) -> Array:
    """Scale the positions of a group so that ``lo ≤ row · u ≤ hi``.

    Too large a sum is mended by scaling down what adds to it; too small a one by scaling down what takes from it, and
    where that is not enough, by scaling up the rest.

    Examples
    --------
    >>> within(np.array([[0.2, 0.1, 0.4]]), np.array([1.0, 1.0, 0.0]), -np.inf, 0.15).round(6).tolist()
    [[0.1, 0.05, 0.4]]
    """
    adds, takes = row > 0.0, row < 0.0
    plus, minus = U @ np.where(adds, row, 0.0), -(U @ np.where(takes, row, 0.0))
    if np.isfinite(hi):
        factor = _factor(plus, np.maximum(hi + minus, 0.0))
        U, plus = np.where(adds, U * factor[:, None], U), plus * factor
    if np.isfinite(lo):
        factor = _factor(minus, np.maximum(plus - lo, 0.0))
        U, minus = np.where(takes, U * factor[:, None], U), minus * factor
        wanted = np.maximum(lo + minus, plus)
        U = np.where(adds, U * _ratio(wanted, plus)[:, None], U)
    return U


def risk_cut(U: Array, risk: np.ndarray, most: float, *, refill: bool) -> Array:
    """Scale risk positions down to what they may be together; with ``refill``, move what is freed to the safe ones.

    Examples
    --------
    >>> wishes, risk = np.array([[0.2, 0.2, 0.6]]), np.array([True, True, False])
    >>> risk_cut(wishes, risk, 0.25, refill=True).round(6).tolist()
    [[0.125, 0.125, 0.75]]
    """
    at_risk, safe = U[:, risk].sum(axis=1), U[:, ~risk].sum(axis=1)
    factor = _factor(at_risk, most)
    freed = at_risk * (1.0 - factor) if refill else 0.0
    return np.where(risk, U * factor[:, None], U * _ratio(safe + freed, safe)[:, None])


def traded_less(U: Array, held: Array, most: float) -> Array:
    """Go only so far from what is held that the turnover ``½ Σ|u − p|`` is at most ``most``."""
    turnover = 0.5 * np.abs(U - held).sum(axis=1)
    return np.asarray(held + (U - held) * _factor(turnover, most)[:, None])


def less_volatile(U: Array, cone: Cone) -> Array:
    """Scale everything down to the volatility cap, a cone ``‖−G[1:] u‖₂ ≤ h[0]``."""
    volatility = np.linalg.norm(U @ cone.G[1:].T, axis=1)
    return np.asarray(U * _factor(volatility, float(cone.h[0]))[:, None])


def scaled_to(U: Array, gross: float) -> Array:
    """Scale everything, up or down, to one gross exposure; a row of zeros stays.

    Examples
    --------
    >>> scaled_to(np.array([[0.1, 0.3]]), 1.0).round(6).tolist()
    [[0.25, 0.75]]
    """
    total = np.abs(U).sum(axis=1)
    return np.asarray(U * _ratio(np.full(len(U), gross), total)[:, None])


def _factor(value: Array, most: Array | float) -> Array:
    """Return what brings a value down to ``most``, 1 where it is there already."""
    return np.minimum(_ratio(np.broadcast_to(most, value.shape), value), 1.0)


def _ratio(wanted: Array, value: Array) -> Array:
    """Return wanted ÷ value, 1 where nothing can be scaled."""
    return np.divide(wanted, value, out=np.ones_like(value), where=value > 0.0)
