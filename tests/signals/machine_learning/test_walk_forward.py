"""Folds that keep the test unseen, shown by a leak that is planted on purpose; and the judgement of skill."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsRegressor

from pmx.signals.machine_learning import skill_of, walk_forward_folds, walk_forward_skill

HORIZON = 20


def accuracy(known_at: np.ndarray, start: np.ndarray, X: np.ndarray, y: np.ndarray, folds: int) -> float:
    """Return the share of signs that a model with a perfect memory gets right in its walk-forward test."""

    def remember(X: np.ndarray, y: np.ndarray, others: np.ndarray) -> np.ndarray:
        return KNeighborsRegressor(n_neighbors=1).fit(X, y).predict(others)

    skill = walk_forward_skill(remember, X, y, start, known_at, folds=folds, embargo=0, horizon=HORIZON)
    return skill.directional_accuracy


def test_a_planted_leak_is_learnt_without_purge_and_not_with_it() -> None:
    """Labels over 20 bars of pure noise, and a feature that only tells the date: there is nothing to know.

    Whoever learns labels that reach into the test finds the neighbour in time, which shares most of its bars.
    """
    fake, honest = [], []
    for seed in range(5):
        returns = np.random.default_rng(seed).normal(0.0, 0.01, 2020)
        path = np.concatenate([[0.0], np.cumsum(returns)])
        start = np.arange(2000)
        y = path[start + HORIZON] - path[start]
        X = start[:, None].astype(float)
        # A label that claims to be known at once is one that purge does not hold back.
        fake.append(accuracy(start, start, X, y, folds=499))
        honest.append(accuracy(start + HORIZON, start, X, y, folds=499))
    assert min(fake) > 0.80
    assert 0.40 < np.mean(honest) < 0.60
    assert max(honest) < 0.65


@given(
    gaps=st.lists(st.integers(0, 3), min_size=12, max_size=60),
    horizon=st.integers(1, 9),
    folds=st.integers(1, 8),
    embargo=st.integers(0, 7),
)
def test_no_label_reaches_into_a_test(gaps: list[int], horizon: int, folds: int, embargo: int) -> None:
    start = np.cumsum(gaps)
    end = start + horizon
    tested = []
    for train, test in walk_forward_folds(start, end, folds, embargo):
        assert end[train].max() <= start[test].min() - embargo
        # The most that may be learnt is learnt.
        rest = np.setdiff1d(np.arange(len(start)), train)
        assert (end[rest] > start[test].min() - embargo).all()
        tested.append(test)
    together = np.concatenate(tested) if tested else np.empty(0)
    assert len(np.unique(together)) == len(together)
    # Samples of one date are tested together.
    for test in tested:
        assert set(np.flatnonzero(np.isin(start, start[test]))) == set(test)


def test_overlapping_labels_do_not_pass_for_skill() -> None:
    """Of slow predictions of overlapping noise, one in twenty passes t > 1.65; taken for independent, one in three."""
    passed, naive = 0, 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        path = np.concatenate([[0.0], np.cumsum(rng.normal(size=1010))])
        label = (path[10:] - path[:-10])[:1000]
        slow = np.convolve(rng.normal(size=1049), np.ones(50), "valid")
        passed += skill_of(np.arange(1000), label, slow, horizon=10).t_statistic > 1.65
        naive += label @ slow / np.sqrt(np.sum((label * slow) ** 2)) > 1.65
    assert passed <= 0.12 * 400
    assert naive >= 0.25 * 400


def test_the_slope_is_what_a_predicted_unit_is_worth() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=4000)
    label = 0.3 * known + rng.normal(size=4000)
    skill = skill_of(np.arange(4000), label, 2.0 * known, horizon=1)
    assert skill.slope == pytest.approx(0.15, abs=0.02)
    assert skill.shrinkage == skill.slope
    assert skill.residual_volatility == pytest.approx(1.0, abs=0.05)
    assert skill_of(np.arange(4000), label, -known, horizon=1).shrinkage == 0.0
    assert skill_of(np.arange(4000), label, np.zeros(4000), horizon=1).samples == 0


def test_symbols_that_move_together_count_once() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=300)
    label = 0.2 * known + rng.normal(size=300)
    alone = skill_of(np.arange(300), label, known, horizon=1)
    copies = skill_of(np.repeat(np.arange(300), 50), np.repeat(label, 50), np.repeat(known, 50), horizon=1)
    assert copies.t_statistic == pytest.approx(alone.t_statistic)
