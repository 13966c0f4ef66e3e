"""A covariance matrix read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.data.notation import as_numbers
from pmx.data.table import file_format, floats, read_csv_text, read_parquet
from pmx.data.wide_file import FORMATS
from pmx.errors import DataError
from pmx.policy.symbols import symbol_text


@checked
def read_covariance(path: str | Path) -> pd.DataFrame:
    r"""Read an annualised covariance matrix.

    Parameters
    ----------
    path : path-like
        ``.csv``, ``.csv.gz`` or ``.parquet``: the first column (or the Parquet index) holds the symbols of the rows,
        the header the same symbols in any order.

    Returns
    -------
    DataFrame, symbol × symbol
        Finite, with the columns in the order of the rows. The projection checks that it is symmetric and positive
        semidefinite.

    Raises
    ------
    DataError
        If rows and columns do not name the same symbols once each, or an entry is not a finite number.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "covariance.csv"
    >>> _ = file.write_text("symbol,SPY,TLT\nSPY,0.04,-0.01\nTLT,-0.01,0.02\n")
    >>> float(read_covariance(file).loc["SPY", "TLT"])
    -0.01
    """
    file = Path(path)
    if file_format(file, FORMATS) == "csv":
        table = read_csv_text(file)
        rows = table.iloc[:, 0]
        values = as_numbers(table.iloc[:, 1:], file, rows, delimiter=table.attrs["delimiter"])
        matrix = values.set_axis(rows.tolist(), axis=0)
    else:
        matrix = read_parquet(file)
        if isinstance(matrix.index, pd.RangeIndex) and len(matrix.columns):
            matrix = matrix.set_index(matrix.columns[0])
    for axis in (0, 1):
        names = [symbol_text(label, str(file)) for label in matrix.axes[axis]]
        matrix = matrix.set_axis(names, axis=axis)
    for labels, what in ((matrix.index, "row"), (matrix.columns, "column")):
        if not labels.is_unique:
            raise DataError(f"{file}: {labels[labels.duplicated()][0]} has two {what}s; keep one of them")
    odd = matrix.index.symmetric_difference(matrix.columns)
    if matrix.empty or len(odd):
        who = f"{odd[0]} has a row or a column, but not both" if len(odd) else "is empty"
        raise DataError(f"{file}: {who}; give each symbol one row and one column")
    matrix = floats(matrix.reindex(columns=matrix.index), file)
    bad = np.argwhere(~np.isfinite(matrix.to_numpy()))
    if len(bad):
        one, other = matrix.index[bad[0][0]], matrix.index[bad[0][1]]
        raise DataError(f"{file}: the covariance of {one} and {other} is not finite; estimate it on more data")
    return matrix
