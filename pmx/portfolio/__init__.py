"""Net asset value, budgets in NAV, and orders."""

from pmx.portfolio.allocator import NavAllocator, NavBudget
from pmx.portfolio.costs import CostModel
from pmx.portfolio.fx import FxTable, Quote
from pmx.portfolio.lots import LinearRules, LotGrid
from pmx.portfolio.nav import UNASSIGNED, Nav, PortfolioSnapshot, compute_nav
from pmx.portfolio.orders import OrderPlan, SizableAllocation, size_orders
from pmx.portfolio.prices import PriceBook

__all__ = [
    "UNASSIGNED",
    "CostModel",
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
    "size_orders",
]
