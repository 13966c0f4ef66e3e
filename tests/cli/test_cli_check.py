import json

import numpy as np
import pandas as pd
import pytest

from pmx.linting import CODES
from pmx.policy import load_policy

MARKETS = load_policy().source("barbell.markets")
CLASH = "risk_buckets.custom_rules={own: {symbols: {SP500: 1.0}, min: 0.2}}"
SHADOW = "risk_buckets.buckets.ts_core.max_nav_frac=0.4"
DISAGREE = "barbell.safe_bucket.min_weight=0.75"


@pytest.fixture
def config(pmx_command):
    assert pmx_command("init", "policy").exit_code == 0
    return "policy"


def test_the_shipped_policy_passes_and_says_what_that_covers(pmx_command, config):
    for arguments in ((), (config,), (config, "--strict")):
        result = pmx_command("check", *arguments)
        assert result.exit_code == 0
        assert ": 0 errors, 0 warnings (4 notes with --verbose)" in result.stdout
        assert "The hard rules hold together in every state: scales ts_core 0.25 to 1.25" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", CLASH], 3, "override: error [infeasible-corner] custom.own"),
        (["--set", DISAGREE, "--strict"], 0, "0 errors, 0 warnings"),  # one file, and what was set against it
        (["--set", "barbell.safe_bucket.min_weight=0.6"], 0, "override: warning [shadowed-rule] the safe minimum"),
        (["--set", SHADOW], 0, "override: warning [shadowed-rule] bucket.ts_core.max"),
        (["--set", SHADOW, "--strict"], 2, "override: warning [shadowed-rule]"),
        (["--set", "barbell.safe_bucket.min_weight=70"], 2, "error [policy-error] barbell.safe_bucket.min_weight"),
        (["--verbose"], 0, "info [barbell-gap] barbell.safe.floor"),
        (["--symbols", "AAPL,NGX:A"], 0, f"{MARKETS}: warning [symbol-without-market] no market"),
    ],
)
def test_findings_are_printed_and_decide_the_exit_code(pmx_command, arguments, code, words):
    result = pmx_command("check", *arguments)
    assert result.exit_code == code
    assert words in result.stdout
    assert "Traceback" not in result.stderr
    assert ("The hard rules hold together" in result.stdout) == (
        "infeasible" not in words and "policy-error" not in words
    )


def test_after_errors_the_proof_is_one_fact_beside_them(pmx_command, config, tmp_path):
    file = tmp_path / config / "barbell.yml"
    file.write_text(file.read_text().replace("  min_weight: 0.70", "  min_weight: 0.75"))
    result = pmx_command("check", config)
    assert result.exit_code == 2
    assert "error [files-disagree] the safe minimum is 0.75" in result.stdout
    assert "In spite of the errors above, the hard rules hold together in every state" in result.stdout


def test_a_directory_that_does_not_load_is_a_list_of_findings(pmx_command, config, tmp_path):
    file = tmp_path / config / "barbell.yml"
    lines = file.read_text().splitlines()
    first, second = (
        next(i for i, line in enumerate(lines) if text in line) for text in ("min_weight:", "us_equity: 0.2")
    )
    lines[first], lines[second] = "  min_weight: 70", "  us_equity: high"
    file.write_text("\n".join(lines))
    result = pmx_command("check", config)
    assert result.exit_code == 2
    assert (
        f"policy/barbell.yml:{first + 1}: error [policy-error] barbell.safe_bucket.min_weight: is 70" in result.stdout
    )
    assert f"policy/barbell.yml:{second + 1}: error [policy-error] barbell.market_caps.us_equity" in result.stdout
    assert "policy does not load: 2 problems" in result.stdout
    assert pmx_command("check", "nowhere").exit_code == 2


def test_json_holds_the_corner_and_the_proof(pmx_command):
    result = pmx_command("check", "--set", CLASH, "--format", "json")
    content = json.loads(result.stdout)
    assert result.exit_code == content["exit_code"] == 3
    assert (content["errors"], content["feasible_in_every_state"]) == (1, False)
    (finding,) = content["findings"]
    assert set(finding["rules"]) == {"custom.own", "symbol.SP500.cap"}
    assert finding["relaxation"] == {"custom.own": pytest.approx(0.1)}
    assert finding["corner"]["gates"] == {}
    assert finding["corner"]["scales"] == dict.fromkeys(load_policy().risk_buckets.buckets, 1.0)
    asked = {(row["bucket"], row["symbol"]) for row in finding["corner"]["relative_weights"] if row["weight"] > 0.0}
    assert ("ts_core", "SP500") in asked
    assert {limit["rule"] for limit in finding["proof"]} == set(finding["rules"])


