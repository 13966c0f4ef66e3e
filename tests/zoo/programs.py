"""Random programs built to be hard, each around a point that obeys every hard rule.

Half of them live on a coarse binary grid, where sums are exact: many rules then touch at once, positions rest exactly
on their kinks, and several sets of prices explain the same answer.

Where float64 ends. An answer is judged by rows held to 1e-9 (in units of the row, at most 1) and by a distance of 1e-6
of NAV. Both are beyond doubles, whoever computes them, where

- a row's terms sum to more than about 1e5: one unit in the last place of the sum is then 1e-11, and a few hundred
  rounded terms are all of 1e-9. Rows are scaled over 1e-8 … 1e8, but one whose terms would sum to more is scaled down
  to that sum.
- a price exceeds about 1e8 times the softest metric: prices of rules are sums of doubles, and where two that large
  meet on the softest position their last places alone move it by 1e-8 each. Metrics lie anywhere in 1e-8 … 1e8; those
  of one program lie within a factor of 1e8, and wishes (up to 1e8 of NAV), penalties and costs are cut to that pull.
- a soft row's terms sum to more than about 1e2: it counts as given way beyond 1e-12.
"""

from __future__ import annotations

import numpy as np

from pmx.projection import Program, RuleRecord

KINDS = (
    "plain",
    "degenerate",
    "redundant",
    "badly scaled",
    "single point",
    "targets zero",
    "at bounds",
    "turnover",
    "floors",
    "equalities",
    "soft",
)
#: Terms of a row may sum to this; see above.
LARGEST_SUM = 1e5
#: Pull of a wish, a penalty or a cost, in units of the softest metric.
LARGEST_PULL = 1e8
LARGEST_SOFT_SUM = 1e2


def random_program(seed: int) -> Program:
    """Return one feasible program without cones; its kind is ``KINDS[seed % len(KINDS)]``, mixed with others."""
    rng = np.random.default_rng([seed, 7])
    kinds = {KINDS[seed % len(KINDS)]} | {str(kind) for kind in rng.choice(KINDS, int(rng.integers(0, 3)))}
    n = int(rng.choice([rng.integers(1, 8), rng.integers(8, 40), rng.integers(40, 120), rng.integers(120, 400)],
                       p=[0.35, 0.4, 0.18, 0.07]))  # fmt: skip
    grid = 2.0**-10 if rng.random() < 0.5 else 0.0
    lower, upper, u = _feasible_point(rng, kinds, n, grid)
    distance = _metric(rng, kinds, u)
    A, lo, hi, penalty = _rows(rng, kinds, u, distance, grid)
    previous, cost, cap, cap_penalty = _trading(rng, kinds, u, distance, grid)
    floor, floor_penalty = _floors(rng, kinds, u, previous, distance)
    unowned = np.full(n, -1, dtype=np.intp)
    return Program(
        sign=rng.choice([1.0, 1.0, -1.0], n),
        target=_targets(rng, kinds, u, A, distance, grid),
        distance=distance,
        previous=previous,
        cost=cost,
        lower=lower,
        upper=upper,
        lower_owner=unowned,
        upper_owner=unowned,
        floor=floor,
        floor_penalty=floor_penalty,
        floor_owner=unowned,
        A=A,
        lo=lo,
        hi=hi,
        lo_owner=np.arange(len(A), dtype=np.intp),
        hi_owner=np.arange(len(A), dtype=np.intp),
        penalty=penalty,
        turnover_max=cap,
        turnover_penalty=cap_penalty,
        cones=(),
        rules=_records(len(A), cap, cap_penalty),
    )


def _records(K: int, cap: float, cap_penalty: float) -> tuple[RuleRecord, ...]:
    rows = [RuleRecord(f"row.{k}", "random", True, "row", index=k) for k in range(K)]
    if np.isfinite(cap):
        rows.append(RuleRecord("turnover.max", "random", bool(np.isinf(cap_penalty)), "turnover", hi=cap))
    return tuple(rows)


def _on_grid(value: np.ndarray, grid: float) -> np.ndarray:
    return np.round(value / grid) * grid if grid else value


