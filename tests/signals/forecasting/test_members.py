"""The members: planted processes are found, state is exact, and what cannot be forecast is refused."""

import logging
import math
import pickle

import numpy as np
import pytest

from pmx.errors import SignalError
from pmx.signals.forecasting import (
    ArGarch,
    Forecast,
    Forecaster,
    HarGarch,
    RefittableForecaster,
    Sarimax,
    SingularSpectrum,
    Theta,
    fit_members,
)

HORIZON = 5
CHEAP = (ArGarch(), HarGarch(), Theta(), SingularSpectrum())
MEMBERS = (*CHEAP, Sarimax())


def named(members: tuple[Forecaster, ...] = MEMBERS) -> object:
    return pytest.mark.parametrize("member", members, ids=lambda member: member.name)


def noise(size: int, seed: int) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).normal(size=size)


def autoregression(size: int, seed: int, **at_lag: float) -> np.ndarray:
    returns = noise(size + 50, seed)
    for bar in range(30, returns.size):
        returns[bar] += sum(slope * returns[bar - int(lag[1:])] for lag, slope in at_lag.items())
    return returns[50:]


def errors(member: RefittableForecaster, returns: np.ndarray, begin: int, horizon: int) -> tuple[float, float]:
    """Return the mean squared error of h-bar totals, of the member and of a random walk, after one fit at ``begin``."""
    model = member.fit(returns[:begin])
    own, walk = [], []
    for bar in range(begin, returns.size - horizon + 1):
        total = returns[bar : bar + horizon].sum()
        own.append((total - model.forecast(horizon).total_mean) ** 2)
        walk.append(total**2)
        model.update(float(returns[bar]))
    return float(np.mean(own)), float(np.mean(walk))


def same(a: Forecast, b: Forecast) -> bool:
    return bool(
        np.array_equal(a.mean, b.mean)
        and np.array_equal(a.variance, b.variance)
        and a.total_variance == b.total_variance
    )


# --- planted processes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [ArGarch(), HarGarch(), Sarimax(order=(1, 0), seasonal_order=(0, 0))])
def test_an_autoregression_is_forecast_better_than_a_random_walk(member: RefittableForecaster) -> None:
    own, walk = errors(member, autoregression(1600, 1, l1=0.5), 1000, 1)
    assert own < 0.85 * walk  # 1 − 0.5² = 0.75 is the best there is


def test_a_month_long_memory_is_found_by_the_heterogeneous_mean() -> None:
    slopes = {f"l{lag}": 0.8 / 22 for lag in range(1, 23)}
    returns = autoregression(2600, 2, **slopes)
    own, walk = errors(HarGarch(), returns, 2000, 10)
    short, _ = errors(ArGarch(), returns, 2000, 10)
    assert own < 0.9 * walk
    assert own < short


def test_a_season_is_found_by_sarimax() -> None:
    returns = autoregression(1600, 3, l5=0.6)
    own, walk = errors(Sarimax(), returns, 1000, 1)
    assert own < 0.75 * walk  # 1 − 0.6² = 0.64 is the best there is
    blind, _ = errors(ArGarch(), returns, 1000, 1)
    assert own < 0.8 * blind


def test_a_moving_average_is_found_by_sarimax() -> None:
    shocks = noise(1600, 4)
    returns = shocks + 0.7 * np.concatenate([[0.0], shocks[:-1]])
    own, walk = errors(Sarimax(order=(0, 1), seasonal_order=(0, 0)), returns, 1000, 1)
    assert own < 0.75 * walk  # 1 / (1 + 0.7²) = 0.67 is the best there is


def test_a_trend_is_half_followed_by_theta() -> None:
    returns = 0.01 + 0.2 * noise(400, 5)
    forecast = Theta().forecast(returns, 10)
    assert forecast.mean[1:] == pytest.approx(np.full(9, 0.005), rel=0.05)
    own, walk = errors(Theta(), returns, 300, 10)
    assert own < 0.5 * walk


