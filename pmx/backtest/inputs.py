"""What a backtest is given, checked before its first day and brought into the shape of its prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.data.layout import refuse_other_layouts
from pmx.data.long_table import WEIGHTS
from pmx.errors import DataError
from pmx.execution import CostModel
from pmx.policy import CASH, Policy
from pmx.policy.admission import lists_hold, not_admitted
from pmx.policy.symbols import symbols_as_text
from pmx.policy.units import check_cost
from pmx.projection import by_position

Array = NDArray[np.float64]


def day(date: Any) -> str:
    """Return a date for a message: without the time of day where there is none."""
    return str(date.date()) if isinstance(date, pd.Timestamp) and date == date.normalize() else str(date)


def row_range(dates: pd.DatetimeIndex, start: Any, end: Any) -> range:
    """Return the rows from ``start`` to ``end``, both included.

    Raises
    ------
    DataError
        When one of them is not a date, or there is no row between them.
    """
    try:
        first = 0 if start is None else int(dates.searchsorted(pd.Timestamp(start), side="left"))
        last = len(dates) if end is None else int(dates.searchsorted(pd.Timestamp(end), side="right"))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"start {start!r} and end {end!r} must be dates without a time zone, such as 2020-01-31"
        ) from error
    if first >= last:
        raise DataError(
            f"there are no prices between {start or 'the start'} and {end or 'the end'}; they run from "
            f"{day(dates[0])} to {day(dates[-1])}"
        )
    return range(first, last)


def target_frame(targets: pd.DataFrame, policy: Policy, prices: pd.DataFrame) -> pd.DataFrame:
    """Return the wishes by (bucket, symbol), without gaps.

    Where a target is missing and its symbol has no price, the symbol's last target stands until it counts as delisted;
    before its first price and after that it is 0.

    Raises
    ------
    DataError
        When a date has no prices or comes twice, a symbol has no price column or comes twice, there is no symbol, or a
        target is infinite, no number, or missing though there is a price.
    """
    refuse_other_layouts(targets, "targets", WEIGHTS)
    targets = targets.set_axis(symbols_as_text(targets.columns, "targets"), axis=1)
    late = targets.index.difference(prices.index)
    if len(late):
        raise DataError(f"targets has a row for {day(late[0])}, on which there are no prices; drop it or move it")
    for labels, what in ((targets.index, "row"), (targets.columns, "column")):
        if labels.has_duplicates:
            raise DataError(f"targets has two {what}s for {day(labels[labels.duplicated()][0])}; keep one")
    try:
        frame = targets.astype("float64").sort_index()
    except (ValueError, TypeError) as error:
        raise DataError(f"targets holds something that is not a number ({error}); repair it") from error
    if frame.columns.nlevels == 1:
        frame = frame.drop(columns=CASH, errors="ignore")
    symbols = list(frame.columns.get_level_values(-1))
    if not symbols:
        raise DataError("targets has no column; give one for each symbol, or leave targets out")
    for symbol in symbols:
        if symbol not in prices.columns:
            raise DataError(f"targets wishes for {symbol}, which has no price column; add its prices or drop it")
    if frame.columns.nlevels == 1:
        frame.columns = by_position(pd.Series(0.0, index=frame.columns), policy)[0].index
    quoted = prices[symbols].set_axis(frame.columns, axis=1)
    _refuse(frame, quoted.loc[frame.index], "targets", -np.inf, "a finite fraction of NAV, 0 to hold nothing")
    _refuse_not_admitted(frame, policy)
    patience = policy.execution.max_stale_bars
    listed = (quoted.ffill(limit=patience) if patience else quoted).notna().loc[frame.index]
    return frame.fillna(frame.ffill().where(listed)).fillna(0.0)


def _refuse_not_admitted(frame: pd.DataFrame, policy: Policy) -> None:
    """Raise at the first target of a position that its bucket does not admit."""
    if not lists_hold(policy):
        return
    positions: list[Any] = frame.columns.tolist()
    for k, (bucket, symbol) in enumerate(positions):
        asked = np.flatnonzero(frame.iloc[:, k].fillna(0.0).to_numpy())
        if len(asked) and bucket in policy.risk_buckets.buckets:
            reason = not_admitted(policy, bucket, symbol)
            if reason is not None:
                raise DataError(f"target of {bucket}/{symbol} on {day(frame.index[asked[0]])}: {reason}")


def cost_model(costs: CostModel | float | None, policy: Policy) -> CostModel:
    """Return what trading costs: as given, one rate for all symbols, or else the policy's.

    Raises
    ------
    DataError
        When a single rate is negative or not finite.
    """
    if isinstance(costs, CostModel):
        return costs
    if costs is None:
        return CostModel.from_policy(policy)
    if not np.isfinite(costs) or costs < 0:
        raise DataError(f"costs is {costs}; give a non-negative fraction of the traded value, or a CostModel")
    check_cost(costs)
    return CostModel(1e4 * float(costs), 0.0)


def interest_rates(cash_rate: pd.Series | None, dates: pd.DatetimeIndex, first: int) -> Array:
    """Return what cash earns from the close before to each close, fraction, shape (n_dates,).

    The rate that was known at the close before, times the calendar days since; 0 up to row ``first``.

    Raises
    ------
    DataError
        When a rate is not finite, a date comes twice, or the first rate comes after row ``first``.
    """
    if cash_rate is None:
        return np.zeros(len(dates))
    values = cash_rate.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        where = cash_rate.index[int(np.argmin(np.isfinite(values)))]
        raise DataError(f"cash_rate on {day(where)} is not finite; drop the row or repair it")
    if cash_rate.index.has_duplicates:
        raise DataError(f"cash_rate has two rows for {day(cash_rate.index[cash_rate.index.duplicated()][0])}; keep one")
    known = cash_rate.sort_index().reindex(dates, method="ffill").to_numpy(dtype=np.float64)
    if np.isnan(known[first]):
        raise DataError(
            f"cash_rate starts on {day(cash_rate.index.min())}, after the first close; extend it back to "
            f"{day(dates[first])}"
        )
    days = np.diff(dates.normalize()) / np.timedelta64(1, "D")
    rates = np.concatenate([[0.0], known[:-1] * days])
    rates[: first + 1] = 0.0
    return rates


def traded_values(adv: pd.DataFrame | None, prices: pd.DataFrame, rows: range) -> pd.DataFrame | None:
    """Return the traded value of each symbol on each date; 0 where it is missing and there is no price either.

    Raises
    ------
    DataError
        When a date of the run or a symbol is missing, or a value is negative, infinite, or missing though there is a
        price.
    """
    if adv is None:
        return None
    adv = adv.set_axis(symbols_as_text(adv.columns, "adv"), axis=1)
    dates = prices.index[rows.start : rows.stop]
    remedy = "its average daily value traded, in base currency"
    for labels, wanted, what in ((adv.columns, prices.columns, "column"), (adv.index, dates, "row")):
        missing = wanted.difference(labels)
        if len(missing):
            raise DataError(f"adv has no {what} for {day(missing[0])}; give {remedy}")
    table = adv.loc[dates, prices.columns].astype("float64")
    _refuse(table, prices.loc[dates], "adv", 0.0, remedy)
    return table.fillna(0.0)


def _refuse(table: pd.DataFrame, prices: pd.DataFrame, name: str, least: float, remedy: str) -> None:
    """Raise at the first cell that is infinite, too small, or missing though there is a price."""
    values = table.to_numpy(dtype=np.float64)
    bad = np.isinf(values) | (values < least) | (np.isnan(values) & prices.notna().to_numpy())
    if bad.any():
        row, column = np.argwhere(bad)[0]
        label = table.columns[column]
        symbol = label[1] if isinstance(label, tuple) else label
        raise DataError(f"{name} of {symbol} on {day(table.index[row])} is {values[row, column]}; give {remedy}")