def _magnitude(rng: np.random.Generator, size: int | None = None, *, of: float = 8.0) -> np.ndarray:
    """Powers of ten between 10^−of and 10^of; often exactly 1, at times exactly at an end."""
    exponent = rng.choice([0.0, -of, of], size) if rng.random() < 0.3 else rng.uniform(-of, of, size)
    return 10.0 ** np.asarray(exponent)


def _feasible_point(rng, kinds, n, grid):
    """Bounds, and a point within them on which many positions rest."""
    size = rng.choice([0.02, 0.1, 0.5, 2.0 / n])
    upper = _on_grid(rng.uniform(0.2, 2.0, n) * size, grid) + grid
    lower = np.where(rng.random(n) < 0.15, _on_grid(0.3 * upper, grid), 0.0)
    lower = np.where(rng.random(n) < 0.05, -upper, lower)
    free = 0.0 if "at bounds" in kinds else float(rng.choice([0.0, 0.3, 0.8, 1.0]))
    inside = np.clip(_on_grid(lower + (upper - lower) * rng.uniform(0.05, 0.95, n), grid), lower, upper)
    u = np.where(rng.random(n) < free, inside, np.where(rng.random(n) < 0.5, lower, upper))
    pinned = rng.random(n) < (float(rng.choice([0.3, 1.0])) if "single point" in kinds else 0.03)
    how = rng.choice(["zero", "there"], n)
    u = np.where(pinned & (how == "zero"), 0.0, u)
    lower, upper = np.where(pinned, u, lower), np.where(pinned, u, upper)
    if not kinds & {"at bounds", "badly scaled"}:
        upper = np.where(~pinned & (rng.random(n) < 0.2), np.inf, upper)
    return lower, upper, u


