r"""What each rule's cuts earned and cost, day by day.

A decision says how each position came about: its wish, and what every rule took or gave,

.. math:: t_j + \sum_k m_{jk} = w_j .

Once traded, a part is held as units beside the position that it belongs to, at the same prices and for as long. So
wishes, cuts and positions go on adding up until the next trade, whatever prices do. What a cure takes from what is held
is one cut more, beside those that are there. And

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

#: What is left of a cut up to this is rounding, fraction of NAV.
ROUNDING = 1e-12
#: Column of what is held, wish and cuts together.
WEIGHT = "weight"


class Contributions:
    """The parts that are held and ordered, and what they earned.

    Attributes
    ----------
    held, ordered : Moves
        Parts of what is owned, in units, and of what was decided and not traded yet, in fractions of NAV.
    cutting : Moves
        Parts that are taken from what is owned once they are traded, in fractions of NAV.
    """

    def __init__(self) -> None:
        none = np.zeros(0, dtype=np.intp)
        self._nothing = kernel("moving", "Moves")(none, none, np.zeros(0))
        self.held = self.ordered = self.cutting = self._nothing
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
        self.cutting = self._nothing
        allocation = decision.allocation
        if allocation.solved is None:
            wished = decision.weights.nonzero()[0]
            target = np.full(len(wished), self._number[TARGET], dtype=np.intp)
            self.ordered = type(self._nothing)(target, wished, decision.weights[wished])
            return
        self.ordered = self._parts(decision)

    def cure(self, decision: Step, change: Array, fresh: np.ndarray) -> None:
        """Take in what was decided to bring holdings inside the rules: more cuts beside those that are there.

        Parameters
        ----------
        decision : Step
            Its wish is what is held, or will be.
        change : array, shape (n,)
            What it moves of each position, fraction of NAV.
        fresh : array of bool, shape (n,)
            Positions that had no order before; cuts of the others go with the order that they have.
        """
        parts = self._parts(decision)
        parts = _pick(parts, (parts.cause != self._number[TARGET]) & (change[parts.position] != 0.0))
        # A residual symbol moves for more reasons than the cuts of the day: what they leave is its own.
        left = change - np.bincount(parts.position, weights=parts.amount, minlength=len(change))
        rest = np.flatnonzero(np.abs(left) > ROUNDING)
        own = type(parts)(np.full(len(rest), self._number[TARGET], dtype=np.intp), rest, left[rest])
        parts = _joined(parts, own)
        apart = fresh.copy()
        apart[self.cutting.position] = True
        self.cutting = _joined(self.cutting, _where(parts, apart))
        self.ordered = _joined(self.ordered, _where(parts, ~apart))

    def trade(self, account: Account, nav: float, bought: Array, went: np.ndarray, waiting: np.ndarray) -> None:
        """Hold what was ordered, just after the account has traded; other parts stay as they are.

        Parameters
        ----------
        account : Account
            What is owned now.
        nav : float, base currency
            Its value before.
        bought : array, shape (n,)
            Units of each position that were traded.
        went, waiting : array of bool, shape (n,)
            Positions that were traded to their weight, and those whose order stays open.
        """
        ordered, cutting, staying = self.ordered, self.cutting, self._nothing
        cut = np.zeros(len(went), dtype=bool)
        cut[cutting.position] = True
        new = went & ~cut
        if not new.all():
            staying = _where(self.held, ~new)
            ordered = _where(ordered, new)
        prices = account.marks[account.column[ordered.position]]
        units = ordered._replace(amount=ordered.amount * nav / prices)
        self.held = units if staying is self._nothing else _joined(staying, units)
        self.ordered = _where(self.ordered, waiting)
        if cut.any():
            planned = np.bincount(cutting.position, weights=cutting.amount, minlength=len(went))
            share = np.divide(bought, planned, out=np.zeros(len(went)), where=cut & went & (planned != 0.0))
            done = _where(cutting, share != 0.0)
            self.held = self._merged(_joined(self.held, done._replace(amount=done.amount * share[done.position])))
            self.cutting = _where(cutting, waiting)

    def _parts(self, decision: Step) -> Any:
        """Return the parts of a decision, with causes as they are numbered here."""
        allocation = decision.allocation
        parts = moves(allocation)
        return parts._replace(cause=self.numbers(allocation.figures.names)[parts.cause])

    def _merged(self, parts: Any) -> Any:
        """Add up the parts of one cause and position, so that many cuts one after the other stay one part."""
        key = parts.position * self.size + parts.cause
        kept, place = np.unique(key, return_inverse=True)
        return type(parts)(kept % self.size, kept // self.size, np.bincount(place, weights=parts.amount))

    def drop(self, gone: np.ndarray) -> None:
        """Let go of the parts of positions that were closed, shape (n,)."""
        if gone.any():
            self.held = _where(self.held, ~gone)
            self.ordered, self.cutting = _where(self.ordered, ~gone), _where(self.cutting, ~gone)

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
        self.held, self.ordered, self.cutting = held, ordered, self._nothing
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
    return _pick(parts, kept[parts.position])


def _pick(parts: Any, of: np.ndarray) -> Any:
    return type(parts)(parts.cause[of], parts.position[of], parts.amount[of])


def _joined(one: Any, other: Any) -> Any:
    return type(one)(*(np.concatenate(pair) for pair in zip(one, other, strict=True)))
