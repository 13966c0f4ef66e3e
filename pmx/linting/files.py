"""What files say against each other, and what they leave unsaid."""

from __future__ import annotations

from collections.abc import Iterator

from pmx.linting.finding import Finding
from pmx.linting.universe import matches, place
from pmx.policy import Policy

#: Rounding that a sum of fractions written in decimal may show.
_ROUNDING = 1e-9
#: Limits whose line may be missing, with a default in its place; ``*`` stands for every name of a table.
_LIMITS = (
    "risk_buckets.portfolio.cash_min",
    "risk_buckets.portfolio.gross_max",
    "risk_buckets.portfolio.volatility_max",
    "risk_buckets.buckets.*.min_nav_frac",
    "risk_buckets.buckets.*.max_nav_frac",
    "barbell.safe_bucket.min_weight",
    "barbell.safe_bucket.max_weight",
    "barbell.safe_bucket.max_per_position",
    "barbell.risk_bucket.max_weight",
    "barbell.risk_bucket.max_per_position",
    "risk_scaler.buckets.*.max_drawdown",
    "risk_scaler.buckets.*.min_scale",
    "risk_scaler.buckets.*.max_scale",
    "execution.turnover.max",
    "execution.liquidity.participation",
)


def disagreements(policy: Policy) -> Iterator[Finding]:
    """Yield quantities on which ``risk_buckets.yml`` and ``barbell.yml`` differ; a value set for one run is no file."""
    if not (policy.risk_buckets.enabled and policy.barbell.enable_barbell_allocation and policy.safe_buckets):
        return
    yield from _safe_minimum(policy)
    yield from _safe_maximum(policy)
    yield from _safe_symbols(policy)


def _changed(policy: Policy, *keys: str) -> bool:
    """Return whether some of these values do not stand in the files, but were set for one run."""
    return any(place(policy, key) == "override" for key in keys)


def _safe_minimum(policy: Policy) -> Iterator[Finding]:
    here, barbell = "barbell.safe_bucket.min_weight", policy.barbell.safe_bucket.min_weight
    keys = [f"risk_buckets.buckets.{name}.min_nav_frac" for name in policy.safe_buckets]
    there = keys[0]
    buckets = sum(policy.risk_buckets.buckets[name].min_nav_frac for name in policy.safe_buckets)
    if _changed(policy, here, *keys):
        if place(policy, here) == "override" and 0.0 < barbell < buckets - _ROUNDING:
            what = f"the safe minimum of {barbell:g} by {here} never binds: {there} ({place(policy, there)}) rules"
            remedy = "change min_nav_frac of the safe buckets too"
            yield Finding("shadowed-rule", "override", what, remedy, ("barbell.safe.floor",))
        return
    if min(barbell, buckets) > 0.0 and abs(barbell - buckets) > _ROUNDING:
        yield Finding(
            "files-disagree",
            place(policy, here),
            f"the safe minimum is {barbell:g} by {here} and {buckets:g} by min_nav_frac of "
            f"{', '.join(policy.safe_buckets)} ({place(policy, there)}), of which the larger one rules",
            "write the same number in both files",
            ("barbell.safe.floor",),
        )


def _safe_maximum(policy: Policy) -> Iterator[Finding]:
    here, cap = "barbell.safe_bucket.max_weight", policy.barbell.safe_bucket.max_weight
    for name in policy.safe_buckets:
        there, most = f"risk_buckets.buckets.{name}.max_nav_frac", policy.risk_buckets.buckets[name].max_nav_frac
        if cap is not None and cap + _ROUNDING < most < 1.0 and not _changed(policy, here, there):
            yield Finding(
                "files-disagree",
                place(policy, here),
                f"the safe weight is {cap:g} at most by {here}, but bucket {name} alone may hold {most:g} "
                f"({place(policy, there)})",
                f"lower max_nav_frac of {name}, or raise max_weight",
                ("barbell.safe.cap", f"bucket.{name}.max"),
            )


