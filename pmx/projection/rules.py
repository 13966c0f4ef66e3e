"""From a policy to the named rules of one program.

A :class:`RuleBook` knows the policy and the universe of positions; everything that changes from day to day
(wishes, signs, scales, holdings, gates, covariance) comes in with :class:`Inputs`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.projection.builder import Inputs, ProgramBuilder, SingleCaps, bound_record
from pmx.projection.program import Array, Index, Program, RuleRecord

#: The metric of a position is never stiffer than that of a wish of one basis point of NAV.
SMALLEST_WISH = 1e-4
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

    def __init__(self, policy: Policy, positions: Sequence[tuple[str, str]]) -> None:
        self.policy = policy
        self.positions = tuple(positions)
        self.buckets = np.array([bucket for bucket, _ in self.positions], dtype=object)
        self.symbols = np.array([symbol for _, symbol in self.positions], dtype=object)
        unknown = sorted(set(self.buckets) - set(policy.risk_buckets.buckets))
        if unknown and not policy.bypassed:
            raise DataError(
                f"positions are in bucket {unknown[0]!r}, which risk_buckets.yml does not define "
                f"(it has {', '.join(policy.risk_buckets.buckets)}); add the bucket or move the positions"
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
            cap, key = tightest
            at.append(int(members[0]))
            caps.append(cap)
            records.append(bound_record(f"symbol.{symbol}.cap", self.policy.source(key), members, np.array([cap])))
        return shared, SingleCaps(np.array(at, dtype=np.intp), np.array(caps), tuple(records))

    def _tightest_cap(self, symbol: str, members: Index) -> tuple[float, str] | None:
        """Return the tightest cap of a symbol and the key that set it."""
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
        return min(found) if found else None

    def risk_mask(self, sign: Array) -> np.ndarray:
        """Return which positions count as risk, shape (n,): those of a risk bucket, and every short."""
        return self._risk_role | (sign < 0)

    # -- one program -----------------------------------------------------------------------------------------

    def program(self, inputs: Inputs) -> Program:
        """Write the problem for one set of inputs.

        Raises
        ------
        DataError
            When a rule or the metric needs data that was not given (covariance, tradable volume).
        """
        build = ProgramBuilder(self.policy, inputs, self._distance(inputs))
        self._portfolio_rows(build)
        self._bucket_rows(build)
        self._barbell_rows(build)
        self._custom_rows(build)
        self._symbol_caps(build)
        self._trading(build)
        self._gates(build)
        self._volatility(build)
        return build.finish()

    def _portfolio_rows(self, build: ProgramBuilder) -> None:
        limits = self.policy.risk_buckets.portfolio
        key = "risk_buckets.portfolio."
        if limits.cash_min is not None:
            build.row("cash.min", key + "cash_min", build.inputs.sign.copy(), hi=1.0 - limits.cash_min)
        if limits.gross_max is not None:
            build.row("leverage.gross", key + "gross_max", np.ones(build.n), hi=limits.gross_max)

    def _bucket_rows(self, build: ProgramBuilder) -> None:
        config = self.policy.risk_buckets
        if not config.enabled:
            return
        for name, members in self._members_of_bucket.items():
            row = _indicator(build.n, members)
            key = f"risk_buckets.buckets.{name}."
            build.row(f"bucket.{name}.max", key + "max_nav_frac", row, hi=config.buckets[name].max_nav_frac)
            if not config.buckets[name].allow_short:
                short = members[build.inputs.sign[members] < 0]
                if len(short):
                    build.bound(f"bucket.{name}.long_only", key + "allow_short", short, upper=np.zeros(len(short)))
            if name in build.inputs.clamps:
                build.row(f"clamp.{name}", key + "base_nav_frac", row, hi=build.inputs.clamps[name])

    def _barbell_rows(self, build: ProgramBuilder) -> None:
        barbell = self.policy.barbell
        if not barbell.enable_barbell_allocation:
            return
        risk = self.risk_mask(build.inputs.sign).astype(np.float64)
        build.row("barbell.safe.floor", self._floor_key(), risk, hi=1.0 - self.policy.safe_floor)
        if barbell.safe_bucket.max_weight is not None:
            build.row(
                "barbell.safe.cap",
                "barbell.safe_bucket.max_weight",
                risk,
                lo=1.0 - barbell.safe_bucket.max_weight,
                penalty=barbell.safe_bucket.max_weight_penalty * build.strongest_wish,
                complement=True,
            )
        if barbell.risk_bucket.max_weight is not None:
            build.row("barbell.risk.cap", "barbell.risk_bucket.max_weight", risk, hi=barbell.risk_bucket.max_weight)
        for market, cap in barbell.market_caps.items():
            row = np.zeros(build.n)
            members = self._members_of_market[market]
            row[members] = risk[members]
            if row.any():
                build.row(f"market.{market}.cap", f"barbell.market_caps.{market}", row, hi=cap)

    def _floor_key(self) -> str:
        """Return the key that set the safe floor: the larger of two files' minimum wins."""
        if self.policy.safe_floor <= self.policy.barbell.safe_bucket.min_weight:
            return "barbell.safe_bucket.min_weight"
        return f"risk_buckets.buckets.{self.policy.safe_buckets[0]}.min_nav_frac"

    def _custom_rows(self, build: ProgramBuilder) -> None:
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
            if rule.exposure == "net":
                row *= build.inputs.sign
            build.row(
                f"custom.{name}",
                f"risk_buckets.custom_rules.{name}",
                row,
                lo=-np.inf if rule.min is None else rule.min,
                hi=np.inf if rule.max is None else rule.max,
                penalty=np.inf if rule.hard else rule.penalty * build.pull_on(row, rule.min, rule.max),
            )

    def _symbol_caps(self, build: ProgramBuilder) -> None:
        for symbol, (cap, key) in self._shared_caps.items():
            row = _indicator(build.n, self._members_of_symbol[symbol])
            build.row(f"symbol.{symbol}.cap", key, row, hi=cap)
        build.single_caps(self._single_caps)

    def _trading(self, build: ProgramBuilder) -> None:
        trading = self.policy.execution
        if build.inputs.held is None:
            return
        if trading.turnover.max is not None:
            price = trading.turnover.penalty * build.strongest_pull
            build.turnover_rule(trading.turnover.max, np.inf if trading.turnover.hard else price)
        if trading.liquidity.participation is None:
            return
        tradable = build.inputs.tradable
        if tradable is None:
            raise DataError(
                "execution.yml sets liquidity.participation, but no traded volume was given; "
                "pass adv= (average daily value traded by symbol) and nav=, or set participation to null"
            )
        for symbol, members in self._members_of_symbol.items():
            room = tradable[members]
            if np.isfinite(room).all():
                held = build.previous[members]
                build.liquidity(symbol, members, held - room, held + room)

    def _gates(self, build: ProgramBuilder) -> None:
        for symbol, mode in build.inputs.gates.items():
            if symbol not in self._members_of_symbol:
                continue
            members = self._members_of_symbol[symbol]
            upper = np.zeros(len(members))
            if mode == "reduce_only":
                upper = np.maximum(build.previous[members], 0.0)
            build.bound(f"gate.{symbol}", "", members, upper=upper, source=f"gate ({mode})")

    def _volatility(self, build: ProgramBuilder) -> None:
        cap = self.policy.risk_buckets.portfolio.volatility_max
        if cap is None:
            return
        covariance = build.inputs.covariance
        if covariance is None:
            raise DataError(
                "risk_buckets.yml sets portfolio.volatility_max, but no covariance was given; "
                "pass covariance= (annualised, symbol × symbol) or set volatility_max to null"
            )
        factor = square_root(covariance) * build.inputs.sign  # rows: Lᵀ, columns scaled by σ
        G = np.vstack([np.zeros((1, build.n)), -factor])
        h = np.concatenate([[cap], np.zeros(factor.shape[0])])
        build.second_order("volatility.max", "risk_buckets.portfolio.volatility_max", G, h, hi=cap)

    def _distance(self, inputs: Inputs) -> Array:
        metric = self.policy.risk_buckets.portfolio.distance
        if metric == "absolute" or not self.positions:
            return np.ones(len(self.positions))
        if metric == "relative":
            return np.asarray(1.0 / np.maximum(inputs.target, SMALLEST_WISH))
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
