import os
import subprocess
import sys
from pathlib import Path

import pytest

import pmx
from pmx.policy import load_policy, shipped_config

PROGRAM = [sys.executable, "-c", "from pmx.cli import main; main()"]


def run(*arguments, cwd, **options):
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **options)


def test_version_and_help(pmx_command):
    assert pmx_command("--version").stdout == f"pmx {pmx.__version__}\n"
    text = pmx_command("--help").stdout
    assert all(command in text for command in ("demo", "init", "solve", "backtest", "Exit codes"))


@pytest.mark.parametrize("command", ["demo", "init", "solve", "signals", "backtest"])
def test_every_command_has_examples_and_exit_codes(pmx_command, command):
    result = pmx_command(command, "--help")
    assert result.exit_code == 0
    assert f"pmx {command}" in result.stdout.split("Examples:")[1]
    assert "Exit codes" in result.stdout


def test_init_writes_a_policy_that_loads(pmx_command, tmp_path):
    result = pmx_command("init", "mine")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 8
    assert load_policy(tmp_path / "mine") == load_policy(shipped_config())
    (tmp_path / "mine" / "barbell.yml").write_text("{}\n")
    refused = pmx_command("init", "mine")
    assert refused.exit_code == 2
    assert "barbell.yml: exists already" in refused.stderr
    assert (tmp_path / "mine" / "barbell.yml").read_text() == "{}\n"
    assert pmx_command("init", "mine", "--force").exit_code == 0
    assert load_policy(tmp_path / "mine") == load_policy(shipped_config())


def test_an_edited_policy_is_used_and_named(pmx_command, wishes, tmp_path):
    pmx_command("init", "mine")
    file = tmp_path / "mine" / "barbell.yml"
    file.write_text(file.read_text().replace("max_per_position: 0.10", "max_per_position: 0.04"))
    text = pmx_command("solve", "--weights", wishes, "--config", "mine").stdout
    assert "≤ 4.00%" in text
    file.write_text(file.read_text().replace("max_per_position: 0.04", "max_per_position: 1.4"))
    wrong = pmx_command("solve", "--weights", wishes, "--config", "mine")
    assert wrong.exit_code == 2
    assert "barbell.yml:" in wrong.stderr
    assert "barbell.risk_bucket.max_per_position: is 1.4" in wrong.stderr


def test_demo_prints_and_writes_its_report(pmx_command, tmp_path):
    result = pmx_command("demo", "--end", "1999-04-30", "--out", "demo.html")
    assert result.exit_code == 0
    for text in (
        "S&P 500, NASDAQ and WTI, 1999 to 1999",
        "policy portfolio",
        "same signals, no policy",
        "buy and hold",
        "Last decision, 1999-04-30",
        "barbell.safe.floor",
        "Certificate: worst violation",
        "Lowest safe weight of any decision: 1.0000 ≥ 0.7000",
        "Report: demo.html",
    ):
        assert text in result.stdout
    html = (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert "buy and hold" in html


def test_the_demo_takes_overrides(pmx_command):
    result = pmx_command("demo", "--end", "1999-02-01", "--set", "barbell.safe_bucket.min_weight=0.85")
    assert result.exit_code == 0
    assert "≥ 0.8500" in result.stdout


def test_the_program_answers_in_a_pipe(wishes, tmp_path):
    result = run("solve", "--weights", wishes, "--format", "csv", cwd=tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (0, 1)
    assert result.stderr.startswith("note: Not in this solve: turnover.max")
    assert result.stdout.startswith("bucket,symbol,weight\n")


def test_the_program_fails_without_a_traceback(tmp_path):
    result = run("solve", "--weights", "none.csv", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "data error: none.csv: does not exist; check the name\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_is_an_unexpected_failure(wishes, tmp_path, buffered):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    environment |= {} if buffered else {"PYTHONUNBUFFERED": "1"}
    with open("/dev/full", "w") as full:
        command = [*PROGRAM, "solve", "--weights", str(wishes), "--format", "csv"]
        result = subprocess.run(
            command,
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
            env=environment,
        )
    assert result.returncode == 1
    assert "\nunexpected failure: OSError" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_is_light(tmp_path):
    code = (
        "import sys\nfrom pmx.cli import app\n"
        "print(*[name for name in ('pandas', 'cvxpy', 'plotly', 'arch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == []
