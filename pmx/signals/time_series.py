"""The first engine: an autoregressive mean and a GARCH-type volatility for each symbol."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.errors import DataError
from pmx.risk import BadFit, EwmaVariance, VarianceProcess, fit_arch, out_of_range
from pmx.signals.types import Signal

if TYPE_CHECKING:
    from pmx.policy.schema import TimeSeriesEngine

FloatArray = npt.NDArray[np.float64]

#: Decay of the variance that stands in for a bad fit (RiskMetrics).
EWMA_DECAY = 0.94
#: Bars in a year, to which the edge is scaled in `Signal.strength`.
BARS_PER_YEAR = 252.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Hold the predictive distribution of one symbol's log return over the horizon.

    Parameters
    ----------
    mean : float
        Expected log return over the horizon.
    volatility : float
        Standard deviation of the log return over the horizon.
    degrees_of_freedom : float
        Of its Student t distribution; infinite for the normal.
    model : str
        Variance model that was used; "EWMA" if the fitted one could not be.
    fallback_reason : str
        Why it is "EWMA"; empty otherwise.

    Examples
    --------
    >>> outlook = Outlook(0.01, 0.02, degrees_of_freedom=math.inf, model="GARCH", fallback_reason="")
    >>> round(outlook.confidence, 4)
    0.6915
    """

    mean: float
    volatility: float
    degrees_of_freedom: float
    model: str
    fallback_reason: str

    @property
    def confidence(self) -> float:
        """Return the probability that the return over the horizon has the sign of its mean, in [0.5, 1]."""
        score = abs(self.mean) / self.volatility
        if math.isinf(self.degrees_of_freedom):
            return 0.5 * math.erfc(-score / math.sqrt(2.0))
        from scipy.special import stdtr

        # Student t with unit variance
        stretch = math.sqrt(self.degrees_of_freedom / (self.degrees_of_freedom - 2.0))
        return float(stdtr(self.degrees_of_freedom, score * stretch))


