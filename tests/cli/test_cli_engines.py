"""Engines by name on the command line."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.execution import default_engines

ENGINES = "signal_routing_config.engines"
CHANGES = {
    f"{ENGINES}.time_series.min_observations": 60,
    f"{ENGINES}.time_series.window": 100,
    f"{ENGINES}.machine_learning.min_observations": 60,
    f"{ENGINES}.machine_learning.window": 200,
    f"{ENGINES}.machine_learning.horizon": 1,
    f"{ENGINES}.machine_learning.trees": 10,
    f"{ENGINES}.machine_learning.samples_per_leaf": 20,
    f"{ENGINES}.machine_learning.min_skill_t": 0.0,
}
SETS = [word for key, value in CHANGES.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def prices(tmp_path):
    rng = np.random.default_rng(0)
    returns = np.zeros(220)
    for bar in range(1, 220):
        returns[bar] = -0.6 * returns[bar - 1] + rng.normal(0.0, 0.01)
    dates = pd.bdate_range("2020-01-01", periods=220, name="date")
    table = pd.DataFrame({"SP500": 100.0 * np.exp(np.cumsum(returns))}, index=dates)
    table.to_csv(tmp_path / "prices.csv")
    return table


@pytest.mark.parametrize("names", [["machine_learning", "time_series"], ["machine_learning"]])
def test_engines_run_by_name(pmx_command, prices, tmp_path, names):
    words = [word for name in names for word in ("--engine", name)]
    ran = pmx_command("backtest", "--prices", "prices.csv", "--out", "run", *SETS, *words)
    assert ran.exit_code == 0, ran.stderr
    policy = pmx.load_policy().override(CHANGES)
    expected = pmx.backtest(prices, policy, engines=default_engines(policy, ["SP500"], names))
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["final_nav"] == pytest.approx(float(expected.nav.iloc[-1]), rel=1e-12)
    held = expected.positions.abs().sum()
    buckets = {"time_series": "ts_core", "machine_learning": "ml_secondary"}
    assert {bucket for (bucket, _), weight in held.items() if weight > 0.0} == {buckets[name] for name in names}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--engine", "tea_leaves"], "engine 'tea_leaves' is unknown; signal_routing_config.engines has time_series"),
        (["--engine", "timeseries"], "did you mean 'time_series'?"),
        (["--engine", "time_series", "--engine", "time_series"], "named twice"),
        (["--engine", "language_model"], "a language model has read what came after"),
        (["--engine", "time_series", "--targets", "prices.csv"], "engines and targets are both given"),
    ],
)
def test_a_name_that_cannot_run_is_refused(pmx_command, prices, tmp_path, words, said):
    ran = pmx_command("backtest", "--prices", "prices.csv", "--out", "run", *words)
    assert ran.exit_code != 0
    assert said in " ".join(ran.stderr.split())
    assert not (tmp_path / "run").exists()


OWN = """
import pmx

class Bull:
    source = "ml_secondary"
    def signals(self, prices):
        return [pmx.Signal(symbol, 1, 1.0, 0.5, 0.6, self.source) for symbol in prices]

class Told(Bull):
    def __init__(self, policy, symbols, edge=0.5):
        assert policy.safe_floor == 0.8 and symbols == ["SP500"]

class Wild(Bull):
    def __init__(self, x, y, z):
        pass

class Swapped(Bull):
    def __init__(self, symbols, /, *, policy):
        assert policy.safe_floor == 0.8 and symbols == ["SP500"]

class Strange(Bull):
    def __init__(self, window, threshold):
        pass

class Resort:
    source = "llm_fallback"
    def signals_for(self, prices, symbols):
        return []

class Breaking(Bull):
    def signals(self, prices):
        return 1 / 0

def broken():
    raise RuntimeError("no licence")

def nobody():
    return object()

def leaving():
    raise SystemExit(0)

