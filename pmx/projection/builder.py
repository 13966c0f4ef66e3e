"""Collect named rules into one program: merge rows that are the same, keep the tightest bound of each position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pmx.policy import Policy
from pmx.projection.program import Array, Cone, Index, Program, RuleRecord


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
    """

    sign: Array
    target: Array
    clamps: Mapping[str, float] = field(default_factory=dict)
    held: Array | None = None
    gates: Mapping[str, str] = field(default_factory=dict)
    tradable: Array | None = None
    covariance: Array | None = None


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


def bound_record(name: str, source: str, members: Index, upper: Array) -> RuleRecord:
    """Return the record of a hard rule ``u ≤ upper`` on some positions."""
    none = np.full(len(members), -np.inf)
    return RuleRecord(name, source, True, "bound", members=members, member_upper=upper, member_lower=none)


class ProgramBuilder:
    """Collects rules; merges rows that are the same; keeps the tightest bound of each position."""

    def __init__(self, policy: Policy, inputs: Inputs, distance: Array) -> None:
        self.n = len(distance)
        self.policy = policy
        self.inputs = inputs
        n = self.n
        self.previous = np.zeros(n) if inputs.held is None else inputs.sign * inputs.held
        self.distance = distance
        pulls = distance * np.maximum(inputs.target, np.abs(self.previous))
        self.strongest_wish = float((distance * inputs.target).max(initial=0.0)) or 1.0
        self.strongest_pull = float(pulls.max(initial=0.0)) or 1.0
        self.rules: list[RuleRecord] = []
        self.lower, self.upper = np.zeros(n), np.full(n, np.inf)
        self.lower_owner, self.upper_owner = np.full(n, -1, np.intp), np.full(n, -1, np.intp)
        self.floor, self.floor_penalty = np.full(n, -np.inf), np.zeros(n)
        self.floor_owner = np.full(n, -1, np.intp)
        self.A: list[Array] = []
        self.lo: list[float] = []
        self.hi: list[float] = []
        self.lo_owner: list[int] = []
        self.hi_owner: list[int] = []
        self.penalty: list[float] = []
        self._seen: dict[bytes, int] = {}
        self.turnover_max, self.turnover_penalty = np.inf, np.inf
        self.cones: list[Cone] = []

    def pull_on(self, coefficients: Array, *limits: float | None) -> float:
        """Return the strongest pull against a row, per unit of its left-hand side."""
        size = float(np.abs(coefficients).max(initial=0.0))
        if size == 0.0:
            return self.strongest_pull
        members = coefficients != 0.0
        reach = max((abs(limit) / size for limit in limits if limit is not None), default=0.0)
        return max(self.strongest_pull, float(self.distance[members].max()) * reach) / size

    def row(
        self,
        name: str,
        key: str,
        coefficients: Array,
        *,
        lo: float = -np.inf,
        hi: float = np.inf,
        penalty: float = np.inf,
        complement: bool = False,
    ) -> None:
        """Add ``lo ≤ coefficients · u ≤ hi``; a row already there keeps the tighter limits."""
        coefficients = coefficients + 0.0  # −0.0 and 0.0 are the same row
        # Soft rules each pay their own price, so only hard ones share a row.
        k = self._seen.setdefault(coefficients.tobytes(), len(self.A)) if np.isinf(penalty) else len(self.A)
        rule = len(self.rules)
        if k == len(self.A):
            self.A.append(coefficients)
            self.lo.append(-np.inf)
            self.hi.append(np.inf)
            self.lo_owner.append(-1)
            self.hi_owner.append(-1)
            self.penalty.append(penalty)
        if lo > self.lo[k]:
            self.lo[k], self.lo_owner[k] = lo, rule
        if hi < self.hi[k]:
            self.hi[k], self.hi_owner[k] = hi, rule
        source = self.policy.source(key)
        hard = bool(np.isinf(penalty))
        self.rules.append(RuleRecord(name, source, hard, "row", index=k, lo=lo, hi=hi, complement=complement))

    def bound(self, name: str, key: str, members: Index, *, upper: Array, source: str | None = None) -> None:
        """Add ``u ≤ upper`` on some positions."""
        rule = len(self.rules)
        tighter = upper < self.upper[members]
        self.upper[members[tighter]] = upper[tighter]
        self.upper_owner[members[tighter]] = rule
        self.rules.append(bound_record(name, self.policy.source(key) if source is None else source, members, upper))

    def single_caps(self, caps: SingleCaps) -> None:
        """Add a block of upper bounds on single positions, whose records are ready made."""
        rule = len(self.rules) + np.arange(len(caps.at), dtype=np.intp)
        tighter = caps.upper < self.upper[caps.at]
        self.upper[caps.at[tighter]] = caps.upper[tighter]
        self.upper_owner[caps.at[tighter]] = rule[tighter]
        self.rules.extend(caps.records)

    def liquidity(self, symbol: str, members: Index, lower: Array, upper: Array) -> None:
        """Add ``lower ≤ u ≤ upper``. Buying is hard; selling is as hard as the policy says.

        All cash must stay reachable, so by default a sale that a hard rule forces may be faster than the
        market allows; the rule then reports by how much.
        """
        liquidity = self.policy.execution.liquidity
        rule = len(self.rules)
        tighter = upper < self.upper[members]
        self.upper[members[tighter]] = upper[tighter]
        self.upper_owner[members[tighter]] = rule
        holds = lower > 0.0
        if liquidity.hard:
            self.lower[members[holds]] = lower[holds]
            self.lower_owner[members[holds]] = rule
        else:
            self.floor[members[holds]] = lower[holds]
            self.floor_penalty[members[holds]] = liquidity.penalty * self.strongest_pull
            self.floor_owner[members[holds]] = rule
        self.rules.append(
            RuleRecord(
                f"liquidity.{symbol}",
                self.policy.source("execution.liquidity.participation"),
                liquidity.hard,
                "bound",
                members=members,
                member_upper=upper,
                member_lower=lower,
            )
        )

    def turnover_rule(self, cap: float, penalty: float) -> None:
        """Add ``½ Σ|u − p| ≤ cap``."""
        self.turnover_max, self.turnover_penalty = cap, penalty
        source = self.policy.source("execution.turnover.max")
        self.rules.append(RuleRecord("turnover.max", source, np.isinf(penalty), "turnover", hi=cap))

    def second_order(self, name: str, key: str, G: Array, h: Array, *, hi: float = np.inf) -> None:
        """Add the second-order cone ``h − G u ∈ K``."""
        self.rules.append(RuleRecord(name, self.policy.source(key), True, "cone", cones=(len(self.cones),), hi=hi))
        self.cones.append(Cone("second_order", np.ascontiguousarray(G), h, np.zeros((len(h), 0))))

    def finish(self) -> Program:
        """Return the program."""
        cost = self.policy.execution.turnover.cost if self.inputs.held is not None else 0.0
        return Program(
            sign=self.inputs.sign,
            target=self.inputs.target,
            distance=self.distance,
            previous=self.previous,
            cost=np.full(self.n, cost),
            lower=self.lower,
            upper=self.upper,
            lower_owner=self.lower_owner,
            upper_owner=self.upper_owner,
            floor=self.floor,
            floor_penalty=self.floor_penalty,
            floor_owner=self.floor_owner,
            A=np.array(self.A).reshape(len(self.A), self.n),
            lo=np.array(self.lo),
            hi=np.array(self.hi),
            lo_owner=np.array(self.lo_owner, dtype=np.intp),
            hi_owner=np.array(self.hi_owner, dtype=np.intp),
            penalty=np.array(self.penalty),
            turnover_max=self.turnover_max,
            turnover_penalty=self.turnover_penalty,
            cones=tuple(self.cones),
            rules=tuple(self.rules),
        )
