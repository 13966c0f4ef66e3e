"""The second engine: a learnt, possibly non-linear forecast, heard only after it has shown skill out of sample."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, SignalError
from pmx.signals.edge import RoundTripCosts, edge_signal
from pmx.signals.growing import GrowingHistory
from pmx.signals.machine_learning.estimator import Estimator, boosted_trees, checked_estimator, fitted, predictions
from pmx.signals.machine_learning.features import SymbolBars, labelled_bars
from pmx.signals.machine_learning.walk_forward import NO_SKILL, Skill, walk_forward_skill
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy.schema import MachineLearningEngine

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What the last fit of one group of symbols has brought.

    Attributes
    ----------
    row : int
        Row of the table at whose close it was made.
    samples : int
        Samples that it rests on.
    skill : Skill
        What the model showed in its walk-forward test.
    silence : str
        Why nothing is said; empty where the model may speak.
    model : Estimator or None
        Fitted on all samples; None while it is silent.
    """

    row: int
    samples: int
    skill: Skill
    silence: str
    model: Estimator | None


class _Verdict(NamedTuple):
    """One symbol's row of the diagnostics."""

    status: str
    learnt: Learnt | None = None
    mean: float = math.nan
    volatility: float = math.nan


class MachineLearningSecondary:
    r"""Give signals from a model that is learnt anew every few weeks and judged before it is heard.

    The model predicts :math:`z = R_h / (\sigma_t \sqrt h)`, the log return over the next h bars of a symbol in units
    of its current volatility, from the features of `SymbolBars`. With its prediction :math:`\hat z`, the slope β
    and residual volatility s of its walk-forward test (`Skill`), and the round-trip cost κ,

    .. math::

        \mu_h = \beta \, \hat z \, \sigma_t \sqrt h, \qquad \sigma_h = s \, \sigma_t \sqrt h,

    - ``direction`` is the sign of :math:`\mu_h` if :math:`|\mu_h| > \kappa`, else 0 (HOLD);
    - ``edge_score`` is direction · (|μ_h| − κ) / σ_h;
    - ``strength`` is tanh(|edge_score| · √(252 / h));
    - ``confidence`` is :math:`\Phi(|\mu_h| / \sigma_h)`, the probability of that sign for a normal residual.

    A model whose t statistic in the walk-forward test stays below ``min_skill_t`` says nothing at all.

    Parameters
    ----------
    config : MachineLearningEngine
        Features, windows and trees: ``policy.signal_routing_config.engines.machine_learning``.
    round_trip_cost : float or mapping of symbol to float
        Cost of buying and selling again, fraction of the traded value, ≥ 0.
    estimator : Estimator, optional
        Anything with ``fit(X, y)`` and ``predict(X)``, such as a scikit-learn regressor or pipeline. Gradient-boosted
        trees if omitted.
    source : str
        Name under which the signals are routed.

    Raises
    ------
    DataError
        If a cost is negative or not finite.
    SignalError
        If the estimator has no ``fit`` and ``predict``; if none is given and scikit-learn is not installed.

    Notes
    -----
    An estimator that raises, or answers with anything but one number a sample, says nothing about the symbols that it
    was asked about, until it is learnt again; the reason is logged and in `diagnostics`. No other engine is stopped.

    Every ``refit_every`` rows of the table, the model is learnt from the ``window`` rows before, from labels that are
    complete by then. The fit in force is a function of the table's rows up to its own; so the answer depends on the
    prices alone, not on when the engine was made or how often it was asked. Rows are cached from call to call, and a
    history that does not extend the one before is read afresh.

    With ``pooled``, all symbols are learnt together. Then a symbol's signals depend on the other columns as well.

    References
    ----------
    López de Prado (2018), "Advances in Financial Machine Learning", chapter 7 (purge and embargo).
    Gu, Kelly and Xiu (2020), "Empirical asset pricing via machine learning", *Review of Financial Studies* 33(5).

    Examples
    --------
    >>> from pmx.policy.schema import MachineLearningEngine
    >>> rng = np.random.default_rng(1)
    >>> returns = np.zeros(800)
    >>> for bar in range(1, 800):       # a large move is half undone on the next bar
    ...     last = returns[bar - 1]
    ...     returns[bar] = (-0.5 * last if abs(last) > 0.01 else 0.0) + rng.normal(0.0, 0.01)
    >>> dates = pd.bdate_range("2020-01-01", periods=800)
    >>> prices = pd.DataFrame({"JUMPY": 100.0 * np.exp(np.cumsum(returns))}, index=dates)
    >>> config = MachineLearningEngine(horizon=1, window=700, min_observations=400, refit_every=50)
    >>> engine = MachineLearningSecondary(config, round_trip_cost=0.0)
    >>> signal = engine.signals(prices.iloc[: int(np.argmax(returns[751:])) + 752])[0]
    >>> signal.symbol, signal.direction, signal.confidence > 0.6
    ('JUMPY', -1, True)
    """

    @checked(elsewhere=["estimator"])
    def __init__(
        self,
        config: MachineLearningEngine,
        *,
        round_trip_cost: float | Mapping[str, float],
        estimator: Estimator | None = None,
        source: str = "ml_secondary",
    ) -> None:
        self._config = config
        self._source = source
        self._round_trip = RoundTripCosts(round_trip_cost)
        self._estimator = boosted_trees(config) if estimator is None else checked_estimator(estimator)
        self._history = GrowingHistory()
        self._start(pd.Index([]))
        self._verdicts: list[_Verdict] = []

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._source

    @property
    def horizon(self) -> int:
        """Return the bars that a forecast covers."""
        return self._config.horizon

    @checked
    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the signals known at the last row of ``prices``.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row), its index dates; NaN where there is none.

        Returns
        -------
        list of Signal
            In the order of the columns, for symbols that have a close now and a model that has shown skill;
            `diagnostics` says why the others have none.

        Raises
        ------
        DataError
            If the table is malformed (see `GrowingHistory`), or a symbol has no round-trip cost. Nothing is
            remembered then.
        """
        self._read(prices)
        self._verdicts = [_Verdict("no close today")] * len(self._bars)
        signals: list[Signal] = []
        for members in self._groups():
            signals += self._ask(members, self._learnt_by(members))
        order = {symbol: place for place, symbol in enumerate(self._history.columns)}
        return sorted(signals, key=lambda signal: order[signal.symbol])

    @property
    def diagnostics(self) -> pd.DataFrame:
        """Return what the last call to `signals` made of each symbol.

        Returns
        -------
        DataFrame by symbol
            Columns ``status`` ("signal", or why there is none), ``samples`` (learnt from), ``skill_t``, ``slope`` and
            ``directional_accuracy`` of the walk-forward test, ``expected_return`` and ``volatility`` (log return over
            the horizon).
        """
        rows = []
        for verdict in self._verdicts:
            skill, samples = (NO_SKILL, 0) if verdict.learnt is None else (verdict.learnt.skill, verdict.learnt.samples)
            shown = skill.t_statistic, skill.slope, skill.directional_accuracy
            rows.append((verdict.status, samples, *shown, verdict.mean, verdict.volatility))
        columns = ("status", "samples", "skill_t", "slope", "directional_accuracy", "expected_return", "volatility")
        symbols = self._history.columns[: len(rows)]
        return pd.DataFrame(rows, index=pd.Index(symbols, name="symbol"), columns=columns)

    def _start(self, columns: pd.Index) -> None:
        self._bars = [SymbolBars(self._config.lags) for _ in columns]
        self._learnt: dict[tuple[int, ...], Learnt] = {}
        self._complaints: dict[tuple[int, ...], str] = {}
        self._costs = self._round_trip.of(columns)

    def _read(self, prices: pd.DataFrame) -> None:
        try:
            first, block = self._history.read(prices)
            if first == 0:
                self._start(prices.columns)
        except DataError:
            self._history, self._bars, self._verdicts = GrowingHistory(), [], []
            raise
        for row, closes in enumerate(block.tolist(), start=first):
            date = prices.index[row]
            for bars, close in zip(self._bars, closes, strict=True):
                bars.push(row, close, date)

    def _groups(self) -> list[tuple[int, ...]]:
        """Return which columns are learnt together."""
        places = tuple(range(len(self._bars)))
        return [places] if self._config.pooled else [(place,) for place in places]

    def _learnt_by(self, members: tuple[int, ...]) -> Learnt:
        """Return the fit in force: that of the last row of the schedule."""
        row = (self._history.rows - 1) // self._config.refit_every * self._config.refit_every
        learnt = self._learnt.get(members)
        if learnt is None or learnt.row != row:
            learnt = self._learnt[members] = self._learn(members, row)
        return learnt

    def _learn(self, members: tuple[int, ...], row: int) -> Learnt:
        config = self._config
        features, label, start, end = self._samples(members, row)
        days = len(np.unique(start))
        if days < config.min_observations:
            silence = f"too few observations: {days} days with a label, {config.min_observations} needed"
            return Learnt(row, len(label), NO_SKILL, silence, None)

        def fit_predict(X: FloatArray, y: FloatArray, others: FloatArray) -> FloatArray:
            answer = predictions(fitted(self._estimator, X, y), others)
            if not np.isfinite(answer).all():
                raise SignalError(
                    f"estimator {type(self._estimator).__name__} predicted a number that is not finite in its "
                    "walk-forward test; repair the model"
                )
            return answer

        try:
            skill = walk_forward_skill(
                fit_predict,
                features,
                label,
                start,
                end,
                folds=config.folds,
                embargo=config.embargo,
                horizon=config.horizon,
            )
            if not (skill.t_statistic >= config.min_skill_t and skill.residual_volatility > 0.0):
                silence = f"no skill out of sample: t {skill.t_statistic:.2f}, {config.min_skill_t:.2f} needed"
                return Learnt(row, len(label), skill, silence, None)
            return Learnt(row, len(label), skill, "", fitted(self._estimator, features, label))
        except SignalError as error:
            return Learnt(row, len(label), NO_SKILL, self._told(members, error), None)

    def _samples(self, members: tuple[int, ...], row: int) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
        """Return features, labels, and first and last rows of the labels, as known at a row; in order of time."""
        config = self._config
        found = []
        for place in members:
            bars = self._bars[place]
            for bar in labelled_bars(bars, row - config.window, row, config.horizon):
                span = bars.rows[bar], bars.rows[bar + config.horizon]
                found.append((*span, place, bars.label(bar, config.horizon), bars.features[bar]))
        found.sort(key=lambda sample: (sample[0], sample[2]))
        features = np.array([sample[4] for sample in found], dtype=np.float64)
        label = np.array([sample[3] for sample in found], dtype=np.float64)
        start, end = (np.array([sample[i] for sample in found], dtype=np.intp) for i in (0, 1))
        return features, label, start, end

    def _ask(self, members: tuple[int, ...], learnt: Learnt) -> list[Signal]:
        """Return the signals of one group, and note why there are no others."""
        now = self._history.rows - 1
        present = [place for place in members if self._bars[place].rows[-1:] == [now]]
        silence = dict.fromkeys(present, learnt.silence)
        for place in present:
            if self._bars[place].features[-1] is None:
                silence[place] = silence[place] or "too few closes, or none that moved"
        asked = [place for place in present if not silence[place]]
        forecast = dict[int, float]()
        if asked and learnt.model is not None:
            features = np.array([self._bars[place].features[-1] for place in asked], dtype=np.float64)
            try:
                forecast = dict(zip(asked, predictions(learnt.model, features).tolist(), strict=True))
            except SignalError as error:
                silence |= dict.fromkeys(asked, self._told(members, error))
        signals = []
        for place in present:
            if place in forecast and not math.isfinite(forecast[place]):
                silence[place] = "the model predicted a number that is not finite"
            if silence[place]:
                self._verdicts[place] = _Verdict(silence[place], learnt)
            else:
                signals.append(self._judge(place, forecast[place], learnt))
        return signals

    def _told(self, members: tuple[int, ...], error: SignalError) -> str:
        """Log why the estimator silences some symbols, unless that was the last thing said of them; return it."""
        reason = str(error)
        if self._complaints.get(members) != reason:
            self._complaints[members] = reason
            symbols = ", ".join(str(self._history.columns[place]) for place in members)
            _LOG.warning("%s is silent on %s: %s", self._source, symbols, reason)
        return reason

    def _judge(self, place: int, predicted: float, learnt: Learnt) -> Signal:
        skill, horizon = learnt.skill, self._config.horizon
        unit = self._bars[place].volatilities[-1] * math.sqrt(horizon)
        mean, volatility = skill.shrinkage * predicted * unit, skill.residual_volatility * unit
        self._verdicts[place] = _Verdict("signal", learnt, mean, volatility)
        return edge_signal(
            str(self._history.columns[place]),
            mean,
            volatility,
            confidence=0.5 * math.erfc(-abs(mean) / volatility / math.sqrt(2.0)),
            cost=self._costs[place],
            horizon=horizon,
            source=self._source,
        )
