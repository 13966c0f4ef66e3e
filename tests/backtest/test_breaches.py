"""What was held is what is reported: the floor holds after each close's trades, or the day is listed with its cause."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.backtest.breaches import by_cause
from pmx.monitoring import breaches_table, report_html, safe_weight_line
from pmx.monitoring.held import lowest_held
from pmx.policy import Policy

FLOOR, COST = 0.6, 0.001
SYMBOLS = [f"S{j}" for j in range(10)]


def policy() -> Policy:
    """Two risk buckets under a floor of 60 % that binds, with symbols that are suspended for weeks not delisted."""
    buckets = {
        "safe": {"role": "safe", "base_nav_frac": 0.6, "symbols": ["BIL"]},
        "core": {"role": "risk", "base_nav_frac": 0.3, "symbols": SYMBOLS[:6]},
        "tail": {"role": "risk", "base_nav_frac": 0.3, "symbols": SYMBOLS[6:]},
    }
    return Policy.from_mapping(
        {
            "risk_buckets": {"buckets": buckets},
            "barbell": {
                "safe_bucket": {"symbols": ["BIL"], "min_weight": FLOOR, "max_weight": None, "max_per_position": None},
                "risk_bucket": {"max_weight": None, "max_per_position": None},
            },
            "execution": {"max_stale_bars": 60},
        }
    )


def market(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six years of ten symbols that rise and are suspended at random, and targets at each month's first close."""
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2012-01-02", periods=1500)
    closes = 100.0 * np.exp(rng.normal(0.0008, 0.015, (1500, 10)).cumsum(axis=0))
    for first, symbol in zip(rng.integers(5, 1450, 60), rng.integers(0, 10, 60), strict=True):
        closes[first : first + rng.integers(1, 15), symbol] = np.nan
    prices = pd.DataFrame(closes, dates, SYMBOLS)
    month = dates[~pd.Series(dates.strftime("%Y-%m")).duplicated().to_numpy()]
    # The targets ask for 44 % at risk, above the 40 % that the floor allows.
    sizes = rng.dirichlet(np.full(10, 3.0), len(month)) * 0.44
    return prices, pd.DataFrame(sizes, month, SYMBOLS)


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_floor_is_held_less_costs_but_for_days_that_are_listed(trade_at: str, seed: int) -> None:
    prices, targets = market(seed)
    result = pmx.backtest(prices, policy(), targets=targets, costs=COST, trade_at=trade_at, initial_nav=1e6)

    # Cash, quantities and marks, added up here; nothing of the run's own figures but its trades.
    cash, quantity, mark = 1e6, dict.fromkeys(SYMBOLS, 0.0), dict.fromkeys(SYMBOLS, 0.0)
    safe, allowed, untradable = {}, {}, {}
    trades = {day: table.to_dict("records") for day, table in result.trades.groupby("date")}
    for day, line in prices.iterrows():
        mark |= {symbol: close for symbol, close in line.items() if close == close}
        paid = 0.0
        for trade in trades.get(day, []):
            assert trade["price"] == line[trade["symbol"]]  # nothing is traded without a close
            quantity[trade["symbol"]] += trade["quantity"]
            cash -= trade["quantity"] * trade["price"] + COST * abs(trade["quantity"] * trade["price"])
            paid += COST * abs(trade["quantity"] * trade["price"])
        nav = cash + sum(q * mark[symbol] for symbol, q in quantity.items())
        assert nav == pytest.approx(result.nav[day], rel=1e-9)
        safe[day] = 1.0 - sum(abs(q) * mark[symbol] for symbol, q in quantity.items()) / nav
        allowed[day] = FLOOR - paid / nav - 1e-9
        untradable[day] = line.isna().any()
    safe, allowed = pd.Series(safe), pd.Series(allowed)
    np.testing.assert_allclose(result.safe_weight_held, safe, rtol=0, atol=1e-9)

    spells = result.breaches[result.breaches["rule"] == "barbell.safe.floor"]
    listed = pd.Series("", prices.index)
    for spell in spells.to_dict("records"):
        assert (listed[spell["first"] : spell["last"]] == "").all()
        listed[spell["first"] : spell["last"]] = spell["cause"]
    below = safe < allowed
    assert (listed[below] != "").all()
    assert set(listed[below]) <= {"drift", "suspended"}
    assert (listed[safe < FLOOR - 1e-9 - 1e-12] != "").all()
    if trade_at == "close":
        assert set(listed[below]) == {"suspended"}  # what can be traded is, at the very close
        assert all(untradable[day] for day in below[below].index)
    # The floor binds on a fifth of the days, and on many it would be broken without the cures.
    binding = (safe < FLOOR + 1e-3).mean()
    assert binding >= 0.20
    assert (result.occasion == "breach").sum() > 100
    assert below.sum() > 10

    for spell in spells[spells["cured"].notna()].to_dict("records"):
        cured = spell["cured"]
        assert safe[cured] >= FLOOR - 1e-9 - 1e-12
        assert (safe[spell["first"] : cured].iloc[:-1] < FLOOR - 1e-9 + 1e-12).all()
        closes = prices.index.get_indexer([spell["first"], spell["last"], cured])
        assert closes[1] < closes[2]
        assert (closes[2] - closes[0], closes[1] - closes[0]) == (spell["days_to_cure"], spell["days"] - 1)
        span = safe[spell["first"] : spell["last"]]
        assert spell["worst_excess"] == pytest.approx(FLOOR - span.min(), abs=1e-12)
    assert (result.breaches["cause"] != "decision").all()
    line = result.rules.loc["barbell.safe.floor"]
    assert line["days_outside"] == (safe < FLOOR - 1e-9).sum()
    assert line["max_excess_held"] == pytest.approx(FLOOR - safe.min(), abs=1e-12)
    if trade_at == "next_close":
        assert (spells[spells["cause"] == "drift"]["days"] == 1).mean() > 0.9


