"""Backtests: the same step as in live use, over history.

The package and its function share a name; calling the package is calling the function, whichever of the two an
import happened to bind to ``pmx.backtest``.
"""

import sys
from types import ModuleType

from pmx.backtest.engine import backtest
from pmx.backtest.metrics import drawdown, performance
from pmx.backtest.result import BacktestResult

__all__ = ["BacktestResult", "backtest", "drawdown", "performance"]


class _CallablePackage(ModuleType):
    __call__ = staticmethod(backtest)  # with no frame between, by which the function knows its caller


sys.modules[__name__].__class__ = _CallablePackage
