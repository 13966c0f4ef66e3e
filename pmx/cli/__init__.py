"""The command line: ``pmx demo | init | solve | backtest``."""

from pmx.cli.app import app, main

__all__ = ["app", "main"]
