"""Which rules a program has, settled before any number is known.

From day to day wishes, scales, holdings and limits change; which rules there are, on which positions, seldom does. A
frame holds the second, so that writing the first takes microseconds. It depends on which positions may be long or
short, which buckets are clamped, what is gated, and what data there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from pmx.policy import Policy
from pmx.projection.grouping import Grouping
from pmx.projection.program import Array, Index, RuleRecord

#: Rule of the bounds that a caller brings with a solve.
BOUNDS = "account.bounds"
GATES = {"reduce_only": 1, "exit": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What one solve brings: arrays in the order of the book's positions.

    Attributes
    ----------
    sign, target : array, shape (n,)
        Direction ±1 and the wish ``t ≥ 0``, fraction of NAV.
    clamps : mapping of bucket to float
        Bound of ``clamp.<b>``, only for buckets scaled below 1.
    held : array, shape (n,), or None
        Signed current weights; None when nothing is known of them.
    gates : mapping of symbol to {"reduce_only", "exit"}
        Gated symbols.
    tradable : array, shape (n,), or None
        Largest trade of each position that liquidity allows, fraction of NAV.
    covariance : array, shape (n, n), or None
        Annualised covariance of the positions' assets.
    bounds : pair of arrays, each of shape (n,), or None
        Least and most size of each position, fraction of NAV.
    """

    sign: Array
    target: Array
    clamps: Mapping[str, float] = field(default_factory=dict)
    held: Array | None = None
    gates: Mapping[str, str] = field(default_factory=dict)
    tradable: Array | None = None
    covariance: Array | None = None
    bounds: tuple[Array, Array] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SingleCaps:
    """Upper bounds on single positions that stay the same from day to day.

    Attributes
    ----------
    at : array of int, shape (m,)
        The positions.
    upper : array, shape (m,), fraction of NAV
        Their bounds.
    records : tuple of RuleRecord, length m
        The rules that set them.
    """

    at: Index
    upper: Array
    records: tuple[RuleRecord, ...]


def _read_only(array: Array) -> Array:
    """Return a view that cannot be written, for what is kept and shown."""
    view = array.view()
    view.setflags(write=False)
    return view


def bound_record(name: str, source: str, members: Index, upper: Array) -> RuleRecord:
    """Return the record of a hard rule ``u ≤ upper`` on some positions."""
    none = _read_only(np.full(len(members), -np.inf))
    upper = _read_only(upper)
    return RuleRecord(name, source, True, "bound", members=members, member_upper=upper, member_lower=none)


@dataclass(frozen=True, eq=False)
class Frame:
    """The rules of a program, without the numbers of the day.

    Attributes
    ----------
    long, short : array, shape (K, n)
        Coefficients of each row on the size of a position that is long, and of one that is short.
    law : Statutes
        What :func:`pmx.projection.kernels.writing.write_numbers` needs.
    records : tuple of RuleRecord
        One for each rule; limits that the day sets are open.
    varying : frozenset of int
        The rules whose limits the day sets.
    names, sources : tuple of str
        Of the rules.
    soft : array of bool, shape (n_rules,)
        Which rules may give way.
    ranked : bool
        Whether some of them give way by rank.
    at_risk : int
        The row that is the weight at risk; −1 if there is none.
    shown : array, shape (K, n)
        The rows that programs show: ``long``, read-only.
    nothing : array, shape (n_rules,)
        Zeros.
    """

    long: Array
    short: Array
    law: Any
    records: tuple[RuleRecord, ...]
    varying: frozenset[int]
    names: tuple[str, ...]
    sources: tuple[str, ...]
    soft: np.ndarray
    ranked: bool
    at_risk: int
    nothing: Array
    shown: Array

    def with_signs(self, short: np.ndarray) -> Frame:
        """Return the frame of programs in which each position has one side, so that rows need no second version."""
        rows = np.where(short, self.short, self.long)
        return replace(self, long=rows, short=rows, shown=_read_only(rows))

    @cached_property
    def grouping(self) -> Grouping:
        """The positions grouped by the rows that they meet long."""
        return Grouping.of(self.long)