def test_monthly_rows_under_a_binding_floor_on_targets_alone_are_reported_as_they_were() -> None:
    prices, targets = market(2)
    prices = prices.ffill()
    result = pmx.backtest(prices, policy(), targets=targets, schedule="on_targets", costs=0.0)
    worth = result.positions.droplevel("bucket", axis=1) * prices
    safe = 1.0 - worth.sum(axis=1) / result.nav
    assert (safe < FLOOR - 1e-9).mean() > 0.2
    assert safe.min() < 0.585
    assert result.metrics["lowest_safe_weight_held"] == pytest.approx(safe.min(), abs=1e-12)
    assert result.metrics["lowest_safe_weight"] >= FLOOR - 1e-9
    [(rule, row)] = [(key, row) for key, row in by_cause(result.breaches).iterrows()]
    assert rule == ("barbell.safe.floor", "drift")
    assert row["days"] == (safe < FLOOR - 1e-9).sum()
    assert row["worst_excess"] == pytest.approx(FLOOR - safe.min(), abs=1e-12)
    # The first card, the table of rules and the terminal say so.
    page = report_html({"run": result})
    first = page[page.index('class="cards"') :][:900] if 'class="cards"' in page else page
    assert f"{safe.min():.2%}" in first
    assert page.index("lowest safe weight held") < page.index("lowest safe weight of any decision")
    assert f"(drift {row['days']:,})" in page
    assert safe_weight_line(result, held=True).startswith(f"{safe.min():.4f} < 0.6000 by")
    assert breaches_table(result)["closes"].tolist() == [f"{row['days']:,}"]
    # Back in time every day: the same report of a portfolio that was inside all along has a good card.
    kept = pmx.backtest(prices, policy(), targets=targets, trade_at="close", costs=0.0)
    assert kept.breaches.empty
    assert safe_weight_line(kept, held=True).startswith("0.6000 ≥ 0.6000")


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
def test_the_costs_of_the_first_day_are_in_the_return(trade_at: str) -> None:
    dates = pd.bdate_range("2024-01-02", periods=5)
    wide = pmx.load_policy().override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    prices = pd.DataFrame({"SP500": 100.0}, dates)
    targets = pd.DataFrame({"SP500": [0.5]}, dates[:1])
    result = pmx.backtest(prices, wide, targets=targets, costs=0.01, trade_at=trade_at, initial_nav=1000.0)
    assert result.nav.iloc[0] == 1000.0
    assert result.nav.iloc[-1] == pytest.approx(995.0)
    assert result.metrics["total_return"] == pytest.approx(-0.005)
    assert len(result.positions) == 5
    assert len(result.nav) == (6 if trade_at == "close" else 5)
    assert result.drawdown.iloc[-1] == pytest.approx(0.005)
    assert result.returns.index.equals(result.nav.index[1:])


