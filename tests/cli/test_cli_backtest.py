import json
import re

import pandas as pd
import pytest
from zoo.journals import lines_of

import pmx
from pmx.cli.backtest import FILES
from pmx.verify import verify


@pytest.fixture
def ran(pmx_command, targets, tmp_path):
    rate = pd.Series(0.0001, index=pd.DatetimeIndex(["2019-12-31"], name="date"), name="rate")
    rate.to_csv(tmp_path / "rate.csv")
    return pmx_command(
        "backtest", "--prices", "closes.csv", "--targets", "targets.csv", "--cash-rate", "rate.csv", "--cost-bps", 5,
        "--initial-nav", 5000, "--trade-at", "close", "--start", "2020-01-03", "--end", "2020-01-31", "--out", "run",
    )  # fmt: skip


def test_the_files_are_what_the_library_says(ran, closes, targets, tmp_path):
    assert ran.exit_code == 0
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == sorted(FILES)
    columns = pd.MultiIndex.from_tuples([("ts_core", "SP500"), ("ts_core", "WTI")])
    expected = pmx.backtest(
        closes,
        pmx.load_policy(),
        targets=targets.set_axis(columns, axis=1),
        cash_rate=pd.Series([0.0001], index=pd.DatetimeIndex(["2019-12-31"])),
        costs=0.0005,
        initial_nav=5000,
        trade_at="close",
        start="2020-01-03",
        end="2020-01-31",
    )
    nav = pd.read_csv(tmp_path / "run" / "nav.csv", index_col="date", parse_dates=True)
    assert nav["nav"].to_numpy() == pytest.approx(expected.nav.to_numpy(), rel=1e-12)
    assert (nav.index[0], nav["nav"].iloc[0]) == (pd.Timestamp("2020-01-02"), 5000.0)  # the opening NAV
    assert nav["interest"].iloc[2:].gt(0).all()
    assert (nav["safe_weight"].iloc[1:] >= 0.7).all()
    held = nav["safe_weight_held"].iloc[1:]
    assert held.to_numpy() == pytest.approx(expected.safe_weight_held.to_numpy(), abs=1e-12)
    breaches = pd.read_csv(tmp_path / "run" / "breaches.csv")
    assert list(breaches.columns) == list(expected.breaches.columns)
    assert breaches["worst_excess"].to_numpy() == pytest.approx(expected.breaches["worst_excess"].to_numpy(), abs=1e-12)
    assert breaches["cause"].tolist() == expected.breaches["cause"].tolist() != []
    weights = pd.read_csv(tmp_path / "run" / "weights.csv", index_col="date", parse_dates=True)
    assert weights.to_numpy() == pytest.approx(expected.weights.to_numpy(), abs=1e-12)
    assert weights.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-12)
    positions = pd.read_csv(tmp_path / "run" / "positions.csv", index_col="date", parse_dates=True)
    assert [tuple(name.split("/", 1)) for name in positions.columns] == expected.positions.columns.tolist()
    assert positions.to_numpy() == pytest.approx(expected.positions.to_numpy(), rel=1e-12)
    assert positions.index.tolist() == expected.positions.index.tolist()
    trades = pd.read_csv(tmp_path / "run" / "trades.csv")
    assert trades["cost"].sum() == pytest.approx(expected.trades["cost"].sum())
    assert trades["cost"].sum() == pytest.approx(0.0005 * trades["value"].abs().sum())
    rules = pd.read_csv(tmp_path / "run" / "rules.csv", index_col="rule")
    assert list(rules.index) == list(expected.rules.index)
    earned = pd.read_csv(tmp_path / "run" / "contributions.csv", index_col="date", parse_dates=True)
    assert list(earned.columns) == list(expected.contributions.columns)
    assert earned.to_numpy() == pytest.approx(expected.contributions.to_numpy(), abs=1e-12)


def test_the_metrics_are_complete(ran, tmp_path):
    content = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (content["start"], content["end"], content["closes"]) == ("2020-01-03", "2020-01-31", 21)
    assert content["initial_nav"] == 5000
    nav = pd.read_csv(tmp_path / "run" / "nav.csv")["nav"]
    assert content["metrics"]["total_return"] == pytest.approx(nav.iloc[-1] / nav.iloc[0] - 1.0, abs=1e-12)
    assert content["final_nav"] == pytest.approx(nav.iloc[-1])
    assert content["lowest_safe_weight_held"] == content["metrics"]["lowest_safe_weight_held"]
    assert {line["rule"] for line in content["held_outside"]} == set(
        pd.read_csv(tmp_path / "run" / "breaches.csv")["rule"]
    )
    assert content["metrics"]["periods_per_year"] == 252.0
    assert sum(content["decisions"].values()) == 21
    assert content["lowest_safe_weight"] >= content["safe_floor"] == 0.7
    assert content["largest_distance_bound"] <= 1e-6


def test_the_metrics_are_printed(ran):
    assert "Maximum drawdown" in ran.stdout
    assert re.search(r"rule +days binding +mean price +saved +cost +contribution", ran.stdout)
    assert re.search(r"symbol\.WTI\.cap +\d+ of 21 .*%", ran.stdout)
    assert "≥ 0.7000, on 2020-01-" in ran.stdout
    assert re.search(r"Lowest safe weight held: 0\.\d{4} [≥<] 0\.7000", ran.stdout)
    assert re.search(r"rule +kind +cause +spells +closes +worst excess", ran.stdout)
    assert "Written to run" in ran.stdout


