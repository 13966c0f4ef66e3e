"""The GARCH state: arch's numbers, one answer for one history, and labelled fallbacks."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from arch.univariate import EGARCH, GARCH, StudentsT, ZeroMean
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.errors import DataError, PolicyError
from pmx.policy.schema import VolatilityModel
from pmx.risk import ArchFit, BadFit, EwmaVariance, GarchVolatility, VarianceProcess, fit_arch
from pmx.risk.arch_fit import _judged

MODELS = ("GARCH", "GJR", "EGARCH")
SMALL = {"window": 300, "refit_every": 40, "min_observations": 250}


def simulate(process: VarianceProcess, size: int, seed: int) -> np.ndarray:
    shocks = np.random.default_rng(seed).normal(size=size)
    variance = process.omega / (1.0 - process.persistence)
    returns = np.empty(size)
    for bar, shock in enumerate(shocks):
        returns[bar] = math.sqrt(variance) * shock
        variance = process.step(variance, returns[bar])
    return returns


PLANTED = VarianceProcess("GARCH", omega=3e-6, alpha=0.10, gamma=0.0, beta=0.87)
RETURNS = simulate(PLANTED, 900, seed=11)


def arch_problem(returns: np.ndarray, model: str, **options: object) -> ZeroMean:
    volatility = {"GARCH": GARCH(1, 0, 1), "GJR": GARCH(1, 1, 1), "EGARCH": EGARCH(1, 1, 1)}[model]
    return ZeroMean(returns, volatility=volatility, rescale=False, **options)


def arch_params(process: VarianceProcess) -> np.ndarray:
    gamma = [] if process.model == "GARCH" else [process.gamma]
    return np.array([process.omega, process.alpha, *gamma, process.beta])


def test_planted_parameters_are_recovered() -> None:
    fit = fit_arch(simulate(PLANTED, 8000, seed=5), "GARCH", "normal")
    assert isinstance(fit, ArchFit)
    assert fit.process.alpha == pytest.approx(PLANTED.alpha, abs=0.02)
    assert fit.process.beta == pytest.approx(PLANTED.beta, abs=0.03)
    assert fit.process.omega == pytest.approx(PLANTED.omega, rel=0.3)
    assert math.isinf(fit.degrees_of_freedom)
    assert fit.mean == ()


def test_planted_tails_and_mean_are_recovered() -> None:
    rng = np.random.default_rng(6)
    shocks = 0.01 * rng.standard_t(6, size=6000) / math.sqrt(1.5)
    returns = np.zeros(6000)
    for bar in range(1, 6000):
        returns[bar] = 0.001 + 0.3 * returns[bar - 1] + shocks[bar]
    fit = fit_arch(returns, "GARCH", "t", lags=1)
    assert isinstance(fit, ArchFit)
    assert fit.degrees_of_freedom == pytest.approx(6.0, abs=1.5)
    assert fit.mean == pytest.approx((0.001, 0.3), abs=0.05)
    assert fit.mean[0] == pytest.approx(0.001, abs=3e-4)
    assert fit.residual_volatility == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("distribution", ["normal", "t"])
def test_a_fit_is_as_likely_as_archs_own(model: str, distribution: str) -> None:
    scaled = RETURNS * 64.0
    options = {"distribution": StudentsT()} if distribution == "t" else {}
    problem = arch_problem(scaled, model, **options)
    theirs = problem.fit(disp="off", update_freq=0, show_warning=False)
    fit = fit_arch(scaled, model, distribution)
    assert isinstance(fit, ArchFit)
    shape = [fit.degrees_of_freedom] if distribution == "t" else []
    ours = problem.fix(np.array([*arch_params(fit.process), *shape]))
    # Where the likelihood is flat, where a climb stops depends on the machine's last digits; half a unit is well within
    # what the data can tell apart.
    assert ours.loglikelihood >= theirs.loglikelihood - 0.5


@pytest.mark.parametrize("model", MODELS)
def test_updates_between_fits_are_archs_own_filter(model: str) -> None:
    volatility = GarchVolatility(model=model, window=300, refit_every=1000, min_observations=300)
    volatility.fit(RETURNS[:300])
    process = volatility.process
    assert process is not None
    fixed = arch_problem(RETURNS, model).fix(arch_params(process))
    expected = fixed.conditional_volatility**2
    for bar in range(300, 900):
        forecast = volatility.forecast()
        assert forecast.model == model
        assert forecast.variances[0] == pytest.approx(expected[bar], rel=1e-10)
        volatility.update(RETURNS[bar])
    assert volatility.process == process


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("prefix", [0, 1, 249, 250, 333, 450])
def test_a_history_fed_at_once_or_bar_by_bar_gives_the_same_bits(model: str, prefix: int) -> None:
    gradual = GarchVolatility(model=model, **SMALL)
    gradual.fit(RETURNS[:prefix])
    for bar in range(prefix, 460):
        gradual.update(RETURNS[bar])
    at_once = GarchVolatility(model=model, **SMALL).fit(RETURNS[:460])
    assert gradual.observations == at_once.observations == 460
    assert gradual.process == at_once.process
    np.testing.assert_array_equal(gradual.forecast(5).variances, at_once.forecast(5).variances)


def test_fit_forgets_what_was_before() -> None:
    used = GarchVolatility(**SMALL).fit(RETURNS[:500] * 3.0)
    fresh = GarchVolatility(**SMALL)
    assert used.fit(RETURNS[:100]).forecast().volatility == fresh.fit(RETURNS[:100]).forecast().volatility


def test_the_fit_is_renewed_on_schedule() -> None:
    volatility = GarchVolatility(**SMALL).fit(RETURNS[:249])
    processes = []
    for bar in range(249, 340):
        volatility.update(RETURNS[bar])
        processes.append(volatility.process)
    renewed = [250 + i for i in range(1, 91) if processes[i] != processes[i - 1]]
    assert processes[0] is not None
    assert renewed == [290, 330]


def test_doubling_returns_doubles_the_forecast_exactly() -> None:
    single = GarchVolatility(**SMALL).fit(RETURNS[:300]).forecast(10)
    double = GarchVolatility(**SMALL).fit(RETURNS[:300] * 2.0).forecast(10)
    assert double.volatility == pytest.approx(2.0 * single.volatility, rel=1e-12)


def test_horizon_and_annualised_figures_follow_from_the_variances() -> None:
    volatility = GarchVolatility(**SMALL, periods_per_year=260.0).fit(RETURNS[:300])
    forecast = volatility.forecast(horizon=7)
    assert forecast.variances.shape == (7,)
    assert forecast.volatility == pytest.approx(math.sqrt(forecast.variances.sum()), rel=1e-14)
    annual = volatility.forecast(horizon=7, annualized=True)
    assert annual.volatility == pytest.approx(math.sqrt(forecast.variances.mean() * 260.0), rel=1e-14)
    np.testing.assert_array_equal(annual.variances, forecast.variances)
    assert volatility.forecast(1).variances[0] == forecast.variances[0]


def test_the_future_is_not_seen() -> None:
    other = RETURNS.copy()
    other[400:] *= -3.0
    one, two = (GarchVolatility(**SMALL).fit(r[:250]) for r in (RETURNS, other))
    for bar in range(250, 400):
        one.update(RETURNS[bar])
        two.update(other[bar])
        assert one.forecast().volatility == two.forecast().volatility
    one.update(RETURNS[400])
    two.update(other[400])
    assert one.forecast().volatility != two.forecast().volatility


def test_memory_is_bounded_by_the_window() -> None:
    volatility = GarchVolatility(window=100, refit_every=100_000, min_observations=100_000)
    sizes = []
    for value in np.tile(RETURNS, 3):
        volatility.update(value)
        sizes.append(len(pickle.dumps(volatility)))
    assert max(sizes[1000:]) <= sizes[200] + 16


# --- fallbacks --------------------------------------------------------------------------------------------


def ewma(returns: np.ndarray) -> float:
    state = EwmaVariance(0.94)
    for value in returns:
        state.update(value)
    return state.variance


def test_a_short_history_is_ewma_and_says_so() -> None:
    forecast = GarchVolatility(**SMALL).fit(RETURNS[:60]).forecast(3)
    assert (forecast.model, forecast.fallback_reason) == ("EWMA", "60 returns, 250 needed")
    np.testing.assert_array_equal(forecast.variances, np.full(3, ewma(RETURNS[:60])))


@pytest.mark.parametrize("level", [0.0, 0.001, 1e-200])
def test_constant_returns_are_ewma(level: float) -> None:
    forecast = GarchVolatility(**SMALL).fit(np.full(260, level)).forecast()
    assert (forecast.model, forecast.fallback_reason) == ("EWMA", "the returns are constant")
    assert forecast.volatility == pytest.approx(level, abs=1e-150)


def first_bad(reason: str, model: str, trend: float) -> np.ndarray:
    """Return the first of some seeded noises, growing or not, whose fit is bad for that reason."""
    growth = np.exp(np.linspace(0.0, trend, 300))
    noises = (np.random.default_rng(seed).normal(scale=1e-3, size=300) * growth for seed in range(40))
    for noise in noises:
        fit = fit_arch(noise, model, "normal")
        if isinstance(fit, BadFit) and reason in fit.reason:
            return noise
    raise AssertionError(f"no fit was bad for {reason!r}")


@pytest.mark.parametrize(
    ("reason", "model", "trend"),
    [("explosive variance: persistence 1.0", "GARCH", 6.0), ("the optimiser did not converge", "EGARCH", 0.0)],
)
def test_a_bad_fit_is_ewma_and_says_so(reason: str, model: str, trend: float) -> None:
    returns = first_bad(reason, model, trend)
    volatility = GarchVolatility(model, window=300, refit_every=40, min_observations=300).fit(returns)
    forecast = volatility.forecast(2)
    assert volatility.process is None
    assert forecast.model == "EWMA"
    assert reason in forecast.fallback_reason
    np.testing.assert_allclose(forecast.variances, ewma(returns), rtol=1e-12)


def test_a_result_that_is_not_finite_is_seen() -> None:
    result = {"convergence_flag": 0, "conditional_volatility": [0.01, 0.01], "resid": RETURNS[:2]}
    for params, volatility in (([1e-6, math.nan, 0.9], 0.01), ([1e-6, 0.05, 0.9], math.nan)):
        planted = result | {"params": params, "conditional_volatility": [0.01, volatility]}
        judged = _judged(SimpleNamespace(**planted), RETURNS[:2], "GARCH", 0)
        assert judged == BadFit("a parameter or the variance is not finite")


def test_a_mean_that_went_astray_is_seen() -> None:
    lone = np.r_[np.zeros(299), 0.05]
    fit = fit_arch(lone, "EGARCH", "t", lags=1)
    assert isinstance(fit, BadFit)
    perfect = np.where(np.arange(300) % 2, 0.01, -0.01)
    assert isinstance(fit_arch(perfect, "GARCH", "normal", lags=1), BadFit)


def test_a_forecast_out_of_range_is_ewma_until_it_comes_back() -> None:
    volatility = GarchVolatility(window=300, refit_every=10_000, min_observations=300).fit(RETURNS[:300])
    assert volatility.forecast().model == "GARCH"
    volatility.update(1.0)
    shocked = volatility.forecast()
    assert shocked.model == "EWMA"
    assert "times that of the sample, outside [1/10, 10]" in shocked.fallback_reason
    for value in RETURNS[300:600]:
        volatility.update(value)
    assert volatility.forecast().model == "GARCH"


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    model=st.sampled_from(MODELS),
    distribution=st.sampled_from(["normal", "t"]),
    shape=st.sampled_from(["cauchy", "rare", "growing", "shrinking", "outlier", "two values"]),
)
def test_whatever_the_returns_the_forecast_is_sane(seed: int, model: str, distribution: str, shape: str) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=120)
    returns = {
        "cauchy": rng.standard_cauchy(size=120),
        "rare": np.where(rng.random(120) < 0.05, normal, 0.0),
        "growing": normal * np.exp(np.linspace(-9.0, 0.0, 120)),
        "shrinking": normal * np.exp(np.linspace(0.0, -9.0, 120)),
        "outlier": np.r_[normal[1:], 1e4],
        "two values": rng.choice([-0.01, 0.02], size=120),
    }[shape]
    settings_ = {"window": 120, "refit_every": 120, "min_observations": 120}
    forecast = GarchVolatility(model, distribution, **settings_).fit(np.clip(returns, -1e5, 1e5)).forecast(10)
    assert np.isfinite(forecast.variances).all()
    assert (forecast.variances >= 0.0).all()
    assert (forecast.model == "EWMA") == bool(forecast.fallback_reason)
    if forecast.model != "EWMA":
        sample = np.mean(np.square(returns))
        assert (forecast.variances >= 0.99e-2 * sample).all()
        assert (forecast.variances <= 1.01e2 * sample).all()


# --- errors -----------------------------------------------------------------------------------------------


def test_before_any_return_there_is_no_forecast() -> None:
    with pytest.raises(DataError, match="before any return; call fit or update"):
        GarchVolatility().forecast()
    with pytest.raises(DataError, match="before any return"):
        GarchVolatility().fit([]).forecast()


def test_a_horizon_is_at_least_one_bar() -> None:
    with pytest.raises(DataError, match="over 0 bars"):
        GarchVolatility().fit(RETURNS[:30]).forecast(0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e9])
def test_a_bad_return_is_named_and_changes_nothing(bad: float) -> None:
    volatility = GarchVolatility().fit(RETURNS[:30])
    before = volatility.forecast().volatility
    dated = pd.Series(RETURNS[:30], index=pd.bdate_range("2020-01-01", periods=30))
    dated.iloc[4] = bad
    with pytest.raises(DataError, match=r"2020-01-07 00:00:00 \(bar 4\)"):
        volatility.fit(dated)
    with pytest.raises(DataError, match="return of bar 4 is"):
        volatility.fit(dated.to_numpy())
    with pytest.raises(DataError, match="return of bar 30 is"):
        volatility.update(bad)
    assert volatility.observations == 30
    assert volatility.forecast().volatility == before


def test_returns_are_one_series() -> None:
    with pytest.raises(DataError, match=r"shape \(10, 3\)"):
        GarchVolatility().fit(RETURNS[:30].reshape(10, 3))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "ARCH"),
        ("distribution", "cauchy"),
        ("window", 49),
        ("refit_every", 0),
        ("min_observations", 19),
        ("ewma_decay", 1.0),
        ("periods_per_year", math.inf),
    ],
)
def test_a_setting_out_of_range_is_named(name: str, value: object) -> None:
    with pytest.raises(PolicyError, match=rf"GarchVolatility\.{name} = "):
        GarchVolatility(**{name: value})


def test_the_policys_volatility_section_is_the_signature() -> None:
    section = VolatilityModel().model_dump() | {"periods_per_year": 252.0}  # "auto" is a number once there are dates
    assert GarchVolatility(**section).fit(RETURNS[:30]).forecast().model == "EWMA"
