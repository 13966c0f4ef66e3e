"""Keys that contradict each other are refused, and the key to change is named."""

import pytest

from pmx.errors import PolicyError
from pmx.policy import Policy, load_policy


def findings(changes):
    with pytest.raises(PolicyError) as caught:
        load_policy().override(changes)
    return str(caught.value)


BUCKET = "risk_buckets.buckets"
RULE = {"symbols": {"SP500": 1.0}, "max": 0.1}
SOURCE = "signal_routing_config.sources"


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        (
            {f"{BUCKET}.ts_core.min_nav_frac": 0.3},
            f"{BUCKET}.ts_core.min_nav_frac",
            ("0.3", "above max_nav_frac 0.25"),
        ),
        (
            {f"{BUCKET}.ts_core.base_nav_frac": 0.3},
            f"{BUCKET}.ts_core.base_nav_frac",
            ("0.3", "above max_nav_frac"),
        ),
        (
            {f"{BUCKET}.safe.base_nav_frac": 0.6},
            f"{BUCKET}.safe.base_nav_frac",
            ("0.6", "below min_nav_frac 0.7"),
        ),
        (
            {"barbell.safe_bucket.min_weight": 0.96},
            "barbell.safe_bucket.min_weight",
            ("0.96", "above max_weight 0.95"),
        ),
        (
            {"barbell.safe_bucket.min_weight": 0.5, "barbell.safe_bucket.max_weight": 0.6},
            "barbell.safe_bucket.max_weight",
            ("0.6", "safe minimum 0.7"),
        ),
        (
            {"barbell.safe_bucket.symbols": ["BIL", "VIXY"]},
            f"{BUCKET}.tail_hedge.symbols.0",
            ("'VIXY'", "both safe", "and risk"),
        ),
        (
            {f"{BUCKET}.safe.symbols": ["BIL", "EM:BOND"]},
            f"{BUCKET}.em_risk.symbols.1",
            ("'EM:BOND'", "through 'EM:*'"),
        ),
        ({f"{BUCKET}.safe.symbols": ["V*"]}, f"{BUCKET}.tail_hedge.symbols.0", ("'V*'", "through 'VIXY'")),
        (
            {"barbell.market_caps.ng": 0.1},
            "barbell.market_caps.ng",
            ("unknown market 'ng'", "did you mean 'ngx'"),
        ),
        ({f"{SOURCE}.ml_secondary.bucket": "ml"}, f"{SOURCE}.ml_secondary.bucket", ("unknown bucket 'ml'",)),
        (
            {f"{SOURCE}.ml_secondary.market_buckets": {"ngx": "ngx"}},
            f"{SOURCE}.ml_secondary.market_buckets.ngx",
            ("unknown bucket 'ngx'",),
        ),
        (
            {f"{SOURCE}.ml_secondary.market_buckets": {"nx": "ngx_risk"}},
            f"{SOURCE}.ml_secondary.market_buckets.nx",
            ("unknown market 'nx'",),
        ),
        (
            {"signal_routing_config.full_conviction": {"ts": 1.0}},
            "signal_routing_config.full_conviction.ts",
            ("unknown bucket 'ts'",),
        ),
        ({"risk_buckets.default_bucket": "core"}, "risk_buckets.default_bucket", ("unknown bucket 'core'",)),
        (
            {"risk_buckets.default_bucket": "safe"},
            "risk_buckets.default_bucket",
            ("a safe bucket", "would count as safe"),
        ),
        (
            {"risk_scaler.buckets": {"core": {"target_vol": 0.1}}},
            "risk_scaler.buckets.core",
            ("unknown bucket 'core'",),
        ),
        (
            {"risk_scaler.buckets.ts_core.min_scale": 2.0},
            "risk_scaler.buckets.ts_core.min_scale",
            ("is 2, above max_scale 1.25",),
        ),
        (
            {f"{SOURCE}.ml_secondary.priority": 1},
            f"{SOURCE}.ml_secondary.priority",
            ("priority of 'time_series_core' too",),
        ),
        (
            {f"{BUCKET}.safe.standing": {"BIL": 0.7, "SHY": 0.4}},
            f"{BUCKET}.safe.standing",
            ("1.1", "above 1"),
        ),
        (
            {f"{BUCKET}.ts_core.standing": {"SP500": -0.1}},
            f"{BUCKET}.ts_core.standing.SP500",
            ("a short", "allow_short"),
        ),
        ({f"{BUCKET}.ts_core.standing": {"BIL": 0.1}}, f"{BUCKET}.ts_core.standing.BIL", ("does not admit",)),
        ({f"{BUCKET}.safe.standing": {"SP500": 0.1}}, f"{BUCKET}.safe.standing.SP500", ("does not admit",)),
        (
            {"risk_buckets.custom_rules.tilt": {"symbols": {"SP500": 1.0}}},
            "risk_buckets.custom_rules.tilt",
            ("neither min nor max",),
        ),
        (
            {"risk_buckets.custom_rules.tilt": {**RULE, "min": 0.2}},
            "risk_buckets.custom_rules.tilt.min",
            ("0.2, above max 0.1",),
        ),
        (
            {"risk_buckets.custom_rules.tilt": {"max": 0.2}},
            "risk_buckets.custom_rules.tilt",
            ("no coefficient",),
        ),
        (
            {"risk_buckets.custom_rules.tilt": {"symbols": {"A": 0.0}, "max": 0.2}},
            "risk_buckets.custom_rules.tilt",
            ("no coefficient",),
        ),
        (
            {"risk_buckets.custom_rules.tilt": {**RULE, "buckets": {"core": 1.0}}},
            "risk_buckets.custom_rules.tilt.buckets.core",
            ("unknown bucket",),
        ),
        (
            {"risk_buckets.custom_rules.tilt": {**RULE, "markets": {"us": 1.0}}},
            "risk_buckets.custom_rules.tilt.markets.us",
            ("unknown market",),
        ),
        (
            {"risk_buckets.portfolio.residual_symbol": "SP500"},
            "risk_buckets.portfolio.residual_symbol",
            ("'SP500'", "not safe"),
        ),
        (
            {"risk_buckets.portfolio.residual_symbol": "CASH"},
            "risk_buckets.portfolio.residual_symbol",
            ("stands for cash",),
        ),
        ({f"{BUCKET}.ts_core.symbols": ["CASH"]}, f"{BUCKET}.ts_core.symbols", ("stands for cash",)),
        ({f"{BUCKET}.ts_core.standing": {"CASH": 0.1}}, f"{BUCKET}.ts_core.standing", ("stands for cash",)),
        ({"barbell.safe_bucket.symbols": ["CASH"]}, "barbell.safe_bucket.symbols", ("stands for cash",)),
        ({"barbell.symbol_caps": {"CASH": 0.1}}, "barbell.symbol_caps", ("stands for cash",)),
        ({"barbell.markets.us_equity": ["CASH"]}, "barbell.markets.us_equity", ("stands for cash",)),
        (
            {"risk_buckets.custom_rules.x": {"symbols": {"CASH": 1.0}, "max": 1}},
            "risk_buckets.custom_rules.x.symbols",
            ("stands for cash",),
        ),
        (
            {"options_config.options_trading.enabled": True},
            "options_config.options_trading.enabled",
            ("not valued yet", "false"),
        ),
        (
            {"quant_success_config.hard_criteria": ["min_sharp_ratio"]},
            "quant_success_config.hard_criteria.0",
            ("did you mean 'min_sharpe_ratio'",),
        ),
        (
            {"quant_success_config.score_weights": {"pass_score": 1.0}},
            "quant_success_config.score_weights.pass_score",
            ("no criterion",),
        ),
        (
            {"quant_success_config.score_weights": {"max_drawdown": 0.0}},
            "quant_success_config.score_weights",
            ("all zero",),
        ),
        (
            {"risk_scaler.volatility.window": 100},
            "risk_scaler.volatility.min_observations",
            ("250, above window 100",),
        ),
        (
            {"signal_routing_config.engines.time_series.window": 400},
            "signal_routing_config.engines.time_series.min_observations",
            ("500",),
        ),
        (
            {"forecaster_monitoring.min_signals": 501},
            "forecaster_monitoring.min_signals",
            ("above lookback_signals 500",),
        ),
    ],
)
def test_a_contradiction_is_refused(changes, key, words):
    message = findings(changes)
    assert f": {key}: " in message
    for word in words:
        assert word in message
    assert "; " in message


