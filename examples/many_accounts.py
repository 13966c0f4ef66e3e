"""Project ten thousand accounts onto one policy, each with its own size, holdings and risk, and see what bound them.

Run: python examples/many_accounts.py
"""

from time import perf_counter

import numpy as np

import pmx

ACCOUNTS = 10_000
SYMBOLS = {
    "safe": ["BIL", "SHY"],
    "ts_core": ["SPY", "QQQ", "GLD", "USO", "XLE", "XLF", "XLV", "XLK"],
    "ml_secondary": ["SPY", "QQQ", "XLU", "XLP"],
    "tail_hedge": ["VIXY"],
    "ngx_risk": ["NGX:DANGCEM", "NGX:MTNN"],
    "em_risk": ["EEM", "EM:INDA", "EM:EWZ"],
}
#: Average daily value traded of each symbol of a bucket, USD.
DAILY_VALUE = {"safe": 5e8, "ts_core": 1e9, "ml_secondary": 1e9, "tail_hedge": 2e7, "ngx_risk": 2e5, "em_risk": 3e8}


def main() -> None:
    # At most 10% of NAV is turned over, and at most 5% of a symbol's daily value is traded.
    policy = pmx.load_policy().override({"execution.turnover.max": 0.10, "execution.liquidity.participation": 0.05})
    positions = [(bucket, symbol) for bucket, symbols in SYMBOLS.items() for symbol in symbols]
    projector = pmx.Projector(policy, positions)

    # One row an account; columns in the order of projector.index, scales in the order of the policy's buckets.
    rng = np.random.default_rng(0)
    view = np.array([0.25 if bucket == "safe" else 0.014 for bucket, _ in positions])
    held = view * rng.lognormal(sigma=0.3, size=(ACCOUNTS, len(positions)))
    wishes = held * rng.lognormal(sigma=0.4, size=held.shape)
    nav = rng.lognormal(mean=np.log(5e5), sigma=1.0, size=ACCOUNTS)
    scale = rng.uniform(0.3, 1.3, (ACCOUNTS, len(policy.risk_buckets.buckets)))
    scale[:, list(policy.risk_buckets.buckets).index("safe")] = 1.0
    volume = {symbol: DAILY_VALUE[bucket] for bucket, symbol in positions}

    projector.solve_many(wishes[:1])  # loads the compiled code before the clock starts
    start = perf_counter()
    batch = projector.solve_many(wishes, previous=held, risk_scale=scale, adv=volume, nav=nav)
    seconds = perf_counter() - start

    print(batch)
    print(f"{len(batch) / seconds:,.0f} accounts a second")
    print(f"worst distance bound {batch.distance_bound.max():.0e} of NAV; up to 1e-06 is accepted")
    print()
    print("Rules on sums of positions, by the share of accounts in which they have a price:")
    share = (batch.shadow_prices > 0.0).mean().sort_values(ascending=False)
    print(share[share > 0.0].map("{:.2%}".format).to_string())
    print()
    largest = int(nav.argmax())
    print(f"The largest account, NAV {nav[largest]:,.0f}:")
    print(batch.allocation(largest).explain())


if __name__ == "__main__":
    main()
