import json
import subprocess
import sys

import pandas as pd
import pytest

from pmx.verify import verify


def pmx_process(*arguments, cwd):
    command = [sys.executable, "-c", "from pmx.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_solve_is_journaled_and_verified(pmx_command, wishes, tmp_path):
    for _ in range(2):
        assert pmx_command("solve", "--weights", wishes, "--journal", "run.jsonl").exit_code == 0
    result = pmx_command("verify", "run.jsonl")
    assert (result.exit_code, result.stderr) == (0, "")
    first, *_, last = result.stdout.strip().splitlines()
    assert first == "HOLDS  run.jsonl: 2 solves (0 relaxed) in 2 sessions under 1 policy"
    assert last.split()[-1] == verify(tmp_path / "run.jsonl").head


def test_a_backtest_is_journaled_and_verified(pmx_command, targets):
    ask = ("backtest", "--prices", "closes.csv", "--targets", "targets.csv", "--out", "run", "--journal", "run.jsonl")
    assert pmx_command(*ask).exit_code == 0
    result = pmx_command("verify", "run.jsonl")
    assert result.exit_code == 0
    assert "29 solves" in result.stdout or "30 solves" in result.stdout


def test_what_is_off_is_named(pmx_command, wishes, tmp_path):
    pmx_command("solve", "--weights", wishes, "--journal", "run.jsonl")
    content = (tmp_path / "run.jsonl").read_bytes()
    at = content.index(b'"cash":0.') + 9
    (tmp_path / "run.jsonl").write_bytes(
        content[:at] + (b"1" if content[at : at + 1] != b"1" else b"2") + content[at + 1 :]
    )
    result = pmx_command("verify", "run.jsonl")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "REFUSED  run.jsonl: 1 thing is off" in result.stdout
    assert "line 3: chain: the line was altered" in result.stdout
    again = pmx_command("solve", "--weights", wishes, "--journal", "run.jsonl")
    assert (again.exit_code, again.stderr[:13]) == (2, "ledger error:")


def test_a_file_that_is_not_there(pmx_command):
    result = pmx_command("verify", "none.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot read none.jsonl" in result.stderr


def test_a_folder(pmx_command, tmp_path):
    assert pmx_command("verify", tmp_path).exit_code == 2


@pytest.mark.parametrize("content", [b"", b"\xff" * 5000, b"[" * 200_000, b"1" * 10_000_000], ids=range(4))
def test_junk_ends_without_a_traceback(tmp_path, content):
    (tmp_path / "junk").write_bytes(content)
    done = pmx_process("verify", "junk", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "REFUSED" in done.stdout


def test_it_imports_nothing_heavy(pmx_command, wishes, tmp_path):
    pmx_command("solve", "--weights", wishes, "--journal", "run.jsonl")
    code = (
        "import sys\ntry:\n    from pmx.cli import main; sys.argv = ['pmx', 'verify', 'run.jsonl']; main()\n"
        "finally:\n    print(*{'numpy', 'pandas', 'cvxpy', 'scipy', 'numba', 'plotly'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("HOLDS")
    assert done.stdout.splitlines()[-1] == ""


def test_help_says_what_the_exit_codes_mean(pmx_command):
    result = pmx_command("verify", "--help")
    assert result.exit_code == 0
    assert "refused" in result.stdout


def test_the_journal_of_the_command_line_says_what_the_json_says(pmx_command, wishes, tmp_path):
    result = pmx_command("solve", "--weights", wishes, "--journal", "run.jsonl", "--format", "json")
    answer = json.loads(result.stdout)
    solve = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[2])
    assert solve["policy"] == answer["policy"]
    told = pd.Series(solve["weights"]["positions"], [symbol for _, symbol in solve["positions"]])
    assert told.to_dict() == {symbol: weight for symbol, weight in answer["weights"].items() if symbol != "CASH"}
