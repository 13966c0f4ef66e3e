"""The symbols that a policy is checked for: those it names, those given, and examples of its patterns.

Symbols that no rule tells apart form a class. Of a large class only so many symbols are kept as its total can need:
rules see sums, so that the kept ones, each as far as its cap lets it, reach every sum that all of them reach.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from pmx.linting.finding import Position
from pmx.policy import CASH, Policy
from pmx.policy.names import is_pattern, named

#: Symbol that stands for one that the policy names nowhere.
ANY = "*"
#: What a total may miss its bound by and still reach it: rounding.
_ROUNDING = 1e-9
#: No class keeps more symbols than this.
_MOST = 1000
#: Smaller classes are kept whole.
_WHOLE = 30


@dataclass(frozen=True, eq=False)
class Universe:
    """The symbols and positions of a check.

    Attributes
    ----------
    policy : Policy
        The policy.
    known : mapping of symbol to str
        Symbols that exist for certain, and the dotted key that names each first; empty for a symbol that was given.
    closed : bool
        Whether symbols were given, so that patterns stand for nothing but known ones.
    classes : tuple of (tuple of str, tuple of str)
        For each class of symbols that no rule tells apart: those kept, and all of them.
    """

    policy: Policy
    known: Mapping[str, str]
    closed: bool
    classes: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbols kept."""
        return tuple(symbol for kept, _ in self.classes for symbol in kept)

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """The (bucket, symbol) pairs that the policy admits, of the symbols kept."""
        buckets = self.policy.risk_buckets.buckets
        return tuple((b, s) for b in buckets for s in self.symbols if self.policy.admits(b, s))

    @classmethod
    def of(cls, policy: Policy, symbols: Iterable[str] | None = None) -> Universe:
        """Return the universe of a policy.

        Parameters
        ----------
        policy : Policy
            The policy.
        symbols : iterable of str, optional
            Symbols that there are beside those that the policy names. Without them, each pattern of the policy stands
            for as many symbols as it admits.

        Examples
        --------
        >>> buckets = {"ngx": {"role": "risk", "base_nav_frac": 0.1, "symbols": ["NGX:*"]}}
        >>> policy = Policy.from_mapping({"risk_buckets": {"buckets": buckets}})
        >>> Universe.of(policy).positions  # as many as 0.25 at risk takes, at 0.10 each
        (('ngx', 'NGX:*'), ('ngx', 'NGX:*1'), ('ngx', 'NGX:*2'))
        >>> Universe.of(policy, ["NGX:MTNN", "SPY"]).positions
        (('ngx', 'NGX:MTNN'),)
        """
        known: dict[str, str] = {}
        for symbol, key in [*named(policy), *((symbol, "") for symbol in symbols or () if symbol != CASH)]:
            if not is_pattern(symbol) or not key:
                known.setdefault(symbol, key)
        groups: dict[tuple[object, ...], list[str]] = {}
        for symbol in known:
            groups.setdefault(_kind(policy, symbol), []).append(symbol)
        classes = [(tuple(some[: max(_enough(policy, some[0]), _WHOLE)]), tuple(some)) for some in groups.values()]
        if symbols is None:
            patterns = dict.fromkeys([ANY, *(text for text, _ in named(policy) if is_pattern(text))])
            for pattern in patterns:
                for first in members(pattern, 1):
                    wanted = [s for s in members(pattern, _enough(policy, first)) if s not in known]
                    classes.append((tuple(wanted), (pattern,)))
        return cls(policy, known, symbols is not None, tuple(classes))


def place(policy: Policy, key: str) -> str:
    """Return where a key was given, or the nearest key above it that was."""
    while "." in key and policy.source(key) == "default":
        key = key.rpartition(".")[0]
    return policy.source(key)


def matches(symbol: str, listed: Iterable[str]) -> bool:
    """Return whether a list of names and patterns holds a symbol."""
    return any(fnmatchcase(symbol, pattern) for pattern in listed)


def members(pattern: str, count: int) -> list[str]:
    """Return up to ``count`` different names that match a shell pattern.

    Examples
    --------
    >>> members("NGX:*", 2), members("F[12]", 3)
    (['NGX:*', 'NGX:*1'], ['F1'])
    """
    plain = re.sub(r"\[(!?)(.)[^]]*\]", lambda found: "_" if found[1] else found[2], pattern)
    if "*" in plain:
        others = [plain.replace("*", f"*{i}", 1) for i in range(1, count)]
    else:
        others = [plain.replace("?", chr(ord("A") + i), 1) for i in range(count - 1)] * ("?" in plain)
    return [name for name in (plain, *others) if fnmatchcase(name, pattern)]


def _kind(policy: Policy, symbol: str) -> tuple[object, ...]:
    """Return what rules can see of a symbol."""
    rules = policy.risk_buckets.custom_rules.values()
    single = symbol in policy.barbell.symbol_caps or any(symbol in rule.symbols for rule in rules)
    buckets = tuple(name for name in policy.risk_buckets.buckets if policy.admits(name, symbol))
    return (symbol,) if single else (buckets, policy.markets_of(symbol))


def _enough(policy: Policy, symbol: str) -> int:
    """Return how many symbols like this one reach any total that the policy lets them have together."""
    config, barbell = policy.risk_buckets, policy.barbell
    if not barbell.enable_barbell_allocation:
        return 1
    names = [name for name in config.buckets if policy.admits(name, symbol)]
    roles = {config.buckets[name].role for name in names}
    ends = {"safe": barbell.safe_bucket.max_per_position, "risk": barbell.risk_bucket.max_per_position}
    caps = [cap for role, cap in ends.items() if role in roles and cap is not None]
    if not caps or min(caps) == 0.0:
        return 1
    totals = [
        config.portfolio.gross_max,
        sum(config.buckets[name].max_nav_frac for name in names) if config.enabled else None,
    ]
    if roles == {"risk"}:
        totals += [1.0 - policy.safe_floor, barbell.risk_bucket.max_weight]
    most = min((total for total in totals if total is not None), default=math.inf)
    return int(min(max(1, math.ceil(min(most / min(caps), _MOST) - _ROUNDING)), _MOST))
