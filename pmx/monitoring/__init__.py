"""What happened: tables, charts, a printable report, and the demo that shows them."""

from pmx.monitoring.demo import PORTFOLIOS, demo_policy, demo_runs, switched_off
from pmx.monitoring.explanation import explanation_html, write_explanation
from pmx.monitoring.forecast_confidence import confidence_table, confidence_words
from pmx.monitoring.forecast_page import forecast_report_html, forecast_table
from pmx.monitoring.forecast_report import ForecastReport, forecast_report, forecasts_frame
from pmx.monitoring.health import Health, health_of, health_table
from pmx.monitoring.held import breaches_table, safe_weight_line
from pmx.monitoring.report import report_html, write_report
from pmx.monitoring.tables import (
    certificate_line,
    cuts_table,
    ledger_table,
    metrics_table,
    positions_table,
    rules_table,
    years_table,
)
from pmx.monitoring.waterfall import waterfall

__all__ = [
    "PORTFOLIOS",
    "ForecastReport",
    "Health",
    "breaches_table",
    "certificate_line",
    "confidence_table",
    "confidence_words",
    "cuts_table",
    "demo_policy",
    "demo_runs",
    "explanation_html",
    "forecast_report",
    "forecast_report_html",
    "forecast_table",
    "forecasts_frame",
    "health_of",
    "health_table",
    "ledger_table",
    "metrics_table",
    "positions_table",
    "report_html",
    "rules_table",
    "safe_weight_line",
    "switched_off",
    "waterfall",
    "write_explanation",
    "write_report",
    "years_table",
]
