"""Money: a backtest's NAV is what a loop in plain Python makes of the same trades, and every cent is accounted for."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pmx
from pmx.execution import CostModel
from pmx.portfolio import UNASSIGNED

#: Symbols end before the run does; that it is said is for test_delistings.py.
pytestmark = pytest.mark.filterwarnings("ignore:held without prices")

POLICY = pmx.load_policy()
OFF = POLICY.override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
#: Two buckets that may be short, and hardly a limit.
WIDE = pmx.load_policy().override(
    {
        "risk_buckets.buckets": {
            "safe": {"role": "safe", "base_nav_frac": 0.0, "symbols": ["BIL"]},
            "core": {"role": "risk", "base_nav_frac": 1.0, "allow_short": True},
            "other": {"role": "risk", "base_nav_frac": 1.0, "allow_short": True},
        },
        "risk_buckets.default_bucket": "core",
        "risk_buckets.portfolio.gross_max": None,
        "risk_buckets.portfolio.cash_min": None,
        "barbell.enable_barbell_allocation": False,
        "barbell.safe_bucket.symbols": ["BIL"],
        "risk_scaler.buckets": {},
        "signal_routing_config.full_conviction": {},
        "signal_routing_config.sources": {"time_series_core": {"bucket": "core", "priority": 1}},
        "execution.turnover.max": None,
        "execution.max_stale_bars": 2,
    }
)


# -- an independent loop ---------------------------------------------------------------------------------


def by_hand(
    days: list[date],
    closes: list[dict[str, float]],
    wishes: dict[date, dict[str, float]],
    *,
    cash: float,
    cost: dict[str, float],
    daily_rate: dict[date, float],
    at_close: bool,
    patience: int,
) -> tuple[list[float], list[dict[str, float]]]:
    """NAV after each close, and quantities; ``closes`` names only symbols that have a price."""
    held: dict[str, float] = {}
    mark: dict[str, float] = {}
    missed: dict[str, int] = {}
    order: dict[str, float] = {}
    navs, quantities = [], []

    def trade(today: dict[str, float]) -> None:
        nonlocal cash
        nav = cash + sum(q * mark[s] for s, q in held.items())
        for symbol in list(order):
            if symbol in today:
                bought = order.pop(symbol) * nav / today[symbol] - held.get(symbol, 0.0)
                held[symbol] = held.get(symbol, 0.0) + bought
                cash -= bought * today[symbol] + abs(bought * today[symbol]) * cost[symbol]

    for i, (day, today) in enumerate(zip(days, closes, strict=True)):
        if i:
            nights = (day - days[i - 1]).days
            cash += cash * daily_rate[days[i - 1]] * nights
        for symbol in cost:
            missed[symbol] = 0 if symbol in today else missed.get(symbol, 0) + 1
        mark.update(today)
        for symbol in [s for s, q in held.items() if q and missed[s] > patience]:
            worth = held.pop(symbol) * mark[symbol]
            cash += worth - abs(worth) * cost[symbol]
        for symbol in [s for s in order if missed[s] > patience]:
            del order[symbol]
        if not at_close:
            trade(today)
        if day in wishes:
            order = dict(wishes[day])
        if at_close:
            trade(today)
        navs.append(cash + sum(q * mark[s] for s, q in held.items()))
        quantities.append(dict(held))
    return navs, quantities


def market() -> pd.DataFrame:
    """Sixty closes of five symbols: one starts late, one ends early, one lacks two closes in the middle."""
    rng = np.random.default_rng(7)
    steps = rng.normal(0.0, 0.03, size=(60, 5))
    columns = ["STEADY", "WILD", "LATE", "GONE", "GAPPY"]
    prices = pd.DataFrame(50 * np.exp(steps.cumsum(axis=0)), pd.bdate_range("2019-12-02", periods=60), columns)
    prices = prices.drop(index=prices.index[[17, 18]])  # Christmas
    prices.loc[prices.index[:20], "LATE"] = math.nan
    prices.loc[prices.index[33:], "GONE"] = math.nan
    prices.loc[prices.index[24:26], "GAPPY"] = math.nan
    return prices


COST = {"STEADY": 0.0002, "WILD": 0.002, "LATE": 0.0007, "GONE": 0.01, "GAPPY": 0.0}


@pytest.mark.parametrize("trade_at", ["next_close", "close"])
@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("layer", ["off", "on"])
def test_equal_weights_match_a_loop_in_plain_python(trade_at: str, every: int, layer: str) -> None:
    prices = market()
    # With the layer on, every weight is far from every limit, and the projection must hand it back as it is.
    policy, size = (OFF, 1.0) if layer == "off" else (WIDE, 0.9)
    listed = prices.ffill(limit=policy.execution.max_stale_bars).notna()
    targets = listed.div(listed.sum(axis=1), axis=0).iloc[::every] * size
    rate = pd.Series(
        [0.0001, 0.0003, 0.0002], pd.to_datetime(["2019-11-30", "2019-12-29", "2020-01-18"]), name="rate"
    )  # a Saturday, a Sunday, a Saturday: known at the Monday after
    result = pmx.backtest(
        prices,
        policy,
        targets=targets,
        initial_nav=250_000.0,
        costs=CostModel(0.0, 0.0, {symbol: 1e4 * c for symbol, c in COST.items()}),
        cash_rate=rate,
        trade_at=trade_at,
    )
    days = [stamp.date() for stamp in prices.index]
    navs, quantities = by_hand(
        days,
        [{s: p for s, p in row.items() if p == p} for row in prices.to_dict("records")],
        {stamp.date(): row for stamp, row in zip(targets.index, targets.to_dict("records"), strict=True)},
        cash=250_000.0,
        cost=COST,
        daily_rate={d: 0.0001 if d < date(2019, 12, 30) else 0.0003 if d < date(2020, 1, 20) else 0.0002 for d in days},
        at_close=trade_at == "close",
        patience=policy.execution.max_stale_bars,
    )
    opening = [250_000.0] if trade_at == "close" else []
    np.testing.assert_allclose(result.nav.to_numpy(), [*opening, *navs], rtol=1e-9, atol=0)
    held = result.positions.droplevel("bucket", axis=1)
    expected = pd.DataFrame(quantities, index=prices.index, columns=list(held.columns)).fillna(0.0)
    np.testing.assert_allclose(held, expected, rtol=1e-8, atol=1e-8)
    # The loop has met everything that it is there for.
    assert result.trades.query("reason == 'delisted'")["symbol"].tolist() == ["GONE"]
    assert set(result.trades["symbol"]) == set(COST)
    assert abs(navs[-1] / 250_000.0 - 1) > 0.01


# -- reconciliation --------------------------------------------------------------------------------------


def reconcile(result: pmx.BacktestResult, prices: pd.DataFrame, start: float) -> None:
    """Nav now − nav before = Σ quantity × move + interest − costs, from the result's own tables."""
    marks = prices.ffill().fillna(0.0)
    closes = result.positions.index
    assert result.nav.iloc[0] == start
    assert len(result.nav) - len(closes) in (0, 1)
    result = replace(result, nav=result.nav.loc[closes])
    move = marks.diff().reindex(result.nav.index)[result.positions.columns.get_level_values("symbol")].to_numpy()
    held = result.positions.to_numpy()
    costs = result.trades.groupby("date")["cost"].sum().reindex(result.nav.index, fill_value=0.0).to_numpy()
    gain = (held[:-1] * move[1:]).sum(axis=1) + result.interest.to_numpy()[1:] - costs[1:]
    nav = result.nav.to_numpy()
    gross = (np.abs(held) * marks.reindex(result.nav.index)[result.positions.columns.get_level_values("symbol")]).sum(
        axis=1
    )
    np.testing.assert_allclose(np.diff(nav), gain, rtol=1e-9, atol=1e-9 * max(nav.max(), gross.max()))
    assert nav[0] == pytest.approx(start - costs[0], rel=1e-12)
    # Buckets and cash make up NAV; the trades make up the positions.
    np.testing.assert_allclose(
        result.bucket_weights.sum(axis=1), 1.0, rtol=0, atol=1e-9 * (1 + gross.max() / nav.min())
    )
    bought = result.trades.groupby("symbol")["quantity"].sum()
    left = result.positions.iloc[-1].groupby(level="symbol").sum()
    scale = result.trades["quantity"].abs().max() if len(result.trades) else 0.0
    np.testing.assert_allclose(bought.reindex(left.index, fill_value=0.0), left, atol=1e-9 * scale)
    np.testing.assert_allclose(result.trades["value"], result.trades["quantity"] * result.trades["price"], rtol=1e-12)


