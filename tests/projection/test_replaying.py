"""A journal solved again gives the same bits, and a difference is said."""

import json

import numpy as np
import pandas as pd
import pytest
from zoo.journals import SOLVE, lines_of, odd_journal, random_journal, reseal
from zoo.policies import random_case

import pmx
from pmx.verify import verify


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


def outcomes(path, policy=None):
    return [line.outcome for line in pmx.replay(path, policy).lines]


@pytest.mark.parametrize(
    ("engine", "volatility", "count"), [("auto", False, 40), ("cvxpy", False, 6), ("auto", True, 6)]
)
def test_random_solves_come_out_the_same_to_the_last_bit(path, engine, volatility, count):
    random_journal(path, range(count), volatility=volatility, engine=engine)
    done = pmx.replay(path)
    assert [line for line in done.lines if line.outcome != "equal"] == []
    assert len(done.lines) == count
    assert done.changes == ()


def test_every_kind_of_solve(path):
    odd_journal(path)
    done = pmx.replay(path)
    assert done.count("equal") == len(done.lines) - 1
    (own,) = (line for line in done.lines if line.outcome == "not solved")
    assert own.label == "constraints of one's own"
    assert "constraints of one's own are code" in own.why


def test_refusals_are_refused_again_for_the_same_reason(path):
    policy = pmx.load_policy().override({"risk_buckets.custom_rules": {"much": {"symbols": {"WTI": 1.0}, "min": 0.2}}})
    projector = pmx.Projector(pmx.load_policy(), [("ts_core", "SP500"), ("ts_core", "WTI")])
    with pmx.Journal(path) as journal:
        for call in (
            lambda: pmx.project_to_feasible({"WTI": 0.3}, policy, journal=journal),
            lambda: projector.project(np.array([np.nan, 0.1]), journal=journal),
            lambda: projector.solve(np.array([0.9, 0.9]), journal=journal),
            lambda: projector.solve(np.array([0.1]), journal=journal),
            lambda: pmx.project_to_feasible("SP500", policy, journal=journal),
        ):
            with pytest.raises(pmx.PmxError):
                call()
    assert outcomes(path) == ["equal", "equal", "equal", "not solved", "not solved"]
    looser = policy.override({"risk_buckets.custom_rules.much.min": 0.02})
    first, *_ = pmx.replay(path, looser).lines
    assert (first.outcome, first.why) == ("differs", "was refused (InfeasibleError), and is solved now")


def test_another_policy_decides_otherwise_by_so_much(path):
    policy = pmx.load_policy()
    pmx.project_to_feasible({"WTI": 0.09, "GLD": 0.09}, policy, journal=path)
    looser = policy.override({"barbell.market_caps.commodities": 0.12})
    (line,) = pmx.replay(path, looser).lines
    assert line.outcome == "differs"
    assert line.difference == pytest.approx(0.02)  # of cash; 0.01 of each position
    assert line.why.startswith("program and weights and shadow prices")
    least = {"risk_buckets.custom_rules": {"much": {"symbols": {"WTI": 1.0}, "min": 0.2}}}
    (line,) = pmx.replay(path, policy.override(least)).lines
    assert line.why.startswith("was solved, and is refused now (InfeasibleError): these hard rules cannot hold")


def last_bit(x):
    return float(np.nextafter(x, 1.0))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (("weights", "positions", 0), "another weights; weights by at most 1.39e-17 of NAV"),
        (("weights", "cash"), "another weights; weights by at most 1.11e-16 of NAV"),
        (("proof", "answer", "u", 0), "another shadow prices; weights by at most 0 of NAV"),
        (("proof", "certificate", "distance_bound"), "another certificate"),
        (("proof", "program", "target", 0), "another program"),
        (("proof", "program", "rows", 0, "hi"), "another program"),
        (("asked", "weights", 0), "program and weights"),
    ],
)
def test_the_last_bit_of_any_of_it_is_seen(path, place, said):
    pmx.project_to_feasible({"SP500": 0.09, "WTI": 0.09, "NASDAQ": 0.09}, pmx.load_policy(), journal=path)
    lines = lines_of(path)
    part = lines[SOLVE]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = last_bit(part[place[-1]])
    (line,) = pmx.replay(reseal(lines, path)).lines
    assert (line.outcome, line.line) == ("differs", SOLVE + 1)
    assert line.why.startswith(said)


