"""The policy that comes with the package is complete, commented, and does what its comments say."""

import re

import pytest

from pmx.policy import load_policy, shipped_config
from pmx.policy.schema import SECTIONS, Section


def keys_of(section, prefix):
    """Yield every fixed key of a section and of the sections below it."""
    for name in section.field_names():
        value, key = getattr(section, name), f"{prefix}.{name}"
        if isinstance(value, Section):
            yield from keys_of(value, key)
        else:
            yield key


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_of_the_schema_is_written_out(name):
    policy = load_policy()
    missing = [key for key in keys_of(getattr(policy, name), name) if policy.source(key) == "default"]
    assert missing == []


@pytest.mark.parametrize("name", SECTIONS)
def test_every_file_says_what_it_is_for_and_explains_its_keys(name):
    text = (shipped_config() / f"{name}.yml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    comments = "\n".join(line for line in text.splitlines() if "#" in line)
    assert len(comments) > 0.3 * len(re.sub(r"#.*", "", text))
    assert max(map(len, text.splitlines())) <= 120


def test_budgets_add_up_to_the_whole_portfolio():
    buckets = load_policy().risk_buckets.buckets
    assert sum(bucket.base_nav_frac for bucket in buckets.values()) == pytest.approx(1.0)


def test_figures_of_the_shipped_policy():
    policy = load_policy()
    budgets = {
        name: (bucket.role, bucket.base_nav_frac, bucket.min_nav_frac, bucket.max_nav_frac)
        for name, bucket in policy.risk_buckets.buckets.items()
    }
    assert budgets == {
        "safe": ("safe", 0.72, 0.70, 0.95),
        "ts_core": ("risk", 0.15, 0.0, 0.25),
        "ml_secondary": ("risk", 0.05, 0.0, 0.10),
        "llm_fallback": ("risk", 0.01, 0.0, 0.02),
        "tail_hedge": ("risk", 0.02, 0.0, 0.03),
        "ngx_risk": ("risk", 0.03, 0.0, 0.05),
        "em_risk": ("risk", 0.02, 0.0, 0.05),
    }
    assert policy.safe_floor == 0.70
    assert policy.barbell.safe_bucket.max_weight == 0.95
    assert policy.barbell.risk_bucket.max_weight == 0.25
    assert set(policy.risk_scaler.buckets) == set(policy.risk_bucket_names)
    assert not policy.options_config.options_trading.enabled


def test_the_demo_symbols_go_where_the_demo_says():
    policy = load_policy()
    assert {policy.bucket_of(symbol) for symbol in ("SP500", "NASDAQ", "WTI")} == {"ts_core"}
    assert policy.signal_routing_config.sources["time_series_core"].bucket == "ts_core"
    assert policy.markets_of("SP500") == policy.markets_of("NASDAQ") == ("us_equity",)
    assert policy.markets_of("WTI") == ("commodities",)
