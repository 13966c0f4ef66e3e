"""The layer switched off: weights pass through bit for bit, and what would limit them is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.projection.allocation import Allocation
from pmx.projection.certificate import Certificate
from pmx.projection.universe import as_positions

BOTH = "risk_buckets.enabled and barbell.enable_barbell_allocation are both false"


def bypass(weights: pd.Series, policy: Policy, cash: float | None = None) -> Allocation:
    """Return the caller's weights unchanged, bit for bit."""
    values = weights.to_numpy(dtype=np.float64).copy()
    return Allocation(
        certificate=Certificate(0.0, 0.0, 0.0, "none", "the policy layer is switched off"),
        index=as_positions(weights.index),
        signed=values,
        wished=values,
        given_cash=cash,
        policy=policy,
    )


def refuse_limits(policy: Policy, *, risk_scale: Any = None, **limits: Any) -> None:
    """Refuse what a caller gives to limit weights where the policy's switches leave it without effect.

    What describes the account and the market (``previous``, ``covariance``) limits nothing by itself and is no reason.

    Parameters
    ----------
    policy : Policy
        The policy. With both of its flags off every limit is without effect, with ``risk_buckets.enabled`` off a risk
        scale is.
    risk_scale : mapping or Series by bucket, array, or DataFrame, optional
        Scales; all 1 ask for nothing.
    **limits
        Arguments of the call by name; None and no restrictions at all ask for nothing.

    Raises
    ------
    DataError
        Naming the argument and the remedy.
    """
    if policy.bypassed:
        for name, value in limits.items():
            if _asks(value):
                raise DataError(
                    f"{name}= would limit nothing: {BOTH}, so that weights pass through unchanged; switch one of them "
                    f"on, or leave {name}= out"
                )
    if not policy.risk_buckets.enabled and _scales(risk_scale):
        raise DataError(
            "risk_scale= would scale nothing: risk_buckets.enabled is false, so that no bucket has a budget; switch it "
            "on, or leave risk_scale= out"
        )


def _asks(value: Any) -> bool:
    """Return whether an argument asks for something; an empty mapping or list of restrictions does not."""
    empty = isinstance(value, Mapping | list | tuple | set | frozenset) and not value
    return value is not None and not empty


def _scales(risk_scale: Any) -> bool:
    """Return whether any scale is not 1; what is no number counts, so that it is not passed over."""
    if risk_scale is None:
        return False
    values = list(risk_scale.values()) if isinstance(risk_scale, Mapping) else risk_scale
    values = values.to_numpy() if isinstance(values, pd.Series | pd.DataFrame) else values
    if not isinstance(values, np.ndarray | Iterable):
        return True
    try:
        return bool((np.asarray(values, dtype=np.float64) != 1.0).any())
    except (TypeError, ValueError):
        return True
