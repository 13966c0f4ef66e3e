"""Portfolio weights read from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.data.fields import key
from pmx.data.notation import as_numbers
from pmx.data.table import file_format, read_csv_text, read_parquet
from pmx.errors import DataError
from pmx.policy.symbols import symbol_text

_COLUMNS = "the columns must be symbol,weight or bucket,symbol,weight"
#: What else the columns may be called.
_ALIASES = {"ticker": "symbol", "asset": "symbol", "weights": "weight", "target": "weight", "w": "weight"}


@checked
def read_weights(path: str | Path) -> pd.Series:
    """Read weights from a CSV, Parquet or JSON file.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz``, ``.parquet`` or ``.json``, with the columns ``symbol, weight`` or
        ``bucket, symbol, weight`` in any order; ``ticker`` and ``asset`` stand for ``symbol``, ``weights``, ``target``
        and ``w`` for ``weight``. Two columns without such names, as pandas writes a Series, or without a header, are
        symbol and weight. JSON holds a list of such records, or plainly ``{"SPY": 0.6, "BIL": 0.4}``. Weights may be
        in percent, ``60%``, if all are, and have decimal commas where the cells are not separated by commas.

    Returns
    -------
    Series
        Signed fractions as written, named ``weight``, indexed by symbol or by (bucket, symbol).

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing or unknown, a name is empty or given twice, or a
        weight is not a finite number.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "weights.json"
    >>> _ = file.write_text('{"SPY": 0.6, "BIL": 0.4}')
    >>> read_weights(file).to_dict()
    {'SPY': 0.6, 'BIL': 0.4}
    """
    file = Path(path)
    known = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet", ".pq"), "json": (".json",)}
    kind = file_format(file, known)
    if kind == "json":
        table = _from_json(file)
    elif kind == "csv":
        table = read_csv_text(file)
    else:
        table = read_parquet(file)
        if table.index.names != [None]:
            table = table.reset_index()
    return _series(table, file)


def _series(table: pd.DataFrame, file: Path) -> pd.Series:
    table = _two_columns(table)
    names = [_ALIASES.get(key(column), key(column)) for column in table.columns]
    if sorted(names) not in (["symbol", "weight"], ["bucket", "symbol", "weight"]):
        raise DataError(f"{file}: has the columns {','.join(map(str, table.columns))}; {_COLUMNS}")
    delimiter = table.attrs.get("delimiter", ",")
    table = table.set_axis(names, axis=1)
    keys = ["bucket", "symbol"] if "bucket" in names else ["symbol"]
    if table.empty:
        raise DataError(f"{file}: holds no weights; give at least one row")
    for column in keys:
        table[column] = [_name(name, column, number, file) for number, name in enumerate(table[column].tolist(), 1)]
    labels = table[keys].agg("/".join, axis=1)
    if labels.duplicated().any():
        raise DataError(f"{file}: {labels[labels.duplicated()].iloc[0]} is given twice; keep one of the two")
    weights = table["weight"]
    if pd.api.types.is_string_dtype(weights):
        weights = as_numbers(weights.to_frame(), file, labels, delimiter=delimiter, percent=True)["weight"]
    elif weights.dtype.kind not in "fiu":
        raise DataError(f"{file}: weight holds {weights.dtype} values, not numbers; write it as floats")
    values = weights.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(f"{file}: {labels.iloc[row]}: weight {values[row]} is not finite; correct or drop it")
    index = pd.MultiIndex.from_frame(table[keys]) if len(keys) == 2 else pd.Index(table["symbol"])
    return pd.Series(values, index=index, name="weight")


def _two_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Name the columns of a table of symbols and weights that has no header, or that of a pandas Series."""
    if table.shape[1] != 2:
        return table
    first, second = map(str, table.columns)
    if first == "" and (second == "0" or key(second) not in ("symbol", "bucket")):
        return table.set_axis(["symbol", "weight"], axis=1)
    if pd.isna(pd.to_numeric(pd.Series([second.rstrip("%")]), errors="coerce")).any():
        return table
    header = pd.DataFrame([[first, second]], columns=["symbol", "weight"], dtype=object)
    whole = pd.concat([header, table.set_axis(["symbol", "weight"], axis=1)], ignore_index=True)
    whole.attrs = dict(table.attrs)
    return whole


def _name(name: Any, column: str, number: int, file: Path) -> str:
    try:
        return symbol_text(name, str(file))
    except DataError as error:
        raise DataError(f"{file}: entry {number}: {name!r} is no {column}; name it") from error


def _from_json(file: Path) -> pd.DataFrame:
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=list)
    except FileNotFoundError as error:
        raise DataError(f"{file}: does not exist; check the name") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); write it anew") from error
    if not isinstance(content, list) or not content:
        raise DataError(f'{file}: holds no weights; write {{"SPY": 0.6}} or a list of records')
    records = [_record(entry, number, file) for number, entry in enumerate(content, start=1)]
    if any(isinstance(record["weight"], str) for record in records):
        records = [{**record, "weight": str(record["weight"])} for record in records]
    return pd.DataFrame(records)


def _record(entry: Any, number: int, file: Path) -> dict[str, Any]:
    """Return one entry of a JSON file: a record of pairs, or one pair of symbol and weight."""
    pairs = [("symbol", entry[0]), ("weight", entry[1])] if isinstance(entry, tuple) else entry
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise DataError(f"{file}: entry {number}: {entry!r} is not a record; {_COLUMNS}")
    record = dict(pairs)
    if len(record) < len(pairs):
        raise DataError(f"{file}: entry {number}: has a key twice; keep one of the two")
    weight = record.get("weight")
    if isinstance(weight, str):  # read as in a table of text
        return record
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        label = record.get("symbol", f"entry {number}")
        raise DataError(f"{file}: {label}: weight {weight!r} is not a number; write it as a fraction, such as 0.6")
    return {**record, "weight": float(str(weight))}