def test_a_contradiction_names_the_line_of_the_key_it_is_about(config):
    place = config.rewrite("risk_scaler.buckets.tail_hedge.min_scale", "1.5")
    with pytest.raises(PolicyError) as caught:
        load_policy(config.path)
    assert str(caught.value).startswith(f"{place}: risk_scaler.buckets.tail_hedge.min_scale: is 1.5, above max_scale")


def test_a_contradiction_of_defaults_is_located_in_the_table_above():
    with pytest.raises(PolicyError, match=r"^python: risk_buckets\.buckets\.a\.min_nav_frac: "):
        Policy.from_mapping(
            {
                "risk_buckets": {
                    "buckets": {"a": {"role": "risk", "base_nav_frac": 0, "min_nav_frac": 1, "max_nav_frac": 0.5}}
                }
            }
        )


def test_safe_minima_cannot_exceed_everything():
    half = {"role": "safe", "base_nav_frac": 0.6, "min_nav_frac": 0.6}
    data = {
        "risk_buckets": {"buckets": {"a": half, "b": half}},
        "barbell": {"enable_barbell_allocation": False},
    }
    with pytest.raises(PolicyError, match=r"adding up to 1\.2 in the safe buckets, above 1; lower"):
        Policy.from_mapping(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"barbell.risk_bucket.max_weight": 0.9},  # the floor is tighter, and rules
        {"barbell.safe_bucket.min_weight": 0.95},
        {"barbell.safe_bucket.max_weight": None},
        {"barbell.enable_barbell_allocation": False, "barbell.safe_bucket.min_weight": 0.96},
        {f"{BUCKET}.safe.standing": {"BIL": 0.6, "SHY": 0.4}},
        {f"{BUCKET}.ts_core.allow_short": True, f"{BUCKET}.ts_core.standing": {"SP500": -1.0}},
        {"risk_buckets.custom_rules.tilt": {**RULE, "min": 0.1}},
        {"risk_buckets.portfolio.residual_symbol": "BIL"},
        {"risk_buckets.portfolio.residual_symbol": "SHY", "barbell.safe_bucket.symbols": ["BIL"]},
        {"barbell.safe_bucket.symbols": ["TLT"]},  # safe by two different lists
        {"risk_scaler.buckets": {}},
        {"signal_routing_config.sources": {}},
        {"quant_success_config.score_weights": {}},
    ],
)
def test_what_only_looks_like_a_contradiction_is_allowed(changes):
    load_policy().override(changes)


