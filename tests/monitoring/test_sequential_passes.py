"""Each pass is right by itself: where its limit is the only one, it gives the joint answer."""

import itertools

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy

import pmx
from pmx.monitoring.sequential.orders import SETTLED, orders_of, run_orders
from pmx.monitoring.sequential.passes import (
    RESCALE,
    less_volatile,
    passes_of,
    risk_cut,
    scaled_to,
    traded_less,
    within,
)

BUCKETS = {
    "safe": {"role": "safe", "base_nav_frac": 0.7, "max_nav_frac": 1.0},
    "core": {"role": "risk", "base_nav_frac": 0.3, "max_nav_frac": 1.0},
    "other": {"role": "risk", "base_nav_frac": 0.1, "max_nav_frac": 1.0, "allow_short": True},
}
OPEN = {
    "risk_buckets": {"buckets": BUCKETS, "portfolio": {"cash_min": None, "gross_max": None}},
    "barbell": {
        "safe_bucket": {"symbols": ["BIL"], "min_weight": 0.0, "max_weight": None},
        "risk_bucket": {"max_weight": None},
        "markets": {"us": ["US*"], "em": ["EM*"]},
    },
    "execution": {"turnover": {"max": None}},
}
WISH = {
    ("safe", "BIL"): 0.40,
    ("core", "US1"): 0.20,
    ("core", "US2"): 0.10,
    ("core", "EM1"): 0.10,
    ("other", "US1"): 0.15,
}
ONE_LIMIT = {
    "symbol caps": {"barbell.symbol_caps": {"US1": 0.17, "EM1": 0.03}},
    "market caps": {"barbell.market_caps": {"us": 0.31, "em": 0.07}},
    "bucket limits": {"risk_buckets.buckets.core.max_nav_frac": 0.31},
    "barbell": {"barbell.risk_bucket.max_weight": 0.29},
    "custom rules": {"risk_buckets.custom_rules": {"tilt": {"symbols": {"US1": 1.0, "EM1": 1.0}, "max": 0.2}}},
    "leverage": {"risk_buckets.portfolio.gross_max": 0.77},
    "cash": {"risk_buckets.portfolio.cash_min": 0.26},
}


def series(values):
    return pd.Series(values, index=pd.MultiIndex.from_tuples(list(values), names=["bucket", "symbol"]), dtype="float64")


def joint(changes, wish=WISH, **given):
    policy = bare_policy(OPEN).override(changes)
    return pmx.project_to_feasible(series(wish), policy, **given)


@pytest.mark.parametrize("name", ONE_LIMIT)
def test_a_pass_whose_limit_is_the_only_one_gives_the_joint_answer(name):
    allocation = joint(ONE_LIMIT[name])
    passes = {each.name: each for each in passes_of(allocation.program)}
    wish = allocation.program.target[None, :]
    alone = passes[name].apply(wish)[0]
    assert np.abs(alone - wish).max() > 0.01
    assert alone == pytest.approx(allocation.point.u, abs=1e-12)


def test_other_passes_leave_a_wish_alone_that_obeys_them():
    allocation = joint(ONE_LIMIT["barbell"])
    wish = allocation.program.target[None, :]
    for each in passes_of(allocation.program):
        if each.name != "barbell":
            assert np.array_equal(each.apply(wish), wish)


def test_a_short_that_may_not_be_is_closed_and_a_gate_is_kept():
    held = series({("core", "US2"): 0.04})
    wish = WISH | {("core", "US1"): -0.20}
    allocation = joint({}, wish, previous=held, gated={"US2": "reduce_only", "EM1": "exit"})
    passes = {each.name: each for each in passes_of(allocation.program)}
    u = allocation.program.target[None, :]
    for name in ("no shorts", "gates"):
        u = passes[name].apply(u)
    assert u[0].tolist() == [0.40, 0.0, 0.04, 0.0, 0.15]
    assert u[0] == pytest.approx(allocation.point.u, abs=1e-12)


def test_shorts_count_in_leverage_and_give_cash():
    short = WISH | {("other", "US1"): -0.15}
    limits = {"risk_buckets.portfolio.gross_max": 0.9, "risk_buckets.portfolio.cash_min": 0.5}
    allocation = joint(limits, short)
    passes = {each.name: each for each in passes_of(allocation.program)}
    u = allocation.program.target[None, :]
    assert passes["leverage"].apply(u).sum() == pytest.approx(0.9)
    assert (passes["cash"].apply(u) @ allocation.program.sign)[0] == pytest.approx(0.5)


def test_without_shorts_leverage_is_no_pass_beside_a_tighter_cash():
    limits = {"risk_buckets.portfolio.gross_max": 1.0, "risk_buckets.portfolio.cash_min": 0.1}
    names = [each.name for each in passes_of(joint(limits).program)]
    assert "cash" in names
    assert "leverage" not in names


