"""What a refusal tells the user to do, done: after it, the policy loads, or the signal is routed."""

import re
import shutil

import pytest

from pmx.errors import PolicyError, SignalError
from pmx.linting import check_config
from pmx.policy import Policy, load_policy, write_default_policy
from pmx.signals import Signal, SignalRouter

SAFE_MIN = "barbell.safe_bucket.min_weight"


def refusal(path=None, changes=None):
    with pytest.raises(PolicyError) as caught:
        load_policy(path, changes)
    return str(caught.value)


@pytest.mark.parametrize("name", ["barbell", "risk_buckets", "signal_routing_config", "execution"])
def test_a_missing_file_is_copied_from_a_fresh_policy(config, tmp_path, name):
    (config.path / f"{name}.yml").unlink()
    message = refusal(config.path)
    assert message.endswith(f"write a fresh policy elsewhere, `pmx init NEWDIR`, and copy {name}.yml from it")
    write_default_policy(tmp_path / "fresh")
    shutil.copy(tmp_path / "fresh" / f"{name}.yml", config.path)
    assert load_policy(config.path) == load_policy()


OWN_BUCKETS = """
default_bucket: core
buckets:
  core: {role: risk, base_nav_frac: 0.2}
  bills: {role: safe, base_nav_frac: 0.7, symbols: [BIL]}
"""


def test_where_the_shipped_file_does_not_fit_and_its_defaults_do_the_file_may_be_empty(config):
    """The shipped scalers are of the shipped buckets, so that a copy would bring an error for each of them."""
    (config.path / "risk_buckets.yml").write_text(OWN_BUCKETS, encoding="utf-8")
    (config.path / "signal_routing_config.yml").write_text("sources: {mine: {bucket: core, priority: 1}}\n")
    (config.path / "risk_scaler.yml").unlink()
    file = config.path / "risk_scaler.yml"
    assert refusal(config.path).endswith(f"write {{}} into it to take every default: echo '{{}}' > {file}")
    file.write_text("{}\n", encoding="utf-8")
    assert dict(load_policy(config.path).risk_scaler.buckets) == {}


def test_where_neither_fits_a_whole_policy_is_the_way(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "risk_buckets.yml").write_text(OWN_BUCKETS, encoding="utf-8")
    message = refusal(own)
    assert message.count("start from a whole policy, `pmx init NEWDIR`") == 7
    assert "copy" not in message
    write_default_policy(tmp_path / "whole")
    assert load_policy(tmp_path / "whole") == load_policy()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("60%", "0.60"),
        ("60 %", "0.60"),
        ("'72.5%'", "0.725"),
        ('"0,60"', "0.60"),
        ("0,60", "0.60"),
        ("'0.6'", "0.6"),
        ("60", "0.60"),
        ("72.5", "0.725"),
    ],
)
def test_a_number_in_another_spelling_is_written_out(config, written, meant):
    place = config.rewrite(SAFE_MIN, written)
    message = refusal(config.path)
    assert message.startswith(f"{place}: {SAFE_MIN}: is ")
    remedy = message.rpartition("; ")[2]
    assert re.search(r"write (\d\.\d+)", remedy)[1] == meant
    config.replace("barbell.yml", f"min_weight: {written}", f"min_weight: {meant}")
    assert load_policy(config.path).barbell.safe_bucket.min_weight == float(meant)


@pytest.mark.parametrize(
    ("key", "written", "remedy"),
    [
        ("execution.costs.commission_bps", "5 bps", "write 5"),
        ("execution.costs.commission_bps", "0.05%", "write 5"),
        ("execution.costs.per_symbol_bps.WTI", "1,5", "write 1.5"),
        ("execution.max_stale_bars", "5", "write 5 without quotes"),
        ("execution.turnover.penalty", "1,000.5", "write 1000.5"),
        (SAFE_MIN, "most of it", "write a decimal number, such as 0.60"),
        ("execution.max_stale_bars", "a week", "write a whole number"),
        ("risk_buckets.buckets.ts_core.symbols", "SPY", "write it as a list: [SPY]"),
        ("risk_buckets.buckets.ts_core", {"base_nav_frac": 0.1}, "add role: safe or add role: risk"),
        ("signal_routing_config.engines.machine_learning.folds", 60, "write a whole number ≤ 50"),
        ("quant_success_config.hard_criteria", ["min_judged"], "known here: min_expected_profit"),
    ],
)
def test_other_remedies_say_what_to_write(key, written, remedy):
    assert f"; {remedy}" in refusal(changes={key: written})


