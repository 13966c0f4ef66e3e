"""The forecast report on the terminal: what became of confidence, where any was stated."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.monitoring import confidence_table, forecast_report

ENGINE = "signal_routing_config.engines.time_series."
CHANGES = {
    ENGINE + "min_observations": 60,
    ENGINE + "window": 100,
    ENGINE + "horizon": 1,
    ENGINE + "evidence": 0.0,
    "signal_routing_config.calibration.min_outcomes": 50,
}


@pytest.fixture
def prices(tmp_path):
    rng = np.random.default_rng(0)
    moves = np.zeros(260)
    for bar in range(1, 260):
        moves[bar] = -0.6 * moves[bar - 1] + rng.normal(0.0, 0.01)
    dates = pd.bdate_range("2020-01-01", periods=260, name="date")
    table = pd.DataFrame({"SP500": 100.0 * np.exp(np.cumsum(moves))}, index=dates)
    table.to_csv(tmp_path / "prices.csv")
    return table


def said(pmx_command, changes):
    members = ["--set", f'{ENGINE}members=["ar_garch"]']
    sets = [word for key, value in (CHANGES | changes).items() for word in ("--set", f"{key}={value}")]
    ran = pmx_command("forecast-report", "--prices", "prices.csv", *members, *sets)
    assert ran.exit_code == 0, ran.stderr
    return " ".join(ran.stdout.split())


@pytest.mark.parametrize("method", ["none", "platt"])
def test_the_brier_score_stands_on_the_terminal(pmx_command, prices, method):
    on = {"signal_routing_config.calibration.method": method}
    policy = pmx.load_policy().override(CHANGES | on | {ENGINE + "members": ["ar_garch"]})
    table = confidence_table(forecast_report(prices, policy))
    assert list(table.index) == ["as stated"] + ["calibrated"] * (method == "platt")
    words = said(pmx_command, on)
    assert "Confidence of BUYs and SELLs" in words
    for name, row in table.iterrows():
        assert f"{name} {' '.join(row)}" in words
    assert "picture" not in words


def test_where_no_side_was_taken_no_score_is_spoken_of(pmx_command, prices):
    words = said(pmx_command, {ENGINE + "round_trip_cost_bps": 5000})
    assert "No BUY or SELL was given, so that there is no confidence to score." in words
    assert "Brier" not in words
