"""``pmx compare-sequential``: clip-and-rescale in every order beside the joint projection."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmx.cli.exits import UsageError, reporting
from pmx.cli.options import (
    ConfigOption,
    CovarianceOption,
    ForceOption,
    GateOption,
    RelativeOption,
    ScaleOption,
    SetOption,
    gates_from,
    policy_from,
    scales_from,
)
from pmx.cli.output import as_json, console, print_table, refuse_existing, write_all
from pmx.cli.weights import symbols_of, weights_from

if TYPE_CHECKING:
    import pandas as pd

    from pmx.monitoring.sequential import SequentialComparison
    from pmx.policy import Policy

#: Random wishes where no file gives any.
PORTFOLIOS = 200


class Format(StrEnum):
    """How the comparison is printed."""

    table = "table"
    json = "json"


@reporting
def compare_sequential(
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Wishes, as for pmx solve. Without it, random wishes near the policy's own budgets.",
        ),
    ] = None,
    config: ConfigOption = None,
    changes: SetOption = None,
    relative: RelativeOption = False,
    previous: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is held now, fractions of NAV, same format.")
    ] = None,
    scale: ScaleOption = None,
    gate: GateOption = None,
    covariance: CovarianceOption = None,
    portfolios: Annotated[
        int | None, typer.Option(min=1, metavar="N", help=f"How many random wishes; {PORTFOLIOS} if omitted.")
    ] = None,
    sweeps: Annotated[
        int, typer.Option(min=1, metavar="N", help="How often an order is gone through again, until nothing moves.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the random wishes, and of orders where not all are tried.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Also draw it: .svg the picture, .html with all tables."),
    ] = None,
    force: ForceOption = False,
    form: Annotated[Format, typer.Option("--format", help="What goes to stdout.")] = Format.table,
) -> None:
    """Put wishes through clip-and-rescale passes in every order, and beside that through the joint projection."""
    if out is not None:
        refuse_existing([out], force)
        if out.suffix.lower() not in (".svg", ".html"):
            raise UsageError(f"--out {out}: the name must end in .svg or .html")
    if weights is None and (relative or previous or gate):
        raise UsageError("--relative, --previous and --gate speak of wishes from a file; name it with --weights")
    if weights is not None and portfolios is not None:
        raise UsageError("--portfolios is for random wishes; leave it or --weights out")
    policy = policy_from(config, changes)
    from pmx.monitoring.sequential import compare_sequential as compare
    from pmx.monitoring.sequential import comparison_html, comparison_svg, random_wishes

    given: dict[str, Any] = {"risk_scale": scales_from(scale)}
    if covariance is not None:
        from pmx.data import read_covariance

        given["covariance"] = read_covariance(covariance)
    wishes: pd.Series | pd.DataFrame
    if weights is None:
        wishes = random_wishes(policy, portfolios or PORTFOLIOS, seed)
        what = f"{len(wishes):,} random wishes, seed {seed}"
    else:
        wishes, what = weights_from(weights, policy), weights.name
        held = None if previous is None else weights_from(previous, policy)
        given |= {"previous": held, "gated": gates_from(gate, policy.execution.gate_mode, symbols_of(wishes, held))}
    found = compare(policy, wishes, relative=relative, sweeps=sweeps, seed=seed, progress=True, **given)
    if out is not None:
        title = f"Joint against sequential: {what}"
        drawn = comparison_svg(found) if out.suffix.lower() == ".svg" else comparison_html(found, title)
        write_all({out: drawn}, force)
    if form is Format.json:
        typer.echo(_json(found, what, policy))
    else:
        _show(found, what)


def _json(found: SequentialComparison, what: str, policy: Policy) -> str:
    from pmx.monitoring.sequential import not_rescaled

    content = {
        "wishes": what,
        "portfolios": found.portfolios,
        "orders_sampled": found.sampled,
        "not_rescaled": not_rescaled(found) or None,
        "not_rescaled_portfolios": len(found.forbidden),
        "summary": _records(found.summary),
        "by_limits_overrun": _records(found.by_overrun),
        "rules_broken": found.rules.reset_index().to_dict("records"),
        "policy": policy.fingerprint,
    }
    if found.portfolios == 1:
        content["outcomes"] = found.outcomes.drop(columns="portfolio").to_dict("records")
    return as_json(content)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by aim; an order that there is none of is null."""
    rows = table.reset_index().to_dict("records")
    return [
        {str(name): value for name, value in row.items()} | {"best_order": row["best_order"] or None} for row in rows
    ]


def _show(found: SequentialComparison, what: str) -> None:
    from pmx.monitoring.sequential import broken_table, orders_table, overrun_table, summary_table, verdict
    from pmx.monitoring.sequential.tables import WORDS

    print_table(summary_table(found), f"{what}: one try for each order of the passes", text=WORDS)
    if found.portfolios > 1:
        print_table(overrun_table(found), "By the number of limits that the wish overruns", text=WORDS)
    if not found.rules.empty:
        print_table(broken_table(found), "Rules broken", text=WORDS)
    print_table(orders_table(found), "The best order", text=WORDS)
    screen = console()
    if found.sampled:
        screen.print("There are more orders than were tried: those above are a random sample.")
    screen.print(verdict(found))
