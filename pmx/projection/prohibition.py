"""Positions that must be 0: which rule prohibits them, and what the attribution says of them.

A position that may not be held is 0 whatever the prices are: they say nothing about it but that pulls and bounds
cancel. The rule that prohibits it owns the whole cut.
"""

from __future__ import annotations

import numpy as np

from pmx.projection.kernels import kernel
from pmx.projection.program import Array, Index, Point, Program
from pmx.projection.rules import plain


def prohibitions(program: Program) -> Index:
    """Return the number of the hard rule that lets each position hold nothing, shape (n,); −1 where none does.

    It is the rule whose upper bound on the position is 0 (a cap of 0, a restriction); else the first one whose sum, of
    no negative coefficients, may not exceed 0 and counts the position.
    """
    p = program
    limits = np.array([p.lo, p.hi, p.penalty]).reshape(3, len(p.A))
    owners = np.array([p.lo_owner, p.hi_owner], dtype=np.intp).reshape(2, len(p.A))
    found: Index = kernel("moving", "prohibiting")(
        plain(p.A), limits, owners, plain(p.upper), plain_index(p.upper_owner)
    )
    return found


def plain_index(owners: Index) -> Index:
    """Return numbers of rules as compiled code takes them: contiguous and writeable."""
    return owners if owners.flags.c_contiguous and owners.flags.writeable else np.array(owners, order="C")


def settled_at_zero(program: Program, point: Point, moves: dict[int, Array]) -> dict[int, Array]:
    """Return moves in which a position that holds nothing moved only if it had a target, and by a prohibition alone.

    Parameters
    ----------
    program, point : Program, Point
        The problem and its solution.
    moves : dict of int to array, shape (n,), fraction of NAV
        Signed moves by the number of the rule, negative for what is no rule.

    Returns
    -------
    dict
        The same elsewhere. The sum over the rules stays what it was, for every position.
    """
    rule = prohibitions(program)
    settled = (point.u == 0.0) & ((program.target == 0.0) | (rule >= 0))
    if not settled.any():
        return moves
    moves = {owner: np.where(settled, 0.0, move) for owner, move in moves.items()}
    whole = -program.sign * program.target
    for owner in np.unique(rule[settled & (program.target > 0.0)]).tolist():
        mine = settled & (rule == owner)
        moves[owner] = np.where(mine, whole, moves.get(owner, 0.0))
    return moves
