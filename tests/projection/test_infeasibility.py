"""Policies that contradict themselves: the clash is named exactly, with a proof and the cheapest way out."""

from fractions import Fraction

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series

import pmx
from pmx import InfeasibleError, SolverError
from pmx.errors import ClashingLimit
from pmx.policy import Policy
from pmx.projection import EngineChain, Program, RuleRecord
from pmx.projection.farkas import Weighted
from pmx.projection.infeasibility import confirm, require_feasible

A, B, T = ("core", "A"), ("core", "B"), ("safe", "T")
WISH = {A: 0.3, B: 0.2, T: 0.2}
SIGMA = pd.DataFrame(
    [[0.04, 0.01, 0.0], [0.01, 0.09, 0.0], [0.0, 0.0, 0.0001]], index=["A", "B", "T"], columns=["A", "B", "T"]
)


def policy(
    *, custom: dict | None = None, portfolio: dict | None = None, execution: dict | None = None, **barbell
) -> Policy:
    limits = {"distance": "absolute", "gross_max": None, "cash_min": None} | (portfolio or {})
    ends = {"safe_bucket": {"min_weight": 0.0, "max_weight": None}, "risk_bucket": {"max_weight": None}}
    return bare_policy(
        {
            "risk_buckets": {
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.5},
                    "core": {"role": "risk", "base_nav_frac": 0.5, "max_nav_frac": 0.8, "allow_short": True},
                },
                "portfolio": limits,
                "custom_rules": custom or {},
            },
            "barbell": ends | barbell,
            "execution": execution or {},
        }
    )


def least(symbol: str, amount: float) -> dict:
    return {f"least_{symbol}": {"symbols": {symbol: 1.0}, "min": amount}}


def project(rules: Policy, **arguments) -> pmx.Allocation:
    if "previous" in arguments:
        arguments["previous"] = position_series(arguments["previous"])
    return pmx.Projector(rules, list(WISH)).project(position_series(WISH), **arguments)


