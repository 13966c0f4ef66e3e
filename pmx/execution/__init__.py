"""From decisions to holdings: the step, the account, costs."""

from pmx.execution.account import Account, Fill
from pmx.execution.costs import CostModel
from pmx.execution.step import Desk, Holdings, Step, default_engines, step

__all__ = ["Account", "CostModel", "Desk", "Fill", "Holdings", "Step", "default_engines", "step"]
