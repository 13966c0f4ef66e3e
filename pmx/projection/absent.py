"""Members that a rule of the user's own counts and a solve does not have: why a minimum cannot hold."""

from __future__ import annotations

from collections.abc import Sequence

from pmx.policy import Policy


def absent_members(policy: Policy, positions: Sequence[tuple[str, str]], rules: Sequence[str]) -> list[str]:
    """Return a sentence for each of some rules that counts what is not among the positions.

    Parameters
    ----------
    policy : Policy
        Where the rules come from.
    positions : sequence of (bucket, symbol)
        What is in the solve.
    rules : sequence of str
        Names of rules; those that are no ``custom.<name>`` of the policy are passed over.
    """
    symbols = {symbol for _, symbol in positions}
    buckets = {bucket for bucket, _ in positions}
    markets = {market for symbol in symbols for market in policy.markets_of(symbol)}
    sentences = []
    for name in rules:
        rule = policy.risk_buckets.custom_rules.get(name.removeprefix("custom."))
        if rule is None or not name.startswith("custom."):
            continue
        missing = [symbol for symbol in rule.symbols if symbol not in symbols]
        missing += [f"bucket {bucket}" for bucket in rule.buckets if bucket not in buckets]
        missing += [f"market {market}" for market in rule.markets if market not in markets]
        if missing:
            sentences.append(_sentence(name, missing))
    return sentences


def _sentence(rule: str, missing: Sequence[str]) -> str:
    """Return what a rule counts that is not there, and how to add it."""
    named = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    them, are = ("them", "are") if len(missing) > 1 else ("it", "is")
    how = "a symbol of each" if missing[0].startswith(("bucket ", "market ")) else them
    return f"{rule} counts {named}, which {are} not in this solve: give {how} with target 0, so that it can be raised."
