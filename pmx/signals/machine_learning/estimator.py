"""The model that learns: gradient-boosted trees by default, or anything with ``fit`` and ``predict``."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import SignalError

if TYPE_CHECKING:
    from pmx.policy.schema import MachineLearningEngine

FloatArray = npt.NDArray[np.float64]


class Estimator(Protocol):
    """Anything that learns a number from features: the part of a scikit-learn regressor that is used here.

    It is never fitted itself: each fit is made on a deep copy, so that nothing learnt in one reaches another. Give it
    a seed where it draws random numbers; its signals are else not reproducible.
    """

    def fit(self, X: FloatArray, y: FloatArray) -> Any:
        """Learn from features, shape (n, n_features), and labels, shape (n,)."""
        ...

    def predict(self, X: FloatArray) -> Any:
        """Return one number for each row of the features, shape (n,)."""
        ...


@checked
def boosted_trees(config: MachineLearningEngine) -> Estimator:
    """Return gradient-boosted trees, seeded and without early stopping, so that a fit is a function of its data.

    Raises
    ------
    SignalError
        If scikit-learn cannot be imported.

    References
    ----------
    Friedman (2001), "Greedy function approximation: a gradient boosting machine", *Annals of Statistics* 29(5).

    Examples
    --------
    >>> from pmx.policy.schema import MachineLearningEngine
    >>> type(boosted_trees(MachineLearningEngine())).__name__
    'HistGradientBoostingRegressor'
    """
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError as error:
        raise SignalError(
            f"engine machine_learning needs scikit-learn, which cannot be imported ({error}); install the extra with "
            "pip install 'pmx[ml]', or give an estimator of your own"
        ) from error
    trees: Estimator = HistGradientBoostingRegressor(
        max_iter=config.trees,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.samples_per_leaf,
        early_stopping=False,
        random_state=config.seed,
    )
    return trees


def checked_estimator(estimator: Estimator) -> Estimator:
    """Return an estimator that can learn and predict.

    Raises
    ------
    SignalError
        If it is a class, or has no ``fit`` and ``predict``.

    Examples
    --------
    >>> checked_estimator("trees")
    Traceback (most recent call last):
    ...
    pmx.errors.SignalError: estimator 'trees' has no fit(X, y) and predict(X); give it both
    """
    if isinstance(estimator, type):
        name = estimator.__name__
        raise SignalError(f"estimator {name} is a class, not an object that can learn; give {name}() instead")
    if not all(callable(getattr(estimator, method, None)) for method in ("fit", "predict")):
        raise SignalError(f"estimator {estimator!r} has no fit(X, y) and predict(X); give it both")
    return estimator


def fitted(estimator: Estimator, X: FloatArray, y: FloatArray) -> Estimator:
    """Return a copy of an estimator that has learnt, on one thread.

    Raises
    ------
    SignalError
        If the estimator cannot be copied, or raises.
    """
    name = type(estimator).__name__
    try:
        model = copy.deepcopy(estimator)
        with _one_thread():
            model.fit(X, y)
    except Exception as error:
        raise SignalError(f"estimator {name} failed to fit {X.shape[0]} samples: {error}; repair the model") from error
    return model


def predictions(model: Estimator, X: FloatArray) -> FloatArray:
    """Return what a fitted model predicts, shape (n,); NaN and infinity are left in for the caller to refuse.

    Raises
    ------
    SignalError
        If the model raises, or answers with anything but one number a row.
    """
    name = type(model).__name__
    try:
        with _one_thread():
            answer = np.asarray(model.predict(X), dtype=np.float64)
    except Exception as error:
        raise SignalError(f"estimator {name} failed to predict {len(X)} samples: {error}; repair the model") from error
    if answer.shape != (len(X),):
        raise SignalError(f"estimator {name} predicted shape {answer.shape} for {len(X)} samples; return shape (n,)")
    return answer


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep compiled libraries on one thread, where threadpoolctl (which comes with scikit-learn) can tell them to."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(limits=1):
        yield
