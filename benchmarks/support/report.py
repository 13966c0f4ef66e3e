"""Say what was measured: tables on the screen, figures in JSON, a drawing in SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).resolve().parents[2] / "out" / "benchmarks"


#: Load above which a run is no fair one.
QUIET = 0.5
#: Width of tables that are not written to a terminal.
WIDTH = 150


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: its rows as people read them, and the figures behind them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    figures: Any = None
    on_page: bool = True


@dataclass(frozen=True, slots=True)
class Goal:
    """A speed to reach, and what was measured."""

    what: str
    measured: float
    wanted: float
    at_least: bool = True
    unit: str = "×"

    @property
    def reached(self) -> bool:
        """Whether it was; never for NaN."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted


@dataclass
class Report:
    """What one benchmark found; printed as it comes, saved at the end.

    Parameters
    ----------
    name : str
        File stem of what is saved under ``out/benchmarks``.
    machine : mapping
        From :func:`support.measure.machine`.
    settings : mapping
        Everything else that is needed to repeat the run.
    """

    name: str
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    sheets: list[Sheet] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    console: Console = field(default_factory=lambda: wide_console(), repr=False)

    def __post_init__(self) -> None:
        self.console.print(f"[bold]{self.name}[/]: {describe(self.machine)}")
        if (self.machine["load_at_start"] or 0.0) > QUIET:
            self.console.print("[yellow]this machine is busy: slow contestants suffer more from it than fast ones[/]")

    def add(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        notes: Sequence[str] = (),
        figures: Any = None,
        on_page: bool = True,
    ) -> None:
        """Add a table and print it; the first column is text, the others are figures. Say if the docs shall show it."""
        sheet = Sheet(title, tuple(columns), tuple(map(tuple, rows)), tuple(notes), figures, on_page)
        self.sheets.append(sheet)
        table = Table(title=title, title_justify="left", caption="\n".join(notes), caption_justify="left")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if i else "left", no_wrap=True)
        for row in sheet.rows:
            table.add_row(*row)
        self.console.print(table)

    def judge(self, goals: Sequence[Goal]) -> None:
        """Add goals and print whether they were reached."""
        self.goals.extend(goals)
        if not goals:
            return
        table = Table(title="goals", title_justify="left")
        for i, column in enumerate(GOAL_COLUMNS):
            table.add_column(column, justify="left" if i == 0 else "right")
        for goal in goals:
            table.add_row(*goal_row(asdict(goal) | {"reached": goal.reached}))
        self.console.print(table)

    def save(self, figure: Any = None) -> None:
        """Write the JSON, and the figure (of matplotlib) as SVG."""
        OUT.mkdir(parents=True, exist_ok=True)
        content = {
            "name": self.name,
            "machine": self.machine,
            "settings": self.settings,
            "sheets": [asdict(sheet) for sheet in self.sheets],
            "goals": [asdict(goal) | {"reached": goal.reached} for goal in self.goals],
        }
        path = OUT / f"{self.name}.json"
        path.write_text(json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        self.console.print(f"figures: {path}")
        if figure is not None:
            path = OUT / f"{self.name}.svg"
            figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
            self.console.print(f"drawing: {path}")


def wide_console() -> Console:
    """Return a console as wide as its terminal, or wide enough for every table where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


GOAL_COLUMNS = ("goal", "wanted", "measured", "reached")


def goal_row(goal: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return a goal as a row of text."""
    sign = "≥" if goal["at_least"] else "≤"
    measured = goal["measured"]
    text = "not measured" if measured is None or math.isnan(measured) else f"{measured:.3g} {goal['unit']}".strip()
    return goal["what"], f"{sign} {goal['wanted']:g} {goal['unit']}".strip(), text, "yes" if goal["reached"] else "no"


def describe(machine: Mapping[str, Any]) -> str:
    """Return a machine in one line."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, load at start {machine['load_at_start']}"
    )


def duration(seconds: float) -> str:
    """Return a duration with three digits and a unit that suits it."""
    if math.isnan(seconds):
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds / size < 1000 else f"{seconds / size:,.0f} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def times(ratio: float) -> str:
    """Return a ratio as text."""
    if math.isnan(ratio):
        return "–"
    return f"{ratio:,.0f} ×" if ratio >= 100 else f"{ratio:.3g} ×"


def small(value: float) -> str:
    """Return a residual or a bound as text."""
    if math.isnan(value):
        return "–"
    return "0" if value == 0 else "∞" if math.isinf(value) else f"{value:.0e}"


def _plain(value: Any) -> Any:
    """Return nested data as JSON takes it: NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
