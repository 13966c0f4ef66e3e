"""The barbell alone: a safe floor, a risk cap, caps per market and position, and nothing of the buckets' budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from pmx.arguments import checked

if TYPE_CHECKING:
    from pmx.policy import Policy
    from pmx.projection import Allocation


class BarbellConstraint:
    """Hold weights to the barbell of a policy by one projection, not by clipping one limit after another.

    Everything that is not in a safe bucket, and every short, is risk. The safe floor is the larger of the two files'
    minima. The portfolio's own limits (cash, gross leverage, custom rules) hold too; bucket budgets do not.

    Parameters
    ----------
    policy : Policy
        Its ``barbell`` section; with ``enable_barbell_allocation: false`` weights come back unchanged.

    References
    ----------
    Taleb (2012), Antifragile, chapter 11. Geman, Geman and Taleb (2015), Tail risk constraints and maximum entropy.

    Examples
    --------
    >>> import pmx
    >>> barbell = pmx.BarbellConstraint(pmx.load_policy())
    >>> barbell.project_to_feasible({"BIL": 0.4, "SP500": 0.4, "WTI": 0.2}).weights.round(3).to_dict()
    {'BIL': 0.4, 'SP500': 0.1, 'WTI': 0.1, 'CASH': 0.4}
    """

    @checked
    def __init__(self, policy: Policy) -> None:
        active = policy.barbell.enable_barbell_allocation
        changes: dict[str, object] = {"risk_buckets.enabled": False}
        if active:
            changes["barbell.safe_bucket.min_weight"] = policy.safe_floor
        if not policy.risk_buckets.buckets:
            changes["risk_buckets.buckets"] = {
                "safe": {"role": "safe", "base_nav_frac": 1.0},
                "risk": {"role": "risk", "base_nav_frac": 1.0},
            }
            changes["risk_buckets.default_bucket"] = "risk"
        self.policy = policy.override(changes)

    @checked(elsewhere=["weights", "covariance"])
    def project_to_feasible(
        self,
        weights: pd.Series | Mapping[str, float],
        *,
        buckets: Mapping[str, str] | None = None,
        covariance: pd.DataFrame | None = None,
    ) -> Allocation:
        """Return the weights closest to given ones that obey the barbell.

        Parameters
        ----------
        weights : Series or mapping by symbol, or Series by (bucket, symbol), signed fraction of NAV
            ``CASH`` is ignored: cash is what is left.
        buckets : mapping of symbol to bucket, optional
            Where the policy's own lists should not decide.
        covariance : DataFrame, symbol × symbol, optional
            Annualised; needed where the policy has a volatility cap or the metric ``risk``.

        Returns
        -------
        Allocation

        Raises
        ------
        DataError, InfeasibleError, SolverError
            As in :func:`pmx.project_to_feasible`.
        """
        from pmx.projection import project_to_feasible

        return project_to_feasible(weights, self.policy, buckets=buckets, covariance=covariance)
