"""The hard rules of a policy as linear inequalities over its universe, and how far any sum can go within them.

A position that may be short has two columns, its size as a long and its size as a short. Letting both be above zero at
once only widens the region, so a sum that cannot reach a bound here cannot reach it in any portfolio.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, eye_array, hstack

from pmx.linting.finding import Position
from pmx.policy import Policy
from pmx.policy.frozen_dict import FrozenDict
from pmx.projection import RuleBook
from pmx.projection.feasibility import unit_of_rows

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Exit statuses of HiGHS.
_INFEASIBLE, _UNBOUNDED = 2, 3
#: What the sum of decimal fractions may miss a bound by, in units of its row.
_ROUNDING = 1e-9
#: Multipliers below this are rounding.
_NO_PRICE = 1e-9


@dataclass(frozen=True, eq=False)
class Limit:
    """One side of one rule, ``row · u ≤ bound``.

    Attributes
    ----------
    name, source : str
        The rule, and the file and line that set it.
    row : array, shape (n_columns,)
        Coefficients.
    bound : float
        For a lower limit, row and bound have their signs turned. Infinite for a clamp, which the day sets.
    hard : bool
        Whether it may never give way.
    lower : bool
        Whether it is the rule's lower limit.
    furthest : bool
        Whether it is as far as a ranked rule may give way, and not the rule's own limit.
    """

    name: str
    source: str
    row: Array
    bound: float
    hard: bool
    lower: bool
    furthest: bool = False

    @property
    def forbids_cash(self) -> bool:
        """Whether a portfolio all in cash breaks it, by more than rounding."""
        return self.hard and self.bound < -_ROUNDING * float(unit_of_rows(self.row[None])[0])


@dataclass(frozen=True, eq=False)
class Reach:
    """How far a sum can go.

    Attributes
    ----------
    value : float
        Its maximum; infinite if nothing stops it, −inf if there is no feasible point.
    point : array, shape (n_columns,)
        Where it is reached.
    multipliers : mapping of rule name to float
        Weights on the rules that stop it: their sum is the proof.
    """

    value: float
    point: Array
    multipliers: Mapping[str, float]


class Region:
    """The weights that obey every hard linear rule, at risk scales of 1 and without gates.

    Parameters
    ----------
    policy : Policy
        The policy.
    positions : sequence of (bucket, symbol)
        The universe.
    """

    def __init__(self, policy: Policy, positions: Sequence[Position]) -> None:
        buckets = policy.risk_buckets
        may_short = [not buckets.enabled or buckets.buckets[bucket].allow_short for bucket, _ in positions]
        self.positions = tuple(positions)
        self.shorts: Flags = np.array(may_short, dtype=bool)
        n = len(positions)
        #: Position of each column, and whether it is the short side.
        self.position = np.concatenate([np.arange(n), np.flatnonzero(self.shorts)])
        self.is_short = np.arange(len(self.position)) >= n
        frame = RuleBook(linear(policy), self.positions).frame(
            np.ones(n, dtype=bool), self.shorts, tuple(buckets.buckets), False, None, {}, bounds=False
        )
        self.limits: list[Limit] = []
        for rule in frame.records:
            if rule.kind == "row":
                row = np.concatenate([frame.long[rule.index], frame.short[rule.index][self.shorts]])
                for side, bound, lower in ((row, rule.hi, False), (-row, -rule.lo, True)):
                    own = Limit(rule.name, rule.source, side, bound, rule.hard, lower)
                    if np.isfinite(bound) or (not lower and rule.name.startswith("clamp.")):
                        self.limits.append(own)
                    if rule.rank and np.isfinite(bound + rule.most):
                        self.limits.append(replace(own, bound=bound + rule.most, hard=True, furthest=True))
            elif rule.kind == "bound":
                for member, upper in zip(rule.members, rule.member_upper, strict=True):
                    for column in np.flatnonzero(self.position == member):
                        unit = np.zeros(len(self.position))
                        unit[column] = 1.0
                        self.limits.append(Limit(rule.name, rule.source, unit, float(upper), rule.hard, False))

    @cached_property
    def _unit(self) -> Array:
        return unit_of_rows(np.array([limit.row for limit in self.limits]).reshape(len(self.limits), -1))

    @cached_property
    def _rows(self) -> csr_array:
        """The limits' rows, each in its unit: a solver takes small coefficients for zeros."""
        rows = np.array([limit.row for limit in self.limits]).reshape(len(self.limits), -1)
        return csr_array(rows / self._unit[:, None])

    def columns(self, bucket: str) -> Array:
        """Return the sum of the sizes in a bucket as a row, shape (n_columns,)."""
        inside = np.array([b == bucket for b, _ in self.positions], dtype=np.float64)
        return np.asarray(inside[self.position])

    @property
    def demands(self) -> frozenset[str]:
        """The rules that a portfolio all in cash breaks by more than they may give way."""
        return frozenset(limit.name for limit in self.limits if limit.forbids_cash)

    def furthest(
        self,
        row: Array,
        without: Collection[Limit] = (),
        clamps: Mapping[str, float] | None = None,
        shut: Flags | None = None,
    ) -> Reach:
        """Maximise a sum within the hard rules.

        Parameters
        ----------
        row : array, shape (n_columns,)
            Its coefficients.
        without : collection of Limit
            Limits to leave out.
        clamps : mapping of bucket to float, optional
            Bounds of the clamps; none where not named.
        shut : array of bool, shape (n_columns,), optional
            Columns held at zero.
        """
        bound = self._bounds(clamps)
        keep = np.flatnonzero(np.isfinite(bound) & [limit.hard and limit not in without for limit in self.limits])
        top = np.full(len(row), np.inf) if shut is None else np.where(shut, 0.0, np.inf)
        answer = linprog(  # type: ignore[call-overload]  # its stubs do not know that it takes sparse rows
            -row,
            A_ub=self._rows[keep],
            b_ub=bound[keep],
            bounds=np.column_stack([np.zeros(len(row)), top]),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if answer.x is None:
            value = np.inf if answer.status == _UNBOUNDED else -np.inf
            return Reach(value, np.zeros(len(row)), {})
        prices: dict[str, float] = {}
        for i, price in zip(keep, -answer.ineqlin.marginals, strict=True):
            if price > _NO_PRICE:
                prices[self.limits[i].name] = prices.get(self.limits[i].name, 0.0) + float(price / self._unit[i])
        return Reach(-float(answer.fun), answer.x, prices)

    def furthest_on_one_side(self, row: Array) -> Reach:
        """Maximise a sum within the hard rules with no position both long and short; without multipliers."""
        loose = self.furthest(row)
        if np.isinf(loose.value) or not self.shorts.any():
            return loose
        keep = np.flatnonzero([limit.hard and np.isfinite(limit.bound) for limit in self.limits])
        m, n = len(self.position), len(self.positions)
        size = max(float(self.furthest(np.ones(m)).value), 0.0)  # of all columns together, so of each
        side = csr_array((np.where(self.is_short, -size, size), (np.arange(m), self.position)), shape=(m, n))
        answer = milp(
            np.concatenate([-row, np.zeros(n)]),
            constraints=[
                LinearConstraint(
                    hstack([self._rows[keep], csr_array((len(keep), n))]), -np.inf, self._bounds(None)[keep]
                ),
                LinearConstraint(hstack([eye_array(m), side]), -np.inf, np.where(self.is_short, 0.0, size)),
            ],
            integrality=np.concatenate([np.zeros(m), np.ones(n)]),
            bounds=Bounds(0.0, np.concatenate([np.full(m, size), self.shorts.astype(float)])),
            options={"mip_rel_gap": 0.0},
        )
        return loose if answer.x is None else Reach(-float(answer.fun), answer.x[:m], {})

    def feasible(self, clamps: Mapping[str, float] | None = None, shut: Flags | None = None) -> bool:
        """Return whether any weights obey every hard rule."""
        return self.furthest(np.zeros(len(self.position)), (), clamps, shut).value > -np.inf

    def side_shut(self, short: Flags) -> Flags:
        """Return the columns that are shut when the signals choose sides, shape (n_columns,)."""
        return np.asarray(self.is_short != short[self.position])

    def opposing_sides(self, clamps: Mapping[str, float]) -> Flags | None:
        r"""Return which positions the signals must want short to leave no feasible weights; None if they cannot.

        By Farkas' lemma, sides :math:`\sigma` leave none exactly if there are multipliers
        :math:`y \ge 0` of the limits :math:`B u \le c` with

        .. math:: (B^\top y)_j \ge 0 \text{ on the open side of each position } j, \qquad c^\top y < 0 .

        A binary variable chooses the side, which makes one mixed-integer program of all :math:`2^m` choices. Short
        signals are kept where they are needed only.
        """
        bound = self._bounds(clamps)
        keep = np.flatnonzero(np.isfinite(bound) & [limit.hard for limit in self.limits])
        B, c, n = self._rows[keep], bound[keep], len(self.positions)
        slack, m = float(abs(B).max()) if B.nnz else 0.0, len(self.position)
        # Long columns give way where their position is short, short columns where it is long.
        give = csr_array((np.where(self.is_short, -slack, slack), (np.arange(m), self.position)), shape=(m, n))
        total = np.concatenate([np.ones(len(keep)), np.zeros(n)])[None, :]
        top = np.concatenate([np.ones(len(keep)), self.shorts.astype(float)])
        answer = milp(
            np.concatenate([c, np.zeros(n)]),
            constraints=[
                LinearConstraint(hstack([B.T, give]), np.where(self.is_short, -slack, 0.0), np.inf),
                LinearConstraint(total, 1.0, 1.0),
            ],
            integrality=np.concatenate([np.zeros(len(keep)), np.ones(n)]),
            bounds=Bounds(0.0, top),
            options={"mip_rel_gap": 0.0},
        )
        if answer.x is None or answer.fun >= 0.0:
            return None
        short = answer.x[len(keep) :] > 0.5
        if self.feasible(clamps, self.side_shut(short)):
            return None
        for j in np.flatnonzero(short):
            short[j] = False
            short[j] = self.feasible(clamps, self.side_shut(short))
        return np.asarray(short)

    def _bounds(self, clamps: Mapping[str, float] | None) -> Array:
        named = {f"clamp.{bucket}": bound for bucket, bound in (clamps or {}).items()}
        bounds = np.array([named.get(limit.name, limit.bound) for limit in self.limits]) / self._unit
        return np.where((bounds < 0.0) & (bounds >= -_ROUNDING), 0.0, bounds)


def linear(policy: Policy, without: Collection[str] = ()) -> Policy:
    """Return a policy without what data alone decides: the volatility cap, the metric, and traded volumes.

    It also lacks the `demands` named in ``without``.
    """
    config, barbell = policy.risk_buckets, policy.barbell
    portfolio = config.portfolio.model_copy(update={"volatility_max": None, "distance": "absolute"})
    custom = {name: rule for name, rule in config.custom_rules.items() if f"custom.{name}" not in without}
    liquidity = policy.execution.liquidity.model_copy(update={"participation": None})
    if "barbell.safe.cap" in without:
        safe = barbell.safe_bucket.model_copy(update={"max_weight": None})
        barbell = barbell.model_copy(update={"safe_bucket": safe})
    return replace(
        policy,
        risk_buckets=config.model_copy(update={"portfolio": portfolio, "custom_rules": FrozenDict(custom)}),
        barbell=barbell,
        execution=policy.execution.model_copy(update={"liquidity": liquidity}),
    )
