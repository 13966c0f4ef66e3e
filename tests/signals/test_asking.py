"""What is no engine, or no answer of one, is named with its remedy, wherever it is given."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import SignalError
from pmx.execution import Desk, default_engines
from pmx.signals import Signal
from pmx.signals.judged_engine import JudgedEngine

POLICY = pmx.load_policy()
CLOSES = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, (30, 1)), axis=0))
PRICES = pd.DataFrame(CLOSES, index=pd.bdate_range("2020-01-01", periods=30), columns=["SP500"])


class Answering:
    source = "time_series_core"

    def __init__(self, answer=()):
        self.answer = answer

    def signals(self, prices):
        return self.answer


class Sourceless(Answering):
    source = None


class Nobody:
    source = "time_series_core"


@pytest.mark.parametrize(
    ("engines", "said"),
    [
        ([Answering], r"engine Answering is a class, not an object; make one of it: Answering\(\)"),
        ([object()], r"engine a object has no method signals\(prices\); an engine has a source and a method"),
        ([None], "engine None has no method signals"),
        ([Nobody()], "engine a Nobody has no method signals"),
        ([Sourceless()], "engine a Sourceless has the source None, not a name; give it one that stands under"),
        (Answering(), r"engines is a Answering, not a list; put it into one: \[engine\]"),
        ("time_series", r"engines is the text 'time_series', not a list; write \['time_series'\]"),
    ],
)
def test_what_is_no_engine_is_refused(engines, said):
    with pytest.raises(SignalError, match=said):
        Desk(POLICY, ["SP500"], engines)
    with pytest.raises(SignalError, match=said):
        pmx.backtest(PRICES, POLICY, engines=engines)


def test_an_array_without_an_axis_is_no_list_of_engines():
    with pytest.raises(SignalError, match="engines is a ndarray, not a list"):
        Desk(pmx.load_policy(), ["SP500"], np.array(0.5))


def test_a_desk_takes_engines_and_no_names():
    with pytest.raises(SignalError, match=r"default_engines\(policy, symbols, \['time_series'\]\)"):
        Desk(POLICY, ["SP500"], ["time_series"])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "answered None, not a list; return a list of pmx.Signal, empty where there is nothing to say"),
        (1.5, "answered a float, not a list"),
        ("SP500", "answered a str, not a list"),
        ({"SP500": 1}, "answered a dict, not a list"),
        ([("SP500", 1)], "answered a list whose entry 0 is a tuple, not a Signal; build it with pmx.Signal"),
        (pd.DataFrame({"SP500": [1]}), "a list whose entry 0 is a str, not a Signal"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("judged", [False, True])
def test_what_is_no_answer_is_refused(answer, said, judged):
    desk = Desk(POLICY, ["SP500"], [Answering(answer)], judge=judged)
    assert isinstance(desk.engines[0], JudgedEngine) == judged
    with pytest.raises(SignalError, match=r"engine 'time_series_core' \(Answering\) answered"):
        desk.signals(PRICES)
    with pytest.raises(SignalError, match=said):
        pmx.backtest(PRICES, POLICY, engines=[Answering(answer)])


def test_any_iterable_of_signals_is_an_answer():
    buy = Signal("SP500", 1, 1.0, 0.2, 0.6, "time_series_core")
    for answer in ((buy,), iter([buy])):
        assert Desk(POLICY, ["SP500"], [Answering(answer)]).signals(PRICES) == [buy]


def test_a_source_that_the_policy_does_not_have_gets_a_guess():
    class Misspelt(Answering):
        source = "ml_secundary"

    said = "'ml_secundary' is unknown to signal_routing_config.sources; did you mean 'ml_secondary'"
    with pytest.raises(SignalError, match=said):
        Desk(POLICY, ["SP500"], [Misspelt()])


@pytest.mark.parametrize("name", ["timeseries", "time_series_core", "time-series"])
def test_a_name_that_is_nearly_right_gets_a_guess(name):
    with pytest.raises(SignalError, match=f"engine '{name}' is unknown; did you mean 'time_series'"):
        default_engines(POLICY, ["SP500"], [name])


@pytest.mark.parametrize(
    ("names", "said"),
    [("time_series", r"write \['time_series'\]"), ([Nobody()], "is no name; give engines themselves")],
)
def test_names_are_a_list_of_text(names, said):
    with pytest.raises(SignalError, match=said):
        default_engines(POLICY, ["SP500"], names)


def test_what_an_engine_raises_comes_through_with_its_name():
    class Broken(Answering):
        def signals(self, prices):
            return prices["GLD"]

    for policy in (POLICY, POLICY.override({"barbell.enable_barbell_validation": True})):  # an engine in an engine
        with pytest.raises(KeyError) as caught:
            pmx.backtest(PRICES, policy, engines=[Broken()])
        raised = [note for note in caught.value.__notes__ if note.startswith("raised by")]
        assert raised == ["raised by the engine 'time_series_core' (Broken)"]