def test_full_investment_takes_the_place_of_leverage_and_cash():
    names = [each.name for each in passes_of(joint(ONE_LIMIT["cash"]).program, invested=0.74)]
    assert RESCALE in names
    assert not {"leverage", "cash"} & set(names)


def test_the_barbell_hands_on_what_it_takes():
    wish, risk = np.array([[0.2, 0.3, 0.1, 0.4], [0.1, 0.1, 0.3, 0.5]]), np.array([True, True, False, False])
    cut = risk_cut(wish, risk, 0.25, refill=True)
    assert cut.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert cut[0] == pytest.approx([0.1, 0.15, 0.15, 0.6])
    assert np.array_equal(cut[1], wish[1])
    assert risk_cut(wish, risk, 0.25, refill=False)[0] == pytest.approx([0.1, 0.15, 0.1, 0.4])


def test_what_is_freed_stays_in_cash_where_nothing_is_safe():
    risk = np.array([True, True])
    assert risk_cut(np.array([[0.2, 0.3]]), risk, 0.25, refill=True)[0] == pytest.approx([0.1, 0.15])


@pytest.mark.parametrize(
    ("lo", "hi", "expected"),
    [
        (-np.inf, 0.1, [0.25, 0.25, 0.1, 0.5]),
        (0.3, np.inf, [0.3, 0.3, 0.075, 0.5]),  # what takes from the sum shrinks before anything grows
        (0.7, np.inf, [0.35, 0.35, 0.0, 0.5]),
        (0.0, 1.0, [0.3, 0.3, 0.1, 0.5]),
    ],
)
def test_a_group_is_brought_between_its_limits(lo, hi, expected):
    row = np.array([1.0, 1.0, -4.0, 0.0])
    wish = np.array([[0.3, 0.3, 0.1, 0.5]])
    found = within(wish, row, lo, hi)
    assert found[0] == pytest.approx(expected)
    assert lo - 1e-12 <= (found @ row)[0] <= hi + 1e-12


def test_trading_and_volatility_are_brought_to_their_limits():
    held, wish = np.array([0.1, 0.0, 0.3]), np.array([[0.4, 0.2, 0.1]])
    less = traded_less(wish, held, 0.1)
    assert 0.5 * np.abs(less - held).sum() == pytest.approx(0.1)
    assert ((less - held) / (wish - held)).std() == pytest.approx(0.0, abs=1e-12)
    covariance = pd.DataFrame(np.diag([0.04, 0.09, 0.01, 0.16]), *[["BIL", "US1", "US2", "EM1"]] * 2)
    allocation = joint({"risk_buckets.portfolio.volatility_max": 0.03}, covariance=covariance)
    program = allocation.program
    calm = less_volatile(program.target[None, :], program.cones[0])[0]
    x = dict.fromkeys(covariance.index, 0.0)
    for (_, symbol), value in zip(allocation.index, calm, strict=True):
        x[symbol] += value
    weights = np.array(list(x.values()))
    assert np.sqrt(weights @ covariance.to_numpy() @ weights) == pytest.approx(0.03)


def test_nothing_cannot_be_scaled():
    assert scaled_to(np.zeros((1, 3)), 1.0).tolist() == [[0.0, 0.0, 0.0]]
    assert scaled_to(np.array([[0.1, 0.1]]), 0.5).tolist() == [[0.25, 0.25]]


def test_all_orders_or_a_sample_of_different_ones():
    assert {tuple(order) for order in orders_of(4, 24, seed=0).tolist()} == set(itertools.permutations(range(4)))
    sample = orders_of(8, 300, seed=3)
    assert len({tuple(order) for order in sample.tolist()}) == 300
    assert (np.sort(sample, axis=1) == np.arange(8)).all()
    assert np.array_equal(sample, orders_of(8, 300, seed=3))
    assert not np.array_equal(sample, orders_of(8, 300, seed=4))
    assert orders_of(0, 10, seed=0).shape == (1, 0)


def test_many_orders_at_once_are_the_passes_one_by_one():
    wish = series({("safe", "BIL"): 0.45, ("safe", "SHY"): 0.25, ("ts_core", "SPY"): 0.2, ("ts_core", "WTI"): 0.1})
    program = pmx.project_to_feasible(wish, pmx.load_policy()).program
    passes = passes_of(program, 1.0)
    orders = orders_of(len(passes), 5040, seed=0)
    ends = run_orders(passes, orders, program.target, 55)
    for order, once, repeated, settled in zip(orders, *ends, strict=True):
        u = program.target[None, :]
        for sweep in range(55):
            before = u
            for number in order:
                u = passes[number].apply(u)
            if sweep == 0:
                assert u[0] == pytest.approx(once, abs=1e-15)
        assert u[0] == pytest.approx(repeated, abs=1e-11)
        assert settled == (np.abs(u - before).max() <= SETTLED)
    assert len(orders) == 120
    assert 0 < ends.settled.sum() < len(orders)
