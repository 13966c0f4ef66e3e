"""``pmx forecast-report``: how good the time-series engine's forecasts have been, beside a random walk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pmx.cli.exits import UsageError, reporting
from pmx.cli.options import ConfigOption, ForceOption, SetOption, policy_from
from pmx.cli.output import console, print_table, refuse_existing, write_all

FILES = ("scores.csv", "forecasts.csv", "report.html")


@reporting
def forecast_report(
    prices: Annotated[
        Path, typer.Option(metavar="FILE", help="Closes: CSV or Parquet, a date column, then one column a symbol.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help=f"Where the results go: {', '.join(FILES)}.")
    ] = None,
    config: ConfigOption = None,
    changes: SetOption = None,
    every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="Rows from one forecast to the next; the horizon, so that outcomes do not overlap, if omitted.",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Score the forecasts of the time-series engine, walking forward through history, beside a random walk."""
    files = [] if out is None else [out / name for name in FILES]
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a directory")
    refuse_existing(files, force)
    policy = policy_from(config, changes)
    from pmx.data import read_prices
    from pmx.monitoring import (
        confidence_table,
        confidence_words,
        forecast_report_html,
        forecast_table,
        forecasts_frame,
    )
    from pmx.monitoring import forecast_report as run
    from pmx.monitoring.forecast_page import LEGEND, OF_INTERVALS, count

    report = run(read_prices(prices), policy, every=every, progress=console().is_terminal)
    title = f"Forecasts of {count(report.horizon, 'bar')} beside a random walk"
    styles = ["bold" if name == "all" else "" for name in report.table.index]
    table = forecast_table(report)
    print_table(table.drop(columns=OF_INTERVALS), title, styles=styles)
    print_table(table[OF_INTERVALS], "Directions, and 90 % intervals", styles=styles)
    console().print(LEGEND)
    stated = confidence_table(report)
    if len(stated):
        print_table(stated, "Confidence of BUYs and SELLs")
    console().print(confidence_words(report))
    if report.left_out:
        console().print(f"Left out, for want of forecasts to score: {', '.join(report.left_out)}.")
    if out is not None:
        contents = (
            str(report.table.to_csv()),
            str(forecasts_frame(report).to_csv(index=False)),
            forecast_report_html(report, f"Forecasts of {prices.name}"),
        )
        write_all(dict(zip(files, contents, strict=True)), force)
        console().print(f"Written to {out}: {', '.join(FILES)}", style="bold")
