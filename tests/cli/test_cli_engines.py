"""Engines by name on the command line."""

import json

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