def test_an_answer_that_began_from_an_earlier_one_is_near(path):
    cases = [random_case(seed) for seed in range(30)]
    with pmx.Journal(path) as journal:
        for case in cases:
            projector = pmx.Projector(case.policy, case.relative.index)
            first = projector.solve(case.relative, **case.arguments)
            journal.write(projector.solve(case.relative * 0.99, **case.arguments, warm_start=first), case.policy)
    assert verify(path).accepted
    done = pmx.replay(path)
    assert done.count("equal") + done.count("within") == len(done.lines) == 30


def test_a_what_if_is_not_solved_again(path):
    policy = pmx.load_policy()
    with pmx.Journal(path) as journal:
        journal.write(pmx.project_to_feasible({"SP500": 0.3}, policy).what_if("leverage.gross", 0.5), policy)
    (line,) = pmx.replay(path).lines
    assert (line.outcome, np.isnan(line.difference)) == ("not solved", True)


def test_other_versions_and_machines_are_said(path):
    pmx.project_to_feasible({"SP500": 0.3}, pmx.load_policy(), journal=path)
    lines = lines_of(path)
    lines[0]["versions"] |= {"numpy": "1.0", "abacus": "7"}
    lines[0]["machine"]["processor"] = "z80"
    changes = pmx.replay(reseal(lines, path)).changes
    assert changes[:2] == (f"numpy 1.0 → {np.__version__}", "abacus 7 → absent")
    assert changes[2].startswith("processor z80 → ")
    assert len(changes) == 3


def test_a_policy_that_this_version_does_not_take(path):
    pmx.project_to_feasible({"SP500": 0.3}, pmx.load_policy(), journal=path)
    lines = lines_of(path)
    lines[1]["policy"]["barbell"]["colour"] = "red"
    (line,) = pmx.replay(reseal(lines, path)).lines
    assert line.outcome == "not solved"
    assert "barbell.colour: is an unknown key" in line.why


def test_what_is_no_journal(path):
    with pytest.raises(pmx.errors.LedgerError, match="cannot be read"):
        pmx.replay(path)
    pmx.project_to_feasible({"SP500": 0.3}, pmx.load_policy(), journal=path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"cash":0.9', b'"cash":0.8'))
    with pytest.raises(pmx.errors.LedgerError, match=r"line 3 was altered.*run `pmx verify`"):
        pmx.replay(path)
    for number, change, message in (
        (1, {"format": "pmx journal 1"}, "line 1 is not that of a journal .*'pmx journal 1'"),
        (3, {"positions": 3}, "line 3 is not that of a journal"),
        (3, {"asked": 3}, "line 3 is not that of a journal"),
        (3, {"policy": "none"}, "line 3 is not that of a journal"),
    ):
        lines = lines_of_bytes(whole)
        lines[number - 1] |= change
        with pytest.raises(pmx.errors.LedgerError, match=message):
            pmx.replay(reseal(lines, path))


def lines_of_bytes(content):
    return [json.loads(line) for line in content.decode().splitlines()]


def test_a_backtest_is_solved_again_day_by_day(path):
    rng = np.random.default_rng(5)
    dates = pd.bdate_range("2020-01-01", periods=80)
    prices = pd.DataFrame(
        100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (80, 3)), axis=0)), dates, ["SP500", "WTI", "BIL"]
    )
    targets = pd.DataFrame(rng.uniform(0.0, 0.2, (80, 2)), dates, ["SP500", "WTI"])
    changes = {
        "risk_buckets.portfolio.residual_symbol": "BIL",
        "risk_buckets.portfolio.distance": "risk",
        "execution.turnover.max": 0.02,
    }
    pmx.backtest(prices, pmx.load_policy().override(changes), targets=targets, journal=path)
    done = pmx.replay(path)
    assert len(done.lines) > 70
    assert done.count("equal") == len(done.lines)
    assert done.table["label"].iloc[-1] == f"{dates[-1]:%Y-%m-%d}"


@pytest.mark.fuzz
def test_many_solves_come_out_the_same_to_the_last_bit(path):
    random_journal(path, range(10_000, 12_000))
    assert set(outcomes(path)) == {"equal"}
