import json

import numpy as np
import pandas as pd
import pytest

from pmx.execution import AuditLog, read_audit_log
from pmx.signals import Signal
from pmx.signals.success import Figures, Result, Verdict

BUY = Signal("SP500", 1, 1.0, 0.1, 0.6, "time_series_core")
ENGINE = "signal_routing_config.engines.time_series"


def figures(profit):
    return Figures(profit, 0.5, 0.5, 1.2, 0.1, 0.52, 0.99, (0.52,))


@pytest.fixture
def log(tmp_path):
    def write(passes, fails, name="signal_audit.jsonl", last="2020-06-30"):
        file = tmp_path / name
        with AuditLog(file) as opened:
            days = iter(pd.bdate_range(end=last, periods=passes + fails))
            opened.write(Verdict(next(days), BUY, Result.PASS, 0.9, (), 30, figures(0.001)) for _ in range(passes))
            missed = ("min_expected_profit",)
            opened.write(
                Verdict(next(days), BUY, Result.FAIL, 0.2, missed, 30, figures(-0.001), True) for _ in range(fails)
            )
        return file

    return write


def test_a_healthy_log(pmx_command, log):
    log(15, 10)
    result = pmx_command("health")  # the default name
    assert result.exit_code == 0
    assert "Healthy." in result.stdout
    assert "FAIL: 40.0% (at most 50.0%)" in result.stdout
    assert "time_series_core" in result.stdout


def test_an_unhealthy_log_exits_1_and_says_why(pmx_command, log):
    result = pmx_command("health", log(10, 15))
    assert result.exit_code == 1
    assert "Unhealthy: 60.0% of the verdicts are FAIL: above max_fail_fraction, 50.0%" in result.stdout
    raised = ("--set", "forecaster_monitoring.max_fail_fraction=0.6")
    still = pmx_command("health", "signal_audit.jsonl", *raised)
    assert still.exit_code == 1
    assert "negative expected profit" in still.stdout
    also = ("--set", "forecaster_monitoring.max_negative_expected_profit_fraction=0.6")
    assert pmx_command("health", "signal_audit.jsonl", *raised, *also).exit_code == 0


def test_a_gate_that_may_not_shut_is_neither_open_nor_shut(pmx_command, log):
    def last(*more):
        row = next(row for row in pmx_command("health", file, *more).stdout.splitlines() if "time_series_core" in row)
        return {word for word in ("–", "open", "shut") if word in row}

    file = log(25, 0)
    assert last() == {"–"}
    assert last("--set", "barbell.enable_barbell_validation=true") == {"open"}


def test_an_empty_log_says_that_nobody_was_judged(pmx_command, log):
    result = pmx_command("health", log(0, 0))
    assert result.exit_code == 0
    assert "signal_audit.jsonl has no line: no source was judged, or none that was has spoken." in result.stdout
    assert "has no line" not in pmx_command("health", log(1, 0, "one.jsonl")).stdout


def test_too_few_verdicts_conclude_nothing(pmx_command, log):
    result = pmx_command("health", log(0, 19))
    assert result.exit_code == 0
    assert "19 PASS or FAIL, 20 needed: nothing is concluded from verdicts." in result.stdout
    assert pmx_command("health", "signal_audit.jsonl", "--strict").exit_code == 1
    assert pmx_command("health", log(20, 0, "enough"), "--strict").exit_code == 0
    assert pmx_command("health", log(0, 0, "empty"), "--strict").exit_code == 1


def test_a_log_that_has_ended_is_unhealthy_where_its_age_is_asked_about(pmx_command, log):
    today = pd.Timestamp.today().normalize()
    fresh = log(25, 0, "fresh.jsonl", last=today)
    assert pmx_command("health", fresh, "--max-age-days", "5").exit_code == 0
    old = log(25, 0, "old.jsonl", last=today - pd.offsets.BDay(8))
    assert pmx_command("health", old).exit_code == 0
    assert pmx_command("health", old, "--max-age-days", "14").exit_code == 0
    result = pmx_command("health", old, "--max-age-days", "9")
    assert result.exit_code == 1
    assert f"Unhealthy: the last line is of {today - pd.offsets.BDay(8):%Y-%m-%d}, before " in " ".join(
        result.stdout.split()
    )
    empty = pmx_command("health", log(0, 0, "empty.jsonl"), "--max-age-days", "9", "--format", "json")
    assert empty.exit_code == 1
    assert json.loads(empty.stdout)["state"] == "unhealthy"
    assert json.loads(empty.stdout)["reasons"] == ["the log has no line"]
    assert pmx_command("health", old, "--max-age-days", "-1").exit_code == 2