def test_patterns_and_tabs_in_a_file(config):
    config.replace("barbell.yml", 'ngx: ["NGX:*"]', "ngx: [*]")
    assert refusal(config.path).endswith('put a name that begins with * in quotes: "*"')
    (config.path / "barbell.yml").write_text("safe_bucket:\n\tmin_weight: 0.7\n", encoding="utf-8")
    assert refusal(config.path).endswith("indent with blanks, not with tabs")


def test_a_foreign_file_is_renamed_or_moved(config):
    (config.path / "barbell.yaml").write_text("{}", encoding="utf-8")
    (config.path / "zzz.yml").write_text("{}", encoding="utf-8")
    message = refusal(config.path)
    assert "barbell.yaml: is not a policy file; did you mean 'barbell.yml'? Rename it" in message
    assert "zzz.yml: is not a policy file; move it out of this directory" in message
    (config.path / "barbell.yaml").unlink()
    (config.path / "zzz.yml").unlink()
    assert load_policy(config.path) == load_policy()


def follow_source(config, message):
    """Write the line that a refusal shows below ``sources:`` into the file and line that it names."""
    found = re.search(r"add it to (\S+):(\d+) under sources:\n +sources:\n +(\w+: \{.*\})$", message)
    assert found, message
    file, line = config.path / found[1], int(found[2])
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[line - 1] == "sources:"
    file.write_text("\n".join([*lines[:line], f"  {found[3]}", *lines[line:]]), encoding="utf-8")


def test_a_source_unknown_to_routing_is_added_with_the_lines_shown(config):
    signal = Signal("SPY", 1, strength=1.0, edge_score=0.5, confidence=1.0, source="momentum")
    with pytest.raises(SignalError, match="source 'momentum' is unknown") as caught:
        SignalRouter(load_policy(config.path)).route([signal])
    follow_source(config, str(caught.value))
    policy = load_policy(config.path)
    assert policy.signal_routing_config.sources["momentum"].bucket == "ts_core"
    assert SignalRouter(policy).route([signal]).relative_weights.to_dict() == {("ts_core", "SPY"): 1.0}


def test_a_source_of_an_engine_that_is_on_is_added_with_the_lines_shown(config):
    start = (config.path / "signal_routing_config.yml").read_text(encoding="utf-8")
    source = re.search(r"  ml_secondary:\n    bucket: ml_secondary\n(    .*\n)+", start)[0]
    config.replace("signal_routing_config.yml", source, "")
    config.replace(
        "signal_routing_config.yml", "machine_learning:\n    enabled: false", "machine_learning:\n    enabled: true"
    )
    message = refusal(config.path)
    [finding] = check_config(config.path).findings  # one problem, though its remedy has lines of its own
    assert finding.remedy.endswith("ml_secondary: {bucket: ts_core, priority: 4}")
    follow_source(config, message)
    assert "ml_secondary" in load_policy(config.path).signal_routing_config.sources


def test_a_source_that_resembles_a_known_one_is_asked_after():
    signal = Signal("SPY", 1, strength=1.0, edge_score=0.5, confidence=1.0, source="time_series")
    with pytest.raises(SignalError, match=r"did you mean 'time_series_core'\? If not, add it to"):
        SignalRouter(load_policy()).route([signal])
    with pytest.raises(SignalError, match="give the engine a source of letters"):
        SignalRouter(load_policy()).route([Signal("SPY", 1, 1.0, 0.5, 1.0, "my engine")])


def test_a_standing_symbol_goes_where_it_is_admitted():
    key = "risk_buckets.buckets.ts_core.standing"
    assert "hold it in safe, which admits it" in refusal(changes={key: {"BIL": 0.1}})
    moved = {"risk_buckets.buckets.safe.standing": {"BIL": 0.1}}
    assert load_policy(overrides=moved).risk_buckets.buckets["safe"].standing["BIL"] == 0.1


def test_an_unknown_market_is_added():
    market = {"barbell.market_caps.asia": 0.1}
    message = refusal(changes=market)
    assert message.endswith("add it to barbell.markets, which has us_equity, commodities, ngx, em")
    assert load_policy(overrides=market | {"barbell.markets.asia": ["7203.T"]}).barbell.market_caps["asia"] == 0.1
    alone = {"barbell": {"market_caps": {"asia": 0.1}}}
    with pytest.raises(PolicyError, match=r"unknown market 'asia'; add it to barbell.markets$"):
        Policy.from_mapping(alone)
