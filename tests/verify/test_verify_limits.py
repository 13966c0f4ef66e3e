"""A recorded rule is the policy's: raised or lowered, softened, left out or added, it is refused by name."""

from dataclasses import replace

import pandas as pd
import pytest
from zoo.journals import SOLVE, lines_of, reseal
from zoo.policies import random_case

import pmx
from pmx.verify import verify
from pmx.verify.admission import admits
from pmx.verify.words import words

HELD = {("ts_core", "SP500"): 0.02, ("ts_core", "WTI"): 0.01, ("ml_secondary", "SP500"): 0.01}
SYMBOLS = ["SP500", "WTI", "NASDAQ", "BIL"]
SOFT = {"symbols": {"WTI": 1.0}, "min": 0.001, "max": 0.2, "hard": False}


def findings_of(tmp_path, allocation, policy):
    path = tmp_path / "told.jsonl"
    path.unlink(missing_ok=True)
    with pmx.Journal(path) as journal:
        journal.write(allocation, policy)
    return verify(path).findings


def rich():
    """A policy with a rule of every kind, and everything that a solve can be given."""
    policy = pmx.load_policy().override(
        {
            "risk_buckets.portfolio.cash_min": 0.05,
            "risk_buckets.portfolio.gross_max": 0.9,
            "risk_buckets.portfolio.volatility_max": 0.2,
            "risk_buckets.custom_rules": {
                "tilt": {"symbols": {"SP500": 1.0, "WTI": -0.5}, "max": 0.09, "exposure": "net"},
                "soft": SOFT,
                "ranked": SOFT | {"rank": 2, "max_violation": 0.1},
            },
            "barbell.symbol_caps": {"SP500": 0.08, "WTI": 0.05},
            "barbell.safe_bucket.max_per_position": 0.3,
            "execution.turnover": {"max": 0.3, "penalty": 3.0, "cost": 0.001},
            "execution.liquidity": {"participation": 0.1},
        }
    )
    wish = {("ts_core", "SP500"): 0.5, ("ts_core", "WTI"): 0.3, ("ml_secondary", "SP500"): 0.9, ("safe", "BIL"): 0.2}
    covariance = pd.DataFrame(0.0, SYMBOLS, SYMBOLS)
    for i, symbol in enumerate(SYMBOLS):
        covariance.loc[symbol, symbol] = 0.01 * (i + 1)
    given = {
        "risk_scale": {"ts_core": 0.5, "ml_secondary": 0.9},
        "previous": pd.Series(HELD),
        "gated": {"WTI": "reduce_only", "BIL": "exit"},
        "covariance": covariance,
        "adv": dict.fromkeys(SYMBOLS, 4e6),
        "nav": 1e6,
    }
    return policy, pd.Series(wish), given


@pytest.fixture(scope="module")
def honest():
    policy, wish, given = rich()
    projector = pmx.Projector(policy, [*wish.index, ("ts_core", "NASDAQ")])
    upper = pd.Series({("ts_core", "NASDAQ"): 0.04})
    return policy, projector.solve(wish, **given, upper=upper)


def test_what_was_solved_is_accepted(honest, tmp_path):
    policy, allocation = honest
    kinds = {name.partition(".")[0] for name in allocation.rules.index}
    assert kinds == {
        "cash", "leverage", "bucket", "clamp", "barbell", "market", "symbol", "custom", "turnover", "liquidity", "gate",
        "account", "volatility",
    }  # fmt: skip
    assert [str(finding) for finding in findings_of(tmp_path, allocation, policy)] == []


def finite_limits():
    """Every rule of that solve that has a limit to move."""
    policy, wish, given = rich()
    projector = pmx.Projector(policy, [*wish.index, ("ts_core", "NASDAQ")])
    names = projector.solve(wish, **given, upper=pd.Series({("ts_core", "NASDAQ"): 0.04})).rules
    return [name for name, bound in names["bound"].items() if abs(bound) < 10.0]


def test_every_limit_raised_or_lowered_is_refused(honest, tmp_path):
    """The program with the moved limit was solved anew, so that all of it hangs together."""
    policy, allocation = honest
    moved = set()
    for name in finite_limits():
        bound = allocation.rules.loc[name, "bound"]
        for step in (0.02, 1e-6, -1e-6, -0.02):
            try:
                other = allocation.what_if(name, bound + step)
            except pmx.InfeasibleError:
                continue
            other = replace(other, asked=replace(other.asked, supposed=False))
            findings = findings_of(tmp_path, other, policy)
            named = [f.message for f in findings if f.rule == name and "the policy's is" in f.message]
            assert named, (name, bound, step, [str(f) for f in findings])
            moved.add((name, step > 0.0))
    assert {name for name, up in moved if up} == {name for name, up in moved if not up} | {"gate.BIL", "gate.WTI"}
    assert len({name for name, _ in moved}) >= 20


