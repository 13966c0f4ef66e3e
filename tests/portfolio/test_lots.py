"""Whole lots: rounding, and the search held to full enumeration."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pmx.errors import SolverError
from pmx.portfolio.lots import SEARCH_TOLERANCE, LotGrid

Array = NDArray[np.float64]
INF = np.inf


@dataclass(frozen=True)
class Rules:
    """Linear rules as plain arrays."""

    A: Array
    lo: Array
    hi: Array
    lower: Array
    upper: Array
    sign: Array
    hard: NDArray[np.bool_]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"rule.{k}" for k in range(len(self.lo)))

    def obeyed_by(self, u: Array, rows: list[int] | None = None) -> bool:
        """Whether unsigned weights obey the hard rows (or those given) and the bounds, as well as a search can."""
        chosen = [k for k in range(len(self.lo)) if self.hard[k]] if rows is None else rows
        value = self.A[chosen] @ u
        held = [value - self.hi[chosen], self.lo[chosen] - value, u - self.upper, self.lower - u]
        return float(max(part.max(initial=0.0) for part in held)) <= SEARCH_TOLERANCE


def rules(
    A: list[list[float]], lo: list[float], hi: list[float], upper: float = INF, sign: list[float] | None = None
) -> Rules:
    matrix = np.array(A, dtype=float)
    n = matrix.shape[1]
    return Rules(
        matrix,
        np.array(lo),
        np.array(hi),
        np.zeros(n),
        np.full(n, upper),
        np.ones(n) if sign is None else np.array(sign),
        np.ones(len(lo), dtype=bool),
    )


def test_rounding_is_toward_zero_for_longs_and_shorts_and_forgives_division() -> None:
    grid = LotGrid(np.array([0.1, 0.1, 0.1, 1.0, 0.0]), np.array([True, True, True, False, True]))
    weights = np.array([0.39, -0.39, 0.3 - 1e-17, 0.123, 0.0])
    assert grid.toward_zero(weights).tolist() == pytest.approx([0.3, -0.3, 0.3, 0.123, 0.0])


def test_rounding_toward_what_is_held_never_trades_more_than_wanted() -> None:
    grid = LotGrid(np.full(4, 0.1), np.ones(4, dtype=bool))
    weights = np.array([0.36, 0.36, -0.36, 0.3])
    held = np.array([0.5, 0.1, 0.0, 0.9])
    assert grid.toward(held, weights).tolist() == pytest.approx([0.4, 0.3, -0.3, 0.3])


def test_a_lower_limit_is_met_by_rounding_up_where_that_is_nearest() -> None:
    grid = LotGrid(np.array([0.1, 0.04]), np.ones(2, dtype=bool))
    found = grid.nearest(rules([[1.0, 1.0]], [0.5], [INF]), np.array([0.25, 0.25]))
    assert found is not None
    assert found.tolist() == pytest.approx([0.3, 0.24])


def test_signs_are_kept() -> None:
    grid = LotGrid(np.array([0.1, 0.1]), np.ones(2, dtype=bool))
    net_short = rules([[1.0, -1.0]], [-INF], [-0.25], sign=[1.0, -1.0])
    found = grid.nearest(net_short, np.array([0.14, -0.39]))
    assert found is not None
    assert found.tolist() == pytest.approx([0.1, -0.4])


def test_a_soft_rule_is_not_obeyed_here() -> None:
    soft = rules([[1.0]], [0.9], [INF])
    soft.hard[0] = False
    found = LotGrid(np.array([0.1]), np.array([True])).nearest(soft, np.array([0.3]))
    assert found is not None
    assert found.tolist() == pytest.approx([0.3])


def test_what_has_no_price_stays_at_zero() -> None:
    grid = LotGrid(np.array([0.0, 0.1]), np.array([True, True]))
    found = grid.nearest(rules([[1.0, 1.0]], [0.35], [INF]), np.array([0.0, 0.2]))
    assert found is not None
    assert found.tolist() == pytest.approx([0.0, 0.4])


def test_a_margin_leaves_room() -> None:
    grid = LotGrid(np.array([0.1]), np.array([True]))
    tight = rules([[1.0]], [0.3], [INF])
    assert grid.nearest(tight, np.array([0.3])) == pytest.approx(0.3)
    assert grid.nearest(tight, np.array([0.3]), margin=1e-4) == pytest.approx(0.4)
    assert grid.nearest(rules([[1.0]], [0.3], [0.3]), np.array([0.3]), margin=1e-4) is None


def test_the_conflict_is_a_minimal_set_of_rows() -> None:
    grid = LotGrid(np.array([0.3, 0.3]), np.ones(2, dtype=bool))
    clash = rules([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [0.7, -INF, -INF, -INF], [INF, 0.9, 0.8, 0.9])
    assert grid.nearest(clash, np.array([0.375, 0.375])) is None
    assert grid.conflict(clash) == ("rule.0", "rule.2")


def test_bounds_alone_can_leave_no_room() -> None:
    grid = LotGrid(np.array([0.3]), np.array([True]))
    boxed = Rules(
        np.zeros((0, 1)), np.zeros(0), np.zeros(0), np.array([0.1]), np.array([0.2]), np.ones(1), np.zeros(0, bool)
    )
    assert grid.nearest(boxed, np.array([0.15])) is None
    assert grid.conflict(boxed) == ()


def test_a_search_that_runs_out_of_time_returns_nothing_and_blames_every_row() -> None:
    rng = np.random.default_rng(7)
    n = 40
    A = rng.uniform(0.5, 1.5, size=(2, n))
    value = A @ np.full(n, 0.0173)
    hard = rules(A.tolist(), (value - 1e-5).tolist(), (value + 1e-5).tolist(), upper=0.1)
    grid = LotGrid(rng.uniform(0.01, 0.02, n), np.ones(n, dtype=bool), seconds=1e-9)
    with pytest.raises(SolverError, match=r"without an answer \(Time limit"):
        grid.nearest(hard, np.full(n, 0.0173))
    assert grid.conflict(hard) == ("rule.0", "rule.1")


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_search_agrees_with_full_enumeration(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    unit, upper = rng.uniform(0.05, 0.3, n), 0.75
    A = rng.choice([0.0, 1.0, -1.0], size=(rows, n), p=[0.3, 0.5, 0.2])
    centre = A @ rng.uniform(0.0, 0.6, n)
    problem = Rules(
        A,
        centre - rng.uniform(0.0, 0.2, rows),
        centre + rng.uniform(0.0, 0.2, rows),
        np.zeros(n),
        np.full(n, upper),
        rng.choice([-1.0, 1.0], n),
        np.ones(rows, dtype=bool),
    )
    wish = problem.sign * rng.uniform(0.0, 0.7, n)
    grid = LotGrid(unit, np.ones(n, dtype=bool))

    counts = itertools.product(*(range(int(upper / size) + 1) for size in unit))
    feasible = [u for u in (unit * np.array(k) for k in counts) if problem.obeyed_by(u)]
    found = grid.nearest(problem, wish)
    if not feasible:
        assert found is None
        clash = [int(name.removeprefix("rule.")) for name in grid.conflict(problem)]
        every = [unit * np.array(k) for k in itertools.product(*(range(int(upper / size) + 1) for size in unit))]
        assert not any(problem.obeyed_by(u, clash) for u in every)
        for row in clash:
            assert any(problem.obeyed_by(u, [k for k in clash if k != row]) for u in every)
        return
    assert found is not None
    assert problem.obeyed_by(problem.sign * found)
    best = min(np.abs(problem.sign * u - wish).sum() for u in feasible)
    assert np.abs(found - wish).sum() <= best * 1.011 + SEARCH_TOLERANCE
