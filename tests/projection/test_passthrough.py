"""With both flags off, what would limit weights is refused and nothing of the layer is computed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError, PmxWarning
from pmx.execution import Desk, Holdings, step
from pmx.projection import Projector
from pmx.risk import RiskScaler

OFF = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
INDEX = pd.MultiIndex.from_tuples([("ts_core", "SP500"), ("ts_core", "WTI")])
WEIGHTS = pd.Series([0.7, -0.1 / 3.0], index=INDEX)
LIMITS = {
    "gated": {"SP500": "exit"},
    "adv": {"SP500": 1e6, "WTI": 1e6},
    "nav": 1e6,
    "lower": WEIGHTS * 0.0,
    "upper": WEIGHTS * 0.0 + 0.1,
    "risk_scale": {"ts_core": 0.5},
}


@pytest.fixture
def off():
    return pmx.load_policy().override(OFF)


def offers(off):
    """Yield what takes limits, by name, and the limits that it takes."""
    projector = Projector(off, INDEX)
    single = {name: {name: value} for name, value in LIMITS.items()}
    for name in ("solve", "project"):
        yield name, getattr(projector, name), WEIGHTS, single
    yield (
        "solve_many",
        projector.solve_many,
        WEIGHTS.to_numpy()[None],
        {name: {name: value.to_numpy() if isinstance(value, pd.Series) else value} for name, value in LIMITS.items()},
    )
    once = {name: single[name] for name in ("gated", "adv", "nav")}
    yield (
        "pmx.project_to_feasible",
        lambda weights, **given: pmx.project_to_feasible(weights, off, **given),
        WEIGHTS,
        once,
    )
    once = once | {"risk_scale": single["risk_scale"]}
    yield "pmx.solve", lambda weights, **given: pmx.solve(off, weights, **given), WEIGHTS, once


def test_each_limit_is_refused_by_name_with_the_remedy(off):
    count = 0
    for _, offer, weights, given in offers(off):
        for name, limit in given.items():
            with pytest.raises(
                DataError, match=rf"^{name}= would .* switch (it|one of them) on, or leave {name}= out$"
            ):
                offer(weights, **limit)
            count += 1
    assert count == 3 * 6 + 3 + 4


def test_without_limits_the_weights_pass_through_bit_for_bit(off):
    for name, offer, weights, given in offers(off):
        inert = {"risk_scale": {"ts_core": 1.0}} if "risk_scale" in given else {}
        answer = offer(weights, gated={}, covariance=None, **inert)
        signed = answer.weights.to_numpy()[0, :2] if name == "solve_many" else answer.signed
        assert np.asarray(signed).tobytes() == np.ravel(weights).tobytes(), name


def test_what_describes_the_account_and_the_market_is_no_limit(off):
    covariance = pd.DataFrame(np.eye(2), index=["SP500", "WTI"], columns=["SP500", "WTI"])
    answer = pmx.project_to_feasible(WEIGHTS, off, previous=WEIGHTS, covariance=covariance)
    assert answer.signed.tobytes() == WEIGHTS.to_numpy().tobytes()


def test_constraints_of_ones_own_are_refused(off):
    with pytest.raises(DataError, match="constraints= would limit nothing"):
        Projector(off, INDEX, constraints=lambda w: {"some": w.symbol("WTI") <= 0.1})


def test_a_risk_scale_is_refused_where_buckets_alone_are_off():
    barbell = pmx.load_policy().override({"risk_buckets.enabled": False})
    with pytest.raises(DataError, match=r"risk_scale= would scale nothing: risk_buckets\.enabled is false"):
        pmx.solve(barbell, WEIGHTS, risk_scale={"ts_core": 0.5})
    assert RiskScaler(barbell).listens is False


def test_buckets_are_refused_for_weights_that_name_theirs():
    policy = pmx.load_policy()
    with pytest.raises(DataError, match="buckets= would have no effect"):
        pmx.project_to_feasible(WEIGHTS.abs(), policy, buckets={"SP500": "ml_secondary"})
    by_symbol = pmx.project_to_feasible({"SP500": 0.1}, policy, buckets={"SP500": "ml_secondary"})
    assert by_symbol.index.tolist() == [("ml_secondary", "SP500")]


def test_volumes_that_no_rule_reads_are_warned_of():
    policy = pmx.load_policy()
    assert policy.execution.liquidity.participation is None
    with pytest.warns(PmxWarning, match=r"adv= has no effect: the policy sets no execution.liquidity.participation"):
        pmx.project_to_feasible({"SP500": 0.1}, policy, adv={"SP500": 1e9}, nav=1e6)
    with pytest.warns(PmxWarning, match="nav= is used only beside adv="):
        pmx.project_to_feasible({"SP500": 0.1}, policy, nav=1e6)
    projector, targets = Projector(policy, INDEX), np.array([[0.05, 0.05]])
    with pytest.warns(PmxWarning, match="adv= has no effect"):
        projector.solve_many(targets, previous=targets, adv={"SP500": 1e9, "WTI": 1e9}, nav=1e6)
    with pytest.warns(PmxWarning, match="nav= is used only beside adv="):
        projector.solve_many(targets, previous=targets, nav=np.array([1e6]))
    projector.solve_many(targets, previous=targets)  # says nothing: warnings are errors here


def prices():
    rng = np.random.default_rng(5)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, size=(90, 2)), axis=0))
    return pd.DataFrame(closes, index=pd.bdate_range("2020-01-01", periods=90), columns=["SP500", "WTI"])


def test_a_cycle_computes_nothing_of_the_layer(off):
    policy = off.override({"risk_buckets.portfolio.volatility_max": 0.1})
    desk = Desk(policy, ["SP500", "WTI"], positions=INDEX.tolist())
    closes = prices()
    for day in range(60, 90):
        holdings = Holdings(1e6, np.array([0.5, 0.1]), {"ts_core": 0.02 if day % 2 else -0.02})
        decision = step(desk, holdings, closes.iloc[: day + 1], targets=WEIGHTS)
        assert decision.weights.tobytes() == WEIGHTS.to_numpy().tobytes()
    assert desk.scaler.listens is False
    assert desk.scaler.diagnostics().empty
    assert desk.covariance is None
    assert decision.risk_scale.eq(1.0).all()
    assert decision.allocation.readings == ()
    with pytest.raises(DataError, match="gated= would limit nothing"):
        step(desk, holdings, closes, targets=WEIGHTS, gated={"WTI": "exit"})
    with pytest.raises(DataError, match="adv= would limit nothing"):
        step(desk, holdings, closes, targets=WEIGHTS, adv={"SP500": 1.0, "WTI": 1.0})


def test_a_backtest_refuses_volumes(off):
    closes = prices()
    targets = pd.DataFrame(0.4, index=closes.index, columns=closes.columns)
    with pytest.raises(DataError, match="adv= would limit nothing"):
        pmx.backtest(closes, off, targets=targets, adv=closes * 1e6)
