"""Whether the recorded rules are the policy's: none is missing or added, none is tighter or looser, softer or harder.

What a rule says follows from the policy, or from the policy and what was asked: the clamp of a bucket from its budget,
its risk scale and what is wished for in it; a gate, a limit on trades and an account's own bounds from what is held.
Both ways: a limit that is tighter than the policy's cuts weights for a reason that nobody gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from .exact import INFINITY, ONE, ZERO, Limit, minus, plus, shown, total
from .feasibility import Problem
from .inputs import Asked
from .policy import Position, by_symbol, is_risk, matches, number, symbol_cap
from .record import Program, Rule

#: Limits that doubles were summed or multiplied for agree to this, relatively where they are more than 1.
NEAR = Fraction(1, 10**12)


@dataclass(frozen=True, slots=True)
class Due:
    """What a rule has to say; ``bounds`` are least and most of single positions."""

    kind: str = "row"
    lo: Limit = -INFINITY
    hi: Limit = INFINITY
    hard: bool = True
    rank: int = 0
    most: Limit = INFINITY
    complement: bool = False
    near: Fraction = ZERO
    bounds: Mapping[int, tuple[Limit, Limit]] = field(default_factory=dict)


def wrong_limits(policy: Mapping[str, Any], positions: list[Position], asked: Asked, p: Program) -> Iterator[Problem]:
    """Yield the rules of a program that the policy does not have so, and those that it has and the program has not."""
    due = due_rules(policy, positions, asked, p)
    recorded = {rule.name: rule for rule in p.rules}
    for name in due.keys() - recorded.keys():
        yield name, "is missing: the policy has this rule, and the recorded program has not"
    for name, rule in recorded.items():
        if name in due:
            yield from _wrong_rule(rule, due[name])
        elif rule.kind != "cone" or name not in asked.constraints:
            yield name, "is recorded, though neither the policy nor what was asked has such a rule"


def _wrong_rule(rule: Rule, due: Due) -> Iterator[Problem]:
    if rule.kind != due.kind or rule.complement != due.complement:
        yield rule.name, f"is recorded as a {rule.kind}, the policy makes it a {due.kind}"
        return
    if (rule.hard, rule.rank) != (due.hard, due.rank):
        yield (
            rule.name,
            f"is recorded as {_strength(rule.hard, rule.rank)}, the policy has it {_strength(due.hard, due.rank)}",
        )
    elif rule.most != due.most:
        yield rule.name, f"may give way by {_against(rule.most, due.most)}"
    for side, stated, right in (("upper", rule.hi, due.hi), ("lower", rule.lo, due.lo)):
        if not same(stated, right, due.near):
            yield rule.name, f"the recorded {side} limit{_of(rule.name)} is {_against(stated, right)}"
    stated_bounds = dict(zip(rule.members, zip(rule.member_lower, rule.member_upper, strict=True), strict=True))
    if stated_bounds.keys() != due.bounds.keys():
        yield rule.name, "bounds other positions than the policy has it bound"
        return
    for j, (low, high) in due.bounds.items():
        for side, stated, right in (("lower", stated_bounds[j][0], low), ("upper", stated_bounds[j][1], high)):
            if not same(stated, right, due.near):
                yield rule.name, f"the recorded {side} bound of position {j} is {_against(stated, right)}"


def same(a: Limit, b: Limit, near: Fraction) -> bool:
    """Return whether two limits are the same, but for what rounding may make of them."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return abs(a - b) <= near * max(ONE, abs(b))
    return a == b


def _against(stated: Limit, right: Limit) -> str:
    """Return a recorded number and the one that is due, with as many digits as tell them apart."""
    a, b = shown(stated), shown(right)
    if a == b:
        a, b = repr(float(stated)), repr(float(right))
    return f"{a}, the policy's is {b}"


def _strength(hard: bool, rank: int) -> str:
    return "hard" if hard else f"soft, of rank {rank}" if rank else "soft, at a penalty"


def _of(name: str) -> str:
    return {"barbell.safe.floor": " at risk", "barbell.safe.cap": " at risk", "cash.min": " invested"}.get(name, "")


def due_rules(policy: Mapping[str, Any], positions: list[Position], asked: Asked, p: Program) -> dict[str, Due]:
    """Return every rule that a program of these positions has to have, by name."""
    due = _portfolio_rules(policy)
    if policy["risk_buckets"]["enabled"]:
        due |= _bucket_rules(policy, positions, asked, p)
    if policy["barbell"]["enable_barbell_allocation"]:
        due |= _barbell_rules(policy, positions, p)
    for name, rule in policy["risk_buckets"]["custom_rules"].items():
        low, high = (-INFINITY if rule["min"] is None else number(rule["min"])), _upper(rule["max"])
        due[f"custom.{name}"] = _softened(Due(lo=low, hi=high), rule)
    if asked.previous is not None:
        due |= _trading_rules(policy, positions, asked, p)
    members = by_symbol(positions)
    for symbol, mode in asked.gates.items():
        if symbol in members:
            due[f"gate.{symbol}"] = _gate(mode, members[symbol], p)
    if asked.bounds is not None:
        ends = enumerate(zip(*asked.bounds, strict=True))
        due["account.bounds"] = Due("bound", bounds={j: (low, high) for j, (low, high) in ends})
    return due


