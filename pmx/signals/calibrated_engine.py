"""An engine whose confidence is the share of such signals that came true."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from pmx.errors import SignalError
from pmx.signals.scoring.calibration import Calibration, fit_calibration
from pmx.signals.track_record import RowByRow, TrackRecord
from pmx.signals.types import Signal, SignalEngine

if TYPE_CHECKING:
    from pmx.policy.schema import CalibrationRule
    from pmx.signals.forecasting import ForecastBundle


class CalibratedEngine:
    """Wrap an engine and replace the confidence of its BUYs and SELLs by a calibrated one.

    The map from stated confidence to the share that came true is fitted to signals whose outcome is known, of all
    symbols together, and used on later ones only.

    Parameters
    ----------
    engine : SignalEngine
        Asked at every row, also at those before the first that it is given: the map must not depend on when it was
        begun.
    rule : CalibrationRule
        ``policy.signal_routing_config.calibration``; its method must not be ``none``.
    horizon : int
        Bars of a symbol from a signal to its outcome.

    Raises
    ------
    SignalError
        If the method is ``none``; when the first map is fitted, if scikit-learn is not installed.

    Notes
    -----
    A HOLD has no outcome to be right about; it stays as it is. So do all signals until ``min_outcomes`` separate
    outcomes are known, and while all or none of them were right. Outcomes of one symbol that begin less than a horizon
    apart share bars and are not separate: ten signals on ten days in a row, ten bars ahead, are little more than one.
    Those of different symbols count as separate, although symbols that move together are less than that. A calibrated
    confidence can lie below one half: the source is then wrong more often than not, and ``min_confidence`` drops it.

    Examples
    --------
    >>> import numpy as np
    >>> from pmx.policy.schema import CalibrationRule
    >>> class Sure:
    ...     source = "time_series_core"
    ...     def signals(self, prices):
    ...         return [Signal("SPY", 1, strength=1.0, edge_score=0.2, confidence=0.9, source=self.source)]
    >>> closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, 400)))
    >>> prices = pd.DataFrame({"SPY": closes}, index=pd.bdate_range("2020-01-01", periods=400))
    >>> engine = CalibratedEngine(Sure(), CalibrationRule(method="isotonic", min_outcomes=100), horizon=1)
    >>> 0.4 < engine.signals(prices)[0].confidence < 0.6
    True
    """

    def __init__(self, engine: SignalEngine, rule: CalibrationRule, *, horizon: int) -> None:
        if rule.method == "none":
            raise SignalError("calibration method is 'none'; leave the engine as it is, or name isotonic or platt")
        self._rows = RowByRow(engine)
        self._rule, self._method = rule, rule.method
        self._horizon = horizon
        self._forget()

    @property
    def source(self) -> str:
        """Return the name under which the signals are routed."""
        return self._rows.engine.source

    @property
    def horizon(self) -> int:
        """Return the bars of a symbol from a signal to its outcome."""
        return self._horizon

    @property
    def engine(self) -> SignalEngine:
        """Return the engine inside."""
        return self._rows.engine

    @property
    def calibration(self) -> Calibration | None:
        """Return the map that is in use; None before the first."""
        return self._calibration

    @property
    def as_stated(self) -> list[Signal]:
        """Return the signals of the last call to `signals` as the engine inside gave them."""
        return list(self._signals)

    @property
    def forecasts(self) -> Mapping[str, ForecastBundle]:
        """Return the forecasts of the engine inside, by symbol; none if it does not show any."""
        bundles: Mapping[str, ForecastBundle] = getattr(self.engine, "forecasts", {})
        return bundles

    @property
    def diagnostics(self) -> pd.DataFrame:
        """Return the diagnostics of the engine inside.

        Raises
        ------
        SignalError
            If it has none.
        """
        table: pd.DataFrame | None = getattr(self.engine, "diagnostics", None)
        if table is None:
            raise SignalError(f"engine {self.source!r} has no diagnostics; add them, or ask another engine")
        return table

    def signals(self, prices: pd.DataFrame) -> list[Signal]:
        """Return the engine's signals at the last row of ``prices``, calibrated.

        Parameters
        ----------
        prices : DataFrame, date × symbol
            Closes up to and including now (the last row); NaN where there is none.

        Raises
        ------
        DataError
            If the prices are malformed (see `GrowingHistory`). Nothing is remembered then.
        SignalError
            If scikit-learn is not installed.
        """
        self._rows.read(prices, self._forget, self._take_in)
        return [self._calibrated(signal) for signal in self._signals]

    def _forget(self) -> None:
        self._records: dict[str, TrackRecord] = {}
        self._outcomes: deque[tuple[float, bool, bool]] = deque(maxlen=self._rule.window)  # stated, right, separate
        self._bars_since: dict[str, int] = {}  # the last separate outcome
        self._calibration: Calibration | None = None
        self._signals: list[Signal] = []
        self._read = 0

    def _take_in(self, _: Any, closes: Mapping[str, float], signals: list[Signal]) -> None:
        said = {signal.symbol: signal for signal in signals}
        for symbol, close in closes.items():
            record = self._records.get(symbol)
            if record is None:
                record = self._records[symbol] = TrackRecord(self._horizon)
            record.add(close, said.get(symbol))
            self._bars_since[symbol] = self._bars_since.get(symbol, self._horizon) + 1
            known = record.latest
            if known is not None and known[0] * known[2] != 0.0:
                direction, confidence, total_return = known
                separate = self._bars_since[symbol] >= self._horizon
                if separate:
                    self._bars_since[symbol] = 0
                self._outcomes.append((confidence, direction * total_return > 0.0, separate))
        self._signals = signals
        self._read += 1
        if self._read % self._rule.refit_every == 0:
            self._refit()

    def _refit(self) -> None:
        n_separate = sum(separate for _, _, separate in self._outcomes)
        if n_separate < self._rule.min_outcomes:
            return
        stated, right, _ = zip(*self._outcomes, strict=True)
        if any(right) and not all(right):
            self._calibration = fit_calibration(stated, right, self._method, overlap=len(stated) / n_separate)

    def _calibrated(self, signal: Signal) -> Signal:
        if self._calibration is None or signal.direction == 0:
            return signal
        return replace(signal, confidence=float(self._calibration(signal.confidence)))
