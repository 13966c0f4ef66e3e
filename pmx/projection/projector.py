"""Project wishes onto a policy: built once, solved many times, never answered without a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, InfeasibleError, SolverError
from pmx.policy import Policy
from pmx.policy.units import check_holdings, check_targets
from pmx.portfolio import NavAllocator
from pmx.projection.absent import absent_members
from pmx.projection.admission import Admission
from pmx.projection.allocation import Allocation
from pmx.projection.asked import Asked, Given, RiskScale
from pmx.projection.batch import ZERO, AllocationBatch, Errors
from pmx.projection.certificate import Certificate
from pmx.projection.chain import ENGINES, Engine, EngineChain
from pmx.projection.feasibility import contradiction
from pmx.projection.frame import Frame, Inputs
from pmx.projection.journal import REFUSALS, Journal, recorded, refused
from pmx.projection.kernels import kernel
from pmx.projection.many import Many
from pmx.projection.newton_engine import answer
from pmx.projection.passthrough import bypass, refuse_limits
from pmx.projection.program import Array, Point, Program
from pmx.projection.ranks import ROOM, give_way, ranked
from pmx.projection.residual import ResidualBook
from pmx.projection.rules import NONE, RuleBook, plain
from pmx.projection.sheet import Solved
from pmx.projection.universe import Gates, Universe

if TYPE_CHECKING:
    import cvxpy as cp

    from pmx.projection.cvxpy_engine import Shape
    from pmx.projection.extra import ConstraintWriter, ExtraConstraints


#: Arguments that `Universe` reads, which knows the positions.
READ_BY_UNIVERSE = ("relative_weights", "targets", "previous", "gated", "covariance", "lower", "upper", "engine")


class Projector:
    """A policy compiled over a fixed universe of positions.

    Parameters
    ----------
    policy : Policy
        The policy.
    positions : MultiIndex or sequence of (bucket, symbol)
        The universe. Wishes and holdings may name any of these and no others.
    constraints : callable, optional
        ``constraints(weights) -> {name: cvxpy constraint}``: your own convex constraints on the weights, see
        :class:`pmx.projection.extra.Weights`. They become hard rules ``custom.<name>``.

    Attributes
    ----------
    index : MultiIndex (bucket, symbol)
        The positions, in the order of every array.
    universe : Universe
        The same, and what reads the inputs of a solve.
    allocator : NavAllocator
        What turns budgets and scales into wishes and clamps.
    residual_book : ResidualBook or None
        The rules with the residual symbol, where the policy has one.
    admission : Admission
        Which of them their buckets do not admit: those may be sold, and never grow.

    Raises
    ------
    DataError
        When a position is not a pair, is named twice, or its bucket does not exist; or when there are constraints
        though both flags of the policy are off.
    SolverError
        When a constraint is not convex, not DPP, or needs a cone that cannot be certified.

    Examples
    --------
    >>> import pandas as pd, pmx
    >>> policy = pmx.load_policy()
    >>> projector = pmx.Projector(policy, [("ts_core", "SP500"), ("ts_core", "WTI")])
    >>> wish = pd.Series([0.5, 0.5], index=projector.index)
    >>> projector.solve(wish).weights.round(3).to_dict()
    {'SP500': 0.075, 'WTI': 0.075, 'CASH': 0.85}
    """

    @checked(elsewhere=["positions", "constraints"])
    def __init__(
        self,
        policy: Policy,
        positions: pd.MultiIndex | Sequence[tuple[str, str]],
        *,
        constraints: ConstraintWriter | None = None,
    ) -> None:
        if constraints is not None and not callable(constraints):
            raise DataError(
                f"constraints is {constraints!r}; give a function of the weights that returns cvxpy constraints by name"
            )
        refuse_limits(policy, constraints=constraints)
        self.policy = policy
        self.universe = Universe(policy, positions)
        self.index = self.universe.index
        self.book = RuleBook(policy, list(self.index))
        self.allocator = NavAllocator(policy)
        self.admission = Admission(policy, self.book.positions)
        portfolio = policy.risk_buckets.portfolio
        self.residual_book: ResidualBook | None = None
        if portfolio.residual_symbol is not None and policy.safe_buckets and not policy.bypassed:
            self.residual_book = ResidualBook(policy, list(self.index))
        solver = policy.execution.solver
        solvers = tuple(dict.fromkeys([solver.name, *solver.fallbacks]))
        self._chain = EngineChain(solvers, room=lambda: self._room, positions=self.book.positions)
        trading = policy.execution
        limits = {
            "turnover.max": trading.turnover.max is not None,
            "turnover.cost": trading.turnover.cost > 0.0,
            "liquidity": trading.liquidity.participation is not None,
        }
        #: Rules on trades, which need to know what is held.
        self.on_trades = tuple(name for name, there in limits.items() if there)
        #: Whether a position may be kept from turning to its other side at once.
        self.trading_limited = bool(self.on_trades)
        #: Whether a rule is not linear, so that cvxpy must solve.
        self.has_cones = portfolio.volatility_max is not None or constraints is not None
        self._cash_min = portfolio.cash_min or 0.0
        self._extra: ExtraConstraints | None = None
        if constraints is not None:
            from pmx.projection.extra import ExtraConstraints

            self._extra = ExtraConstraints(constraints, list(self.index))
            taken = {f"custom.{name}" for name in policy.risk_buckets.custom_rules} & set(self._extra.names)
            if taken:
                raise DataError(f"rule {min(taken)} is in the policy already; give your constraint another name")

    @property
    def problem(self) -> cp.Problem:
        """The compiled cvxpy problem, holding the parameters of the latest solve."""
        return self._chain.compiled(self._room).problem

    @checked(elsewhere=READ_BY_UNIVERSE)
    def solve(
        self,
        relative_weights: pd.Series | Array,
        *,
        risk_scale: RiskScale = None,
        previous: pd.Series | Array | None = None,
        gated: Gates = None,
        covariance: pd.DataFrame | Array | None = None,
        adv: Mapping[str, float] | pd.Series | None = None,
        nav: float | None = None,
        lower: pd.Series | Array | None = None,
        upper: pd.Series | Array | None = None,
        warm_start: Allocation | None = None,
        engine: Engine = "auto",
        journal: Journal | str | PathLike[str] | None = None,
    ) -> Allocation:
        """Project the router's relative weights onto the policy.

        Parameters
        ----------
        relative_weights : Series by (bucket, symbol), or array, shape (n,)
            Signed share of its bucket that each position asks for; Σ|r| ≤ 1 in a bucket. Positions not named: 0. An
            array, here and below, has the order of ``index``.
        risk_scale : mapping or Series by bucket, or array in the order of the policy's buckets, optional
            Scale ``s_b``; 1 where not named.
        previous : Series by (bucket, symbol), or array, shape (n,), fraction of NAV, optional
            Signed weights held now. Without it nothing is held as far as rules are concerned: there are no turnover and
            liquidity limits, and a ``reduce_only`` gate lets nothing in.
        gated : mapping of symbol to {"reduce_only", "exit"}, or iterable of symbols, optional
            Gated symbols; without a mode, the policy's ``execution.gate_mode``. Symbols outside the universe are
            ignored.
        covariance : DataFrame, symbol × symbol, or array, shape (n, n), optional
            Annualised. Needed for ``volatility_max`` and the metric ``risk``.
        adv : mapping or Series by symbol, in base currency a day, optional
            Average daily value traded; needed for ``liquidity.participation``.
        nav : float, base currency, optional
            Needed with ``adv``.
        lower, upper : Series by (bucket, symbol), or array, shape (n,), fraction of NAV, optional
            Least and most size ``|weight|`` of positions, as the hard rule ``account.bounds``. Not named: no
            bound.
        warm_start : Allocation, optional
            An earlier answer of this policy, from whose prices the Newton engine starts. The answer is the same within
            its ``distance_bound``; without it, the Newton engine's is a function of the other arguments to the last
            bit.
        engine : {"auto", "newton", "cvxpy"}
            Which engine answers; ``auto`` is the Newton engine, or cvxpy where there are cones or Newton misses.
        journal : Journal, str or PathLike, optional
            Where the solve, or the reason why it was refused, is written down for ``pmx verify``.

        Returns
        -------
        Allocation
            With ``certificate.accepted`` true.

        Raises
        ------
        DataError
            When an input is malformed, not finite, names a position outside the universe, asks for more than is held of
            a position that its bucket does not admit, or is missing though a rule of the policy needs it. With both
            flags of the policy off, when anything is given that would limit weights: ``gated``, ``adv``, ``nav``,
            ``lower``, ``upper``, or a scale other than 1.
        InfeasibleError
            When the hard rules cannot hold together.
        SolverError
            When no engine produced an answer that its certificate accepts.
        """
        given = Given(previous, gated, covariance, adv, nav, lower, upper, warm_start, engine)
        asked = Asked("solve", relative_weights, risk_scale, given, self.universe, constraints=self._own)
        try:
            refuse_limits(self.policy, risk_scale=risk_scale, gated=gated, adv=adv, nav=nav, lower=lower, upper=upper)
            if self.policy.bypassed:
                return recorded(bypass(self.universe.as_series(relative_weights), self.policy), self.policy, journal)
            r = self.universe.array(relative_weights, "relative_weights")
            budget = self.allocator.allocate(r, risk_scale, positions=self.index)
            allocation = self._project(r, budget.target, dict(budget.clamps), asked)
        except REFUSALS as error:
            refused(error, self.policy, asked, journal)
            raise
        return recorded(allocation, self.policy, journal)

    @checked(elsewhere=READ_BY_UNIVERSE)
    def project(
        self,
        targets: pd.Series | Array,
        *,
        risk_scale: RiskScale = None,
        previous: pd.Series | Array | None = None,
        gated: Gates = None,
        covariance: pd.DataFrame | Array | None = None,
        adv: Mapping[str, float] | pd.Series | None = None,
        nav: float | None = None,
        lower: pd.Series | Array | None = None,
        upper: pd.Series | Array | None = None,
        warm_start: Allocation | None = None,
        engine: Engine = "auto",
        journal: Journal | str | PathLike[str] | None = None,
    ) -> Allocation:
        """Project given weights, signed fractions of NAV by (bucket, symbol), onto the policy.

        Like :meth:`solve`, but the wish is given in NAV fractions and no budget is applied to it first. A
        ``risk_scale`` below 1 clamps the bucket to its scaled maximum, ``max(scale · max_nav_frac, min_nav_frac)``.
        """
        given = Given(previous, gated, covariance, adv, nav, lower, upper, warm_start, engine)
        asked = Asked("project", targets, risk_scale, given, self.universe, constraints=self._own)
        try:
            refuse_limits(self.policy, risk_scale=risk_scale, gated=gated, adv=adv, nav=nav, lower=lower, upper=upper)
            if self.policy.bypassed:
                return recorded(bypass(self.universe.as_series(targets), self.policy), self.policy, journal)
            x = self.universe.array(targets, "targets")
            clamps = {} if risk_scale is None else self.allocator.scaled_maxima(self.index, risk_scale)
            allocation = self._project(x, np.abs(x), clamps, asked)
        except REFUSALS as error:
            refused(error, self.policy, asked, journal)
            raise
        return recorded(allocation, self.policy, journal)

    @checked(elsewhere=(*READ_BY_UNIVERSE, "risk_scale", "nav", "errors"))
    def solve_many(
        self,
        targets: Array | pd.DataFrame,
        *,
        risk_scale: RiskScale | pd.DataFrame = None,
        previous: Array | pd.DataFrame | None = None,
        gated: Gates = None,
        covariance: pd.DataFrame | Array | None = None,
        adv: Mapping[str, float] | pd.Series | None = None,
        nav: float | Array | None = None,
        lower: Array | pd.DataFrame | None = None,
        upper: Array | pd.DataFrame | None = None,
        workers: int | None = None,
        chunk: int | None = None,
        progress: bool = False,
        errors: Errors = "raise",
    ) -> AllocationBatch:
        """Project many accounts' wishes, each as :meth:`project` would.

        ``workers``, ``chunk`` and the order of accounts do not change a bit of any answer.

        Parameters
        ----------
        targets : array or DataFrame, shape (n_accounts, n), fraction of NAV
            Signed wishes; columns in the order of ``index``, or labelled with its pairs. Tables whose rows are labelled
            must name the same accounts in the same order. Arrays are not copied: :meth:`AllocationBatch.allocation`
            reads them again.
        risk_scale : mapping or Series by bucket, array (n_buckets,) or (n_accounts, n_buckets), or DataFrame, optional
            As in :meth:`project`, for all accounts or for each.
        previous : array or DataFrame, shape (n_accounts, n), fraction of NAV, optional
            Signed weights held now.
        gated, covariance, adv
            As in :meth:`solve`, the same for all accounts.
        nav : float or array, shape (n_accounts,), base currency, optional
            Needed with ``adv``.
        lower, upper : array, shape (n,) or (n_accounts, n), or DataFrame, fraction of NAV, optional
            Least and most size ``|weight|``, as the hard rule ``account.bounds``. Not named: no bound.
        workers : int, optional
            Threads; every core if not given.
        chunk : int, optional
            Accounts that a thread takes at a time.
        progress : bool
            Show a progress bar, on standard error where that is a terminal.
        errors : {"raise", "collect"}
            Whether an account that has no answer stops the whole, or is reported in ``failures``. Malformed inputs
            always stop it.

        Returns
        -------
        AllocationBatch
            Every row certified, unless it is in ``failures``. Memory is linear in the accounts: what is given, what
            is returned, and a few chunks.

        Raises
        ------
        DataError, InfeasibleError, SolverError
            As in :meth:`solve`, naming the account.

        Examples
        --------
        >>> import numpy as np, pmx
        >>> projector = pmx.Projector(pmx.load_policy(), [("ts_core", "SP500"), ("ts_core", "WTI")])
        >>> batch = projector.solve_many(np.array([[0.05, 0.05], [0.30, 0.10]]))
        >>> batch.weights.round(3).to_numpy().tolist()
        [[0.05, 0.05, 0.9], [0.1, 0.1, 0.8]]
        """
        if errors not in ("raise", "collect"):
            raise DataError(f"errors is {errors!r}; choose 'raise' or 'collect'")
        given = Many(self, targets, risk_scale, previous, gated, covariance, adv, nav, lower, upper)
        return given.solve(workers, chunk, progress, errors)

    # -- the solve -------------------------------------------------------------------------------------------

    @property
    def _own(self) -> tuple[str, ...]:
        """Names of the caller's own constraints."""
        return () if self._extra is None else tuple(self._extra.names)

    def _project(self, side: Array, target: Array, clamps: dict[str, float], asked: Asked) -> Allocation:
        """Project sizes ``target`` on the sides that the signs of ``side`` say, each of shape (n,)."""
        given = asked.given
        if not isinstance(given.engine, str) or given.engine not in ENGINES:
            raise SolverError(f"engine {given.engine!r} does not exist; choose one of {', '.join(ENGINES)}")
        try:
            return self._posed(side, target, clamps, asked)
        except InfeasibleError as error:
            error.add_hints(absent_members(self.policy, self.index.tolist(), error.rules))
            raise

    def _posed(self, side: Array, target: Array, clamps: dict[str, float], asked: Asked) -> Allocation:
        """Read the inputs, and solve."""
        given = asked.given
        held = None if given.previous is None else self.universe.array(given.previous, "previous")
        check_targets(target, self.policy)
        if held is not None:
            check_holdings(held, self.policy)
        self.admission.require(side, target, held)
        lean = kernel("answering", "lean")
        sign, wish, turns = lean(plain(side), plain(target), NONE if held is None else held, self.trading_limited)
        inputs = Inputs(
            sign,
            target,
            clamps,
            held,
            gates=self.universe.gates(given.gated),
            tradable=self.universe.tradable(given.adv, given.nav),
            covariance=self.universe.covariance_of(given.covariance),
            bounds=self.admission.bounds(self.universe.bounds(given.lower, given.upper), side, held),
        )
        asked = asked.read(side, inputs)
        try:
            if turns:
                inputs, solved, certificate = self._through_zero(inputs, side, given)
            else:
                solved, certificate = self._answer(inputs, given)
        except REFUSALS as error:
            error.asked = asked
            raise
        return self._allocation(inputs, wish, asked, solved, certificate)

    def _allocation(
        self, inputs: Inputs, wish: Array, asked: Asked, solved: Solved, certificate: Certificate
    ) -> Allocation:
        residual = None
        if self.residual_book is not None:
            symbols = [symbol for _, symbol in self.residual_book.positions]
            covariance = self.universe.covariance_between(asked.given.covariance, symbols)
            residual = self.residual_book.residual(inputs, solved.point.u, covariance)
        return Allocation(
            certificate=certificate,
            index=self.index,
            signed=inputs.sign * solved.point.u + 0.0,  # no −0.0
            wished=wish,
            solved=solved,
            residual_part=residual,
            cash_min=self._cash_min,
            own_violations=None if self._extra is None else self._extra.violations,
            asked=asked,
            own_comparisons=None if self._extra is None else self._extra.limits,
            again=partial(self._again, inputs, wish, asked),
            policy=self.policy,
            left_out=self.on_trades if inputs.held is None else (),
        )

    def _again(self, inputs: Inputs, wish: Array, asked: Asked, program: Program) -> Allocation:
        """Return the allocation that another program of the same positions gives."""
        solved = self._by_chain(program, asked.given.engine)
        return self._allocation(inputs, wish, replace(asked, supposed=True), *solved)

    def _through_zero(self, inputs: Inputs, side: Array, given: Given) -> tuple[Inputs, Solved, Certificate]:
        """Solve where trading is limited: a position takes the other side only once the rules let it leave this one.

        Signs are fixed in a program, so a position that shall turn is first wished to zero on the side where it is
        held. If it gets there, it is solved again on the side where it is wished.
        """
        assert inputs.held is not None
        turning = side * inputs.held < 0.0
        target, toward = inputs.target, inputs.sign
        staying = replace(inputs, sign=np.where(turning, -toward, toward), target=np.where(turning, 0.0, target))
        first = self._answer(staying, given)
        through = turning & (first[0].point.u <= ZERO)
        if inputs.tradable is not None:
            through &= np.abs(inputs.held) <= inputs.tradable
        if not through.any():
            return staying, *first
        stuck = turning & ~through
        inputs = replace(inputs, sign=np.where(stuck, -toward, toward), target=np.where(stuck, 0.0, target))
        return inputs, *self._answer(inputs, given)

    def _answer(self, inputs: Inputs, given: Given) -> tuple[Solved, Certificate]:
        if given.engine == "cvxpy" or self.has_cones or not self.universe.n:
            return self._by_chain(self._write(inputs), given.engine)
        sheet = self.book.lay_out(inputs)
        start = None
        if given.warm_start is not None:
            if not isinstance(given.warm_start, Allocation):
                kind = type(given.warm_start).__name__
                raise DataError(f"warm_start must be an earlier Allocation; got {kind}")
            start = prices_of(given.warm_start, sheet.frame)
        solved, certificate = answer(sheet, start)
        return (
            (solved, certificate)
            if certificate.accepted
            else (self._by_chain(solved.program, given.engine, certificate))
        )

    def _by_chain(
        self, program: Program, engine: Engine, missed: Certificate | None = None
    ) -> tuple[Solved, Certificate]:
        try:
            return self._certified(program, engine, missed)
        except InfeasibleError as error:
            error.program = program
            raise

    def _certified(self, program: Program, engine: Engine, missed: Certificate | None) -> tuple[Solved, Certificate]:
        by_rank = ranked(program)
        if by_rank and contradiction(program) is not None:
            return self._by_rank(program, engine)
        try:
            point, certificate = self._chain.solve(program, engine, missed)
        except InfeasibleError:
            if by_rank and program.cones:
                return self._by_rank(program, engine)
            raise
        return Solved(point, program=program), certificate

    def _by_rank(self, program: Program, engine: Engine) -> tuple[Solved, Certificate]:
        *first, last = (give_way(program, self.book.positions, room) for room in ROOM)
        for eased in first:
            with suppress(SolverError):
                point, certificate = self._chain.solve(eased, engine)
                return Solved(point, program=eased), certificate
        point, certificate = self._chain.solve(last, engine)
        return Solved(point, program=last), certificate

    def _write(self, inputs: Inputs) -> Program:
        program = self.book.program(inputs)
        return program if self._extra is None else self._extra.onto(program)

    @cached_property
    def _room(self) -> Shape:
        """The shape of the largest program that this policy can write over this universe."""
        from pmx.projection.cvxpy_engine import Shape

        n = self.universe.n
        config = self.policy.execution
        widest = self._write(
            Inputs(
                sign=np.ones(n),
                target=np.zeros(n),
                clamps=dict.fromkeys(self.index.get_level_values("bucket"), 1.0),
                held=np.zeros(n),
                tradable=np.zeros(n) if config.liquidity.participation is not None else None,
                covariance=np.eye(n),
            )
        )
        rows = [(rule, rule.hard or rule.rank > 0) for rule in widest.rules if rule.kind == "row"]
        smallest = Shape.of(widest)
        return Shape(
            n=n,
            hard_sides=sum(int(np.isfinite(rule.lo)) + int(np.isfinite(rule.hi)) for rule, hard in rows if hard),
            soft_sides=sum(int(np.isfinite(rule.lo)) + int(np.isfinite(rule.hi)) for rule, hard in rows if not hard),
            trades=smallest.trades,
            turnover=smallest.turnover,
            floors=config.liquidity.participation is not None and not (config.liquidity.hard or config.liquidity.rank),
            cones=smallest.cones,
            n_auxiliary=smallest.n_auxiliary,
        )


def prices_of(allocation: Allocation, frame: Frame) -> Point | None:
    """Return an earlier answer's prices as a point of a frame's programs, matched by the names of rules, if it has any.

    The point's ``u`` is empty.
    """
    old, point = allocation.program, allocation.point
    if old is None or point is None:
        return None
    if old.A is frame.shown:
        return point
    owner = np.where(point.rows > 0.0, old.hi_owner, old.lo_owner)
    price = {old.rules[int(owner[k])].name: float(point.rows[k]) for k in np.flatnonzero(point.rows)}
    rows = np.zeros(len(frame.long))
    for rule in frame.records:
        if rule.kind == "row" and rule.name in price:
            rows[rule.index] = price[rule.name]
    return Point(u=np.zeros(0), rows=rows, turnover=point.turnover)
