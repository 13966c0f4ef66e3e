r"""What each rule's cuts earned and cost, day by day.

A decision says how each position came about: its wish, and what every rule took or gave,

.. math:: t_j + \sum_k m_{jk} = w_j .

Once traded, a part is held as units beside the position that it belongs to, at the same prices and for as long. So
wishes, cuts and positions go on adding up until the next trade, whatever prices do, and

.. math:: c_{k,s} = \sum_j q_{jk} \frac{p_{j,s} - p_{j,s-1} - \rho_s \, p_{j,s-1}}{V_{s-1}}

is what rule k did to the return of day s, where :math:`\rho_s` is the return of cash, which takes what is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pmx.projection.kernels import kernel
from pmx.projection.moves import OTHERS, TARGET, moves

if TYPE_CHECKING:
    from pmx.execution import Account, Step
    from pmx.projection.program import Array, Index

#: Column of what is held, wish and cuts together.
WEIGHT = "weight"


class Contributions:
    """The parts that are held and ordered, and what they earned.

    Attributes
    ----------
    held, ordered : Moves
        Parts of what is owned, in units, and of what was decided and not traded yet, in fractions of NAV.
    """

    def __init__(self) -> None:
        none = np.zeros(0, dtype=np.intp)
        self._nothing = kernel("moving", "Moves")(none, none, np.zeros(0))
        self.held = self.ordered = self._nothing
        self._number = {name: k for k, name in enumerate((*OTHERS, WEIGHT))}
        self._numbers: dict[tuple[str, ...], Index] = {}
        self._earned: list[Array] = []

    @property
    def size(self) -> int:
        """How many causes are known."""
        return len(self._number)

    @property
    def total(self) -> int:
        """The number of `WEIGHT`."""
        return self._number[WEIGHT]

    def numbers(self, rules: tuple[str, ...]) -> Index:
        """Return the number here of each cause of a decision with these rules, shape (n_rules + 5,)."""
        known = self._numbers.get(rules)
        if known is None:
            number = self._number
            known = np.array([number.setdefault(name, len(number)) for name in (*rules, *OTHERS)], dtype=np.intp)
            self._numbers[rules] = known
        return known

    def order(self, decision: Step) -> None:
        """Take in what was decided; it is not held before it is traded."""
        allocation = decision.allocation
        if allocation.solved is None:
            wished = decision.weights.nonzero()[0]
            target = np.full(len(wished), self._number[TARGET], dtype=np.intp)
            self.ordered = type(self._nothing)(target, wished, decision.weights[wished])
            return
        parts = moves(allocation)
        self.ordered = parts._replace(cause=self.numbers(allocation.figures.names)[parts.cause])

    def trade(self, account: Account, tradable: np.ndarray) -> None:
        """Hold what was ordered, just before the account trades; parts of what cannot be traded stay as they are."""
        ordered, staying = self.ordered, self._nothing
        if not tradable.all():
            can = tradable[account.column]
            ordered, staying = _where(ordered, can), _where(self.held, ~can)
        prices = account.marks[account.column[ordered.position]]
        units = ordered._replace(amount=ordered.amount * account.nav / prices)
        self.held = units if staying is self._nothing else _joined(staying, units)

    def drop(self, gone: np.ndarray) -> None:
        """Let go of the parts of positions that were closed, shape (n,)."""
        if gone.any():
            self.held = _where(self.held, ~gone)

    def split(self, ratios: Array) -> None:
        """Turn each unit of a position into ``ratios`` units, shape (n,)."""
        self.held = self.held._replace(amount=self.held.amount * ratios[self.held.position])

    def earn(self, account: Account, marks: Array, nav: float, rate: float, dividends: Array | float = 0.0) -> None:
        """Add up the day, just after the account was marked.

        Parameters
        ----------
        account : Account
            Its quantities are those held over the day.
        marks : array, shape (n_symbols,)
            Its marks a day ago, of the units of today.
        nav : float, base currency
            Its value a day ago.
        rate : float
            Return of cash since then.
        dividends : array, shape (n_symbols,), or 0
            Cash for each unit over the day.
        """
        out = np.empty(self.size)
        kernel("moving", "earn")(
            self.held, account.quantities, account.column, marks, account.marks + dividends, rate, nav, self.total, out
        )
        self._earned.append(out)

    def resume(self, held: Any, ordered: Any, earned: Array) -> None:
        """Take over from days that were added up elsewhere; ``earned`` has shape (n_days, size)."""
        self.held, self.ordered = held, ordered
        self._earned += list(earned)

    def table(self, dates: pd.Index) -> pd.DataFrame:
        """Return one row a day and one column a cause; see `BacktestResult.contributions`."""
        earned = np.zeros((len(self._earned), self.size))
        for row, day in zip(earned, self._earned, strict=True):
            row[: len(day)] = day
        rules = [name for name in self._number if name not in (*OTHERS, WEIGHT)]
        moved = (earned != 0.0).any(axis=0)
        shown = [name for name in (*OTHERS[1:2], *rules, *OTHERS[2:]) if moved[self._number[name]]]
        columns = [TARGET, *shown, WEIGHT]
        return pd.DataFrame(earned[:, [self._number[name] for name in columns]], index=dates, columns=columns)


def saved_and_cost(contributions: pd.DataFrame) -> pd.DataFrame:
    """Return one row a rule: its ``contribution``, and what it ``saved`` and ``cost`` in the months when it did.

    Single days would only measure how much prices swing, and periods between decisions how often these are made; whole
    months say the same of every run. Contribution = saved − cost.

    Parameters
    ----------
    contributions : DataFrame, date × cause
        The days to add up; ``target`` and ``weight`` are no rules and are left out.
    """
    rules = contributions.drop(columns=[TARGET, WEIGHT])
    dates = pd.DatetimeIndex(rules.index)
    month = 12 * dates.year.to_numpy() + dates.month.to_numpy()
    first = np.flatnonzero(np.diff(month, prepend=0))
    earned = np.add.reduceat(rules.to_numpy(), first, axis=0)
    saved, cost = np.maximum(earned, 0.0).sum(axis=0), np.maximum(-earned, 0.0).sum(axis=0)
    columns = {"contribution": earned.sum(axis=0), "saved": saved, "cost": cost}
    return pd.DataFrame(columns, index=rules.columns.rename("rule"))


def _where(parts: Any, kept: np.ndarray) -> Any:
    """Return the parts of some positions."""
    of = kept[parts.position]
    return type(parts)(parts.cause[of], parts.position[of], parts.amount[of])


def _joined(one: Any, other: Any) -> Any:
    return type(one)(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))