def _rows(rng, kinds, u, distance, grid):
    """Rows through the feasible point, or a little away from it."""
    n = len(u)
    K = int(rng.choice([rng.integers(0, 6), rng.integers(6, 20), rng.integers(20, 41)], p=[0.3, 0.5, 0.2]))
    A = np.zeros((K, n))
    for k in range(K):
        members = rng.random(n) < rng.choice([0.1, 0.5, 1.0])
        shape = rng.choice(["sum", "integers", "any", "nested"])
        if shape == "sum":
            A[k] = members
        elif shape == "integers":
            A[k] = members * rng.choice([-1.0, 1.0, 1.0, 2.0], n)
        elif shape == "any":
            A[k] = members * rng.normal(size=n)
        else:
            A[k] = np.arange(n) < rng.integers(1, n + 1)
    role = rng.choice(["at hi", "at lo", "clear", "equality"], K, p=[0.5, 0.15, 0.3, 0.05])
    if "single point" in kinds and K:
        role[: K // 2 + 1] = "equality"
    if "equalities" in kinds:
        role = np.where(rng.random(K) < 0.4, "equality", role)
    if "targets zero" in kinds:
        role = np.where(rng.random(K) < 0.5, "at lo", role)
    if "redundant" in kinds:
        _make_redundant(rng, A)
    A = A * _row_scale(rng, kinds, A, u)[:, None]
    value = A @ u
    room = np.abs(A).sum(axis=1) * np.where(role == "clear", rng.choice([1e-3, 0.02, 0.3], K), 0.0)
    room = _on_grid(room, grid) if "badly scaled" not in kinds else room
    hi = np.where(np.isin(role, ["at hi", "equality", "clear"]), value + room, np.inf)
    lo = np.where(np.isin(role, ["at lo", "equality"]), value, np.where(rng.random(K) < 0.2, value - room, -np.inf))
    both = (role == "at hi") & (rng.random(K) < 0.2)
    lo = np.where(both, value - np.abs(A).sum(axis=1) * 0.05, lo)
    penalty = np.full(K, np.inf)
    if "soft" in kinds:
        # A soft row may also ask for what cannot be.
        soft = rng.random(K) < 0.5
        price = float(np.median(distance)) * _magnitude(rng, K, of=6.0)
        price = np.minimum(price, LARGEST_PULL * distance.min())
        penalty = np.where(soft, price / np.maximum(np.abs(A).max(axis=1, initial=0.0), 1e-8), penalty)
        tight = soft & np.isfinite(hi) & np.isneginf(lo) & (rng.random(K) < 0.5)
        hi = np.where(tight, hi - np.abs(A).sum(axis=1) * 0.05, hi)
    return A, lo, hi, penalty


def _make_redundant(rng, A):
    """Write rows that repeat, add up, or follow from others."""
    K = len(A)
    for k in range(1, K):
        how = rng.random()
        if how < 0.25:
            A[k] = A[rng.integers(k)]
        elif how < 0.4:
            A[k] = -A[rng.integers(k)]
        elif how < 0.6:
            A[k] = A[rng.integers(k)] + A[rng.integers(k)] * rng.choice([1.0, -1.0, 0.5])


def _row_scale(rng, kinds, A, u):
    if "badly scaled" not in kinds or not len(A):
        return np.ones(len(A))
    scale = _magnitude(rng, len(A)) if rng.random() < 0.8 else np.full(len(A), _magnitude(rng))
    largest = LARGEST_SOFT_SUM if "soft" in kinds else LARGEST_SUM
    return np.minimum(scale, largest / np.maximum(np.abs(A) @ np.abs(u), 1e-3))


def _metric(rng, kinds, u):
    n = len(u)
    if "badly scaled" in kinds:
        spread = float(rng.choice([0.0, 2.0, 8.0]))
        middle = rng.uniform(-8.0 + spread / 2, 8.0 - spread / 2)
        return 10.0 ** (middle + rng.uniform(-0.5, 0.5, n) * spread)
    how = rng.choice(["absolute", "relative", "risk"])
    if how == "absolute":
        return np.ones(n)
    return 1.0 / np.maximum(np.abs(u), 1e-4) if how == "relative" else 10.0 ** rng.uniform(-4, -1, n)


def _trading(rng, kinds, u, distance, grid):
    n = len(u)
    away = _on_grid(rng.normal(0.0, 0.03, n), grid) * (rng.random(n) < 0.7)
    previous, cost, cap, penalty = u + away, np.zeros(n), np.inf, np.inf
    if "turnover" in kinds:
        typical = float(np.median(distance))
        how = rng.choice(["cost", "hard", "soft", "cost and hard", "cost and soft"])
        if "cost" in how:
            cost = typical * 10.0 ** rng.uniform(-4, 1) * rng.choice([0.0, 1.0, 1.0], n)
        if how != "cost":
            cap = 0.5 * float(np.abs(away).sum()) + float(rng.choice([0.0, 0.0, 0.01]))
        if "soft" in how:
            cap *= float(rng.choice([0.0, 0.5, 1.0]))
            penalty = min(typical * 10.0 ** rng.uniform(-4, 4), LARGEST_PULL * distance.min())
    return previous, np.minimum(cost, LARGEST_PULL * distance.min()), cap, penalty


def _floors(rng, kinds, u, previous, distance):
    """Soft floors, never above what is held."""
    n = len(u)
    if "floors" not in kinds:
        return np.full(n, -np.inf), np.zeros(n)
    has = rng.random(n) < 0.5
    floor = np.minimum(previous, u + rng.choice([-0.02, 0.0, 0.02], n))
    price = np.minimum(distance * 10.0 ** rng.uniform(-4, 3), LARGEST_PULL * distance.min())
    return np.where(has, floor, -np.inf), np.where(has, price, 0.0)


def _targets(rng, kinds, u, A, distance, grid):
    """Wishes near the feasible point, far from it, or exactly where prices would lead from it."""
    n = len(u)
    if "targets zero" in kinds:
        return np.zeros(n)
    if "degenerate" in kinds or rng.random() < 0.2:
        # The feasible point is then the answer where every bound and rule that pulls really presses.
        size = np.maximum(np.abs(A).max(axis=1, initial=0.0), 1e-300)
        price = np.where(rng.random(len(A)) < 0.3, _on_grid(rng.uniform(0, 1, len(A)), 2.0**-4), 0.0) / size
        return np.maximum(u + (A.T @ price) * float(np.median(distance)) / distance, 0.0)
    if "badly scaled" in kinds and rng.random() < 0.5:
        wish = np.abs(u) * _magnitude(rng, n, of=float(rng.choice([2.0, 8.0])))
        return np.minimum(wish, LARGEST_PULL * distance.min() / distance)
    return np.maximum(u + _on_grid(rng.normal(0, rng.choice([0.001, 0.05, 1.0]), n), grid), 0.0)
