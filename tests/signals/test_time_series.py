"""The AR-GARCH engine: arch's numbers, planted signals, one answer for one history, and no look ahead."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from arch.univariate import ARX, EGARCH, GARCH
from scipy.stats import norm, t

from pmx.errors import DataError
from pmx.policy.schema import TimeSeriesEngine
from pmx.risk import ArchFit, EwmaVariance, fit_arch
from pmx.signals.time_series import TimeSeriesCore
from pmx.signals.types import Signal

SMALL = {
    "members": ("ar_garch",),
    "evidence": 0.0,
    "window": 250,
    "min_observations": 200,
    "refit_every": 30,
    "horizon": 5,
}
MODELS = ("GARCH", "GJR", "EGARCH")


def ar_garch(size: int, seed: int, ar: float = 0.0, constant: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    returns, variance = np.zeros(size), 1e-4
    for bar in range(1, size):
        shock = math.sqrt(variance) * rng.normal()
        returns[bar] = constant + ar * returns[bar - 1] + shock
        variance = 5e-6 + 0.08 * shock * shock + 0.87 * variance
    return returns


def closes(**returns: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame({symbol: 100.0 * np.exp(np.cumsum(r)) for symbol, r in returns.items()})
    table.index = pd.bdate_range("2015-01-01", periods=len(table))
    return table


def log_returns(prices: pd.Series) -> np.ndarray:
    """Return them as the engine computes them: a fit answers to the last bit of its data."""
    return np.array([math.log(b / a) for a, b in itertools.pairwise(prices.tolist())])


def engine(cost: object = 0.0, **config: object) -> TimeSeriesCore:
    return TimeSeriesCore(TimeSeriesEngine(**SMALL | config), round_trip_cost=cost)


def gappy(bars: int) -> pd.DataFrame:
    """Three symbols: one whole, one with holes, one that starts late and ends early."""
    prices = closes(A=ar_garch(bars, 1, 0.2), B=ar_garch(bars, 2, -0.2), C=ar_garch(bars, 3))
    prices.iloc[np.random.default_rng(4).random(bars) < 0.1, 1] = np.nan
    prices.iloc[:60, 2] = np.nan
    prices.iloc[bars - 15 :, 2] = np.nan
    return prices


# --- against arch -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lags", [1, 3])
@pytest.mark.parametrize("bars_after_fit", [0, 17])
def test_the_outlook_is_archs_own_forecast(model: str, lags: int, bars_after_fit: int) -> None:
    horizon = 5 if model != "EGARCH" else 1  # arch has no analytic EGARCH forecast beyond one bar
    returns = ar_garch(251 + bars_after_fit, 6, ar=0.3, constant=2e-4)
    prices = closes(A=returns)
    core = engine(volatility=model, lags=lags, horizon=horizon, min_observations=250, window=250)
    (signal,) = core.signals(prices)
    facts = core.diagnostics.loc["A"]
    assert facts["model"] == model

    logs = log_returns(prices["A"])
    fit = fit_arch(logs[:250], model, "normal", lags)
    assert isinstance(fit, ArchFit)
    process = fit.process
    gamma = [] if model == "GARCH" else [process.gamma]
    params = np.array([process.omega, process.alpha, *gamma, process.beta])
    volatility = {"GARCH": GARCH(1, 0, 1), "GJR": GARCH(1, 1, 1), "EGARCH": EGARCH(1, 1, 1)}[model]
    problem = ARX(logs, lags=lags, volatility=volatility, rescale=False)
    last = len(logs) - 1
    theirs = problem.fix([*fit.mean, *params]).forecast(horizon=horizon, start=last)
    assert facts["expected_return"] == pytest.approx(theirs.mean.to_numpy()[-1].sum(), rel=1e-9)

    # arch backcasts from other residuals; feed its filter those of the fitted window
    residuals = logs[lags:] - fit.mean[0]
    for lag, coefficient in enumerate(fit.mean[1:], start=1):
        residuals = residuals - coefficient * logs[lags - lag : -lag]
    window = ARX(logs[:250], lags=lags, volatility=volatility, rescale=False)
    window.fix([*fit.mean, *params])
    backcast = volatility.backcast(window.resids(window.starting_values()))
    bounds = np.tile([0.0, np.inf], (len(residuals), 1))
    variances = volatility.compute_variance(params, residuals, np.empty_like(residuals), backcast, bounds)
    path = process.path(process.step(variances[-1], residuals[-1]), horizon)

    # variance of the sum from the moving-average form, written as a matrix
    response = np.eye(horizon)
    for row in range(horizon):
        for lag, coefficient in enumerate(fit.mean[1:], start=1):
            if row >= lag:
                response[row] += coefficient * response[row - lag]
    covariance = response @ np.diag(path) @ response.T
    assert facts["volatility"] == pytest.approx(math.sqrt(covariance.sum()), rel=1e-9)
    assert signal.edge_score == pytest.approx(facts["expected_return"] / facts["volatility"], rel=1e-12)


def test_the_sums_spread_is_that_of_simulated_paths() -> None:
    core = engine(lags=2, horizon=8)
    prices = closes(A=ar_garch(201, 6, ar=0.4))
    core.signals(prices)
    logs = log_returns(prices["A"])
    fit = fit_arch(logs, "GARCH", "normal", 2)
    assert isinstance(fit, ArchFit)
    rng, paths = np.random.default_rng(7), 200_000
    variance = np.full(paths, fit.next_variance)
    past = [np.full(paths, logs[-1]), np.full(paths, logs[-2])]
    total = np.zeros(paths)
    for _ in range(8):
        shock = np.sqrt(variance) * rng.normal(size=paths)
        value = fit.mean[0] + fit.mean[1] * past[0] + fit.mean[2] * past[1] + shock
        variance = fit.process.omega + fit.process.alpha * shock**2 + fit.process.beta * variance
        past, total = [value, past[0]], total + value
    facts = core.diagnostics.loc["A"]
    assert facts["volatility"] == pytest.approx(total.std(), rel=0.01)
    assert facts["expected_return"] == pytest.approx(total.mean(), abs=4 * total.std() / math.sqrt(paths))


# --- what a signal says -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ar", [0.5, -0.5])
def test_a_planted_autoregression_is_followed(ar: float) -> None:
    prices = closes(A=ar_garch(360, 8, ar=ar))
    core, hits = engine(horizon=1), 0
    for bar in range(201, 360):
        (signal,) = core.signals(prices.iloc[:bar])
        hits += signal.direction == np.sign(ar * math.log(prices["A"].iloc[bar - 1] / prices["A"].iloc[bar - 2]))
    assert hits > 0.9 * 159


@pytest.mark.parametrize("drift", [0.003, -0.003])
def test_a_planted_drift_is_followed(drift: float) -> None:
    (signal,) = engine(cost=0.001).signals(closes(A=ar_garch(260, 9, constant=drift)))
    assert signal.direction == np.sign(drift)
    assert signal.edge_score * drift > 0.0
    assert signal.confidence > 0.6


def test_noise_has_a_small_edge() -> None:
    noise = {f"N{i}": ar_garch(520, 20 + i) for i in range(8)}
    edges = [abs(s.edge_score) for s in engine(min_observations=500, window=500).signals(closes(**noise))]
    planted = engine(min_observations=500, window=500).signals(closes(A=ar_garch(520, 9, constant=0.004)))
    assert len(edges) == 8
    assert np.median(edges) < 0.15
    assert max(edges) < 0.35 < planted[0].edge_score


@pytest.mark.parametrize("distribution", ["normal", "t"])
def test_the_fields_follow_from_the_outlook(distribution: str) -> None:
    prices = closes(A=ar_garch(230, 18, constant=-0.002))
    core = engine(cost=0.0004, distribution=distribution)
    (signal,) = core.signals(prices)
    facts = core.diagnostics.loc["A"]
    mean, volatility = facts["expected_return"], facts["volatility"]
    assert signal.direction == -1
    assert signal.edge_score == pytest.approx((mean + 0.0004) / volatility, rel=1e-12)
    assert signal.strength == pytest.approx(math.tanh(abs(signal.edge_score) * math.sqrt(252 / 5)), rel=1e-12)
    assert (signal.symbol, signal.source) == ("A", "time_series_core")
    if distribution == "normal":
        assert signal.confidence == pytest.approx(norm.cdf(-mean / volatility), rel=1e-12)
    else:
        fit = fit_arch(log_returns(prices["A"])[:200], "GARCH", "t", 1)
        assert isinstance(fit, ArchFit)
        freedom = fit.degrees_of_freedom + 4 * max(fit.degrees_of_freedom - 4.0, 0.0)
        spread = volatility / math.sqrt(freedom / (freedom - 2.0))
        assert signal.confidence == pytest.approx(t.cdf(-mean / spread, freedom), rel=1e-9)


def test_a_return_below_its_cost_is_held() -> None:
    prices = closes(A=ar_garch(230, 10, constant=-0.002))
    core = engine(cost=0.5)
    (signal,) = core.signals(prices)
    assert (signal.direction, signal.edge_score, signal.strength) == (0, 0.0, 0.0)
    assert 0.5 <= signal.confidence <= 1.0
    assert core.diagnostics.loc["A", "status"] == "signal"


def test_costs_can_differ_by_symbol() -> None:
    returns = ar_garch(230, 10, constant=0.003)
    cheap, dear = engine(cost={"A": 0.0, "B": 0.005}).signals(closes(A=returns, B=returns))
    assert cheap.edge_score > dear.edge_score >= 0.0


def test_a_source_can_be_named() -> None:
    core = TimeSeriesCore(TimeSeriesEngine(**SMALL), round_trip_cost=0.0, source="my_engine")
    assert core.source == "my_engine"
    assert core.signals(closes(A=ar_garch(230, 1)))[0].source == "my_engine"


# --- symbols without a signal, and fallbacks --------------------------------------------------------------


def test_who_has_no_signal_is_told_why() -> None:
    prices = closes(GOOD=ar_garch(230, 1), YOUNG=ar_garch(230, 2), GONE=ar_garch(230, 3), FLAT=np.zeros(230))
    prices.loc[prices.index[:100], "YOUNG"] = np.nan
    prices.loc[prices.index[-1], "GONE"] = np.nan
    prices["EMPTY"] = np.nan
    core = engine()
    assert [s.symbol for s in core.signals(prices)] == ["GOOD"]
    status = core.diagnostics["status"]
    assert status["GOOD"] == "signal"
    assert status["YOUNG"] == "too few observations: 129 returns, 200 needed"
    assert status["GONE"] == status["EMPTY"] == "no price today"
    assert status["FLAT"] == "no variation"
    assert core.diagnostics["observations"].to_dict() == {
        "GOOD": 229,
        "YOUNG": 129,
        "GONE": 228,
        "FLAT": 229,
        "EMPTY": 0,
    }


def test_before_any_call_there_are_no_diagnostics() -> None:
    assert engine().diagnostics.empty


def test_a_bad_fit_is_ewma_with_a_least_squares_mean() -> None:
    growth = 1e-4 * np.exp(np.linspace(0.0, 5.0, 301))
    for seed in range(10):
        prices = closes(A=growth * np.random.default_rng(seed).normal(size=301))
        core = engine(min_observations=300, window=300, horizon=1)
        (signal,) = core.signals(prices)
        facts = core.diagnostics.loc["A"]
        if "explosive variance" in facts["fallback_reason"]:
            break
    assert facts["model"] == "EWMA"
    assert "explosive variance" in facts["fallback_reason"]
    logs = log_returns(prices["A"])
    slope, constant = np.polyfit(logs[:-1], logs[1:], 1)
    assert facts["expected_return"] == pytest.approx(constant + slope * logs[-1], rel=1e-9)
    ewma = EwmaVariance(0.94)
    for residual in logs[1:] - constant - slope * logs[:-1]:
        ewma.update(residual)
    assert facts["volatility"] == pytest.approx(math.sqrt(ewma.variance), rel=1e-9)
    assert signal.confidence == pytest.approx(norm.cdf(abs(signal.edge_score)), rel=1e-9)


def test_an_explosive_mean_falls_back_to_zero() -> None:
    returns = 1e-6 * 1.04 ** np.arange(251) * (1.0 + 0.05 * np.random.default_rng(0).normal(size=251))
    core = engine(min_observations=250, window=250)
    (signal,) = core.signals(closes(A=returns))
    facts = core.diagnostics.loc["A"]
    assert facts["model"] == "EWMA"
    assert facts["expected_return"] == 0.0
    assert signal.direction == 0


def test_a_forecast_out_of_range_is_ewma() -> None:
    prices = closes(A=ar_garch(230, 1))
    prices.iloc[-1] *= 3.0
    core = engine(refit_every=100)
    core.signals(prices)
    facts = core.diagnostics.loc["A"]
    assert facts["model"] == "EWMA"
    assert "outside [1/10, 10]" in facts["fallback_reason"]


def test_a_return_across_a_gap_starts_from_the_last_known_price() -> None:
    whole = closes(A=ar_garch(260, 5))
    holes = whole.copy()
    holes.iloc[[50, 51, 120]] = np.nan
    dropped = holes.dropna()
    assert engine().signals(holes) == engine().signals(dropped)
    assert engine().signals(holes) != engine().signals(whole)


# --- causality --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "distribution", "lags"), [("GARCH", "normal", 1), ("GJR", "normal", 2), ("EGARCH", "t", 1)]
)
def test_a_growing_history_and_a_fresh_engine_agree_to_the_bit(model: str, distribution: str, lags: int) -> None:
    prices = gappy(340)
    config = {"volatility": model, "distribution": distribution, "lags": lags}
    growing = engine(**config)
    for bar in [*range(180, 262), 275, 276, 300, 339, 340]:
        signals = growing.signals(prices.iloc[:bar])
        if bar in (200, 231, 232, 261, 275, 300, 340):
            fresh = engine(**config)
            assert fresh.signals(prices.iloc[:bar]) == signals
            pd.testing.assert_frame_equal(fresh.diagnostics, growing.diagnostics, check_exact=True)


def test_an_engine_made_late_agrees_with_one_made_early() -> None:
    prices = gappy(330)
    early, late = engine(), engine()
    for bar in range(1, 331):
        expected = early.signals(prices.iloc[:bar])
        if bar >= 290:
            assert late.signals(prices.iloc[:bar]) == expected


def test_the_future_changes_no_past_signal() -> None:
    prices = gappy(300)
    other = prices.copy()
    other.iloc[250:] *= np.random.default_rng(1).uniform(0.5, 2.0, size=(50, 3))
    one, two = engine(), engine()
    past: list[list[Signal]] = []
    for bar in range(210, 251):
        past.append(one.signals(prices.iloc[:bar]))
        assert two.signals(other.iloc[:bar]) == past[-1]
    assert any(past)
    assert two.signals(other.iloc[:300]) != one.signals(prices.iloc[:300])


def test_asking_twice_changes_nothing() -> None:
    prices, core = gappy(260), engine()
    assert core.signals(prices) == core.signals(prices) == core.signals(prices.copy())


def test_symbols_do_not_disturb_each_other() -> None:
    prices = gappy(260)
    together = {s.symbol: s for s in engine().signals(prices)}
    for symbol in prices.columns:
        assert engine().signals(prices[[symbol]]) == [s for s in [together.get(symbol)] if s]


@pytest.mark.parametrize("change", ["columns", "order", "earlier end", "last row", "other dates"])
def test_a_history_that_does_not_continue_is_read_afresh(change: str) -> None:
    prices, core = gappy(280), engine()
    core.signals(prices.iloc[:270])
    other = prices.copy()
    if change == "columns":
        other["D"] = prices["A"] * 2.0
    elif change == "order":
        other = other[["B", "A", "C"]]
    elif change == "earlier end":
        other = other.iloc[:240]
    elif change == "last row":
        other.iloc[269, 0] *= 1.01
    else:
        other.index = other.index + pd.Timedelta(days=7)
    assert core.signals(other) == engine().signals(other)


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf])
@pytest.mark.parametrize("seen", [False, True])
def test_a_price_that_cannot_be_is_named(bad: float, seen: bool) -> None:
    prices, core = closes(A=ar_garch(230, 1), B=ar_garch(230, 2)), engine()
    if seen:
        core.signals(prices.iloc[:220])
    broken = prices.copy()
    broken.iloc[225, 1] = bad
    with pytest.raises(DataError, match=rf"price of 'B' on {prices.index[225].date()} .* is {bad}"):
        core.signals(broken)
    assert core.signals(prices) == engine().signals(prices)


def test_dates_are_in_order_and_appear_once() -> None:
    prices = closes(A=ar_garch(230, 1))
    turned = prices.iloc[[*range(200), 201, 200]]
    with pytest.raises(DataError, match="sort the dates and drop repeats"):
        engine().signals(turned)
    core = engine()
    core.signals(prices.iloc[:200])
    with pytest.raises(DataError, match="sort the dates and drop repeats"):
        core.signals(prices.iloc[[*range(200), 199]])


def test_a_symbol_has_one_column() -> None:
    prices = closes(A=ar_garch(30, 1), B=ar_garch(30, 2)).set_axis(["A", "A"], axis=1)
    with pytest.raises(DataError, match="symbol 'A' has two columns"):
        engine().signals(prices)


def test_prices_are_numbers_and_there_are_some() -> None:
    with pytest.raises(DataError, match="prices have no row"):
        engine().signals(closes(A=ar_garch(30, 1)).iloc[:0])
    with pytest.raises(DataError, match="not a number"):
        engine().signals(pd.DataFrame({"A": ["one", "two"]}))


@pytest.mark.parametrize("cost", [-0.1, math.nan, math.inf])
def test_a_cost_is_a_fraction(cost: float) -> None:
    with pytest.raises(DataError, match="round-trip cost of every symbol"):
        engine(cost=cost)
    with pytest.raises(DataError, match="round-trip cost of A"):
        engine(cost={"A": cost})


def test_every_symbol_needs_its_cost() -> None:
    with pytest.raises(DataError, match="no round-trip cost for 'B'"):
        engine(cost={"A": 0.0}).signals(closes(A=ar_garch(30, 1), B=ar_garch(30, 2)))


def test_a_student_t_forecast_is_scored_as_one():
    from pmx.signals.scoring import walk_engine

    rng = np.random.default_rng(4)
    closes = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_t(4, size=700)))
    prices = pd.DataFrame({"A": closes}, index=pd.bdate_range("2015-01-01", periods=700))
    config = TimeSeriesEngine(
        **SMALL | {"min_observations": 500, "window": 500, "refit_every": 100, "distribution": "t"}
    )
    engine = TimeSeriesCore(config, round_trip_cost=0.0)
    engine.signals(prices)
    assert 2.0 < engine.diagnostics.loc["A", "degrees_of_freedom"] < 20.0
    fresh = TimeSeriesCore(config, round_trip_cost=0.0)
    forecasts = walk_engine(fresh, prices, horizon=1, every=20)["A"]
    assert np.isfinite(forecasts.degrees_of_freedom).all()