def test_tenths_that_do_not_add_up_exactly_are_no_contradiction():
    tenth = {"role": "safe", "base_nav_frac": 0.1, "min_nav_frac": 0.1}
    buckets = {f"b{k}": tenth for k in range(10)}
    policy = Policy.from_mapping(
        {
            "risk_buckets": {"buckets": buckets},
            "barbell": {"safe_bucket": {"min_weight": 0.5, "max_weight": None}},
        }
    )
    assert policy.safe_floor == pytest.approx(1.0)


def test_names_of_buckets_are_not_missed_where_buckets_are_off_and_absent():
    shipped = load_policy().to_mapping()
    shipped["risk_buckets"] = {"enabled": False}
    assert Policy.from_mapping(shipped).risk_bucket_names == ()
    shipped["risk_buckets"] = {"enabled": True}
    with pytest.raises(PolicyError, match="unknown bucket"):
        Policy.from_mapping(shipped)


def test_names_of_markets_are_not_missed_where_the_barbell_is_off_and_absent():
    shipped = load_policy().to_mapping()
    shipped["barbell"] = {"enable_barbell_allocation": False}
    assert Policy.from_mapping(shipped).markets_of("NGX:MTNN") == ()
    shipped["barbell"] = {"enable_barbell_allocation": True}
    with pytest.raises(PolicyError, match="unknown market"):
        Policy.from_mapping(shipped)


def test_all_contradictions_come_together():
    message = findings({"barbell.market_caps.ng": 0.1, "options_config.options_trading.enabled": True})
    assert message.startswith("2 problems")
