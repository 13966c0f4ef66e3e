"""Tangents of a cone: everything in the cone is on their inner side, and they touch it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.projection.program import Cone, tangent_of


@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_in_the_cone_obeys_the_tangent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = 4, 3
    cone = Cone(
        "second_order", np.vstack([rng.normal(0, 0.1, n), rng.normal(0, 1, (m, n))]), np.r_[1.0, np.zeros(m)],
        np.zeros((m + 1, 0)),
    )  # fmt: skip
    found = tangent_of(cone, rng.normal(0, 2, n))
    assert found is not None
    row, limit = found
    for u in rng.normal(0, 1, (50, n)):
        s = cone.slack(u, np.zeros(0))
        if np.linalg.norm(s[1:]) <= s[0]:
            assert row @ u <= limit + 1e-12


def test_it_touches_the_cone_where_it_points() -> None:
    disc = Cone("second_order", np.vstack([np.zeros(2), -np.eye(2)]), np.array([0.5, 0.0, 0.0]), np.zeros((3, 0)))
    found = tangent_of(disc, np.array([3.0, 4.0]))
    assert found is not None
    assert found[0].tolist() == pytest.approx([0.6, 0.8])
    assert found[1] == pytest.approx(0.5)


def test_there_is_none_in_no_direction_and_for_other_cones() -> None:
    disc = Cone("second_order", np.vstack([np.zeros(2), -np.eye(2)]), np.array([0.5, 0.0, 0.0]), np.zeros((3, 0)))
    assert tangent_of(disc, np.zeros(2)) is None
    assert tangent_of(Cone("nonnegative", disc.G, disc.h, disc.H), np.ones(2)) is None
    assert tangent_of(Cone("second_order", disc.G, disc.h, np.ones((3, 1))), np.ones(2)) is None
