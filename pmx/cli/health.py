"""``pmx health``: whether the forecaster behind an audit log is still healthy."""

from __future__ import annotations

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
    "Exit codes: 0 healthy, or too few verdicts to conclude · 1 a ceiling of forecaster_monitoring.yml is passed · "
    "2 the log or the policy cannot be used."
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
    form: Annotated[Format, typer.Option("--format", help="text or json.")] = Format.text,
) -> None:
    """Read an audit log of signals and say whether the forecaster behind it is still healthy."""
    from pmx.execution import read_audit_log
    from pmx.monitoring import health_of

    policy = policy_from(config, changes)
    read = read_audit_log(log)
    found = health_of(read.lines, policy.forecaster_monitoring)
    if form is Format.json:
        typer.echo(as_json(_content(found, read)))
    else:
        _show(found, read, policy, log)
    if read.torn_bytes:
        words = f"{log}: the last line is torn ({read.torn_bytes} bytes) and was left out; its writer did not finish it"
        typer.echo(words, err=True)
    if not found.healthy:
        raise typer.Exit(FAILURE)


def _state(found: Health) -> str:
    if not found.concluded:
        return "too few verdicts"
    return "healthy" if found.healthy else "unhealthy"


def _content(found: Health, read: AuditRead) -> dict[str, Any]:
    return {
        "state": _state(found),
        "lines": len(read.lines),
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
    if found.judged:
        title = f"Latest {found.judged:,} judged of {len(read.lines):,} signals in {log.name}"
        print_table(health_table(found), title, text=("source", "symbol", "gate", "missed most"))
        screen.print(
            f"FAIL: {found.fail_fraction:.1%} (at most {limits.max_fail_fraction:.1%}). Negative expected profit: "
            f"{found.negative_profit_fraction:.1%} (at most {limits.max_negative_expected_profit_fraction:.1%})."
        )
    if not found.concluded:
        screen.print(f"{found.judged} judged signals, {limits.min_signals} needed: nothing is concluded.")
    elif found.healthy:
        screen.print("Healthy.", style="bold green")
    else:
        screen.print(f"Unhealthy: {'; '.join(found.reasons)}.", style="bold red")
