"""How many periods make a year has one source: the policy, which may leave it to the dates."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.backtest.metrics import performance
from pmx.errors import DataError, PmxWarning, PolicyError
from pmx.execution import Desk, Holdings, step
from pmx.risk import RiskScaler
from pmx.signals import Signal
from pmx.signals.judged_engine import JudgedEngine

KEY = "risk_scaler.volatility.periods_per_year"
FREE = {
    "risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False,
    "risk_scaler.enabled": False, "execution.turnover.max": None,
    "risk_buckets.default_bucket": "ts_core", "execution.costs.commission_bps": 0.0,
    "execution.costs.half_spread_bps": 0.0,
}  # fmt: skip
PLAIN = pmx.load_policy(overrides=FREE)


def growing(dates, growth):
    """Prices of a thing that gains ``growth`` in all, from the second close on, at which it is bought."""
    return pd.DataFrame({"A": 100.0 * growth ** np.append(0.0, np.linspace(0.0, 1.0, len(dates) - 1))}, index=dates)


def held(prices, policy=PLAIN, **options):
    targets = pd.DataFrame({"A": [1.0]}, index=prices.index[:1])
    return pmx.backtest(prices, policy, targets=targets, **options)


def test_a_table_with_weekends_has_365_periods_a_year():
    """A year of 365 periods that gains 7.94 % gained 5.41 % where 252 of them were taken for a year."""
    metrics = held(growing(pd.date_range("2021-01-01", periods=366), 1.0794)).metrics
    assert metrics["periods_per_year"] == 365
    assert round(100 * metrics["annualized_return"], 2) == 7.94
    assert round(100 * (1.0794 ** (252 / 365) - 1), 2) in (5.41, 5.42)


def test_a_weekly_table_has_52():
    """A hundred weeks at 1.04 % a year; by 252 of them it was 5.13 %."""
    metrics = held(growing(pd.date_range("2021-01-01", periods=105, freq="W-FRI"), 1.0104**2)).metrics
    assert metrics["periods_per_year"] == 52
    assert round(100 * metrics["annualized_return"], 2) == 1.04
    assert round(100 * (1.0104 ** (252 / 52) - 1), 2) == 5.14  # the growth was 1.0396 % before it was rounded


def test_rows_that_grow_denser_inside_a_run_are_counted_over_the_whole_run():
    """Two years of shares, then a year in which a coin adds the weekends: 6 % a year over the run's own years."""
    shares, coin = pd.bdate_range("2021-01-01", "2022-12-30"), pd.date_range("2022-12-31", "2023-12-31")
    dates = shares.append(coin)
    years = (dates[-1] - dates[0]).days / 365.25
    metrics = held(growing(dates, 1.06**years)).metrics
    assert metrics["periods_per_year"] == pytest.approx((len(dates) - 1) / years, rel=1e-12)
    assert 290 < metrics["periods_per_year"] < 300
    assert metrics["annualized_return"] == pytest.approx(0.06, abs=1e-12)


@pytest.mark.parametrize(("frequency", "periods"), [("B", 252), ("D", 365), ("W", 52), ("ME", 12), ("QE", 4)])
def test_every_figure_of_a_run_has_the_same_year(frequency, periods):
    rng = np.random.default_rng(3)
    dates = pd.date_range("2010-01-01", periods=60, freq=frequency)
    prices = pd.DataFrame({"A": 100 * np.exp(np.cumsum(rng.normal(0.001, 0.01, 60)))}, index=dates)
    result = held(prices)
    returns = result.nav.pct_change().dropna()
    assert result.periods_per_year == result.metrics["periods_per_year"] == periods
    assert result.metrics["annualized_volatility"] == pytest.approx(returns.std() * periods**0.5, rel=1e-12)
    assert result.metrics["sharpe_ratio"] == pytest.approx(returns.mean() / returns.std() * periods**0.5, rel=1e-12)
    assert result.performance()["periods_per_year"] == periods
    assert performance(result.nav)["periods_per_year"] == periods


def test_the_policys_figure_is_the_runs():
    prices = growing(pd.bdate_range("2021-01-01", periods=30), 1.01)
    policy = PLAIN.override({KEY: 260.0})
    assert held(prices, policy).metrics["periods_per_year"] == 260
    assert held(prices, policy, periods_per_year=250).metrics["periods_per_year"] == 250


def test_a_figure_of_the_policy_that_contradicts_the_dates_is_warned_of_once():
    prices = growing(pd.bdate_range("2021-01-01", periods=30), 1.01)
    with pytest.warns(PmxWarning, match=rf"^{KEY} \(override\) is 52, and the dates have about 252 rows") as said:
        result = held(prices, PLAIN.override({KEY: 52}))
    assert result.metrics["periods_per_year"] == 52
    assert len(said) == 1


def test_an_argument_that_contradicts_the_dates_is_warned_of():
    prices = growing(pd.date_range("2021-01-01", periods=30), 1.01)
    with pytest.warns(PmxWarning, match="^periods_per_year is 252, and the dates have about 365 rows"):
        assert held(prices, periods_per_year=252).periods_per_year == 252
    with pytest.warns(PmxWarning, match="^periods_per_year is 252"):
        performance(prices["A"], periods_per_year=252)


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), True, "daily", None, [252]])
def test_what_is_no_year_is_refused(wrong):
    with pytest.raises(PolicyError, match=r"periods_per_year.*write auto, or bars in a year: 252 for business days"):
        PLAIN.override({KEY: wrong})


def test_the_argument_is_refused_as_ever():
    with pytest.raises(DataError, match="periods_per_year is 0"):
        held(growing(pd.bdate_range("2021-01-01", periods=5), 1.1), periods_per_year=0)


