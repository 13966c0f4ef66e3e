"""The forecast report against its parts, on simulated prices whose truth is known."""

import math
import re

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError
from pmx.execution import default_engines
from pmx.monitoring import (
    confidence_table,
    confidence_words,
    forecast_report,
    forecast_report_html,
    forecast_table,
    forecasts_frame,
)
from pmx.monitoring.forecast_confidence import reliability_curves
from pmx.monitoring.forecast_page import _key_figures, count
from pmx.monitoring.forecast_pictures import pit_picture, reliability_picture
from pmx.monitoring.forecast_report import ForecastReport, _scores
from pmx.signals.scoring import Forecasts, crps, diebold_mariano, reliability_table

ENGINE = "signal_routing_config.engines.time_series."
POLICY = pmx.load_policy().override(
    {
        ENGINE + "members": ["ar_garch"],
        ENGINE + "evidence": 0.0,
        ENGINE + "horizon": 1,
        ENGINE + "window": 300,
        ENGINE + "min_observations": 250,
        ENGINE + "refit_every": 63,
    }
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
    assert report.seconds > 0
    assert (report.calibration, report.left_out) == ("none", ())


def test_the_table_is_what_the_forecasts_say(report):
    rows = forecasts_frame(report)
    mine = rows[(rows["symbol"] == "LEAN") & (rows["source"] == "time_series_core")]
    walk = rows[(rows["symbol"] == "LEAN") & (rows["source"] == "random walk")]
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
    own = (mine["low_90"] <= mine["outcome"]) & (mine["outcome"] <= mine["high_90"])
    assert report.table.loc["LEAN", "interval_coverage"] == pytest.approx(own.mean())
    assert (set(walk["model"]), set(rows["horizon"])) == ({"random walk"}, {1})
    engine = default_engines(POLICY, ["LEAN", "NOISE"])[0]
    engine.signals(simulated().loc[: mine["date"].iloc[-1]])
    own = engine.forecasts["LEAN"].forecast
    assert mine["model"].iloc[-1] == f"{own.model} ({own.variance_model})"
    assert set(mine["model"]) <= {"ar_garch (GARCH)", "ar_garch (EWMA)"}


def test_the_page_and_the_text_show_it(report):
    text = forecast_table(report)
    assert text.loc["LEAN", "p"] == "< 0.001"
    assert text.loc["all", "p"] == "–"
    page = forecast_report_html(report, "Forecasts of <closes>")
    assert "Forecasts of &lt;closes&gt;" in page
    for words in ("density</text>", "share of right signs</text>", "always up", "no promise", "Harvey, Leybourne",
                  "forecasts of 1 bar, one every row", "calibration.method: none"):  # fmt: skip
        assert words in page
    assert "http" not in page.split("<body>")[1].replace("http://www.w3.org", "")
    assert len(page) < 100_000


def test_too_short_a_history_is_refused():
    with pytest.raises(DataError, match=r"250 returns \(min_observations\)"):
        forecast_report(simulated(200), POLICY)


# -- shares of few, ratios of next to nothing ------------------------------------------------------------


def forecasts(symbol, mean, volatility=1.0, confidence=math.nan, interval=None):
    """Forecasts of outcomes that run from −1 to 1."""
    n = len(mean)
    return Forecasts(
        model="time_series_core", symbol=symbol, dates=pd.bdate_range("2020-01-01", periods=n),
        mean=np.asarray(mean, dtype=float), volatility=np.full(n, volatility), degrees_of_freedom=np.full(n, np.inf),
        outcome=np.linspace(-1.0, 1.0, n), confidence=np.full(n, confidence), overlap=1, seconds=1.0,
        interval=interval, made_by=("mine",) * n,
    )  # fmt: skip


def made(engine, calibration="none"):
    """A report on forecasts made by hand, beside a random walk of volatility 1."""
    baseline = {symbol: forecasts(symbol, np.zeros(len(walk))) for symbol, walk in engine.items()}
    return ForecastReport(engine, baseline, 1, 1, _scores(engine, baseline), calibration, 1.0, ())


def test_who_takes_no_side_is_right_of_none():
    """One symbol right each time, one right once of four, two that take no side: right 51 of 54."""
    y = np.linspace(-1.0, 1.0, 50)
    few = np.zeros(50)
    few[:4] = [1.0, 1.0, 1.0, -1.0]
    report = made({"A": forecasts("A", np.sign(y)), "B": forecasts("B", np.zeros(50)),
                   "C": forecasts("C", few), "D": forecasts("D", np.zeros(50))})  # fmt: skip
    assert report.table["signed"].tolist() == [50, 0, 4, 0, 54]
    assert report.table.loc["all", "directional_accuracy"] == pytest.approx(51 / 54)
    assert np.isnan(report.table.loc["B", "directional_accuracy"])
    assert forecast_table(report)["sign"].tolist() == ["100.0%", "–", "25.0% of 4", "–", "94.4% of 54"]
    assert "94.4% of 54" in [figure for figure, *_ in _key_figures(report)]
    assert not (forecast_table(report) == "nan%").any(axis=None)


def test_a_report_on_who_never_takes_a_side():
    report = made({"A": forecasts("A", np.zeros(30), confidence=0.5)})
    assert forecast_table(report)["sign"].tolist() == ["–", "–"]
    assert forecast_table(report)["in 90 %"].tolist() == ["–", "–"]
    assert reliability_curves(report) == {}
    assert len(confidence_table(report)) == 0
    assert confidence_words(report) == "No BUY or SELL was given, so that there is no confidence to score."
    page = forecast_report_html(report)
    assert "density</text>" in page
    assert "share of right signs</text>" not in page
    assert "nan" not in page


def test_a_symbol_counts_as_better_where_the_table_shows_it():
    report = made({"A": forecasts("A", np.zeros(50), volatility=0.9999), "B": forecasts("B", np.zeros(50), 0.9)})
    assert 0.9995 < report.table.loc["A", "crps_ratio"] < 1.0
    assert forecast_table(report).loc["A", "÷ RW"] == "1.000"
    assert next(label for figure, label, _ in _key_figures(report) if figure == "1 of 2").startswith("symbols with a")
    ratios = report.table["crps_ratio"]
    assert ratios["all"] == pytest.approx(math.sqrt(ratios["A"] * ratios["B"]))


def test_the_engines_own_interval_is_reported_beside_that_of_its_distribution():
    half = np.full((50, 2), [-0.5, 0.5])
    half[:10] = math.nan  # where it gave none, nothing is counted
    report = made({"A": forecasts("A", np.zeros(50), interval=half)})
    outcome = np.linspace(-1.0, 1.0, 50)[10:]
    assert report.table.loc["A", "interval_coverage"] == pytest.approx((abs(outcome) <= 0.5).mean())
    assert report.table.loc["A", "coverage"] == 1.0
    figure, _, kind = next(iter(_key_figures(report)))
    assert (figure, kind) == ("60.0%", "bad")


@pytest.mark.parametrize(("inside", "n", "kind"), [(27, 30, "good"), (24, 30, ""), (20, 30, "bad"), (480, 600, "bad")])
def test_a_coverage_is_called_bad_where_chance_would_not_do_it(inside, n, kind):
    ends = np.full((n, 2), [-2.0, 2.0])
    ends[inside:] = [5.0, 6.0]
    assert next(iter(_key_figures(made({"A": forecasts("A", np.zeros(n), interval=ends)}))))[2] == kind


def test_numbers_agree_with_their_nouns():
    assert [count(1, "bar"), count(10, "bar"), count(1500, "forecast")] == ["1 bar", "10 bars", "1,500 forecasts"]


# -- pictures --------------------------------------------------------------------------------------------


def test_the_pictures_say_what_they_are_made_of():
    rng = np.random.default_rng(0)
    engine = np.concatenate([rng.random(500), np.full(500, 0.01)])
    picture = pit_picture(engine, rng.random(1000))
    first = (engine < 0.05).mean()
    assert f"0.00 to 0.05: {first:.1%} of the outcomes" in picture
    assert picture.count("<title>") == 20
    stated = rng.uniform(0.5, 0.9, 2000)
    right = rng.random(2000) < 0.5
    tables = {"as stated": reliability_table(stated, right), "calibrated": reliability_table(np.full(2000, 0.5), right)}
    picture = reliability_picture(tables)
    for row in tables["as stated"].itertuples():
        assert f"as stated {row.stated:.3f}, right {row.right:.1%} of 200" in picture
    assert f"calibrated 0.500, right {right.mean():.1%} of 2,000" in picture
    assert picture.count("<circle") == 11
    numbers = [float(x) for x in re.findall(r'c[xy]="([-0-9.]+)"', picture)]
    assert min(numbers) >= 0.0
    assert max(numbers) <= 520.0


# -- calibration -----------------------------------------------------------------------------------------

CALIBRATION = "signal_routing_config.calibration."


@pytest.fixture(scope="module")
def calibrated():
    on = {CALIBRATION + "method": "platt", CALIBRATION + "min_outcomes": 60, CALIBRATION + "refit_every": 20}
    return forecast_report(simulated(), POLICY.override(on))


def test_calibrated_confidence_stands_beside_the_stated_one(report, calibrated):
    plain, mine = (forecasts_frame(r).query("source == 'time_series_core'") for r in (report, calibrated))
    assert mine["confidence"].to_numpy().tobytes() == plain["confidence"].to_numpy().tobytes()
    assert plain["calibrated_confidence"].isna().all()
    told = mine["calibrated_confidence"].notna()
    assert 200 < told.sum() < len(mine)
    first = mine.loc[told, "date"].min()
    assert first > mine["date"].min()
    curves = reliability_curves(calibrated)
    assert list(curves) == ["as stated", "calibrated"]
    assert curves["as stated"]["statements"].sum() == curves["calibrated"]["statements"].sum()
    known = mine[told & (mine["direction"] != 0) & (mine["outcome"] != 0)]
    right = known["direction"] * known["outcome"] > 0
    brier = ((known["calibrated_confidence"] - right) ** 2).mean()
    assert confidence_table(calibrated).loc["calibrated", "Brier score"] == f"{brier:.4f}"
    assert confidence_table(calibrated).loc["as stated", "statements"] == f"{len(known):,}"
    assert f"{len(known):,} came after the first map" in confidence_words(calibrated)
    page = forecast_report_html(calibrated)
    assert "calibrated 0." in page
    assert "method: platt" in page


def test_calibration_that_never_began_is_said_so():
    never = {CALIBRATION + "method": "platt", CALIBRATION + "min_outcomes": 500}
    report = forecast_report(simulated(500), POLICY.override(never))
    assert list(reliability_curves(report)) == ["as stated"]
    assert "nothing was calibrated" in confidence_words(report)


def test_a_symbol_with_too_few_forecasts_is_left_out_by_name():
    prices = simulated()
    prices["YOUNG"] = prices["LEAN"].where(np.arange(len(prices)) >= len(prices) - 255)
    report = forecast_report(prices, POLICY)
    assert report.left_out == ("YOUNG",)
    assert "Left out, for want of forecasts to score: YOUNG." in forecast_report_html(report)
