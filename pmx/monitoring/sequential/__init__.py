"""Joint against sequential: what clip-and-rescale passes break and lose, in every order."""

from pmx.monitoring.sequential.comparison import (
    AIMS,
    FULLY_INVESTED,
    LIMITS_ONLY,
    MOST_ORDERS,
    SequentialComparison,
    compare_sequential,
)
from pmx.monitoring.sequential.picture import comparison_svg
from pmx.monitoring.sequential.tables import (
    broken_table,
    comparison_html,
    not_rescaled,
    orders_table,
    overrun_table,
    summary_table,
    verdict,
)
from pmx.monitoring.sequential.wishes import random_wishes

__all__ = [
    "AIMS",
    "FULLY_INVESTED",
    "LIMITS_ONLY",
    "MOST_ORDERS",
    "SequentialComparison",
    "broken_table",
    "compare_sequential",
    "comparison_html",
    "comparison_svg",
    "not_rescaled",
    "orders_table",
    "overrun_table",
    "random_wishes",
    "summary_table",
    "verdict",
]