def test_a_price_about_its_level_is_smoothed_by_theta() -> None:
    level = np.cumsum(0.05 * noise(1600, 6))
    returns = np.diff(level + noise(1600, 7))
    own, walk = errors(Theta(), returns, 1000, 5)
    assert own < 0.65 * walk


@pytest.mark.parametrize("period", [8, 21, 50])
def test_a_sinusoid_is_continued_by_singular_spectrum(period: int) -> None:
    returns = 0.01 * np.sin(2.0 * np.pi * np.arange(1200) / period) + noise(1200, 8)
    own, walk = errors(SingularSpectrum(), returns, 1000, 3)
    best = 3 * 1e-4
    assert own < best + 0.3 * (walk - best)


def test_singular_spectrum_sees_nothing_in_noise() -> None:
    silent = 0
    for seed in range(50):
        forecast = SingularSpectrum().forecast(noise(1000, 100 + seed), HORIZON)
        silent += forecast.diagnostics["components"] == 0.0
    assert silent >= 48


def test_two_sinusoids_need_four_components() -> None:
    bars = np.arange(1000)
    returns = 0.01 * (np.sin(2 * np.pi * bars / 10) + np.cos(2 * np.pi * bars / 33)) + 0.3 * noise(1000, 9)
    assert SingularSpectrum().forecast(returns, 3).diagnostics["components"] == 4.0


# --- against the packages ---------------------------------------------------------------------------------


def test_theta_is_that_of_statsmodels() -> None:
    from statsmodels.tsa.forecasting.theta import ThetaModel

    level = np.cumsum(0.001 + 0.1 * noise(300, 10))
    prices = level + noise(300, 11)
    prices -= prices[0]
    forecast = Theta().forecast(np.diff(prices), 6)
    theirs = ThetaModel(prices, period=1, deseasonalize=False).fit().forecast(6).to_numpy()
    assert prices[-1] + np.cumsum(forecast.mean) == pytest.approx(theirs, abs=2e-5)


@pytest.mark.parametrize("member", [Sarimax(), Sarimax(order=(2, 0), seasonal_order=(0, 1), period=3)])
def test_sarimax_is_that_of_statsmodels_even_bars_after_its_fit(member: Sarimax) -> None:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    returns = autoregression(840, 12, l1=0.3, l5=0.3)
    fitted = member.fit(returns[:800])
    for value in returns[800:]:
        fitted.update(float(value))
    size = math.sqrt(np.mean(returns[:800] ** 2))
    (p, q), (seasonal_p, seasonal_q) = member.order, member.seasonal_order
    problem = SARIMAX(
        returns[:800] / size,
        order=(p, 0, q),
        seasonal_order=(seasonal_p, 0, seasonal_q, member.period),
        trend="c",
    )
    theirs = problem.fit(disp=False, cov_type="none").extend(returns[800:] / size).get_forecast(8)
    forecast = fitted.forecast(8)
    assert forecast.mean == pytest.approx(size * theirs.predicted_mean, rel=1e-6, abs=1e-9)
    # the level of the variances is our own filter's, which follows bursts; their growth is the equation's
    growth = theirs.var_pred_mean / theirs.var_pred_mean[0]
    assert forecast.variance / forecast.variance[0] == pytest.approx(growth, rel=0.2)


@named()
def test_the_variance_of_the_sum_is_that_of_simulated_errors(member: RefittableForecaster) -> None:
    # theta and singular spectrum know of no short memory
    memory = 0.0 if member.name in ("singular_spectrum", "theta") else 0.3
    returns = autoregression(6000, 13, l1=memory)
    model = member.fit(returns[:1000])
    misses = []
    for bar in range(1000, 6000 - HORIZON):
        forecast = model.forecast(HORIZON)
        misses.append((returns[bar : bar + HORIZON].sum() - forecast.total_mean) ** 2 / forecast.total_variance)
        model.update(float(returns[bar]))
    assert np.mean(misses) == pytest.approx(1.0, abs=0.2)


# --- state ------------------------------------------------------------------------------------------------


