"""Journals: honest ones of many kinds, and ones whose liar knows how to seal them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
from zoo.policies import random_case

import pmx
from pmx.verify.chain import NOTHING_BEFORE, sealed

SOLVE = 2  # line of the only solve in a journal of one, counted from 0


def random_journal(path: Path, seeds: range, *, volatility: bool = False, engine: str = "auto") -> Path:
    """Write one solve for each seed, each under a policy of its own."""
    with pmx.Journal(path) as journal:
        for seed in seeds:
            case = random_case(seed, volatility=volatility)
            pmx.solve(case.policy, case.relative, **case.arguments, engine=engine, journal=journal)
    return path


def odd_journal(path: Path) -> Path:
    """Write the solves that random policies have none of."""
    policy = pmx.load_policy()
    residual = policy.override({"risk_buckets.portfolio.residual_symbol": "BIL"})
    calm = residual.override({"risk_buckets.portfolio.volatility_max": 0.04})
    covariance = pd.DataFrame(np.diag([0.04, 0.16, 0.0001]), *[["SP500", "WTI", "BIL"]] * 2)
    off = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
    tilt = {"tilt": {"symbols": {"SP500": 1.0}, "min": 0.09, "hard": False, "rank": 1}}
    ranked = {"execution.turnover.max": 0.02, "execution.turnover.rank": 2, "risk_buckets.custom_rules": tilt}
    wish = {"SP500": 0.3, "WTI": 0.2}
    with pmx.Journal(path) as journal:
        pmx.project_to_feasible(wish, residual, journal=journal)
        pmx.project_to_feasible(wish | {"BIL": 0.2}, residual, journal=journal)
        capped = residual.override({"barbell.safe_bucket.max_per_position": 0.5})
        pmx.project_to_feasible(wish | {"BIL": 0.2}, capped, journal=journal)
        pmx.project_to_feasible(wish, calm, covariance=covariance, journal=journal)
        pmx.project_to_feasible(wish | {"CASH": 0.5}, policy.override(off), journal=journal)
        pmx.project_to_feasible(wish, policy.override(ranked), previous={"WTI": 0.5, "SP500": 0.02}, journal=journal)
        pmx.project_to_feasible({}, policy, journal=journal)
        own = _with_constraints(policy)
        targets = pd.Series([0.10, 0.02, 0.05, 0.09], index=own.index)
        journal.write(own.project(targets), policy, label="constraints of one's own")
        bounds = {"lower": targets * 0.0 + 0.01, "upper": targets * 0.0 + 0.04}
        plain = pmx.Projector(policy, own.index.tolist())
        journal.write(plain.project(targets, **bounds), policy, label="bounds")
        _turning(journal)
    return path


def _with_constraints(policy: pmx.Policy) -> pmx.Projector:
    def constraints(w: Any) -> dict[str, cp.Constraint]:
        return {
            "spread": w.symbol("A") - w.symbol("B") <= 0.01,
            "norm": cp.norm(w.x) <= 0.08,
            "near": cp.norm1(w.x - 0.02) <= 0.1,
            "exact": w.symbol("C") == 0.03,
        }

    return pmx.Projector(policy, [("ts_core", symbol) for symbol in "ABCD"], constraints=constraints)


def _turning(journal: pmx.Journal) -> None:
    """Hold the other side of every wish."""
    written = 0
    for seed in range(100):
        case = random_case(seed)
        if any(bucket.allow_short for bucket in case.policy.risk_buckets.buckets.values()):
            case.arguments["previous"] = -0.3 * case.relative
            pmx.solve(case.policy, case.relative, **case.arguments, journal=journal)
            written += 1
        if written == 10:
            return


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def reseal(lines: list[dict[str, Any]], path: Path) -> Path:
    """Write lines with hashes that fit: what someone does who has altered them and knows the format."""
    head, text = NOTHING_BEFORE, b""
    for line in lines:
        members = {key: value for key, value in line.items() if key not in ("previous", "sha256")}
        raw, head = sealed(head, json.dumps(members, separators=(",", ":"))[1:-1])
        text += raw
    path.write_bytes(text)
    return path


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every number, text and flag with the keys that lead to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from leaves(item, (*path, i))
    else:
        yield path, value


def put(value: Any, path: tuple[Any, ...], leaf: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = leaf
