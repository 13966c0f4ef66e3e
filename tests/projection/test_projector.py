"""A projector is built once and solved many times: no solve leaves a trace in the next, and bad inputs are named."""

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series, random_case

import pmx
from pmx import DataError, PolicyError, SolverError, Status
from pmx.policy import Policy

A, B, TWIN, T = ("core", "A"), ("core", "B"), ("tilt", "A"), ("safe", "T")
POSITIONS = [A, B, TWIN, T]
COVARIANCE = pd.DataFrame(
    [[0.04, 0.01, 0.0], [0.01, 0.09, 0.0], [0.0, 0.0, 0.0001]], index=["A", "B", "T"], columns=["A", "B", "T"]
)


def policy(**changes) -> Policy:
    plain = bare_policy(
        {
            "risk_buckets": {
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.5},
                    "core": {"role": "risk", "base_nav_frac": 0.4, "max_nav_frac": 0.5, "allow_short": True},
                    "tilt": {"role": "risk", "base_nav_frac": 0.2, "allow_short": True},
                },
            },
            "barbell": {
                "safe_bucket": {"min_weight": 0.5, "max_weight": 0.9, "max_weight_penalty": 0.1},
                "risk_bucket": {"max_weight": 0.45, "max_per_position": 0.3},
                "markets": {"us": ["A"]},
                "market_caps": {"us": 0.35},
            },
        }
    )
    return plain.override({key.replace("__", "."): value for key, value in changes.items()})


def series(values: list[float], positions: list = POSITIONS) -> pd.Series:
    return position_series(dict(zip(positions, values, strict=True)))


# --- many solves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 8, 21])
def test_many_solves_in_any_order_equal_fresh_ones(seed):
    """Wishes, signs, scales, holdings and gates change from solve to solve; each answers as if it were the first."""
    rng = np.random.default_rng(seed)
    case = random_case(seed)
    reused = pmx.Projector(case.policy, case.relative.index)
    problem = reused.problem
    jobs = []
    for _ in range(8):
        arguments = {k: v for k, v in case.arguments.items() if k in ("covariance", "adv", "nav")}
        sign = np.where(rng.random(len(case.relative)) < 0.2, -1.0, 1.0)
        wish = case.relative * rng.random(len(case.relative)) * sign
        if rng.random() < 0.6:
            arguments["risk_scale"] = {b: float(rng.uniform(0, 1.5)) for b in case.policy.risk_buckets.buckets}
        if rng.random() < 0.6:
            arguments["previous"] = case.relative * 0.1 + rng.normal(0, 0.03, len(case.relative))
        if rng.random() < 0.5:
            gated = rng.choice(case.relative.index.get_level_values("symbol"), 2)
            arguments["gated"] = {str(s): str(rng.choice(["exit", "reduce_only"])) for s in gated}
        jobs.append((wish, arguments))
    fresh = [pmx.Projector(case.policy, case.relative.index).solve(wish, **more) for wish, more in jobs]
    for i in [*range(8), *rng.permutation(8)]:
        wish, arguments = jobs[i]
        again = reused.solve(wish, **arguments)
        assert float((again.positions - fresh[i].positions).abs().max()) <= 1e-12
        assert list(again.rules.index) == list(fresh[i].rules.index)
        assert again.status is fresh[i].status
        assert reused.problem is problem


