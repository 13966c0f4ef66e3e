"""The residual symbol stands in for cash as far as every hard rule lets it."""

import numpy as np
import pandas as pd
import pytest

import pmx


def policy(**changes: object) -> pmx.Policy:
    base = {"risk_buckets.portfolio.residual_symbol": "BIL", "barbell.safe_bucket.max_per_position": None}
    return pmx.load_policy(overrides=base | {key.replace("__", "."): value for key, value in changes.items()})


WISH = {"SP500": 0.1}


def test_it_takes_what_is_left():
    answer = pmx.project_to_feasible(WISH, policy(risk_buckets__portfolio__cash_min=0.02))
    assert answer.weights.to_dict() == pytest.approx({"SP500": 0.1, "BIL": 0.88, "CASH": 0.02}, abs=1e-12)
    assert answer.rules.loc["leverage.gross", "value"] == pytest.approx(0.98, abs=1e-12)


def test_without_a_limit_it_leaves_no_cash_and_the_bucket_limits_it():
    assert pmx.project_to_feasible(WISH, policy()).weights["BIL"] == pytest.approx(0.9, abs=1e-12)
    little = {"SP500": 0.02}
    assert pmx.project_to_feasible(little, policy()).weights["BIL"] == pytest.approx(0.95, abs=1e-12)


def test_its_own_cap():
    capped = policy(barbell__safe_bucket__max_per_position=0.5)
    weights = pmx.project_to_feasible(WISH, capped).weights
    assert weights["BIL"] == pytest.approx(0.5, abs=1e-12)
    assert weights["CASH"] == pytest.approx(0.4, abs=1e-12)


def test_gross_leverage_beside_a_short():
    shorts = policy(risk_buckets__buckets__ts_core__allow_short=True)
    weights = pmx.project_to_feasible({"SP500": 0.1, "WTI": -0.1}, shorts).weights
    assert weights.drop("CASH").abs().sum() == pytest.approx(1.0, abs=1e-12)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_rule_of_ones_own():
    own = policy(risk_buckets__custom_rules={"few": {"symbols": {"BIL": 1.0}, "max": 0.1}})
    answer = pmx.project_to_feasible(WISH, own)
    assert answer.weights["BIL"] == pytest.approx(0.1, abs=1e-12)


def test_a_gate():
    wish = pd.Series({("ts_core", "SP500"): 0.1}).rename_axis(["bucket", "symbol"])
    answer = pmx.Projector(policy(), wish.index).project(wish, gated={"BIL": "exit"})
    assert answer.weights["BIL"] == 0.0
    assert answer.weights["CASH"] == pytest.approx(0.9, abs=1e-12)


def test_a_volatility_cap_counts_it():
    capped = policy(risk_buckets__portfolio__volatility_max=0.02)
    symbols = ["SP500", "BIL"]
    covariance = pd.DataFrame(np.diag([0.03, 0.0025]), index=symbols, columns=symbols)
    weights = pmx.project_to_feasible(WISH, capped, covariance=covariance).weights[symbols].to_numpy()
    assert float(np.sqrt(weights @ covariance.to_numpy() @ weights)) <= 0.02 + 1e-9
    assert weights[1] > 0.1


def test_orders_keep_to_it():
    shorts = policy(risk_buckets__buckets__ts_core__allow_short=True)
    answer = pmx.project_to_feasible({"SP500": 0.1, "WTI": -0.1}, shorts)
    plan = pmx.size_orders(
        answer, pmx.PortfolioSnapshot(1e6, {}), {"SP500": 100.0, "WTI": 50.0, "BIL": 90.0}, lot_size=1
    )
    assert plan.weights.abs().sum() <= 1.0 + 1e-9
