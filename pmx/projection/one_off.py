"""One-off projections: build the universe from what is asked and held, project once."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.policy import CASH, Policy
from pmx.policy.symbols import symbol_text, symbols_as_text
from pmx.projection.allocation import Allocation
from pmx.projection.asked import Asked, Given
from pmx.projection.chain import Engine
from pmx.projection.journal import Journal, recorded, refusing
from pmx.projection.passthrough import bypass, refuse_limits
from pmx.projection.projector import READ_BY_UNIVERSE, Projector
from pmx.projection.universe import LEVELS, Gates, as_positions


@checked(elsewhere=["relative_weights", "gated", "covariance", "engine"])
def solve(
    policy: Policy,
    relative_weights: pd.Series,
    *,
    risk_scale: Mapping[str, float] | pd.Series | None = None,
    previous: pd.Series | None = None,
    gated: Gates = None,
    covariance: pd.DataFrame | None = None,
    adv: Mapping[str, float] | pd.Series | None = None,
    nav: float | None = None,
    engine: Engine = "auto",
    journal: Journal | str | PathLike[str] | None = None,
) -> Allocation:
    """Turn the router's relative weights into weights that obey the policy.

    The universe is every position named in ``relative_weights`` or ``previous``; what is held and not asked for is
    wished to zero. Parameters, result and errors are those of :meth:`Projector.solve`.

    With a ``journal``, the solve, or the reason why it was refused, is appended to it, for ``pmx verify``. A path is
    opened and checked for each call; for many solves give an open :class:`Journal`.

    Examples
    --------
    >>> import pandas as pd, pmx
    >>> wish = pd.Series({("ts_core", "SP500"): 0.6, ("ts_core", "WTI"): 0.4})
    >>> alloc = pmx.solve(pmx.load_policy(), wish, risk_scale={"ts_core": 0.5})
    >>> alloc.weights.round(3).to_dict()
    {'SP500': 0.045, 'WTI': 0.03, 'CASH': 0.925}
    >>> bool(alloc.rules.loc["clamp.ts_core", "binding"])
    True
    """
    given = Given(previous, gated, covariance, adv, nav, engine=engine)
    with refusing(policy, journal, asked=Asked("solve", relative_weights, risk_scale, given)):
        if not isinstance(relative_weights, pd.Series):
            kind = type(relative_weights).__name__
            raise DataError(f"relative_weights must be a Series indexed by (bucket, symbol); got {kind}")
        refuse_limits(policy, risk_scale=risk_scale, gated=gated, adv=adv, nav=nav)
        if policy.bypassed:
            return recorded(bypass(relative_weights, policy), policy, journal)
        index = _universe(relative_weights, previous)
        allocation = Projector(policy, index).solve(
            relative_weights,
            risk_scale=risk_scale,
            previous=previous,
            gated=gated,
            covariance=covariance,
            adv=adv,
            nav=nav,
            engine=engine,
        )
    return recorded(allocation, policy, journal)


@checked(elsewhere=(*READ_BY_UNIVERSE, "weights"))
def project_to_feasible(
    weights: pd.Series | Mapping[str, float],
    policy: Policy,
    *,
    buckets: Mapping[str, str] | None = None,
    previous: pd.Series | Mapping[str, float] | None = None,
    gated: Gates = None,
    covariance: pd.DataFrame | None = None,
    adv: Mapping[str, float] | pd.Series | None = None,
    nav: float | None = None,
    engine: Engine = "auto",
    journal: Journal | str | PathLike[str] | None = None,
) -> Allocation:
    """Return the weights closest to given ones that obey the policy.

    Parameters
    ----------
    weights : Series or mapping by symbol, fraction of NAV
        Signed. An entry ``CASH`` is ignored: cash is what is left. A Series by (bucket, symbol) is taken as it is.
    policy : Policy
        The policy.
    buckets : mapping of symbol to bucket, optional
        Where the policy's own lists should not decide.
    previous : Series or mapping by symbol, fraction of NAV, optional
        What is held now.
    gated, covariance, adv, nav
        As in :meth:`Projector.solve`; needed only by policies whose rules need them.
    engine : {"auto", "newton", "cvxpy"}
        Which engine answers.
    journal : Journal or path-like, optional
        Where the solve, or its refusal, is appended, as in :func:`solve`.

    Returns
    -------
    Allocation
        With ``BYPASSED`` and the same weights, bit for bit, when the policy layer is switched off.

    Raises
    ------
    DataError
        When a symbol belongs to no bucket, or a weight is not finite; when ``buckets`` are given for weights that name
        theirs; and with the layer switched off, when anything is given that would limit weights.
    InfeasibleError, SolverError
        As in :meth:`Projector.solve`.
    LedgerError
        When the journal cannot be appended to.
    """
    by_symbol: Any = previous
    given = Given(by_symbol, gated, covariance, adv, nav, engine=engine)
    with refusing(policy, journal, asked=Asked("project", weights, given=given)):
        if buckets and all(_placed(named) for named in (weights, previous)):
            raise DataError(
                "buckets= would have no effect: weights by (bucket, symbol) name their buckets; leave it out, or give "
                "weights by symbol"
            )
        wish, cash = by_position(weights, policy, buckets)
        refuse_limits(policy, gated=gated, adv=adv, nav=nav)
        if policy.bypassed:
            return recorded(bypass(wish, policy, cash), policy, journal)
        held = None if previous is None else by_position(previous, policy, buckets)[0]
        allocation = Projector(policy, _universe(wish, held)).project(
            wish, previous=held, gated=gated, covariance=covariance, adv=adv, nav=nav, engine=engine
        )
    return recorded(allocation, policy, journal)


@checked(elsewhere=["weights"])
def by_position(
    weights: pd.Series | Mapping[str, float], policy: Policy, buckets: Mapping[str, str] | None = None
) -> tuple[pd.Series, float | None]:
    """Return weights by (bucket, symbol), and the cash that they named if any."""
    if not isinstance(weights, pd.Series | Mapping):
        raise DataError(f"weights must be a Series or a mapping by symbol; got {type(weights).__name__}")
    try:
        series = pd.Series(weights if isinstance(weights, pd.Series) else dict(weights)).astype("float64")
    except (TypeError, ValueError) as error:
        raise DataError(f"weights must be numbers: {error}") from error
    series.index = symbols_as_text(series.index, "weights")
    if series.index.has_duplicates:
        raise DataError(f"weights name {series.index[series.index.duplicated()][0]} twice; add them up")
    if series.index.nlevels == 2:
        return series, None
    cash = float(series[CASH]) if CASH in series.index else None
    series = series.drop(CASH, errors="ignore")
    buckets = buckets and {symbol_text(symbol, "buckets"): bucket for symbol, bucket in buckets.items()}
    labels = [(_bucket_of(symbol, policy, buckets), symbol) for symbol in series.index]
    index = pd.MultiIndex.from_tuples(labels, names=LEVELS)
    return pd.Series(series.to_numpy(dtype=np.float64), index=index), cash


def _placed(weights: object) -> bool:
    """Return whether weights name the bucket of each position, or there are none."""
    return weights is None or (isinstance(weights, pd.Series) and weights.index.nlevels == 2)


def _universe(wish: pd.Series, held: pd.Series | None) -> pd.MultiIndex:
    index = as_positions(wish.index)
    return index if held is None else as_positions(index.append(as_positions(held.index)).unique())


def _bucket_of(symbol: Any, policy: Policy, buckets: Mapping[str, str] | None) -> str:
    if buckets is not None and symbol in buckets:
        return buckets[symbol]
    bucket = policy.bucket_of(symbol)
    if bucket is None:
        if policy.bypassed:
            return "unassigned"
        raise DataError(
            f"symbol {symbol} belongs to no bucket: list it in risk_buckets.yml, set default_bucket there, or pass "
            f"buckets={{{symbol!r}: ...}}"
        )
    return bucket
