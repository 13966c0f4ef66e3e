"""Whether weights obey the policy's own numbers, whatever the recorded program says that they are.

Every hard limit that follows from the policy and the weights alone: cash, gross leverage, buckets, the barbell,
markets, symbols, linear rules of the user's own, turnover from what is recorded as held. Rules that give way by rank
are held to as far as they may. What else a day's rules rest on (scales, gates, volumes, covariances) is not in the
policy; those rules are held to what the program says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from math import isfinite
from typing import Any

from .exact import INFINITY, ONE, ZERO, Limit, beyond, minus, plus, shown, total
from .feasibility import Problem
from .record import GIVE_ROOM, HARD_TOLERANCE, Solve

Position = tuple[str, str]
#: Name, value, least, most, and what one weight counts in it, at most 1.
HardLimit = tuple[str, Fraction, Limit, Limit, Fraction]


def is_off(policy: Mapping[str, Any]) -> bool:
    """Return whether both layers of a policy are switched off, so that it promises nothing."""
    return not policy["risk_buckets"]["enabled"] and not policy["barbell"]["enable_barbell_allocation"]


def broken_limits(policy: Mapping[str, Any], solve: Solve) -> Iterator[Problem]:
    """Yield the limits of a policy that weights overrun by more than 1e-9 in their units."""
    x = dict(zip(solve.positions, solve.weights.positions, strict=True))
    residual, buckets = solve.weights.residual, policy["risk_buckets"]["buckets"]
    if residual is not None:
        own = next((b for b, bucket in buckets.items() if bucket["role"] == "safe"), ""), residual.symbol
        x[own] = x.get(own, ZERO) + residual.weight
    for name, value, low, high, unit in [*_limits(policy, x), *_turnover_limit(policy, solve)]:
        over = beyond(value, low, high)
        if over > HARD_TOLERANCE * unit:
            yield (
                name,
                f"the policy's limit is {shown(high if value > high else low)}; the weights come to {shown(value)}",
            )


def _limits(policy: Mapping[str, Any], x: Mapping[Position, Fraction]) -> Iterator[HardLimit]:
    """Yield each hard rule that weights alone decide, and each that gives way by rank as far as it may."""
    config, barbell = policy["risk_buckets"], policy["barbell"]
    buckets, portfolio = config["buckets"], config["portfolio"]
    size = {position: abs(weight) for position, weight in x.items()}
    if portfolio["cash_min"] is not None:
        yield "cash.min", ONE - total(x.values()), number(portfolio["cash_min"]), INFINITY, ONE
    if portfolio["gross_max"] is not None:
        yield "leverage.gross", total(size.values()), -INFINITY, number(portfolio["gross_max"]), ONE
    if config["enabled"]:
        for name, bucket in buckets.items():
            inside = [position for position in x if position[0] == name]
            used = total(size[position] for position in inside)
            yield f"bucket.{name}.max", used, -INFINITY, number(bucket["max_nav_frac"]), ONE
            if not bucket["allow_short"]:
                yield (
                    f"bucket.{name}.long_only",
                    min([x[position] for position in inside], default=ZERO),
                    ZERO,
                    INFINITY,
                    ONE,
                )
    if barbell["enable_barbell_allocation"]:
        yield from _barbell_limits(policy, x, size)
    for name, rule in config["custom_rules"].items():
        if rule["hard"] or rule["rank"]:
            seen = x if rule["exposure"] == "net" else size
            row = {position: coefficient(policy, rule, position) for position in x}
            value = total(a * seen[position] for position, a in row.items())
            unit = min(max(map(abs, row.values()), default=ZERO), ONE) or ONE
            give = ZERO if rule["hard"] else _furthest(rule["max_violation"], unit)
            low = -INFINITY if rule["min"] is None else number(rule["min"])
            high = INFINITY if rule["max"] is None else number(rule["max"])
            yield f"custom.{name}", value, minus(low, give), plus(high, give), unit


def _barbell_limits(
    policy: Mapping[str, Any], x: Mapping[Position, Fraction], size: Mapping[Position, Fraction]
) -> Iterator[HardLimit]:
    barbell, config = policy["barbell"], policy["risk_buckets"]
    safe_bucket, risk_bucket = barbell["safe_bucket"], barbell["risk_bucket"]
    risky = {position: is_risk(policy, position) for position in x}
    at_risk = {position: size[position] for position in x if risky[position] or x[position] < 0}
    minima = [b["min_nav_frac"] for b in config["buckets"].values() if b["role"] == "safe"] if config["enabled"] else []
    floor = max(sum(map(number, minima), ZERO), number(safe_bucket["min_weight"]))
    yield "barbell.safe.floor", ONE - total(at_risk.values()), floor, INFINITY, ONE
    if safe_bucket["max_weight"] is not None and safe_bucket["max_weight_rank"]:
        most = plus(number(safe_bucket["max_weight"]), _furthest(safe_bucket["max_weight_max_violation"], ONE))
        yield "barbell.safe.cap", ONE - total(at_risk.values()), -INFINITY, most, ONE
    if risk_bucket["max_weight"] is not None:
        yield "barbell.risk.cap", total(at_risk.values()), -INFINITY, number(risk_bucket["max_weight"]), ONE
    for market, cap in barbell["market_caps"].items():
        inside = total(w for (_, symbol), w in at_risk.items() if matches(symbol, barbell["markets"][market]))
        yield f"market.{market}.cap", inside, -INFINITY, number(cap), ONE
    for symbol in {symbol for _, symbol in x}:
        members = [position for position in x if position[1] == symbol]
        yield (
            f"symbol.{symbol}.cap",
            total(size[m] for m in members),
            -INFINITY,
            symbol_cap(policy, symbol, members),
            ONE,
        )


def symbol_cap(policy: Mapping[str, Any], symbol: str, members: Iterable[Position]) -> Limit:
    """Return the tightest cap on a symbol: its own, and those on any position of the sides where it is held."""
    barbell, risky = policy["barbell"], [is_risk(policy, position) for position in members]
    caps = [barbell["symbol_caps"].get(symbol)]
    caps += [barbell["risk_bucket"]["max_per_position"]] if any(risky) else []
    caps += [barbell["safe_bucket"]["max_per_position"]] if not all(risky) else []
    return min((number(cap) for cap in caps if cap is not None), default=INFINITY)


def _turnover_limit(policy: Mapping[str, Any], solve: Solve) -> Iterator[HardLimit]:
    """Yield the limit on turnover where something is recorded as held: without holdings there is no such rule."""
    rule = policy["execution"]["turnover"]
    if rule["max"] is not None and (rule["hard"] or rule["rank"]) and solve.proof is not None:
        program = solve.proof.program
        give = ZERO if rule["hard"] else _furthest(rule["max_violation"], ONE)
        if any(program.held):
            most = plus(number(rule["max"]), give)
            yield "turnover.max", program.turnover(solve.proof.answer.u), -INFINITY, most, ONE


def _furthest(most: Any, unit: Fraction) -> Limit:
    """Return how far a ranked rule may give way."""
    return INFINITY if most is None else number(most) + GIVE_ROOM * unit


def by_symbol(positions: Iterable[Position]) -> dict[str, list[int]]:
    """Return the numbers of the positions of each symbol."""
    members: dict[str, list[int]] = {}
    for j, (_, symbol) in enumerate(positions):
        members.setdefault(symbol, []).append(j)
    return members


def coefficient(policy: Mapping[str, Any], rule: Mapping[str, Any], position: Position) -> Fraction:
    """Return the coefficient of a position in a rule of the user's own."""
    bucket, symbol = position
    markets = policy["barbell"]["markets"]
    found = [rule["symbols"].get(symbol, 0.0), rule["buckets"].get(bucket, 0.0)]
    found += [value for market, value in rule["markets"].items() if matches(symbol, markets.get(market, ()))]
    return total(map(number, found))


def is_risk(policy: Mapping[str, Any], position: Position) -> bool:
    """Return whether a long position counts as risk: a risk asset does not become safe in a safe bucket."""
    name, symbol = position
    bucket, safe = policy["risk_buckets"]["buckets"].get(name), policy["barbell"]["safe_bucket"]["symbols"]
    if bucket is None or bucket["role"] != "safe":
        return True
    listed = bucket["symbols"]
    return bool(listed or safe) and not matches(symbol, listed) and symbol not in safe


def matches(symbol: str, patterns: Any) -> bool:
    """Return whether a list of names and patterns holds a symbol."""
    return any(fnmatchcase(symbol, pattern) if set(pattern) & set("*?[") else symbol == pattern for pattern in patterns)


def number(value: Any) -> Fraction:
    """Return a number of the policy, exactly."""
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(f"{value!r} stands where a finite number should")
    return Fraction(value)
