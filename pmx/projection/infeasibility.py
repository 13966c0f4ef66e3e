"""When the hard rules cannot hold together: which ones, the proof, and the cheapest way out.

A minimal set is what a deletion filter leaves: every rule that takes part in a proof is dropped once; where the others
still clash, their proof takes the place of the first one. Both verdicts of each deletion are exact. The relaxation is
read off a point that obeys every rule but for those amounts, so that it is enough by construction.

References
----------
Chinneck (2008), Feasibility and Infeasibility in Optimization, chapter 6 (elastic and deletion filters).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pmx.errors import SolverError
from pmx.projection.elastic import least_overrun, limits_of
from pmx.projection.farkas import Weighted, free_bounds, least_excess
from pmx.projection.feasibility import contradiction, only
from pmx.projection.program import Program
from pmx.projection.refusal import Positions, refusal


def require_feasible(program: Program, positions: Positions = ()) -> None:
    """Raise when the hard rules of a program cannot hold together; return quietly otherwise.

    Of linear rules the verdict is exact: there is an error only with a proof in rational arithmetic, and none only if
    a point obeys every limit within ``CLASH``. Cones are judged as sharply as their solver can.

    Parameters
    ----------
    program : Program
        The program.
    positions : sequence of (bucket, symbol), optional
        What to call the positions.

    Raises
    ------
    InfeasibleError
        With a minimal set of rules, the cheapest relaxation and the multipliers that prove the clash.
    """
    proof = contradiction(program)
    if proof is not None:
        proof = minimal(program, proof)
        confirm(program, proof)
        raise refusal(program, proof, cheapest(program), positions, proven_minimal=True)
    if program.cones:
        from pmx.projection.infeasibility_conic import require_cones

        require_cones(program, positions)


def minimal(program: Program, proof: list[Weighted]) -> list[Weighted]:
    """Return a proof of which every rule is needed: without any one of them, the others can hold together."""
    for rule in sorted({w.rule for w in proof}):
        others = {w.rule for w in proof} - {rule}
        proof = contradiction(only(program, others)) or proof
    return proof


def confirm(program: Program, proof: Sequence[Weighted]) -> None:
    """Check a proof in rational arithmetic, from the limits and multipliers alone.

    Raises
    ------
    SolverError
        When they do not prove that the limits clash.
    """
    excess = least_excess(program, proof)
    if excess is None or excess <= 0:
        names = ", ".join(dict.fromkeys(program.rules[w.rule].name for w in proof))
        raise SolverError(f"{names} seem to clash, but the proof of it does not hold; please report the policy")


def cheapest(program: Program) -> dict[int, float]:
    """Return by how much rules, by index, must give way at least in all; every rule's own limits count."""
    limits = limits_of(program, every=True)
    u = least_overrun(limits, set(limits.rule.tolist()) - {-1})
    if u is None:
        return {}
    overruns = limits.overruns(np.clip(u, *free_bounds(program)))
    return {rule: _rounded_up(amount) for rule, amount in sorted(overruns.items())}


def _rounded_up(amount: Fraction) -> float:
    near = float(amount)
    return near if Fraction(near) >= amount else math.nextafter(near, math.inf)
