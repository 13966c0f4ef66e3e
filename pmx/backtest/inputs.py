"""What a backtest is given, checked before its first day and brought into the shape of its prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments.misfit import Misfit
from pmx.arguments.numbers import read_number
from pmx.arguments.tables import read_table
from pmx.backtest.effective import effective
from pmx.data.by_date import LARGEST_DAILY_RATE, NOT_A_DAILY_RATE, check_cash_rate, warn_of_cash_rate
from pmx.data.dates import day, moment, on_the_clock_of
from pmx.data.layout import refuse_other_layouts
from pmx.data.long_table import VOLUMES, WEIGHTS
from pmx.data.sessions import missed_by_row
from pmx.errors import DataError
from pmx.execution import CostModel
from pmx.policy import CASH, Policy
from pmx.policy.admission import lists_hold, not_admitted
from pmx.policy.problem import near
from pmx.policy.symbols import symbols_as_text
from pmx.policy.units import check_cost
from pmx.projection import by_position

Array = NDArray[np.float64]


def row_range(dates: pd.DatetimeIndex, start: Any, end: Any) -> range:
    """Return the rows from ``start`` to ``end``, both included.

    Raises
    ------
    DataError
        When one of them is not a date, or there is no row between them.
    """
    first = 0 if start is None else int(dates.searchsorted(moment(start, "start"), side="left"))
    last = len(dates) if end is None else int(dates.searchsorted(moment(end, "end"), side="right"))
    if first >= last:
        raise DataError(
            f"there are no prices between {start or 'the start'} and {end or 'the end'}; they run from "
            f"{day(dates[0])} to {day(dates[-1])}"
        )
    return range(first, last)


def target_frame(targets: pd.DataFrame, policy: Policy, prices: pd.DataFrame, zone: Any = None) -> pd.DataFrame:
    """Return the wishes by (bucket, symbol) and by the close at which they take effect, without gaps.

    That is the close of their date or, where there are no prices on it, the next one. ``zone`` is the time zone in
    which the prices came.

    Where a target is missing and its symbol has no price, the symbol's last target stands until it counts as delisted;
    before its first price and after that it is 0.

    Raises
    ------
    DataError
        When a label is no date or comes twice, a symbol has no price column or comes twice, there is no symbol, or a
        target is infinite, no number, or missing though there is a price.
    """
    refuse_other_layouts(targets, "targets", WEIGHTS)
    dates = pd.DatetimeIndex(prices.index)
    targets = on_the_clock_of(targets, "targets", dates, zone)
    targets = targets.set_axis(symbols_as_text(targets.columns, "targets"), axis=1)
    if targets.columns.has_duplicates:
        twice = targets.columns[targets.columns.duplicated()][0]
        raise DataError(f"targets has two columns for {twice}; keep one")
    try:
        frame = effective(targets.astype("float64"), dates)
    except (ValueError, TypeError) as error:
        raise DataError(f"targets holds something that is not a number ({error}); repair it") from error
    if frame.columns.nlevels == 1:
        frame = frame.drop(columns=CASH, errors="ignore")
    symbols = list(frame.columns.get_level_values(-1))
    if not symbols:
        raise DataError("targets has no column; give one for each symbol, or leave targets out")
    if frame.empty:
        raise DataError("targets has no row; give one for each date on which targets change, or leave targets out")
    for symbol in symbols:
        if symbol not in prices.columns:
            meant = near(str(symbol), [str(name) for name in prices.columns])
            hint = f"did you mean {meant}? Else " if meant is not None else ""
            raise DataError(f"targets wishes for {symbol}, which has no price column; {hint}add its prices or drop it")
    if frame.columns.nlevels == 1:
        frame.columns = by_position(pd.Series(0.0, index=frame.columns), policy)[0].index
    quoted = prices[symbols].set_axis(frame.columns, axis=1)
    _refuse(frame, quoted.loc[frame.index], "targets", -np.inf, "a finite fraction of NAV, 0 to hold nothing")
    _refuse_not_admitted(frame, policy)
    if frame.isna().to_numpy().any():
        missed = missed_by_row(dates, quoted.to_numpy(dtype=np.float64))[dates.get_indexer(frame.index)]
        frame = frame.fillna(frame.ffill().where(missed <= policy.execution.listed_for)).fillna(0.0)
    return frame


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


def interest_rates(
    cash_rate: pd.Series | pd.DataFrame | float | None, dates: pd.DatetimeIndex, first: int, zone: Any = None
) -> Array:
    """Return what cash earns from the close before to each close, fraction, shape (n_dates,).

    The rate that was known at the close before, times the calendar days since; 0 up to row ``first``. A number is the
    rate of every day; ``zone`` is the time zone in which the prices came.

    Raises
    ------
    DataError
        When a rate cannot be that of a calendar day, a date is none or comes twice, or the first rate comes after row
        ``first``.
    """
    if cash_rate is None:
        return np.zeros(len(dates))
    cash_rate = _rate_by_date(cash_rate, dates, zone)
    known = cash_rate.reindex(dates, method="ffill").to_numpy(dtype=np.float64)
    if np.isnan(known[first]):
        raise DataError(
            f"cash_rate starts on {day(cash_rate.index.min())}, after the first close; extend it back to "
            f"{day(dates[first])}"
        )
    days = np.diff(dates.normalize()) / np.timedelta64(1, "D")
    rates = np.concatenate([[0.0], known[:-1] * days])
    rates[: first + 1] = 0.0
    return rates


def _rate_by_date(cash_rate: Any, dates: pd.DatetimeIndex, zone: Any) -> pd.Series:
    """Return the rate of a calendar day by the date from which on it holds."""
    try:
        rate = read_number(cash_rate, "cash_rate")
    except Misfit:
        pass
    else:
        if not abs(rate) <= LARGEST_DAILY_RATE:
            raise DataError(f"cash_rate {rate:g} {NOT_A_DAILY_RATE}")
        warn_of_cash_rate(rate)
        return pd.Series(rate, index=dates[:1])
    if isinstance(cash_rate, pd.DataFrame):
        if cash_rate.shape[1] != 1:
            raise DataError(f"cash_rate has {cash_rate.shape[1]} columns; give the rate alone, such as cash_rate['RF']")
        cash_rate = cash_rate.iloc[:, 0]
    if not isinstance(cash_rate, pd.Series) or cash_rate.empty:
        what = "empty" if isinstance(cash_rate, pd.Series) else f"a {type(cash_rate).__name__}"
        raise DataError(f"cash_rate is {what}; give a Series by date or a number, the simple rate of a calendar day")
    rates = on_the_clock_of(cash_rate, "cash_rate", dates, zone, as_known=True)
    if rates.dtype.kind not in "fiu":
        raise DataError(f"cash_rate holds {rates.dtype} values, not numbers; convert it to float")
    return check_cash_rate(rates.astype("float64"))


def traded_values(adv: pd.DataFrame | None, prices: pd.DataFrame, rows: range, zone: Any = None) -> pd.DataFrame | None:
    """Return the traded value of each symbol on each date; 0 where it is missing and there is no price either.

    Raises
    ------
    DataError
        When a date of the run or a symbol is missing, a symbol comes twice, or a value is no number, negative,
        infinite, or missing though there is a price.
    """
    if adv is None:
        return None
    refuse_other_layouts(adv, "adv", VOLUMES)
    adv = on_the_clock_of(adv, "adv", pd.DatetimeIndex(prices.index), zone)
    if adv.columns.nlevels > 1:
        raise DataError("adv has columns of several levels; give one column for each symbol")
    adv = adv.set_axis(symbols_as_text(adv.columns, "adv"), axis=1)
    if adv.columns.has_duplicates:
        raise DataError(f"adv has two columns for {adv.columns[adv.columns.duplicated()][0]}; keep one")
    dates = prices.index[rows.start : rows.stop]
    remedy = "its average daily value traded, in base currency"
    for labels, wanted, what in ((adv.columns, prices.columns, "column"), (adv.index, dates, "row")):
        missing = wanted.difference(labels)
        if len(missing):
            raise DataError(f"adv has no {what} for {day(missing[0])}; give {remedy}")
    table: pd.DataFrame = read_table(adv.loc[dates, prices.columns], "adv")
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
