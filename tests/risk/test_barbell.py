"""The barbell alone: whatever comes in, one projection obeys every limit, where clipping limit by limit does not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pmx
from pmx import BarbellConstraint, DataError, Projector, Status, load_policy
from pmx.policy import Policy

SAFE = ["BIL", "SHV", "SHY"]
MARKETS = {"us_equity": ["SP500", "NASDAQ"], "commodities": ["WTI", "GLD"], "em": ["EEM"]}
RISK = [symbol for symbols in MARKETS.values() for symbol in symbols] + ["VIXY"]
SYMBOLS = SAFE + RISK
FLOOR, RISK_CAP, SAFE_EACH, RISK_EACH = 0.70, 0.25, 0.50, 0.10
MARKET_CAPS = {"us_equity": 0.20, "commodities": 0.10, "em": 0.05}


def violation(weights: dict[str, float]) -> float:
    """Worst violation of the shipped barbell's limits, from the numbers above. A short counts as risk."""
    risk = {s: abs(w) for s, w in weights.items() if s != "CASH" and (s not in SAFE or w < 0)}
    over = [
        sum(risk.values()) - min(1 - FLOOR, RISK_CAP),
        sum(weights[s] for s in weights if s != "CASH") - 1.0,
        *(sum(risk.get(s, 0.0) for s in symbols) - MARKET_CAPS[m] for m, symbols in MARKETS.items()),
        *(abs(weights[s]) - (SAFE_EACH if s in SAFE else RISK_EACH) for s in weights if s != "CASH"),
    ]
    return max(over)


def portfolios(count: int, seed: int) -> np.ndarray:
    """Long-only portfolios that are fully invested, from concentrated to spread; shape (count, symbols)."""
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.3, 1.0, 3.0], count)
    tilt = np.where(np.arange(len(SYMBOLS)) < len(SAFE), 3.0, 1.0)
    return np.array([rng.dirichlet(s * tilt) for s in spread])


def clip_and_rescale(weights: dict[str, float]) -> dict[str, float]:
    """What is done without an optimiser: cut to each cap in turn, then hand the rest out again in proportion."""
    w = {s: min(v, SAFE_EACH if s in SAFE else RISK_EACH) for s, v in weights.items()}
    for market, symbols in MARKETS.items():
        held = sum(w[s] for s in symbols)
        if held > MARKET_CAPS[market]:
            w |= {s: w[s] * MARKET_CAPS[market] / held for s in symbols}
    risk = sum(w[s] for s in RISK)
    if risk > RISK_CAP:
        w |= {s: w[s] * RISK_CAP / risk for s in RISK}
    total = sum(w.values())
    return {s: v / total for s, v in w.items()}


def test_two_thousand_portfolios_break_no_limit():
    barbell = BarbellConstraint(load_policy())
    index = pd.MultiIndex.from_tuples([(barbell.policy.bucket_of(s), s) for s in SYMBOLS], names=["bucket", "symbol"])
    projector = Projector(barbell.policy, index)
    naive_breaks = asked_breaks = 0
    for k, row in enumerate(portfolios(2000, seed=7)):
        asked = dict(zip(SYMBOLS, row.tolist(), strict=True))
        answer = projector.project(pd.Series(row, index=index))
        assert violation(answer.weights.to_dict()) <= 1e-9
        assert abs(float(answer.weights.sum()) - 1.0) <= 1e-12
        assert (answer.positions <= row + 1e-9).all()  # rules only cut; what they cut is cash
        asked_breaks += violation(asked) > 1e-9
        naive_breaks += violation(clip_and_rescale(asked)) > 1e-9
        if k % 40 == 0:
            direct = barbell.project_to_feasible(asked)
            assert direct.weights.to_dict() == pytest.approx(answer.weights.to_dict(), abs=1e-12)
    assert asked_breaks >= 1900
    assert naive_breaks >= 0.05 * 2000


def test_portfolios_with_shorts_break_no_limit():
    barbell = BarbellConstraint(load_policy())
    rng = np.random.default_rng(3)
    for row in portfolios(100, seed=4):
        sign = np.where(rng.random(len(SYMBOLS)) < 0.3, -1.0, 1.0)
        answer = barbell.project_to_feasible(dict(zip(SYMBOLS, (1.5 * row * sign).tolist(), strict=True)))
        assert violation(answer.weights.to_dict()) <= 1e-9
        assert (answer.positions.to_numpy() * sign >= 0).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0, 0.2), min_size=len(SYMBOLS), max_size=len(SYMBOLS)))
def test_a_portfolio_that_obeys_the_barbell_comes_back_unchanged(sizes):
    asked = dict(zip(SYMBOLS, sizes, strict=True))
    while violation(asked) > 0:
        asked = {s: w / 2 for s, w in asked.items()}
    answer = BarbellConstraint(load_policy()).project_to_feasible(asked).weights
    assert answer.drop("CASH").to_dict() == pytest.approx(asked, abs=1e-9)


