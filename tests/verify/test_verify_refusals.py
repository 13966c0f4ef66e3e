"""Refusals in a journal: a clash is proven from its line alone, and a forged one is refused."""

from contextlib import suppress
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from zoo.journals import lines_of, reseal
from zoo.policies import random_case

import pmx
from pmx.verify import verify

REFUSAL = 2
AT_LEAST = {"symbols": {"SP500": 1.0}, "min": 0.2}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


def clashing(path, changes, weights=None, **given):
    """Journal a solve whose rules clash; return the error."""
    policy = pmx.load_policy().override(changes)
    with pytest.raises(pmx.InfeasibleError) as caught:
        pmx.project_to_feasible(weights or {"SP500": 0.09, "WTI": 0.05}, policy, journal=path, **given)
    return caught.value


CLASHES = {
    "a floor of one's own": ({"risk_buckets.custom_rules": {"much": AT_LEAST}}, {}),
    "two rules of one's own on the same sum": (
        {
            "risk_buckets.custom_rules": {
                "much": {"symbols": {"SP500": 1.0}, "min": 0.09},
                "little": {"symbols": {"SP500": 2.0}, "max": 0.1},
            }
        },
        {},
    ),
    "turnover": (
        {"execution.turnover": {"max": 0.01, "hard": True}, "barbell.symbol_caps": {"SP500": 0.0}},
        {"previous": {"SP500": 0.3, "WTI": 0.02}},
    ),
    "a ranked rule that may give way only so far": (
        {"risk_buckets.custom_rules": {"much": AT_LEAST | {"hard": False, "rank": 1, "max_violation": 0.01}}},
        {},
    ),
    "volume": (
        {"execution.liquidity": {"participation": 0.1, "hard": True}},
        {"previous": {"SP500": 0.3, "WTI": 0.02}, "adv": {"SP500": 1e4, "WTI": 1e6}, "nav": 1e6},
    ),
    "a gate": (
        {"risk_buckets.custom_rules": {"some": {"symbols": {"SP500": 1.0}, "min": 0.01}}},
        {"gated": {"SP500": "exit"}},
    ),
}


@pytest.mark.parametrize("kind", CLASHES)
def test_a_clash_is_proven_from_its_line_alone(path, kind):
    changes, given = CLASHES[kind]
    error = clashing(path, changes, **given)
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    assert (verdict.solves, verdict.refusals, verdict.proven) == (0, 1, 1)
    line = lines_of(path)[REFUSAL]
    assert line["rules"] == list(error.rules)
    assert line["relaxation"] == error.relaxation
    assert [
        Fraction(*(int(part, 16) for part in limit["multiplier"].split("/"))) for limit in line["proof"]["limits"]
    ] == [limit.multiplier for limit in error.limits]


def clashing_with_a_cone(path):
    index = ["SP500", "WTI"]
    changes = {
        "risk_buckets.portfolio.volatility_max": 0.001,
        "risk_buckets.custom_rules": {"some": AT_LEAST | {"min": 0.05}},
    }
    return clashing(path, changes, covariance=pd.DataFrame(np.eye(2) * 0.04, index, index))


def test_a_clash_with_a_cone_is_not_said_to_be_proven(path):
    clashing_with_a_cone(path)
    verdict = verify(path)
    assert verdict.accepted
    assert (verdict.refusals, verdict.proven) == (1, 0)


def test_a_clash_with_a_cone_is_one_of_the_policys_rules(path):
    clashing_with_a_cone(path)
    honest = path.read_bytes()

    def linear(line):
        line["rules"] = ["custom.some"]

    def unknown(line):
        line["rules"] = ["volatility.max", "custom.other"]

    def wider(line):
        rule = next(rule for rule in line["proof"]["program"]["rules"] if rule["name"] == "cash.min")
        rule["hi"] = 0.5

    for change, named in ((linear, "proof"), (unknown, "proof"), (wider, "cash.min")):
        path.write_bytes(honest)
        assert named in forged(path, change), change.__name__


def test_rules_that_are_said_to_clash_without_a_program(path):
    clashing(path, CLASHES["a floor of one's own"][0])
    honest = path.read_bytes()

    def bare(line):
        line.update(rules=["cash.min"], proof=None)

    def of_data(line):
        line.update(kind="DataError", proof=None)

    def unproven_with_a_cone_of_its_own(line):
        line["proof"]["proven"] = False
        program = line["proof"]["program"]
        program["cones"] = [{"kind": "second_order", "h": [0.1], "G": [], "H": []}]

    for change in (bare, of_data, unproven_with_a_cone_of_its_own):
        path.write_bytes(honest)
        assert forged(path, change), change.__name__
    path.write_bytes(honest)
    assert forged(path, bare) == {"proof"}


