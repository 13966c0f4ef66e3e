"""The one exception tree of pmx.

Every message says what is wrong, where, the value against the limit, and what to do about it.
"""

from __future__ import annotations


class PmxError(Exception):
    """Base of every error that pmx raises on purpose."""


class PolicyError(PmxError):
    """A policy file or an override is wrong; the message names file, line, key, value and remedy."""


class DataError(PmxError):
    """Market data or a snapshot cannot be trusted; the message names the symbol and the date."""


class SignalError(PmxError):
    """A signal, or a set of them, is malformed; the message names the symbol, source and field."""


class InfeasibleError(PmxError):
    """The hard rules cannot hold together.

    Attributes
    ----------
    rules : tuple of str
        A minimal set of rule names that cannot hold together.
    relaxation : dict of str to float
        The cheapest relaxation: rule name to the amount, in NAV fractions, by which its bound must give way.
    multipliers : dict of str to float
        Non-negative weights on ``rules`` (Farkas multipliers) that prove the contradiction.
    """

    def __init__(
        self,
        message: str,
        *,
        rules: tuple[str, ...] = (),
        relaxation: dict[str, float] | None = None,
        multipliers: dict[str, float] | None = None,
    ) -> None:
        super().__init__(message)
        self.rules = rules
        self.relaxation = relaxation or {}
        self.multipliers = multipliers or {}


class SolverError(PmxError):
    """No solver produced an answer that its certificate accepts; nothing is returned instead."""


class BrokerError(PmxError):
    """A broker refused or could not complete an instruction."""


class LedgerError(PmxError):
    """The ledger is inconsistent with what is being written to it, or cannot be read back."""
