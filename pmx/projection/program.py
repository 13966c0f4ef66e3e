r"""The one problem as a small record of arrays.

.. math::

    \min_{u}\; \tfrac12 \sum_j d_j (u_j - t_j)^2 + \sum_j \kappa_j |u_j - p_j| + \sum_k \rho_k v_k

subject to ``lo ≤ A u ≤ hi`` (rows, hard or soft), ``lower ≤ u ≤ upper`` (bounds), a turnover rule
``½ Σ|u − p| ≤ cap`` and cone rows ``h − G u − H a ∈ K``. Signs are fixed by the signals: the signed weight of
position ``j`` is ``x_j = sign_j · u_j``. Cash is what is left, ``1 − Σ x``.

A program knows nothing of policies, files or solvers: engines solve it, the certificate judges it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pmx.arguments import checked, require_shape

Array = NDArray[np.float64]
Index = NDArray[np.intp]

ConeKind = Literal["zero", "nonnegative", "second_order"]


@dataclass(frozen=True, slots=True, eq=False)
class Cone:
    """One cone row block ``s = h − G u − H a ∈ K``.

    Attributes
    ----------
    kind : {"zero", "nonnegative", "second_order"}
        The cone ``K``. For ``second_order``: ``‖s[1:]‖₂ ≤ s[0]``.
    G : array, shape (m, n_positions)
        Coefficients of the positions.
    h : array, shape (m,)
        Right-hand side.
    H : array, shape (m, n_auxiliary)
        Coefficients of auxiliary variables that a user-written constraint brought with it; often no columns.
        All cones of a program share the same auxiliary variables.
    """

    kind: ConeKind
    G: Array
    h: Array
    H: Array

    @checked
    def slack(self, u: Array, auxiliary: Array) -> Array:
        """Return ``s``, shape (m,)."""
        require_shape("u", u, self.G.shape[1:], "one size for each position")
        require_shape("auxiliary", auxiliary, self.H.shape[1:], "one value for each auxiliary variable")
        return np.asarray(self.h - self.G @ u - self.H @ auxiliary, dtype=np.float64)


def tangent_of(cone: Cone, u: Array) -> tuple[Array, float] | None:
    """Return a row and its upper limit that every point in a second-order cone obeys, touching it where ``u`` points.

    None for another kind of cone, for one with auxiliary variables, and where ``u`` points nowhere.
    """
    if cone.kind != "second_order" or cone.H.any():
        return None
    s = cone.h - cone.G @ u
    length = float(np.linalg.norm(s[1:]))
    if length <= 0.0:
        return None
    outward = s[1:] / length
    return cone.G[0] - outward @ cone.G[1:], float(cone.h[0] - outward @ cone.h[1:])


@dataclass(frozen=True, slots=True, eq=False)
class RuleRecord:
    """A named rule of the policy and where it lives in the program.

    Attributes
    ----------
    name, source : str
        The rule's name and the file and line that set it.
    hard : bool
        Whether it may never give way.
    kind : {"row", "bound", "turnover", "cone"}
        What carries it.
    index : int
        Row number (for ``row``); −1 otherwise.
    complement : bool
        The rule speaks of ``1 − row`` (the safe weight, where the row is the weight at risk).
    cones : tuple of int
        The cones that carry it (for ``cone``).
    lo, hi : float
        The rule's own limits (for ``row``, ``turnover`` and the volatility cap); ±inf where it has none.
    members : array of int, shape (m,)
        The positions it bounds (for ``bound``).
    member_upper, member_lower : array, shape (m,)
        Its own bounds on them.
    rank : int
        Of a rule that gives way only where it must: rules of a lower rank give way first. 0 for hard rules and for
        those that give way at a price.
    most : float
        How far a ranked rule may give way; inf if as far as it must.
    """

    name: str
    source: str
    hard: bool
    kind: Literal["row", "bound", "turnover", "cone"]
    index: int = -1
    lo: float = -np.inf
    hi: float = np.inf
    members: Index = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    member_upper: Array = field(default_factory=lambda: np.empty(0))
    member_lower: Array = field(default_factory=lambda: np.empty(0))
    cones: tuple[int, ...] = ()
    complement: bool = False
    rank: int = 0
    most: float = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The arrays of one projection. ``n`` positions, ``K`` rows.

    Attributes
    ----------
    sign : array, shape (n,)
        ``σ``, +1 long or −1 short.
    target : array, shape (n,), fraction of NAV
        ``t ≥ 0``, what the signals ask for.
    distance : array, shape (n,)
        ``d > 0``, the metric.
    previous : array, shape (n,), fraction of NAV
        ``p``, what is held now, counted along ``sign`` (negative when held the other way).
    cost : array, shape (n,)
        ``κ ≥ 0``, objective price of trading one NAV.
    lower, upper : array, shape (n,), fraction of NAV
        Hard bounds.
    lower_owner, upper_owner : array of int, shape (n,)
        Index into ``rules`` of the rule that set the bound; −1 for ``u ≥ 0`` and for no bound.
    floor, floor_penalty : array, shape (n,)
        A soft lower bound of each position (−inf: none; never above ``previous``) and its price ``ρ``.
    floor_owner : array of int, shape (n,)
        Index into ``rules``.
    A : array, shape (K, n)
        Row coefficients on ``u``.
    lo, hi : array, shape (K,)
        Row limits, ±inf where absent.
    lo_owner, hi_owner : array of int, shape (K,)
        Index into ``rules`` of the tightest rule on that side.
    penalty : array, shape (K,)
        ``ρ`` of a soft row; inf for a hard one.
    turnover_max, turnover_penalty : float
        The turnover rule (inf: none) and its price (inf: hard).
    cones : tuple of Cone
        Conic rows, all hard.
    rules : sequence of RuleRecord
        Every named rule, also those implied by a tighter one.
    """

    sign: Array
    target: Array
    distance: Array
    previous: Array
    cost: Array
    lower: Array
    upper: Array
    lower_owner: Index
    upper_owner: Index
    floor: Array
    floor_penalty: Array
    floor_owner: Index
    A: Array
    lo: Array
    hi: Array
    lo_owner: Index
    hi_owner: Index
    penalty: Array
    turnover_max: float
    turnover_penalty: float
    cones: tuple[Cone, ...]
    rules: Sequence[RuleRecord]

    @property
    def n(self) -> int:
        """Number of positions."""
        return int(self.target.shape[0])

    @property
    def n_auxiliary(self) -> int:
        """Number of auxiliary variables of the cones."""
        return int(self.cones[0].H.shape[1]) if self.cones else 0

    @property
    def has_turnover_rule(self) -> bool:
        """Whether the turnover rule exists."""
        return bool(np.isfinite(self.turnover_max))

    @checked
    def turnover(self, u: Array) -> float:
        """Return ½ Σ|u − p|, fraction of NAV."""
        require_shape("u", u, self.previous.shape, "one size for each position")
        return 0.5 * float(np.abs(u - self.previous).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A primal and dual point of a program: what an engine hands to the certificate.

    Attributes
    ----------
    u : array, shape (n,), fraction of NAV
        Unsigned weights.
    rows : array, shape (K,)
        ``y``: positive where ``hi`` presses, negative where ``lo`` does. |y| ≤ ρ on soft rows.
    turnover : float
        ``τ ≥ 0``, the price of the turnover rule.
    cones : tuple of array
        ``z`` in the dual cone, one for each cone.
    auxiliary : array, shape (n_auxiliary,)
        Values of auxiliary variables.
    """

    u: Array
    rows: Array
    turnover: float = 0.0
    cones: tuple[Array, ...] = ()
    auxiliary: Array = field(default_factory=lambda: np.empty(0))


def objective(program: Program, point: Point) -> float:
    """Return ``½ Σ d (u − t)² + Σ κ |u − p| + Σ ρ v`` at a point."""
    p, u = program, point.u
    value = p.A @ u
    soft = np.isfinite(p.penalty)
    over = np.maximum(np.maximum(value - p.hi, p.lo - value), 0.0)[soft]
    parts = [0.5 * p.distance * (u - p.target) ** 2, p.cost * np.abs(u - p.previous), p.penalty[soft] * over]
    parts.append(p.floor_penalty * np.maximum(p.floor - u, 0.0))
    if p.has_turnover_rule and np.isfinite(p.turnover_penalty):
        parts.append(np.array([p.turnover_penalty * max(p.turnover(u) - p.turnover_max, 0.0)]))
    return math.fsum(np.concatenate(parts).tolist())
