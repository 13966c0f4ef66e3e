"""Each figure against a sample whose answer is known, a textbook formula, or another library."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.backtest import drawdown, performance
from pmx.errors import DataError

DATES = pd.bdate_range("2020-01-01", periods=253)


def nav_of(returns: np.ndarray, start: float = 100.0) -> pd.Series:
    values = start * np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    return pd.Series(values, pd.bdate_range("2020-01-01", periods=len(values)), name="nav")


RETURNS = np.random.default_rng(5).normal(0.0006, 0.011, size=252)


def test_a_year_by_hand() -> None:
    # Four quarters: +10 %, −20 %, +25 %, 0 %, and 2 % a quarter without risk.
    nav = nav_of(np.array([0.10, -0.20, 0.25, 0.0])).set_axis(pd.date_range("2019-12-31", periods=5, freq="QE"))
    figures = performance(nav, rf=0.02)
    excess = np.array([0.08, -0.22, 0.23, -0.02])
    assert figures.to_dict() == pytest.approx(
        {
            "total_return": 0.10,
            "annualized_return": 0.10,
            "annualized_volatility": 2 * math.sqrt((0.0625**2 + 0.2375**2 + 0.2125**2 + 0.0375**2) / 3),
            "sharpe_ratio": 2 * 0.0175 / math.sqrt(((excess - 0.0175) ** 2).sum() / 3),
            "sortino_ratio": 2 * 0.0175 / math.sqrt((0.22**2 + 0.02**2) / 4),
            "max_drawdown": 0.20,
            "calmar_ratio": 0.5,
            "cvar": 0.20,
            "worst_period": -0.20,
            "best_period": 0.25,
            "share_of_gains": 0.5,
            "skewness": scipy.stats.skew([0.10, -0.20, 0.25, 0.0]),
            "rf_annual": 0.08,
            "periods_per_year": 4.0,
        },
        rel=1e-12,
    )


def test_against_pandas_and_scipy() -> None:
    nav = nav_of(RETURNS)
    rf = pd.Series(np.linspace(0.0, 0.0004, 253), nav.index)
    figures = performance(nav, rf=rf, periods_per_year=252)
    returns = nav.pct_change().dropna()
    excess = returns - rf.iloc[1:]
    assert figures["total_return"] == pytest.approx(nav.iloc[-1] / nav.iloc[0] - 1, rel=1e-12)
    assert figures["annualized_return"] == pytest.approx(scipy.stats.gmean(1 + returns) ** 252 - 1, rel=1e-9)
    assert figures["annualized_volatility"] == pytest.approx(returns.std() * 252**0.5, rel=1e-12)
    assert figures["sharpe_ratio"] == pytest.approx(excess.mean() / excess.std() * 252**0.5, rel=1e-12)
    downside = (excess.clip(upper=0) ** 2).mean() ** 0.5
    assert figures["sortino_ratio"] == pytest.approx(excess.mean() / downside * 252**0.5, rel=1e-12)
    assert figures["skewness"] == pytest.approx(scipy.stats.skew(returns), rel=1e-9)
    assert figures["share_of_gains"] == (returns > 0).mean()
    assert figures["rf_annual"] == pytest.approx(0.05, rel=2e-2)


def test_a_planted_drawdown_is_found() -> None:
    nav = pd.Series([100.0, 120.0, 90.0, 119.0, 96.0, 150.0, 140.0])
    assert drawdown(nav).tolist() == pytest.approx([0.0, 0.0, 0.25, 1 / 120, 0.2, 0.0, 1 / 15])
    figures = performance(nav, periods_per_year=6)
    assert figures["max_drawdown"] == 0.25
    assert figures["calmar_ratio"] == pytest.approx(0.4 / 0.25)


@pytest.mark.parametrize("n", [20, 40, 100, 140, 250, 999])
def test_cvar_minimises_its_definition(n: int) -> None:
    losses = np.random.default_rng(n).standard_t(4, size=n) * 0.01
    figures = performance(nav_of(-losses))

    def objective(a: float) -> float:
        return a + np.maximum(losses - a, 0.0).mean() / 0.05

    # Convex and piecewise linear: its minimum is at one of the losses.
    assert figures["cvar"] == pytest.approx(min(objective(a) for a in losses), rel=1e-9)
    assert figures["cvar"] >= np.quantile(losses, 0.95) - 1e-12


def test_cvar_of_a_known_sample() -> None:
    # One hundred losses of 0.1 % to 10 %: the worst five are 9.6 % to 10 %. Of 110, the sixth counts by half.
    losses = np.arange(1, 101) / 1000
    assert performance(nav_of(-losses[::-1]))["cvar"] == pytest.approx(0.098)
    more = np.concatenate([losses, np.full(10, 0.0005)])
    assert performance(nav_of(-more))["cvar"] == pytest.approx((0.49 + 0.5 * 0.095) / 5.5)
    # With fewer than twenty periods, the worst of them is all there is to say.
    assert performance(nav_of(np.array([-0.03, 0.01, -0.02])))["cvar"] == pytest.approx(0.03)


def test_cvar_of_a_long_normal_sample_is_the_textbook_value() -> None:
    returns = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000) * 0.01
    z = scipy.stats.norm.ppf(0.95)
    # Only the set of returns counts, so the large and the small take turns, lest NAV overflows.
    mixed = np.column_stack([returns[:100_000], returns[:99_999:-1]]).ravel()
    assert performance(nav_of(mixed))["cvar"] == pytest.approx(0.01 * scipy.stats.norm.pdf(z) / 0.05, rel=1e-4)


def test_a_rate_as_a_series_is_matched_by_date() -> None:
    nav = nav_of(RETURNS)
    shuffled = pd.Series(0.0001, nav.index).sample(frac=1.0, random_state=0)
    wide = pd.concat([shuffled, pd.Series([9.9], [pd.Timestamp("1999-01-01")])])
    pd.testing.assert_series_equal(performance(nav, rf=wide), performance(nav, rf=0.0001), rtol=1e-12)
    assert performance(nav, rf=0.0001)["sharpe_ratio"] < performance(nav)["sharpe_ratio"]
    # The first date begins the first period; no period ends there, so it needs no rate.
    pd.testing.assert_series_equal(performance(nav, rf=wide.drop(nav.index[0])), performance(nav, rf=wide))


def test_figures_that_do_not_exist_are_nan() -> None:
    flat = performance(pd.Series([100.0, 100.0, 100.0]))
    assert flat[flat.isna()].index.tolist() == ["sharpe_ratio", "sortino_ratio", "calmar_ratio", "skewness"]
    assert flat["cvar"] == flat["max_drawdown"] == flat["annualized_return"] == 0.0
    steady = performance(nav_of(np.full(50, 0.001)))
    assert math.isnan(steady["sharpe_ratio"])
    assert steady["annualized_return"] == pytest.approx(1.001**252 - 1, rel=1e-9)
    single = performance(pd.Series([100.0, 101.0]))
    assert math.isnan(single["annualized_volatility"])
    assert math.isnan(single["sharpe_ratio"])
    assert single["total_return"] == pytest.approx(0.01)
    assert performance(pd.Series([1.0, 1e6]))["annualized_return"] == math.inf


@settings(max_examples=100, deadline=None)
@given(points=st.lists(st.integers(-5000, 5000), min_size=2, max_size=60), unit=st.floats(1e-3, 1e9))
def test_figures_do_not_depend_on_the_unit_of_account(points: list[int], unit: float) -> None:
    nav = nav_of(np.array(points) / 10_000)
    pd.testing.assert_series_equal(performance(nav * unit), performance(nav), rtol=1e-6, atol=1e-9)
    figures = performance(nav)
    assert 0.0 <= figures["max_drawdown"] < 1.0
    assert -figures["best_period"] - 1e-12 <= figures["cvar"] <= -figures["worst_period"] + 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nav": pd.Series([100.0])}, "at least two NAV values; got 1"),
        ({"nav": pd.Series([100.0, 0.0], ["a", "b"])}, "NAV at b is 0.0"),
        ({"nav": pd.Series([100.0, math.nan], ["a", "b"])}, "NAV at b is nan"),
        ({"nav": pd.Series([math.inf, 1.0], ["a", "b"])}, "NAV at a is inf"),
        ({"rf": pd.Series([0.0], DATES[:1])}, "rf at 2020-01-02 is nan"),
        ({"rf": math.inf}, "rf at 2020-01-02 is inf"),
        ({"rf": pd.Series([0.0, 0.0], DATES[[1, 1]])}, "rf: the date 2020-01-02 occurs twice"),
        ({"periods_per_year": 0}, "periods_per_year is 0"),
        ({"periods_per_year": math.nan}, "periods_per_year is nan"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        performance(**({"nav": nav_of(RETURNS)} | arguments))
