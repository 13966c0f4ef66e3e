"""``pmx solve``: weights from a file onto a policy."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import date, datetime
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
    JournalOption,
    RelativeOption,
    ScaleOption,
    SetOption,
    gates_from,
    policy_from,
    scales_from,
)
from pmx.cli.output import as_json, clash_as_json, console, print_allocation, refuse_existing, write_all
from pmx.cli.weights import CASH_ROW, symbols_of, weights_from
from pmx.errors import InfeasibleError

if TYPE_CHECKING:
    import pandas as pd

    from pmx.policy import Policy
    from pmx.projection import Allocation


class Format(StrEnum):
    """How the answer is printed."""

    table = "table"
    json = "json"
    csv = "csv"


class EngineName(StrEnum):
    """Which engine answers."""

    auto = "auto"
    newton = "newton"
    cvxpy = "cvxpy"


@reporting
def solve(
    weights: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Wishes: CSV, Parquet or JSON with columns symbol,weight or bucket,symbol,weight. Signed fractions "
            "of NAV; with --relative, shares of each bucket.",
        ),
    ],
    config: ConfigOption = None,
    changes: SetOption = None,
    relative: RelativeOption = False,
    previous: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What is held now, fractions of NAV, same format. What the wishes leave out is wished to zero.",
        ),
    ] = None,
    scale: ScaleOption = None,
    gate: GateOption = None,
    covariance: CovarianceOption = None,
    adv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Average daily value traded: CSV or Parquet with columns symbol,adv, base currency a day; for "
            "execution.liquidity. Needs --nav and --previous.",
        ),
    ] = None,
    nav: Annotated[
        float | None, typer.Option(metavar="MONEY", help="NAV in the base currency: what --adv is measured against.")
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Date of the decision, for the page; today if omitted."),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="auto: the fast engine, or cvxpy where cones or its certificate ask for it.")
    ] = EngineName.auto,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Also write the answer to a .csv or .json file.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw what each rule took or gave, as an .html page."),
    ] = None,
    force: ForceOption = False,
    journal: JournalOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say in words what each rule cut.")] = False,
    form: Annotated[Format, typer.Option("--format", help="What goes to stdout.")] = Format.table,
) -> None:
    """Find the weights closest to the wishes that obey every rule of the policy."""
    for option, file, endings in (("--out", out, (".csv", ".json")), ("--picture", picture, (".html",))):
        if file is not None:
            refuse_existing([file], force)
            if file.suffix.lower() not in endings:
                raise UsageError(f"{option} {file}: the name must end in {' or '.join(endings)}")
    policy = policy_from(config, changes)
    from pmx.projection import recorded, refusing
    from pmx.projection.words import left_out_in_words

    try:
        with refusing(policy, journal):
            wish, held = weights_from(weights, policy), None if previous is None else weights_from(previous, policy)
            gates = gates_from(gate, policy.execution.gate_mode, symbols_of(wish, held))
            given = {"risk_scale": scales_from(scale), "gated": gates or None} | _volumes(adv, nav)
            allocation = _solve(policy, wish, held, relative, given, covariance, engine)
    except InfeasibleError as error:
        if form is Format.json:
            typer.echo(clash_as_json(error), nl=False)
        raise
    recorded(allocation, policy, journal)
    if allocation.left_out:
        typer.echo(f"note: {left_out_in_words(allocation, 'what is held (--previous FILE)')}", err=True)
    words = allocation.explain() if explain else None
    files: dict[Path, str] = {}
    if out is not None:
        files[out] = _csv(allocation) if out.suffix.lower() == ".csv" else _json(allocation, policy, words)
    if picture is not None:
        from pmx.monitoring import explanation_html

        files[picture] = explanation_html(
            allocation,
            title=f"What the rules did: {weights.name}",
            policy=policy,
            as_of=date.today() if as_of is None else as_of.date(),
            nav=nav,
        )
    write_all(files, force)
    if form is Format.json:
        typer.echo(_json(allocation, policy, words), nl=False)
        return
    if form is Format.csv:
        typer.echo(_csv(allocation), nl=False)
    else:
        print_allocation(allocation, "Weights")
    if words is not None:
        console(stderr=form is Format.csv).print(words, soft_wrap=True)


def _solve(
    policy: Policy,
    wish: pd.Series,
    held: pd.Series | None,
    relative: bool,
    given: dict[str, Any],
    covariance: Path | None,
    engine: EngineName,
) -> Allocation:
    from pmx.data import read_covariance
    from pmx.projection import Projector, by_position, project_to_feasible
    from pmx.projection.passthrough import refuse_limits

    matrix = None if covariance is None else read_covariance(covariance)
    refuse_limits(policy, **given)
    if policy.bypassed:
        return project_to_feasible(wish, policy)
    wishes = by_position(wish, policy)[0]
    held = None if held is None else by_position(held, policy)[0]
    index = wishes.index if held is None else wishes.index.append(held.index).unique()
    projector = Projector(policy, index.tolist())
    ask = projector.solve if relative else projector.project
    return ask(wishes, previous=held, covariance=matrix, engine=engine.value, **given)


def _volumes(adv: Path | None, nav: float | None) -> dict[str, Any]:
    """Read traded values, and what they are measured against.

    Raises
    ------
    UsageError
        When NAV is not a positive number, or is missing.
    """
    if nav is not None and not (math.isfinite(nav) and nav > 0.0):
        raise UsageError(f"--nav {nav:g} is not a positive number; give NAV in the base currency")
    if adv is None:
        return {}
    if nav is None:
        raise UsageError("--adv needs --nav: a traded value means nothing without NAV; give it in the base currency")
    from pmx.data import read_adv

    return {"adv": read_adv(adv), "nav": nav}


def _csv(allocation: Allocation) -> str:
    """Return CSV whose weights sum to 1 and which `pmx solve` reads back, as wishes or as what is held."""
    import pandas as pd

    from pmx.policy import CASH
    from pmx.portfolio import UNASSIGNED

    rows = [(*position, weight) for position, weight in zip(allocation.index, allocation.signed, strict=True)]
    if allocation.residual_symbol is not None:
        rows.append((UNASSIGNED, allocation.residual_symbol, allocation.residual))
    rows.append((CASH_ROW, CASH, allocation.cash))
    return str(pd.DataFrame(rows, columns=["bucket", "symbol", "weight"]).to_csv(index=False))


def _positions(allocation: Allocation) -> list[dict[str, Any]]:
    """Return one record a position: what it wished for, what each rule took or gave, and what it gets."""
    walks = allocation.attribution.to_dict("records")
    records = []
    for (bucket, symbol), walk in zip(allocation.index, walks, strict=True):
        target, weight = walk.pop("target"), walk.pop("weight")
        moves = {rule: move for rule, move in walk.items() if move}
        records.append({"bucket": bucket, "symbol": symbol, "target": target, "weight": weight, "moves": moves})
    return records


def _json(allocation: Allocation, policy: Policy, words: str | None) -> str:
    content: dict[str, Any] = {
        "status": str(allocation.status),
        "weights": allocation.weights.to_dict(),
        "by_bucket": allocation.by_bucket.to_dict(),
        "safe_weight": allocation.safe_weight,
        "safe_floor": policy.safe_floor,
        "positions": _positions(allocation),
        "rules": [reading._asdict() for reading in allocation.readings],
        "certificate": {"accepted": allocation.certificate.accepted, **asdict(allocation.certificate)},
        "not_in_this_solve": list(allocation.left_out),
        "policy": policy.fingerprint,
    }
    if words is not None:
        content["explanation"] = words.splitlines()
    return as_json(content) + "\n"