class FrameBuilder:
    """Collects rules; merges hard rows that are the same on every position as it may be held.

    Parameters
    ----------
    policy : Policy
        Where the rules come from.
    longs, shorts : array of bool, shape (n,)
        Which positions may be long, and which short, in the programs of this frame.
    """

    def __init__(self, policy: Policy, longs: np.ndarray, shorts: np.ndarray) -> None:
        self.policy, self.longs, self.shorts = policy, longs, shorts
        n = self.n = len(longs)
        self.records: list[RuleRecord] = []
        self.varying: list[int] = []
        self.long: list[Array] = []
        self.short: list[Array] = []
        self._row_of: dict[bytes, int] = {}
        self._on_rows: list[tuple[int, int, float, float, int]] = []
        self._price: list[tuple[int, float, float, float]] = []
        self.short_rule, self.liquidity_rule, self.gate_rule = (np.full(n, -1, np.intp) for _ in range(3))
        self.gate = np.zeros(n, np.intp)
        self.cap, self.cap_rule = np.full(n, np.inf), np.full(n, -1, np.intp)
        self.turnover, self.turnover_rule_number = (np.inf, np.inf), -1
        self.bounds_rule = -1

    def met(self, long: Array, short: Array) -> bool:
        """Return whether a row with these coefficients meets any position."""
        return bool(long[self.longs].any() or short[self.shorts].any())

    def row(
        self,
        name: str,
        key: str,
        long: Array,
        short: Array | None = None,
        *,
        lo: float = -np.inf,
        hi: float = np.inf,
        clamp: int = -1,
        soft: tuple[int, float] | None = None,
        rank: int = 0,
        most: float | None = None,
        complement: bool = False,
        source: str | None = None,
    ) -> None:
        """Add ``lo ≤ coefficients · u ≤ hi``.

        ``clamp`` is the bucket whose clamp sets ``hi``; ``soft`` says how the penalty is scaled, and its multiple.
        ``rank`` and ``most`` are as in :class:`RuleRecord`; a ranked rule has no penalty. ``source`` says who set it
        where that is more than the place of ``key``.
        """
        long = long + 0.0  # −0.0 and 0.0 are the same row
        short = long if short is None else short + 0.0
        soft = None if rank else soft
        alone = soft is not None or rank > 0
        # Soft rules each pay their own price or give way by their own amount, so only hard ones share a row.
        seen = np.concatenate([long[self.longs], short[self.shorts]]).tobytes()
        k = len(self.long) if alone else self._row_of.setdefault(seen, len(self.long))
        if k == len(self.long):
            self.long.append(long)
            self.short.append(short)
            size = float(np.abs(long).max(initial=0.0))
            reach = max((abs(limit) / size for limit in (lo, hi) if np.isfinite(limit) and size > 0.0), default=0.0)
            self._price.append((0, np.inf, size, reach) if soft is None else (*soft, size, reach))
        self._on_rows.append((k, len(self.records), lo, hi, clamp))
        if clamp >= 0:
            self.varying.append(len(self.records))
        source = self.policy.source(key) if source is None else source
        self.records.append(
            RuleRecord(
                name,
                source,
                not alone,
                "row",
                index=k,
                lo=lo,
                hi=hi,
                complement=complement,
                rank=rank,
                most=np.inf if most is None else most,
            )
        )

    def long_only(self, name: str, key: str, members: Index) -> None:
        """Add ``u ≤ 0`` on those of some positions that are short."""
        short = members[self.shorts[members]]
        if len(short):
            self.short_rule[short] = len(self.records)
            self.records.append(bound_record(name, self.policy.source(key), short, np.zeros(len(short))))

    def single_caps(self, caps: SingleCaps) -> None:
        """Add a block of upper bounds on single positions, whose records are ready made."""
        self.cap[caps.at] = caps.upper
        self.cap_rule[caps.at] = len(self.records) + np.arange(len(caps.at))
        self.records.extend(caps.records)

    def turnover_rule(self, cap: float) -> None:
        """Add ``½ Σ|u − p| ≤ cap``, as hard as the policy says."""
        rule = self.policy.execution.turnover
        multiple = np.inf if rule.hard or rule.rank else rule.penalty
        self.turnover, self.turnover_rule_number = (cap, multiple), len(self.records)
        source = self.policy.source("execution.turnover.max")
        most = np.inf if rule.max_violation is None else rule.max_violation
        self.records.append(
            RuleRecord("turnover.max", source, rule.hard, "turnover", hi=cap, rank=rule.rank, most=most)
        )

    def liquidity(self, symbol: str, members: Index) -> None:
        """Add a limit on the trade of a symbol. Buying is hard; selling is as hard as the policy says.

        All cash must stay reachable, so by default a sale that a hard rule forces may be faster than the
        market allows; the rule then reports by how much.
        """
        self.liquidity_rule[members] = len(self.records)
        source = self.policy.source("execution.liquidity.participation")
        rule = self.policy.execution.liquidity
        most = np.inf if rule.max_violation is None else rule.max_violation
        self._varying_bound(f"liquidity.{symbol}", source, rule.hard, members, rank=rule.rank, most=most)

    def gated(self, symbol: str, members: Index, mode: str) -> None:
        """Let a symbol only be reduced, or not be held at all."""
        self.gate[members], self.gate_rule[members] = GATES[mode], len(self.records)
        self._varying_bound(f"gate.{symbol}", f"gate ({mode})", True, members)

    def bounds(self) -> None:
        """Add the bounds that a caller brings."""
        self.bounds_rule = len(self.records)
        self._varying_bound(BOUNDS, "lower=, upper=", True, np.arange(self.n, dtype=np.intp))

    def volatility(self, cap: float) -> None:
        """Add the rule that the program's cone carries."""
        source = self.policy.source("risk_buckets.portfolio.volatility_max")
        self.records.append(RuleRecord("volatility.max", source, True, "cone", cones=(0,), hi=cap))

    def _varying_bound(
        self, name: str, source: str, hard: bool, members: Index, *, rank: int = 0, most: float = np.inf
    ) -> None:
        self.varying.append(len(self.records))
        none = np.full(len(members), np.inf)
        self.records.append(
            RuleRecord(
                name,
                source,
                hard,
                "bound",
                members=members,
                member_upper=none,
                member_lower=-none,
                rank=rank,
                most=most,
            )
        )

    def finish(self, metric: int, *, trading: bool) -> Frame:
        """Return the frame."""
        from pmx.projection.kernels.writing import OF_ROW, Statutes

        K = len(self.long)
        row, number, lo, hi, clamp = (np.array(column) for column in zip(*self._on_rows, strict=True)) \
            if self._on_rows else (np.zeros(0) for _ in range(5))  # fmt: skip
        scaled_by, multiple, size, reach = (np.array(c) for c in zip(*self._price, strict=True)) \
            if self._price else (np.zeros(0) for _ in range(4))  # fmt: skip
        long, short = np.array(self.long).reshape(K, self.n), np.array(self.short).reshape(K, self.n)
        liquidity, turnover = self.policy.execution.liquidity, self.policy.execution.turnover
        law = Statutes(
            rule_row=row.astype(np.intp),
            rule_number=number.astype(np.intp),
            rule_lo=lo.astype(np.float64),
            rule_hi=hi.astype(np.float64),
            rule_clamp=clamp.astype(np.intp),
            scaled_by=scaled_by.astype(np.intp),
            multiple=multiple.astype(np.float64),
            size=size.astype(np.float64),
            reach=reach.astype(np.float64),
            meets=(long != 0.0) & (scaled_by == OF_ROW)[:, None],
            short_rule=self.short_rule,
            cap=self.cap,
            cap_rule=self.cap_rule,
            turnover_rule=self.turnover_rule_number,
            turnover_max=float(self.turnover[0]),
            turnover_multiple=float(self.turnover[1]),
            cost=float(turnover.cost) if trading else 0.0,
            liquidity_rule=self.liquidity_rule,
            liquidity_multiple=np.inf if liquidity.hard or liquidity.rank else float(liquidity.penalty),
            gate=self.gate,
            gate_rule=self.gate_rule,
            bounds_rule=self.bounds_rule,
            metric=metric,
        )
        return Frame(
            long,
            short,
            law,
            tuple(self.records),
            frozenset(self.varying),
            tuple(rule.name for rule in self.records),
            tuple(rule.source for rule in self.records),
            np.array([not rule.hard for rule in self.records], dtype=bool),
            any(rule.rank for rule in self.records),
            next((rule.index for rule in self.records if rule.name == "barbell.safe.floor"), -1),
            np.zeros(len(self.records)),
            _read_only(long),
        )
