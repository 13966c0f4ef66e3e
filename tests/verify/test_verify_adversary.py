"""Lies whose hashes fit: the arithmetic finds them, and names line and rule."""

import math
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from zoo.journals import SOLVE, leaves, lines_of, put, random_journal, reseal
from zoo.policies import random_case

import pmx
from pmx.projection import Allocation, Point, certify
from pmx.projection.sheet import Solved
from pmx.verify import verify

#: What a solve claims: to change any of these is to say what is not so.
CLAIMS = (
    "number", "policy", "status", "weights.positions.#", "weights.cash", "proof.answer.u.#", "proof.answer.rows.#",
    "proof.answer.turnover", "proof.program.sign.#", "proof.program.target.#", "proof.program.lower.#",
    "proof.program.upper.#", "proof.program.floor.#", "proof.program.lower_rule.#", "proof.program.upper_rule.#",
    "proof.program.rows.#.lo", "proof.program.rows.#.hi", "proof.program.turnover_max",
    "proof.program.rules.#.rank", "proof.program.rules.#.hard", "proof.program.rules.#.most",
    "proof.program.rules.#.lo", "proof.program.rules.#.hi", "proof.program.rules.#.member_lower.#",
    "proof.program.rules.#.member_upper.#", "proof.program.rows.#.penalty", "proof.program.turnover_penalty",
    "proof.program.floor_price.#", "proof.program.cost.#", "proof.program.distance.#", "proof.program.held.#",
    "asked.weights.#", "asked.previous.#",
    "proof.readings.#.bound", "proof.readings.#.value", "proof.readings.#.slack", "proof.readings.#.violation",
    "proof.readings.#.shadow_price", "proof.attribution.target.#", "proof.attribution.moves.*.#",
    "proof.attribution.totals.*", "proof.certificate.tolerance",
)  # fmt: skip


def kind_of(path):
    """Return a path without the numbers of its positions and the names of its rules."""
    parts = ["#" if isinstance(key, int) else key for key in path]
    if parts[:2] == ["proof", "attribution"] and parts[2] in ("moves", "totals"):
        parts[3] = "*"
    return ".".join(parts)


