"""The exponentially weighted covariance against its definition, with and without gaps."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError, PolicyError
from pmx.risk import EwmaCovariance, EwmaVariance

SYMBOLS = ["SPY", "QQQ", "WTI"]


def fed(rows: np.ndarray, decay: float = 0.95, **options: object) -> EwmaCovariance:
    names = [f"S{i}" for i in range(rows.shape[1])]
    covariance = EwmaCovariance(names, decay, **{"periods_per_year": 252.0, "min_observations": 1} | options)
    for row in rows:
        covariance.update(row)
    return covariance


def test_without_gaps_it_is_the_weighted_mean_of_products() -> None:
    rows = np.random.default_rng(0).normal(scale=0.01, size=(80, 3))
    weights = 0.95 ** np.arange(80)[::-1]
    expected = 252.0 * (rows * weights[:, None]).T @ rows / weights.sum()
    np.testing.assert_allclose(fed(rows).forecast(), expected, rtol=1e-11)


def test_the_diagonal_is_each_symbols_own_variance() -> None:
    rows = np.random.default_rng(1).normal(scale=0.01, size=(60, 2))
    rows[:25, 1] = np.nan
    own = EwmaVariance(0.95)
    for value in rows[25:, 1]:
        own.update(value)
    assert fed(rows).forecast().iloc[1, 1] == pytest.approx(252.0 * own.variance, rel=1e-12)


def test_a_late_starter_is_forgiven_as_its_overlap_grows() -> None:
    rng = np.random.default_rng(2)
    common, own = rng.normal(size=(1000, 1)), rng.normal(size=(1000, 2))
    rows = 0.01 * (common + 0.5 * own)
    late = rows.copy()
    late[:400, 1] = np.nan
    np.testing.assert_allclose(fed(late).forecast(), fed(rows).forecast(), rtol=1e-10)

    def correlation(end: int) -> float:
        matrix = fed(late[:end]).forecast().to_numpy()
        return float(matrix[0, 1] / math.sqrt(matrix[0, 0] * matrix[1, 1]))

    # The overlap's share of the weights damps the correlation, and by a known factor.
    both = rows[400:410]
    weights = 0.95 ** np.arange(10)[::-1]
    cross = (weights * both[:, 0] * both[:, 1]).sum()
    first = (0.95 ** np.arange(410)[::-1] * rows[:410, 0] ** 2).sum()
    second = (weights * both[:, 1] ** 2).sum()
    assert correlation(410) == pytest.approx(cross / math.sqrt(first * second), rel=1e-10)
    assert 0.0 < correlation(410) < correlation(700)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 8),
    bars=st.integers(1, 40),
    missing=st.floats(0.0, 0.9),
    decay=st.floats(0.5, 0.999),
)
def test_any_pattern_of_gaps_gives_a_semidefinite_matrix(
    seed: int, size: int, bars: int, missing: float, decay: float
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(bars, size)) * 10.0 ** rng.uniform(-4, 0, size=size)
    rows[rng.random(rows.shape) < missing] = np.nan
    rows[0] = 0.01  # everybody has been seen once
    matrix = fed(rows, decay).forecast().to_numpy()
    np.testing.assert_array_equal(matrix, matrix.T)
    scale = np.sqrt(np.diag(matrix))
    assert np.linalg.eigvalsh(matrix / np.outer(scale, scale)).min() >= -1e-12


def test_symbols_can_be_chosen_and_ordered() -> None:
    rows = np.random.default_rng(3).normal(scale=0.01, size=(30, 3))
    covariance = fed(rows)
    whole, part = covariance.forecast(), covariance.forecast(["S2", "S0"])
    pd.testing.assert_frame_equal(part, whole.loc[["S2", "S0"], ["S2", "S0"]])


def test_a_series_is_read_by_name() -> None:
    by_array, by_name = (EwmaCovariance(SYMBOLS, 0.9, 252.0, 1) for _ in range(2))
    by_array.update([0.01, 0.02, 0.03])
    by_array.update([0.01, math.nan, -0.02])
    by_name.update(pd.Series({"WTI": 0.03, "SPY": 0.01, "QQQ": 0.02}))
    by_name.update(pd.Series({"WTI": -0.02, "SPY": 0.01}))
    pd.testing.assert_frame_equal(by_array.forecast(), by_name.forecast())
    assert by_name.observations.to_dict() == {"SPY": 2, "QQQ": 1, "WTI": 2}


def test_too_few_observations_are_named() -> None:
    covariance = EwmaCovariance(SYMBOLS, min_observations=3)
    for row in ([0.01, 0.02, 0.01], [0.01, math.nan, 0.02], [0.02, 0.01, 0.01]):
        covariance.update(row)
    with pytest.raises(DataError, match="covariance of 'QQQ' rests on 2 returns, 3 needed"):
        covariance.forecast()
    assert covariance.forecast(["SPY", "WTI"]).shape == (2, 2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.01, math.inf, 0.0], "return of 'QQQ' is inf"),
        ([0.01, 0.0, -2e6], "return of 'WTI' is -2000000.0"),
        ([0.01, 0.02], r"shape \(2,\) for 3 symbols"),
        (pd.Series({"SPY": 0.01, "BTC": 0.1}), "unknown symbol 'BTC'"),
    ],
)
def test_a_bad_row_is_named_and_changes_nothing(row: object, message: str) -> None:
    covariance = EwmaCovariance(SYMBOLS, min_observations=1)
    covariance.update([0.01, 0.02, 0.03])
    before = covariance.forecast()
    with pytest.raises(DataError, match=message):
        covariance.update(row)
    pd.testing.assert_frame_equal(covariance.forecast(), before)


def test_an_unknown_symbol_has_no_forecast() -> None:
    covariance = EwmaCovariance(SYMBOLS, min_observations=1)
    covariance.update([0.01, 0.02, 0.03])
    with pytest.raises(DataError, match="unknown symbol 'BTC'"):
        covariance.forecast(["SPY", "BTC"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("decay", 1.0), ("decay", math.nan), ("periods_per_year", 0.0), ("min_observations", 0)],
)
def test_a_setting_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(PolicyError, match=rf"EwmaCovariance\.{name} = "):
        EwmaCovariance(SYMBOLS, **{name: value})


def test_a_symbol_appears_once() -> None:
    with pytest.raises(DataError, match="symbol 'SPY' appears twice"):
        EwmaCovariance(["SPY", "WTI", "SPY"])


def test_as_an_array_symbols_that_have_shown_too_little_are_zero() -> None:
    rows = np.random.default_rng(3).normal(scale=0.01, size=(30, 3))
    rows[:25, 1] = np.nan
    covariance = fed(rows, min_observations=10)
    assert covariance.known.tolist() == [True, False, True]
    matrix = covariance.matrix()
    assert not matrix[1].any()
    assert not matrix[:, 1].any()
    np.testing.assert_array_equal(matrix[np.ix_([0, 2], [0, 2])], covariance.forecast(["S0", "S2"]))