POSITIONS = [("core", "A"), ("core", "B"), ("other", "A"), ("other", "C"), ("safe", "BIL")]


@st.composite
def histories(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = draw(st.integers(2, 14))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    dates = pd.DatetimeIndex(np.datetime64("2021-03-01") + np.cumsum(rng.integers(1, 5, size=rows)).astype("m8[D]"))
    steps = rng.normal(0, draw(st.sampled_from([0.001, 0.05])), size=(rows, 4))
    prices = pd.DataFrame(np.exp(rng.normal(0, 3, size=4) + steps.cumsum(axis=0)), dates, ["A", "B", "C", "BIL"])
    absent = rng.random((rows, 4)) < draw(st.sampled_from([0.0, 0.2, 0.6]))
    for column in range(4):  # late starts and early ends
        first, last = sorted(rng.integers(0, rows + 1, size=2))
        if draw(st.booleans()):
            absent[:first, column] = absent[last:, column] = True
    prices = prices.mask(absent)
    weights = rng.uniform(-0.4, 0.5, size=(rows, len(POSITIONS))).round(3)
    weights[:, -1] = np.abs(weights[:, -1])
    targets = pd.DataFrame(weights, dates, pd.MultiIndex.from_tuples(POSITIONS))
    return prices, targets[rng.random(rows) < 0.7]


@settings(max_examples=120, deadline=None)
@given(
    history=histories(),
    layer=st.sampled_from(["off", "on", "on, residual"]),
    trade_at=st.sampled_from(["close", "next_close"]),
    costs=st.sampled_from([0.0, 0.0005, 0.02]),
    rate=st.sampled_from([0.0, 0.0002, -0.0001]),
)
def test_every_cent_is_accounted_for(
    history: tuple[pd.DataFrame, pd.DataFrame], layer: str, trade_at: str, costs: float, rate: float
) -> None:
    prices, targets = history
    policy = OFF_WIDE if layer == "off" else RESIDUAL if "residual" in layer else WIDE
    result = pmx.backtest(
        prices,
        policy,
        targets=targets,
        initial_nav=12_345.0,
        costs=costs,
        cash_rate=pd.Series([rate], [pd.Timestamp("2021-01-01")]),
        trade_at=trade_at,
    )
    reconcile(result, prices, 12_345.0)
    np.testing.assert_allclose(result.weights.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.rf.iloc[1:], rate * (np.diff(prices.index) / np.timedelta64(1, "D")))
    assert result.trades["cost"].to_numpy() == pytest.approx(result.trades["value"].abs().to_numpy() * costs)


OFF_WIDE = WIDE.override({"risk_buckets.enabled": False})
RESIDUAL = WIDE.override(
    {
        "risk_buckets.portfolio.residual_symbol": "BIL",
        "risk_buckets.portfolio.cash_min": 0.05,
        "barbell.safe_bucket.max_per_position": None,
    }
)


# -- the residual symbol ---------------------------------------------------------------------------------


def test_what_is_left_goes_into_the_residual_symbol_and_the_minimum_stays_in_cash() -> None:
    dates = pd.bdate_range("2020-01-01", periods=12)
    prices = pd.DataFrame({"A": np.linspace(10, 12, 12), "BIL": np.linspace(90, 91, 12)}, index=dates)
    prices.loc[dates[:3], "BIL"] = math.nan
    targets = pd.DataFrame({("core", "A"): [0.3] * 12, ("safe", "BIL"): [0.1] * 12}, index=dates)
    result = pmx.backtest(prices, RESIDUAL, targets=targets, costs=0.001)
    reconcile(result, prices, 1e6)
    bills = [0.0] * 3 + [0.65] * 9  # before its first price it cannot stand in for cash
    decided = pd.DataFrame({"A": [0.3] * 12, "BIL": bills, "CASH": [0.7 - b for b in bills]}, index=dates)
    np.testing.assert_allclose(result.weights[["A", "BIL", "CASH"]], decided, rtol=0, atol=1e-9)
    # It is bought at the second close that it has, for it is decided at the first, and cash waits till then.
    assert result.positions[("safe", "BIL")].to_numpy().nonzero()[0][0] == 4
    assert result.positions[(UNASSIGNED, "BIL")].to_numpy().nonzero()[0][0] == 4
    worth = result.positions.mul(prices[["A", "BIL", "BIL"]].to_numpy()).fillna(0.0).div(result.nav, axis=0)
    np.testing.assert_allclose(worth.loc[dates[4:], (UNASSIGNED, "BIL")], 0.55, rtol=0, atol=1e-3)
    np.testing.assert_allclose(result.bucket_weights.loc[dates[4:], "CASH"], 0.05, rtol=0, atol=1e-3)
    np.testing.assert_allclose(result.bucket_weights[[UNASSIGNED]], worth[[(UNASSIGNED, "BIL")]], atol=1e-12)
    assert (result.bucket_weights["CASH"].iloc[1:] > 0.0).all()


# -- conventions -----------------------------------------------------------------------------------------


def test_interest_counts_calendar_days_whatever_the_time_of_a_close() -> None:
    closes = pd.to_datetime(["2020-01-02 16:00", "2020-01-03 13:00", "2020-01-06 16:00"])
    prices = pd.DataFrame({"SP500": [100.0, 100.0, 100.0]}, index=closes)
    rate = pd.Series([0.0002, 0.0004], closes[:2])
    targets = pd.DataFrame({"SP500": [0.0]}, index=closes[:1])
    result = pmx.backtest(prices, POLICY, targets=targets, cash_rate=rate, initial_nav=1000.0)
    assert result.interest.tolist() == pytest.approx([0.0, 0.2, 1000.2 * 0.0012])
    assert result.rf.tolist() == pytest.approx([0.0, 0.0002, 0.0012])
    assert result.metrics["rf_annual"] == pytest.approx(0.0007 * 252)


def test_a_run_starts_in_cash_at_its_first_close_and_decides_with_all_earlier_rows() -> None:
    prices = market()
    targets = pd.DataFrame({"STEADY": 0.05}, index=prices.index)
    result = pmx.backtest(prices, POLICY, targets=targets, start="2020-01-06", end="2020-01-17")
    assert (result.nav.index[0], result.nav.index[-1]) == (pd.Timestamp("2020-01-06"), pd.Timestamp("2020-01-17"))
    assert result.nav.iloc[0] == 1e6
    assert result.trades["date"].iloc[0] == pd.Timestamp("2020-01-07")
    assert result.weights.index.equals(result.nav.index)
    # What was decided at the last close waits for a close that is not there.
    assert result.trades["date"].iloc[-1] == result.nav.index[-1]

    class Memory:
        source = "time_series_core"
        seen: list[int] = []  # noqa: RUF012

        def signals(self, known: pd.DataFrame) -> list[pmx.Signal]:
            self.seen.append(len(known))
            return []

    pmx.backtest(prices, POLICY, engines=[Memory()], start="2020-01-06", end="2020-01-17")
    first = prices.index.get_loc(pd.Timestamp("2020-01-06"))
    assert Memory.seen == list(range(first + 1, first + 11))


def test_dates_without_targets_trade_nothing() -> None:
    prices = market()[["STEADY"]]
    targets = pd.DataFrame({"STEADY": [0.08, 0.02]}, index=prices.index[[3, 20]])
    result = pmx.backtest(prices, POLICY, targets=targets)
    assert result.trades["date"].tolist() == prices.index[[4, 21]].tolist()
    assert result.weights.index.tolist() == prices.index[[3, 20]].tolist()
    assert len(result.nav) == len(prices)
    assert result.weights["STEADY"].tolist() == pytest.approx([0.08, 0.02], abs=1e-9)


@pytest.mark.parametrize("layer", ["off", "on"])
def test_a_missing_target_stands_in_a_gap_and_is_nothing_before_the_first_and_after_the_last_price(layer: str) -> None:
    prices, policy = market(), WIDE if layer == "on" else OFF
    targets = prices.notna() * pd.Series([0.06, 0.05, 0.04, 0.03, 0.02], index=prices.columns)
    targets = targets.mask(prices.isna())
    targets["CASH"] = 0.8
    weights = pmx.backtest(prices, policy, targets=targets).weights
    delisted = prices.index.get_loc(prices["GONE"].last_valid_index()) + 1 + policy.execution.max_stale_bars
    expected = pd.DataFrame([[0.06, 0.05, 0.04, 0.03, 0.02]] * len(prices), prices.index, prices.columns)
    expected.loc[prices.index[:20], "LATE"] = 0.0
    expected.loc[prices.index[delisted:], "GONE"] = 0.0
    assert delisted < len(prices) - 10
    np.testing.assert_allclose(weights[prices.columns], expected, rtol=0, atol=1e-9)
