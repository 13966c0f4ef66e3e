"""Calls of the projection: at once, compiled, for many accounts, explained and written down."""

from __future__ import annotations

import numpy as np
import pandas as pd
from zoo.calls import case
from zoo.calls.market import BY_POSITION, COVARIANCE, INDEX, POLICY, POSITIONS, WEIGHTS

from pmx import projection
from pmx.errors import DataError
from pmx.projection.cvxpy_engine import Shape

LIMITED = POLICY.override({"execution.liquidity.participation": 0.5})


def projector() -> projection.Projector:
    return projection.Projector(LIMITED, INDEX)


def inputs(folder):
    return {
        "risk_scale": {"ts_core": 0.5},
        "previous": pd.Series([0.0625, 0.0], index=INDEX),
        "gated": {"WTI": "reduce_only"},
        "covariance": COVARIANCE.copy(),
        "adv": {"SP500": 1e6, "WTI": 1e6},
        "nav": 1e6,
        "journal": folder / "journal.jsonl",
        "engine": "auto",
    }


def bounded(folder):
    return {
        **inputs(folder),
        "lower": pd.Series([0.0, 0.0], index=INDEX),
        "upper": pd.Series([0.5, 0.5], index=INDEX),
        "warm_start": None,
    }


@case("projection.solve")
def _(folder):
    return projection.solve, {"policy": LIMITED, "relative_weights": BY_POSITION.copy(), **inputs(folder)}


@case("projection.project_to_feasible")
def _(folder):
    given = inputs(folder)
    del given["risk_scale"]
    given["previous"] = pd.Series({"SP500": 0.0625})
    given |= {"weights": WEIGHTS.copy(), "policy": LIMITED, "buckets": {"SP500": "ts_core"}}
    return projection.project_to_feasible, given


case("projection.by_position")(
    lambda _: (
        projection.by_position, {"weights": WEIGHTS.copy(), "policy": POLICY, "buckets": {"SP500": "ts_core"}}
    )
)  # fmt: skip
case("projection.Projector")(
    lambda _: (projection.Projector, {"policy": POLICY, "positions": list(POSITIONS), "constraints": None})
)
case("projection.Projector.solve")(
    lambda folder: (projector().solve, {"relative_weights": BY_POSITION.copy(), **bounded(folder)})
)
case("projection.Projector.project")(
    lambda folder: (projector().project, {"targets": BY_POSITION.to_numpy(), **bounded(folder)})
)


@case("projection.Projector.solve_many")
def _(folder):
    given = bounded(folder)
    for name in ("journal", "engine", "warm_start"):
        del given[name]
    table = np.array([[0.25, 0.125], [0.5, 0.0625]])
    given |= {
        "targets": table,
        "previous": table / 8.0,
        "lower": table * 0.0,
        "upper": table * 0.0 + 0.5,
        "workers": 1,
        "chunk": 8,
        "progress": False,
        "errors": "raise",
    }
    return projector().solve_many, given


def batch() -> projection.AllocationBatch:
    return projection.Projector(POLICY, INDEX).solve_many(np.array([[0.25, 0.125], [0.5, 0.0625]]))


def allocation() -> projection.Allocation:
    return projection.Projector(POLICY, INDEX).project(BY_POSITION)


case("projection.AllocationBatch.allocation")(lambda _: (batch().allocation, {"account": 1}))
case("projection.Allocation.what_if")(
    lambda _: (
        (allocation().what_if, {"rule": "symbol.SP500.cap", "bound": 0.0625})
        if "symbol.SP500.cap" in allocation().rules.index
        else (allocation().what_if, {"rule": "barbell.risk.cap", "bound": 0.125})
    )
)
case("projection.Allocation.violations")(lambda _: (allocation().violations, {"positions": BY_POSITION.copy()}))


@case("projection.Allocation")
def _(_):
    one = allocation()
    return projection.Allocation, {
        "certificate": one.certificate, "index": one.index, "signed": one.signed, "wished": one.wished, "cash_min": 0.0,
    }  # fmt: skip


@case("projection.AllocationBatch")
def _(_):
    many = batch()
    names = projection.AllocationBatch.__dataclass_fields__
    return projection.AllocationBatch, {name: getattr(many, name) for name in names}


