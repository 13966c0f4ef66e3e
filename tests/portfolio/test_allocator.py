"""NAV budgets: the wish, the clamp, and everything that is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError
from pmx.policy import Policy
from pmx.portfolio import NavAllocator

#: Scales far above 1 show that a budget is cut off, which a caller is warned of.
pytestmark = pytest.mark.filterwarnings("ignore:risk scale of bucket")

BUCKETS = {
    "safe": {"role": "safe", "base_nav_frac": 0.5, "min_nav_frac": 0.4, "max_nav_frac": 0.9},
    "core": {"role": "risk", "base_nav_frac": 0.2, "max_nav_frac": 0.3},
    "hedge": {"role": "risk", "base_nav_frac": 0.05, "max_nav_frac": 0.1, "allow_short": True},
}
POLICY = Policy.from_mapping({"risk_buckets": {"buckets": BUCKETS}, "barbell": {"safe_bucket": {"min_weight": 0.0}}})


def relative(weights: dict[tuple[str, str], float]) -> pd.Series:
    return pd.Series(weights, index=pd.MultiIndex.from_tuples(list(weights), names=["bucket", "symbol"]), dtype=float)


def test_by_hand() -> None:
    r = relative({("safe", "BIL"): 0.9, ("core", "SPY"): 0.5, ("core", "QQQ"): 0.3, ("hedge", "VIX"): -0.4})
    budget = NavAllocator(POLICY).allocate(r, {"core": 0.5, "hedge": 3.0})
    assert budget.target.tolist() == pytest.approx([0.45, 0.1, 0.06, 0.04])
    assert budget.sign.tolist() == [1.0, 1.0, 1.0, -1.0]
    assert dict(budget.clamps) == pytest.approx({"core": 0.8 * 0.1})
    assert dict(budget.budgets) == pytest.approx({"safe": 0.5, "core": 0.1, "hedge": 0.1})
    assert budget.positions is r.index
    assert budget.relative.tolist() == r.tolist()


@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5),
    used=st.floats(0.0, 1.0),
    scale=st.floats(0.0, 4.0),
    bucket=st.sampled_from(list(BUCKETS)),
)
def test_wish_and_clamp_together_are_the_plain_formula(
    shares: list[float], used: float, scale: float, bucket: str
) -> None:
    r = np.array(shares) / max(sum(shares), 1e-9) * used if sum(shares) > 1e-9 else np.array(shares) * 0.0
    series = relative({(bucket, f"S{i}"): weight for i, weight in enumerate(r)})
    budget = NavAllocator(POLICY).allocate(series, pd.Series({bucket: scale}))
    limits = POLICY.risk_buckets.buckets[bucket]
    plain = r * min(max(limits.base_nav_frac * scale, limits.min_nav_frac), limits.max_nav_frac)

    # Cutting the wish in proportion to the clamp is what the projection does where nothing else binds.
    clamp = budget.clamps.get(bucket, math.inf)
    total = budget.target.sum()
    cut = budget.target * min(1.0, clamp / total) if total > 0.0 else budget.target
    assert cut == pytest.approx(plain, abs=1e-12)
    assert (bucket in budget.clamps) == (scale < 1.0)
    assert all(target >= 0.0 for target in budget.target)


def test_no_scale_is_a_scale_of_one() -> None:
    r = relative({("core", "SPY"): 1.0})
    plain, one = NavAllocator(POLICY).allocate(r), NavAllocator(POLICY).allocate(r, {"core": 1.0})
    assert plain.target.tolist() == one.target.tolist() == [0.2]
    assert dict(plain.clamps) == dict(one.clamps) == {}


def test_arrays_are_taken_as_series_are() -> None:
    r = relative({("core", "SPY"): 0.5, ("hedge", "VIX"): -0.4, ("core", "QQQ"): 0.3})
    scale = {"safe": 1.0, "core": 0.5, "hedge": 3.0}
    allocator = NavAllocator(POLICY)
    one = NavAllocator(POLICY).allocate(r, scale)
    other = allocator.allocate(r.to_numpy(), np.array(list(scale.values())), positions=r.index)
    for name in ("relative", "target", "sign"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert (dict(one.clamps), dict(one.budgets)) == (dict(other.clamps), dict(other.budgets))
    for weights, scales, message in (
        (np.zeros(2), None, r"relative weights: shape \(2,\) for 3 positions"),
        (np.zeros(3), np.ones(2), r"risk scale has shape \(2,\) for 3 buckets"),
        (np.zeros(3), np.array([1.0, 1.0, math.nan]), "risk scale of bucket hedge is nan"),
    ):
        with pytest.raises(DataError, match=message):
            allocator.allocate(weights, scales, positions=r.index)
    with pytest.raises(DataError, match="must be a MultiIndex"):
        allocator.allocate(np.zeros(3))


def test_wishes_in_fractions_of_nav_are_clamped_to_scaled_maxima() -> None:
    positions = relative({("safe", "BIL"): 0.0, ("core", "SPY"): 0.0}).index
    allocator = NavAllocator(POLICY)
    assert allocator.scaled_maxima(positions, {"core": 1.0, "hedge": 0.5}) == {}
    assert allocator.scaled_maxima(positions, np.array([0.1, 0.5, 0.5])) == pytest.approx({"safe": 0.4, "core": 0.15})
    off = NavAllocator(POLICY.override({"risk_buckets.enabled": False}))
    assert off.scaled_maxima(positions, {"core": 0.5}) == {}


def test_a_bucket_without_positions_has_a_budget_but_no_clamp() -> None:
    budget = NavAllocator(POLICY).allocate(relative({("core", "SPY"): 1.0}), {"hedge": 0.1})
    assert dict(budget.clamps) == {}
    assert budget.budgets["hedge"] == pytest.approx(0.005)


def test_nothing_asked_is_nothing_wished() -> None:
    empty = pd.Series([], index=pd.MultiIndex.from_arrays([[], []], names=["bucket", "symbol"]), dtype=float)
    budget = NavAllocator(POLICY).allocate(empty)
    assert budget.target.shape == (0,)
    assert NavAllocator(Policy()).allocate(empty).target.shape == (0,)


def test_the_same_allocator_serves_other_positions() -> None:
    allocator = NavAllocator(POLICY)
    first = relative({("core", "SPY"): 0.5, ("safe", "BIL"): 1.0})
    second = relative({("safe", "BIL"): 1.0, ("core", "SPY"): 0.5})
    for series in (first, second, first * 0.5, first):
        fresh, kept = NavAllocator(POLICY).allocate(series), allocator.allocate(series)
        assert kept.target.tolist() == fresh.target.tolist()


def test_the_arrays_are_read_only_and_the_input_is_left_alone() -> None:
    r = relative({("core", "SPY"): 0.5})
    budget = NavAllocator(POLICY).allocate(r)
    for array in (budget.relative, budget.target, budget.sign):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    r.iloc[0] = 0.25
    assert budget.relative.tolist() == [0.5]


TWICE = pd.concat([relative({("core", "SPY"): 0.1})] * 2)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (pd.Series({"SPY": 0.5}), "must be a MultiIndex"),
        (pd.Series([0.5], index=pd.MultiIndex.from_tuples([("core", "SPY", "x")])), "must be a MultiIndex"),
        (TWICE, "core/SPY is listed twice"),
        (relative({("moon", "SPY"): 0.5}), "no bucket 'moon'; use one of safe, core, hedge"),
        (relative({("core", "SPY"): math.nan}), "core/SPY is not finite"),
        (relative({("core", "SPY"): -math.inf}), "core/SPY is not finite"),
        (relative({("core", "SPY"): 0.6, ("core", "QQQ"): 0.400001}), "bucket core sums to 1.000001"),
        (relative({("hedge", "SPY"): 0.6, ("hedge", "QQQ"): -0.5}), "bucket hedge sums to 1.1"),
    ],
)
def test_malformed_weights_are_refused(series: pd.Series, message: str) -> None:
    with pytest.raises(DataError, match=message):
        NavAllocator(POLICY).allocate(series)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"moon": 1.0}, "no bucket 'moon'"),
        ({"core": -0.1}, "risk scale of bucket core is -0.1"),
        ({"core": math.nan}, "risk scale of bucket core is nan"),
        (pd.Series({"core": math.inf}), "risk scale of bucket core is inf"),
    ],
)
def test_a_malformed_scale_is_refused(scale: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        NavAllocator(POLICY).allocate(relative({("core", "SPY"): 0.5}), scale)


def test_rounding_in_the_sum_is_forgiven() -> None:
    r = relative({("core", f"S{i}"): 0.1 for i in range(10)})
    assert NavAllocator(POLICY).allocate(r * (1.0 + 1e-10)).target.sum() == pytest.approx(0.2)