def test_json_of_a_clean_policy_is_empty_unless_notes_are_wanted(pmx_command):
    content = json.loads(pmx_command("check", "--format", "json").stdout)
    assert content["findings"] == []
    assert content["feasible_in_every_state"] is True
    assert content["scales"]["ts_core"] == [0.25, 1.25]
    noted = json.loads(pmx_command("check", "--format", "json", "--verbose").stdout)["findings"]
    assert {finding["severity"] for finding in noted} == {"info"}
    assert {finding["code"] for finding in noted} <= set(CODES)


VOLATILITY, VOLUME = "risk_buckets.portfolio.volatility_max", "execution.liquidity.participation"


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ((f"{VOLATILITY}=0.1",), [VOLATILITY]),
        ((f"{VOLUME}=0.1",), []),
        ((f"{VOLUME}=0.1", "execution.liquidity.hard=true"), [VOLUME]),
        (("barbell.enable_barbell_allocation=false",), ["barbell.enable_barbell_allocation"]),
        (("risk_buckets.enabled=false", f"{VOLATILITY}=0.1"), ["risk_buckets.enabled", VOLATILITY]),
    ],
)
def test_rules_that_the_proof_leaves_out_are_named(pmx_command, settings, left_out):
    arguments = [part for setting in settings for part in ("--set", setting)]
    content = json.loads(pmx_command("check", *arguments, "--format", "json").stdout)
    assert content["left_out"] == left_out
    assert content["feasible_in_every_state"] is (not left_out)
    spoken = " ".join(pmx_command("check", *arguments).stdout.split())
    assert ("The hard rules hold together in every state" in spoken) is (not left_out)
    said = f"The hard rules, except those of {', '.join(left_out)}, which are left out, hold together in every state"
    assert (said in spoken) is bool(left_out)


def test_symbols_come_from_a_file_of_prices(pmx_command, closes):
    content = json.loads(pmx_command("check", "--prices", "closes.csv", "--format", "json").stdout)
    assert {"SP500", "WTI", "BIL"} <= set(content["symbols"])
    assert {finding["code"] for finding in content["findings"]} == {"empty-bucket", "empty-market"}


@pytest.mark.parametrize("symbols", ["", "A,,B"])
def test_an_empty_symbol_is_a_usage_error(pmx_command, symbols):
    result = pmx_command("check", "--symbols", symbols)
    assert result.exit_code == 2
    assert "usage error: --symbols" in result.stderr


def split_closes(folder):
    dates = pd.bdate_range("2020-01-01", periods=40, name="date")
    walk = 100 * np.exp(np.random.default_rng(3).normal(0, 0.01, size=(40, 2)).cumsum(axis=0))
    walk[20:, 0] /= 4
    file = folder / "closes.csv"
    pd.DataFrame(walk, dates, ["SP500", "WTI"]).to_csv(file)
    return file


def test_prices_with_a_split_are_questioned(pmx_command, tmp_path):
    file = split_closes(tmp_path)
    result = pmx_command("check", "--prices", file)
    assert result.exit_code == 0
    assert (
        f"{file}: warning [price-split] looks like a split that is not adjusted: SP500 on 2020-01-29" in result.stdout
    )
    assert "4:1 split\n    remedy: give adjusted prices, or the ratios as splits" in result.stdout
    assert pmx_command("check", "--prices", file, "--strict").exit_code == 2
    [asked] = json.loads(pmx_command("check", "--prices", file, "--format", "json").stdout)["prices"]
    assert asked["kind"] == "split"


def test_a_backtest_of_it_warns_and_its_report_says_so(pmx_command, tmp_path):
    file = split_closes(tmp_path)
    result = pmx_command("backtest", "--prices", file, "--out", "run")
    assert result.exit_code == 0
    assert result.stderr.count("warning: prices: looks like a split that is not adjusted: SP500 on 2020-01-29") == 1
    assert "Prices to check" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