@named()
def test_one_fit_brought_forward_is_the_same_to_the_bit(member: RefittableForecaster) -> None:
    returns = autoregression(420, 14, l1=0.3)
    one, two = member.fit(returns[:350]), member.fit(returns[:350].copy())
    for value in returns[350:].tolist():
        one.update(value)
        one.forecast(HORIZON)  # asking changes nothing
    for value in returns[350:].tolist():
        two.update(value)
    assert same(one.forecast(HORIZON), two.forecast(HORIZON))
    assert same(pickle.loads(pickle.dumps(one)).forecast(HORIZON), one.forecast(HORIZON))
    assert same(member.forecast(returns[:350], HORIZON), member.fit(returns[:350]).forecast(HORIZON))


@named()
def test_the_unit_of_the_returns_does_not_matter(member: RefittableForecaster) -> None:
    returns = autoregression(400, 15, l1=0.3)
    plain = member.forecast(returns, HORIZON)
    for unit in (2.0**-20, 2.0**20):
        scaled = member.forecast(unit * returns, HORIZON)
        assert scaled.mean / unit == pytest.approx(plain.mean, rel=1e-4, abs=1e-8)
        assert scaled.variance / unit**2 == pytest.approx(plain.variance, rel=1e-3)


@named()
@pytest.mark.parametrize("horizon", [1, 2, 40])
def test_variances_are_positive_whatever_comes(member: RefittableForecaster, horizon: int) -> None:
    returns = noise(400, 16)
    returns[200] = 0.8
    returns[300:320] = 0.0
    model = member.fit(returns)
    for value in (0.0, 0.0, 1.5, -1.5, 0.01, 0.0):
        model.update(value)
        forecast = model.forecast(horizon)
        assert forecast.horizon == horizon
        assert np.isfinite(forecast.mean).all()
        assert (forecast.variance > 0.0).all()
        assert 0.0 < forecast.total_variance < math.inf


@named()
def test_every_fit_says_whether_it_converged_and_what_it_left(member: RefittableForecaster) -> None:
    diagnostics = member.forecast(noise(600, 17), HORIZON).diagnostics
    assert diagnostics["converged"] == 1.0
    assert 0.01 < diagnostics["ljung_box_p"] <= 1.0
    if member.name != "sarimax":
        left = ArGarch(lags=1).forecast(autoregression(900, 18, l3=0.5), HORIZON)
        assert left.diagnostics["ljung_box_p"] < 1e-3


# --- refusals ---------------------------------------------------------------------------------------------


@named()
@pytest.mark.parametrize("returns", [np.zeros(400), np.full(400, 0.001)])
def test_a_price_that_does_not_move_has_no_forecast(member: Forecaster, returns: np.ndarray) -> None:
    with pytest.raises(SignalError, match="no variation"):
        member.forecast(returns, HORIZON)


@named()
def test_a_short_history_has_no_forecast(member: Forecaster) -> None:
    with pytest.raises(SignalError, match="at least"):
        member.forecast(noise(18, 1), HORIZON)


@named()
def test_a_history_with_a_hole_has_no_forecast(member: Forecaster) -> None:
    returns = noise(400, 1)
    returns[200] = math.nan
    with pytest.raises(SignalError, match="finite"):
        member.forecast(returns, HORIZON)


def test_a_pure_wave_is_no_market() -> None:
    wave = 0.01 * np.sin(2 * np.pi * np.arange(400) / 20)
    with pytest.raises(SignalError, match="no variation"):
        SingularSpectrum().forecast(wave, HORIZON)


def test_fits_that_fail_take_nobody_with_them() -> None:
    fits = fit_members(MEMBERS, noise(70, 19))
    assert [fit.model is None for fit in fits] == [False, False, False, True, False]
    assert "at least 180 returns" in fits[3].reason


def test_members_leave_the_callers_warnings_alone() -> None:
    import warnings

    before = list(warnings.filters)
    fit_members((Theta(), Sarimax()), noise(300, 20))
    assert warnings.filters == before
    assert logging.getLogger("pmx.signals.forecasting").level == logging.NOTSET
