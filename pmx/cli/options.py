"""Options that several commands share, and how their text is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmx.cli.exits import UsageError

if TYPE_CHECKING:
    from pmx.policy import Policy

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="DIR", help="Directory of policy files; the shipped policy if omitted."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key of the policy, such as execution.trade_at=close. Repeatable.",
    ),
]
RelativeOption = Annotated[
    bool, typer.Option("--relative", help="The weights are shares of their bucket, as the signal router gives.")
]
ScaleOption = Annotated[
    list[str] | None, typer.Option(metavar="BUCKET=NUMBER", help="Risk scale of a bucket. Repeatable.")
]
GateOption = Annotated[
    list[str] | None,
    typer.Option(metavar="SYMBOL[=MODE]", help="Gate a symbol: reduce_only or exit. Repeatable."),
]
CovarianceOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Annualised covariance, symbol by symbol; for volatility_max."),
]
EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="A signal engine in place of those that the policy switches on: time_series, machine_learning, or "
        "package.module:Name for your own, found from the working directory. Repeatable.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
JournalOption = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="FILE",
        help="Append every solve with its proof, and every refusal with its reason, to a file for pmx verify.",
    ),
]

GATES = ("reduce_only", "exit")


def policy_from(config: Path | None, changes: list[str] | None) -> Policy:
    """Load the policy with its overrides."""
    from pmx.policy import load_policy, parse_override

    return load_policy(config, dict(parse_override(change) for change in changes or ()))


def scales_from(entries: list[str] | None) -> dict[str, float] | None:
    """Read ``bucket=0.5`` entries; None if there are none."""
    scales: dict[str, float] = {}
    for entry in entries or ():
        bucket, equals, text = entry.partition("=")
        try:
            scale = float(text)
        except ValueError:
            scale = math.nan
        if not (bucket and equals and math.isfinite(scale)):
            raise UsageError(f"--scale {entry!r} is not BUCKET=NUMBER; write it like ts_core=0.5")
        scales[bucket] = scale
    return scales or None


def gates_from(entries: list[str] | None, default: str, symbols: set[str]) -> dict[str, str]:
    """Read ``SYMBOL`` and ``SYMBOL=mode`` entries; a symbol may itself hold an equals sign."""
    from pmx.policy.problem import near

    gates: dict[str, str] = {}
    for entry in entries or ():
        symbol, equals, mode = entry.rpartition("=")
        if equals and mode not in GATES and symbol in symbols:
            raise UsageError(f"--gate {entry!r}: a gate is reduce_only or exit, not {mode!r}")
        if not equals or mode not in GATES:
            symbol, mode = entry, default
        if symbol not in symbols:
            meant = near(symbol, sorted(symbols))
            asked = f"did you mean {meant}?" if meant else "write SYMBOL, SYMBOL=reduce_only or SYMBOL=exit"
            raise UsageError(f"--gate {entry!r} names no symbol of the weights; {asked}")
        gates[symbol] = mode
    return gates
