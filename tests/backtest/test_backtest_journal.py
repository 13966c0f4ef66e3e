"""A journaled backtest decides the same, and every decision can be verified."""

import numpy as np
import pandas as pd
import pytest
from zoo.journals import lines_of

import pmx
from pmx.verify import verify


@pytest.fixture(scope="module")
def market():
    rng = np.random.default_rng(5)
    dates = pd.bdate_range("2020-01-01", periods=60)
    steps = rng.normal(0.0003, 0.01, size=(60, 4))
    prices = pd.DataFrame(100.0 * np.exp(np.cumsum(steps, axis=0)), dates, ["SP500", "NASDAQ", "WTI", "BIL"])
    targets = pd.DataFrame(rng.uniform(0.0, 0.2, size=(60, 3)), dates, ["SP500", "NASDAQ", "WTI"])
    return prices, targets.drop(index=dates[7])


def test_every_decision_is_in_it(market, tmp_path):
    prices, targets = market
    policy = pmx.load_policy().override({"execution.turnover.max": 0.05})
    path = tmp_path / "run.jsonl"
    plain = pmx.backtest(prices, policy, targets=targets)
    journaled = pmx.backtest(prices, policy, targets=targets, journal=path)
    pd.testing.assert_frame_equal(journaled.weights, plain.weights, check_exact=True)
    pd.testing.assert_series_equal(journaled.nav, plain.nav, check_exact=True)
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    solves = [line for line in lines_of(path) if line["record"] == "solve"]
    assert [solve["label"] for solve in solves] == [f"{date:%Y-%m-%d}" for date in plain.status.index]
    # On the day without targets, costs had left holdings a little outside a rule: one more solve.
    assert verdict.solves == len(plain.status) == 60
    assert plain.occasion[plain.occasion == "breach"].index.tolist() == [prices.index[7]]
    assert verdict.relaxed == int((plain.status == "relaxed").sum())
    assert [solve["status"] for solve in solves] == plain.status.tolist()


def test_a_residual_and_a_volatility_cap(market, tmp_path):
    prices, targets = market
    changes = {"risk_buckets.portfolio.residual_symbol": "BIL", "risk_buckets.portfolio.volatility_max": 0.02}
    path = tmp_path / "run.jsonl"
    with pmx.Journal(path) as journal:
        pmx.backtest(prices, pmx.load_policy().override(changes), targets=targets, end="2020-03-15", journal=journal)
        pmx.backtest(prices, pmx.load_policy(), targets=targets, end="2020-01-10", journal=journal)
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    assert len(verdict.policies) == 2


def test_a_run_that_fails_leaves_what_it_decided(market, tmp_path):
    prices, targets = market
    path = tmp_path / "run.jsonl"
    floor = {"risk_buckets.custom_rules": {"some": {"symbols": {"WTI": 1.0}, "min": 0.05}}}
    bad = prices.copy()
    bad.loc[bad.index[20:], "WTI"] = np.nan
    with pytest.raises(pmx.InfeasibleError) as caught:
        pmx.backtest(bad, pmx.load_policy().override(floor), targets=targets, journal=path)
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.solves > 20
    assert (verdict.refusals, verdict.proven) == (1, 1)
    *_, last, refusal, _ = lines_of(path)
    assert (refusal["kind"], refusal["message"]) == ("InfeasibleError", str(caught.value))
    assert refusal["label"] > last["label"]
    assert set(refusal["rules"]) == set(caught.value.rules) >= {"custom.some"}


def test_a_run_that_is_refused_before_its_first_day_says_why(market, tmp_path):
    prices, targets = market
    path = tmp_path / "run.jsonl"
    bad = prices.copy()
    bad.iloc[3, 0] = -1.0
    with pytest.raises(pmx.DataError) as caught:
        pmx.backtest(bad, pmx.load_policy(), targets=targets, journal=path)
    refusal = lines_of(path)[2]
    assert (refusal["record"], refusal["message"], refusal["label"]) == ("refusal", str(caught.value), None)
    assert (refusal["asked"], refusal["positions"]) == (None, None)
    assert verify(path).accepted


@pytest.mark.parametrize(
    "given",
    [{"engines": []}, {"periods_per_year": -1.0}, {"schedule": "hourly"}, {"tolerance": -1.0}],
    ids=lambda given: next(iter(given)),
)
def test_arguments_that_are_refused_leave_a_line(market, tmp_path, given):
    prices, targets = market
    path = tmp_path / "run.jsonl"
    with pytest.raises(pmx.PmxError) as caught:
        pmx.backtest(prices, pmx.load_policy(), targets=targets, journal=path, **given)
    refusal = lines_of(path)[2]
    assert (refusal["record"], refusal["kind"]) == ("refusal", type(caught.value).__name__)
    assert refusal["message"] == str(caught.value)
    verdict = verify(path)
    assert (verdict.accepted, verdict.solves, verdict.refusals) == (True, 0, 1)
