"""``pmx replay``: a journal solved again, line by line, and compared to the last bit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmx.cli.exits import reporting
from pmx.cli.options import ConfigOption, SetOption, policy_from
from pmx.cli.output import as_json, console, print_table

if TYPE_CHECKING:
    import pandas as pd

    from pmx.projection import Replay, ReplayedLine
    from pmx.projection.again import Outcome

EXITS = (
    "Exit codes: 0 no line differs · 1 a line differs, or with --strict could not be solved again · 2 the journal "
    "cannot be read, or wrong usage."
)
DIFFERS = 1
#: Lines that are shown.
MOST_SHOWN = 20


OUTCOMES: dict[Outcome, str] = {
    "equal": "the same to the last bit",
    "within": "within the distance that is certified",
    "differs": "different",
    "not solved": "not solved again",
}


class Format(StrEnum):
    """How the lines are printed."""

    table = "table"
    json = "json"
    csv = "csv"


@reporting
def replay(
    journal: Annotated[Path, typer.Argument(metavar="FILE", help="A journal, as --journal writes it.")],
    config: ConfigOption = None,
    changes: SetOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="A line that could not be solved again counts too.")] = False,
    form: Annotated[Format, typer.Option("--format", help="What goes to stdout.")] = Format.table,
) -> None:
    """Solve every line of a journal again from what was asked, and compare to the last bit.

    Each line is solved under the policy that it names. With --config or --set, all are solved under another one: what
    it would have decided. Other versions or another machine than the journal's are said; their bits may differ.
    """
    from pmx.projection import replay as solve_again

    policy = policy_from(config, changes) if config is not None or changes else None
    done = solve_again(journal, policy)
    if form is Format.json:
        typer.echo(as_json(_content(done)))
    elif form is Format.csv:
        typer.echo(done.table.to_csv(), nl=False)
    else:
        _show(done, journal)
    if done.count("differs") or (strict and done.count("not solved")):
        raise typer.Exit(DIFFERS)


def _content(done: Replay) -> dict[str, object]:
    lines = done.table.reset_index().to_dict("records")
    return {"changes": list(done.changes), "lines": lines}


def _show(done: Replay, journal: Path) -> None:
    screen, differing = console(), done.count("differs")
    counted = [f"{done.count(outcome):,} {words}" for outcome, words in OUTCOMES.items() if done.count(outcome)]
    first = f"{'DIFFERS' if differing else 'EQUAL'}  {journal}: {', '.join(counted) or 'nothing to solve'}"
    screen.print(first, style="bold red" if differing else "bold green", soft_wrap=True)
    if done.changes:
        screen.print(f"  not as it was written: {', '.join(done.changes)}", soft_wrap=True)
    told = [line for line in done.lines if line.outcome != "equal"]
    if told:
        title = f"The first {MOST_SHOWN} of {len(told):,} lines to look at" if len(told) > MOST_SHOWN else ""
        print_table(_table(told[:MOST_SHOWN]), title, text=("record", "label", "outcome", "why"))


def _table(lines: list[ReplayedLine]) -> pd.DataFrame:
    import pandas as pd

    rows = [(str(line.line), line.record, line.label or "–", line.outcome, line.why) for line in lines]
    return pd.DataFrame(rows, columns=["line", "record", "label", "outcome", "why"])
