"""One line of a journal asked again: its arguments, and whether what comes of it is the same to the last bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from pmx.errors import InfeasibleError, PmxError
from pmx.projection.allocation import Allocation
from pmx.projection.records import refusal_record, solve_record

Outcome = Literal["equal", "within", "differs", "not solved"]
#: Parts of a solve that are compared, in the order in which a difference is told.
PARTS = {
    "program": ("proof", "program"),
    "weights": ("weights",),
    "shadow prices": ("proof", "answer"),
    "certificate": ("proof", "certificate"),
    "status": ("status",),
}
#: Answers that began from an earlier one agree within their distances to the optimum, and this.
ROUNDING = 1e-12


def unanswerable(line: Mapping[str, Any]) -> str:
    """Return why a line cannot be solved again; empty where it can."""
    asked = line["asked"]
    if asked is None or line["positions"] is None:
        return "the journal does not say what was asked"
    if asked["constraints"]:
        return f"{', '.join(asked['constraints'])}: constraints of one's own are code, which no journal holds"
    if asked["what_if"]:
        return "it is a what-if, not a solve; solve under the policy that it supposes"
    n = len(line["positions"])
    vectors = [asked["weights"], asked["previous"], *(asked["bounds"] or {}).values()]
    if any(vector is not None and not _is_vector(vector, n) for vector in vectors) or _holds_unread(asked):
        return "what was asked could not be read when it was refused"
    return ""


def _is_vector(values: Any, n: int) -> bool:
    return isinstance(values, list) and len(values) == n and all(isinstance(x, float | str) for x in values)


def _holds_unread(asked: Mapping[str, Any]) -> bool:
    if asked["engine"] not in ("auto", "newton", "cvxpy"):
        return True
    tables = [asked[key] for key in ("risk_scale", "gates", "adv", "nav", "covariance") if isinstance(asked[key], dict)]
    return any("unread" in table or any(isinstance(value, dict) for value in table.values()) for table in tables)


def arguments(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a solve beside its weights."""
    bounds, scale, adv = asked["bounds"] or {}, asked["risk_scale"], asked["adv"]
    return {
        "risk_scale": None if scale is None else {bucket: float(s) for bucket, s in scale.items()},
        "previous": None if asked["previous"] is None else array(asked["previous"]),
        "gated": asked["gates"],
        "covariance": _covariance(asked["covariance"]),
        "adv": None if adv is None else {symbol: float(value) for symbol, value in adv.items()},
        "nav": None if asked["nav"] is None else float(asked["nav"]),
        "lower": array(bounds["lower"]) if bounds.get("lower") is not None else None,
        "upper": array(bounds["upper"]) if bounds.get("upper") is not None else None,
        "engine": asked["engine"],
    }


def array(values: list[Any]) -> np.ndarray:
    """Return recorded numbers as an array; those that are not finite are words."""
    return np.array([float(x) for x in values], dtype=np.float64)


def _covariance(table: Mapping[str, Any] | None) -> Any:
    if table is None:
        return None
    values = np.array(table["values"], dtype=np.float64)
    return values if table["symbols"] is None else pd.DataFrame(values, table["symbols"], table["symbols"])


def compared(line: Mapping[str, Any], allocation: Allocation) -> tuple[Outcome, str, float]:
    """Return whether an answer is the recorded one, in what it differs, and by how much a weight does at most."""
    if line["record"] == "refusal":
        return "differs", f"was refused ({line['kind']}), and is solved now", np.nan
    now = json.loads(json.dumps(solve_record(allocation)))
    differing = [name for name, place in PARTS.items() if _text(_at(line, place)) != _text(_at(now, place))]
    apart = _apart(line["weights"], now["weights"])
    if not differing:
        return "equal", "", apart
    if line["asked"]["warm_start"] and "program" not in differing:
        bounds = [_at(record, ("proof", "certificate", "distance_bound")) for record in (line, now)]
        if apart <= sum(bounds) + ROUNDING:
            return "within", "it began from an earlier answer, which no journal holds", apart
    words = f"{' and '.join(differing)} differ" if len(differing) > 1 else f"another {differing[0]}"
    return "differs", f"{words}; weights by at most {apart:.3g} of NAV", apart


def refused_again(line: Mapping[str, Any], error: PmxError) -> tuple[Outcome, str, float]:
    """Return whether a refusal is the recorded one; the words of a clash name files, so that its rules are compared."""
    now = json.loads(json.dumps(refusal_record(error, None)))
    kind = now["kind"]
    if line["record"] == "solve":
        return "differs", f"was solved, and is refused now ({kind}): {str(error).splitlines()[0]}", np.nan
    if kind != line["kind"]:
        return "differs", f"was refused by {line['kind']}, now by {kind}: {str(error).splitlines()[0]}", np.nan
    if isinstance(error, InfeasibleError):
        for part in ("rules", "relaxation"):
            if now[part] != line[part]:
                return "differs", f"its {part} were {line[part]}, and are {now[part]}", np.nan
    elif now["message"] != line["message"]:
        return "differs", f"was refused for another reason: {line['message'].splitlines()[0]}", np.nan
    return "equal", "refused again, for the same reason", 0.0


def _at(record: Mapping[str, Any], place: tuple[str, ...]) -> Any:
    value: Any = record
    for key in place:
        value = None if value is None else value[key]
    return value


def _text(value: Any) -> str:
    """Return a part of a line as text in which every bit shows; where a rule was set is no part of it."""
    if isinstance(value, dict) and "rules" in value:
        rules = [{key: item for key, item in rule.items() if key != "source"} for rule in value["rules"]]
        value = value | {"rules": rules}
    return json.dumps(value)


def _apart(then: Mapping[str, Any], now: Mapping[str, Any]) -> float:
    """Return the largest difference of a weight, cash and what stands in for it included."""
    pairs = [*zip(then["positions"], now["positions"], strict=True), (then["cash"], now["cash"])]
    residual = [0.0 if weights["residual"] is None else weights["residual"]["weight"] for weights in (then, now)]
    return float(max(abs(a - b) for a, b in [*pairs, (residual[0], residual[1])]))
