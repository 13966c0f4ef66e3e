"""What trading costs: commission and half-spread, in proportion to the traded value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.policy.symbols import symbol_text
from pmx.policy.units import check_basis_points

if TYPE_CHECKING:
    import pandas as pd

    from pmx.policy import Policy

_BPS = 1e-4


@checked
@dataclass(frozen=True)
class CostModel:
    r"""Charge each trade a fraction of its value, one side.

    .. math:: \text{rate}_i = 10^{-4} \cdot (\text{commission} + \text{half spread})

    or :math:`10^{-4} \cdot` the symbol's own all-in figure where it has one.

    Parameters
    ----------
    commission_bps, half_spread_bps : float
        Basis points of the traded value, one side, ≥ 0.
    per_symbol_bps : mapping of str to float, optional
        All-in basis points for single symbols; each replaces both of the above.

    Raises
    ------
    DataError
        If a figure is negative or not finite.

    Examples
    --------
    >>> costs = CostModel(commission_bps=1.0, half_spread_bps=2.0, per_symbol_bps={"NGX:DANGCEM": 50.0})
    >>> round(costs.rate("SPY"), 6), round(costs.rate("NGX:DANGCEM"), 6)
    (0.0003, 0.005)
    >>> round(costs.cost({"SPY": -10_000.0, "NGX:DANGCEM": 1_000.0}), 6)
    8.0
    """

    commission_bps: float
    half_spread_bps: float
    per_symbol_bps: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        figures = {
            "commission_bps": self.commission_bps,
            "half_spread_bps": self.half_spread_bps,
            **{f"per_symbol_bps.{symbol}": bps for symbol, bps in self.per_symbol_bps.items()},
        }
        for name, bps in figures.items():
            if not (math.isfinite(bps) and bps >= 0.0):
                raise DataError(f"costs: {name} = {bps!r} must be finite and ≥ 0; give basis points of the value")
            check_basis_points(bps, f"costs: {name}")
        texts = {symbol_text(symbol, "per_symbol_bps"): bps for symbol, bps in self.per_symbol_bps.items()}
        object.__setattr__(self, "per_symbol_bps", MappingProxyType(texts))

    @classmethod
    @checked
    def from_policy(cls, policy: Policy) -> CostModel:
        """Build the cost model that ``execution.yml`` states under ``costs``.

        Examples
        --------
        >>> from pmx.policy import Policy
        >>> CostModel.from_policy(Policy.from_mapping({})).rate("SPY")
        0.0002
        """
        costs = policy.execution.costs
        return cls(costs.commission_bps, costs.half_spread_bps, costs.per_symbol_bps)

    @checked
    def rate(self, symbol: str) -> float:
        """Return the cost of one side as a fraction of the traded value."""
        return self.per_symbol_bps.get(symbol, self.commission_bps + self.half_spread_bps) * _BPS

    @checked
    def round_trip(self, symbols: Sequence[str]) -> dict[str, float]:
        """Return what buying each symbol and selling it again costs, fraction of the traded value.

        Examples
        --------
        >>> CostModel(commission_bps=1.0, half_spread_bps=1.0).round_trip(["SPY"])
        {'SPY': 0.0004}
        """
        return {symbol: 2.0 * self.rate(symbol) for symbol in symbols}

    @checked
    def rates(self, symbols: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return `rate` for each symbol, shape (n_symbols,)."""
        return np.array([self.rate(symbol) for symbol in symbols], dtype=float)

    @checked
    def cost(self, traded_value_by_symbol: Mapping[str, float] | pd.Series[float]) -> float:
        """Return what a set of trades costs, in the currency of their values.

        Parameters
        ----------
        traded_value_by_symbol : mapping or Series by symbol
            Traded value, bought or sold; the sign does not matter.

        Raises
        ------
        DataError
            If a value is not finite.
        """
        total = 0.0
        for symbol, value in traded_value_by_symbol.items():
            if not math.isfinite(value):
                raise DataError(f"costs: the traded value of {symbol} is {value!r}; check its price and quantity")
            total += abs(value) * self.rate(str(symbol))
        return total
