"""Tables on the terminal, and files that appear whole or not at all."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pmx.cli.exits import UsageError
from pmx.errors import InfeasibleError

if TYPE_CHECKING:
    import pandas as pd

    from pmx.projection import Allocation

#: Columns of a table where stdout is no terminal and so has no width of its own.
WIDTH = 120


def console(stderr: bool = False) -> Console:
    """Return a console on stdout, or stderr."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDTH, highlight=False, markup=False)


def print_table(
    frame: pd.DataFrame,
    title: str,
    text: Sequence[str] = (),
    styles: Sequence[str] = (),
    stderr: bool = False,
    whole_words: Sequence[str] = (),
) -> None:
    """Print a table of strings; the columns in ``text`` are set left, those in ``whole_words`` are never wrapped.

    ``styles`` are of the rows.
    """
    whole = frame.reset_index() if frame.index.name else frame
    words = {*text, frame.index.name}
    table = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in whole:
        left = name in words
        table.add_column(
            str(name), justify="left" if left else "right", overflow="fold", no_wrap=not left or name in whole_words
        )
    for number, cells in enumerate(whole.itertuples(index=False)):
        style = styles[number] if number < len(styles) else ""
        table.add_row(*(Text(str(cell)) for cell in cells), style=style)
    console(stderr).print(table)


def print_allocation(allocation: Allocation, title: str) -> None:
    """Print what each position gets, the rules it obeys, and the certificate."""
    from pmx.monitoring import certificate_line, positions_table, rules_table
    from pmx.policy import CASH

    positions = positions_table(allocation)
    totals = ["bold" if symbol in ("all", CASH) else "" for symbol in positions["symbol"]]
    print_table(positions, title, text=("bucket", "symbol"), styles=totals)
    if allocation.readings:
        rules = rules_table(allocation)
        bites = ["yellow" if reading.shadow_price > 0 else "" for reading in allocation.readings]
        print_table(rules, "Rules", text=("rule", "kind", "binding", "source"), styles=bites)
    screen = console()
    screen.print(f"Status: {allocation.status}. {allocation.status.advice}")
    screen.print(f"Certificate: {certificate_line(allocation.certificate)}")


def print_clash(error: InfeasibleError) -> None:
    """Print the rules that cannot hold together, who set them, and how far each would have to give way."""
    import pandas as pd

    from pmx.projection.refusal import amount_in_words, limits_in_words

    lines = []
    for name in dict.fromkeys([*error.rules, *error.relaxation]):
        bound = limits_in_words([limit for limit in error.limits if limit.rule == name])
        amount, weight = error.relaxation.get(name), error.multipliers.get(name)
        lines.append(
            (
                name,
                error.sources.get(name, "–"),
                bound or "–",
                "–" if amount is None else amount_in_words(amount),
                "–" if weight is None else f"{weight:.4g}",
            )
        )
    frame = pd.DataFrame(lines, columns=["rule", "set in", "bound", "relax by", "multiplier"])
    print_table(frame, "", text=("rule", "set in", "bound"), stderr=True)
    way = "The cheapest way out is to relax bounds by the amounts shown, of NAV. " if error.relaxation else ""
    proof = (
        "Drop any rule that has a multiplier, and the rest of them can hold; the multipliers prove the clash exactly."
        if error.proven_minimal
        else "A cone takes part, so this is as sharp as its solver, and not proven."
    )
    console(stderr=True).print(way + proof)


def clash_as_json(error: InfeasibleError) -> str:
    """Return a refusal as JSON; multipliers of the proof are exact, as text such as ``1/2``."""
    limits = [
        {**asdict(limit), "position": limit.position, "multiplier": str(limit.multiplier)} for limit in error.limits
    ]
    content = {
        "status": "infeasible",
        "message": str(error),
        "rules": error.rules,
        "sources": error.sources,
        "relaxation": error.relaxation,
        "limits": limits,
        "proven_minimal": error.proven_minimal,
    }
    return as_json(content) + "\n"


def as_json(content: Any) -> str:
    """Return JSON text in which what is not a finite number is null."""
    return json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)


def write_all(files: Mapping[Path, str], force: bool) -> None:
    """Write every file, or none.

    Raises
    ------
    UsageError
        If a file exists and ``force`` is false, or a directory cannot be written to.
    """
    refuse_existing(files, force)
    try:
        for folder in {path.parent for path in files}:
            folder.mkdir(parents=True, exist_ok=True)
            mine = [path for path in files if path.parent == folder]
            with TemporaryDirectory(prefix=".pmx-", dir=folder) as stage:
                for path in mine:
                    Path(stage, path.name).write_text(files[path], encoding="utf-8")
                for path in mine:
                    Path(stage, path.name).replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot write {error.filename or 'the output'} ({error.strerror}); name another place"
        ) from error


def refuse_existing(files: Mapping[Path, Any] | Sequence[Path], force: bool) -> None:
    """Raise `UsageError` if one of the files exists and may not be replaced."""
    for path in files:
        if path.is_dir():
            raise UsageError(f"{path} is a directory; name a file")
        if path.exists() and not force:
            raise UsageError(f"{path} exists already; name another place, or pass --force to replace it")


def _plain(content: Any) -> Any:
    """Return content of JSON's own types, numpy's scalars included."""
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if hasattr(content, "item"):
        content = content.item()
    return None if isinstance(content, float) and not math.isfinite(content) else content
