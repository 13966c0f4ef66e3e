"""Today's signals on the command line: what each engine says, what becomes of it, and why the others are silent."""

import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.execution import signals_today

ENGINE = "signal_routing_config.engines.time_series"
CHANGES = {
    f"{ENGINE}.min_observations": 60,
    f"{ENGINE}.window": 100,
    f"{ENGINE}.members": ["ar_garch"],
    f"{ENGINE}.evidence": 0.0,
}
SETS = [word for key, value in CHANGES.items() for word in ("--set", f"{key}={json.dumps(value) if value else value}")]


@pytest.fixture
def prices(tmp_path):
    """Write closes of one symbol that turns back after each move, one that is too young, one without a price today."""
    rng = np.random.default_rng(0)
    moves = np.zeros((200, 3))
    for bar in range(1, 200):
        moves[bar] = -0.6 * moves[bar - 1] + rng.normal(0.001, 0.01, 3)
    dates = pd.bdate_range("2020-01-01", periods=200, name="date")
    table = pd.DataFrame(100.0 * np.exp(np.cumsum(moves, axis=0)), index=dates, columns=["SP500", "NEW", "GONE"])
    table.iloc[:170, 1] = np.nan
    table.iloc[-10:, 2] = np.nan
    table.to_csv(tmp_path / "prices.csv")
    return table


def test_the_table_says_what_every_engine_says(pmx_command, prices):
    ran = pmx_command("signals", "--prices", "prices.csv", *SETS)
    assert ran.exit_code == 0, ran.stderr
    words = " ".join(ran.stdout.split())
    assert f"Signals at the close of {prices.index[-1]:%Y-%m-%d}" in words
    assert "NEW time_series_core silent ts_core no too few observations: 29 returns, 60 needed" in words
    assert "GONE time_series_core silent ts_core no no price today" in words
    found = signals_today(prices, pmx.load_policy().override(CHANGES)).iloc[0]
    direction = {1: "BUY", 0: "HOLD", -1: "SELL"}[found["direction"]]
    assert f"SP500 time_series_core {direction} {found['edge']:+.3f} {found['strength']:.2f}" in words
    assert "Signals given: 1, kept: " in words
    conviction = found["strength"] * found["confidence"] * abs(found["edge"])
    if found["kept"] and conviction < 0.2:
        assert (
            f"Bucket ts_core: conviction {conviction:.2g} of 0.2, {conviction / 0.2:.0%} of its budget used." in words
        )


def test_csv_and_json_say_the_same(pmx_command, prices):
    policy = pmx.load_policy().override(CHANGES)
    expected = signals_today(prices, policy)
    text = pmx_command("signals", "--prices", "prices.csv", "--format", "csv", *SETS).stdout
    table = pd.read_csv(io.StringIO(text))
    assert set(table["date"]) == {f"{prices.index[-1]:%Y-%m-%d}"}
    pd.testing.assert_frame_equal(table.drop(columns="date").astype({"direction": "Int64"}), expected)
    answer = json.loads(pmx_command("signals", "--prices", "prices.csv", "--format", "json", *SETS).stdout)
    assert answer["policy"] == policy.fingerprint
    rows = expected.astype(object).where(expected.notna(), None).to_dict("records")
    assert answer["signals"] == rows
    assert all(set(use) == {"bucket", "conviction", "full_conviction", "reserved", "used"} for use in answer["budgets"])
    assert [row["direction"] is None for row in rows] == [False, True, True]


def test_what_the_router_drops_says_why(pmx_command, prices):
    strict = "signal_routing_config.sources.time_series_core.min_edge=9"
    ran = pmx_command("signals", "--prices", "prices.csv", "--format", "json", *SETS, "--set", strict)
    row = json.loads(ran.stdout)["signals"][0]
    assert (row["kept"], row["bucket"]) == (False, "ts_core")
    assert row["why"].endswith("< min_edge 9")


def test_engines_by_name_and_a_refusal(pmx_command, prices):
    ran = pmx_command("signals", "--prices", "prices.csv", "--engine", "machine_learning", "--format", "json")
    sources = {row["source"]: row["why"] for row in json.loads(ran.stdout)["signals"]}
    assert list(sources) == ["ml_secondary"]
    wrong = pmx_command("signals", "--prices", "prices.csv", "--engine", "timeseries")
    assert wrong.exit_code == 2
    assert "did you mean 'time_series'?" in wrong.stderr
    assert pmx_command("signals", "--prices", "nowhere.csv").exit_code == 2


@pytest.mark.parametrize("command", [["signals"], ["backtest", "--out", "run", "--start", "2020-09-25"]])
def test_long_work_on_fits_shows_a_bar_on_a_terminal(prices, tmp_path, command):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    many = ("--set", f"{ENGINE}.refit_every=3", "--set", f"{ENGINE}.evidence=1.0")  # past forecasts are wanted too
    words = [*command, "--prices", "prices.csv", *SETS, *many]
    program = [sys.executable, "-c", "from pmx.cli import main; main()", *words]
    environment = {**os.environ, "TERM": "xterm"}
    running = subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # what a terminal says when nobody is at its other end
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert running.wait() == 0
    assert b"forecasts" in shown


@pytest.mark.parametrize("engine", ["time_series", "machine_learning"])
def test_the_language_model_is_asked_whatever_engine_is_named(pmx_command, prices, engine):
    on = ["--set", "signal_routing_config.enable_llm_fallback=true"]
    on += ["--set", "signal_routing_config.engines.language_model.model=tiny"]
    ran = pmx_command("signals", "--prices", "prices.csv", "--engine", engine, "--format", "json", *SETS, *on)
    rows = [row for row in json.loads(ran.stdout)["signals"] if row["source"] == "llm_fallback"]
    assert [row["symbol"] for row in rows] == list(prices)
    assert rows[1]["why"].endswith("which is the past: a language model has read what came after")
    assert rows[2]["why"] == "not asked: no price today"


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_signal_of_an_earlier_close_says_so(pmx_command, prices, form):
    prices.iloc[-1, 0] = np.nan
    prices.to_csv("prices.csv")
    ran = pmx_command("signals", "--prices", "prices.csv", "--format", form, *SETS)
    assert f"of {prices.index[-2]:%Y-%m-%d}, no price today" in " ".join(ran.stdout.split())
