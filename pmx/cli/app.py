"""The commands, gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import pmx
from pmx.cli.backtest import backtest
from pmx.cli.check import check
from pmx.cli.compare_sequential import compare_sequential
from pmx.cli.demo import demo
from pmx.cli.exits import EXIT_CODES, reporting
from pmx.cli.forecast_report import forecast_report
from pmx.cli.health import EXITS as HEALTH_EXITS
from pmx.cli.health import health
from pmx.cli.options import ForceOption
from pmx.cli.policy import EXITS as DIFF_EXITS
from pmx.cli.policy import diff, policy
from pmx.cli.replay import EXITS as REPLAY_EXITS
from pmx.cli.replay import replay
from pmx.cli.signals import signals
from pmx.cli.solve import solve
from pmx.cli.verify import EXITS, verify

app = typer.Typer(
    name="pmx",
    help="Trading signals in, portfolio weights that provably obey a risk policy out.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pmx {pmx.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@reporting
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it does not exist.")],
    force: ForceOption = False,
) -> None:
    """Write the shipped policy, eight commented YAML files, into DIR for editing."""
    from pmx.policy import write_default_policy

    for file in write_default_policy(directory, overwrite=force):
        typer.echo(str(file))


def _examples(*lines: str) -> str:
    return "\n\n".join(["Examples:", *lines, EXIT_CODES])


app.command(epilog=_examples("pmx demo", "pmx demo --set barbell.safe_bucket.min_weight=0.85 --out strict.html"))(demo)
app.command(epilog=_examples("pmx init my_policy"))(init)
app.command(epilog=_examples("pmx check config/", "pmx check my_policy --prices closes.csv --strict --format json"))(
    check
)
app.command(
    epilog=_examples(
        "pmx solve --weights wishes.csv",
        "pmx solve --weights wishes.csv --previous held.csv --gate WTI=exit --explain",
        "pmx solve --relative --weights router.csv --scale ts_core=0.5 --format json",
    )
)(solve)
app.command(
    epilog=_examples(
        "pmx signals --prices closes.csv",
        "pmx signals --prices closes.csv --engine my_engines:Momentum --format csv",
    )
)(signals)
app.command(
    epilog=_examples(
        "pmx backtest --prices closes.csv --out run1",
        "pmx backtest --prices closes.parquet --targets wishes.csv --cash-rate tbill.csv --cost-bps 5 --out run2",
        "pmx backtest --prices closes.csv --engine my_engines:Momentum --out run3",
    )
)(backtest)
app.command(
    name="forecast-report",
    epilog=_examples(
        "pmx forecast-report --prices closes.csv",
        "pmx forecast-report --prices closes.csv --every 1 --out forecasts",
    ),
)(forecast_report)
app.command(
    epilog="\n\n".join(
        [
            "Examples:",
            "pmx backtest --prices closes.csv --audit audit.jsonl --out run1",
            "pmx health audit.jsonl",
            HEALTH_EXITS,
        ]
    )
)(health)
app.command(
    name="compare-sequential",
    epilog=_examples(
        "pmx compare-sequential --out comparison.html",
        "pmx compare-sequential --weights wishes.csv --sweeps 20 --format json",
    ),
)(compare_sequential)
app.command(epilog="\n\n".join(["Examples:", "pmx verify run.jsonl", EXITS]))(verify)
app.command(
    epilog="\n\n".join(["Examples:", "pmx replay run.jsonl", "pmx replay run.jsonl --config my_policy", REPLAY_EXITS])
)(replay)
policy.command(
    epilog="\n\n".join(
        [
            "Examples:",
            "pmx policy diff config my_policy",
            "pmx policy diff shipped my_policy --format csv",
            "pmx policy diff config/barbell.yml my_policy/barbell.yml",
            DIFF_EXITS,
        ]
    )
)(diff)
app.add_typer(policy, name="policy")


def main() -> None:
    """Run the command line."""
    app()
