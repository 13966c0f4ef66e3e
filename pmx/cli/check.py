"""``pmx check``: every fault of a policy that can be proven before it meets any data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pmx.cli.exits import INFEASIBLE, MISTAKE, UsageError, reporting
from pmx.cli.options import SetOption
from pmx.cli.output import as_json, console

if TYPE_CHECKING:
    import pandas as pd

    from pmx.data.quality import Message
    from pmx.linting import Finding, PolicyCheck

_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


class Format(StrEnum):
    """How the findings are printed."""

    text = "text"
    json = "json"


@reporting
def check(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Directory of policy files; the shipped policy if omitted.")
    ] = None,
    changes: SetOption = None,
    symbols: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Symbols that there are, so that patterns stand for these alone."),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The same, from the columns of a file of closes, which is checked too: splits, jumps, gaps.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the check too.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what is worth knowing and no fault.")] = False,
    form: Annotated[Format, typer.Option("--format", help="What goes to stdout.")] = Format.text,
) -> None:
    """Prove that a policy's hard rules hold together in every state, and flag what in it means nothing."""
    from pmx.linting import check_config
    from pmx.policy import parse_override

    overrides = dict(parse_override(change) for change in changes or ())
    closes = None if prices is None else _read(prices)
    found = check_config(directory, overrides, _symbols(symbols, closes))
    questions = [] if closes is None else _questions(closes)
    shown = found.findings if verbose else (*found.errors, *found.warnings)
    code = _exit_code(found, strict, questions)
    if form is Format.json:
        content = _content(found, shown, code)
        typer.echo(
            as_json(content if closes is None else content | {"prices": [asked._asdict() for asked in questions]})
        )
    else:
        for finding in shown:
            _print(finding)
        for asked in questions:
            _print_question(asked, str(prices))
        _summarise(found, str(directory or "the shipped policy"), hidden=len(found.findings) - len(shown))
    if code:
        raise typer.Exit(code)


def _read(prices: Path) -> pd.DataFrame:
    from pmx.data import read_prices

    return read_prices(prices)


def _questions(closes: pd.DataFrame) -> list[Message]:
    """Return what in the prices is probably a fault, one line a kind."""
    from pmx.data import price_findings
    from pmx.data.quality import messages

    return messages(price_findings(closes))


def _symbols(listed: str | None, closes: pd.DataFrame | None) -> list[str] | None:
    """Return the symbols that were given, if any were."""
    if listed is None and closes is None:
        return None
    names = [name.strip() for name in (listed or "").split(",")] if listed is not None else []
    if listed is not None and not all(names):
        raise UsageError(f"--symbols {listed!r} holds an empty name; write it like SPY,BIL")
    if closes is not None:
        names += [str(symbol) for symbol in closes.columns]
    return names


def _exit_code(found: PolicyCheck, strict: bool, questions: list[Message]) -> int:
    if found.infeasible:
        return INFEASIBLE
    return MISTAKE if found.errors or (strict and (found.warnings or questions)) else 0


def _content(found: PolicyCheck, shown: tuple[Finding, ...], code: int) -> dict[str, Any]:
    return {
        "exit_code": code,
        "errors": len(found.errors),
        "warnings": len(found.warnings),
        "feasible_in_every_state": not (
            found.infeasible or found.left_out or any(f.code == "policy-error" for f in found.errors)
        ),
        "left_out": list(found.left_out),
        "scales": {bucket: list(ends) for bucket, ends in found.scales.items()},
        "symbols": None if found.symbols is None else list(found.symbols),
        "findings": [finding.to_dict() for finding in shown],
    }


def _print(finding: Finding) -> None:
    screen = console()
    line = Text.assemble(
        (f"{finding.source}: ", "bold"),
        (f"{finding.severity} [{finding.code}] ", _STYLES[str(finding.severity)]),
        finding.message,
    )
    screen.print(line, soft_wrap=True)
    screen.print(Text(f"    remedy: {finding.remedy}"), soft_wrap=True)
    if finding.multipliers:
        proof = " + ".join(f"{weight:.4g} × {rule}" for rule, weight in finding.multipliers.items())
        screen.print(Text(f"    proof: {proof}", style="dim"), soft_wrap=True)


def _print_question(asked: Message, file: str) -> None:
    line = Text.assemble((f"{file}: ", "bold"), (f"warning [price-{asked.kind}] ", _STYLES["warning"]), asked.text)
    console().print(line, soft_wrap=True)
    console().print(Text(f"    remedy: {asked.remedy}"), soft_wrap=True)


def _summarise(found: PolicyCheck, name: str, hidden: int) -> None:
    screen = console()
    if any(finding.code == "policy-error" for finding in found.errors):
        screen.print(f"{name} does not load: {_count(len(found.errors), 'problem')}")
        return
    more = f" ({_count(hidden, 'note')} with --verbose)" if hidden else ""
    counts = f"{_count(len(found.errors), 'error')}, {_count(len(found.warnings), 'warning')}"
    screen.print(f"{name}: {counts}{more}", style="bold")
    if found.infeasible:
        return
    box = ", ".join(f"{bucket} {low:g} to {high:g}" for bucket, (low, high) in found.scales.items()) or "1"
    which = "any symbols" if found.symbols is None else f"{len(found.symbols)} symbols"
    limits = f", except those of {', '.join(found.left_out)}, which are left out," if found.left_out else ""
    fact = f"hard rules{limits} hold together in every state: scales {box}; any signals, any gates, {which}."
    screen.print(f"In spite of the errors above, the {fact}" if found.errors else f"The {fact}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
