"""Net asset value, budgets in NAV, and orders."""

from pmx.portfolio.allocator import NavAllocator, NavBudget
from pmx.portfolio.costs import CostModel
from pmx.portfolio.fx import FxTable, Quote
from pmx.portfolio.lots import LinearRules, LotGrid
from pmx.portfolio.moments import Date
from pmx.portfolio.nav import Nav, compute_nav, require_currency
from pmx.portfolio.order_plan import OrderPlan, SizableAllocation
from pmx.portfolio.orders import size_orders
from pmx.portfolio.prices import PriceBook
from pmx.portfolio.snapshot import UNASSIGNED, PortfolioSnapshot

__all__ = [
    "UNASSIGNED",
    "CostModel",
    "Date",
    "FxTable",
    "LinearRules",
    "LotGrid",
    "Nav",
    "NavAllocator",
    "NavBudget",
    "OrderPlan",
    "PortfolioSnapshot",
    "PriceBook",
    "Quote",
    "SizableAllocation",
    "compute_nav",
    "require_currency",
    "size_orders",
]
