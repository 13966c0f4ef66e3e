"""A linter for policies: proves that the hard rules hold together in every state, and flags rules that mean nothing."""

from pmx.linting.check import check_config, check_policy
from pmx.linting.finding import CODES, Corner, Finding, PolicyCheck, Severity

__all__ = ["CODES", "Corner", "Finding", "PolicyCheck", "Severity", "check_config", "check_policy"]
