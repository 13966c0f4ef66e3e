from pathlib import Path

import pytest

from pmx.policy import load_policy, write_default_policy


class ConfigDirectory:
    """A copy of the shipped policy that a test may spoil."""

    def __init__(self, path: Path) -> None:
        self.path = path
        write_default_policy(path)

    def replace(self, name: str, old: str, new: str) -> int:
        """Replace the only occurrence of a text, and return the line in which it starts."""
        text = (self.path / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {name}"
        (self.path / name).write_text(text.replace(old, new), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    def rewrite(self, key: str, value: str) -> str:
        """Give one key another value as YAML text, and return the key's place as messages name it."""
        name, line = load_policy(self.path).source(key).split(":")
        lines = (self.path / name).read_text(encoding="utf-8").splitlines()
        indented_key, _, _ = lines[int(line) - 1].partition(":")
        lines[int(line) - 1] = f"{indented_key}: {value}"
        (self.path / name).write_text("\n".join(lines), encoding="utf-8")
        return f"{self.path / name}:{line}"


@pytest.fixture
def config(tmp_path):
    return ConfigDirectory(tmp_path / "config")