def test_the_commodities_cap_in_both_directions(tmp_path):
    policy, path = pmx.load_policy(), tmp_path / "run.jsonl"
    pmx.project_to_feasible({"WTI": 0.09, "GLD": 0.09}, policy, journal=path)
    honest = lines_of(path)
    rules = honest[SOLVE]["proof"]["program"]["rules"]
    (rule,) = (rule for rule in rules if rule["name"] == "market.commodities.cap")
    row, reading = honest[SOLVE]["proof"]["program"]["rows"][rule["index"]], rules.index(rule)
    assert rule["hi"] == row["hi"] == 0.10
    assert honest[SOLVE]["proof"]["readings"][reading]["shadow_price"] > 0.0
    for cap in (0.30, 0.05):
        rule["hi"] = row["hi"] = cap
        messages = [f.message for f in verify(reseal(honest, path)).findings if f.rule == "market.commodities.cap"]
        assert f"the recorded upper limit is {cap:.3g}, the policy's is 0.1" in messages
    rule["hi"] = row["hi"] = 0.10
    assert verify(reseal(honest, path)).accepted


CUSTOM = "risk_buckets.custom_rules"
CHANGES = [
    ("cash.min", {"risk_buckets.portfolio.cash_min": 0.06}),
    ("cash.min", {"risk_buckets.portfolio.cash_min": None}),
    ("leverage.gross", {"risk_buckets.portfolio.gross_max": None}),
    ("volatility.max", {"risk_buckets.portfolio.volatility_max": 0.3}),
    ("volatility.max", {"risk_buckets.portfolio.volatility_max": None}),
    ("program", {"risk_buckets.portfolio.distance": "absolute"}),
    ("bucket.ts_core.max", {"risk_buckets.buckets.ts_core.max_nav_frac": 0.21}),
    ("clamp.ts_core", {"risk_buckets.buckets.ts_core.base_nav_frac": 0.14}),
    ("barbell.safe.floor", {"barbell.safe_bucket.min_weight": 0.74}),
    ("barbell.safe.cap", {"barbell.safe_bucket.max_weight": 0.96}),
    ("barbell.safe.cap", {"barbell.safe_bucket.max_weight": None}),
    ("barbell.safe.cap", {"barbell.safe_bucket.max_weight_penalty": 0.5}),
    ("barbell.safe.cap", {"barbell.safe_bucket.max_weight_rank": 1}),
    ("barbell.risk.cap", {"barbell.risk_bucket.max_weight": 0.24}),
    ("barbell.risk.cap", {"barbell.risk_bucket.max_weight": None}),
    ("market.us_equity.cap", {"barbell.market_caps.us_equity": 0.19}),
    ("market.commodities.cap", {"barbell.market_caps": {"us_equity": 0.2}}),
    ("symbol.WTI.cap", {"barbell.symbol_caps": {"SP500": 0.08}}),
    ("symbol.BIL.cap", {"barbell.safe_bucket.max_per_position": 0.31}),
    ("custom.tilt", {f"{CUSTOM}.tilt.max": 0.1}),
    ("custom.tilt", {f"{CUSTOM}.tilt.hard": False}),
    ("custom.tilt", {f"{CUSTOM}.tilt.min": -0.5}),
    ("custom.soft", {f"{CUSTOM}.soft.penalty": 11.0}),
    ("custom.soft", {f"{CUSTOM}.soft.rank": 1}),
    ("custom.soft", {f"{CUSTOM}.soft.min": 0.002}),
    ("custom.ranked", {f"{CUSTOM}.ranked.rank": 3}),
    ("custom.ranked", {f"{CUSTOM}.ranked.max_violation": None}),
    ("custom.ranked", {CUSTOM: {"soft": SOFT}}),
    ("turnover.max", {"execution.turnover.max": 0.31}),
    ("turnover.max", {"execution.turnover.max": None}),
    ("turnover.max", {"execution.turnover.penalty": 4.0}),
    ("turnover.max", {"execution.turnover.hard": True}),
    ("turnover.cost", {"execution.turnover.cost": 0.002}),
    ("liquidity.SP500", {"execution.liquidity.participation": 0.2}),
    ("liquidity.SP500", {"execution.liquidity.hard": True}),
    ("liquidity.SP500", {"execution.liquidity.participation": None}),
]


