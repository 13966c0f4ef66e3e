"""The forecast report against its parts, on simulated prices whose truth is known."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError
from pmx.monitoring import forecast_report, forecast_report_html, forecast_table, forecasts_frame
from pmx.signals.scoring import crps, diebold_mariano

ENGINE = "signal_routing_config.engines.time_series."
POLICY = pmx.load_policy().override(
    {ENGINE + "horizon": 1, ENGINE + "window": 300, ENGINE + "min_observations": 250, ENGINE + "refit_every": 63}
)


def simulated(days=900):
    rng = np.random.default_rng(3)
    returns = np.zeros((days, 2))
    for day in range(1, days):
        returns[day] = np.array([0.4, 0.0]) * returns[day - 1] + rng.normal(0.0, 0.01, 2)
    prices = pd.DataFrame(
        100 * np.exp(returns.cumsum(axis=0)), pd.bdate_range("2015-01-01", periods=days, name="date"), ["LEAN", "NOISE"]
    )
    prices.iloc[400:403, 1] = np.nan
    return prices


@pytest.fixture(scope="module")
def report():
    return forecast_report(simulated(), POLICY)


def test_a_planted_lean_is_found_and_noise_is_not(report):
    lean, noise = report.table.loc["LEAN"], report.table.loc["NOISE"]
    assert lean["crps_ratio"] < 0.97
    assert lean["crps_p"] < 0.01
    assert lean["rmse_p"] < 0.01
    assert lean["directional_accuracy"] > 0.58
    assert lean["log_score_gain"] > 0.02
    assert noise["rmse_ratio"] > 0.98
    assert 0.44 < noise["directional_accuracy"] < 0.56
    assert 0.86 < report.table.loc["all", "coverage"] < 0.94
    assert (report.table["seconds"] > 0).all()


def test_the_table_is_what_the_forecasts_say(report):
    rows = forecasts_frame(report)
    mine = rows[(rows["symbol"] == "LEAN") & (rows["model"] == "time_series_core")]
    walk = rows[(rows["symbol"] == "LEAN") & (rows["model"] == "random walk")]
    assert len(mine) == len(walk) == report.table.loc["LEAN", "forecasts"]
    scores = crps(mine["outcome"], mine["mean"], mine["volatility"])
    assert report.table.loc["LEAN", "crps"] == pytest.approx(scores.mean())
    test = diebold_mariano(scores, crps(walk["outcome"], walk["mean"], walk["volatility"]))
    assert report.table.loc["LEAN", "crps_p"] == pytest.approx(test.p_value, rel=1e-6)
    prices = simulated()["LEAN"]
    at = prices.index.get_indexer(mine["date"])
    assert mine["outcome"].to_numpy() == pytest.approx(np.log(prices.to_numpy()[at + 1] / prices.to_numpy()[at]))
    inside = (mine["pit"] - 0.5).abs() <= 0.45
    assert report.table.loc["LEAN", "coverage"] == pytest.approx(inside.mean())
    assert report.table.loc["LEAN", "up"] == pytest.approx((mine["outcome"] > 0).mean())
    assert report.table.loc["all", "forecasts"] == report.table["forecasts"].iloc[:-1].sum()


def test_the_page_and_the_text_show_it(report):
    text = forecast_table(report)
    assert text.loc["LEAN", "p"] == "< 0.001"
    assert text.loc["all", "p"] == "–"
    page = forecast_report_html(report, "Forecasts of <closes>")
    assert "Forecasts of &lt;closes&gt;" in page
    for words in ('id="pit"', 'id="reliability"', "always up", "no promise", "Harvey, Leybourne"):
        assert words in page
    assert "http" not in page.split("<body>")[1].replace("http://www.w3.org", "")


def test_too_short_a_history_is_refused():
    with pytest.raises(DataError, match=r"250 returns \(min_observations\)"):
        forecast_report(simulated(200), POLICY)
