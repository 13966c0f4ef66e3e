import json
import xml.etree.ElementTree as ElementTree

import pytest

import pmx
from pmx.monitoring.sequential import LIMITS_ONLY, compare_sequential, random_wishes


def test_wishes_from_a_file_are_what_the_library_compares(pmx_command, wishes):
    result = pmx_command("compare-sequential", "--weights", wishes, "--sweeps", 4, "--format", "json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    expected = compare_sequential(pmx.load_policy(), {"SP500": 0.3, "NASDAQ": 0.2, "BIL": 0.25}, sweeps=4)
    assert answer["portfolios"] == 1
    assert answer["orders_sampled"] is False
    assert [row["works"] for row in answer["summary"]] == expected.summary["works"].tolist()
    assert [row["distance"] for row in answer["outcomes"]] == expected.outcomes["distance"].tolist()
    assert answer["policy"] == pmx.load_policy().fingerprint


def test_random_wishes_of_a_seed(pmx_command):
    arguments = ("compare-sequential", "--portfolios", 3, "--sweeps", 1, "--seed", 7, "--format", "json")
    answer = json.loads(pmx_command(*arguments).stdout)
    policy = pmx.load_policy()
    expected = compare_sequential(policy, random_wishes(policy, 3, seed=7), sweeps=1, seed=7)
    assert answer["wishes"] == "3 random wishes, seed 7"
    assert answer["summary"][0]["mean_lost"] == expected.summary.loc[(LIMITS_ONLY, 1), "mean_lost"]
    assert "outcomes" not in answer
    assert json.loads(pmx_command(*arguments).stdout) == answer


def test_the_tables_show_what_fails_and_which_order_is_best(pmx_command):
    result = pmx_command("compare-sequential", "--portfolios", 4, "--sweeps", 20)
    assert result.exit_code == 0
    for text in (
        "4 random wishes, seed 0: one try for each order of the passes",
        "fully invested, one sweep",
        "fully invested, 20 sweeps",
        "By the number of limits that the wish overruns",
        "barbell.risk.cap",
        "The best order",
        "rescale to 100%",
        "Only cutting, 0% break a rule",
    ):
        assert text in result.stdout
    assert "limits only, 20 sweeps" not in result.stdout  # they change nothing


def test_the_picture_and_the_page(pmx_command, wishes, tmp_path):
    for name in ("seen.svg", "seen.html"):
        ask = ("compare-sequential", "--weights", wishes, "--sweeps", 2, "--out", name)
        assert pmx_command(*ask).exit_code == 0
        again = pmx_command(*ask)
        assert again.exit_code == 2
        assert "exists already" in again.stderr
        assert pmx_command(*ask, "--force").exit_code == 0
    picture = (tmp_path / "seen.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    assert picture in (tmp_path / "seen.html").read_text(encoding="utf-8")


def test_relative_weights_scales_gates_and_holdings_reach_the_comparison(pmx_command, tmp_path):
    (tmp_path / "router.csv").write_text("bucket,symbol,weight\nts_core,SP500,0.6\nts_core,WTI,0.4\n")
    (tmp_path / "held.csv").write_text("bucket,symbol,weight\nts_core,NASDAQ,0.05\nts_core,WTI,0.02\ncash,CASH,0.93\n")
    result = pmx_command(
        "compare-sequential", "--relative", "--weights", "router.csv", "--previous", "held.csv", "--scale",
        "ts_core=0.5", "--gate", "WTI=exit", "--sweeps", "1", "--format", "json",
    )  # fmt: skip
    answer = json.loads(result.stdout)
    first = answer["outcomes"][0]
    assert first["aim"] == LIMITS_ONLY
    for name in ("gates", "bucket limits", "turnover"):
        assert name in first["order"]
    assert {row["aim"] for row in answer["outcomes"]} == {LIMITS_ONLY}  # 15% at risk cannot be all of NAV
    assert "was not tried" in answer["not_rescaled"]


def test_where_no_order_works_json_has_no_best_one(pmx_command, wishes, tmp_path):
    (tmp_path / "full.csv").write_text("symbol,weight\nSHY,0.4\nBIL,0.3\nSP500,0.2\nWTI,0.1\n")
    result = pmx_command("compare-sequential", "--weights", "full.csv", "--sweeps", 1, "--format", "json")
    answer = json.loads(result.stdout)
    assert [(row["best_works"], row["best_order"] is None) for row in answer["summary"]] == [(1.0, False), (0.0, True)]
    assert (answer["not_rescaled"], answer["not_rescaled_portfolios"]) == (None, 0)


def test_the_terminal_says_why_nothing_was_rescaled(pmx_command, wishes):
    result = pmx_command("compare-sequential", "--weights", wishes, "--sweeps", 2)
    assert "Rescaling to 100% was not tried" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "seen.png"), "must end in .svg or .html"),
        (("--relative",), "name it with --weights"),
        (("--gate", "WTI"), "name it with --weights"),
        (("--weights", "wishes.csv", "--portfolios", 3), "leave it or --weights out"),
    ],
)
def test_wrong_usage_is_refused(pmx_command, wishes, arguments, message):
    result = pmx_command("compare-sequential", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
