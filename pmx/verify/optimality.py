r"""How far the answer can be from the optimum: by weak duality, straight from the definitions, in exact numbers.

For any prices ``y`` of the rows (of the right signs, none above its row's penalty), ``τ`` of turnover and ``z`` in the
dual cones, no weights that obey every rule have an objective below

.. math::

    D = \sum_j \min_{l_j ≤ v ≤ b_j} φ_j(v) - \sum_k y_k s_k - τ T - \sum_c z_c·h_c, \qquad
    φ_j(v) = ½ d_j (v - t_j)² + (κ_j + τ/2) |v - p_j| + ρ_j (f_j - v)^+ + (A^⊤ y + \sum_c G_c^⊤ z_c)_j v,

where ``s_k`` is the limit on which ``y_k`` presses. φ is convex with kinks at ``p`` and ``f`` only, so that its minimum
is found piece by piece. The objective is strongly convex: an answer that obeys every rule, and whose objective is
``P``, lies within :math:`\sqrt{2 (P - D) / \min d}` of the optimum.

An answer in doubles meets a limit only up to the rounding of a sum, and may overrun a hard one by 1e-9. So this is said
of the program whose limits are moved to the answer (:func:`fitted`): hard ones that are overrun and, where rounding
counts, those that are missed by no more than it.

References
----------
Boyd and Vandenberghe (2004), *Convex Optimization*, section 5.1. Nesterov (2018), *Lectures on Convex Optimization*,
section 2.1.3. Higham (2002), *Accuracy and Stability of Numerical Algorithms*, section 4.2 (rounding of sums).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from .exact import (
    HALF,
    INFINITY,
    ONE,
    ZERO,
    Limit,
    between,
    beyond,
    dot,
    norm_above,
    root_above,
    rounded_down,
    summing,
    total,
)
from .feasibility import Problem
from .linear import Numbers
from .record import Answer, Cone, Program, Row

#: A soft rule overrun by no more than this, in weights, is held where rounding counts.
SOFT_ROUNDING = Fraction(1e-12)
#: Prices on auxiliary variables of cones must cancel to this.
AUXILIARY_TOLERANCE = Fraction(1, 10**10)
#: How far, relatively, a dual may lie outside its cone and still be put right.
DUAL_ROUNDING = Fraction(1, 10**12)


class Bound(NamedTuple):
    """Most that the objective is above its optimum, that the answer is away from it, and that a limit was moved."""

    gap: Fraction
    distance: Fraction
    moved: Fraction


def wrong_prices(p: Program, answer: Answer) -> Iterator[Problem]:
    """Yield prices that prove nothing: of the wrong sign, above their penalty, or outside their cone."""
    for row, y in zip(p.rows, answer.rows, strict=True):
        owner = p.owner(row, y)
        if y and not isinstance(row.hi if y > 0 else row.lo, Fraction):
            yield owner, "has a price on a side where it has no limit"
        if abs(y) > row.penalty:
            yield owner, "has a price above its penalty"
    priced = isinstance(p.turnover_max, Fraction) or not answer.turnover
    if not 0 <= answer.turnover <= p.turnover_penalty or not priced:
        yield "turnover.max", "has a price below zero, above its penalty, or without a limit"
    names = {i: rule.name for rule in p.rules for i in rule.cones}
    for i, (cone, z) in enumerate(zip(p.cones, answer.cones, strict=True)):
        outside = cone.kind == "nonnegative" and min(z, default=ZERO) < 0
        if outside or (cone.kind == "second_order" and _lifted(cone, z)[0] > z[0] * (ONE + DUAL_ROUNDING)):
            yield names.get(i, "program"), "has prices outside the dual cone"
    if max(map(abs, _on_auxiliary(p, answer)), default=ZERO) > AUXILIARY_TOLERANCE:
        yield "program", "prices do not cancel on the auxiliary variables of cones"


def bounds(p: Program, answer: Answer) -> tuple[Bound, Bound]:
    """Return how far an answer with admissible prices can be from the optimum: limits as written, and within rounding.

    Limits as written are moved by what they are overrun, no more.
    """
    z = tuple(_lifted(cone, z) for cone, z in zip(p.cones, answer.cones, strict=True))
    answer = replace(answer, cones=z)
    written, within = fitted(p, answer, rounding=False), fitted(p, answer, rounding=True)
    lowest = _lowest(written, answer)
    return _bound(p, written, answer, lowest), _bound(p, within, answer, lowest)


def softest(p: Program) -> Fraction:
    """Return the least of the metric, in which the objective is strongly convex."""
    return min(p.distance, default=ONE)


def judging_noise(p: Program, answer: Answer) -> Fraction:
    """Return what doubles may hide of prices times slacks of cones, which cancel where the answer is optimal."""
    noise = ZERO
    for cone, z in zip(p.cones, answer.cones, strict=True):
        s, near = cone.slack(answer.u, answer.auxiliary), cone.rounding(answer.u, answer.auxiliary)
        noise += near * total(map(abs, z)) + summing(len(s), [abs(a * b) for a, b in zip(s, z, strict=True)])
    return noise


def _bound(p: Program, fit: Program, answer: Answer, lowest: Fraction) -> Bound:
    gap = objective(fit, answer.u) - (lowest - _priced_limits(fit, answer))
    distance = root_above(2 * gap / softest(p)) if answer.u else ZERO
    return Bound(gap, distance, max(map(_apart, _limits(p), _limits(fit)), default=ZERO))


def objective(p: Program, u: Numbers) -> Fraction:
    """Return ``½ Σ d (u − t)² + Σ κ |u − p| + Σ ρ (f − u)⁺ + Σ ρ v``."""
    one = zip(p.distance, p.target, p.held, p.cost, p.floor, p.floor_price, u, strict=True)
    terms = [_value(d, t, held, kappa, f, rho, ZERO, x) for d, t, held, kappa, f, rho, x in one]
    soft = [(row.penalty, beyond(row.sum.value(u), row.lo, row.hi)) for row in p.rows if not row.hard]
    soft.append((p.turnover_penalty, beyond(p.turnover(u), -INFINITY, p.turnover_max)))
    return total([*terms, *(penalty * over for penalty, over in soft if isinstance(penalty, Fraction))])


def _lowest(p: Program, answer: Answer) -> Fraction:
    """Return the least value of the Lagrangian, but for the prices of limits, which do not depend on the weights.

    Auxiliary variables of cones have no bounds of their own, and prices cancel on them only up to rounding: each is
    taken to lie within 1 + its size of where it is.
    """
    pull = [ZERO] * len(p.sign)
    for row, y in zip(p.rows, answer.rows, strict=True):
        if y:
            for j, a in zip(row.sum.at, row.sum.coefficients, strict=True):
                pull[j] += a * y
    for cone, z in zip(p.cones, answer.cones, strict=True):
        for j, force in enumerate(cone.map.pull(z)):
            pull[j] += force
    half = HALF * answer.turnover
    one = zip(p.distance, p.target, p.held, p.cost, p.floor, p.floor_price, pull, p.lower, p.upper, strict=True)
    least = [
        _minimum(d, t, held, kappa + half, f, rho, g, low, high) for d, t, held, kappa, f, rho, g, low, high in one
    ]
    spread = zip(_on_auxiliary(p, answer), answer.auxiliary, strict=True)
    return total([*least, *(r * a - abs(r) * (ONE + abs(a)) for r, a in spread)])


def _minimum(
    d: Fraction,
    t: Fraction,
    p: Fraction,
    kappa: Fraction,
    f: Limit,
    rho: Fraction,
    g: Fraction,
    low: Limit,
    high: Limit,
) -> Fraction:
    """Return the least of ``½ d (v − t)² + κ |v − p| + ρ (f − v)⁺ + g v`` over ``low ≤ v ≤ high``, rounded down."""
    kinks = {kink for kink, size in ((p, kappa), (f, rho)) if size and low < kink < high}
    lowest = []
    for a, b in pairwise(sorted({low, *kinks, high}) if low < high else (low, high)):
        slope = g + (kappa if p <= a else -kappa) - (rho if f >= b else ZERO)
        lowest.append(_value(d, t, p, kappa, f, rho, g, between(t - slope / d, a, b)))
    return rounded_down(min(lowest))


def _value(
    d: Fraction, t: Fraction, p: Fraction, kappa: Fraction, f: Limit, rho: Fraction, g: Fraction, v: Fraction
) -> Fraction:
    value = HALF * d * (v - t) ** 2
    if g:
        value += g * v
    if kappa:
        value += kappa * abs(v - p)
    return value + rho * (f - v) if rho and isinstance(f, Fraction) and v < f else value


def _priced_limits(p: Program, answer: Answer) -> Fraction:
    """Return ``Σ y s + τ T + Σ z·h``."""
    sides = [(row.hi if y > 0 else row.lo, y) for row, y in zip(p.rows, answer.rows, strict=True) if y]
    sides.append((p.turnover_max, answer.turnover))
    priced = [y * limit for limit, y in sides if isinstance(limit, Fraction)]
    return total([*priced, *(dot(cone.h, z) for cone, z in zip(p.cones, answer.cones, strict=True))])


def _on_auxiliary(p: Program, answer: Answer) -> Numbers:
    """Return ``Σ Hᵀ z``: what prices come to on each auxiliary variable."""
    left = [ZERO] * len(answer.auxiliary)
    for cone, z in zip(p.cones, answer.cones, strict=True):
        for i, force in enumerate(cone.map.left(z)):
            left[i] += force
    return tuple(left)


def _lifted(cone: Cone, z: Numbers) -> Numbers:
    """Return a dual that rounding has put just outside its second-order cone, put right; any other as it is."""
    if cone.kind != "second_order" or (z[0] >= 0 and total(x * x for x in z[1:]) <= z[0] * z[0]):
        return z
    return (norm_above(z[1:]), *z[1:])


# -- limits moved to the answer ---------------------------------------------------------------------------------


def fitted(p: Program, answer: Answer, *, rounding: bool) -> Program:
    """Return the program whose limits are moved to the answer.

    Hard limits that it overruns, by as much. With ``rounding`` also limits that have a price and that it misses, by no
    more than doubles may, and soft ones that it overruns by no more than 1e-12.
    """
    u = answer.u
    trade, near = p.turnover(u), p.turnover_rounding(u) if rounding else ZERO
    soft = max(near, SOFT_ROUNDING) if rounding else ZERO
    give = soft if isinstance(p.turnover_penalty, Fraction) else INFINITY
    return replace(
        p,
        lower=tuple(map(min, p.lower, u)),
        upper=tuple(map(max, p.upper, u)),
        rows=tuple(_fitted_row(row, y, u, rounding) for row, y in zip(p.rows, answer.rows, strict=True)),
        turnover_max=_met(p.turnover_max, trade, near if answer.turnover else ZERO, give),
        cones=tuple(_fitted_cone(cone, answer, rounding) for cone in p.cones),
    )


def _fitted_row(row: Row, y: Fraction, u: Numbers, rounding: bool) -> Row:
    value = row.sum.value(u)
    near = row.rounding(u) if rounding else ZERO
    soft = max(near, SOFT_ROUNDING * row.unit) if rounding else ZERO
    give = INFINITY if row.hard else soft
    lo = -_met(-row.lo, -value, near if y < 0 else ZERO, give)
    return replace(row, lo=lo, hi=_met(row.hi, value, near if y > 0 else ZERO, give))


def _met(limit: Limit, value: Fraction, near: Fraction, give: Limit) -> Limit:
    """Return an upper limit, moved towards a value: by ``near`` if it is not met, by ``give`` or not if overrun."""
    if not isinstance(limit, Fraction) or value - limit > give:
        return limit
    return max(value, limit - near)


def _fitted_cone(cone: Cone, answer: Answer, rounding: bool) -> Cone:
    s = cone.slack(answer.u, answer.auxiliary)
    near = cone.rounding(answer.u, answer.auxiliary) if rounding else ZERO
    if cone.kind == "zero":
        return replace(cone, h=tuple(h - x for h, x in zip(cone.h, s, strict=True)))
    if cone.kind == "nonnegative":
        return replace(cone, h=tuple(h - min(x, near) for h, x in zip(cone.h, s, strict=True)))
    room = s[0] - norm_above(s[1:])
    return replace(cone, h=(cone.h[0] - min(room, near), *cone.h[1:]))


def _limits(p: Program) -> list[Limit]:
    rows = [limit for row in p.rows for limit in (row.lo, row.hi)]
    return [*p.lower, *p.upper, *rows, p.turnover_max, *(h for cone in p.cones for h in cone.h)]


def _apart(a: Limit, b: Limit) -> Fraction:
    return abs(a - b) if isinstance(a, Fraction) and isinstance(b, Fraction) else ZERO
