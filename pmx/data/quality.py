"""What in a table of closes is probably a fault: splits that are not adjusted, jumps, gaps, frozen and copied prices.

Each finding is a question to whoever knows the data. The limits are such that ordinary daily closes raise none; a crash
or a takeover may. The checks look at a whole table at once, for people, and no decision rests on them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.arguments import checked
from pmx.data.prices import check_prices
from pmx.errors import warn

Array = NDArray[np.float64]

#: Ratios of splits that are looked for, and the inverses of whole ones.
RATIOS = np.array([1.5, 2.0, 2.5, *range(3, 21), 25.0, 30.0, 40.0, 50.0, 100.0])
#: How far a price ratio may be from that of a split, relative: the day's own move. From ratios of 2 on, twice the
#: largest move around, if that is more, up to the second figure.
SPLIT_TOLERANCE, SPLIT_TOLERANCE_MOST = 0.025, 0.08
#: A split stands alone: its log move is this many times the largest one of the five closes before and after it.
SPLIT_STANDS_OUT = 3.0
#: A larger return from one close to the next, up or down, is asked about.
LARGEST_MOVE = 0.5
#: Calendar days between two closes of a symbol that are asked about, at least; also `GAP_USUAL` times its median, and
#: `GAP_LONG` times the days that 199 of 200 of its closes come within.
GAP_DAYS, GAP_USUAL, GAP_LONG = 10.0, 3.0, 1.5
#: Equal closes in a row that are asked about, of a symbol of which few others repeat.
FROZEN_CLOSES, FROZEN_OTHERS = 10, 0.1
#: Closes that two symbols must share to be copies.
COPIED_CLOSES = 20
#: Findings of each kind that a warning names.
NAMED = 3


class PriceFinding(NamedTuple):
    """One probable fault.

    Attributes
    ----------
    kind : {"split", "jump", "gap", "frozen", "copy"}
        What it looks like.
    symbol : str
        Whose closes.
    date : Timestamp
        The close at which it shows: after the move, after the gap, the last of the equal ones, the last one.
    value : float
        Units for one before (split), return (jump), calendar days (gap), equal closes in a row (frozen), closes (copy).
    text : str
        The same in words.
    """

    kind: str
    symbol: str
    date: pd.Timestamp
    value: float
    text: str


class Message(NamedTuple):
    """What is said of the findings of one kind, and what to do about them."""

    kind: str
    text: str
    remedy: str


#: Kind → what a warning says of it, and the remedy.
KINDS = {
    "split": ("looks like a split that is not adjusted", "give adjusted prices, or the ratios as splits"),
    "jump": (f"a move beyond {LARGEST_MOVE:.0%} from one close to the next", "check it against another source"),
    "gap": ("closes are missing", "fill them in, or leave the symbol out; a symbol is not traded without a close"),
    "frozen": ("the same close again and again", "check whether it was quoted; leave empty what was not"),
    "copy": ("two symbols with the same closes", "keep one of them, or correct the other"),
}


@checked(outside=["prices"])
def price_findings(prices: pd.DataFrame) -> pd.DataFrame:
    """Return what in a table of closes is probably a fault, the largest of each kind first.

    Parameters
    ----------
    prices : DataFrame, date × symbol
        As `pmx.data.check_prices` takes it.

    Returns
    -------
    DataFrame
        One row a finding; columns are the fields of `PriceFinding`.

    Raises
    ------
    DataError
        As `pmx.data.check_prices`.

    Examples
    --------
    >>> dates = pd.bdate_range("2020-08-24", periods=8)
    >>> prices = pd.DataFrame({"AAPL": [501.0, 499.0, 506.0, 500.0, 499.0, 129.0, 134.0, 131.0]}, index=dates)
    >>> price_findings(prices)["text"].tolist()
    ['AAPL on 2020-08-31: 499 to 129, as in a 4:1 split']
    """
    prices = check_prices(prices)
    dates = pd.DatetimeIndex(prices.index)
    closes = prices.to_numpy(dtype=np.float64)
    found: list[PriceFinding] = []
    for symbol, column in zip(map(str, prices.columns), closes.T, strict=True):
        at = np.flatnonzero(np.isfinite(column))
        if len(at) > 1:
            own, days = column[at], dates[at]
            found += [*_moves(symbol, days, own), *_gaps(symbol, days), *_frozen(symbol, days, own)]
    found += _copies(prices, dates, closes)
    order = {kind: k for k, kind in enumerate(KINDS)}
    found.sort(key=lambda finding: (order[finding.kind], -_size(finding), finding.date, finding.symbol))
    table = pd.DataFrame(found, columns=list(PriceFinding._fields))
    return table.astype({"kind": "str", "symbol": "str", "date": "datetime64[ns]", "value": "float64", "text": "str"})


def warn_of(findings: pd.DataFrame, name: str = "prices") -> None:
    """Warn of findings, once a kind, naming the largest."""
    for message in messages(findings):
        warn(f"{name}: {message.text}; {message.remedy}")


def messages(findings: pd.DataFrame) -> list[Message]:
    """Return one line a kind of finding, the largest named."""
    lines = []
    for kind, (what, remedy) in KINDS.items():
        texts = findings.loc[findings["kind"] == kind, "text"].tolist()
        if texts:
            more = f", and {len(texts) - NAMED:,} more" if len(texts) > NAMED else ""
            lines.append(Message(kind, f"{what}: {', '.join(texts[:NAMED])}{more}", remedy))
    return lines


def _size(finding: PriceFinding) -> float:
    if finding.kind == "split":
        return abs(float(np.log(finding.value)))
    return abs(float(np.log1p(finding.value))) if finding.kind == "jump" else finding.value


def _moves(symbol: str, days: pd.DatetimeIndex, own: Array) -> list[PriceFinding]:
    move = np.diff(np.log(own))
    factor = np.exp(np.abs(move))
    large = np.flatnonzero(factor >= RATIOS[0] * (1.0 - SPLIT_TOLERANCE))
    found = []
    for k in large.tolist():
        near = int(np.argmin(np.abs(RATIOS / factor[k] - 1.0)))
        around = np.concatenate([move[max(k - 5, 0) : k], move[k + 1 : k + 6]])
        usual = float(np.abs(around).max(initial=0.0))
        near_enough = min(max(SPLIT_TOLERANCE, 2.0 * usual), SPLIT_TOLERANCE_MOST)
        if RATIOS[near] < 2.0:
            near_enough = SPLIT_TOLERANCE
        when, change = days[k + 1], own[k + 1] / own[k] - 1.0
        at = f"{symbol} on {when:%Y-%m-%d}: {own[k]:.6g} to {own[k + 1]:.6g}"
        likely = move[k] < 0.0 or RATIOS[near] % 1.0 == 0.0
        alone = abs(move[k]) >= SPLIT_STANDS_OUT * usual
        if alone and likely and abs(factor[k] / RATIOS[near] - 1.0) <= near_enough:
            ratio = float(RATIOS[near])
            words = _ratio_words(ratio, reverse=move[k] > 0.0)
            found.append(PriceFinding("split", symbol, when, 1.0 / ratio if move[k] > 0.0 else ratio, f"{at}, {words}"))
        elif abs(change) > LARGEST_MOVE:
            found.append(PriceFinding("jump", symbol, when, change, f"{at}, {change:+.1%}"))
    return found


def _ratio_words(ratio: float, *, reverse: bool) -> str:
    new, old = (int(2 * ratio), 2) if ratio % 1.0 else (int(ratio), 1)
    return f"as in a {old}:{new} reverse split" if reverse else f"as in a {new}:{old} split"


def _gaps(symbol: str, days: pd.DatetimeIndex) -> list[PriceFinding]:
    apart = np.diff(days.to_numpy()) / np.timedelta64(1, "D")
    limit = max(GAP_DAYS, GAP_USUAL * float(np.median(apart)))
    if len(apart) >= 100:
        limit = max(limit, GAP_LONG * float(np.quantile(apart, 0.995)))
    return [
        PriceFinding(
            "gap", symbol, days[k + 1], apart[k],
            f"{symbol} has none between {days[k]:%Y-%m-%d} and {days[k + 1]:%Y-%m-%d}, {apart[k]:.0f} days",
        )
        for k in np.flatnonzero(apart > limit).tolist()
    ]  # fmt: skip


def _frozen(symbol: str, days: pd.DatetimeIndex, own: Array) -> list[PriceFinding]:
    starts = np.flatnonzero(np.concatenate([[True], np.diff(own) != 0.0]))
    lengths = np.diff(np.concatenate([starts, [len(own)]]))
    long = lengths >= FROZEN_CLOSES
    others = lengths[~long]
    if not long.any() or others.sum() < 2 * FROZEN_CLOSES or (others - 1).sum() > FROZEN_OTHERS * others.sum():
        return []
    return [
        PriceFinding(
            "frozen", symbol, days[start + n - 1], float(n),
            f"{symbol} is {own[start]:.6g} at {n} closes, {days[start]:%Y-%m-%d} to {days[start + n - 1]:%Y-%m-%d}",
        )
        for start, n in zip(starts[long].tolist(), lengths[long].tolist(), strict=True)
    ]  # fmt: skip


def _copies(prices: pd.DataFrame, dates: pd.DatetimeIndex, closes: Array) -> list[PriceFinding]:
    first: dict[bytes, str] = {}
    found = []
    for symbol, column in zip(map(str, prices.columns), closes.T, strict=True):
        known = np.isfinite(column)
        n = int(known.sum())
        if n < COPIED_CLOSES or np.ptp(column[known]) == 0.0:
            continue
        other = first.setdefault(np.ascontiguousarray(column).tobytes(), symbol)
        if other != symbol:
            last = dates[int(np.flatnonzero(known)[-1])]
            found.append(PriceFinding("copy", symbol, last, float(n), f"{symbol} and {other}, all {n:,}"))
    return found
