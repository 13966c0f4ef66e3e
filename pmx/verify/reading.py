"""From the fields of a line to a solve in exact numbers."""

from __future__ import annotations

from .field import Field
from .inputs import read_asked
from .linear import Map, Sum
from .record import (
    CONES,
    KINDS,
    STATUSES,
    Answer,
    Certificate,
    Cone,
    Program,
    Proof,
    Reading,
    Residual,
    Row,
    Rule,
    Solve,
    Weights,
)


def read_solve(line: Field) -> Solve:
    """Return the solve of a line.

    Raises
    ------
    MalformedError
        When a field is missing or is not what it should be.
    """
    positions = read_positions(line["positions"])
    n = len(positions)
    weights = line["weights"]
    return Solve(
        number=line["number"].integer(1, 10**12),
        policy=line["policy"].text(),
        status=line["status"].text(*STATUSES),
        positions=positions,
        weights=Weights(
            positions=weights["positions"].numbers(n),
            residual=None if weights["residual"].absent else _residual(weights["residual"], n),
            cash=weights["cash"].number(),
            cash_min=weights["cash_min"].number(),
        ),
        asked=None if line["asked"].absent else read_asked(line["asked"], positions),
        proof=None if line["proof"].absent else _proof(line["proof"], n),
    )


def read_positions(field: Field) -> tuple[tuple[str, str], ...]:
    """Return the positions, bucket and symbol, that a field holds."""
    positions = tuple(_pair(item) for item in field)
    if len(set(positions)) != len(positions):
        raise field.wrong("a list of different positions")
    return positions


def _pair(item: Field) -> tuple[str, str]:
    bucket, symbol = item.texts(2)
    return bucket, symbol


def _residual(field: Field, n: int) -> Residual:
    column = field["column"].integer(0, n)
    return Residual(
        column=column,
        cones=tuple(_cone(item, max(n, column + 1)) for item in field["cones"]),
        symbol=field["symbol"].text(),
        weight=field["weight"].number(),
        room=field["room"].number(),
        coefficients={name: item.number() for name, item in field["coefficients"].items()},
    )


def _proof(field: Field, n: int) -> Proof:
    program = read_program(field["program"], n)
    stated = field["certificate"]
    readings = tuple(_reading(item) for item in field["readings"])
    if len(readings) != len(program.rules):
        raise field["readings"].wrong(f"a list of {len(program.rules)}")
    return Proof(
        program=program,
        answer=_answer(field["answer"], program),
        certificate=Certificate(
            primal_residual=stated["primal_residual"].number(),
            duality_gap=stated["duality_gap"].number(),
            distance_bound=stated["distance_bound"].number(),
            tolerance=stated["tolerance"].number(),
            engine=stated["engine"].text(),
        ),
        readings=readings,
        target=field["attribution"]["target"].numbers(n),
        moves={name: item.numbers(n) for name, item in field["attribution"]["moves"].items()},
        totals={name: item.number() for name, item in field["attribution"]["totals"].items()},
    )


def _reading(field: Field) -> Reading:
    return Reading(
        bound=field["bound"].limit(),
        value=field["value"].number(),
        slack=field["slack"].limit(),
        shadow_price=None if field["shadow_price"].absent else field["shadow_price"].number(),
        violation=field["violation"].number(),
    )


def read_program(field: Field, n: int) -> Program:
    """Return the program of ``n`` positions that a field holds."""
    cones = tuple(_cone(item, n) for item in field["cones"])
    K = len(list(field["rows"]))
    rules = tuple(_rule(item, n, K, len(cones)) for item in field["rules"])
    if len({rule.name for rule in rules}) != len(rules):
        raise field["rules"].wrong("a list of rules of different names")
    last = len(rules) - 1
    owners = {key: field[key].integers(-1, last, n) for key in ("lower_rule", "upper_rule", "floor_rule")}
    return Program(
        sign=field["sign"].numbers(n),
        target=field["target"].numbers(n),
        distance=field["distance"].numbers(n),
        held=field["held"].numbers(n),
        cost=field["cost"].numbers(n),
        lower=field["lower"].limits(n),
        upper=field["upper"].limits(n),
        floor=field["floor"].limits(n),
        floor_price=field["floor_price"].numbers(n),
        rows=tuple(_row(item, n, last) for item in field["rows"]),
        turnover_max=field["turnover_max"].limit(),
        turnover_penalty=field["turnover_penalty"].limit(),
        cones=cones,
        rules=rules,
        **owners,
    )


def _rule(field: Field, n: int, rows: int, cones: int) -> Rule:
    members = field["members"].integers(0, n - 1)
    kind = field["kind"].text(*KINDS)
    return Rule(
        name=field["name"].text(),
        hard=field["hard"].flag(),
        rank=field["rank"].integer(0, 10**6),
        most=field["most"].limit(),
        kind=kind,
        index=field["index"].integer(0 if kind == "row" else -1, rows - 1 if kind == "row" else -1),
        lo=field["lo"].limit(),
        hi=field["hi"].limit(),
        complement=field["complement"].flag(),
        cones=field["cones"].integers(0, cones - 1),
        members=members,
        member_lower=field["member_lower"].limits(len(members)),
        member_upper=field["member_upper"].limits(len(members)),
    )


def _row(field: Field, n: int, last_rule: int) -> Row:
    at = field["at"].integers(0, n - 1)
    if len(set(at)) != len(at):
        raise field["at"].wrong("a list of different positions")
    return Row(
        sum=Sum(at, field["coefficients"].numbers(len(at))),
        lo=field["lo"].limit(),
        hi=field["hi"].limit(),
        penalty=field["penalty"].limit(),
        lo_rule=field["lo_rule"].integer(-1, last_rule),
        hi_rule=field["hi_rule"].integer(-1, last_rule),
    )


def _cone(field: Field, n: int) -> Cone:
    h = field["h"].numbers()
    G, H = (tuple(row.numbers() for row in field[key]) for key in ("G", "H"))
    if len(G) != len(h) or any(len(row) != n for row in G):
        raise field["G"].wrong(f"{len(h)} rows of {n}")
    if len(H) != len(h) or any(len(row) != len(H[0]) for row in H):
        raise field["H"].wrong(f"{len(h)} rows of one length")
    return Cone(field["kind"].text(*CONES), h, Map(G, H))


def _answer(field: Field, program: Program) -> Answer:
    cones = tuple(z.numbers(len(cone.h)) for z, cone in zip(field["cones"], program.cones, strict=False))
    if len(cones) != len(list(field["cones"])) or len(cones) != len(program.cones):
        raise field["cones"].wrong(f"a list of {len(program.cones)}")
    return Answer(
        u=field["u"].numbers(len(program.sign)),
        rows=field["rows"].numbers(len(program.rows)),
        turnover=field["turnover"].number(),
        cones=cones,
        auxiliary=field["auxiliary"].numbers(),
    )
