"""Long tables: one row a date and symbol."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from pmx.data.fields import CLOSES, key
from pmx.data.written_dates import dates
from pmx.errors import DataError

DATES = ("date", "datetime", "day", "time", "timestamp", "tradedate", "observationdate")
_SYMBOLS = ("symbol", "ticker", "tic", "asset", "instrument", "security", "name", "sym", "code", "isin")
#: What the values of a long table may be called, as `key` returns it, in order of preference.
PRICES = (*CLOSES, "closeprice", "closingprice", "px", "pxlast", "settle", "value")
VOLUMES = ("adv", "tradedvalue", "dollarvolume", "value")
WEIGHTS = ("target", "targetweight", "weight", "weights", "w", "value")


class Long(NamedTuple):
    """The columns of a long table."""

    date: Any
    symbol: Any
    bucket: Any
    others: list[Any]


def long_columns(table: pd.DataFrame) -> Long | None:
    """Return the columns of a long table; None where it is none.

    A long table has a column of dates and one of symbols, by their names, and that of symbols holds text or comes with
    dates that repeat.
    """
    if isinstance(table.columns, pd.MultiIndex) or not table.columns.is_unique:
        return None
    keys = [key(column) for column in table.columns]
    date = next((k for k, name in enumerate(keys) if name in DATES), 0 if keys[:1] == [""] else None)
    symbol = next((keys.index(name) for name in _SYMBOLS if name in keys), None)
    if date is None or symbol is None or len(table) == 0:
        return None
    text = pd.to_numeric(table.iloc[:, symbol], errors="coerce").isna().any()
    if not text and not table.iloc[:, date].duplicated().any():
        return None
    bucket = keys.index("bucket") if "bucket" in keys else None
    columns = table.columns
    others = [column for k, column in enumerate(columns) if k not in (date, symbol, bucket)]
    return Long(columns[date], columns[symbol], None if bucket is None else columns[bucket], others)


def long_words(columns: Long, values: tuple[str, ...]) -> str:
    """Return what is to be said of a long DataFrame that is taken for a wide one."""
    known = [other for other in columns.others if key(other) in values]
    value = min(known, key=lambda other: values.index(key(other))) if known else (columns.others or ["VALUE"])[0]
    return (
        f"this is a long table, one row for each {columns.date} and {columns.symbol}, not one column a symbol; "
        f"turn it: df.pivot(index={columns.date!r}, columns={columns.symbol!r}, values={value!r})"
    )


def pivoted(table: pd.DataFrame, columns: Long, values: tuple[str, ...], name: str) -> tuple[pd.DataFrame, str]:
    """Return a long table in the wide layout, symbols in the order in which they first come, and what was taken.

    Raises
    ------
    DataError
        If a symbol has two rows on a date or is not named, or it is not clear which column holds the values.
    """
    value = _value_column(columns, values, name)
    symbols = [columns.symbol] if columns.bucket is None else [columns.bucket, columns.symbol]
    for row, names in enumerate(table[symbols].itertuples(index=False, name=None)):
        if any(pd.isna(label) or not str(label).strip() for label in names):
            raise DataError(f"{name}: {_place(table, row)} has no {' or no '.join(map(str, symbols))}; name it")
    days = dates(table[columns.date], name)
    days = days if (days != days.normalize()).any() else pd.Index(days.strftime("%Y-%m-%d"))
    keyed = table[[*symbols, value]].set_axis([*range(len(symbols)), "value"], axis=1).assign(date=days)
    labels: list[Any] = [*range(len(symbols))]
    twice = keyed.duplicated(["date", *labels]).to_numpy()
    if twice.any():
        row = int(twice.argmax())
        who = "/".join(str(keyed[label].iloc[row]) for label in labels)
        raise DataError(f"{name}: {_place(table, row)}: {who} on {days[row]} has two rows; keep one of them")
    flat = keyed.set_index(["date", *labels])["value"].unstack(labels)  # noqa: PD010  (a text cannot be averaged)
    if len(labels) == 1:
        flat = flat[keyed[0].unique()].rename_axis(columns=None)
    else:
        flat = flat[list(dict.fromkeys(zip(keyed[0], keyed[1], strict=True)))].rename_axis(columns=["bucket", "symbol"])
    flat = flat.fillna("") if "delimiter" in table.attrs else flat.infer_objects()
    flat.insert(0, "date" if len(labels) == 1 else ("date", ""), flat.index)
    note = f"read as one row for each {columns.date} and {columns.symbol}; the column {value} was taken"
    return flat.reset_index(drop=True), note if len(columns.others) > 1 else ""


def _value_column(columns: Long, values: tuple[str, ...], name: str) -> Any:
    known = [other for other in columns.others if key(other) in values]
    if known:
        return min(known, key=lambda other: values.index(key(other)))
    if len(columns.others) == 1:
        return columns.others[0]
    beside = ", ".join(map(str, columns.others)) or "no column"
    raise DataError(
        f"{name}: has one row for each {columns.date} and {columns.symbol}, and {beside} beside them; keep one column "
        f"of values: df[[{columns.date!r}, {columns.symbol!r}, 'COLUMN']]"
    )


def _place(table: pd.DataFrame, row: int) -> str:
    return f"line {table.index[row]}" if table.index.name == "line" else f"row {row + 1}"
