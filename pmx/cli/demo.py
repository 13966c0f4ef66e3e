"""``pmx demo``: twenty years of real prices through the whole portfolio."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmx.cli.exits import UsageError, reporting
from pmx.cli.options import ConfigOption, SetOption, policy_from
from pmx.cli.output import console, print_allocation, print_table, refuse_existing, write_all

if TYPE_CHECKING:
    from pmx.backtest import BacktestResult

NOTES = (
    "Three portfolios over daily closes of two stock indices and crude oil, with one-month T-bills as cash: the "
    "signals of the time-series engine under the policy; the same signals with every limit off; and the three "
    "symbols bought in equal parts and held. Signals begin after two years, which the models need to learn from.",
    "So that the policy has something to hold back, one model (ar_garch) is heard and always believed, unless a policy "
    "is named. The shipped engine weighs four and asks for evidence that their past forecasts paid. It finds little in "
    "these prices and stays out on most days: the better judgement, and the duller picture.",
    "The indices carry no dividends, and WTI is a spot price that no fund can hold: the figures show what the policy "
    "does to risk, not what an investor would have earned.",
)


@reporting
def demo(
    config: ConfigOption = None,
    changes: SetOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where the HTML report goes; replaced if it exists.")
    ] = Path("pmx_demo_report.html"),
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last close, for a shorter run.")] = None,
) -> None:
    """Run twenty years of S&P 500, NASDAQ and WTI with the policy and without it, and write a report."""
    began = time.perf_counter()
    refuse_existing([out], force=True)
    from pmx.data import load_demo_cash_rate, load_demo_prices
    from pmx.monitoring import PORTFOLIOS, demo_policy, demo_runs, report_html

    policy = policy_from(config, changes) if config else demo_policy(changes or ())
    prices = load_demo_prices().loc[:end]
    if len(prices) < 2:
        raise UsageError(f"--end {end:%Y-%m-%d} leaves fewer than two closes; name a later date, up to 2018-12-31")
    title = f"S&P 500, NASDAQ and WTI, {prices.index[0]:%Y} to {prices.index[-1]:%Y}"
    status = console(stderr=True)
    runs: dict[str, BacktestResult] = {}
    status.print(f"{title}: {', '.join(PORTFOLIOS)}", style="dim")
    for name, result in demo_runs(policy, prices, load_demo_cash_rate(), progress=console().is_terminal):
        runs[name] = result
        status.print(f"  {name}: {len(result.positions):,} closes, {time.perf_counter() - began:.0f} s", style="dim")
    write_all({out: report_html(runs, title=title, notes=NOTES)}, force=True)
    _show(runs, title)
    seconds = time.perf_counter() - began
    console().print(f"Report: {out}   ({seconds:.0f} s)", style="bold")


def _show(runs: dict[str, BacktestResult], title: str) -> None:
    from pmx.monitoring import metrics_table, safe_weight_line

    print_table(metrics_table(runs), title)
    result = next(iter(runs.values()))
    if result.last is not None:
        print_allocation(result.last, f"Last decision, {result.status.index[-1]:%Y-%m-%d}")
    counts = ", ".join(f"{count:,} {status}" for status, count in result.status.value_counts().items())
    bound = float(result.distance_bound.max())
    screen = console()
    screen.print(f"Decisions: {len(result.status):,} ({counts}), none further than {bound:.0e} of NAV from the optimum")
    screen.print(f"Lowest safe weight held: {safe_weight_line(result, held=True)}", style="bold")
    screen.print(f"Lowest safe weight of any decision: {safe_weight_line(result)}", style="bold")
