"""Whether a certificate states what can be proven, and proves what is asked of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .exact import HALF, ONE, shown
from .feasibility import Problem
from .optimality import Bound, judging_noise, softest
from .record import Proof

#: Furthest that an answer may be from its optimum, fraction of NAV; the second where there are cones.
DISTANCE_TOLERANCE, CONIC_DISTANCE_TOLERANCE = Fraction(1e-6), Fraction(1e-5)
#: The solver's judge works in doubles: its bound may fall short of the exact one by this much, relatively and in all.
STATED_RELATIVE, STATED_NEAR = Fraction(1, 10**6), Fraction(1, 10**12)
#: Gaps below this are rounding.
GAP_NEAR = Fraction(1, 10**30)


def wrong_certificate(proof: Proof, within: Bound) -> Iterator[Problem]:
    """Yield what a certificate states that is not so, and an answer that is too far from its optimum to be one."""
    p, stated = proof.program, proof.certificate
    tolerance = CONIC_DISTANCE_TOLERANCE if p.cones else DISTANCE_TOLERANCE
    if within.distance > tolerance:
        yield (
            "certificate",
            f"the answer may be {shown(within.distance)} from the optimum; {shown(tolerance)} is allowed",
        )
    if not 0 <= stated.distance_bound <= tolerance or stated.tolerance != tolerance or stated.primal_residual < 0:
        yield "certificate", f"states a distance, or a tolerance, that is not from 0 to {shown(tolerance)}"
    gap = HALF * softest(p) * stated.distance_bound**2
    if abs(gap - stated.duality_gap) > STATED_RELATIVE * gap and (gap > GAP_NEAR or stated.duality_gap > GAP_NEAR):
        yield "certificate", "states a gap and a distance that do not belong together"
    claimed = stated.distance_bound * (ONE + STATED_RELATIVE) + STATED_NEAR
    if within.distance > claimed and within.gap > HALF * softest(p) * claimed**2 + judging_noise(p, proof.answer):
        proven = shown(within.distance)
        yield "certificate", f"states a distance of {shown(stated.distance_bound)} to the optimum; proven is {proven}"
