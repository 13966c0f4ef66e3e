"""What was decided and is not traded yet: each order waits for its symbol's next close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmx.projection.program import Array

if TYPE_CHECKING:
    from pmx.execution import Account, Fills

Flags = NDArray[np.bool_]


class Orders:
    """Target weights of positions, each open until its symbol has a close, a newer decision, or is delisted.

    An order that brings what is held back inside a rule trades in its own direction only: where prices have done as
    much by then, it has nothing left to do.

    Parameters
    ----------
    column : array of int, shape (n,)
        The price column of each position.

    Attributes
    ----------
    weights : array, shape (n,)
        What is ordered, signed fraction of the NAV at which it is traded; 0 where nothing is.
    open : array of bool, shape (n,)
        Positions with an order.
    overdue : array of bool, shape (n,)
        Those of them whose symbol had no close when they were due.
    lapsed : array of bool, shape (n,)
        Positions whose order ended with the delisting of their symbol since the last decision.
    lapsed_weights : array, shape (n,)
        What these orders were for.
    """

    def __init__(self, column: Sequence[int] | NDArray[np.intp]) -> None:
        self._column = np.asarray(column, dtype=np.intp)
        n = len(self._column)
        self.weights, self._side = np.zeros(n), np.zeros(n)
        self._due_weights = self.lapsed_weights = self.weights
        self.open, self.overdue, self.lapsed = (np.zeros(n, dtype=bool) for _ in range(3))
        self.any = False

    @property
    def whole(self) -> bool:
        """Whether every position has an order, and each goes all the way to its weight."""
        return bool(self.open.all()) and not self._side.any()

    @property
    def long(self) -> bool:
        """Whether nothing is ordered short."""
        return not (self.weights < 0.0).any()

    def decide(self, weights: Array) -> None:
        """Order weights of every position, in place of all orders before; what was overdue is so still."""
        self.weights = weights
        self._side = np.zeros(len(weights))
        self.open = np.ones(len(weights), dtype=bool)
        self.lapsed = ~self.open
        self.any = len(weights) > 0

    def cure(self, intended: Array, weights: Array, held: Array) -> Flags:
        """Order those weights that differ from what is intended; return which of them had no order before.

        Parameters
        ----------
        intended, held : array, shape (n,)
            What is held once every open order is traded (see `intended`), and what is held now.
        weights : array, shape (n,)
            What it is to be instead.
        """
        changed = weights != intended
        fresh: Flags = changed & ~self.open
        self.weights = np.where(changed, weights, self.weights)
        self._side = np.where(fresh, np.sign(weights - held), self._side)
        self.open = self.open | changed
        self.any = bool(self.open.any())
        return fresh

    def intended(self, held: Array) -> Array:
        """Return what is held, signed fractions of NAV, once every open order is traded at the marks."""
        if not self.any:
            return held
        return np.where(self.open & self._goes(self.weights - held), self.weights, held)

    def overdue_for(self, held: Array) -> Array:
        """Return what overdue orders were for when they were due, signed fractions of NAV; NaN where none is."""
        return np.where(self.overdue & self._goes(self._due_weights - held), self._due_weights, np.nan)

    def trade(self, account: Account, priced: Flags) -> tuple[Fills, Flags]:
        """Trade what is due and has a close; return what was traded, and which positions went to their weight."""
        at_hand = priced[self._column]
        due = self.open & at_hand
        if self._side.any():
            nav = account.nav
            due &= self._goes(self.weights - account.values / nav)
        done = self.open & at_hand
        fills = account.rebalance(self.weights, priced, None if due.all() else due)
        self.open = self.open & ~at_hand
        self.weights = np.where(self.open, self.weights, 0.0)
        self._side = np.where(done, 0.0, self._side)
        self.overdue, self._due_weights = self.open.copy(), self.weights
        self.any = bool(self.open.any())
        return fills, due

    def drop(self, delisted: Flags, quantities: Array) -> None:
        """Let the orders of delisted symbols lapse; ``delisted`` has shape (n_symbols,)."""
        if not self.any:
            return
        gone = self.open & delisted[self._column]
        if gone.any():
            self.lapsed_weights = np.where(gone, self.weights, self.lapsed_weights)
            self.lapsed = self.lapsed | (gone & ((self.weights != 0.0) | (quantities != 0.0)))
            self.open, self.overdue = self.open & ~gone, self.overdue & ~gone
            self.weights, self._side = np.where(gone, 0.0, self.weights), np.where(gone, 0.0, self._side)
            self.any = bool(self.open.any())

    def resume(self, weights: Array | None) -> None:
        """Take over from days that were lived elsewhere: weights ordered of every position, or nothing."""
        if weights is not None:
            self.decide(weights)
        else:
            n = len(self.weights)
            self.weights, self._side = np.zeros(n), np.zeros(n)
            self.open, self.overdue, self.lapsed = (np.zeros(n, dtype=bool) for _ in range(3))
            self.any = False

    def _goes(self, way: Array) -> Flags:
        goes: Flags = (self._side == 0.0) | (way * self._side > 0.0)
        return goes
