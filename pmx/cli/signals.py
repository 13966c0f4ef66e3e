"""``pmx signals``: what the engines say now, and what becomes of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmx.cli.engines import engines_from
from pmx.cli.exits import reporting
from pmx.cli.options import ConfigOption, EngineOption, SetOption, policy_from
from pmx.cli.output import as_json, console, print_table

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS = {1: "BUY", 0: "HOLD", -1: "SELL"}


class Format(StrEnum):
    """How the answer is printed."""

    table = "table"
    json = "json"
    csv = "csv"


@reporting
def signals(
    prices: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Closes up to now: CSV or Parquet, a date column, then one column a symbol."),
    ],
    config: ConfigOption = None,
    changes: SetOption = None,
    engine: EngineOption = None,
    form: Annotated[Format, typer.Option("--format", help="What goes to stdout.")] = Format.table,
) -> None:
    """Say what every signal engine says of every symbol now, what becomes of it, and why the others are silent.

    A language model that the policy switches on is asked as well, whatever --engine names, where those are silent.
    """
    policy = policy_from(config, changes)
    from pmx.data import read_prices
    from pmx.execution import opinions_today

    closes = read_prices(prices)
    engines = engines_from(engine, policy, closes)
    today = opinions_today(closes, policy, engines=engines, progress=console(stderr=True).is_terminal)
    found, uses = today.opinions, today.routing.uses
    at = f"{closes.index[-1]:%Y-%m-%d}"
    if form is Format.csv:
        typer.echo(found.assign(date=at)[["date", *found.columns]].to_csv(index=False), nl=False)
    elif form is Format.json:
        rows = found.astype(object).where(found.notna(), None).to_dict("records")
        budgets = [use._asdict() for use in uses]
        typer.echo(as_json({"date": at, "signals": rows, "budgets": budgets, "policy": policy.fingerprint}))
    else:
        left = ("symbol", "source", "signal", "bucket", "why")
        print_table(_words(found), f"Signals at the close of {at}", text=left)
        kept, given = int(found["kept"].sum()), int(found["direction"].notna().sum())
        console().print(f"Signals given: {given}, kept: {kept}. Edges are net of cost.")
        for use in uses:
            if use.short:
                console().print(f"{str(use)[:1].upper()}{str(use)[1:]}.", soft_wrap=True)


def _words(found: pd.DataFrame) -> pd.DataFrame:
    """Return the table as text; where an engine is silent, its figures are left out."""
    import pandas as pd

    words = found[["symbol", "source"]].copy()
    words["signal"] = ["silent" if pd.isna(direction) else DIRECTIONS[direction] for direction in found["direction"]]
    for name, form in (("edge", "{:+.3f}"), ("strength", "{:.2f}"), ("confidence", "{:.1%}")):
        words[name] = ["" if pd.isna(number) else form.format(number) for number in found[name]]
    words["bucket"] = found["bucket"]
    words["kept"] = ["yes" if kept else "no" for kept in found["kept"]]
    words["why"] = found["why"]
    return words