case("projection.Certificate")(
    lambda _: (
        projection.Certificate,
        {"primal_residual": 0.0, "duality_gap": 0.0, "distance_bound": 0.0, "engine": "newton", "note": ""},
    )
)
case("projection.certify")(
    lambda _: (
        projection.certify,
        {"program": allocation().program, "point": allocation().point, "engine": "newton", "note": ""},
    )
)
case("projection.EngineChain")(
    lambda _: (projection.EngineChain, {"solvers": ("CLARABEL",), "room": None, "positions": list(POSITIONS)})
)
case("projection.EngineChain.compiled", heavy=True)(
    lambda _: (projection.EngineChain().compiled, {"shape": Shape(2, 4, 2, False, "none", False, (), 0)})
)
case("projection.EngineChain.solve")(
    lambda _: (projection.EngineChain().solve, {"program": allocation().program, "engine": "newton", "missed": None})
)
case("projection.Cone")(
    lambda _: (
        projection.Cone,
        {"kind": "soc", "G": np.eye(2), "h": np.ones(2), "H": np.zeros((2, 0))},
    )
)
case("projection.Cone.slack")(
    lambda _: (
        projection.Cone("soc", np.eye(2), np.ones(2), np.zeros((2, 0))).slack,
        {"u": np.array([0.5, 0.25]), "auxiliary": np.zeros(0)},
    )
)
case("projection.Inputs")(lambda _: (projection.Inputs, {"sign": np.ones(2), "target": np.array([0.25, 0.125])}))
case("projection.Point")(lambda _: (projection.Point, {"u": np.zeros(2), "rows": np.zeros(1), "turnover": 0.0}))


@case("projection.Program")
def _(_):
    program = allocation().program
    return projection.Program, {name: getattr(program, name) for name in projection.Program.__dataclass_fields__}


case("projection.Program.turnover")(lambda _: (allocation().program.turnover, {"u": np.array([0.25, 0.125])}))
case("projection.RuleRecord")(
    lambda _: (projection.RuleRecord, {"name": "a", "source": "python", "hard": True, "kind": "row", "index": 0})
)


def book_inputs() -> projection.Inputs:
    return projection.Inputs(np.ones(2), np.array([0.25, 0.125]))


def book() -> projection.RuleBook:
    return projection.RuleBook(POLICY, POSITIONS)


case("projection.RuleBook")(lambda _: (projection.RuleBook, {"policy": POLICY, "positions": list(POSITIONS)}))
case("projection.RuleBook.program")(lambda _: (book().program, {"inputs": book_inputs()}))
case("projection.RuleBook.lay_out")(lambda _: (book().lay_out, {"inputs": book_inputs()}))
case("projection.RuleBook.require_volume")(lambda _: (book().require_volume, {"inputs": book_inputs()}))
case("projection.RuleBook.distance")(lambda _: (book().distance, {"inputs": book_inputs()}))
case("projection.RuleBook.frame")(
    lambda _: (
        book().frame,
        {
            "longs": np.array([True, True]), "shorts": np.array([False, False]), "clamped": ["ts_core"],
            "trading": False, "tradable": None, "gates": {"WTI": "exit"}, "bounds": False,
        },
    )
)  # fmt: skip
case("projection.Journal")(lambda folder: (projection.Journal, {"path": folder / "journal.jsonl"}))


@case("projection.Journal.write")
def _(folder):
    journal = projection.Journal(folder / "journal.jsonl")
    return journal.write, {"allocation": allocation(), "policy": POLICY, "label": "one"}


@case("projection.recorded")
def _(folder):
    return projection.recorded, {"allocation": allocation(), "policy": POLICY, "journal": folder / "journal.jsonl"}


@case("projection.recording")
def _(folder):
    def opened(journal):
        with projection.recording(journal) as one:
            return one is not None

    return opened, {"journal": folder / "journal.jsonl"}


case("projection.Allocation.residual_room")(lambda _: (allocation().residual_room, {"positions": BY_POSITION.copy()}))


@case("projection.Journal.refuse")
def _(folder):
    journal = projection.Journal(folder / "journal.jsonl")
    return journal.refuse, {"error": DataError("no prices"), "policy": POLICY, "asked": None, "label": "one"}


@case("projection.refusing")
def _(folder):
    def opened(**given):
        with projection.refusing(**given):
            return None

    return opened, {"policy": POLICY, "journal": folder / "journal.jsonl", "asked": None, "label": "one"}


LINE = projection.ReplayedLine(1, "solve", None, "equal")
case("projection.ReplayedLine")(
    lambda _: (projection.ReplayedLine, {"line": 1, "record": "solve", "label": None, "outcome": "equal"})
)
case("projection.Replay")(lambda _: (projection.Replay, {"lines": (LINE,), "changes": ()}))
case("projection.Replay.count")(lambda _: (projection.Replay((LINE,), ()).count, {"outcome": "equal"}))


@case("projection.replay", heavy=True)
def _(folder):
    projector().project(BY_POSITION, journal=folder / "journal.jsonl")
    return projection.replay, {"path": folder / "journal.jsonl", "policy": LIMITED}


case("projection.Allocation.linear_rules")(
    lambda _: (allocation().linear_rules, {"tangent_at": [allocation().positions]})
)
case("projection.Allocation.counted_from")(
    lambda _: (allocation().counted_from, {"held": BY_POSITION.copy(), "nav": 1024.0, "beside": 0.0})
)