def test_limits_cut_in_proportion_and_the_rest_is_cash():
    answer = BarbellConstraint(load_policy()).project_to_feasible({"BIL": 0.5, "SP500": 0.1, "EEM": 0.1, "VIXY": 0.1})
    # EEM: 0.05 by its market. Of SP500, VIXY 0.2 then fits exactly under 0.25.
    assert answer.weights.to_dict() == pytest.approx(
        {"BIL": 0.5, "SP500": 0.1, "EEM": 0.05, "VIXY": 0.1, "CASH": 0.25}, abs=1e-9
    )
    assert answer.rules.loc["market.em.cap", "binding"]
    tighter = BarbellConstraint(load_policy(overrides={"barbell.risk_bucket.max_weight": 0.15}))
    cut = tighter.project_to_feasible({"BIL": 0.5, "SP500": 0.1, "VIXY": 0.05, "WTI": 0.1})
    assert cut.weights.to_dict() == pytest.approx(
        {"BIL": 0.5, "SP500": 0.06, "VIXY": 0.03, "WTI": 0.06, "CASH": 0.35}, abs=1e-9
    )
    assert cut.rules.loc["barbell.risk.cap", "shadow_price"] == pytest.approx(0.4, abs=1e-9)


def test_budgets_of_buckets_play_no_part():
    """The shipped policy gives the tail hedge at most 3 % of NAV; the barbell alone lets it have a position's 10 %."""
    policy = load_policy()
    assert BarbellConstraint(policy).project_to_feasible({"VIXY": 0.2}).weights["VIXY"] == pytest.approx(0.1, abs=1e-9)
    assert pmx.project_to_feasible({"VIXY": 0.2}, policy).weights["VIXY"] == pytest.approx(0.03, abs=1e-9)


def test_the_floor_of_the_buckets_file_holds_although_its_budgets_do_not():
    policy = load_policy(
        overrides={"risk_buckets.buckets.safe.min_nav_frac": 0.72, "barbell.risk_bucket.max_weight": None}
    )
    assert policy.safe_floor == 0.72
    answer = BarbellConstraint(policy).project_to_feasible({"SP500": 0.1, "NASDAQ": 0.1, "WTI": 0.1, "VIXY": 0.1})
    assert answer.safe_weight == pytest.approx(0.72, abs=1e-9)


def test_limits_of_the_whole_portfolio_hold_too():
    policy = load_policy(overrides={"risk_buckets.portfolio.cash_min": 0.4})
    answer = BarbellConstraint(policy).project_to_feasible({"BIL": 0.5, "SP500": 0.1, "SHV": 0.2})
    assert answer.weights["CASH"] == pytest.approx(0.4, abs=1e-9)


@pytest.mark.parametrize("weights", [{"BIL": 1 / 3, "X": -0.1, "SP500": 7.7}, {"BIL": 0.1 + 0.2, "CASH": 0.5}])
def test_switched_off_it_returns_the_same_weights_bit_for_bit(weights):
    policy = load_policy(overrides={"barbell.enable_barbell_allocation": False})
    for given_weights in (weights, pd.Series(weights)):
        answer = BarbellConstraint(policy).project_to_feasible(given_weights)
        assert answer.status is Status.BYPASSED
        for symbol, weight in weights.items():
            assert answer.weights[symbol] == weight


def test_a_policy_without_buckets_knows_safe_from_risk():
    """A symbol listed as safe is safe, every other one is risk."""
    safe, risk = {"symbols": ["BIL"], "min_weight": 0.8}, {"max_per_position": None}
    policy = Policy.from_mapping({"barbell": {"safe_bucket": safe, "risk_bucket": risk}})
    answer = BarbellConstraint(policy).project_to_feasible({"BIL": 0.5, "SPY": 0.3, "QQQ": 0.1})
    assert answer.weights.to_dict() == pytest.approx({"BIL": 0.5, "SPY": 0.15, "QQQ": 0.05, "CASH": 0.3}, abs=1e-9)
    off = Policy.from_mapping({"barbell": {"enable_barbell_allocation": False}})
    assert BarbellConstraint(off).project_to_feasible({"SPY": 3.0}).weights["SPY"] == 3.0


def test_where_the_lists_do_not_decide_the_caller_may():
    policy = load_policy(overrides={"risk_buckets.default_bucket": None})
    barbell = BarbellConstraint(policy)
    with pytest.raises(DataError, match="symbol NEW belongs to no bucket"):
        barbell.project_to_feasible({"NEW": 0.2})
    answer = barbell.project_to_feasible({"NEW": 0.2}, buckets={"NEW": "ml_secondary"})
    assert answer.positions[("ml_secondary", "NEW")] == pytest.approx(0.1, abs=1e-9)


def test_a_weight_that_is_no_number_is_refused():
    with pytest.raises(DataError, match=r"SP500.*not a finite number"):
        BarbellConstraint(load_policy()).project_to_feasible({"SP500": float("nan")})
