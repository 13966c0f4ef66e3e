"""Write what the last runs measured into docs/performance.md, between its markers, and copy the drawings beside it.

Run it as ``python benchmarks/support/summarise.py``, after ``make bench`` on a machine that does nothing else.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from support.report import GOAL_COLUMNS, OUT, describe, goal_row  # noqa: E402 - found only by the line above

PAGE, FIGURES = ROOT / "docs" / "performance.md", ROOT / "docs" / "figures"
BLOCK = re.compile(r"<!-- begin: (?P<name>\w+) -->\n.*?<!-- end: (?P=name) -->", re.DOTALL)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a table in Markdown; the first columns are text, the others are figures."""
    rule = ["---" if i < left else "---:" for i in range(len(columns))]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (columns, rule, *rows)
    )


def block(run: Mapping[str, Any], drawing: bool) -> str:
    """Return everything that is said of one benchmark."""
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    settings = ", ".join(f"{name} {_text(value)}" for name, value in run["settings"].items())
    parts = [f"Measured on {describe(machine)}. Settings: {settings}. Versions: {versions}."]
    if run["goals"]:
        parts.append(table(GOAL_COLUMNS, [goal_row(goal) for goal in run["goals"]]))
    if drawing:
        parts.append(f"![{run['name'].replace('_', ' ')}](figures/{run['name']}.svg)")
    for sheet in run["sheets"]:
        if sheet["on_page"]:
            parts += [f"**{sheet['title']}**", table(sheet["columns"], sheet["rows"])]
            parts += sheet["notes"]
    return "\n\n".join(parts)


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def main() -> None:
    """Replace the blocks of the benchmarks that were run."""
    text = PAGE.read_text(encoding="utf-8")
    runs = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(OUT.glob("*.json"))}
    if not runs:
        raise SystemExit(f"nothing was measured: there is no JSON in {OUT}; run `make bench` first")
    named = {match["name"] for match in BLOCK.finditer(text)}
    if missing := sorted(set(runs) - named):
        raise SystemExit(
            f"{PAGE.name} has no block for {', '.join(missing)}; add <!-- begin: … --> and <!-- end: … -->"
        )
    for name, run in runs.items():
        drawing = OUT / f"{name}.svg"
        if drawing.exists():
            shutil.copyfile(drawing, FIGURES / drawing.name)
        new = f"<!-- begin: {name} -->\n{block(run, drawing.exists())}\n<!-- end: {name} -->"
        text = BLOCK.sub(lambda match, name=name, new=new: new if match["name"] == name else match[0], text)
        print(f"wrote {name}")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
