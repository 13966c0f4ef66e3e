"""What changed from one policy to another, which way, and where it is written."""

import pytest

import pmx
from pmx.policy import load_policy, policy_diff, shipped_config, write_default_policy
from pmx.policy.directions import ORDERS, TIGHTER, Context, change_of
from pmx.policy.keys import type_at

TILT = {"symbols": {"SP500": 1.0}, "max": 0.05}


@pytest.fixture(scope="module")
def policy():
    return load_policy().override(
        {
            "risk_buckets.custom_rules": {"tilt": TILT, "soft": TILT | {"hard": False}},
            "barbell.symbol_caps": {"BRK.B": 0.05},
            "execution.turnover": {"max": 0.3, "rank": 2},
            "risk_buckets.buckets.ts_core.symbols": ["SP500", "WTI"],
        }
    )


#: Key, what it is set to, and what that does.
CHANGES = [
    ("risk_buckets.enabled", False, "loosened"),
    ("risk_buckets.portfolio.cash_min", 0.1, "tightened"),
    ("risk_buckets.portfolio.cash_min", None, "loosened"),
    ("risk_buckets.portfolio.gross_max", 0.9, "tightened"),
    ("risk_buckets.portfolio.gross_max", None, "loosened"),
    ("risk_buckets.portfolio.volatility_max", 0.1, "tightened"),
    ("risk_buckets.portfolio.distance", "absolute", "changed"),
    ("risk_buckets.buckets.ts_core.max_nav_frac", 0.19, "tightened"),
    ("risk_buckets.buckets.ts_core.min_nav_frac", 0.01, "loosened"),
    ("risk_buckets.buckets.safe.min_nav_frac", 0.01, "loosened"),
    ("risk_buckets.buckets.safe.base_nav_frac", 0.71, "changed"),
    ("risk_buckets.buckets.ts_core.allow_short", True, "loosened"),
    ("risk_buckets.buckets.ts_core.symbols", ["SP500"], "tightened"),
    ("risk_buckets.buckets.ts_core.symbols", ["SP500", "WTI", "GLD"], "loosened"),
    ("risk_buckets.buckets.ts_core.symbols", ["SP500", "GLD"], "changed"),
    ("risk_buckets.buckets.ts_core.symbols", [], "loosened"),
    ("risk_buckets.buckets.ts_core.notes", "mine", "changed"),
    ("risk_buckets.custom_rules.tilt.max", 0.04, "tightened"),
    ("risk_buckets.custom_rules.tilt.min", -0.5, "tightened"),
    ("risk_buckets.custom_rules.tilt.hard", False, "loosened"),
    ("risk_buckets.custom_rules.tilt.exposure", "gross", "changed"),
    ("risk_buckets.custom_rules.soft.penalty", 1.0, "loosened"),
    ("risk_buckets.custom_rules.soft.rank", 3, "changed"),
    ("barbell.enable_barbell_allocation", False, "loosened"),
    ("barbell.safe_bucket.min_weight", 0.72, "tightened"),
    ("barbell.safe_bucket.max_weight", None, "loosened"),
    ("barbell.safe_bucket.max_per_position", 0.3, "tightened"),
    ("barbell.risk_bucket.max_weight", 0.27, "loosened"),
    ("barbell.market_caps.commodities", 0.30, "loosened"),
    ("barbell.markets.commodities", ["WTI"], "loosened"),
    ("barbell.symbol_caps.BRK.B", 0.04, "tightened"),
    ("risk_scaler.buckets.ts_core.target_vol", 0.01, "tightened"),
    ("risk_scaler.buckets.ts_core.min_scale", 0.9, "loosened"),
    ("execution.turnover.max", 0.2, "tightened"),
    ("execution.turnover.rank", 1, "loosened"),
    ("execution.turnover.cost", 0.01, "changed"),
    ("execution.rebalance.schedule", "on_targets", "loosened"),
    ("execution.rebalance.schedule", "weekly", "loosened"),
    ("execution.rebalance.schedule", "monthly", "loosened"),
    ("execution.rebalance.schedule", "daily", "changed"),
    ("execution.gate_mode", "exit", "tightened"),
    ("execution.liquidity.participation", 0.1, "tightened"),
    ("forecaster_monitoring.gate.expires_after", None, "tightened"),
    ("quant_success_config.max_drawdown", 0.3, "loosened"),
    ("signal_routing_config.sources.time_series_core.min_edge", 0.5, "tightened"),
]


@pytest.mark.parametrize(("key", "value", "change"), CHANGES, ids=[f"{key}={value}" for key, value, _ in CHANGES])
def test_a_change_is_named_and_goes_back_the_other_way(policy, key, value, change):
    later = policy.override({key: value})
    (row,) = policy.diff(later).itertuples(index=False)
    assert (row.key, row.change) == (key, change)
    assert row.after == value
    assert row.after_source == "override"
    (back,) = later.diff(policy).itertuples(index=False)
    assert (back.before, back.after) == (row.after, row.before)
    assert back.change == {"tightened": "loosened", "loosened": "tightened"}.get(change, change)


def test_the_same_policy_has_no_difference(policy):
    assert policy_diff(policy, policy).empty
    assert policy_diff("shipped", shipped_config()).empty
    assert list(policy_diff("shipped", "shipped").columns) == [
        "key", "change", "before", "after", "before_source", "after_source",
    ]  # fmt: skip