def lie_about(value, rng):
    """Return something else of the same type, off by at least 1e-7."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value is None:
        return 0.5
    if isinstance(value, float):
        return value + rng.choice([-1.0, 1.0]) * max(abs(value), 1e-3) * 10.0 ** rng.uniform(-4.0, 0.5)
    if value in ("inf", "-inf"):
        return rng.uniform(-1.0, 1.0)
    return {"optimal": "relaxed", "relaxed": "optimal"}.get(value, value[::-1])


def rules_concerned(line, path):
    """Return the names of which one has to come up; empty where any will do."""
    rules = [rule["name"] for rule in line["proof"]["program"]["rules"]]
    if path[:2] == ("proof", "readings"):
        return {rules[path[-2]]}
    if path[1:3] in (("attribution", "moves"), ("attribution", "totals")):
        return {path[3], "attribution"}
    if path[1:3] == ("answer", "rows"):
        return {rule["name"] for rule in line["proof"]["program"]["rules"] if rule["index"] == path[3]} | {"program"}
    return set()


def refuse_lies(tmp_path, seeds, count, *, volatility=False):
    found = Counter()
    for seed in seeds:
        path = tmp_path / f"{seed}{volatility}.jsonl"
        lines = lines_of(random_journal(path, range(seed, seed + 1), volatility=volatility))
        solve, rng = lines[SOLVE], random.Random(seed)
        claims = [(place, leaf) for place, leaf in leaves(solve) if kind_of(place) in CLAIMS]
        # First the kind of claim, so that rare ones are lied about as often as those there are many of.
        kinds = sorted({kind_of(place) for place, _ in claims})
        for _ in range(count):
            kind = rng.choice(kinds)
            place, leaf = rng.choice([claim for claim in claims if kind_of(claim[0]) == kind])
            lie = lie_about(leaf, rng)
            put(solve, place, lie)
            verdict = verify(reseal(lines, path))
            put(solve, place, leaf)
            if kind == "asked.weights.#" and not verdict.findings:
                bucket = lines[1]["policy"]["risk_buckets"]["buckets"][solve["positions"][place[-1]][0]]
                assert not (bucket["base_nav_frac"] or bucket["min_nav_frac"]) or not bucket["max_nav_frac"]
                continue  # a share of nothing is nothing, whatever it is
            assert verdict.findings, (seed, place, leaf, lie)
            assert {finding.line for finding in verdict.findings} <= {SOLVE + 1}, (seed, place)
            concerned = rules_concerned(solve, place)
            names = {finding.rule for finding in verdict.findings}
            assert not concerned or names & (concerned | {"program", "format"}), (seed, place, leaf, lie, names)
            found[kind] += 1
    return found


def test_any_claim_that_is_altered_is_refused(tmp_path):
    found = refuse_lies(tmp_path, range(12), 25)
    assert len(found) > 20


@pytest.mark.fuzz
def test_many_altered_claims(tmp_path):
    found = refuse_lies(tmp_path, range(100_000, 100_200), 100)
    found += refuse_lies(tmp_path, range(100_000, 100_020), 100, volatility=True)
    assert set(found) >= set(CLAIMS)
    assert sum(found.values()) > 20_000


# -- whole solves that hang together, and are not so -----------------------------------------------------------------


def told(tmp_path, policy, allocation):
    """Return what the verifier says of an allocation that somebody made up."""
    path = tmp_path / "told.jsonl"
    path.unlink(missing_ok=True)
    with pmx.Journal(path) as journal:
        journal.write(allocation, policy)
    return {finding.rule for finding in verify(path).findings}


def made_up(allocation: Allocation, **changes) -> Allocation:
    """Return an allocation with another point, everything that follows from it included."""
    point: Point = replace(allocation.point, **changes)
    solved = Solved(point, program=allocation.program)
    return replace(allocation, solved=solved, signed=allocation.program.sign * point.u + 0.0)


@pytest.fixture(scope="module")
def cut():
    """A policy, and an allocation that some of its rules cut."""
    policy = pmx.load_policy()
    wish = pd.Series({("ts_core", "SP500"): 0.09, ("ts_core", "WTI"): 0.09, ("ml_secondary", "NASDAQ"): 0.09})
    allocation = pmx.project_to_feasible(wish, policy)
    assert allocation.unique
    assert set(allocation.rules.index[allocation.rules["shadow_price"] > 0.0]) == {"barbell.risk.cap"}
    return policy, allocation


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0 - 1e-6])
def test_weights_that_are_feasible_but_not_the_best(cut, tmp_path, share):
    policy, allocation = cut
    assert told(tmp_path, policy, made_up(allocation, u=allocation.point.u * share)) >= {"certificate"}


@pytest.mark.parametrize("share", [1.0 + 1e-7, 1.01])
def test_weights_that_break_a_rule(cut, tmp_path, share):
    policy, allocation = cut
    rules = told(tmp_path, policy, made_up(allocation, u=allocation.point.u * share))
    assert "barbell.risk.cap" in rules


@pytest.mark.parametrize("share", [0.0, 0.999, 1.001, 2.0, -1.0])
def test_prices_that_prove_less(cut, tmp_path, share):
    policy, allocation = cut
    rules = told(tmp_path, policy, made_up(allocation, rows=allocation.point.rows * share))
    assert "barbell.risk.cap" in rules if share < 0 else "certificate" in rules


@pytest.mark.parametrize("field", ["distance", "target"])
def test_a_wish_or_metric_that_was_another(cut, tmp_path, field):
    policy, allocation = cut
    other = replace(allocation.program, **{field: getattr(allocation.program, field) * 1.001})
    lie = replace(allocation, solved=Solved(allocation.point, program=other), wished=other.sign * other.target)
    assert told(tmp_path, policy, lie)


def test_a_limit_that_was_moved_with_its_rule(cut, tmp_path):
    """The program hangs together, and its answer is the best one; the policy in the journal says otherwise."""
    policy, allocation = cut
    wider = allocation.what_if("barbell.risk.cap", 0.26)
    assert wider.weights["CASH"] == pytest.approx(0.74)
    assert told(tmp_path, policy, wider) == {"barbell.risk.cap"}


def resealed(cut, tmp_path, change):
    """Return which rules the verifier names after the only solve was changed and all was sealed anew."""
    policy, allocation = cut
    path = tmp_path / "run.jsonl"
    with pmx.Journal(path) as journal:
        journal.write(allocation, policy)
    lines = lines_of(path)
    change(lines[SOLVE])
    return {finding.rule for finding in verify(reseal(lines, path)).findings}


def renamed(old, new):
    def change(line):
        rule = next(rule for rule in line["proof"]["program"]["rules"] if rule["name"] == old)
        rule["name"] = new
        for columns in (line["proof"]["attribution"]["moves"], line["proof"]["attribution"]["totals"]):
            if old in columns:
                columns[new] = columns.pop(old)

    return change


def test_a_position_with_another_name(cut, tmp_path):
    def symbol(line):
        line["positions"] = [[b, "TSLA" if s == "SP500" else s] for b, s in line["positions"]]

    def bucket(line):
        line["positions"] = [["ts_core" if s == "NASDAQ" else b, s] for b, s in line["positions"]]

    assert resealed(cut, tmp_path, lambda line: None) == set()
    assert {"symbol.SP500.cap", "market.us_equity.cap"} <= resealed(cut, tmp_path, symbol)
    assert {"bucket.ts_core.max", "bucket.ml_secondary.max"} <= resealed(cut, tmp_path, bucket)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("symbol.SP500.cap", "symbol.TSLA.cap"),
        ("symbol.SP500.cap", "gate.WTI"),
        ("symbol.SP500.cap", "liquidity.WTI"),
        ("bucket.ts_core.max", "clamp.ml_secondary"),
        ("bucket.ml_secondary.max", "clamp.ts_core"),
        ("barbell.risk.cap", "market.ngx.cap"),
        ("market.commodities.cap", "custom.mine"),
        ("turnover.max", "clamp.ts_core"),
    ],
)
def test_a_rule_with_another_name(cut, tmp_path, old, new):
    policy, _ = cut
    if old == "turnover.max":
        held = pd.Series({("ts_core", "SP500"): 0.05})
        cut = policy, pmx.project_to_feasible({("ts_core", "SP500"): 0.06}, policy, previous=held)
    assert new in resealed(cut, tmp_path, renamed(old, new))


@pytest.mark.parametrize("engine", ["magic", "cvxpy/MAGIC", ""])
def test_an_engine_that_there_is_not(cut, tmp_path, engine):
    def change(line):
        line["proof"]["certificate"]["engine"] = engine

    assert resealed(cut, tmp_path, change) == {"certificate"}


def test_what_the_page_says_cannot_be_proven(cut, tmp_path):
    def change(line):
        for rule in line["proof"]["program"]["rules"]:
            rule["source"] = "lies.yml:1"
        line["label"] = "yesterday"

    assert resealed(cut, tmp_path, change) == set()


def test_a_bound_that_is_said_to_be_smaller(tmp_path):
    policy = pmx.load_policy()
    allocation = pmx.project_to_feasible({"SP500": 0.09, "WTI": 0.08}, policy)
    away = made_up(allocation, u=allocation.point.u * (1.0 - 1e-7))
    honest = certify(away.program, away.point, "newton")
    assert 1e-9 < honest.distance_bound < 1e-7
    assert told(tmp_path, policy, replace(away, certificate=honest)) == set()
    assert told(tmp_path, policy, away) == {"certificate"}


def test_a_bound_beyond_what_is_allowed(cut, tmp_path):
    policy, allocation = cut
    loose = replace(allocation.certificate, distance_bound=1e-3, duality_gap=0.5e-6 * allocation.program.distance.min())
    assert told(tmp_path, policy, replace(allocation, certificate=loose)) == {"certificate"}


def unruled(tmp_path, policy, weights, held=None):
    """Return the limits of the policy that long weights break, whose program has no rules."""
    n, path = len(weights), tmp_path / "unruled.jsonl"
    path.unlink(missing_ok=True)
    with pmx.Journal(path) as journal:
        pmx.project_to_feasible({"SP500": 0.09}, policy, journal=journal)
    lines = lines_of(path)
    zeros, none, proof = [0.0] * n, [-1] * n, lines[SOLVE]["proof"]
    lines[SOLVE] |= {"positions": [["ts_core", symbol] for symbol, _ in weights], "status": "optimal"}
    u = [weight for _, weight in weights]
    lines[SOLVE]["asked"] |= {"weights": u, "previous": held}
    lines[SOLVE]["weights"] |= {"positions": u, "cash": 1.0 - sum(u)}
    proof["program"] |= {
        "sign": [1.0] * n, "target": u, "distance": [1.0] * n, "held": held or zeros, "cost": zeros, "lower": zeros,
        "upper": ["inf"] * n, "lower_rule": none, "upper_rule": none, "floor": ["-inf"] * n, "floor_price": zeros,
        "floor_rule": none, "rows": [], "turnover_max": "inf", "turnover_penalty": "inf", "cones": [], "rules": [],
    }  # fmt: skip
    proof["answer"] |= {"u": u, "rows": [], "turnover": 0.0, "cones": []}
    proof["certificate"] |= {"primal_residual": 0.0, "duality_gap": 0.0, "distance_bound": 0.0}
    proof |= {"readings": [], "attribution": {"target": u, "moves": {}, "totals": {}}}
    findings = verify(reseal(lines, path)).findings
    return [f.rule for f in findings if f.rule == "format" or "the weights come to" in f.message]


def test_a_position_named_twice_hides_nothing(tmp_path):
    policy = pmx.load_policy()
    assert unruled(tmp_path, policy, [("WTI", 0.05), ("USO", 0.0)]) == []
    assert unruled(tmp_path, policy, [("WTI", 0.8), ("WTI", 0.0)]) == ["format"]


def test_a_rule_named_twice_is_refused(cut, tmp_path):
    policy, allocation = cut
    path = tmp_path / "run.jsonl"
    with pmx.Journal(path) as journal:
        journal.write(allocation, policy)
    lines = lines_of(path)
    proof = lines[SOLVE]["proof"]
    for twice in (proof["program"]["rules"], proof["readings"]):
        twice.append(twice[0])
    assert [finding.rule for finding in verify(reseal(lines, path)).findings] == ["format"]


@pytest.mark.parametrize(("unit", "room"), [(1.0, 1e-8), (1e-4, 1e-8), (5.0, 2e-9)])
def test_a_ranked_rule_of_the_policy_gives_way_no_further_than_it_may(tmp_path, unit, room):
    rule = {"symbols": {"SP500": unit}, "min": 0.08 * unit, "hard": False, "rank": 1, "max_violation": 0.01 * unit}
    policy = pmx.load_policy().override({"risk_buckets.custom_rules": {"n": rule}})
    assert unruled(tmp_path, policy, [("SP500", 0.07)]) == []
    assert unruled(tmp_path, policy, [("SP500", 0.07 - 0.9 * room)]) == []
    assert unruled(tmp_path, policy, [("SP500", 0.07 - 2.0 * room)]) == ["custom.n"]
    further = policy.override({"risk_buckets.custom_rules": {"n": rule | {"max_violation": None}}})
    assert unruled(tmp_path, further, [("SP500", 0.0)]) == []


def test_a_ranked_safe_cap_gives_way_no_further_than_it_may(tmp_path):
    cap = {"max_weight": 0.9, "max_weight_rank": 1, "max_weight_max_violation": 0.05}
    policy = pmx.load_policy().override({f"barbell.safe_bucket.{key}": value for key, value in cap.items()})
    assert unruled(tmp_path, policy, [("SP500", 0.06)]) == []
    assert unruled(tmp_path, policy, [("SP500", 0.04)]) == ["barbell.safe.cap"]


@pytest.mark.parametrize("how", [{"hard": True}, {"rank": 1, "max_violation": 0.0}])
def test_a_turnover_that_the_program_leaves_out(tmp_path, how):
    policy = pmx.load_policy().override({"execution.turnover": {"max": 0.02} | how})
    wish = [("WTI", 0.05), ("SP500", 0.05)]
    assert unruled(tmp_path, policy, wish, held=[0.03, 0.03]) == []
    assert unruled(tmp_path, policy, wish, held=[0.02, 0.02]) == ["turnover.max"]
    soft = policy.override({"execution.turnover": {"max": 0.02, "hard": False, "rank": 0}})
    assert unruled(tmp_path, soft, wish, held=[0.02, 0.02]) == []


def test_a_ranked_row_has_room_in_its_own_unit(tmp_path):
    """A program that moved a limit on small multiples of weights by what is little in weights, and much in these."""
    unit = 1e-6
    rule = {"symbols": {"SP500": unit}, "min": 0.2 * unit, "hard": False, "rank": 1, "max_violation": 0.15 * unit}
    policy = pmx.load_policy().override({"risk_buckets.custom_rules": {"n": rule}})
    path = tmp_path / "run.jsonl"
    with pmx.Journal(path) as journal:
        pmx.project_to_feasible({"SP500": 0.09}, policy, journal=journal)
    assert verify(path).accepted
    lines = lines_of(path)
    program = lines[SOLVE]["proof"]["program"]
    (index,) = (rule["index"] for rule in program["rules"] if rule["name"] == "custom.n")
    program["rows"][index]["lo"] = (0.2 - 0.15) * unit - 9e-9
    assert {finding.rule for finding in verify(reseal(lines, path)).findings} == {"custom.n"}


def test_a_soft_rule_that_is_said_to_hold(tmp_path):
    policy = pmx.load_policy()
    allocation = pmx.project_to_feasible({"SP500": 0.01}, policy)
    assert str(allocation.status) == "relaxed"
    path = tmp_path / "run.jsonl"
    with pmx.Journal(path) as journal:
        journal.write(allocation, policy)
    lines = lines_of(path)
    lines[SOLVE]["status"] = "optimal"
    (finding,) = verify(reseal(lines, path)).findings
    assert (finding.line, finding.rule) == (3, "status")


def test_a_policy_whose_fingerprint_is_another(cut, tmp_path):
    policy, allocation = cut
    path = tmp_path / "run.jsonl"
    with pmx.Journal(path) as journal:
        journal.write(allocation, policy)
    lines = lines_of(path)
    lines[1]["policy"]["barbell"]["market_caps"]["commodities"] = 0.2
    findings = verify(reseal(lines, path)).findings
    assert {(finding.line, finding.rule) for finding in findings} == {(2, "policy"), (3, "market.commodities.cap")}
    lines[1]["record"] = "end"
    assert {finding.line for finding in verify(reseal(lines, path)).findings} == {2, 3, 4}


def test_a_solve_that_is_missing_or_counted_twice(tmp_path):
    path = random_journal(tmp_path / "run.jsonl", range(3))
    lines = lines_of(path)
    for altered in (lines[:4] + lines[5:], lines[:-1] + lines[-2:], [*lines[:2], *lines[3:]]):
        findings = verify(reseal(altered, path)).findings
        assert {"chain"} <= {finding.rule for finding in findings}


@pytest.mark.parametrize("seed", range(40))
def test_answers_further_and_further_away_are_never_said_to_be_near(seed, tmp_path):
    """The proven distance is at least the true one, whatever the prices are."""
    case = random_case(seed)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments)
    if np.linalg.norm(allocation.point.u) < 1e-3 or allocation.program.lower.any():
        return
    rng = np.random.default_rng(seed)
    for share in (0.0, 0.9, 0.999):
        lie = made_up(
            allocation,
            u=allocation.point.u * share,
            rows=allocation.point.rows * rng.uniform(0.5, 1.0, len(allocation.point.rows)),
        )
        path = tmp_path / f"{share}.jsonl"
        with pmx.Journal(path) as journal:
            journal.write(lie, case.policy)
        true = float(np.linalg.norm(lie.point.u - allocation.point.u))
        verdict = verify(path)
        assert math.isfinite(float(verdict.distance))
        assert float(verdict.distance) >= true - allocation.certificate.distance_bound
