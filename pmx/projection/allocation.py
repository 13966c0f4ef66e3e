"""The answer: weights, their proof, and their explanation."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.policy import CASH, Policy
from pmx.portfolio import LinearRules
from pmx.projection.asked import Asked
from pmx.projection.certificate import HARD_TOLERANCE, Certificate, cone_violation
from pmx.projection.explain import (
    RuleFigures,
    RuleReading,
    attribution_table,
    read_rules,
    rule_figures,
    rules_table,
)
from pmx.projection.program import Array, Index, Point, Program, objective, tangent_of
from pmx.projection.residual import Residual
from pmx.projection.sheet import Solved
from pmx.projection.trades import SAME, counted_from, trade_rules
from pmx.projection.what_if import with_bound
from pmx.projection.words import in_words


class Status(enum.StrEnum):
    """How an answer came about; the text of each is advice to a person."""

    OPTIMAL = "optimal"
    RELAXED = "relaxed"
    BYPASSED = "bypassed"

    @property
    def advice(self) -> str:
        """What to make of it, in a sentence."""
        return {
            Status.OPTIMAL: "Every rule holds; these are the weights closest to the wish.",
            Status.RELAXED: "Every hard rule holds; a soft rule gave way: the rules table says which, and by how much.",
            Status.BYPASSED: "The policy layer is switched off; these are the caller's weights, unchanged.",
        }[self]


@dataclass(frozen=True, eq=False, repr=False)
class Allocation:
    """Feasible weights with certificate, prices and attribution.

    Attributes
    ----------
    certificate : Certificate
        How far from the exact answer these weights can be at most.
    index : MultiIndex (bucket, symbol)
        The positions.
    solved : Solved or None
        The arrays that were solved and their solution; None when the layer was bypassed.
    residual_part : Residual or None
        The residual symbol, if the policy has one, and what it may take.
    own_violations : callable or None
        Signed weights to what they break of the user's own constraints.
    own_comparisons : callable or None
        Signed weights to relation, bound and value of each of them.
    cash_min : float, fraction of NAV
        What stays in cash when there is a residual symbol.
    asked : Asked or None
        What was asked, for a journal; None when the layer was bypassed.
    again : callable or None
        Another program of the same positions to its allocation.
    policy : Policy or None
        The policy that it obeys.
    left_out : tuple of str
        Rules of the policy that are not in this solve, since nothing was said of what is held: ``turnover.max``,
        ``turnover.cost``, ``liquidity``.
    """

    certificate: Certificate
    index: pd.MultiIndex
    signed: Array
    wished: Array
    solved: Solved | None = None
    residual_part: Residual | None = None
    cash_min: float = 0.0
    given_cash: float | None = None
    own_violations: Callable[[Array], dict[str, float]] | None = None
    asked: Asked | None = None
    own_comparisons: Callable[[Array], dict[str, tuple[str, float, float]]] | None = None
    again: Callable[[Program], Allocation] | None = None
    policy: Policy | None = None
    left_out: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what solves again, which holds a compiled problem that cannot be copied."""
        return {**self.__dict__, "again": None}

    def __post_init__(self) -> None:
        for name, values in (("signed", self.signed), ("wished", self.wished)):
            if not isinstance(values, np.ndarray):
                raise DataError(f"{name} of an allocation is a {type(values).__name__}; give an array of weights")
            values.setflags(write=False)

    @property
    def program(self) -> Program | None:
        """The arrays that were solved; None when the layer was bypassed."""
        return None if self.solved is None else self.solved.program

    @property
    def point(self) -> Point | None:
        """Their solution."""
        return None if self.solved is None else self.solved.point

    @cached_property
    def status(self) -> Status:
        """``OPTIMAL``, ``RELAXED`` or ``BYPASSED``."""
        if self.solved is None:
            return Status.BYPASSED
        return Status.RELAXED if self.figures.gave_way else Status.OPTIMAL

    @cached_property
    def positions(self) -> pd.Series:
        """Signed weight of each (bucket, symbol), fraction of NAV."""
        return pd.Series(self.signed.copy(), index=self.index, name="weight")

    @cached_property
    def target(self) -> pd.Series:
        """What the signals asked for, signed, fraction of NAV."""
        return pd.Series(self.wished.copy(), index=self.index, name="target")

    @property
    def residual_symbol(self) -> str | None:
        """Symbol that takes what is left above the minimum of cash; None where cash does."""
        return None if self.residual_part is None else self.residual_part.symbol

    @property
    def residual(self) -> float:
        """What the residual symbol takes beside its own positions, fraction of NAV; 0 when there is none."""
        if self.residual_part is None:
            return 0.0
        left = 1.0 - math.fsum(self.signed.tolist()) - self.cash_min
        return max(min(left, self.residual_part.room), 0.0)

    @property
    def cash(self) -> float:
        """Weight of cash, fraction of NAV."""
        if self.given_cash is not None:
            return self.given_cash
        return 1.0 - math.fsum([*self.signed.tolist(), self.residual])

    @cached_property
    def weights(self) -> pd.Series:
        """Signed weight of each symbol and of ``CASH``, fraction of NAV; sums to 1."""
        totals: dict[str, float] = {}
        for symbol, weight in zip(self.index.get_level_values("symbol"), self.signed.tolist(), strict=True):
            totals[symbol] = totals[symbol] + weight if symbol in totals else weight
        if self.residual_symbol is not None and self.given_cash is None:
            totals[self.residual_symbol] = totals.get(self.residual_symbol, 0.0) + self.residual
        totals[CASH] = self.cash
        return pd.Series(totals, name="weight", dtype="float64").rename_axis("symbol")

    @cached_property
    def by_bucket(self) -> pd.Series:
        """Signed weight of each bucket, fraction of NAV."""
        return self.positions.groupby(level="bucket", sort=False).sum()

    @cached_property
    def figures(self) -> RuleFigures:
        """What a ledger of many days adds up of each rule, as arrays."""
        if self.solved is None:
            return RuleFigures((), (), np.zeros(0, bool), np.zeros(0), np.zeros(0), False)
        return rule_figures(self.solved, self._beside)

    @property
    def _beside(self) -> dict[str, float]:
        """What the residual symbol adds to each rule's left-hand side."""
        if self.residual_part is None:
            return {}
        return {name: a * self.residual for name, a in self.residual_part.coefficients.items()}

    @cached_property
    def readings(self) -> tuple[RuleReading, ...]:
        """One record for each named rule, as plain data; see :class:`pmx.projection.explain.RuleReading`."""
        if self.program is None or self.point is None:
            return ()
        return tuple(read_rules(self.program, self.point, self._beside))

    @cached_property
    def rules(self) -> pd.DataFrame:
        """One line for each named rule; columns as in :class:`pmx.projection.explain.RuleReading`."""
        return rules_table(self.readings)

    @cached_property
    def unique(self) -> bool:
        """Whether the rules' prices, and so the attribution, are the only ones that explain these weights."""
        return all(rule.unique for rule in self.readings)

    @cached_property
    def attribution(self) -> pd.DataFrame:
        """One row a position: target, what each rule took or gave, weight; rows sum exactly."""
        if self.program is None or self.point is None:
            return pd.DataFrame({"target": self.target, "weight": self.positions})
        return attribution_table(self.program, self.point, self.index, self.wished)

    @property
    def safe_weight(self) -> float:
        """Share of NAV that is not at risk, ``1 − Σ`` of risk positions; 1 minus gross when nothing says which are."""
        rule = None if self.solved is None else _risk_row(self.solved)
        if rule is None or self.solved is None:
            return 1.0 - math.fsum(np.abs(self.signed).tolist())
        return 1.0 - math.fsum((rule * self.solved.point.u).tolist())

    @property
    def objective(self) -> float:
        """What the answer costs, in the units in which shadow prices count: distance, trading, and penalties."""
        return 0.0 if self.solved is None else objective(self.solved.program, self.solved.point)

    @checked
    def what_if(self, rule: str, bound: float) -> Allocation:
        """Return the allocation that would have come out had one rule another bound.

        Everything else stays: wishes, holdings, gates, penalties. For a small step the rule's ``shadow_price`` says how
        much the objective changes, ``objective(bound) ≈ objective − shadow_price · step``, where ``step`` is how far
        the bound is relaxed. Where a price is not ``unique``, relaxing gains at most that much, and tightening costs at
        least that much.

        Parameters
        ----------
        rule : str
            Name of a rule in :attr:`rules`.
        bound : float
            Its new bound, in the units of the table's ``bound``: that limit moves. Of a rule that bounds positions all
            bounds, upper and lower, open or close by as much.

        Raises
        ------
        DataError
            When there is no such rule, the rule has no bound, the bound is not a number, or this allocation cannot be
            solved again because the layer was bypassed or it was unpickled.
        InfeasibleError, SolverError
            As for any other solve.

        Examples
        --------
        >>> import pmx
        >>> alloc = pmx.project_to_feasible({"SP500": 0.08, "WTI": 0.06, "GLD": 0.06}, pmx.load_policy())
        >>> alloc.weights.round(3).to_dict()
        {'SP500': 0.08, 'WTI': 0.05, 'GLD': 0.05, 'CASH': 0.82}
        >>> alloc.what_if("market.commodities.cap", 0.08).weights.round(3).to_dict()
        {'SP500': 0.08, 'WTI': 0.04, 'GLD': 0.04, 'CASH': 0.84}
        """
        if self.again is None or self.program is None:
            raise DataError("this allocation cannot be solved again (bypassed, or unpickled); solve it first")
        reading = next((reading for reading in self.readings if reading.name == rule), None)
        if reading is None:
            names = [reading.name for reading in self.readings]
            near = get_close_matches(rule, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names)}"
            raise DataError(f"there is no rule {rule!r} in this allocation; {hint}")
        return self.again(with_bound(self.program, reading, bound))

    def __repr__(self) -> str:
        c = self.certificate
        return (
            f"Allocation({self.status}: {len(self.signed)} positions, cash {self.cash:.2%}, within "
            f"{c.distance_bound:.0e} of the optimum by {c.engine}; see .weights, .rules, .attribution, .explain())"
        )

    def explain(self) -> str:
        """Return the allocation in words: each position that was cut, by which rules and how much."""
        return "\n".join([in_words(self), *self._unused_budgets()])

    @cached_property
    def utilisation(self) -> pd.Series | None:
        """Σ abs(relative weight) of each bucket with positions: the share of its budget that was asked for.

        None where targets were given in fractions of NAV. Below 1, the conviction of the signals (or the caller) left
        part of the budget in cash.
        """
        if self.asked is None or self.asked.how != "solve" or self.status is Status.BYPASSED:
            return None
        buckets = self.index.get_level_values("bucket")
        sizes = pd.Series(np.abs(np.asarray(self.asked.weights, dtype=np.float64)), index=buckets)
        return sizes.groupby(level=0, sort=False).sum().rename("utilisation")

    def _unused_budgets(self) -> list[str]:
        """Return a line for each bucket of which part was asked for, and part was not."""
        if self.utilisation is None:
            return []
        partly = self.utilisation[(self.utilisation > 0.0) & (self.utilisation < 1.0 - 1e-9)]
        return [
            f"bucket {bucket}: its relative weights add up to {used:.2g}, so {used:.0%} of its budget is used"
            for bucket, used in partly.items()
        ]

    def own_limits(self) -> dict[str, tuple[str, float, float]]:
        """Return relation, bound and value of each constraint of the user's own, by rule, in its own unit.

        A comparison of one number with a constant has all three; any other has NaN, since cvxpy knows only whether it
        holds.
        """
        return {} if self.own_comparisons is None else self.own_comparisons(self.signed.copy())

    # -- for code that changes the weights afterwards -------------------------------------------------------

    @checked
    def linear_rules(self, tangent_at: Sequence[pd.Series] = ()) -> LinearRules:
        """Return the linear rules and bounds as arrays.

        Parameters
        ----------
        tangent_at : sequence of Series by (bucket, symbol)
            Signed weights at which tangents of the conic rules are added as rows: whatever obeys the rules obeys those.
        """
        p = self.program
        if p is None:
            n = len(self.signed)
            sign = np.where(self.signed < 0, -1.0, 1.0)
            none = np.zeros(0)
            return LinearRules(
                (), np.zeros((0, n)), none, none, np.zeros(0, bool), np.zeros(n), np.full(n, np.inf), sign
            )
        owner = np.where(p.hi_owner >= 0, p.hi_owner, p.lo_owner)
        names = [p.rules[int(i)].name for i in owner]
        A, lo, hi, hard = [p.A], [p.lo], [p.hi], [np.isinf(p.penalty)]
        for positions in tangent_at:
            u = p.sign * positions.reindex(self.index, fill_value=0.0).to_numpy(dtype=np.float64)
            for rule in p.rules:
                for row, limit in (tangent for i in rule.cones if (tangent := tangent_of(p.cones[i], u)) is not None):
                    names.append(rule.name)
                    A.append(row[None])
                    lo.append(np.array([-np.inf]))
                    hi.append(np.array([limit]))
                    hard.append(np.array([True]))
        turnover = p.turnover_max if np.isinf(p.turnover_penalty) else np.inf
        return LinearRules(
            tuple(names), _not_to_be_written(np.vstack(A)), np.concatenate(lo), np.concatenate(hi),
            np.concatenate(hard), p.lower, p.upper,
            p.sign, p.previous, turnover,
        )  # fmt: skip

    @checked
    def counted_from(self, held: pd.Series, nav: float, beside: float = 0.0) -> Allocation:
        """Return the same weights under rules whose limits on trades are counted from what is held now.

        Gates, liquidity and a limit on turnover are about trades, so they change with holdings and NAV. What was not
        in the solve since nothing was said of holdings, :attr:`left_out`, stays out.

        Parameters
        ----------
        held : Series by (bucket, symbol), signed fraction of NAV
            What is held; positions not named are not held.
        nav : float, base currency
            NAV now.
        beside : float, fraction of NAV
            What is held of the residual symbol beside its own positions.

        Raises
        ------
        DataError
            When the allocation does not say what it was solved with, a position has no size within its bounds, ``held``
            names one twice, or ``nav`` is not above zero.
        """
        if held.index.nlevels != 2 or not held.index.is_unique:
            raise DataError("held must be indexed by (bucket, symbol), each position once; add up what is there twice")
        if not 0.0 < nav < np.inf:
            raise DataError(f"nav is {nav!r}; give the net asset value, above zero, in base currency")
        p, symbols = self.program, self.index.get_level_values("symbol").tolist()
        now = held.reindex(self.index, fill_value=0.0).to_numpy(dtype=np.float64)
        if p is None:
            return self
        kinds = set(trade_rules(p, symbols).values())
        wider = None if self.residual_part is None else self.residual_part.program
        if wider is not None:
            kinds |= set(trade_rules(wider, [*symbols, str(self.residual_symbol)]).values())
        if not kinds and not p.has_turnover_rule:
            return self
        asked = self.asked
        if asked is None or asked.inputs is None or ("liquidity" in kinds and asked.given.nav is None):
            raise DataError(
                "the allocation has limits on trades, but does not say the gates, traded values and NAV that it was "
                "solved with; solve again with previous= from this snapshot, gated=, adv= and nav="
            )
        larger = float(asked.given.nav) / nav if asked.given.nav is not None and "liquidity" in kinds else 1.0
        gates = asked.inputs.gates
        if beside == 0.0 and abs(larger - 1.0) <= SAME and np.abs(p.sign * now - p.previous).max(initial=0.0) <= SAME:
            return self
        solved, residual = self.solved, self.residual_part
        assert solved is not None
        solved = Solved(solved.point, program=counted_from(p, symbols, now, gates, larger))
        if residual is not None and wider is not None:
            there = np.append(now, np.zeros(wider.n - len(now)))
            there[residual.column] += beside
            names = [*symbols, *[residual.symbol] * (wider.n - len(now))]
            residual = replace(residual, program=counted_from(wider, names, there, gates, larger))
        return replace(self, solved=solved, residual_part=residual, again=None)

    @checked
    def residual_room(self, positions: pd.Series) -> float:
        """Return the most that the residual symbol may take beside other weights, fraction of NAV; 0 without one.

        Parameters
        ----------
        positions : Series by (bucket, symbol)
            Signed weights; positions not named are zero.
        """
        if self.residual_part is None or self.program is None:
            return 0.0
        if not positions.index.is_unique:
            raise DataError(f"position {positions.index[positions.index.duplicated()][0]} is given twice; add them up")
        x = positions.reindex(self.index, fill_value=0.0).to_numpy(dtype=np.float64)
        return self.residual_part.room_beside(self.program.sign * x)

    @checked
    def violations(self, positions: pd.Series) -> pd.Series:
        """Return by how much other weights would break hard rules, rule name → NAV fraction, only those above 1e-9.

        Parameters
        ----------
        positions : Series by (bucket, symbol)
            Signed weights; positions not named are zero.

        Raises
        ------
        DataError
            When a position is not one of this allocation's.
        """
        p = self.program
        if p is None:
            return pd.Series(dtype="float64", name="violation")
        if not positions.index.is_unique:
            raise DataError(f"position {positions.index[positions.index.duplicated()][0]} is given twice; add them up")
        strange = positions.index.difference(self.index)
        if len(strange):
            raise DataError(f"position {strange[0]} is not in this allocation; solve again with it in the universe")
        u = p.sign * positions.reindex(self.index, fill_value=0.0).to_numpy(dtype=np.float64)
        broken: dict[str, float] = {}

        def note(name: str, amount: float) -> None:
            if amount > HARD_TOLERANCE:
                broken[name] = max(amount, broken.get(name, 0.0))

        own = self.own_violations(p.sign * u) if self.own_violations is not None else {}
        value = p.A @ u
        for rule in p.rules:
            if rule.kind == "row" and rule.hard:
                note(rule.name, max(float(value[rule.index]) - rule.hi, rule.lo - float(value[rule.index])))
        _note_bounds(p, note, u - p.upper, p.upper_owner)
        _note_bounds(p, note, p.lower - u, p.lower_owner)
        if p.has_turnover_rule and np.isinf(p.turnover_penalty):
            note("turnover.max", p.turnover(u) - p.turnover_max)
        for rule in p.rules:
            if rule.name not in own:
                for i in rule.cones:
                    note(rule.name, cone_violation(p.cones[i], u, np.zeros(p.n_auxiliary)))
        for name, amount in own.items():
            note(name, amount)
        return pd.Series(broken, name="violation", dtype="float64").rename_axis("rule")


def _note_bounds(program: Program, note: Callable[[str, float], None], excess: Array, owners: Index) -> None:
    for j in np.flatnonzero(excess > HARD_TOLERANCE):
        owner = int(owners[j])
        note(program.rules[owner].name if owner >= 0 else "sign", float(excess[j]))


def _risk_row(solved: Solved) -> Array | None:
    if solved.sheet is not None:
        frame = solved.sheet.frame
        return np.asarray(frame.long[frame.at_risk]) if frame.at_risk >= 0 else None
    program = solved.program
    for rule in program.rules:
        if rule.name == "barbell.safe.floor":
            return np.asarray(program.A[rule.index])
    return None


def _not_to_be_written(rows: Array) -> Array:
    """Return an array that nobody can change in place."""
    rows.setflags(write=False)
    return rows
