"""A position that shall change sides goes through zero, and only where the trading rules let it get there."""

import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series

import pmx
from pmx.policy import Policy
from pmx.projection import Status

A = ("core", "A")


def policy(execution: dict) -> Policy:
    bucket = {"role": "risk", "base_nav_frac": 1.0, "allow_short": True}
    return bare_policy(
        {
            "risk_buckets": {"buckets": {"core": bucket}, "portfolio": {"distance": "absolute"}},
            "barbell": {"enable_barbell_allocation": False},
            "execution": execution,
        }
    )


def turned(execution: dict, wish: float, **arguments: object) -> pmx.Allocation:
    held = position_series({A: 0.2})
    return pmx.solve(policy(execution), position_series({A: wish}), previous=held, **arguments)


@pytest.mark.parametrize("hard", [False, True])
def test_turnover_stops_it_on_its_way(hard):
    answer = turned({"turnover": {"max": 0.05, "hard": hard}}, -0.2)
    assert answer.positions[A] == pytest.approx(0.1, abs=1e-9)
    assert answer.status is Status.OPTIMAL
    assert answer.target[A] == -0.2
    row = answer.attribution.loc[A]
    assert row["through_zero"] == pytest.approx(0.2, abs=1e-12)
    assert row["turnover.max"] == pytest.approx(0.1, abs=1e-9)
    assert row.drop("weight").sum() == pytest.approx(row["weight"], abs=1e-12)


def test_the_answer_does_not_jump_where_the_wish_changes_sign():
    execution = {"turnover": {"max": 0.05}}
    above, below = (turned(execution, wish).positions[A] for wish in (1e-12, -1e-12))
    assert above == pytest.approx(below, abs=1e-9)


def test_with_room_enough_it_turns():
    answer = turned({"turnover": {"max": 0.25}}, -0.2)
    assert answer.positions[A] == pytest.approx(-0.2, abs=1e-9)
    assert "through_zero" not in answer.attribution


def test_with_room_for_part_of_it_it_turns_in_part():
    answer = turned({"turnover": {"max": 0.15}}, -0.2)
    assert answer.positions[A] == pytest.approx(-0.1, abs=1e-9)


def test_a_cost_too_high_for_any_trade_trades_nothing():
    assert turned({"turnover": {"cost": 100.0}}, -0.2).positions[A] == pytest.approx(0.2, abs=1e-12)


def test_a_thin_market_stops_it_on_its_way():
    execution = {"liquidity": {"participation": 0.1}}
    answer = turned(execution, -0.2, adv={"A": 5e5}, nav=1e6)
    assert answer.positions[A] == pytest.approx(0.15, abs=1e-9)
    assert answer.target[A] == -0.2