CHANGES = {
    "the wish": ({}, {}),
    "a sign": ({}, {"wish": [0.3, -0.4, -0.2, 0.3]}),
    "the sign of a safe position": ({}, {"wish": [0.3, 0.4, 0.2, -0.3]}),
    "a scale": ({}, {"risk_scale": {"core": 0.4, "tilt": 0.0}}),
    "holdings": ({}, {"previous": [0.1, -0.2, 0.0, 0.3]}),
    "holdings under a soft turnover": ({"execution__turnover__max": 0.1}, {"previous": [0.1, -0.2, 0.0, 0.3]}),
    "holdings under a cost": ({"execution__turnover__cost": 0.1}, {"previous": [0.1, -0.2, 0.0, 0.3]}),
    "gates": ({}, {"gated": {"A": "exit", "B": "reduce_only"}}),
    "holdings in a thin market": (
        {"execution__liquidity__participation": 0.1},
        {"previous": [0.3, 0.4, -0.1, 0.3], "adv": {"A": 1e5, "B": 1e5, "T": 1e5}, "nav": 1e6},
    ),
    "holdings in a hard thin market": (
        {"execution__liquidity__participation": 0.1, "execution__liquidity__hard": True},
        {"previous": [0.2, 0.1, -0.1, 0.3], "adv": {"A": 1e5, "B": 1e5, "T": 1e5}, "nav": 1e6},
    ),
    "a short in a market of safe symbols": (
        {"barbell__markets": {"bills": ["T"]}, "barbell__market_caps": {"bills": 0.1}},
        {"wish": [0.3, 0.4, 0.2, -0.3]},
    ),
    "the covariance of a cap": ({"risk_buckets__portfolio__volatility_max": 0.05}, {"covariance": 4 * COVARIANCE}),
    "the covariance of a metric": ({"risk_buckets__portfolio__distance": "risk"}, {"covariance": 4 * COVARIANCE}),
}


@pytest.mark.parametrize("case", CHANGES.values(), ids=CHANGES)
def test_what_changes_from_day_to_day_needs_no_compilation(case):
    overrides, change = case
    change = dict(change)
    projector = pmx.Projector(policy(**overrides), POSITIONS)
    always = {"covariance": COVARIANCE} if "covariance" in change else {}
    before = projector.project(series([0.3, 0.4, 0.2, 0.3]), **always)
    problem = projector.problem
    wish = series(change.pop("wish", [0.2, 0.1, 0.4, 0.2]))
    if "previous" in change:
        change["previous"] = series(change["previous"])
    projector.project(wish, **(always | change))
    again = projector.project(series([0.3, 0.4, 0.2, 0.3]), **always)
    assert projector.problem is problem
    assert float((again.positions - before.positions).abs().max()) <= 1e-12


def test_the_problem_follows_the_parametrized_rules_and_holds_the_latest_solve():
    projector = pmx.Projector(policy(execution__turnover__max=0.3), POSITIONS)
    problem = projector.problem
    assert problem.is_dcp(dpp=True)
    allocation = projector.project(series([0.3, 0.4, 0.2, 0.3]), previous=series([0.1, 0.1, 0.1, 0.1]), engine="cvxpy")
    assert problem.status == "optimal"
    (u,) = [v for v in problem.variables() if v.name() == "u"]
    assert np.allclose(u.value, allocation.positions, atol=1e-5)


def test_a_one_off_equals_a_projector():
    wish = series([0.5, -0.3, 0.4, 0.6])
    by_hand = pmx.Projector(policy(), POSITIONS)
    assert (pmx.solve(policy(), wish).positions == by_hand.solve(wish).positions).all()
    assert (pmx.project_to_feasible(wish, policy()).positions == by_hand.project(wish).positions).all()


def test_inputs_may_come_in_any_order_and_leave_positions_out():
    projector = pmx.Projector(policy(), POSITIONS)
    full = projector.project(series([0.0, -0.3, 0.0, 0.6]), previous=series([0.1, 0.0, 0.0, 0.2]))
    part = projector.project(series([0.6, -0.3], [T, B]), previous=series([0.2, 0.1], [T, A]))
    assert (full.positions == part.positions).all()


def test_inputs_are_not_touched():
    wish, held = series([0.5, -0.3, 0.4, 0.6]), series([0.1, 0.1, 0.1, 0.1])
    copies = wish.copy(), held.copy()
    allocation = pmx.Projector(policy(), POSITIONS).project(wish, previous=held)
    allocation.positions.iloc[:] = 7.0
    pd.testing.assert_series_equal(wish, copies[0])
    pd.testing.assert_series_equal(held, copies[1])
    assert float(allocation.weights.abs().max()) < 1.0


