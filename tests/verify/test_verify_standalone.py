"""The verifier needs Python and nothing else, wherever it is put."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from zoo.journals import random_journal

import pmx.verify

FOLDER = Path(pmx.verify.__file__).parent


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return random_journal(tmp_path_factory.mktemp("standalone") / "run.jsonl", range(5))


def run(*command, cwd):
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=cwd, check=False)


def test_it_imports_only_the_standard_library_and_itself():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names), path
            elif isinstance(node, ast.ImportFrom):
                top = (node.module or "").split(".")[0]
                assert (node.level == 1) if node.level else top in sys.stdlib_module_names, path


def test_it_runs_where_it_was_copied_without_any_package(journal, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "verifier", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys; from verifier.__main__ import main; code = main(sys.argv[1:]); "
        "print(*{name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names); sys.exit(code)"
    )
    done = run("-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}", journal, cwd="/")
    assert done.returncode == 0, done.stderr
    first, *_, foreign = done.stdout.splitlines()
    assert first.startswith("HOLDS")
    assert set(foreign.split()) <= {"__main__", "verifier"}
    assert run("-m", "verifier", journal, cwd=tmp_path).returncode == 0


def test_the_module_of_the_package_imports_nothing_heavy(journal):
    code = (
        "import sys; from pmx.verify.__main__ import main; code = main(sys.argv[1:]); "
        "print(*{name.split('.')[0] for name in sys.modules} & {'numpy', 'pandas', 'cvxpy', 'scipy', 'yaml', 'rich'})"
    )
    done = run("-c", code, journal, cwd=journal.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""


def test_exit_codes_and_words(journal, tmp_path):
    done = run("-m", "pmx.verify", journal, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"HOLDS  .*run.jsonl: 5 solves \(\d relaxed\) in 1 session under 5 policies\n", done.stdout)
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(journal.read_bytes()[:-30])
    done = run("-m", "pmx.verify", torn, journal, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "REFUSED" in done.stdout
    assert "line 12: chain: the line is torn" in done.stdout
    assert "HOLDS" in done.stdout
    done = run("-m", "pmx.verify", tmp_path / "none.jsonl", journal, cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot read" in done.stderr
    assert run("-m", "pmx.verify", cwd=tmp_path).returncode == 2
    assert run("-m", "pmx.verify", "--help", cwd=tmp_path).returncode == 2
