"""NAV is cash + Σ quantity × price × rate, or an error; never a guess."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED, PortfolioSnapshot, compute_nav

SYMBOLS = ["A", "B", "C", "D"]
CURRENCIES = {"A": "USD", "B": "EUR", "C": "NGN", "D": "NGN"}

quantity = st.floats(-1e6, 1e6)
price = st.floats(1e-3, 1e6)
rate = st.floats(1e-4, 1e4)
holdings = st.dictionaries(st.tuples(st.sampled_from(["safe", "ts_core"]), st.sampled_from(SYMBOLS)), quantity)
price_lists = st.fixed_dictionaries(dict.fromkeys(SYMBOLS, price))


@given(positions=holdings, prices=price_lists, cash=quantity)
def test_in_one_currency_nav_is_cash_and_the_inner_product(
    positions: dict[tuple[str, str], float], prices: dict[str, float], cash: float
) -> None:
    nav = compute_nav(PortfolioSnapshot(cash, positions), prices)
    values = [units * prices[symbol] for (_, symbol), units in positions.items()]
    scale = 1.0 + abs(cash) + sum(map(abs, values))
    assert float(nav) == pytest.approx(cash + sum(values), abs=1e-12 * scale)
    for part in (nav.by_position, nav.by_symbol, nav.by_bucket):
        assert nav.cash + part.sum() == pytest.approx(nav.total, abs=1e-12 * scale)
    if nav.total > 0.0:
        assert nav.weights.to_dict() == {
            position: pytest.approx(value / nav.total) for position, value in nav.by_position.items()
        }


@given(
    positions=holdings,
    prices=price_lists,
    cash=st.dictionaries(st.sampled_from(["USD", "EUR", "NGN"]), quantity),
    eur=rate,
    ngn=rate,
)
def test_the_base_currency_changes_the_figure_not_the_worth(
    positions: dict[tuple[str, str], float],
    prices: dict[str, float],
    cash: dict[str, float],
    eur: float,
    ngn: float,
) -> None:
    quotes = {"EURUSD": eur, "USDNGN": ngn}
    navs = {
        base: compute_nav(PortfolioSnapshot(cash, positions, base, quotes, currencies=CURRENCIES), prices)
        for base in ("USD", "EUR", "NGN")
    }
    in_usd = {"USD": 1.0, "EUR": eur, "NGN": 1.0 / ngn}
    scale = sum(abs(amount) * in_usd[code] for code, amount in cash.items()) + sum(
        abs(units) * prices[symbol] * in_usd[CURRENCIES[symbol]] for (_, symbol), units in positions.items()
    )
    for base, nav in navs.items():
        assert nav.currency == base
        assert nav.total * in_usd[base] == pytest.approx(navs["USD"].total, abs=1e-12 * scale, rel=1e-12)


def test_every_way_to_give_positions_gives_the_same_nav() -> None:
    index = pd.MultiIndex.from_tuples([("safe", "BIL"), ("ts_core", "SPY")], names=["bucket", "symbol"])
    by_position = {("safe", "BIL"): 10.0, ("ts_core", "SPY"): -2.0}
    prices = {"BIL": 90.0, "SPY": 450.0, "NOT HELD": -1.0}
    navs = [
        compute_nav(PortfolioSnapshot(1000.0, positions), prices)
        for positions in (
            by_position,
            pd.Series([10.0, -2.0], index=index),
            {"BIL": 10, "SPY": np.int64(-2)},
            pd.Series({"BIL": 10.0, "SPY": -2.0}),
        )
    ]
    assert [nav.total for nav in navs] == [1000.0] * 4
    assert (
        navs[0].by_position.to_dict()
        == navs[1].by_position.to_dict()
        == {k: 900.0 if k[0] == "safe" else -900.0 for k in by_position}
    )
    assert navs[2].by_position.index.tolist() == [(UNASSIGNED, "BIL"), (UNASSIGNED, "SPY")]
    assert navs[3].by_symbol.to_dict() == {"BIL": 900.0, "SPY": -900.0}
    assert navs[0].by_bucket.to_dict() == {"safe": 900.0, "ts_core": -900.0}
    assert navs[0].weights.to_dict() == {("safe", "BIL"): 0.9, ("ts_core", "SPY"): -0.9}


def test_a_symbol_of_two_buckets_is_one_symbol() -> None:
    nav = compute_nav(PortfolioSnapshot(0.0, {("a", "X"): 1.0, ("b", "X"): 2.0}), {"X": 5.0})
    assert nav.by_symbol.to_dict() == {"X": 15.0}


def test_a_quantity_of_zero_needs_no_price() -> None:
    snapshot = PortfolioSnapshot(5.0, {"GONE": 0.0})
    assert float(compute_nav(snapshot, {})) == 5.0
    assert len(snapshot.positions) == 0


@pytest.mark.parametrize("price", [math.nan, 0.0, -3.0, None])
def test_a_bad_price_of_what_is_held_is_named_with_its_date(price: float) -> None:
    snapshot = PortfolioSnapshot(5.0, {"SPY": 1.0, "BIL": 1.0})
    prices = pd.Series({"SPY": price, "BIL": 90.0}, name=pd.Timestamp("2024-05-06"), dtype=float)
    with pytest.raises(DataError, match="price of SPY on 2024-05-06"):
        compute_nav(snapshot, prices)


def test_a_missing_or_stale_rate_is_named_never_taken_to_be_one() -> None:
    foreign = {"currencies": {"DANGCEM": "NGN"}, "as_of": "2024-05-06"}
    with pytest.raises(DataError, match="NGNUSD on 2024-05-06 is missing"):
        compute_nav(PortfolioSnapshot(5.0, {"DANGCEM": 1.0}, **foreign), {"DANGCEM": 600.0})
    with pytest.raises(DataError, match="EURUSD is missing"):
        compute_nav(PortfolioSnapshot({"EUR": 5.0}, {}), {})
    stale = PortfolioSnapshot(5.0, {"DANGCEM": 1.0}, fx={"USDNGN": 1500.0}, fx_as_of="2024-04-01", **foreign)
    with pytest.raises(DataError, match="USDNGN of 2024-04-01 is 35 days old"):
        compute_nav(stale, {"DANGCEM": 600.0})


def test_a_balance_of_zero_needs_no_rate() -> None:
    assert float(compute_nav(PortfolioSnapshot({"USD": 5.0, "NGN": 0}, {}), {})) == 5.0
    assert float(compute_nav(PortfolioSnapshot({"NGN": 0.0}, {"GONE": 0.0}, currencies={"GONE": "NGN"}), {})) == 0.0


CLOSES = pd.Series({"SPY": 450.0}, name=pd.Timestamp("2024-05-06"))


@pytest.mark.parametrize(("day", "age"), [("2024-05-06", 0), ("2024-05-11 21:00", 5), ("2024-05-12", 6)])
@pytest.mark.parametrize("name", [pd.Timestamp("2024-05-06"), "2024-05-06", np.datetime64("2024-05-06"), "by argument"])
def test_a_price_may_be_as_old_as_a_rate_and_no_older(day: str, age: int, name: object) -> None:
    snapshot, prices = PortfolioSnapshot(5.0, {"SPY": 1.0}, as_of=day), CLOSES.rename(name)  # type: ignore[call-overload]
    dates = "2024-05-06" if name == "by argument" else None
    if age <= 5:
        assert float(compute_nav(snapshot, prices, prices_as_of=dates)) == 455.0
    else:
        with pytest.raises(DataError, match="price of SPY of 2024-05-06 is 6 days old on 2024-05-12, limit 5"):
            compute_nav(snapshot, prices, prices_as_of=dates)


def test_prices_a_year_older_than_the_snapshot_are_refused() -> None:
    snapshot = PortfolioSnapshot(5.0, {"SPY": 1.0}, as_of="2025-05-06")
    with pytest.raises(DataError, match="price of SPY of 2024-05-06 is 365 days old on 2025-05-06, limit 5; give a fr"):
        compute_nav(snapshot, CLOSES)
    assert float(compute_nav(snapshot, CLOSES, max_age_days=365)) == 455.0
    assert float(compute_nav(PortfolioSnapshot(5.0, {"SPY": 1.0}), CLOSES)) == 455.0  # of no moment: nothing to compare


def test_prices_from_the_future_are_refused() -> None:
    with pytest.raises(DataError, match="price of SPY of 2024-05-06 is from after the snapshot of 2024-05-03"):
        compute_nav(PortfolioSnapshot(5.0, {"SPY": 1.0}, as_of="2024-05-03"), CLOSES)


def test_single_prices_may_have_dates_of_their_own() -> None:
    snapshot = PortfolioSnapshot(5.0, {"SPY": 1.0}, as_of="2024-05-06")
    prices = {"SPY": 450.0, "OLD": 1.0}
    dates = {"SPY": "2024-05-03", "OLD": "1999-12-31"}
    assert float(compute_nav(snapshot, prices, prices_as_of=dates)) == 455.0  # what is not held is not read
    with pytest.raises(DataError, match="price of SPY has no date, while others have"):
        compute_nav(snapshot, prices, prices_as_of={"OLD": "2024-05-06"})
    with pytest.raises(DataError, match="price date 'soon' is no date"):
        compute_nav(snapshot, prices, prices_as_of="soon")
    with pytest.raises(DataError, match="price dates are given, but the snapshot has no as_of"):
        compute_nav(PortfolioSnapshot(5.0, {}), {}, prices_as_of="2024-05-06")


@pytest.mark.parametrize(
    ("snapshot_limit", "policy_limit", "limit"), [(None, None, 5), (7, None, 7), (None, 9, 9), (7, 9, 7), (9, 7, 7)]
)
def test_the_tighter_limit_on_age_counts(snapshot_limit: int | None, policy_limit: int | None, limit: int) -> None:
    policy = None if policy_limit is None else Policy.from_mapping({"execution": {"max_fx_age_days": policy_limit}})
    for day, fine in ((6 + limit, True), (7 + limit, False)):
        dated = {"as_of": f"2024-05-{day:02}", "max_fx_age_days": snapshot_limit}
        held = PortfolioSnapshot(5.0, {"SPY": 1.0}, **dated)
        cash = PortfolioSnapshot({"EUR": 5.0}, {}, fx={"EURUSD": 1.2}, fx_as_of="2024-05-06", **dated)
        for snapshot, prices, worth in ((held, CLOSES, 455.0), (cash, {}, 6.0)):
            if fine:
                assert float(compute_nav(snapshot, prices, policy)) == worth
            else:
                with pytest.raises(DataError, match=rf"of 2024-05-06 is {limit + 1} days old on .*, limit {limit};"):
                    compute_nav(snapshot, prices, policy)


@pytest.mark.parametrize("days", [-1, 2.5, True, "5"])
def test_a_limit_on_age_is_a_whole_number_of_days(days: object) -> None:
    with pytest.raises(DataError, match=r"max_age_days is .*, must be a whole number of days"):
        compute_nav(PortfolioSnapshot(5.0, {}), {}, max_age_days=days)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"max_fx_age_days is .*, must be a whole number of days"):
        PortfolioSnapshot(5.0, {}, max_fx_age_days=days)  # type: ignore[arg-type]


def test_a_policy_in_another_currency_is_refused_with_the_remedy() -> None:
    policy = Policy.from_mapping({"risk_buckets": {"portfolio": {"base_currency": "EUR"}}})
    with pytest.raises(DataError, match=r"NAV is in USD, the policy's budgets are in EUR .*base_currency='EUR' and"):
        compute_nav(PortfolioSnapshot(5.0, {}), {}, policy)
    assert float(compute_nav(PortfolioSnapshot({"USD": 5.0}, {}, "EUR", {"USDEUR": 0.8}), {}, policy)) == 4.0


def test_weights_need_a_positive_nav() -> None:
    nav = compute_nav(PortfolioSnapshot(-450.0, {"SPY": 1.0}), {"SPY": 450.0})
    assert nav.total == 0.0
    with pytest.raises(DataError, match="NAV is 0 USD, must be > 0"):
        _ = nav.weights


@pytest.mark.parametrize(
    ("cash", "positions", "more", "message"),
    [
        (math.nan, {}, {}, "cash in USD is nan"),
        ({"USD": 1.0, "dollars": 2.0}, {}, {}, "'dollars' is no currency"),
        ("lots", {}, {}, "cash in USD is 'lots'"),
        (True, {}, {}, "cash in USD is True"),
        (1.0, {"SPY": math.inf}, {}, "quantity of unassigned/SPY is inf"),
        (1.0, {"CASH": 1.0}, {}, "CASH is no position"),
        (1.0, {("a", "b", "c"): 1.0}, {}, "neither a symbol nor"),
        (1.0, {7.5: 1.0}, {}, "neither a symbol nor"),
        (1.0, {"SPY": 1.0, (UNASSIGNED, "SPY"): 1.0}, {}, "unassigned/SPY is given twice"),
        (1.0, pd.Series([1.0, 2.0], index=["SPY", "SPY"]), {}, "unassigned/SPY is given twice"),
        (1.0, {}, {"currencies": {"VOD": "GBp"}}, "currency of VOD 'GBp'"),
        (1.0, {}, {"base_currency": "usd"}, "base currency 'usd'"),
        (1.0, {}, {"as_of": "soon"}, "as_of 'soon'"),
    ],
)
def test_a_malformed_snapshot_is_refused(
    cash: object, positions: object, more: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        PortfolioSnapshot(cash, positions, **more)  # type: ignore[arg-type]


def test_a_value_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="value of unassigned/X is not finite"):
        compute_nav(PortfolioSnapshot(1.0, {"X": 1e300}), {"X": 1e300})


@pytest.mark.parametrize(
    "cash", [{"USD": 1.0, "EUR": 1e308}, {"EUR": 1e308, "GBP": -1e308}, {"USD": 1e308, "CHF": 1e308}]
)
def test_cash_beyond_all_numbers_is_refused(cash: dict[str, float]) -> None:
    with pytest.raises(DataError, match="NAV is beyond all numbers"):
        compute_nav(PortfolioSnapshot(cash, {}, fx={"EUR": 10.0, "GBP": 10.0, "CHF": 1.0}), {})


def test_a_snapshot_is_a_value_that_cannot_change() -> None:
    given_positions = {"SPY": 1.0}
    snapshot = PortfolioSnapshot(5.0, given_positions)
    given_positions["SPY"] = 2.0
    assert snapshot == PortfolioSnapshot({"USD": 5.0}, {(UNASSIGNED, "SPY"): 1.0})
    with pytest.raises(dataclasses.FrozenInstanceError):
        snapshot.cash = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        snapshot.cash["USD"] = 6.0  # type: ignore[index]
