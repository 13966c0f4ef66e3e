"""The scaling formula, and the scaler that follows every bucket's own returns."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmx.errors import DataError, PolicyError
from pmx.policy import Policy
from pmx.risk import (
    BucketRiskState,
    Drawdown,
    GarchVolatility,
    RiskScaler,
    RiskScalerConfig,
    compute_scaling_factor,
)

OPEN = RiskScalerConfig(vol_sensitivity=1.0, dd_sensitivity=1.0, min_scale=0.0, max_scale=10.0)

states = st.builds(
    BucketRiskState,
    realized_vol=st.floats(0.0, 5.0),
    current_drawdown=st.floats(0.0, 1.0),
    max_drawdown=st.floats(1e-3, 1.0),
    target_vol=st.floats(1e-3, 5.0),
)
configs = st.builds(
    lambda vol, dd, low, width: RiskScalerConfig(vol, dd, low, low + width),
    st.floats(0.0, 5.0),
    st.floats(0.0, 5.0),
    st.floats(0.0, 2.0),
    st.floats(0.0, 5.0),
)


def changed(state: BucketRiskState, **fields: float) -> BucketRiskState:
    return BucketRiskState(
        **{name: fields.get(name, getattr(state, name)) for name in BucketRiskState.__dataclass_fields__}
    )


# --- the formula ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "config", "expected"),
    [
        ((0.2, 0.0, 0.2, 0.1), OPEN, 0.5),
        ((0.2, 0.05, 0.2, 0.1), OPEN, 0.375),
        ((0.2, 0.05, 0.2, 0.1), RiskScalerConfig(2.0, 2.0, 0.0, 10.0), 0.125),
        ((0.1, 0.1, 0.2, 0.2), OPEN, 1.0),
        ((0.2, 0.2, 0.2, 0.1), OPEN, 0.0),
        ((0.2, 0.9, 0.2, 0.1), RiskScalerConfig(1.0, 1.0, 0.25, 1.0), 0.25),
        ((0.01, 0.0, 0.2, 0.1), RiskScalerConfig(1.0, 1.0, 0.25, 1.5), 1.5),
        ((0.2, 0.1, 0.2, 0.1), RiskScalerConfig(0.0, 1.0, 0.0, 1.0), 0.5),
        ((0.2, 0.1, 0.2, 0.1), RiskScalerConfig(1.0, 0.0, 0.0, 1.0), 0.5),
        ((0.0, 0.05, 0.2, 0.1), OPEN, 10.0),
        ((0.0, 0.2, 0.2, 0.1), OPEN, 0.0),
        ((0.0, 0.1, 0.2, 0.1), RiskScalerConfig(0.0, 1.0, 0.0, 2.0), 0.5),
        ((0.1, 0.0, 0.0, 0.1), OPEN, 1.0),
    ],
)
def test_known_scales(state: tuple[float, ...], config: RiskScalerConfig, expected: float) -> None:
    assert compute_scaling_factor("ts_core", BucketRiskState(*state), config) == pytest.approx(expected, rel=1e-12)


@given(state=states, config=configs)
def test_the_scale_is_the_formula_within_its_limits(state: BucketRiskState, config: RiskScalerConfig) -> None:
    scale = compute_scaling_factor("b", state, config)
    assert config.min_scale <= scale <= config.max_scale
    if state.realized_vol > 1e-3:
        plain = (state.target_vol / state.realized_vol) ** config.vol_sensitivity * max(
            0.0, 1.0 - config.dd_sensitivity * state.current_drawdown / state.max_drawdown
        )
        assert scale == pytest.approx(min(max(plain, config.min_scale), config.max_scale), rel=1e-12)


@given(state=states, config=configs, more=st.floats(0.0, 1.0))
def test_more_risk_never_raises_the_scale(state: BucketRiskState, config: RiskScalerConfig, more: float) -> None:
    scale = compute_scaling_factor("b", state, config)

    def of(**fields: float) -> float:
        return compute_scaling_factor("b", changed(state, **fields), config)

    tolerance = 1e-12 * config.max_scale
    assert of(realized_vol=state.realized_vol + more) <= scale + tolerance
    assert of(current_drawdown=min(1.0, state.current_drawdown + more)) <= scale + tolerance
    assert of(target_vol=state.target_vol + more) >= scale - tolerance
    assert of(max_drawdown=min(1.0, state.max_drawdown + more)) >= scale - tolerance


def test_extreme_ratios_do_not_overflow() -> None:
    config = RiskScalerConfig(vol_sensitivity=50.0, dd_sensitivity=1.0, min_scale=0.1, max_scale=2.0)
    assert compute_scaling_factor("b", BucketRiskState(1e-300, 0.0, 0.2, 1e300), config) == 2.0
    assert compute_scaling_factor("b", BucketRiskState(1e-10, 0.0, 0.2, 1.0), config) == 2.0
    assert compute_scaling_factor("b", BucketRiskState(1e300, 0.0, 0.2, 1e-300), config) == 0.1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("realized_vol", math.nan),
        ("realized_vol", math.inf),
        ("realized_vol", -0.1),
        ("current_drawdown", -0.01),
        ("current_drawdown", 1.01),
        ("current_drawdown", math.nan),
        ("max_drawdown", -0.1),
        ("max_drawdown", 1.5),
        ("target_vol", 0.0),
        ("target_vol", math.inf),
    ],
)
def test_a_state_that_cannot_be_is_refused(field: str, value: float) -> None:
    good = {"realized_vol": 0.2, "current_drawdown": 0.1, "max_drawdown": 0.2, "target_vol": 0.1}
    with pytest.raises(DataError, match=rf"BucketRiskState\.{field} = "):
        BucketRiskState(**good | {field: value})


@pytest.mark.parametrize("field", ["vol_sensitivity", "dd_sensitivity", "min_scale", "max_scale"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_a_config_that_cannot_be_is_refused(field: str, value: float) -> None:
    good = {"vol_sensitivity": 1.0, "dd_sensitivity": 1.0, "min_scale": 0.2, "max_scale": 1.0}
    with pytest.raises(PolicyError, match=rf"RiskScalerConfig\.{field} = "):
        RiskScalerConfig(**good | {field: value})


def test_the_limits_are_in_order() -> None:
    with pytest.raises(PolicyError, match=r"min_scale = 1\.5 exceeds max_scale = 1\.0"):
        RiskScalerConfig(1.0, 1.0, 1.5, 1.0)


def test_a_drawdown_where_none_is_allowed_names_the_bucket() -> None:
    with pytest.raises(DataError, match=r"bucket 'ts_core': current_drawdown is 0\.1, max_drawdown 0"):
        compute_scaling_factor("ts_core", BucketRiskState(0.2, 0.1, 0.0, 0.1), OPEN)


# --- the scaler -------------------------------------------------------------------------------------------

VOLATILITY = {"window": 120, "refit_every": 50, "min_observations": 100}


def policy(**scaler: object) -> Policy:
    buckets = {
        "safe": {"role": "safe", "base_nav_frac": 0.8},
        "ts_core": {"role": "risk", "base_nav_frac": 0.1},
        "ml_secondary": {"role": "risk", "base_nav_frac": 0.1},
    }
    section = {
        "volatility": VOLATILITY,
        "buckets": {
            "ts_core": {"target_vol": 0.10, "min_scale": 0.0},
            "ml_secondary": {"target_vol": 0.15, "max_drawdown": 0.3, "max_scale": 1.5},
        },
    }
    return Policy.from_mapping({"risk_buckets": {"buckets": buckets}, "risk_scaler": section | scaler})


def returns(size: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, [0.012, 0.008], size=(size, 2))
    return pd.DataFrame(values, columns=["ts_core", "ml_secondary"])


def test_scales_are_the_formula_of_each_buckets_own_returns() -> None:
    scaler, rows = RiskScaler(policy()), returns(170)
    for row in rows.to_dict("records"):
        scaler.update(row)
    for name, target, allowed, config in (
        ("ts_core", 0.10, 0.2, RiskScalerConfig(1.0, 1.0, 0.0, 1.0)),
        ("ml_secondary", 0.15, 0.3, RiskScalerConfig(1.0, 1.0, 0.25, 1.5)),
    ):
        forecast = GarchVolatility(**VOLATILITY).fit(rows[name]).forecast(annualized=True)
        drawdown = Drawdown()
        for value in rows[name]:
            drawdown.update(value)
        state = BucketRiskState(forecast.volatility, drawdown.current, allowed, target)
        assert scaler.states()[name] == state
        assert scaler.scales()[name] == compute_scaling_factor(name, state, config)
        facts = scaler.diagnostics().loc[name]
        assert facts["realized_vol"] == forecast.volatility
        assert facts["current_drawdown"] == drawdown.current
        assert facts["deepest_drawdown"] == drawdown.maximum
        assert (facts["model"], facts["fallback_reason"]) == (forecast.model, forecast.fallback_reason)
        assert facts["scale"] == scaler.scales()[name]
    assert list(scaler.scales().index) == ["safe", "ts_core", "ml_secondary"]
    assert scaler.scales()["safe"] == 1.0


def test_twenty_returns_are_needed() -> None:
    scaler = RiskScaler(policy())
    assert (scaler.scales() == 1.0).all()
    for _ in range(19):
        scaler.update({"ts_core": 0.05})
    assert scaler.scales()["ts_core"] == 1.0
    assert scaler.states() == {}
    assert scaler.diagnostics().loc["ts_core", "fallback_reason"] == "19 returns, 20 needed"
    scaler.update({"ts_core": 0.05})
    assert scaler.scales()["ts_core"] == pytest.approx(0.10 / (0.05 * math.sqrt(252)))
    assert set(scaler.states()) == {"ts_core"}
    facts = scaler.diagnostics().loc["ts_core"]
    assert (facts["model"], facts["fallback_reason"]) == ("EWMA", "20 returns, 100 needed")


def test_a_bucket_that_is_absent_or_nan_keeps_its_state() -> None:
    rows = returns(60)
    plain, gappy = RiskScaler(policy()), RiskScaler(policy())
    for row in rows.to_dict("records"):
        plain.update(row)
        gappy.update(pd.Series(row))
        gappy.update({"ts_core": math.nan, "safe": 0.0})
        gappy.update({})
    pd.testing.assert_series_equal(plain.scales(), gappy.scales())
    pd.testing.assert_frame_equal(plain.diagnostics(), gappy.diagnostics())


def test_switched_off_every_scale_is_one() -> None:
    scaler = RiskScaler(policy(enabled=False))
    for row in returns(30).to_dict("records"):
        scaler.update(row)
    assert scaler.scales().to_dict() == {"safe": 1.0, "ts_core": 1.0, "ml_secondary": 1.0}
    assert scaler.states() == {}
    assert scaler.diagnostics().empty


def test_the_scale_of_a_bar_does_not_know_the_next() -> None:
    rows, other = returns(130), returns(130)
    other.iloc[115:] = -0.3
    one, two = RiskScaler(policy()), RiskScaler(policy())
    for bar in range(115):
        one.update(rows.iloc[bar])
        two.update(other.iloc[bar])
        pd.testing.assert_series_equal(one.scales(), two.scales(), check_exact=True)
    one.update(rows.iloc[115])
    two.update(other.iloc[115])
    assert one.scales()["ts_core"] > two.scales()["ts_core"]


def test_a_bad_return_names_its_bucket_and_changes_nothing() -> None:
    scaler = RiskScaler(policy())
    for row in returns(40).to_dict("records"):
        scaler.update(row)
    before = scaler.diagnostics()
    with pytest.raises(DataError, match="return of bucket 'ml_secondary' is inf"):
        scaler.update({"ts_core": 0.01, "ml_secondary": math.inf})
    with pytest.raises(DataError, match="unknown bucket 'ts_cor'; the policy has safe, ts_core, ml"):
        scaler.update({"ts_core": 0.01, "ts_cor": 0.01})
    with pytest.raises(DataError, match="return of bucket 'safe'"):
        scaler.update({"ts_core": 0.01, "safe": math.inf})
    pd.testing.assert_frame_equal(scaler.diagnostics(), before)


def test_scales_as_an_array_are_the_scales_and_belong_to_the_caller() -> None:
    scaler, rows = RiskScaler(policy()), returns(60)
    for bar in range(60):
        scaler.update(rows.iloc[bar] if bar % 3 else {"ts_core": float(rows["ts_core"].iloc[bar])})
        asked = RiskScaler(policy())  # asked once, after every return
        for past in range(bar + 1):
            asked.update(rows.iloc[past] if past % 3 else {"ts_core": float(rows["ts_core"].iloc[past])})
        assert scaler.scale_array().tolist() == asked.scales().tolist()
    scaler.scale_array()[:] = 0.0
    assert scaler.scales().tolist() == asked.scales().tolist()
    assert min(asked.scales()) < 1.0
