"""Weights from files, as several commands read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from pmx.policy import Policy

#: Bucket of the row for cash.
CASH_ROW = "cash"


def weights_from(file: Path, policy: Policy) -> pd.Series:
    """Read weights; leave out the rows for cash and the residual, which are what is left and no position."""
    from pmx.data import read_weights
    from pmx.policy import CASH
    from pmx.portfolio import UNASSIGNED

    series = read_weights(file)
    if series.index.nlevels == 1:
        return series
    residual = (UNASSIGNED, policy.risk_buckets.portfolio.residual_symbol)
    return series.loc[[position not in ((CASH_ROW, CASH), residual) for position in series.index]]


def symbols_of(*all_weights: pd.Series | None) -> set[str]:
    """Return the symbols that any of some weights name."""
    given = [weights for weights in all_weights if weights is not None]
    return {str(symbol) for weights in given for symbol in weights.index.get_level_values(-1)}
