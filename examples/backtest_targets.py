"""Backtest given weights under a policy, and under the same policy with a stricter floor.

Run: python examples/backtest_targets.py
"""

import pandas as pd

import pmx
from pmx.data import load_demo_cash_rate, load_demo_prices


def main() -> None:
    prices = load_demo_prices().loc["2008-06":"2009"]
    # Momentum over a quarter: equal parts of whatever rose, a third of NAV each. Rows use closes up to their own date.
    rising = prices.ffill().pct_change(63) > 0
    targets = rising.iloc[63:].astype(float) / len(prices.columns)

    policy = pmx.load_policy()
    strict = policy.override({"barbell.safe_bucket.min_weight": 0.90})
    runs = {
        name: pmx.backtest(prices, chosen, targets=targets, cash_rate=load_demo_cash_rate(), start=targets.index[0])
        for name, chosen in {"shipped policy": policy, "floor of 90%": strict}.items()
    }

    figures = ["annualized_return", "annualized_volatility", "max_drawdown", "turnover"]
    print(pd.DataFrame({name: run.metrics[figures] for name, run in runs.items()}).round(4).to_string())
    for name, run in runs.items():
        decided, held = run.metrics["lowest_safe_weight"], run.metrics["lowest_safe_weight_held"]
        print(f"{name}: lowest safe weight decided {decided:.4f}, held {held:.4f}, floor {run.safe_floor:.2f}")
        print(run.rules.sort_values("days_binding")[["days", "days_binding", "mean_shadow_price"]].tail(3).to_string())


if __name__ == "__main__":
    main()
