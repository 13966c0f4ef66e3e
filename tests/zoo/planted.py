"""Programs whose optimum is known exactly, without any solver.

Choose the answer ``u``, which rules press and their prices; stationarity then gives the wish that leads there,

    t = u + (Aᵀy + Σ Gᵀz + trade + floor + upper − lower) / d .
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmx.projection import Cone, Point, Program, RuleRecord


@dataclass(frozen=True)
class Planted:
    """A program and its unique optimum; the prices are one valid set of duals."""

    program: Program
    point: Point


def planted(
    seed: int,
    *,
    n: int = 30,
    rows: int = 12,
    degenerate: bool = False,
    scale: float = 1.0,
    trades: str = "none",  # "none", "cost", "hard", "soft", "soft given way"
    floors: bool = False,
    soft: bool = False,
    cone: bool = False,
) -> Planted:
    """Return one planted program.

    ``scale`` spreads rows and metric over that factor up and down; ``degenerate`` repeats rows, and lets rules
    touch the optimum without pressing.
    """
    rng = np.random.default_rng(seed)
    d = np.exp(rng.uniform(-np.log(scale), np.log(scale), n)) if scale > 1 else np.ones(n)
    sign = rng.choice([1.0, 1.0, -1.0], n)
    upper = rng.uniform(0.01, 0.2, n)
    lower = np.where(rng.random(n) < 0.2, 0.3 * upper, 0.0)
    state = rng.choice(["free", "free", "free", "upper", "lower"], n)
    u = np.where(
        state == "upper", upper, np.where(state == "lower", lower, lower + (upper - lower) * rng.uniform(0.2, 0.8, n))
    )
    force = np.zeros(n)
    force += np.where(state == "upper", rng.uniform(0.0, 1.0, n), 0.0)
    force -= np.where(state == "lower", rng.uniform(0.0, 1.0, n), 0.0)

    previous = np.clip(u + rng.normal(0, 0.03, n), -0.05, None)
    floor, floor_penalty = np.full(n, -np.inf), np.zeros(n)
    if floors:
        # A soft floor never lies above what is held; some floors are touched, some given way.
        chosen = rng.random(n) < 0.4
        kind = rng.choice(["touched", "given way", "clear"], n)
        offset = np.where(kind == "touched", 0.0, np.where(kind == "given way", 0.01, -0.01))
        floor = np.where(chosen, u + offset, -np.inf)
        floor_penalty = np.where(chosen, 0.7, 0.0)
        previous = np.where(chosen, floor + 0.02, previous)
        pull = np.where(kind == "given way", 0.7, np.where(kind == "touched", 0.3, 0.0))
        force -= np.where(chosen, pull, 0.0)
    cost = np.full(n, 0.05 if trades == "cost" else 0.0)
    tau = 0.4 if trades in ("hard", "soft") else (0.9 if trades == "soft given way" else 0.0)
    width = cost + 0.5 * tau
    if trades != "none":
        still = (rng.random(n) < 0.4) & (state == "free") & ~np.isfinite(floor)
        previous = np.where(still, u, previous)
        force += np.where(still, width * rng.uniform(-0.9, 0.9, n), width * np.sign(u - previous))
    turnover = 0.5 * float(np.abs(u - previous).sum())

    A = rng.choice([0.0, 1.0, 1.0, -0.5, 2.0], (rows, n)) * rng.uniform(0.5, 1.5, (rows, n)).round(3)
    if degenerate:
        A[rows // 2 :] = A[: rows - rows // 2]
    if scale > 1:
        A *= np.exp(rng.uniform(-np.log(scale), np.log(scale), rows))[:, None]
    size = np.abs(A).sum(axis=1)
    size = np.where(size > 0, size, 1.0)
    value = A @ u
    role = rng.choice(["upper", "lower", "slack", "touch"] if degenerate else ["upper", "lower", "slack"], rows)
    y = np.where(role == "upper", 1.0, np.where(role == "lower", -1.0, 0.0)) * rng.uniform(0.05, 1.0, rows) / size
    hi = np.where(np.isin(role, ["upper", "touch"]), value, value + size * 0.05)
    lo = np.where(role == "lower", value, np.where(rng.random(rows) < 0.5, -np.inf, value - size * 0.05))
    penalty = np.full(rows, np.inf)
    if soft:
        chosen = rng.random(rows) < 0.5
        gives = chosen & (role != "slack") & (role != "touch") & (rng.random(rows) < 0.5)
        penalty = np.where(gives, np.abs(y), np.where(chosen, np.abs(y) + 1.0 / size, np.inf))
        hi = np.where(gives & (role == "upper"), value - 0.01 * size, hi)
        lo = np.where(gives & (role == "lower"), value + 0.01 * size, lo)
    cones: tuple[Cone, ...] = ()
    duals: tuple[np.ndarray, ...] = ()
    if cone:
        factor = rng.normal(size=(4, n)) * 0.3
        spread = factor * sign
        s1 = -spread @ u
        cap = float(np.linalg.norm(s1))
        cones = (
            Cone(
                "second_order", np.vstack([np.zeros(n), spread]), np.concatenate([[cap], np.zeros(4)]), np.zeros((5, 0))
            ),
        )
        z = 0.8 * np.concatenate([[cap], -s1]) / cap
        duals = (z,)
        force += cones[0].G.T @ z

    target = u + (A.T @ y + force) / d
    hard_turnover = trades in ("none", "hard", "cost")
    point = Point(u=u, rows=y, turnover=tau, cones=duals)
    none = np.full(n, -1, dtype=np.intp)
    program = Program(
        sign=sign,
        target=target,
        distance=d,
        previous=previous,
        cost=cost,
        lower=lower,
        upper=upper,
        lower_owner=none,
        upper_owner=none,
        floor=floor,
        floor_penalty=floor_penalty,
        floor_owner=none,
        A=A,
        lo=lo,
        hi=hi,
        lo_owner=np.arange(rows, dtype=np.intp),
        hi_owner=np.arange(rows, dtype=np.intp),
        penalty=penalty,
        turnover_max={"none": np.inf, "cost": np.inf, "soft given way": turnover - 0.05}.get(trades, turnover),
        turnover_penalty=np.inf if hard_turnover else (tau if trades == "soft given way" else 5.0),
        cones=cones,
        rules=tuple(RuleRecord(f"row.{k}", "planted", True, "row", index=k) for k in range(rows)),
    )
    return Planted(program, point)
