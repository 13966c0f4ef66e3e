"""What a routing says: the relative weights, and a reason for every signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas as pd

#: ``source`` of a decision about a weight that the policy holds without any signal.
STANDING = "standing"
#: ``source`` of a decision about a held position that no live signal speaks for.
NO_SIGNAL = "none"


class Decision(NamedTuple):
    """What became of one signal, of one standing weight, or of one held position without a live signal.

    Attributes
    ----------
    symbol, source : str
        Whom it is about and who spoke; `STANDING` or `NO_SIGNAL` where nobody did.
    direction : int
        +1 BUY, 0 HOLD, −1 SELL as signalled; the sign of a standing weight; 0 where nobody spoke.
    bucket : str
        The bucket that was asked.
    kept : bool
        Whether it decides the position.
    reason : str
        What it does, or why it was dropped.
    conviction : float
        Strength × confidence × abs(edge); NaN where nobody spoke.
    relative_weight : float
        Signed share of the bucket; 0 where dropped.
    """

    symbol: str
    source: str
    direction: int
    bucket: str
    kept: bool
    reason: str
    conviction: float
    relative_weight: float


class BudgetUse(NamedTuple):
    """How much of its budget the signals of one bucket ask for.

    Attributes
    ----------
    bucket : str
        The bucket.
    conviction : float
        Sum of the convictions of its BUYs, and SELLs where it may be short.
    full_conviction : float
        Sum at which they fill what the HOLDs and standing weights leave.
    reserved : float, fraction of the budget
        What HOLDs and standing weights take.
    used : float, fraction of the budget
        Σ abs(relative weight).

    Examples
    --------
    >>> print(BudgetUse("ts_core", 0.092, 0.2, 0.0, 0.46))
    bucket ts_core: conviction 0.092 of 0.2, 46% of its budget used
    """

    bucket: str
    conviction: float
    full_conviction: float
    reserved: float
    used: float

    @property
    def short(self) -> bool:
        """Whether part of the budget is left for want of conviction."""
        return self.conviction < self.full_conviction and self.used < 1.0 - 1e-9

    def __str__(self) -> str:
        beside = f" beside {self.reserved:.0%} held or standing" if self.reserved else ""
        reached = f"conviction {self.conviction:.2g} of {self.full_conviction:.2g}"
        return f"bucket {self.bucket}: {reached}{beside}, {self.used:.0%} of its budget used"


@dataclass(frozen=True, eq=False)
class Routing:
    """What the signals ask of each bucket, and why.

    Attributes
    ----------
    shares : mapping of (bucket, symbol) to float
        Signed share of its bucket that each position is asked to take; Σ abs ≤ 1 over a bucket. A position
        to be closed is present with 0. Order: buckets in policy order, then symbols.
    records : tuple of Decision
        One for each signal, each standing weight, and each held position without a live signal, in the order
        of the rows.
    uses : tuple of BudgetUse
        One for each bucket with a signal that is kept, a holding or a standing weight, in policy order.
    """

    shares: Mapping[tuple[str, str], float]
    records: tuple[Decision, ...]
    uses: tuple[BudgetUse, ...] = ()

    @cached_property
    def relative_weights(self) -> pd.Series[float]:
        """Return ``shares`` as a Series, MultiIndex (bucket, symbol)."""
        buckets, symbols = zip(*self.shares, strict=True) if self.shares else ((), ())
        index = pd.MultiIndex.from_arrays([buckets, symbols], names=["bucket", "symbol"])
        return pd.Series(list(self.shares.values()), index=index, dtype=float, name="relative_weight")

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """Return ``records`` as a table with one column for each field of `Decision`."""
        return pd.DataFrame(self.records, columns=list(Decision._fields))

    @cached_property
    def utilisation(self) -> pd.DataFrame:
        """Return ``uses`` as a table by bucket; one whose ``used`` is below 1 leaves part of its budget in cash."""
        return pd.DataFrame(self.uses, columns=list(BudgetUse._fields)).set_index("bucket")

    def explain(self) -> str:
        """Return in words which buckets leave part of their budget for want of conviction, one line each."""
        return "\n".join(str(use) for use in self.uses if use.short)
