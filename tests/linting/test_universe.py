"""The symbols of a check: named, given, or made up from patterns; large classes are cut without loss."""

import numpy as np
import pytest
from zoo.policies import random_policy

import pmx
from pmx.errors import DataError
from pmx.linting import check_policy
from pmx.linting.region import Region, linear
from pmx.linting.universe import ANY, Universe, members
from pmx.policy import Policy


def test_named_symbols_and_patterns_make_the_open_universe():
    universe = Universe.of(pmx.load_policy())
    assert {"BIL", "SP500", "WTI", "EEM", "VIXY"} <= set(universe.known)
    assert {"NGX:*", "EM:*", ANY} <= set(universe.symbols)
    assert universe.known["WTI"] == "barbell.markets.commodities.0"
    assert ("ngx_risk", "NGX:*") in universe.positions
    assert ("safe", "SP500") not in universe.positions
    assert not universe.closed


def test_given_symbols_close_the_universe():
    universe = Universe.of(pmx.load_policy(), ["NGX:MTNN", "AAPL", "CASH"])
    assert "NGX:*" not in universe.symbols
    assert ANY not in universe.symbols
    assert ("ngx_risk", "NGX:MTNN") in universe.positions
    assert ("ts_core", "AAPL") in universe.positions
    assert "CASH" not in universe.known
    assert universe.known["AAPL"] == ""


@pytest.mark.parametrize(("pattern", "count"), [("NGX:*", 7), ("A?", 7), ("F[12]", 1), ("[!X]Y", 1), ("*", 7)])
def test_members_match_their_pattern_and_differ(pattern, count):
    names = members(pattern, 7)
    assert len(set(names)) == len(names) == count


def test_a_pattern_stands_for_as_many_symbols_as_its_caps_can_use():
    bucket = {"role": "risk", "base_nav_frac": 0.2, "symbols": ["US*"]}
    barbell = {"risk_bucket": {"max_weight": 0.25, "max_per_position": 0.02}}
    policy = Policy.from_mapping({"risk_buckets": {"buckets": {"core": bucket}}, "barbell": barbell})
    assert len(Universe.of(policy).positions) == 13  # 0.25 ÷ 0.02, rounded up
    assert check_policy(policy).warnings == ()
    codes = {finding.code for finding in check_policy(policy, ["US1", "US2"]).warnings}
    assert codes == {"unfillable-budget", "never-binds"}


@pytest.mark.parametrize("seed", range(1, 6))
def test_what_is_cut_from_a_large_class_changes_no_reach(seed):
    policy = linear(random_policy(np.random.default_rng(seed)))
    if policy.bypassed:
        return
    symbols = [f"{market}{i}" for market in ("US", "NGX", "X") for i in range(45)]
    universe = Universe.of(policy, symbols)
    buckets = policy.risk_buckets.buckets
    whole = Region(policy, [(b, s) for b in buckets for s in universe.known if policy.admits(b, s)])
    cut = Region(policy, universe.positions)
    assert len(cut.positions) < len(whole.positions)
    reach = {(limit.name, limit.lower): whole.furthest(limit.row).value for limit in whole.limits[:40]}
    for limit in (some for some in cut.limits if (some.name, some.lower) in reach):
        assert cut.furthest(limit.row).value == pytest.approx(reach[limit.name, limit.lower], abs=1e-9), limit.name


@pytest.mark.parametrize("symbols", ["SPY", [""], [1]])
def test_symbols_that_are_no_list_of_names_are_refused(symbols):
    with pytest.raises(DataError, match=r"list of (names|texts)|give a text"):
        check_policy(pmx.load_policy(), symbols)


@pytest.mark.parametrize("policy", [Policy(), Policy.from_mapping({"barbell": {"enable_barbell_allocation": False}})])
def test_a_policy_without_buckets_can_be_checked(policy):
    assert check_policy(policy).errors == ()


def test_a_policy_that_is_switched_off_is_no_more_than_that():
    changes = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}
    rule = {"risk_buckets.custom_rules": {"own": {"symbols": {"SP500": 1.0}, "min": 0.9}}}
    check = check_policy(pmx.load_policy().override(changes | rule))
    assert [finding.code for finding in check.errors + check.warnings] == ["layer-off", "layer-off"]