def _safe_symbols(policy: Policy) -> Iterator[Finding]:
    barbell = policy.barbell.safe_bucket.symbols
    lists = {name: policy.risk_buckets.buckets[name].symbols for name in policy.safe_buckets}
    keys = ["barbell.safe_bucket.symbols", *(f"risk_buckets.buckets.{name}.symbols" for name in lists)]
    if not barbell or not any(lists.values()) or _changed(policy, *keys):
        return
    for number, symbol in enumerate(barbell):
        if not any(matches(symbol, listed) for listed in lists.values()):
            what = f"{symbol} is safe by barbell.safe_bucket.symbols, but no safe bucket lists it"
            where = place(policy, f"barbell.safe_bucket.symbols.{number}")
            yield Finding("files-disagree", where, what, f"list it in {policy.safe_buckets[0]} too, or in neither")
    for name, listed in lists.items():
        for number, symbol in enumerate(listed):
            if not any(matches(safe, [symbol]) for safe in barbell):
                what = f"{symbol} is safe by bucket {name}, but barbell.safe_bucket.symbols does not list it"
                where = place(policy, f"risk_buckets.buckets.{name}.symbols.{number}")
                yield Finding("files-disagree", where, what, "list it in both files, or in neither")


def missing_lines(policy: Policy) -> Iterator[Finding]:
    """Yield the limits that a policy from files leaves to their defaults."""
    data = policy.to_mapping()
    for path in _LIMITS:
        section, *steps, name = path.split(".")
        if ":" not in policy.source(section):
            continue  # not from a file: what is not given is meant to be the default
        tables = [(section, data[section])]
        for step in steps:
            tables = [
                (f"{key}.{child}", table[child])
                for key, table in tables
                for child in (table if step == "*" else [step])
            ]
        for key, table in tables:
            if policy.source(f"{key}.{name}") == "default":
                taken = "no limit" if table[name] is None else f"{table[name]:g}"
                what = f"{key}.{name} has no line, so it takes the default, {taken}"
                yield Finding(
                    "default-limit", place(policy, key), what, f"write `{name}:` with the limit that is meant"
                )


def switched_off(policy: Policy) -> Iterator[Finding]:
    """Yield the layers whose rules do not hold."""
    layers = (
        ("risk_buckets.enabled", policy.risk_buckets.enabled, "budgets, scales and the buckets' limits"),
        (
            "barbell.enable_barbell_allocation",
            policy.barbell.enable_barbell_allocation,
            "the safe floor and the caps of risk, markets and symbols",
        ),
    )
    for key, on, what in layers:
        if not on:
            yield Finding("layer-off", place(policy, key), f"{key} is false, so {what} do not hold", "set it to true")


def hard_liquidity(policy: Policy) -> Iterator[Finding]:
    """Yield the hard limit on trading in one symbol, which the day's volume can turn against every other rule."""
    liquidity, key = policy.execution.liquidity, "execution.liquidity.hard"
    if liquidity.participation is not None and (liquidity.hard or liquidity.max_violation is not None):
        what = (
            f"the limit on trading in one symbol is {'hard' if liquidity.hard else 'limited by max_violation'}: a "
            "position too large for a day's volume that a gate, a scale or a cap forces out has no answer"
        )
        softer = "let it give way (hard: false)" if liquidity.hard else "remove its rank and max_violation"
        remedy = f"{softer}: forced sales then report their excess"
        yield Finding("hard-liquidity", place(policy, key), what, remedy)


def nobody_to_ask(policy: Policy) -> Iterator[Finding]:
    """Yield the switch of a language model that is on while no model is named."""
    routing, key = policy.signal_routing_config, "signal_routing_config.engines.language_model.model"
    if routing.enable_llm_fallback and routing.engines.language_model.model is None:
        what = f"enable_llm_fallback is true, but {key} is null, so that no language model is ever asked"
        remedy = "name a model that the endpoint serves, or set enable_llm_fallback to false"
        yield Finding("nobody-to-ask", place(policy, "signal_routing_config.enable_llm_fallback"), what, remedy)
