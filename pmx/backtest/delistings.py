"""What was held of symbols that stopped having prices: what became of it, at which mark, and what that was worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pmx.data.dates import day
from pmx.errors import warn
from pmx.execution import Account

if TYPE_CHECKING:
    from pmx.data.corporate_actions import CorporateActions

Array = NDArray[np.float64]
Treatment = Literal["last_mark", "haircut", "hold"]

#: Delistings that a warning spells out.
SPELLED_OUT = 3
COLUMNS = (
    "date", "symbol", "treatment", "quantity", "mark", "mark_date", "haircut", "value",
    "traded_again", "price_again", "overstated",
)  # fmt: skip


class Delistings:
    """Take in, at each close, what is held of symbols that missed more than ``max_stale_bars`` sessions.

    Parameters
    ----------
    dates : DatetimeIndex
        Those of the prices.
    closes : array, shape (n_rows, n_symbols)
        NaN where there is none.
    treatment : {"last_mark", "haircut", "hold"}
        The policy's ``execution.delisting``.
    haircut : float
        Its ``execution.delisting_haircut``; used with ``haircut`` alone.
    patience : int
        Its ``execution.max_stale_bars``.
    """

    def __init__(
        self, dates: pd.DatetimeIndex, closes: Array, treatment: Treatment, haircut: float, patience: int
    ) -> None:
        self._dates, self._closes = dates, closes
        self._treatment: Treatment = treatment
        self._haircut = haircut if treatment == "haircut" else 0.0
        self._patience = patience
        self._rows: list[tuple[int, int, float, float, int, float]] = []  # row, column, quantity, mark, its row, value
        self._noted: set[tuple[int, int]] = set()  # column, row of the last mark

    def book(self, i: int, account: Account) -> Array | None:
        """Note the symbols that are gone at row ``i``, and write their marks down where the policy says so.

        Parameters
        ----------
        i : int
            Row of the prices.
        account : Account
            Just after it was marked, before anything is closed.

        Returns
        -------
        array, shape (n,), or None
            Profit of each position by the write-down, base currency; None where nothing was written down.
        """
        gone = (account.bars_stale > self._patience)[account.column] & (account.quantities != 0.0)
        if not gone.any():
            return None
        for column in np.unique(account.column[gone]).tolist():
            last = int(np.flatnonzero(np.isfinite(self._closes[:i, column]))[-1])
            if (column, last) in self._noted:
                continue
            self._noted.add((column, last))
            quantity = float(account.quantities[account.column == column].sum())
            mark = float(account.marks[column])
            booked = mark * (1.0 - np.sign(quantity) * self._haircut)
            self._rows.append((i, column, quantity, mark, last, quantity * booked))
        return account.write_down(gone, self._haircut) if self._haircut else None

    def table(self, symbols: tuple[str, ...], stop: int, actions: CorporateActions | None = None) -> pd.DataFrame:
        """Return one row a symbol that was gone while it was held, see `BacktestResult.delistings`.

        Parameters
        ----------
        symbols : tuple of str
            The columns of the prices.
        stop : int
            The row behind the last of the run.
        actions : CorporateActions, optional
            What a unit split into before it traded again counts with it.
        """
        lines = []
        for i, column, quantity, mark, last, value in self._rows:
            later = np.flatnonzero(np.isfinite(self._closes[i:stop, column]))
            again = i + int(later[0]) if len(later) else None
            price = np.nan if again is None else float(self._closes[again, column])
            became = quantity
            if again is not None and actions is not None:
                became *= float(actions.ratios[i + 1 : again + 1, column].prod())
            lines.append(
                (
                    self._dates[i], symbols[column], self._treatment, quantity, mark, self._dates[last], self._haircut,
                    value, pd.NaT if again is None else self._dates[again], price, value - became * price,
                )
            )  # fmt: skip
        kinds = dict.fromkeys(("quantity", "mark", "haircut", "value", "price_again", "overstated"), "float64")
        table = pd.DataFrame(lines, columns=list(COLUMNS)).astype(kinds | {"symbol": "str", "treatment": "str"})
        return table.astype(dict.fromkeys(("date", "mark_date", "traded_again"), self._dates.dtype))


def lines_of(delistings: pd.DataFrame, currency: str) -> list[str]:
    """Return one sentence for each row of `BacktestResult.delistings`.

    Examples
    --------
    >>> dates = pd.to_datetime(["2020-01-10", "2020-01-02"])
    >>> row = (dates[0], "A", "last_mark", 10.0, 101.0, dates[1], 0.0, 1010.0, pd.NaT, float("nan"), float("nan"))
    >>> lines_of(pd.DataFrame([row], columns=list(COLUMNS)), "USD")[0].partition(", for ")[0]
    'A: 10 sold on 2020-01-10 at the last mark, 101 of 2020-01-02'
    """
    return [_line(row, currency) for row in delistings.to_dict("records")]


def _line(row: dict[Any, Any], currency: str) -> str:
    at = f"on {day(row['date'])} at the last mark, {row['mark']:g} of {day(row['mark_date'])}"
    what, worth = f"{row['symbol']}: {row['quantity']:g}", f"{row['value']:,.2f} {currency}"
    if row["treatment"] == "hold":
        text = f"{what} still held {at}, as {worth}"
    else:
        less = f" less {100 * row['haircut']:g} %" if row["treatment"] == "haircut" else ""
        text = f"{what} {'bought back' if row['quantity'] < 0 else 'sold'} {at}{less}, for {worth}"
    if pd.isna(row["traded_again"]):
        return f"{text}; it did not trade again in the run"
    over = f"{abs(row['overstated']):,.2f} {currency} {'less' if row['overstated'] >= 0 else 'more'}"
    again = f"it traded again on {day(row['traded_again'])} at {row['price_again']:g}"
    return f"{text}; {again}, where the same was worth {over}"


def warn_of_delistings(delistings: pd.DataFrame, currency: str, treatment: Treatment) -> None:
    """Warn, once a run, of positions that were booked at a mark that nobody trades at."""
    if delistings.empty:
        return
    lines = lines_of(delistings.iloc[:SPELLED_OUT], currency)
    more = f"; and {len(delistings) - SPELLED_OUT} more" if len(delistings) > SPELLED_OUT else ""
    others = " or ".join(other for other in ("last_mark", "haircut", "hold") if other != treatment)
    warn(
        f"held without prices for more than execution.max_stale_bars sessions: {'; '.join(lines)}{more} "
        f"(see .delistings; execution.delisting: {others} treats them otherwise)"
    )
