"""When the gates of validation shut and opened again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd


class GateSpells:
    """Takes in which gates are shut, decision by decision, and remembers from when to when.

    Examples
    --------
    >>> spells = GateSpells()
    >>> for row, gates in enumerate([{}, {"WTI": "exit"}, {"WTI": "exit"}, {}]):
    ...     spells.take_in(row, gates)
    >>> spells.table(pd.bdate_range("2020-01-06", periods=4)).astype(str).to_dict("records")
    [{'symbol': 'WTI', 'mode': 'exit', 'shut': '2020-01-07', 'opened': '2020-01-09', 'decisions': '2'}]
    """

    def __init__(self) -> None:
        self._spells: list[tuple[str, str, int, int | None, int]] = []
        self._under_way: dict[str, tuple[str, int, int]] = {}

    def take_in(self, row: int, gates: Mapping[str, str]) -> None:
        """Take in one decision: its row in the price history, and the mode of each gate that was shut."""
        for symbol in [symbol for symbol in self._under_way if symbol not in gates]:
            mode, shut, decisions = self._under_way.pop(symbol)
            self._spells.append((symbol, mode, shut, row, decisions))
        for symbol, mode in gates.items():
            _, shut, decisions = self._under_way.get(symbol, (mode, row, 0))
            self._under_way[symbol] = (mode, shut, decisions + 1)

    def table(self, dates: pd.Index) -> pd.DataFrame:
        """Return one row a spell, by the date at which it began; ``dates`` are those of the price history."""
        still = [(symbol, mode, shut, None, decisions) for symbol, (mode, shut, decisions) in self._under_way.items()]
        spells = sorted([*self._spells, *still], key=lambda spell: (spell[2], spell[0]))
        symbols, modes, shut, opened, decisions = zip(*spells, strict=True) if spells else ((), (), (), (), ())
        until = np.array([-1 if row is None else row for row in opened], dtype=np.intp)
        return pd.DataFrame(
            {
                "symbol": pd.array(symbols, dtype="str"),
                "mode": pd.array(modes, dtype="str"),
                "shut": dates.take(np.array(shut, dtype=np.intp)),
                "opened": dates.take(until).where(until >= 0),
                "decisions": pd.array(decisions, dtype="int64"),
            }
        )