class TimeSeriesCore:
    r"""Give signals from an AR mean and a GARCH-type variance of each symbol's log returns.

    With :math:`r_t = c + \sum_i \varphi_i r_{t-i} + e_t`, horizon h and variance forecasts
    :math:`E[e_{t+j}^2]`, the return over the horizon, :math:`R_h = \sum_{j=1}^h r_{t+j}`, has

    .. math::

        \mu_h = E[R_h], \qquad
        \sigma_h^2 = \sum_{j=1}^{h} \Big(\sum_{k=0}^{h-j} \psi_k\Big)^2 E[e_{t+j}^2],

    where :math:`\psi_k` is the response of the return to a shock k bars ago. Both are exact for the fitted
    model. With the round-trip cost κ,

    - ``direction`` is the sign of :math:`\mu_h` if :math:`|\mu_h| > \kappa`, else 0 (HOLD);
    - ``edge_score`` is direction · (|μ_h| − κ) / σ_h;
    - ``strength`` is tanh(|edge_score| · √(252 / h)): an edge worth an annual Sharpe ratio of 1 gives 0.76;
    - ``confidence`` is the probability that :math:`R_h` has the sign of :math:`\mu_h`.

    Parameters
    ----------
    config : TimeSeriesEngine
        Model, horizon and windows: ``policy.signal_routing_config.engines.time_series``.
    round_trip_cost : float or mapping of symbol to float
        Cost of buying and selling again, fraction of the traded value, ≥ 0.
    source : str
        Name under which the signals are routed.

    Raises
    ------
    DataError
        If a cost is negative or not finite.

    Notes
    -----
    A symbol's bars are the rows on which it has a price; a return across a gap starts from the last known
    price. The model is fitted at the symbol's bar ``min_observations`` and every ``refit_every`` bars of its
    own after that, on the trailing ``window`` of returns, and its parameters are frozen in between. So the
    answer depends on the prices alone, not on when the engine was made or how often it was asked: rows are
    cached from call to call, and a history that does not extend the one before (other columns, an earlier
    end, another last row) is read afresh. Earlier rows are trusted not to change between calls.

    A fit that cannot be used (see `pmx.risk.fit_arch`; also an explosive mean, or a variance out of range)
    gives way to the exponentially weighted variance, with an AR mean by least squares, or zero mean if that
    explodes.

    The sum of h Student t shocks is no Student t: the confidence uses the one whose excess kurtosis is that
    of h independent shocks, with ν_h = ν + (h − 1) · max(ν − 4, 0) degrees of freedom.

    References
    ----------
    Tsay (2010), "Analysis of Financial Time Series", sections 2.4 (AR forecasts) and 3.5 (GARCH).

    Examples
    --------
    >>> from pmx.policy.schema import TimeSeriesEngine
    >>> rng = np.random.default_rng(0)
    >>> closes = 100.0 * np.exp(np.cumsum(rng.normal(0.002, 0.01, size=300)))
    >>> prices = pd.DataFrame({"UP": closes}, index=pd.bdate_range("2020-01-01", periods=300))
    >>> engine = TimeSeriesCore(TimeSeriesEngine(min_observations=250), round_trip_cost=0.0004)
    >>> signal = engine.signals(prices)[0]
    >>> signal.symbol, signal.direction
    ('UP', 1)
    """

    def __init__(
        self,
        config: TimeSeriesEngine,
        *,
        round_trip_cost: float | Mapping[str, float],
        source: str = "time_series_core",
    ) -> None:
        self._config = config
        self._source = source
        self._cost = round_trip_cost
        costs = round_trip_cost if isinstance(round_trip_cost, Mapping) else {"every symbol": round_trip_cost}
        for symbol, cost in costs.items():
            if not 0.0 <= cost < math.inf:
                raise DataError(f"round-trip cost of {symbol} is {cost!r}; give a finite fraction ≥ 0")
        self._forget()
        self._rows: list[tuple[object, ...]] = []

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._source

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the signals known at the last row of ``prices``.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row); NaN where there is none.

        Returns
        -------
        list of Signal
            In the order of the columns, one for each symbol that has a price now and a model; `diagnostics`
            says why the others have none.

        Raises
        ------
        DataError
            If there is no row, dates or symbols repeat or dates are out of order, a price is zero, negative
            or infinite (named by symbol and date), or a symbol has no round-trip cost. Nothing is remembered
            then.
        """
        self._read(prices)
        self._rows = []
        signals = []
        for symbol, model, cost in zip(self._columns, self._models, self._costs, strict=True):
            signal, row = self._judge(symbol, model, cost)
            self._rows.append(row)
            if signal is not None:
                signals.append(signal)
        return signals

    @property
    def diagnostics(self) -> pd.DataFrame:
        """Return what the last call to `signals` made of each symbol.

        Returns
        -------
        DataFrame by symbol
            Columns ``status`` ("signal", or why there is none), ``model``, ``fallback_reason``,
            ``observations`` (returns so far), ``expected_return`` and ``volatility`` (log return over the
            horizon), ``round_trip_cost``.
        """
        columns = (
            "status",
            "model",
            "fallback_reason",
            "observations",
            "expected_return",
            "volatility",
            "round_trip_cost",
        )
        return pd.DataFrame(self._rows, index=pd.Index(self._columns, name="symbol"), columns=columns)

    def _judge(self, symbol: str, model: _SymbolModel, cost: float) -> tuple[Signal | None, tuple[object, ...]]:
        """Return the symbol's signal, if it has one, and its row of the diagnostics."""
        seen = model.observations
        if not model.priced:
            return None, ("no price today", "", "", seen, math.nan, math.nan, cost)
        outlook = model.outlook()
        if outlook is None:
            status = f"too few observations: {seen} returns, {self._config.min_observations} needed"
            return None, (status, "", "", seen, math.nan, math.nan, cost)
        facts = outlook.model, outlook.fallback_reason, seen, outlook.mean, outlook.volatility, cost
        if not outlook.volatility > 0.0:
            return None, ("no variation", *facts)
        gain = abs(outlook.mean) - cost
        direction = (1 if outlook.mean > 0.0 else -1) if gain > 0.0 else 0
        edge = direction * gain / outlook.volatility
        signal = Signal(
            symbol=symbol,
            direction=direction,
            strength=math.tanh(abs(edge) * math.sqrt(BARS_PER_YEAR / self._config.horizon)),
            edge_score=edge,
            confidence=outlook.confidence,
            source=self._source,
        )
        return signal, ("signal", *facts)

    def _forget(self) -> None:
        self._columns: pd.Index = pd.Index([], dtype=object)
        self._models: list[_SymbolModel] = []
        self._costs: list[float] = []
        self._seen = 0
        self._last_date: object = None
        self._last_row: FloatArray = np.empty(0)

    def _read(self, prices: pd.DataFrame) -> None:
        """Bring every symbol's model up to the last row."""
        if not len(prices):
            raise DataError("prices have no row; give closes up to now")
        tail = prices.iloc[max(self._seen - 1, 0) :]
        block = _numbers(tail)
        if not self._continues(prices, block):
            self._forget()
            tail, block = prices, _numbers(prices)
        try:
            _check_prices(tail, block)
            if self._seen:
                for row in block[1:].tolist():
                    for model, close in zip(self._models, row, strict=True):
                        model.push(close)
            else:
                self._start(prices.columns, block)
        except BaseException:
            self._forget()  # a half-read history must not be continued
            raise
        self._seen = len(prices)
        self._last_date = prices.index[-1]
        self._last_row = block[-1].copy()

    def _continues(self, prices: pd.DataFrame, block: FloatArray) -> bool:
        """Say whether ``prices`` extends what was read; ``block`` begins at the row that was the last."""
        return (
            0 < self._seen <= len(prices)
            and (prices.columns is self._columns or prices.columns.equals(self._columns))
            and prices.index[self._seen - 1] == self._last_date
            and np.array_equal(block[0], self._last_row, equal_nan=True)
        )

    def _start(self, columns: pd.Index, block: FloatArray) -> None:
        if not columns.is_unique:
            raise DataError(f"symbol {columns[columns.duplicated()][0]!r} has two columns; give each symbol one")
        for position, symbol in enumerate(columns):
            cost = self._cost
            if isinstance(cost, Mapping):
                if symbol not in cost:
                    raise DataError(f"no round-trip cost for {symbol!r}; add it to round_trip_cost")
                cost = cost[symbol]
            self._costs.append(float(cost))
            self._models.append(_SymbolModel(self._config, block[:, position]))
        self._columns = columns


