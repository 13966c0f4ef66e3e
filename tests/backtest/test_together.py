"""Days lived in one compiled loop leave the very same bits behind as days lived one by one."""

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy

import pmx
from pmx.backtest.together import TogetherDays

TABLES = (
    *("nav", "weights", "positions", "bucket_weights", "safe_weight", "risk_scale", "trades", "rules", "contributions"),
    "status",
)


def world(seed):
    """Random prices with gaps, wishes with holes and a few shorts, and a policy with every rule that the loop knows."""
    rng = np.random.default_rng(seed)
    n, days = int(rng.integers(2, 24)), int(rng.integers(30, 700))
    symbols = [f"{rng.choice(['US', 'EM'])}{j}" for j in range(n)]
    dates = pd.bdate_range("2018-01-01", periods=days)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (days, n)), axis=0))
    if rng.random() < 0.5:
        closes[rng.integers(5, days, 3), rng.integers(0, n, 3)] = np.nan
    wishes = rng.exponential(0.5 / n, (days, n)) * (rng.random((days, n)) < 0.9)
    kept = np.ones(days, dtype=bool)
    if rng.random() < 0.5:
        kept[rng.integers(0, days, 4)] = False
    if rng.random() < 0.3:
        wishes[rng.integers(0, days, 2), 0] = -0.02
    columns = pd.MultiIndex.from_tuples([(str(rng.choice(["core", "tail"])), s) for s in symbols])
    buckets = {
        "safe": {"role": "safe", "base_nav_frac": 0.5},
        "core": {"role": "risk", "base_nav_frac": 0.3, "max_nav_frac": 0.3},
        "tail": {"role": "risk", "base_nav_frac": 0.2, "allow_short": bool(rng.random() < 0.5)},
    }
    turnover = {"max": float(rng.choice([0.02, 0.2])), "hard": bool(rng.random() < 0.5)} if rng.random() < 0.6 else {}
    policy = bare_policy(
        {
            "risk_buckets": {"buckets": buckets, "portfolio": {"distance": str(rng.choice(["relative", "absolute"]))}},
            "barbell": {
                "safe_bucket": {"min_weight": 0.5, "max_weight": 0.9},
                "risk_bucket": {"max_weight": 0.4, "max_per_position": 0.05},
                "markets": {"us": ["US*"]},
                "market_caps": {"us": 0.2},
            },
            "execution": {"turnover": turnover | {"cost": float(rng.choice([0.0, 0.001]))}},
        }
    )
    prices = pd.DataFrame(closes, index=dates, columns=symbols)
    rate = pd.Series(rng.uniform(0.0, 2e-4, days), index=dates) if rng.random() < 0.5 else None
    trade_at, costs = str(rng.choice(["close", "next_close"])), float(rng.choice([0.0, 1e-3]))
    targets = pd.DataFrame(wishes, index=dates, columns=columns)[kept]
    return prices, policy, targets, {"trade_at": trade_at, "cash_rate": rate, "costs": costs}


def test_the_loop_leaves_the_same_bits_as_one_day_after_the_other(monkeypatch):
    lived = []
    live = TogetherDays.live
    monkeypatch.setattr(TogetherDays, "live", lambda self, run, i: lived.append(live(self, run, i)) or lived[-1])
    for seed in range(25):
        prices, policy, targets, how = world(seed)
        together = pmx.backtest(prices, policy, targets=targets, **how)
        with monkeypatch.context() as patch:
            patch.setattr(TogetherDays, "of", classmethod(lambda cls, run: None))
            apart = pmx.backtest(prices, policy, targets=targets, **how)
        for name in TABLES:
            one, other = getattr(together, name), getattr(apart, name)
            if name == "rules":
                pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-12)
            elif isinstance(one, pd.Series):
                pd.testing.assert_series_equal(one, other, check_exact=True)
            else:
                pd.testing.assert_frame_equal(one, other, check_exact=True)
        assert together.last.signed.tobytes() == apart.last.signed.tobytes()
        assert repr(together) == repr(apart)
        assert f"{len(apart.trades):,} trades" in repr(apart)
    assert sum(lived) > 3_000  # most days are lived together


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 23, 127, 128])
def test_sums_are_numpys_to_the_last_bit(size):
    from pmx.projection.kernels import kernel

    for seed in range(20):
        values = np.random.default_rng(seed).normal(size=size) * 1e6
        assert kernel("days", "total")(values, 0, size) == float(values.sum())
