"""Which way each key of a policy is tighter: what a change of it does to what may be held or which signals count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Change = Literal["tightened", "loosened", "changed", "added", "removed"]
Path = tuple[str, ...]

#: Values of a key from the loosest to the tightest.
ORDERS: dict[str, tuple[Any, ...]] = {
    "on": (False, True),
    "off": (True, False),
    "gate": ("reduce_only", "exit"),
    "role": ("safe", "risk"),
}
#: Schedules of a backtest under which limits are enforced at every close; the others wait for a date of their own.
EVERY_CLOSE = ("on_breach", "daily")
#: Key → which way is tighter. ``cap``: lower, and null is no limit. ``floor``: higher, and null is none. ``spell``:
#: higher, and null is without end. ``rank``: later. ``fewer`` and ``more``: entries of a list; ``listed``: as
#: ``fewer``, and none admits all. ``schedule``: that limits are enforced at every close. ``rule``: that the entry is
#: there. Others: `ORDERS`. ``*`` stands for any name. Keys that are not here are tighter neither way.
TIGHTER: dict[str, str] = {
    "risk_buckets.enabled": "on",
    "risk_buckets.portfolio.cash_min": "floor",
    "risk_buckets.portfolio.gross_max": "cap",
    "risk_buckets.portfolio.volatility_max": "cap",
    "risk_buckets.buckets.*.role": "role",
    "risk_buckets.buckets.*.base_nav_frac": "cap",
    "risk_buckets.buckets.*.min_nav_frac": "cap",
    "risk_buckets.buckets.*.max_nav_frac": "cap",
    "risk_buckets.buckets.*.symbols": "listed",
    "risk_buckets.buckets.*.allow_short": "off",
    "risk_buckets.custom_rules.*": "rule",
    "risk_buckets.custom_rules.*.min": "floor",
    "risk_buckets.custom_rules.*.max": "cap",
    "barbell.enable_barbell_allocation": "on",
    "barbell.enable_barbell_validation": "on",
    "barbell.safe_bucket.symbols": "fewer",
    "barbell.safe_bucket.min_weight": "floor",
    "barbell.safe_bucket.max_weight": "cap",
    "barbell.safe_bucket.max_weight_penalty": "floor",
    "barbell.safe_bucket.max_weight_rank": "rank",
    "barbell.safe_bucket.max_weight_max_violation": "cap",
    "barbell.safe_bucket.max_per_position": "cap",
    "barbell.risk_bucket.max_weight": "cap",
    "barbell.risk_bucket.max_per_position": "cap",
    "barbell.markets.*": "more",
    "barbell.market_caps.*": "cap",
    "barbell.symbol_caps.*": "cap",
    "risk_scaler.enabled": "on",
    "risk_scaler.buckets.*.target_vol": "cap",
    "risk_scaler.buckets.*.max_drawdown": "cap",
    "risk_scaler.buckets.*.vol_sensitivity": "floor",
    "risk_scaler.buckets.*.dd_sensitivity": "floor",
    "risk_scaler.buckets.*.min_scale": "cap",
    "risk_scaler.buckets.*.max_scale": "cap",
    "signal_routing_config.enable_llm_fallback": "off",
    "signal_routing_config.full_conviction.*": "floor",
    "signal_routing_config.default_full_conviction": "floor",
    "signal_routing_config.sources.*.min_edge": "floor",
    "signal_routing_config.sources.*.min_confidence": "floor",
    "signal_routing_config.engines.time_series.enabled": "off",
    "signal_routing_config.engines.time_series.evidence": "floor",
    "signal_routing_config.engines.machine_learning.enabled": "off",
    "signal_routing_config.engines.machine_learning.min_skill_t": "floor",
    "signal_routing_config.engines.language_model.max_edge": "cap",
    "signal_routing_config.engines.language_model.max_age_days": "cap",
    "quant_success_config.min_judged": "floor",
    "quant_success_config.min_expected_profit": "floor",
    "quant_success_config.min_sharpe_ratio": "floor",
    "quant_success_config.min_sortino_ratio": "floor",
    "quant_success_config.min_profit_factor": "floor",
    "quant_success_config.max_drawdown": "cap",
    "quant_success_config.min_directional_accuracy": "floor",
    "quant_success_config.max_error_vs_baseline": "cap",
    "quant_success_config.hard_criteria": "more",
    "quant_success_config.pass_score": "floor",
    "forecaster_monitoring.max_fail_fraction": "cap",
    "forecaster_monitoring.max_negative_expected_profit_fraction": "cap",
    "forecaster_monitoring.gate.close_after": "cap",
    "forecaster_monitoring.gate.reopen_after": "floor",
    "forecaster_monitoring.gate.min_bars_closed": "floor",
    "forecaster_monitoring.gate.expires_after": "spell",
    "forecaster_monitoring.gate.mode": "gate",
    "execution.gate_mode": "gate",
    "execution.liquidity.participation": "cap",
    "execution.max_fx_age_days": "cap",
    "execution.max_stale_bars": "cap",
    "execution.rebalance.schedule": "schedule",
    "execution.rebalance.tolerance": "cap",
    "execution.turnover.max": "cap",
} | {
    f"{rule}.{key}": way
    for rule in ("risk_buckets.custom_rules.*", "execution.turnover", "execution.liquidity")
    for key, way in (("hard", "on"), ("penalty", "floor"), ("rank", "rank"), ("max_violation", "cap"))
}


class Context(NamedTuple):
    """What the direction of a key depends on beside its name: safe buckets, and markets that are capped."""

    safe: frozenset[str]
    capped: frozenset[str]

    @classmethod
    def of(cls, *policies: Mapping[str, Any]) -> Context:
        """Return that of plain data by section."""
        buckets = [item for data in policies for item in data.get("risk_buckets", {}).get("buckets", {}).items()]
        caps = [market for data in policies for market in data.get("barbell", {}).get("market_caps", {})]
        return cls(frozenset(name for name, bucket in buckets if bucket["role"] == "safe"), frozenset(caps))

    def way_of(self, path: Path) -> str:
        """Return which way a key is tighter; empty where neither is."""
        way = way_of(path)
        if path[:2] == ("risk_buckets", "buckets") and path[2] in self.safe:
            # The minimum of a safe bucket is a floor of the safe weight; its base is a budget like any other.
            return {"min_nav_frac": "floor", "base_nav_frac": ""}.get(path[-1], way)
        return "" if path[:2] == ("barbell", "markets") and path[2] not in self.capped else way


def change_of(path: Path, before: Any, after: Any, context: Context) -> Change:
    """Return what a change of one key does.

    Parameters
    ----------
    path : tuple of str
        The key; entries of tables by name.
    before, after : object
        Its plain values, which differ.
    context : Context
        Of the two policies.

    Examples
    --------
    >>> change_of(("barbell", "market_caps", "ngx"), 0.1, 0.3, Context.of())
    'loosened'
    >>> change_of(("barbell", "safe_bucket", "min_weight"), 0.6, 0.7, Context.of())
    'tightened'
    """
    tighter = _is_tighter(context.way_of(path), before, after)
    return "changed" if tighter is None else "tightened" if tighter else "loosened"


def entry_change(path: Path, *, added: bool) -> Change:
    """Return what an entry of a table does by being there: a rule or cap limits, the rest is added or removed."""
    if way_of(path) in ("rule", "cap") and len(path) == 3:
        return "tightened" if added else "loosened"
    return "added" if added else "removed"


def way_of(path: Path) -> str:
    """Return which way a key is tighter; empty where neither is."""
    exact = ".".join(path)
    if exact in TIGHTER:
        return TIGHTER[exact]
    # Tables are entered by name at the third step; a symbol may hold dots, so that the rest is not split again.
    return TIGHTER.get(".".join((*path[:2], "*", *path[3:])), "") if len(path) > 2 else ""


def _is_tighter(way: str, before: Any, after: Any) -> bool | None:
    """Return whether a value is tighter than the one before; None where that cannot be said."""
    if way in ("cap", "floor", "spell"):
        end = {"cap": float("inf"), "floor": float("-inf"), "spell": float("inf")}[way]
        a, b = (end if value is None else value for value in (before, after))
        return bool(b < a if way == "cap" else b > a)
    if way == "rank":  # 0 gives way at a price, which is neither before nor after a rank
        return bool(after > before) if before and after else None
    if way in ("fewer", "more"):
        return _has_fewer(before, after) if way == "fewer" else _has_fewer(after, before)
    if way == "listed":
        return bool(after) if not (before and after) else _has_fewer(before, after)
    if way == "schedule":
        enforced = [value in EVERY_CLOSE for value in (before, after)]
        return enforced[1] if enforced[0] != enforced[1] else None
    order = ORDERS.get(way, ())
    return order.index(after) > order.index(before) if before in order and after in order else None


def _has_fewer(before: Any, after: Any) -> bool | None:
    """Return whether a list lost entries; None where it lost some and gained some, or where it is or was empty."""
    a, b = set(before), set(after)
    if not a or not b or a == b or not (a < b or b < a):
        return None
    return b < a
