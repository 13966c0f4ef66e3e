"""A bucket holds what its list admits: everywhere, and what it no longer admits can be sold and cannot grow."""

import re

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series

import pmx
from pmx.errors import DataError

POLICY = pmx.load_policy()
#: BBY is in no list; ts_core, which lists nothing, is shut, so that no bucket may hold it.
SHUT = POLICY.override(
    {
        "risk_buckets.buckets.ts_core.symbols": ["SP500"],
        "risk_buckets.buckets.ml_secondary.symbols": ["NASDAQ"],
        "risk_buckets.buckets.llm_fallback.symbols": ["WTI"],
    }
)
HEDGE = ("tail_hedge", "BBY")
DAYS = pd.bdate_range("2024-01-01", periods=4)


def ways(position, weight):
    """Every way in which a target reaches the rules."""
    wish, (bucket, symbol) = position_series({position: weight}), position
    prices = pd.DataFrame({symbol: [100.0] * 4}, index=DAYS)
    targets = pd.DataFrame([[weight]] * 4, index=DAYS, columns=pd.MultiIndex.from_tuples([position]))

    def desk(policy):
        desk = pmx.execution.Desk(policy, [symbol], positions=[position])
        holdings = pmx.execution.Holdings(1e6, np.zeros(1), {})
        return pmx.execution.step(desk, holdings, prices, targets=np.array([weight]))

    return {
        "solve": lambda policy: pmx.solve(policy, wish),
        "project_to_feasible": lambda policy: pmx.project_to_feasible(wish, policy),
        "named bucket": lambda policy: pmx.project_to_feasible({symbol: weight}, policy, buckets={symbol: bucket}),
        "Projector": lambda policy: pmx.Projector(policy, [position]).project(np.array([weight])),
        "solve_many": lambda policy: pmx.Projector(policy, [position]).solve_many(np.array([[weight], [0.0]])),
        "backtest": lambda policy: pmx.backtest(prices, policy, targets=targets),
        "step": desk,
    }


@pytest.mark.parametrize("way", ways(HEDGE, 0.02))
def test_a_target_that_the_list_does_not_admit_is_refused_by_name(way):
    """VIXY alone is in the list of the hedge, in a line of its own."""
    place = POLICY.source("risk_buckets.buckets.tail_hedge.symbols")
    with pytest.raises(DataError) as caught:
        ways(HEDGE, 0.02)[way](POLICY)
    message = str(caught.value)
    assert "target of tail_hedge/BBY" in message
    assert f"bucket tail_hedge does not admit BBY: its symbols are VIXY ({place}); " in message
    assert re.fullmatch(r"risk_buckets\.yml:\d+", place)
    assert message.endswith("did you mean bucket ts_core, which admits it?")


@pytest.mark.parametrize("way", ways(HEDGE, 0.02))
def test_the_remedy_works_in_every_way(way):
    ways(("ts_core", "BBY"), 0.02)[way](POLICY)
    listed = POLICY.override({"risk_buckets.buckets.tail_hedge.symbols": ["VIXY", "BB*"]})
    ways(HEDGE, 0.02)[way](listed)


def test_a_file_of_stocks_that_no_bucket_may_hold_is_refused():
    """The reported case: BBY at 10 % in a bucket that does not list it, in a policy in which none does."""
    with pytest.raises(DataError, match=r"target of ts_core/BBY .*10.00%.*its symbols are SP500 .*add it there"):
        pmx.project_to_feasible(position_series({("ts_core", "BBY"): 0.1}), SHUT)
    with pytest.raises(DataError, match="bucket ts_core does not admit BBY"):  # by symbol: the default bucket
        pmx.project_to_feasible({"BBY": 0.1}, SHUT)


def test_the_nearest_name_of_the_list_is_asked_after():
    with pytest.raises(DataError, match=r"does not admit VIXI: its symbols are VIXY .*; did you mean VIXY\?"):
        pmx.solve(POLICY, position_series({("tail_hedge", "VIXI"): 0.5}))


def test_roles_keep_safe_and_risk_apart():
    with pytest.raises(
        DataError, match=r"it is a safe symbol \(barbell.safe_bucket.symbols, barbell.yml:\d+\).*bucket safe"
    ):
        pmx.solve(POLICY, position_series({("ts_core", "BIL"): 0.5}))
    with pytest.raises(DataError, match=r"bucket safe does not admit SP500: its symbols are BIL, SHV, SHY"):
        pmx.solve(POLICY, position_series({("safe", "SP500"): 0.5}))
    with pytest.raises(DataError, match=r"bucket 'TS_core', .*did you mean 'ts_core'\?"):
        pmx.solve(POLICY, position_series({("TS_core", "SP500"): 0.5}))


