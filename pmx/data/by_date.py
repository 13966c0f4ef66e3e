"""Numbers by date that are not prices: wished weights, and what cash earns."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from pmx.arguments import checked
from pmx.data.dates import dated, day
from pmx.data.long_table import WEIGHTS
from pmx.data.wide_file import read_wide
from pmx.errors import DataError, warn
from pmx.policy.symbols import symbols_as_text

#: A rate of cash above this a calendar day is an annual one, or a percentage, by mistake.
LARGEST_DAILY_RATE = 0.01
#: More than this a calendar day, 18 % a year, is probably an annual one.
LIKELY_DAILY_RATE = 0.0005
#: What the rates of a long table may be called.
RATES = ("rate", "cashrate", "value")
#: What is wrong with it, and the remedy.
NOT_A_DAILY_RATE = (
    f"is not within ±{LARGEST_DAILY_RATE:g}; give the simple rate of one calendar day, such as 0.0001 for about "
    "3.7 % a year: an annual rate r is about r/365 a day"
)


@checked
def read_targets(path: str | Path, buckets: Collection[str] = ()) -> pd.DataFrame:
    r"""Read wished weights by date.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet``, wide: the first column holds dates as ``YYYY-MM-DD``, every other one
        is a symbol, or all of them are written ``bucket/symbol``. Signed fractions of NAV; an empty cell is NaN.
    buckets : collection of str
        Names that count as a bucket before a slash; ``BTC/USD`` is a symbol where there is no bucket ``BTC``.

    Returns
    -------
    DataFrame, date × symbol or date × (bucket, symbol)
        Dates ascending.

    Raises
    ------
    DataError
        If a cell is no number, a date or a column occurs twice, or only some columns name their bucket.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "targets.csv"
    >>> _ = file.write_text("date,core/SPY,core/BTC/USD\n2020-01-02,0.1,0.05\n")
    >>> read_targets(file, buckets=["core"]).columns.tolist()
    [('core', 'SPY'), ('core', 'BTC/USD')]
    """
    file = Path(path)
    frame = table_by_date(file, WEIGHTS, percent=True)
    frame = frame.set_axis(symbols_as_text(frame.columns, str(file)), axis=1)
    if frame.columns.nlevels > 1:
        return frame
    parts = [str(column).partition("/") for column in frame.columns]
    placed = [bool(slash) and bucket in buckets for bucket, slash, _ in parts]
    if not any(placed):
        return frame
    if not all(placed):
        lone = frame.columns[placed.index(False)]
        raise DataError(f"{file}: column {lone} names no bucket, though others do; write it bucket/symbol as well")
    labels = [(bucket, symbol) for bucket, _, symbol in parts]
    return frame.set_axis(pd.MultiIndex.from_tuples(labels, names=["bucket", "symbol"]), axis=1)


@checked
def read_cash_rate(path: str | Path) -> pd.Series:
    r"""Read what cash earns.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet`` with two columns: dates as ``YYYY-MM-DD``, and the simple rate of one
        calendar day from that date on (0.0001 is a basis point a day, about 3.7 % a year).

    Returns
    -------
    Series by date
        Ascending, named ``cash_rate``.

    Raises
    ------
    DataError
        If there is more than one rate column, a rate is missing, not a number, or beyond 0.01 a day in size.

    Warns
    -----
    PmxWarning
        If one is beyond 0.0005 a day in size, about 18 % a year.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "rate.csv"
    >>> _ = file.write_text("date,rate\n2020-01-01,0.0001\n")
    >>> read_cash_rate(file).tolist()
    [0.0001]
    """
    file = Path(path)
    frame = table_by_date(file, RATES, percent=True)
    if len(frame.columns) != 1:
        raise DataError(f"{file}: has {len(frame.columns)} columns beside the date; give the rate alone")
    rate = frame.iloc[:, 0].rename("cash_rate")
    return check_cash_rate(rate, f"{file}: rate")


def check_cash_rate(rate: pd.Series, name: str = "cash_rate") -> pd.Series:
    """Return rates of cash as given, or refuse them where one cannot be that of a calendar day.

    Parameters
    ----------
    rate : Series of float by date
        Simple rate of one calendar day.
    name : str
        For the message.

    Raises
    ------
    DataError
        If a rate is missing, or beyond 0.01 a day in size.

    Warns
    -----
    PmxWarning
        If one is beyond 0.0005 a day in size; once, of the largest.
    """
    wrong = ~(rate.abs() <= LARGEST_DAILY_RATE).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{name} {rate.iloc[row]:g} on {day(rate.index[row])} {NOT_A_DAILY_RATE}")
    if len(rate):
        row = int(rate.abs().to_numpy().argmax())
        warn_of_cash_rate(float(rate.iloc[row]), f" on {day(rate.index[row])}")
    return rate


def warn_of_cash_rate(rate: float, when: str = "") -> None:
    """Warn where a rate of cash is probably not that of a calendar day, in the same words wherever it came from.

    Parameters
    ----------
    rate : float
        Simple rate of one calendar day.
    when : str
        Its date, for the message.

    Warns
    -----
    PmxWarning
        If it is beyond 0.0005 in size.
    """
    if abs(rate) > LIKELY_DAILY_RATE:
        year = 365.0 * rate
        warn(
            f"cash_rate is {rate:g} a calendar day{when}, that is {year:.4g} a year ({year:.0%} uncompounded); if "
            f"it is an annual rate, give r/365: {rate / 365.0:.3g}"
        )


def table_by_date(file: Path, values: tuple[str, ...], *, percent: bool = False) -> pd.DataFrame:
    """Return a file's numbers by date, ascending, each date and column once.

    Parameters
    ----------
    file : Path
        ``.csv``, ``.csv.gz`` or ``.parquet``.
    values : tuple of str
        What the values of a long table may be called.
    percent : bool
        Whether 12.5 % may stand for 0.125.

    Raises
    ------
    DataError
        If it holds no values, or a date or a column comes twice.
    """
    frame = read_wide(file, values, percent=percent)
    if frame.empty:
        raise DataError(f"{file}: holds no values; give a date column, one more column, and a row")
    if not frame.columns.is_unique:
        raise DataError(f"{file}: {frame.columns[frame.columns.duplicated()][0]} has two columns; keep one of them")
    return dated(frame, str(file)).rename_axis("date")