#: name: policy, arguments, the clash, what the cheapest relaxation costs in all, keys that drop or relax a rule
CONTRADICTIONS = {
    "a minimum above a cap": (
        policy(custom=least("A", 0.4), symbol_caps={"A": 0.25}),
        {},
        {"custom.least_A", "symbol.A.cap"},
        0.15,
    ),
    "a minimum above a cap on the market": (
        policy(custom=least("A", 0.4), markets={"us": ["A", "B"]}, market_caps={"us": 0.3}),
        {},
        {"custom.least_A", "market.us.cap"},
        0.1,
    ),
    "two minima above the safe floor": (
        policy(custom=least("A", 0.2) | least("B", 0.25), safe_bucket={"min_weight": 0.7, "max_weight": None}),
        {},
        {"custom.least_A", "custom.least_B", "barbell.safe.floor"},
        0.15,
    ),
    # The tighter cap is part of the clash; the looser caps on the same and other rows are not.
    "a minimum above several caps": (
        policy(
            custom=least("A", 0.6),
            risk_bucket={"max_weight": 0.5},
            symbol_caps={"B": 0.1},
            portfolio={"gross_max": 0.9},
        ),
        {},
        {"custom.least_A", "barbell.risk.cap"},
        0.1,
    ),
    "a minimum against a gate": (
        policy(custom=least("A", 0.2)),
        {"previous": {A: 0.1}, "gated": {"A": "reduce_only"}},
        {"custom.least_A", "gate.A"},
        0.1,
    ),
    "a hard turnover against an exit": (
        policy(execution={"turnover": {"max": 0.2, "hard": True}}),
        {"previous": {A: 0.7, T: 0.1}, "gated": {"A": "exit"}},
        {"turnover.max", "gate.A"},
        0.15,
    ),
    # Leaving A takes 0.35 of turnover. Relaxing the turnover costs 0.35 − 0.2, relaxing the gate twice as much.
    "a hard turnover against a cap": (
        policy(execution={"turnover": {"max": 0.2, "hard": True}}, symbol_caps={"A": 0.1}),
        {"previous": {A: 0.7}},
        {"turnover.max", "symbol.A.cap"},
        0.1,
    ),
    "hard liquidity against a cap": (
        policy(execution={"liquidity": {"participation": 0.1, "hard": True}}, symbol_caps={"A": 0.2}),
        {"previous": {A: 0.6}, "adv": {"A": 1e6, "B": 1e9, "T": 1e9}, "nav": 1e6},
        {"liquidity.A", "symbol.A.cap"},
        0.3,
    ),
    "hard liquidity of two against the floor": (
        policy(
            execution={"liquidity": {"participation": 0.1, "hard": True}},
            safe_bucket={"min_weight": 0.5, "max_weight": None},
        ),
        {"previous": {A: 0.4, B: 0.4}, "adv": {"A": 1e6, "B": 1e6, "T": 1e9}, "nav": 1e6},
        {"liquidity.A", "liquidity.B", "barbell.safe.floor"},
        0.1,
    ),
    "volatility against a minimum": (
        policy(custom=least("A", 0.4), portfolio={"volatility_max": 0.05}),
        {"covariance": SIGMA},
        {"volatility.max", "custom.least_A"},
        0.03,
    ),
    # B cannot be shorted as a hedge, since the signs are those of the wish.
    "volatility against two minima": (
        policy(custom=least("A", 0.2) | least("B", 0.2), portfolio={"volatility_max": 0.065}),
        {"covariance": SIGMA},
        {"volatility.max", "custom.least_A", "custom.least_B"},
        None,
    ),
    "volatility against hard liquidity": (
        policy(execution={"liquidity": {"participation": 0.1, "hard": True}}, portfolio={"volatility_max": 0.05}),
        {"previous": {A: 0.5}, "adv": {"A": 1e6, "B": 1e9, "T": 1e9}, "nav": 1e6, "covariance": SIGMA},
        {"volatility.max", "liquidity.A"},
        0.03,
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_the_clash_is_named_exactly(case):
    rules, arguments, clash, total = case
    with pytest.raises(InfeasibleError) as refusal:
        project(rules, **arguments)
    error = refusal.value
    assert set(error.rules) == clash
    assert len(error.rules) == len(clash)
    for name in clash:
        assert name in str(error)
    assert "relax" in str(error)
    if total is not None:
        assert sum(error.relaxation.values()) == pytest.approx(total, abs=3e-7)
    assert min(error.relaxation.values()) > 0
    assert set(error.multipliers) == clash == {limit.rule for limit in error.limits}
    assert max(limit.multiplier for limit in error.limits) == 1
    assert min(limit.multiplier for limit in error.limits) > 0
    assert {limit.rule: limit.source for limit in error.limits}.items() <= error.sources.items()
    assert set(error.sources) == clash | set(error.relaxation)
    assert error.proven_minimal == ("volatility.max" not in clash)


def test_of_two_clashes_one_is_named_and_both_are_relaxed():
    rules = policy(custom=least("A", 0.4) | least("B", 0.3), symbol_caps={"A": 0.25, "B": 0.1})
    with pytest.raises(InfeasibleError) as refusal:
        project(rules)
    clash = set(refusal.value.rules)
    assert clash in ({"custom.least_A", "symbol.A.cap"}, {"custom.least_B", "symbol.B.cap"})
    assert sum(refusal.value.relaxation.values()) == pytest.approx(0.15 + 0.2, abs=1e-9)


def without(rules: Policy, arguments: dict, name: str) -> tuple[Policy, dict]:
    """The same problem with one rule taken away."""
    kind, *middle = name.split(".")
    arguments = dict(arguments)
    if kind == "custom":
        left = {k: v.model_dump() for k, v in rules.risk_buckets.custom_rules.items() if k != middle[0]}
        return rules.override({"risk_buckets.custom_rules": left}), arguments
    if kind == "gate":
        return rules, {k: v for k, v in arguments.items() if k != "gated"}
    if kind == "liquidity":
        return rules, arguments | {"adv": arguments["adv"] | {middle[0]: 1e12}}
    key = {
        "symbol": "barbell.symbol_caps",
        "market": "barbell.market_caps",
        "barbell.safe.floor": "barbell.safe_bucket.min_weight",
        "barbell.risk.cap": "barbell.risk_bucket.max_weight",
        "turnover.max": "execution.turnover.max",
        "volatility.max": "risk_buckets.portfolio.volatility_max",
    }[kind if kind in ("symbol", "market") else name]
    if kind in ("symbol", "market"):
        left = {k: v for k, v in getattr(rules.barbell, f"{kind}_caps").items() if k != middle[0]}
        return rules.override({key: left}), arguments
    return rules.override({key: 0.0 if name == "barbell.safe.floor" else None}), arguments


def relaxed(rules: Policy, arguments: dict, name: str, by: float) -> tuple[Policy, dict]:
    """The same problem with the bound of one rule moved by so much of NAV."""
    kind, *middle = name.split(".")
    arguments = dict(arguments)
    if kind == "custom":
        key = f"risk_buckets.custom_rules.{middle[0]}.min"
        return rules.override({key: rules.risk_buckets.custom_rules[middle[0]].min - by}), arguments
    if kind == "liquidity":
        share = rules.execution.liquidity.participation
        room = arguments["adv"][middle[0]] + by * arguments["nav"] / share
        return rules, arguments | {"adv": arguments["adv"] | {middle[0]: room}}
    if kind == "gate":
        mode = arguments["gated"][middle[0]]
        held = arguments["previous"][("core", middle[0])] if mode == "reduce_only" else 0.0
        caps = dict(rules.barbell.symbol_caps) | {middle[0]: held + by}
        return rules.override({"barbell.symbol_caps": caps}), {k: v for k, v in arguments.items() if k != "gated"}
    if name == "barbell.safe.floor":
        return rules.override({"barbell.safe_bucket.min_weight": rules.safe_floor - by}), arguments
    key, value = {
        "symbol": lambda: (f"barbell.symbol_caps.{middle[0]}", rules.barbell.symbol_caps[middle[0]]),
        "market": lambda: (f"barbell.market_caps.{middle[0]}", rules.barbell.market_caps[middle[0]]),
        "barbell": lambda: ("barbell.risk_bucket.max_weight", rules.barbell.risk_bucket.max_weight),
        "turnover": lambda: ("execution.turnover.max", rules.execution.turnover.max),
        "volatility": lambda: ("risk_buckets.portfolio.volatility_max", rules.risk_buckets.portfolio.volatility_max),
    }[kind]()
    return rules.override({key: value + by}), arguments


@pytest.mark.parametrize("case", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_dropping_any_one_rule_of_the_clash_ends_it(case):
    rules, arguments, clash, _ = case
    for name in clash:
        fewer, data = without(rules, arguments, name)
        assert project(fewer, **data).certificate.accepted


@pytest.mark.parametrize("case", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_the_relaxation_is_enough_and_no_more_than_enough(case):
    rules, arguments, *_ = case
    with pytest.raises(InfeasibleError) as refusal:
        project(rules, **arguments)
    relaxation = refusal.value.relaxation
    enough, data = rules, arguments
    for name, amount in relaxation.items():
        enough, data = relaxed(enough, data, name, amount + 1e-7)
    assert project(enough, **data).certificate.accepted
    scarce, data = rules, arguments
    for name, amount in relaxation.items():
        scarce, data = relaxed(scarce, data, name, 0.99 * amount)
    with pytest.raises(InfeasibleError):
        project(scarce, **data)


def linear_rows(name: str, rules: Policy) -> tuple[np.ndarray, float]:
    """Row and bound of a rule as ``a·u ≤ c`` over the positions A, B, T, written from the policy's numbers."""
    unit = {"A": np.array([1.0, 0, 0]), "B": np.array([0, 1.0, 0]), "T": np.array([0, 0, 1.0])}
    kind, *middle = name.split(".")
    if kind == "custom":
        rule = rules.risk_buckets.custom_rules[middle[0]]
        return -sum(c * unit[s] for s, c in rule.symbols.items()), -rule.min
    if kind == "symbol":
        return unit[middle[0]], rules.barbell.symbol_caps[middle[0]]
    if kind == "market":
        return sum(unit[s] for s in rules.barbell.markets[middle[0]]), rules.barbell.market_caps[middle[0]]
    risk = unit["A"] + unit["B"]
    if name == "barbell.safe.floor":
        return risk, 1 - rules.safe_floor
    return risk, rules.barbell.risk_bucket.max_weight


@pytest.mark.parametrize("case", list(CONTRADICTIONS.values())[:4], ids=list(CONTRADICTIONS)[:4])
def test_the_multipliers_prove_the_clash(case):
    """Farkas: weighted by them, the rules add up to ``a·u ≤ c`` with ``a ≥ 0`` and ``c < 0``, which no u ≥ 0 meets."""
    rules, arguments, clash, _ = case
    with pytest.raises(InfeasibleError) as refusal:
        project(rules, **arguments)
    multipliers = refusal.value.multipliers
    rows = {name: linear_rows(name, rules) for name in clash}
    assert (sum(multipliers[name] * a for name, (a, _) in rows.items()) >= -1e-9).all()
    assert sum(multipliers[name] * c for name, (_, c) in rows.items()) < -1e-3


def test_a_rule_on_positions_says_which():
    rules = policy(risk_bucket={"max_weight": 0.3}, symbol_caps={"B": 0.12})
    lower = position_series({A: 0.2, B: 0.15})
    with pytest.raises(InfeasibleError) as refusal:
        project(rules, lower=lower)
    error = refusal.value
    assert error.rules == ("symbol.B.cap", "account.bounds")
    assert error.limits == (
        ClashingLimit("symbol.B.cap", "python", "max", 0.12, ("core", "B"), Fraction(1)),
        ClashingLimit("account.bounds", "lower=, upper=", "min", 0.15, ("core", "B"), Fraction(1)),
    )
    assert "symbol.B.cap ≤ 12% for core/B (python)" in str(error)
    assert "account.bounds ≥ 15% for core/B (lower=, upper=)" in str(error)


def test_many_bounds_of_one_rule_are_told_in_short():
    universe = [("core", f"S{i}") for i in range(40)]
    projector = pmx.Projector(policy(risk_bucket={"max_weight": 0.5}), universe)
    wish = pd.Series(0.02, index=projector.index)
    with pytest.raises(InfeasibleError) as refusal:
        projector.project(wish, lower=wish)
    error = refusal.value
    assert [limit.position for limit in error.limits[1:]] == universe
    assert error.multipliers == {"barbell.risk.cap": 1.0, "account.bounds": 40.0}
    assert "account.bounds ≥ 2% for core/S0, ≥ 2% for core/S1, ≥ 2% for core/S2 and 37 more" in str(error)
    assert error.relaxation == {"account.bounds": pytest.approx(0.3 / 40)}


def test_a_rule_may_clash_with_itself_alone():
    """Sizes are not negative, so a short cannot make up for a long."""
    with pytest.raises(InfeasibleError) as refusal:
        project(policy(), lower=position_series({A: 0.2}), upper=position_series({A: 0.1}))
    assert refusal.value.rules == ("account.bounds",)
    words = str(refusal.value).splitlines()
    assert words[0] == "this hard rule cannot hold:"
    assert words[1].startswith("  account.bounds ≥ 20% for core/A, ≤ 10% for core/A (")
    wish = position_series({A: -0.3, B: 0.2, T: 0.2})
    with pytest.raises(InfeasibleError) as refusal:
        pmx.Projector(policy(custom=least("A", 0.1)), list(WISH)).project(wish)
    assert refusal.value.rules == ("custom.least_A",)


def test_what_a_rule_is_about_is_said_where_its_name_says_the_opposite():
    rules = policy(custom=least("A", 0.5), safe_bucket={"min_weight": 0.7, "max_weight": None})
    with pytest.raises(InfeasibleError, match=r"barbell.safe.floor ≤ 30% at risk \(python\)"):
        project(rules)
    rules = policy(custom=least("T", 0.95), portfolio={"cash_min": 0.2})
    with pytest.raises(InfeasibleError, match=r"cash.min ≤ 80% invested \(python\)"):
        project(rules)


def test_decimals_contradict_each_other_only_beyond_rounding():
    """As floats, 0.1 + 0.2 is more than 0.3."""
    minima = least("A", 0.1) | least("B", 0.2)
    assert project(policy(custom=minima, risk_bucket={"max_weight": 0.3})).certificate.accepted
    with pytest.raises(InfeasibleError) as refusal:
        project(policy(custom=minima, risk_bucket={"max_weight": 0.3 - 1e-8}))
    assert set(refusal.value.rules) == {"custom.least_A", "custom.least_B", "barbell.risk.cap"}
    assert sum(refusal.value.relaxation.values()) == pytest.approx(1e-8, rel=0.2)
    assert "by 0.000001% of NAV" in str(refusal.value)


def test_a_looser_cap_counts_once_the_tighter_one_gives_way():
    """The minima would have to give 0.2 each; the caps give 0.2 and 0.18, as both are on A alone."""
    thrice = {name: {"symbols": {"A": 1.0}, "min": 0.4} for name in ("one", "two", "three")}
    rules = policy(custom=thrice, symbol_caps={"A": 0.2})
    with pytest.raises(InfeasibleError) as refusal:
        project(rules, upper=position_series({A: 0.22}))
    assert refusal.value.relaxation == {
        "symbol.A.cap": pytest.approx(0.2),
        "account.bounds": pytest.approx(0.18),
    }


def test_a_forgotten_minimum_leaves_positions_above_zero():
    """Without liquidity, A may be sold, not shorted to make room: the clash needs both other rules as well."""
    rules = policy(
        execution={"liquidity": {"participation": 0.1, "hard": True}},
        custom=least("B", 0.3),
        risk_bucket={"max_weight": 0.4},
    )
    with pytest.raises(InfeasibleError) as refusal:
        project(rules, previous={A: 0.3}, adv={"A": 1e6, "B": 1e9, "T": 1e9}, nav=1e6)
    assert set(refusal.value.rules) == {"liquidity.A", "custom.least_B", "barbell.risk.cap"}


def test_rules_on_an_empty_universe_may_clash():
    with pytest.raises(InfeasibleError) as refusal:
        pmx.Projector(policy(custom=least("A", 0.1)), []).project(position_series({}))
    assert refusal.value.rules == ("custom.least_A",)


@pytest.mark.parametrize("wrong", ["a limit left out", "a multiplier halved", "a bound misread", "without a minimum"])
def test_a_proof_that_does_not_hold_is_not_given(wrong):
    program, *_ = contradicting(1)
    program = EngineChain().solve(contradicting(1, short_by=-1e-3)[0])[0] and program
    with pytest.raises(InfeasibleError) as refusal:
        require_feasible(program)
    proof = [
        Weighted(int(limit.rule[4:]), limit.side, limit.bound, limit.multiplier, row=int(limit.rule[4:]))
        for limit in refusal.value.limits
    ]
    confirm(program, proof)
    first, *rest = proof
    tampered = {
        "a limit left out": rest,
        "a multiplier halved": [first._replace(multiplier=first.multiplier / 2), *rest],
        "a bound misread": [first._replace(bound=first.bound + 0.01), *rest],
        "without a minimum": [w for w in proof if w.side == "min"],
    }[wrong]
    with pytest.raises(SolverError, match=r"row\..* seem to clash, but the proof of it does not hold"):
        confirm(program, tampered)


@pytest.mark.parametrize(
    ("write", "ways"),
    [
        (lambda w: {"own": w.symbol("A") >= 0.9}, {"custom.own", "leverage.gross"}),
        (lambda w: {"own": cp.norm(w.x) <= 0.1, "other": w.symbol("A") >= 0.3}, {"custom.own", "custom.other"}),
    ],
)
def test_where_a_cone_takes_part_the_cheapest_way_speaks_of_few_rules(write, ways):
    """Several rules could share what must give way at the same price; an interior point lets them."""
    rules = policy(portfolio={"gross_max": 0.8})
    with pytest.raises(InfeasibleError) as refusal:
        pmx.Projector(rules, list(WISH), constraints=write).project(position_series(WISH))
    error = refusal.value
    assert not error.proven_minimal
    assert len(error.relaxation) == 1
    assert set(error.relaxation) < ways
    assert all(np.isnan(limit.bound) == (limit.rule.startswith("custom.")) for limit in error.limits)
    assert all(limit.multiplier > 0 for limit in error.limits)


# --- contradictions built on purpose --------------------------------------------------------------------


def contradicting(
    seed: int, *, others: int = 8, clashing: int = 4, short_by: float = 1e-3
) -> tuple[Program, set[str], float]:
    """A program with one minimal clash, known by construction.

    All rows hold at an interior point, with room. The last one demands more of a weighted sum of the first
    ``clashing`` rows than their limits add up to. Those rows are independent of each other, so without any
    one of them the demand can be met. Returns the names in the clash and the cost of the cheapest relaxation.
    """
    rng = np.random.default_rng(seed)
    n = 12
    u = rng.uniform(0.05, 0.1, n)
    A = rng.uniform(0.2, 1.0, (clashing + others, n))
    hi = A @ u + np.where(np.arange(clashing + others) < clashing, 1e-3, 0.05)
    weight = rng.uniform(0.3, 3.0, clashing)
    demand = weight @ A[:clashing]
    asked = weight @ hi[:clashing] + short_by
    A, hi = np.vstack([A, demand]), np.append(hi, np.inf)
    rows = len(A)
    lo = np.where(np.arange(rows) == rows - 1, asked, -np.inf)
    none = np.full(n, -1, dtype=np.intp)
    program = Program(
        sign=np.ones(n),
        target=rng.uniform(0, 0.2, n),
        distance=np.ones(n),
        previous=np.zeros(n),
        cost=np.zeros(n),
        lower=np.zeros(n),
        upper=np.full(n, np.inf),
        lower_owner=none,
        upper_owner=none,
        floor=np.full(n, -np.inf),
        floor_penalty=np.zeros(n),
        floor_owner=none,
        A=A,
        lo=lo,
        hi=hi,
        lo_owner=np.where(np.isfinite(lo), np.arange(rows), -1),
        hi_owner=np.where(np.isfinite(hi), np.arange(rows), -1),
        penalty=np.full(rows, np.inf),
        turnover_max=np.inf,
        turnover_penalty=np.inf,
        cones=(),
        rules=tuple(RuleRecord(f"row.{k}", "planted", True, "row", index=k) for k in range(rows)),
    )
    clash = {f"row.{k}" for k in range(clashing)} | {f"row.{rows - 1}"}
    return program, clash, short_by / max(1.0, float(weight.max()))


@pytest.mark.parametrize("short_by", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("seed", range(6))
def test_a_clash_among_many_rules_is_found(seed, short_by):
    program, clash, cost = contradicting(seed, short_by=short_by)
    with pytest.raises(InfeasibleError) as refusal:
        EngineChain().solve(program)
    error = refusal.value
    assert set(error.rules) == clash
    assert sum(error.relaxation.values()) == pytest.approx(cost, rel=1e-3, abs=1e-9)
    y = np.array([error.multipliers[f"row.{k}"] if f"row.{k}" in clash else 0.0 for k in range(len(program.A))])
    combined = y[:-1] @ program.A[:-1] - y[-1] * program.A[-1]
    assert (combined >= -1e-9).all()
    assert y[:-1] @ program.hi[:-1] - y[-1] * program.lo[-1] < 0


@pytest.mark.parametrize("seed", range(6))
def test_a_margin_of_a_ten_millionth_is_no_clash(seed):
    program, *_ = contradicting(seed, short_by=-1e-7)
    point, certificate = EngineChain().solve(program)
    assert certificate.accepted
    assert (program.A @ point.u >= program.lo - 1e-9).all()
    assert (program.A @ point.u <= program.hi + 1e-9).all()


def test_a_minimum_just_under_its_cap_is_met():
    allocation = project(policy(custom=least("A", 0.25 - 1e-7), symbol_caps={"A": 0.25}, portfolio={"gross_max": 0.25}))
    assert 0.25 - 1e-7 - 1e-9 <= allocation.positions[A] <= 0.25 + 1e-9


def test_a_volatility_cap_just_above_what_a_minimum_needs_is_met():
    rules = policy(custom=least("A", 0.4), portfolio={"volatility_max": 0.08 + 1e-5})
    allocation = project(rules, covariance=SIGMA)
    assert 0.4 - 1e-9 <= allocation.positions[A] <= 0.4001


@pytest.mark.parametrize("seed", range(12))
def test_a_clash_with_the_volatility_cap_is_minimal(seed):
    """Minima on some of five correlated symbols need more volatility than the cap, with other rules looking on."""
    rng = np.random.default_rng(seed)
    symbols = list("ABCDE")
    factor = np.abs(rng.normal(size=(5, 2))) * 0.15
    sigma = pd.DataFrame(factor @ factor.T + np.diag(rng.uniform(0.01, 0.04, 5)), index=symbols, columns=symbols)
    chosen = symbols[: int(rng.integers(1, 4))]
    floors = np.array([0.1 if s in chosen else 0.0 for s in symbols])
    cap = float(np.sqrt(floors @ sigma.to_numpy() @ floors)) * 0.95
    custom = {k: v for s in chosen for k, v in least(s, 0.1).items()}
    rules = policy(custom=custom, portfolio={"volatility_max": cap, "gross_max": 0.9}, symbol_caps={"E": 0.15})
    wish = position_series({("core", s): 0.2 for s in symbols})
    universe = list(wish.index)
    with pytest.raises(InfeasibleError) as refusal:
        pmx.Projector(rules, universe).project(wish, covariance=sigma)
    assert set(refusal.value.rules) == {"volatility.max", *(f"custom.{name}" for name in custom)}
    for name in refusal.value.rules:
        fewer, _ = without(rules, {}, name)
        assert pmx.Projector(fewer, universe).project(wish, covariance=sigma).certificate.accepted
