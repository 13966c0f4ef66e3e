"""Gates in a backtest: shut on a symbol that is fed bad signals, seen in every table, open again without flapping."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.backtest.together import TogetherDays
from pmx.execution import Desk, Holdings, read_audit_log, signals_today, step
from pmx.execution.oversight import strictest
from pmx.monitoring import report_html
from pmx.monitoring.tables import gates_table
from pmx.signals import Signal
from pmx.signals.judged_engine import JudgedEngine
from pmx.signals.success import Result

HORIZON, LOOKBACK, CLOSE_AFTER, REOPEN_AFTER, LEAST_SHUT = 2, 24, 4, 6, 10
RULES = {
    "barbell.enable_barbell_validation": True,
    "execution.trade_at": "close",
    "quant_success_config.horizon_bars": HORIZON,
    "quant_success_config.lookback_bars": LOOKBACK,
    "quant_success_config.min_judged": 12,
    "forecaster_monitoring.gate": {
        "window": 8, "close_after": CLOSE_AFTER, "reopen_after": REOPEN_AFTER, "min_bars_closed": LEAST_SHUT,
    },
}  # fmt: skip
POLICY = pmx.load_policy().override(RULES)
BAD_FROM, BAD_UNTIL, DAYS = 60, 110, 220


class Scripted:
    """Knows the coming bars of its own world, and says the opposite of A's between two days; always buys BIL."""

    source = "time_series_core"

    def __init__(self, table):
        self.ahead = (table.shift(-HORIZON) / table - 1).fillna(0.01)
        self.number = {date: i for i, date in enumerate(table.index)}

    def signals(self, prices):
        date = prices.index[-1]
        day = self.number[date]
        said = []
        for symbol in prices:
            right = 1 if self.ahead.loc[date, symbol] > 0 else -1
            wrong = symbol == "A" and BAD_FROM <= day < BAD_UNTIL
            direction = -right if wrong else right
            said.append(Signal(symbol, direction, 1.0, direction * 0.5, 0.8, self.source))
        return said


def table(seed=1):
    steps = np.random.default_rng(seed).normal(0.0, 0.01, (DAYS, 2))
    closes = 100 * np.exp(steps.cumsum(axis=0))
    return pd.DataFrame(closes, pd.bdate_range("2020-01-01", periods=DAYS), ["A", "B"])


def run(policy=POLICY, prices=None, **how):
    prices = table() if prices is None else prices
    return pmx.backtest(prices, policy, engines=[Scripted(table())], **how)


def shut_days(file, symbol="A"):
    """Return the days on which the symbol's gate was shut, from the audit log."""
    return [line.date for line in read_audit_log(file).lines if line.symbol == symbol and line.gated]


def test_a_symbol_fed_bad_signals_is_gated_and_comes_back(tmp_path):
    result, plain = (
        run(audit=tmp_path / "audit.jsonl"),
        run(POLICY.override({"barbell.enable_barbell_validation": False})),
    )
    dates = table().index
    shut = dates.isin(pd.to_datetime(shut_days(tmp_path / "audit.jsonl")))
    switches = np.flatnonzero(np.diff(shut.astype(int))) + 1
    assert len(switches) == 2  # shut once, open once
    closed, opened = switches
    # Bad outcomes are known HORIZON bars later and outweigh the good ones once they fill the lookback.
    assert closed + 1 >= BAD_FROM + HORIZON + CLOSE_AFTER
    assert closed <= BAD_FROM + HORIZON + LOOKBACK + CLOSE_AFTER
    assert BAD_UNTIL < opened <= BAD_UNTIL + HORIZON + LOOKBACK + REOPEN_AFTER
    weight = result.weights["A"].to_numpy()
    assert (weight[closed:opened] == 0.0).all()
    assert (weight[opened:] > 0.05).any()
    assert (weight[20:closed] > 0.05).any()
    assert plain.weights["A"].iloc[closed:opened].max() > 0.05  # it would have been held
    assert result.gates.to_dict("records") == [
        {"symbol": "A", "mode": "exit", "shut": dates[closed], "opened": dates[opened], "decisions": opened - closed}
    ]
    assert plain.gates.empty
    assert result.gates.dtypes.equals(plain.gates.dtypes)
    text = gates_table(result).iloc[0].tolist()
    assert text == ["A", "exit", f"{dates[closed]:%Y-%m-%d}", f"{dates[opened]:%Y-%m-%d}", str(opened - closed)]
    told = result.signals.set_index(["symbol", "date"])["why"]
    at_the_gate = told.str.endswith("; its gate is shut (exit)")
    assert at_the_gate["A"].loc[dates].tolist() == shut.tolist()
    assert not at_the_gate["B"].any()
    for known in (table().iloc[: closed + 1], table().iloc[: opened + 1]):  # the words are those of the signals now
        today = signals_today(known, POLICY, engines=[Scripted(table())]).set_index("symbol")["why"]
        assert today.to_dict() == told.loc[:, known.index[-1]].to_dict()
    assert "Gates of validation" in report_html({"run": result})
    assert "Gates of validation" not in report_html({"run": plain})
    rule = result.rules.loc["gate.A"]
    assert rule["days_binding"] == opened - closed
    assert rule["mean_shadow_price"] > 0
    assert rule["saved"] > 0
    assert "gate.B" not in result.rules.index
    assert result.contributions["gate.A"].abs().sum() > 0
    assert float(result.metrics["annualized_return"]) > float(plain.metrics["annualized_return"])
    for day in (closed - 1, opened):
        assert np.array_equal(weight[: closed - 1], plain.weights["A"].to_numpy()[: closed - 1])
        assert not shut[day]