def test_file_and_line_of_both_sides(tmp_path):
    for side in "ab":
        write_default_policy(tmp_path / side)
    file = tmp_path / "b" / "barbell.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text("# one line more\n" + text.replace("commodities: 0.10", "commodities: 0.30"), encoding="utf-8")
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "commodities: 0.10" in row)
    expected = {
        "key": "barbell.market_caps.commodities", "change": "loosened", "before": 0.10, "after": 0.30,
        "before_source": f"{tmp_path / 'a' / 'barbell.yml'}:{line}",
        "after_source": f"{tmp_path / 'b' / 'barbell.yml'}:{line + 1}",
    }  # fmt: skip
    assert policy_diff(tmp_path / "a", str(tmp_path / "b")).to_dict("records") == [expected]
    assert policy_diff(tmp_path / "a" / "barbell.yml", file).to_dict("records") == [expected]
    assert policy_diff(tmp_path / "a" / "execution.yml", tmp_path / "b").empty


def test_entries_that_are_added_or_removed(policy):
    caps = {name: cap for name, cap in policy.barbell.market_caps.items() if name != "us_equity"}
    later = policy.override(
        {
            "risk_buckets.custom_rules": {"soft": TILT | {"hard": False}, "cap": TILT},
            "barbell.market_caps": caps,
            "barbell.symbol_caps": {"BRK.B": 0.05, "WTI": 0.01},
            "barbell.markets.metals": ["GLD"],
            "risk_buckets.buckets.mine": {"role": "risk", "base_nav_frac": 0.01},
        }
    )
    rows = {row.key: row for row in policy.diff(later).itertuples(index=False)}
    assert {key: row.change for key, row in rows.items()} == {
        "risk_buckets.buckets.mine": "added",
        "risk_buckets.custom_rules.tilt": "loosened",
        "risk_buckets.custom_rules.cap": "tightened",
        "barbell.markets.metals": "added",
        "barbell.market_caps.us_equity": "loosened",
        "barbell.symbol_caps.WTI": "tightened",
    }
    assert (rows["risk_buckets.custom_rules.tilt"].after, rows["risk_buckets.custom_rules.tilt"].after_source) == (
        "absent",
        "",
    )
    assert rows["barbell.symbol_caps.WTI"].before == "absent"
    assert rows["risk_buckets.buckets.mine"].after["base_nav_frac"] == 0.01
    assert later.diff(policy).set_index("key")["change"]["risk_buckets.buckets.mine"] == "removed"


def test_the_order_of_buckets_is_a_change():
    data = load_policy().to_mapping()
    first, *others = data["risk_buckets"]["buckets"]
    data["risk_buckets"]["buckets"] = {name: data["risk_buckets"]["buckets"][name] for name in (*others, first)}
    (row,) = load_policy().diff(pmx.Policy.from_mapping(data)).itertuples(index=False)
    assert (row.key, row.change) == ("risk_buckets.buckets", "changed")
    assert row.after == [*others, first]


def test_a_market_without_a_cap_is_neither_tighter_nor_looser():
    policy = load_policy().override({"barbell.market_caps": {}})
    (row,) = policy.diff(policy.override({"barbell.markets.commodities": ["WTI"]})).itertuples(index=False)
    assert row.change == "changed"


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "notes.yml").write_text("colour: red\n", encoding="utf-8")
    (tmp_path / "barbell.yml").write_text("safe_bucket: {min_weight: 70}\n", encoding="utf-8")
    (tmp_path / "execution.yml").write_text("- 1\n", encoding="utf-8")
    (tmp_path / "risk_scaler.yml").write_bytes(b"\xff\xfe")
    for name, message in (
        ("notes.yml", "is not a table of keys; name a directory, 'shipped', or a file of one section"),
        ("barbell.yml", r"barbell.yml:1: barbell.safe_bucket.min_weight: is 70, which is not"),
        ("execution.yml", "is not a table of keys"),
        ("risk_scaler.yml", "cannot be read"),
        ("nowhere", "No such file"),
    ):
        with pytest.raises(pmx.PolicyError, match=message):
            policy_diff("shipped", tmp_path / name)


def test_every_direction_is_of_a_key_that_there_is():
    for key, way in TIGHTER.items():
        assert type_at(tuple(key.split("."))) is not None, key
        assert way in ("cap", "floor", "spell", "rank", "rule", "fewer", "more", "listed", "schedule", *ORDERS), key


def test_null_is_no_limit_and_a_spell_without_end():
    assert change_of(("execution", "turnover", "max"), 0.1, None, Context.of()) == "loosened"
    assert change_of(("forecaster_monitoring", "gate", "expires_after"), 1, None, Context.of()) == "tightened"


def test_two_files_of_different_sections_are_refused(tmp_path):
    """Before, nothing of them was compared and they were said to be the same."""
    write_default_policy(tmp_path)
    one, other = tmp_path / "barbell.yml", tmp_path / "risk_buckets.yml"
    with pytest.raises(pmx.PolicyError, match=r"risk_buckets.yml: holds risk_buckets, and .*barbell.yml holds barbell"):
        policy_diff(one, other)
    assert policy_diff(one, tmp_path).empty
    assert policy_diff("shipped", other).empty
