"""What is held, judged at each close by the limits of the policy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pmx.projection.held_rules import OUTSIDE, HeldRules
from pmx.projection.program import Array

if TYPE_CHECKING:
    from pmx.execution import Account, Desk


class Watch:
    """Says at a close whether what is held must be brought back inside the rules.

    Parameters
    ----------
    desk : Desk
        Its policy, positions, risk scales and covariance.

    Attributes
    ----------
    rules : HeldRules
        The rules as they bear on what is held.
    cures : bool
        Whether a breach is traded away: the policy's schedule is ``on_breach``, and its layer is on.
    """

    def __init__(self, desk: Desk) -> None:
        rebalance = desk.policy.execution.rebalance
        self.rules = HeldRules(desk.projector)
        self.cures = rebalance.schedule == "on_breach" and not desk.policy.bypassed
        self._most = rebalance.tolerance + OUTSIDE
        self._desk = desk
        limited = desk.policy.risk_buckets.portfolio.volatility_max is not None
        self._covariance = desk.covariance if limited else None

    @property
    def scale(self) -> Array | None:
        """Risk scales of now, shape (n_buckets,); None where nothing is scaled."""
        return self._desk.scaler.scale_array() if self._desk.scaler.listens else None

    def volatility(self, weights: Array, account: Account) -> float | None:
        """Return the forecast volatility of weights, annualised; None where no rule limits it."""
        if self._covariance is None:
            return None
        of_symbol = np.bincount(account.column, weights=weights, minlength=len(account.symbols))
        some = np.flatnonzero((of_symbol != 0.0) & self._covariance.known)
        if not len(some):
            return 0.0
        matrix = self._covariance.matrix()[np.ix_(some, some)]
        return math.sqrt(max(float(of_symbol[some] @ matrix @ of_symbol[some]), 0.0))

    def breached(self, weights: Array, account: Account) -> bool:
        """Return whether weights, shape (n_slots,), exceed a hard rule by more than the policy tolerates."""
        return self.rules.worst(weights, self.scale, self.volatility(weights, account)) > self._most
