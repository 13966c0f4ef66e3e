r"""The rules of a policy as they bear on weights that are held, whatever they were decided to be.

A decision obeys every hard rule. What is held drifts from it with prices, and is judged here: each limit on weights, as
it is for weights that are given. So ``clamp.<b>`` is a bucket's maximum times its scale. Rules about trades (turnover,
liquidity, gates) say nothing of what is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmx.projection.program import Array
from pmx.projection.rules import RuleBook

if TYPE_CHECKING:
    from pmx.projection.projector import Projector

#: Weights are outside a rule when they exceed it by more than this.
OUTSIDE = 1e-9
VOLATILITY = "volatility.max"


class HeldRules:
    """Every limit of a policy on held weights, over many days at once.

    Parameters
    ----------
    projector : Projector
        Its policy and positions. Where the policy has a residual symbol, what that holds in place of cash is one slot
        more, after the positions.

    Attributes
    ----------
    names, sources : tuple of str
        Of the rules.
    hard : array of bool, shape (n_rules,)
        Which of them are hard.
    size : array, shape (n_rules,)
        The larger of 1 and each rule's limits: what a change of NAV by one part does to it at most.
    slots : int
        Number of columns of the weights.

    Examples
    --------
    >>> import pmx
    >>> projector = pmx.Projector(pmx.load_policy(), [("ts_core", "SP500"), ("ts_core", "WTI")])
    >>> rules = HeldRules(projector)
    >>> excess = rules.excess(np.array([[0.12, 0.02]]))[0]
    >>> [name for name, over in zip(rules.names, excess, strict=True) if over > OUTSIDE]
    ['symbol.SP500.cap']
    """

    def __init__(self, projector: Projector) -> None:
        policy, self._n = projector.policy, projector.universe.n
        self._allocator = projector.allocator
        sweep = projector.residual_book
        swept = not policy.bypassed and policy.risk_buckets.portfolio.residual_symbol is not None
        self.slots = self._n + swept
        self._column = -1 if sweep is None else sweep.column
        book: RuleBook = projector.book if sweep is None else sweep.book
        n = len(book.positions)
        self._width = n
        self._volatility_max = None if policy.bypassed else policy.risk_buckets.portfolio.volatility_max
        if policy.bypassed:
            self.names: tuple[str, ...] = ()
            self.sources: tuple[str, ...] = ()
            self.hard = np.zeros(0, dtype=bool)
            self.size = np.zeros(0)
            self._risk = np.ones(n), np.ones(n)
            return
        every = np.ones(n, dtype=bool)
        frame = book.frame(every, every, book.buckets_held, False, None, {}, bounds=False)
        self.names, self.sources, self.hard = frame.names, frame.sources, ~frame.soft
        self._law, self._long, self._short = frame.law, frame.long, frame.short
        self._capped = np.flatnonzero(frame.law.cap_rule >= 0)
        self._clamps = np.flatnonzero(frame.law.rule_clamp >= 0)
        self._one_sided = np.flatnonzero(frame.law.short_rule >= 0)
        self._risk = np.append(np.ones(self._n), np.zeros(n - self._n)), np.ones(n)
        if frame.at_risk >= 0:
            self._risk = frame.long[frame.at_risk], frame.short[frame.at_risk]
        self.size = self._sizes()

    def _sizes(self) -> Array:
        law, size = self._law, np.ones(len(self.names))
        for limits in (law.rule_lo, law.rule_hi):
            finite = np.where(np.isfinite(limits), np.abs(limits), 0.0)
            np.maximum.at(size, law.rule_number, finite)
        np.maximum.at(size, law.cap_rule[self._capped], law.cap[self._capped])
        return size

    def excess(self, weights: Array, scale: Array | None = None, volatility: Array | None = None) -> Array:
        """Return by how much weights exceed each rule, shape (n_days, n_rules); zero or less inside.

        Parameters
        ----------
        weights : array, shape (n_days, slots)
            Signed fractions of NAV.
        scale : array, shape (n_days, n_buckets), optional
            Risk scales of the days; 1 when omitted.
        volatility : array, shape (n_days,), optional
            Forecast volatility of the weights, annualised, for ``volatility.max``.
        """
        out = np.full((len(weights), len(self.names)), -np.inf)
        if not self.names:
            return out
        law = self._law
        long, short = self._sides(weights)
        any_short = bool(short.any())
        value = long @ self._long.T
        value = (value + short @ self._short.T if any_short else value)[:, law.rule_row]
        hi = law.rule_hi  # inf for clamps
        if scale is not None and len(self._clamps):
            hi = np.tile(hi, (len(weights), 1))
            hi[:, self._clamps] = self._allocator.clamps_of(scale)[:, law.rule_clamp[self._clamps]]
        out[:, law.rule_number] = np.maximum(value - hi, law.rule_lo - value)
        at = self._capped
        out[:, law.cap_rule[at]] = (long + short if any_short else long)[:, at] - law.cap[at]
        out[:, law.short_rule[self._one_sided]] = 0.0
        if any_short:
            for j in self._one_sided.tolist():
                rule = law.short_rule[j]
                out[:, rule] = np.maximum(out[:, rule], short[:, j])
        if self._volatility_max is not None and volatility is not None:
            out[:, self.names.index(VOLATILITY)] = volatility - self._volatility_max
        return out

    def worst(self, weights: Array, scale: Array | None = None, volatility: float | None = None) -> float:
        """Return the largest excess of a hard rule on one day, fraction of NAV; weights have shape (slots,)."""
        if not self.hard.any():
            return -np.inf
        on_day = None if volatility is None else np.array([volatility])
        excess = self.excess(weights[None], None if scale is None else scale[None], on_day)
        return float(excess[0, self.hard].max())

    def safe_weight(self, weights: Array) -> Array:
        """Return the share of NAV that is not at risk, shape (n_days,); see `pmx.Allocation.safe_weight`."""
        long, short = self._sides(weights)
        at_risk: Array = long @ self._risk[0] + short @ self._risk[1]
        return 1.0 - at_risk

    def members(self, rule: int) -> NDArray[np.bool_]:
        """Return which slots a rule looks at, shape (slots,)."""
        law, seen = self._law, np.zeros(self._width, dtype=bool)
        if self.names[rule] == VOLATILITY:
            seen[:] = True
        for row in law.rule_row[law.rule_number == rule].tolist():
            seen |= (self._long[row] != 0.0) | (self._short[row] != 0.0)
        seen |= (law.cap_rule == rule) | (law.short_rule == rule)
        own = seen[self._column : self._column + 1] if self._column >= 0 else np.zeros(1, dtype=bool)
        return np.append(seen[: self._n], own)[: self.slots]

    def _sides(self, weights: Array) -> tuple[Array, Array]:
        """Return what is long and what is short, by the positions of the rules."""
        swept, weights = weights[:, self._n :], weights[:, : self._n]
        if self._column >= 0:
            weights = np.hstack([weights, np.zeros((len(weights), self._width - self._n))])
            weights[:, self._column] += swept[:, 0]
        return np.maximum(weights, 0.0), np.maximum(-weights, 0.0)
