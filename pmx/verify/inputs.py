"""What a solve was asked, read from its line."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .exact import Limit
from .field import Field, MalformedError
from .linear import Numbers

HOW = ("solve", "project")
GATES = ("reduce_only", "exit")
ENGINES = ("auto", "newton", "cvxpy")


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a solve, in the order of its positions.

    ``weights`` are relative ones or fractions of NAV, as ``how`` says; ``lower`` and ``upper`` are the account's own
    bounds; ``variances`` are by position, where a covariance was given.
    """

    how: str
    weights: Numbers
    scale: dict[str, Fraction]
    previous: Numbers | None
    gates: dict[str, str]
    adv: dict[str, Fraction] | None
    nav: Fraction | None
    bounds: tuple[Numbers, tuple[Limit, ...]] | None
    variances: Numbers | None
    constraints: tuple[str, ...]
    what_if: bool


def read_asked(field: Field, positions: tuple[tuple[str, str], ...]) -> Asked:
    """Return what a line says was asked.

    Raises
    ------
    MalformedError
        When a field is missing or is not what it should be.
    """
    n = len(positions)
    bounds, adv = field["bounds"], field["adv"]
    field["warm_start"].flag()
    field["engine"].text(*ENGINES)
    return Asked(
        how=field["how"].text(*HOW),
        weights=field["weights"].numbers(n),
        scale={} if field["risk_scale"].absent else {b: s.number() for b, s in field["risk_scale"].items()},
        previous=None if field["previous"].absent else field["previous"].numbers(n),
        gates={symbol: mode.text(*GATES) for symbol, mode in field["gates"].items()},
        adv=None if adv.absent else {symbol: value.number() for symbol, value in adv.items()},
        nav=None if field["nav"].absent else field["nav"].number(),
        bounds=None if bounds.absent else (bounds["lower"].numbers(n), bounds["upper"].limits(n)),
        variances=_variances(field["covariance"], positions),
        constraints=field["constraints"].texts(len(list(field["constraints"]))),
        what_if=field["what_if"].flag(),
    )


def _variances(field: Field, positions: tuple[tuple[str, str], ...]) -> Numbers | None:
    """Return the variance of each position's asset; the covariance is by symbol, or by position."""
    if field.absent:
        return None
    rows = [row.value for row in field["values"]]
    if field["symbols"].absent:
        at = [*range(len(positions))]
    else:
        place = {symbol: i for i, symbol in enumerate(field["symbols"].texts(len(rows)))}
        if any(symbol not in place for _, symbol in positions):
            raise MalformedError(f"{field.path}.symbols does not name every position's symbol")
        at = [place[symbol] for _, symbol in positions]
    if any(not isinstance(row, list) or len(row) != len(rows) for row in rows) or len(rows) < len(set(at)):
        raise field["values"].wrong("a square table")
    return tuple(Field(rows[i][i], f"{field.path}.values[{i}][{i}]").number() for i in at)
