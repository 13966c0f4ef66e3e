"""A solve as a journal tells it, in exact numbers.

Letters are those of the one problem: sizes ``u``, wishes ``t``, metric ``d``, what is held ``p``, trading cost ``κ``,
soft floors ``f`` at the price ``ρ``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .exact import HALF, ONE, ZERO, Limit, plus, summing, total
from .inputs import Asked
from .linear import Map, Numbers, Sum

Limits = tuple[Limit, ...]

#: Most by which a hard rule may be overrun, in weights; rounding is never said to be more.
HARD_TOLERANCE = Fraction(1e-9)

#: Limits of doubles are known no better than this, in weights, or times what a sum's terms come to where that is more.
LAST_PLACE = Fraction(1e-15)

#: A ranked rule gives way by at most this more than it must, or may, in units of its row.
GIVE_ROOM = Fraction(1e-8)

KINDS = ("row", "bound", "turnover", "cone")
CONES = ("zero", "nonnegative", "second_order")
STATUSES = ("optimal", "relaxed", "bypassed")


@dataclass(frozen=True, slots=True)
class Rule:
    """A named rule; ``index`` is its row, ``members`` are the positions that it bounds, ``cones`` carry it.

    A rule with a rank gives way only where it must, by ``most`` at the most: its limits are then moved in the program.
    """

    name: str
    hard: bool
    rank: int
    most: Limit
    kind: str
    index: int
    lo: Limit
    hi: Limit
    complement: bool
    cones: tuple[int, ...]
    members: tuple[int, ...]
    member_lower: Limits
    member_upper: Limits

    def give(self, unit: Fraction = ONE) -> Limit:
        """Return how far the program may have moved its limits; ``unit`` is that of its row."""
        return plus(self.most, GIVE_ROOM * unit) if self.rank else ZERO

    @property
    def priced(self) -> bool:
        """Whether it gives way at a penalty."""
        return not self.hard and not self.rank


@dataclass(frozen=True, slots=True)
class Row:
    """``lo ≤ sum ≤ hi``; the owners of its limits are rules, −1 for none."""

    sum: Sum
    lo: Limit
    hi: Limit
    penalty: Limit
    lo_rule: int
    hi_rule: int

    @property
    def hard(self) -> bool:
        """Whether it may never give way."""
        return not isinstance(self.penalty, Fraction)

    @property
    def unit(self) -> Fraction:
        """What a violation is measured in: a row on small multiples of weights is as strict as any other."""
        return self.sum.unit

    def rounding(self, u: Numbers) -> Fraction:
        """Return how far doubles may take the left-hand side from its limit: a last place and the sum's rounding."""
        size = self.sum.size(u)
        limits = [abs(limit) for limit in (self.lo, self.hi) if isinstance(limit, Fraction)]
        last_place = LAST_PLACE * max(self.unit, size)
        return min(last_place + summing(len(self.sum.at), [size, *limits]), HARD_TOLERANCE * self.unit)


@dataclass(frozen=True, slots=True)
class Cone:
    """``h − G u − H a ∈ K``."""

    kind: str
    h: Numbers
    map: Map

    def slack(self, u: Numbers, auxiliary: Numbers) -> Numbers:
        """Return ``h − G u − H a``."""
        return tuple(h - x for h, x in zip(self.h, self.map.value(u, auxiliary), strict=True))

    def rounding(self, u: Numbers, auxiliary: Numbers) -> Fraction:
        """Return how far doubles may take ``h − G u − H a``, or its norm, from its value."""
        sizes = [*map(abs, self.h), *self.map.sizes(u, auxiliary)]
        return min(LAST_PLACE + summing(len(u) + len(auxiliary), sizes), HARD_TOLERANCE)


@dataclass(frozen=True, slots=True)
class Program:
    """The one problem of a solve."""

    sign: Numbers
    target: Numbers
    distance: Numbers
    held: Numbers
    cost: Numbers
    lower: Limits
    upper: Limits
    lower_rule: tuple[int, ...]
    upper_rule: tuple[int, ...]
    floor: Limits
    floor_price: Numbers
    floor_rule: tuple[int, ...]
    rows: tuple[Row, ...]
    turnover_max: Limit
    turnover_penalty: Limit
    cones: tuple[Cone, ...]
    rules: tuple[Rule, ...]

    def turnover(self, u: Numbers) -> Fraction:
        """Return ``½ Σ |u − p|``."""
        return HALF * total(abs(x - p) for x, p in zip(u, self.held, strict=True))

    def turnover_rounding(self, u: Numbers) -> Fraction:
        """Return how far doubles may take the turnover from its limit."""
        limit = [self.turnover_max] if isinstance(self.turnover_max, Fraction) else []
        size = total([*map(abs, u), *map(abs, self.held)])
        last_place = LAST_PLACE * max(ONE, HALF * size)
        return min(last_place + summing(len(u), [size, *limit]), HARD_TOLERANCE)

    def owner(self, row: Row, y: Fraction) -> str:
        """Return the name of the rule on whose limit a row's price presses."""
        pressed, other = (row.hi_rule, row.lo_rule) if y > 0 else (row.lo_rule, row.hi_rule)
        return self.name(pressed if pressed >= 0 else other, "program")

    def name(self, rule: int, otherwise: str = "sign") -> str:
        """Return the name of a rule; ``otherwise`` where no rule has set the limit."""
        return self.rules[rule].name if rule >= 0 else otherwise


@dataclass(frozen=True, slots=True)
class Answer:
    """Sizes and duals: ``rows`` are positive where ``hi`` presses and negative where ``lo`` does."""

    u: Numbers
    rows: Numbers
    turnover: Fraction
    cones: tuple[Numbers, ...]
    auxiliary: Numbers


@dataclass(frozen=True, slots=True)
class Residual:
    """What the symbol that stands in for cash takes, at most ``room``, and adds to each rule by one NAV of it.

    ``cones`` are those of the program over the positions and its own, which is number ``column`` among them.
    """

    symbol: str
    weight: Fraction
    room: Fraction
    coefficients: dict[str, Fraction]
    cones: tuple[Cone, ...]
    column: int

    def sizes(self, u: Numbers) -> Numbers:
        """Return the sizes of the positions and of its own."""
        wider = [*u, ZERO] if self.column == len(u) else [*u]
        wider[self.column] += self.weight
        return tuple(wider)


@dataclass(frozen=True, slots=True)
class Weights:
    """The answer as it left: signed weights of the positions, and what is left."""

    positions: Numbers
    residual: Residual | None
    cash: Fraction
    cash_min: Fraction


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the solver's own judge stated."""

    primal_residual: Fraction
    duality_gap: Fraction
    distance_bound: Fraction
    tolerance: Fraction
    engine: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of the table of rules; a price is None where the constraint was rewritten with other variables."""

    bound: Limit
    value: Fraction
    slack: Limit
    shadow_price: Fraction | None
    violation: Fraction


@dataclass(frozen=True, slots=True)
class Proof:
    """What is claimed of the weights; a solve under a policy that is switched off claims nothing."""

    program: Program
    answer: Answer
    certificate: Certificate
    readings: tuple[Reading, ...]
    target: Numbers
    moves: dict[str, Numbers]
    totals: dict[str, Fraction]


@dataclass(frozen=True, slots=True)
class Solve:
    """One line of a journal."""

    number: int
    policy: str
    status: str
    positions: tuple[tuple[str, str], ...]
    weights: Weights
    asked: Asked | None
    proof: Proof | None
