"""One cycle: what it hears, what it remembers, what it takes from a portfolio, and what it decides."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import DataError, InfeasibleError, SignalError
from pmx.execution import Desk, History, Holdings, default_engines, step
from pmx.portfolio import UNASSIGNED
from pmx.risk import EwmaCovariance
from pmx.signals import Routing

POLICY = pmx.load_policy()
FREE = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}


class Scripted:
    """Says for each symbol that has a price what a function of the day's number says."""

    source = "time_series_core"

    def __init__(self, opinion: Callable[[int, str], tuple[int, float] | None], always: bool = False) -> None:
        self.opinion = opinion
        self.always = always

    def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
        heard = []
        for symbol, close in prices.iloc[-1].items():
            opinion = self.opinion(len(prices) - 1, str(symbol))
            if opinion is not None and (self.always or not math.isnan(close)):
                heard.append(pmx.Signal(str(symbol), *opinion[:1], 1.0, opinion[0] * opinion[1], 1.0, self.source))
        return heard


def closes(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.bdate_range("2020-01-01", periods=len(next(iter(columns.values())))))


def nothing(desk: Desk) -> Holdings:
    return Holdings(1e6, np.zeros(len(desk.index)), {})


def walk(symbols: list[str], rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, 0.01, size=(rows, len(symbols)))
    return pd.DataFrame(100 * np.exp(steps.cumsum(axis=0)), pd.bdate_range("2020-01-01", periods=rows), symbols)


# -- signals ---------------------------------------------------------------------------------------------


def test_a_symbol_without_a_price_keeps_its_last_signals_until_it_counts_as_delisted() -> None:
    nan = math.nan
    prices = closes(SP500=[1.0, 2.0, nan, nan, nan, 3.0], WTI=[1.0] * 6)
    # The engine would sell what has no price; nobody can know a signal that rests on no price.
    engine = Scripted(lambda day, symbol: (1, 0.1 + day) if day < 2 else (-1, 1.0), always=True)
    desk = Desk(POLICY.override({"execution.max_stale_bars": 2}), ["SP500", "WTI"], [engine])
    heard = []
    for day in range(len(prices)):
        signals = {s.symbol: (s.direction, s.edge_score) for s in desk.signals(prices.iloc[: day + 1])}
        heard.append(signals.get("SP500"))
        assert signals["WTI"] == ((1, 0.1 + day) if day < 2 else (-1, -1.0))
    assert heard == [(1, 0.1), (1, 1.1), (1, 1.1), (1, 1.1), None, (-1, -1.0)]


@pytest.mark.parametrize("judge", [False, True])
def test_a_desk_made_now_says_what_one_says_that_has_been_there_all_along(judge: bool) -> None:
    symbols = ["SP500", "WTI", "GOLD"]
    prices = walk(symbols, 60)
    prices = prices.mask(np.random.default_rng(1).random(prices.shape) < 0.4)
    policy = POLICY.override({"execution.max_stale_bars": 2, "quant_success_config.min_judged": 5})

    def desk() -> Desk:
        return Desk(policy, symbols, [Scripted(lambda day, symbol: (1, 0.1 + day))], judge=judge)

    grown, waited = desk(), 0
    for rows in range(1, 61):
        now = prices.iloc[:rows]
        heard, new = grown.signals(now), desk()
        assert new.signals(now) == heard == new.signals(now)
        assert new.oversight.verdicts == grown.oversight.verdicts
        waited += sum(math.isnan(now[signal.symbol].iloc[-1]) for signal in heard)
    assert waited > 20
    now_and_then = desk()
    for rows in (7, 8, 21, 40, 60):
        assert now_and_then.signals(prices.iloc[:rows]) == desk().signals(prices.iloc[:rows])


