"""From decisions to holdings: the step, the account, costs."""

from pmx.execution.account import Account, Fill, Fills
from pmx.execution.costs import CostModel
from pmx.execution.desk import Desk, default_engines
from pmx.execution.history import History
from pmx.execution.step import Holdings, Step, step

__all__ = ["Account", "CostModel", "Desk", "Fill", "Fills", "History", "Holdings", "Step", "default_engines", "step"]