def test_an_empty_list_admits_every_symbol_that_is_not_safe():
    answer = pmx.project_to_feasible(position_series({("ts_core", "ANY"): 0.05}), POLICY)
    assert answer.positions[("ts_core", "ANY")] == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_what_is_no_longer_admitted_is_sold(engine):
    held = position_series({HEDGE: 0.02, ("ts_core", "SP500"): 0.05})
    wish = position_series({("ts_core", "SP500"): 0.05})
    answer = pmx.project_to_feasible(wish, POLICY, previous=held, engine=engine)
    assert answer.positions[HEDGE] == pytest.approx(0.0, abs=1e-9)
    assert answer.positions[("ts_core", "SP500")] == pytest.approx(0.05, abs=1e-9)


def test_it_may_shrink_and_stay_and_may_not_grow():
    held = position_series({HEDGE: 0.02})
    for target in (0.0, 0.01, 0.02):
        answer = pmx.project_to_feasible(position_series({HEDGE: target}), POLICY, previous=held)
        assert answer.positions[HEDGE] == pytest.approx(target, abs=1e-9)
    with pytest.raises(
        DataError, match=r"is 2.10% of NAV \(2.00% is held and may only be reduced\): bucket tail_hedge"
    ):
        pmx.project_to_feasible(position_series({HEDGE: 0.021}), POLICY, previous=held)
    with pytest.raises(DataError, match="none is held"):
        pmx.project_to_feasible(
            position_series({HEDGE: 0.01}), POLICY, previous=position_series({("safe", "BIL"): 0.1})
        )


def test_no_rule_lifts_it_either():
    """A floor on the hedge's sum is met by what is admitted alone: the other keeps the 0.02 that it has."""
    buckets = {"hedge": {"role": "risk", "base_nav_frac": 0.5, "symbols": ["A"]}}
    floor = {"least": {"buckets": {"hedge": 1.0}, "min": 0.2}}
    policy = bare_policy(
        {
            "risk_buckets": {"buckets": buckets, "custom_rules": floor, "portfolio": {"distance": "absolute"}},
            "barbell": {"enable_barbell_allocation": False},
        }
    )
    held = position_series({("hedge", "A"): 0.02, ("hedge", "B"): 0.02})
    answer = pmx.project_to_feasible(held, policy, previous=held)
    assert answer.positions.to_dict() == pytest.approx({("hedge", "A"): 0.18, ("hedge", "B"): 0.02}, abs=1e-9)
    many = pmx.Projector(policy, held.index.tolist()).solve_many(held.to_numpy()[None], previous=held.to_numpy()[None])
    assert many.positions[0].tolist() == pytest.approx([0.18, 0.02], abs=1e-9)


def test_accounts_are_named():
    projector = pmx.Projector(POLICY, [HEDGE, ("ts_core", "SP500")])
    wishes = np.array([[0.01, 0.05], [0.03, 0.05]])
    with pytest.raises(DataError, match=r"target of tail_hedge/BBY of account 1 is 3.00% of NAV \(2.00% is held"):
        projector.solve_many(wishes, previous=np.array([[0.02, 0.0], [0.02, 0.0]]))
    batch = projector.solve_many(wishes, previous=np.array([[0.02, 0.0], [0.04, 0.0]]))
    assert batch.positions[:, 0].tolist() == pytest.approx([0.01, 0.03], abs=1e-9)


def test_a_column_of_zeros_is_no_target():
    columns = pd.MultiIndex.from_tuples([HEDGE, ("ts_core", "SP500")])
    targets = pd.DataFrame([[0.0, 0.05]] * 4, index=DAYS, columns=columns)
    prices = pd.DataFrame({"BBY": [50.0] * 4, "SP500": [100.0] * 4}, index=DAYS)
    weights = pmx.backtest(prices, POLICY, targets=targets).weights
    assert weights["BBY"].abs().max() == 0.0
    targets.iloc[2, 0] = 0.01
    with pytest.raises(DataError, match="target of tail_hedge/BBY on 2024-01-03: bucket tail_hedge does not admit BBY"):
        pmx.backtest(prices, POLICY, targets=targets)


def test_while_buckets_are_switched_off_their_lists_are_too():
    off = POLICY.override({"risk_buckets.enabled": False})
    assert pmx.project_to_feasible(position_series({HEDGE: 0.02}), off).positions[HEDGE] == pytest.approx(
        0.02, abs=1e-9
    )
    both = off.override({"barbell.enable_barbell_allocation": False})
    assert pmx.project_to_feasible(position_series({HEDGE: 3.0}), both).positions[HEDGE] == 3.0
