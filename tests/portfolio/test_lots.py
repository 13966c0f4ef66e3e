"""Whole lots: rounding, and the search held to full enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pmx.errors import SolverError
from pmx.portfolio.lots import SEARCH_TOLERANCE, LinearRules, LotGrid, Trading, distance, exact

Array = NDArray[np.float64]
INF = np.inf


def obeyed_by(rules: LinearRules, u: Array, rows: list[int] | None = None) -> bool:
    """Whether unsigned weights obey the hard rows (or those given) and the bounds, as well as a search can."""
    chosen = [k for k in range(len(rules.lo)) if rules.hard[k]] if rows is None else rows
    value = rules.A[chosen] @ u
    held = [value - rules.hi[chosen], rules.lo[chosen] - value, u - rules.upper, rules.lower - u]
    return float(max(part.max(initial=0.0) for part in held)) <= SEARCH_TOLERANCE


def rules(
    A: list[list[float]],
    lo: list[float],
    hi: list[float],
    upper: float = INF,
    sign: list[float] | None = None,
    soft: bool = False,
) -> LinearRules:
    matrix = np.array(A, dtype=float)
    n = matrix.shape[1]
    return LinearRules(
        tuple(f"rule.{k}" for k in range(len(lo))),
        matrix,
        np.array(lo),
        np.array(hi),
        np.full(len(lo), not soft),
        np.zeros(n),
        np.full(n, upper),
        np.ones(n) if sign is None else np.array(sign),
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
    assert found.u.tolist() == pytest.approx([0.3, 0.24])


def test_signs_are_kept() -> None:
    grid = LotGrid(np.array([0.1, 0.1]), np.ones(2, dtype=bool))
    net_short = rules([[1.0, -1.0]], [-INF], [-0.25], sign=[1.0, -1.0])
    found = grid.nearest(net_short, np.array([0.14, -0.39]))
    assert found is not None
    assert found.u.tolist() == pytest.approx([0.1, 0.4])


def test_a_soft_rule_is_not_obeyed_here() -> None:
    soft = rules([[1.0]], [0.9], [INF], soft=True)
    found = LotGrid(np.array([0.1]), np.array([True])).nearest(soft, np.array([0.3]))
    assert found is not None
    assert found.u.tolist() == pytest.approx([0.3])


def test_what_has_no_price_stays_at_zero() -> None:
    grid = LotGrid(np.array([0.0, 0.1]), np.array([True, True]))
    found = grid.nearest(rules([[1.0, 1.0]], [0.35], [INF]), np.array([0.0, 0.2]))
    assert found is not None
    assert found.u.tolist() == pytest.approx([0.0, 0.4])


def test_a_margin_leaves_room() -> None:
    grid = LotGrid(np.array([0.1]), np.array([True]))
    tight = rules([[1.0]], [0.3], [INF])
    for margin, expected in ((0.0, 0.3), (1e-4, 0.4)):
        found = grid.nearest(tight, np.array([0.3]), margin)
        assert found is not None
        assert found.u == pytest.approx(expected)
    assert grid.nearest(rules([[1.0]], [0.3], [0.3]), np.array([0.3]), margin=1e-4) is None


def test_the_conflict_is_a_minimal_set_of_rows() -> None:
    grid = LotGrid(np.array([0.3, 0.3]), np.ones(2, dtype=bool))
    clash = rules([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], [0.7, -INF, -INF, -INF], [INF, 0.9, 0.8, 0.9])
    assert grid.nearest(clash, np.array([0.375, 0.375])) is None
    assert grid.conflict(clash) == ("rule.0", "rule.2")


def test_bounds_alone_can_leave_no_room() -> None:
    grid = LotGrid(np.array([0.3]), np.array([True]))
    none = np.zeros(0)
    boxed = LinearRules(
        (), np.zeros((0, 1)), none, none, none.astype(bool), np.array([0.1]), np.array([0.2]), np.ones(1)
    )
    assert grid.nearest(boxed, np.array([0.15])) is None
    assert grid.conflict(boxed) == ()


def test_a_position_that_is_left_as_it_is_counts_in_every_rule() -> None:
    stays = LotGrid(np.array([0.1, 0.1]), np.ones(2, dtype=bool), np.array([0.13, np.nan]))
    assert stays.toward_zero(np.array([0.17, 0.17])).tolist() == pytest.approx([0.13, 0.1])
    assert stays.toward(np.array([0.13, 0.9]), np.array([-0.17, 0.17])).tolist() == pytest.approx([-0.13, 0.2])
    found = stays.nearest(rules([[1.0, 1.0]], [-INF], [0.32]), np.array([0.17, 0.19]))
    assert found is not None
    assert found.u.tolist() == pytest.approx([0.13, 0.1])
    assert stays.nearest(rules([[1.0, 0.0]], [0.14], [INF]), np.array([0.17, 0.2])) is None


def test_what_purchases_and_costs_take_is_netted_by_symbol() -> None:
    trading = Trading(np.array([0, 0, 1]), np.array([0.2, 0.1]), np.array([0.01, 0.02]), 0.5, 0.001)
    weights = np.array([0.3, -0.2, 0.4])  # sells 0.1 of one symbol, buys 0.3 of the other
    assert trading.costs(weights) == pytest.approx(0.01 * 0.1 + 0.02 * 0.3)
    assert trading.excess(weights) == pytest.approx(0.5 + 0.007 - 0.5)


def test_a_quantity_is_the_decimal_that_it_shows() -> None:
    assert str(float(exact(0.1) * 3)) == "0.3"
    assert exact(float(np.float64(1e-8))) * 123_456_789 == exact(1.23456789)


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


def every_portfolio(unit: Array, upper: float) -> list[Array]:
    return [unit * np.array(k) for k in itertools.product(*(range(int(upper / size) + 1) for size in unit))]


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_search_agrees_with_full_enumeration(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, rows = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    unit, upper = rng.uniform(0.05, 0.3, n), 0.75
    A = rng.choice([0.0, 1.0, -1.0], size=(rows, n), p=[0.3, 0.5, 0.2])
    centre = A @ rng.uniform(0.0, 0.6, n)
    problem = rules(
        A.tolist(),
        (centre - rng.uniform(0.0, 0.2, rows)).tolist(),
        (centre + rng.uniform(0.0, 0.2, rows)).tolist(),
        upper,
        rng.choice([-1.0, 1.0], n).tolist(),
    )
    wanted = problem.sign * rng.uniform(0.0, 0.7, n)
    grid = LotGrid(unit, np.ones(n, dtype=bool))
    every = every_portfolio(unit, upper)
    feasible = [u for u in every if obeyed_by(problem, u)]
    found = grid.nearest(problem, wanted)
    if not feasible:
        assert found is None
        clash = [int(name.removeprefix("rule.")) for name in grid.conflict(problem)]
        assert not any(obeyed_by(problem, u, clash) for u in every)
        for row in clash:
            assert any(obeyed_by(problem, u, [k for k in clash if k != row]) for u in every)
        return
    assert found is not None
    assert obeyed_by(problem, found.u)
    best = min(distance(problem.sign * u, wanted) for u in feasible)
    assert distance(problem.sign * found.u, wanted) <= best * (1.0 + 1e-3) + 2e-4
    assert found.bound <= best + 1e-6


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_costs_and_turnover_agree_with_full_enumeration(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 3
    unit, symbol = rng.uniform(0.05, 0.25, n), np.array([0, 0, 1])
    sign, upper = np.array([1.0, rng.choice([-1.0, 1.0]), 1.0]), 0.7
    before = unit * rng.integers(0, 3, n)
    none = rules([[1.0] * n], [-INF], [2.0], upper, sign.tolist())
    problem = replace(none, previous=before, turnover_max=float(rng.choice([INF, 0.3])))
    held = np.bincount(symbol, weights=sign * before)
    trading = Trading(symbol, held, rng.uniform(0.0, 0.1, 2), float(rng.uniform(0.3, 1.0)))
    wanted = sign * rng.uniform(0.0, 0.6, n)
    feasible = [
        u
        for u in every_portfolio(unit, upper)
        if trading.excess(sign * u) <= 0.0 and 0.5 * np.abs(u - before).sum() <= problem.turnover_max + 1e-9
    ]
    found = LotGrid(unit, np.ones(n, dtype=bool)).nearest(problem, wanted, trading=trading)
    if found is None:
        assert not feasible
        return
    assert trading.excess(sign * found.u) <= SEARCH_TOLERANCE
    if feasible:
        best = min(distance(sign * u, wanted) for u in feasible)
        assert distance(sign * found.u, wanted) <= best * (1.0 + 1e-3) + 2e-4
        assert found.bound <= best + 1e-6
