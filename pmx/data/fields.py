"""Tables of open, high, low, close and volume: of one share, or of several by ticker as yfinance writes them."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from pmx.data.written_dates import look_like_dates
from pmx.errors import DataError

#: What a column of closes may be called, as `key` returns it, in order of preference: adjusted ones first.
CLOSES = (
    "adjclose", "adjustedclose", "closeadj", "close", "close/last", "pxlast", "schlusskurs", "schluss", "last", "price",
)  # fmt: skip
#: Columns that only one share's table has together: open, high and low, as vendors call them.
_BARS = (
    ("open", "high", "low"), ("pxopen", "pxhigh", "pxlow"), ("eröffnung", "hoch", "tief"), ("erster", "hoch", "tief"),
)  # fmt: skip
_SURE = {"close", "adjclose", "adjustedclose", "closeadj", "close/last", "schlusskurs", "pxlast"}
_FIELDS = {
    *CLOSES, *(name for bars in _BARS for name in bars), "volume", "vol", "pxvolume", "volumen", "stuecke", "stücke",
    "dividends", "dividend", "exdividend", "stocksplits", "splitratio", "capitalgains", "vwap", "openint",
    "openinterest", "tradecount", "trades", "turnover", "repaired?", "change", "change%", "adjopen", "adjhigh",
    "adjlow", "adjvolume",
}  # fmt: skip
_DECORATION = re.compile(r"[\s_.*]")
#: Words that a file may be named after, in capitals too, and that are no tickers.
_WORDS = {"PRICES", "PRICE", "CLOSES", "CLOSE", "DATA", "TABLE", "HISTORY", "QUOTES", "OHLC", "OHLCV", "BARS"}


def key(label: Any) -> str:
    """Return a column's name for comparison: lower case, without blanks, underscores, dots and stars.

    Examples
    --------
    >>> key("Adj. Close**"), key("adj_close")
    ('adjclose', 'adjclose')
    """
    return _DECORATION.sub("", str(label).lower())


def is_one_share(columns: pd.Index) -> bool:
    """Return whether the columns are one share's open, high, low, close and volume, or some of these.

    Examples
    --------
    >>> is_one_share(pd.Index(["Close", "Volume"])), is_one_share(pd.Index(["OPEN", "LOW", "AAPL"]))
    (True, False)
    """
    keys = {key(column) for column in columns}
    bars = any(keys >= set(some) for some in _BARS)
    return (bars and not keys.isdisjoint(CLOSES)) or (keys <= _FIELDS and not keys.isdisjoint(_SURE))


def closing(columns: pd.Index) -> Any:
    """Return the column of one share's table that holds its closes, adjusted ones before others."""
    found = [column for column in columns if key(column) in CLOSES]
    return min(found, key=lambda column: CLOSES.index(key(column)))


def one_share_words(columns: pd.Index) -> str:
    """Return what is to be said of a table of one share where its symbol is not known."""
    taken = str(closing(columns))
    return (
        "this is one share's open, high, low, close and volume table, not one column a symbol; keep its column "
        f"{taken}: df[[{taken!r}]].rename(columns={{{taken!r}: 'TICKER'}})"
    )


def one_share(table: pd.DataFrame, name: str, stem: str | None) -> tuple[pd.DataFrame, str]:
    """Return the dates and closes of one share, named after its file, and what was taken.

    Raises
    ------
    DataError
        If the file's name is no ticker: in capitals, of at most 12 characters, and no word such as ``PRICES``.
    """
    columns = table.columns[1:]
    if stem is None or not 0 < len(stem) <= 12 or stem != stem.upper() or stem in _WORDS or not stem.isprintable():
        named = "" if stem is None else ", or name the file after its ticker, such as AAPL.csv"
        raise DataError(f"{name}: {one_share_words(columns)}{named}")
    taken = closing(columns)
    at = [0, 1 + columns.tolist().index(taken)]
    closes = table.iloc[:, at].set_axis([table.columns[0], stem], axis=1)
    return closes, f"{name}: read as the share {stem}, after the file's name; its column {taken} was taken"


def closes_by_ticker(table: pd.DataFrame) -> tuple[pd.DataFrame, str] | None:
    """Return the closes of a table whose columns are pairs of field and ticker, in either order, and what was taken.

    None where they are no such pairs.
    """
    if not isinstance(table.columns, pd.MultiIndex) or table.columns.nlevels != 2:
        return None
    for level in (0, 1):
        fields = table.columns.get_level_values(level)
        keys = [key(field) for field in fields]
        if set(keys) <= _FIELDS and not set(keys).isdisjoint(CLOSES):
            best = min(set(keys) & set(CLOSES), key=CLOSES.index)
            at = [k for k, name in enumerate(keys) if name == best]
            tickers = pd.Index(table.columns.get_level_values(1 - level)[at].tolist(), dtype=object)
            note = f"it holds several fields of each ticker, of which {fields[at[0]]} was taken"
            return table.iloc[:, at].set_axis(tickers, axis=1), note if len(set(keys)) > 1 else ""
    return None


def from_two_headers(table: pd.DataFrame) -> tuple[pd.DataFrame, str] | None:
    """Return dates and closes of a table of text whose two header lines name field and ticker, and what was taken.

    None where it has no such lines. A third line, which names the index alone, is left out.
    """
    if len(table) < 1 or table.shape[1] < 2 or look_like_dates(table.iloc[:1, 0]):
        return None
    first, second = [str(name) for name in table.columns[1:]], [str(name) for name in table.iloc[0, 1:]]
    if pd.to_numeric(pd.Series(second, dtype=object), errors="coerce").notna().any() and not _all_fields(first):
        return None
    if _all_fields(first) == _all_fields(second):
        return None
    body = table.iloc[1:]
    if len(body) and (body.iloc[0, 1:] == "").all():
        body = body.iloc[1:]
    found = closes_by_ticker(body.iloc[:, 1:].set_axis(pd.MultiIndex.from_arrays([first, second]), axis=1))
    if found is None:
        return None
    return pd.concat([body.iloc[:, 0].rename("date"), found[0]], axis=1), found[1]


def _all_fields(names: list[str]) -> bool:
    return {key(name) for name in names} <= _FIELDS
