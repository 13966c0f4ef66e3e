"""Tables on the terminal, and files that appear whole or not at all."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
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
    frame: pd.DataFrame, title: str, text: Sequence[str] = (), styles: Sequence[str] = (), stderr: bool = False
) -> None:
    """Print a table of strings; the columns in ``text`` are set left, ``styles`` are of the rows."""
    whole = frame.reset_index() if frame.index.name else frame
    words = {*text, frame.index.name}
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in whole:
        left = name in words
        table.add_column(str(name), justify="left" if left else "right", overflow="fold", no_wrap=not left)
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
    """Print the rules that cannot hold together, how far each would have to give way, and its part in the proof."""
    import pandas as pd

    relaxation, multipliers = error.relaxation, error.multipliers
    names = list(dict.fromkeys([*error.rules, *relaxation]))
    lines = [
        (
            name,
            f"{relaxation[name]:.4%}" if name in relaxation else "–",
            f"{multipliers[name]:.4g}" if name in multipliers else "–",
        )
        for name in names
    ]
    frame = pd.DataFrame(lines, columns=["rule", "relax by (of NAV)", "multiplier in the proof"])
    print_table(frame, "Clashing rules and the cheapest relaxation", text=("rule",), stderr=True)


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
