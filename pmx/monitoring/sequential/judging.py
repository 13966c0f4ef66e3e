"""What many candidate weights break of one program, and how far they are from the wish."""

from __future__ import annotations

import numpy as np

from pmx.projection import Program
from pmx.projection.certificate import HARD_TOLERANCE
from pmx.projection.program import Array

#: Name under which a position that left the side it was wished on is reported.
SIGN = "sign"


def violations(program: Program, U: Array) -> dict[str, Array]:
    """Return by how much each of many candidates breaks each hard rule.

    Parameters
    ----------
    program : Program
        The rules.
    U : array, shape (m, n), fraction of NAV
        Sizes of positions, one candidate a row.

    Returns
    -------
    dict of str to array, shape (m,)
        Every hard rule, in the unit of its limit; 0 where it holds. Of several bounds on one position, the tightest.
    """
    broken: dict[str, Array] = {}
    values = U @ program.A.T
    for rule in program.rules:
        if rule.kind == "row" and rule.hard:
            value = values[:, rule.index]
            broken[rule.name] = np.maximum(value - rule.hi, rule.lo - value)
        elif rule.kind == "turnover" and rule.hard:
            broken[rule.name] = _turnover(program, U) - rule.hi
        elif rule.kind == "cone":
            broken[rule.name] = np.max([_outside(program, i, U) for i in rule.cones], axis=0)
    for excess, owners in ((U - program.upper, program.upper_owner), (program.lower - U, program.lower_owner)):
        for owner in np.unique(owners[np.isfinite(excess).all(axis=0)]).tolist():
            name = program.rules[owner].name if owner >= 0 else SIGN
            most = excess[:, owners == owner].max(axis=1)
            broken[name] = np.maximum(most, broken.get(name, most))
    return {name: np.maximum(amount, 0.0) for name, amount in broken.items()}


def limits_overrun(program: Program, u: Array, ignored: str = "") -> int:
    """Return how many hard limits a candidate breaks; limits on the same sum of positions count once.

    Parameters
    ----------
    program : Program
        The rules.
    u : array, shape (n,), fraction of NAV
        Sizes of positions.
    ignored : str
        A rule that does not count.
    """
    broken = [name for name, amount in violations(program, u[None, :]).items() if not holds(amount)[0]]
    sums = {rule.name: rule.index for rule in program.rules if rule.kind == "row"}
    return len({sums.get(name, name) for name in broken if name != ignored})


def holds(amount: Array) -> np.ndarray:
    """Return where a violation is no more than the certificate of a joint answer allows."""
    return np.asarray(amount <= HARD_TOLERANCE)


def distances(program: Program, U: Array) -> Array:
    r"""Return how far each of many candidates is from the wish.

    .. math:: \sqrt{\textstyle\sum_j d_j (u_j - t_j)^2 + 2 c(u)}

    with :math:`c` the objective's cost of trading and its price of soft rules that give way; zero where the policy
    has neither.

    Parameters
    ----------
    program : Program
        The wish and the metric.
    U : array, shape (m, n), fraction of NAV
        Sizes of positions, one candidate a row.

    Returns
    -------
    array, shape (m,)
    """
    squares = (program.distance * (U - program.target) ** 2).sum(axis=1)
    return np.asarray(np.sqrt(squares + 2.0 * _priced(program, U)))


def _priced(program: Program, U: Array) -> Array:
    cost = np.abs(U - program.previous) @ program.cost
    below = np.maximum(np.where(np.isfinite(program.floor), program.floor, U) - U, 0.0)
    cost = cost + below @ program.floor_penalty
    for k in np.flatnonzero(np.isfinite(program.penalty) & (program.penalty > 0.0)):
        value = U @ program.A[k]
        cost = cost + program.penalty[k] * np.maximum(np.maximum(value - program.hi[k], program.lo[k] - value), 0.0)
    if program.has_turnover_rule and np.isfinite(program.turnover_penalty):
        cost = cost + program.turnover_penalty * np.maximum(_turnover(program, U) - program.turnover_max, 0.0)
    return np.asarray(cost)


def _turnover(program: Program, U: Array) -> Array:
    return np.asarray(0.5 * np.abs(U - program.previous).sum(axis=1))


def _outside(program: Program, i: int, U: Array) -> Array:
    """Return by how much candidates leave a second-order cone."""
    cone = program.cones[i]
    S = cone.h - U @ cone.G.T
    return np.asarray(np.linalg.norm(S[:, 1:], axis=1) - S[:, 0])
