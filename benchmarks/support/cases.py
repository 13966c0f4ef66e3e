"""One realistic portfolio at any size: five buckets, three regions, five sectors, shared symbols, a few shorts.

About 24 sides of rules exist and about ten of them bind, at every size; so do the caps of many single positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pmx.policy import Policy
from pmx.projection import Inputs, Program, RuleBook
from pmx.projection.program import Array

REGIONS = ("us", "eu", "em")
SECTORS = ("tech", "finance", "energy", "health", "industry")
#: Bucket: share of the positions, wish in fractions of NAV. The wishes for risk add up to 0.43, against a cap of 0.30.
BUCKETS = {
    "safe": (0.10, 0.70),
    "ts_core": (0.45, 0.22),
    "ml_secondary": (0.25, 0.11),
    "em_risk": (0.15, 0.07),
    "tail_hedge": (0.05, 0.03),
}
SHARED = 3
#: Share of its wish that each market may keep, once the cap on all risk has taken its part.
MARKET_SHARE = {"us": 1.1, "eu": 1.4, "em": 0.9, "tech": 0.8, "finance": 0.9, "energy": 0.85, "health": 1.4}
#: Signed wishes in turn: the first one, then another within 1 % of it, the first again, and so on.
TARGETS = 16


@dataclass(frozen=True)
class Case:
    """A policy over n positions and a sequence of signed wishes, each 1 % away from the one before.

    Attributes
    ----------
    policy : Policy
        Long only but for one bucket; hard rules; no trading rules.
    positions : tuple of (bucket, symbol), length n
        The universe.
    targets : array, shape (16, n), fraction of NAV
        Signed wishes. Even rows are the same; odd rows differ from them by 1 %, normally distributed.
    """

    policy: Policy
    positions: tuple[tuple[str, str], ...]
    targets: Array

    @cached_property
    def index(self) -> pd.MultiIndex:
        """The positions as an index."""
        return pd.MultiIndex.from_tuples(self.positions, names=["bucket", "symbol"])

    @cached_property
    def program(self) -> Program:
        """The program of the first wish."""
        wish = self.targets[0]
        inputs = Inputs(sign=np.where(wish < 0, -1.0, 1.0), target=np.abs(wish))
        return RuleBook(self.policy, self.positions).program(inputs)


def market_case(n: int, seed: int = 0) -> Case:
    """Return a case of n positions.

    Parameters
    ----------
    n : int
        Number of positions, at least 20.
    seed : int
        Of the generator of everything random.
    """
    rng = np.random.default_rng(seed)
    positions = _positions(n, rng)
    wish = _wishes(positions, rng)
    jiggle = 1.0 + 0.01 * rng.standard_normal((TARGETS, n))
    jiggle[::2] = 1.0
    return Case(_policy(positions, wish), positions, wish * jiggle)


def _positions(n: int, rng: np.random.Generator) -> tuple[tuple[str, str], ...]:
    """Return positions in the order of buckets; the first symbols of ``ts_core`` are held for another bucket too."""
    counts = {bucket: max(int(share * (n - SHARED)), 1) for bucket, (share, _) in BUCKETS.items()}
    counts["ts_core"] += n - SHARED - sum(counts.values())
    found: list[tuple[str, str]] = []
    for bucket, count in counts.items():
        for _ in range(count):
            region = "em" if bucket == "em_risk" else REGIONS[int(rng.integers(2))]
            sector = "bills" if bucket == "safe" else SECTORS[int(rng.integers(len(SECTORS)))]
            found.append((bucket, f"{region}:{sector}:{len(found)}"))
    core = [symbol for bucket, symbol in found if bucket == "ts_core"]
    return (*found, *(("ml_secondary", symbol) for symbol in core[:SHARED]))


def _wishes(positions: tuple[tuple[str, str], ...], rng: np.random.Generator) -> Array:
    """Return signed wishes: lognormal within a bucket; one in eight of ``ml_secondary`` is short."""
    buckets = np.array([bucket for bucket, _ in positions])
    wish = rng.lognormal(sigma=0.8, size=len(positions))
    for bucket, (_, size) in BUCKETS.items():
        members = buckets == bucket
        wish[members] *= size / wish[members].sum()
    shared = np.arange(len(positions)) >= len(positions) - SHARED
    short = (buckets == "ml_secondary") & ~shared & (rng.random(len(positions)) < 0.125)
    return np.where(short, -wish, wish)


def _policy(positions: tuple[tuple[str, str], ...], wish: Array) -> Policy:
    risk = np.array([bucket != "safe" for bucket, _ in positions])
    parts = [symbol.split(":") for _, symbol in positions]
    caps = {}
    for market, share in MARKET_SHARE.items():
        member = np.array([market in part for part in parts]) & risk
        caps[market] = round(float(share * 0.7 * np.abs(wish[member]).sum()), 6)
    typical = float(np.median(np.abs(wish[risk])))
    shared = {symbol: round(1.5 * typical, 9) for _, symbol in positions[-SHARED:]}
    buckets = {
        name: {
            "role": "safe" if name == "safe" else "risk",
            "base_nav_frac": wished if name == "safe" else round(0.95 * wished, 6),
            "max_nav_frac": 0.9 if name == "safe" else round(0.95 * wished, 6),
            "allow_short": name == "ml_secondary",
        }
        for name, (_, wished) in BUCKETS.items()
    }
    custom = {
        "growth": {
            "markets": {"tech": 1.0, "health": 0.5},
            "max": round(0.9 * (caps["tech"] + 0.5 * caps["health"]), 6),
        },
        "tech_against_energy": {"markets": {"tech": 1.0, "energy": -1.0}, "min": -0.05, "max": 0.05},
        "fast_money": {"buckets": {"ml_secondary": 1.0, "tail_hedge": 1.0}, "exposure": "gross", "max": 0.09},
        "abroad": {"markets": {"eu": 1.0, "em": 2.0}, "exposure": "gross", "max": 0.6},
    }
    return Policy.from_mapping(
        {
            "risk_buckets": {
                "portfolio": {"cash_min": 0.02, "gross_max": 1.2},
                "buckets": buckets,
                "custom_rules": custom,
            },
            "barbell": {
                "safe_bucket": {"min_weight": 0.6, "max_per_position": 0.9, "max_weight": None},
                "risk_bucket": {"max_weight": 0.3, "max_per_position": round(5.0 * typical, 9)},
                "markets": {market: [f"{market}:*" if market in REGIONS else f"*:{market}:*"] for market in caps},
                "market_caps": caps,
                "symbol_caps": shared,
            },
            "execution": {"turnover": {"max": None}},
        }
    )
