"""Whether weights obey the policy's own numbers, whatever the recorded program says that they are.

Every hard limit that follows from the policy and the weights alone: cash, gross leverage, buckets, the barbell,
markets, symbols, linear rules of the user's own. What else a day's rules rest on (scales, gates, volumes,
covariances) is not in the policy; those rules are held to what the program says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from math import isfinite
from typing import Any

from .exact import INFINITY, ONE, ZERO, Limit, beyond, shown, total
from .feasibility import Problem
from .record import HARD_TOLERANCE, Solve

Position = tuple[str, str]


def is_off(policy: Mapping[str, Any]) -> bool:
    """Return whether both layers of a policy are switched off, so that it promises nothing."""
    return not policy["risk_buckets"]["enabled"] and not policy["barbell"]["enable_barbell_allocation"]


def broken_limits(policy: Mapping[str, Any], solve: Solve) -> Iterator[Problem]:
    """Yield the limits of a policy that weights overrun by more than 1e-9."""
    x = dict(zip(solve.positions, solve.weights.positions, strict=True))
    residual, buckets = solve.weights.residual, policy["risk_buckets"]["buckets"]
    if residual is not None:
        own = next((b for b, bucket in buckets.items() if bucket["role"] == "safe"), ""), residual.symbol
        x[own] = x.get(own, ZERO) + residual.weight
    for name, value, low, high in _limits(policy, x):
        over = beyond(value, low, high)
        if over > HARD_TOLERANCE:
            yield (
                name,
                f"the policy's limit is {shown(high if value > high else low)}; the weights come to {shown(value)}",
            )


def _limits(policy: Mapping[str, Any], x: Mapping[Position, Fraction]) -> Iterator[tuple[str, Fraction, Limit, Limit]]:
    """Yield name, value, least and most of each hard rule."""
    config, barbell = policy["risk_buckets"], policy["barbell"]
    buckets, portfolio = config["buckets"], config["portfolio"]
    size = {position: abs(weight) for position, weight in x.items()}
    if portfolio["cash_min"] is not None:
        yield "cash.min", ONE - total(x.values()), _number(portfolio["cash_min"]), INFINITY
    if portfolio["gross_max"] is not None:
        yield "leverage.gross", total(size.values()), -INFINITY, _number(portfolio["gross_max"])
    if config["enabled"]:
        for name, bucket in buckets.items():
            inside = [position for position in x if position[0] == name]
            used = total(size[position] for position in inside)
            yield f"bucket.{name}.max", used, -INFINITY, _number(bucket["max_nav_frac"])
            if not bucket["allow_short"]:
                yield (
                    f"bucket.{name}.long_only",
                    min([x[position] for position in inside], default=ZERO),
                    ZERO,
                    INFINITY,
                )
    if barbell["enable_barbell_allocation"]:
        yield from _barbell_limits(policy, x, size)
    for name, rule in config["custom_rules"].items():
        if rule["hard"]:
            seen = x if rule["exposure"] == "net" else size
            value = sum((_coefficient(policy, rule, position) * seen[position] for position in x), ZERO)
            low, high = rule["min"], rule["max"]
            yield (
                f"custom.{name}",
                value,
                -INFINITY if low is None else _number(low),
                INFINITY if high is None else _number(high),
            )


def _barbell_limits(
    policy: Mapping[str, Any], x: Mapping[Position, Fraction], size: Mapping[Position, Fraction]
) -> Iterator[tuple[str, Fraction, Limit, Limit]]:
    barbell, config = policy["barbell"], policy["risk_buckets"]
    safe_bucket, risk_bucket = barbell["safe_bucket"], barbell["risk_bucket"]
    risky = {position: _is_risk(policy, position) for position in x}
    at_risk = {position: size[position] for position in x if risky[position] or x[position] < 0}
    minima = [b["min_nav_frac"] for b in config["buckets"].values() if b["role"] == "safe"] if config["enabled"] else []
    floor = max(sum(map(_number, minima), ZERO), _number(safe_bucket["min_weight"]))
    yield "barbell.safe.floor", ONE - total(at_risk.values()), floor, INFINITY
    if risk_bucket["max_weight"] is not None:
        yield "barbell.risk.cap", total(at_risk.values()), -INFINITY, _number(risk_bucket["max_weight"])
    for market, cap in barbell["market_caps"].items():
        inside = total(w for (_, symbol), w in at_risk.items() if _matches(symbol, barbell["markets"][market]))
        yield f"market.{market}.cap", inside, -INFINITY, _number(cap)
    for symbol in {symbol for _, symbol in x}:
        members = [position for position in x if position[1] == symbol]
        caps = [barbell["symbol_caps"].get(symbol)]
        caps += [risk_bucket["max_per_position"]] if any(risky[m] for m in members) else []
        caps += [safe_bucket["max_per_position"]] if not all(risky[m] for m in members) else []
        cap = min((_number(cap) for cap in caps if cap is not None), default=INFINITY)
        yield f"symbol.{symbol}.cap", total(size[m] for m in members), -INFINITY, cap


def _coefficient(policy: Mapping[str, Any], rule: Mapping[str, Any], position: Position) -> Fraction:
    bucket, symbol = position
    markets = policy["barbell"]["markets"]
    found = [rule["symbols"].get(symbol, 0.0), rule["buckets"].get(bucket, 0.0)]
    found += [value for market, value in rule["markets"].items() if _matches(symbol, markets.get(market, ()))]
    return total(map(_number, found))


def _is_risk(policy: Mapping[str, Any], position: Position) -> bool:
    """Return whether a long position counts as risk: a risk asset does not become safe in a safe bucket."""
    name, symbol = position
    bucket, safe = policy["risk_buckets"]["buckets"].get(name), policy["barbell"]["safe_bucket"]["symbols"]
    if bucket is None or bucket["role"] != "safe":
        return True
    listed = bucket["symbols"]
    return bool(listed or safe) and not _matches(symbol, listed) and symbol not in safe


def _matches(symbol: str, patterns: Any) -> bool:
    return any(fnmatchcase(symbol, pattern) if set(pattern) & set("*?[") else symbol == pattern for pattern in patterns)


def _number(value: Any) -> Fraction:
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(f"{value!r} stands where a finite number should")
    return Fraction(value)
