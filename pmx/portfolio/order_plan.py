"""What order sizing needs to know of an allocation, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from pmx.portfolio.lots import LinearRules

if TYPE_CHECKING:
    from pmx.policy import Policy

#: A portfolio this close to the least distance is called the nearest, fraction of NAV.
NEAREST = 1e-4


class SizableAllocation(Protocol):
    """What `size_orders` needs to know of an allocation."""

    @property
    def policy(self) -> Policy | None:
        """The policy that it obeys, whose ``execution`` says how orders are sized; None where there is none."""
        ...

    @property
    def positions(self) -> pd.Series[float]:
        """Signed fraction of NAV, Series by (bucket, symbol)."""
        ...

    @property
    def weights(self) -> pd.Series[float]:
        """Signed fraction of NAV, Series by symbol and ``CASH``."""
        ...

    @property
    def residual_symbol(self) -> str | None:
        """Symbol that takes what positions leave above the weight of ``CASH``; None if cash does."""
        ...

    def violations(self, positions: pd.Series[float]) -> pd.Series[float]:
        """Return by how much other weights would break hard rules: rule name → fraction of NAV."""
        ...

    def counted_from(self, held: pd.Series[float], nav: float, beside: float = 0.0) -> SizableAllocation:
        """Return the same weights under rules whose limits on trades are counted from what is held now.

        ``held`` is a Series by (bucket, symbol), signed fraction of ``nav``; ``beside`` is what is held of the residual
        symbol beside its own positions. Where no rule is about trades, this is the allocation itself.
        """
        ...

    def residual_room(self, positions: pd.Series[float]) -> float:
        """Return the most that the residual symbol may take beside other weights, fraction of NAV."""
        ...

    def linear_rules(self, tangent_at: Sequence[pd.Series[float]] = ()) -> LinearRules:
        """Return the linear rules, columns in the order of ``positions``, and tangents of conic rules at weights."""
        ...


@dataclass(frozen=True, eq=False)
class OrderPlan:
    """Orders, and what is owned once they are filled at these prices and their costs are paid.

    Attributes
    ----------
    orders : DataFrame
        One row a symbol, sales first: ``symbol``, ``side`` ("BUY" or "SELL"), ``quantity`` > 0 in units,
        ``price`` and ``notional`` in ``currency``, the symbol's own.
    quantities : Series by (bucket, symbol), units
        What each position holds after trading. What a residual symbol holds is of bucket `UNASSIGNED`.
    weights : Series by (bucket, symbol), signed fraction of NAV
        The same, valued; of the NAV before trading.
    cash_after : float, base currency
        Cash of all currencies after trading and its costs.
    costs : float, base currency
        What the orders cost, by the cost model.
    max_deviation : float, fraction of NAV
        Greatest distance of a position from its allocated weight; a residual symbol's is not counted.
    distance : float, fraction of NAV
        Distance from the allocation: Σ abs(weight − allocated weight) over positions, and the same of what they leave
        to cash and a residual symbol. Half of it is the turnover between the two.
    least_distance : float, fraction of NAV
        No portfolio in these lots that obeys every hard rule and pays its costs is nearer.
    skipped : tuple of str
        Symbols whose order was too small to be worth sending, or less than the odd lot that is held.
    odd_lots : tuple of str
        Symbols whose order is no whole number of lots, because what is held is none.
    """

    orders: pd.DataFrame
    quantities: pd.Series[float]
    weights: pd.Series[float]
    cash_after: float
    costs: float
    max_deviation: float
    distance: float
    least_distance: float
    skipped: tuple[str, ...]
    odd_lots: tuple[str, ...]

    @property
    def proven_nearest(self) -> bool:
        """Whether no portfolio in these lots that obeys is nearer by more than a basis point of NAV."""
        return self.distance - self.least_distance <= NEAREST