class _SymbolModel:
    """One symbol's log returns, AR mean and variance, brought forward one close at a time.

    Everything after a fit is computed by scalar steps, so that a history read at once and one read row by row
    give the same numbers bit for bit.
    """

    def __init__(self, config: TimeSeriesEngine, closes: FloatArray) -> None:
        self._config = config
        self._returns: deque[float] = deque(maxlen=config.window)
        self._process: VarianceProcess | None = None
        self._problem = ""
        self._next_variance = self._sample_volatility = math.nan
        self._ewma = EwmaVariance(EWMA_DECAY)
        self._fitted = False
        own = closes[~np.isnan(closes)].tolist()
        # Of a long history only the window of the last fit, and what came after it, is needed.
        past_first = len(own) - 1 - config.min_observations
        self._earliest_fit = len(own) - 1 - past_first % config.refit_every if past_first >= 0 else 0
        begin = max(0, (self._earliest_fit or len(own)) - config.window)
        self.observations = begin
        self._last_close = math.nan
        for close in own[begin:]:
            self.push(close)
        self.priced = not math.isnan(closes[-1])

    def push(self, close: float) -> None:
        """Take in one row's close, NaN where there is none."""
        self.priced = not math.isnan(close)
        if not self.priced:
            return
        previous, self._last_close = self._last_close, close
        if math.isnan(previous):
            return
        value = math.log(close / previous)
        if self._fitted:
            self._advance(value - self._next_mean())
        self._returns.append(value)
        self.observations += 1
        past_first = self.observations - self._config.min_observations
        due = past_first >= 0 and past_first % self._config.refit_every == 0
        if due and self.observations >= self._earliest_fit:
            self._refit()

    def _next_mean(self) -> float:
        mean = self._constant
        for lag, coefficient in enumerate(self._ar, start=1):
            mean += coefficient * self._returns[-lag]
        return mean

    def _advance(self, residual: float) -> None:
        self._ewma.update(residual)
        if self._process is not None:
            self._next_variance = self._process.step(self._next_variance, residual)

    def _refit(self) -> None:
        config, lags = self._config, self._config.lags
        returns = np.array(self._returns)
        fit = fit_arch(returns, config.volatility, config.distribution, lags)
        if not isinstance(fit, BadFit) and _explosive(fit.mean[1:]):
            fit = BadFit("explosive mean")
        if isinstance(fit, BadFit):
            self._process, self._problem = None, fit.reason
            mean, shape = _least_squares_mean(returns, lags), math.inf
        else:
            self._process, self._problem = fit.process, ""
            self._next_variance, self._sample_volatility = fit.next_variance, fit.residual_volatility
            mean, shape = fit.mean, fit.degrees_of_freedom
        self._constant, self._ar = mean[0], mean[1:]
        self._shape = shape
        if config.horizon > 1:
            self._shape += (config.horizon - 1) * max(shape - 4.0, 0.0)
        past = np.lib.stride_tricks.sliding_window_view(returns, lags)[:-1, ::-1]
        residuals = returns[lags:] - self._constant - past @ np.array(self._ar)
        self._ewma = EwmaVariance(EWMA_DECAY)
        for residual in residuals.tolist():
            self._ewma.update(residual)
        self._mean_weights = _horizon_mean_weights(mean, config.horizon)
        self._variance_weights = _horizon_variance_weights(self._ar, config.horizon)
        self._fitted = True

    def outlook(self) -> Outlook | None:
        """Return the distribution of the return over the horizon; None before the first fit."""
        if not self._fitted:
            return None
        constant, *slopes = self._mean_weights
        mean = constant
        for lag, slope in enumerate(slopes, start=1):
            mean += slope * self._returns[-lag]
        horizon, reason = self._config.horizon, self._problem
        if self._process is not None:
            variances = self._process.path(self._next_variance, horizon)
            reason = out_of_range(variances, self._sample_volatility)
            if not reason:
                volatility = math.sqrt(variances @ self._variance_weights)
                return Outlook(mean, volatility, self._shape, self._process.model, "")
        volatility = math.sqrt(self._ewma.variance * self._variance_weights.sum())
        return Outlook(mean, volatility, math.inf, "EWMA", reason)


