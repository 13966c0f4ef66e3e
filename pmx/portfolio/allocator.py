"""From relative weights to NAV: what each position wishes for, and what each bucket may have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked, require_shape
from pmx.errors import DataError
from pmx.policy.units import GROSS_REFUSED, check_scales

if TYPE_CHECKING:
    from pmx.policy import Policy

#: How far Σ|r| of a bucket may exceed 1 and still be called 1: rounding, nothing more.
TOLERANCE = 1e-9

Array = NDArray[np.float64]
RiskScale = Mapping[str, float] | pd.Series | Array | None


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

    @checked
    def __init__(self, policy: Policy) -> None:
        buckets = policy.risk_buckets.buckets
        self._names = tuple(buckets)
        self._order = {name: position for position, name in enumerate(buckets)}
        limits = [(b.base_nav_frac, b.min_nav_frac, b.max_nav_frac) for b in buckets.values()]
        if not policy.risk_buckets.enabled:
            limits = [(1.0, 1.0, 1.0)] * len(limits)
        self._base, self._min, self._max = np.array(limits, dtype=float).reshape(len(limits), 3).T
        self._policy = policy
        self._bounded = policy.risk_buckets.enabled
        self._layout: tuple[pd.Index[str], NDArray[np.intp], NDArray[np.bool_]] | None = None

    @checked
    def allocate(
        self,
        relative_weights: pd.Series[float] | Array,
        risk_scale: RiskScale = None,
        *,
        positions: pd.MultiIndex | None = None,
    ) -> NavBudget:
        """Return the wish of every position and the clamp of every scaled bucket.

        Parameters
        ----------
        relative_weights : Series, MultiIndex (bucket, symbol), or array, shape (n,)
            Signed share of its bucket; Σ abs ≤ 1 over a bucket.
        risk_scale : mapping or Series by bucket, or array, shape (n_buckets,), optional
            ``s ≥ 0``; 1 for a bucket that is not named. An array has the order of the policy's buckets.
        positions : MultiIndex (bucket, symbol), length n
            The rows of an array; a Series has its own.

        Returns
        -------
        NavBudget
            Rows in the order of ``relative_weights``; its arrays are read-only.

        Raises
        ------
        DataError
            If the index is not (bucket, symbol), repeats a position or names a bucket unknown to the policy;
            if a weight is not finite, or a bucket's sum exceeds 1;
            if a scale is negative, not finite, or of an unknown bucket; if an array is of another length.
        """
        index: Any = relative_weights.index if isinstance(relative_weights, pd.Series) else positions
        bucket_of, present = self._layout_of(index)
        r = np.array(relative_weights, dtype=np.float64)
        if r.shape != bucket_of.shape:
            raise DataError(f"relative weights: shape {r.shape} for {len(bucket_of)} positions; give one for each")
        size = np.abs(r)
        used: Array = np.bincount(bucket_of, weights=size, minlength=len(self._names)).astype(np.float64)
        self._check(index, r, used)
        scale = self._scale(risk_scale)

        wish = np.minimum(np.maximum(self._base * np.maximum(scale, 1.0), self._min), self._max)
        budget = np.minimum(np.maximum(self._base * scale, self._min), self._max)
        clamped = np.flatnonzero(present & (scale < 1.0)).tolist()
        target, sign = size * wish[bucket_of], np.where(r < 0.0, -1.0, 1.0)
        for array in (r, target, sign):
            array.flags.writeable = False
        return NavBudget(
            positions=index,
            relative=r,
            target=target,
            sign=sign,
            clamps=MappingProxyType({self._names[b]: float(used[b] * budget[b]) for b in clamped}),
            budgets=MappingProxyType(dict(zip(self._names, budget.tolist(), strict=True))),
        )

    @checked
    def scaled_maxima(self, positions: pd.MultiIndex, risk_scale: RiskScale) -> dict[str, float]:
        """Return the clamps of wishes that are given in fractions of NAV.

        Parameters
        ----------
        positions : MultiIndex (bucket, symbol)
            What is wished for.
        risk_scale : mapping or Series by bucket, or array, shape (n_buckets,)
            As for `allocate`.

        Returns
        -------
        dict of str to float, fraction of NAV
            ``max(s · max_nav_frac, min_nav_frac)`` of each bucket with positions and a scale below 1, so that a scale
            of 1 changes nothing; empty where buckets are switched off.

        Raises
        ------
        DataError
            As `allocate` does.
        """
        _, present = self._layout_of(positions)
        scale = self._scale(risk_scale)
        if not self._bounded or scale.min() >= 1.0:
            return {}
        maxima = self.clamps_of(scale)
        return {self._names[b]: float(maxima[b]) for b in np.flatnonzero(present & (scale < 1.0)).tolist()}

    @checked
    def clamps_of(self, scale: Array) -> Array:
        """Return the clamps of given weights under scales of any shape (..., n_buckets); inf where there is none."""
        require_shape("scale", scale, (*scale.shape[:-1], len(self._max)), "one scale for each bucket")
        if not self._bounded:
            return np.full(scale.shape, np.inf)
        return np.where(scale < 1.0, np.maximum(scale * self._max, self._min), np.inf)

    def _layout_of(self, index: pd.Index[str] | None) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return each row's bucket, shape (n,), and which buckets have rows; kept while the same index comes back."""
        if self._layout is not None and self._layout[0] is index:
            return self._layout[1:]
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
        self._layout = (index, bucket_of, np.bincount(bucket_of, minlength=len(self._names)) > 0)
        return self._layout[1:]

    def _check(self, index: pd.Index[str], r: Array, used: Array) -> None:
        if not np.isfinite(r).all():
            label = _label(index, int(np.argmin(np.isfinite(r))))
            raise DataError(f"relative weights: {label} is not finite; give 0 to close the position")
        full = int(np.argmax(used)) if used.size else 0
        if used.size and used[full] > 1.0 + TOLERANCE:
            raise DataError(
                f"relative weights: bucket {self._names[full]} sums to {used[full]:.9g} in absolute value, limit 1; "
                + ("give fractions: 0.46 for 46 %" if used[full] >= GROSS_REFUSED else "divide its weights by that")
            )

    def _scale(self, risk_scale: RiskScale) -> Array:
        """Return the scale of every bucket, in the policy's order."""
        if isinstance(risk_scale, np.ndarray):
            if risk_scale.shape != (len(self._names),):
                raise DataError(
                    f"risk scale has shape {risk_scale.shape} for {len(self._names)} buckets; give one for each, in "
                    "the policy's order"
                )
            scale = risk_scale
        else:
            scale = np.ones(len(self._names))
            if risk_scale is not None and not hasattr(risk_scale, "items"):
                kind = type(risk_scale).__name__
                raise DataError(f"risk scale must be a mapping or Series by bucket, or an array; got {kind}")
            for name, value in () if risk_scale is None else risk_scale.items():
                if name not in self._order:
                    raise DataError(f"risk scale: {self._unknown(name)}")
                scale[self._order[str(name)]] = value
        valid = (scale >= 0.0) & (scale < math.inf)
        if not valid.all():
            worst = int(np.argmin(valid))
            raise DataError(
                f"risk scale of bucket {self._names[worst]} is {scale[worst]}, must be finite and ≥ 0; "
                "1 leaves it as it is"
            )
        check_scales(scale, self._names, self._policy)
        return scale

    def _unknown(self, name: object) -> str:
        return f"the policy has no bucket {name!r}; use one of {', '.join(self._names) or 'none'}"


def _label(index: pd.Index[str], row: int) -> str:
    return "/".join(index[row])
