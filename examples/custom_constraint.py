"""Add convex constraints of your own, written in cvxpy, to the rules of a policy.

They become hard rules with a price, covered by the certificate like every other rule. A linear rule can also be written
in the policy itself: see custom_rules in risk_buckets.yml.

Run: python examples/custom_constraint.py
"""

import cvxpy as cp
import numpy as np
import pandas as pd

import pmx

#: Annualised volatilities of SP500, NASDAQ and WTI.
VOLATILITY = np.array([0.19, 0.25, 0.38])


def main() -> None:
    positions = [("ts_core", "SP500"), ("ts_core", "NASDAQ"), ("ts_core", "WTI")]
    projector = pmx.Projector(
        pmx.load_policy(),
        positions,
        constraints=lambda weights: {
            "oil_below_stocks": weights.symbol("WTI") <= 0.5 * (weights.symbol("SP500") + weights.symbol("NASDAQ")),
            "risk": cp.norm(cp.multiply(VOLATILITY, weights.x)) <= 0.02,
        },
    )

    wish = pd.Series([0.30, 0.20, 0.50], index=projector.index)  # shares of the bucket, as the signal router gives them
    allocation = projector.solve(wish)

    # From wish to weight: one column for each rule that moved something. Rows add up.
    print(allocation.attribution.round(4).to_string())
    print()
    print(f"at most {allocation.certificate.distance_bound:.0e} of NAV from the exact optimum")


if __name__ == "__main__":
    main()