def _numbers(prices: pd.DataFrame) -> FloatArray:
    try:
        return prices.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"prices hold something that is not a number ({error}); give closes or NaN") from error


def _check_prices(prices: pd.DataFrame, block: FloatArray) -> None:
    """Raise a DataError naming what is wrong with the dates or with a price."""
    if not (prices.index.is_monotonic_increasing and prices.index.is_unique):
        step = next(i for i in range(1, len(prices)) if not prices.index[i] > prices.index[i - 1])
        raise DataError(
            f"prices: row {prices.index[step]} follows {prices.index[step - 1]}; sort the dates and drop repeats"
        )
    bad = ~(np.isnan(block) | ((block > 0.0) & (block < np.inf)))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(
            f"price of {prices.columns[column]!r} on {prices.index[row]} is {float(block[row, column])!r}; "
            "it must be finite and positive, or NaN where there is none"
        )


def _explosive(ar: tuple[float, ...]) -> bool:
    """Say whether a root of the AR polynomial lies on or inside the unit circle."""
    return bool(np.abs(np.roots([1.0, *(-a for a in ar)])).max(initial=0.0) >= 1.0)


def _least_squares_mean(returns: FloatArray, lags: int) -> tuple[float, ...]:
    """Return constant and AR coefficients by least squares; zeros if they explode."""
    past = np.lib.stride_tricks.sliding_window_view(returns, lags)[:-1, ::-1]
    design = np.column_stack([np.ones(len(past)), past])
    mean = tuple(np.linalg.lstsq(design, returns[lags:], rcond=None)[0].tolist())
    return (0.0,) * (lags + 1) if _explosive(mean[1:]) else mean


def _horizon_mean_weights(mean: tuple[float, ...], horizon: int) -> tuple[float, ...]:
    """Return a constant and weights on the last returns (latest first) that give the expected sum."""
    constant, ar = mean[0], np.array(mean[1:])
    # column 0: contribution of the constant; column i: of the return i bars ago
    past = np.eye(len(ar), len(ar) + 1, k=1)
    total = np.zeros(len(ar) + 1)
    for _ in range(horizon):
        following = ar @ past
        following[0] += constant
        total += following
        past = np.vstack([following, past[:-1]])
    return tuple(total.tolist())


def _horizon_variance_weights(ar: tuple[float, ...], horizon: int) -> FloatArray:
    """Return the weight of each bar's shock variance in the variance of the sum, shape (horizon,)."""
    response = [1.0]
    for k in range(1, horizon):
        response.append(sum(a * response[k - lag] for lag, a in enumerate(ar, start=1) if lag <= k))
    return np.cumsum(response)[::-1] ** 2
