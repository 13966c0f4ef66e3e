"""What each rule's cuts earned: adds up to the return of the account, and is what a plain loop makes of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy

import pmx
from pmx.backtest import engine
from pmx.backtest.together import TogetherDays
from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.policy import Policy
from pmx.portfolio import UNASSIGNED
from pmx.projection import Allocation

#: Symbols end before the run does; that it is said is for test_delistings.py.
pytestmark = pytest.mark.filterwarnings("ignore:held without prices")

TARGET, WEIGHT = "target", "weight"
EXECUTION = {"max_stale_bars": 2}


def policy(portfolio: dict | None = None, execution: dict | None = None, **rest: object) -> Policy:
    """Two buckets that may be short and one that may not, under caps that bind."""
    buckets = {
        "safe": {"role": "safe", "base_nav_frac": 0.5, "symbols": ["BIL"]},
        "core": {"role": "risk", "base_nav_frac": 0.3, "max_nav_frac": 0.3, "allow_short": True},
        "tail": {"role": "risk", "base_nav_frac": 0.2, "max_nav_frac": 0.2},
    }
    barbell = {
        "safe_bucket": {"min_weight": 0.65, "symbols": ["BIL"], "max_per_position": None, "max_weight": 0.9},
        "risk_bucket": {"max_per_position": 0.15},
        "markets": {"us": ["US*"]},
        "market_caps": {"us": 0.2},
    }
    buckets_file = {"buckets": buckets, "portfolio": portfolio or {}, **rest.pop("risk_buckets", {})}
    barbell["safe_bucket"] |= rest.pop("safe_bucket", {})
    return bare_policy(
        {"risk_buckets": buckets_file, "barbell": barbell, "execution": EXECUTION | (execution or {}), **rest}
    )


TILT = {"tilt": {"symbols": {"US1": 1.0, "EM2": -0.5}, "max": 0.01, "hard": False, "penalty": 0.05}}
SCALER = {"volatility": {"min_observations": 20, "window": 50}, "buckets": {"core": {"target_vol": 0.08}}}
#: What each kind of run is there for, and a column that shows that it happened.
KINDS = {
    "caps": (policy(), "symbol.US0.cap"),
    "absolute": (policy({"distance": "absolute"}), "sign"),
    "soft": (policy(risk_buckets={"custom_rules": TILT}), "custom.tilt"),
    "turnover": (policy(execution={"turnover": {"max": 0.05}}), "through_zero"),
    "cost": (policy(execution={"turnover": {"cost": 0.2}}), "turnover.cost"),
    "liquidity": (policy(execution={"liquidity": {"participation": 0.02}}), "liquidity.EM2"),
    "residual": (policy({"residual_symbol": "BIL", "cash_min": 0.02}), "symbol.US0.cap"),
    "residual at its cap": (
        policy({"residual_symbol": "BIL"}, safe_bucket={"max_per_position": 0.4}),
        "symbol.US0.cap",
    ),
    "scaled": (policy(risk_scaler=SCALER), "clamp.core"),
    "lifted": (policy(safe_bucket={"max_weight": 0.75, "max_weight_penalty": 0.5}), "barbell.safe.cap"),
    "volatility": (policy({"volatility_max": 0.03}), "volatility.max"),
    "bypassed": (policy().override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}), None),
}
SYMBOLS = ["US0", "US1", "EM2", "EM3", "BIL"]


def market(seed: int, days: int) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Closes with gaps, a late start and an early end; signed wishes, not on every day; a rate and volumes."""
    rng = np.random.default_rng(seed)
    dates = pd.bdate_range("2019-12-02", periods=days)
    steps = rng.normal(0.0, [0.02, 0.03, 0.02, 0.04, 0.0003], size=(days, 5))
    prices = pd.DataFrame(50.0 * np.exp(steps.cumsum(axis=0)), dates, SYMBOLS)
    prices.iloc[: days // 5, 1] = math.nan
    prices.iloc[days - days // 5 :, 3] = math.nan
    prices.iloc[days // 2, 0] = prices.iloc[days // 3, 2] = math.nan
    columns = pd.MultiIndex.from_tuples(
        [("core", "US0"), ("core", "US1"), ("core", "EM2"), ("tail", "US0"), ("tail", "EM3"), ("safe", "BIL")]
    )
    wishes = rng.normal(0.1, 0.1, size=(days, 6)).round(3)
    wishes[:, 3:] = np.abs(wishes[:, 3:])
    targets = pd.DataFrame(wishes, dates, columns)[rng.random(days) < 0.8]
    given = {
        "cash_rate": pd.Series(rng.uniform(0.0, 3e-4, days), dates),
        "adv": pd.DataFrame(rng.uniform(1e5, 5e6, size=(days, 5)), dates, SYMBOLS),
        "costs": 0.001,
    }
    return prices, targets, given


@contextmanager
def day_by_day(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[pd.Timestamp, Allocation]]:
    """Live through each day by itself and keep its allocation."""
    decided: dict[pd.Timestamp, Allocation] = {}
    step = engine.step

    def watched(*args: object, **kwargs: object) -> object:
        decision = step(*args, **kwargs)
        decided[decision.as_of] = decision.allocation
        return decision

    with monkeypatch.context() as patch:
        patch.setattr(engine, "step", watched)
        patch.setattr(TogetherDays, "of", classmethod(lambda cls, run: None))
        yield decided


def parts_of(allocation: Allocation) -> dict[tuple[str, str], dict[str, float]]:
    """Position → cause → signed fraction of NAV, from the attribution."""
    table = allocation.attribution.drop(columns=WEIGHT)
    parts = {position: dict(line) for position, line in table.to_dict("index").items()}
    part = allocation.residual_part
    if part is not None:
        inside = allocation.residual > 0.0 and allocation.cash == pytest.approx(allocation.cash_min, abs=1e-12)
        falls = dict.fromkeys(table.columns.drop(TARGET), 0.0)
        for cause in falls:
            falls[cause] = -float(table[cause].sum()) if inside else 0.0
        parts[(UNASSIGNED, part.symbol)] = {TARGET: allocation.residual - sum(falls.values()), **falls}
    return parts


def by_hand(
    result: pmx.BacktestResult, prices: pd.DataFrame, decided: dict[pd.Timestamp, Allocation], at_close: bool
) -> pd.DataFrame:
    """The contributions, in dictionaries, from the attribution of each decision."""
    paid = result.trades[result.trades["reason"] == "rebalance"].groupby("date")["cost"].sum()
    held: dict[tuple[str, str], dict[str, float]] = {}
    mark: dict[str, float] = {}
    missed: dict[str, int] = {}
    order: dict[tuple[str, str], dict[str, float]] = {}
    rows: list[dict[str, float]] = []
    nav = math.nan
    for day, line in prices.loc[result.positions.index].to_dict("index").items():
        today = {symbol: close for symbol, close in line.items() if close == close}
        row: dict[str, float] = {}
        for (_, symbol), parts in held.items():
            before, now = mark[symbol], today.get(symbol, mark[symbol])
            for cause, units in parts.items():
                gain = units * (now - before * (1.0 + result.rf[day])) / nav
                row[cause] = row.get(cause, 0.0) + gain
        rows.append(row)
        mark.update(today)
        missed = {symbol: 0 if symbol in today else missed.get(symbol, 0) + 1 for symbol in line}
        held, order = (
            {p: parts for p, parts in some.items() if missed[p[1]] <= EXECUTION["max_stale_bars"]}
            for some in (held, order)
        )
        order = parts_of(decided[day]) if at_close and day in decided else order
        before_costs = result.nav[day] + paid.get(day, 0.0)
        for position in [position for position in order if position[1] in today]:  # the others wait
            price = today[position[1]]
            held[position] = {cause: part * before_costs / price for cause, part in order.pop(position).items()}
        order = parts_of(decided[day]) if not at_close and day in decided else order
        nav = result.nav[day]
    return pd.DataFrame(rows, index=result.positions.index).fillna(0.0)


def assert_adds_up(result: pmx.BacktestResult) -> None:
    """Wishes and rules make up what was held; that less costs is the return over cash."""
    table, nav = result.contributions, result.nav
    np.testing.assert_allclose(table.drop(columns=WEIGHT).sum(axis=1), table[WEIGHT], rtol=0, atol=1e-12)
    paid = result.trades.groupby("date")["cost"].sum().reindex(nav.index, fill_value=0.0)
    excess = (nav.pct_change() - result.rf + paid / nav.shift()).loc[table.index]
    np.testing.assert_allclose(table[WEIGHT].iloc[1:], excess.iloc[1:], rtol=0, atol=1e-12)
    assert (table.iloc[0] == 0.0).all()


@pytest.mark.parametrize("trade_at", ["next_close", "close"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_in_plain_python_makes_the_same_of_every_decision(
    kind: str, trade_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules, column = KINDS[kind]
    days, first = (90, 66) if kind == "volatility" else (60, 0)  # a covariance needs some history
    prices, targets, given = market(seed=len(kind), days=days)
    if kind != "liquidity":
        given.pop("adv")
    with day_by_day(monkeypatch) as decided:
        result = pmx.backtest(
            prices, rules, targets=targets, trade_at=trade_at, start=prices.index[first], schedule="on_targets", **given
        )
    assert_adds_up(result)
    expected = by_hand(result, prices, decided, trade_at == "close")
    table = result.contributions.drop(columns=WEIGHT)
    seen = expected.columns[(expected != 0.0).any()]
    assert set(table.columns) == {TARGET, *seen}
    np.testing.assert_allclose(table[seen], expected[seen], rtol=1e-9, atol=1e-12)
    if column is None:
        assert list(table.columns) == [TARGET]
    else:
        assert table[column].abs().sum() > 1e-6
    if kind not in ("volatility", "bypassed"):
        assert (result.trades["reason"] == "delisted").any()
        assert (result.positions < 0.0).any(axis=None)


def test_the_residual_symbol_takes_what_is_cut_and_pays_for_it() -> None:
    # A stock that rises by 3 % a day is wished at 0.25 and capped at 0.15; the cut earns the 1 % of bills.
    dates = pd.bdate_range("2020-01-01", periods=4)
    prices = pd.DataFrame({"EM2": 100.0 * 1.03 ** np.arange(4), "BIL": 100.0 * 1.01 ** np.arange(4)}, index=dates)
    targets = pd.DataFrame({("core", "EM2"): [0.25] * 4}, index=dates)
    rules, _ = KINDS["residual"]
    result = pmx.backtest(prices, rules, targets=targets, trade_at="close", costs=0.0)
    assert result.last.residual == pytest.approx(0.83)
    assert result.contributions["symbol.EM2.cap"].iloc[1:].to_numpy() == pytest.approx(-0.1 * (0.03 - 0.01))
    assert result.contributions[TARGET].iloc[1:].to_numpy() == pytest.approx(0.25 * 0.03 + 0.73 * 0.01)
    assert result.rules.loc["symbol.EM2.cap", "cost"] == pytest.approx(3 * 0.1 * 0.02)
    assert result.rules.loc["symbol.EM2.cap", "saved"] == 0.0


def test_a_cut_of_a_short_earns_when_the_short_would_have_lost() -> None:
    dates = pd.DatetimeIndex(["2020-01-30", "2020-01-31", "2020-02-03"])
    prices = pd.DataFrame({"EM2": [100.0, 110.0, 99.0]}, index=dates)
    targets = pd.DataFrame({("core", "EM2"): [-0.25] * 3}, index=dates)
    result = pmx.backtest(prices, KINDS["caps"][0], targets=targets, trade_at="close", costs=0.0)
    np.testing.assert_allclose(result.contributions["symbol.EM2.cap"], [0.0, 0.01, -0.01], atol=1e-12)
    line = result.rules.loc["symbol.EM2.cap"]
    assert [line["saved"], line["cost"], line["contribution"]] == pytest.approx([0.01, 0.01, 0.0], abs=1e-12)


def split(earned: pd.Series) -> list[float]:
    """What was saved in months when something was, and what it cost in the others."""
    months = [month.sum() for _, month in earned.groupby([earned.index.year, earned.index.month])]
    return [sum(month for month in months if month > 0.0), -sum(month for month in months if month < 0.0)]


def test_rules_and_years_are_sums_of_months() -> None:
    prices, targets, given = market(seed=5, days=60)
    given.pop("adv")
    result = pmx.backtest(prices, KINDS["caps"][0], targets=targets, **given)
    days = result.contributions.drop(columns=[TARGET, WEIGHT])
    for name, line in result.rules.iterrows():
        earned = days[name] if name in days else pd.Series(0.0, days.index)
        assert line["contribution"] == pytest.approx(earned.sum(), abs=1e-15)
        assert [line["saved"], line["cost"]] == pytest.approx(split(earned), abs=1e-15)
        assert line["saved"] - line["cost"] == pytest.approx(line["contribution"], abs=1e-15)
    assert (result.rules[["saved", "cost"]].max() > 0.001).all()
    years = result.contributions_by_year
    assert years.index.names == ["year", "rule"]
    assert set(years.index) == {(year, name) for year in (2019, 2020) for name in days}
    for (year, name), line in years.iterrows():
        earned = days[name][days.index.year == year]
        assert line["contribution"] == pytest.approx(earned.sum(), abs=1e-15)
        assert [line["saved"], line["cost"]] == pytest.approx(split(earned), abs=1e-15)


@pytest.mark.parametrize("kind", ["caps", "turnover", "residual"])
def test_no_price_after_a_day_changes_a_contribution_up_to_it(kind: str) -> None:
    prices, targets, given = market(seed=3, days=60)
    given.pop("adv")
    whole = pmx.backtest(prices, KINDS[kind][0], targets=targets, **given).contributions
    for row in (20, 37, 51):
        other = prices.copy()
        other.iloc[row + 1 :] *= np.random.default_rng(row).uniform(0.5, 2.0, size=other.iloc[row + 1 :].shape)
        changed = pmx.backtest(other, KINDS[kind][0], targets=targets, **given).contributions
        ended = pmx.backtest(prices, KINDS[kind][0], targets=targets, end=prices.index[row], **given).contributions
        for known in (changed, ended):
            columns = whole.columns.union(known.columns)
            pasts = [
                table.reindex(columns=columns, fill_value=0.0).loc[: prices.index[row]] for table in (whole, known)
            ]
            assert pasts[0].equals(pasts[1])
        assert changed.iloc[row + 1][WEIGHT] != whole.iloc[row + 1][WEIGHT]


def test_nothing_was_decided_so_nothing_was_earned() -> None:
    prices, targets, _ = market(seed=1, days=10)
    result = pmx.backtest(prices, KINDS["caps"][0], targets=targets.iloc[:1], start=prices.index[3])
    assert list(result.contributions.columns) == [TARGET, WEIGHT]
    assert (result.contributions == 0.0).all(axis=None)
    assert result.contributions_by_year.empty


# -- twenty years ----------------------------------------------------------------------------------------

#: The shipped policy with a floor that binds, and with one that does not.
FLOOR = pmx.load_policy().override({"barbell.safe_bucket.min_weight": 0.90, "risk_scaler.enabled": False})
LOOSE = FLOOR.override({"barbell.safe_bucket.min_weight": 0.70})


@pytest.fixture(scope="module")
def monthly() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Closes, and at each month's last one a wish for what rose over a year: 8 % of NAV each."""
    prices = load_demo_prices()
    rising = prices.ffill() > prices.ffill().shift(252)
    last = prices.index.to_series().groupby(prices.index.to_period("M")).max()
    return prices, 0.08 * rising.loc[last].astype(float)


def test_twenty_years_of_a_safe_floor(
    monthly: tuple[pd.DataFrame, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    prices, targets = monthly
    rules = FLOOR.override({"execution.rebalance.schedule": "on_targets"})
    with day_by_day(monkeypatch) as decided:
        result = pmx.backtest(prices, rules, targets=targets, cash_rate=load_demo_cash_rate())
    assert_adds_up(result)
    expected = by_hand(result, prices, decided, at_close=False)
    floor = result.contributions["barbell.safe.floor"]
    np.testing.assert_allclose(floor, expected["barbell.safe.floor"], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(result.contributions[TARGET], expected[TARGET], rtol=1e-9, atol=1e-13)
    together = pmx.backtest(prices, rules, targets=targets, cash_rate=load_demo_cash_rate())
    assert together.contributions.equals(result.contributions)
    # The figures as they stand: they change only if data, policy or meaning do.
    line = result.rules.loc["barbell.safe.floor"]
    assert (line["days"], line["days_binding"]) == (240, 164)
    assert [line[name] for name in ("contribution", "saved", "cost")] == pytest.approx(
        [-0.110523, 0.272108, 0.382631], abs=5e-7
    )
    years = result.contributions_by_year.xs("barbell.safe.floor", level="rule")["contribution"]
    # It saved in 2000 and 2008 and cost in the recoveries after them.
    assert years[[2000, 2004, 2008, 2009, 2010]].to_list() == pytest.approx(
        [0.016435, -0.022134, 0.009955, -0.008878, -0.023204], abs=5e-7
    )


def test_where_nothing_takes_over_running_again_without_the_rule_says_the_same(
    monthly: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    prices, targets = monthly
    ruled, loose = (
        pmx.backtest(prices, rules, targets=targets, cash_rate=load_demo_cash_rate(), costs=0.0, schedule="on_targets")
        for rules in (FLOOR, LOOSE)
    )
    assert loose.rules.loc[loose.rules.index != "barbell.safe.cap", "days_binding"].sum() == 0
    again = (ruled.contributions[WEIGHT] - loose.contributions[WEIGHT]).groupby(ruled.nav.index.year).sum()
    said = ruled.contributions_by_year.xs("barbell.safe.floor", level="rule")["contribution"]
    assert said.abs().max() > 0.005
    # A month's drift is on its own NAV in each run, which makes the small difference.
    np.testing.assert_allclose(said, again, rtol=0, atol=5e-4)


def test_cures_are_further_cuts_beside_the_wish_that_stands() -> None:
    prices = load_demo_prices().loc["2003":"2007"].ffill()
    targets = pd.DataFrame({"SP500": [0.08], "NASDAQ": [0.08], "WTI": [0.08]}, prices.index[:1])
    for trade_at in ("close", "next_close"):
        result = pmx.backtest(prices, FLOOR, targets=targets, trade_at=trade_at, costs=0.001)
        assert (result.occasion == "breach").sum() > 20
        assert_adds_up(result)
        # Quantities that the wish would hold, had no rule cut it at the first trade or since.
        first = 0 if trade_at == "close" else 1
        worth = 0.08 * (1e6 / prices.iloc[first]) * prices.diff().shift(-first).shift(first)
        expected = worth.iloc[first + 1 :].sum(axis=1) / result.nav.shift().loc[prices.index[first + 1 :]]
        np.testing.assert_allclose(result.contributions[TARGET].iloc[first + 1 :], expected, rtol=0, atol=1e-12)
