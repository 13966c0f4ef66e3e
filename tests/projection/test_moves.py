"""The attribution as a list of parts says what its table says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from zoo.policies import random_case

import pmx
from pmx.errors import DataError, InfeasibleError, SolverError
from pmx.projection import Allocation
from pmx.projection.kernels import kernel
from pmx.projection.moves import OTHERS, moves


def table_of(allocation: Allocation) -> pd.DataFrame:
    """Position × cause, from the parts."""
    parts, causes = moves(allocation), [*allocation.figures.names, *OTHERS]
    amount = np.zeros((len(allocation.signed), len(causes)))
    np.add.at(amount, (parts.position, parts.cause), parts.amount)
    assert len(set(zip(parts.position.tolist(), parts.cause.tolist(), strict=True))) >= np.count_nonzero(amount)
    return pd.DataFrame(amount, allocation.index, causes)


def agree(seeds: range, engine: str, *, volatility: bool = False) -> set[str]:
    """Compare both over random policies; return the columns that were met."""
    met: set[str] = set()
    for seed in seeds:
        case = random_case(seed, volatility=volatility)
        try:
            allocation = pmx.solve(case.policy, case.relative, **case.arguments, engine=engine)
        except (InfeasibleError, SolverError):
            continue
        table, expected = table_of(allocation), allocation.attribution
        assert set(expected.columns) <= {*table.columns, "weight"}
        scale = 1.0 + expected.abs().to_numpy().sum()
        wide = expected.reindex(columns=table.columns, fill_value=0.0)
        np.testing.assert_allclose(table, wide, rtol=0, atol=1e-12 * scale, err_msg=str(seed))
        np.testing.assert_allclose(table.sum(axis=1), allocation.positions, rtol=0, atol=1e-12 * scale)
        met |= set(expected.columns)
    return met


def test_the_parts_are_the_table_of_the_attribution() -> None:
    met = agree(range(120), "auto")
    assert {"target", "turnover.max", "turnover.cost", "sign", "through_zero", "barbell.safe.floor"} <= met
    assert any(name.startswith("clamp.") for name in met)
    assert any(name.startswith("gate.") for name in met)
    assert any(name.startswith("liquidity.") for name in met)


def test_the_parts_are_the_table_of_the_attribution_where_cvxpy_solves() -> None:
    assert {"target", "barbell.safe.floor"} <= agree(range(12), "cvxpy")
    assert "volatility.max" in agree(range(8), "cvxpy", volatility=True)


@pytest.mark.fuzz
def test_the_parts_are_the_table_of_the_attribution_often() -> None:
    agree(range(10_000), "auto")
    agree(range(10_000, 10_300), "cvxpy")
    agree(range(10_300, 10_400), "cvxpy", volatility=True)


def test_the_codes_of_what_is_no_rule_are_those_of_their_names() -> None:
    codes = ("TARGET", "THROUGH_ZERO", "TURNOVER_COST", "SIGN", "UNEXPLAINED")
    assert tuple(kernel("moving", name) for name in codes) == tuple(range(kernel("moving", "OTHERS")))
    assert OTHERS == ("target", "through_zero", "turnover.cost", "sign", "unexplained")


def test_what_prices_do_not_account_for_is_unexplained() -> None:
    # One position that moved by 0.1 though nothing presses on it, beside one that moved by a rounding error.
    positions = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [-1.0, -1.0], [1.0, 1.0], [-np.inf] * 2, [0.0, 0.0]])
    owners = np.zeros((3, 2), dtype=np.intp)
    none, nobody = np.zeros(0), np.zeros(0, dtype=np.intp)
    no_limits, no_owners = np.zeros((3, 0)), np.zeros((2, 0), dtype=np.intp)
    target, u = np.array([0.3, 0.3]), np.array([0.2, 0.3])
    parts = kernel("moving", "split")(
        np.zeros((0, 2)), np.ones(2), target, target, positions, owners, no_limits, no_owners,
        nobody, nobody, np.zeros(1), u, none, 0.0, -1, np.zeros((0, 0)), nobody,
    )  # fmt: skip
    unexplained = 1 + OTHERS.index("unexplained")
    assert parts.cause.tolist() == [1, unexplained, 1]
    assert parts.position.tolist() == [0, 0, 1]
    assert parts.amount.tolist() == pytest.approx([0.3, -0.1, 0.3])


def test_a_bypassed_allocation_has_no_parts() -> None:
    off = pmx.load_policy().override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    index = pd.MultiIndex.from_tuples([("ts_core", "SP500")])
    with pytest.raises(DataError, match="switched off"):
        moves(pmx.solve(off, pd.Series([0.5], index=index)))
