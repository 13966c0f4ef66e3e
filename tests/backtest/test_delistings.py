"""What was held of symbols without prices: every reader is told what became of it, and what that was worth."""

import json
import math

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import PmxWarning, PolicyError
from pmx.execution import Account, Desk, Holdings, step
from pmx.monitoring import report_html

DATES = pd.bdate_range("2020-01-01", periods=40)
OFF = {
    "risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False, "risk_scaler.enabled": False,
    "risk_buckets.default_bucket": "ts_core", "execution.costs.commission_bps": 0.0,
    "execution.costs.half_spread_bps": 0.0, "execution.max_stale_bars": 5,
}  # fmt: skip


def prices(reopened=93.84):
    """A share at 101.19 that has no close at rows 10 to 21, and then is at 93.84, if at all."""
    share = np.full(40, 101.19)
    share[10:22], share[22:] = np.nan, reopened
    return pd.DataFrame({"SHARE": share, "OTHER": 50.0}, index=DATES)


def run(table, treatment="last_mark", weight=0.078854, **changes):
    policy = pmx.load_policy(overrides=OFF | {"execution.delisting": treatment} | changes)
    targets = pd.DataFrame({"SHARE": [weight]}, index=DATES[:1])
    with pytest.warns(PmxWarning) as said:
        result = pmx.backtest(table, policy, targets=targets)
    [text] = [str(one.message) for one in said if str(one.message).startswith("held without prices")]
    return result, text


def test_the_last_mark_as_shipped():
    """78,854 sold at the stale 101.19 on the sixth missing close; at 93.84 the same was worth 5,727.61 less."""
    result, said = run(prices())
    [row] = result.delistings.to_dict("records")
    quantity = 78_854.0 / 101.19
    assert (row["symbol"], row["treatment"], row["haircut"]) == ("SHARE", "last_mark", 0.0)
    assert (row["date"], row["mark_date"], row["traded_again"]) == (DATES[15], DATES[9], DATES[22])
    assert (row["mark"], row["price_again"]) == (101.19, 93.84)
    assert row["quantity"] == pytest.approx(quantity, rel=1e-12)
    assert row["value"] == pytest.approx(78_854.0, rel=1e-12)
    assert row["overstated"] == pytest.approx(quantity * (101.19 - 93.84), rel=1e-9)
    assert round(row["overstated"], 2) == 5727.61
    assert said.startswith(
        "held without prices for more than execution.max_stale_bars sessions: SHARE: 779.267 sold on 2020-01-22 at the "
        "last mark, 101.19 of 2020-01-14, for 78,854.00 USD; it traded again on 2020-01-31 at 93.84, where the same "
        "was worth 5,727.61 USD less"
    )
    assert result.nav.iloc[-1] == pytest.approx(1e6, rel=1e-14)
    assert result.trades["reason"].tolist() == ["rebalance", "delisted"]


def test_a_haircut_is_lost_at_once():
    result, said = run(prices(), "haircut", **{"execution.delisting_haircut": 0.25})
    [row] = result.delistings.to_dict("records")
    assert (row["haircut"], row["mark"]) == (0.25, 101.19)
    assert row["value"] == pytest.approx(0.75 * 78_854.0, rel=1e-12)
    assert row["overstated"] == pytest.approx(0.75 * 78_854.0 - 78_854.0 * 93.84 / 101.19, rel=1e-9)
    assert "at the last mark, 101.19 of 2020-01-14 less 25 %, for 59,140.50 USD" in said
    assert "more (see" in said
    assert result.nav[DATES[14]] == pytest.approx(1e6, rel=1e-14)
    assert result.nav[DATES[15]] == pytest.approx(1e6 - 0.25 * 78_854.0, rel=1e-14)
    sale = result.trades.iloc[-1]
    assert (sale["reason"], sale["price"]) == ("delisted", pytest.approx(0.75 * 101.19, rel=1e-14))


@pytest.mark.parametrize("treatment", ["last_mark", "haircut"])
def test_the_days_contributions_hold_the_loss(treatment):
    result, _ = run(prices(), treatment)
    nav = result.nav
    earned = result.contributions["weight"].to_numpy()[1:] * nav.to_numpy()[:-1]
    np.testing.assert_allclose(np.diff(nav.to_numpy()), earned, atol=1e-6)
    assert (np.abs(earned) > 1.0).any() == (treatment == "haircut")


