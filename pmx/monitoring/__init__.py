"""What happened: tables, charts, a printable report, and the demo that shows them."""

from pmx.monitoring.demo import PORTFOLIOS, demo_runs, switched_off
from pmx.monitoring.report import report_html, write_report
from pmx.monitoring.tables import (
    certificate_line,
    ledger_table,
    metrics_table,
    positions_table,
    rules_table,
    safe_weight_line,
)

__all__ = [
    "PORTFOLIOS",
    "certificate_line",
    "demo_runs",
    "ledger_table",
    "metrics_table",
    "positions_table",
    "report_html",
    "rules_table",
    "safe_weight_line",
    "switched_off",
    "write_report",
]