# --- small universes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["relative", "absolute", "risk"])
def test_an_empty_universe_is_all_cash(metric):
    chosen = policy(risk_buckets__portfolio__distance=metric)
    nothing = position_series({})
    for allocation in (
        pmx.Projector(chosen, []).project(nothing),
        pmx.solve(chosen, nothing),
        pmx.project_to_feasible({}, chosen),
        pmx.project_to_feasible({"CASH": 1.0}, chosen),
    ):
        assert allocation.weights.to_dict() == {"CASH": 1.0}
        assert allocation.certificate.accepted
        assert len(allocation.positions) == len(allocation.attribution) == 0


def test_a_single_symbol():
    allocation = pmx.Projector(policy(), [A]).project(series([0.9], [A]))
    assert allocation.weights.to_dict() == pytest.approx({"A": 0.3, "CASH": 0.7}, abs=1e-12)


def test_wishes_of_zero_are_all_cash():
    projector = pmx.Projector(policy(barbell__safe_bucket__max_weight_penalty=0.0), POSITIONS)
    for allocation in (projector.solve(series([0.0] * 4)), projector.project(series([0.0, -0.0, 0.0, 0.0]))):
        assert allocation.weights.to_dict() == {"A": 0.0, "B": 0.0, "T": 0.0, "CASH": 1.0}
        assert (allocation.attribution == 0.0).all(axis=None)


# --- the layer switched off ------------------------------------------------------------------------------

OFF = {"risk_buckets__enabled": False, "barbell__enable_barbell_allocation": False}
ODD = [0.1 + 0.2, -1 / 3, 1e-300, 7.3]


def test_solve_passes_through_bit_for_bit():
    wish = series(ODD)
    for allocation in (
        pmx.solve(policy(**OFF), wish),
        pmx.Projector(policy(**OFF), POSITIONS).solve(wish),
        pmx.Projector(policy(**OFF), POSITIONS).project(wish),
    ):
        assert allocation.status is Status.BYPASSED
        assert allocation.positions.to_numpy().tobytes() == wish.to_numpy().tobytes()
        assert allocation.positions.index.equals(wish.index)
        assert allocation.target.to_numpy().tobytes() == wish.to_numpy().tobytes()
        assert len(allocation.rules) == 0
        assert allocation.certificate.accepted


@pytest.mark.parametrize("cash", [None, 0.123456789, 0.0])
def test_weights_by_symbol_pass_through_bit_for_bit(cash):
    given = {"A": 0.1 + 0.2, "Z": -1 / 3, "B": 1e-300} | ({} if cash is None else {"CASH": cash})
    for weights in (given, pd.Series(given)):
        allocation = pmx.project_to_feasible(weights, policy(**OFF))
        answer = allocation.weights
        for symbol in ("A", "Z", "B"):
            assert answer[symbol] == given[symbol]
        assert answer["CASH"] == (1.0 - sum([0.1 + 0.2, -1 / 3, 1e-300]) if cash is None else cash)


def test_with_one_flag_on_the_layer_is_not_bypassed():
    for key in OFF:
        chosen = policy(**{key: False})
        allocation = pmx.Projector(chosen, POSITIONS).project(series([0.9, 0.9, 0.9, 0.9]))
        assert allocation.status is not Status.BYPASSED
        assert allocation.certificate.engine == "newton"


# --- refusals --------------------------------------------------------------------------------------------


def test_a_position_named_twice_in_the_universe():
    with pytest.raises(DataError, match=r"\('core', 'A'\) is named twice"):
        pmx.Projector(policy(), [A, B, A])


