"""The ensemble: weights follow skill, one history gives one answer, and who fails leaves with a reason."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from pmx.errors import SignalError
from pmx.signals.forecasting import (
    ArGarch,
    Ensemble,
    Forecast,
    ForecastBundle,
    Forecaster,
    HarGarch,
    Schedule,
    SingularSpectrum,
    Theta,
    credibility,
    crps_weights,
    fit_members,
    ljung_box,
    mixture,
    profit_t_statistic,
)

MEMBERS = (ArGarch(), HarGarch(), Theta(), SingularSpectrum())
SMALL = Schedule(
    horizon=4, window=250, refit_every=30, min_observations=200, weight_bars=100, score_bars=120, evidence=1.0
)


def noise(size: int, seed: int) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).normal(size=size)


def autoregression(size: int, seed: int, slope: float) -> np.ndarray:
    returns = noise(size, seed)
    for bar in range(1, size):
        returns[bar] += slope * returns[bar - 1]
    return returns


def grow(ensemble: Ensemble, members: Sequence[Forecaster], returns: Sequence[float]) -> None:
    ensemble.extend(returns)
    ensemble.accept({bar: fit_members(members, history) for bar, history in ensemble.due().items()})


def after(members: Sequence[Forecaster], returns: np.ndarray, schedule: Schedule = SMALL) -> ForecastBundle:
    ensemble = Ensemble(members, schedule)
    grow(ensemble, members, returns.tolist())
    bundle = ensemble.bundle()
    assert bundle is not None
    return bundle


def facts(bundle: ForecastBundle | None) -> object:
    """Return all numbers of a bundle, to be compared to the bit."""
    if bundle is None:
        return None
    forecasts = [*bundle.members.values(), *([bundle.forecast] if bundle.forecast else [])]
    numbers = [(f.model, f.mean.tobytes(), f.variance.tobytes(), f.total_variance) for f in forecasts]
    return numbers, dict(bundle.weights), dict(bundle.left), repr(bundle.diagnostics)


@dataclass(frozen=True)
class Constant:
    """Expects the same return for ever, with the spread of what it was given."""

    name: str
    mean: float

    def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
        return Forecast(np.full(horizon, self.mean), np.full(horizon, returns.var()), self.name)


@dataclass(frozen=True)
class Broken:
    """Raises what it is told to, from a bar of its window on."""

    error: Exception
    name: str = "broken"
    only_if_last_above: float = -math.inf

    def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
        if returns[-1] > self.only_if_last_above:
            raise self.error
        return Forecast(np.zeros(horizon), np.full(horizon, 1e-4), self.name)


# --- weights ----------------------------------------------------------------------------------------------


def test_the_weights_minimise_the_crps_of_the_mixture() -> None:
    rng = np.random.default_rng(1)
    outcomes = rng.normal(size=40)
    means = outcomes[:, None] * [0.5, 0.1, 0.0] + rng.normal(size=(40, 3)) * [0.6, 0.3, 0.2]
    variances = rng.uniform(0.5, 2.0, size=(40, 3))
    unit = np.sqrt(variances).mean(axis=1)

    def score(weights: np.ndarray) -> float:
        total = 0.0
        for mean, variance, outcome, scale in zip(means, variances, outcomes, unit, strict=True):

            def below(x: float, mean: np.ndarray = mean, variance: np.ndarray = variance) -> float:
                return float(weights @ norm.cdf(x, mean, np.sqrt(variance)))

            left = quad(lambda x, f=below: f(x) ** 2, -12.0, outcome)[0]
            right = quad(lambda x, f=below: (1.0 - f(x)) ** 2, outcome, 12.0)[0]
            total += (left + right) / scale
        return total / 40

    best = crps_weights(means, variances, outcomes)
    assert best.sum() == pytest.approx(1.0)
    assert (best >= 0.0).all()
    least = score(best)
    for at in range(3):
        for to in range(3):
            moved = best.copy()
            step = min(0.02, moved[at])
            moved[at] -= step
            moved[to] += step
            assert score(moved) >= least - 1e-9


def test_weights_move_to_the_better_member() -> None:
    members = (Constant("right", 0.005), Constant("wrong", -0.005))
    schedule = Schedule(horizon=4, window=250, refit_every=30, min_observations=200, weight_shrinkage=0.2)
    bundle = after(members, 0.005 + noise(600, 2), schedule)
    assert 0.8 < bundle.weights["right"] < 0.901  # all of it would be 0.9, for the pull towards equal
    turned = after(members, np.concatenate([0.005 + noise(600, 2), -0.005 + noise(600, 3)]), schedule)
    assert turned.weights["wrong"] > 0.8


def test_the_member_with_the_right_spread_gets_the_weight() -> None:
    rng = np.random.default_rng(3)
    variances = np.tile([1.0, 9.0], (500, 1))
    assert crps_weights(np.zeros((500, 2)), variances, rng.normal(size=500))[0] > 0.95
    assert crps_weights(np.zeros((500, 2)), variances, 3.0 * rng.normal(size=500))[1] > 0.95


def test_full_shrinkage_is_equal_weights() -> None:
    members = (Constant("right", 0.005), Constant("wrong", -0.005))
    schedule = Schedule(horizon=4, window=250, refit_every=30, min_observations=200, weight_shrinkage=1.0)
    bundle = after(members, 0.005 + noise(600, 2), schedule)
    assert list(bundle.weights.values()) == [0.5, 0.5]


def test_members_that_say_the_same_share() -> None:
    weights = crps_weights(np.zeros((100, 2)), np.ones((100, 2)), np.random.default_rng(0).normal(size=100))
    assert weights == pytest.approx([0.5, 0.5])


def test_the_mixture_has_the_moments_of_its_draws() -> None:
    rng = np.random.default_rng(4)
    one = Forecast(np.array([0.0, 1.0]), np.array([1.0, 2.0]), "one", horizon_variance=4.0)
    two = Forecast(np.array([2.0, 2.0]), np.array([0.5, 0.5]), "two")
    both = mixture([one, two], [0.3, 0.7], "both")
    choice = rng.random(400_000) < 0.3
    first = np.where(choice, rng.normal(0.0, 1.0, choice.size), rng.normal(2.0, math.sqrt(0.5), choice.size))
    total = np.where(choice, rng.normal(1.0, 2.0, choice.size), rng.normal(4.0, 1.0, choice.size))
    assert (both.mean[0], both.variance[0]) == pytest.approx((first.mean(), first.var()), rel=0.01)
    assert (both.total_mean, both.total_variance) == pytest.approx((total.mean(), total.var()), rel=0.01)


def test_the_mixture_has_tails_between_its_members_and_their_reasons() -> None:
    heavy = Forecast(np.zeros(1), np.ones(1), "heavy", {"degrees_of_freedom": 4.0}, fallback_reason="no fit")
    normal = Forecast(np.zeros(1), np.ones(1), "normal", {"degrees_of_freedom": math.inf})
    assert mixture([heavy, normal], [0.5, 0.5], "both").degrees_of_freedom == 8.0
    assert mixture([heavy, heavy], [0.5, 0.5], "both").degrees_of_freedom == 4.0
    assert math.isinf(mixture([heavy, normal], [0.0, 1.0], "both").degrees_of_freedom)
    assert mixture([heavy, normal], [0.5, 0.5], "both").fallback_reason == "heavy: no fit"


# --- evidence ---------------------------------------------------------------------------------------------


def test_the_t_statistic_is_standard_normal_without_skill_though_forecasts_overlap() -> None:
    rng, statistics = np.random.default_rng(5), []
    for _ in range(2000):
        returns, means = rng.standard_t(5, size=300), np.zeros((300, 10))
        means[0] = rng.normal()
        for bar in range(1, 300):  # forecasts that last
            means[bar] = 0.95 * means[bar - 1] + rng.normal()
        statistics.append(profit_t_statistic(means * 0.8 ** np.arange(10), np.ones((300, 10)), returns))
    assert np.mean(statistics) == pytest.approx(0.0, abs=0.07)
    assert np.std(statistics) == pytest.approx(1.0, abs=0.06)
    assert np.mean(np.array(statistics) > 2.0) == pytest.approx(0.023, abs=0.012)


def test_no_evidence_is_no_number() -> None:
    assert math.isnan(profit_t_statistic(np.ones((30, 5)), np.ones((30, 5)), np.ones(30)))
    assert math.isnan(profit_t_statistic(np.zeros((300, 5)), np.ones((300, 5)), np.ones(300)))


def test_the_t_statistic_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(8)
    means, variances, returns = rng.normal(size=(90, 3)), rng.uniform(0.5, 2.0, (90, 3)), rng.normal(size=90)
    profits = []
    for bar in range(2, 90):  # `returns[bar]` follows the forecast made at `bar`
        held = sum(means[bar - ahead, ahead] / variances[bar - ahead, ahead] for ahead in range(3))
        profits.append(returns[bar] * held)
    expected = sum(profits) / math.sqrt(sum(profit**2 for profit in profits))
    assert profit_t_statistic(means, variances, returns) == pytest.approx(expected, rel=1e-12)


def test_without_evidence_nothing_or_all_is_believed() -> None:
    assert credibility(math.nan, 2.0) == 0.0
    assert credibility(math.nan, 0.0) == 1.0


def test_skill_is_believed_and_noise_is_not() -> None:
    schedule = Schedule(horizon=1, window=250, refit_every=30, min_observations=200, evidence=2.0)
    seen = after(MEMBERS, autoregression(800, 6, 0.5), schedule)
    assert seen.diagnostics.credibility > 0.7
    blind = after(MEMBERS, noise(800, 7), schedule)
    assert blind.forecast is not None
    assert (blind.diagnostics.credibility, blind.believed_mean) == (0.0, 0.0)
    assert blind.forecast.total_mean != 0.0


def test_ljung_box_is_that_of_statsmodels() -> None:
    import warnings

    with warnings.catch_warnings():
        from statsmodels.stats.diagnostic import acorr_ljungbox

    values = autoregression(200, 8, 0.1)
    assert ljung_box(values) == pytest.approx(float(acorr_ljungbox(values, lags=[10])["lb_pvalue"].iloc[0]), rel=1e-9)
    assert math.isnan(ljung_box(np.zeros(300)))
    assert math.isnan(ljung_box(values[:19]))


def test_the_diagnostics_are_of_forecasts_whose_outcome_is_known() -> None:
    schedule = Schedule(horizon=4, window=250, refit_every=30, min_observations=200)
    known = after(MEMBERS, noise(1000, 9), schedule).diagnostics
    assert known.origins == 501  # of the last 504 bars up to the fit at bar 980, less 3 whose four bars are not over
    assert known.coverage_90 == pytest.approx(0.9, abs=0.06)
    assert known.reach_90 == pytest.approx(1.645, abs=0.25)
    assert 0.001 < known.ljung_box_p <= 1.0
    bundle = after(MEMBERS, noise(210, 9), schedule)
    assert bundle.diagnostics.origins == 0
    low, high = bundle.interval_90
    assert bundle.forecast is not None
    assert high - low == pytest.approx(2 * 1.6448536 * bundle.forecast.total_volatility)


# --- one history, one answer ------------------------------------------------------------------------------


def test_growing_and_fresh_agree_to_the_bit() -> None:
    returns = autoregression(640, 10, 0.3)
    growing = Ensemble(MEMBERS, SMALL)
    for begin, end in [(0, 150), (150, 330), *((bar, bar + 1) for bar in range(330, 480)), (480, 640)]:
        grow(growing, MEMBERS, returns[begin:end].tolist())
        if end % 37 == 0 or end in (150, 330, 350, 380, 381, 640):
            fresh = Ensemble(MEMBERS, SMALL)
            grow(fresh, MEMBERS, returns[:end].tolist())
            assert facts(fresh.bundle()) == facts(growing.bundle())


def test_a_long_history_needs_only_its_last_fits() -> None:
    ensemble = Ensemble(MEMBERS, SMALL)
    ensemble.extend(noise(5000, 11).tolist())
    due = ensemble.due()
    assert len(due) <= 2 + math.ceil((100 + 120) / 30) + 1
    assert max(due) == 5000 == 200 + 160 * 30
    single = Ensemble(MEMBERS[:1], Schedule(horizon=4, window=250, refit_every=30, min_observations=200))
    single.extend(noise(5000, 11).tolist())
    assert list(single.due()) == [5000]
    assert len(single.due()[5000]) == 250


def test_the_future_changes_no_past_forecast() -> None:
    returns = autoregression(560, 12, 0.3)
    other = returns.copy()
    other[500:] = noise(60, 13) * 5.0
    one, two = Ensemble(MEMBERS, SMALL), Ensemble(MEMBERS, SMALL)
    grow(one, MEMBERS, returns[:440].tolist())
    grow(two, MEMBERS, other[:440].tolist())
    for bar in range(440, 560):
        assert (facts(one.bundle()) == facts(two.bundle())) == (bar <= 500)
        grow(one, MEMBERS, [float(returns[bar])])
        grow(two, MEMBERS, [float(other[bar])])


# --- members that fail ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SignalError("nothing to say"), "nothing to say"),
        (ValueError("odd"), "ValueError: odd"),
        (KeyError("x"), "KeyError: 'x'"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_a_member_that_fails_leaves_with_its_reason(
    error: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    members = (Broken(error), Theta(), Constant("flat", 0.0))
    with caplog.at_level(logging.WARNING, "pmx.signals.forecasting"):
        bundle = after(members, noise(400, 14))
    assert dict(bundle.left) == {"broken": reason}
    assert set(bundle.members) == set(bundle.weights) == {"theta", "flat"}
    assert sum(bundle.weights.values()) == pytest.approx(1.0)
    assert bundle.forecast is not None
    assert f"broken leaves the ensemble at bar 200: {reason}" in caplog.text


def test_a_member_that_stays_away_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    members = (Broken(SignalError("7 of 12 are odd")), Theta())
    with caplog.at_level(logging.WARNING, "pmx.signals.forecasting"):
        ensemble = Ensemble(members, SMALL)
        for bar in noise(400, 14).tolist():  # fitted every 30 bars
            grow(ensemble, members, [bar])
    assert len(caplog.records) == 1


def test_a_member_may_come_back() -> None:
    returns = noise(420, 15)
    returns[-1], returns[-2] = 0.5, 0.0
    members = (Broken(SignalError("too wild"), only_if_last_above=0.2), Theta())
    ensemble = Ensemble(members, SMALL)
    grow(ensemble, members, returns.tolist())
    wild = ensemble.bundle()
    assert wild is not None
    assert dict(wild.left) == {"broken": "too wild"}
    assert list(wild.weights.values()) == [1.0]
    grow(ensemble, members, [0.0])
    calm = ensemble.bundle()
    assert calm is not None
    assert set(calm.weights) == {"broken", "theta"}


def test_where_all_fail_there_is_no_forecast() -> None:
    members = (Broken(SignalError("one")), Broken(SignalError("two"), "worse"))
    bundle = after(members, noise(400, 16))
    assert bundle.forecast is None
    assert dict(bundle.left) == {"broken": "one", "worse": "two"}
    assert all(math.isnan(end) for end in bundle.interval_90)


def test_a_forecast_of_the_wrong_length_is_no_forecast() -> None:
    @dataclass(frozen=True)
    class Short:
        name: str = "short"

        def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
            return Forecast(np.zeros(horizon - 1), np.ones(horizon - 1), "short")

    bundle = after((Short(), Theta()), noise(300, 17))
    assert dict(bundle.left) == {"short": "it forecast 3 bars, 4 were asked"}


def test_an_update_that_fails_ends_the_stretch_only() -> None:
    class Fragile:
        name = "fragile"

        def fit(self, returns: np.ndarray) -> "Fragile":
            return Fragile()

        def update(self, value: float) -> None:
            if value > 0.2:
                raise OverflowError("broken by one bar")

        def forecast(self, horizon: int) -> Forecast:
            return Forecast(np.zeros(horizon), np.full(horizon, 1e-4), "fragile")

    class Member:
        name = "fragile"

        def fit(self, returns: np.ndarray) -> Fragile:
            return Fragile()

        def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
            return Fragile().forecast(horizon)

    members = (Member(), Theta())
    returns = noise(459, 18)
    returns[440] = 0.5
    ensemble = Ensemble(members, SMALL)
    grow(ensemble, members, returns[:450].tolist())
    hurt = ensemble.bundle()
    assert hurt is not None
    assert dict(hurt.left) == {"fragile": "OverflowError: broken by one bar"}
    grow(ensemble, members, [*returns[450:].tolist(), *noise(30, 19).tolist()])
    healed = ensemble.bundle()
    assert healed is not None
    assert not healed.left
