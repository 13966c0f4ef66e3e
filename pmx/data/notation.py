"""Numbers as they are written in a table: decimal points or commas, grouped thousands, percent."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import chain

import numpy as np
import pandas as pd

from pmx.errors import DataError

#: Cells that mean "no value", in lower case. A lone dot is how FRED writes it.
MISSING = ("", "nan", "na", "n/a", "null", "none", ".", "-", "#n/a")
_EXPONENT = r"(?:[eE][-+]?\d+)?"
#: What may stand before grouped thousands: a number that does not begin with 0.
_FIRST = r"[1-9]\d{0,2}"
_POINT = re.compile(rf"[-+]?(?:\d+|{_FIRST}(?:,\d{{3}})+|{_FIRST}(?:[ '’\u00a0\u202f]\d{{3}})+)?(?:\.\d*)?{_EXPONENT}")
_COMMA = re.compile(rf"[-+]?(?:\d+|{_FIRST}(?:\.\d{{3}})+|{_FIRST}(?:[ '’\u00a0\u202f]\d{{3}})+)?(?:,\d*)?{_EXPONENT}")
_CURRENCIES = "$€£¥₦₩₹ "
_GROUPS = re.compile(r"[ '’\u00a0\u202f]")


def as_numbers(
    cells: pd.DataFrame, path: object, labels: pd.Series, *, delimiter: str = ",", percent: bool = False
) -> pd.DataFrame:
    """Return columns of text as floats, with NaN for what means "no value".

    All cells of a table are read in one notation: the one that reads every cell.

    Parameters
    ----------
    cells : DataFrame of str
        The columns.
    path : path-like
        For the message.
    labels : Series
        What stands beside each row (its date or symbol), for the message.
    delimiter : str
        What separates the cells of the file. A comma leaves no doubt that 1.234 has a decimal point.
    percent : bool
        Whether 12.5 % may stand for 0.125, in every cell or in none.

    Raises
    ------
    DataError
        If a cell is neither a number nor empty, or the notation is in doubt.

    Examples
    --------
    >>> table = pd.DataFrame({"SPY": ["1.322,5", "1.320"]})
    >>> as_numbers(table, "prices.csv", table["SPY"], delimiter=";")["SPY"].tolist()
    [1322.5, 1320.0]
    """
    values = cells.apply(pd.to_numeric, errors="coerce") if cells.size else cells.astype("float64")
    odd = values.isna().to_numpy(copy=True)
    if odd.any():
        odd[odd] = [text.lower() not in MISSING for text in cells.to_numpy(dtype=object)[odd]]
    if odd.any() or (delimiter != "," and _in_doubt(cells)):
        return _read_all(cells, odd, path, labels, delimiter, percent)
    return values.astype("float64")


def _in_doubt(cells: pd.DataFrame) -> bool:
    """Return whether some cells hold points, and each of them may as well group thousands."""
    found = False
    for cell in chain.from_iterable(cells.itertuples(index=False)):
        if "." in cell and cell not in MISSING:
            if not _COMMA.fullmatch(cell):
                return False
            found = True
    return found


def _read_all(
    cells: pd.DataFrame, odd: np.ndarray, path: object, labels: pd.Series, delimiter: str, percent: bool
) -> pd.DataFrame:
    """Read every cell in the one notation that fits them all."""
    known = {text: _bare(text, percent) for text in pd.unique(cells.to_numpy(dtype=object).ravel())}
    texts = {text: bare for text, bare in known.items() if text.lower() not in MISSING}
    point = {text for text, bare in texts.items() if _POINT.fullmatch(bare)}
    comma = {text for text, bare in texts.items() if _COMMA.fullmatch(bare)}
    values = cells.to_numpy(dtype=object)
    unread = set(values[odd]) - point - comma
    if unread:
        row, column = next((int(i), int(j)) for i, j in np.argwhere(odd) if values[i, j] in unread)
        raise DataError(
            f"{path}: {_named(cells.columns[column])} at {labels.iloc[row]}: {values[row, column]!r} is not a number; "
            "write it with a decimal point and no separators, or leave it empty"
        )
    finite = {text for text in texts if text in point or text in comma}
    read_point, read_comma = finite <= point, finite <= comma
    if not read_point and not read_comma:
        one, other = next(t for t in finite if t not in point), next(t for t in finite if t not in comma)
        raise DataError(
            f"{path}: {one!r} has a decimal comma and {other!r} a decimal point; write all numbers with a point"
        )
    marks = "," if delimiter == "," else ",."
    doubtful = sorted(text for text in finite if read_point and read_comma and set(text) & set(marks))
    if doubtful:
        raise DataError(
            f"{path}: {doubtful[0]!r} may group thousands or have a decimal mark, and no other cell tells; "
            "write it with a decimal point and no separators"
        )
    _refuse_mixed_percent(texts, path)
    value = {text: np.nan if text not in texts else _value(texts[text], text, not read_point) for text in known}
    return cells.map(value.__getitem__).astype("float64")


def _named(label: object) -> str:
    return "/".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _bare(text: str, percent: bool) -> str:
    """Return a cell without the sign of a currency around it, or that of percent after it."""
    return (text[:-1] if percent and text.endswith("%") else text).strip(_CURRENCIES)


def _refuse_mixed_percent(texts: dict[str, str], path: object) -> None:
    shares = [text for text in texts if text.endswith("%")]
    plain = [text for text in texts if not text.endswith("%") and text.strip("-+0.,")]
    if shares and plain:
        raise DataError(f"{path}: {shares[0]!r} is in percent and {plain[0]!r} is not; write all as fractions of 1")


def _value(bare: str, text: str, comma: bool) -> float:
    plain = bare.replace(".", "").replace(",", ".") if comma else bare.replace(",", "")
    if _GROUPS.search(plain):
        plain = _GROUPS.sub("", plain)
    return float(Decimal(plain) / 100) if text.endswith("%") else float(plain)
