"""Judge every signal of a backtest, gate what has gone bad, and ask whether the forecaster is healthy.

The prices are simulated with an edge that can be found, so the verdict is known beforehand: healthy. On one symbol the
edge turns round past the middle, which no model can know before it happens: its gate shuts, and opens when the model
has learnt the new one. On the others, a gate that shut would be a false alarm.

Run: python examples/signal_health.py
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

import pmx
from pmx.execution import read_audit_log
from pmx.monitoring import health_of, health_table
from pmx.monitoring.tables import gates_table
from pmx.signals.success import Result

DAYS, SYMBOLS = 900, ("STEADY", "CALM", "TURNING")
ENGINE = "signal_routing_config.engines.time_series."
CHANGES = {
    "barbell.enable_barbell_validation": True,
    ENGINE + "horizon": 1,
    ENGINE + "window": 250,
    ENGINE + "min_observations": 250,
    "quant_success_config.lookback_bars": 120,
    "risk_scaler.enabled": False,
}


def simulated() -> pd.DataFrame:
    """Return prices whose returns lean on the day before; for TURNING the lean changes its sign."""
    rng = np.random.default_rng(7)
    returns = np.zeros((DAYS, len(SYMBOLS)))
    for day in range(1, DAYS):
        lean = np.array([0.25, 0.25, 0.35 if day < DAYS * 0.6 else -0.35])
        returns[day] = lean * returns[day - 1] + rng.normal(0.0, 0.01, len(SYMBOLS))
    dates = pd.bdate_range("2020-01-01", periods=DAYS, name="date")
    return pd.DataFrame(100.0 * np.exp(returns.cumsum(axis=0)), dates, list(SYMBOLS))


def main() -> None:
    log = Path("out", "signal_audit.jsonl")
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    policy = pmx.load_policy().override(CHANGES)
    result = pmx.backtest(simulated(), policy, audit=log)

    lines = read_audit_log(log).lines
    health = health_of(lines, policy.forecaster_monitoring)
    print(health_table(health).to_string(index=False))
    counts = Counter(line.result for line in lines)
    said = ", ".join(f"{counts[result]:,} {result}" for result in Result)
    print(f"{len(lines):,} signals into {log}: {said}. Of the latest {health.judged} that passed or failed: ", end="")
    print(f"{health.fail_fraction:.1%} FAIL, {'healthy' if health.healthy else 'unhealthy'}")
    print(gates_table(result).to_string(index=False))
    gates = result.rules.filter(like="gate.", axis=0)
    print(gates[["days_binding", "mean_shadow_price", "saved", "cost"]].to_string())


if __name__ == "__main__":
    main()
