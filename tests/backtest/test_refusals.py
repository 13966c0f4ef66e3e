"""What a backtest will not run on, and how it says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError, InfeasibleError, PmxWarning, SignalError

POLICY = pmx.load_policy()
LIQUID = POLICY.override({"execution.liquidity.participation": 0.1, "risk_buckets.default_bucket": "ts_core"})
OFF = POLICY.override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
DATES = pd.bdate_range("2020-01-01", periods=6)
PRICES = pd.DataFrame({"SP500": [100.0, 101.0, 99.0, 98.0, 103.0, 104.0], "WTI": [50.0] * 6}, index=DATES)
TARGETS = pd.DataFrame({"SP500": [0.05] * 6, "WTI": [0.02] * 6}, index=DATES)


def put(frame: pd.DataFrame, row: int, symbol: str, value: Any) -> pd.DataFrame:
    changed = frame.astype(object) if isinstance(value, str) else frame.copy()
    changed.loc[changed.index[row], symbol] = value
    return changed


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[0, 1, 2, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: {"prices": put(PRICES, 2, "WTI", -1.0)}, "WTI on 2020-01-03: price -1"),
        (lambda: {"prices": put(PRICES, 2, "WTI", 0.0)}, "WTI on 2020-01-03: price 0"),
        (lambda: {"prices": put(PRICES, 2, "WTI", math.inf)}, "WTI on 2020-01-03: price inf"),
        (lambda: {"prices": twice(PRICES)}, "2020-01-03 occurs twice"),
        (lambda: {"prices": PRICES.iloc[:0]}, "no prices"),
        (lambda: {"targets": put(TARGETS, 2, "WTI", math.nan)}, "targets of WTI on 2020-01-03 is nan; give a finite"),
        (lambda: {"targets": put(TARGETS, 2, "WTI", -math.inf)}, "targets of WTI on 2020-01-03 is -inf"),
        (lambda: {"targets": put(TARGETS, 2, "WTI", "much")}, "targets holds something that is not a number .*much"),
        (lambda: {"targets": twice(TARGETS)}, "targets: the date 2020-01-03 occurs twice"),
        (lambda: {"targets": TARGETS[["WTI", "SP500", "WTI"]]}, "targets has two columns for WTI"),
        (lambda: {"targets": TARGETS.assign(GLD=0.1)}, "targets wishes for GLD, which has no price column; add"),
        (
            lambda: {"targets": TARGETS.assign(wti=0.1)},
            "for wti, which has no price column; did you mean WTI[?] Else add",
        ),
        (lambda: {"targets": TARGETS[[]]}, "targets has no column"),
        (lambda: {"targets": TARGETS[[]].assign(CASH=1.0)}, "targets has no column"),
        (
            lambda: {"targets": pd.concat({"no_such": TARGETS}, axis=1)},
            "bucket 'no_such', which risk_buckets.yml does not define",
        ),
        (
            lambda: {"targets": TARGETS.set_axis([("ts_core", "SP500"), "WTI"], axis=1)},
            r"a symbol is named \('ts_core', 'SP500'\); with pairs",
        ),
        (lambda: {"engines": []}, "engines and targets are both given"),
        (lambda: {"trade_at": "open"}, "trade_at is 'open'"),
        (lambda: {"costs": -0.01}, "costs is -0.01"),
        (lambda: {"costs": math.nan}, "costs is nan"),
        (lambda: {"initial_nav": 0.0}, "opening cash is 0"),
        (lambda: {"start": "2021-01-01"}, "no prices between 2021-01-01 and the end; they run from 2020-01-01 to"),
        (lambda: {"start": DATES[3], "end": DATES[2]}, "no prices between"),
        (lambda: {"start": "soon"}, "start 'soon' is no date"),
        (lambda: {"end": "02.01.2020"}, "is no date; write it as"),
        (lambda: {"periods_per_year": 0.0}, "periods_per_year is 0"),
        (
            lambda: {"cash_rate": pd.Series(0.0001, DATES[2:])},
            "cash_rate starts on 2020-01-03, after the first close; extend it back to 2020-01-01",
        ),
        (
            lambda: {"cash_rate": pd.Series(0.0001, DATES[2:]), "start": DATES[1]},
            "extend it back to 2020-01-02",
        ),
        (lambda: {"cash_rate": pd.Series([0.0001, math.inf], DATES[:2])}, "cash_rate inf on 2020-01-02 is not within"),
        (lambda: {"cash_rate": pd.Series(0.0001, DATES[[0, 0]])}, "cash_rate: the date 2020-01-01 occurs twice"),
        (lambda: {"adv": PRICES[["SP500"]]}, "adv has no column for WTI"),
        (lambda: {"adv": PRICES.iloc[:3]}, "adv has no row for 2020-01-06"),
        (lambda: {"adv": put(PRICES, 2, "WTI", math.nan)}, "adv of WTI on 2020-01-03 is nan; give its average daily"),
        (lambda: {"adv": put(PRICES, 2, "WTI", -5.0)}, "adv of WTI on 2020-01-03 is -5"),
        (lambda: {"adv": put(PRICES, 2, "WTI", "much")}, "adv of WTI at 2020-01-03 00:00:00 is 'much', a str; give a"),
        (lambda: {"adv": PRICES[["WTI", "SP500", "WTI"]]}, "adv has two columns for WTI; keep one"),
        (lambda: {"adv": pd.concat({"ts_core": PRICES}, axis=1)}, "adv has columns of several levels; give one column"),
        (lambda: {"cash_rate": 10**400}, "cash_rate is 1000000.*, beyond the range of numbers"),
    ],
)
def test_bad_inputs_are_refused_before_the_first_day(change: Callable[[], dict[str, Any]], message: str) -> None:
    given = {"prices": PRICES, "policy": POLICY, "targets": TARGETS} | change()
    with pytest.raises(DataError, match=message):
        pmx.backtest(**given)


def test_rates_and_volumes_are_needed_only_where_the_run_uses_them() -> None:
    rate, adv = pd.Series(0.0001, DATES[2:]), PRICES.iloc[2:] * 0
    result = pmx.backtest(PRICES, LIQUID, targets=TARGETS, cash_rate=rate, adv=adv, start=DATES[2])
    assert result.interest.iloc[1:].gt(0).all()


def test_volumes_of_tickers_that_are_numbers_are_matched_like_prices() -> None:
    prices, targets = (frame.set_axis([5930, 660], axis=1) for frame in (PRICES, TARGETS))
    one = pmx.backtest(prices, LIQUID, targets=targets, adv=prices * 1e6)
    other = pmx.backtest(prices.rename(columns=str), LIQUID, targets=targets, adv=(prices * 1e6).rename(columns=str))
    assert one.nav.equals(other.nav)


def test_no_engine_and_nothing_standing_is_refused() -> None:
    off = POLICY.override({"signal_routing_config.engines.time_series.enabled": False})
    for arguments in ({"policy": off}, {"policy": POLICY, "engines": []}):
        with pytest.raises(DataError, match="switch an engine on"):
            pmx.backtest(PRICES, **arguments)


def test_standing_weights_run_without_engines() -> None:
    prices = PRICES.rename(columns={"WTI": "BIL"})
    policy = POLICY.override({"risk_buckets.buckets.safe.standing": {"BIL": 0.5}})
    weights = pmx.backtest(prices, policy, engines=[]).weights
    np.testing.assert_allclose(weights["BIL"], 0.36, rtol=0, atol=1e-9)
    with pytest.raises(DataError, match="no price column for BIL"):
        pmx.backtest(PRICES, policy, engines=[])


def test_a_volume_is_what_the_policy_asks_for() -> None:
    policy = POLICY.override({"execution.liquidity.participation": 0.1})
    with pytest.raises(DataError, match="adv=") as caught:
        pmx.backtest(PRICES, policy, targets=TARGETS)
    assert caught.value.__notes__ == ["while deciding at the close of 2020-01-01"]
    adv = pd.DataFrame({"SP500": 1e5, "WTI": [1e6, 1e6, math.nan, 1e6, 1e6, 1e6]}, index=DATES)
    prices = PRICES.mask(adv.isna())
    weights = pmx.backtest(prices, policy, targets=TARGETS, adv=adv, trade_at="close").weights
    # A tenth of 100,000 a day is 1 % of NAV a day; what has no price and no volume on a day keeps its weight.
    assert weights["SP500"].iloc[:3].tolist() == pytest.approx([0.01, 0.02, 0.03], abs=5e-4)
    assert weights["WTI"].tolist() == pytest.approx([0.02] * 6, abs=1e-4)


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
@pytest.mark.parametrize("rows", [slice(None), slice(0, 1)])
def test_a_bankrupt_account_stops_the_run_and_names_the_day(trade_at: str, rows: slice) -> None:
    squeeze = PRICES.assign(SP500=[100.0, 100.0, 100.0, 350.0, 120.0, 100.0])
    short = pd.DataFrame({"SP500": [-0.9] * 6}, index=DATES)[rows]
    with pytest.raises(DataError, match=r"NAV is -\d+\.\d\d on 2020-01-06: the account is bankrupt"):
        pmx.backtest(squeeze, OFF, targets=short, trade_at=trade_at)
    pmx.backtest(squeeze, OFF, targets=short, trade_at=trade_at, end="2020-01-03")


def test_a_bankrupt_account_decides_nothing() -> None:
    asked: list[pd.Timestamp] = []

    class Bear:
        source = "time_series_core"

        def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
            asked.append(prices.index[-1])
            return [pmx.Signal("SP500", -1, 1.0, -1.0, 1.0, self.source)]

    squeeze = PRICES.assign(SP500=[100.0, 100.0, 100.0, 350.0, 120.0, 100.0])
    short = OFF.override({"risk_buckets.buckets.ts_core.allow_short": True})
    with pytest.raises(DataError, match=r"NAV is -\d+\.\d\d on 2020-01-06"):
        pmx.backtest(squeeze, short, engines=[Bear()])
    assert asked == DATES[:3].tolist()


def test_costs_can_bankrupt_too() -> None:
    with (
        pytest.warns(PmxWarning, match="costs: commission_bps is 9000 basis points"),
        pytest.raises(DataError, match="2020-01-02: the account is bankrupt"),
    ):
        pmx.backtest(PRICES, OFF, targets=TARGETS * 100, costs=0.9)


def test_an_impossible_day_names_its_date_and_its_rules() -> None:
    floor = {"floor": {"symbols": {"SP500": 1.0}, "min": 0.03}}
    policy = POLICY.override({"risk_buckets.custom_rules": floor, "execution.max_stale_bars": 1})
    prices = PRICES.copy()
    prices.loc[DATES[2:], "SP500"] = math.nan
    targets = TARGETS.assign(SP500=0.05)
    with pytest.raises(InfeasibleError) as caught:
        pmx.backtest(prices, policy, targets=targets)
    assert caught.value.__notes__ == ["while deciding at the close of 2020-01-06"]
    assert set(caught.value.rules) == {"custom.floor", "gate.SP500"}


def test_an_engines_mistake_names_its_date() -> None:
    class Stuttering:
        source = "time_series_core"

        def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
            signal = pmx.Signal("SP500", 1, 1.0, 1.0, 1.0, self.source)
            return [signal] * (2 if len(prices) == 4 else 1)

    with pytest.raises(SignalError, match="given twice") as caught:
        pmx.backtest(PRICES, POLICY, engines=[Stuttering()])
    assert caught.value.__notes__ == ["while deciding at the close of 2020-01-06"]


def test_the_time_of_day_is_named_where_there_is_one() -> None:
    bars = PRICES.set_axis(DATES + pd.Timedelta(hours=16))
    with pytest.raises(DataError, match="2020-01-01 16:00:00 is nan"):
        pmx.backtest(bars, POLICY, targets=put(TARGETS, 0, "WTI", math.nan).set_axis(bars.index))


def test_nothing_that_was_given_is_changed() -> None:
    prices, targets, rate = PRICES.copy(), put(TARGETS, 0, "WTI", 0.0), pd.Series(0.0001, DATES)
    before = prices.copy(), targets.copy(), rate.copy()
    pmx.backtest(prices, POLICY, targets=targets, cash_rate=rate)
    pd.testing.assert_frame_equal(prices, before[0])
    pd.testing.assert_frame_equal(targets, before[1])
    pd.testing.assert_series_equal(rate, before[2])