# --- Decisions -------------------------------------------------------------------------------------------------


def test_volatilities_are_annualised_by_the_rows_known_so_far():
    """The same returns in a bucket, day by day with weekends, are √(365/252) as volatile by the year."""
    policy = pmx.load_policy()
    figures = {}
    for frequency, periods in (("D", 365), ("B", 252), ("W", 52)):
        dates = pd.date_range("2020-01-01", periods=60, freq=frequency)
        prices = growing(dates, 1.1)
        desk = Desk(policy, ["A"], positions=[("ts_core", "A")])
        rng = np.random.default_rng(1)
        for n, value in enumerate(rng.normal(0.0, 0.01, 60).tolist(), start=1):
            desk.observe(prices.iloc[:n], {"ts_core": value})
        assert desk.scaler.periods_per_year == periods
        figures[periods] = desk.scaler.states()["ts_core"].realized_vol
    assert figures[365] == pytest.approx(figures[252] * (365 / 252) ** 0.5, rel=1e-12)
    assert figures[52] == pytest.approx(figures[252] * (52 / 252) ** 0.5, rel=1e-12)


def test_a_scale_follows_the_year():
    policy = pmx.load_policy()
    scaler = RiskScaler(policy)
    for k in range(30):
        scaler.update({"ts_core": 0.02 if k % 2 else -0.02})
    before = scaler.scales()["ts_core"]
    scaler.periods_per_year = 365.0
    assert scaler.scales()["ts_core"] == pytest.approx(before * (252 / 365) ** 0.5, rel=1e-12)


def test_each_symbol_is_as_volatile_as_its_own_sessions_make_it():
    """A share and a coin with the same daily risk on one table with weekends: 252 and 365 returns a year."""
    policy = pmx.load_policy(overrides={"risk_buckets.portfolio.volatility_max": 0.5})
    dates = pd.date_range("2020-01-01", periods=400)
    rng = np.random.default_rng(7)
    closes = pd.DataFrame(100 * np.exp(rng.normal(0, 0.01, (400, 2)).cumsum(axis=0)), dates, ["SHARE", "COIN"])
    closes.loc[dates.day_of_week >= 5, "SHARE"] = np.nan
    desk = Desk(policy, ["SHARE", "COIN"], positions=[("ts_core", "SHARE"), ("ts_core", "COIN")])
    desk.observe(closes)
    decay = policy.risk_scaler.covariance_decay
    for k, (symbol, periods) in enumerate({"SHARE": 252, "COIN": 365}.items()):
        returns = closes[symbol].dropna().pct_change().dropna()
        rows = closes.index.get_indexer(returns.index)
        weights = decay ** (399.0 - rows)
        variance = periods * (weights * returns**2).sum() / weights.sum()
        assert desk.covariance.matrix()[k, k] == pytest.approx(variance, rel=1e-10)


def test_later_dates_change_no_earlier_decision():
    """A table that turns from business days into a 7-day one: what was decided before the turn stays."""
    policy = pmx.load_policy(overrides={"risk_buckets.default_bucket": "ts_core"})
    early = pd.bdate_range("2020-01-01", periods=120)
    late = pd.date_range(early[-1] + pd.Timedelta(days=1), periods=80)
    dates = early.append(late)
    rng = np.random.default_rng(5)
    prices = pd.DataFrame({"SP500": 100 * np.exp(np.cumsum(rng.normal(0, 0.03, 200)))}, index=dates)
    targets = pd.DataFrame({"SP500": 0.1}, index=dates)
    whole = pmx.backtest(prices, policy, targets=targets)
    first = pmx.backtest(prices.iloc[:120], policy, targets=targets.iloc[:120])
    np.testing.assert_array_equal(whole.weights.to_numpy()[:120], first.weights.to_numpy())
    assert (first.risk_scale["ts_core"].iloc[40:] != 1.0).any()


def test_a_desk_that_starts_anew_decides_the_same():
    policy = pmx.load_policy(overrides={"risk_buckets.portfolio.volatility_max": 0.02})
    dates = pd.date_range("2020-01-01", periods=130)
    rng = np.random.default_rng(5)
    prices = pd.DataFrame({"SP500": 100 * np.exp(np.cumsum(rng.normal(0, 0.03, 130)))}, index=dates)
    holdings, wish = Holdings(1e6, np.zeros(1), {}), np.array([0.15])
    old = Desk(policy, ["SP500"], positions=[("ts_core", "SP500")])
    for n in range(100, 131):
        kept = step(old, holdings, prices.iloc[:n], targets=wish)
        anew = step(Desk(policy, ["SP500"], positions=[("ts_core", "SP500")]), holdings, prices.iloc[:n], targets=wish)
        assert kept.weights.tobytes() == anew.weights.tobytes()
    assert 0.0 < kept.weights[0] < 0.05


class Bull:
    source, horizon = "time_series_core", 5

    def signals(self, prices):
        return [Signal("A", 1, strength=1.0, edge_score=0.2, confidence=0.6, source=self.source)]


def test_verdicts_have_the_same_year():
    rng = np.random.default_rng(2)
    closes = 100 * np.exp(np.cumsum(rng.normal(0.001, 0.01, 150)))
    ratios = {}
    for frequency, periods in (("D", 365), ("B", 252)):
        prices = pd.DataFrame({"A": closes}, index=pd.date_range("2020-01-01", periods=150, freq=frequency))
        engine = JudgedEngine(Bull(), pmx.load_policy(), {"A": 0.0})
        engine.signals(prices)
        ratios[periods] = engine.verdicts[0].figures.sharpe_ratio
    assert ratios[365] == pytest.approx(ratios[252] * (365 / 252) ** 0.5, rel=1e-12)
