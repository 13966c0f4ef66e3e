"""Calls of forecasting members, their ensemble, and the scores of forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from zoo.calls import case
from zoo.calls.market import RETURNS, long_prices

from pmx.signals import forecasting, scoring

for member, settings in (
    ("ArGarch", {"lags": 1, "volatility": "GARCH", "distribution": "normal", "name": "ar_garch"}),
    ("HarGarch", {"volatility": "GARCH", "distribution": "normal", "name": "har_garch"}),
    ("Sarimax", {"order": (1, 0), "seasonal_order": (0, 0), "period": 5, "name": "sarimax"}),
    ("SingularSpectrum", {"length": 20, "allowance": 8.0, "most": 4, "name": "spectrum"}),
    ("Theta", {"name": "theta"}),
):
    kind, heavy = getattr(forecasting, member), member not in ("Theta", "SingularSpectrum")
    case(f"signals.forecasting.{member}")(lambda _, kind=kind, settings=settings: (kind, dict(settings)))
    case(f"signals.forecasting.{member}.fit", heavy=heavy)(
        lambda _, kind=kind, settings=settings: (kind(**settings).fit, {"returns": RETURNS.copy()})
    )
    case(f"signals.forecasting.{member}.forecast", heavy=heavy)(
        lambda _, kind=kind, settings=settings: (
            kind(**settings).forecast,
            {"returns": RETURNS.copy(), "horizon": 3},
        )
    )

SCHEDULE = {
    "horizon": 2, "window": 60, "refit_every": 20, "min_observations": 60, "weight_bars": 20, "score_bars": 20,
    "weight_shrinkage": 0.5, "evidence": 0.0,
}  # fmt: skip


def members() -> list[forecasting.Theta]:
    return [forecasting.Theta(), forecasting.Theta("theta2")]


def ensemble() -> forecasting.Ensemble:
    return forecasting.Ensemble(members(), forecasting.Schedule(**SCHEDULE), "SP500")


def forecast(mean: float = 0.5) -> forecasting.Forecast:
    return forecasting.Forecast(np.array([mean]), np.array([1.0]), "one")


case("signals.forecasting.Schedule")(lambda _: (forecasting.Schedule, dict(SCHEDULE)))
case("signals.forecasting.Schedule.fit_at_or_before")(
    lambda _: (forecasting.Schedule(**SCHEDULE).fit_at_or_before, {"bar": 90})
)
case("signals.forecasting.Ensemble")(
    lambda _: (
        forecasting.Ensemble,
        {"members": members(), "schedule": forecasting.Schedule(**SCHEDULE), "label": "SP500"},
    )
)
case("signals.forecasting.Ensemble.extend")(lambda _: (ensemble().extend, {"returns": RETURNS[:70].tolist()}))


@case("signals.forecasting.Ensemble.accept")
def _(_):
    kept = ensemble()
    kept.extend(RETURNS[:70].tolist())
    fits = {bar: forecasting.fit_members(members(), history) for bar, history in kept.due().items()}

    def accepted(fits):
        kept.accept(fits)
        return kept.bundle()

    return accepted, {"fits": fits}


case("signals.forecasting.Forecast")(
    lambda _: (
        forecasting.Forecast,
        {
            "mean": np.array([0.5, 0.25]), "variance": np.array([1.0, 2.0]), "model": "one",
            "diagnostics": {"degrees_of_freedom": 5.0}, "horizon_variance": 3.0, "variance_model": "GARCH",
        },
    )
)  # fmt: skip
case("signals.forecasting.ForecastBundle")(
    lambda _: (
        forecasting.ForecastBundle,
        {
            "forecast": forecast(), "members": {"one": forecast()}, "weights": {"one": 1.0}, "left": {},
            "diagnostics": forecasting.Diagnostics(),
        },
    )
)  # fmt: skip
case("signals.forecasting.Diagnostics")(lambda _: (forecasting.Diagnostics, {"origins": 5}))
case("signals.forecasting.Fit")(lambda _: (forecasting.Fit, {"model": None, "reason": "odd"}))
case("signals.forecasting.fit_members")(
    lambda _: (forecasting.fit_members, {"members": members(), "returns": RETURNS.copy()})
)
case("signals.forecasting.Fitter")(
    lambda _: (forecasting.Fitter, {"members": members(), "workers": 1, "progress": False})
)
case("signals.forecasting.Fitter.fit")(
    lambda _: (forecasting.Fitter(members()).fit, {"histories": [RETURNS.copy(), RETURNS[:80].copy()]})
)
case("signals.forecasting.mixture")(
    lambda _: (forecasting.mixture, {"forecasts": [forecast(), forecast(0.25)], "weights": [0.5, 0.5], "model": "both"})
)
case("signals.forecasting.credibility")(lambda _: (forecasting.credibility, {"t_statistic": 1.5, "threshold": 2.0}))
OUTCOMES = np.random.default_rng(0).normal(size=50)
case("signals.forecasting.crps_weights")(
    lambda _: (
        forecasting.crps_weights,
        {
            "means": np.column_stack([0.9 * OUTCOMES, np.zeros(50)]),
            "variances": np.full((50, 2), [0.25, 1.0]),
            "outcomes": OUTCOMES.copy(),
        },
    )
)
case("signals.forecasting.profit_t_statistic")(
    lambda _: (
        forecasting.profit_t_statistic,
        {"means": OUTCOMES[:, None].copy(), "variances": np.ones((50, 1)), "returns": OUTCOMES.copy()},
    )
)
case("signals.forecasting.ljung_box")(lambda _: (forecasting.ljung_box, {"standardized": OUTCOMES.copy(), "lags": 10}))
for score in ("crps", "log_score", "pit"):
    case(f"signals.scoring.{score}")(
        lambda _, score=score: (
            getattr(scoring, score),
            {
                "outcome": np.array([0.25, 0.5]), "mean": np.array([0.0, 0.25]), "volatility": 1.0,
                "degrees_of_freedom": 5.0,
            },
        )
    )  # fmt: skip
case("signals.scoring.quantile")(
    lambda _: (
        scoring.quantile,
        {"probability": [0.0625, 0.9375], "mean": 0.0, "volatility": 1.0, "degrees_of_freedom": 5.0},
    )
)
RNG = np.random.default_rng(5)
STATED = RNG.uniform(0.5, 1.0, 60)
RIGHT = RNG.random(60) < STATED
case("signals.scoring.fit_calibration")(
    lambda _: (
        scoring.fit_calibration,
        {"confidence": STATED.copy(), "right": RIGHT.copy(), "method": "isotonic", "overlap": 1.0},
    )
)
case("signals.scoring.reliability_table")(
    lambda _: (scoring.reliability_table, {"confidence": STATED.copy(), "right": RIGHT.copy(), "bins": 3})
)
case("signals.scoring.Calibration.__call__")(
    lambda _: (scoring.fit_calibration(STATED, RIGHT).__call__, {"confidence": np.array([0.5, 0.75])})
)
case("signals.scoring.Calibration")(
    lambda _: (
        scoring.Calibration,
        {
            "method": "isotonic", "knots": np.array([0.5, 1.0]), "values": np.array([0.5, 1.0]), "slope": 1.0,
            "intercept": 0.0, "observations": 10,
        },
    )
)  # fmt: skip
case("signals.scoring.diebold_mariano")(
    lambda _: (
        scoring.diebold_mariano, {"loss": OUTCOMES**2, "baseline_loss": 1.5 * OUTCOMES**2 + 0.1, "overlap": 1}
    )
)  # fmt: skip
case("signals.scoring.DieboldMariano")(
    lambda _: (
        scoring.DieboldMariano, {"statistic": 1.0, "p_value": 0.5, "mean_difference": 0.25, "observations": 10}
    )
)  # fmt: skip


def forecasts() -> scoring.Forecasts:
    return scoring.walk_forecaster(scoring.RandomWalk(), pd.Series(RETURNS, name="SP500"), 2, first=40)


@case("signals.scoring.Forecasts")
def _(_):
    one = forecasts()
    return scoring.Forecasts, {name: getattr(one, name) for name in scoring.Forecasts.__dataclass_fields__}


case("signals.scoring.Forecasts.coverage")(lambda _: (forecasts().coverage, {"level": 0.9375}))
case("signals.scoring.Forecasts.against")(lambda _: (forecasts().against, {"baseline": forecasts()}))
case("signals.scoring.Forecasts.only")(lambda _: (forecasts().only, {"keep": np.arange(len(forecasts())) % 2 == 0}))
case("signals.scoring.RandomWalk")(lambda _: (scoring.RandomWalk, {"decay": 0.9375}))
case("signals.scoring.RandomWalk.forecast")(
    lambda _: (scoring.RandomWalk().forecast, {"returns": RETURNS.copy(), "horizon": 3})
)
case("signals.scoring.walk_forecaster")(
    lambda _: (
        scoring.walk_forecaster,
        {
            "forecaster": scoring.RandomWalk(),
            "returns": pd.Series(RETURNS, index=pd.bdate_range("2020-01-01", periods=len(RETURNS)), name="SP500"),
            "horizon": 2, "first": 40, "every": 4, "at": None,
        },
    )
)  # fmt: skip


class Shown:
    """An engine that says what it expects."""

    source = "time_series_core"
    diagnostics = pd.DataFrame()

    def signals(self, prices):
        columns = {"expected_return": 0.01, "volatility": 0.02}
        self.diagnostics = pd.DataFrame(columns, index=list(prices.columns))
        return []


case("signals.scoring.walk_engine")(
    lambda _: (
        scoring.walk_engine,
        {"engine": Shown(), "prices": long_prices(30), "horizon": 2, "every": 4, "advance": None},
    )
)