def test_the_gate_is_in_the_allocations_rules_attribution_and_words():
    prices = table().iloc[:100]
    desk = Desk(POLICY, ["A", "B"], [Scripted(table())])
    decisions = [
        step(desk, Holdings(1e6, np.zeros(len(desk.index)), {}), prices.iloc[: k + 1]) for k in range(90, len(prices))
    ]
    gated = [d for d in decisions if d.allocation.target["ts_core", "A"] > 0]
    assert gated
    for decision in gated:
        answer = decision.allocation
        assert answer.rules.loc["gate.A", "binding"]
        assert answer.attribution.loc[("ts_core", "A"), "gate.A"] < 0
        assert answer.weights["A"] == 0.0
        assert "gate.A" in answer.explain()
        assert {v.signal.symbol: v.gated for v in decision.verdicts} == {"A": True, "B": False}


def test_reduce_only_lets_it_shrink_and_never_grow(tmp_path):
    policy = POLICY.override({"forecaster_monitoring.gate.mode": "reduce_only", "execution.turnover.max": 0.005})
    result = run(policy, audit=tmp_path / "log")
    shut = table().index.isin(pd.to_datetime(shut_days(tmp_path / "log")))
    held = result.positions[("ts_core", "A")].to_numpy()
    days = np.flatnonzero(shut)
    assert len(days) > LEAST_SHUT
    assert held[days[0] - 1] > 0
    assert all(held[day] <= held[day - 1] * (1 + 1e-9) for day in days)


def test_with_the_switch_off_nothing_changes_to_the_bit(tmp_path):
    off = POLICY.override({"barbell.enable_barbell_validation": False})
    plain, judged = run(off), run(off, audit=tmp_path / "log")
    run(audit=tmp_path / "on")
    for name in ("nav", "weights", "positions", "trades", "rules", "contributions", "status"):
        assert getattr(plain, name).equals(getattr(judged, name)), name
    engine = Scripted(table())
    assert Desk(off, ["A", "B"], [engine]).engines == (engine,)
    assert isinstance(Desk(POLICY, ["A", "B"], [engine]).engines[0], JudgedEngine)
    assert not pmx.load_policy().barbell.enable_barbell_validation
    lines = read_audit_log(tmp_path / "log").lines
    assert len(lines) == 2 * DAYS
    assert {line.result for line in lines} == set(Result)
    assert any(line.gated for line in read_audit_log(tmp_path / "on").lines)
    assert not any(line.gated for line in lines)  # no gate may shut


@pytest.mark.parametrize("row", [70, 85, 120, 150])
def test_no_later_price_changes_a_gated_day(row, tmp_path):
    whole = run(audit=tmp_path / "one")
    other = table()
    other.iloc[row + 1 :] *= np.exp(np.random.default_rng(row).normal(0.0, 0.3, other.iloc[row + 1 :].shape))
    changed = run(prices=other, audit=tmp_path / "two")
    date = table().index[row]
    for name in ("nav", "weights", "positions", "status"):
        assert getattr(whole, name).loc[:date].equals(getattr(changed, name).loc[:date]), name
    one, two = (
        [line for line in (tmp_path / name).read_text().splitlines() if line.split('"')[5] <= f"{date:%Y-%m-%d}"]
        for name in ("one", "two")
    )
    assert one == two
    assert len(one) == 2 * (row + 1)


