"""Splits and cash dividends: read, and checked against the closes that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked
from pmx.data.dates import date_index
from pmx.data.long_table import long_columns, pivoted
from pmx.data.ratio_text import with_units
from pmx.data.wide_file import read_wide
from pmx.data.written_dates import dates
from pmx.errors import DataError, warn
from pmx.policy.symbols import symbols_as_text

Array = NDArray[np.float64]

#: What the values of a long table may be called, as `pmx.data.fields.key` returns it.
RATIOS = ("ratio", "split", "splits", "stocksplits", "stocksplit", "value")
AMOUNTS = ("amount", "dividend", "dividends", "cash", "value")


class CorporateActions(NamedTuple):
    """What happens to a unit before each close.

    Attributes
    ----------
    ratios : array, shape (n_dates, n_symbols)
        Units for each one held the day before; 1 where there is no split.
    dividends : array, shape (n_dates, n_symbols)
        Cash for each unit held at the close before, after that day's split; 0 where there is none.
    """

    ratios: Array
    dividends: Array

    @property
    def days(self) -> NDArray[np.bool_]:
        """Rows on which there is one, shape (n_dates,)."""
        return np.asarray((self.ratios != 1.0).any(axis=1) | (self.dividends != 0.0).any(axis=1))

    def without_dividends(self) -> CorporateActions:
        """Return the splits alone."""
        return self._replace(dividends=np.zeros_like(self.dividends))


@checked
def read_splits(path: str | Path) -> pd.DataFrame:
    r"""Read splits from a CSV or Parquet file, by date and symbol or with a row for each.

    Parameters
    ----------
    path : path-like
        Units for one held the day before: 4 for a 4:1 split, 0.1 for a 1:10 reverse split; empty or 0 for none. The
        texts ``4:1`` and ``1:10`` are read as these. Columns ``date``, ``symbol``, ``ratio``, or a column of dates and
        one for each symbol.

    Returns
    -------
    DataFrame, date × symbol

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "splits.csv"
    >>> _ = file.write_text("date,symbol,ratio\n2020-08-31,AAPL,4\n")
    >>> read_splits(file)["AAPL"].tolist()
    [4.0]
    """
    return read_wide(Path(path), RATIOS, ratios=True)


@checked
def read_dividends(path: str | Path) -> pd.DataFrame:
    """Read cash dividends from a CSV or Parquet file, by date and symbol or with a row for each.

    Parameters
    ----------
    path : path-like
        Cash for one unit on its ex-date, in the base currency; empty or 0 for none. Columns ``date``, ``symbol``,
        ``amount``, or a column of dates and one for each symbol.

    Returns
    -------
    DataFrame, date × symbol
    """
    return read_wide(Path(path), AMOUNTS)


def corporate_actions(
    prices: pd.DataFrame, splits: pd.DataFrame | None, dividends: pd.DataFrame | None
) -> CorporateActions | None:
    """Return splits and dividends in the shape of the prices; None where there are none.

    Warns of a split that the closes do not show: they are probably adjusted for it.

    Parameters
    ----------
    prices : DataFrame, date × symbol
        As `pmx.data.check_prices` returns it.
    splits, dividends : DataFrame, optional
        By date and symbol, or long, with the columns of `read_splits` and `read_dividends`. Dates before the first and
        after the last of ``prices`` are left out.

    Raises
    ------
    DataError
        When a symbol has no prices, a date comes twice or lies between two rows of prices, a ratio is not above zero, a
        dividend is negative, or it is at least the close before it.
    """
    if splits is None and dividends is None:
        return None
    ratios = _in_shape(splits, prices, "splits", RATIOS, "units for one held, such as 4 for a 4:1 split")
    amounts = _in_shape(dividends, prices, "dividends", AMOUNTS, "cash for one unit, in the base currency")
    before = _closes_before(prices)
    ratios = np.where(ratios == 0.0, 1.0, ratios)
    beyond = amounts >= before / ratios
    if beyond.any():
        row, k = np.argwhere(beyond)[0]
        raise DataError(
            f"dividends of {prices.columns[k]} on {prices.index[row]:%Y-%m-%d}: {amounts[row, k]:g} for one unit is no "
            f"less than its close before, {before[row, k] / ratios[row, k]:g}; give cash for one unit, in its currency"
        )
    _warn_of_adjusted(prices, before, ratios)
    found = CorporateActions(ratios, amounts)
    return found if found.days.any() else None


def as_held(prices: pd.DataFrame, actions: CorporateActions) -> pd.DataFrame:
    r"""Return what one unit, and all that became of it, was worth at each close: prices whose returns are those earned.

    A split multiplies the units from its date on, a dividend buys more of the symbol at the first close that there is,

    .. math:: \frac{F_t}{F_{t-1}} = \frac{r_t \, (p_t + d_t)}{p_{t-1}} .

    Earlier rows never change when a later split or dividend becomes known, so that nothing is seen in advance.

    Examples
    --------
    >>> prices = pd.DataFrame({"A": [100.0, 26.0]}, index=pd.to_datetime(["2020-01-02", "2020-01-03"]))
    >>> four = CorporateActions(np.array([[1.0], [4.0]]), np.array([[0.0], [0.5]]))
    >>> as_held(prices, four)["A"].tolist()
    [100.0, 106.0]
    """
    closes = prices.to_numpy(dtype=np.float64)
    units = np.ones(closes.shape[1])
    owed = np.zeros(closes.shape[1])
    out = closes.copy()
    for row, (close, ratio, dividend) in enumerate(zip(closes, actions.ratios, actions.dividends, strict=True)):
        units = units * ratio
        owed = owed / ratio + dividend
        paid = np.isfinite(close) & (owed != 0.0)
        if paid.any():
            units = np.where(paid, units * (1.0 + np.divide(owed, close, out=np.zeros_like(owed), where=paid)), units)
            owed = np.where(paid, 0.0, owed)
        out[row] = close * units
    return pd.DataFrame(out, index=prices.index, columns=prices.columns)


def _in_shape(given: pd.DataFrame | None, prices: pd.DataFrame, name: str, values: tuple[str, ...], unit: str) -> Array:
    """Return a table in the shape of the prices, 0 where there is nothing."""
    if given is None:
        return np.zeros(prices.shape)
    if not isinstance(given, pd.DataFrame):
        raise DataError(f"{name} is a {type(given).__name__}; give a DataFrame, date × symbol, of {unit}")
    table = _by_date(given, name, values)
    for labels, what in ((table.index, "row"), (table.columns, "column")):
        if labels.has_duplicates:
            raise DataError(f"{name} has two {what}s for {_label(labels[labels.duplicated()][0])}; keep one")
    unknown = table.columns.difference(prices.columns)
    if len(unknown):
        raise DataError(f"{name} names {unknown[0]}, which has no price column; add its prices or leave it out")
    try:
        table = (with_units(table) if name == "splits" else table).astype("float64")
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} holds something that is not a number ({error}); give {unit}") from error
    amounts = table.to_numpy()
    bad = np.isinf(amounts) | (amounts < 0.0)
    if bad.any():
        row, k = np.argwhere(bad)[0]
        raise DataError(
            f"{name} of {table.columns[k]} on {_label(table.index[row])} is {amounts[row, k]:g}; give {unit}"
        )
    table = table.fillna(0.0)
    table = table[(table != 0.0).any(axis=1) & (table.index >= prices.index[0]) & (table.index <= prices.index[-1])]
    late = table.index.difference(prices.index)
    if len(late):
        after = prices.index[prices.index.searchsorted(late[0])]
        raise DataError(
            f"{name} has a row for {_label(late[0])}, on which there are no prices; move it to the next close, "
            f"{_label(after)}"
        )
    whole: Array = table.reindex(index=prices.index, columns=prices.columns, fill_value=0.0).to_numpy(copy=True)
    return whole


def _by_date(given: pd.DataFrame, name: str, values: tuple[str, ...]) -> pd.DataFrame:
    """Return a table date × symbol, dates as dates and symbols as text."""
    columns = long_columns(given)
    if columns is not None:
        table = pivoted(given, columns, values, name)[0]
        table = table.set_index(table.columns[0])
    else:
        table = given
    index = table.index
    written = isinstance(index[0], str) if len(index) else False
    index = dates(pd.Series(index.to_numpy()), name) if written else date_index(index, name)
    return table.set_axis(index, axis=0).set_axis(symbols_as_text(table.columns, name), axis=1)


def unshown_splits(prices: pd.DataFrame, ratios: Array) -> list[tuple[int, int]]:
    """Return row and column of each split that the closes do not show.

    After it the price moved less as it is than it would for a unit and what became of it.
    """
    before = _closes_before(prices)
    closes = prices.to_numpy()
    given = np.argwhere((ratios != 1.0) & np.isfinite(before) & prices.notna().to_numpy())
    moves = [abs(np.log(closes[row, k] / before[row, k])) for row, k in given]
    return [
        (int(row), int(k))
        for (row, k), move in zip(given, moves, strict=True)
        if abs(np.log(ratios[row, k])) > 0.1 and move < abs(np.log(closes[row, k] * ratios[row, k] / before[row, k]))
    ]


def without_declared(findings: pd.DataFrame, prices: pd.DataFrame, actions: CorporateActions) -> pd.DataFrame:
    """Return `pmx.data.price_findings` without those that are splits of the table that the closes do not show."""
    asked = {(str(prices.columns[k]), prices.index[row]) for row, k in unshown_splits(prices, actions.ratios)}
    kept = [pair not in asked for pair in zip(findings["symbol"], findings["date"], strict=True)]
    return findings.loc[np.array(kept, dtype=bool)].reset_index(drop=True)


def _closes_before(prices: pd.DataFrame) -> Array:
    known = prices.ffill().to_numpy()
    return np.vstack([np.full(known.shape[1], np.nan), known[:-1]])


def _warn_of_adjusted(prices: pd.DataFrame, before: Array, ratios: Array) -> None:
    """Warn of splits that the closes do not show."""
    adjusted = unshown_splits(prices, ratios)
    if adjusted:
        row, k = adjusted[0]
        more = f", and so for {len(adjusted) - 1:,} more" if len(adjusted) > 1 else ""
        where = f"{prices.columns[k]} on {prices.index[row]:%Y-%m-%d}"
        warn(
            f"splits says {ratios[row, k]:g} of {where}, but the close went from {before[row, k]:.6g} to "
            f"{prices.to_numpy()[row, k]:.6g}, which does not show it{more}; remove such rows from splits: prices that "
            "are adjusted already need none"
        )


def _label(label: object) -> str:
    return f"{label:%Y-%m-%d}" if isinstance(label, pd.Timestamp) else str(label)
