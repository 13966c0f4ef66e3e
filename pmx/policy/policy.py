"""The policy: eight frozen sections, and the questions that the stages ask of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property, lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pmx.arguments import checked
from pmx.policy.consistency import problems_of
from pmx.policy.frozen_dict import FrozenDict
from pmx.policy.keys import set_key
from pmx.policy.problem import Problem, did_you_mean, raise_if_any
from pmx.policy.schema import (
    SECTIONS,
    Barbell,
    Execution,
    ForecasterMonitoring,
    OptionsConfig,
    QuantSuccess,
    RiskBuckets,
    RiskScaler,
    SignalRouting,
)
from pmx.policy.validation import locate, validate

if TYPE_CHECKING:
    import pandas as pd


@checked
@dataclass(frozen=True, eq=False)
class Policy:
    """A complete risk policy: immutable, consistent with itself, and able to say where each value came from.

    Build one with `load_policy` or `Policy.from_mapping`. Two policies are equal when their contents are,
    wherever they came from; the order of the buckets is part of the contents.

    Attributes
    ----------
    risk_buckets, barbell, risk_scaler, signal_routing_config, quant_success_config, forecaster_monitoring, \
execution, options_config
        The typed contents of the file of that name in ``config/``.

    Raises
    ------
    PolicyError
        If the sections contradict each other or themselves.

    Examples
    --------
    >>> policy = Policy.from_mapping({"barbell": {"safe_bucket": {"symbols": ["BIL"], "min_weight": 0.6}}})
    >>> policy.safe_floor
    0.6
    >>> policy.source("barbell.safe_bucket.min_weight"), policy.source("barbell.safe_bucket.max_weight")
    ('python', 'default')
    """

    risk_buckets: RiskBuckets = field(default_factory=RiskBuckets)
    barbell: Barbell = field(default_factory=Barbell)
    risk_scaler: RiskScaler = field(default_factory=RiskScaler)
    signal_routing_config: SignalRouting = field(default_factory=SignalRouting)
    quant_success_config: QuantSuccess = field(default_factory=QuantSuccess)
    forecaster_monitoring: ForecasterMonitoring = field(default_factory=ForecasterMonitoring)
    execution: Execution = field(default_factory=Execution)
    options_config: OptionsConfig = field(default_factory=OptionsConfig)
    _sources: Mapping[str, str] = field(default_factory=FrozenDict, repr=False)

    def __post_init__(self) -> None:
        raise_if_any(Problem(locate(self._sources, key), key, what, remedy) for key, what, remedy in problems_of(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @classmethod
    @checked
    def from_mapping(cls, data: Mapping[str, Any], *, sources: Mapping[str, str] | None = None) -> Policy:
        """Build a policy from plain data.

        Parameters
        ----------
        data : mapping
            Section name to plain data in the shape of the YAML files. Missing sections and keys take their
            defaults.
        sources : mapping of str to str, optional
            Dotted key to where it was given, such as ``"config/barbell.yml:12"``; ``"python"`` if not given.

        Returns
        -------
        Policy

        Raises
        ------
        PolicyError
            Naming every wrong key, its value, where it was given, and the remedy.

        Examples
        --------
        >>> Policy.from_mapping({"barbell": {"safe_bucket": {"min_weight": 1.7}}})
        Traceback (most recent call last):
        ...
        pmx.errors.PolicyError: python: barbell.safe_bucket.min_weight: is 1.7, which is not ≤ 1; ...
        """
        if sources is None:
            sources = dict.fromkeys(_dotted(data), "python")
        sections: dict[str, Any] = validate(data, sources)
        return cls(**sections, _sources=FrozenDict(sources))

    def to_mapping(self) -> dict[str, Any]:
        """Return the whole policy as plain data, from which `from_mapping` builds an equal one."""
        return {name: getattr(self, name).model_dump() for name in SECTIONS}

    @checked
    def override(self, values: Mapping[str, Any]) -> Policy:
        """Return a policy with some keys changed, validated afresh as a whole.

        Parameters
        ----------
        values : mapping of str to object
            Dotted key to plain value.

        Returns
        -------
        Policy

        Raises
        ------
        PolicyError
            If a key does not exist or the changed policy is wrong.

        Examples
        --------
        >>> policy = Policy().override({"barbell.safe_bucket.min_weight": 0.8})
        >>> policy.safe_floor, policy.source("barbell.safe_bucket.min_weight")
        (0.8, 'override')
        """
        data, sources = self.to_mapping(), dict(self._sources)
        for key, value in values.items():
            set_key(data, key, value)
            sources = {name: where for name, where in sources.items() if not name.startswith(f"{key}.")}
            sources |= dict.fromkeys((key, *_dotted(value, key)), "override")
        return Policy.from_mapping(data, sources=sources)

    @property
    def sources(self) -> Mapping[str, str]:
        """Where each dotted key was given, with the folder; keys that are not here have their default."""
        return self._sources

    @checked
    def diff(self, other: Policy) -> pd.DataFrame:
        """Return each key that another, later policy has otherwise; see :func:`pmx.policy.policy_diff`.

        Examples
        --------
        >>> later = Policy().override({"barbell.risk_bucket.max_weight": 0.3})
        >>> Policy().diff(later)[["key", "change", "before", "after"]].values.tolist()
        [['barbell.risk_bucket.max_weight', 'loosened', 0.25, 0.3]]
        """
        from pmx.policy.diff import policy_diff

        return policy_diff(self, other)

    @checked
    def source(self, key: str) -> str:
        """Return where a value came from: ``"barbell.yml:12"``, ``"python"``, ``"override"``, ``"default"``.

        Parameters
        ----------
        key : str
            Dotted key, such as ``"barbell.market_caps.ngx"``.
        """
        return self._places.get(key, "default")

    @cached_property
    def _places(self) -> dict[str, str]:
        """Where each key was given, without the folder: asked for by every rule of every day."""
        return {key: PurePath(where).name for key, where in self._sources.items()}

    @cached_property
    def origin(self) -> str:
        """Where the policy was loaded from, and which keys were changed since, for people to read.

        Examples
        --------
        >>> Policy.from_mapping({}).override({"execution.trade_at": "close"}).origin
        'python, with execution.trade_at changed'
        """
        files = {where.rpartition(":")[0] for where in self._sources.values() if where.rpartition(":")[2].isdigit()}
        places = sorted({str(PurePath(file).parent) for file in files}) if len(files) > 1 else sorted(files)
        changed = [key for key, where in self._sources.items() if where == "override"]
        changed = [key for key in changed if self._sources.get(key.rpartition(".")[0]) != "override"]
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return (", ".join(places) or "python") + (f", with {', '.join(changed[:3])}{more} changed" if changed else "")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the contents, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_mapping()).encode()).hexdigest()

    @cached_property
    def safe_buckets(self) -> tuple[str, ...]:
        """Buckets of the safe role, in file order."""
        return self._of_role("safe")

    @cached_property
    def risk_bucket_names(self) -> tuple[str, ...]:
        """Buckets of the risk role, in file order."""
        return self._of_role("risk")

    @property
    def safe_floor(self) -> float:
        """Least safe weight, fraction of NAV: the larger of the minima of ``barbell`` and ``risk_buckets``.

        Zero while ``barbell.enable_barbell_allocation`` is off.
        """
        if not self.barbell.enable_barbell_allocation:
            return 0.0
        buckets = self.risk_buckets.buckets if self.risk_buckets.enabled else {}
        of_buckets = sum(bucket.min_nav_frac for bucket in buckets.values() if bucket.role == "safe")
        return max(of_buckets, self.barbell.safe_bucket.min_weight)

    @property
    def bypassed(self) -> bool:
        """Whether both layers are switched off, so that weights pass through unchanged."""
        return not self.risk_buckets.enabled and not self.barbell.enable_barbell_allocation

    @checked
    def bucket_of(self, symbol: str) -> str | None:
        """Return the bucket of a symbol that comes without one.

        The first bucket in file order whose ``symbols`` match; else the first safe bucket for a symbol of
        ``barbell.safe_bucket.symbols``; else ``risk_buckets.default_bucket``, which may be None.

        Examples
        --------
        >>> buckets = {"ngx": {"role": "risk", "base_nav_frac": 0.1, "symbols": ["NGX:*"]}}
        >>> Policy.from_mapping({"risk_buckets": {"buckets": buckets}}).bucket_of("NGX:DANGCEM")
        'ngx'
        """
        for name, bucket in self.risk_buckets.buckets.items():
            if _matches(symbol, bucket.symbols):
                return name
        if symbol in self.barbell.safe_bucket.symbols and self.safe_buckets:
            return self.safe_buckets[0]
        return self.risk_buckets.default_bucket

    @checked
    def admits(self, bucket: str, symbol: str) -> bool:
        """Return whether a bucket may hold a symbol.

        A bucket that lists symbols admits those; one that lists none admits all. Safe symbols (listed in the
        barbell or in a safe bucket) are admitted by safe buckets only, and where any are listed, safe buckets
        admit nothing else: a risk asset cannot be made safe by holding it there.

        Raises
        ------
        PolicyError
            If there is no such bucket.

        Examples
        --------
        >>> safe, core = {"role": "safe", "base_nav_frac": 0.7}, {"role": "risk", "base_nav_frac": 0.3}
        >>> buckets = {"safe": safe, "core": core}
        >>> barbell = {"safe_bucket": {"symbols": ["BIL"]}}
        >>> policy = Policy.from_mapping({"risk_buckets": {"buckets": buckets}, "barbell": barbell})
        >>> policy.admits("safe", "BIL"), policy.admits("safe", "SPY"), policy.admits("core", "BIL")
        (True, False, False)
        """
        known = self.risk_buckets.buckets
        if bucket not in known:
            key = "risk_buckets.buckets"
            remedy = did_you_mean(bucket, tuple(known))
            raise_if_any([Problem(locate(self._sources, key), key, f"has no bucket {bucket!r}", remedy)])
        listed = known[bucket].symbols
        if known[bucket].role == "risk":
            return (not listed or _matches(symbol, listed)) and not self.is_safe(symbol)
        if not listed and not self.barbell.safe_bucket.symbols:
            return True
        return _matches(symbol, listed) or symbol in self.barbell.safe_bucket.symbols

    @checked
    def markets_of(self, symbol: str) -> tuple[str, ...]:
        """Return the markets of a symbol, in file order; none, one or several.

        Examples
        --------
        >>> policy = Policy.from_mapping({"barbell": {"markets": {"ngx": ["NGX:*"]}}})
        >>> policy.markets_of("NGX:MTNN"), policy.markets_of("SPY")
        (('ngx',), ())
        """
        return tuple(name for name, listed in self.barbell.markets.items() if _matches(symbol, listed))

    @checked
    def is_safe(self, symbol: str) -> bool:
        """Return whether the barbell or a safe bucket lists a symbol as safe."""
        listed = (self.risk_buckets.buckets[name].symbols for name in self.safe_buckets)
        return symbol in self.barbell.safe_bucket.symbols or any(_matches(symbol, some) for some in listed)

    def _of_role(self, role: str) -> tuple[str, ...]:
        return tuple(name for name, bucket in self.risk_buckets.buckets.items() if bucket.role == role)


def _matches(symbol: str, patterns: tuple[str, ...]) -> bool:
    names, wildcards = _compiled(patterns)
    return symbol in names or (wildcards is not None and wildcards.match(symbol) is not None)


@lru_cache(maxsize=256)
def _compiled(patterns: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """Return the patterns as names, and those with wildcards as one expression: a policy asks of every symbol."""
    wild = [translate(pattern) for pattern in patterns if set(pattern) & set("*?[")]
    return frozenset(patterns), re.compile("|".join(wild)) if wild else None


def _dotted(value: Any, prefix: str = "") -> list[str]:
    """Return the dotted key of everything inside a nested mapping."""
    keys: list[str] = []
    if isinstance(value, Mapping):
        for name, item in value.items():
            key = f"{prefix}.{name}" if prefix else str(name)
            keys += [key, *_dotted(item, key)]
    return keys
