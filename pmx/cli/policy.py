"""``pmx policy``: two policies compared."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmx.cli.exits import reporting
from pmx.cli.output import as_json, console, print_table

if TYPE_CHECKING:
    import pandas as pd

EXITS = "Exit codes, as those of diff: 0 the same · 1 they differ · 2 one of them cannot be read, or wrong usage."
DIFFERS = 1
STYLES = {"tightened": "green", "loosened": "red"}

policy = typer.Typer(help="Compare policies.", no_args_is_help=True)


class Format(StrEnum):
    """How the differences are printed."""

    text = "text"
    json = "json"
    csv = "csv"


Side = Annotated[
    str,
    typer.Argument(metavar="POLICY", help="A directory of policy files, one of these files, or shipped."),
]


@reporting
def diff(
    a: Side, b: Side, form: Annotated[Format, typer.Option("--format", help="What goes to stdout.")] = Format.text
) -> None:
    """Name each key that differs from the first policy to the second: tightened, loosened or changed, and where.

    Of one file only its section is compared.
    """
    from pmx.policy import policy_diff

    found = policy_diff(a, b)
    if form is Format.json:
        typer.echo(as_json(found.to_dict("records")))
    elif form is Format.csv:
        typer.echo(found.to_csv(index=False), nl=False)
    else:
        _show(found, a, b)
    if len(found):
        raise typer.Exit(DIFFERS)


def _show(found: pd.DataFrame, a: str, b: str) -> None:
    if found.empty:
        console().print(f"The same: {a} and {b} say the same of every key.", soft_wrap=True)
        return
    shown = found.assign(before=[_word(x) for x in found["before"]], after=[_word(x) for x in found["after"]])
    places = {"before_source": "set in", "after_source": "then in"}  # the title names the folders
    shown = shown.assign(**{name: [PurePath(place).name for place in shown[name]] for name in places})
    shown = shown.rename(columns=places)
    shown = shown[["key", "change", "before", "set in", "after", "then in"]]
    styles = [STYLES.get(change, "") for change in found["change"]]
    print_table(shown, f"{a} → {b}", text=tuple(shown.columns), styles=styles, whole_words=("key",))
    counts = found["change"].value_counts()
    console().print(", ".join(f"{count} {change}" for change, count in sorted(counts.items())) + ".")


def _word(value: Any) -> str:
    """Return a value as a policy file has it."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_word(item)}" for key, item in value.items() if item not in (None, (), {}, ""))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_word, value))}]"
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