def _portfolio_rules(policy: Mapping[str, Any]) -> dict[str, Due]:
    portfolio, due = policy["risk_buckets"]["portfolio"], {}
    if portfolio["cash_min"] is not None:
        due["cash.min"] = Due(hi=_rest(portfolio["cash_min"]))
    if portfolio["gross_max"] is not None:
        due["leverage.gross"] = Due(hi=number(portfolio["gross_max"]))
    if portfolio["volatility_max"] is not None:
        due["volatility.max"] = Due("cone", hi=number(portfolio["volatility_max"]))
    return due


def _bucket_rules(policy: Mapping[str, Any], positions: list[Position], asked: Asked, p: Program) -> dict[str, Due]:
    due = {}
    for name, bucket in policy["risk_buckets"]["buckets"].items():
        inside = [j for j, position in enumerate(positions) if position[0] == name]
        if not inside:
            continue
        due[f"bucket.{name}.max"] = Due(hi=number(bucket["max_nav_frac"]))
        short = [j for j in inside if p.sign[j] < 0]
        if short and not bucket["allow_short"]:
            due[f"bucket.{name}.long_only"] = Due("bound", bounds=dict.fromkeys(short, (-INFINITY, ZERO)))
        scale = asked.scale.get(name, ONE)
        if scale < 1:
            due[f"clamp.{name}"] = Due(hi=_clamp(bucket, scale, asked, inside), near=NEAR)
    return due


def _clamp(bucket: Mapping[str, Any], scale: Fraction, asked: Asked, inside: list[int]) -> Fraction:
    """Return what a bucket may have at a scale: of its budget as much as is asked for, or its scaled maximum."""
    least, most = number(bucket["min_nav_frac"]), number(bucket["max_nav_frac"])
    if asked.how == "project":
        return max(scale * most, least)
    used = total(abs(asked.weights[j]) for j in inside)
    return used * min(max(number(bucket["base_nav_frac"]) * scale, least), most)


def _barbell_rules(policy: Mapping[str, Any], positions: list[Position], p: Program) -> dict[str, Due]:
    barbell, config = policy["barbell"], policy["risk_buckets"]
    safe = barbell["safe_bucket"]
    minima = [b["min_nav_frac"] for b in config["buckets"].values() if b["role"] == "safe"] if config["enabled"] else []
    floor = max(total(map(number, minima)), number(safe["min_weight"]))
    due = {"barbell.safe.floor": Due(hi=ONE - floor, near=NEAR)}
    if safe["max_weight"] is not None:
        give = {"hard": False, "rank": safe["max_weight_rank"], "max_violation": safe["max_weight_max_violation"]}
        due["barbell.safe.cap"] = _softened(Due(lo=_rest(safe["max_weight"]), complement=True), give)
    if barbell["risk_bucket"]["max_weight"] is not None:
        due["barbell.risk.cap"] = Due(hi=number(barbell["risk_bucket"]["max_weight"]))
    at_risk = [position for j, position in enumerate(positions) if p.sign[j] < 0 or is_risk(policy, position)]
    for market, cap in barbell["market_caps"].items():
        if any(matches(symbol, barbell["markets"][market]) for _, symbol in at_risk):
            due[f"market.{market}.cap"] = Due(hi=number(cap))
    for symbol, members in by_symbol(positions).items():
        cap = symbol_cap(policy, symbol, [positions[j] for j in members])
        if isinstance(cap, Fraction):
            alone = {members[0]: (-INFINITY, cap)}
            due[f"symbol.{symbol}.cap"] = Due(hi=cap) if len(members) > 1 else Due("bound", bounds=alone)
    return due


def _trading_rules(policy: Mapping[str, Any], positions: list[Position], asked: Asked, p: Program) -> dict[str, Due]:
    turnover, liquidity, due = policy["execution"]["turnover"], policy["execution"]["liquidity"], {}
    if turnover["max"] is not None:
        due["turnover.max"] = _softened(Due("turnover", hi=number(turnover["max"])), turnover)
    if liquidity["participation"] is None:
        return due
    for symbol, members in by_symbol(positions).items():
        bounds = {}
        if asked.adv is not None and asked.nav:  # without them nothing was solved, so that no bound is right
            room = number(liquidity["participation"]) * asked.adv.get(symbol, ZERO) / asked.nav / len(members)
            bounds = {j: (minus(p.held[j], room), plus(p.held[j], room)) for j in members}
        due[f"liquidity.{symbol}"] = _softened(Due("bound", bounds=bounds, near=NEAR), liquidity)
    return due


def _gate(mode: str, members: list[int], p: Program) -> Due:
    most = {j: max(p.held[j], ZERO) if mode == "reduce_only" else ZERO for j in members}
    return Due("bound", bounds={j: (-INFINITY, high) for j, high in most.items()}, near=NEAR)


def _softened(due: Due, rule: Mapping[str, Any]) -> Due:
    """Return a rule as hard as the policy has it, and how far it gives way where it does so by rank."""
    return replace(due, hard=rule["hard"], rank=rule["rank"], most=_upper(rule["max_violation"]))


def _upper(value: Any) -> Limit:
    return INFINITY if value is None else number(value)


def _rest(value: Any) -> Fraction:
    """Return one less a share, in doubles, as the program has it."""
    return Fraction(1.0 - float(number(value)))
