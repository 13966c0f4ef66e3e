"""A directory of files becomes a policy that knows its lines; a wrong one is refused with the place named."""

import pytest

from pmx.errors import PolicyError
from pmx.policy import Policy, load_policy, shipped_config, write_default_policy
from pmx.policy.schema import SECTIONS


def refusal(path, **kwargs):
    with pytest.raises(PolicyError) as caught:
        load_policy(path, **kwargs)
    return str(caught.value)


def test_a_value_from_a_file_has_its_line(config):
    line = config.replace("barbell.yml", "min_weight: 0.70", "min_weight: 0.61")
    policy = load_policy(config.path)
    assert policy.barbell.safe_bucket.min_weight == 0.61
    assert policy.source("barbell.safe_bucket.min_weight") == f"barbell.yml:{line}"


def test_a_key_left_out_is_a_default(config):
    config.replace("execution.yml", "gate_mode: reduce_only", "")
    assert load_policy(config.path).source("execution.gate_mode") == "default"


def test_path_may_be_text_and_the_copy_equals_the_original(config):
    assert load_policy(str(config.path)) == load_policy()


def test_byte_order_mark_is_accepted(config):
    file = config.path / "options_config.yml"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_policy(config.path) == load_policy()


def test_braces_take_every_default(config):
    (config.path / "execution.yml").write_text("{}")
    policy = load_policy(config.path)
    assert policy.execution == Policy().execution
    assert policy.source("execution.trade_at") == "default"


SAFE_MIN = "barbell.safe_bucket.min_weight"
VALIDATION = "barbell.enable_barbell_validation"
COMMODITIES = "barbell.markets.commodities"
ENGINE = "signal_routing_config.engines.time_series"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (SAFE_MIN, "70", ("is 70,", "≤ 1", "write 0.70 for 70 %")),
        (SAFE_MIN, "true", ("is True,", "not numbers")),
        (SAFE_MIN, "'0.7'", ("is '0.7',", "without quotes")),
        (SAFE_MIN, "null", ("is None,", "needs one")),
        (SAFE_MIN, ".inf", ("is .inf,", "write a finite number")),
        (SAFE_MIN, "[0.7]", ("is (0.7,),", "not a number")),
        (SAFE_MIN, "2020-01-02", ("is 2020-01-02,", "date")),
        (VALIDATION, "off", ("is off,", "write true or false")),
        (VALIDATION, "0", ("is 0,", "write true or false")),
        (VALIDATION, "'true'", ("is 'true',", "without quotes")),
        (COMMODITIES, "WTI", ("is 'WTI',", "[WTI]")),
        ("barbell.market_caps.us_equity", "-0.1", ("is -0.1,", "≥ 0")),
        ("risk_buckets.portfolio.base_currency", "3", ("is 3,", "not text", "quotes")),
        ("risk_buckets.portfolio.base_currency", "NO", ("is NO,", "quotes")),
        ("risk_buckets.portfolio.base_currency", "''", ("is '',", "a name")),
        ("risk_buckets.portfolio.distance", "relativ", ("is 'relativ'", "'relative', 'absolute' or 'risk'")),
        ("risk_buckets.portfolio.gross_max", "0", ("is 0,", "> 0")),
        ("risk_buckets.custom_rules", "[]", ("is (),", "table of keys")),
        ("risk_scaler.volatility.ewma_decay", "1.0", ("is 1.0,", "< 1")),
        ("risk_scaler.volatility.refit_every", "63.5", ("is 63.5,", "whole number")),
        ("risk_scaler.volatility.refit_every", "'63'", ("is '63',", "without quotes")),
        ("risk_scaler.volatility.refit_every", "false", ("is False,", "not numbers")),
        ("execution.solver.name", "clara bel", ("'clara bel'", "plain name")),
        (f"{ENGINE}.horizon", "-5", ("is -5, which is not ≥ 1; write a whole number ≥ 1",)),
        (f"{ENGINE}.lags", "70", ("is 70, which is not ≤ 20; write a whole number ≤ 20",)),
        (f"{ENGINE}.evidence", "-1", ("is -1, which is not ≥ 0; write a number ≥ 0",)),
        (f"{ENGINE}.round_trip_cost_bps", "-1", ("is -1, which is not ≥ 0; write a number ≥ 0",)),
        (f"{ENGINE}.members", "[]", ("is (), not a list with an entry; name at least one",)),
        (f"{ENGINE}.members", "[theta, theta]", ("('theta', 'theta'), which names theta twice; name each once",)),
        ("quant_success_config.horizon_bars", "0", ("is 0, which is not ≥ 1; write a whole number ≥ 1",)),
    ],
)
def test_a_wrong_value_names_file_line_key_value_and_remedy(config, key, value, words):
    place = config.rewrite(key, value)
    message = refusal(config.path)
    assert message.startswith(f"{place}: {key}: ")
    for word in words:
        assert word in message
    assert message.count("; ") == 1
    assert ("not 70" in message) == ((key, value) == ("risk_scaler.volatility.ewma_decay", "1.0"))


