"""Calls of tables, pages, pictures and comparisons."""

from __future__ import annotations

import pandas as pd
from zoo.calls import case
from zoo.calls.execution import RESULT
from zoo.calls.forecasting import forecasts
from zoo.calls.market import POLICY, WEIGHTS, long_prices
from zoo.calls.portfolio import ALLOCATION

from pmx import monitoring
from pmx.monitoring import sequential

for name in ("breaches_table", "cuts_table", "ledger_table", "safe_weight_line", "years_table"):
    case(f"monitoring.{name}")(lambda _, name=name: (getattr(monitoring, name), {"result": RESULT}))
for name in ("positions_table", "rules_table"):
    case(f"monitoring.{name}")(lambda _, name=name: (getattr(monitoring, name), {"allocation": ALLOCATION}))
case("monitoring.certificate_line")(lambda _: (monitoring.certificate_line, {"certificate": ALLOCATION.certificate}))
case("monitoring.metrics_table")(lambda _: (monitoring.metrics_table, {"runs": {"a": RESULT}}))
case("monitoring.explanation_html", heavy=True)(
    lambda _: (monitoring.explanation_html, {"allocation": ALLOCATION, "title": "A", "notes": ["b"]})
)
case("monitoring.write_explanation", heavy=True)(
    lambda folder: (
        monitoring.write_explanation,
        {"path": folder / "page.html", "allocation": ALLOCATION, "title": "A", "notes": ["b"]},
    )
)
case("monitoring.report_html", heavy=True)(
    lambda _: (monitoring.report_html, {"runs": {"a": RESULT}, "title": "A", "notes": ["b"]})
)
case("monitoring.write_report", heavy=True)(
    lambda folder: (
        monitoring.write_report,
        {"path": folder / "page.html", "runs": {"a": RESULT}, "title": "A", "notes": ["b"]},
    )
)
case("monitoring.waterfall", heavy=True)(
    lambda _: (monitoring.waterfall, {"allocation": ALLOCATION, "symbol": "SP500", "bucket": "ts_core"})
)
case("monitoring.demo_policy")(lambda _: (monitoring.demo_policy, {"changes": ["barbell.safe_bucket.min_weight=0.8"]}))
case("monitoring.switched_off")(lambda _: (monitoring.switched_off, {"policy": POLICY}))
case("monitoring.demo_runs", heavy=True)(
    lambda _: (
        monitoring.demo_runs,
        {
            "policy": POLICY,
            "prices": long_prices(20),
            "cash_rate": pd.Series(0.0001, index=long_prices(20).index),
            "progress": False,
        },
    )
)
case("monitoring.health_of")(
    lambda _: (
        monitoring.health_of,
        {"lines": [], "config": POLICY.forecaster_monitoring, "not_before": None},
    )
)


def health() -> monitoring.Health:
    return monitoring.health_of([], POLICY.forecaster_monitoring)


case("monitoring.Health")(
    lambda _: (
        monitoring.Health,
        {
            "judged": 0, "fail_fraction": 0.0, "negative_profit_fraction": 0.0, "reasons": (), "concluded": False,
            "table": pd.DataFrame(),
        },
    )
)  # fmt: skip
QUICK = POLICY.override({"signal_routing_config.engines.time_series.min_observations": 100})
case("monitoring.health_table")(lambda _: (monitoring.health_table, {"health": health(), "gates": True}))
case("monitoring.forecast_report", heavy=True)(
    lambda _: (
        monitoring.forecast_report,
        {"prices": long_prices(250), "policy": QUICK, "every": 10, "progress": False},
    )
)
REPORT = monitoring.ForecastReport(
    {"SP500": forecasts()}, {"SP500": forecasts()}, 2, 2, pd.DataFrame(), "none", 1.0, ()
)
case("monitoring.ForecastReport")(
    lambda _: (
        monitoring.ForecastReport,
        {name: getattr(REPORT, name) for name in monitoring.ForecastReport.__dataclass_fields__},
    )
)
for name in ("confidence_table", "confidence_words", "forecasts_frame"):
    case(f"monitoring.{name}")(lambda _, name=name: (getattr(monitoring, name), {"report": REPORT}))
LONG = monitoring.forecast_report(long_prices(400), QUICK, every=10)
case("monitoring.forecast_table")(lambda _: (monitoring.forecast_table, {"report": LONG}))
case("monitoring.forecast_report_html", heavy=True)(
    lambda _: (monitoring.forecast_report_html, {"report": LONG, "title": "A"})
)

case("monitoring.sequential.compare_sequential", heavy=True)(
    lambda _: (
        sequential.compare_sequential,
        {
            "policy": POLICY, "wishes": WEIGHTS.copy(), "relative": False, "sweeps": 2, "most_orders": 3, "seed": 1,
            "progress": False,
        },
    )
)  # fmt: skip
COMPARISON = sequential.compare_sequential(POLICY, WEIGHTS, sweeps=2, most_orders=3)
case("monitoring.sequential.SequentialComparison")(
    lambda _: (
        sequential.SequentialComparison,
        {name: getattr(COMPARISON, name) for name in sequential.SequentialComparison.__dataclass_fields__},
    )
)
for name in ("comparison_svg", "orders_table", "overrun_table", "summary_table", "verdict"):
    case(f"monitoring.sequential.{name}")(lambda _, name=name: (getattr(sequential, name), {"comparison": COMPARISON}))
case("monitoring.sequential.comparison_html")(
    lambda _: (sequential.comparison_html, {"comparison": COMPARISON, "title": "A"})
)
for name in ("broken_table", "not_rescaled"):
    case(f"monitoring.sequential.{name}")(
        lambda _, name=name: (getattr(sequential, name), {"comparison": COMPARISON, "most": 3})
    )
case("monitoring.sequential.random_wishes")(
    lambda _: (sequential.random_wishes, {"policy": POLICY, "portfolios": 3, "seed": 1})
)
