"""What a backtest is told of costs is what its engines' edges and the verdicts on its signals know of them."""

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.execution import CostModel, read_audit_log
from pmx.signals import Signal

POLICY = pmx.load_policy()
TIME_SERIES = "signal_routing_config.engines.time_series"
SPEAKING = POLICY.override(
    {
        f"{TIME_SERIES}.{key}": value
        for key, value in {
            "horizon": 1, "window": 200, "min_observations": 200, "refit_every": 63, "members": ("ar_garch",),
            "evidence": 0.0,
        }.items()
    }
)  # fmt: skip


class Flip:
    """Says BUY for four bars and HOLD for four."""

    source, horizon = "time_series_core", 2

    def signals(self, prices):
        buy = len(prices) // 4 % 2
        return [Signal("A", buy, 1.0, 0.2 * buy, 0.6, self.source)]


def rising():
    steps = np.random.default_rng(0).normal(0.001, 0.005, 200)
    return pd.DataFrame({"A": 100 * np.exp(steps.cumsum())}, pd.bdate_range("2020-01-01", periods=200))


def trending():
    returns = np.zeros(260)
    moves = np.random.default_rng(1).normal(0.0, 0.01, 260)
    for day in range(1, 260):
        returns[day] = 0.4 * returns[day - 1] + moves[day]
    return pd.DataFrame({"A": 100 * np.exp(returns.cumsum())}, pd.bdate_range("2015-01-01", periods=260))


@pytest.mark.parametrize("validation", [False, True])
def test_verdicts_charge_what_the_backtest_charges(validation, tmp_path):
    policy = POLICY.override({"barbell.enable_barbell_validation": validation})
    profit = []
    for number, costs in enumerate((0.0, None, 0.01, CostModel(60.0, 40.0))):
        pmx.backtest(rising(), policy, engines=[Flip()], costs=costs, audit=tmp_path / f"{number}")
        profit.append(read_audit_log(tmp_path / f"{number}").lines[-1].figures["expected_profit"])
    # With slices of two bars, the first two of four BUYs enter and the last two leave: half a round trip each.
    assert profit[0] - profit[1] == pytest.approx(0.5 * 0.0004, rel=0.1)
    assert profit[0] - profit[2] == pytest.approx(0.5 * 0.02, rel=0.1)
    assert profit[3] == pytest.approx(profit[2], rel=1e-9)
    assert profit[2] < 0.0 < profit[1]


@pytest.mark.filterwarnings("ignore:costs. commission_bps is 1000 basis points:pmx.errors.PmxWarning")
@pytest.mark.parametrize("engines", [None, ["time_series"]])
def test_the_edges_of_the_policys_engines_are_net_of_it(engines):
    edges = {
        costs: pmx.backtest(trending(), SPEAKING, engines=engines, costs=costs).signals["edge"].abs()
        for costs in (None, 0.0002, 0.0, 0.1)
    }
    assert edges[None].equals(edges[0.0002])  # what the policy charges
    assert (edges[0.0] >= edges[None]).all()
    assert edges[0.0].sum() > edges[None].sum() > 0.0
    assert (edges[0.1] == 0.0).all()  # every forecast is a HOLD
    own = SPEAKING.override({f"{TIME_SERIES}.round_trip_cost_bps": 4.0})
    assert pmx.backtest(trending(), own, engines=engines, costs=0.1).signals["edge"].abs().equals(edges[None])
