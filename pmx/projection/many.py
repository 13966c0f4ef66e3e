"""Read what many accounts bring, and lay out what they share, for the compiled loop over accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pmx.errors import DataError
from pmx.policy.units import check_holdings, check_scales, check_sizes, check_targets
from pmx.projection.allocation import Allocation
from pmx.projection.batch import Accounts, AllocationBatch, Errors, rulebook, solve_accounts
from pmx.projection.frame import Inputs
from pmx.projection.passthrough import refuse_limits
from pmx.projection.program import Array

if TYPE_CHECKING:
    from pmx.projection.asked import RiskScale
    from pmx.projection.projector import Projector
    from pmx.projection.universe import Gates

Table = Array | pd.DataFrame
#: Rows that are checked at a time, so that no large temporary is made.
BLOCK = 65_536


class Many:
    """Many accounts over one projector; parameters as in :meth:`pmx.projection.Projector.solve_many`.

    Attributes
    ----------
    labels : Index
        Of the accounts: those of the first table that has any, else their numbers.
    """

    def __init__(
        self,
        projector: Projector,
        targets: Table,
        risk_scale: RiskScale | pd.DataFrame,
        previous: Table | None,
        gated: Gates,
        covariance: Table | None,
        adv: Mapping[str, float] | pd.Series | None,
        nav: float | Array | None,
        lower: Table | None,
        upper: Table | None,
    ) -> None:
        refuse_limits(projector.policy, risk_scale=risk_scale, gated=gated, adv=adv, nav=nav, lower=lower, upper=upper)
        self.projector = projector
        self._labels: pd.Index | None = None
        self.wish = self._table(targets, "targets")
        self.size = len(self.wish)
        self.held = None if previous is None else self._table(previous, "previous")
        if self.held is not None and self.held.shape != self.wish.shape:
            raise DataError(f"previous has {len(self.held)} accounts, targets have {self.size}; give one row for each")
        self.scale = self._scales(risk_scale)
        self.gated, self.covariance = projector.universe.gates(gated), covariance
        projector.universe.warn_of_unread(adv, nav)
        limited = projector.policy.execution.liquidity.participation is not None
        self.adv = adv if limited else None
        self.nav = np.ones(1) if self.adv is None else self._nav(nav)
        self.least, self.most = self._sizes(lower, "lower"), self._sizes(upper, "upper")
        self._check_units()
        projector.admission.require(self.wish, None, self.held)
        if projector.admission.barred is not None:
            self.most = projector.admission.sizes(self.most, self.wish, self.held)

    @property
    def labels(self) -> pd.Index:  # noqa: D102  (in the class docstring)
        return pd.RangeIndex(self.size, name="account") if self._labels is None else self._labels

    def _check_units(self) -> None:
        """Check that weights, scales and sizes can be what they are said to be."""
        policy = self.projector.policy
        if policy.bypassed:
            return
        check_targets(self.wish, policy)
        if self.held is not None:
            check_holdings(self.held, policy)
        if self.scale is not None:
            check_scales(self.scale, tuple(policy.risk_buckets.buckets), policy)
        least = np.zeros(1) if self.least is None else self.least
        check_sizes(least, np.full(1, np.inf) if self.most is None else self.most, self.projector.index, policy)

    # -- the inputs --------------------------------------------------------------------------------------------

    def _labelled(self, table: pd.DataFrame, name: str) -> None:
        """Take in a table's labels of accounts; every table must have the same."""
        if self._labels is None:
            self._labels = table.index
        elif not table.index.equals(self._labels):
            raise DataError(f"{name} does not name the same accounts in the same order as an earlier table; reindex it")

    def _in_order(self, table: Table, name: str, missing: float) -> Array:
        """Return a table with its columns in the order of the universe; an array as it is."""
        index = self.projector.index
        if isinstance(table, pd.Series):
            raise DataError(f"{name} is a Series; give an array in the order of the index, or a DataFrame with columns")
        if not isinstance(table, pd.DataFrame):
            return _numbers(table, name)
        pairs: list[Any] = table.columns.tolist()
        if not pairs:
            raise DataError(f"{name} has no column; label one for each position with (bucket, symbol)")
        if table.columns.nlevels == 1 and all(isinstance(pair, tuple) for pair in pairs):
            table = table.set_axis(pd.MultiIndex.from_tuples(pairs), axis=1)
        strange = table.columns.difference(index)
        if table.columns.nlevels != 2 or len(strange):
            first = strange[0] if len(strange) else table.columns[0]
            raise DataError(
                f"{name} has the column {first}, which is no position of the projector; label columns with "
                "(bucket, symbol)"
            )
        if table.columns.has_duplicates:
            raise DataError(f"{name} has the column {table.columns[table.columns.duplicated()][0]} twice; keep one")
        self._labelled(table, name)
        return _numbers(table.reindex(columns=index, fill_value=missing), name)

    def _table(self, table: Table, name: str) -> Array:
        values = self._in_order(table, name, 0.0)
        n = len(self.projector.index)
        if values.ndim != 2 or values.shape[1] != n:
            raise DataError(f"{name} has shape {values.shape}; it must be (accounts, {n}), columns as the index")
        self._require(values, np.isfinite, name, "is not a finite number; give 0 for no position")
        return values

    def _require(self, values: Array, holds: Any, name: str, wrong: str) -> None:
        for first in range(0, len(values), BLOCK):
            sound = holds(values[first : first + BLOCK])
            if not sound.all():
                i, j = np.argwhere(~sound)[0]
                where = f"of account {first + i}, position {self.projector.index[int(j)]},"
                raise DataError(f"{name} {where} {wrong}")

    def _sizes(self, sizes: Table | None, name: str) -> Array | None:
        if sizes is None:
            return None
        values = np.atleast_2d(self._in_order(sizes, name, 0.0 if name == "lower" else np.inf))
        n = len(self.projector.index)
        if values.shape not in ((1, n), self.wish.shape):
            raise DataError(f"{name} has shape {np.shape(sizes)}; it must be ({n},) or {self.wish.shape}")
        finite = name == "lower"
        self._require(values, lambda v: (v >= 0.0) & (np.isfinite(v) | (not finite)), name, "is not a size ≥ 0")
        return values

    def _nav(self, nav: float | Array | None) -> Array:
        values = np.atleast_1d(_numbers(np.nan if nav is None else nav, "nav"))
        if values.shape not in ((1,), (self.size,)):
            raise DataError(
                f"nav has shape {values.shape}; it must be one number, or one for each of {self.size} accounts"
            )
        sound = np.isfinite(values) & (values > 0.0)
        if not sound.all():
            i = int(np.argmin(sound))
            raise DataError(f"nav of account {i} is {values[i]}; it must be a positive number when adv is given")
        return values

    def _scales(self, risk_scale: RiskScale | pd.DataFrame) -> Array | None:
        """Return scales, shape (1 or n_accounts, n_buckets); 1 for buckets that are not named."""
        if risk_scale is None:
            return None
        names = list(self.projector.policy.risk_buckets.buckets)
        if isinstance(risk_scale, pd.DataFrame):
            self._labelled(risk_scale, "risk_scale")
        if isinstance(risk_scale, Mapping | pd.Series | pd.DataFrame):
            strange = [str(bucket) for bucket in risk_scale.keys() if bucket not in names]  # noqa: SIM118  (pandas too)
            if strange:
                raise DataError(f"risk scale: the policy has no bucket {strange[0]!r}; use one of {', '.join(names)}")
            columns = np.broadcast_arrays(*(_numbers(risk_scale.get(name, 1.0), "risk_scale") for name in names))
            risk_scale = np.stack(columns, axis=-1)
        values = np.atleast_2d(_numbers(risk_scale, "risk_scale"))
        if values.shape not in ((1, len(names)), (self.size, len(names))):
            shape = np.shape(risk_scale)
            raise DataError(f"risk_scale has shape {shape}; give one scale for each of {', '.join(names)}")
        sound = np.isfinite(values) & (values >= 0.0)
        if not sound.all():
            i, b = np.argwhere(~sound)[0].tolist()
            raise DataError(
                f"risk scale of account {i}, bucket {names[b]}, is {values[i, b]}; it must be finite and ≥ 0; 1 leaves "
                "a bucket as it is"
            )
        return values

    def _clamps(self) -> Array:
        config = self.projector.policy.risk_buckets
        if self.scale is None or not config.enabled:
            return np.full((1, len(config.buckets)), np.inf)
        most = np.array([bucket.max_nav_frac for bucket in config.buckets.values()])
        least = np.array([bucket.min_nav_frac for bucket in config.buckets.values()])
        return np.where(self.scale < 1.0, np.maximum(self.scale * most, least), np.inf)

    # -- the solve ---------------------------------------------------------------------------------------------

    def solve(self, workers: int | None, chunk: int | None, progress: bool, errors: Errors) -> AllocationBatch:
        """Return the batch."""
        p = self.projector
        n = len(p.index)
        clamp, bounds = self._clamps(), self.least is not None or self.most is not None
        accounts = Accounts(
            self.wish,
            self.held,
            clamp,
            np.zeros(0),
            self.nav,
            np.zeros((1, n)) if bounds and self.least is None else self.least,
            np.full((1, n), np.inf) if bounds and self.most is None else self.most,
        )
        how: dict[str, Any] = {"workers": workers, "chunk": chunk, "progress": progress, "errors": errors}
        if p.policy.bypassed:
            return solve_accounts(accounts, None, (), None, p.index, self.labels, self.one, **how)
        clamped = [name for b, name in enumerate(p.policy.risk_buckets.buckets) if np.isfinite(clamp[:, b]).any()]
        held = None if self.held is None else np.zeros(n)
        room = None if held is None else p.universe.tradable(self.adv, None if self.adv is None else 1.0)
        shared = Inputs(
            np.ones(n), np.ones(n), held=held, tradable=room, covariance=p.universe.covariance_of(self.covariance)
        )
        p.book.require_volume(shared)
        frame = p.book.frame(
            np.ones(n, bool), self._ever_short(), clamped, held is not None, room, self.gated, bounds=bounds
        )
        book, names = rulebook(frame, p.book.distance(shared), p.trading_limited)
        if room is not None:
            accounts = accounts.limited_by(room)
        book = None if p.has_cones else book
        return solve_accounts(accounts, book, names, frame, p.index, self.labels, self.one, **how)

    def _ever_short(self) -> np.ndarray:
        short = np.asarray((self.wish < 0.0).any(axis=0))
        return short if self.held is None else np.asarray(short | (self.held < 0.0).any(axis=0))

    def one(self, account: int) -> Allocation:
        """Return one account's allocation, by the path of a single one."""

        def row(array: Array | None) -> Array | None:
            return None if array is None else array[account if len(array) > 1 else 0]

        return self.projector.project(
            self.wish[account],
            risk_scale=row(self.scale),
            previous=row(self.held),
            gated=self.gated,
            covariance=self.covariance,
            adv=self.adv,
            nav=None if self.adv is None else float(self.nav[account if len(self.nav) > 1 else 0]),
            lower=row(self.least),
            upper=row(self.most),
        )


def _numbers(values: Any, name: str) -> Array:
    """Return an array of floats.

    Raises
    ------
    DataError
        When these are no real numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiuO":
        raise DataError(f"{name} must hold real numbers, fractions; got {array.dtype}")
    try:
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers, fractions: {error}") from error