def test_a_wrong_item_of_a_list_is_named(config):
    place = config.rewrite(COMMODITIES, "[WTI, 1]")
    assert refusal(config.path).startswith(f"{place}: {COMMODITIES}.1: is 1, not text; ")


def test_a_wrong_entry_does_not_make_its_list_too_short_as_well(config):
    place = config.rewrite(f"{ENGINE}.members", "[ar_garsh]")
    message = refusal(config.path)
    assert message.startswith(f"{place}: {ENGINE}.members.0: is 'ar_garsh'; write one of 'ar_garch', 'har_garch'")
    assert "\n" not in message


def test_an_unknown_key_gets_a_suggestion(config):
    line = config.replace("barbell.yml", "min_weight: 0.70", "min_wieght: 0.70")
    message = refusal(config.path)
    assert message.startswith(f"{config.path / 'barbell.yml'}:{line}: barbell.safe_bucket.min_wieght: ")
    assert message.endswith("is an unknown key (value 0.7); did you mean 'min_weight'?")


def test_a_duplicate_key_names_both_lines(config):
    line = config.replace("barbell.yml", "max_weight: 0.25", "max_weight: 0.25\n  max_weight: 0.3")
    message = refusal(config.path)
    assert message.startswith(f"{config.path / 'barbell.yml'}:{line + 1}: barbell.risk_bucket.max_weight: ")
    assert f"first given in line {line}; keep one" in message


def test_a_bucket_name_that_cannot_name_a_rule(config):
    line = config.replace("risk_buckets.yml", "  em_risk:\n", "  em.risk:\n")
    message = refusal(config.path)
    assert f"{config.path / 'risk_buckets.yml'}:{line}: risk_buckets.buckets.em.risk: " in message
    assert "'em.risk' is not a plain name; use letters, digits, _ and -" in message


def test_a_bucket_that_is_no_table(config):
    config.replace("risk_buckets.yml", "custom_rules: {}", "custom_rules: {tilt: 3}")
    assert "risk_buckets.custom_rules.tilt: is 3, not a table of keys" in refusal(config.path)


def test_a_missing_key_points_at_the_table_that_lacks_it(config):
    line = config.replace("risk_buckets.yml", "  em_risk:\n    role: risk\n", "  em_risk:\n")
    assert refusal(config.path).startswith(
        f"{config.path / 'risk_buckets.yml'}:{line}: risk_buckets.buckets.em_risk.role: "
    )


def test_problems_of_several_files_come_together(config):
    config.rewrite(SAFE_MIN, "70")
    config.replace("execution.yml", "participation: null", "participation: 2")
    message = refusal(config.path)
    assert message.startswith("2 problems")
    assert "barbell.safe_bucket.min_weight" in message
    assert "execution.liquidity.participation" in message


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"null\n", b"- a\n", b"word\n", b"3\n"])
def test_a_file_that_is_no_table(config, content):
    (config.path / "barbell.yml").write_bytes(content)
    message = refusal(config.path)
    assert message.startswith(f"{config.path / 'barbell.yml'}:1: barbell: ")
    assert "{} to take every default" in message


def test_a_file_that_is_not_utf8_names_the_line(config):
    (config.path / "barbell.yml").write_bytes(b"# ok\n# caf\xe9\n")
    message = refusal(config.path)
    assert message.startswith(f"{config.path / 'barbell.yml'}:2: ")
    assert "UTF-8" in message
    assert "0xe9" in message


def test_a_missing_file_names_the_remedy(config):
    (config.path / "barbell.yml").unlink()
    message = refusal(config.path)
    assert f"{config.path / 'barbell.yml'}: barbell: is missing" in message
    assert message.endswith("write a fresh policy elsewhere, `pmx init NEWDIR`, and copy barbell.yml from it")
    fresh = config.path.parent / "fresh"
    write_default_policy(fresh)
    (fresh / "barbell.yml").rename(config.path / "barbell.yml")
    assert load_policy(config.path) == load_policy()


