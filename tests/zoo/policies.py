"""Random policies with wishes, and an exact judge of weights that shares no code with the package's projection."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pandas as pd

from pmx.policy import Policy

MARKETS = {"us": ["US*"], "ngx": ["NGX*"], "em": ["EM*"]}
LEVELS = ["bucket", "symbol"]


@dataclass
class Case:
    """One random problem, with everything `pmx.solve` takes."""

    policy: Policy
    relative: pd.Series
    arguments: dict = field(default_factory=dict)


def position_series(values: dict[tuple[str, str], float]) -> pd.Series:
    index = pd.MultiIndex.from_tuples(list(values), names=LEVELS)
    return pd.Series(list(values.values()), index=index, dtype="float64")


def _fraction(rng: np.random.Generator, low: float, high: float) -> float:
    """A limit as people write them: few digits, often on a grid, sometimes at an end."""
    if rng.random() < 0.1:
        return float(rng.choice([low, high]))
    return float(round(rng.uniform(low, high), int(rng.integers(2, 5))))


def random_policy(rng: np.random.Generator, *, volatility: bool = False) -> Policy:
    names = ["safe", "ts_core", "ml_secondary", "tail_hedge", "em_risk"][: int(rng.integers(2, 6))]
    shorts = bool(rng.random() < 0.5)
    buckets = {}
    for name in names:
        low = 0.0 if rng.random() < 0.7 else _fraction(rng, 0.0, 0.1)
        high = max(low, _fraction(rng, max(low, 0.05), 0.6 if name != "safe" else 1.0))
        base = min(max(_fraction(rng, 0.0, 0.8), low), high)
        buckets[name] = {
            "role": "safe" if name == "safe" else "risk",
            "base_nav_frac": base,
            "min_nav_frac": low,
            "max_nav_frac": high,
            "allow_short": shorts and name != "safe",
        }
    metric = str(rng.choice(["relative", "absolute", "risk"]))
    portfolio = {
        "distance": metric,
        "cash_min": None if rng.random() < 0.2 else _fraction(rng, 0.0, 0.3),
        "gross_max": None if rng.random() < 0.2 else _fraction(rng, 0.2, 2.0) or 0.5,
    }
    if volatility:
        portfolio["volatility_max"] = float(rng.choice([0.01, 0.03, 0.1]))
    low = _fraction(rng, 0.0, 0.8)
    cap = None if rng.random() < 0.3 else max(low, buckets["safe"]["min_nav_frac"], _fraction(rng, low, 1.0))
    barbell = {
        "enable_barbell_allocation": bool(rng.random() < 0.85),
        "safe_bucket": {
            "min_weight": low,
            "max_weight": cap,
            "max_weight_penalty": float(rng.choice([0.0, 0.0, 0.5, 100.0])),
            "max_per_position": None if rng.random() < 0.5 else _fraction(rng, 0.05, 1.0),
        },
        "risk_bucket": {
            "max_weight": None if rng.random() < 0.3 else _fraction(rng, 0.0, 1.0),
            "max_per_position": None if rng.random() < 0.5 else _fraction(rng, 0.0, 0.4),
        },
        "markets": MARKETS,
        "market_caps": {m: _fraction(rng, 0.0, 0.5) for m in MARKETS if rng.random() < 0.6},
        "symbol_caps": {f"US{i}": _fraction(rng, 0.0, 0.2) for i in range(3) if rng.random() < 0.4},
    }
    execution: dict = {
        "turnover": {"max": None, "cost": float(rng.choice([0.0, 0.0, 0.001, 0.1, 2.0]))},
        "liquidity": {},
    }
    if rng.random() < 0.5:
        execution["turnover"] |= {"max": _fraction(rng, 0.0, 0.6)}
    if rng.random() < 0.3:
        execution["liquidity"] = {"participation": 0.1}
    custom = {}
    for i in range(int(rng.integers(0, 3))):
        members = {f"US{k}": float(rng.choice([1.0, -0.5, 2.0, 0.3])) for k in range(4) if rng.random() < 0.5}
        custom[f"tilt{i}"] = {
            "symbols": members or {"US0": 1.0},
            "exposure": str(rng.choice(["net", "gross"])),
            "max": _fraction(rng, 0.0, 0.3),
            "hard": bool(rng.random() < 0.7),
        }
        if rng.random() < 0.3:
            custom[f"again{i}"] = custom[f"tilt{i}"] | {"max": _fraction(rng, 0.0, 0.3)}
    return Policy.from_mapping(
        {
            "risk_buckets": {"buckets": buckets, "portfolio": portfolio, "custom_rules": custom},
            "barbell": barbell,
            "execution": execution,
        }
    )


def random_case(seed: int, *, volatility: bool = False) -> Case:
    rng = np.random.default_rng(seed)
    policy = random_policy(rng, volatility=volatility)
    n = int(rng.integers(1, 25))
    symbols = [str(rng.choice(["US", "NGX", "EM", "SAFE", "X"])) + str(i) for i in range(n)]
    buckets = list(policy.risk_buckets.buckets)
    positions: dict[tuple[str, str], float] = {}
    for symbol in symbols:
        allowed = ["safe"] if symbol.startswith("SAFE") else [b for b in buckets if b != "safe"] or ["safe"]
        for bucket in rng.choice(allowed, size=min(len(allowed), int(rng.integers(1, 3))), replace=False):
            value = 0.0 if rng.random() < 0.15 else float(rng.exponential(1.0))
            if policy.risk_buckets.buckets[str(bucket)].allow_short and rng.random() < 0.4:
                value = -value
            positions[(str(bucket), symbol)] = value
    relative = position_series(positions)
    gross = relative.abs().groupby(level="bucket").transform("sum")
    fill = pd.Series({b: float(rng.choice([1.0, 1.0, rng.uniform(0.01, 1.0)])) for b in buckets})
    share = fill.reindex(relative.index.get_level_values("bucket")).to_numpy()
    relative = (relative / gross.where(gross > 0, 1.0)) * share * (1 - 1e-12)
    arguments: dict = {}
    if rng.random() < 0.7:
        arguments["risk_scale"] = {b: float(round(rng.uniform(0.0, 1.6), 3)) for b in buckets if rng.random() < 0.7}
    if rng.random() < 0.6:
        held = relative * 0.0 + rng.normal(0.02, 0.05, len(relative)) * (rng.random(len(relative)) < 0.7)
        arguments["previous"] = held
    if rng.random() < 0.3:
        modes = ["reduce_only", "exit"]
        arguments["gated"] = {s: str(rng.choice(modes)) for s in symbols if rng.random() < 0.2}
    factor = rng.normal(size=(len(symbols), max(2, len(symbols) // 2))) * 0.1
    noise = np.diag(rng.uniform(0.0001, 0.05, len(symbols)))
    covariance = pd.DataFrame(factor @ factor.T + noise, index=symbols, columns=symbols)
    if volatility or policy.risk_buckets.portfolio.distance == "risk":
        arguments["covariance"] = covariance
    if policy.execution.liquidity.participation is not None:
        arguments["adv"] = {s: float(rng.exponential(5e5)) for s in symbols}
        arguments["nav"] = 1e6
    return Case(policy, relative, arguments)


def exact_violation(case: Case, weights: pd.Series) -> tuple[Fraction, str]:
    """Worst violation of a hard rule in rational arithmetic, straight from the policy's numbers.

    ``weights``: signed, by (bucket, symbol). Covers every hard linear rule of the design's table; a volatility cap is
    judged by the square of both sides.
    """
    policy, scale = case.policy, case.arguments.get("risk_scale") or {}
    x = {position: Fraction(float(value)) for position, value in weights.items()}
    config, barbell = policy.risk_buckets, policy.barbell
    over: list[tuple[Fraction, str]] = [(Fraction(0), "")]

    def at_most(value: Fraction, bound: float | None, name: str) -> None:
        if bound is not None:
            over.append((value - Fraction(float(bound)), name))

    gross = sum((abs(v) for v in x.values()), Fraction(0))
    net = sum(x.values(), Fraction(0))
    if config.portfolio.cash_min is not None:
        at_most(net, 1 - config.portfolio.cash_min, "cash.min")
    at_most(gross, config.portfolio.gross_max, "leverage.gross")
    for name, bucket in config.buckets.items():
        inside = [p for p in x if p[0] == name]
        total = sum((abs(x[p]) for p in inside), Fraction(0))
        at_most(total, bucket.max_nav_frac, f"bucket.{name}.max")
        s = scale.get(name, 1.0)
        if s < 1:
            used = float(sum(abs(case.relative.get(p, 0.0)) for p in inside))
            budget = min(max(bucket.base_nav_frac * s, bucket.min_nav_frac), bucket.max_nav_frac)
            at_most(total, used * budget, f"clamp.{name}")
        if not bucket.allow_short:
            at_most(max((-x[p] for p in inside), default=Fraction(0)), 0.0, f"long only {name}")
    risky = {p: abs(v) for p, v in x.items() if config.buckets[p[0]].role == "risk" or v < 0}
    if barbell.enable_barbell_allocation:
        at_most(sum(risky.values(), Fraction(0)), 1 - policy.safe_floor, "barbell.safe.floor")
        at_most(sum(risky.values(), Fraction(0)), barbell.risk_bucket.max_weight, "barbell.risk.cap")
        for market, cap in barbell.market_caps.items():
            prefix = MARKETS[market][0].rstrip("*")
            at_most(sum((v for (_, s), v in risky.items() if s.startswith(prefix)), Fraction(0)), cap, market)
        for symbol in {s for _, s in x}:
            total = sum((abs(v) for (_, s), v in x.items() if s == symbol), Fraction(0))
            at_most(total, barbell.symbol_caps.get(symbol), f"symbol.{symbol}.cap")
            roles = {config.buckets[b].role for b, s in x if s == symbol}
            for role, limits in (("safe", barbell.safe_bucket), ("risk", barbell.risk_bucket)):
                if role in roles:
                    at_most(total, limits.max_per_position, f"{role} max_per_position {symbol}")
    for name, rule in config.custom_rules.items():
        if rule.hard:
            value = Fraction(0)
            for (_, symbol), v in x.items():
                value += Fraction(rule.symbols.get(symbol, 0.0)) * (v if rule.exposure == "net" else abs(v))
            at_most(value, rule.max, f"custom.{name}")
    held = case.arguments.get("previous")
    if held is not None:
        p = {position: Fraction(float(held.get(position, 0.0))) for position in x}
        if "adv" in case.arguments:
            count = pd.Series([s for _, s in x]).value_counts()
            for position, v in x.items():
                room = 0.1 * case.arguments["adv"][position[1]] / case.arguments["nav"] / count[position[1]]
                bought = abs(v) - abs(p[position]) if v * p[position] > 0 else abs(v - p[position])
                at_most(bought if v != 0 else Fraction(0), room, f"liquidity (buying) {position}")
        for symbol, mode in case.arguments.get("gated", {}).items():
            for position, v in x.items():
                if position[1] == symbol:
                    same = v * p[position] > 0
                    allowed = abs(p[position]) if mode == "reduce_only" and same else Fraction(0)
                    at_most(abs(v) - allowed, 0.0, f"gate.{symbol}")
    cap = config.portfolio.volatility_max
    if cap is not None:
        sigma = case.arguments["covariance"]
        variance = sum((x[a] * x[b] * Fraction(float(sigma.loc[a[1], b[1]])) for a in x for b in x), Fraction(0))
        # ‖Lᵀx‖ ≤ cap + 1e-9 exactly when xᵀΣx ≤ (cap + 1e-9)²; scaled so that the tolerance stays 1e-9.
        at_most((variance - Fraction(cap) ** 2) / (2 * Fraction(cap)), 0.0, "volatility.max")
    return max(over)