def test_a_delisted_symbol_leaves_its_share_to_the_others() -> None:
    nan = math.nan
    prices = closes(SP500=[1.0, nan, nan, nan], WTI=[1.0] * 4)
    desk = Desk(POLICY.override({"execution.max_stale_bars": 2}), ["SP500", "WTI"], [Scripted(lambda *_: (1, 1.0))])
    wanted = [step(desk, nothing(desk), prices.iloc[: day + 1]).routing.relative_weights for day in range(4)]
    assert [series.to_dict() for series in wanted] == [
        *[{("ts_core", "SP500"): 0.5, ("ts_core", "WTI"): 0.5}] * 3,
        {("ts_core", "WTI"): 1.0},
    ]


def test_a_signal_about_a_symbol_without_prices_is_refused() -> None:
    class Stray(Scripted):
        def signals(self, prices: pd.DataFrame) -> list[pmx.Signal]:
            return [pmx.Signal("GLD", 1, 1.0, 1.0, 1.0, self.source)]

    desk = Desk(POLICY, ["SP500"], [Stray(lambda *_: None)])
    with pytest.raises(DataError, match="GLD, which has no price column"):
        step(desk, nothing(desk), closes(SP500=[1.0]))


def test_the_policy_switches_its_engine_on_and_prices_it() -> None:
    assert [engine.source for engine in default_engines(POLICY, ["SP500", "WTI"])] == ["time_series_core"]
    off = POLICY.override({"signal_routing_config.engines.time_series.enabled": False})
    assert default_engines(off, ["SP500"]) == []
    rows = walk(["SP500", "WTI"], 80)
    small = POLICY.override(
        {
            "signal_routing_config.engines.time_series.window": 100,
            "signal_routing_config.engines.time_series.min_observations": 60,
        }
    )
    [engine] = default_engines(small, ["SP500", "WTI"])
    engine.signals(rows)
    assert engine.diagnostics["round_trip_cost"].to_dict() == pytest.approx({"SP500": 4e-4, "WTI": 8e-4})
    [engine] = default_engines(
        small.override({"signal_routing_config.engines.time_series.round_trip_cost_bps": 7.0}), ["SP500"]
    )
    engine.signals(rows)
    assert engine.diagnostics["round_trip_cost"].to_dict() == pytest.approx({"SP500": 7e-4, "WTI": 7e-4})


# -- the universe ----------------------------------------------------------------------------------------


def test_the_universe_is_what_can_be_asked_for() -> None:
    symbols = ["WTI", "BIL", "NGX:MTNN", "SP500"]
    standing = POLICY.override({"risk_buckets.buckets.safe.standing": {"BIL": 0.5}})
    asked = [("ts_core", "SP500"), ("ts_core", "WTI"), ("ngx_risk", "NGX:MTNN")]
    engine = Scripted(lambda *_: None)
    assert Desk(standing, symbols, [engine]).index.tolist() == [("safe", "BIL"), *asked]
    further = [("tail_hedge", "VIXY"), ("ts_core", "SP500")]
    with_more = Desk(POLICY, [*symbols, "VIXY"], [engine], further).index.tolist()
    assert with_more == [*asked[:1], ("ts_core", "VIXY"), asked[1], further[0], asked[2]]
    # Given weights are all there is, without engines; without them, what stands is.
    assert Desk(standing, symbols, positions=further).index.tolist() == further[::-1]
    assert Desk(standing, symbols).index.tolist() == [("safe", "BIL")]


def test_nothing_to_hold_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to hold"):
        Desk(POLICY, ["SP500"])


# -- the portfolio ---------------------------------------------------------------------------------------


def desk_of(*positions: tuple[str, str], **changes: object) -> Desk:
    policy = POLICY.override({key.replace("__", "."): value for key, value in changes.items()})
    return Desk(policy, sorted({symbol for _, symbol in positions}), positions=positions)


def test_a_symbol_given_twice_is_refused() -> None:
    with pytest.raises(DataError, match="symbols names SP500 twice; keep one"):
        Desk(pmx.load_policy(), ["SP500", "WTI", "SP500"])


