"""Exponentially weighted covariance of returns, O(n²) a bar, for symbols that start late or miss bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, PolicyError
from pmx.risk.recursion import MAX_RETURN

FloatArray = npt.NDArray[np.float64]


class EwmaCovariance:
    r"""Keep an exponentially weighted covariance matrix of zero-mean returns.

    With :math:`x_i` the return of symbol i, 0 where it is missing, and :math:`m_i` 1 where it is there,

    .. math::

        \Sigma_{ij} = \sqrt{P_i P_j} \, \frac{S_{ij}}{\sqrt{W_i W_j}}, \qquad
        S \leftarrow \lambda S + x x^\top, \qquad W_i \leftarrow \lambda W_i + m_i

    where P is ``periods_per_year``, of each symbol or the same of all. The diagonal is the exponentially weighted
    variance over the bars that the symbol has. The matrix is positive semidefinite by construction, for it is a sum of
    outer products scaled on both sides. The price of that is that bars which only one of two symbols has pull their
    correlation towards zero.

    Parameters
    ----------
    symbols : sequence of str
        The symbols, in the order of the returns that `update` is given.
    decay : float
        λ, in (0, 1).
    periods_per_year : float
        Bars in a year, for the annualised forecast. The attribute of this name may be set anew, also to an array, shape
        (n_symbols,): returns a year of each symbol.
    min_observations : int
        Returns that a symbol must have shown before its forecast is given.

    Raises
    ------
    DataError
        If a symbol appears twice.
    PolicyError
        If a setting is out of range.

    References
    ----------
    J.P. Morgan / Reuters (1996), "RiskMetrics technical document", 4th edition, sections 5.2 and 8.5.

    Examples
    --------
    >>> covariance = EwmaCovariance(["SPY", "WTI"], decay=0.97, periods_per_year=252, min_observations=2)
    >>> for row in ([0.01, -0.02], [-0.01, 0.02], [0.01, 0.02]):
    ...     covariance.update(row)
    >>> covariance.forecast().round(4)
            SPY     WTI
    SPY  0.0252 -0.0158
    WTI -0.0158  0.1008
    """

    @checked
    def __init__(
        self,
        symbols: Sequence[str],
        decay: float = 0.97,
        periods_per_year: float = 252.0,
        min_observations: int = 20,
    ) -> None:
        self._symbols = pd.Index(symbols)
        if not self._symbols.is_unique:
            twice = self._symbols[self._symbols.duplicated()][0]
            raise DataError(f"EwmaCovariance: symbol {twice!r} appears twice; give each symbol once")
        for name, value, valid, limit in (
            ("decay", decay, 0.0 < decay < 1.0, "must lie strictly between 0 and 1"),
            ("periods_per_year", periods_per_year, 0.0 < periods_per_year < np.inf, "must be positive"),
            ("min_observations", min_observations, min_observations >= 1, "must be at least 1"),
        ):
            if not valid:
                raise PolicyError(f"EwmaCovariance.{name} = {value!r} {limit}; correct it")
        self._decay = decay
        self.periods_per_year: float | FloatArray = periods_per_year
        self._min_observations = min_observations
        size = len(self._symbols)
        self._sum = np.zeros((size, size))
        self._weight = np.zeros(size)
        self._observations = np.zeros(size, dtype=np.int64)

    @checked
    def update(self, returns: Sequence[float] | FloatArray | pd.Series) -> None:
        """Take in one bar.

        Parameters
        ----------
        returns : sequence or array, shape (n_symbols,), or Series by symbol
            Simple returns over the bar, fractions; NaN where a symbol has none. A symbol that a Series lacks
            has none.

        Raises
        ------
        DataError
            If the number of returns differs from the number of symbols, a Series names an unknown symbol, or
            a return is infinite or larger than 1e6 in size; nothing is changed then.
        """
        row = self._row(returns)
        present = ~np.isnan(row)
        filled = np.where(present, row, 0.0)
        if (np.abs(filled) > MAX_RETURN).any():
            worst = int(np.argmax(np.abs(filled)))
            raise DataError(
                f"return of {self._symbols[worst]!r} is {float(row[worst])!r}: it must be a finite fraction "
                f"(limit {MAX_RETURN:g} in size); repair it, or give NaN for a missing bar"
            )
        self._sum *= self._decay
        self._sum += filled[:, None] * filled
        self._weight *= self._decay
        self._weight += present
        self._observations += present

    def _row(self, returns: Sequence[float] | FloatArray | pd.Series) -> FloatArray:
        if isinstance(returns, pd.Series):
            unknown = returns.index.difference(self._symbols)
            if len(unknown):
                raise DataError(f"EwmaCovariance: unknown symbol {unknown[0]!r}; name it when building")
            returns = returns.reindex(self._symbols)
        row = np.asarray(returns, dtype=np.float64)
        if row.shape != self._weight.shape:
            raise DataError(
                f"EwmaCovariance: returns of shape {row.shape} for {self._weight.size} symbols; "
                "give one return for each symbol"
            )
        return row

    @checked
    def forecast(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the annualised covariance matrix of the next bar's returns.

        Parameters
        ----------
        symbols : sequence of str, optional
            Which symbols, in which order; all by default.

        Returns
        -------
        DataFrame, symbol × symbol
            Annualised covariance, symmetric and positive semidefinite (to rounding).

        Raises
        ------
        DataError
            If a symbol is unknown, or has shown fewer than ``min_observations`` returns.
        """
        wanted = self._symbols if symbols is None else pd.Index(symbols)
        at = self._symbols.get_indexer(wanted)
        if (at < 0).any():
            raise DataError(f"EwmaCovariance: unknown symbol {wanted[at < 0][0]!r}; name it when building")
        short = ~self.known[at]
        if short.any():
            raise DataError(
                f"covariance of {wanted[short][0]!r} rests on {self._observations[at][short][0]} returns, "
                f"{self._min_observations} needed; leave the symbol out or wait"
            )
        return pd.DataFrame(self.matrix()[np.ix_(at, at)], index=wanted, columns=wanted)

    def matrix(self) -> FloatArray:
        """Return the forecast of all symbols as an array, shape (n_symbols, n_symbols); see `forecast`.

        A symbol that has shown fewer than ``min_observations`` returns has zeros.
        """
        scale = np.zeros(len(self._weight))
        np.divide(self.periods_per_year, self._weight, out=scale, where=self.known)
        np.sqrt(scale, out=scale)
        return self._sum * (scale[:, None] * scale)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Return which symbols have shown ``min_observations`` returns, shape (n_symbols,)."""
        return self._observations >= self._min_observations

    @property
    def observations(self) -> pd.Series:
        """Return how many returns each symbol has shown, Series by symbol."""
        return pd.Series(self._observations.copy(), index=self._symbols)
