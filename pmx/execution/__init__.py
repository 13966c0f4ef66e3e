"""From decisions to holdings: the step, the account, costs."""

from pmx.execution.account import Account, Fill
from pmx.execution.costs import CostModel
from pmx.execution.desk import Desk, default_engines
from pmx.execution.step import Holdings, Step, step

__all__ = ["Account", "CostModel", "Desk", "Fill", "Holdings", "Step", "default_engines", "step"]
