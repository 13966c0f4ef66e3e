"""What the schema cannot see: keys that contradict other keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pmx.policy.problem import did_you_mean, near
from pmx.policy.remedy import add_name, add_source
from pmx.policy.schema import CASH, Bucket, CustomRule, Liquidity, Turnover

if TYPE_CHECKING:
    from pmx.policy.policy import Policy

#: Dotted key, what is wrong with it, remedy.
Finding = tuple[str, str, str]

#: Rounding that a sum of fractions written in decimal may show.
_ROUNDING = 1e-9
_BUCKETS = "risk_buckets.buckets"


def problems_of(policy: Policy) -> Iterator[Finding]:
    """Yield every contradiction in a policy as (dotted key, what is wrong, remedy)."""
    for name, bucket in policy.risk_buckets.buckets.items():
        yield from _budget(f"{_BUCKETS}.{name}", bucket)
        yield from _standing(policy, name, bucket)
    for name, rule in policy.risk_buckets.custom_rules.items():
        yield from _custom_rule(f"risk_buckets.custom_rules.{name}", rule)
    yield from _ranks(policy)
    yield from _rebalance(policy)
    yield from _safe_bounds(policy)
    yield from _safe_and_risk(policy)
    yield from _cash_as_symbol(policy)
    yield from _choices_of_bucket(policy)
    yield from _unknown_names(policy)
    yield from _scalers(policy)
    yield from _priorities(policy)
    yield from _windows(policy)
    yield from _success_criteria(policy)
    yield from _sources_of_engines(policy)
    if policy.execution.delisting == "haircut" and policy.execution.delisting_haircut == 0.0:
        what = "is 0, so that delisting: haircut takes nothing"
        yield (
            "execution.delisting_haircut",
            what,
            "write the fraction that is lost, such as 0.3, or delisting: last_mark",
        )
    if policy.options_config.options_trading.enabled:
        what = "is true, but derivatives are not valued yet, so their risk cannot be limited"
        yield "options_config.options_trading.enabled", what, "set it to false"


def _budget(key: str, bucket: Bucket) -> Iterator[Finding]:
    low, base, high = bucket.min_nav_frac, bucket.base_nav_frac, bucket.max_nav_frac
    if low > high:
        yield f"{key}.min_nav_frac", f"is {low:g}, above max_nav_frac {high:g}", "lower it or raise the max"
    elif base < low:
        yield f"{key}.base_nav_frac", f"is {base:g}, below min_nav_frac {low:g}", "raise it or lower the min"
    elif base > high:
        yield f"{key}.base_nav_frac", f"is {base:g}, above max_nav_frac {high:g}", "lower it or raise the max"


def _standing(policy: Policy, name: str, bucket: Bucket) -> Iterator[Finding]:
    key = f"{_BUCKETS}.{name}.standing"
    total = sum(map(abs, bucket.standing.values()))
    if total > 1.0 + _ROUNDING:
        what = f"adds up to {total:g} in absolute value, above 1"
        yield key, what, "write shares of the bucket, at most 1 in all"
    for symbol, share in bucket.standing.items():
        if share < 0.0 and not bucket.allow_short:
            what = f"is {share:g}, a short in a bucket with allow_short false"
            yield f"{key}.{symbol}", what, "write a positive share or set allow_short: true"
        if not policy.admits(name, symbol):
            what = f"is a symbol that bucket {name!r} does not admit"
            yield f"{key}.{symbol}", what, _remedy_for_standing(policy, name, symbol)


def _remedy_for_standing(policy: Policy, name: str, symbol: str) -> str:
    homes = [other for other in policy.risk_buckets.buckets if policy.admits(other, symbol)]
    if homes:
        return f"hold it in {homes[0]}, which admits it, or remove it"
    if policy.is_safe(symbol):
        return "it is a safe symbol: hold it in a bucket of role safe, or remove it"
    return f"add it to {_BUCKETS}.{name}.symbols, or remove it"


def _custom_rule(key: str, rule: CustomRule) -> Iterator[Finding]:
    if rule.min is None and rule.max is None:
        yield key, "has neither min nor max, so it limits nothing", "give it a min, a max, or both"
    elif rule.min is not None and rule.max is not None and rule.min > rule.max:
        yield f"{key}.min", f"is {rule.min:g}, above max {rule.max:g}", "lower it or raise the max"
    if not any((*rule.symbols.values(), *rule.buckets.values(), *rule.markets.values())):
        what = "has no coefficient other than zero, so it limits nothing"
        yield key, what, "add coefficients under symbols, buckets or markets"


def _ranks(policy: Policy) -> Iterator[Finding]:
    """Check that only soft rules are ranked, and that only ranked ones say how far they may give way."""
    execution, safe = policy.execution, policy.barbell.safe_bucket
    rules: dict[str, CustomRule | Turnover | Liquidity] = {
        f"risk_buckets.custom_rules.{name}": rule for name, rule in policy.risk_buckets.custom_rules.items()
    }
    rules |= {"execution.turnover": execution.turnover, "execution.liquidity": execution.liquidity}
    for key, rule in rules.items():
        if rule.hard and rule.rank:
            yield (
                f"{key}.rank",
                f"is {rule.rank}, but a hard rule never gives way",
                "set hard: false, or remove the rank",
            )
        elif rule.max_violation is not None and not rule.rank:
            what = "limits how far the rule gives way, which needs a rank: at a penalty it goes as far as it pays"
            yield f"{key}.max_violation", what, "give the rule a rank of 1 or more, or remove it"
    if safe.max_weight_max_violation is not None and not safe.max_weight_rank:
        what = "limits how far the cap gives way, which needs a rank"
        yield "barbell.safe_bucket.max_weight_max_violation", what, "set max_weight_rank to 1 or more, or remove it"


def _rebalance(policy: Policy) -> Iterator[Finding]:
    """Check that a tolerance has a schedule that reads it."""
    rule = policy.execution.rebalance
    if rule.tolerance and rule.schedule != "on_breach":
        what = f"is {rule.tolerance:g}, but only the schedule on_breach reads it, and schedule is {rule.schedule}"
        yield "execution.rebalance.tolerance", what, "set it to 0, or schedule to on_breach"


def _safe_bounds(policy: Policy) -> Iterator[Finding]:
    """Check the floor of the safe weight against what can be held and against its cap."""
    if policy.risk_buckets.enabled:
        safe = [policy.risk_buckets.buckets[name].min_nav_frac for name in policy.safe_buckets]
        if sum(safe) > 1.0 + _ROUNDING:
            what = f"have min_nav_frac adding up to {sum(safe):g} in the safe buckets, above 1"
            yield _BUCKETS, what, "lower the minima of the safe buckets"
    if not policy.barbell.enable_barbell_allocation:
        return
    floor, cap = policy.safe_floor, policy.barbell.safe_bucket.max_weight
    if cap is None or floor <= cap + _ROUNDING:
        return
    key = "barbell.safe_bucket"
    if policy.barbell.safe_bucket.min_weight > cap:
        yield f"{key}.min_weight", f"is {floor:g}, above max_weight {cap:g}", "lower it or raise the max"
    else:
        what = f"is {cap:g}, below the safe minimum {floor:g} that {_BUCKETS} add up to"
        yield f"{key}.max_weight", what, "raise it or lower min_nav_frac of the safe buckets"


def _safe_and_risk(policy: Policy) -> Iterator[Finding]:
    """Find symbols that count as safe in one place and as risk in another."""
    buckets = policy.risk_buckets.buckets
    safe = dict.fromkeys(policy.barbell.safe_bucket.symbols, "barbell.safe_bucket.symbols")
    for name in policy.safe_buckets:
        safe |= dict.fromkeys(buckets[name].symbols, f"{_BUCKETS}.{name}.symbols")
    for name in policy.risk_bucket_names:
        for number, listed in enumerate(buckets[name].symbols):
            for symbol, home in safe.items():
                if fnmatchcase(symbol, listed) or fnmatchcase(listed, symbol):
                    pattern = "" if listed == symbol else f" (through {listed!r})"
                    what = f"{symbol!r} is both safe, by {home}, and risk{pattern}"
                    yield f"{_BUCKETS}.{name}.symbols.{number}", what, "keep it in one of the two"


def _cash_as_symbol(policy: Policy) -> Iterator[Finding]:
    buckets, barbell = policy.risk_buckets.buckets, policy.barbell
    places: dict[str, Iterable[str]] = {
        "barbell.safe_bucket.symbols": barbell.safe_bucket.symbols,
        "barbell.symbol_caps": barbell.symbol_caps,
        "risk_buckets.portfolio.residual_symbol": [policy.risk_buckets.portfolio.residual_symbol or ""],
    }
    places |= {f"barbell.markets.{name}": symbols for name, symbols in barbell.markets.items()}
    places |= {f"{_BUCKETS}.{name}.symbols": bucket.symbols for name, bucket in buckets.items()}
    places |= {f"{_BUCKETS}.{name}.standing": bucket.standing for name, bucket in buckets.items()}
    for name, rule in policy.risk_buckets.custom_rules.items():
        places[f"risk_buckets.custom_rules.{name}.symbols"] = rule.symbols
    for key, symbols in places.items():
        if CASH in symbols:
            what = f"names {CASH}, which stands for cash and cannot be a symbol"
            yield key, what, "use cash_min to hold cash, or the symbol's own name"


def _choices_of_bucket(policy: Policy) -> Iterator[Finding]:
    """Check the two keys that send weight somewhere by default."""
    default = policy.risk_buckets.default_bucket
    if default in policy.safe_buckets:
        what = f"is {default!r}, a safe bucket: a symbol that nobody lists would count as safe"
        yield "risk_buckets.default_bucket", what, "name a risk bucket, or null"
    residual = policy.risk_buckets.portfolio.residual_symbol
    if residual is None or residual in policy.barbell.safe_bucket.symbols:
        return
    if not any(policy.admits(name, residual) for name in policy.safe_buckets):
        what = f"is {residual!r}, which is not safe, so what the rules cut would be at risk again"
        remedy = "add it to barbell.safe_bucket.symbols"
        if near(residual, policy.barbell.safe_bucket.symbols):
            remedy = f"{did_you_mean(residual, policy.barbell.safe_bucket.symbols)} If not, {remedy}"
        yield "risk_buckets.portfolio.residual_symbol", what, remedy


def _unknown_names(policy: Policy) -> Iterator[Finding]:
    """Find names of buckets and markets that nothing defines."""
    buckets, markets = tuple(policy.risk_buckets.buckets), tuple(policy.barbell.markets)
    markets_matter = policy.barbell.enable_barbell_allocation or bool(markets)
    routing = policy.signal_routing_config
    named_buckets = [(f"risk_scaler.buckets.{name}", name) for name in policy.risk_scaler.buckets]
    named_buckets += [(f"signal_routing_config.full_conviction.{name}", name) for name in routing.full_conviction]
    named_markets = [(f"barbell.market_caps.{name}", name) for name in policy.barbell.market_caps]
    if policy.risk_buckets.default_bucket is not None:
        named_buckets.append(("risk_buckets.default_bucket", policy.risk_buckets.default_bucket))
    for name, source in routing.sources.items():
        key = f"signal_routing_config.sources.{name}"
        named_buckets.append((f"{key}.bucket", source.bucket))
        for market, bucket in source.market_buckets.items():
            named_buckets.append((f"{key}.market_buckets.{market}", bucket))
            if markets_matter:
                named_markets.append((f"{key}.market_buckets.{market}", market))
    for name, rule in policy.risk_buckets.custom_rules.items():
        key = f"risk_buckets.custom_rules.{name}"
        named_buckets += [(f"{key}.buckets.{bucket}", bucket) for bucket in rule.buckets]
        named_markets += [(f"{key}.markets.{market}", market) for market in rule.markets]
    if policy.risk_buckets.enabled or buckets:
        for key, name in named_buckets:
            if name not in buckets:
                yield key, f"names the unknown bucket {name!r}", add_name(name, buckets, _BUCKETS)
    for key, name in named_markets:
        if name not in markets:
            yield key, f"names the unknown market {name!r}", add_name(name, markets, "barbell.markets")


def _scalers(policy: Policy) -> Iterator[Finding]:
    for name, scaler in policy.risk_scaler.buckets.items():
        if scaler.min_scale > scaler.max_scale:
            what = f"is {scaler.min_scale:g}, above max_scale {scaler.max_scale:g}"
            yield f"risk_scaler.buckets.{name}.min_scale", what, "lower it or raise the max"


def _priorities(policy: Policy) -> Iterator[Finding]:
    holder: dict[int, str] = {}
    for name, source in policy.signal_routing_config.sources.items():
        first = holder.setdefault(source.priority, name)
        if first != name:
            what = f"is {source.priority}, the priority of {first!r} too, so neither comes first"
            yield f"signal_routing_config.sources.{name}.priority", what, "give each source its own priority"


def _windows(policy: Policy) -> Iterator[Finding]:
    """Find histories that are required and can never be there."""
    for key, section in (
        ("risk_scaler.volatility", policy.risk_scaler.volatility),
        ("signal_routing_config.engines.time_series", policy.signal_routing_config.engines.time_series),
        ("signal_routing_config.engines.machine_learning", policy.signal_routing_config.engines.machine_learning),
    ):
        if section.min_observations > section.window:
            what = f"is {section.min_observations}, above window {section.window}, so it can never be met"
            yield f"{key}.min_observations", what, "lower it or widen the window"
    calibration = policy.signal_routing_config.calibration
    engines = policy.signal_routing_config.engines
    bars = max(engines.time_series.horizon, engines.machine_learning.horizon)
    if calibration.method != "none" and calibration.min_outcomes * bars > calibration.window:
        what = (
            f"is {calibration.min_outcomes}, but of {calibration.window} outcomes (window), each over {bars} bars, "
            f"one a bar, only {calibration.window // bars} share no bars"
        )
        yield "signal_routing_config.calibration.min_outcomes", what, "lower it or widen the window"
    health = policy.forecaster_monitoring
    if health.min_signals > health.lookback_signals:
        what = f"is {health.min_signals}, above lookback_signals {health.lookback_signals}"
        yield "forecaster_monitoring.min_signals", what, "lower it or lengthen the lookback"
    if health.gate.close_after > health.gate.window:
        what = f"is {health.gate.close_after}, above window {health.gate.window}, so the gate could never shut"
        yield "forecaster_monitoring.gate.close_after", what, "lower it or widen the window"
    gate = health.gate
    least_shut = max(gate.reopen_after, gate.min_bars_closed)
    if gate.expires_after is not None and gate.expires_after < least_shut:
        what = f"is {gate.expires_after}, below {least_shut}, the greater of reopen_after and min_bars_closed"
        remedy = "raise it, or write null: a gate opens no sooner without signals than with good ones"
        yield "forecaster_monitoring.gate.expires_after", what, remedy
    success = policy.quant_success_config
    horizon = _longest_horizon(policy)
    if policy.barbell.enable_barbell_validation and success.min_judged + horizon - 1 > success.lookback_bars:
        what = (
            f"is {success.lookback_bars}, too few for {success.min_judged} signals (min_judged) with a horizon of "
            f"{horizon} bars to be judged"
        )
        yield "quant_success_config.lookback_bars", what, "lengthen it, or lower min_judged"


def _sources_of_engines(policy: Policy) -> Iterator[Finding]:
    """Find engines that are switched on, and whose signals the router would not know."""
    routing = policy.signal_routing_config
    for key, on, source in (
        ("engines.machine_learning.enabled", routing.engines.machine_learning.enabled, "ml_secondary"),
        ("enable_llm_fallback", routing.enable_llm_fallback, "llm_fallback"),
    ):
        if on and routing.sources and source not in routing.sources:
            what = f"is true, but {source!r}, under which it speaks, is none of signal_routing_config.sources"
            yield f"signal_routing_config.{key}", what, add_source(policy, source)


def _longest_horizon(policy: Policy) -> int:
    """Return the longest horizon by which a source is judged, of those whose horizon the policy knows."""
    success, engines = policy.quant_success_config, policy.signal_routing_config.engines
    if success.horizon_bars is not None:
        return success.horizon_bars
    own = {"time_series_core": engines.time_series.horizon, "ml_secondary": engines.machine_learning.horizon}
    return max((own[source] for source in success.judged_sources if source in own), default=engines.time_series.horizon)


def _success_criteria(policy: Policy) -> Iterator[Finding]:
    success = policy.quant_success_config
    # A policy may leave out the shipped engine and its source, and judged_sources as it is.
    sources = (*policy.signal_routing_config.sources, *type(success)().judged_sources)
    for number, name in enumerate(success.judged_sources):
        if name not in sources:
            key = f"quant_success_config.judged_sources.{number}"
            remedy = add_name(name, sources, "signal_routing_config.sources")
            yield key, f"is no source of signal_routing_config: {name!r}", remedy
    known = tuple(name for name in success.field_names() if name.startswith(("min_", "max_")) and name != "min_judged")
    named = [(f"hard_criteria.{number}", name) for number, name in enumerate(success.hard_criteria)]
    named += [(f"score_weights.{name}", name) for name in success.score_weights]
    for key, name in named:
        if name not in known:
            yield f"quant_success_config.{key}", f"names no criterion: {name!r}", did_you_mean(name, known)
    if success.score_weights and not any(success.score_weights.values()):
        yield "quant_success_config.score_weights", "are all zero, so there is no score", "raise one of them"
