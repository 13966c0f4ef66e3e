"""Scores against numerical integration, published values, and forecasts whose truth is known."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from pmx.errors import DataError
from pmx.signals.scoring import crps, diebold_mariano, log_score, pit, quantile

CASES = [(0.0, 0.0, 1.0, math.inf), (0.7, -0.3, 0.4, math.inf), (-2.5, 0.1, 0.6, 5.0), (0.02, 0.0, 1.5, 2.5),
         (1.0, 1.0, 0.01, 40.0), (3.0, 0.0, 0.5, 3.0)]  # fmt: skip


def distribution(mean, volatility, df):
    if math.isinf(df):
        return stats.norm(mean, volatility)
    return stats.t(df, mean, volatility * math.sqrt((df - 2) / df))


@pytest.mark.parametrize(("outcome", "mean", "volatility", "df"), CASES)
def test_the_crps_is_its_defining_integral(outcome, mean, volatility, df):
    cdf = distribution(mean, volatility, df).cdf
    below = integrate.quad(lambda x: cdf(x) ** 2, -np.inf, outcome, epsabs=1e-11, limit=200)[0]
    above = integrate.quad(lambda x: (1 - cdf(x)) ** 2, outcome, np.inf, epsabs=1e-11, limit=200)[0]
    assert float(crps(outcome, mean, volatility, df)) == pytest.approx(below + above, abs=1e-7)


@pytest.mark.parametrize(("outcome", "mean", "volatility", "df"), CASES)
def test_the_crps_is_the_mean_of_absolute_differences(outcome, mean, volatility, df):
    """The other form of the score: E|X − y| − ½ E|X − X'|."""
    draws = distribution(mean, volatility, df).ppf((np.arange(20_000) + 0.5) / 20_000)
    ranks = 2 * np.arange(1, len(draws) + 1) - len(draws) - 1
    between = 2 * float(ranks @ draws) / len(draws) ** 2
    other = np.abs(draws - outcome).mean() - 0.5 * between
    assert float(crps(outcome, mean, volatility, df)) == pytest.approx(other, rel=0.01)


@pytest.mark.parametrize(("outcome", "mean", "volatility", "df"), CASES)
def test_log_score_pit_and_quantile_are_scipys(outcome, mean, volatility, df):
    known = distribution(mean, volatility, df)
    assert float(log_score(outcome, mean, volatility, df)) == pytest.approx(-known.logpdf(outcome), rel=1e-12)
    assert float(pit(outcome, mean, volatility, df)) == pytest.approx(known.cdf(outcome), rel=1e-12)
    assert float(quantile(0.05, mean, volatility, df)) == pytest.approx(known.ppf(0.05), rel=1e-10)


def test_published_values():
    """(√2 − 1)/√π is the score of a standard normal at its mean; a sure forecast scores its absolute error."""
    assert float(crps(0.0, 0.0, 1.0)) == pytest.approx((math.sqrt(2) - 1) / math.sqrt(math.pi), rel=1e-14)
    assert float(crps(2.0, 0.5, 1e-9)) == pytest.approx(1.5, rel=1e-8)
    assert crps(1.0, 0.0, 1.0, 1e7) == pytest.approx(crps(1.0, 0.0, 1.0), rel=1e-6)


def test_arrays_mix_normal_and_t():
    together = crps([0.1, 0.1], [0.0, 0.0], [1.0, 1.0], [np.inf, 4.0])
    assert together.tolist() == [float(crps(0.1, 0.0, 1.0)), float(crps(0.1, 0.0, 1.0, 4.0))]


@pytest.mark.parametrize("score", [crps, log_score])
def test_the_truth_scores_best(score):
    rng = np.random.default_rng(5)
    outcomes = 0.2 + 1.3 * rng.normal(size=40_000)
    best = score(outcomes, 0.2, 1.3).mean()
    for mean, volatility in [(0.0, 1.3), (0.4, 1.3), (0.2, 1.0), (0.2, 1.7)]:
        assert score(outcomes, mean, volatility).mean() > best


@pytest.mark.parametrize(("arguments", "what"), [((0, 0, 0.0), "volatility"), ((0, 0, 1.0, 2.0), "degrees of freedom"),
                                                 ((0, 0, math.nan), "volatility")])  # fmt: skip
