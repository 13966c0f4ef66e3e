"""Symbols as text: tickers such as 5930 arrive as numbers from files and from pandas."""

from __future__ import annotations

from numbers import Integral
from typing import Any, TypeVar, cast

import pandas as pd

from pmx.errors import DataError

Labels = TypeVar("Labels", bound=pd.Index)


def symbol_text(label: Any, name: str) -> str:
    """Return a symbol as text.

    Parameters
    ----------
    label : str or int
        A symbol; a whole number is a ticker such as 5930.
    name : str
        What holds it, for the message.

    Raises
    ------
    DataError
        If it is empty or anything else.

    Examples
    --------
    >>> symbol_text(5930, "prices"), symbol_text("0700", "prices")
    ('5930', '0700')
    """
    if isinstance(label, str) and label.strip():
        return str(label)
    if is_number_ticker(label):
        return str(int(label))
    if isinstance(label, tuple):
        remedy = "with pairs (bucket, symbol), set df.columns = pd.MultiIndex.from_tuples(df.columns)"
        raise DataError(f"{name}: a symbol is named {label!r}; {remedy}")
    raise DataError(f"{name}: a symbol is named {label!r}; name it by text, such as 'AAPL'")


def is_number_ticker(label: Any) -> bool:
    """Return whether a label is a whole number, which as a symbol means its text."""
    return isinstance(label, Integral) and not isinstance(label, bool)


def symbols_as_text(labels: Labels, name: str) -> Labels:
    """Return labels with each symbol as text; the last level of a MultiIndex is the symbol.

    Raises
    ------
    DataError
        If a symbol is neither text nor a whole number, or labels count 0, 1, 2, ... in place of symbols.
    """
    if all(isinstance(label, str) and label for label in labels.get_level_values(-1).unique()):
        return labels
    if isinstance(labels, pd.MultiIndex):
        last = [symbol_text(label, name) for label in labels.get_level_values(-1)]
        levels = [labels.get_level_values(k) for k in range(labels.nlevels - 1)]
        return cast("Labels", pd.MultiIndex.from_arrays([*levels, last], names=labels.names))
    if labels.equals(pd.RangeIndex(len(labels))):
        raise DataError(f"{name}: the symbols are numbered 0, 1, 2, ..., not named; set df.columns = ['AAPL', ...]")
    texts = [symbol_text(label, name) for label in labels]
    return cast("Labels", pd.Index(texts, name=labels.name, dtype=object))