@pytest.mark.parametrize("universe", [["SP500"], [("core", "A", "x")], [0.5], pd.Index(["SP500"])])
def test_a_universe_of_something_else(universe):
    with pytest.raises(DataError, match=r"pairs \(bucket, symbol\)"):
        pmx.Projector(policy(), universe)


def test_a_bucket_that_does_not_exist():
    with pytest.raises(DataError, match=r"'nowhere'.*safe, core, tilt.*add the bucket or move"):
        pmx.Projector(policy(), [("nowhere", "A")])


def bad_calls() -> dict:
    wish = series([0.1, 0.1, 0.1, 0.1])
    twice = position_series({}).reindex(pd.MultiIndex.from_tuples([A, A], names=wish.index.names), fill_value=0.1)
    risk = {"risk_buckets__portfolio__distance": "risk"}
    cone = {"risk_buckets__portfolio__volatility_max": 0.1}
    thin = {"execution__liquidity__participation": 0.1}
    lopsided = COVARIANCE.copy()
    lopsided.iloc[0, 1] = 0.02
    negative = COVARIANCE.copy()
    negative.iloc[1, 1] = -0.01
    indefinite = COVARIANCE.copy()
    indefinite.iloc[0, 1] = indefinite.iloc[1, 0] = 0.08
    unknown = COVARIANCE.copy()
    unknown.iloc[1, 1] = np.nan
    adv = {"A": 1e6, "B": 1e6, "T": 1e6}
    return {
        "unknown position": (
            {},
            [series([0.1], [("core", "Z")])],
            {},
            r"targets names position \('core', 'Z'\).*universe",
        ),
        "unknown position held": ({}, [wish], {"previous": series([0.1], [("core", "Z")])}, r"previous names.*'Z'"),
        "position twice": ({}, [twice], {}, r"\('core', 'A'\) twice"),
        "NaN": ({}, [series([0.1, np.nan, 0.1, 0.1])], {}, r"\('core', 'B'\).*not a finite number; drop"),
        "infinity": ({}, [series([0.1, -np.inf, 0.1, 0.1])], {}, r"\('core', 'B'\).*not a finite number"),
        "NaN held": (
            {},
            [wish],
            {"previous": series([0.1, np.nan, 0.1, 0.1])},
            r"previous of position \('core', 'B'\)",
        ),
        "text": ({}, [wish.astype(object).replace(0.1, "much")], {}, r"targets must hold numbers.*much"),
        "not a series": ({}, [{A: 0.1}], {}, r"must be a Series indexed by \(bucket, symbol\), or an array; got dict"),
        "one level": ({}, [pd.Series({"A": 0.1})], {}, r"indexed by \(bucket, symbol\)"),
        "scale of an unknown bucket": ({}, [wish], {"risk_scale": {"nowhere": 0.5}}, "'nowhere'"),
        "scale below zero": ({}, [wish], {"risk_scale": {"core": -0.5}}, "core is -0.5"),
        "scale NaN": ({}, [wish], {"risk_scale": {"core": np.nan}}, "core is nan"),
        "gates as text": ({}, [wish], {"gated": "A"}, r"mapping or a list.*'A'"),
        "gate of an unknown mode": ({}, [wish], {"gated": {"A": "shut"}}, r"A is 'shut'.*'reduce_only' or 'exit'"),
        "no covariance for the metric": (risk, [wish], {}, r"risk_buckets.yml.*'risk'.*covariance=.*'relative'"),
        "no covariance for the cap": (cone, [wish], {}, r"risk_buckets.yml.*volatility_max.*covariance=.*null"),
        "symbol without covariance": (risk, [wish], {"covariance": COVARIANCE.drop("B")}, "no row and column for B"),
        "covariance NaN": (risk, [wish], {"covariance": unknown}, "covariance of B is not finite"),
        "covariance lopsided": (cone, [wish], {"covariance": lopsided}, "not symmetric; average"),
        "covariance lopsided, metric": (risk, [wish], {"covariance": lopsided}, "not symmetric; average"),
        "variance below zero": (risk, [wish], {"covariance": negative}, "variance of B is -0.01"),
        "covariance indefinite": (cone, [wish], {"covariance": indefinite}, r"not positive semidefinite.*shrink"),
        "covariance of nothing": (
            risk,
            [wish],
            {"covariance": 0 * COVARIANCE},
            "every variance of the covariance is zero",
        ),
        "covariance bare": (
            cone,
            [wish],
            {"covariance": COVARIANCE.to_numpy().tolist()},
            "must be a DataFrame.*got list",
        ),
        "covariance of others": (cone, [wish], {"covariance": np.eye(7)}, r"shape \(7, 7\).*row and a column for each"),
        "covariance twice": (cone, [wish], {"covariance": pd.concat([COVARIANCE, COVARIANCE])}, "names A twice"),
        "no volume": (thin, [wish], {"previous": wish}, r"execution.yml.*participation.*adv=.*null"),
        "volume without NAV": (thin, [wish], {"previous": wish, "adv": adv}, "nav must be a positive number.*None"),
        "volume and no NAV": (thin, [wish], {"previous": wish, "adv": adv, "nav": 0.0}, "nav must be.*0.0"),
        "volume of a symbol missing": (
            thin,
            [wish],
            {"previous": wish, "adv": {"A": 1e6}, "nav": 1e6},
            "adv of B is nan",
        ),
        "volume below zero": (
            thin,
            [wish],
            {"previous": wish, "adv": adv | {"B": -1.0}, "nav": 1e6},
            "adv of B is -1.0",
        ),
    }