made = Bull()
resort = Resort()
number = 3
"""


@pytest.mark.parametrize("name", ["Bull", "Told", "Swapped", "made"])
def test_an_engine_of_ones_own_runs_from_the_working_directory(pmx_command, prices, tmp_path, monkeypatch, name):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "my_engines.py").write_text(OWN, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "my_engines", raising=False)
    words = ["--engine", f"my_engines:{name}", "--set", "barbell.safe_bucket.min_weight=0.8"]
    ran = pmx_command("backtest", "--prices", "prices.csv", "--out", "run", *words)
    assert ran.exit_code == 0, ran.stderr
    assert len(pd.read_csv(tmp_path / "run" / "trades.csv")) > 0
    signals = pd.read_csv(tmp_path / "run" / "signals.csv")
    assert len(signals) == len(prices)
    assert list(signals.loc[0].drop("date")) == ["SP500", "ml_secondary", 1, 0.5, 1.0, 0.6, "ml_secondary", True, "buy"]


def test_no_trade_has_a_reason(pmx_command, prices, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "my_engines.py").write_text(OWN, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "my_engines", raising=False)

    def said(*words):
        ran = pmx_command("backtest", "--prices", "prices.csv", "--out", "run", "--force", *words)
        assert ran.exit_code == 0
        return " ".join(ran.stderr.split())

    assert "no engine gave a signal (pmx signals says why not)" in said("--engine", "machine_learning")
    high = ["--engine", "my_engines:Bull", "--set", "signal_routing_config.sources.ml_secondary.min_edge=0.7"]
    assert "220 signals were given and none was kept, most often because: edge < min_edge 0.7" in said(*high)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:Bull", "'no_such_module' cannot be imported (ModuleNotFoundError"),
        ("my_engines:Bear", "my_engines has no 'Bear'; it is {folder}/my_engines.py; write package.module:Name"),
        ("my_engines:", "my_engines has no 'empty name'"),
        (":Bull", "cannot be imported (ValueError: Empty module name)"),
        ("my_engines:number", "names a int in {folder}/my_engines.py; name a class, a function or an engine"),
        ("my_engines:Wild", "needs 'x' and 'y' and 'z', which nobody gives; an engine is made with nothing, or with"),
        ("my_engines:Strange", "in {folder}/my_engines.py needs 'window' and 'threshold', which nobody gives"),
        ("my_engines:leaving", "makes no engine (SystemExit: 0); see {folder}/my_engines.py"),
        ("leaves:Bull", "'leaves' cannot be imported (SystemExit)"),
        ("json:Bull", "json has no 'Bull'; it is {installed}"),
        ("my_engines:Resort", "engine 'llm_fallback' may only be asked about the present"),
        ("my_engines:resort", "engine 'llm_fallback' may only be asked about the present"),
        ("my_engines:broken", "makes no engine (RuntimeError: no licence)"),
        ("my_engines:nobody", "engine a object has no method signals(prices)"),
        ("bad:Bull", "'bad' cannot be imported (SyntaxError"),
    ],
)
def test_what_makes_no_engine_is_refused(pmx_command, prices, tmp_path, monkeypatch, name, said):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "my_engines.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "bad.py").write_text("def", encoding="utf-8")
    (tmp_path / "leaves.py").write_text("import sys; sys.exit()", encoding="utf-8")
    (tmp_path / "json.py").write_text(OWN, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "my_engines", raising=False)
    said = said.format(folder=tmp_path, installed=json.__file__)
    ran = pmx_command("backtest", "--prices", "prices.csv", "--out", "run", "--engine", name)
    assert ran.exit_code == 2
    assert said in " ".join(ran.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [[], ["--set", "barbell.enable_barbell_validation=true"]])
def test_what_ones_own_engine_raises_is_not_called_a_defect_of_pmx(pmx_command, prices, tmp_path, monkeypatch, more):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "my_engines.py").write_text(OWN, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "my_engines", raising=False)
    ran = pmx_command("signals", "--prices", "prices.csv", "--engine", "my_engines:Breaking", *more)
    assert ran.exit_code == 1
    assert ran.stderr.splitlines() == [
        "unexpected failure: ZeroDivisionError: division by zero",
        "  raised by the engine 'ml_secondary' (Breaking)",
        "PMX_TRACEBACK=1 shows where it came from.",
    ]


@pytest.mark.parametrize("name", ["Resort", "resort"])
def test_an_engine_of_last_resort_is_asked_about_today(pmx_command, prices, tmp_path, monkeypatch, name):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "my_engines.py").write_text(OWN, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "my_engines", raising=False)
    on = ["--set", "signal_routing_config.enable_llm_fallback=true", "--format", "json"]
    ran = pmx_command("signals", "--prices", "prices.csv", "--engine", f"my_engines:{name}", *on)
    assert ran.exit_code == 0, ran.stderr
    (row,) = json.loads(ran.stdout)["signals"]
    assert (row["source"], row["why"]) == ("llm_fallback", "no signal")
