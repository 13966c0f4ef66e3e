"""Confidence as a probability: how far it is from one, and the map that makes it one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, SignalError

FloatArray = npt.NDArray[np.float64]
#: Rows of a table at most.
MOST_ROWS = 10_000
Method = Literal["isotonic", "platt"]

#: Odds are taken of confidences no closer to 0 and 1 than this.
_EDGE = 1e-6
#: Separate outcomes at the overall share that are added to each block of an isotonic map.
_PRIOR = 10.0
#: Statements that a bin of a reliability table should hold, so that its interval is no wider than ±0.14; and bins.
_IN_A_BIN, _MOST_BINS = 50, 10
#: Normal quantile of the 95 % interval in a reliability table.
_Z95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Calibration:
    r"""Map a stated confidence to the share of such statements that came true.

    Parameters
    ----------
    method : {"isotonic", "platt"}
        What was fitted.
    knots, values : ndarray, shape (k,)
        The isotonic map, linear in between. For ``platt`` its value at the smallest and the largest confidence that it
        was fitted to. Both maps are constant outside.
    slope, intercept : float
        The Platt map, :math:`1 / (1 + e^{-(a \cdot \mathrm{logit}(c) + b)})`; NaN for ``isotonic``.
    observations : int
        How many outcomes it rests on.
    """

    method: Method
    knots: FloatArray
    values: FloatArray
    slope: float
    intercept: float
    observations: int

    @checked
    def __call__(self, confidence: npt.ArrayLike) -> FloatArray:
        """Return calibrated confidences, in [0, 1]."""
        stated = np.asarray(confidence, dtype=np.float64)
        if self.method == "isotonic":
            return np.asarray(np.interp(stated, self.knots, self.values), dtype=np.float64)
        return _platt_map(np.clip(stated, self.knots[0], self.knots[-1]), self.slope, self.intercept)


@checked(elsewhere=["method"])
def fit_calibration(
    confidence: npt.ArrayLike, right: npt.ArrayLike, method: Method = "isotonic", *, overlap: float = 1.0
) -> Calibration:
    r"""Fit the map from stated confidence to how often it was right. Needs scikit-learn.

    Parameters
    ----------
    confidence : array_like, shape (n,)
        Stated probabilities of being right, in [0, 1].
    right : array_like of bool, shape (n,)
        Whether each was.
    method : {"isotonic", "platt"}
        ``isotonic`` takes any rising shape and needs some thousand outcomes to be smooth; ``platt`` fits a line in
        log odds, and makes do with some hundred.
    overlap : float
        Outcomes that share their bars, on average: n of them are worth n / overlap separate ones.

    Returns
    -------
    Calibration
        To be used on later statements only.

    Raises
    ------
    DataError
        If the two do not belong together, a confidence is outside [0, 1], all or none were right, or ``overlap`` is
        below 1.
    SignalError
        If scikit-learn is not installed.

    Notes
    -----
    Neither map ever gives certainty. Platt fits to smoothed targets, and the map goes no further than the confidences
    that it was fitted to. Of the isotonic map's blocks, of :math:`n_b`
    statements of which :math:`k_b` were right, few can hold very little, above all at the ends; so with s the share of
    all statements that was right, o the overlap, and m = 10,

    .. math:: v_b = \frac{k_b / o + m s}{n_b / o + m},

    made to rise again by a second isotonic fit, weighted by :math:`n_b`.

    References
    ----------
    Platt (1999), "Probabilistic outputs for support vector machines", in Advances in Large Margin Classifiers
    (with his smoothed targets). Zadrozny and Elkan (2002), "Transforming classifier scores into accurate multiclass
    probability estimates", KDD.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stated = rng.uniform(0.5, 1.0, 4000)
    >>> right = rng.random(4000) < 1 / (1 + np.sqrt(1 / stated - 1))  # half the log odds that were stated
    >>> calibration = fit_calibration(stated, right, "platt")
    >>> bool(abs(calibration(0.9) - 0.75) < 0.03)
    True
    """
    stated, outcome = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    if not isinstance(method, str) or method not in get_args(Method):
        raise DataError(f"calibration method is {method!r}; choose one of {', '.join(get_args(Method))}")
    if not 1.0 <= overlap < np.inf:
        raise DataError(f"overlap is {overlap!r}; outcomes that share no bars have an overlap of 1, others more")
    _check(stated, outcome)
    n, hits = stated.size, int(outcome.sum())
    if hits in (0, n):
        raise DataError(f"{hits} of {n} statements were right: that is no ground for a calibration; give more of them")
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise SignalError(
            "calibration needs scikit-learn, which is not installed; pip install 'pmx[ml]', or switch it off with "
            "signal_routing_config.calibration.method: none"
        ) from error
    return _isotonic(stated, outcome, overlap) if method == "isotonic" else _platt(stated, outcome, overlap)


def _isotonic(stated: FloatArray, outcome: npt.NDArray[np.bool_], overlap: float) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    def rising(values: FloatArray, weights: FloatArray) -> FloatArray:
        return np.asarray(IsotonicRegression().fit_transform(places, values, sample_weight=weights), dtype=np.float64)

    places, of_place = np.unique(stated, return_inverse=True)
    statements = np.bincount(of_place).astype(np.float64)
    raw = rising(np.bincount(of_place, outcome) / statements, statements)
    _, of_block = np.unique(raw, return_inverse=True)
    separate = np.bincount(of_block, statements)[of_block] / overlap
    values = rising((raw * separate + _PRIOR * float(outcome.mean())) / (separate + _PRIOR), statements)
    # Inside a level stretch only its ends matter.
    ends = np.ones(len(values), dtype=bool)
    ends[1:-1] = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
    return Calibration("isotonic", places[ends], values[ends], np.nan, np.nan, stated.size)


def _platt(stated: FloatArray, outcome: npt.NDArray[np.bool_], overlap: float) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    n, hits = stated.size, float(outcome.sum())
    # Platt's targets: each statement counts partly as its opposite, so that few outcomes do not make for certainty.
    high, low = (hits / overlap + 1.0) / (hits / overlap + 2.0), 1.0 / ((n - hits) / overlap + 2.0)
    of_right = np.where(outcome, high, low)
    odds = _logit(stated)[:, None]
    line = LogisticRegression(C=np.inf, max_iter=1000)
    line.fit(
        np.concatenate([odds, odds]),
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([of_right, 1.0 - of_right]),
    )
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    ends = np.array([stated.min(), stated.max()])
    return Calibration("platt", ends, _platt_map(ends, slope, intercept), slope, intercept, n)


def _platt_map(stated: FloatArray, slope: float, intercept: float) -> FloatArray:
    value: FloatArray = 1.0 / (1.0 + np.exp(-(slope * _logit(stated) + intercept)))
    return value


@checked
def reliability_table(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int | None = None) -> pd.DataFrame:
    r"""Set what was stated beside what came true, in bins of equally many statements.

    Parameters
    ----------
    confidence : array_like, shape (n,)
        Stated probabilities, in [0, 1].
    right : array_like of bool, shape (n,)
        Whether each statement was right.
    bins : int, optional
        At most this many; equal confidences are never parted. When omitted, as many as leave 50 statements in each,
        from 1 to 10: fewer say next to nothing.

    Returns
    -------
    DataFrame
        One row a bin: ``stated`` (mean confidence), ``right`` (share), ``low`` and ``high`` (Wilson's 95 % interval
        of that share) and ``statements``. Calibrated where ``stated`` lies between the two.

    Raises
    ------
    DataError
        If there is nothing to set side by side, a confidence is outside [0, 1], or ``bins`` is below 1.

    References
    ----------
    Bröcker and Smith (2007), "Increasing the reliability of reliability diagrams", Weather and Forecasting 22.

    Examples
    --------
    >>> reliability_table([0.5, 0.5, 0.9, 0.9], [True, False, True, True], bins=2)[["stated", "right", "statements"]]
       stated  right  statements
    0     0.5    0.5           2
    1     0.9    1.0           2
    """
    stated, outcome = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    _check(stated, outcome)
    if bins is None:
        bins = min(_MOST_BINS, max(1, stated.size // _IN_A_BIN))
    if not 1 <= bins <= MOST_ROWS:
        raise DataError(f"{bins:,} bins; a table has 1 or more, at most {MOST_ROWS:,}")
    order = np.argsort(stated, kind="stable")
    stated, outcome = stated[order], outcome[order]
    cuts = [0]
    for wanted in np.linspace(0, stated.size, bins + 1)[1:-1]:
        cut = int(np.searchsorted(stated, stated[int(wanted)], side="left"))
        if cut > cuts[-1]:
            cuts.append(cut)
    rows = []
    for begin, end in zip(cuts, [*cuts[1:], stated.size], strict=True):
        n, share = end - begin, float(outcome[begin:end].mean())
        middle = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
        half = _Z95 / (1 + _Z95**2 / n) * np.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
        rows.append((float(stated[begin:end].mean()), share, max(0.0, middle - half), min(1.0, middle + half), n))
    return pd.DataFrame(rows, columns=["stated", "right", "low", "high", "statements"])


def _check(stated: FloatArray, outcome: npt.NDArray[np.bool_]) -> None:
    if stated.ndim != 1 or stated.shape != outcome.shape or not stated.size:
        raise DataError(f"{stated.shape} confidences and {outcome.shape} outcomes; give one outcome for each")
    if not ((stated >= 0.0) & (stated <= 1.0)).all():
        worst = float(stated[~((stated >= 0.0) & (stated <= 1.0))][0])
        raise DataError(f"a confidence is {worst!r}; a probability lies in [0, 1]")


def _logit(probability: FloatArray) -> FloatArray:
    p = np.clip(probability, _EDGE, 1.0 - _EDGE)
    value: FloatArray = np.log(p) - np.log1p(-p)
    return value