def test_held_on_it_stays_at_its_mark_until_it_trades_again():
    result, said = run(prices(), "hold")
    [row] = result.delistings.to_dict("records")
    quantity = 78_854.0 / 101.19
    assert (row["treatment"], row["date"], row["haircut"]) == ("hold", DATES[15], 0.0)
    assert row["value"] == pytest.approx(78_854.0, rel=1e-12)
    assert "779.267 still held on 2020-01-22 at the last mark" in said
    assert result.trades["reason"].tolist() == ["rebalance"]
    assert (result.positions["ts_core", "SHARE"].iloc[1:] > 0.0).all()
    assert result.nav[DATES[21]] == pytest.approx(1e6, rel=1e-14)
    assert result.nav.iloc[-1] == pytest.approx(1e6 - quantity * (101.19 - 93.84), rel=1e-14)


def test_what_never_trades_again():
    result, said = run(prices(reopened=np.nan))
    [row] = result.delistings.to_dict("records")
    assert row["traded_again"] is pd.NaT
    assert math.isnan(row["price_again"])
    assert math.isnan(row["overstated"])
    assert "for 78,854.00 USD; it did not trade again in the run" in said


def test_what_comes_after_the_run_is_not_looked_at():
    policy = pmx.load_policy(overrides=OFF)
    targets = pd.DataFrame({"SHARE": [0.5]}, index=DATES[:1])
    with pytest.warns(PmxWarning, match="did not trade again in the run"):
        result = pmx.backtest(prices(), policy, targets=targets, end=DATES[18])
    assert result.delistings["traded_again"].isna().all()


def test_a_short_loses_by_a_haircut_too():
    result, said = run(prices(), "haircut", weight=-0.1, **{"execution.delisting_haircut": 0.25})
    assert result.delistings["value"].tolist() == pytest.approx([-1.25 * 1e5])
    assert result.nav[DATES[15]] == pytest.approx(1e6 - 0.25 * 1e5, rel=1e-14)
    assert "bought back on" in said


def test_a_run_in_which_nothing_was_delisted_says_nothing():
    table = prices().ffill()
    result = pmx.backtest(table, pmx.load_policy(overrides=OFF), targets=table[["SHARE"]].iloc[:1] * 0 + 0.5)
    assert len(result.delistings) == 0
    assert list(result.delistings.columns)[:5] == ["date", "symbol", "treatment", "quantity", "mark"]
    assert "Held without prices" not in report_html({"run": result})


def test_what_was_not_held_is_not_listed():
    table = prices()
    policy = pmx.load_policy(overrides=OFF)
    assert len(pmx.backtest(table, policy, targets=pd.DataFrame({"OTHER": [0.5]}, index=DATES[:1])).delistings) == 0


def test_each_of_several_times_is_listed_and_the_first_three_are_spelled_out():
    table = pd.DataFrame(dict.fromkeys("ABCDE", 100.0), index=DATES)
    table.loc[DATES[5:15], list("ABCD")] = np.nan
    table.loc[DATES[25:], "A"] = np.nan
    table["A"] = table["A"].where(table["A"].isna(), 90.0)
    targets = pd.DataFrame({name: [0.1, 0.1] for name in "ABCDE"}, index=DATES[[0, 16]])
    with pytest.warns(PmxWarning, match=r"A: .*B: .*C: .*; and 2 more \(see .delistings; execution.delisting: haircut"):
        result = pmx.backtest(table, pmx.load_policy(overrides=OFF), targets=targets)
    assert result.delistings["symbol"].tolist() == ["A", "B", "C", "D", "A"]


def test_the_report_shows_them():
    result, _ = run(prices())
    page = report_html({"run": result})
    assert "Held without prices" in page
    for cell in ("2020-01-22", "101.19", "78,854.00", "93.84", "5,727.61"):
        assert cell in page


def test_held_on_a_symbol_may_not_grow_and_its_last_target_stands():
    """The decision goes on counting what cannot be sold: at its mark it stays within the rules."""
    policy = pmx.load_policy(
        overrides={
            "risk_buckets.default_bucket": "ts_core", "execution.delisting": "hold", "execution.turnover.max": None,
        }
    )  # fmt: skip
    known, positions = prices().iloc[:20], [("ts_core", "SHARE"), ("ts_core", "OTHER")]
    desk = Desk(policy, ["SHARE", "OTHER"], positions=positions)
    assert (desk.silent(known), desk.stale(known)) == ([], ["SHARE"])
    order = [symbol for _, symbol in desk.positions]
    held = np.array([0.05 if symbol == "SHARE" else 0.0 for symbol in order])
    decided = step(desk, Holdings(1e6, held, {}), known, targets=np.full(2, 0.08))
    assert dict(zip(order, decided.weights.round(9), strict=True)) == {"SHARE": 0.05, "OTHER": 0.08}
    gone = step(Desk(policy.override({"execution.delisting": "last_mark"}), ["SHARE", "OTHER"], positions=positions),
                Holdings(1e6, held, {}), known, targets=np.full(2, 0.08))  # fmt: skip
    assert dict(zip(order, gone.weights.round(9), strict=True)) == {"SHARE": 0.0, "OTHER": 0.08}


