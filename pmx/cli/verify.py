"""``pmx verify``: a journal of solves, checked without trusting what wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pmx.cli.exits import reporting
from pmx.cli.output import console
from pmx.verify import verify as verify_journal
from pmx.verify.words import UNREADABLE, exit_code, unreadable, words

EXITS = "Exit codes: 0 everything holds · 1 refused · 2 the file cannot be read."


@reporting
def verify(
    journal: Annotated[Path, typer.Argument(metavar="FILE", help="A journal, as --journal writes it.")],
) -> None:
    """Check every solve of a journal in exact arithmetic, and that not a digit of it was changed.

    Runs none of the code that solves. What is off is named by line and rule.
    """
    try:
        verdict = verify_journal(journal)
    except OSError as error:
        typer.echo(unreadable(str(journal), error), err=True)
        raise typer.Exit(UNREADABLE) from None
    first, *rest = words(str(journal), verdict)
    screen = console()
    screen.print(first, style="bold green" if verdict.accepted else "bold red", soft_wrap=True)
    for line in rest:
        screen.print(line, soft_wrap=True)
    raise typer.Exit(exit_code(verdict))
