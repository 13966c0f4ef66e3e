"""Each row of the table of units in docs/units.md: what is refused, what is warned of, and what passes in silence."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series

import pmx
from pmx.backtest.metrics import performance
from pmx.errors import DataError, PmxWarning, PolicyError
from pmx.portfolio import CostModel

POLICY = pmx.load_policy()
A, B, T = ("ts_core", "SP500"), ("ts_core", "NASDAQ"), ("safe", "BIL")
POSITIONS = [A, B, T]
WISH = position_series({A: 0.05, B: 0.05, T: 0.40})
NONE = position_series({A: 0.0, B: 0.0, T: 0.0})
PRICES = pd.DataFrame({"SP500": [100.0, 101.0, 102.0]}, index=pd.bdate_range("2024-01-01", periods=3))
RISKY = POLICY.override({"risk_buckets.portfolio.distance": "risk"})


def project(wish=WISH, policy=POLICY, **given):
    return pmx.Projector(policy, POSITIONS).project(wish, **given)


def weights(a, b, t):
    return position_series({A: a, B: b, T: t})


def covariance(*volatility, correlation=0.0):
    matrix = np.outer(volatility, volatility) * (np.eye(3) + correlation * (1.0 - np.eye(3)))
    symbols = [symbol for _, symbol in POSITIONS]
    return pd.DataFrame(matrix, symbols, symbols)


def many(values, **given):
    return pmx.Projector(POLICY, POSITIONS).solve_many(np.array([[0.05, 0.05, 0.4], values]), **given)


def backtest(**given):
    return pmx.backtest(PRICES, POLICY, targets=PRICES * 0.0 + 0.05, **given)


LIQUID = POLICY.override({"execution.liquidity.participation": 0.1})
#: name: (call, words of the refusal)
REFUSED = {
    "holdings in percent": (
        lambda: project(previous=weights(5.0, 5.0, 40.0)),
        r"previous adds up to 50 .*gross_max 1.*0\.05 for 5 %",
    ),
    "holdings by symbol in percent": (
        lambda: pmx.project_to_feasible({"SP500": 0.05}, POLICY, previous={"SP500": 5.0, "NASDAQ": 5.0, "BIL": 40.0}),
        "previous adds up to 50",
    ),
    "targets in percent": (
        lambda: project(weights(5.0, 5.0, 40.0)),
        "the largest of targets is 40, that is 4000% of NAV",
    ),
    "accounts' targets in percent": (lambda: many([5.0, 5.0, 40.0]), "the largest of targets is 40"),
    "accounts' holdings in percent": (
        lambda: many([0.05, 0.05, 0.4], previous=np.array([[0.0] * 3, [5.0, 5.0, 40.0]])),
        "previous of account 1 adds up to 50",
    ),
    "a backtest's targets in percent": (
        lambda: pmx.backtest(PRICES, POLICY, targets=PRICES * 0.0 + 50.0),
        "the largest of targets is 50",
    ),
    "relative weights in percent": (
        lambda: pmx.solve(POLICY, position_series({A: 46.0})),
        r"sums to 46 in absolute value, limit 1; give fractions: 0\.46 for 46 %",
    ),
    "a risk scale in percent": (
        lambda: project(risk_scale={"ts_core": 80.0}),
        r"risk scale of bucket ts_core is 80, a factor .*write 0\.80 for 80 %",
    ),
    "accounts' risk scale in percent": (lambda: many([0.05] * 3, risk_scale={"ts_core": 80.0}), "is 80, a factor"),
    "costs in basis points": (lambda: backtest(costs=5.0), r"costs is 5, that is 500% .*0\.0005 for 5 basis points"),
    "costs of a model as fractions of 10,000": (
        lambda: CostModel(10000.0, 0.0),
        "commission_bps is 10000 basis points",
    ),
    "a lower bound in percent": (
        lambda: project(lower=weights(0.0, 0.0, 40.0)),
        r"lower of position \('safe', 'BIL'\) is 40, .*0\.05 for 5 %",
    ),
    "a covariance of percent": (
        lambda: project(policy=RISKY, covariance=covariance(20.0, 25.0, 1.0)),
        "gives NASDAQ a volatility of 25, that is 2500% a year.*divide a covariance of percent by 10,000",
    ),
    "a year's risk-free rate": (
        lambda: performance(NAV, rf=0.05, periods_per_year=252),
        "rf is 0.05 a period, that is 1260% a year at 252 periods; divide a year's rate by 252",
    ),
    "a correlation above one": (
        lambda: project(policy=RISKY, covariance=covariance(0.2, 0.25, 0.1, correlation=1.3)),
        "the covariance of SP500 and NASDAQ is 0.065, above 0.05, the product of their volatilities",
    ),
}
NAV = pd.Series([100.0, 101.0, 100.0, 102.0])
#: name: (call, words of the warning)
WARNED = {
    "small holdings in percent": (
        lambda: project(previous=weights(1.0, 2.0, 3.0)),
        "previous adds up to 6 .*if these are percent",
    ),
    "small targets in percent": (
        lambda: project(weights(1.0, 2.0, 3.0)),
        "the largest of targets is 3, .*if they are percent",
    ),
    "accounts' small targets": (lambda: many([1.0, 2.0, 3.0]), "the largest of targets is 3,"),
    "a scale of three": (lambda: project(risk_scale={"ts_core": 3.0}), "risk scale of bucket ts_core is 3"),
    "costs of 5 %": (lambda: backtest(costs=0.05), r"commission_bps is 500 basis points, that is 5 %"),
    "costs as a fraction where basis points are meant": (
        lambda: CostModel(0.0005, 0.0),
        "give basis points: 5 for",
    ),
    "an upper bound in percent": (lambda: project(upper=weights(10.0, 10.0, 50.0)), "is 10, .*which limits nothing"),
    "a covariance of a volatility of 400 %": (
        lambda: project(policy=RISKY, covariance=covariance(4.0, 0.2, 0.1)),
        "volatility of 4, that is 400% a year",
    ),
    "a covariance of a day": (
        lambda: project(policy=RISKY, covariance=covariance(0.011, 0.012, 0.0001)),
        r"largest volatility of the covariance is 1\.20% a year, of NASDAQ; .*multiplied by 252",
    ),
    "a high risk-free rate": (lambda: performance(NAV, rf=0.02, periods_per_year=252), "that is 504% a year"),
    "volumes as a share": (
        lambda: project(policy=LIQUID, previous=NONE, adv={"SP500": 0.1, "NASDAQ": 0.1, "BIL": 0.5}, nav=1e6),
        "largest adv is 0.5; it is money a day",
    ),
}
#: Numbers at the edge of what is usual, none of which may draw a word.
SILENT = {
    "a drifted account": lambda: project(previous=weights(0.6, 0.5, 0.4)),
    "targets of twice the portfolio": lambda: project(weights(1.0, 0.5, 0.5)),
    "a leveraged policy": lambda: project(
        previous=weights(2.5, 2.5, 0.0),
        policy=POLICY.override({"risk_buckets.portfolio.gross_max": 3.0, "execution.turnover.max": None}),
    ),
    "no limit on leverage": lambda: project(
        previous=weights(9.0, 6.0, 0.0),
        policy=POLICY.override({"risk_buckets.portfolio.gross_max": None, "execution.turnover.max": None}),
    ),
    "a risk-free rate of a year of one period": lambda: performance(NAV, rf=0.05, periods_per_year=1),
    "a scale of 1.25": lambda: project(risk_scale={"ts_core": 1.25}),
    "costs of 1 %": lambda: backtest(costs=0.01),
    "no costs": lambda: backtest(costs=0.0),
    "no bound": lambda: project(upper=weights(np.inf, 0.5, 1.0)),
    "a year's covariance": lambda: project(policy=RISKY, covariance=covariance(0.2, 0.8, 0.002)),
    "bills alone": lambda: pmx.project_to_feasible(
        position_series({T: 0.4}), RISKY, covariance=pd.DataFrame([[1e-6]], ["BIL"], ["BIL"])
    ),
    "volumes": lambda: project(policy=LIQUID, previous=NONE, adv={"SP500": 1e9, "NASDAQ": 1e9, "BIL": 1e7}, nav=1e6),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused_with_the_unit_and_the_remedy(name):
    call, words = REFUSED[name]
    with pytest.raises(DataError, match=words):
        call()


@pytest.mark.parametrize("name", WARNED)
def test_what_is_unlikely_is_warned_of(name):
    call, words = WARNED[name]
    with pytest.warns(PmxWarning, match=words):
        call()


@pytest.mark.parametrize("name", SILENT)
def test_what_is_usual_passes_in_silence(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SILENT[name]()


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("risk_scaler.buckets.ts_core.target_vol", 20, "≤ 5 (write 0.20 for 20 %)"),
        ("risk_scaler.buckets.ts_core.max_drawdown", 25, "≤ 1 (write 0.25 for 25 %)"),
        ("risk_scaler.buckets.ts_core.max_scale", 125, "≤ 10 (write 1.25 for 125 %)"),
        ("risk_scaler.buckets.ts_core.min_scale", 25, "≤ 10 (write 0.25 for 25 %)"),
        ("risk_buckets.portfolio.volatility_max", 12, "≤ 5 (write 0.12 for 12 %)"),
        ("risk_buckets.portfolio.gross_max", 130, "≤ 20 (write 1.30 for 130 %)"),
        ("risk_buckets.portfolio.cash_min", 5, "≤ 1 (write 0.05 for 5 %)"),
        ("risk_buckets.buckets.ts_core.base_nav_frac", 15, "≤ 1 (write 0.15 for 15 %)"),
        ("barbell.symbol_caps", {"SP500": 5}, "≤ 1 (write 0.05 for 5 %)"),
        ("barbell.market_caps.ngx", 5, "≤ 1 (write 0.05 for 5 %)"),
        ("execution.turnover.max", 30, "≤ 1 (write 0.30 for 30 %)"),
        ("execution.liquidity.participation", 10, "≤ 1 (write 0.10 for 10 %)"),
        ("execution.costs.commission_bps", 10_000, "write a number < 10000"),
        ("signal_routing_config.sources.ml_secondary.min_edge", 20, "≤ 10 (write 0.20 for 20 %)"),
        ("signal_routing_config.sources.ml_secondary.min_confidence", 55, "≤ 1 (write 0.55 for 55 %)"),
        ("quant_success_config.min_expected_profit", 2, "≤ 1 (write 0.02 for 2 %)"),
    ],
)
def test_a_policy_in_percent_is_refused_at_load(key, value, remedy):
    with pytest.raises(PolicyError) as caught:
        POLICY.override({key: value})
    assert str(caught.value).endswith(remedy)


def test_the_reported_case():
    """Holdings of 5, 5 and 40 (percent) gave SP500 and NASDAQ 10 % each and status relaxed; as fractions they stand."""
    right = project(previous=weights(0.05, 0.05, 0.40))
    assert right.positions.to_numpy() == pytest.approx([0.05, 0.05, 0.40], abs=1e-9)
    assert right.status == "optimal"


def test_every_row_of_the_page_is_tested_here():
    page = (Path(__file__).resolve().parents[2] / "docs" / "units.md").read_text(encoding="utf-8")
    for name in ("previous", "targets", "relative", "risk_scale", "costs", "lower", "upper", "covariance", "adv"):
        assert f"`{name}" in page
    assert bare_policy({}).risk_buckets.portfolio.gross_max == 1.0  # the unit in which gross exposure is measured
