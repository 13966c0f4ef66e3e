"""``pmx backtest``: a policy over a price history from files."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmx.cli.engines import engines_from
from pmx.cli.exits import UsageError, reporting
from pmx.cli.options import ConfigOption, EngineOption, ForceOption, JournalOption, SetOption, policy_from
from pmx.cli.output import as_json, console, print_table, refuse_existing, write_all

if TYPE_CHECKING:
    from pmx.backtest import BacktestResult

FILES = (
    "nav.csv",
    "weights.csv",
    "positions.csv",
    "trades.csv",
    "delistings.csv",
    "rules.csv",
    "breaches.csv",
    "contributions.csv",
    "signals.csv",
    "metrics.json",
    "report.html",
)
#: Written too where splits or dividends are given.
ACTIONS = "corporate_actions.csv"


class Close(StrEnum):
    """Which close a decision trades at."""

    next_close = "next_close"
    close = "close"


class Schedule(StrEnum):
    """When a backtest trades between the dates of its targets."""

    on_breach = "on_breach"
    on_targets = "on_targets"
    daily = "daily"
    weekly = "weekly"
    monthly = "monthly"


@reporting
def backtest(
    prices: Annotated[
        Path, typer.Option(metavar="FILE", help="Closes: CSV or Parquet, a date column, then one column a symbol.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help=f"Where the results go: {', '.join(FILES)}.")],
    config: ConfigOption = None,
    changes: SetOption = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Wishes in place of the signal engines: a date column, then one column a symbol, or bucket/symbol; "
            "signed fractions of NAV.",
        ),
    ] = None,
    engine: EngineOption = None,
    cash_rate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What cash earns: a date column, then the simple rate of one calendar day."),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Splits, for closes that are not adjusted: date,symbol,ratio (4 or 4:1), or a column a symbol.",
        ),
    ] = None,
    dividends: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Cash dividends: ex-date,symbol,amount for one unit in the base currency, or a column a symbol.",
        ),
    ] = None,
    adv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Average daily value traded as known at each date: a date column, then one column a symbol, base "
            "currency a day; for execution.liquidity.",
        ),
    ] = None,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First close of the run.")] = None,
    end: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last close of the run.")] = None,
    initial_nav: Annotated[
        float, typer.Option(min=0.0, metavar="MONEY", help="Opening cash, in the base currency.")
    ] = 1e6,
    cost_bps: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="BPS",
            help="Cost of one side, every symbol, in basis points; the policy's if omitted. Signals are judged by it, "
            "and the policy's engines weigh their forecasts against it, those with a round_trip_cost_bps aside.",
        ),
    ] = None,
    trade_at: Annotated[
        Close | None, typer.Option(help="Which close a decision trades at; the policy's if omitted.")
    ] = None,
    schedule: Annotated[
        Schedule | None,
        typer.Option(
            help="When to trade between the dates of targets: only where a hard rule is broken (on_breach), not at "
            "all (on_targets), or back to the latest targets; the policy's if omitted."
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(metavar="FRACTION", help="How far drift may exceed a hard rule before on_breach trades, of NAV."),
    ] = None,
    force: ForceOption = False,
    journal: JournalOption = None,
    audit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Append the verdict on every signal to a file for pmx health."),
    ] = None,
) -> None:
    """Run a policy over a price history and write what happened."""
    names = FILES if splits is None and dividends is None else (*FILES, ACTIONS)
    files = [out / name for name in names]
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a directory")
    refuse_existing(files, force)
    policy = policy_from(config, changes)
    from pmx.backtest import backtest as run
    from pmx.data import read_cash_rate, read_dividends, read_prices, read_splits, read_targets, read_traded_values
    from pmx.monitoring import report_html
    from pmx.projection import refusing

    with refusing(policy, journal):  # what cannot be read is a refusal like any other
        closes = read_prices(prices)
        engines = engines_from(engine, policy, closes)
        wishes = None if targets is None else read_targets(targets, tuple(policy.risk_buckets.buckets))
        rates = None if cash_rate is None else read_cash_rate(cash_rate)
        units = None if splits is None else read_splits(splits)
        paid = None if dividends is None else read_dividends(dividends)
        volumes = None if adv is None else read_traded_values(adv)
    result = run(
        closes,
        policy,
        engines=engines,
        targets=wishes,
        cash_rate=rates,
        splits=units,
        dividends=paid,
        adv=volumes,
        initial_nav=initial_nav,
        costs=None if cost_bps is None else 1e-4 * cost_bps,
        trade_at=None if trade_at is None else trade_at.value,
        schedule=None if schedule is None else schedule.value,
        tolerance=tolerance,
        start=None if start is None else start.date(),
        end=None if end is None else end.date(),
        journal=journal,
        audit=audit,
        progress=console(stderr=True).is_terminal,
    )
    report = report_html({"portfolio": result}, title=f"Backtest of {prices.name}")
    contents: tuple[str, ...] = (*_tables(result), _metrics(result), report)
    if ACTIONS in names:
        contents = (*contents, str(result.corporate_actions.to_csv(index=False)))
    write_all(dict(zip(files, contents, strict=True)), force)
    _show(result, out, names)


def _tables(result: BacktestResult) -> tuple[str, ...]:
    """Return the CSV files, in the order of `FILES`."""
    import pandas as pd

    days = pd.DataFrame({"nav": result.nav, "drawdown": result.drawdown, "interest": result.interest})
    decisions = {"safe_weight": result.safe_weight, "occasion": result.occasion, "status": result.status}
    days = days.join(result.safe_weight_held).join(pd.DataFrame({**decisions, "distance_bound": result.distance_bound}))
    held = result.positions
    positions = held.set_axis(["/".join(label) for label in held.columns.tolist()], axis=1)
    return (
        str(days.to_csv()),
        str(result.weights.to_csv()),
        str(positions.to_csv()),
        str(result.trades.to_csv(index=False)),
        str(result.delistings.to_csv(index=False)),
        str(result.rules.to_csv()),
        str(result.breaches.to_csv(index=False)),
        str(result.contributions.to_csv()),
        str(result.signals.to_csv(index=False)),
    )


def _metrics(result: BacktestResult) -> str:
    from pmx.backtest.breaches import by_cause

    decided = len(result.status) > 0
    content = {
        "start": f"{result.positions.index[0]:%Y-%m-%d}",
        "end": f"{result.nav.index[-1]:%Y-%m-%d}",
        "closes": len(result.positions),
        "initial_nav": result.nav.iloc[0],
        "final_nav": result.nav.iloc[-1],
        "base_currency": result.policy.risk_buckets.portfolio.base_currency,
        "metrics": result.metrics.to_dict(),
        "decisions": {str(status): int(count) for status, count in result.status.value_counts().items()},
        "lowest_safe_weight": result.safe_weight.min() if decided else None,
        "lowest_safe_weight_held": result.safe_weight_held.min(),
        "safe_floor": result.safe_floor,
        "held_outside": by_cause(result.breaches).reset_index().to_dict("records"),
        "largest_distance_bound": result.distance_bound.max() if decided else None,
        "policy": result.policy.fingerprint,
    }
    return as_json(content) + "\n"


def _show(result: BacktestResult, out: Path, names: tuple[str, ...]) -> None:
    from pmx.backtest.delistings import lines_of
    from pmx.monitoring import breaches_table, cuts_table, metrics_table, safe_weight_line

    span = f"{result.positions.index[0]:%Y-%m-%d} to {result.nav.index[-1]:%Y-%m-%d}"
    print_table(metrics_table({"portfolio": result}), f"{span}, {len(result.positions):,} closes")
    cuts = cuts_table(result)
    if len(cuts):
        title = "Rules that were binding, and what their cuts saved and cost over cash"
        print_table(cuts, title, text=("rule",))
    outside = breaches_table(result)
    if len(outside):
        print_table(outside, "Held outside the rules after a close's trades", text=("rule", "kind", "cause"))
    if len(result.safe_weight):
        console().print(f"Lowest safe weight held: {safe_weight_line(result, held=True)}")
        console().print(f"Lowest safe weight of any decision: {safe_weight_line(result)}")
    if len(result.delistings):
        currency = result.policy.risk_buckets.portfolio.base_currency
        console().print("Held without prices for more than execution.max_stale_bars sessions:")
        for line in lines_of(result.delistings, currency):
            console().print(f"- {line}", soft_wrap=True)
    if result.trades.empty:
        console(stderr=True).print(f"Nothing was traded: {_why_nothing(result)}.", soft_wrap=True)
    console().print(f"Written to {out}: {', '.join(names)}", style="bold")


def _why_nothing(result: BacktestResult) -> str:
    """Return why there was no trade, as far as the signals tell."""
    signals = result.signals
    if signals.empty:
        nothing = "no row of targets is in the run or all are zero"
        return f"{nothing}, or no engine gave a signal (pmx signals says why not)"
    if signals["kept"].any():
        return "the signals that were kept asked for nothing that is not held, or the rules left no room for it"
    why = signals["why"].str.replace(r"^(edge|confidence) \S+ <", r"\1 <", regex=True).mode()[0]
    return f"{len(signals):,} signals were given and none was kept, most often because: {why} (see signals.csv)"
