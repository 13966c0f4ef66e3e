"""The variance recursions against arch, against simulation, and against their own definition."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from arch.univariate import EGARCH, GARCH, ZeroMean
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.risk import EwmaVariance, VarianceProcess, checked_return, fit_arch

PROCESSES = {
    "GARCH": VarianceProcess("GARCH", omega=0.03, alpha=0.08, gamma=0.0, beta=0.89),
    "GJR": VarianceProcess("GJR", omega=0.03, alpha=0.02, gamma=0.10, beta=0.89),
    "EGARCH": VarianceProcess("EGARCH", omega=0.01, alpha=0.15, gamma=-0.08, beta=0.97),
}


def arch_model(process: VarianceProcess, residuals: np.ndarray) -> ZeroMean:
    volatility = {"GARCH": GARCH(1, 0, 1), "GJR": GARCH(1, 1, 1), "EGARCH": EGARCH(1, 1, 1)}[process.model]
    return ZeroMean(residuals, volatility=volatility, rescale=False)


def arch_params(process: VarianceProcess) -> np.ndarray:
    gamma = [] if process.model == "GARCH" else [process.gamma]
    return np.array([process.omega, process.alpha, *gamma, process.beta])


@pytest.mark.parametrize("name", PROCESSES)
def test_step_is_archs_own_filter(name: str) -> None:
    process = PROCESSES[name]
    residuals = np.random.default_rng(1).standard_t(5, size=1500)
    expected = arch_model(process, residuals).fix(arch_params(process)).conditional_volatility ** 2
    variance = expected[0]
    for residual, known in zip(residuals, expected, strict=True):
        assert variance == pytest.approx(known, rel=1e-10)
        variance = process.step(variance, residual)


@pytest.mark.parametrize("name", ["GARCH", "GJR"])
def test_path_is_archs_analytic_forecast(name: str) -> None:
    process = PROCESSES[name]
    residuals = np.random.default_rng(2).normal(size=300)
    fixed = arch_model(process, residuals).fix(arch_params(process))
    expected = fixed.forecast(horizon=30, start=299).variance.to_numpy()[-1]
    variance = process.step(fixed.conditional_volatility[-1] ** 2, residuals[-1])
    np.testing.assert_allclose(process.path(variance, 30), expected, rtol=1e-10)


def test_garch_path_is_the_closed_form_and_needs_no_long_run() -> None:
    process = PROCESSES["GARCH"]
    long_run, persistence = 0.03 / (1 - 0.97), 0.97
    expected = long_run + (2.0 - long_run) * persistence ** np.arange(12)
    np.testing.assert_allclose(process.path(2.0, 12), expected, rtol=1e-12)
    integrated = VarianceProcess("GARCH", omega=0.1, alpha=0.2, gamma=0.0, beta=0.8)
    np.testing.assert_allclose(integrated.path(1.0, 4), [1.0, 1.1, 1.2, 1.3], rtol=1e-12)


@pytest.mark.parametrize("start", [0.3, 4.0])
def test_egarch_path_is_the_mean_of_simulated_paths(start: float) -> None:
    process, horizon, paths = PROCESSES["EGARCH"], 6, 200_000
    rng = np.random.default_rng(3)
    log_variance = np.full(paths, math.log(start))
    simulated = [start]
    for _ in range(horizon - 1):
        z = rng.normal(size=paths)
        log_variance = (
            process.omega
            + process.alpha * (np.abs(z) - math.sqrt(2 / math.pi))
            + process.gamma * z
            + process.beta * log_variance
        )
        simulated.append(np.exp(log_variance).mean())
    np.testing.assert_allclose(process.path(start, horizon), simulated, rtol=3e-3)


def test_egarch_second_bar_is_the_exact_expectation() -> None:
    process = PROCESSES["EGARCH"]
    z = np.linspace(-12.0, 12.0, 400_001)  # the kink at 0 is a node
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    steps = np.array([process.step(1.7, residual) for residual in (z[::100] * math.sqrt(1.7))])
    expected = np.trapezoid(steps * density[::100], z[::100])
    assert process.path(1.7, 2)[1] == pytest.approx(expected, rel=1e-5)


def test_a_wild_egarch_stays_finite() -> None:
    process = VarianceProcess("EGARCH", omega=5.0, alpha=200.0, gamma=-200.0, beta=0.99)
    assert math.isfinite(process.step(1e-300, -1e6))
    assert np.isfinite(process.path(1e300, 50)).all()
    shrinking = VarianceProcess("EGARCH", omega=0.0, alpha=-200.0, gamma=0.0, beta=0.99)
    assert (shrinking.path(1.0, 50) > 0.0).all()
    assert shrinking.step(1e-300, 1.0) > 0.0


@given(
    returns=st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=60),
    decay=st.floats(0.5, 0.99),
)
def test_ewma_is_the_weighted_mean_of_squares(returns: list[float], decay: float) -> None:
    ewma = EwmaVariance(decay)
    for value in returns:
        ewma.update(value)
    weights = decay ** np.arange(len(returns))[::-1]
    expected = np.average(np.square(returns), weights=weights)
    assert ewma.variance == pytest.approx(expected, rel=1e-10, abs=1e-300)


def test_ewma_knows_nothing_at_first() -> None:
    assert math.isnan(EwmaVariance(0.94).variance)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.1e6])
def test_a_return_that_cannot_be_one_is_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"return of SPY on 2020-01-02 is .*finite"):
        checked_return(value, "SPY on 2020-01-02")


def test_arch_is_imported_only_when_a_model_is_fitted() -> None:
    code = "import sys, pmx.risk, pmx.signals.time_series; print(sorted({'arch', 'cvxpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_fitting_leaves_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    fit_arch(np.random.default_rng(4).normal(size=300), "GARCH", "normal")
    assert list(warnings.filters) == before
