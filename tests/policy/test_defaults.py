"""A key that a policy leaves out means what the shipped file writes there."""

import re
from typing import Any

import pytest

from pmx.errors import PolicyError
from pmx.policy import Policy, load_policy, shipped_config

#: What the shipped files hold beyond any default: names of symbols, buckets, markets and sources, and their figures.
CONTENT = {
    "risk_buckets.default_bucket": "names a bucket, and a policy without buckets has none to name",
    "risk_buckets.buckets": "the buckets of the shipped policy",
    "barbell.safe_bucket.symbols": "its safe symbols",
    "barbell.markets": "its markets",
    "barbell.market_caps": "their caps",
    "risk_scaler.buckets": "the scalers of its buckets",
    "signal_routing_config.full_conviction": "of one of its buckets",
    "signal_routing_config.sources": "its sources",
    "execution.costs.per_symbol_bps": "the cost of one of its symbols",
}


def differences(left: Any, right: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """The dotted keys of two trees whose values differ, down to where either stops being a table."""
    if key in CONTENT:
        return {} if left == right else {key: (left, right)}
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return {} if left == right else {key: (left, right)}
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*left, *right]):
        found |= differences(left.get(name), right.get(name), f"{key}.{name}" if key else name)
    return found


def test_every_default_is_the_shipped_value_but_for_content():
    left, right = Policy.from_mapping({}).to_mapping(), load_policy().to_mapping()
    assert set(differences(left, right)) == set(CONTENT)


def test_a_file_of_nothing_means_the_file_that_is_shipped(config):
    """Empty files take every default: what is left to differ is content alone."""
    for file in config.path.iterdir():
        file.write_text("{}\n", encoding="utf-8")
    assert set(differences(load_policy(config.path).to_mapping(), load_policy().to_mapping())) == set(CONTENT)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("signal_routing_config.default_full_conviction", 0.20),
        ("execution.turnover.max", 0.30),
        ("barbell.safe_bucket.max_per_position", 0.50),
        ("barbell.risk_bucket.max_per_position", 0.10),
        ("quant_success_config.min_sharpe_ratio", 0.30),
        ("quant_success_config.min_sortino_ratio", 0.40),
        ("quant_success_config.min_profit_factor", 1.10),
        ("quant_success_config.max_error_vs_baseline", 1.02),
        ("quant_success_config.score_weights.max_drawdown", 2.0),
    ],
)
def test_defaults_that_once_differed(key, value):
    here: Any = Policy().to_mapping()
    for name in key.split("."):
        here = here[name]
    assert here == value


def test_no_key_is_there_that_nothing_reads():
    with pytest.raises(PolicyError, match=r"enable_antifragility_tests: cannot be set to True: unknown key"):
        load_policy(overrides={"barbell.enable_antifragility_tests": True})


def test_every_key_of_the_shipped_files_is_written_out():
    """A key with a default that no file writes would be a limit that nobody sees."""
    policy = load_policy()

    def keys(value: Any, at: str) -> list[str]:
        return [at] if not isinstance(value, dict) else [k for name in value for k in keys(value[name], f"{at}.{name}")]

    per_bucket = re.compile(r"^(risk_buckets\.buckets|risk_scaler\.buckets|signal_routing_config\.sources)\.")
    missing = [
        key
        for section, content in policy.to_mapping().items()
        for key in keys(content, section)
        if policy.source(key) == "default" and not per_bucket.match(key)
    ]
    assert missing == []
    assert len(list(shipped_config().glob("*.yml"))) == 8
