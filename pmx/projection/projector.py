"""Project wishes onto a policy: built once, solved many times, never answered without a certificate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pmx.errors import DataError, SolverError
from pmx.policy import CASH, Policy
from pmx.portfolio import NavAllocator
from pmx.projection.allocation import Allocation
from pmx.projection.batch import ZERO, AllocationBatch, Errors
from pmx.projection.certificate import Certificate
from pmx.projection.chain import ENGINES, Engine, EngineChain
from pmx.projection.frame import Frame, Inputs
from pmx.projection.kernels import kernel
from pmx.projection.many import Many
from pmx.projection.newton_engine import answer
from pmx.projection.program import Array, Point, Program
from pmx.projection.residual import ResidualBook
from pmx.projection.rules import NONE, RuleBook, plain
from pmx.projection.sheet import Solved

if TYPE_CHECKING:
    import cvxpy as cp

    from pmx.projection.cvxpy_engine import Shape
    from pmx.projection.extra import ConstraintWriter, ExtraConstraints

Gates = Mapping[str, str] | Iterable[str] | None
RiskScale = Mapping[str, float] | pd.Series | Array | None
GATE_MODES = ("reduce_only", "exit")
LEVELS = ["bucket", "symbol"]


class Given(NamedTuple):
    """What a caller gives beside the wish; see :meth:`Projector.solve`."""

    previous: pd.Series | Array | None = None
    gated: Gates = None
    covariance: pd.DataFrame | Array | None = None
    adv: Mapping[str, float] | pd.Series | None = None
    nav: float | None = None
    lower: pd.Series | Array | None = None
    upper: pd.Series | Array | None = None
    warm_start: Allocation | None = None
    engine: Engine = "auto"


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

    Raises
    ------
    DataError
        When a position is not a pair, is named twice, or its bucket does not exist.
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

    def __init__(
        self,
        policy: Policy,
        positions: pd.MultiIndex | Sequence[tuple[str, str]],
        *,
        constraints: ConstraintWriter | None = None,
    ) -> None:
        self.policy = policy
        try:
            self.index = pd.MultiIndex.from_tuples(list(positions), names=LEVELS)
        except (TypeError, ValueError) as error:
            raise DataError(f"the universe must be pairs (bucket, symbol); got {list(positions)[:3]}") from error
        self._n = len(self.index)
        if self.index.has_duplicates:
            raise DataError(f"position {self.index[self.index.duplicated()][0]} is named twice in the universe")
        self._position = {position: j for j, position in enumerate(self.index)}
        self._symbols = self.index.get_level_values("symbol").tolist()
        count = Counter(self._symbols)
        self._holders = np.array([count[symbol] for symbol in self._symbols], dtype=np.float64)
        self.book = RuleBook(policy, list(self.index))
        if CASH in self.index.get_level_values("symbol"):
            raise DataError(f"a position is named {CASH}, which stands for cash; rename the symbol")
        self._allocator = NavAllocator(policy)
        portfolio = policy.risk_buckets.portfolio
        self._residual: ResidualBook | None = None
        if portfolio.residual_symbol is not None and policy.safe_buckets and not policy.bypassed:
            self._residual = ResidualBook(policy, list(self.index))
        solver = policy.execution.solver
        solvers = tuple(dict.fromkeys([solver.name, *solver.fallbacks]))
        self._chain = EngineChain(solvers, room=lambda: self._room)
        trading = policy.execution
        #: Whether a position may be kept from turning to its other side at once.
        self.trading_limited = bool(
            trading.turnover.max is not None or trading.liquidity.participation is not None or trading.turnover.cost
        )
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

        Returns
        -------
        Allocation
            With ``certificate.accepted`` true.

        Raises
        ------
        DataError
            When an input is malformed, not finite, names a position outside the universe, or is missing though a
            rule of the policy needs it.
        InfeasibleError
            When the hard rules cannot hold together.
        SolverError
            When no engine produced an answer that its certificate accepts.
        """
        if self.policy.bypassed:
            return bypass(self._as_series(relative_weights))
        r = self._array(relative_weights, "relative_weights")
        budget = self._allocator.allocate(r, risk_scale, positions=self.index)
        given = Given(previous, gated, covariance, adv, nav, lower, upper, warm_start, engine)
        return self._project(r, budget.target, dict(budget.clamps), given)

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
    ) -> Allocation:
        """Project given weights, signed fractions of NAV by (bucket, symbol), onto the policy.

        Like :meth:`solve`, but the wish is given in NAV fractions and no budget is applied to it first. A
        ``risk_scale`` below 1 clamps the bucket to its scaled maximum, ``max(scale · max_nav_frac, min_nav_frac)``.
        """
        if self.policy.bypassed:
            return bypass(self._as_series(targets))
        x = self._array(targets, "targets")
        clamps = {} if risk_scale is None else self._allocator.scaled_maxima(self.index, risk_scale)
        given = Given(previous, gated, covariance, adv, nav, lower, upper, warm_start, engine)
        return self._project(x, np.abs(x), clamps, given)

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

    # -- inputs to arrays ------------------------------------------------------------------------------------

    def _as_series(self, weights: pd.Series | Array) -> pd.Series:
        if not isinstance(weights, np.ndarray):
            return weights
        if weights.shape != (self._n,):
            raise DataError(f"weights have shape {weights.shape}; an array must be ({self._n},), as the index")
        return pd.Series(weights, index=self.index)

    def _array(self, series: pd.Series | Array, name: str, *, unlimited: bool = False) -> Array:
        """Return weights as a new array in the order of the universe; finite, or ``unlimited`` and maybe inf."""
        if isinstance(series, np.ndarray):
            if series.shape != (self._n,):
                raise DataError(f"{name} has shape {series.shape}; an array must be ({self._n},), as the index")
            if series.dtype.kind not in "fiu":
                raise DataError(f"{name} must hold real numbers, fractions; got {series.dtype}")
            out = series.astype(np.float64)
            if not np.isfinite(out).all() and not (unlimited and not np.isnan(out).any()):
                raise self._not_finite(out, name)
            return out
        if not isinstance(series, pd.Series):
            kind = type(series).__name__
            raise DataError(f"{name} must be a Series indexed by (bucket, symbol), or an array; got {kind}")
        if series.index.nlevels != 2:
            raise DataError(
                f"{name} must be a Series indexed by (bucket, symbol); got one by {series.index.name or 'one level'} "
                "(an allocation's .positions has both, its .weights has not)"
            )
        try:
            values = series.to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} must hold numbers, fractions: {error}") from error
        if series.index is self.index or series.index.equals(self.index):
            out = values.copy()
        else:
            out = np.zeros(self._n)
            if series.index.has_duplicates:
                raise DataError(f"{name} names position {series.index[series.index.duplicated()][0]} twice")
            for position, value in zip(series.index, values, strict=True):
                j = self._position.get(position)
                if j is None:
                    raise DataError(
                        f"{name} names position {position}, which is not in the projector's universe; build the "
                        "projector with it"
                    )
                out[j] = value
        if not np.isfinite(out).all() and not (unlimited and not np.isnan(out).any()):
            raise self._not_finite(out, name)
        return out

    def _not_finite(self, values: Array, name: str) -> DataError:
        bad = self.index[int(np.flatnonzero(~np.isfinite(values))[0])]
        if name == "upper":
            bad = self.index[int(np.flatnonzero(np.isnan(values))[0])]
            return DataError(f"upper of position {bad} is not a number; give inf, or leave it out, for no bound")
        return DataError(f"{name} of position {bad} is not a finite number; drop the position or give 0")

    def gates(self, gated: Gates) -> dict[str, str]:
        """Return gated symbols and their modes."""
        if gated is None:
            return {}
        if isinstance(gated, pd.Series):
            gated = dict(zip(gated.index, gated, strict=True))
        if isinstance(gated, str):
            raise DataError(f"gated must be a mapping or a list of symbols, not the single string {gated!r}")
        if not isinstance(gated, Iterable):
            raise DataError(f"gated must be a mapping or a list of symbols; got {type(gated).__name__}")
        if not isinstance(gated, Mapping):
            return dict.fromkeys(gated, self.policy.execution.gate_mode)
        for symbol, mode in gated.items():
            if mode not in GATE_MODES:
                raise DataError(f"gate of {symbol} is {mode!r}; it must be 'reduce_only' or 'exit'")
        return dict(gated)

    def covariance_of(self, covariance: pd.DataFrame | Array | None) -> Array | None:
        """Return the covariance of the positions' assets, shape (n, n)."""
        return self._covariance(covariance, self._symbols)

    def _covariance(self, covariance: pd.DataFrame | Array | None, symbols: list[str]) -> Array | None:
        if covariance is None:
            return None
        if isinstance(covariance, np.ndarray):
            if covariance.shape != (len(symbols), len(symbols)):
                raise DataError(
                    f"the covariance has shape {covariance.shape}; an array must have a row and a column for each of "
                    f"the {len(symbols)} positions, or give a DataFrame by symbol"
                )
            return _sound_covariance(covariance.astype(np.float64), symbols)
        if not isinstance(covariance, pd.DataFrame):
            kind = type(covariance).__name__
            raise DataError(
                f"the covariance must be a DataFrame, symbol × symbol; got {kind}; name its rows and columns"
            )
        for labels in (covariance.index, covariance.columns):
            if labels.has_duplicates:
                raise DataError(f"the covariance names {labels[labels.duplicated()][0]} twice; keep one of them")
        missing = [s for s in symbols if s not in covariance.index or s not in covariance.columns]
        if missing:
            raise DataError(f"the covariance has no row and column for {missing[0]}; add it or drop the position")
        return _sound_covariance(covariance.reindex(index=symbols, columns=symbols).to_numpy(np.float64), symbols)

    def _bounds(self, lower: pd.Series | Array | None, upper: pd.Series | Array | None) -> tuple[Array, Array] | None:
        if lower is None and upper is None:
            return None
        least = np.zeros(self._n) if lower is None else self._array(lower, "lower")
        if upper is None:
            most = np.full(self._n, np.inf)
        else:
            most = self._array(upper, "upper", unlimited=True)
            if isinstance(upper, pd.Series):
                most = np.where(self.index.isin(upper.index), most, np.inf)
        for name, values in (("lower", least), ("upper", most)):
            if (values < 0.0).any():
                j = int(np.argmin(values))
                raise DataError(f"{name} of position {self.index[j]} is {values[j]}; sizes are not negative")
        return np.maximum(least, 0.0), most

    def tradable(self, adv: Mapping[str, float] | pd.Series | None, nav: float | None) -> Array | None:
        """Return the largest trade of each position, shape (n,), fraction of NAV; None where nothing limits it."""
        participation = self.policy.execution.liquidity.participation
        if participation is None or adv is None:
            return None
        if nav is None or not np.isfinite(nav) or nav <= 0:
            raise DataError(f"nav must be a positive number when adv is given; got {nav}")
        value = np.array([float(adv[symbol]) if symbol in adv else np.nan for symbol in self._symbols])
        if not (value >= 0.0).all() or np.isinf(value).any():
            j = int(np.flatnonzero(~(value >= 0.0) | np.isinf(value))[0])
            raise DataError(
                f"adv of {self._symbols[j]} is {value[j]}; give its average daily value traded, in base currency"
            )
        return np.asarray(participation * value / nav / self._holders)

    # -- the solve -------------------------------------------------------------------------------------------

    def _project(self, side: Array, target: Array, clamps: dict[str, float], given: Given) -> Allocation:
        """Project sizes ``target`` on the sides that the signs of ``side`` say, each of shape (n,)."""
        if given.engine not in ENGINES:
            raise SolverError(f"engine {given.engine!r} does not exist; choose one of {', '.join(ENGINES)}")
        held = None if given.previous is None else self._array(given.previous, "previous")
        lean = kernel("answering", "lean")
        sign, wish, turns = lean(plain(side), plain(target), NONE if held is None else held, self.trading_limited)
        inputs = Inputs(
            sign,
            target,
            clamps,
            held,
            gates=self.gates(given.gated),
            tradable=self.tradable(given.adv, given.nav),
            covariance=self.covariance_of(given.covariance),
            bounds=self._bounds(given.lower, given.upper),
        )
        if turns:
            inputs, solved, certificate = self._through_zero(inputs, side, given)
        else:
            solved, certificate = self._answer(inputs, given)
        residual = None
        if self._residual is not None:
            symbols = [symbol for _, symbol in self._residual.positions]
            residual = self._residual.residual(inputs, solved.point.u, self._covariance(given.covariance, symbols))
        return Allocation(
            certificate=certificate,
            index=self.index,
            signed=inputs.sign * solved.point.u + 0.0,  # no −0.0
            wished=wish,
            solved=solved,
            residual_part=residual,
            cash_min=self._cash_min,
            own_violations=None if self._extra is None else self._extra.violations,
        )

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
        if given.engine == "cvxpy" or self.has_cones or not self._n:
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
        point, certificate = self._chain.solve(program, engine, missed)
        return Solved(point, program=program), certificate

    def _write(self, inputs: Inputs) -> Program:
        program = self.book.program(inputs)
        return program if self._extra is None else self._extra.onto(program)

    @cached_property
    def _room(self) -> Shape:
        """The shape of the largest program that this policy can write over this universe."""
        from pmx.projection.cvxpy_engine import Shape

        n = self._n
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
        rows = [rule for rule in widest.rules if rule.kind == "row"]
        smallest = Shape.of(widest)
        return Shape(
            n=n,
            hard_sides=sum(int(np.isfinite(rule.lo)) + int(np.isfinite(rule.hi)) for rule in rows if rule.hard),
            soft_sides=sum(int(np.isfinite(rule.lo)) + int(np.isfinite(rule.hi)) for rule in rows if not rule.hard),
            trades=smallest.trades,
            turnover=smallest.turnover,
            floors=config.liquidity.participation is not None and not config.liquidity.hard,
            cones=smallest.cones,
            n_auxiliary=smallest.n_auxiliary,
        )


