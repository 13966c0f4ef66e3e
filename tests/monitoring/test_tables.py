import math

import pandas as pd
import pytest

import pmx
from pmx.monitoring import (
    certificate_line,
    cuts_table,
    ledger_table,
    metrics_table,
    positions_table,
    rules_table,
    safe_weight_line,
    years_table,
)
from pmx.monitoring.tables import CAUSES, NONE, largest_contributions, percent, price, ratio

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


def test_a_limit_from_below_without_room_is_shown_as_one(tmp_path):
    policy = pmx.load_policy(overrides={"execution.liquidity.participation": 0.1})
    held, traded = pd.Series({"GE": 0.04}), pd.Series({"GE": 20_000.0})
    journal = tmp_path / "journal.jsonl"
    given = {"previous": held, "adv": traded, "nav": 1e6}
    sells = pmx.project_to_feasible(pd.Series({"GE": 0.0}), policy, **given, journal=journal)
    buys = pmx.project_to_feasible(pd.Series({"GE": 0.08}), policy, **given)
    # A tenth of 20,000 a day is 0.2 % of NAV.
    bounds = [rules_table(answer).set_index("rule").loc["liquidity.GE", "bound"] for answer in (sells, buys)]
    assert bounds == ["≥ 3.80%", "≤ 4.20%"]
    assert [answer.rules.loc["liquidity.GE", "side"] for answer in (sells, buys)] == ["min", "max"]
    assert "GE wanted 0.00%, gets 3.80%: liquidity.GE +3.80% (at least 3.80%)" in sells.explain()
    page = pmx.monitoring.explanation_html(sells)
    assert "≥ 3.80%" in page
    assert "soft \\u00b7 at least 3.80%" in page
    assert pmx.verify.verify(journal).accepted


def test_a_limit_from_both_sides_is_an_equation():
    own = {"risk_buckets.custom_rules": {"own": {"symbols": {"SP500": 1.0}, "min": 0.05, "max": 0.05}}}
    allocation = pmx.project_to_feasible(WISH, pmx.load_policy(overrides=own))
    assert rules_table(allocation).set_index("rule").loc["custom.own", "bound"] == "= 5.00%"
    assert allocation.rules.loc["custom.own", "side"] == "both"


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


def test_cuts_are_those_of_rules_that_were_binding_or_moved_something(runs):
    run = next(iter(runs.values()))
    table = cuts_table(run).set_index("rule")
    moved = run.rules[(run.rules["days_binding"] > 0) | (run.rules["saved"] + run.rules["cost"] > 0.0)]
    assert set(table.index) == set(moved.index)
    assert (moved["saved"] > 0.0).any()
    for name, line in moved.iterrows():
        earned = [percent(line[key]) for key in ("saved", "cost", "contribution")]
        expected = earned if line["saved"] or line["cost"] else [NONE] * 3
        assert table.loc[name, ["saved", "cost", "contribution"]].tolist() == expected
    size = (moved["saved"] + moved["cost"]).loc[table.index]
    assert size.is_monotonic_decreasing


def test_years_add_up_to_the_whole(runs):
    run = next(iter(runs.values()))
    table = years_table(run)
    assert list(table.index) == [*dict.fromkeys(str(day.year) for day in run.nav.index), "all"]
    assert table.columns[0] == "wished"
    assert table.columns[-1] == "held"
    assert table.loc["all", "held"] == percent(run.contributions["weight"].sum())
    first = run.contributions[run.nav.index.year == int(table.index[0])]
    assert table.loc[table.index[0], "wished"] == percent(first["target"].sum())


def test_rules_beyond_the_largest_are_taken_together():
    symbols = [f"US{i}" for i in range(CAUSES + 2)]
    rising = {symbol: [100.0, 101.0 + i, 100.0] for i, symbol in enumerate(symbols)}
    prices = pd.DataFrame(rising, index=pd.bdate_range("2020-01-01", periods=3))
    policy = pmx.load_policy().override({"barbell.risk_bucket.max_per_position": 0.01, "barbell.market_caps": {}})
    targets = pd.DataFrame(0.02, index=prices.index, columns=symbols)
    run = pmx.backtest(prices, policy, targets=targets, trade_at="close", costs=0.0)
    daily = largest_contributions(run)
    assert list(daily.columns) == [*(f"symbol.US{i}.cap" for i in range(CAUSES + 1, 1, -1)), "2 others"]
    rules = run.contributions.drop(columns=["target", "weight"])
    assert daily.sum(axis=1).to_numpy() == pytest.approx(rules.sum(axis=1).to_numpy(), abs=1e-15)
    assert daily["2 others"].to_numpy() == pytest.approx(
        (rules["symbol.US0.cap"] + rules["symbol.US1.cap"]).to_numpy(), abs=1e-15
    )


def test_the_lowest_safe_weight_stands_beside_its_floor(runs):
    run = next(iter(runs.values()))
    line = safe_weight_line(run)
    assert line.startswith(f"{run.safe_weight.min():.4f} ≥ 0.7000, on ")
    assert line.endswith(f"{run.safe_weight.idxmin():%Y-%m-%d}")


def test_the_certificate_is_a_sentence(allocation):
    line = certificate_line(allocation.certificate)
    assert f"{allocation.certificate.distance_bound:.1e} of NAV" in line
    assert "newton" in line
