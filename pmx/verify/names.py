"""Whether rules bind what their names say, and the policy: just those positions, with just those coefficients.

Prices and moves are told by rule, so a proof that holds under the wrong name tells a lie. Which positions a rule meets
follows from the policy, their buckets and symbols, and the sides that they are on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from .exact import ONE, ZERO
from .feasibility import Problem
from .policy import Position, by_symbol, coefficient, is_risk, matches
from .record import Program

#: Coefficients of a user's rule are summed in doubles.
NEAR = Fraction(1, 10**12)

#: Coefficients by position; what is not named is 0.
Row = dict[int, Fraction]


def misnamed(policy: Mapping[str, Any], positions: list[Position], p: Program) -> Iterator[Problem]:
    """Yield the rules that do not meet what their names and the policy say that they do."""
    rows, members = _rows(policy, positions, p), _members(positions, p)
    for rule in p.rules:
        if rule.kind == "row":
            row = p.rows[rule.index].sum
            met = {j: a for j, a in zip(row.at, row.coefficients, strict=True) if a}
            wrong = rule.name not in rows or not _equal(met, rows[rule.name])
        elif rule.kind == "bound":
            wrong = sorted(rule.members) != members.get(rule.name)
        elif rule.kind == "turnover":
            wrong = rule.name != "turnover.max"
        else:
            wrong = rule.name != "volatility.max" and not rule.name.startswith("custom.")
        if wrong:
            yield rule.name, "does not meet just the positions that a rule of this name does, by the policy"


def unknown_engine(policy: Mapping[str, Any], engine: str) -> Iterator[Problem]:
    """Yield an engine that cannot have answered under a policy."""
    solver = policy["execution"]["solver"]
    known = {"newton", "closed form", *(f"cvxpy/{name}" for name in (solver["name"], *solver["fallbacks"]))}
    if engine not in known:
        yield "certificate", f"names the engine {engine!r}; the policy has {', '.join(sorted(known))}"


def _equal(a: Row, b: Row) -> bool:
    return all(abs(a.get(j, ZERO) - b.get(j, ZERO)) <= NEAR * max(ONE, abs(b.get(j, ZERO))) for j in a.keys() | b)


def _rows(policy: Mapping[str, Any], positions: list[Position], p: Program) -> dict[str, Row]:
    """Return the coefficients of every rule that may be a row."""
    config, barbell = policy["risk_buckets"], policy["barbell"]
    at = [*enumerate(positions)]
    everything: Row = dict.fromkeys(range(len(at)), ONE)
    risk = {j: ONE for j, position in at if p.sign[j] < 0 or is_risk(policy, position)}
    rows = {"cash.min": dict(enumerate(p.sign)), "leverage.gross": everything}
    rows |= dict.fromkeys(("barbell.safe.floor", "barbell.safe.cap", "barbell.risk.cap"), risk)
    for bucket in config["buckets"]:
        inside = {j: ONE for j, position in at if position[0] == bucket}
        rows |= {f"bucket.{bucket}.max": inside, f"clamp.{bucket}": inside}
    for market in barbell["market_caps"]:
        listed = barbell["markets"][market]
        rows[f"market.{market}.cap"] = {j: ONE for j in risk if matches(positions[j][1], listed)}
    for symbol, members in by_symbol(positions).items():
        rows[f"symbol.{symbol}.cap"] = dict.fromkeys(members, ONE)
    for name, rule in config["custom_rules"].items():
        side = p.sign if rule["exposure"] == "net" else [ONE] * len(at)
        rows[f"custom.{name}"] = {j: side[j] * coefficient(policy, rule, position) for j, position in at}
    return rows


def _members(positions: list[Position], p: Program) -> dict[str, list[int]]:
    """Return the positions of every rule that may bound single ones."""
    members = {"account.bounds": [*range(len(positions))]}
    for symbol, some in by_symbol(positions).items():
        members |= {f"symbol.{symbol}.cap": some, f"liquidity.{symbol}": some, f"gate.{symbol}": some}
    for j, (bucket, _) in enumerate(positions):
        if p.sign[j] < 0:
            members.setdefault(f"bucket.{bucket}.long_only", []).append(j)
    return members
