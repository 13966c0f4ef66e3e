"""Gates: when they shut, when they open, whom they leave alone, and how often they can switch."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pmx
from pmx.errors import PolicyError
from pmx.policy.schema import GateRule
from pmx.risk import Gate, Gates, may_be_gated

RULES = st.builds(
    lambda window, share, reopen, least, longer: GateRule(
        window=window, close_after=max(1, round(share * window)), reopen_after=reopen, min_bars_closed=least,
        expires_after=None if longer is None else max(reopen, least) + longer,
    ),
    st.integers(1, 15), st.floats(0.0, 1.0), st.integers(1, 12), st.integers(1, 25),
    st.none() | st.integers(0, 20),
)  # fmt: skip
VERDICTS = st.lists(st.sampled_from([True, False, None]), max_size=300)


def states(rule, verdicts):
    gate = Gate(rule)
    return [gate.update(bad) for bad in verdicts]


def test_a_gate_shuts_opens_and_stays_shut_for_its_time():
    rule = GateRule(window=5, close_after=3, reopen_after=2, min_bars_closed=4)
    bad, good = True, False
    assert states(rule, [bad, good, bad, good, good, bad]) == [False] * 6  # never three of five
    assert states(rule, [bad, good, bad, bad]) == [False, False, False, True]
    assert states(rule, [bad] * 3 + [good] * 5) == [False, False] + [True] * 4 + [False] * 2
    assert states(rule, [bad] * 3 + [bad, bad, bad, good, bad, good, good]) == [False, False] + [True] * 7 + [False]


def test_bars_without_a_verdict_pass_time_and_decide_nothing():
    rule = GateRule(window=3, close_after=2, reopen_after=2, min_bars_closed=5)
    assert states(rule, [True, None, None, True]) == [False, False, False, True]
    assert not any(states(rule, [None] * 50))
    assert states(rule, [True, True] + [None] * 251)[-1]  # silence is no proof
    assert states(rule, [True, True, False, None, None, None, False]) == [False] + [True] * 5 + [False]


@given(RULES, VERDICTS)
def test_it_cannot_flap(rule, verdicts):
    said = states(rule, verdicts)
    shutting = [t for t in range(len(said)) if said[t] and (t == 0 or not said[t - 1])]
    opening = [t for t in range(1, len(said)) if not said[t] and said[t - 1]]
    least_shut = max(rule.min_bars_closed, rule.reopen_after)
    cycle = rule.close_after + least_shut
    assert all(b - a >= cycle for a, b in itertools.pairwise(shutting))
    for t in opening:
        assert t - max(s for s in shutting if s < t) >= least_shut
        shut = verdicts[max(s for s in shutting if s < t) + 1 : t + 1]
        proven = [bad for bad in shut if bad is not None][-rule.reopen_after :] == [False] * rule.reopen_after
        expired = rule.expires_after is not None and True not in verdicts[t + 1 - rule.expires_after : t + 1]
        assert proven or expired
    assert len(shutting) + len(opening) <= 2 * (len(said) // cycle + 1)


def test_a_gate_that_nobody_speaks_for_any_more_opens_when_its_reasons_are_old():
    rule = GateRule(window=3, close_after=2, reopen_after=2, min_bars_closed=4, expires_after=6)
    shut = [True, True]
    assert states(rule, shut + [None] * 8) == [False] + [True] * 6 + [False] * 3
    assert states(rule, [*shut, None, None, None, True] + [None] * 7) == [False] + [True] * 10 + [False] * 2
    assert states(rule, [*shut, None, False, None, None, None, None])[-2:] == [True, False]  # one PASS is no FAIL
    never = rule.model_copy(update={"expires_after": None})
    assert all(states(never, shut + [None] * 2000)[1:])
    # It takes fresh reasons to shut again, as after any opening.
    assert states(rule, shut + [None] * 6 + [True, None, None, True]) == [False] + [True] * 6 + [False] * 4 + [True]
    every_bar_worse = [True, None, None, None, None, None] * 50
    said = states(
        rule.model_copy(update={"min_bars_closed": 1, "reopen_after": 1, "expires_after": 5}), every_bar_worse
    )
    switches = sum(a != b for a, b in itertools.pairwise(said))
    assert 0 < switches <= 2 * len(said) // (2 + 5)


def test_an_expiry_before_proof_could_open_it_is_refused():
    gate = "forecaster_monitoring.gate."
    with pytest.raises(PolicyError, match=r"gate.expires_after: is 19, below 20, the greater of reopen_after and min"):
        pmx.load_policy().override({gate + "expires_after": 19})
    with pytest.raises(PolicyError, match="is 252, below 300"):
        pmx.load_policy().override({gate + "reopen_after": 300})
    pmx.load_policy().override({gate + "expires_after": 20})
    pmx.load_policy().override({gate + "expires_after": None, gate + "reopen_after": 300})


@given(RULES, VERDICTS)
def test_it_shuts_exactly_when_it_has_fresh_reasons(rule, verdicts):
    said, since = states(rule, verdicts), 0
    for t, bad in enumerate(verdicts):
        if t and said[t - 1]:
            since = t + 1
            continue
        recent = [v for v in verdicts[since : t + 1] if v is not None][-rule.window :]
        assert said[t] == (bad is not None and sum(recent) >= rule.close_after)


@given(RULES, VERDICTS, VERDICTS)
def test_what_comes_later_changes_nothing_earlier(rule, verdicts, later):
    assert states(rule, verdicts + later)[: len(verdicts)] == states(rule, verdicts)


def test_good_verdicts_never_shut_it_and_bad_ones_always_do():
    rule = GateRule()
    assert not any(states(rule, [False] * 500))
    said = states(rule, [True] * 500)
    assert said.index(True) == rule.close_after - 1
    assert all(said[rule.close_after - 1 :])


@pytest.mark.parametrize(
    ("changes", "symbol"),
    [
        ({}, "BIL"),
        ({"risk_buckets.buckets.safe.symbols": ["B*"], "barbell.safe_bucket.symbols": []}, "BND"),
        (
            {
                "risk_buckets.buckets.safe.symbols": [],
                "barbell.safe_bucket.symbols": [],
                "risk_buckets.portfolio.residual_symbol": "AGG",
            },
            "AGG",
        ),
        (
            {
                "risk_buckets.buckets.safe.symbols": [],
                "barbell.safe_bucket.symbols": [],
                "risk_buckets.buckets.safe.standing": {"AGG": 0.5},
            },
            "AGG",
        ),
    ],
)
def test_a_safe_symbol_is_never_gated(changes, symbol):
    policy = pmx.load_policy().override(changes)
    assert not may_be_gated(policy, symbol)
    gates = Gates(policy)
    for _ in range(100):
        gates.update({symbol: True, "WTI": True})
    assert gates.shut == {"WTI"}
    gates.forget()
    assert gates.shut == frozenset()


def test_a_gate_that_could_never_shut_is_refused():
    with pytest.raises(PolicyError, match=r"gate.close_after: is 11, above window 10, so the gate could never shut"):
        pmx.load_policy().override({"forecaster_monitoring.gate.close_after": 11})
    on = {"barbell.enable_barbell_validation": True, "quant_success_config.lookback_bars": 25}
    with pytest.raises(
        PolicyError, match=r"lookback_bars: is 25, too few for 20 signals \(min_judged\) with a horizon"
    ):
        pmx.load_policy().override(on)