def test_holdings_are_what_compute_nav_says() -> None:
    desk = desk_of(("ts_core", "SP500"), ("ml_secondary", "SP500"), ("ts_core", "WTI"))
    snapshot = pmx.PortfolioSnapshot(
        {"USD": 100.0, "EUR": 100.0},
        {("ml_secondary", "SP500"): 2.0, "WTI": -2.0, ("ts_core", "WTI"): 1.0},
        "USD",
        {"EURUSD": 1.5},
    )
    prices = pd.Series({"SP500": 200.0, "WTI": 50.0})
    holdings = Holdings.of(snapshot, prices, desk, {"ts_core": 0.01})
    assert holdings.nav == 600.0 == pmx.compute_nav(snapshot, prices).total
    assert dict(zip(desk.index, holdings.weights.tolist(), strict=True)) == {
        ("ts_core", "SP500"): 0.0,
        ("ts_core", "WTI"): pytest.approx(-50 / 600),
        ("ml_secondary", "SP500"): pytest.approx(400 / 600),
    }
    assert holdings.bucket_returns == {"ts_core": 0.01}


def test_what_stands_in_for_cash_is_no_position() -> None:
    residual = {"risk_buckets__portfolio__residual_symbol": "BIL"}
    desk = desk_of(("safe", "BIL"), ("ts_core", "SP500"), **residual)
    snapshot = pmx.PortfolioSnapshot(100.0, {(UNASSIGNED, "BIL"): 3.0, ("safe", "BIL"): 1.0, ("ts_core", "SP500"): 1.0})
    holdings = Holdings.of(snapshot, {"BIL": 100.0, "SP500": 500.0}, desk)
    assert (holdings.nav, holdings.weights.tolist()) == (1000.0, [0.1, 0.5])


@pytest.mark.parametrize("held", [("ts_core", "GLD"), ("ml_secondary", "WTI"), "SP500"])
def test_a_holding_without_a_place_is_refused(held: tuple[str, str] | str) -> None:
    desk = desk_of(("ts_core", "SP500"), ("ml_secondary", "SP500"), ("ts_core", "WTI"))
    with pytest.raises(DataError, match=r"is held for bucket \w+, which is not in the universe"):
        Holdings.of(pmx.PortfolioSnapshot(100.0, {held: 1.0}), {"GLD": 1.0, "WTI": 1.0, "SP500": 1.0}, desk)


def test_holdings_without_a_price_or_nav_are_refused() -> None:
    desk = desk_of(("ts_core", "SP500"))
    with pytest.raises(DataError, match="SP500"):
        Holdings.of(pmx.PortfolioSnapshot(100.0, {"SP500": 1.0}), {"SP500": math.nan}, desk)
    with pytest.raises(DataError, match="NAV is -100"):
        Holdings.of(pmx.PortfolioSnapshot(100.0, {"SP500": -1.0}), {"SP500": 200.0}, desk)


def test_holdings_in_another_currency_than_the_policy_s_are_refused() -> None:
    prices = closes(SP500=[100.0])
    snapshot = pmx.PortfolioSnapshot(100.0, {"SP500": 1.0})
    euro = desk_of(("ts_core", "SP500"), risk_buckets__portfolio__base_currency="EUR")
    with pytest.raises(DataError, match="NAV is in USD, the policy's budgets are in EUR"):
        Holdings.of(snapshot, {"SP500": 100.0}, euro)
    in_dollars = Holdings.of(snapshot, {"SP500": 100.0}, desk_of(("ts_core", "SP500")))
    assert in_dollars.currency == "USD"
    with pytest.raises(DataError, match="NAV is in USD, the policy's budgets are in EUR"):
        step(euro, in_dollars, prices, targets=pd.Series([0.1], index=euro.index))
    step(euro, nothing(euro), prices, targets=pd.Series([0.1], index=euro.index))  # of a currency not known


def test_holdings_are_not_valued_at_old_prices() -> None:
    snapshot = pmx.PortfolioSnapshot(100.0, {"SP500": 1.0}, as_of="2020-01-09")
    strict = desk_of(("ts_core", "SP500"), execution__max_fx_age_days=3)
    row = closes(SP500=[100.0]).iloc[-1]  # of 2020-01-01
    for desk, days in ((strict, 3), (desk_of(("ts_core", "SP500")), 5)):
        with pytest.raises(DataError, match=f"SP500 of 2020-01-01 is 8 days old on 2020-01-09, limit {days}"):
            Holdings.of(snapshot, row, desk)
        assert Holdings.of(snapshot, row, desk, prices_as_of="2020-01-09").nav == 200.0


