"""From a policy to the named rules of one program.

A :class:`RuleBook` knows the policy and the universe of positions; everything that changes from day to day
(wishes, signs, scales, holdings, gates, covariance) comes in with :class:`Inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmx.arguments import checked, require_shape
from pmx.errors import DataError
from pmx.policy import Policy
from pmx.policy.problem import near
from pmx.projection.frame import GATES, Frame, FrameBuilder, Inputs, SingleCaps, bound_record
from pmx.projection.kernels import kernel
from pmx.projection.program import Array, Cone, Index, Program, RuleRecord
from pmx.projection.sheet import Numbers, Sheet

#: How a penalty is scaled, and the metrics, as the compiled code numbers them.
OF_WISHES, OF_ROW = 1, 2
METRICS = {"absolute": 0, "relative": 1, "risk": 2}
#: Frames that are kept, and the coefficients of rows that they may hold together.
FRAMES_KEPT, COEFFICIENTS_KEPT = 256, 10_000_000
NONE = np.zeros(0)
#: With the metric ``risk``, no variance counts as less than this share of the largest one.
SMALLEST_VARIANCE = 1e-4


class RuleBook:
    """The rules of a policy over a fixed universe of positions.

    Parameters
    ----------
    policy : Policy
        The policy.
    positions : sequence of (bucket, symbol)
        The universe, in the order of every array of the program.
    """

    @checked
    def __init__(self, policy: Policy, positions: Sequence[tuple[str, str]]) -> None:
        self.policy = policy
        self.positions = tuple(positions)
        self.buckets = np.array([bucket for bucket, _ in self.positions], dtype=object)
        self.symbols = np.array([symbol for _, symbol in self.positions], dtype=object)
        unknown = sorted(set(self.buckets) - set(policy.risk_buckets.buckets))
        if unknown and not policy.bypassed:
            meant = near(unknown[0], tuple(policy.risk_buckets.buckets))
            raise DataError(
                f"positions are in bucket {unknown[0]!r}, which risk_buckets.yml does not define "
                f"(it has {', '.join(policy.risk_buckets.buckets)}); "
                + (f"did you mean {meant!r}?" if meant else "add the bucket or move the positions")
            )
        safe = set(policy.safe_buckets)
        # A risk asset does not become safe by being held in a safe bucket.
        self._risk_role = np.array([b not in safe or not policy.admits(b, s) for b, s in self.positions], dtype=bool)
        self._members_of_bucket = {
            bucket: np.flatnonzero(self.buckets == bucket) for bucket in dict.fromkeys(self.buckets)
        }
        self._members_of_symbol = _group(self.symbols)
        self._members_of_market = self._markets()
        self._shared_caps, self._single_caps = self._caps()
        self._bucket_number = {bucket: i for i, bucket in enumerate(policy.risk_buckets.buckets)}
        self._no_clamp = np.full(len(self._bucket_number), np.inf)
        self._frames: dict[tuple[Any, ...], Frame] = {}

    @property
    def buckets_held(self) -> tuple[str, ...]:
        """The buckets that have positions."""
        return tuple(self._members_of_bucket)

    # -- what does not change ------------------------------------------------------------------------------

    def _markets(self) -> dict[str, Index]:
        of_symbol = {symbol: set(self.policy.markets_of(symbol)) for symbol in self._members_of_symbol}
        return {
            market: np.array([j for j, s in enumerate(self.symbols) if market in of_symbol[s]], dtype=np.intp)
            for market in self.policy.barbell.markets
        }

    def _caps(self) -> tuple[dict[str, tuple[float, str]], SingleCaps]:
        """Return the caps of symbols held for several buckets, which are rows, and of all others, which are bounds."""
        shared: dict[str, tuple[float, str]] = {}
        at: list[int] = []
        caps: list[float] = []
        records: list[RuleRecord] = []
        for symbol, members in self._members_of_symbol.items():
            tightest = self._tightest_cap(symbol, members)
            if tightest is None:
                continue
            if len(members) > 1:
                shared[symbol] = tightest
                continue
            cap, source = tightest
            at.append(int(members[0]))
            caps.append(cap)
            records.append(bound_record(f"symbol.{symbol}.cap", source, members, np.array([cap])))
        return shared, SingleCaps(np.array(at, dtype=np.intp), np.array(caps), tuple(records))

    def _tightest_cap(self, symbol: str, members: Index) -> tuple[float, str] | None:
        """Return the tightest cap of a symbol, and who set it: its own entry where no general cap is tighter."""
        barbell = self.policy.barbell
        if not barbell.enable_barbell_allocation:
            return None
        found: list[tuple[float, str]] = []
        if symbol in barbell.symbol_caps:
            found.append((barbell.symbol_caps[symbol], f"barbell.symbol_caps.{symbol}"))
        risk = self._risk_role[members]
        if risk.any() and barbell.risk_bucket.max_per_position is not None:
            found.append((barbell.risk_bucket.max_per_position, "barbell.risk_bucket.max_per_position"))
        if not risk.all() and barbell.safe_bucket.max_per_position is not None:
            found.append((barbell.safe_bucket.max_per_position, "barbell.safe_bucket.max_per_position"))
        if not found:
            return None
        cap, key = min(found, key=lambda limit: limit[0])
        source, (_, first) = self.policy.source(key), found[0]
        looser = first != key and first.startswith("barbell.symbol_caps.")
        return cap, f"{source} (tighter than symbol_caps, {self.policy.source(first)})" if looser else source

    # -- one program -----------------------------------------------------------------------------------------

    @checked
    def program(self, inputs: Inputs) -> Program:
        """Write the problem for one set of inputs.

        Raises
        ------
        DataError
            When a rule or the metric needs data that was not given (covariance, tradable volume).
        """
        sheet = self.lay_out(inputs)
        numbers = Numbers(*kernel("writing", "write_numbers")(sheet.frame.law, *sheet.arrays))
        return replace(sheet.program(numbers), cones=self._cones(inputs))

    @checked
    def lay_out(self, inputs: Inputs) -> Sheet:
        """Return which rules there are, and the inputs as compiled code takes them.

        Raises
        ------
        DataError
            As :meth:`program` does.
        """
        self.require_volume(inputs)
        clamp = self._no_clamp
        if inputs.clamps:
            clamp = clamp.copy()
            for bucket, bound in inputs.clamps.items():
                clamp[self._bucket_number[bucket]] = bound
        bounds = inputs.bounds
        least, most = (NONE, NONE) if bounds is None else (plain(bounds[0]), plain(bounds[1]))
        return Sheet(
            self._frame_of(inputs),
            plain(inputs.sign),
            plain(inputs.target),
            self.distance(inputs),
            NONE if inputs.held is None else plain(inputs.held),
            clamp,
            NONE if inputs.tradable is None else plain(inputs.tradable),
            least,
            most,
        )

    def _frame_of(self, inputs: Inputs) -> Frame:
        """Return the frame of inputs with fixed signs; the last ones that were needed are kept."""
        short = inputs.sign < 0.0
        gates = {symbol: inputs.gates[symbol] for symbol in sorted(inputs.gates) if symbol in self._members_of_symbol}
        clamped = tuple(bucket for bucket in self._members_of_bucket if bucket in inputs.clamps)
        limited = None if inputs.held is None or inputs.tradable is None else np.isfinite(inputs.tradable).tobytes()
        key = (
            short.tobytes() if short.any() else b"",
            clamped,
            inputs.held is not None,
            limited,
            tuple(gates.items()),
            inputs.bounds is not None,
        )
        frame = self._frames.get(key)
        if frame is None:
            tradable = inputs.tradable if limited is not None else None
            frame = self.frame(~short, short, clamped, inputs.held is not None, tradable, gates, bounds=key[-1])
            frame = frame.with_signs(short)
            for oldest in list(self._frames)[: -min(max(1, COEFFICIENTS_KEPT // (1 + frame.long.size)), FRAMES_KEPT)]:
                self._frames.pop(oldest, None)
            self._frames[key] = frame
        return frame

    @checked
    def frame(
        self,
        longs: NDArray[np.bool_],
        shorts: NDArray[np.bool_],
        clamped: Sequence[str],
        trading: bool,
        tradable: Array | None,
        gates: Mapping[str, str],
        *,
        bounds: bool,
    ) -> Frame:
        """Return which rules there are.

        Parameters
        ----------
        longs, shorts : array of bool, shape (n,)
            Which positions may be long, and which short.
        clamped : sequence of str
            Buckets with a clamp.
        trading : bool
            Whether holdings are known.
        tradable : array, shape (n,), or None
            Finite where liquidity limits trades.
        gates : mapping of symbol to {"reduce_only", "exit"}
            Gated symbols.
        bounds : bool
            Whether the caller brings bounds.
        """
        for name, sides in (("longs", longs), ("shorts", shorts), ("tradable", tradable)):
            if sides is not None:
                require_shape(name, sides, (len(self.positions),), "one entry for each position")
        for symbol, mode in gates.items():
            if mode not in GATES:
                raise DataError(f"gate of {symbol} is {mode!r}; it must be one of {', '.join(map(repr, GATES))}")
        build = FrameBuilder(self.policy, longs, shorts)
        self._portfolio_rows(build)
        self._bucket_rows(build, clamped)
        self._barbell_rows(build)
        self._custom_rows(build)
        self._symbol_caps(build)
        if trading:
            self._trading(build, tradable)
        for symbol, mode in gates.items():
            if symbol in self._members_of_symbol:
                build.gated(symbol, self._members_of_symbol[symbol], mode)
        if bounds:
            build.bounds()
        if self.policy.risk_buckets.portfolio.volatility_max is not None:
            build.volatility(self.policy.risk_buckets.portfolio.volatility_max)
        return build.finish(METRICS[self.policy.risk_buckets.portfolio.distance], trading=trading)

    def _portfolio_rows(self, build: FrameBuilder) -> None:
        limits = self.policy.risk_buckets.portfolio
        key = "risk_buckets.portfolio."
        ones = np.ones(build.n)
        if limits.cash_min is not None:
            build.row("cash.min", key + "cash_min", ones, -ones, hi=1.0 - limits.cash_min)
        if limits.gross_max is not None:
            build.row("leverage.gross", key + "gross_max", ones, hi=limits.gross_max)

    def _bucket_rows(self, build: FrameBuilder, clamped: Sequence[str]) -> None:
        config = self.policy.risk_buckets
        if not config.enabled:
            return
        for name, members in self._members_of_bucket.items():
            row = _indicator(build.n, members)
            key = f"risk_buckets.buckets.{name}."
            build.row(f"bucket.{name}.max", key + "max_nav_frac", row, hi=config.buckets[name].max_nav_frac)
            if not config.buckets[name].allow_short:
                build.long_only(f"bucket.{name}.long_only", key + "allow_short", members)
            if name in clamped:
                build.row(f"clamp.{name}", key + "base_nav_frac", row, clamp=self._bucket_number[name])

    def _barbell_rows(self, build: FrameBuilder) -> None:
        barbell = self.policy.barbell
        if not barbell.enable_barbell_allocation:
            return
        # A short is risk, whatever its bucket.
        risk, short = self._risk_role.astype(np.float64), np.ones(build.n)
        build.row("barbell.safe.floor", self._floor_key(), risk, short, hi=1.0 - self.policy.safe_floor)
        if barbell.safe_bucket.max_weight is not None:
            build.row(
                "barbell.safe.cap",
                "barbell.safe_bucket.max_weight",
                risk,
                short,
                lo=1.0 - barbell.safe_bucket.max_weight,
                soft=(OF_WISHES, barbell.safe_bucket.max_weight_penalty),
                rank=barbell.safe_bucket.max_weight_rank,
                most=barbell.safe_bucket.max_weight_max_violation,
                complement=True,
            )
        if barbell.risk_bucket.max_weight is not None:
            key = "barbell.risk_bucket.max_weight"
            build.row("barbell.risk.cap", key, risk, short, hi=barbell.risk_bucket.max_weight)
        for market, cap in barbell.market_caps.items():
            inside = _indicator(build.n, self._members_of_market[market])
            if build.met(inside * risk, inside):
                build.row(f"market.{market}.cap", f"barbell.market_caps.{market}", inside * risk, inside, hi=cap)

    def _floor_key(self) -> str:
        """Return the key that set the safe floor: the larger of two files' minimum wins."""
        if self.policy.safe_floor <= self.policy.barbell.safe_bucket.min_weight:
            return "barbell.safe_bucket.min_weight"
        return f"risk_buckets.buckets.{self.policy.safe_buckets[0]}.min_nav_frac"

    def _custom_rows(self, build: FrameBuilder) -> None:
        for name, rule in self.policy.risk_buckets.custom_rules.items():
            row = np.zeros(build.n)
            for coefficients, groups in (
                (rule.symbols, self._members_of_symbol),
                (rule.buckets, self._members_of_bucket),
                (rule.markets, self._members_of_market),
            ):
                for member, coefficient in coefficients.items():
                    if member in groups:
                        row[groups[member]] += coefficient
            build.row(
                f"custom.{name}",
                f"risk_buckets.custom_rules.{name}",
                row,
                -row if rule.exposure == "net" else row,
                lo=-np.inf if rule.min is None else rule.min,
                hi=np.inf if rule.max is None else rule.max,
                soft=None if rule.hard else (OF_ROW, rule.penalty),
                rank=rule.rank,
                most=rule.max_violation,
            )

    def _symbol_caps(self, build: FrameBuilder) -> None:
        for symbol, (cap, source) in self._shared_caps.items():
            row = _indicator(build.n, self._members_of_symbol[symbol])
            build.row(f"symbol.{symbol}.cap", "barbell.symbol_caps", row, hi=cap, source=source)
        build.single_caps(self._single_caps)

    def _trading(self, build: FrameBuilder, tradable: Array | None) -> None:
        turnover = self.policy.execution.turnover
        if turnover.max is not None:
            build.turnover_rule(turnover.max)
        if tradable is not None:
            for symbol, members in self._members_of_symbol.items():
                if np.isfinite(tradable[members]).all():
                    build.liquidity(symbol, members)

    @checked
    def require_volume(self, inputs: Inputs) -> None:
        """Check that liquidity can be judged, where the policy limits it."""
        if self.policy.execution.liquidity.participation is None or inputs.held is None:
            return
        if inputs.tradable is None:
            raise DataError(
                "execution.yml sets liquidity.participation, but no traded volume was given; "
                "pass adv= (average daily value traded by symbol) and nav=, or set participation to null"
            )

    def _cones(self, inputs: Inputs) -> tuple[Cone, ...]:
        """Return the cone of the volatility cap, where the policy has one."""
        cap = self.policy.risk_buckets.portfolio.volatility_max
        if cap is None:
            return ()
        if inputs.covariance is None:
            raise DataError(
                "risk_buckets.yml sets portfolio.volatility_max, but no covariance was given; "
                "pass covariance= (annualised, symbol × symbol) or set volatility_max to null"
            )
        factor = square_root(inputs.covariance) * inputs.sign  # rows: Lᵀ, columns scaled by σ
        G = np.vstack([np.zeros((1, len(inputs.sign))), -factor])
        h = np.concatenate([[cap], np.zeros(factor.shape[0])])
        return (Cone("second_order", np.ascontiguousarray(G), h, np.zeros((len(h), 0))),)

    @checked
    def distance(self, inputs: Inputs) -> Array:
        """Return the metric where the covariance sets it, shape (n,); an empty array elsewhere."""
        if self.policy.risk_buckets.portfolio.distance != "risk" or not self.positions:
            return NONE
        if inputs.covariance is None:
            raise DataError(
                "risk_buckets.yml sets portfolio.distance to 'risk', but no covariance was given; "
                "pass covariance= (annualised, symbol × symbol) or choose 'relative' or 'absolute'"
            )
        variance = np.diag(inputs.covariance).astype(np.float64)
        largest = float(variance.max(initial=0.0))
        if largest <= 0.0:
            raise DataError("every variance of the covariance is zero; the metric 'risk' needs one above zero")
        return np.asarray(np.maximum(variance, SMALLEST_VARIANCE * largest))


def plain(array: Array) -> Array:
    """Return an array as compiled code takes it: contiguous and writeable, so that one version serves all."""
    if array.dtype == np.float64 and array.flags.c_contiguous and array.flags.writeable:
        return array
    return np.array(array, dtype=np.float64, order="C")


def square_root(covariance: Array) -> Array:
    """Return ``Lᵀ`` with ``L Lᵀ`` = covariance, shape (rank, n).

    Raises
    ------
    DataError
        When the matrix is not positive semidefinite.
    """
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    largest = float(values[-1]) if len(values) else 0.0
    if len(values) and values[0] < -1e-8 * max(largest, 1e-300):
        raise DataError(
            f"the covariance is not positive semidefinite: its smallest eigenvalue is {values[0]:.3g} "
            f"against a largest of {largest:.3g}; shrink it or clip its eigenvalues"
        )
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))).T)


def _indicator(n: int, members: Index) -> Array:
    row = np.zeros(n)
    row[members] = 1.0
    return row


def _group(labels: np.ndarray) -> dict[str, Index]:
    groups: dict[str, list[int]] = {}
    for j, label in enumerate(labels):
        groups.setdefault(label, []).append(j)
    return {label: np.array(members, dtype=np.intp) for label, members in groups.items()}
