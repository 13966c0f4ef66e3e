"""Single keys are changed by dotted name, from Python and from the command line, and all is checked again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.errors import PolicyError
from pmx.policy import Policy, load_policy, parse_override


def refusal(key, value, policy=None):
    with pytest.raises(PolicyError) as caught:
        (policy or load_policy()).override({key: value})
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("barbell.safe_bucket.min_weight", 0.8),
        ("barbell.enable_barbell_allocation", False),
        ("risk_buckets.buckets.ts_core.base_nav_frac", 0.2),
        ("risk_buckets.buckets.ts_core.symbols", ("SP500", "WTI")),
        ("risk_buckets.default_bucket", None),
        ("barbell.market_caps.ngx", 0.01),
        ("barbell.symbol_caps.BRK.B", 0.03),
        ("barbell.markets.commodities", ("WTI",)),
        ("risk_scaler.buckets.em_risk.max_scale", 2.0),
        ("signal_routing_config.sources.time_series_core.market_buckets.ngx", "em_risk"),
        ("signal_routing_config.engines.time_series.horizon", 5),
        ("execution.turnover.max", None),
        ("execution.costs.per_symbol_bps.BRK.B", 3.0),
    ],
)
def test_a_key_changes_and_nothing_else_does(key, value):
    before = load_policy()
    after = before.override({key: value})
    assert after.source(key) == "override"
    section, *path = key.split(".")
    expected = before.to_mapping()
    place = expected[section]
    while path and isinstance(place.get(path[0]), dict):
        place = place[path.pop(0)]
    place[".".join(path)] = value
    assert after.to_mapping() == expected
    assert before == load_policy()
    assert before != after


def test_lists_from_python_become_tuples():
    policy = load_policy().override({"barbell.markets.commodities": ["WTI", "GLD"]})
    assert policy.barbell.markets["commodities"] == ("WTI", "GLD")


def test_a_whole_table_can_be_replaced_and_its_old_lines_are_forgotten():
    policy = load_policy().override({"barbell.market_caps": {"ngx": 0.01}})
    assert dict(policy.barbell.market_caps) == {"ngx": 0.01}
    assert policy.source("barbell.market_caps.ngx") == "override"
    assert policy.source("barbell.market_caps.em") == "default"


def test_a_bucket_can_be_added_as_a_whole():
    bucket = {"role": "risk", "base_nav_frac": 0.01, "max_nav_frac": 0.02}
    policy = load_policy().override({"risk_buckets.buckets.crypto": bucket})
    assert policy.risk_buckets.buckets["crypto"].max_nav_frac == 0.02
    assert policy.source("risk_buckets.buckets.crypto.max_nav_frac") == "override"


def test_an_override_below_one_that_replaced_the_table():
    values = {"barbell.safe_bucket": {"min_weight": 0.6}, "barbell.safe_bucket.max_weight": 0.9}
    safe = Policy().override(values).barbell.safe_bucket
    assert (safe.min_weight, safe.max_weight) == (0.6, 0.9)
    with pytest.raises(PolicyError, match="has nothing below it"):
        Policy().override({"barbell.safe_bucket": 3, "barbell.safe_bucket.max_weight": 0.9})


def test_later_overrides_see_earlier_ones():
    policy = load_policy().override({"barbell.markets.gold": ["GLD"], "barbell.market_caps.gold": 0.02})
    assert policy.barbell.market_caps["gold"] == 0.02


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("barbel.safe_bucket.min_weight", ("did you mean 'barbell'?",)),
        ("barbell", ("name one of its keys", "barbell.enable_barbell_allocation")),
        ("", ("unknown key", "known here: risk_buckets")),
        ("barbell.safe_buckets.min_weight", ("'safe_buckets'", "did you mean 'safe_bucket'?")),
        ("barbell.safe_bucket.min_wieght", ("'min_wieght'", "did you mean 'min_weight'?")),
        (
            "barbell.safe_bucket.min_weight.x",
            ("barbell.safe_bucket.min_weight has nothing below it", "as a whole"),
        ),
        ("barbell.safe_bucket.symbols.0", ("barbell.safe_bucket.symbols has nothing below it",)),
        ("risk_buckets.buckets.ts_cor.base_nav_frac", ("'ts_cor'", "did you mean 'ts_core'?")),
        ("risk_buckets.buckets.ts_core.base_nav", ("'base_nav'", "did you mean 'base_nav_frac'?")),
        ("barbell.market_caps.ngxx", ("override: ", "unknown market 'ngxx'", "did you mean 'ngx'?")),
        ("risk_buckets.buckets.safe.base_nav_frac", ("override: ", "is 0.2, below min_nav_frac 0.7")),
    ],
)
def test_a_key_that_does_not_exist_or_fit_is_refused(key, words):
    message = refusal(key, 0.2)
    for word in (key, *words):
        assert word in message


def test_a_wrong_value_is_refused_where_it_was_given():
    message = refusal("barbell.safe_bucket.min_weight", "0.8")
    assert message.startswith("override: barbell.safe_bucket.min_weight: is '0.8', not a number; ")


def test_an_override_that_contradicts_a_file_names_the_override():
    assert refusal("barbell.safe_bucket.min_weight", 0.96).startswith("override: barbell.safe_bucket.min_weight: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("barbell.safe_bucket.min_weight=0.8", ("barbell.safe_bucket.min_weight", 0.8)),
        (" a.b = 1e-4 ", ("a.b", 1e-4)),
        ("a.b=null", ("a.b", None)),
        ("a.b=true", ("a.b", True)),
        ("a.b=[X, 'NGX:*']", ("a.b", ["X", "NGX:*"])),
        ("a.b={x: 0.1}", ("a.b", {"x": 0.1})),
        ("a.b=x=y", ("a.b", "x=y")),
    ],
)
def test_text_from_the_command_line_is_read_like_a_policy_file(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("barbell", ("'barbell' is not key=value", "--set KEY=VALUE")),
        ("=0.8", ("is not key=value",)),
        ("a.b=", ("a.b: has no value", "null")),
        ("a.b=yes", ("a.b: is yes", "true or false")),
        ("a.b=.nan", ("a.b: is .nan", "finite")),
        ("a.b={x: 1, x: 2}", ("a.b.x", "duplicate")),
        ("a.b=[1", ("a.b: is not valid YAML",)),
        ("a.b=!!python/name:os.system x", ("a.b", "tag")),
    ],
)
def test_text_from_the_command_line_that_is_wrong(text, words):
    with pytest.raises(PolicyError) as caught:
        parse_override(text)
    message = str(caught.value)
    assert message.startswith("--set")
    for word in words:
        assert word in message


def test_override_of_a_policy_from_python():
    policy = Policy.from_mapping({"barbell": {"safe_bucket": {"min_weight": 0.6}}})
    changed = policy.override({"barbell.safe_bucket.max_weight": 0.9})
    assert changed.source("barbell.safe_bucket.min_weight") == "python"
    assert changed.source("barbell.safe_bucket.max_weight") == "override"


def keys_of(data, prefix=""):
    """Return every dotted key of nested data."""
    keys = []
    for name, item in data.items():
        keys.append(f"{prefix}{name}")
        if isinstance(item, dict):
            keys += keys_of(item, f"{prefix}{name}.")
    return keys


SHIPPED = load_policy()
LEAF = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=6)
VALUES = st.recursive(
    LEAF | st.sampled_from(["safe", "ts_core", "BIL", "CASH", "NGX:*"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(keys_of(SHIPPED.to_mapping())), VALUES, min_size=1, max_size=2))
def test_any_value_gives_a_consistent_policy_or_names_a_key(changes):
    """No value escapes as another exception, and what is accepted survives a round trip unchanged."""
    try:
        changed = SHIPPED.override(changes)
    except PolicyError:
        return
    assert Policy.from_mapping(changed.to_mapping()) == changed
    assert changed.override({}) == changed
    floor, cap = changed.safe_floor, changed.barbell.safe_bucket.max_weight
    assert 0.0 <= floor <= 1.0 + 1e-9
    assert cap is None or not changed.barbell.enable_barbell_allocation or floor <= cap + 1e-9
