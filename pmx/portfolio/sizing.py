"""How weights become orders: lots, the smallest order and costs, as the policy says or as the caller does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Literal

from pmx.errors import DataError
from pmx.portfolio.costs import CostModel

if TYPE_CHECKING:
    from pmx.policy import Policy

#: Stands for what the policy says.
FromPolicy = Literal["policy"]


@dataclass(frozen=True)
class Sizing:
    """The settings of order sizing, checked.

    Attributes
    ----------
    lot_size : Decimal or None, units
        Of symbols that ``lot_sizes`` does not name; None where any fraction of a unit can be held.
    lot_sizes : mapping of str to Decimal, units
        Of single symbols.
    min_order_nav_frac : float, fraction of NAV
        Smaller orders are not sent.
    costs : CostModel
        For which cash is set aside.

    Raises
    ------
    DataError
        If a lot size is not finite and positive, the fraction lies outside [0, 1], or costs are no cost model.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> policy = Policy.from_mapping({"execution": {"sizing": {"lot_size": 1, "lot_sizes": {"BTC": 0.001}}}})
    >>> sizing = Sizing.of(policy)
    >>> sizing.lot_of("SPY"), sizing.lot_of("BTC")
    (Decimal('1.0'), Decimal('0.001'))
    >>> Sizing.of(policy, lot_size=None).lot_of("SPY") is None
    True
    """

    lot_size: Decimal | None = None
    lot_sizes: Mapping[str, Decimal] = field(default_factory=dict)
    min_order_nav_frac: float = 0.0
    costs: CostModel = field(default_factory=lambda: CostModel(0.0, 0.0))

    @classmethod
    def of(
        cls,
        policy: Policy | None,
        lot_size: float | FromPolicy | None = "policy",
        lot_sizes: Mapping[str, float] | FromPolicy | None = "policy",
        min_order_nav_frac: float | FromPolicy = "policy",
        costs: CostModel | FromPolicy | None = "policy",
    ) -> Sizing:
        """Return the policy's ``execution.sizing`` and costs, each replaced by the argument of its name if it is given.

        Without a policy: any fraction of a unit, orders of any size, no costs.
        """
        stated = None if policy is None else policy.execution.sizing
        size = (None if stated is None else stated.lot_size) if _from_policy(lot_size) else lot_size
        sizes = ({} if stated is None else stated.lot_sizes) if _from_policy(lot_sizes) else lot_sizes
        least = (0.0 if stated is None else stated.min_order_nav_frac) if _from_policy(min_order_nav_frac) else None
        if least is None:
            least = _fraction(min_order_nav_frac)
        if sizes is not None and not isinstance(sizes, Mapping):
            raise DataError(f"lot_sizes is {sizes!r}, must be a mapping of symbol to units; write it as {{'SPY': 1}}")
        return cls(
            None if size is None else _lot("lot_size", size),
            {symbol: _lot(symbol, lot) for symbol, lot in (sizes or {}).items()},
            least,
            _costs(policy, costs),
        )

    def lot_of(self, symbol: str) -> Decimal | None:
        """Return the units in one lot of a symbol, None where any fraction will do."""
        return self.lot_sizes.get(symbol, self.lot_size)


def _from_policy(value: object) -> bool:
    return isinstance(value, str) and value == "policy"


def _lot(name: str, lot: object) -> Decimal:
    """Return a lot as the decimal number that its shortest text shows: 0.1 is a tenth."""
    number = isinstance(lot, Real | Decimal) and not isinstance(lot, bool)
    if not (number and math.isfinite(lot) and lot > 0):  # type: ignore[arg-type, operator]
        shown = lot if number else repr(lot)
        raise DataError(f"lot size {name} = {shown} must be finite and > 0; leave it out for fractional units")
    return lot if isinstance(lot, Decimal) else Decimal(repr(float(lot)))  # type: ignore[arg-type]


def _costs(policy: Policy | None, costs: object) -> CostModel:
    if costs is None or (policy is None and _from_policy(costs)):
        return CostModel(0.0, 0.0)
    if policy is not None and _from_policy(costs):
        return CostModel.from_policy(policy)
    if not isinstance(costs, CostModel):
        raise DataError(f"costs is {costs!r}, must be a CostModel; None sets nothing aside")
    return costs


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= float(value) <= 1.0:
        raise DataError(f"min_order_nav_frac is {value!r}, must lie in [0, 1]; give a fraction of NAV")
    return float(value)
