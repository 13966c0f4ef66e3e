r"""Rules that give way by rank: the lowest ranks first, and none further than those above it force it to.

A ranked rule is hard as long as it can be. Where the hard rules and all ranked ones cannot hold together, the ranks are
gone through from the highest to the lowest. Each gives way by the least amount that leaves room for the hard rules and
the ranks above,

.. math:: v_r^\star = \min \Bigl\{ \sum_{k \in r} v_k : \text{hard rules hold, ranks above } r
    \text{ give way by } v^\star \text{, rank } r \text{ by } v \Bigr\},

and then the projection is solved with the limits moved by these amounts. So the overruns are the lexicographic minimum,
from the highest rank down, and only then is the distance minimised. How the least sum of one rank is shared
among its rules is not settled; give them ranks of their own where it matters.

References
----------
Ehrgott (2005), Multicriteria Optimization, chapter 5 (lexicographic optimisation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pmx.errors import SolverError
from pmx.projection.elastic import Limits, least_overrun, limits_of
from pmx.projection.feasibility import unit_of_rows
from pmx.projection.infeasibility import require_feasible
from pmx.projection.program import Array, Index, Program
from pmx.projection.refusal import Positions

#: Added to what a rule gives way by, in units of a weight that it sees: linear programs are solved to 1e-10, and an
#: engine needs room to move. The second is for engines that the first is too little for.
ROOM = (4e-10, 9e-9)


def ranked(program: Program) -> bool:
    """Return whether some rules give way by rank."""
    return any(rule.rank for rule in program.rules)


def give_way(program: Program, positions: Positions = (), room: float = ROOM[0]) -> Program:
    """Return the program with the limits of ranked rules moved as far as they must give way.

    Parameters
    ----------
    program : Program
        The program.
    positions : sequence of (bucket, symbol), optional
        What to call the positions.
    room : float
        What a rule that gives way does beyond what it must, in units of a weight that it sees (NAV at most).

    Raises
    ------
    InfeasibleError
        When the hard rules cannot hold together though every ranked rule gives way as far as it may.
    SolverError
        When the linear program of a rank has no answer though one exists.
    """
    rules = program.rules
    ranks = sorted({rule.rank for rule in rules if rule.rank}, reverse=True)
    require_feasible(moved(program, {i: rule.most for i, rule in enumerate(rules) if rule.rank}), positions)
    limits = _with_furthest(program, limits_of(program, every=True))
    amounts: dict[int, float] = {}
    for rank in ranks:
        give = [i for i, rule in enumerate(rules) if rule.rank == rank]
        settled = [i for i, rule in enumerate(rules) if not rule.rank or rule.rank >= rank]
        here = limits.only(settled)
        for i, amount in amounts.items():
            here.c[here.rule == i] += amount
        broken = _least(program, here, settled, give)
        if broken is None:
            raise SolverError(
                f"no solver says how far rules of rank {rank} must give way; check the scale of the policy's numbers"
            )
        amounts |= {
            i: min(broken[i], rules[i].most) + room * _unit(program, i) for i in give if broken.get(i, 0.0) > 0.0
        }
    return moved(program, amounts)


def _least(program: Program, limits: Limits, rules: list[int], give: list[int]) -> dict[int, float] | None:
    """Return by how much some rules must give way at least in all, the other ones standing."""
    if program.cones:
        from pmx.projection.infeasibility_conic import least_given

        return least_given(program, limits, rules, give)
    u = least_overrun(limits, give)
    return None if u is None else {i: float(amount) for i, amount in limits.overruns(u).items()}


def _unit(program: Program, i: int) -> float:
    rule = program.rules[i]
    return float(unit_of_rows(program.A[rule.index : rule.index + 1])[0]) if rule.kind == "row" else 1.0


def moved(program: Program, amounts: Mapping[int, float]) -> Program:
    """Return the program with the limits of ranked rules, by number, moved by amounts; their records stay."""
    lo, hi, turnover_max = program.lo.copy(), program.hi.copy(), program.turnover_max
    lower, owner = program.lower, program.lower_owner
    for i, amount in amounts.items():
        rule = program.rules[i]
        if rule.kind == "row":
            lo[rule.index] -= amount
            hi[rule.index] += amount
        elif rule.kind == "turnover":
            turnover_max += amount
        else:
            lower, owner = _lowest(program, amounts)
    return replace(program, lo=lo, hi=hi, lower=lower, lower_owner=owner, turnover_max=turnover_max)


def _lowest(program: Program, amounts: Mapping[int, float]) -> tuple[Array, Index]:
    """Return the lower bounds of positions and their owners once rules have given way: the tightest of those left."""
    lower = np.where(program.lower_owner < 0, program.lower, 0.0)
    owner = np.full(program.n, -1, dtype=np.intp)
    for i, rule in enumerate(program.rules):
        if rule.kind == "bound" and (rule.hard or rule.rank):
            asked = rule.member_lower - amounts.get(i, 0.0)
            tighter = asked > lower[rule.members]
            lower[rule.members[tighter]], owner[rule.members[tighter]] = asked[tighter], i
    return lower, owner


def _with_furthest(program: Program, limits: Limits) -> Limits:
    """Return limits in which rules that only give way on one side, or only so far, say so.

    A rule on positions gives way where it makes them be held; where it keeps them from growing it is hard.
    """
    rules = program.rules
    rank = np.array([rules[i].rank if i >= 0 else 0 for i in limits.rule], dtype=np.intp)
    grows = (rank > 0) & (limits.position >= 0) & (limits.side > 0.0)
    limits = replace(limits, rule=np.where(grows, -1, limits.rule))
    most = np.array([rules[i].most if i >= 0 and rules[i].rank else np.inf for i in limits.rule])
    again = np.concatenate([np.arange(len(most)), np.flatnonzero(np.isfinite(most))])
    furthest = limits.at(again)
    furthest.c[len(most) :] += most[np.isfinite(most)]
    furthest.rule[len(most) :] = -1
    return furthest
