"""``pmx replay`` on the command line."""

import json

import pandas as pd
import pytest


@pytest.fixture
def journal(pmx_command, tmp_path):
    (tmp_path / "wishes.csv").write_text("symbol,weight\nWTI,0.09\nGLD,0.09\n")
    assert pmx_command("solve", "--weights", "wishes.csv", "--journal", "run.jsonl").exit_code == 0
    return tmp_path / "run.jsonl"


def test_the_same_bits(pmx_command, journal):
    result = pmx_command("replay", "run.jsonl")
    assert result.exit_code == 0
    assert result.stdout.startswith("EQUAL  run.jsonl: 1 the same to the last bit")


def test_another_policy_is_a_difference(pmx_command, journal):
    result = pmx_command("replay", "run.jsonl", "--set", "barbell.market_caps.commodities=0.12")
    assert result.exit_code == 1
    assert result.stdout.startswith("DIFFERS  run.jsonl: 1 different")
    words = " ".join(result.stdout.split())
    assert "weights by at most 0.02 of NAV" in words, words
    assert pmx_command("init", "mine").exit_code == 0
    assert pmx_command("replay", "run.jsonl", "--config", "mine").exit_code == 0


def test_formats(pmx_command, journal, tmp_path):
    content = json.loads(pmx_command("replay", "run.jsonl", "--format", "json").stdout)
    assert content["changes"] == []
    assert content["lines"] == [
        {"line": 3, "record": "solve", "label": None, "outcome": "equal", "difference": 0.0, "why": ""}
    ]
    (tmp_path / "lines.csv").write_text(pmx_command("replay", "run.jsonl", "--format", "csv").stdout)
    table = pd.read_csv(tmp_path / "lines.csv", index_col="line")
    assert table.loc[3, "outcome"] == "equal"


def test_a_refusal_is_journaled_and_refused_again(pmx_command, tmp_path):
    (tmp_path / "wishes.csv").write_text("symbol,weight\nWTI,0.09\n")
    (tmp_path / "bad.csv").write_text("symbol,weight\nWTI,many\n")
    much = "risk_buckets.custom_rules={much: {symbols: {WTI: 1.0}, min: 0.2}}"
    assert pmx_command("solve", "--weights", "wishes.csv", "--journal", "run.jsonl", "--set", much).exit_code == 3
    assert pmx_command("solve", "--weights", "bad.csv", "--journal", "run.jsonl").exit_code == 2
    verified = pmx_command("verify", "run.jsonl")
    assert verified.exit_code == 0
    assert "0 solves (0 relaxed) and 2 refusals in 2 sessions under 2 policies" in verified.stdout
    assert "1 refusal: the rules named are proven to clash" in verified.stdout
    assert "1 refusal: nothing proven" in verified.stdout
    result = pmx_command("replay", "run.jsonl")
    assert result.exit_code == 0
    assert "1 the same to the last bit, 1 not solved again" in result.stdout
    assert "the journal does not say what was asked" in " ".join(result.stdout.split())
    assert pmx_command("replay", "run.jsonl", "--strict").exit_code == 1


def test_what_cannot_be_read(pmx_command, tmp_path):
    (tmp_path / "run.jsonl").write_text("symbol,weight\n")
    for name in ("none.jsonl", "run.jsonl"):
        result = pmx_command("replay", name)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"ledger error: journal {name}")


def test_help_has_examples_and_exit_codes(pmx_command):
    words = " ".join(pmx_command("replay", "--help").stdout.split())
    assert "pmx replay run.jsonl --config my_policy" in words
    assert "1 a line differs" in words
