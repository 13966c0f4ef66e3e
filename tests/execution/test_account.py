"""The account: cash, holdings, costs and interest add up to NAV, whatever happens to prices."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pmx
from pmx.errors import DataError, LedgerError
from pmx.execution import Account

POSITIONS = [("core", "A"), ("core", "B"), ("other", "A"), ("other", "C"), ("hedge", "A")]
SYMBOLS = ["A", "B", "C", "UNUSED"]
ALL = np.ones(4, dtype=bool)


def account(cash: float = 1000.0, rates: float | list[float] = 0.0) -> Account:
    return Account(POSITIONS, SYMBOLS, cash, np.broadcast_to(rates, 4))


def row(**closes: float) -> np.ndarray:
    return np.array([closes.get(symbol, math.nan) for symbol in SYMBOLS])


def holding(weight_of: dict[tuple[str, str], float]) -> np.ndarray:
    return np.array([weight_of.get(position, 0.0) for position in POSITIONS])


close = st.one_of(st.just(math.nan), st.floats(0.01, 1e4))
bars = st.lists(
    st.fixed_dictionaries(
        {
            "closes": st.lists(close, min_size=4, max_size=4),
            "rate": st.floats(-0.01, 0.01),
            "weights": st.lists(st.floats(-1.0, 1.5), min_size=5, max_size=5),
            "tradable": st.lists(st.booleans(), min_size=4, max_size=4),
            "trades": st.booleans(),
        }
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(bars=bars, rates=st.lists(st.floats(0.0, 0.01), min_size=4, max_size=4), patience=st.integers(0, 3))
def test_nav_moves_by_profit_and_interest_less_costs(bars: list[dict], rates: list[float], patience: int) -> None:
    books = account(rates=rates)
    last: dict[str, float] = {}
    for bar in bars:
        nav, held = books.nav, dict(zip(POSITIONS, books.quantities.tolist(), strict=True))
        size = abs(books.cash) + float(np.abs(books.values).sum())
        closes = {s: p for s, p in zip(SYMBOLS, bar["closes"], strict=True) if not math.isnan(p)}
        moved = {
            position: q * (closes[position[1]] - last[position[1]])
            for position, q in held.items()
            if q and position[1] in closes
        }
        last |= closes

        interest = books.accrue(bar["rate"])
        profit = books.mark(np.array(bar["closes"]))
        assert dict(zip(POSITIONS, profit.tolist(), strict=True)) == pytest.approx(
            {position: moved.get(position, 0.0) for position in POSITIONS}, rel=1e-12, abs=1e-12 * size
        )
        fills = list(books.close_delisted(patience))
        if bar["trades"] and books.nav > 0:
            fills += books.rebalance(np.array(bar["weights"]), np.array(bar["tradable"]))

        costs = math.fsum(abs(f.value) * rates[SYMBOLS.index(f.symbol)] for f in fills)
        assert math.fsum(f.cost for f in fills) == pytest.approx(costs, rel=1e-12)
        gain = math.fsum(moved.values()) + interest - costs
        size = max(size, abs(books.cash) + float(np.abs(books.values).sum()), costs)
        assert books.nav - nav == pytest.approx(gain, rel=1e-9, abs=1e-12 * size)
        counted = pmx.compute_nav(books.snapshot("USD"), last)
        assert books.nav == pytest.approx(counted.total, abs=1e-12 * size)
        assert counted.cash == books.cash


def test_it_trades_to_weights_of_nav_before_costs_and_pays_costs_from_cash() -> None:
    books = account(rates=[0.01, 0.0, 0.0, 0.0])
    books.mark(row(A=10.0, B=20.0))
    fills = books.rebalance(holding({("core", "A"): 0.5, ("core", "B"): -0.2}), ALL)
    assert (len(fills), fills.column.tolist(), fills.value.tolist()) == (2, [0, 1], [500.0, -200.0])
    assert [(f.symbol, f.quantity, f.price, f.value, f.cost, f.reason) for f in fills] == [
        ("A", 50.0, 10.0, 500.0, 5.0, "rebalance"),
        ("B", -10.0, 20.0, -200.0, 0.0, "rebalance"),
    ]
    assert books.cash == 1000.0 - 500.0 - 5.0 + 200.0
    assert books.nav == 995.0
    assert books.values.tolist() == [500.0, -200.0, 0.0, 0.0, 0.0]


def test_orders_are_netted_over_buckets_and_profit_is_not() -> None:
    books = account(rates=0.01)
    books.mark(row(A=10.0))
    books.rebalance(holding({("core", "A"): 0.5}), ALL)
    paid = 1000.0 - books.nav
    # One bucket hands the symbol to another, and a third is as long as a fourth is short: nothing reaches the market.
    assert list(books.trade_to(holding({("other", "A"): 80.0, ("hedge", "A"): -30.0}), "rebalance")) == []
    assert books.nav == 1000.0 - paid
    assert books.mark(row(A=11.0)).tolist() == [0.0, 0.0, 80.0, 0.0, -30.0]
    assert books.nav == 1000.0 - paid + 50.0


def test_a_missing_close_keeps_the_mark_and_the_whole_move_comes_with_the_next() -> None:
    books = account()
    books.mark(row(A=10.0))
    books.rebalance(holding({("core", "A"): 1.0}), ALL)
    assert books.mark(row()).sum() == 0.0
    assert books.nav == 1000.0
    assert books.mark(row(A=12.0)).tolist() == [200.0, 0.0, 0.0, 0.0, 0.0]


def test_what_cannot_be_traded_stays_as_it_is() -> None:
    books = account()
    books.mark(row(A=10.0, B=20.0))
    books.rebalance(holding({("core", "A"): 0.5, ("core", "B"): 0.5}), ALL)
    books.mark(row(B=20.0))
    fills = books.rebalance(holding({("core", "B"): 0.1}), np.isfinite(row(B=20.0)))
    assert [f.symbol for f in fills] == ["B"]
    assert books.values.tolist() == [500.0, 100.0, 0.0, 0.0, 0.0]
    # Nor is bought what has never had a price, whatever is said of it.
    assert list(books.rebalance(holding({("core", "A"): 0.5, ("core", "B"): 0.1, ("other", "C"): 0.1}), ALL)) == []


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_delisted_symbol_becomes_cash_at_its_last_mark(patience: int, side: float) -> None:
    books = account(rates=0.01)
    books.mark(row(A=10.0))
    books.rebalance(holding({("core", "A"): 0.4 * side, ("other", "A"): 0.1 * side}), ALL)
    books.mark(row(A=12.0))
    nav = books.nav
    for _ in range(patience):
        books.mark(row())
        assert len(books.close_delisted(patience)) == 0
    books.mark(row())
    [fill] = books.close_delisted(patience)
    assert (fill.symbol, fill.quantity, fill.price, fill.reason) == ("A", -50.0 * side, 12.0, "delisted")
    assert fill.cost == pytest.approx(6.0)
    assert books.nav == books.cash == pytest.approx(nav - 6.0)
    assert not books.quantities.any()
    # It comes back at another price: that is nobody's gain.
    assert books.mark(row(A=99.0)).tolist() == [0.0] * 5
    assert books.bars_stale[0] == 0


def test_borrowed_cash_pays_interest() -> None:
    books = account()
    books.mark(row(A=10.0))
    books.rebalance(holding({("core", "A"): 1.5}), ALL)
    assert books.accrue(0.02) == -10.0
    assert books.nav == 990.0


def test_trading_what_has_no_price_is_refused_and_changes_nothing() -> None:
    books = account()
    books.mark(row(A=10.0))
    with pytest.raises(LedgerError, match="C has never had a price"):
        books.trade_to(holding({("core", "A"): 1.0, ("other", "C"): 1.0}), "rebalance")
    assert (books.cash, books.quantities.tolist()) == (1000.0, [0.0] * 5)


def test_a_snapshot_names_what_is_held_and_nothing_else() -> None:
    books = account()
    books.mark(row(A=10.0, C=4.0))
    books.rebalance(holding({("core", "A"): 0.5, ("other", "C"): -0.1}), ALL)
    snapshot = books.snapshot("EUR")
    assert dict(snapshot.holdings) == {("core", "A"): 50.0, ("other", "C"): -25.0}
    assert (snapshot.base_currency, dict(snapshot.cash)) == ("EUR", {"EUR": 600.0})
    assert pmx.compute_nav(snapshot, pd.Series({"A": 10.0, "C": 4.0})).total == 1000.0


@pytest.mark.parametrize("cash", [0.0, -1.0, math.nan, math.inf])
def test_opening_cash_must_be_an_amount(cash: float) -> None:
    with pytest.raises(DataError, match="opening cash"):
        account(cash)


def test_every_position_needs_a_price_column_and_its_own_name() -> None:
    with pytest.raises(DataError, match="no price column for Z"):
        Account([("core", "A"), ("core", "Z")], ["A"], 1.0, np.zeros(1))
    with pytest.raises(DataError, match="core/A is given twice"):
        Account([("core", "A"), ("core", "A")], ["A"], 1.0, np.zeros(1))
