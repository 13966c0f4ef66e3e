"""From decisions to holdings: the step, the account, costs, and the audit log of signals."""

from pmx.execution.account import Account, Fill, Fills
from pmx.execution.audit_lines import AuditLine, AuditRead, read_audit_log
from pmx.execution.audit_log import AuditLog
from pmx.execution.desk import Desk
from pmx.execution.history import History
from pmx.execution.priced_engines import default_engines, fallback_engines
from pmx.execution.step import Holdings, Step, step
from pmx.execution.today import Opinion, Today, opinions_today, signals_today
from pmx.portfolio import CostModel

__all__ = [
    "Account",
    "AuditLine",
    "AuditLog",
    "AuditRead",
    "CostModel",
    "Desk",
    "Fill",
    "Fills",
    "History",
    "Holdings",
    "Opinion",
    "Step",
    "Today",
    "default_engines",
    "fallback_engines",
    "opinions_today",
    "read_audit_log",
    "signals_today",
    "step",
]