def test_a_target_that_stands_pays_for_both_trades() -> None:
    dates = pd.bdate_range("2024-01-02", periods=2)
    wide = pmx.load_policy().override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    prices, targets = pd.DataFrame({"SP500": 100.0}, dates), pd.DataFrame({"SP500": 0.5}, dates)
    result = pmx.backtest(prices, wide, targets=targets, costs=0.01, trade_at="close", initial_nav=1000.0)
    assert result.nav.iloc[-1] == pytest.approx(994.975)  # 5.00 for 500 bought, 0.025 for 2.50 sold
    assert result.metrics["total_return"] == pytest.approx(-0.005025)


def test_the_opening_value_stands_at_the_close_before_the_run() -> None:
    dates = pd.bdate_range("2024-01-02", periods=5)
    prices = pd.DataFrame({"SP500": 100.0}, dates)
    targets = pd.DataFrame({"SP500": 0.05}, dates)
    whole = pmx.backtest(prices, pmx.load_policy(), targets=targets, trade_at="close")
    assert whole.nav.index[0] == pd.Timestamp("2024-01-01")
    late = pmx.backtest(prices, pmx.load_policy(), targets=targets, trade_at="close", start=dates[2])
    assert late.nav.index.tolist() == dates[1:].tolist()
    assert late.contributions.index.equals(dates[2:])


def test_a_soft_rule_that_decisions_exceed_is_no_breach_by_drift() -> None:
    dates = pd.bdate_range("2024-01-02", periods=5)
    prices = pd.DataFrame({"SP500": 100.0}, dates)
    result = pmx.backtest(prices, pmx.load_policy(), targets=pd.DataFrame({"SP500": [0.01]}, dates[:1]))
    [spell] = result.breaches.to_dict("records")
    assert (spell["rule"], spell["hard"], spell["cause"]) == ("barbell.safe.cap", False, "decision")
    assert (spell["first"], spell["days"]) == (dates[1], 4)
    assert pd.isna(spell["cured"])
    assert pd.isna(spell["days_to_cure"])


