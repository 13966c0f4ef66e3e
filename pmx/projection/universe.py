"""What callers give, as arrays in the order of a universe of positions: read, checked, and refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from pmx.arguments import described
from pmx.errors import DataError, warn
from pmx.policy import CASH, Policy
from pmx.policy.symbols import symbol_text, symbols_as_text
from pmx.policy.units import check_sizes, check_volatilities
from pmx.projection.program import Array
from pmx.projection.spelling import check_spelling

Gates = Mapping[str, str] | Iterable[str] | None
GATE_MODES = ("reduce_only", "exit")
LEVELS = ["bucket", "symbol"]


class Universe:
    """A fixed set of positions under a policy.

    Parameters
    ----------
    policy : Policy
        The policy.
    positions : MultiIndex or sequence of (bucket, symbol)
        The positions.

    Attributes
    ----------
    index : MultiIndex (bucket, symbol)
        The positions, in the order of every array.
    symbols : list of str
        Their symbols.
    n : int
        How many there are.

    Raises
    ------
    DataError
        When a position is not a pair, is named twice, is called as cash is, or bears a name of the policy in other
        letters or with blanks around it.
    """

    def __init__(self, policy: Policy, positions: pd.MultiIndex | Sequence[tuple[str, str]]) -> None:
        try:
            pairs = pd.MultiIndex.from_tuples(list(positions), names=LEVELS)
        except (TypeError, ValueError) as error:
            raise DataError(f"the universe must be pairs (bucket, symbol); got {described(positions)}") from error
        self.index = symbols_as_text(pairs, "the universe")
        if self.index.has_duplicates:
            raise DataError(f"position {self.index[self.index.duplicated()][0]} is named twice in the universe")
        self.policy, self.n = policy, len(self.index)
        self.symbols: list[str] = self.index.get_level_values("symbol").tolist()
        if CASH in self.symbols:
            raise DataError(f"a position is named {CASH}, which stands for cash; rename the symbol")
        if not policy.bypassed:
            check_spelling(policy, self.symbols)
        self._position = {position: j for j, position in enumerate(self.index)}
        count = Counter(self.symbols)
        self._holders = np.array([count[symbol] for symbol in self.symbols], dtype=np.float64)

    def as_series(self, weights: pd.Series | Array) -> pd.Series:
        """Return weights given as an array by position; a Series as it is."""
        if isinstance(weights, pd.Series):
            return weights
        if not isinstance(weights, np.ndarray):
            raise DataError(f"weights are {described(weights)}; give a pandas Series by position, or an array")
        if weights.shape != (self.n,):
            raise DataError(f"weights have shape {weights.shape}; an array must be ({self.n},), as the index")
        return pd.Series(weights, index=self.index)

    def array(self, series: pd.Series | Array, name: str, *, unlimited: bool = False) -> Array:
        """Return weights as a new array in the order of the universe; finite, or ``unlimited`` and maybe inf."""
        if isinstance(series, np.ndarray):
            if series.shape != (self.n,):
                raise DataError(f"{name} has shape {series.shape}; an array must be ({self.n},), as the index")
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
            series = series.set_axis(symbols_as_text(series.index, name))
            out = np.zeros(self.n)
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
        if not isinstance(gated, Iterable) or getattr(gated, "ndim", 1) != 1:
            raise DataError(f"gated must be a mapping or a list of symbols; got {type(gated).__name__}")
        if not isinstance(gated, Mapping):
            gated = [symbol_text(symbol, "gated") for symbol in gated]
            self._gates_are_symbols(gated)
            return dict.fromkeys(gated, self.policy.execution.gate_mode)
        for symbol, mode in gated.items():
            if not isinstance(mode, str) or mode not in GATE_MODES:
                raise DataError(f"gate of {symbol} is {mode!r}; it must be 'reduce_only' or 'exit'")
        read = {symbol_text(symbol, "gated"): mode for symbol, mode in gated.items()}
        self._gates_are_symbols(read)
        return read

    def _gates_are_symbols(self, gated: Iterable[str]) -> None:
        """Refuse a gate on what is a symbol of the universe in other letters: it would gate nothing."""
        held = set(self.symbols)
        for symbol in gated:
            if symbol not in held:
                folded = symbol.strip().casefold()
                meant = next((own for own in held if own.casefold() == folded), None)
                if meant is not None:
                    raise DataError(
                        f"gated names {symbol!r}, which is no symbol of the universe; did you mean {meant}?"
                    )

    def covariance_of(self, covariance: pd.DataFrame | Array | None) -> Array | None:
        """Return the covariance of the positions' assets, shape (n, n)."""
        return self.covariance_between(covariance, self.symbols)

    def covariance_between(self, covariance: pd.DataFrame | Array | None, symbols: list[str]) -> Array | None:
        """Return the covariance of given symbols, in their order, shape (len(symbols), len(symbols))."""
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
        rows, columns = (symbols_as_text(axis, "the covariance") for axis in covariance.axes)
        covariance = covariance.set_axis(rows, axis=0).set_axis(columns, axis=1)
        for labels in (rows, columns):
            if labels.has_duplicates:
                raise DataError(f"the covariance names {labels[labels.duplicated()][0]} twice; keep one of them")
        missing = [s for s in symbols if s not in covariance.index or s not in covariance.columns]
        if missing:
            raise DataError(f"the covariance has no row and column for {missing[0]}; add it or drop the position")
        block = covariance.reindex(index=symbols, columns=symbols).to_numpy(np.float64)
        check_volatilities(_sound_covariance(block, symbols), symbols)
        return block

    def bounds(self, lower: pd.Series | Array | None, upper: pd.Series | Array | None) -> tuple[Array, Array] | None:
        """Return the least and the greatest size of each position, each of shape (n,); None where nothing is given."""
        if lower is None and upper is None:
            return None
        least = np.zeros(self.n) if lower is None else self.array(lower, "lower")
        if upper is None:
            most = np.full(self.n, np.inf)
        else:
            most = self.array(upper, "upper", unlimited=True)
            if isinstance(upper, pd.Series):
                most = np.where(self.index.isin(upper.index), most, np.inf)
        for name, values in (("lower", least), ("upper", most)):
            if (values < 0.0).any():
                j = int(np.argmin(values))
                raise DataError(f"{name} of position {self.index[j]} is {values[j]}; sizes are not negative")
        check_sizes(least, most, self.index, self.policy)
        return np.maximum(least, 0.0), most

    def warn_of_unread(self, adv: object, nav: object) -> None:
        """Warn of volumes and NAV that no rule reads."""
        if adv is None and nav is not None:
            warn("nav= is used only beside adv=, for liquidity; give both, or leave nav= out")
        if adv is not None and self.policy.execution.liquidity.participation is None:
            warn(
                "adv= has no effect: the policy sets no execution.liquidity.participation; set it (0.1 is a tenth of "
                "the traded value), or leave adv= out"
            )

    def tradable(self, adv: Mapping[str, float] | pd.Series | None, nav: float | None) -> Array | None:
        """Return the largest trade of each position, shape (n,), fraction of NAV; None where nothing limits it."""
        participation = self.policy.execution.liquidity.participation
        self.warn_of_unread(adv, nav)
        if participation is None or adv is None:
            return None
        if nav is None or not np.isfinite(nav) or nav <= 0:
            raise DataError(f"nav must be a positive number when adv is given; got {nav}")
        adv = {symbol_text(symbol, "adv"): value for symbol, value in adv.items()}
        value = np.array([float(adv[symbol]) if symbol in adv else np.nan for symbol in self.symbols])
        if 0.0 < value.max(initial=0.0) < 1.0:
            warn(f"the largest adv is {value.max():g}; it is money a day, in base currency, and not a share of NAV")
        if not (value >= 0.0).all() or np.isinf(value).any():
            j = int(np.flatnonzero(~(value >= 0.0) | np.isinf(value))[0])
            raise DataError(
                f"adv of {self.symbols[j]} is {value[j]}; give its average daily value traded, in base currency"
            )
        return np.asarray(participation * value / nav / self._holders)


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
