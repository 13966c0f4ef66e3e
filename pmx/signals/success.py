"""Whether a source's signals on a symbol have been worth following: figures, criteria, and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pmx.signals.track_record import Outcomes
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy.schema import QuantSuccess

FloatArray = npt.NDArray[np.float64]


class Result(StrEnum):
    """What a judgement comes to."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNPROVEN = "UNPROVEN"


@dataclass(frozen=True, slots=True)
class Figures:
    """Hold what the signals of a stretch have shown; see `measure` for each formula.

    Attributes
    ----------
    expected_profit : float
        Mean profit of a BUY or SELL after the costs of what it changed, fraction of its slice.
    sharpe_ratio, sortino_ratio : float
        Annualised, of the bar-by-bar profits of following all signals.
    profit_factor : float
        Gains ÷ losses; infinite where nothing was lost.
    max_drawdown : float
        Fraction lost from the peak by following all signals.
    directional_accuracy : float
        Share of right signs, averaged over the folds.
    error_vs_baseline : float
        Error of the forecasts behind the edge scores ÷ error of a random walk.
    fold_accuracies : tuple of float
        Share of right signs in each fold, NaN in one without a signal.
    """

    expected_profit: float
    sharpe_ratio: float
    sortino_ratio: float
    profit_factor: float
    max_drawdown: float
    directional_accuracy: float
    error_vs_baseline: float
    fold_accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold the judgement of one signal by the record of those before it.

    Attributes
    ----------
    date : date-like
        The bar at which it was given.
    signal : Signal
        What is judged.
    result : Result
        PASS, FAIL, or UNPROVEN while too few outcomes are known.
    score : float
        Share of the criteria's weight that was met, in [0, 1]; NaN if unproven.
    missed : tuple of str
        Criteria that were not met.
    judged : int
        BUYs and SELLs of known outcome that it rests on.
    figures : Figures or None
        What they have shown; None if unproven.
    gated : bool
        Whether the symbol's gate is shut after this verdict.
    """

    date: Any
    signal: Signal
    result: Result
    score: float
    missed: tuple[str, ...]
    judged: int
    figures: Figures | None
    gated: bool = False


#: Criterion in ``quant_success_config.yml`` → the figure that it bounds.
FIGURE_OF = {
    "min_expected_profit": "expected_profit",
    "min_sharpe_ratio": "sharpe_ratio",
    "min_sortino_ratio": "sortino_ratio",
    "min_profit_factor": "profit_factor",
    "max_drawdown": "max_drawdown",
    "min_directional_accuracy": "directional_accuracy",
    "max_error_vs_baseline": "error_vs_baseline",
}


def measure(outcomes: Outcomes, round_trip_cost: float, folds: int, periods_per_year: float) -> Figures:
    r"""Return what signals of known outcome have shown.

    Each signal is followed with a slice 1/h of the capital, which is held for h bars and then takes the direction of
    the signal that is given there. A slice that keeps its direction trades nothing, so a signal of direction d at bar t
    pays half a round trip only where its slice gets into the position, and half where it gets out of it:

    .. math:: \pi_t = d_t \Bigl(\frac{P_{t+h}}{P_t} - 1\Bigr) - \frac{\kappa}{2} (a_t + z_t), \quad
        a_t = 1\{d_{t-h} \ne d_t\}, \; z_t = 1\{d_{t+h} \ne d_t\},

    where a HOLD, and no signal, are d = 0: out. Following all of them makes, bar by bar,

    .. math:: p_b = \frac{1}{h} \sum_{k=1}^{h} d_{b-k} \, r_b
        - \frac{\kappa}{2h} \bigl(|d_{b-1}| a_{b-1} + |d_{b-h}| z_{b-h}\bigr),

    from which come the Sharpe ratio :math:`\bar p / s_p \sqrt{P}`, the Sortino ratio
    :math:`\bar p / \sqrt{\overline{\min(p, 0)^2}} \sqrt{P}` and the drawdown of :math:`\prod (1 + p_b)`. Expected
    profit and profit factor are of :math:`\pi`. A SELL is judged as a short, also where the policy only lets it exit.

    The forecast error compares the forecast with the log return, both in units of volatility. An edge score e is net of
    the cost, so the forecast behind a BUY or SELL is :math:`f_t = e_t + d_t \kappa / \sigma_t`, and behind a HOLD none:
    0. That is exact for an engine that reckons with the same κ; of one with a cost of its own, as with
    ``round_trip_cost_bps``, the forecast that is scored is off by the difference. With
    :math:`y_t = \log(P_{t+h} / P_t) / \sigma_t` the error is :math:`\sqrt{\sum (y - f)^2 / \sum y^2}`; a random
    walk expects no return, hence the denominator.

    Parameters
    ----------
    outcomes : Outcomes
        With at least one BUY or SELL.
    round_trip_cost : float
        κ, of buying and selling again, fraction of the traded value.
    folds : int
        Equal stretches over which directional accuracy is averaged.
    periods_per_year : float
        P, bars in a year.

    Returns
    -------
    Figures

    References
    ----------
    Jegadeesh and Titman (1993), "Returns to buying winners and selling losers", Journal of Finance 48 (overlapping
    portfolios). Sortino and Price (1994), "Performance measurement in a downside risk framework", Journal of
    Investing 3.
    """
    signed, h = outcomes.signed, outcomes.horizon
    half = 0.5 * round_trip_cost
    cost_in, cost_out = half * outcomes.entered, half * outcomes.left
    profit = (outcomes.direction * outcomes.total_return - cost_in - cost_out)[signed]
    gains, losses = float(profit[profit > 0.0].sum()), float(-profit[profit < 0.0].sum())
    following = np.convolve(outcomes.direction, np.full(h, 1.0 / h)) * outcomes.bar_return
    following[: len(signed)] -= cost_in / h
    following[h - 1 :] -= cost_out / h
    accuracies = _by_fold(outcomes, folds)
    known = [share for share in accuracies if not math.isnan(share)]
    mean, year = float(following.mean()), math.sqrt(periods_per_year)
    downside = math.sqrt(float(np.mean(np.minimum(following, 0.0) ** 2)))
    return Figures(
        expected_profit=float(profit.mean()),
        sharpe_ratio=_ratio(mean, float(following.std(ddof=1)) if len(following) > 1 else 0.0) * year,
        sortino_ratio=_ratio(mean, downside) * year,
        profit_factor=_ratio(gains, losses),
        max_drawdown=_drawdown(following),
        directional_accuracy=math.fsum(known) / len(known) if known else 0.0,
        error_vs_baseline=_error(outcomes, round_trip_cost),
        fold_accuracies=accuracies,
    )


def criteria_missed(figures: Figures, config: QuantSuccess) -> tuple[str, ...]:
    """Return the criteria that the figures do not meet, in the order of the file."""
    missed = []
    for criterion, name in FIGURE_OF.items():
        figure, limit = getattr(figures, name), getattr(config, criterion)
        met = figure >= limit if criterion.startswith("min_") else figure <= limit
        if not met:
            missed.append(criterion)
    return tuple(missed)


def judge(
    date: Any, signal: Signal, outcomes: Outcomes, config: QuantSuccess, round_trip_cost: float, periods_per_year: float
) -> Verdict:
    """Judge a signal by the record of those before it.

    It passes if every hard criterion is met and the criteria that are met carry ``pass_score`` of the weight; all
    weigh the same where no weights are given.

    Parameters
    ----------
    date : date-like
        The bar at which the signal was given.
    signal : Signal
        What is judged.
    outcomes : Outcomes
        Earlier signals of its source on its symbol whose outcome is known at that bar.
    config : QuantSuccess
        The criteria: ``policy.quant_success_config``.
    round_trip_cost : float
        Fraction of the traded value.
    periods_per_year : float
        Bars in a year.

    Returns
    -------
    Verdict
    """
    judged = int(outcomes.signed.sum())
    if judged < config.min_judged:
        return Verdict(date, signal, Result.UNPROVEN, math.nan, (), judged, None)
    figures = measure(outcomes, round_trip_cost, config.folds, periods_per_year)
    missed = criteria_missed(figures, config)
    weights = config.score_weights or dict.fromkeys(FIGURE_OF, 1.0)
    total = math.fsum(weights.values())
    score = math.fsum(weight for name, weight in weights.items() if name not in missed) / total
    passed = not set(missed) & set(config.hard_criteria) and score >= config.pass_score
    return Verdict(date, signal, Result.PASS if passed else Result.FAIL, score, missed, judged, figures)


def _by_fold(outcomes: Outcomes, folds: int) -> tuple[float, ...]:
    """Return the share of right signs in each of equal stretches."""
    shares = []
    for stretch in np.array_split(np.arange(len(outcomes.direction)), folds):
        product = outcomes.direction[stretch] * outcomes.total_return[stretch]
        decided = product != 0.0
        shares.append(float((product[decided] > 0.0).mean()) if decided.any() else math.nan)
    return tuple(shares)


def _error(outcomes: Outcomes, round_trip_cost: float) -> float:
    usable = outcomes.spoke & (outcomes.volatility > 0.0)
    volatility = outcomes.volatility[usable]
    came = np.log1p(outcomes.total_return[usable]) / volatility
    forecast = outcomes.edge[usable] + outcomes.direction[usable] * round_trip_cost / volatility
    return math.sqrt(_ratio(float(((came - forecast) ** 2).sum()), float((came * came).sum())))


def _drawdown(profits: FloatArray) -> float:
    wealth = np.concatenate([[1.0], np.cumprod(np.maximum(1.0 + profits, 0.0))])
    return float((1.0 - wealth / np.maximum.accumulate(wealth)).max())


def _ratio(above: float, below: float) -> float:
    """Return a ratio that is infinite over nothing, and 0 where there is nothing to compare."""
    if below > 0.0:
        return above / below
    return math.copysign(math.inf, above) if above else 0.0
