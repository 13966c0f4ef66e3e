"""From relative weights to NAV: what each position wishes for, and what each bucket may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.errors import DataError

if TYPE_CHECKING:
    from pmx.policy import Policy

#: How far Σ|r| of a bucket may exceed 1 and still be called 1: rounding, nothing more.
TOLERANCE = 1e-9

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NavBudget:
    """What the signals ask for in fractions of NAV, before any rule but the budget itself.

    Attributes
    ----------
    positions : MultiIndex (bucket, symbol), length n
        The rows of the arrays.
    relative : array, shape (n,)
        ``r``, signed share of the bucket.
    target : array, shape (n,), fraction of NAV
        ``t ≥ 0``, the wish.
    sign : array, shape (n,)
        ``σ``, +1 long (also where r = 0) or −1 short.
    clamps : mapping of str to float, fraction of NAV
        Bound of the rule ``clamp.<bucket>`` for each bucket with positions and a scale below 1.
    budgets : mapping of str to float, fraction of NAV
        ``clip(base · s, min, max)`` of every bucket.
    """

    positions: pd.MultiIndex
    relative: Array
    target: Array
    sign: Array
    clamps: Mapping[str, float]
    budgets: Mapping[str, float]


class NavAllocator:
    r"""Turn relative weights into NAV targets, with the buckets' limits and risk scales.

    For bucket :math:`b` with scale :math:`s_b`, and :math:`\mathrm{clip}` to its minimum and maximum,

    .. math::

        t_j = |r_j| \, \mathrm{clip}(\text{base}_b \max(1, s_b)), \qquad
        \text{clamp}_b = \rho_b \, \mathrm{clip}(\text{base}_b \, s_b), \qquad \rho_b = \sum_{j \in b} |r_j| .

    A scale above 1 lifts the wish. A scale below 1 is not multiplied into it: it bounds the bucket, by a rule
    that has a price like any other. With ``risk_buckets.enabled: false`` every budget is all of NAV, whatever the
    scale: a relative weight is then a fraction of NAV.

    Parameters
    ----------
    policy : Policy
        Its ``risk_buckets``.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> policy = Policy.from_mapping(
    ...     {"risk_buckets": {"buckets": {"ts_core": {"role": "risk", "base_nav_frac": 0.2}}}})
    >>> index = pd.MultiIndex.from_tuples([("ts_core", "SPY"), ("ts_core", "QQQ")])
    >>> budget = NavAllocator(policy).allocate(pd.Series([0.5, 0.25], index=index), {"ts_core": 0.5})
    >>> budget.target.round(6).tolist(), round(budget.clamps["ts_core"], 6)
    ([0.1, 0.05], 0.075)
    """

    def __init__(self, policy: Policy) -> None:
        buckets = policy.risk_buckets.buckets
        self._names = tuple(buckets)
        self._order = {name: position for position, name in enumerate(buckets)}
        limits = [(b.base_nav_frac, b.min_nav_frac, b.max_nav_frac) for b in buckets.values()]
        if not policy.risk_buckets.enabled:
            limits = [(1.0, 1.0, 1.0)] * len(limits)
        self._base, self._min, self._max = np.array(limits, dtype=float).reshape(len(limits), 3).T
        self._layout: tuple[pd.Index[str], NDArray[np.intp]] | None = None

    def allocate(
        self,
        relative_weights: pd.Series[float],
        risk_scale: Mapping[str, float] | pd.Series[float] | None = None,
    ) -> NavBudget:
        """Return the wish of every position and the clamp of every scaled bucket.

        Parameters
        ----------
        relative_weights : Series, MultiIndex (bucket, symbol)
            Signed share of its bucket; Σ abs ≤ 1 over a bucket.
        risk_scale : mapping or Series by bucket, optional
            ``s ≥ 0``; 1 for a bucket that is not named.

        Returns
        -------
        NavBudget
            Rows in the order of ``relative_weights``; its arrays are read-only.

        Raises
        ------
        DataError
            If the index is not (bucket, symbol), repeats a position or names a bucket unknown to the policy;
            if a weight is not finite, or a bucket's sum exceeds 1;
            if a scale is negative, not finite, or of an unknown bucket.
        """
        index = relative_weights.index
        bucket_of = self._bucket_of(index)
        r = np.array(relative_weights, dtype=np.float64)
        size = np.abs(r)
        used: Array = np.bincount(bucket_of, weights=size, minlength=len(self._names)).astype(np.float64)
        self._check(index, r, used)
        scale = self._scale(risk_scale)

        wish = np.clip(self._base * np.maximum(scale, 1.0), self._min, self._max)
        budget = np.clip(self._base * scale, self._min, self._max)
        present = np.bincount(bucket_of, minlength=len(self._names)) > 0
        clamped = np.flatnonzero(present & (scale < 1.0)).tolist()
        target, sign = size * wish[bucket_of], np.where(r < 0.0, -1.0, 1.0)
        for array in (r, target, sign):
            array.flags.writeable = False
        return NavBudget(
            positions=index,  # type: ignore[arg-type]  # `_bucket_of` has seen to it
            relative=r,
            target=target,
            sign=sign,
            clamps=MappingProxyType({self._names[b]: float(used[b] * budget[b]) for b in clamped}),
            budgets=MappingProxyType(dict(zip(self._names, budget.tolist(), strict=True))),
        )

    def _bucket_of(self, index: pd.Index[str]) -> NDArray[np.intp]:
        """Return each row's bucket, shape (n,); kept while the same index comes back, as it does daily."""
        if self._layout is not None and self._layout[0] is index:
            return self._layout[1]
        if not isinstance(index, pd.MultiIndex) or index.nlevels != 2:
            raise DataError("relative weights: the index must be a MultiIndex (bucket, symbol); set both levels")
        if not index.is_unique:
            twice = _label(index, int(np.argmax(index.duplicated())))
            raise DataError(f"relative weights: {twice} is listed twice; add the two up")
        names = index.get_level_values(0).tolist()
        for name in names:
            if name not in self._order:
                raise DataError(f"relative weights: {self._unknown(name)}")
        bucket_of = np.fromiter((self._order[name] for name in names), dtype=np.intp, count=len(names))
        self._layout = (index, bucket_of)
        return bucket_of

    def _check(self, index: pd.Index[str], r: Array, used: Array) -> None:
        if not np.isfinite(r).all():
            label = _label(index, int(np.argmin(np.isfinite(r))))
            raise DataError(f"relative weights: {label} is not finite; give 0 to close the position")
        full = int(np.argmax(used)) if used.size else 0
        if used.size and used[full] > 1.0 + TOLERANCE:
            raise DataError(
                f"relative weights: bucket {self._names[full]} sums to {used[full]:.9g} in absolute value, "
                "limit 1; divide its weights by that"
            )

    def _scale(self, risk_scale: Mapping[str, float] | pd.Series[float] | None) -> Array:
        scale = np.ones(len(self._names))
        for name, value in () if risk_scale is None else risk_scale.items():
            if name not in self._order:
                raise DataError(f"risk scale: {self._unknown(name)}")
            if not (math.isfinite(value) and value >= 0.0):
                raise DataError(f"risk scale of bucket {name} is {value}, must be finite and ≥ 0; 1 leaves it as it is")
            scale[self._order[str(name)]] = value
        return scale

    def _unknown(self, name: object) -> str:
        return f"the policy has no bucket {name!r}; use one of {', '.join(self._names) or 'none'}"


def _label(index: pd.Index[str], row: int) -> str:
    return "/".join(index[row])
