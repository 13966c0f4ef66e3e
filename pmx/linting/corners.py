r"""Whether the hard rules can hold together in every state: the whole box of scales, any signals, any gates.

A state is the scales :math:`s_b \in [\underline s_b, \overline s_b]`, the relative weights :math:`r` with their signs
and the utilisation :math:`\rho_b = \sum_{j \in b} |r_j| \in [0, 1]` of each bucket, and the gates. Few of the states
have to be tried, because the feasible set moves one way in each of them:

- **Scales and utilisation** enter one kind of hard rule only, the clamp
  :math:`\sum_{j \in b} u_j \le \rho_b \, \mathrm{clip}(B_b s_b, m_b, M_b)` for :math:`s_b < 1`, none for
  :math:`s_b \ge 1`. Its bound never falls when :math:`s_b` or :math:`\rho_b` rises, and its coefficients are not
  negative. So the feasible set grows with each scale and each utilisation: whatever is feasible with all of them at
  their least is feasible in the whole box. Scales above 1 move wishes, not rules.
- **Gates** replace a bound by a lower one. Exit gates on every symbol leave all cash, which the gates of every other
  state allow too.
- **Sides**: a position that may be short is held on the side that its signal wants. No side contains the other, but
  both contain zero.

So all cash is in the feasible set of every state, unless a rule forbids all cash itself: a custom rule with a minimum
above zero or a maximum below zero that is hard, or may give way less far than that; a *demand*. Without demands every
state is feasible, and one look at the bounds proves it. With demands, exit gates on all of its symbols defeat each one,
so that some state is infeasible. What is then worth knowing is how ordinary that state may be. The corners are
therefore tried from the most ordinary one on: scales of 1; scales at their least; those and no signals,
:math:`\rho_b = 0`; the same three with the worst choice of sides, which is a mixed-integer program
(`Region.opposing_sides`); gates last. Each clash is reported at the first of them that shows it. Its verdict and its
proof come from the judge that refuses it in a solve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from pmx.errors import InfeasibleError
from pmx.linting.finding import Corner, Finding, Position
from pmx.linting.region import Flags, Region, linear
from pmx.linting.universe import Universe
from pmx.policy import Policy
from pmx.portfolio import NavAllocator
from pmx.projection import Inputs, RuleBook
from pmx.projection.infeasibility import require_feasible
from pmx.projection.ranks import moved

#: What a hard rule may do.
LET_IT = "let it give way (hard: false)"


def finding(code: str, about: str, corner: Corner, error: InfeasibleError, remedy: str) -> Finding:
    """Return a clash as a finding, at the place of the rule that it is ``about``."""
    rules = [f"{rule} ({error.sources[rule]})" for rule in error.rules]
    text = f"{', '.join(rules[:-1])} and {rules[-1]} cannot hold together" if rules[1:] else f"{rules[0]} cannot hold"
    ways = ", ".join(f"{name} by {100.0 * amount:.6g}% of NAV" for name, amount in error.relaxation.items())
    return Finding(
        code,
        error.sources[about],
        f"{text} with {corner}",
        f"{remedy}; the cheapest way out here is to relax {ways}",
        error.rules,
        corner,
        dict(error.multipliers),
        error.limits,
        dict(error.relaxation),
    )


def scale_box(policy: Policy) -> dict[str, tuple[float, float]]:
    """Return the least and the highest scale of each bucket that the risk scaler scales.

    A scale is 1 until its bucket has shown enough returns, so 1 is always in between.
    """
    if not (policy.risk_scaler.enabled and policy.risk_buckets.enabled):
        return {}
    return {
        name: (min(scaler.min_scale, 1.0), max(scaler.max_scale, 1.0))
        for name, scaler in policy.risk_scaler.buckets.items()
    }


def clash_at(policy: Policy, positions: Sequence[Position], corner: Corner) -> InfeasibleError | None:
    """Return the clash of the hard rules in one state, as a solve there would refuse it; None if they hold.

    Volatility caps and traded volumes are left out. Ranked rules give way as far as they may.
    """
    bare = linear(policy)
    r = np.array([corner.relative.get(position, 0.0) for position in positions])
    held = np.array([corner.held.get(position, 0.0) for position in positions]) if corner.held else None
    index = pd.MultiIndex.from_tuples(positions, names=["bucket", "symbol"])
    budget = NavAllocator(bare).allocate(r, corner.scales, positions=index)
    sign = budget.sign if held is None else np.where(np.where(r == 0.0, held, r) < 0.0, -1.0, 1.0)
    inputs = Inputs(sign, budget.target, dict(budget.clamps), held, dict(corner.gates))
    program = RuleBook(bare, positions).program(inputs)
    furthest = moved(program, {i: rule.most for i, rule in enumerate(program.rules) if rule.rank})
    try:
        require_feasible(furthest, positions)
    except InfeasibleError as error:
        return error
    return None


def only_what_clashes(corner: Corner, error: InfeasibleError) -> Corner:
    """Return a corner without the scales and gates that take no part in its clash, and with their buckets asked."""
    scales = {bucket: scale for bucket, scale in corner.scales.items() if f"clamp.{bucket}" in error.rules}
    full = asked(tuple(corner.relative))
    relative = {
        position: share if share != 0.0 or position[0] in scales else full[position]
        for position, share in corner.relative.items()
    }
    gates = {symbol: mode for symbol, mode in corner.gates.items() if f"gate.{symbol}" in error.rules}
    return replace(corner, scales=scales, relative=relative, gates=gates)


def clashes(universe: Universe) -> Iterator[Finding]:
    """Yield, for every clash of hard rules that some state brings about, the most ordinary corner that shows it."""
    policy, positions = universe.policy, universe.positions
    if not positions:
        return
    demands = Region(policy, positions).demands
    left = set(demands)
    for shorts in (False, True):
        for scales, quiet in _levels(policy):
            while left:
                some = linear(policy, demands - left)
                corner = _corner(some, positions, scales, quiet, shorts)
                error = None if corner is None else clash_at(some, positions, corner)
                if corner is None or error is None:
                    break
                broken = sorted(left & set(error.rules))
                left -= set(broken)
                remedy = f"give {' and '.join(broken)} a wider limit, or {_softer(policy, broken[0])}"
                yield finding("infeasible-corner", broken[0], only_what_clashes(corner, error), error, remedy)
    for name in sorted(left):
        some = linear(policy, demands - {name})
        corner = Corner(relative=asked(positions), gates=_gates(some, universe, name))
        error = clash_at(some, positions, corner)
        if error is not None:
            remedy = f"for such gates, {_softer(policy, name)}"
            yield finding("infeasible-when-gated", name, corner, error, remedy)


def _softer(policy: Policy, name: str) -> str:
    """Return how to let a rule give way, or where it is ranked and does, how to let it give way further."""
    if name == "barbell.safe.cap":
        return _further("max_weight_max_violation")
    custom = policy.risk_buckets.custom_rules.get(name.removeprefix("custom."))
    return _further("max_violation") if custom is not None and custom.rank else LET_IT


def _further(key: str) -> str:
    rank = key.replace("max_violation", "rank")
    return f"let it give way further: raise its {key}, or give it no {rank} and no {key}, but a penalty"


def _levels(policy: Policy) -> Iterator[tuple[dict[str, float], bool]]:
    """Yield scales, and whether their buckets have no signals, from the most ordinary on."""
    least = {bucket: low for bucket, (low, _) in scale_box(policy).items() if low < 1.0}
    yield {}, False
    if least:
        yield least, False
        yield least, True


def asked(
    positions: Sequence[Position], short: Flags | None = None, silent: Mapping[str, float] | None = None
) -> dict[Position, float]:
    """Return relative weights that fill every bucket but the silent ones, each position on its side."""
    count = pd.Series([bucket for bucket, _ in positions]).value_counts()
    sides = np.zeros(len(positions), dtype=bool) if short is None else short
    return {
        position: 0.0 if position[0] in (silent or {}) else (-1.0 if side else 1.0) / int(count[position[0]])
        for position, side in zip(positions, sides, strict=True)
    }


def _corner(
    policy: Policy, positions: Sequence[Position], scales: dict[str, float], quiet: bool, shorts: bool
) -> Corner | None:
    """Return one corner; None where no choice of sides makes a difference."""
    silent = scales if quiet else None
    if not shorts:
        return Corner(scales, asked(positions, silent=silent))
    region = Region(policy, positions)
    if not region.shorts.any():
        return None
    index = pd.MultiIndex.from_tuples(positions, names=["bucket", "symbol"])
    relative = np.array(list(asked(positions, silent=silent).values()))
    clamps = NavAllocator(policy).allocate(relative, scales, positions=index).clamps
    short = region.opposing_sides(clamps)
    return None if short is None else Corner(scales, asked(positions, short, silent))


def _gates(policy: Policy, universe: Universe, demand: str) -> dict[str, str]:
    """Return exit gates that leave no way to meet a demand, none of which can be spared.

    A class of which only some symbols were kept is gated as a whole or not at all.
    """
    region = Region(policy, universe.positions)
    row = next(limit.row for limit in region.limits if limit.name == demand and limit.forbids_cash)
    met = {universe.positions[j][1] for j in region.position[row < 0.0]}
    units: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for kept, all_of_class in universe.classes:
        if met & set(kept):
            units += [((s,), (s,)) for s in kept] if kept == all_of_class else [(kept, all_of_class)]
    symbol_of = np.array([universe.positions[j][1] for j in region.position], dtype=object)

    def shut(some: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> Flags:
        return np.asarray(np.isin(symbol_of, [s for kept, _ in some for s in kept]) | region.is_short)

    for unit in list(units):
        rest = [other for other in units if other is not unit]
        if not region.feasible(shut=shut(rest)):
            units = rest
    return {symbol: "exit" for _, all_of_class in units for symbol in all_of_class}


def turnover(universe: Universe) -> Iterator[Finding]:
    r"""Yield the clash of a hard limit on turnover with what a gate, or a scale, may ask to be sold.

    Holdings :math:`p` that obey the rules can be sold whole, with turnover :math:`\tfrac12 \sum p_j`, and gates on
    everything ask just that. So the limit is safe exactly if it is not below half of the most that may be held.
    """
    policy, rule, positions = universe.policy, universe.policy.execution.turnover, universe.positions
    further = 0.0 if rule.hard else rule.max_violation
    if rule.max is None or further is None or not positions:
        return
    region = Region(policy, positions)
    most = region.furthest_on_one_side(np.ones(len(region.position)))
    if not 0.5 * most.value > rule.max + further or np.isinf(most.value):
        return
    signed = np.where(region.is_short, -most.point, most.point)
    weights = np.bincount(region.position, signed, len(positions))
    held = {p: float(w) for p, w in zip(positions, weights, strict=True) if w != 0.0}
    least = {bucket: low for bucket, (low, _) in scale_box(policy).items()}
    everything = dict.fromkeys((symbol for _, symbol in positions), "exit")
    ordinary = Corner(least, dict.fromkeys(positions, 0.0), {}, held)
    # Demands clash with such gates themselves; without them, turnover has a part in every clash.
    some = linear(policy, region.demands)
    for corner in (ordinary, replace(ordinary, gates=everything)):
        error = clash_at(some, positions, corner)
        if error is not None:
            softer = LET_IT if rule.hard else _further("max_violation")
            remedy = f"raise execution.turnover.max to {0.5 * most.value:.4g}, or {softer}"
            yield finding("infeasible-turnover", "turnover.max", only_what_clashes(corner, error), error, remedy)
            return
