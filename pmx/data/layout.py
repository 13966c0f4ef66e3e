"""How a table is laid out, recognised from its columns and first rows.

What pmx works on is wide: dates, and one column a symbol. Vendors and spreadsheets write tables in other ways. In a
file, those that can be meant in one way only are brought into the wide layout; a DataFrame is refused with the line
that does.
"""

from __future__ import annotations

import pandas as pd

from pmx.data.fields import (
    closes_by_ticker,
    from_two_headers,
    is_one_share,
    key,
    one_share,
    one_share_words,
)
from pmx.data.long_table import DATES, PRICES, long_columns, long_words, pivoted
from pmx.data.written_dates import look_like_dates
from pmx.errors import DataError, warn


def wide(table: pd.DataFrame, name: str, values: tuple[str, ...], *, stem: str | None = None) -> pd.DataFrame:
    """Return a table in the wide layout: a column of dates, then one column a symbol, or (bucket, symbol).

    Warns of what was recognised and which column was taken, where others were left out.

    Parameters
    ----------
    table : DataFrame
        As it was read from a file, dates in a column.
    name : str
        What the messages call it.
    values : tuple of str
        What the values of a long table may be called; see `pmx.data.long_table`.
    stem : str, optional
        The file's name without its ending, after which one share's table is named.

    Raises
    ------
    DataError
        If the layout is known and cannot be read without doubt; the message says the line that converts it.
    """
    found = from_two_headers(table)
    if found is not None:
        _say(found[1] and f"{name}: {found[1]}")
        return _like(found[0], table)
    _refuse_headerless(table, name)
    table = _like(_dates_first(table), table)
    columns = long_columns(table)
    if columns is not None:
        turned, note = pivoted(table, columns, values, name)
        _say(note and f"{name}: {note}")
        return _like(turned, table)
    if is_one_share(table.columns[1:]):
        closes, note = one_share(table, name, stem)
        _say(note)
        return _like(closes, table)
    return table


def closes_of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a DataFrame that is wide, or the closes of one by field and ticker, of which it warns.

    Raises
    ------
    DataError
        If it is in another layout; the message says the line that converts it.
    """
    refuse_other_layouts(frame, name, PRICES)
    if isinstance(frame.columns, pd.MultiIndex):
        found = closes_by_ticker(frame)
        if found is None:
            raise DataError(
                f"{name}: the columns have {frame.columns.nlevels} levels, {frame.columns[0]!r} first; keep the "
                "closes, one column a symbol, such as df['Close']"
            )
        _say(found[1] and f"{name}: {found[1]}")
        return found[0]
    return frame


def refuse_other_layouts(frame: pd.DataFrame, name: str, values: tuple[str, ...]) -> None:
    """Raise where a DataFrame that should be wide is one share's table or a long one, or has its dates in a column.

    Parameters
    ----------
    frame : DataFrame
        By date, one column a symbol.
    name : str
        What the message calls it.
    values : tuple of str
        What the values of a long table may be called; see `pmx.data.long_table`.
    """
    if isinstance(frame.index, pd.MultiIndex):
        levels = [str(level or f"level {k}") for k, level in enumerate(frame.index.names)]
        known = [column for column in frame.columns if key(column) in values]
        column = min(known, key=lambda c: values.index(key(c))) if known else frame.columns[-1]
        raise DataError(
            f"{name}: the rows are labelled by {' and '.join(levels)}, not by date; turn the symbols into "
            f"columns: df[{column!r}].unstack()"
        )
    if isinstance(frame.columns, pd.MultiIndex):
        return
    columns = long_columns(frame)
    if columns is not None:
        raise DataError(f"{name}: {long_words(columns, values)}")
    if len(frame.columns) and is_one_share(_without_dates(frame.columns)):
        raise DataError(f"{name}: {one_share_words(frame.columns)}")
    if not isinstance(frame.index, pd.DatetimeIndex):
        for k, column in enumerate(frame.columns):
            if key(column) in DATES and look_like_dates(frame.iloc[:, k]):
                raise DataError(
                    f"{name}: the dates are in the column {column}, not in the index; set it: "
                    f"df.set_index({column!r}), with parse_dates=[{column!r}] in pandas.read_csv"
                )


def _without_dates(columns: pd.Index) -> pd.Index:
    return columns[[key(column) not in DATES for column in columns]]


def _say(note: str) -> None:
    if note:
        warn(note)


def _like(out: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    out.attrs = dict(table.attrs)
    return out


def _refuse_headerless(table: pd.DataFrame, name: str) -> None:
    """Raise where the first line holds values in place of names."""
    first = pd.Series([table.columns[0]], dtype=object)
    rest = pd.Series(table.columns[1:].tolist(), dtype=object)
    if look_like_dates(first) and pd.to_numeric(rest, errors="coerce").notna().any():
        raise DataError(f"{name}: line 1 holds values and no names; write a header line, such as date,AAPL,MSFT")


def _dates_first(table: pd.DataFrame) -> pd.DataFrame:
    """Put the column of dates first; leave out row numbers; turn a table whose header holds the dates."""
    if table.shape[1] < 2 or look_like_dates(table.iloc[:, 0]):
        return table
    if look_like_dates(pd.Series(table.columns[1:].tolist(), dtype=object)):
        turned = table.set_index(table.columns[0]).T
        turned.insert(0, "date", turned.index.to_numpy(), allow_duplicates=True)
        return turned.reset_index(drop=True).rename_axis(columns=None)
    found = [k for k in range(table.shape[1]) if look_like_dates(table.iloc[:, k])]
    if len(found) != 1:
        return table
    return table.iloc[:, [found[0], *(k for k in range(table.shape[1]) if k != found[0] and not _counts(table, k))]]


def _counts(table: pd.DataFrame, k: int) -> bool:
    """Return whether a first column without a name counts the rows, as pandas writes its index."""
    name = str(table.columns[k])
    if k > 0 or not (key(name) in ("", "index") or name.startswith("Unnamed:")):
        return False
    number = pd.to_numeric(table.iloc[:, k], errors="coerce")
    return bool((number.diff().iloc[1:] == 1.0).all() and number.iloc[:1].isin([0, 1]).all())
