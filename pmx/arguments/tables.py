"""A table of numbers, in whatever kind its columns come."""

from __future__ import annotations

from typing import Any

from pmx.arguments.numbers import read_numbers_by_label


def read_table(frame: Any, name: str) -> Any:
    """Return a DataFrame of numbers as one of floats; one that is so already as it is.

    Raises
    ------
    DataError
        If a column holds something that is no number, naming it and its row.

    Examples
    --------
    >>> import pandas as pd
    >>> read_table(pd.DataFrame({"SPY": [1, 2]}), "prices")["SPY"].tolist()
    [1.0, 2.0]
    >>> read_table(pd.DataFrame({"SPY": [1.0, "x"]}), "prices")
    Traceback (most recent call last):
    ...
    pmx.errors.DataError: prices of SPY at 1 is 'x', a str; give a number
    """
    import numpy as np
    import pandas as pd

    if not frame.shape[1] or all(kind == np.float64 for kind in frame.dtypes.unique()):
        return frame
    columns = [
        read_numbers_by_label(frame.iloc[:, j], f"{name} of {label}", "at").to_numpy(dtype=np.float64)
        for j, label in enumerate(frame.columns)
    ]
    return pd.DataFrame(np.column_stack(columns), index=frame.index, columns=frame.columns)
