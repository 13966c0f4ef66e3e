"""Whether the recorded program is that of what was asked: targets, holdings, metric, and what giving way costs.

A target is what was asked for, in fractions of NAV: as it is, or as a share of the bucket's budget. The metric and the
penalties of soft rules follow from targets, holdings and the policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from .exact import INFINITY, ONE, ZERO, Limit, shown
from .feasibility import Problem
from .inputs import Asked
from .limits import NEAR, same, wrong_limits
from .linear import Numbers
from .policy import Position, number
from .record import Program, Proof, Row, Weights

#: The metric of a position is that of a target of at least this, and a variance counts as at least this share of the
#: largest.
SMALLEST_TARGET, SMALLEST_VARIANCE = Fraction(1e-4), Fraction(1e-4)


def wrong_program(policy: Mapping[str, Any], positions: list[Position], asked: Asked, p: Program) -> Iterator[Problem]:
    """Yield what is not so in a program, by the policy and what was asked."""
    yield from wrong_limits(policy, positions, asked, p)
    yield from wrong_inputs(policy, positions, asked, p)


def wrong_inputs(policy: Mapping[str, Any], positions: list[Position], asked: Asked, p: Program) -> Iterator[Problem]:
    """Yield what is not so in a program, by what was asked."""
    previous = (ZERO,) * len(positions) if asked.previous is None else asked.previous
    for j, wish in enumerate(asked_targets(policy, positions, asked)):
        side = _side(asked.weights[j]) or _side(previous[j]) or ONE
        turned = p.sign[j] != side
        if turned and (asked.weights[j] * previous[j] >= 0 or p.target[j]):
            yield "asked", f"position {j} is on the other side of what was asked for"
        elif not turned and not same(p.target[j], abs(wish), NEAR):
            yield (
                "asked",
                f"position {j} has the target {shown(p.target[j])}; what was asked makes it {shown(abs(wish))}",
            )
        if not same(p.held[j], p.sign[j] * previous[j], NEAR):
            yield "asked", f"position {j} is held at {shown(p.held[j])}; recorded as held is {shown(previous[j])}"
    cost = ZERO if asked.previous is None else number(policy["execution"]["turnover"]["cost"])
    if any(kappa != cost for kappa in p.cost):
        yield "turnover.cost", f"trading is recorded at another cost than the policy's {shown(cost)}"
    yield from _wrong_metric(policy["risk_buckets"]["portfolio"]["distance"], asked, p)
    if not asked.what_if:  # what if a bound were another leaves penalties as they were
        yield from _wrong_penalties(policy, asked, p)


def wrong_targets(
    policy: Mapping[str, Any], positions: list[Position], asked: Asked, proof: Proof
) -> Iterator[Problem]:
    """Yield targets of the attribution that are not what was asked for."""
    for j, wish in enumerate(asked_targets(policy, positions, asked)):
        if not same(proof.target[j], wish, NEAR):
            yield "asked", f"position {j} starts from {shown(proof.target[j])}; what was asked makes it {shown(wish)}"


def asked_targets(policy: Mapping[str, Any], positions: list[Position], asked: Asked) -> Numbers:
    """Return what was asked for, signed fractions of NAV."""
    config = policy["risk_buckets"]
    if asked.how == "project" or not config["enabled"]:
        return asked.weights
    budget = {}
    for name, bucket in config["buckets"].items():
        base, low, high = (number(bucket[f"{key}_nav_frac"]) for key in ("base", "min", "max"))
        budget[name] = min(max(base * max(asked.scale.get(name, ONE), ONE), low), high)
    return tuple(r * budget[bucket] for r, (bucket, _) in zip(asked.weights, positions, strict=True))


def wrong_residual(policy: Mapping[str, Any], weights: Weights) -> Iterator[Problem]:
    """Yield a stand-in for cash that the policy has not, or that is missing, and another minimum of cash."""
    portfolio, buckets = policy["risk_buckets"]["portfolio"], policy["risk_buckets"]["buckets"]
    symbol = portfolio["residual_symbol"] if any(b["role"] == "safe" for b in buckets.values()) else None
    stated = None if weights.residual is None else weights.residual.symbol
    if stated != symbol:
        yield "weights", f"{stated or 'nothing'} stands in for cash; the policy has {symbol or 'nothing'}"
    cash_min = number(portfolio["cash_min"] or 0.0)
    if weights.cash_min != cash_min:
        yield (
            "cash.min",
            f"{shown(weights.cash_min)} is said to stay in cash, the policy's minimum is {shown(cash_min)}",
        )


def _wrong_metric(metric: str, asked: Asked, p: Program) -> Iterator[Problem]:
    if metric == "risk" and asked.variances is None and p.sign:
        yield "program", "the policy's metric is of variances, and no covariance is recorded"
        return
    variances = asked.variances or ()
    largest = max(variances, default=ZERO)
    for j, d in enumerate(p.distance):
        if metric == "relative":
            due = ONE / max(p.target[j], SMALLEST_TARGET)
        else:
            due = max(variances[j], SMALLEST_VARIANCE * largest) if metric == "risk" else ONE
        if abs(d - due) > NEAR * due:
            yield "program", f"the metric of position {j} is recorded as {shown(d)}, the policy's is {shown(due)}"


def _wrong_penalties(policy: Mapping[str, Any], asked: Asked, p: Program) -> Iterator[Problem]:
    """Yield soft rules that give way at another price than the policy's: a multiple of the strongest pull."""
    each = list(zip(p.distance, p.target, p.held, strict=True))
    target = max((d * t for d, t, _ in each), default=ZERO) or ONE
    pull = max((d * max(t, abs(held)) for d, t, held in each), default=ZERO) or ONE
    execution = policy["execution"]
    if p.turnover_penalty != INFINITY and not any(rule.kind == "turnover" for rule in p.rules):
        yield "turnover.max", "has a penalty, and there is no such rule"
    for rule in p.rules:
        if not rule.priced or rule.kind == "bound":
            continue
        stated: Limit = p.turnover_penalty
        due = number(execution["turnover"]["penalty"]) * pull
        if rule.name == "barbell.safe.cap":
            due = number(policy["barbell"]["safe_bucket"]["max_weight_penalty"]) * target
        elif rule.kind == "row":
            own = policy["risk_buckets"]["custom_rules"].get(rule.name.removeprefix("custom."))
            due = ZERO if own is None else number(own["penalty"]) * _strongest(p, p.rows[rule.index], own, pull)
        if rule.kind == "row":
            stated = p.rows[rule.index].penalty
        if not _near(stated, due):
            yield rule.name, f"gives way at a recorded penalty of {shown(stated)}, the policy's is {shown(due)}"
    due = number(execution["liquidity"]["penalty"]) * pull
    for j, owner in enumerate(p.floor_rule):
        right = due if owner >= 0 else ZERO
        if not _near(p.floor_price[j], right):
            yield (
                p.name(owner),
                f"gives way at a recorded penalty of {shown(p.floor_price[j])}, the policy's is {shown(right)}",
            )


def _strongest(p: Program, row: Row, own: Mapping[str, Any], pull: Fraction) -> Fraction:
    """Return the strongest pull on a rule of the user's own, for one unit of its sum."""
    met = [(j, abs(a)) for j, a in zip(row.sum.at, row.sum.coefficients, strict=True) if a]
    if not met:
        return pull
    size = max(a for _, a in met)
    reach = max((abs(number(limit)) / size for limit in (own["min"], own["max"]) if limit is not None), default=ZERO)
    return max(pull, max(p.distance[j] for j, _ in met) * reach) / size


def _near(stated: Limit, due: Limit) -> bool:
    if isinstance(stated, Fraction) and isinstance(due, Fraction):
        return abs(stated - due) <= NEAR * abs(due)
    return stated == due


def _side(x: Fraction) -> Fraction:
    return ONE if x > 0 else -ONE if x < 0 else ZERO
