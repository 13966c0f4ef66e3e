"""Time: what comes after day t changes nothing that was decided, scaled, traded or valued up to t."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pmx
from pmx.data import load_demo_prices
from pmx.risk import RiskScaler

#: Symbols end before the run does; that it is said is for test_delistings.py.
pytestmark = pytest.mark.filterwarnings("ignore:held without prices")

ENGINE = "signal_routing_config.engines.time_series."
QUICK = {
    ENGINE + "members": ["ar_garch"],
    ENGINE + "evidence": 0.0,
    ENGINE + "min_observations": 50,
    ENGINE + "window": 100,
    ENGINE + "refit_every": 7,
    "signal_routing_config.sources.time_series_core.min_edge": 0.0,
    "risk_scaler.volatility.min_observations": 20,
    "risk_scaler.volatility.window": 50,
    "risk_scaler.volatility.refit_every": 7,
    "execution.max_stale_bars": 2,
}
POLICY = pmx.load_policy().override(QUICK)
VARIANTS = {
    "shipped": {},
    "ensemble": {ENGINE + "members": ["ar_garch", "har_garch", "theta"]},
    "turnover": {"execution.turnover.max": 0.01},
    "trading cost, same close": {"execution.turnover.cost": 0.05, "execution.trade_at": "close"},
    "volatility cap": {"risk_buckets.portfolio.volatility_max": 0.02},
    "risk metric": {"risk_buckets.portfolio.distance": "risk"},
    "GJR, student": {
        ENGINE + "volatility": "GJR",
        ENGINE + "distribution": "t",
        "risk_scaler.volatility.model": "EGARCH",
    },
}


def sample(rows: int = 88) -> pd.DataFrame:
    prices = load_demo_prices().loc["2009-03-02":].iloc[:rows].copy()
    prices.iloc[60:62, 2] = math.nan
    return prices


def same_up_to(t: pd.Timestamp, one: pmx.BacktestResult, other: pmx.BacktestResult) -> None:
    for name in (
        *("nav", "weights", "positions", "bucket_weights", "risk_scale", "safe_weight", "status", "interest", "rf"),
        "distance_bound",
    ):
        a, b = getattr(one, name).loc[:t], getattr(other, name).loc[:t]
        assert len(a) > 0
        assert a.equals(b), name
    causes = one.contributions.columns.union(other.contributions.columns)  # some come only later
    earned = [result.contributions.reindex(columns=causes, fill_value=0.0).loc[:t] for result in (one, other)]
    assert earned[0].equals(earned[1])
    trades = [result.trades[result.trades["date"] <= t] for result in (one, other)]
    assert trades[0].equals(trades[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_price_after_a_day_changes_anything_up_to_it(variant: str) -> None:
    policy, prices = POLICY.override(VARIANTS[variant]), sample()
    whole = pmx.backtest(prices, policy)
    assert (whole.weights["CASH"] < 0.97).mean() > 0.2  # the engine does speak
    if variant == "volatility cap":
        assert whole.rules.loc["volatility.max", "days_binding"] > 0
    same_up_to(prices.index[75], whole, pmx.backtest(prices.iloc[:76], policy))
    rng = np.random.default_rng(1)
    for row in (61, 68):
        other = prices.copy()
        other.iloc[row + 1 :] *= np.exp(rng.normal(0.0, 0.3, size=other.iloc[row + 1 :].shape))
        other.iloc[row + 2 :, int(rng.integers(3))] = math.nan  # and one of them is never seen again
        changed = pmx.backtest(other, policy, end=prices.index[row + 4])
        same_up_to(prices.index[row], whole, changed)
        assert not whole.nav.iloc[row + 1 : row + 5].equals(changed.nav.iloc[row + 1 :])


def test_a_run_over_a_part_of_history_decides_as_if_its_future_were_not_there() -> None:
    prices = sample()
    cut = pmx.backtest(prices, POLICY, start=prices.index[70], end=prices.index[85])
    same_up_to(prices.index[85], cut, pmx.backtest(prices.iloc[:86], POLICY, start=prices.index[70]))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    row=st.integers(0, 28),
    trade_at=st.sampled_from(["close", "next_close"]),
    layer=st.booleans(),
)
def test_no_target_price_rate_or_volume_after_a_day_changes_anything_up_to_it(
    seed: int, row: int, trade_at: str, layer: bool
) -> None:
    rng = np.random.default_rng(seed)
    off = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
    liquid = {"execution.liquidity.participation": 0.05, "risk_buckets.portfolio.distance": "risk"}
    policy = POLICY.override(liquid if layer else off)
    dates = pd.bdate_range("2020-01-01", periods=30)
    columns = ["SP500", "NASDAQ", "WTI"]

    def table(low: float, high: float, missing: float = 0.0) -> pd.DataFrame:
        frame = pd.DataFrame(rng.uniform(low, high, size=(30, 3)), dates, columns)
        return frame.mask(rng.random((30, 3)) < missing)

    def spliced(frame: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame.iloc[: row + 1], other.iloc[row + 1 :]])

    prices, targets, adv = table(90, 110, 0.15), table(0.0, 0.12), table(1e5, 1e6)
    rate = table(0.0, 0.0005)["WTI"]
    volumes = [adv, spliced(adv, table(1e4, 1e6))] if layer else [None, None]
    one = pmx.backtest(prices, policy, targets=targets, adv=volumes[0], cash_rate=rate, trade_at=trade_at)
    other = pmx.backtest(
        spliced(prices, table(80, 120, 0.3)),
        policy,
        targets=spliced(targets, table(0.0, 0.3)),
        adv=volumes[1],
        cash_rate=spliced(rate.to_frame(), table(-0.0005, 0.0005)[["WTI"]])["WTI"],
        trade_at=trade_at,
    )
    same_up_to(dates[row], one, other)


def test_an_engine_is_shown_nothing_but_the_past() -> None:
    prices = sample(20)
    shown: list[pd.DataFrame] = []

    class Witness:
        source = "time_series_core"

        def signals(self, known: pd.DataFrame) -> list[pmx.Signal]:
            shown.append(known.copy())
            return []

    pmx.backtest(prices, POLICY, engines=[Witness()])
    assert len(shown) == 20
    for i, known in enumerate(shown):
        pd.testing.assert_frame_equal(known, prices.iloc[: i + 1], check_exact=True, check_freq=False)


def test_a_bucket_that_turns_volatile_is_scaled_down_after_it_and_never_before() -> None:
    rng = np.random.default_rng(3)
    calm, wild = rng.normal(0.0, 0.004, size=160), rng.normal(0.0, 0.06, size=160)
    turn = 100
    both = np.where(np.arange(160) < turn, calm, wild)
    dates = pd.bdate_range("2020-01-01", periods=160)
    targets = pd.DataFrame({"SP500": 0.1}, index=dates)
    runs = {
        name: pmx.backtest(pd.DataFrame({"SP500": 100 * np.exp(steps.cumsum())}, dates), POLICY, targets=targets)
        for name, steps in {"calm": calm, "turning": both}.items()
    }
    scale = {name: run.risk_scale["ts_core"] for name, run in runs.items()}
    # The first wild move is known at the close of row 100; until row 99 the two worlds are one.
    same_up_to(dates[turn - 1], runs["calm"], runs["turning"])
    assert scale["calm"].iloc[turn - 1] > 1.0
    assert scale["turning"].iloc[turn + 10 :].max() < 0.5 < scale["calm"].iloc[turn + 10 :].min()
    assert runs["turning"].weights["SP500"].iloc[-1] < 0.7 * runs["calm"].weights["SP500"].iloc[-1]
    assert runs["turning"].rules.loc["clamp.ts_core", "days"] >= 50

    # The scale of each close is what the scaler says of the bucket's own returns up to that close: it holds one symbol,
    # so the symbol's, from the close after the first trade on.
    # Deciding now and then changes nothing about that: returns are taken in at every close all the same.
    monthly = pmx.backtest(
        pd.DataFrame({"SP500": 100 * np.exp(both.cumsum())}, dates), POLICY, targets=targets.iloc[::20]
    ).risk_scale["ts_core"]
    prices = 100 * np.exp(both.cumsum())
    scaler, expected = RiskScaler(POLICY), []
    for i in range(160):
        if i >= 2:
            scaler.update({"ts_core": prices[i] / prices[i - 1] - 1.0})
        expected.append(float(scaler.scales()["ts_core"]))
    np.testing.assert_allclose(scale["turning"], expected, rtol=1e-6)  # fits amplify the last bit
    np.testing.assert_allclose(monthly.loc[dates[::20]], expected[::20], rtol=1e-6)


def test_a_buckets_return_is_on_the_gross_value_that_it_held() -> None:
    # Long and short of the same size, both up: nothing is gained. Only the long one up: half of its move.
    policy = POLICY.override({"risk_buckets.buckets.ts_core.allow_short": True, "risk_scaler.buckets": {}})
    scaled = policy.override({"risk_scaler.buckets": {"ts_core": {"target_vol": 0.1, "vol_sensitivity": 0.0}}})
    rng = np.random.default_rng(0)
    dates = pd.bdate_range("2020-01-01", periods=40)
    prices = pd.DataFrame(100 * np.exp(rng.normal(-0.01, 0.02, size=(40, 2)).cumsum(axis=0)), dates, ["SP500", "WTI"])
    targets = pd.DataFrame({"SP500": 0.05, "WTI": -0.05}, index=dates)
    result = pmx.backtest(prices, scaled, targets=targets, trade_at="close")
    moves = prices.pct_change().fillna(0.0)
    scaler = RiskScaler(scaled)
    expected = []
    for i in range(40):
        if i:
            worth = [abs(result.positions.iloc[i - 1, k]) * prices.iloc[i - 1, k] for k in (0, 1)]
            gain = worth[0] * moves.iloc[i, 0] - worth[1] * moves.iloc[i, 1]
            scaler.update({"ts_core": gain / sum(worth)})
        expected.append(float(scaler.scales()["ts_core"]))
    np.testing.assert_allclose(result.risk_scale["ts_core"], expected, rtol=1e-9)
    assert result.risk_scale["ts_core"].iloc[-1] < 1.0