def test_what_is_no_forecast_is_refused(arguments, what):
    with pytest.raises(DataError, match=what):
        crps(*arguments)


# -- Diebold–Mariano -------------------------------------------------------------------------------------


def overlapping(rng, n, h):
    """Return the losses of two equally good forecasts of sums over h bars, made at every bar."""
    return [np.convolve(rng.normal(size=n + h - 1), np.ones(h), "valid") ** 2 for _ in range(2)]


@pytest.mark.parametrize("h", [1, 5])
def test_equal_forecasts_are_told_apart_as_rarely_as_they_should(h):
    rng = np.random.default_rng(h)
    p = [diebold_mariano(*overlapping(rng, 250, h), overlap=h).p_value for _ in range(800)]
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.09
    if h > 1:  # without the overlap the test believes in far too many observations
        blind = [diebold_mariano(*overlapping(rng, 250, h)).p_value for _ in range(300)]
        assert np.mean(np.array(blind) < 0.05) > 0.2


def test_it_is_the_formula_of_harvey_leybourne_and_newbold():
    rng = np.random.default_rng(2)
    d, h = rng.normal(0.3, 1.0, 60), 3
    n = len(d)
    autocovariance = [((d[k:] - d.mean()) * (d[: n - k] - d.mean())).sum() / n for k in range(h)]
    plain = d.mean() / math.sqrt((autocovariance[0] + 2 * sum(autocovariance[1:])) / n)
    expected = plain * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    test = diebold_mariano(d, np.zeros(n), overlap=h)
    assert test.statistic == pytest.approx(expected, rel=1e-12)
    assert test.p_value == pytest.approx(2 * stats.t.sf(abs(expected), n - 1), rel=1e-10)
    assert (test.mean_difference, test.observations) == (pytest.approx(d.mean()), n)


def test_one_bar_ahead_it_is_a_t_test_of_the_mean():
    d = np.random.default_rng(3).normal(0.1, 1.0, 80)
    assert diebold_mariano(d, np.zeros(80)).p_value == pytest.approx(stats.ttest_1samp(d, 0.0).pvalue, rel=1e-9)


def test_a_negative_variance_gives_way_to_bartletts():
    d = np.tile([1.0, -1.0], 20) + 0.01
    test = diebold_mariano(d, np.zeros(40), overlap=2)
    assert math.isfinite(test.statistic)
    assert 0.0 < test.p_value <= 1.0


@pytest.mark.parametrize(("n", "h", "known"), [(199, 10, False), (200, 10, True), (39, 2, False), (8, 1, True)])
def test_too_few_forecasts_for_their_overlap_have_no_p_value(n, h, known):
    test = diebold_mariano(*overlapping(np.random.default_rng(0), n, h), overlap=h)
    assert math.isfinite(test.p_value) == known
    assert math.isfinite(test.statistic)
    same = diebold_mariano(np.ones(n), np.ones(n), overlap=h)
    assert math.isfinite(same.p_value) == known


def test_where_there_is_a_p_value_it_can_be_believed():
    """At the fewest forecasts for the overlap the test rejects little more often than it says."""
    rng = np.random.default_rng(4)
    for n, h in ((40, 2), (100, 5), (200, 10)):
        p = [diebold_mariano(*overlapping(rng, n, h), overlap=h).p_value for _ in range(1000)]
        assert np.mean(np.array(p) < 0.05) < 0.085


def test_losses_that_are_the_same():
    losses = np.arange(20.0)
    assert diebold_mariano(losses, losses).p_value == 1.0
    assert diebold_mariano(losses + 1.0, losses).statistic == math.inf


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (([1.0] * 9, [1.0] * 10), "shapes"),
        (([1.0] * 7, [1.0] * 7), "cannot be compared"),
        (([1.0] * 19, [1.0] * 19, 10), "cannot be compared"),
        (([math.nan] * 9, [1.0] * 9), "not finite"),
    ],
)
def test_losses_that_cannot_be_compared_are_refused(arguments, what):
    with pytest.raises(DataError, match=what):
        diebold_mariano(*arguments)
