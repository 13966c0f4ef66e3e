import math

import pandas as pd
import pytest

import pmx
from pmx.monitoring import (
    certificate_line,
    ledger_table,
    metrics_table,
    positions_table,
    rules_table,
    safe_weight_line,
)
from pmx.monitoring.tables import NONE, percent, price, ratio

WISH = pd.Series({"SP500": 0.3, "NASDAQ": 0.2, "BIL": 0.25})


@pytest.fixture(scope="module")
def allocation():
    return pmx.project_to_feasible(WISH, pmx.load_policy())


def test_numbers_are_written_for_a_reader():
    assert [percent(x) for x in (0.12345, -0.5, 0.0, -1e-9, math.nan, math.inf)] == [
        "12.35%",
        "-50.00%",
        "0.00%",
        "0.00%",
        NONE,
        NONE,
    ]
    assert [ratio(x) for x in (1.005, math.nan)] == ["1.00", NONE]
    assert [price(x) for x in (0.5, 0.0, 1e-9, math.nan)] == ["0.5", NONE, NONE, NONE]


def test_metrics_have_one_column_a_run(runs):
    table = metrics_table(runs)
    assert list(table.columns) == list(runs)
    for name, run in runs.items():
        assert table.loc["Maximum drawdown", name] == percent(run.metrics["max_drawdown"])
        assert table.loc["Sharpe ratio", name] == ratio(run.metrics["sharpe_ratio"])


def test_positions_add_up_by_bucket(allocation):
    table = positions_table(allocation).set_index(["bucket", "symbol"])
    assert table.loc[("ts_core", "SP500")].tolist() == ["30.00%", "10.00%", "-20.00%"]
    assert table.loc[("ts_core", "all")].tolist() == ["50.00%", "20.00%", "-30.00%"]
    assert table.loc[("safe", "BIL")].tolist() == ["25.00%", "25.00%", NONE]
    assert ("safe", "all") not in table.index  # one position needs no total
    assert table.loc[("cash", "CASH"), "weight"] == "55.00%"


def test_a_residual_symbol_has_its_own_line():
    policy = pmx.load_policy(overrides={"risk_buckets.portfolio.residual_symbol": "BIL"})
    allocation = pmx.project_to_feasible(WISH, policy)
    table = positions_table(allocation).set_index(["bucket", "symbol"])
    assert table.loc[("residual", "BIL"), "weight"] == percent(allocation.residual)
    assert allocation.residual > 0


def test_rules_say_which_way_they_limit(allocation):
    table = rules_table(allocation).set_index("rule")
    assert table.loc["symbol.SP500.cap", "bound"] == "≤ 10.00%"
    assert table.loc["symbol.SP500.cap", "binding"] == "yes"
    assert table.loc["symbol.SP500.cap", "source"].startswith("barbell.yml:")
    assert table.loc["barbell.safe.cap", ["kind", "bound", "binding"]].tolist() == ["soft", "≤ 95.00%", NONE]
    assert table.loc["leverage.gross", "shadow price"] == NONE


def test_a_soft_rule_that_gave_way_says_so():
    allocation = pmx.project_to_feasible({"SP500": 0.01}, pmx.load_policy())
    assert rules_table(allocation).set_index("rule").loc["barbell.safe.cap", "binding"] == "gave way"


def test_the_ledger_has_every_rule(runs):
    run = next(iter(runs.values()))
    table = ledger_table(run).set_index("rule")
    assert list(table.index) == list(run.rules.index)
    assert table.loc["leverage.gross", "days"] == f"{run.rules.loc['leverage.gross', 'days']:,}"
    given = run.rules.loc["barbell.safe.cap", "days_given_way"]
    assert given > 0
    assert table.loc["barbell.safe.cap", "gave way"] == f"{given:,}"


def test_the_lowest_safe_weight_stands_beside_its_floor(runs):
    run = next(iter(runs.values()))
    line = safe_weight_line(run)
    assert line.startswith(f"{run.safe_weight.min():.4f} ≥ 0.7000, on ")
    assert line.endswith(f"{run.safe_weight.idxmin():%Y-%m-%d}")


def test_the_certificate_is_a_sentence(allocation):
    line = certificate_line(allocation.certificate)
    assert f"{allocation.certificate.distance_bound:.1e} of NAV" in line
    assert "newton" in line
