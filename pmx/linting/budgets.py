"""Budgets against their scales and against each other: plain arithmetic on what the files say."""

from __future__ import annotations

from collections.abc import Iterator

from pmx.linting.finding import Finding
from pmx.linting.universe import place
from pmx.policy import Policy

#: Rounding that a product or sum of fractions written in decimal may show.
_ROUNDING = 1e-9


def scaled_budgets(policy: Policy) -> Iterator[Finding]:
    """Yield minima that scaling never reaches, scales that a maximum cuts off, and scales that never reach 1."""
    config, scalers = policy.risk_buckets, policy.risk_scaler.buckets if policy.risk_scaler.enabled else {}
    for name, bucket in config.buckets.items() if config.enabled else ():
        scaler, key = scalers.get(name), f"risk_buckets.buckets.{name}"
        least = bucket.base_nav_frac * (1.0 if scaler is None else min(scaler.min_scale, 1.0))
        if bucket.role == "risk" and 0.0 < bucket.min_nav_frac < least - _ROUNDING:
            by = "it is never scaled" if scaler is None else f"at its least scale, {scaler.min_scale:g}"
            yield Finding(
                "unreachable-minimum",
                place(policy, f"{key}.min_nav_frac"),
                f"the budget of {name} is {least:g} at least ({by}): min_nav_frac {bucket.min_nav_frac:g} is never met",
                "set it to 0, or lower min_scale; weight is asked for by a custom rule with min and hard: false",
            )
        if scaler is None:
            continue
        key = f"risk_scaler.buckets.{name}.max_scale"
        most = bucket.base_nav_frac * scaler.max_scale
        if most > bucket.max_nav_frac + _ROUNDING and scaler.max_scale > 1.0:
            yield Finding(
                "unreachable-scale",
                place(policy, key),
                f"max_scale {scaler.max_scale:g} lifts the budget of {name} to {most:g}, and its max_nav_frac "
                f"({place(policy, f'risk_buckets.buckets.{name}.max_nav_frac')}) cuts it to {bucket.max_nav_frac:g}",
                f"lower it to {bucket.max_nav_frac / bucket.base_nav_frac:.4g}, or raise max_nav_frac",
                (f"bucket.{name}.max",),
            )
        if scaler.max_scale < 1.0 and most > bucket.min_nav_frac:
            yield Finding(
                "unfillable-budget",
                place(policy, key),
                f"max_scale {scaler.max_scale:g} keeps bucket {name} at {most:g}, below its base_nav_frac "
                f"{bucket.base_nav_frac:g}, once its returns are known",
                "raise it to 1, or lower base_nav_frac",
                (f"clamp.{name}",),
            )


def budgets_together(policy: Policy) -> Iterator[Finding]:
    """Yield sums of the risk buckets' budgets that exceed what the barbell leaves for risk."""
    config, barbell = policy.risk_buckets, policy.barbell
    if not (config.enabled and barbell.enable_barbell_allocation):
        return
    floor, cap = 1.0 - policy.safe_floor, barbell.risk_bucket.max_weight
    rule, most = ("barbell.safe.floor", floor) if cap is None or floor < cap else ("barbell.risk.cap", cap)
    risk = {name: config.buckets[name] for name in policy.risk_bucket_names}
    least, base = sum(b.min_nav_frac for b in risk.values()), sum(b.base_nav_frac for b in risk.values())
    if least > most + _ROUNDING:
        first = next(name for name, bucket in risk.items() if bucket.min_nav_frac > 0.0)
        yield Finding(
            "unfillable-budget",
            place(policy, f"risk_buckets.buckets.{first}.min_nav_frac"),
            f"the least budgets of {', '.join(risk)} add up to {least:g}, and {rule} leaves {most:g}",
            "lower min_nav_frac of some",
            (rule,),
        )
    elif base > most + _ROUNDING:
        yield Finding(
            "budgets-together",
            place(policy, "risk_buckets.buckets"),
            f"the budgets of {', '.join(risk)} add up to {base:g}, and {rule} leaves {most:g}: not all can be full",
            "nothing, if they are meant to compete",
            (rule,),
        )
