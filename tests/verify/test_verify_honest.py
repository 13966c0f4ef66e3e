"""What pmx writes, the verifier accepts: all kinds of solves, engines and sessions."""

import json

import pandas as pd
import pytest
from zoo.journals import lines_of, odd_journal, random_journal

import pmx
from pmx.verify import verify


def check(path, solves):
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.solves == solves
    assert float(verdict.violation) <= 1e-9
    return verdict


@pytest.mark.parametrize(
    ("engine", "volatility", "count"), [("auto", False, 120), ("cvxpy", False, 25), ("auto", True, 25)]
)
def test_random_policies(tmp_path, engine, volatility, count):
    path = random_journal(tmp_path / "run.jsonl", range(count), volatility=volatility, engine=engine)
    verdict = check(path, count)
    assert float(verdict.distance) <= (1e-5 if volatility else 1e-6)
    assert float(verdict.moved) <= 1e-12


def test_every_kind_of_solve(tmp_path):
    path = odd_journal(tmp_path / "odd.jsonl")
    solves = [line for line in lines_of(path) if line["record"] == "solve"]
    check(path, len(solves))
    assert {solve["status"] for solve in solves} == {"optimal", "relaxed", "bypassed"}
    proofs = [solve["proof"] for solve in solves if solve["proof"] is not None]
    assert any(solve["weights"]["residual"] and solve["weights"]["residual"]["cones"] for solve in solves)
    assert {kind for proof in proofs for kind in (cone["kind"] for cone in proof["program"]["cones"])} == {
        "zero", "nonnegative", "second_order",
    }  # fmt: skip
    columns = {name for proof in proofs for name in proof["attribution"]["moves"]}
    assert {"sign", "through_zero", "turnover.max", "turnover.cost", "account.bounds", "custom.norm"} <= columns
    ranked = [rule for proof in proofs for rule in proof["program"]["rules"] if rule["rank"]]
    assert {rule["kind"] for rule in ranked} == {"row", "turnover"}


def test_sessions_are_chained_and_counted(tmp_path):
    path, policy = tmp_path / "run.jsonl", pmx.load_policy()
    for _ in range(3):
        pmx.project_to_feasible({"SP500": 0.3}, policy, journal=path)
    verdict = check(path, 3)
    assert (verdict.sessions, len(verdict.policies), verdict.lines) == (3, 1, 12)
    assert verdict.head == json.loads(path.read_text().splitlines()[-1])["sha256"]


def test_a_session_without_solves_is_a_journal(tmp_path):
    with pmx.Journal(tmp_path / "run.jsonl"):
        pass
    check(tmp_path / "run.jsonl", 0)


def test_symbols_of_any_script(tmp_path):
    path = tmp_path / "run.jsonl"
    pmx.project_to_feasible(
        {"日経": 0.3, 'quo"te\\': 0.2, "emoji 🙂": 0.1, "line\nbreak": 0.1}, pmx.load_policy(), journal=path
    )
    check(path, 1)
    assert path.read_bytes().isascii()
    assert path.read_bytes().count(b"\n") == 4


def test_a_policy_of_another_program_is_held_to_its_own_numbers(tmp_path):
    """Weights that the journal's program allows, under a policy that does not."""
    path, policy = tmp_path / "run.jsonl", pmx.load_policy()
    allocation = pmx.project_to_feasible({"SP500": 0.1, "WTI": 0.1}, policy)
    with pmx.Journal(path) as journal:
        journal.write(
            allocation, policy.override({"barbell.safe_bucket.min_weight": 0.9, "barbell.risk_bucket.max_weight": 0.1})
        )
    rules = {finding.rule for finding in verify(path).findings}
    assert rules == {"barbell.safe.floor", "barbell.risk.cap"}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"risk_buckets.portfolio.cash_min": 0.85}, "cash.min"),
        ({"risk_buckets.portfolio.gross_max": 0.15}, "leverage.gross"),
        ({f"risk_buckets.buckets.ts_core.{key}_nav_frac": 0.1 for key in ("max", "base")}, "bucket.ts_core.max"),
        ({"barbell.market_caps.us_equity": 0.05}, "market.us_equity.cap"),
        ({"barbell.symbol_caps.WTI": 0.05}, "symbol.WTI.cap"),
        ({"barbell.risk_bucket.max_per_position": 0.05}, "symbol.SP500.cap"),
        ({"risk_buckets.custom_rules": {"few": {"buckets": {"ts_core": 1.0}, "max": 0.1}}}, "custom.few"),
        ({"risk_buckets.custom_rules": {"many": {"markets": {"us_equity": 2.0}, "min": 0.5}}}, "custom.many"),
    ],
)  # fmt: skip
def test_each_limit_of_the_policy_is_seen(tmp_path, change, rule):
    policy = pmx.load_policy()
    wish = pd.Series({("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.1})
    with pmx.Journal(tmp_path / "run.jsonl") as journal:
        journal.write(pmx.project_to_feasible(wish, policy), policy.override(change))
    findings = verify(tmp_path / "run.jsonl").findings
    assert rule in {finding.rule for finding in findings}
    assert {finding.line for finding in findings} == {3}


@pytest.mark.fuzz
@pytest.mark.parametrize(
    ("engine", "volatility", "count"), [("auto", False, 5_000), ("cvxpy", False, 1_000), ("auto", True, 1_000)]
)
def test_many_random_policies(tmp_path, engine, volatility, count):
    check(
        random_journal(tmp_path / "run.jsonl", range(50_000, 50_000 + count), volatility=volatility, engine=engine),
        count,
    )