def test_what_never_had_a_price_stays_out_where_others_are_held_on():
    policy = pmx.load_policy(overrides={"risk_buckets.default_bucket": "ts_core", "execution.delisting": "hold"})
    table = prices().assign(NEW=np.nan)
    desk = Desk(policy, ["SHARE", "OTHER", "NEW"], positions=[("ts_core", "NEW")])
    assert (desk.silent(table), desk.stale(table.iloc[:20])) == (["NEW"], ["SHARE"])


def test_a_write_down_keeps_the_books():
    books = Account([("a", "X"), ("b", "X"), ("a", "Y")], ["X", "Y"], 1_000.0, np.zeros(2))
    books.mark(np.array([10.0, 5.0]))
    books.trade_to(np.array([30.0, -10.0, 20.0]), "rebalance")
    profit = books.write_down(np.array([True, True, False]), 0.5)
    assert profit.tolist() == [-150.0, 50.0, 0.0]
    assert books.nav == pytest.approx(1_000.0 + profit.sum())
    assert books.marks.tolist() == [5.0, 5.0]


@pytest.mark.parametrize("wrong", [-0.1, 1.5, True, "much"])
def test_a_haircut_is_a_fraction(wrong):
    with pytest.raises(PolicyError, match=r"execution\.delisting_haircut"):
        pmx.load_policy(overrides={"execution.delisting_haircut": wrong})


def test_a_haircut_of_nothing_is_refused():
    with pytest.raises(PolicyError, match=r"execution\.delisting_haircut.*last_mark"):
        pmx.load_policy(overrides={"execution.delisting": "haircut", "execution.delisting_haircut": 0.0})


def test_the_command_line_says_it_and_writes_it(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from pmx.cli.app import app

    monkeypatch.chdir(tmp_path)
    prices().to_csv("closes.csv", index_label="date")
    pd.DataFrame({"SHARE": [0.1]}, index=DATES[:1]).to_csv("targets.csv", index_label="date")
    result = CliRunner().invoke(
        app,
        ["backtest", "--prices", "closes.csv", "--targets", "targets.csv", "--out", "run",
         "--set", "risk_buckets.default_bucket=ts_core"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    written = pd.read_csv("run/delistings.csv")
    assert written["symbol"].tolist() == ["SHARE"]
    assert written["price_again"].tolist() == [93.84]
    assert "Held without prices" in result.stdout
    assert "it traded again on 2020-01-31 at 93.84" in result.stdout
    assert "warning: held without prices" in result.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["closes"] == 40


@pytest.mark.parametrize(("treatment", "sign"), [("hold", 1.0), ("last_mark", 1.0), ("last_mark", -1.0)])
def test_a_split_before_it_trades_again_counts(treatment, sign):
    """1,980.1964 at 27.25 become 7,920.79 by a 4:1 split on a day without a close, and are worth 30 each."""
    table = pd.DataFrame({"SHARE": 27.25, "OTHER": 50.0}, index=DATES)
    table.loc[DATES[10:22], "SHARE"] = np.nan
    table.loc[DATES[22:], "SHARE"] = 30.0
    policy = pmx.load_policy(overrides=OFF | {"execution.delisting": treatment})
    # One before the position is noted, which its quantity has in it, one after, and one on the day it trades again.
    splits = pd.DataFrame({"date": DATES[[12, 18, 22]], "symbol": "SHARE", "ratio": [0.5, 4.0, 2.0]})
    weight = sign * 1_980.1964 * 27.25 / 1e6
    targets = pd.DataFrame({"SHARE": [weight]}, index=DATES[:1])
    for given, units in ((splits.iloc[[1]], 4.0), (splits, 4.0)):
        with pytest.warns(PmxWarning):
            result = pmx.backtest(table, policy, targets=targets, splits=given)
        [row] = result.delistings.to_dict("records")
        assert row["overstated"] == pytest.approx(sign * 1_980.1964 * (27.25 - units * 30.0), rel=1e-9)
        assert row["overstated"] == pytest.approx(sign * -183_663.2, abs=0.1)
