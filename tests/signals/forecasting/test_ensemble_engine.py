"""The ensemble behind the engine: causal, bar-aware, the same in parallel, loud with an edge and silent without."""

import math

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import SignalError
from pmx.policy.schema import TimeSeriesEngine
from pmx.signals.forecasting import Forecast, Theta
from pmx.signals.time_series import TimeSeriesCore
from pmx.signals.types import Signal

ALL = ("ar_garch", "har_garch", "theta", "singular_spectrum")
SMALL = {
    "members": ALL,
    "evidence": 0.0,
    "window": 250,
    "min_observations": 200,
    "refit_every": 30,
    "horizon": 4,
    "weight_bars": 60,
    "score_bars": 90,
}


def core(cost: float = 0.0, **config: object) -> TimeSeriesCore:
    return TimeSeriesCore(TimeSeriesEngine(**SMALL | config), round_trip_cost=cost)


def ar_garch(size: int, seed: int, ar: float = 0.0, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return simulated returns, and the conditional volatility of each."""
    rng = np.random.default_rng(seed)
    returns, volatility, variance = np.zeros(size), np.zeros(size), 1e-4
    for bar in range(size):
        volatility[bar] = math.sqrt(variance)
        shock = volatility[bar] * rng.normal()
        returns[bar] = drift + ar * (returns[bar - 1] - drift if bar else 0.0) + shock
        variance = 5e-6 + 0.08 * shock * shock + 0.87 * variance
    return returns, volatility


def closes(scale: float = 100.0, **returns: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({symbol: scale * np.exp(np.cumsum(r)) for symbol, r in returns.items()})
    table.index = pd.bdate_range("2005-01-03", periods=len(table))
    return table


def gappy(bars: int) -> pd.DataFrame:
    prices = closes(**{name: ar_garch(bars, seed, 0.2)[0] for name, seed in (("A", 1), ("B", 2), ("C", 3))})
    prices.iloc[np.random.default_rng(4).random(bars) < 0.1, 1] = np.nan
    prices.iloc[:60, 2] = np.nan
    prices.iloc[bars - 15 :, 2] = np.nan
    return prices


# --- one history, one answer ------------------------------------------------------------------------------


def test_growing_and_fresh_engines_agree_to_the_bit() -> None:
    prices = gappy(420)
    growing = core(evidence=0.5)
    for bar in [190, *range(205, 300, 3), 375, 390, 391, 405, 420]:
        signals = growing.signals(prices.iloc[:bar])
        if bar in (190, 232, 295, 375, 391, 405, 420):
            fresh = core(evidence=0.5)
            assert fresh.signals(prices.iloc[:bar]) == signals
            pd.testing.assert_frame_equal(fresh.diagnostics, growing.diagnostics, check_exact=True)
            for symbol, bundle in fresh.forecasts.items():
                assert repr(bundle.diagnostics) == repr(growing.forecasts[symbol].diagnostics)
                assert bundle.weights == growing.forecasts[symbol].weights


@pytest.mark.parametrize("member", [*ALL, pytest.param("sarimax", marks=pytest.mark.fuzz)])
def test_the_future_changes_no_past_signal_of_any_member(member: str) -> None:
    prices = gappy(300)
    other = prices.copy()
    other.iloc[250:] *= np.random.default_rng(1).uniform(0.5, 2.0, size=(50, 3))
    one, two = core(members=(member,)), core(members=(member,))
    past: list[list[Signal]] = []
    for bar in range(225, 251, 5):
        past.append(one.signals(prices.iloc[:bar]))
        assert two.signals(other.iloc[:bar]) == past[-1]
    assert any(past)
    assert two.signals(other) != one.signals(prices)


def test_the_future_changes_no_past_signal_of_the_ensemble() -> None:
    prices = gappy(460)
    other = prices.copy()
    other.iloc[430:] *= np.random.default_rng(1).uniform(0.5, 2.0, size=(30, 3))
    one, two = core(), core()
    for bar in range(415, 431, 3):
        assert two.signals(other.iloc[:bar]) == one.signals(prices.iloc[:bar]) != []
    assert two.signals(other) != one.signals(prices)


def test_processes_change_no_number() -> None:
    prices = gappy(330)
    alone, shared = core(), core(workers=2)
    for bar in (300, 301, 330):
        assert shared.signals(prices.iloc[:bar]) == alone.signals(prices.iloc[:bar]) != []


def test_a_day_without_a_bar_is_no_day() -> None:
    whole = closes(A=ar_garch(420, 5)[0])
    holes = whole.copy()
    holes.iloc[[50, 51, 120, 310]] = np.nan
    assert core().signals(holes) == core().signals(holes.dropna())
    engine = core()
    engine.signals(holes)
    silent = pd.concat([holes, pd.DataFrame({"A": [np.nan]}, index=[holes.index[-1] + pd.Timedelta(days=1)])])
    before = engine.diagnostics.loc["A", "observations"]
    assert engine.signals(silent) == []
    assert engine.diagnostics.loc["A", "observations"] == before
    assert engine.forecasts == {}


def test_the_scale_of_a_price_does_not_matter() -> None:
    returns = ar_garch(400, 6, ar=0.4)[0]
    (plain,) = core().signals(closes(A=returns))
    for scale in (1e-8, 1e8):
        (scaled,) = core().signals(closes(scale, A=returns))
        assert scaled.edge_score == pytest.approx(plain.edge_score, rel=1e-3, abs=1e-4)
        assert scaled.confidence == pytest.approx(plain.confidence, rel=1e-3)


# --- signals ----------------------------------------------------------------------------------------------


def test_a_signal_follows_from_its_bundle() -> None:
    prices = closes(A=ar_garch(450, 7, drift=0.004)[0])
    engine = core(cost=0.002)
    (signal,) = engine.signals(prices)
    bundle = engine.forecasts["A"]
    assert bundle.forecast is not None
    assert (bundle.forecast.horizon, set(bundle.weights)) == (4, set(ALL))
    gain = bundle.forecast.total_mean - 0.002
    assert signal.edge_score == pytest.approx(gain / bundle.forecast.total_volatility)
    assert engine.diagnostics.loc["A", "model"] == "ensemble"
    assert sum(bundle.weights.values()) == pytest.approx(1.0)


def test_who_has_no_forecast_is_told_why() -> None:
    prices = closes(GOOD=ar_garch(330, 8)[0], FLAT=np.zeros(330), YOUNG=ar_garch(330, 9)[0])
    prices.iloc[:150, 2] = np.nan
    engine = core()
    assert [s.symbol for s in engine.signals(prices)] == ["GOOD"]
    status = engine.diagnostics["status"]
    assert status["FLAT"] == "no variation"
    assert status["YOUNG"] == "too few observations: 179 returns, 200 needed"


def test_what_past_forecasts_do_not_bear_out_is_silence_and_not_hold() -> None:
    prices = closes(NOISE=ar_garch(420, 8)[0], DRIFT=ar_garch(420, 7, drift=0.004)[0], YOUNG=ar_garch(420, 9)[0])
    prices.iloc[:210, 2] = np.nan
    engine, believer = core(evidence=1.0), core()
    heard = {signal.symbol: signal for signal in engine.signals(prices)}
    assert list(heard) == ["DRIFT"]
    said = {signal.symbol: signal for signal in believer.signals(prices)}
    assert set(said) == {"NOISE", "DRIFT", "YOUNG"}
    table, bundles = engine.diagnostics, engine.forecasts
    expected = f"no evidence: past forecasts paid with t = {table.t_statistic.NOISE:.2f}, and 1 is needed"
    assert table.loc["NOISE", "status"] == expected
    assert table.loc["YOUNG", "status"].startswith("no evidence yet: fewer than 60 bars of past forecasts")
    assert table["expected_return"].equals(believer.diagnostics["expected_return"])  # what is expected stays as it is
    rho = 1.0 - 1.0 / table.loc["DRIFT", "t_statistic"] ** 2
    assert 0.0 < rho < 1.0
    assert bundles["DRIFT"].believed_mean == pytest.approx(rho * table.loc["DRIFT", "expected_return"])
    assert heard["DRIFT"].edge_score == pytest.approx(rho * said["DRIFT"].edge_score)
    assert 0.5 < heard["DRIFT"].confidence < said["DRIFT"].confidence


def test_a_member_that_could_not_fit_as_it_would_says_so_through_the_ensemble() -> None:
    engine = TimeSeriesCore(TimeSeriesEngine(**SMALL), round_trip_cost=0.0, members=[Makeshift(), Theta()])
    engine.signals(closes(A=ar_garch(330, 10)[0]))
    assert engine.diagnostics.loc["A", "fallback_reason"] == "makeshift: no fit"
    assert engine.diagnostics.loc["A", "degrees_of_freedom"] > 5.0


class Makeshift:
    """Forecasts, but not as it would like to."""

    name = "makeshift"

    def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
        shape = {"degrees_of_freedom": 5.0}
        spread = np.full(horizon, returns.var())
        return Forecast(np.full(horizon, 1e-5), spread, self.name, shape, fallback_reason="no fit")


class Raising:
    """Has no forecast, ever."""

    name = "raising"

    def forecast(self, returns: np.ndarray, horizon: int) -> Forecast:
        raise SignalError("out of order")


def test_a_failing_member_costs_no_symbol_and_all_failing_give_a_reason() -> None:
    prices = closes(A=ar_garch(330, 10)[0])
    config = TimeSeriesEngine(**SMALL)
    engine = TimeSeriesCore(config, round_trip_cost=0.0, members=[Raising(), Theta()])
    assert len(engine.signals(prices)) == 1
    assert engine.diagnostics.loc["A", "fallback_reason"] == "raising: out of order"
    engine = TimeSeriesCore(config, round_trip_cost=0.0, members=[Raising()])
    assert engine.signals(prices) == []
    assert engine.diagnostics.loc["A", "status"] == "raising: out of order"


@pytest.mark.parametrize("members", [[], [Theta(), Theta()]])
def test_members_have_names_of_their_own(members: list[Theta]) -> None:
    with pytest.raises(SignalError, match="at least one, each with a name of its own"):
        TimeSeriesCore(TimeSeriesEngine(), round_trip_cost=0.0, members=members)


def test_the_configuration_names_each_member_once() -> None:
    with pytest.raises(ValueError, match="names theta twice"):
        TimeSeriesEngine(members=("theta", "theta"))


# --- edges and noise, by the engine and the thresholds of the shipped policy ------------------------------

SHIPPED = pmx.load_policy().signal_routing_config
HORIZON = SHIPPED.engines.time_series.horizon


def share_of_signs(seeds: range, ar: float, drift: float) -> tuple[float, int]:
    """Return how often a true edge of at least 0.3 is signalled with its sign, and how many there were."""
    right = cases = 0
    for seed in seeds:
        returns, volatility = ar_garch(1500, seed, ar, drift)
        prices = closes(A=returns)
        engine = TimeSeriesCore(SHIPPED.engines.time_series, round_trip_cost=0.0004)
        for bar in range(1400, 1500, 10):
            h = np.arange(1, HORIZON + 1)
            mean = float(np.sum(drift + ar**h * (returns[bar - 1] - drift)))
            spread = volatility[bar] * math.sqrt(float(np.sum(((1 - ar**h) / (1 - ar)) ** 2)))
            if abs(mean) / spread < 0.3:
                continue
            right += sum(signal.direction == np.sign(mean) for signal in engine.signals(prices.iloc[:bar]))
            cases += 1
    return right / cases, cases


def share_of_silence(seeds: range, bars: int = 1500) -> float:
    """Return how often pure noise stays below the policy's thresholds."""
    threshold = SHIPPED.sources["time_series_core"]
    silent = 0
    for seed in seeds:
        engine = TimeSeriesCore(SHIPPED.engines.time_series, round_trip_cost=0.0004)
        heard = [
            signal
            for signal in engine.signals(closes(A=ar_garch(bars, seed)[0]))
            if abs(signal.edge_score) >= threshold.min_edge and signal.confidence >= threshold.min_confidence
        ]
        silent += not heard
    return silent / len(seeds)


@pytest.mark.parametrize(("ar", "drift"), [(0.6, 0.0), (0.0, 0.003), (0.0, -0.003)])
def test_a_strong_edge_is_found(ar: float, drift: float) -> None:
    share, cases = share_of_signs(range(3), ar, drift)
    assert cases >= 5
    assert share >= 0.9


@pytest.mark.parametrize("seeds", [range(2000, 2006), pytest.param(range(2000, 2020), marks=pytest.mark.fuzz)])
def test_noise_is_silent(seeds: range) -> None:
    assert share_of_silence(seeds) >= 0.9


@pytest.mark.fuzz
@pytest.mark.parametrize(("ar", "drift"), [(0.6, 0.0), (0.0, 0.003), (0.0, -0.003)])
def test_strong_edges_are_found_in_nineteen_of_twenty(ar: float, drift: float) -> None:
    share, cases = share_of_signs(range(50), ar, drift)
    print(f"ar {ar} drift {drift}: {share:.4f} of {cases}")
    assert cases >= 100
    assert share >= 0.95


@pytest.mark.fuzz
@pytest.mark.parametrize("bars", [1000, 1500, 2500])
def test_noise_is_silent_in_nineteen_of_twenty(bars: int) -> None:
    share = share_of_silence(range(2000, 2200), bars)
    print(f"silent after {bars} bars: {share:.4f}")
    assert share >= 0.95
