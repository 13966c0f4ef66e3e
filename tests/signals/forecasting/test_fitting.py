"""Many fits: in order, the same in several processes, and shown while they last."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pmx.signals.forecasting import ArGarch, Fitter, Forecast, SingularSpectrum, Theta, fit_members
from pmx.signals.forecasting.fitting import AskedAfresh

MEMBERS = (ArGarch(), Theta(), SingularSpectrum())
HISTORIES = [0.01 * np.random.default_rng(seed).normal(size=200 + seed) for seed in range(5)]

WORK = """
import numpy as np
from pmx.signals.forecasting import Fitter, Theta
history = 0.01 * np.random.default_rng(0).normal(size=60)
print(len(Fitter([Theta()], progress=True).fit([history] * 25)))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_fits_come_in_the_order_of_their_histories(workers: int) -> None:
    for fits, history in zip(Fitter(MEMBERS, workers).fit(HISTORIES), HISTORIES, strict=True):
        for fit, member in zip(fits, MEMBERS, strict=True):
            assert fit.model is not None
            ours, alone = fit.model.forecast(3), member.forecast(history, 3)
            assert (ours.mean.tobytes(), ours.variance.tobytes()) == (alone.mean.tobytes(), alone.variance.tobytes())


class Deadly:
    """Ends the process that fits it, unless that is the one that made it."""

    name = "deadly"

    def __init__(self) -> None:
        self.home = os.getpid()

    def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
        return Forecast(np.zeros(horizon), np.ones(horizon), self.name)

    def fit(self, returns: np.ndarray) -> AskedAfresh:
        if os.getpid() != self.home:
            os._exit(1)
        return AskedAfresh(self, returns)


def test_where_processes_end_or_cannot_be_given_a_member_this_one_does_the_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Local(Theta):
        """Cannot travel to another process."""

    histories = [np.random.default_rng(seed).normal(0.0, 0.01, 100) for seed in range(3)]
    for member in (Deadly(), Local()):
        caplog.clear()
        fitter = Fitter([member], workers=2)
        for _ in range(2):  # and goes on doing it
            fits = fitter.fit(histories)
            assert [fit.reason for (fit,) in fits] == ["", "", ""]
        assert len(caplog.records) == 1
        assert "fits go on in one process" in caplog.text


def test_a_forecaster_without_a_fit_is_given_its_window_at_each_bar() -> None:
    class Echo:
        name = "echo"

        def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
            return Forecast(np.full(horizon, returns[-1]), np.full(horizon, float(returns.size)), "echo")

    ((model, reason),) = fit_members([Echo()], HISTORIES[0])
    assert model is not None
    assert reason == ""
    model.update(0.5)
    forecast = model.forecast(2)
    assert (forecast.mean.tolist(), forecast.variance.tolist()) == ([0.5, 0.5], [200.0, 200.0])


def test_long_work_is_shown_on_a_terminal_and_nowhere_else() -> None:
    if not hasattr(os, "openpty"):
        pytest.skip("there are no terminals to open here")
    main, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    shown = subprocess.run(
        [sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=terminal, env=environment, check=True, timeout=120
    )
    os.close(terminal)
    assert shown.stdout.split() == [b"25"]
    assert b"forecasts" in os.read(main, 100_000)
    os.close(main)
    hidden = subprocess.run([sys.executable, "-c", WORK], capture_output=True, check=True, timeout=120)
    assert (hidden.stdout.split(), hidden.stderr) == ([b"25"], b"")