def test_a_torn_last_line_is_reported_and_not_fatal(pmx_command, log):
    file = log(20, 5)
    file.write_bytes(file.read_bytes()[:-7])
    result = pmx_command("health", file)
    assert result.exit_code == 0
    assert "the last line is torn" in result.stderr
    assert "Latest 24 PASS or FAIL among 24 signals" in " ".join(result.stdout.split())


def test_other_damage_names_its_line(pmx_command, log):
    file = log(20, 5)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"PASS", b"FAIL")
    file.write_bytes(b"".join(lines))
    result = pmx_command("health", file)
    assert result.exit_code == 2
    assert "ledger error" in result.stderr
    assert "line 4 is damaged" in result.stderr
    assert pmx_command("health", "nowhere.jsonl").exit_code == 2


def test_json(pmx_command, log):
    result = pmx_command("health", log(10, 15), "--format", "json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert (content["state"], content["fail_fraction"], content["torn_bytes"]) == ("unhealthy", 0.6, 0)
    assert content["symbols"][0]["symbol"] == "SP500"
    empty = json.loads(pmx_command("health", log(0, 0, "empty.jsonl"), "--format", "json").stdout)
    assert (empty["state"], empty["fail_fraction"], empty["symbols"]) == ("too few verdicts", None, [])


@pytest.fixture
def market(tmp_path):
    rng = np.random.default_rng(1)
    returns = np.zeros(420)
    for day in range(1, 420):
        returns[day] = 0.4 * returns[day - 1] + rng.normal(0.0, 0.01)
    dates = pd.bdate_range("2015-01-01", periods=420, name="date")
    pd.DataFrame({"SP500": 100 * np.exp(returns.cumsum())}, dates).to_csv(tmp_path / "market.csv")
    quick = {"horizon": 1, "window": 200, "min_observations": 200, "refit_every": 63}
    quick |= {"members": "[ar_garch]", "evidence": 0}  # a signal on every day that has a fit
    return [part for key, value in quick.items() for part in ("--set", f"{ENGINE}.{key}={value}")]


def test_a_backtest_writes_the_log_that_health_reads(pmx_command, market, tmp_path):
    ran = pmx_command("backtest", "--prices", "market.csv", "--out", "run", "--audit", "audit.jsonl", *market)
    assert ran.exit_code == 0, ran.stderr
    assert len(read_audit_log(tmp_path / "audit.jsonl").lines) == 420 - 200
    result = pmx_command("health", "audit.jsonl")
    assert result.exit_code == 0
    assert "Healthy." in result.stdout
    content = (tmp_path / "audit.jsonl").read_bytes()
    files = ("--out", "other", "--audit", "audit.jsonl", "--journal", "journal.jsonl")
    again = pmx_command("backtest", "--prices", "market.csv", *files, *market)
    assert again.exit_code == 2
    assert "after the first bar of this run, 2015-01-01" in again.stderr
    assert not (tmp_path / "journal.jsonl").exists()
    assert not (tmp_path / "other").exists()
    assert (tmp_path / "audit.jsonl").read_bytes() == content


def test_a_backtest_of_an_engine_that_nobody_judges_says_so(pmx_command, market, tmp_path, caplog):
    pytest.importorskip("sklearn")
    ran = pmx_command(
        "backtest", "--prices", "market.csv", "--out", "run", "--audit", "audit.jsonl", "--engine", "machine_learning"
    )
    assert ran.exit_code == 0
    assert "nobody judges the signals of ml_secondary" in caplog.text
    assert (tmp_path / "audit.jsonl").read_bytes() == b""


def test_forecast_report(pmx_command, market, tmp_path):
    result = pmx_command("forecast-report", "--prices", "market.csv", "--out", "scores", *market)
    assert result.exit_code == 0, result.stderr
    assert "SP500" in result.stdout
    assert sorted(file.name for file in (tmp_path / "scores").iterdir()) == [
        "forecasts.csv",
        "report.html",
        "scores.csv",
    ]
    scores = pd.read_csv(tmp_path / "scores" / "scores.csv", index_col="symbol")
    assert scores.loc["SP500", "crps_ratio"] < 1.0
    again = pmx_command("forecast-report", "--prices", "market.csv", "--out", "scores", *market)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert pmx_command("forecast-report", "--prices", "market.csv", "--out", "market.csv").exit_code == 2


@pytest.mark.parametrize("command", ["health", "forecast-report"])
def test_help_has_examples_and_exit_codes(pmx_command, command):
    text = pmx_command(command, "--help").stdout
    assert f"pmx {command}" in text.split("Examples:")[1]
    assert "Exit codes" in text
