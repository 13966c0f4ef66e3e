"""Which symbols, buckets and markets belong together, and which belong nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pmx.linting.finding import Finding, some
from pmx.linting.universe import Universe, matches, place
from pmx.policy import Policy
from pmx.policy.names import misspelt, unmatched


def lost_symbols(universe: Universe) -> Iterator[Finding]:
    """Yield known symbols that no bucket may hold, that no market holds, or that two buckets list."""
    policy = universe.policy
    buckets, markets = policy.risk_buckets.buckets, policy.barbell.markets
    homeless: dict[str, list[str]] = {}
    unplaced: dict[str, list[str]] = {}
    for symbol, key in universe.known.items() if buckets else ():
        homes = [name for name, bucket in buckets.items() if matches(symbol, bucket.symbols)]
        if not any(policy.admits(name, symbol) for name in buckets):
            homeless.setdefault(place(policy, key or "risk_buckets.buckets"), []).append(symbol)
        elif markets and not homes and not policy.markets_of(symbol) and _is_risk(policy, symbol):
            unplaced.setdefault(place(policy, key or "barbell.markets"), []).append(symbol)
        if len(homes) > 1:
            where = place(policy, f"risk_buckets.buckets.{homes[1]}.symbols")
            what = f"{symbol} is listed by {', '.join(homes)}; weights that come without a bucket go to {homes[0]}"
            yield Finding("symbol-in-two-buckets", where, what, "nothing, if both are meant to hold it")
    for where, symbols in homeless.items():
        remedy = f"list them in one of {', '.join(buckets)}{_near(universe, symbols)}"
        yield Finding("symbol-without-bucket", where, f"no bucket may hold {some(symbols)}", remedy)
    for where, symbols in unplaced.items():
        what = f"no market and no bucket lists {some(symbols)}, so that no market's cap limits them"
        remedy = f"add them to one of {', '.join(markets)}{_near(universe, symbols)}"
        yield Finding("symbol-without-market", where, what, remedy)


def unmatched_names(policy: Policy, symbols: Sequence[str]) -> Iterator[Finding]:
    """Yield the names of a policy that none of the given symbols bears, and symbols that it names in other letters."""
    absent: dict[str, list[str]] = {}
    for name, key, near in unmatched(policy, symbols):
        if near is None:
            absent.setdefault(place(policy, key), []).append(name)
        else:
            what = f"{key} names {name}, which matches none of the symbols given"
            yield Finding("name-misspelt", place(policy, key), what, f"did you mean {near}?")
    for symbol, name, key in misspelt(policy, symbols):
        what = f"the symbol {symbol} is {name} by {key} but for large and small letters, so that {key} does not see it"
        yield Finding("name-misspelt", place(policy, key), what, f"write both alike: did you mean {symbol}?")
    for where, names in absent.items():
        what = f"none of the symbols given is {some(names)}"
        yield Finding("name-without-symbol", where, what, "nothing, if it is to be held another day; else remove it")


def _near(universe: Universe, symbols: Sequence[str]) -> str:
    """Return what may have been meant by the first of some symbols, if the policy names it."""
    others = sorted(universe.known.keys() - set(symbols))
    near = get_close_matches(symbols[0], others, n=1, cutoff=0.75) if universe.known[symbols[0]] else []
    return f", or write {near[0]} if that is what was meant" if near else ""


def _is_risk(policy: Policy, symbol: str) -> bool:
    return any(policy.admits(name, symbol) for name in policy.risk_bucket_names)


def empty_places(universe: Universe) -> Iterator[Finding]:
    """Yield buckets and markets without symbols, markets without caps, and safe buckets that take anything."""
    policy = universe.policy
    held = {bucket for bucket, _ in universe.positions}
    for name, bucket in policy.risk_buckets.buckets.items():
        key = f"risk_buckets.buckets.{name}.symbols"
        if name not in held:
            given = " of the universe" if universe.closed else ""
            what = f"bucket {name} admits no symbol{given} (symbols: {list(bucket.symbols)})"
            yield Finding("empty-bucket", place(policy, key), what, "list what it may hold, or remove the bucket")
        elif bucket.role == "safe" and not bucket.symbols and not policy.barbell.safe_bucket.symbols:
            what = f"bucket {name} is safe and lists no symbols, and neither does barbell.safe_bucket: anything may be "
            remedy = "list the safe symbols in barbell.safe_bucket.symbols"
            yield Finding("safe-admits-all", place(policy, key), what + "held there, and counts as safe", remedy)
    for name, listed in policy.barbell.markets.items():
        key = f"barbell.markets.{name}"
        if not any(matches(symbol, listed) for symbol in universe.symbols):
            given = " of the universe" if universe.closed else ""
            what = f"market {name} holds no symbol{given} (symbols: {list(listed)})"
            yield Finding("empty-market", place(policy, key), what, "list its symbols, or remove the market")
        elif name not in policy.barbell.market_caps and policy.barbell.enable_barbell_allocation:
            what = f"market {name} has no cap in barbell.market_caps"
            yield Finding("market-without-cap", place(policy, key), what, "give it one, 1.0 if none is meant")


def dropped_signals(universe: Universe) -> Iterator[Finding]:
    """Yield the markets that a source sends to a bucket which may not hold their symbols."""
    policy = universe.policy
    for name, source in policy.signal_routing_config.sources.items():
        for market, bucket in source.market_buckets.items():
            symbols = [s for s in universe.symbols if market in policy.markets_of(s)]
            dropped = [s for s in symbols if not policy.admits(bucket, s)]
            if dropped:
                key = f"signal_routing_config.sources.{name}.market_buckets.{market}"
                what = f"source {name} sends {some(dropped)} to bucket {bucket}, which may not hold them"
                remedy = f"list them in risk_buckets.buckets.{bucket}.symbols, or send the market elsewhere"
                yield Finding("signals-dropped", place(policy, key), what + ": such signals are dropped", remedy)


def unfed_buckets(policy: Policy) -> Iterator[Finding]:
    """Yield the buckets that nothing fills but weights given by hand."""
    fed = set[str]()
    for source in policy.signal_routing_config.sources.values():
        fed |= {source.bucket, *source.market_buckets.values()}
    for name, bucket in policy.risk_buckets.buckets.items():
        if name not in fed and not bucket.standing:
            what = f"no source sends signals to bucket {name}, and nothing is standing in it"
            remedy = "nothing, if its weights are given directly; else add a source or standing weights"
            yield Finding("bucket-without-source", place(policy, f"risk_buckets.buckets.{name}"), what, remedy)