@pytest.mark.parametrize("case", bad_calls().values(), ids=bad_calls())
def test_a_bad_input_is_named_and_changes_nothing(case):
    overrides, args, kwargs, message = case
    projector = pmx.Projector(policy(**overrides), POSITIONS)
    with pytest.raises(DataError, match=f"(?s){message}"):
        projector.project(*args, **kwargs)
    good = {"covariance": COVARIANCE} if "portfolio" in "".join(overrides) else {}
    fresh = pmx.Projector(policy(**overrides), POSITIONS)
    wish = series([0.3, 0.4, 0.2, 0.3])
    assert (projector.project(wish, **good).positions == fresh.project(wish, **good).positions).all()


def test_relative_weights_above_one_are_refused():
    with pytest.raises(DataError, match=r"core sums to 1\.1.*divide"):
        pmx.Projector(policy(), POSITIONS).solve(series([0.6, 0.5, 0.1, 0.1]))


def test_an_engine_that_does_not_exist():
    with pytest.raises(SolverError, match=r"'magic' does not exist; choose one of auto"):
        pmx.Projector(policy(), POSITIONS).project(series([0.1, 0.1, 0.1, 0.1]), engine="magic")


def test_engines_that_exist_agree():
    wish = series([0.5, -0.3, 0.4, 0.6])
    projector = pmx.Projector(policy(), POSITIONS)
    auto, cvxpy = (projector.project(wish, engine=engine) for engine in ("auto", "cvxpy"))
    assert float((auto.positions - cvxpy.positions).abs().max()) <= 1e-9


def test_a_symbol_of_no_bucket():
    with pytest.raises(DataError, match=r"symbol Q belongs to no bucket.*default_bucket.*buckets="):
        pmx.project_to_feasible({"Q": 0.1}, policy())
    allocation = pmx.project_to_feasible({"Q": 0.08, "CASH": 0.9}, policy(), buckets={"Q": "core"})
    assert allocation.positions[("core", "Q")] == pytest.approx(0.088, abs=1e-12)  # the safe cap lifts by a tenth


def test_a_policy_is_checked_before_a_projector_sees_it():
    with pytest.raises(PolicyError, match="gross_max"):
        policy(risk_buckets__portfolio__gross_max=float("nan"))
