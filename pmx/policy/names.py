"""The symbols that a policy names, where, and which of them a given set of symbols seems to misspell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pmx.policy.policy import Policy

_WILD = frozenset("*?[")
#: Names of fewer letters resemble each other by chance: only their letters in another order, or punctuation, count.
_LONG = 5
_SHORTEST = 4
#: How alike two longer names must be.
_ALIKE = 0.8


class Unmatched(NamedTuple):
    """A name of a policy that no symbol at hand bears.

    Attributes
    ----------
    name, key : str
        The name, and the dotted key that names it first.
    near : str or None
        The symbol that may have been meant.
    """

    name: str
    key: str
    near: str | None


def named(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield every symbol and pattern that a policy names, with the dotted key that names it."""
    buckets, barbell, sizing = policy.risk_buckets, policy.barbell, policy.execution
    lists: list[tuple[str, Iterable[str]]] = []
    for name, bucket in buckets.buckets.items():
        key = f"risk_buckets.buckets.{name}"
        lists += [(f"{key}.symbols", bucket.symbols), (f"{key}.standing", bucket.standing)]
    lists.append(("barbell.safe_bucket.symbols", barbell.safe_bucket.symbols))
    lists += [(f"barbell.markets.{name}", listed) for name, listed in barbell.markets.items()]
    lists.append(("barbell.symbol_caps", barbell.symbol_caps))
    for name, rule in buckets.custom_rules.items():
        lists.append((f"risk_buckets.custom_rules.{name}.symbols", rule.symbols))
    lists.append(("execution.costs.per_symbol_bps", sizing.costs.per_symbol_bps))
    lists.append(("execution.sizing.lot_sizes", sizing.sizing.lot_sizes))
    for key, listed in lists:
        for number, symbol in enumerate(listed):
            yield symbol, f"{key}.{symbol if isinstance(listed, Mapping) else number}"


def is_pattern(text: str) -> bool:
    """Return whether a name stands for many."""
    return bool(_WILD & set(text))


def misspelt(policy: Policy, symbols: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield symbols that the policy names in other letters, large for small: (symbol, name or pattern, key).

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> policy = Policy.from_mapping({"barbell": {"symbol_caps": {"AAPL": 0.02}, "markets": {"ngx": ["NGX:*"]}}})
    >>> list(misspelt(policy, ["AAPL", "aapl", "ngx:MTNN", "SPY"]))
    [('aapl', 'AAPL', 'barbell.symbol_caps.AAPL'), ('ngx:MTNN', 'NGX:*', 'barbell.markets.ngx.0')]
    """
    book = _book(policy)
    for symbol in symbols:
        folded = symbol.casefold()
        if symbol in book.exact or any(fnmatchcase(symbol, pattern) for pattern in book.patterns):
            continue
        if folded in book.folded:
            name = book.folded[folded]
            yield symbol, name, book.exact[name]
            continue
        for pattern, key in book.patterns.items():
            if fnmatchcase(folded, pattern.casefold()):
                yield symbol, pattern, key
                break


def unmatched(policy: Policy, symbols: Iterable[str]) -> list[Unmatched]:
    """Return the names of a policy that no symbol bears, each with the symbol that may have been meant.

    A policy may name symbols that are not there today. One is taken for a slip where a symbol resembles it and no list
    of the policy holds both.

    Examples
    --------
    >>> from pmx.policy import Policy
    >>> policy = Policy.from_mapping({"barbell": {"symbol_caps": {"NASDQ": 0.02, "GLD": 0.05}}})
    >>> [(found.name, found.near) for found in unmatched(policy, ["NASDAQ", "SP500"])]
    [('NASDQ', 'NASDAQ'), ('GLD', None)]
    """
    book, given = _book(policy), dict.fromkeys(symbols)
    by_letter: dict[str, list[str]] = {}
    for symbol in given:
        by_letter.setdefault(_ticker(symbol)[:1].casefold(), []).append(symbol)
    found = []
    for name, key in book.exact.items():
        if name in given:
            continue
        alike = [s for s in by_letter.get(_ticker(name)[:1].casefold(), ()) if _resembles(name, s)]
        meant = [s for s in alike if not book.lists[name] & book.lists.get(s, frozenset())]
        found.append(Unmatched(name, key, meant[0] if meant else None))
    return found


class _Book(NamedTuple):
    """What a policy names: names and patterns with their first key, names by folded case, and lists by name."""

    exact: dict[str, str]
    patterns: dict[str, str]
    folded: dict[str, str]
    lists: dict[str, frozenset[str]]


@lru_cache(maxsize=16)
def _book(policy: Policy) -> _Book:
    exact: dict[str, str] = {}
    patterns: dict[str, str] = {}
    lists: dict[str, set[str]] = {}
    for name, key in named(policy):
        (patterns if is_pattern(name) else exact).setdefault(name, key)
        lists.setdefault(name, set()).add(key.removesuffix(f".{name}").rpartition(".")[0] or key)
    folded = {name.casefold(): name for name in reversed(exact)}
    return _Book(exact, patterns, folded, {name: frozenset(keys) for name, keys in lists.items()})


def _ticker(name: str) -> str:
    """Return a name without its exchange."""
    return name.rpartition(":")[2]


def _resembles(name: str, symbol: str) -> bool:
    if name.rpartition(":")[0].casefold() != symbol.rpartition(":")[0].casefold():
        return False
    ours, theirs = (re.sub(r"\W", "", _ticker(text)).casefold() for text in (name, symbol))
    if ours == theirs:
        return True
    shorter = min(len(ours), len(theirs))
    if shorter >= _SHORTEST and sorted(ours) == sorted(theirs):
        return True
    return shorter >= _LONG and SequenceMatcher(None, ours, theirs).ratio() >= _ALIKE
