"""What a policy answers, and that nothing in it can change."""

import copy
import dataclasses
import pickle
from fnmatch import fnmatchcase

import pydantic
import pytest

from pmx.errors import PolicyError
from pmx.policy import Policy, load_policy

BUCKETS = {
    "cash_like": {"role": "safe", "base_nav_frac": 0.5, "min_nav_frac": 0.4, "symbols": ["SHY"]},
    "bonds": {"role": "safe", "base_nav_frac": 0.3, "min_nav_frac": 0.2, "symbols": ["TLT"]},
    "core": {"role": "risk", "base_nav_frac": 0.1},
    "ngx": {"role": "risk", "base_nav_frac": 0.1, "symbols": ["NGX:*", "AFK"]},
    "all_ngx": {"role": "risk", "base_nav_frac": 0.1, "symbols": ["NGX:*", "EZA"]},
}
BARBELL = {
    "safe_bucket": {"symbols": ["BIL"], "min_weight": 0.5},
    "markets": {"africa": ["NGX:*", "EZA"], "ngx": ["NGX:*"], "us": ["SPY"]},
}


def policy(**changes):
    data = {"risk_buckets": {"buckets": BUCKETS, "default_bucket": "core"}, "barbell": BARBELL}
    return Policy.from_mapping(data).override({key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize(
    ("symbol", "bucket"),
    [
        ("SHY", "cash_like"),
        ("TLT", "bonds"),
        ("BIL", "cash_like"),
        ("NGX:MTNN", "ngx"),
        ("ngx:mtnn", "core"),
        ("EZA", "all_ngx"),
        ("AFK", "ngx"),
        ("SPY", "core"),
    ],
)
def test_bucket_of_takes_the_first_that_lists_it(symbol, bucket):
    assert policy().bucket_of(symbol) == bucket


@pytest.mark.parametrize(
    "listed", [["NGX:*", "EZA"], ["A?", "B[0-9]"], ["[X]"], ["a.b", "*.c"], ["X|Y", "?"], ["Z"], []]
)
def test_a_symbol_is_listed_by_its_name_or_by_a_wildcard(listed):
    symbols = ["NGX:MTNN", "ngx:mtnn", "NGX:", "EZA", "EZ", "AB", "ABC", "B7", "B7\n", "[X]", "X", "a.b", "axb", "q.c"]
    for symbol in [*symbols, "X|Y", "Y", ""]:
        expected = ("m",) if any(symbol == name or fnmatchcase(symbol, name) for name in listed) else ()
        assert policy(barbell__markets={"m": listed}).markets_of(symbol) == expected, symbol


def test_bucket_of_a_symbol_that_nobody_lists_without_a_default():
    assert policy(risk_buckets__default_bucket=None).bucket_of("SPY") is None


def test_the_order_of_buckets_decides_and_is_part_of_the_contents():
    turned = policy(risk_buckets__buckets=dict(reversed(BUCKETS.items())))
    assert turned.bucket_of("NGX:MTNN") == "all_ngx"
    assert turned != policy()


@pytest.mark.parametrize(
    ("bucket", "admitted"),
    [
        ("cash_like", {"SHY", "BIL"}),
        ("bonds", {"TLT", "BIL"}),
        ("core", {"SPY", "NGX:MTNN", "EZA"}),
        ("ngx", {"NGX:MTNN"}),
        ("all_ngx", {"NGX:MTNN", "EZA"}),
    ],
)
def test_a_bucket_admits_what_it_lists_and_never_mixes_safe_with_risk(bucket, admitted):
    symbols = ("SHY", "TLT", "BIL", "SPY", "NGX:MTNN", "EZA")
    assert {symbol for symbol in symbols if policy().admits(bucket, symbol)} == admitted


def test_a_safe_bucket_admits_everything_only_where_no_safe_symbol_is_listed_at_all():
    buckets = {"safe": {"role": "safe", "base_nav_frac": 0.7}}
    assert Policy.from_mapping({"risk_buckets": {"buckets": buckets}}).admits("safe", "SPY")
    barbell = {"safe_bucket": {"symbols": ["BIL"]}}
    listed = Policy.from_mapping({"risk_buckets": {"buckets": buckets}, "barbell": barbell})
    assert not listed.admits("safe", "SPY")


def test_every_symbol_is_admitted_by_its_own_bucket():
    shipped = load_policy()
    for symbol in ("BIL", "SHY", "SP500", "NGX:X", "EEM", "EM:Y", "VIXY", "anything"):
        assert shipped.admits(shipped.bucket_of(symbol), symbol)


def test_admits_refuses_a_bucket_that_does_not_exist():
    with pytest.raises(PolicyError, match="has no bucket 'cor'; did you mean 'core'"):
        policy().admits("cor", "SPY")


def test_markets_of_lists_every_match_in_file_order():
    assert policy().markets_of("NGX:MTNN") == ("africa", "ngx")
    assert policy().markets_of("EZA") == ("africa",)
    assert policy().markets_of("TLT") == ()


def test_roles():
    assert policy().safe_buckets == ("cash_like", "bonds")
    assert policy().risk_bucket_names == ("core", "ngx", "all_ngx")


def test_safe_floor_is_the_larger_of_both_files():
    assert policy().safe_floor == pytest.approx(0.6)
    assert policy(barbell__safe_bucket__min_weight=0.8).safe_floor == 0.8
    assert policy(risk_buckets__enabled=False).safe_floor == 0.5
    assert policy(barbell__enable_barbell_allocation=False).safe_floor == 0.0


def test_bypassed_only_with_both_flags_off():
    off = {"risk_buckets__enabled": False, "barbell__enable_barbell_allocation": False}
    assert policy(**off).bypassed
    for key, value in off.items():
        assert not policy(**{key: value}).bypassed


def test_an_empty_policy_is_a_policy():
    assert Policy.from_mapping({}) == Policy()
    assert Policy().bucket_of("SPY") is None
    assert Policy().safe_floor == 0.70


def test_nothing_in_a_policy_can_be_changed():
    shipped = load_policy()
    with pytest.raises(dataclasses.FrozenInstanceError):
        shipped.barbell = None
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        shipped.barbell.enable_barbell_allocation = False
    tables = (shipped.barbell.market_caps, shipped.risk_buckets.buckets)
    for table in tables:
        for change in (
            lambda table: table.update(ngx=0.9),
            lambda table: table.__setitem__("ngx", 0.9),
            lambda table: table.__delitem__("ngx"),
            lambda table: table.__ior__({"ngx": 0.9}),
            lambda table: table.pop("ngx"),
            lambda table: table.popitem(),
            lambda table: table.clear(),
            lambda table: table.setdefault("x", 0.9),
        ):
            with pytest.raises(TypeError, match="immutable"):
                change(table)
    assert shipped == load_policy()
    assert hash(shipped.barbell) == hash(load_policy().barbell)


def test_lists_given_to_from_mapping_stay_the_callers():
    symbols = ["SPY"]
    built = Policy.from_mapping({"barbell": {"markets": {"us": symbols}}})
    symbols.append("QQQ")
    assert built.markets_of("QQQ") == ()


def test_pickle_and_deepcopy_keep_everything():
    shipped = load_policy().override({"barbell.safe_bucket.min_weight": 0.8})
    for twin in (pickle.loads(pickle.dumps(shipped)), copy.deepcopy(shipped)):
        assert twin == shipped
        assert twin.source("barbell.safe_bucket.min_weight") == "override"
        assert twin.source("barbell.safe_bucket.max_weight") == shipped.source("barbell.safe_bucket.max_weight")
        with pytest.raises(TypeError, match="immutable"):
            twin.barbell.market_caps["ngx"] = 1.0


def test_equality_and_fingerprint_follow_the_contents_alone():
    shipped = load_policy()
    from_python = Policy.from_mapping(shipped.to_mapping())
    assert from_python == shipped
    assert hash(from_python) == hash(shipped)
    assert from_python.fingerprint == shipped.fingerprint
    assert len(shipped.fingerprint) == 64
    assert from_python.source("barbell.safe_bucket.min_weight") == "python"
    changed = shipped.override({"barbell.safe_bucket.min_weight": 0.700001})
    assert changed.fingerprint != shipped.fingerprint
    assert shipped != "a policy"


def test_an_integer_and_its_float_are_the_same_policy():
    assert policy(barbell__safe_bucket__max_weight=1) == policy(barbell__safe_bucket__max_weight=1.0)
