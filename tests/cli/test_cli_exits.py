import json

import pytest

import pmx
from pmx.cli.exits import report
from pmx.errors import BrokerError, InfeasibleError

CLASH = "risk_buckets.custom_rules={own: {symbols: {SP500: 1.0}, min: 0.2}}"
CAP_SOURCE = pmx.load_policy().source("barbell.risk_bucket.max_per_position")


def write_mistakes(tmp_path):
    (tmp_path / "bad.csv").write_text("symbol,weight\nSP500,x\n")
    (tmp_path / "much.csv").write_text("symbol,weight\nSP500,0.7\nNASDAQ,0.7\n")
    (tmp_path / "file").write_text("")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve", "--weights", "none.csv"], "data error: none.csv: does not exist"),
        (["solve", "--weights", "bad.csv"], "data error: bad.csv: weight at SP500: 'x' is not a number"),
        (["solve", "--weights", "wishes.csv", "--config", "nowhere"], "policy error: nowhere"),
        (["solve", "--weights", "wishes.csv", "--set", "barbell.x=1"], "policy error: override: barbell.x"),
        (["solve", "--weights", "wishes.csv", "--set", "barbell"], "policy error: --set"),
        (["solve", "--weights", "wishes.csv", "--scale", "ts_core"], "usage error: --scale 'ts_core'"),
        (["solve", "--weights", "wishes.csv", "--scale", "ts_core=nan"], "usage error: --scale 'ts_core=nan'"),
        (["solve", "--weights", "wishes.csv", "--scale", "nope=0.5"], "data error: risk scale"),
        (["solve", "--weights", "wishes.csv", "--gate", "SP500=leave"], "usage error: --gate 'SP500=leave'"),
        (["solve", "--weights", "wishes.csv", "--out", "answer.txt"], "usage error: --out answer.txt"),
        (["solve", "--weights", "wishes.csv", "--out", "file/answer.csv"], "usage error: cannot write"),
        (["solve", "--weights", "much.csv", "--relative"], "data error: relative weights: bucket ts_core sums to 1.4"),
        (["solve"], "--weights"),
        (["solve", "--weights", "wishes.csv", "--format", "xml"], "--format"),
        (["backtest", "--prices", "none.csv", "--out", "run"], "data error: none.csv: does not exist"),
        (["backtest", "--prices", "closes.csv", "--out", "file"], "usage error: file is a file"),
        (["backtest", "--prices", "closes.csv", "--out", "run", "--start", "1/2/2020"], "--start"),
        (["backtest", "--prices", "closes.csv", "--out", "run", "--start", "2021-01-01"], "data error: there are no"),
        (["backtest", "--prices", "closes.csv", "--out", "run", "--initial-nav", "-1"], "--initial-nav"),
        (["backtest", "--prices", "closes.csv", "--out", "run", "--cost-bps", "-1"], "--cost-bps"),
        (["demo", "--end", "1990-01-01"], "usage error: --end 1990-01-01"),
        (["demo", "--out", "."], "usage error: . is a directory"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_mistake_is_2_and_says_what_it_is(pmx_command, wishes, closes, tmp_path, arguments, message):
    write_mistakes(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = pmx_command(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_an_infeasible_policy_is_3_and_names_the_clash(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--set", CLASH, "--format", "csv")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("infeasible policy: these hard rules cannot hold together:\n")
    table = [line.split() for line in result.stderr.splitlines()]
    assert ["rule", "set", "in", "bound", "relax", "by", "multiplier"] in table
    assert ["custom.own", "override", "≥", "20%", "10%", "1"] in table
    cap = ["symbol.SP500.cap", CAP_SOURCE, "≤", "10%", "for", "ts_core/SP500", "–", "1"]
    assert cap in table
    assert "the multipliers prove the clash exactly" in " ".join(result.stderr.split())


def test_a_refusal_is_json_for_those_who_ask(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--set", CLASH, "--format", "json")
    assert result.exit_code == 3
    refusal = json.loads(result.stdout)
    assert refusal["status"] == "infeasible"
    assert refusal["rules"] == ["custom.own", "symbol.SP500.cap"]
    assert refusal["sources"] == {"custom.own": "override", "symbol.SP500.cap": CAP_SOURCE}
    assert refusal["relaxation"] == {"custom.own": pytest.approx(0.1)}
    assert refusal["proven_minimal"] is True
    assert refusal["limits"][1] == {
        "rule": "symbol.SP500.cap",
        "source": CAP_SOURCE,
        "side": "max",
        "bound": 0.1,
        "position": ["ts_core", "SP500"],
        "multiplier": "1",
    }
    assert refusal["message"].splitlines()[1] == "  custom.own ≥ 20% (override)"
    assert result.stderr.startswith("infeasible policy: ")


def test_a_clash_with_a_cone_says_that_it_is_not_proven(pmx_command, wishes, tmp_path):
    (tmp_path / "sigma.csv").write_text(
        "symbol,SP500,NASDAQ,BIL\nSP500,0.04,0.03,0\nNASDAQ,0.03,0.05,0\nBIL,0,0,0.0001\n"
    )
    least = "risk_buckets.custom_rules={own: {symbols: {SP500: 1.0}, min: 0.09}}"
    cap = "risk_buckets.portfolio.volatility_max=0.01"
    result = pmx_command("solve", "--weights", wishes, "--set", least, "--set", cap, "--covariance", "sigma.csv")
    assert result.exit_code == 3
    assert "A cone takes part, so this is as sharp as its solver, and not proven." in " ".join(result.stderr.split())
    assert "volatility.max" in result.stderr


def test_a_refusal_without_limits_is_told_as_it_is(capsys):
    assert report(InfeasibleError("no whole-lot portfolio obeys a, b", rules=("a", "b"))) == 3
    assert capsys.readouterr().err == "infeasible policy: no whole-lot portfolio obeys a, b\n"


def test_no_certified_answer_is_4(pmx_command, wishes):
    none = ("--set", "execution.solver.name=NOPE", "--set", "execution.solver.fallbacks=[]")
    result = pmx_command("solve", "--weights", wishes, *none, "--engine", "cvxpy")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("no certified answer: ")
    assert "NOPE" in result.stderr


def test_other_errors_are_1_and_name_their_class(capsys):
    assert report(BrokerError("the line is dead")) == 1
    message = capsys.readouterr().err
    assert "unexpected failure: BrokerError: the line is dead" in message
    assert "PMX_TRACEBACK=1" in message


def test_the_traceback_is_there_for_those_who_ask(pmx_command, monkeypatch):
    monkeypatch.setenv("PMX_TRACEBACK", "1")
    result = pmx_command("solve", "--weights", "none.csv")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert "data error: none.csv: does not exist" in result.stderr


def test_a_gate_of_an_unknown_kind_is_named(pmx_command, wishes):
    result = pmx_command("solve", "--weights", wishes, "--gate", "SP500=reduce-only")
    assert result.exit_code == 2
    assert "a gate is reduce_only or exit, not 'reduce-only'" in result.stderr
