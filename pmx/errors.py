"""The one exception tree of pmx.

Every message says what is wrong, where, the value against the limit, and what to do about it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal


class PmxError(Exception):
    """Base of every error that pmx raises on purpose.

    Attributes
    ----------
    asked : object or None
        The solve that was refused, where it was one: what a journal writes down of it.
    """

    asked: Any = None


class PolicyError(PmxError):
    """A policy file or an override is wrong; the message names file, line, key, value and remedy."""


class DataError(PmxError):
    """Market data or a snapshot cannot be trusted; the message names the symbol and the date."""


class SignalError(PmxError):
    """A signal, or a set of them, is malformed; the message names the symbol, source and field."""


@dataclass(frozen=True, slots=True)
class ClashingLimit:
    """One limit that takes part in a clash, and its weight in the proof.

    Attributes
    ----------
    rule, source : str
        The rule, and the file and line that set it.
    side : {"max", "min"}
        Whether it is the rule's upper or lower limit.
    bound : float
        The limit, as in the table of an allocation's rules; NaN for a constraint of the user's own.
    position : tuple of (bucket, symbol), int, or None
        The position whose size it bounds; its number where the program came without names; None for a rule on sums.
    multiplier : Fraction
        Its Farkas multiplier, above zero; the largest of a proof is 1.
    """

    rule: str
    source: str
    side: Literal["max", "min"]
    bound: float
    position: tuple[str, str] | int | None
    multiplier: Fraction


class InfeasibleError(PmxError):
    """The hard rules cannot hold together.

    Attributes
    ----------
    rules : tuple of str
        Names of rules that cannot hold together. Where ``proven_minimal``, any one dropped leaves others that can.
    sources : dict of str to str
        File and line of each rule in ``rules`` and ``relaxation``.
    relaxation : dict of str to float
        The cheapest relaxation: rule name to the amount, in NAV fractions, by which its bound must give way.
    multipliers : dict of str to float
        Non-negative weights on ``rules``, those of a rule's limits added up.
    limits : tuple of ClashingLimit
        The limits of ``rules`` that clash, with their multipliers: the proof. Summed with these weights, the excess of
        the limits is above zero for all weights on the sides that were wished.
    hints : tuple of str
        What the caller may have missed, such as a symbol that a rule counts and this solve has not; at the end of the
        message too.
    proven_minimal : bool
        Whether the proof holds in rational arithmetic, and the loss of each rule was shown to end the clash; false
        where a cone takes part (a volatility cap, constraints of the user's own), which is as true as its solver.
    program : object or None
        The arrays of the problem whose rules clash, for a journal.
    """

    program: Any = None

    def __init__(
        self,
        message: str,
        *,
        rules: tuple[str, ...] = (),
        sources: dict[str, str] | None = None,
        relaxation: dict[str, float] | None = None,
        multipliers: dict[str, float] | None = None,
        limits: tuple[ClashingLimit, ...] = (),
        proven_minimal: bool = False,
    ) -> None:
        super().__init__(message)
        self.rules = rules
        self.sources = sources or {}
        self.relaxation = relaxation or {}
        self.multipliers = multipliers or {}
        self.limits = limits
        self.proven_minimal = proven_minimal
        self.hints: tuple[str, ...] = ()

    def add_hints(self, hints: Sequence[str]) -> None:
        """Add lines at the end of the message."""
        if hints:
            self.hints = (*self.hints, *hints)
            self.args = ("\n".join([str(self), *hints]),)


class SolverError(PmxError):
    """No solver produced an answer that its certificate accepts; nothing is returned instead."""


class BrokerError(PmxError):
    """A broker refused or could not complete an instruction."""


class LedgerError(PmxError):
    """The ledger is inconsistent with what is being written to it, or cannot be read back."""


class PmxWarning(UserWarning):
    """Something that is probably a mistake, or that the reader of a result must know; the answer stands."""


def warn(message: str) -> None:
    """Issue a `PmxWarning` that points at the first line outside pmx.

    Parameters
    ----------
    message : str
        What, where, the value, and the remedy, as in an error.
    """
    level, frame = 1, sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "pmx":
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(message, PmxWarning, stacklevel=level)
