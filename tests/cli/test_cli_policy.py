"""``pmx policy diff`` on the command line."""

import io
import json

import pandas as pd
import pytest


@pytest.fixture
def two(pmx_command, tmp_path):
    for side in ("a", "b"):
        assert pmx_command("init", side).exit_code == 0
    file = tmp_path / "b" / "barbell.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("commodities: 0.10", "commodities: 0.30"), encoding="utf-8")
    return next(i for i, row in enumerate(text.splitlines(), 1) if "commodities: 0.10" in row)


def test_differences_have_exit_code_1(pmx_command, two):
    result = pmx_command("policy", "diff", "a", "b")
    assert result.exit_code == 1
    words = " ".join(result.stdout.split())
    assert f"loosened 0.1 barbell.yml:{two} 0.3 barbell.yml:{two}" in words
    assert words.endswith("1 loosened.")


def test_the_same_has_exit_code_0(pmx_command, two):
    result = pmx_command("policy", "diff", "a", "shipped")
    assert (result.exit_code, result.stdout) == (0, "The same: a and shipped say the same of every key.\n")
    assert pmx_command("policy", "diff", "a/execution.yml", "b").exit_code == 0
    assert json.loads(pmx_command("policy", "diff", "a", "a", "--format", "json").stdout) == []


def test_formats(pmx_command, two):
    (row,) = json.loads(pmx_command("policy", "diff", "a/barbell.yml", "b/barbell.yml", "--format", "json").stdout)
    assert row == {
        "key": "barbell.market_caps.commodities", "change": "loosened", "before": 0.1, "after": 0.3,
        "before_source": f"a/barbell.yml:{two}", "after_source": f"b/barbell.yml:{two}",
    }  # fmt: skip
    table = pd.read_csv(io.StringIO(pmx_command("policy", "diff", "a", "b", "--format", "csv").stdout))
    assert table.to_dict("records") == [row]


def test_values_are_written_as_in_the_files(pmx_command, two, tmp_path):
    file = tmp_path / "b" / "risk_buckets.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("gross_max: 1.0", "gross_max: null"), encoding="utf-8")
    assert "null" in pmx_command("policy", "diff", "a", "b").stdout.split()


def test_what_cannot_be_read_has_exit_code_2(pmx_command, two):
    result = pmx_command("policy", "diff", "a", "nowhere")
    assert result.exit_code == 2
    assert result.stderr.startswith("policy error: nowhere: ")
    assert pmx_command("policy", "diff", "a").exit_code == 2


def test_help_has_examples_and_exit_codes(pmx_command):
    words = " ".join(pmx_command("policy", "diff", "--help").stdout.split())
    assert "pmx policy diff shipped my_policy --format csv" in words
    assert "0 the same" in words
    assert "diff" in pmx_command("policy", "--help").stdout


def test_two_files_of_different_sections_have_exit_code_2(pmx_command, two):
    result = pmx_command("policy", "diff", "a/barbell.yml", "b/risk_buckets.yml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "name two files of the same section" in result.stderr
