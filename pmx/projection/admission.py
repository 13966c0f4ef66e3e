"""What a policy does not let a bucket hold: it may be sold, as fast as one likes, and never grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.policy.admission import lists_hold, not_admitted
from pmx.projection.program import Array

#: What a target may exceed a holding by and still be called the same: rounding.
ROUNDING = 1e-12


class Admission:
    """Positions that their buckets do not admit.

    Parameters
    ----------
    policy : Policy
        Its buckets' ``symbols`` decide, unless the buckets are switched off.
    positions : sequence of (bucket, symbol)
        The universe; every bucket is one of the policy's.

    Attributes
    ----------
    barred : array of bool, shape (n,), or None
        Which positions are not admitted; None where all are.
    """

    def __init__(self, policy: Policy, positions: Sequence[tuple[str, str]]) -> None:
        self._policy, self._positions = policy, positions
        self.barred: np.ndarray | None = None
        if lists_hold(policy):
            barred = np.array([not policy.admits(bucket, symbol) for bucket, symbol in positions], dtype=bool)
            self.barred = barred if barred.any() else None

    def require(self, side: Array, size: Array | None, held: Array | None) -> None:
        """Check targets, each array of shape (n,) or (n_accounts, n); without ``size`` the sides are the targets.

        Raises
        ------
        DataError
            When a target is larger than what is held of a position that is not admitted.
        """
        if self.barred is None:
            return
        columns = np.flatnonzero(self.barred)
        wanted = np.abs(np.atleast_2d(side if size is None else size)[:, columns])
        kept = self._kept(np.atleast_2d(side)[:, columns], None if held is None else np.atleast_2d(held)[:, columns])
        over = wanted > kept + ROUNDING
        if over.any():
            account, k = np.argwhere(over)[0]
            bucket, symbol = self._positions[int(columns[k])]
            reason = not_admitted(self._policy, bucket, symbol)
            of = f" of account {account}" if side.ndim == 2 else ""
            has = f"{kept[account, k]:.2%} is held and may only be reduced" if kept[account, k] else "none is held"
            raise DataError(f"target of {bucket}/{symbol}{of} is {wanted[account, k]:.2%} of NAV ({has}): {reason}")

    def sizes(self, most: Array | None, side: Array, held: Array | None) -> Array:
        """Return the largest sizes of positions: those given, and of one that is not admitted what is held."""
        assert self.barred is not None
        kept = self._kept(side, held)
        bound = np.where(self.barred, kept, np.inf)
        return bound if most is None else np.minimum(most, bound)

    def bounds(self, given: tuple[Array, Array] | None, side: Array, held: Array | None) -> tuple[Array, Array] | None:
        """Return the least and the largest size of each position: those given, within what may be held."""
        if self.barred is None:
            return given
        least, most = (np.zeros(len(side)), None) if given is None else given
        return least, self.sizes(most, side, held)

    @staticmethod
    def _kept(side: Array, held: Array | None) -> Array:
        """Return the size of what is held on the side of each target; of a target of zero, whatever is held."""
        return np.zeros(side.shape) if held is None else np.where(side * held >= 0.0, np.abs(held), 0.0)
