"""Splits and dividends: quantities, cash, returns and contributions are those of a plain loop, nothing is early."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.data.corporate_actions import CorporateActions, as_held
from pmx.errors import DataError, PmxWarning

DATES = pd.bdate_range("2020-01-01", periods=6, name="date")
POLICY = pmx.load_policy()
OFF = POLICY.override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
FREE = {"costs": 0.0, "initial_nav": 1_000.0}


def table(values, dates=DATES, **columns):
    return pd.DataFrame(values if values is not None else columns, index=dates)


def once(value, day, symbol="AAPL"):
    return pd.DataFrame({symbol: [value]}, index=[DATES[day]])


#: A share that splits 4:1 at row 3 and otherwise does not move.
SPLIT = pd.DataFrame({"AAPL": [100.0, 100.0, 100.0, 25.0, 25.0, 25.0]}, index=DATES)
HALF = pd.DataFrame({"AAPL": [0.5]}, index=DATES[:1])


def test_a_split_without_the_table_is_a_loss_and_a_warning():
    with pytest.warns(PmxWarning, match=r"AAPL on 2020-01-06: 100 to 25, as in a 4:1 split; give adjusted prices"):
        result = pmx.backtest(SPLIT, OFF, targets=HALF, **FREE)
    assert result.returns.loc["2020-01-06"] == -0.375
    assert result.corporate_actions.empty


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
def test_a_split_with_the_table_is_no_move(trade_at):
    result = pmx.backtest(SPLIT, OFF, targets=HALF, splits=once(4.0, 3), trade_at=trade_at, **FREE)
    assert result.nav.iloc[-6:].tolist() == [1_000.0] * 6
    assert result.positions.iloc[[2, 3], 0].tolist() == [5.0, 20.0]
    assert result.data_warnings.empty
    [row] = result.corporate_actions.itertuples(index=False)
    assert tuple(row) == (DATES[3], "AAPL", "split", 4.0, 5.0, 0.0)


def test_the_same_split_in_a_long_table_with_text_dates_and_zeros_for_none():
    long = pd.DataFrame({"date": ["2020-01-06", "2020-01-07"], "symbol": ["AAPL", "AAPL"], "ratio": [4.0, 0.0]})
    wide = pd.DataFrame({"AAPL": [0.0, 4.0, np.nan]}, index=["2020-01-03", "2020-01-06", "2020-01-07"])
    runs = [pmx.backtest(SPLIT, OFF, targets=HALF, splits=splits, **FREE) for splits in (long, wide)]
    assert all(run.nav.iloc[-6:].tolist() == [1_000.0] * 6 for run in runs)


def test_a_dividend_is_cash_on_what_was_held_the_day_before():
    prices = pd.DataFrame({"AAPL": [100.0, 100.0, 98.0, 98.0, 98.0, 98.0]}, index=DATES)
    result = pmx.backtest(prices, OFF, targets=HALF, dividends=once(2.0, 2), trade_at="close", **FREE)
    assert result.nav.iloc[-6:].tolist() == [1_000.0] * 6
    assert result.corporate_actions.iloc[0].tolist() == [DATES[2], "AAPL", "dividend", 2.0, 5.0, 10.0]
    assert result.bucket_weights["CASH"].iloc[2] == pytest.approx(0.51)
    bought_that_day = pmx.backtest(
        prices, OFF, targets=pd.DataFrame({"AAPL": [0.5]}, index=DATES[2:3]), dividends=once(2.0, 2), trade_at="close",
        **FREE,
    )  # fmt: skip
    assert bought_that_day.nav.iloc[-6:].tolist() == [1_000.0] * 6
    assert bought_that_day.corporate_actions["cash"].tolist() == [0.0]


def test_who_is_short_pays_the_dividend():
    prices = pd.DataFrame({"AAPL": [100.0] * 6}, index=DATES)
    short = pd.DataFrame({"AAPL": [-0.5]}, index=DATES[:1])
    result = pmx.backtest(prices, OFF, targets=short, dividends=once(2.0, 3), trade_at="close", **FREE)
    assert result.nav.iloc[-6:].tolist() == [1_000.0] * 3 + [990.0] * 3


def test_a_dividend_on_the_day_of_a_split_is_for_the_unit_after_it():
    prices = SPLIT.assign(AAPL=[100.0, 100.0, 100.0, 24.5, 24.5, 24.5])
    result = pmx.backtest(
        prices, OFF, targets=HALF, splits=once(4.0, 3), dividends=once(0.5, 3), trade_at="close", **FREE
    )
    assert result.nav.iloc[-6:].tolist() == [1_000.0] * 6
    assert result.corporate_actions["quantity"].tolist() == [5.0, 20.0]


def test_a_split_while_there_is_no_close_keeps_what_is_held_worth_the_same():
    prices = SPLIT.assign(AAPL=[100.0, 100.0, 100.0, np.nan, np.nan, 26.0])
    result = pmx.backtest(prices, OFF, targets=HALF, splits=once(4.0, 3), trade_at="close", **FREE)
    assert result.nav.iloc[-6:].tolist() == [1_000.0] * 5 + [1_020.0]


# -- against a plain loop ----------------------------------------------------------------------------------


def market(seed, n=40, m=3):
    """Closes that are not adjusted, with random splits and dividends in them."""
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2020-01-01", periods=n, name="date")
    symbols = ["SP500", "NASDAQ", "WTI"][:m]
    ratios = np.where(rng.random((n, m)) < 0.05, rng.choice([2.0, 3.0, 1.5, 0.1], (n, m)), 1.0)
    total = np.exp(rng.normal(0.0, 0.01, (n, m)))
    ratios[0] = 1.0
    closes, paid = np.full((n, m), 100.0), np.zeros((n, m))
    for t in range(1, n):
        whole = closes[t - 1] / ratios[t] * total[t]
        paid[t] = np.where(rng.random(m) < 0.08, 0.02 * whole, 0.0)
        closes[t] = whole - paid[t]
    frame = lambda values: pd.DataFrame(values, dates, symbols)  # noqa: E731
    return frame(closes), frame(ratios).where(ratios != 1.0), frame(paid).where(paid != 0.0), frame(total)


def by_hand(prices, splits, dividends, targets, cost, rate):
    """NAV after each close, next-close trading, in Python floats and dicts."""
    cash, held, order, navs = 1_000.0, dict.fromkeys(prices, 0.0), None, []
    for t, day in enumerate(prices.index):
        if t:
            cash += cash * rate * (day - prices.index[t - 1]).days
            for s in prices:
                held[s] *= 1.0 if np.isnan(splits.loc[day, s]) else splits.loc[day, s]
                cash += held[s] * (0.0 if np.isnan(dividends.loc[day, s]) else dividends.loc[day, s])
        worth = cash + sum(held[s] * prices.loc[day, s] for s in prices)
        if order is not None:
            for s in prices:
                wanted = order[s] * worth / prices.loc[day, s]
                value = (wanted - held[s]) * prices.loc[day, s]
                cash -= value + abs(value) * cost
                held[s] = wanted
        navs.append(cash + sum(held[s] * prices.loc[day, s] for s in prices))
        order = dict(targets.loc[day]) if day in targets.index else None
    return navs


@pytest.mark.parametrize("seed", range(6))
def test_navs_are_those_of_a_plain_loop(seed):
    prices, splits, dividends, _ = market(seed)
    rng = np.random.default_rng(seed + 100)
    days = prices.index[:: int(rng.integers(1, 9))]
    targets = pd.DataFrame(rng.uniform(-0.3, 0.5, (len(days), 3)), days, prices.columns)
    rate = pd.Series([1e-4], index=prices.index[:1])
    result = pmx.backtest(
        prices, OFF, targets=targets, splits=splits, dividends=dividends, costs=0.001, cash_rate=rate,
        initial_nav=1_000.0, trade_at="next_close",
    )  # fmt: skip
    assert result.nav.tolist() == pytest.approx(by_hand(prices, splits, dividends, targets, 0.001, 1e-4), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_returns_are_those_of_the_prices_as_held(seed):
    prices, splits, dividends, total = market(seed)
    actions = CorporateActions(splits.fillna(1.0).to_numpy(), dividends.fillna(0.0).to_numpy())
    held = as_held(prices, actions)
    assert held.pct_change().iloc[1:].to_numpy() == pytest.approx(total.iloc[1:].to_numpy() - 1.0, abs=1e-12)
    k = 20
    early = as_held(prices[:k], CorporateActions(actions.ratios[:k], actions.dividends[:k]))
    pd.testing.assert_frame_equal(early, held[:k], check_exact=True)


def test_a_dividend_while_there_is_no_close_is_earned_at_the_next_one():
    prices = pd.DataFrame({"A": [100.0, np.nan, 98.0]}, index=DATES[:3])
    held = as_held(prices, CorporateActions(np.ones((3, 1)), np.array([[0.0], [2.0], [0.0]])))
    assert held["A"].iloc[2] == pytest.approx(100.0)


@pytest.mark.parametrize("seed", range(3))
def test_contributions_add_up_to_the_return_over_cash(seed):
    prices, splits, dividends, _ = market(seed)
    targets = pd.DataFrame(0.4, prices.index, prices.columns)
    rate = pd.Series([1e-4], index=prices.index[:1])
    result = pmx.backtest(
        prices, POLICY, targets=targets, splits=splits, dividends=dividends, costs=0.0, cash_rate=rate
    )
    parts = result.contributions
    assert parts.drop(columns="weight").sum(axis=1).to_numpy() == pytest.approx(parts["weight"].to_numpy(), abs=1e-14)
    over_cash = result.returns - result.rf.iloc[1:]
    assert parts["weight"].iloc[1:].to_numpy() == pytest.approx(over_cash.to_numpy(), abs=1e-12)
    assert len(result.corporate_actions) == (splits.notna().sum().sum() + dividends.notna().sum().sum())


@pytest.mark.parametrize("seed", range(3))
def test_the_compiled_days_around_a_split_give_the_same_bits(seed, tmp_path):
    prices, splits, dividends, _ = market(seed, n=60)
    targets = pd.DataFrame(0.2, prices.index, prices.columns)
    given = {"targets": targets, "splits": splits, "dividends": dividends}
    fast = pmx.backtest(prices, POLICY, **given)
    slow = pmx.backtest(prices, POLICY, journal=tmp_path / "journal.jsonl", **given)
    pd.testing.assert_series_equal(fast.nav, slow.nav, check_exact=True)
    pd.testing.assert_frame_equal(fast.positions, slow.positions, check_exact=True)
    pd.testing.assert_frame_equal(fast.contributions, slow.contributions, check_exact=True)


def test_engines_and_risk_models_see_the_same_whether_the_prices_are_adjusted_or_the_table_is_given():
    rng = np.random.default_rng(5)
    dates = pd.bdate_range("2017-01-02", periods=560, name="date")
    clean = pd.DataFrame(100 * np.exp(rng.normal(3e-4, 0.01, (560, 2)).cumsum(axis=0)), dates, ["SP500", "NASDAQ"])
    raw = clean.copy()
    raw.loc[dates[530] :, "SP500"] /= 4
    splits = pd.DataFrame({"SP500": [4.0]}, index=[dates[530]])
    capped = POLICY.override({"risk_buckets.portfolio.volatility_max": 0.05})
    targets = pd.DataFrame(0.2, dates, clean.columns)
    for given in ({}, {"targets": targets}):
        one = pmx.backtest(clean, capped, start=dates[515], **given)
        other = pmx.backtest(raw, capped, start=dates[515], splits=splits, **given)
        pd.testing.assert_series_equal(one.nav, other.nav, rtol=1e-9)
        pd.testing.assert_frame_equal(one.weights, other.weights, rtol=1e-6, atol=1e-9)
        pd.testing.assert_frame_equal(one.risk_scale, other.risk_scale, rtol=1e-9)


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"splits": once(4.0, 3, "APPL")}, "splits names APPL, which has no price column"),
        ({"splits": once(-4.0, 3)}, "splits of AAPL on 2020-01-06 is -4; give units for one held, such as 4"),
        ({"splits": once(np.inf, 3)}, "splits of AAPL on 2020-01-06 is inf"),
        ({"splits": once("four", 3)}, "splits holds something that is not a number"),
        ({"splits": pd.DataFrame({"AAPL": [4.0]}, index=[pd.Timestamp("2020-01-04")])},
         "splits has a row for 2020-01-04, on which there are no prices; move it to the next close, 2020-01-06"),
        ({"splits": pd.concat([once(4.0, 3)] * 2)}, "splits has two rows for 2020-01-06; keep one"),
        ({"splits": {"AAPL": 4.0}}, "splits is {'AAPL': 4.0}, a dict; give a pandas DataFrame"),
        ({"dividends": once(-1.0, 3)}, "dividends of AAPL on 2020-01-06 is -1; give cash for one unit"),
        ({"dividends": once(100.0, 2)}, "dividends of AAPL on 2020-01-03: 100 for one unit is no less than its close"),
        ({"dividends": pd.DataFrame({"AAPL": [1.0]}, index=["first"])}, "'first' is not a date"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(given, words):
    with pytest.raises(DataError) as caught:
        pmx.backtest(SPLIT, OFF, targets=HALF, **given)
    assert words in str(caught.value)


def test_what_lies_outside_the_prices_is_left_out():
    splits = pd.DataFrame({"AAPL": [2.0, 4.0, 2.0]}, index=pd.to_datetime(["1990-01-01", "2020-01-06", "2030-01-01"]))
    assert pmx.backtest(SPLIT, OFF, targets=HALF, splits=splits, **FREE).nav.iloc[-6:].tolist() == [1_000.0] * 6


def test_a_split_that_the_closes_do_not_show_is_questioned():
    flat = SPLIT.assign(AAPL=[100.0, 101.0, 102.0, 103.0, 102.0, 101.0])
    with pytest.warns(PmxWarning, match=r"splits says 4 of AAPL on 2020-01-06, but the close went from 102 to 103"):
        pmx.backtest(flat, OFF, targets=HALF, splits=once(4.0, 3), **FREE)


def test_a_declared_split_that_is_not_there_is_said_once_and_by_the_right_remedy():
    """Before, the move that the table itself made was also called a split, to be given as splits."""
    flat = SPLIT.assign(AAPL=[100.0, 101.0, 102.0, 103.0, 102.0, 101.0])
    with pytest.warns(PmxWarning) as caught:
        result = pmx.backtest(flat, OFF, targets=HALF, splits=once(4.0, 3), **FREE)
    (said,) = [str(warning.message) for warning in caught]
    assert said.startswith("splits says 4 of AAPL on 2020-01-06")
    assert "which does not show it; remove such rows from splits" in said
    assert result.data_warnings.empty