def test_a_run_that_starts_late_knows_the_gates_of_before(tmp_path):
    whole, late = run(audit=tmp_path / "one"), run(start=table().index[95], audit=tmp_path / "two")
    days = whole.weights.index[95:100]
    assert shut_days(tmp_path / "two") == [day for day in shut_days(tmp_path / "one") if day >= f"{days[0]:%Y-%m-%d}"]
    assert (late.weights.loc[days, "A"] == 0.0).all()
    assert late.gates.loc[0, "shut"] == days[0]  # the first decision of the run
    assert late.gates["opened"].tolist() == whole.gates["opened"].tolist()
    early = run(end=table().index[100])
    assert early.gates.isna().sum().to_dict() == {"symbol": 0, "mode": 0, "shut": 0, "opened": 1, "decisions": 0}
    assert gates_table(early)["opened"].tolist() == ["–"]


def test_a_safe_symbol_keeps_its_weight_whatever_is_said_of_it():
    rng = np.random.default_rng(0)
    prices = table().assign(BIL=100 * np.exp(np.cumsum(rng.normal(-0.001, 0.001, DAYS))))
    policy = POLICY.override(
        {
            "risk_buckets.buckets.safe.standing": {"BIL": 0.5},
            "signal_routing_config.sources.safe_talk": {"bucket": "safe", "priority": 9},
            "quant_success_config.judged_sources": ["safe_talk"],
        }
    )

    class Bull:
        source = "safe_talk"

        def signals(self, known):
            return [Signal("BIL", 1, 1.0, 0.5, 0.8, self.source)]

    desk = Desk(policy, list(prices.columns), [Bull()])
    decision = step(desk, Holdings(1e6, np.zeros(len(desk.index)), {}), prices)
    assert decision.verdicts[0].result is Result.FAIL
    assert not decision.verdicts[0].gated
    assert "gate.BIL" not in decision.allocation.rules.index
    assert decision.allocation.weights["BIL"] > 0.1


def test_the_stricter_of_two_gates_holds():
    assert strictest({"A": "reduce_only"}, {"A": "exit"}) == {"A": "exit"}
    assert strictest({"A": "exit"}, {"A": "reduce_only"}) == {"A": "exit"}
    assert strictest({}, {"A": "reduce_only"}, {}) == {"A": "reduce_only"}
    desk = Desk(POLICY.override({"forecaster_monitoring.gate.mode": "reduce_only"}), ["A", "B"], [Scripted(table())])
    held = np.zeros(len(desk.index))
    held[desk.row_of("ts_core", "A")] = 0.05
    assert desk.oversight.gated == {}
    row = next(k for k in range(90, 110) if Scripted(table()).signals(table().iloc[: k + 1])[0].direction > 0)
    shrunk = step(desk, Holdings(1e6, held, {}), table().iloc[: row + 1])
    closed = step(desk, Holdings(1e6, held, {}), table().iloc[: row + 1], gated={"A": "exit"})
    assert desk.oversight.gated == {"A": "reduce_only"}
    assert shrunk.allocation.weights["A"] > 0.01
    assert closed.allocation.weights["A"] == 0.0


def test_signals_are_judged_after_a_round_trip_of_the_policys_costs():
    def profit(bps):
        policy = POLICY.override({"execution.costs.commission_bps": bps, "execution.costs.half_spread_bps": 0.0})
        desk = Desk(policy, ["A", "B"], [Scripted(table())])
        desk.signals(table().iloc[:50])
        return desk.oversight.verdicts[0].figures.expected_profit

    # Outcomes of the last LOOKBACK bars; half a round trip at each change of what a slice of HORIZON bars holds.
    now, engine = 49, Scripted(table())
    said = [engine.signals(table().iloc[: k + 1])[0].direction for k in range(now + 1)]
    judged = range(now - LOOKBACK, now - HORIZON + 1)
    changes = [(said[k] != said[k - HORIZON]) + (said[k] != said[k + HORIZON]) for k in judged]
    assert 0 < np.mean(changes) < 2
    assert profit(0.0) - profit(5.0) == pytest.approx(5e-4 * np.mean(changes))


def test_given_wishes_are_no_signals_and_the_compiled_loop_still_runs(monkeypatch, tmp_path):
    lived = []
    live = TogetherDays.live
    monkeypatch.setattr(TogetherDays, "live", lambda self, run, i: lived.append(live(self, run, i)) or lived[-1])
    wishes = pd.DataFrame(0.05, index=table().index, columns=["A", "B"])
    policy = POLICY.override({"risk_scaler.enabled": False})
    result = pmx.backtest(table(), policy, targets=wishes, audit=tmp_path / "log")
    assert sum(lived) > 100
    assert read_audit_log(tmp_path / "log").lines == ()
    assert not any(name.startswith("gate.") for name in result.rules.index)
    lived.clear()
    run(policy)
    assert lived == []  # with signals to judge, each day is lived by itself


