import csv
import io
import json

import pandas as pd
import pytest

import pmx


def weights_of(text):
    return {row["symbol"]: float(row["weight"]) for row in csv.DictReader(io.StringIO(text))}


def test_csv_is_what_the_library_says(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--format", "csv")
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["note"]
    expected = pmx.project_to_feasible({"SP500": 0.3, "NASDAQ": 0.2, "BIL": 0.25}, pmx.load_policy())
    assert weights_of(result.stdout) == expected.weights.to_dict()


def test_the_table_shows_weights_rules_and_certificate(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes)
    assert result.exit_code == 0
    for text in ("symbol.SP500.cap", "≤ 10.00%", "barbell.yml:", "Status: optimal", "of NAV from the exact optimum"):
        assert text in result.stdout


def test_json_holds_everything(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--format", "json", "--explain")
    answer = json.loads(result.stdout)
    assert sum(answer["weights"].values()) == pytest.approx(1.0, abs=1e-12)
    assert answer["status"] == "optimal"
    assert answer["certificate"]["accepted"] is True
    assert answer["safe_weight"] >= answer["safe_floor"] == 0.7
    assert answer["policy"] == pmx.load_policy().fingerprint
    assert answer["explanation"][0].startswith("Every rule holds")
    rules = {rule["name"]: rule for rule in answer["rules"]}
    assert rules["symbol.SP500.cap"]["hard"] is True
    for position in answer["positions"]:
        assert position["target"] + sum(position["moves"].values()) == pytest.approx(position["weight"], abs=1e-12)


def test_what_it_writes_it_reads(pmx_command, wishes, tmp_path):
    assert pmx_command("solve", "--weights", wishes, "--out", "answer.csv").exit_code == 0
    again = pmx_command("solve", "--weights", "answer.csv", "--previous", "answer.csv", "--format", "csv")
    assert again.exit_code == 0
    assert again.stdout == (tmp_path / "answer.csv").read_text()


def test_the_residual_goes_round_too(pmx_command, wishes, tmp_path):
    residual = ("--set", "risk_buckets.portfolio.residual_symbol=BIL")
    assert pmx_command("solve", "--weights", wishes, *residual, "--out", "answer.csv").exit_code == 0
    text = (tmp_path / "answer.csv").read_text()
    assert "unassigned,BIL," in text
    again = pmx_command("solve", "--weights", "answer.csv", *residual, "--format", "csv")
    assert again.stdout == text


def test_relative_weights_scales_gates_and_holdings_reach_the_solve(pmx_command, tmp_path):
    (tmp_path / "router.csv").write_text("bucket,symbol,weight\nts_core,SP500,0.6\nts_core,WTI,0.4\n")
    (tmp_path / "held.csv").write_text("bucket,symbol,weight\nts_core,NASDAQ,0.05\nts_core,WTI,0.02\n")
    result = pmx_command(
        "solve", "--relative", "--weights", "router.csv", "--previous", "held.csv", "--scale", "ts_core=0.5",
        "--gate", "WTI=exit", "--format", "csv",
    )  # fmt: skip
    wish = pd.Series({("ts_core", "SP500"): 0.6, ("ts_core", "WTI"): 0.4})
    held = pd.Series({("ts_core", "NASDAQ"): 0.05, ("ts_core", "WTI"): 0.02})
    expected = pmx.solve(pmx.load_policy(), wish, previous=held, risk_scale={"ts_core": 0.5}, gated={"WTI": "exit"})
    assert result.exit_code == 0
    assert weights_of(result.stdout) == expected.weights.to_dict()
    assert weights_of(result.stdout)["WTI"] == 0.0


def test_a_gate_without_a_mode_takes_the_policys(pmx_command, tmp_path):
    (tmp_path / "held.csv").write_text("symbol,weight\nSP500,0.05\n")
    (tmp_path / "wish.csv").write_text("symbol,weight\nSP500,0.08\n")
    ask = ("solve", "--weights", "wish.csv", "--previous", "held.csv", "--gate", "SP500", "--format", "csv")
    assert weights_of(pmx_command(*ask).stdout)["SP500"] == pytest.approx(0.05, abs=1e-9)
    assert weights_of(pmx_command(*ask, "--set", "execution.gate_mode=exit").stdout)["SP500"] == 0.0


def test_a_symbol_may_hold_an_equals_sign(pmx_command, tmp_path):
    (tmp_path / "wish.csv").write_text("symbol,weight\nEURUSD=X,0.08\n")
    ask = ("solve", "--weights", "wish.csv", "--previous", "wish.csv", "--format", "csv", "--gate")
    assert weights_of(pmx_command(*ask, "EURUSD=X=exit").stdout)["EURUSD=X"] == 0.0
    assert weights_of(pmx_command(*ask, "EURUSD=X").stdout)["EURUSD=X"] == pytest.approx(0.08, abs=1e-9)


def test_a_covariance_reaches_the_volatility_cap(pmx_command, tmp_path):
    (tmp_path / "wish.csv").write_text("symbol,weight\nSP500,0.10\nWTI,0.10\n")
    (tmp_path / "covariance.csv").write_text("symbol,SP500,WTI\nSP500,0.04,0.0\nWTI,0.0,0.16\n")
    cap = ("--set", "risk_buckets.portfolio.volatility_max=0.02")
    result = pmx_command("solve", "--weights", "wish.csv", "--covariance", "covariance.csv", *cap, "--format", "csv")
    weights = weights_of(result.stdout)
    assert (0.04 * weights["SP500"] ** 2 + 0.16 * weights["WTI"] ** 2) ** 0.5 == pytest.approx(0.02, abs=1e-6)
    missing = pmx_command("solve", "--weights", "wish.csv", *cap)
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "no covariance was given" in missing.stderr


def test_switched_off_it_passes_weights_through(pmx_command, tmp_path):
    (tmp_path / "wish.csv").write_text("symbol,weight\nSP500,1.7\nCASH,-0.7\n")
    off = ("--set", "risk_buckets.enabled=false", "--set", "barbell.enable_barbell_allocation=false")
    result = pmx_command("solve", "--weights", "wish.csv", *off, "--format", "csv")
    assert weights_of(result.stdout) == {"SP500": 1.7, "CASH": -0.7}


def test_out_may_be_json_and_is_not_overwritten_by_accident(pmx_command, wishes, tmp_path):
    ask = ("solve", "--weights", wishes, "--out", "deep/answer.json")
    assert pmx_command(*ask).exit_code == 0
    before = (tmp_path / "deep" / "answer.json").read_text()
    assert json.loads(before)["status"] == "optimal"
    refused = pmx_command(*ask, "--set", "barbell.safe_bucket.min_weight=0.9")
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    assert (tmp_path / "deep" / "answer.json").read_text() == before
    assert pmx_command(*ask, "--set", "barbell.safe_bucket.min_weight=0.9", "--force").exit_code == 0
    assert json.loads((tmp_path / "deep" / "answer.json").read_text())["safe_floor"] == 0.9
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["answer.json"]  # no staging left behind


def test_explain_keeps_csv_clean(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--format", "csv", "--explain")
    assert "ts_core/SP500 wanted 30.00%" in result.stderr
    assert result.stdout.splitlines()[0] == "bucket,symbol,weight"
    assert len(result.stdout.splitlines()) == 5


def test_the_picture_is_a_page_of_its_own(pmx_command, wishes, tmp_path):
    result = pmx_command("solve", "--weights", wishes, "--picture", "cuts.html", "--out", "answer.csv")
    assert result.exit_code == 0
    html = (tmp_path / "cuts.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    for text in ("What the rules did: wishes.csv", "symbol.SP500.cap", "SP500 wanted 30.00%"):
        assert text in html
    assert (tmp_path / "answer.csv").exists()


def test_a_picture_is_never_replaced_unasked(pmx_command, wishes, tmp_path):
    (tmp_path / "cuts.html").write_text("mine")
    refused = pmx_command("solve", "--weights", wishes, "--picture", "cuts.html", "--out", "answer.csv")
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    assert (tmp_path / "cuts.html").read_text() == "mine"
    assert not (tmp_path / "answer.csv").exists()
    assert pmx_command("solve", "--weights", wishes, "--picture", "cuts.html", "--force").exit_code == 0
    assert (tmp_path / "cuts.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_picture_is_html(pmx_command, wishes):
    refused = pmx_command("solve", "--weights", wishes, "--picture", "cuts.svg")
    assert refused.exit_code == 2
    assert "--picture cuts.svg: the name must end in .html" in refused.stderr


LIQUID = ("--set", "execution.liquidity.participation=0.1")


def test_volumes_and_nav_reach_the_liquidity_rule(pmx_command, tmp_path):
    (tmp_path / "wish.csv").write_text("symbol,weight\nSP500,0.08\nWTI,0.05\n")
    (tmp_path / "held.csv").write_text("symbol,weight\nSP500,0.02\nWTI,0.05\n")
    (tmp_path / "adv.csv").write_text("symbol,adv\nSP500,200000\nWTI,1e9\n")
    ask = ("solve", "--weights", "wish.csv", "--previous", "held.csv", "--format", "csv", *LIQUID)
    result = pmx_command(*ask, "--adv", "adv.csv", "--nav", "1000000")
    assert result.exit_code == 0
    # A tenth of 200,000 is 2 % of a NAV of 1,000,000.
    assert weights_of(result.stdout)["SP500"] == pytest.approx(0.02 + 0.1 * 200_000 / 1e6, abs=1e-9)
    assert weights_of(result.stdout)["WTI"] == pytest.approx(0.05, abs=1e-9)
    assert "not in this solve" not in result.stderr.lower()


def test_errors_name_options_and_not_arguments(pmx_command, tmp_path):
    (tmp_path / "wish.csv").write_text("symbol,weight\nSP500,0.08\n")
    (tmp_path / "other.csv").write_text("symbol,adv\nWTI,1e9\n")
    ask = ("solve", "--weights", "wish.csv", "--previous", "wish.csv", *LIQUID)
    off = ("--set", "risk_buckets.enabled=false", "--set", "barbell.enable_barbell_allocation=false")
    for more, said in (
        ((), "pass --adv (average daily value traded by symbol) and --nav, or set participation to null"),
        (("--adv", "other.csv"), "--adv needs --nav"),
        (("--adv", "other.csv", "--nav", "-1"), "--nav -1 is not a positive number"),
        (("--adv", "other.csv", "--nav", "1e6"), "--adv of SP500 is nan"),
        (("--adv", "none.csv", "--nav", "1e6"), "none.csv: does not exist"),
        ((*off, "--gate", "SP500=exit"), "--gate would limit nothing"),
        ((*off, "--scale", "ts_core=0.5"), "--scale would scale nothing"),
        ((*off, "--adv", "other.csv", "--nav", "1e6"), "--adv would limit nothing"),
    ):
        result = pmx_command(*ask, *more)
        assert (result.exit_code, result.stdout) == (2, ""), more
        assert said in result.stderr
        assert "adv=" not in result.stderr
        assert "=," not in result.stderr


def test_a_symbol_of_no_bucket_is_placed_in_the_file(pmx_command, tmp_path):
    (tmp_path / "wish.csv").write_text("symbol,weight\nXYZ,0.08\n")
    result = pmx_command("solve", "--weights", "wish.csv", "--set", "risk_buckets.default_bucket=null")
    assert result.exit_code == 2
    assert "or name its bucket in the file (columns bucket,symbol,weight)" in result.stderr


def test_volumes_that_no_rule_reads_are_warned_of_by_their_option(pmx_command, tmp_path, wishes):
    (tmp_path / "adv.csv").write_text("symbol,adv\nSP500,1e9\n")
    result = pmx_command("solve", "--weights", wishes, "--adv", "adv.csv", "--nav", "1e6")
    assert result.exit_code == 0
    assert result.stderr.count("warning: --adv has no effect") == 1


def test_without_holdings_it_says_once_which_rules_are_missing(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--format", "json")
    note = "note: Not in this solve: turnover.max. Rules on trades need to know what is held (--previous FILE)."
    assert [line for line in result.stderr.splitlines() if "Not in this solve" in line] == [note]
    assert json.loads(result.stdout)["not_in_this_solve"] == ["turnover.max"]


def test_a_pinned_symbol_that_is_absent_is_named_after_the_table(pmx_command, wishes):
    rule = "risk_buckets.custom_rules={gold: {symbols: {GLD: 1.0}, min: 0.05}}"
    result = pmx_command("solve", "--weights", wishes, "--set", rule)
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("custom.gold counts GLD, which is not in this solve: give it with")


def test_the_page_says_when_under_which_policy_and_of_how_much(pmx_command, wishes, tmp_path):
    result = pmx_command(
        "solve", "--weights", wishes, "--picture", "cuts.html", "--nav", "2500000", "--date", "2026-03-05"
    )
    assert result.exit_code == 0
    html = (tmp_path / "cuts.html").read_text(encoding="utf-8")
    policy = pmx.load_policy()
    assert "Decision of 05 March 2026, NAV 2,500,000.00 USD." in html
    assert f"Policy: {policy.origin}. Fingerprint {policy.fingerprint}." in html