def test_a_decision_does_not_rest_on_closes_that_are_older_than_the_snapshot() -> None:
    prices, desk = closes(SP500=[100.0]), desk_of(("ts_core", "SP500"))  # of 2020-01-01
    targets = pd.Series([0.1], index=desk.index)
    for day in ("2019-12-31", "2020-01-01", "2020-01-06"):
        holdings = Holdings.of(pmx.PortfolioSnapshot(100.0, {}, as_of=day), {}, desk)
        step(desk, holdings, prices, targets=targets)
    stale = Holdings.of(pmx.PortfolioSnapshot(100.0, {}, as_of="2021-01-01"), {}, desk)
    with pytest.raises(DataError, match="the last row of prices of 2020-01-01 is 366 days old on 2021-01-01, limit 5"):
        step(desk, stale, prices, targets=targets)


# -- what the desk remembers -----------------------------------------------------------------------------


RISKY = {"risk_buckets__portfolio__distance": "risk", "risk_buckets__portfolio__volatility_max": 0.02}


def test_a_bar_is_taken_in_once_however_often_it_is_asked_about() -> None:
    prices = walk(["SP500", "WTI"], 70)
    wish = {("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.05}
    once, often = desk_of(*wish, **RISKY), desk_of(*wish, **RISKY)
    for rows in range(1, len(prices) + 1):
        known = prices.iloc[:rows]
        returns = {"ts_core": 0.05 * (-1) ** rows}
        expected = step(once, Holdings(1e6, np.zeros(2), returns), known, targets=pd.Series(wish))
        for _ in range(3):
            again = step(often, Holdings(1e6, np.zeros(2), returns), known, targets=pd.Series(wish))
        assert again.weights.tolist() == expected.weights.tolist()
        assert again.risk_scale.equals(expected.risk_scale)
    assert expected.risk_scale["ts_core"] < 1.0
    assert expected.as_of == prices.index[-1]


def test_the_covariance_depends_on_prices_alone_not_on_when_the_desk_was_made() -> None:
    prices = walk(["SP500", "WTI"], 90)
    prices.iloc[40, 1] = math.nan
    wish = {("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.05}
    daily, fresh, sparse = (desk_of(*wish, **RISKY) for _ in range(3))
    for rows in range(1, 91):
        daily.observe(prices.iloc[:rows])
    fresh.observe(prices)
    for rows in (10, 55, 90):
        sparse.observe(prices.iloc[:rows])
    by_hand = EwmaCovariance(["SP500", "WTI"], POLICY.risk_scaler.covariance_decay, 252.0, 60)
    returns = prices.ffill() / prices.ffill().shift() - 1
    for row in returns.where(prices.notna()).iloc[1:].to_numpy():
        by_hand.update(row)
    for desk in (daily, fresh, sparse):
        matrix, unknown = desk.risk_view()
        assert unknown == []
        np.testing.assert_allclose(matrix, by_hand.forecast(), rtol=1e-12)


def test_a_symbol_too_new_for_a_covariance_is_not_held() -> None:
    prices = walk(["SP500", "WTI"], 130)
    prices.iloc[:60, 1] = math.nan
    wish = pd.Series({("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.05})
    desk = desk_of(*wish.index, **RISKY)
    held = []
    for rows in range(1, 131):
        decision = step(desk, nothing(desk), prices.iloc[:rows], targets=wish)
        held.append(decision.weights > 0)
    # 60 returns are seen at the 61st close: in row 60 of the one, in row 120 of the other.
    assert [int(np.argmax(column)) for column in np.array(held).T] == [60, 120]
    assert np.array(held)[60:, 0].all()
    assert decision.allocation.rules.loc["volatility.max", "value"] <= 0.02 + 1e-9


def test_a_symbol_that_is_not_listed_is_not_asked_for() -> None:
    prices = walk(["SP500", "WTI"], 20)
    prices.iloc[:5, 0] = math.nan
    prices.iloc[10:, 1] = math.nan
    wish = pd.Series({("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.05})
    desk = desk_of(*wish.index, execution__max_stale_bars=3)
    weights = np.array([step(desk, nothing(desk), prices.iloc[:rows], targets=wish).weights for rows in range(1, 21)])
    expected = np.tile(wish.to_numpy(), (20, 1))
    expected[:5, 0] = expected[13:, 1] = 0.0
    np.testing.assert_allclose(weights, expected, atol=1e-9)


def test_going_back_in_time_or_changing_columns_is_refused() -> None:
    prices = walk(["SP500", "WTI"], 5)
    desk = desk_of(("ts_core", "SP500"), ("ts_core", "WTI"))
    step(desk, nothing(desk), prices, targets=pd.Series(0.0, index=desk.index))
    with pytest.raises(DataError, match="build a new desk"):
        desk.observe(prices.iloc[:4])
    for other in (prices[["WTI", "SP500"]], prices[["SP500"]]):
        with pytest.raises(DataError, match="columns of prices are not the desk's symbols"):
            desk.observe(other)


# -- decisions -------------------------------------------------------------------------------------------


def test_gates_reach_the_answer() -> None:
    desk = desk_of(("ts_core", "SP500"), ("ts_core", "WTI"))
    wish = pd.Series({("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.08})
    held = Holdings(1e6, np.array([0.03, 0.02]), {})
    decision = step(
        desk, held, closes(SP500=[1.0], WTI=[1.0]), targets=wish, gated={"SP500": "reduce_only", "WTI": "exit"}
    )
    np.testing.assert_allclose(decision.weights, [0.03, 0.0], atol=1e-12)
    assert decision.routing is None


def test_traded_volumes_reach_the_answer() -> None:
    desk = desk_of(("ts_core", "SP500"), execution__liquidity__participation=0.1)
    wish = pd.Series({("ts_core", "SP500"): 0.1})
    decision = step(desk, nothing(desk), closes(SP500=[1.0]), targets=wish, adv={"SP500": 2e5})
    np.testing.assert_allclose(decision.weights, [0.02], atol=1e-12)
    with pytest.raises(DataError, match="adv="):
        step(desk, nothing(desk), closes(SP500=[1.0]), targets=wish)


def test_with_the_layer_off_weights_come_back_bit_for_bit_in_the_desks_order() -> None:
    policy = POLICY.override(FREE)
    desk = Desk(policy, ["SP500", "WTI"], positions=[("ts_core", "WTI"), ("ts_core", "SP500")])
    wish = pd.Series({("ts_core", "WTI"): 1.0 / 3.0, ("ts_core", "SP500"): -2.1})
    decision = step(desk, nothing(desk), closes(SP500=[1.0], WTI=[1.0]), targets=wish)
    assert decision.allocation.status is pmx.Status.BYPASSED
    assert decision.weights.tolist() == [-2.1, 1.0 / 3.0]
    with pytest.raises(DataError, match="ts_core/WTI is not finite"):
        step(desk, nothing(desk), closes(SP500=[1.0], WTI=[1.0]), targets=wish.where(wish < 0))


def test_what_the_stages_raise_comes_through() -> None:
    rule = {"floor": {"symbols": {"SP500": 1.0}, "min": 0.2}}
    desk = desk_of(("ts_core", "SP500"), risk_buckets__custom_rules=rule)
    with pytest.raises(InfeasibleError) as caught:
        step(desk, nothing(desk), closes(SP500=[1.0]), targets=pd.Series({("ts_core", "SP500"): 0.1}))
    assert "custom.floor" in caught.value.rules
    twice = [Scripted(lambda *_: (1, 1.0)), Scripted(lambda *_: (-1, 1.0))]
    desk = Desk(POLICY, ["SP500"], twice)
    with pytest.raises(SignalError, match="'SP500' from 'time_series_core' is given twice"):
        step(desk, nothing(desk), closes(SP500=[1.0]))


def test_a_refused_cycle_can_be_repeated_with_better_inputs() -> None:
    prices = walk(["SP500", "WTI"], 70)
    wish = pd.Series({("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.05})
    first, second = desk_of(*wish.index, **RISKY), desk_of(*wish.index, **RISKY)
    with pytest.raises(DataError, match="must be 'reduce_only' or 'exit'"):
        step(first, nothing(first), prices, targets=wish, gated={"WTI": "shut"})
    weights = [step(desk, nothing(desk), prices, targets=wish).weights.tolist() for desk in (first, second)]
    assert weights[0] == weights[1]


# -- arrays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [True, False])
def test_arrays_and_a_view_of_a_longer_table_decide_what_tables_decide(layer: bool) -> None:
    changes = RISKY if layer else {key.replace(".", "__"): off for key, off in FREE.items()}
    prices = walk(["SP500", "WTI"], 70)
    prices.iloc[40:, 1] = math.nan
    later = prices * 1.0
    later.iloc[65:] = -1.0  # nobody looks there
    wish = pd.Series({("ts_core", "SP500"): 0.1, ("ts_core", "WTI"): 0.05})
    plain, viewed = desk_of(*wish.index, **changes), desk_of(*wish.index, **changes)
    for rows in range(1, 66):
        known = History(later, later.to_numpy()[:rows], later.index[rows - 1])
        pd.testing.assert_frame_equal(known.frame, prices.iloc[:rows])
        holdings = Holdings(1e6, np.array([0.02, 0.01]), {"ts_core": 0.03 * (-1) ** rows})
        one = step(plain, holdings, prices.iloc[:rows], targets=wish)
        other = step(viewed, holdings, known, targets=wish.to_numpy())
        assert one.weights.tolist() == other.weights.tolist()
        assert one.risk_scale.equals(other.risk_scale)
        assert (one.as_of, plain.silent(prices.iloc[:rows])) == (other.as_of, viewed.silent(known))
    assert plain.silent(prices) == ["WTI"]
    assert other.risk_scale.index.tolist() == list(POLICY.risk_buckets.buckets)
    assert other.risk_scale.to_numpy().tolist() == other.scales.tolist()


def test_what_is_held_and_what_is_asked_for_in_the_order_of_the_positions() -> None:
    desk = desk_of(("ts_core", "SP500"), ("ts_core", "WTI"), ("ml_secondary", "WTI"))
    assert desk.held(np.array([0.0, -0.2, 0.1])) == {("ts_core", "WTI"): -0.2, ("ml_secondary", "WTI"): 0.1}
    assert desk.wishes(Routing({("ml_secondary", "WTI"): 0.5, ("ts_core", "SP500"): 0.0}, ())).tolist() == [0, 0, 0.5]
    with pytest.raises(DataError, match="signals ask for safe/BIL, which is not in the universe"):
        desk.wishes(Routing({("safe", "BIL"): 0.5}, ()))


def test_a_covariance_is_named_where_a_residual_symbol_needs_its_own() -> None:
    prices = walk(["BIL", "SP500", "WTI"], 70)
    prices.iloc[:20, 2] = math.nan
    residual = {"risk_buckets__portfolio__residual_symbol": "BIL"}
    policy = POLICY.override({key.replace("__", "."): value for key, value in (RISKY | residual).items()})
    positions = [("ts_core", "WTI"), ("ts_core", "SP500")]
    with_residual, without = Desk(policy, prices.columns, positions=positions), desk_of(*positions, **RISKY)
    with_residual.observe(prices)
    without.observe(prices[["SP500", "WTI"]])
    (named, unknown), (plain, _) = with_residual.risk_view(), without.risk_view()
    assert unknown == ["WTI"]
    assert list(named.columns) == list(prices.columns)
    np.testing.assert_array_equal(named.loc[["SP500", "WTI"], ["SP500", "WTI"]], plain)
    assert plain[0, 0] > 0.0
    assert plain[1].tolist() == [0.0, 0.0]