@pytest.mark.parametrize(("expires_after", "opens"), [(None, None), (252, None), (40, 140)])
def test_a_symbol_that_is_silent_stays_as_it_was_until_its_record_is_old(expires_after, opens):
    """Once gated, silence is no proof; never judged, no reason."""
    prices = table()
    policy = POLICY.override({"forecaster_monitoring.gate.expires_after": expires_after})

    class Fading(Scripted):
        def signals(self, known):
            return super().signals(known) if len(known) <= 100 else []

    desk = Desk(policy, ["A", "B"], [Fading(prices)])
    last = len(prices) if opens is None else opens
    for k in range(95, len(prices) + 1):
        step(desk, Holdings(1e6, np.zeros(len(desk.index)), {}), prices.iloc[:k])
        assert desk.oversight.gated == ({"A": "exit"} if k < last or opens is None else {}), k


class Bull:
    """Always buys A, under any source."""

    def __init__(self, source="time_series_core", confidence=0.8):
        self.source, self.confidence = source, confidence

    def signals(self, prices):
        return [Signal("A", 1, 1.0, 0.5, self.confidence, self.source)]


def falling():
    """Return prices that rise for 60 days and fall from then on, A faster than B."""
    steps = (
        np.random.default_rng(2).normal(0.0, 0.003, (160, 2)) + np.where(np.arange(160) < 60, 0.002, -0.002)[:, None]
    )
    closes = 100 * np.exp(steps.cumsum(axis=0))
    return pd.DataFrame(closes, pd.bdate_range("2020-01-01", periods=160), ["A", "B"])


def test_exit_takes_the_weight_within_close_after_bars_of_bad_verdicts(tmp_path):
    result = pmx.backtest(falling(), POLICY, engines=[Bull()], audit=tmp_path / "log")
    lines = read_audit_log(tmp_path / "log").lines
    first = next(i for i, line in enumerate(lines) if all(x.result is Result.FAIL for x in lines[i : i + 20]))
    assert first > 60
    weight = result.weights["A"].to_numpy()
    assert (weight[first + CLOSE_AFTER - 1 :] == 0.0).all()
    assert weight[first - CLOSE_AFTER] > 0.05
    assert result.rules.loc["gate.A", "saved"] > 0


@pytest.mark.parametrize("trade_at", ["close", "next_close"])
def test_reduce_only_keeps_what_is_wanted_on_and_never_lets_the_weight_grow(trade_at, tmp_path):
    """A constant BUY asks for no less, so a gate that only forbids growth takes nothing from it."""
    policy = POLICY.override(
        {
            "forecaster_monitoring.gate.mode": "reduce_only",
            "risk_scaler.enabled": False,
            "execution.trade_at": trade_at,
        }
    )
    result = pmx.backtest(falling(), policy, engines=[Bull()], audit=tmp_path / "log")
    days = np.flatnonzero(falling().index.isin(pd.to_datetime(shut_days(tmp_path / "log"))))
    held, weight = result.positions[("ts_core", "A")].to_numpy(), result.weights["A"].to_numpy()
    assert len(days) > 60
    assert weight[-1] > 0.8 * weight[days[0] - 1] > 0.04
    if trade_at == "close":  # what is traded at once is what was decided: nothing is bought
        assert (np.diff(held[days[0] - 1 :]) <= 1e-9 * held[days[0] - 1]).all()
        assert result.rules.loc["gate.A", "days_binding"] > 0
    else:  # the weight decided is at most the one that is held, and is that of the next close
        owned = held * falling()["A"].to_numpy() / result.nav.to_numpy()
        assert (weight[days] <= owned[days] + 1e-9).all()
        assert weight[days] == pytest.approx(owned[days], abs=1e-4)


def test_a_gate_is_one_rule_for_a_symbol_and_takes_it_from_every_engine():
    policy = POLICY.override({"signal_routing_config.sources.ml_secondary.min_edge": 0.0})
    quiet = 0.3  # below min_confidence: the router does not hear it, so its verdicts move nothing
    for confidence, kept in ((0.8, False), (quiet, True)):
        desk = Desk(policy, ["A", "B"], [Bull(confidence=confidence), Bull("ml_secondary")])
        decision = step(desk, Holdings(1e6, np.zeros(len(desk.index)), {}), falling())
        assert decision.verdicts[0].result is Result.FAIL
        assert (decision.allocation.positions["ml_secondary", "A"] > 0.01) == kept
        assert ("gate.A" in decision.allocation.rules.index) != kept
