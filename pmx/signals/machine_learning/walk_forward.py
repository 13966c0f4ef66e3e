"""Walk-forward folds with purge and embargo, and the skill that a model shows in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked, require_count, require_shape

#: Folds at most.
MOST_FOLDS = 1_000
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
#: Fits on one set of samples and predicts the others: (X, y, X of the others) to predictions.
FitPredict = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


@checked
def walk_forward_folds(
    start: IntArray, end: IntArray, folds: int, embargo: int = 0
) -> Iterator[tuple[IntArray, IntArray]]:
    r"""Yield training and test samples of each fold, training always before test.

    The distinct starts are cut into ``folds + 1`` runs of equal length; each but the first is tested once, on a model
    that learns from samples before it. A label covers the rows :math:`(s, e]`. A sample may be learnt from for a
    test that begins at row T only if

    .. math:: e \le T - \text{embargo}.

    Without this purge, labels that reach into the test would be learnt, and the test would be passed by memory. The
    embargo keeps a further distance, for features that change slowly.

    Parameters
    ----------
    start, end : array of int, shape (n,)
        Row at whose close a sample's features are known, and row at whose close its label is.
    folds : int
        Test runs, ≥ 1.
    embargo : int
        Rows between the last label learnt and the first test.

    Yields
    ------
    train, test : array of int
        Positions of samples. A fold whose training set is empty is left out.

    References
    ----------
    López de Prado (2018), "Advances in Financial Machine Learning", section 7.4.

    Examples
    --------
    >>> start = np.arange(8)
    >>> for train, test in walk_forward_folds(start, start + 2, folds=3):
    ...     print(train, test)
    [0] [2 3]
    [0 1 2] [4 5]
    [0 1 2 3 4] [6 7]
    """
    require_count("folds", folds, most=MOST_FOLDS, unit="folds")
    require_shape("start", start, (None,), "one row for each sample")
    require_shape("end", end, start.shape, "one row for each sample")
    runs = np.array_split(np.unique(start), folds + 1)
    for run in runs[1:]:
        if not run.size:
            continue
        train = np.flatnonzero(end <= run[0] - embargo)
        test = np.flatnonzero((start >= run[0]) & (start <= run[-1]))
        if train.size:
            yield train, test


@dataclass(frozen=True, slots=True)
class Skill:
    r"""What predictions were worth on samples that the model had not seen.

    Parameters
    ----------
    samples : int
        Predictions made.
    slope : float
        :math:`\sum z \hat z / \sum \hat z^2`: what a predicted unit has been worth; below 1 for a model that says too
        much.
    t_statistic : float
        Of :math:`\sum z \hat z` against zero, with a long-run variance that allows for labels that overlap in time
        and for symbols that move together.
    residual_volatility : float
        Standard deviation of :math:`z - \text{slope} \cdot \hat z`, around zero.
    directional_accuracy : float
        Share of predictions whose sign came true; NaN where there is none.

    Examples
    --------
    >>> Skill(100, slope=1.4, t_statistic=2.5, residual_volatility=1.0, directional_accuracy=0.6).shrinkage
    1.0
    """

    samples: int
    slope: float
    t_statistic: float
    residual_volatility: float
    directional_accuracy: float

    @property
    def shrinkage(self) -> float:
        """Return what predictions are multiplied with: the slope, within [0, 1]."""
        return min(max(self.slope, 0.0), 1.0)


#: What no test at all has shown.
NO_SKILL = Skill(0, 0.0, 0.0, math.nan, math.nan)


@checked
def skill_of(start: IntArray, label: FloatArray, predicted: FloatArray, horizon: int) -> Skill:
    """Judge predictions against what came.

    Parameters
    ----------
    start : array of int, shape (n,)
        Row of each prediction.
    label, predicted : array, shape (n,)
        What came and what had been predicted, in the same unit.
    horizon : int
        Rows that a label covers.

    Returns
    -------
    Skill

    References
    ----------
    Newey and West (1987), "A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent
    covariance matrix", *Econometrica* 55(3). Lags up to twice the horizon.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known = rng.normal(size=500)
    >>> skill = skill_of(np.arange(500), 0.5 * known + rng.normal(size=500), known, horizon=1)
    >>> round(skill.slope, 1), skill.t_statistic > 5.0
    (0.5, True)
    """
    require_shape("start", start, (None,), "one row for each sample")
    require_shape("label", label, start.shape, "one for each sample")
    require_shape("predicted", predicted, start.shape, "one for each sample")
    require_count("horizon", horizon)
    power = float(predicted @ predicted)
    if not power > 0.0:
        return NO_SKILL
    slope = float(label @ predicted) / power
    rows, place = np.unique(start, return_inverse=True)
    score = np.bincount(place, weights=label * predicted, minlength=len(rows))
    variance = float(score @ score)
    lags = min(2 * horizon, len(score) - 1)
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * float(score[lag:] @ score[:-lag])
    residual = label - min(max(slope, 0.0), 1.0) * predicted
    spoken = predicted != 0.0
    return Skill(
        samples=len(label),
        slope=slope,
        t_statistic=float(score.sum()) / math.sqrt(variance) if variance > 0.0 else 0.0,
        residual_volatility=math.sqrt(float(np.mean(residual * residual))),
        directional_accuracy=float(np.mean((label[spoken] > 0.0) == (predicted[spoken] > 0.0))),
    )


@checked
def walk_forward_skill(
    fit_predict: FitPredict,
    features: FloatArray,
    label: FloatArray,
    start: IntArray,
    end: IntArray,
    *,
    folds: int,
    embargo: int,
    horizon: int,
) -> Skill:
    """Return the skill that a model shows over all folds of `walk_forward_folds`.

    Parameters
    ----------
    fit_predict : callable
        Fits afresh on the first two arguments and predicts the third.
    features : array, shape (n, n_features)
    label : array, shape (n,)
    start, end : array of int, shape (n,)
        As in `walk_forward_folds`.
    folds, embargo : int
        As in `walk_forward_folds`.
    horizon : int
        Rows that a label covers.

    Returns
    -------
    Skill
        `NO_SKILL` where no fold has anything to learn from.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, rows = rng.normal(size=(600, 1)), np.arange(600)
    >>> def least_squares(X, y, others):
    ...     return others @ np.linalg.lstsq(X, y, rcond=None)[0]
    >>> y = 0.5 * X[:, 0] + rng.normal(size=600)
    >>> skill = walk_forward_skill(least_squares, X, y, rows, rows + 1, folds=4, embargo=0, horizon=1)
    >>> skill.samples, 0.8 < skill.slope < 1.2
    (480, True)
    """
    require_shape("start", start, (None,), "one row for each sample")
    require_shape("label", label, start.shape, "one for each sample")
    require_shape("features", features, (*start.shape, None), "one row for each sample, one column for each feature")
    tested, predictions = [], []
    for train, test in walk_forward_folds(start, end, folds, embargo):
        tested.append(test)
        predictions.append(fit_predict(features[train], label[train], features[test]))
    if not tested:
        return NO_SKILL
    chosen = np.concatenate(tested)
    return skill_of(start[chosen], label[chosen], np.concatenate(predictions), horizon)
