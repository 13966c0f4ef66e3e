"""The state of a forecaster, counted from the lines of its audit log."""

import math
from dataclasses import replace
from datetime import date

import pytest

import pmx
from pmx.errors import LedgerError
from pmx.execution import AuditLine
from pmx.monitoring import health_of, health_table
from pmx.signals.success import Result

CONFIG = pmx.load_policy().forecaster_monitoring


def line(result="PASS", profit=0.001, symbol="A", missed=(), gated=False):
    judged = result != "UNPROVEN"
    figures = {"expected_profit": profit} if judged else {}
    score = 0.7 if judged else math.nan
    return AuditLine(1, "2020-01-02", symbol, "ts", 1, Result(result), score, missed, 30, figures, gated)


def test_fractions_are_of_the_latest_judged_lines():
    lines = [line("FAIL", -0.01)] * 300 + [line("UNPROVEN")] * 50 + [line()] * 6 + [line("FAIL", -0.01)] * 4
    found = health_of(lines, CONFIG.model_copy(update={"lookback_signals": 10, "min_signals": 10}))
    assert (found.judged, found.fail_fraction, found.negative_profit_fraction) == (10, 0.4, 0.4)
    assert found.healthy
    assert found.concluded


@pytest.mark.parametrize(
    ("fails", "losses", "reasons"),
    [(10, 10, []), (11, 10, ["max_fail_fraction"]), (10, 11, ["max_negative_expected_profit_fraction"]),
     (20, 20, ["max_fail_fraction", "max_negative_expected_profit_fraction"])],
)  # fmt: skip
def test_a_ceiling_is_passed_above_it_and_not_at_it(fails, losses, reasons):
    lines = [line("FAIL" if i < fails else "PASS", -0.001 if i < losses else 0.001) for i in range(20)]
    found = health_of(lines, CONFIG)
    assert found.healthy == (not reasons)
    assert len(found.reasons) == len(reasons)
    for reason, name in zip(found.reasons, reasons, strict=True):
        assert f"above {name}, 50.0%" in reason


def test_nothing_is_concluded_from_little():
    found = health_of([line("FAIL", -1.0)] * 19, CONFIG)
    assert (found.concluded, found.healthy) == (False, True)
    empty = health_of([line("UNPROVEN")], CONFIG)
    assert (empty.judged, empty.concluded) == (0, False)
    assert math.isnan(empty.fail_fraction)
    assert health_table(empty).empty


def test_a_log_that_has_ended_is_unhealthy_whatever_its_verdicts_say():
    good = [line()] * 25
    for day, healthy in ((date(2020, 1, 2), True), (date(2020, 1, 3), False)):
        found = health_of(good, CONFIG, not_before=day)
        assert (found.healthy, found.concluded) == (healthy, True)
    assert found.reasons == ("the last line is of 2020-01-02, before 2020-01-03",)
    few = health_of([line("UNPROVEN")], CONFIG, not_before=date(2020, 1, 3))
    assert (few.healthy, few.concluded) == (False, False)
    assert health_of([], CONFIG, not_before=date(2020, 1, 3)).reasons == ("the log has no line",)
    both = health_of([line("FAIL", -1.0)] * 25, CONFIG, not_before=date(2020, 1, 3))
    assert len(both.reasons) == 3
    with pytest.raises(LedgerError, match="line 1: 'now' is no date"):
        health_of([replace(good[0], date="now")], CONFIG, not_before=date(2020, 1, 3))
    assert health_of([replace(good[0], date="now")], CONFIG).healthy


def test_the_table_tells_symbols_apart():
    lines = [line(symbol="B", gated=True), line("FAIL", -0.003, missed=("max_drawdown", "min_sharpe_ratio")),
             line("FAIL", -0.001, missed=("max_drawdown",), gated=True), line(symbol="B")]  # fmt: skip
    table = health_of(lines, CONFIG).table
    assert table.loc[("ts", "A"), ["judged", "fail", "expected_profit", "gated"]].tolist() == [2, 1.0, -0.002, True]
    assert table.loc[("ts", "A"), "missed"] == "max_drawdown, min_sharpe_ratio"
    assert table.loc[("ts", "B"), ["judged", "fail", "gated"]].tolist() == [2, 0.0, False]
    text = health_table(health_of(lines, CONFIG))
    assert text["gate"].tolist() == ["shut", "open"]
    assert text["expected profit"].tolist() == ["-0.200%", "+0.100%"]
