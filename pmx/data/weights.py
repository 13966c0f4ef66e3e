"""Portfolio weights read from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pmx.data.table import file_format, numbers, read_csv_text, read_parquet
from pmx.errors import DataError

_COLUMNS = "the columns must be symbol,weight or bucket,symbol,weight"


def read_weights(path: str | Path) -> pd.Series:
    """Read weights from a CSV, Parquet or JSON file.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz``, ``.parquet`` or ``.json``, with the columns ``symbol, weight`` or
        ``bucket, symbol, weight`` in any order. JSON holds a list of such records, or plainly
        ``{"SPY": 0.6, "BIL": 0.4}``.

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
    names = [str(column).strip().lower() for column in table.columns]
    if sorted(names) not in (["symbol", "weight"], ["bucket", "symbol", "weight"]):
        raise DataError(f"{file}: has the columns {','.join(names)}; {_COLUMNS}")
    table = table.set_axis(names, axis=1)
    keys = ["bucket", "symbol"] if "bucket" in names else ["symbol"]
    if table.empty:
        raise DataError(f"{file}: holds no weights; give at least one row")
    for key in keys:
        for number, name in enumerate(table[key].tolist(), start=1):
            if not isinstance(name, str) or not name.strip():
                raise DataError(f"{file}: entry {number}: {name!r} is no {key}; name it")
    labels = table[keys].agg("/".join, axis=1)
    if labels.duplicated().any():
        raise DataError(f"{file}: {labels[labels.duplicated()].iloc[0]} is given twice; keep one of the two")
    weights = table["weight"]
    if pd.api.types.is_string_dtype(weights):
        weights = numbers(weights, file, labels, "weight")
    elif weights.dtype.kind not in "fiu":
        raise DataError(f"{file}: weight holds {weights.dtype} values, not numbers; write it as floats")
    values = weights.to_numpy(dtype=np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(f"{file}: {labels.iloc[row]}: weight {values[row]} is not finite; correct or drop it")
    index = pd.MultiIndex.from_frame(table[keys]) if len(keys) == 2 else pd.Index(table["symbol"])
    return pd.Series(values, index=index, name="weight")


def _from_json(file: Path) -> pd.DataFrame:
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=list, parse_int=float)
    except FileNotFoundError as error:
        raise DataError(f"{file}: does not exist; check the name") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); write it anew") from error
    if not isinstance(content, list) or not content:
        raise DataError(f'{file}: holds no weights; write {{"SPY": 0.6}} or a list of records')
    records = [_record(entry, number, file) for number, entry in enumerate(content, start=1)]
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
    if not isinstance(weight, float):
        label = record.get("symbol", f"entry {number}")
        raise DataError(f"{file}: {label}: weight {weight!r} is not a number; write it without quotes")
    return record
