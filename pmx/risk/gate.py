"""Gates: switches that take a symbol from engines whose signals on it have gone bad, and give it back."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pmx.arguments import checked

if TYPE_CHECKING:
    from pmx.policy import Policy
    from pmx.policy.schema import GateRule


class Gate:
    r"""Shut after k bad verdicts of the last m; open after k′ good ones in a row, or none bad for long; not too soon.

    Between the two it stays as it is, so a verdict or two move nothing. From one shutting to the next it takes at
    least

    .. math:: k + \max(k', \text{min bars closed})

    bars, which bounds how often it can switch whatever it is told.

    Parameters
    ----------
    rule : GateRule
        m, k, k′, the least time shut, and e, the bars without a bad verdict after which it opens unproven:
        ``policy.forecaster_monitoring.gate``.

    Notes
    -----
    Verdicts from before the last switch do not count: a gate that opens has to be given k fresh reasons to shut.

    Who says nothing any more can prove nothing, and after e bars what shut the gate is no longer in anybody's record.
    A policy has :math:`e \ge \max(k', \text{min bars closed})`, so that the bound above holds whichever way it opens.

    Examples
    --------
    >>> from pmx.policy.schema import GateRule
    >>> gate = Gate(GateRule(window=3, close_after=2, reopen_after=2, min_bars_closed=3))
    >>> [gate.update(bad) for bad in (True, False, True, False, False, False, False)]
    [False, False, True, True, True, False, False]
    """

    __slots__ = ("_bars_shut", "_good_run", "_quiet", "_recent", "_rule", "shut")

    @checked
    def __init__(self, rule: GateRule) -> None:
        self._rule = rule
        self._recent: deque[bool] = deque(maxlen=rule.window)
        self._good_run = 0
        self._quiet = 0
        self._bars_shut = 0
        self.shut = False

    @checked
    def update(self, bad: bool | None) -> bool:
        """Take in one bar's verdict and return whether the gate is shut now.

        Parameters
        ----------
        bad : bool or None
            True for a FAIL, False for a PASS, None for a bar without a verdict: it counts for neither, but time
            passes.
        """
        if self.shut:
            self._bars_shut += 1
            self._quiet = 0 if bad else self._quiet + 1
            if bad is not None:
                self._good_run = 0 if bad else self._good_run + 1
            proven = self._good_run >= self._rule.reopen_after
            expired = self._rule.expires_after is not None and self._quiet >= self._rule.expires_after
            if (proven or expired) and self._bars_shut >= self._rule.min_bars_closed:
                self._switch(shut=False)
        elif bad is not None:
            self._recent.append(bad)
            if sum(self._recent) >= self._rule.close_after:
                self._switch(shut=True)
        return self.shut

    def _switch(self, shut: bool) -> None:
        self.shut = shut
        self._recent.clear()
        self._good_run = self._quiet = self._bars_shut = 0


class Gates:
    """Keep a gate for each risk symbol.

    Parameters
    ----------
    policy : Policy
        Its ``forecaster_monitoring.gate``, and which symbols are safe.

    Examples
    --------
    >>> import pmx
    >>> gates = Gates(pmx.load_policy())
    >>> for _ in range(5):
    ...     gates.update({"WTI": True, "BIL": True})
    >>> sorted(gates.shut)
    ['WTI']
    """

    @checked
    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._gates: dict[str, Gate | None] = {}

    @checked
    def update(self, bad: dict[str, bool | None]) -> None:
        """Take in one bar's verdict on each symbol that has a bar now; see `Gate.update`."""
        for symbol, verdict in bad.items():
            if symbol not in self._gates:
                may = may_be_gated(self._policy, symbol)
                self._gates[symbol] = Gate(self._policy.forecaster_monitoring.gate) if may else None
            gate = self._gates[symbol]
            if gate is not None:
                gate.update(verdict)

    @property
    def shut(self) -> frozenset[str]:
        """Return the symbols whose gate is shut."""
        return frozenset(symbol for symbol, gate in self._gates.items() if gate is not None and gate.shut)

    def forget(self) -> None:
        """Open every gate and forget all verdicts."""
        self._gates.clear()


@checked
def may_be_gated(policy: Policy, symbol: str) -> bool:
    """Say whether a symbol is a risk symbol.

    A safe symbol never is: one that is listed as safe, that a safe bucket holds as standing weight, or that takes what
    the rules cut. Closing it would force money out of safety.

    Examples
    --------
    >>> import pmx
    >>> policy = pmx.load_policy()
    >>> may_be_gated(policy, "SP500"), may_be_gated(policy, "BIL")
    (True, False)
    """
    buckets = policy.risk_buckets.buckets
    if symbol == policy.risk_buckets.portfolio.residual_symbol:
        return False
    if any(symbol in buckets[name].standing for name in policy.safe_buckets):
        return False
    return any(policy.admits(name, symbol) for name in policy.risk_bucket_names)
