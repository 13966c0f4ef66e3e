"""What an infeasible policy is told: the clash, the proof and the way out, in the policy's words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pmx.errors import ClashingLimit, InfeasibleError
from pmx.projection.farkas import Weighted
from pmx.projection.feasibility import CLASH
from pmx.projection.program import Program

#: Names of positions, (bucket, symbol), in the order of a program's arrays.
Positions = Sequence[tuple[str, str]]
#: Amounts are written to this, fraction of NAV.
SHOWN = 1e-8
#: Bounds of a rule on positions that a message spells out.
SPELLED_OUT = 3
#: What is limited, where the name of a rule says the opposite.
OF = {"barbell.safe.floor": " at risk", "cash.min": " invested"}


def refusal(
    program: Program,
    proof: Iterable[Weighted],
    relaxation: Mapping[int, float],
    positions: Positions,
    *,
    proven_minimal: bool,
) -> InfeasibleError:
    """Return the error that says what clashes and how to mend it; rules by index, amounts in fractions of NAV."""
    limits: dict[str, list[ClashingLimit]] = {}
    sources = {program.rules[i].name: program.rules[i].source for i in relaxation}
    for w in sorted(proof, key=lambda w: w.rule):
        rule = program.rules[w.rule]
        position = None if w.position < 0 else positions[w.position] if len(positions) else w.position
        sources[rule.name] = rule.source
        limits.setdefault(rule.name, []).append(
            ClashingLimit(rule.name, rule.source, w.side, w.bound, position, w.multiplier)
        )
    amounts = {program.rules[i].name: amount for i, amount in relaxation.items()}
    ranked = {rule.name: rule.most for rule in program.rules if rule.rank and math.isfinite(rule.most)}
    return InfeasibleError(
        _message(limits, sources, amounts, ranked, _weighted(program)),
        rules=tuple(limits),
        sources=sources,
        relaxation=amounts,
        multipliers={name: float(sum(limit.multiplier for limit in own)) for name, own in limits.items()},
        limits=tuple(limit for own in limits.values() for limit in own),
        proven_minimal=proven_minimal,
    )


def _weighted(program: Program) -> frozenset[str]:
    """Return the rules whose sums are no fractions of NAV, since they count weights other than once."""
    rows = [rule for rule in program.rules if rule.kind == "row"]
    return frozenset(rule.name for rule in rows if not np.isin(program.A[rule.index], (-1.0, 0.0, 1.0)).all())


def _message(
    limits: Mapping[str, Sequence[ClashingLimit]],
    sources: Mapping[str, str],
    relaxation: Mapping[str, float],
    ranked: Mapping[str, float],
    weighted: frozenset[str],
) -> str:
    kind = "" if ranked.keys() & limits.keys() else "hard "
    lines = [f"these {kind}rules cannot hold together:" if len(limits) > 1 else f"this {kind}rule cannot hold:"]
    for name, own in limits.items():
        what = limits_in_words(own)
        given = f", even when it gives way by the {amount_in_words(ranked[name])} that it may" if name in ranked else ""
        lines.append(f"  {name}{what and ' '}{what} ({sources[name]}){given}")
    if relaxation:
        ways = ", ".join(
            f"{name} by {amount_in_words(amount)}{_unit(name, weighted)}" for name, amount in relaxation.items()
        )
        lines.append(f"The cheapest way out is to relax {ways}.")
    return "\n".join(lines)


def limits_in_words(limits: Sequence[ClashingLimit]) -> str:
    """Return the limits of one rule, such as ``≥ 40%`` or ``≤ 10% for core/A, ≤ 5% for core/B and 7 more``."""
    known = [limit for limit in limits if not math.isnan(limit.bound)]
    words = [
        f"{'≤' if limit.side == 'max' else '≥'} {_percent(limit.bound)}{_of(limit)}" for limit in known[:SPELLED_OUT]
    ]
    left = len(known) - len(words)
    return ", ".join(words) + (f" and {left} more" if left else "")


def _unit(rule: str, weighted: frozenset[str]) -> str:
    if rule == "volatility.max":
        return " of volatility a year"
    return " of its own sum" if rule in weighted else " of NAV"


def _of(limit: ClashingLimit) -> str:
    if limit.position is None:
        return OF.get(limit.rule, "")
    return f" for position {limit.position}" if isinstance(limit.position, int) else f" for {'/'.join(limit.position)}"


def amount_in_words(amount: float) -> str:
    """Return an amount as a percentage that is enough, within what an answer may overrun a limit.

    Examples
    --------
    >>> amount_in_words(0.15000000000000002), amount_in_words(1e-7)
    ('15%', '0.00001%')
    """
    return _percent(SHOWN * math.ceil((amount - CLASH) / SHOWN))


def _percent(fraction: float) -> str:
    return f"{100.0 * fraction:.6f}".rstrip("0").rstrip(".") + "%"