def test_a_file_that_cannot_be_read(config):
    file = config.path / "barbell.yml"
    file.unlink()
    file.mkdir()
    assert "cannot be read" in refusal(config.path)


def test_a_policy_file_that_nobody_would_read(config):
    (config.path / "barbel.yml").write_text("{}")
    message = refusal(config.path)
    assert "barbel.yml" in message
    assert "did you mean 'barbell.yml'?" in message


def test_a_file_with_the_other_suffix_is_not_silently_ignored(config):
    (config.path / "barbell.yml").rename(config.path / "barbell.yaml")
    assert "did you mean 'barbell.yml'?" in refusal(config.path)


def test_other_files_may_lie_beside_the_policy(config):
    (config.path / "README.md").write_text("notes")
    assert load_policy(config.path) == load_policy()


def test_a_directory_that_does_not_exist(tmp_path):
    message = refusal(tmp_path / "nowhere")
    assert "is not a directory that can be read (No such file or directory)" in message
    assert f"pmx init {tmp_path / 'nowhere'}" in message


def test_a_file_in_place_of_the_directory(config):
    message = refusal(config.path / "barbell.yml")
    assert "is not a directory that can be read (Not a directory)" in message
    assert message.endswith(f"give the directory that holds it: {config.path}")


def test_a_directory_without_policy_files(tmp_path):
    assert "holds no policy files" in refusal(tmp_path)


def test_overrides_are_applied_on_top(config):
    policy = load_policy(config.path, {"barbell.safe_bucket.min_weight": 0.8})
    assert policy.safe_floor == 0.8
    assert policy.source("barbell.safe_bucket.min_weight") == "override"
    assert policy.source("barbell.safe_bucket.max_weight").startswith("barbell.yml:")


def test_the_default_policy_is_written_whole(tmp_path):
    files = write_default_policy(tmp_path / "a" / "b")
    assert [file.name for file in files] == [f"{name}.yml" for name in SECTIONS]
    assert load_policy(tmp_path / "a" / "b") == load_policy()
    assert sorted(file.name for file in (tmp_path / "a" / "b").iterdir()) == sorted(file.name for file in files)


def test_writing_over_a_file_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "execution.yml").write_text("mine")
    with pytest.raises(PolicyError, match=r"execution\.yml: exists already"):
        write_default_policy(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["execution.yml"]
    assert (tmp_path / "execution.yml").read_text() == "mine"


def test_writing_over_a_file_on_request(tmp_path):
    (tmp_path / "execution.yml").write_text("mine")
    write_default_policy(tmp_path, overwrite=True)
    assert load_policy(tmp_path) == load_policy()


def test_a_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PolicyError, match="cannot be written"):
        write_default_policy(tmp_path / "file" / "below")


def test_a_directory_of_the_same_name_is_never_replaced(tmp_path):
    (tmp_path / "risk_scaler.yml").mkdir()
    with pytest.raises(PolicyError, match=r"risk_scaler\.yml: exists already"):
        write_default_policy(tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["risk_scaler.yml"]


def test_the_shipped_directory_holds_the_eight_files():
    assert {file.name for file in shipped_config().glob("*.yml")} == {f"{name}.yml" for name in SECTIONS}


def test_from_mapping_says_python():
    data = {"barbell": {"markets": {"us": ["SPY"]}, "market_caps": {"us": 2}}}
    with pytest.raises(PolicyError, match=r"^python: barbell\.market_caps\.us: is 2, which is not ≤ 1; "):
        Policy.from_mapping(data)


def test_from_mapping_refuses_an_unknown_section():
    with pytest.raises(PolicyError, match="barbel: is an unknown section; did you mean 'barbell'"):
        Policy.from_mapping({"barbel": {}})


def test_from_mapping_refuses_a_section_that_is_no_table():
    with pytest.raises(PolicyError, match="table of keys"):
        Policy.from_mapping({"barbell": 3})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "key",
    [
        "barbell.safe_bucket.min_weight",
        "risk_scaler.volatility.ewma_decay",
        "execution.liquidity.participation",
    ],
)
def test_from_mapping_refuses_what_is_not_finite(key, bad):
    with pytest.raises(PolicyError, match=key):
        Policy().override({key: bad})