def test_the_report_is_a_page(ran, tmp_path):
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    assert "Backtest of closes.csv" in html


def test_a_run_is_not_overwritten_by_accident(ran, pmx_command, tmp_path):
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    ask = ("backtest", "--prices", "closes.csv", "--targets", "targets.csv", "--out", "run")
    refused = pmx_command(*ask)
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before
    assert pmx_command(*ask, "--force").exit_code == 0
    assert (tmp_path / "run" / "nav.csv").read_bytes() != before["nav.csv"]


def test_a_failed_run_writes_nothing(pmx_command, targets, tmp_path):
    result = pmx_command(
        "backtest", "--prices", "closes.csv", "--targets", "targets.csv", "--out", "run",
        "--set", "risk_buckets.custom_rules={own: {symbols: {WTI: 1.0}, min: 0.2}}",
    )  # fmt: skip
    assert result.exit_code == 3
    assert "while deciding at the close of 2020-01-01" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_file_that_cannot_be_read_leaves_a_line_in_the_journal(pmx_command, closes, tmp_path):
    (tmp_path / "bad.csv").write_text("date,SP500\n2020-01-01,much\n", encoding="utf-8")
    bad = {"prices": ["--prices", "bad.csv"], "targets": ["--prices", "closes.csv", "--targets", "bad.csv"]}
    for name, files in bad.items():
        journal = tmp_path / f"{name}.jsonl"
        result = pmx_command("backtest", *files, "--out", "run", "--journal", str(journal))
        assert result.exit_code != 0
        (refusal,) = (line for line in lines_of(journal) if line["record"] == "refusal")
        assert (refusal["kind"], "bad.csv" in refusal["message"]) == ("DataError", True)
        assert verify(journal).accepted


def test_a_history_too_short_for_signals_is_said(pmx_command, closes):
    result = pmx_command("backtest", "--prices", "closes.csv", "--out", "run")
    assert result.exit_code == 0
    assert "Nothing was traded" in result.stderr


def test_periods_per_year_are_the_policys(pmx_command, targets, tmp_path):
    result = pmx_command(
        "backtest", "--prices", "closes.csv", "--targets", "targets.csv", "--out", "run",
        "--set", "risk_scaler.volatility.periods_per_year=52",
    )  # fmt: skip
    assert result.exit_code == 0
    said = [line for line in result.stderr.splitlines() if "periods_per_year" in line]
    assert len(said) == 1
    assert said[0].startswith(
        "warning: risk_scaler.volatility.periods_per_year (override) is 52, and the dates have about"
    )
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]["periods_per_year"] == 52.0


def test_splits_and_dividends_from_files(pmx_command, tmp_path):
    dates = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"]
    (tmp_path / "closes.csv").write_text(
        "date,SP500\n" + "".join(f"{d},{p}\n" for d, p in zip(dates, [100, 100, 25, 24.5], strict=True)), "utf-8"
    )
    (tmp_path / "targets.csv").write_text(f"date,SP500\n{dates[0]},0.1\n", "utf-8")
    (tmp_path / "splits.csv").write_text("date;symbol;ratio\n03.01.2020;SP500;4\n", "utf-8")
    (tmp_path / "dividends.csv").write_text("ex,SP500\n2020-01-06,0.5\n", "utf-8")
    given = ["--prices", "closes.csv", "--targets", "targets.csv", "--cost-bps", "0", "--trade-at", "close"]
    actions = ["--splits", "splits.csv", "--dividends", "dividends.csv"]
    result = pmx_command("backtest", *given, *actions, "--out", "run", "--initial-nav", "1000")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert pd.read_csv(tmp_path / "run" / "nav.csv")["nav"].round(9).tolist() == [1000.0] * 5  # and the opening NAV
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Splits and dividends" in page
    assert "<td>2.00</td>" in page
    rows = pd.read_csv(tmp_path / "run" / "corporate_actions.csv")
    assert rows[["kind", "value", "quantity", "cash"]].to_numpy().tolist() == [
        ["split", 4.0, 1.0, 0.0],
        ["dividend", 0.5, 4.0, 2.0],
    ]
    plain = pmx_command("backtest", *given, "--out", "plain")
    assert "warning: prices: looks like a split that is not adjusted: SP500 on 2020-01-03: 100 to 25" in plain.stderr
    assert not (tmp_path / "plain" / "corporate_actions.csv").exists()


def test_the_schedule_and_its_tolerance_are_options(pmx_command, targets, tmp_path):
    ask = ("backtest", "--prices", "closes.csv", "--targets", "targets.csv")
    assert pmx_command(*ask, "--schedule", "weekly", "--out", "weekly").exit_code == 0
    weekly = pd.read_csv(tmp_path / "weekly" / "weights.csv", parse_dates=["date"])["date"]
    assert not weekly.dt.strftime("%G-%V").duplicated().any()
    assert pmx_command(*ask, "--tolerance", "0.01", "--out", "loose").exit_code == 0
    both = pmx_command(*ask, "--schedule", "daily", "--tolerance", "0.01", "--out", "both")
    assert both.exit_code == 2
    assert "only the schedule on_breach reads it" in " ".join(both.stderr.split())
    assert not (tmp_path / "both").exists()
