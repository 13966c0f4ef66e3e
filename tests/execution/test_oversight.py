"""Who is judged, what a shut gate does, and what is said of engines that nobody judges."""

import logging

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import PolicyError
from pmx.execution.oversight import Oversight
from pmx.signals import Signal
from pmx.signals.judged_engine import JudgedEngine

POLICY = pmx.load_policy()
ON = {"barbell.enable_barbell_validation": True}


class Bull:
    def __init__(self, source="time_series_core"):
        self.source = source

    def signals(self, prices):
        return [Signal("WTI", 1, 1.0, 0.5, 0.8, self.source)]


@pytest.mark.parametrize(
    ("mode", "general", "expected"),
    [("exit", "reduce_only", "exit"), ("reduce_only", "exit", "reduce_only"), (None, "exit", "exit"),
     (None, "reduce_only", "reduce_only")],
)  # fmt: skip
def test_what_a_shut_gate_does(mode, general, expected):
    policy = POLICY.override(ON | {"forecaster_monitoring.gate.mode": mode, "execution.gate_mode": general})
    oversight = Oversight(policy, ["WTI"], [Bull()], judge=False)
    prices = pd.DataFrame({"WTI": 100 * 0.998 ** np.arange(120)}, pd.bdate_range("2020-01-01", periods=120))
    oversight.engines[0].signals(prices)
    assert oversight.gated == {"WTI": expected}


def test_as_shipped_a_shut_gate_forces_out_and_one_named_by_hand_lets_shrink():
    assert (POLICY.forecaster_monitoring.gate.mode, POLICY.execution.gate_mode) == ("exit", "reduce_only")


@pytest.mark.parametrize(("changes", "judge"), [(ON, False), ({}, True)])
def test_engines_that_nobody_judges_are_named_in_the_log(changes, judge, caplog):
    policy = POLICY.override(changes)
    with caplog.at_level(logging.WARNING, logger="pmx.execution"):
        oversight = Oversight(policy, ["WTI"], [Bull("ml_secondary"), Bull()], judge)
        assert [isinstance(engine, JudgedEngine) for engine in oversight.engines] == [False, True]
        Oversight(policy, ["WTI"], [Bull()], judge)
        Oversight(policy, ["WTI"], [], judge)
        Oversight(POLICY, ["WTI"], [Bull("ml_secondary")], judge=False)  # nobody asked for a judgement
    (record,) = caplog.records
    assert "nobody judges the signals of ml_secondary: quant_success_config.judged_sources is [time_series_core]" in (
        record.getMessage()
    )


def test_a_judged_source_that_there_is_not_is_a_mistake_in_the_policy():
    key = "quant_success_config.judged_sources"
    with pytest.raises(
        PolicyError, match=r"judged_sources.1: is no source .*'ml_secundary'; did you mean 'ml_secondary'"
    ):
        POLICY.override({key: ["time_series_core", "ml_secundary"]})
    assert POLICY.override({key: ["ml_secondary"]}).quant_success_config.judged_sources == ("ml_secondary",)
    pmx.Policy.from_mapping({})  # no source at all, and the default among the judged


def test_an_engine_that_is_on_needs_its_source():
    renamed = POLICY.to_mapping()
    sources = renamed["signal_routing_config"]["sources"]
    sources["ml_secundary"] = sources.pop("ml_secondary")
    pmx.Policy.from_mapping(renamed)  # as long as the engine is off, any name may stand there
    renamed["signal_routing_config"]["engines"]["machine_learning"]["enabled"] = True
    with pytest.raises(PolicyError, match=r"machine_learning.enabled: is true, but 'ml_secondary', .* 'ml_secundary'"):
        pmx.Policy.from_mapping(renamed)
