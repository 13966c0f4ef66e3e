"""A forecast is checked when it is made, cannot be changed, and travels."""

import math
import pickle

import numpy as np
import pytest

from pmx.errors import SignalError
from pmx.signals.forecasting import Forecast


def test_totals() -> None:
    forecast = Forecast(np.array([0.01, -0.02]), np.array([1e-4, 3e-4]), "m")
    assert forecast.total_mean == pytest.approx(-0.01)
    assert forecast.total_variance == pytest.approx(4e-4)
    correlated = Forecast(np.zeros(2), np.ones(2), "m", horizon_variance=3.0)
    assert (correlated.total_variance, correlated.total_volatility) == (3.0, math.sqrt(3.0))


@pytest.mark.parametrize(
    ("mean", "variance", "total", "what"),
    [
        ([], [], None, "shape"),
        ([[0.0]], [[1.0]], None, "shape"),
        ([0.0, 0.0], [1.0], None, "has 1 bars, mean 2"),
        ([math.nan], [1.0], None, "mean is not finite"),
        ([0.0], [math.inf], None, "variance is not finite"),
        ([0.0], [0.0], None, "not above 0"),
        ([0.0], [-1.0], None, "not above 0"),
        ([0.0], [1.0], 0.0, "horizon_variance"),
        ([0.0], [1.0], math.nan, "horizon_variance"),
    ],
)
def test_what_is_no_forecast_is_refused(mean: list[float], variance: list[float], total: float, what: str) -> None:
    with pytest.raises(SignalError, match=f"forecast of 'm': .*{what}"):
        Forecast(np.array(mean), np.array(variance), "m", horizon_variance=total)


def test_a_forecast_cannot_be_changed() -> None:
    mean = np.zeros(2)
    forecast = Forecast(mean, np.ones(2), "m", {"a": 1.0})
    mean[0] = 5.0
    assert forecast.mean[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        forecast.mean[0] = 1.0
    with pytest.raises(TypeError):
        forecast.diagnostics["a"] = 2.0  # type: ignore[index]


def test_a_forecast_travels_between_processes() -> None:
    forecast = Forecast(np.zeros(2), np.ones(2), "m", {"a": 1.0}, 3.0, "GARCH", "why")
    back = pickle.loads(pickle.dumps(forecast))
    assert (back.model, dict(back.diagnostics), back.total_variance) == ("m", {"a": 1.0}, 3.0)
    assert (back.variance_model, back.fallback_reason) == ("GARCH", "why")
    assert np.array_equal(back.variance, forecast.variance)
