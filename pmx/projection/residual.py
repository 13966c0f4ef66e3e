"""What the residual symbol may take in place of cash: as much as is left, as long as every hard rule still holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pmx.policy import Policy
from pmx.projection.frame import Inputs
from pmx.projection.program import Array, Cone, Program
from pmx.projection.rules import RuleBook


@dataclass(frozen=True, slots=True)
class Residual:
    """The residual symbol's part of an allocation.

    Attributes
    ----------
    symbol : str
        The symbol.
    room : float, fraction of NAV
        The most that it may take beside its own positions.
    coefficients : mapping of rule name to float
        What one NAV of it adds to each rule's left-hand side; rules that do not see it are absent.
    cones : tuple of Cone
        The volatility cap over the positions and, after them, the symbol's own where it is not among them.
    column : int
        The symbol's own position there.
    program : Program or None
        The rules over the same positions; None where the symbol may take nothing.
    """

    symbol: str
    room: float
    coefficients: Mapping[str, float] = field(default_factory=dict)
    cones: tuple[Cone, ...] = ()
    column: int = 0
    program: Program | None = None

    def room_beside(self, u: Array) -> float:
        """Return the most that the symbol may take beside other weights of the positions, unsigned, shape (n,)."""
        if self.program is None:
            return 0.0
        wider = np.append(u, np.zeros(self.program.n - len(u)))
        return max(room_in(self.program, wider, self.column), 0.0)


class ResidualBook:
    """The rules with one more position: the residual symbol in the first safe bucket.

    Parameters
    ----------
    policy : Policy
        With a ``residual_symbol`` and a safe bucket.
    positions : sequence of (bucket, symbol)
        The universe without it.

    Attributes
    ----------
    column : int
        The residual symbol's own position.
    book : RuleBook
        The rules.
    """

    def __init__(self, policy: Policy, positions: list[tuple[str, str]]) -> None:
        self.symbol = str(policy.risk_buckets.portfolio.residual_symbol)
        self.positions = [*positions]
        own = (policy.safe_buckets[0], self.symbol)
        if own not in self.positions:
            self.positions.append(own)
        self.column = self.positions.index(own)
        self._added = len(self.positions) - len(positions)
        self.book = RuleBook(policy, self.positions)

    def residual(self, inputs: Inputs, u: Array, covariance: Array | None) -> Residual:
        """Return what the residual symbol may take on top of solved positions.

        Parameters
        ----------
        inputs : Inputs
            Those of the solve.
        u : array, shape (n,), fraction of NAV
            Its answer.
        covariance : array, shape (n_positions, n_positions), or None
            Of the positions of this book.
        """
        none, one = np.zeros(self._added), np.ones(self._added)
        wider = replace(
            inputs,
            sign=np.append(inputs.sign, one),
            target=np.append(inputs.target, none),
            held=None if inputs.held is None else np.append(inputs.held, none),
            tradable=None if inputs.tradable is None else np.append(inputs.tradable, np.inf * one),
            covariance=covariance,
            bounds=None
            if inputs.bounds is None
            else (np.append(inputs.bounds[0], none), np.append(inputs.bounds[1], np.inf * one)),
        )
        program = self.book.program(wider)
        u = np.append(u, none)
        j = self.column
        if program.sign[j] < 0.0:
            return Residual(self.symbol, 0.0)
        room = room_in(program, u, j)
        coefficients = {rule.name: float(program.A[rule.index, j]) for rule in program.rules if rule.kind == "row"}
        coefficients |= {rule.name: 1.0 for rule in program.rules if rule.kind == "bound" and j in rule.members}
        seen = {name: a for name, a in coefficients.items() if a != 0.0}
        return Residual(self.symbol, max(room, 0.0), seen, program.cones, j, program)


def room_in(program: Program, u: Array, j: int) -> float:
    """Return by how much one position can grow beside the others until a hard rule or a cone stops it."""
    return min([float(program.upper[j] - u[j]), *_row_room(program, u, j), *_cone_room(program.cones, u, j)])


def _row_room(program: Program, u: Array, j: int) -> list[float]:
    a, value = program.A[:, j], program.A @ u
    hard = np.isinf(program.penalty)
    rising, falling = hard & (a > 0.0), hard & (a < 0.0)
    above = (program.hi - value)[rising] / a[rising]
    below = (value - program.lo)[falling] / -a[falling]
    return [*above.tolist(), *below.tolist()]


def _cone_room(cones: tuple[Cone, ...], u: Array, j: int) -> list[float]:
    """Return the greatest step along position ``j`` inside each second-order cone, by bisection from inside."""
    rooms = []
    for cone in cones:
        s, ds = cone.h - cone.G @ u, -cone.G[:, j]
        low, high = 0.0, 2.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            at = s + middle * ds
            low, high = (middle, high) if float(np.linalg.norm(at[1:])) <= float(at[0]) else (low, middle)
        rooms.append(low)
    return rooms