def test_whole_lots_that_do_not_fit_are_no_clash_of_a_solve(path):
    policy = pmx.load_policy()
    error = pmx.InfeasibleError("no whole-lot portfolio obeys cash.min", rules=("cash.min",))
    with pmx.Journal(path) as journal:
        journal.refuse(error, policy)
    assert lines_of(path)[REFUSAL]["kind"] == "InfeasibleError without a program"
    verdict = verify(path)
    assert (verdict.accepted, verdict.refusals, verdict.proven) == (True, 1, 0)


def forged(path, change):
    """Return the rules that are named after the refusal was changed and all was sealed anew."""
    lines = lines_of(path)
    change(lines[REFUSAL])
    return {finding.rule for finding in verify(reseal(lines, path)).findings}


def limit_of(line, rule):
    return next(limit for limit in line["proof"]["limits"] if limit["rule"] == rule)


def test_a_forged_clash_is_refused(path):
    changes, given = CLASHES["a floor of one's own"]
    clashing(path, changes, **given)
    honest = path.read_bytes()
    rules = lines_of(path)[REFUSAL]["rules"]
    assert "custom.much" in rules

    def rebound(line):  # a proof of limits that are not the rules'
        limit_of(line, "custom.much")["bound"] = 0.3

    def both(line):  # nor does it help to change the rule along with it
        rebound(line)
        (rule,) = (rule for rule in line["proof"]["program"]["rules"] if rule["name"] == "custom.much")
        rule["lo"] = line["proof"]["program"]["rows"][rule["index"]]["lo"] = 0.3

    def lighter(line):
        limit_of(line, "custom.much")["multiplier"] = "1/ffff"

    def nothing(line):
        line["proof"]["limits"] = []

    def other_rules(line):
        line["rules"] = ["cash.min"]

    def less_asked(line):
        line["asked"]["weights"] = [0.01, 0.01]

    def another_kind(line):
        line["kind"] = "BoredomError"

    def not_proven(line):  # rules without cones clash provably or not at all
        line["proof"]["proven"] = False

    def counted(line):
        line["number"] = 2

    for change, named in (
        (rebound, {"custom.much"}),
        (both, {"custom.much"}),
        (lighter, {"proof"}),
        (nothing, {"proof"}),
        (other_rules, {"proof"}),
        (less_asked, {"asked"}),
        (another_kind, {"refusal"}),
        (not_proven, {"format"}),
        (counted, {"chain"}),
    ):
        path.write_bytes(honest)
        assert named <= forged(path, change), change.__name__
    path.write_bytes(honest)
    assert forged(path, lambda line: None) == set()


@pytest.mark.parametrize("text", ["1", "0/1", "1/0", "-1/2", "1/2/3", "0x1/0x2", "A/B", "", "1.5/1"])
def test_a_multiplier_that_is_none(path, text):
    clashing(path, CLASHES["a floor of one's own"][0])
    assert forged(path, lambda line: line["proof"]["limits"][0].update(multiplier=text)) == {"format"}


def test_a_refusal_that_is_missing_is_noticed(path):
    clashing(path, CLASHES["a floor of one's own"][0])
    lines = lines_of(path)
    (finding,) = verify(reseal([*lines[:REFUSAL], *lines[REFUSAL + 1 :]], path)).findings
    assert finding.message == "the session counts 1 refusals, it has 0"


def random_refusals(path, seeds):
    with pmx.Journal(path) as journal:
        for seed in seeds:
            case = random_case(seed)
            symbol = case.relative.index[0][1]
            much = {"risk_buckets.custom_rules": {"much": {"symbols": {symbol: 1.0}, "exposure": "gross", "min": 0.7}}}
            with suppress(pmx.InfeasibleError):
                pmx.solve(case.policy.override(much), case.relative, **case.arguments, journal=journal)
    return verify(path)


def test_random_clashes_are_proven(path):
    verdict = random_refusals(path, range(40))
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.proven == verdict.refusals > 20


@pytest.mark.fuzz
def test_many_random_clashes_are_proven(path):
    verdict = random_refusals(path, range(2_000, 4_000))
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.proven == verdict.refusals > 1_000


def test_constraints_of_ones_own_that_clash_are_no_proof_and_no_forgery(path):
    policy = pmx.load_policy()
    own = pmx.Projector(policy, [("ts_core", "A")], constraints=lambda w: {"much": w.symbol("A") >= 0.5})
    with pytest.raises(pmx.InfeasibleError) as caught:
        own.project(pd.Series([0.05], index=own.index), journal=path)
    assert any("much" in rule for rule in caught.value.rules)
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    assert (verdict.refusals, verdict.proven) == (1, 0)
    assert forged(path, lambda line: line["asked"].update(constraints=[]))