@pytest.mark.filterwarnings("ignore:adv= has no effect")
@pytest.mark.parametrize(("rule", "change"), CHANGES, ids=[f"{rule} {change}" for rule, change in CHANGES])
def test_what_was_solved_under_another_policy_is_refused(honest, tmp_path, rule, change):
    """Either way: a rule that is tighter or looser, softer or harder, at another price, left out or added."""
    policy, allocation = honest
    other = policy.override(change)
    assert rule in {finding.rule for finding in findings_of(tmp_path, allocation, other)}
    _, wish, given = rich()
    projector = pmx.Projector(other, [*wish.index, ("ts_core", "NASDAQ")])
    theirs = projector.solve(wish, **given, upper=pd.Series({("ts_core", "NASDAQ"): 0.04}))
    assert [str(finding) for finding in findings_of(tmp_path, theirs, other)] == []
    assert rule in {finding.rule for finding in findings_of(tmp_path, theirs, policy)}


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({"risk_scale": {"ts_core": 0.6}}, {"clamp.ts_core"}),
        ({"gated": {"WTI": "exit"}}, {"gate.WTI", "gate.BIL"}),
        ({"previous": None}, {"turnover.max", "liquidity.SP500", "asked"}),
        ({"previous": pd.Series(HELD) * 1.1}, {"asked"}),
        ({"adv": dict.fromkeys(SYMBOLS, 5e6)}, {"liquidity.SP500", "liquidity.WTI"}),
        ({"nav": 2e6}, {"liquidity.SP500", "liquidity.WTI"}),
        ({"upper": pd.Series({("ts_core", "NASDAQ"): 0.05})}, {"account.bounds"}),
        ({"upper": None}, {"account.bounds"}),
    ],
)
def test_a_limit_is_that_of_what_was_asked(honest, tmp_path, given, rules):
    """A solve that says that it was asked something else than the program shows."""
    policy, allocation = honest
    _, wish, asked = rich()
    projector = pmx.Projector(policy, [*wish.index, ("ts_core", "NASDAQ")])
    theirs = projector.solve(wish, **asked | {"upper": pd.Series({("ts_core", "NASDAQ"): 0.04})} | given)
    lie = replace(allocation, asked=theirs.asked)
    assert rules <= {finding.rule for finding in findings_of(tmp_path, lie, policy)}


def test_a_target_is_that_of_what_was_asked(honest, tmp_path):
    policy, allocation = honest
    lie = replace(allocation, asked=replace(allocation.asked, weights=allocation.asked.weights * 0.9))
    assert {finding.rule for finding in findings_of(tmp_path, lie, policy)} >= {"asked", "clamp.ts_core"}
    path = tmp_path / "told.jsonl"
    findings_of(tmp_path, allocation, policy)
    lines = lines_of(path)
    lines[SOLVE]["asked"] = None
    assert {finding.rule for finding in verify(reseal(lines, path)).findings} == {"asked"}


def test_a_minimum_of_cash_and_what_stands_in_for_it_are_the_policys(tmp_path):
    policy = pmx.load_policy()
    residual = policy.override({"risk_buckets.portfolio.residual_symbol": "BIL"})
    allocation = pmx.project_to_feasible({"SP500": 0.08}, residual)
    assert findings_of(tmp_path, allocation, residual) == []
    assert "weights" in {finding.rule for finding in findings_of(tmp_path, allocation, policy)}
    more = residual.override({"risk_buckets.portfolio.cash_min": 0.1})
    assert "cash.min" in {finding.rule for finding in findings_of(tmp_path, allocation, more)}


@pytest.mark.parametrize("rule", ["barbell.risk.cap", "market.commodities.cap", "leverage.gross", "symbol.WTI.cap"])
def test_a_what_if_is_an_answer_to_the_policy_that_it_supposes_and_to_no_other(tmp_path, rule):
    keys = {
        "barbell.risk.cap": "barbell.risk_bucket.max_weight",
        "market.commodities.cap": "barbell.market_caps.commodities",
        "leverage.gross": "risk_buckets.portfolio.gross_max",
        "symbol.WTI.cap": "barbell.risk_bucket.max_per_position",
    }
    policy = pmx.load_policy()
    allocation = pmx.project_to_feasible({"WTI": 0.3}, policy)
    supposed = allocation.what_if(rule, 0.07)
    assert rule in {finding.rule for finding in findings_of(tmp_path, supposed, policy)}
    assert [str(f) for f in findings_of(tmp_path, supposed, policy.override({keys[rule]: 0.07}))] == []
    assert verify(tmp_path / "told.jsonl").what_ifs == 1


