"""``pmx health``: whether the forecaster behind an audit log is still healthy."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmx.cli.exits import FAILURE, reporting
from pmx.cli.options import ConfigOption, SetOption, policy_from
from pmx.cli.output import as_json, console, print_table

if TYPE_CHECKING:
    from pmx.execution import AuditRead
    from pmx.monitoring import Health
    from pmx.policy import Policy

EXITS = (
    "Exit codes: 0 healthy, or too few verdicts to conclude · 1 unhealthy: a ceiling of forecaster_monitoring.yml is "
    "passed, the log is older than --max-age-days, or with --strict nothing can be concluded; as with every command, "
    "also an unexpected failure, which stderr tells · 2 the log or the policy cannot be used."
)


class Format(StrEnum):
    """How the answer is written."""

    text = "text"
    json = "json"


@reporting
def health(
    log: Annotated[
        Path, typer.Argument(metavar="[LOG]", help="An audit log, as --audit of pmx backtest writes it.")
    ] = Path("signal_audit.jsonl"),
    config: ConfigOption = None,
    changes: SetOption = None,
    max_age_days: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Unhealthy if the last line is dated more than N days before today, or there is none. For engines "
            "that speak at every bar: one that is silent writes no line.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1, not 0, where there are too few verdicts to conclude anything.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.text,
) -> None:
    """Read an audit log of signals and say whether the forecaster behind it is still healthy."""
    from pmx.execution import read_audit_log
    from pmx.monitoring import health_of

    policy = policy_from(config, changes)
    read = read_audit_log(log)
    oldest = None if max_age_days is None else date.today() - timedelta(days=max_age_days)
    found = health_of(read.lines, policy.forecaster_monitoring, not_before=oldest)
    if form is Format.json:
        typer.echo(as_json(_content(found, read)))
    else:
        _show(found, read, policy, log)
    if read.torn_bytes:
        words = f"{log}: the last line is torn ({read.torn_bytes} bytes) and was left out; its writer did not finish it"
        typer.echo(words, err=True)
    if not found.healthy or (strict and not found.concluded):
        raise typer.Exit(FAILURE)


def _state(found: Health) -> str:
    if not found.healthy:
        return "unhealthy"
    return "healthy" if found.concluded else "too few verdicts"


def _content(found: Health, read: AuditRead) -> dict[str, Any]:
    return {
        "state": _state(found),
        "lines": len(read.lines),
        "last": read.lines[-1].date if read.lines else None,
        "torn_bytes": read.torn_bytes,
        "judged": found.judged,
        "fail_fraction": found.fail_fraction,
        "negative_profit_fraction": found.negative_profit_fraction,
        "reasons": found.reasons,
        "symbols": found.table.reset_index().to_dict("records"),
    }


def _show(found: Health, read: AuditRead, policy: Policy, log: Path) -> None:
    from pmx.monitoring import health_table

    screen, limits = console(), policy.forecaster_monitoring
    if not read.lines:
        screen.print(f"{log.name} has no line: no source was judged, or none that was has spoken.")
    if found.judged:
        title = f"Latest {found.judged:,} PASS or FAIL among {len(read.lines):,} signals in {log.name}, the last of "
        title += read.lines[-1].date
        print_table(
            health_table(found, gates=policy.barbell.enable_barbell_validation),
            title,
            text=("source", "symbol", "gate", "missed most"),
        )
        screen.print(
            f"FAIL: {found.fail_fraction:.1%} (at most {limits.max_fail_fraction:.1%}). Negative expected profit: "
            f"{found.negative_profit_fraction:.1%} (at most {limits.max_negative_expected_profit_fraction:.1%})."
        )
    if not found.concluded:
        screen.print(f"{found.judged} PASS or FAIL, {limits.min_signals} needed: nothing is concluded from verdicts.")
    if not found.healthy:
        screen.print(f"Unhealthy: {'; '.join(found.reasons)}.", style="bold red")
    elif found.concluded:
        screen.print("Healthy.", style="bold green")
