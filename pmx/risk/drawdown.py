"""Drawdown: how far a capital is below its highest level so far."""

from __future__ import annotations

from pmx.arguments import checked
from pmx.risk.recursion import checked_return


class Drawdown:
    r"""Follow the drawdown of a capital from its returns, O(1) a bar.

    .. math:: D_t = 1 - \frac{C_t}{\max_{s \le t} C_s}, \qquad C_t = C_{t-1} \max(0, 1 + r_t), \qquad C_0 = 1

    Notes
    -----
    A return of −100 % or less (possible with leverage or shorts) loses the whole capital; no return can bring
    it back, so the drawdown stays 1.

    References
    ----------
    Grossman and Zhou (1993), "Optimal investment strategies for controlling drawdowns", Mathematical Finance
    3(3).

    Examples
    --------
    >>> drawdown = Drawdown()
    >>> for value in (0.10, -0.20, 0.05):
    ...     current = drawdown.update(value)
    >>> round(current, 6), round(drawdown.maximum, 6)
    (0.16, 0.2)
    """

    __slots__ = ("_level", "_maximum")

    def __init__(self) -> None:
        self._level = 1.0  # capital as a fraction of its peak
        self._maximum = 0.0

    @checked
    def update(self, period_return: float) -> float:
        """Take in one bar.

        Parameters
        ----------
        period_return : float
            Simple return over the bar, fraction.

        Returns
        -------
        float
            Current drawdown, fraction of the peak in [0, 1].

        Raises
        ------
        DataError
            If the return is NaN, infinite or larger than 1e6 in size; nothing is changed then.
        """
        growth = max(0.0, 1.0 + checked_return(period_return, "the drawdown's capital"))
        self._level = min(1.0, self._level * growth)
        self._maximum = max(self._maximum, self.current)
        return self.current

    @property
    def current(self) -> float:
        """Return the current drawdown, fraction of the peak in [0, 1]."""
        return 1.0 - self._level

    @property
    def maximum(self) -> float:
        """Return the deepest drawdown so far, fraction of the peak in [0, 1]."""
        return self._maximum