def flat(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame(100.0, pd.bdate_range("2020-01-01", periods=rows), SYMBOLS)


def floor_spells(prices: pd.DataFrame, targets: dict[int, dict[str, float]], **changes: object) -> pd.DataFrame:
    """Spells below the floor of targets by row, traded at the next close and left alone in between."""
    table = pd.DataFrame({prices.index[row]: line for row, line in targets.items()}).T.reindex(columns=SYMBOLS)
    given = {"schedule": "on_targets", "costs": 0.0} | changes
    result = pmx.backtest(prices, given.pop("policy", policy()), targets=table.fillna(0.0), **given)
    spells = result.breaches[result.breaches["rule"] == "barbell.safe.floor"]
    rows = {key: prices.index.get_indexer(spells[key]).tolist() for key in ("first", "last", "cured")}
    return spells.assign(**rows).reset_index(drop=True)


def listed(spells: pd.DataFrame) -> list[tuple[object, ...]]:
    return [tuple(row) for row in spells[["cause", "first", "last", "cured"]].to_numpy().tolist()]


def test_a_jump_long_after_the_trade_is_drift_however_much_that_trade_cost() -> None:
    prices = flat(30)
    paid = 0.3 * 0.01
    held = 0.3 / (1.0 - paid)
    # The price at which 40.29 % are at risk: less above the floor than the trade had cost.
    prices.iloc[10:, 0] *= 0.4029 * (1.0 - held) / (held * (1.0 - 0.4029))
    [spell] = floor_spells(prices, {0: {"S0": 0.3}}, costs=0.01).to_dict("records")
    assert spell["worst_excess"] == pytest.approx(0.0029, abs=1e-12)
    assert spell["worst_excess"] < paid
    assert (spell["cause"], spell["first"], spell["last"], spell["days"]) == ("drift", 10, 29, 20)
    result = pmx.backtest(
        prices, policy(), targets=prices.iloc[:1] * 0.0 + np.eye(10)[0] * 0.3, schedule="on_targets", costs=0.01
    )
    assert lowest_held(result)[::2] == ("59.71%", "bad")
    assert "(drift 20)" in lowest_held(result)[1]


def test_costs_are_the_cause_until_prices_take_what_is_held_further() -> None:
    prices = flat(20)
    prices.iloc[6:, 0] *= 1.0001
    spells = floor_spells(prices, {0: {"S0": 0.2, "S6": 0.2}}, costs=0.01)
    assert listed(spells) == [("costs", 1, 5, -1), ("drift", 6, 19, -1)]
    assert spells["worst_excess"][0] == pytest.approx(0.4 / (1.0 - 0.4 * 0.01) - 0.4, abs=1e-12)
    result = pmx.backtest(
        prices.iloc[:6], policy(), targets=prices.iloc[:1] * 0.0 + 0.2 * np.eye(10)[[0, 6]].sum(axis=0), costs=0.01,
        schedule="on_targets",
    )  # fmt: skip
    assert lowest_held(result)[2] == ""


def test_drift_follows_costs_in_a_spell_of_its_own() -> None:
    prices = flat(20)
    prices.iloc[6:, 0] *= 1.002  # 20 % become 20.04 %, or 0.024 % over the floor by themselves
    before = {"S0": 0.2, "S6": 0.2}
    spells = floor_spells(prices, {0: before, 6: {"S0": 0.1, "S6": 0.1}}, costs=0.0)
    assert listed(spells) == [("drift", 6, 6, 7)]
    # The trades of row 7 cut both: with costs nothing is left of the breach, of which they were no cause.
    spells = floor_spells(prices, {0: before, 6: {"S0": 0.1, "S6": 0.1}}, costs=0.001)
    assert listed(spells) == [("costs", 1, 5, 7), ("drift", 6, 6, 7)]


@pytest.mark.parametrize("stale", [60, 1])
def test_a_buy_that_waits_does_not_turn_drift_into_a_suspension(stale: int) -> None:
    """S1 is to be bought and has no close for two rows, or is delisted; meanwhile S0 is 6.2 % over for eight closes."""
    prices = flat()
    prices.iloc[11:13, 1] = np.nan
    prices.iloc[12:20, 0] *= 1.0 + (0.462 - 0.38) / (1.0 - 0.462) / 0.2  # with it 46.2 % are at risk
    at = {"S0": 0.2, "S6": 0.18}
    few = policy().override({"execution.max_stale_bars": stale})
    spells = floor_spells(prices, {0: at, 10: at | {"S1": 1e-4}}, policy=few)
    assert set(spells["cause"]) == {"drift"}
    assert (spells["first"].min(), spells["last"].max(), spells["days"].sum()) == (12, 19, 8)
    assert spells["worst_excess"].max() == pytest.approx(0.062, abs=2e-4)


def test_a_spell_is_split_where_prices_take_over_from_an_order_that_waits() -> None:
    prices = flat()
    prices.iloc[11:14, 0] = np.nan  # the cut of S0, due at row 11, waits for row 14
    change = {0: {"S0": 0.2, "S6": 0.1}, 10: {"S0": 0.1, "S6": 0.25}}
    spells = floor_spells(prices, change)
    assert listed(spells) == [("suspended", 11, 13, 14)]
    assert spells["worst_excess"][0] == pytest.approx(0.05, abs=1e-12)
    # From row 12 on S6 alone takes what is held over the floor, also with S0 cut; row 16 decides anew.
    prices.iloc[12:, 6] *= 1.5
    spells = floor_spells(prices, change | {16: {"S0": 0.1, "S6": 0.1}})
    assert listed(spells) == [("suspended", 11, 11, 17), ("drift", 12, 16, 17)]
    assert spells["days_to_cure"].tolist() == [6, 5]


def test_a_cut_that_waits_is_a_suspension_also_where_the_other_trades_cost() -> None:
    prices = flat()
    prices.iloc[11:14, 0] = np.nan
    change = {0: {"S0": 0.2, "S6": 0.1}, 10: {"S0": 0.1, "S6": 0.3}}
    spells = floor_spells(prices, change, costs=0.01)
    assert listed(spells)[0] == ("suspended", 11, 13, -1)  # costs are left
    assert spells["cause"].tolist()[1:] == ["costs"]


def test_drift_that_is_less_than_the_costs_of_another_symbols_late_trade_is_drift() -> None:
    """S1 was to be bought at row 11 and is at row 13, for 0.05 % of NAV in costs; S0 drifts 0.03 % over at row 13."""
    prices = flat(20)
    prices.iloc[11:13, 1] = np.nan
    prices.iloc[13:, 0] *= 1.0 + 0.0003 / 0.6 / 0.2
    start = {0: {"S0": 0.19, "S6": 0.15}, 10: {"S0": 0.2, "S6": 0.15, "S1": 0.05}}
    spells = floor_spells(prices, start, costs=0.01)
    assert listed(spells) == [("drift", 13, 19, -1)]
    assert spells["worst_excess"][0] < 0.05 * 0.01 + 0.0004
    prices.iloc[13:, 0] = 100.0
    assert listed(floor_spells(prices, start, costs=0.01)) == [("costs", 13, 19, -1)]
