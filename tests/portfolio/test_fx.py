"""Rates of exchange: found directly, inversely or through one cross, or refused by name and date."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.portfolio import FxTable

rate = st.floats(1e-4, 1e4)


def test_the_base_is_worth_itself() -> None:
    assert FxTable.from_mapping({}, "NGN").rate("NGN") == 1.0


@given(eur=rate, ngn=rate)
def test_direct_inverse_and_cross_agree(eur: float, ngn: float) -> None:
    quotes = {"EURUSD": eur, "USDNGN": ngn}
    in_usd = FxTable.from_mapping(quotes, "USD")
    assert in_usd.rate("EUR") == eur
    assert in_usd.rate("NGN") == 1.0 / ngn
    in_eur = FxTable.from_mapping(quotes, "EUR")
    assert in_eur.rate("NGN") == pytest.approx(1.0 / (eur * ngn), rel=1e-12)
    assert in_eur.rate("NGN") * FxTable.from_mapping(quotes, "NGN").rate("EUR") == pytest.approx(1.0, rel=1e-12)


def test_a_currency_alone_is_quoted_in_the_base() -> None:
    assert FxTable.from_mapping({"EUR": 1.25}, "USD").rate("EUR") == 1.25
    assert FxTable.from_mapping({"EUR": 1.25, "EURNGN": 1875.0}, "USD").rate("NGN") == pytest.approx(1 / 1500)


def test_a_direct_rate_comes_before_a_cross_and_crosses_must_agree() -> None:
    crosses = {"EURUSD": 1.2, "EURNGN": 1800.0, "GBPUSD": 1.5, "GBPNGN": 2300.0}
    assert FxTable.from_mapping({**crosses, "USDNGN": 1490.0}, "USD").rate("NGN") == 1 / 1490.0
    with pytest.raises(DataError, match=r"NGNUSD is ambiguous: .* through EUR, .* through GBP; give NGNUSD"):
        FxTable.from_mapping(crosses, "USD").rate("NGN")
    assert FxTable.from_mapping({**crosses, "GBPNGN": 2250.0}, "USD").rate("NGN") == pytest.approx(1 / 1500)


def test_no_way_is_an_error_that_names_the_pair_and_the_date() -> None:
    two_crosses_away = {"USDEUR": 0.9, "EURCHF": 1.0, "CHFNGN": 1700.0}
    with pytest.raises(DataError, match="FX rate NGNUSD on 2024-05-06 is missing; give NGNUSD"):
        FxTable.from_mapping(two_crosses_away, "USD", as_of="2024-05-06").rate("NGN")


def test_two_quotes_of_a_pair_must_agree() -> None:
    assert FxTable.from_mapping({"EURUSD": 1.25, "USDEUR": 0.8, "EUR": 1.25}, "USD").rate("EUR") == 1.25
    for quotes in ({"EURUSD": 1.25, "USDEUR": 0.80001}, {"EUR": 1.25, "EURUSD": 1.2501}):
        with pytest.raises(DataError, match="disagree"):
            FxTable.from_mapping(quotes, "USD")


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, True, "1.2", None])
def test_a_mad_rate_is_refused(bad: object) -> None:
    with pytest.raises(DataError, match=r"EURUSD = .*finite number > 0"):
        FxTable.from_mapping({"EURUSD": bad}, "USD")  # type: ignore[dict-item]


@pytest.mark.parametrize("key", ["EU", "EURUSDX", "eurusd", "GBpUSD", "USDUSD", "USD", 7])
def test_a_key_that_is_no_pair_is_refused(key: str) -> None:
    with pytest.raises(DataError, match=str(key)):
        FxTable.from_mapping({key: 1.0}, "USD")


def test_the_base_must_be_a_currency() -> None:
    with pytest.raises(DataError, match="base currency 'dollar'"):
        FxTable.from_mapping({}, "dollar")


@pytest.mark.parametrize(("day", "fine"), [("2024-05-06", True), ("2024-05-01", True), ("2024-04-30", False)])
def test_a_rate_may_be_so_many_days_old_and_no_older(day: str, fine: bool) -> None:
    table = FxTable.from_mapping({"EURUSD": 1.25}, "USD", as_of="2024-05-06 21:00", dates=day, max_age_days=5)
    if fine:
        assert table.rate("EUR") == 1.25
    else:
        with pytest.raises(DataError, match="EURUSD of 2024-04-30 is 6 days old on 2024-05-06, limit 5"):
            table.rate("EUR")


def test_a_rate_from_the_future_is_refused() -> None:
    table = FxTable.from_mapping({"EURUSD": 1.25}, "USD", as_of="2024-05-06", dates={"EURUSD": "2024-05-07"})
    with pytest.raises(DataError, match="EURUSD of 2024-05-07 is from after the snapshot of 2024-05-06"):
        table.rate("EUR")


def test_only_the_legs_on_the_way_must_be_fresh() -> None:
    dates = {"NGNUSD": "2024-05-06", "EURUSD": "2024-05-03", "NGNGBP": "2020-01-01"}
    rates = {"NGNUSD": 0.001, "EURUSD": 1.25, "NGNGBP": 0.0008}
    table = FxTable.from_mapping(rates, "EUR", as_of="2024-05-06", dates=dates)
    assert table.rate("NGN") == pytest.approx(0.0008)
    stale = FxTable.from_mapping(rates, "EUR", as_of="2024-05-06", dates={**dates, "EURUSD": "2024-04-01"})
    with pytest.raises(DataError, match="EURUSD of 2024-04-01 is 35 days old"):
        stale.rate("NGN")


def test_dates_are_complete_readable_and_comparable() -> None:
    with pytest.raises(DataError, match="no as_of"):
        FxTable.from_mapping({"EUR": 1.25}, "USD", dates="2024-05-06")
    with pytest.raises(DataError, match="FX rate GBP has no date"):
        FxTable.from_mapping({"EUR": 1.25, "GBP": 1.5}, "USD", as_of="2024-05-06", dates={"EUR": "2024-05-06"})
    for bad in ("yesterday-ish", pd.NaT):
        with pytest.raises(DataError, match="FX date"):
            FxTable.from_mapping({"EUR": 1.25}, "USD", as_of="2024-05-06", dates=bad)
    aware = pd.Timestamp("2024-05-06 22:00", tz="America/New_York")  # the 7th in UTC
    assert FxTable.from_mapping({"EUR": 1.25}, "USD", as_of=aware, dates="2024-05-07").rate("EUR") == 1.25
