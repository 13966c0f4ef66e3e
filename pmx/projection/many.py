"""Read what many accounts bring, and lay out what they share, for the compiled loop over accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pmx.errors import DataError
from pmx.projection.allocation import Allocation
from pmx.projection.batch import Accounts, AllocationBatch, Errors, rulebook, solve_accounts
from pmx.projection.frame import Inputs
from pmx.projection.program import Array

if TYPE_CHECKING:
    from pmx.projection.projector import Gates, Projector, RiskScale


class Many:
    """Many accounts over one projector; parameters as in :meth:`pmx.projection.Projector.solve_many`."""

    def __init__(
        self,
        projector: Projector,
        targets: Array | pd.DataFrame,
        risk_scale: RiskScale,
        previous: Array | pd.DataFrame | None,
        gated: Gates,
        covariance: pd.DataFrame | Array | None,
        adv: Mapping[str, float] | pd.Series | None,
        nav: float | Array | None,
        lower: Array | None,
        upper: Array | None,
    ) -> None:
        self.projector = projector
        self.wish = self._table(targets, "targets")
        self.size = len(self.wish)
        self.held = None if previous is None else self._table(previous, "previous")
        if self.held is not None and self.held.shape != self.wish.shape:
            raise DataError(f"previous has {len(self.held)} accounts, targets have {self.size}; give one row for each")
        self.scale = self._scales(risk_scale)
        self.gated, self.covariance, self.adv = gated, covariance, adv
        self.nav = self._nav(nav) if adv is not None else np.ones(1)
        self.least, self.most = self._sizes(lower, "lower"), self._sizes(upper, "upper")

    # -- the inputs --------------------------------------------------------------------------------------------

    def _table(self, table: Array | pd.DataFrame, name: str) -> Array:
        index = self.projector.index
        if isinstance(table, pd.DataFrame):
            strange = table.columns.difference(index)
            if table.columns.nlevels != 2 or len(strange):
                first = strange[0] if len(strange) else table.columns[0]
                raise DataError(
                    f"{name} has the column {first}, which is no position of the projector; label columns with "
                    "(bucket, symbol)"
                )
            if table.columns.has_duplicates:
                raise DataError(f"{name} has the column {table.columns[table.columns.duplicated()][0]} twice; keep one")
            table = table.reindex(columns=index, fill_value=0.0).to_numpy(dtype=np.float64)
        values = np.asarray(table, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(index):
            raise DataError(
                f"{name} has shape {values.shape}; it must be (accounts, {len(index)}), columns as the index"
            )
        self._require(values, np.isfinite, name, "is not a finite number; give 0 for no position")
        return values

    def _require(self, values: Array, holds: Any, name: str, wrong: str) -> None:
        """Check values row block by row block, so that no large temporary is made."""
        for first in range(0, len(values), 65_536):
            sound = holds(values[first : first + 65_536])
            if not sound.all():
                i, j = np.argwhere(~sound)[0]
                where = f"of account {first + i}, position {self.projector.index[int(j)]},"
                raise DataError(f"{name} {where} {wrong}")

    def _sizes(self, sizes: Array | None, name: str) -> Array | None:
        if sizes is None:
            return None
        values = np.atleast_2d(np.asarray(sizes, dtype=np.float64))
        if values.shape not in ((1, len(self.projector.index)), self.wish.shape):
            raise DataError(
                f"{name} has shape {np.shape(sizes)}; it must be ({len(self.projector.index)},) or {self.wish.shape}"
            )
        finite = name == "lower"
        self._require(values, lambda v: (v >= 0.0) & (np.isfinite(v) | (not finite)), name, "is not a size ≥ 0")
        return values

    def _nav(self, nav: float | Array | None) -> Array:
        values = np.atleast_1d(np.asarray(np.nan if nav is None else nav, dtype=np.float64))
        if values.shape not in ((1,), (self.size,)) or not (np.isfinite(values) & (values > 0.0)).all():
            raise DataError("nav must be a positive number, or one for each account, when adv is given")
        return values

    def _scales(self, risk_scale: RiskScale) -> Array | None:
        """Return scales, shape (1 or n_accounts, n_buckets); 1 for buckets that are not named."""
        if risk_scale is None:
            return None
        names = list(self.projector.policy.risk_buckets.buckets)
        if not isinstance(risk_scale, np.ndarray):
            strange = [str(bucket) for bucket in risk_scale.keys() if bucket not in names]  # noqa: SIM118  (a Series too)
            if strange:
                raise DataError(f"risk scale: the policy has no bucket {strange[0]!r}; use one of {', '.join(names)}")
            risk_scale = np.array([float(risk_scale.get(name, 1.0)) for name in names])
        values = np.atleast_2d(risk_scale.astype(np.float64))
        if values.shape not in ((1, len(names)), (self.size, len(names))):
            raise DataError(f"risk_scale has shape {risk_scale.shape}; give one scale for each of {', '.join(names)}")
        if not (np.isfinite(values) & (values >= 0.0)).all():
            raise DataError("risk_scale must be finite and ≥ 0; 1 leaves a bucket as it is")
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
        clamp = self._clamps()
        clamped = [name for b, name in enumerate(p.policy.risk_buckets.buckets) if np.isfinite(clamp[:, b]).any()]
        room = p.tradable(self.adv, 1.0) if self.held is not None else None
        held = np.zeros(n) if self.held is not None else None
        distance = p.book.distance(Inputs(np.ones(n), np.ones(n), covariance=p.covariance_of(self.covariance)))
        bounds = self.least is not None or self.most is not None
        least = np.zeros((1, n)) if bounds and self.least is None else self.least
        most = np.full((1, n), np.inf) if bounds and self.most is None else self.most
        p.book.require_volume(Inputs(np.ones(n), np.ones(n), held=held, tradable=room))
        frame = p.book.frame(
            np.ones(n, bool), self._ever_short(), clamped, held is not None, room, p.gates(self.gated), bounds=bounds
        )
        book, names = rulebook(frame, distance, p.trading_limited)
        accounts = Accounts(self.wish, self.held, clamp, np.zeros(0) if room is None else room, self.nav, least, most)
        return solve_accounts(
            accounts, None if p.has_cones or p.policy.bypassed else book, names, p.index, self.one,
            workers=workers, chunk=chunk, progress=progress, errors=errors,
        )  # fmt: skip

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
            nav=float(self.nav[account if len(self.nav) > 1 else 0]) if self.adv is not None else None,
            lower=row(self.least),
            upper=row(self.most),
        )
