"""Passes in every order, many orders at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pmx.monitoring.sequential.passes import Pass
from pmx.projection.program import Array, Index

#: A sweep that moves no position by more than this has nothing left to do.
SETTLED = 1e-12


class Ends(NamedTuple):
    """Where the orders end.

    Attributes
    ----------
    once, repeated : array, shape (n_orders, n), fraction of NAV
        Sizes of positions after one sweep through the passes, and after the last.
    settled : array of bool, shape (n_orders,)
        Whether the last sweep no longer moved anything.
    """

    once: Array
    repeated: Array
    settled: np.ndarray


def orders_of(n_passes: int, most: int, seed: int) -> Index:
    """Return every order of some passes, or a seeded sample of ``most`` different ones where there are more.

    Examples
    --------
    >>> orders_of(3, 100, seed=0).tolist()
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    >>> orders_of(9, 100, seed=0).shape
    (100, 9)
    """
    if math.factorial(n_passes) <= most:
        return np.array(list(itertools.permutations(range(n_passes))), dtype=np.intp)
    rng = np.random.default_rng(seed)
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < most:
        drawn[tuple(rng.permutation(n_passes).tolist())] = None
    return np.array(list(drawn), dtype=np.intp)


def run_orders(passes: Sequence[Pass], orders: Index, start: Array, sweeps: int) -> Ends:
    """Let every order of passes loose on the same wishes, again and again until nothing moves.

    Parameters
    ----------
    passes : sequence of Pass
        What the numbers in ``orders`` stand for.
    orders : array of int, shape (n_orders, n_passes)
        One order a row.
    start : array, shape (n,), fraction of NAV
        Sizes wished for.
    sweeps : int
        How often each order is gone through at most, at least 1.

    Returns
    -------
    Ends
    """
    U = np.tile(start, (len(orders), 1))
    once = U
    moving = np.arange(len(orders))
    for sweep in range(sweeps):
        before = U[moving]
        after = _sweep(passes, orders[moving], before)
        U[moving] = after
        if sweep == 0:
            once = U.copy()
        moving = moving[np.abs(after - before).max(axis=1, initial=0.0) > SETTLED]
        if not len(moving):
            break
    settled = np.ones(len(orders), dtype=bool)
    settled[moving] = False
    return Ends(once, U, settled)


def _sweep(passes: Sequence[Pass], orders: Index, U: Array) -> Array:
    """Go through each order once."""
    U = U.copy()
    for step in range(orders.shape[1]):
        for number, each in enumerate(passes):
            turn = orders[:, step] == number
            if turn.any():
                U[turn] = each.apply(U[turn])
    return U
