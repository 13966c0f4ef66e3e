"""One live cycle: what is owned, the latest closes, signals, a certified allocation, orders in whole lots.

Run: python examples/live_cycle.py
"""

import pmx
from pmx.data import load_demo_prices
from pmx.execution import Desk, Holdings, default_engines, step


def main() -> None:
    policy = pmx.load_policy(overrides={"execution.sizing.lot_size": 1})
    prices = load_demo_prices().loc[:"2018-09-10"].dropna()  # yours: closes up to and including now
    now = prices.iloc[-1]

    owned = pmx.PortfolioSnapshot(950_000.0, {("ts_core", "WTI"): 1_500.0}, as_of=now.name)
    desk = Desk(policy, list(prices.columns), default_engines(policy, list(prices.columns)))
    decision = step(desk, Holdings.of(owned, now, desk), prices)

    plan = pmx.size_orders(decision.allocation, owned, now)
    print(f"NAV {float(pmx.compute_nav(owned, now, policy)):,.0f}")
    print(decision.routing.decisions[["symbol", "bucket", "direction", "reason"]].to_string(index=False))
    print(decision.allocation.weights.map("{:.2%}".format).to_string())
    print(plan.orders[["symbol", "side", "quantity", "price"]].to_string(index=False))
    print(f"costs {plan.costs:,.2f}, cash after them {plan.cash_after:,.2f}")
    print(f"distance from the weights {plan.distance:.3%} of NAV, proven nearest: {plan.proven_nearest}")
    print(decision.allocation)


if __name__ == "__main__":
    main()