def _sound_covariance(block: Array, symbols: list[str]) -> Array:
    if not np.isfinite(block).all():
        j = int(np.argwhere(~np.isfinite(block))[0][0])
        raise DataError(f"the covariance of {symbols[j]} is not finite; estimate it on more data")
    if (np.diag(block) < 0).any():
        j = int(np.argmin(np.diag(block)))
        raise DataError(f"the variance of {symbols[j]} is {block[j, j]:.3g}, below zero; estimate it again")
    if not np.allclose(block, block.T, rtol=1e-8, atol=1e-14):
        raise DataError("the covariance is not symmetric; average it with its transpose")
    return block


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


def bypass(weights: pd.Series, cash: float | None = None) -> Allocation:
    """Return the caller's weights unchanged, bit for bit."""
    values = weights.to_numpy(dtype=np.float64).copy()
    return Allocation(
        certificate=Certificate(0.0, 0.0, 0.0, "none", "the policy layer is switched off"),
        index=as_positions(weights.index),
        signed=values,
        wished=values,
        given_cash=cash,
    )


def as_positions(index: pd.Index) -> pd.MultiIndex:
    """Return an index of positions with its levels named.

    Raises
    ------
    DataError
        When it is not indexed by (bucket, symbol).
    """
    if not isinstance(index, pd.MultiIndex) or index.nlevels != 2:
        raise DataError(
            "weights must be indexed by (bucket, symbol); build the index with pandas.MultiIndex.from_tuples"
        )
    return index if list(index.names) == LEVELS else index.set_names(LEVELS)
