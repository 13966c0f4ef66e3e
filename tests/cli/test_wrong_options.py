"""Every option of every command is given wrong kinds of value: exit code 2, one plain line, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import typer

from pmx.cli import app

#: Values that no option takes but those that read text.
VALUES = (
    "", " ", "much", "nan", "inf", "-inf", "-1", "0", "1e400", "1" * 400, "0,5", "5%", "no/such/file", "/", ".", "true",
    "2020-13-45", "2020-01-02T00:00:00+02:00", "=", "a=", "=b", "a=b=c", "[1, 2", "{a: 1}", "%s", "\udcff", "x" * 5000,
)  # fmt: skip
#: Command → the options without which it does nothing.
NEEDS = {
    "check": [],
    "solve": ["--weights", "wishes.csv"],
    "signals": ["--prices", "closes.csv"],
    "backtest": ["--prices", "closes.csv", "--targets", "targets.csv", "--out", "run"],
    "forecast-report": ["--prices", "closes.csv"],
    "compare-sequential": ["--weights", "wishes.csv", "--sweeps", "2"],
    "health": ["audit.jsonl"],
    "verify": ["run.jsonl"],
    "replay": ["run.jsonl"],
    "policy diff": ["a", "b"],
    "init": ["made"],
    "demo": ["--start", "2018-12-01", "--out", "demo.html"],
}
#: Exit codes by which a command says that it has done its work and found something.
WORKED = {"verify": (0, 1), "health": (0, 1), "check": (0, 1, 2), "replay": (0, 1), "policy diff": (0, 1)}


def commands() -> dict[str, Any]:
    """Every command by the words that call it; those of a group after the group's."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {name: command} if inner is None else {f"{name} {more}": one for more, one in inner.items()}
    return found


def options() -> list[tuple[str, str]]:
    """Every option and argument that takes a value."""
    found = []
    for name, command in sorted(commands().items()):
        for parameter in command.params:
            if not getattr(parameter, "is_flag", False) and parameter.name != "help":
                found.append((name, parameter.name if parameter.param_type_name == "argument" else parameter.opts[0]))
    return found


def test_every_command_is_here() -> None:
    assert set(NEEDS) == set(commands())


def given(command: str, option: str, value: str) -> list[str]:
    rest = list(NEEDS[command])
    words = command.split()
    if not option.startswith("-"):
        return [*words, value, *rest[1:]]
    if option in rest:
        at = rest.index(option)
        del rest[at : at + 2]
    return [*words, *rest, f"{option}={value}" if option.startswith("--") else option + value]


@pytest.mark.parametrize(("command", "option"), options())
def test_some_wrong_values_are_one_plain_line(command, option, pmx_command, wishes, targets, tmp_path) -> None:
    first = crc32(f"{command} {option}".encode())
    check(command, option, [VALUES[(first + k) % len(VALUES)] for k in (0, 11)], pmx_command, tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize(("command", "option"), options())
def test_all_wrong_values_are_one_plain_line(command, option, pmx_command, wishes, targets, tmp_path) -> None:
    check(command, option, VALUES, pmx_command, tmp_path)


def check(command, option, values, pmx_command, tmp_path) -> None:
    found = []
    for value in values:
        before = contents(tmp_path)
        result = pmx_command(*given(command, option, value))
        what = f"{option}={value[:30]!r}: exit {result.exit_code}: {result.stderr[:200]!r}"
        if result.exit_code in WORKED.get(command, (0,)) and "Traceback" not in result.stderr:
            clean(tmp_path, before)
            continue
        lines = [line for line in result.stderr.splitlines() if not line.startswith(("warning: ", "  "))]
        own = result.stderr.startswith("Usage:")  # click's own, which frames it
        if result.exit_code != 2 or "Traceback" in result.stderr or not (own or len(lines) == 1):
            found.append(what)
        elif contents(tmp_path) != before:
            found.append(f"{what}: something was written")
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def clean(folder: Path, before: dict[Path, bytes]) -> None:
    """Take away what a value that works has made."""
    for path in contents(folder).keys() - before.keys():
        path.unlink()