def test_a_solve_that_calls_itself_a_what_if_is_left_out_of_what_is_said_of_penalties(tmp_path):
    soft, hard = (
        pmx.load_policy().override({"execution.turnover": {"max": 0.01, "hard": False, "penalty": penalty}})
        for penalty in (1e-6, 10.0)
    )
    allocation = pmx.project_to_feasible({"WTI": 0.05}, soft, previous={"WTI": 0.0, "SP500": 0.05})
    assert "turnover.max" in {finding.rule for finding in findings_of(tmp_path, allocation, hard)}
    told = replace(allocation, asked=replace(allocation.asked, supposed=True))
    assert findings_of(tmp_path, told, hard) == []
    verdict = verify(tmp_path / "told.jsonl")
    assert verdict.what_ifs == 1
    said = "\n".join(words("told.jsonl", verdict))
    assert "no looser; but 1 what-if of which penalties are not held to the policy" in said


def test_accounts_of_a_batch_are_accepted(tmp_path):
    policy = pmx.load_policy()
    projector = pmx.Projector(policy, [("ts_core", "SP500"), ("ts_core", "WTI"), ("ml_secondary", "WTI")])
    targets = pd.DataFrame([[0.05, 0.02, 0.0], [0.3, 0.1, 0.1]], columns=projector.index)
    batch = projector.solve_many(
        targets, risk_scale={"ts_core": 0.7}, previous=targets * 0.5, upper=targets * 0.0 + 0.2
    )
    for account in range(2):
        assert [str(f) for f in findings_of(tmp_path, batch.allocation(account), policy)] == []


def raise_or_lower(seeds, tmp_path):
    """Move one limit of each rule of random solves either way, solve anew, and expect the rule to be named."""
    count = 0
    for seed in seeds:
        case = random_case(seed)
        allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        for reading in allocation.readings:
            for step in (0.01, -0.01) if abs(reading.bound) < 10.0 else ():
                try:
                    other = allocation.what_if(reading.name, reading.bound + step)
                except (pmx.InfeasibleError, pmx.SolverError):
                    continue
                other = replace(other, asked=replace(other.asked, supposed=False))
                assert reading.name in {f.rule for f in findings_of(tmp_path, other, case.policy)}, (
                    seed,
                    reading,
                    step,
                )
                count += 1
    return count


def test_limits_of_random_policies(tmp_path):
    assert raise_or_lower(range(4), tmp_path) > 40


@pytest.mark.fuzz
def test_limits_of_many_random_policies(tmp_path):
    assert raise_or_lower(range(1_000, 1_100), tmp_path) > 2_000


def test_what_a_bucket_does_not_admit_may_be_sold_and_never_grow(tmp_path):
    policy = pmx.load_policy()
    listed = policy.override({"risk_buckets.buckets.ts_core.symbols": ["GLD"]})
    wish = pd.Series({("ts_core", "WTI"): 0.03, ("ts_core", "GLD"): 0.03})
    for held, refused in ((None, True), (0.02, True), (0.03, False), (0.04, False), (-0.03, True)):
        previous = None if held is None else wish * 0.0 + held
        allocation = pmx.project_to_feasible(wish, policy, previous=previous)
        named = {finding.rule for finding in findings_of(tmp_path, allocation, listed)}
        assert ("bucket.ts_core.symbols" in named) == refused, held
        assert findings_of(tmp_path, allocation, policy) == []


def test_the_verifier_admits_what_the_policy_admits():
    buckets = {
        "safe": {"role": "safe", "base_nav_frac": 0.5, "symbols": ["BIL", "S*"]},
        "core": {"role": "risk", "base_nav_frac": 0.2},
        "hedge": {"role": "risk", "base_nav_frac": 0.1, "symbols": ["VIX*", "GLD"]},
        "cash": {"role": "safe", "base_nav_frac": 0.1},
    }
    for safe in ([], ["TLT"]):
        policy = pmx.Policy.from_mapping(
            {"risk_buckets": {"buckets": buckets}, "barbell": {"safe_bucket": {"symbols": safe}}}
        )
        for bucket in buckets:
            for symbol in ("BIL", "SHV", "TLT", "GLD", "VIXY", "SPX", "AAPL"):
                position = (bucket, symbol)
                assert admits(policy.to_mapping(), position) == policy.admits(*position), (safe, position)
