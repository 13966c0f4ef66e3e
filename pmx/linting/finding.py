"""What a check finds: one frozen record a fault, with a stable code, its place, its remedy, and its proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pmx.arguments import checked
from pmx.errors import ClashingLimit

Position = tuple[str, str]
#: Names that a message spells out.
_SHOWN = 5


class Severity(StrEnum):
    """How much a finding matters."""

    error = "error"
    warning = "warning"
    info = "info"


_ERROR, _WARNING, _INFO = Severity

#: Code → how much it matters, and what it means.
CODES: Mapping[str, tuple[Severity, str]] = MappingProxyType({
    "policy-error": (_ERROR, "the files do not load"),
    "infeasible-corner": (_ERROR, "hard rules clash for some risk scales and signals"),
    "infeasible-when-gated": (_ERROR, "hard rules clash once symbols are gated with exit"),
    "infeasible-turnover": (_ERROR, "the hard limit on turnover can forbid trades that other hard rules need"),
    "files-disagree": (_ERROR, "two files say different things about the same quantity"),
    "never-binds": (_WARNING, "other rules together keep a rule from ever binding"),
    "shadowed-rule": (_WARNING, "one tighter rule keeps a rule from ever binding"),
    "unfillable-budget": (_WARNING, "a budget can never be filled"),
    "unreachable-minimum": (_WARNING, "risk scaling never gets down to a bucket's minimum"),
    "unreachable-scale": (_WARNING, "a bucket's maximum cuts its highest scale off"),
    "symbol-without-market": (_WARNING, "a symbol is in no market, and no bucket lists it"),
    "symbol-without-bucket": (_WARNING, "no bucket may hold a symbol"),
    "name-misspelt": (_WARNING, "a name of the policy matches no symbol that there is, and resembles one"),
    "empty-bucket": (_WARNING, "no symbol may be held by a bucket"),
    "empty-market": (_WARNING, "no symbol belongs to a market"),
    "market-without-cap": (_WARNING, "a market has no cap"),
    "safe-admits-all": (_WARNING, "any symbol counts as safe"),
    "signals-dropped": (_WARNING, "a source sends symbols to a bucket that may not hold them"),
    "default-limit": (_WARNING, "the line of a limit is missing, so that a default stands in for it"),
    "hard-liquidity": (_WARNING, "a forced sale that is larger than the market has no answer"),
    "nobody-to-ask": (_WARNING, "the language model is switched on, but none is named"),
    "layer-off": (_WARNING, "a layer of rules is switched off"),
    "name-without-symbol": (_INFO, "a name of the policy matches no symbol that there is"),
    "barbell-gap": (_INFO, "the safe floor and the risk cap leave a gap; the looser of the two is a backstop"),
    "budgets-together": (_INFO, "budgets cannot all be filled at once"),
    "bucket-without-source": (_INFO, "no signal and no standing weight fills a bucket"),
    "symbol-in-two-buckets": (_INFO, "two buckets list a symbol"),
})  # fmt: skip


@dataclass(frozen=True)
class Corner:
    """A state in which hard rules clash: the arguments of `Projector.solve` that show it.

    Attributes
    ----------
    scales : mapping of bucket to float
        Risk scales; 1 where not named.
    relative : mapping of (bucket, symbol) to float
        Relative weights. What is not named is not asked for.
    gates : mapping of symbol to str
        Gated symbols and their mode.
    held : mapping of (bucket, symbol) to float, fraction of NAV
        Signed weights held before; empty where they do not matter.
    """

    scales: Mapping[str, float] = field(default_factory=dict)
    relative: Mapping[Position, float] = field(default_factory=dict)
    gates: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[Position, float] = field(default_factory=dict)

    def __str__(self) -> str:
        asked = {bucket for (bucket, _), share in self.relative.items() if share}
        short = [f"{bucket}/{symbol}" for (bucket, symbol), share in self.relative.items() if share < 0.0]
        quiet = [bucket for bucket in dict.fromkeys(bucket for bucket, _ in self.relative) if bucket not in asked]
        low = [f"{bucket} {scale:g}" for bucket, scale in self.scales.items() if scale != 1.0]
        parts = [f"risk scales {', '.join(low)}" if low else "every risk scale 1"]
        if self.held:
            parts.append(f"{100.0 * sum(map(abs, self.held.values())):.6g}% of NAV held before")
        parts += [f"no signals in {', '.join(quiet)}"] if quiet else []
        parts += [f"short signals in {', '.join(short)}"] if short else []
        parts += [f"{mode} gate on {symbol}" for symbol, mode in self.gates.items()]
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""

        def rows(weights: Mapping[Position, float]) -> list[dict[str, Any]]:
            return [{"bucket": b, "symbol": s, "weight": weight} for (b, s), weight in weights.items()]

        return {
            "scales": dict.fromkeys((bucket for bucket, _ in self.relative), 1.0) | dict(self.scales),
            "relative_weights": rows(self.relative),
            "gates": dict(self.gates),
            "previous": rows(self.held),
        }


@dataclass(frozen=True)
class Finding:
    """One fault of a policy.

    Attributes
    ----------
    code : str
        A key of `CODES`.
    source : str
        Where: ``"barbell.yml:22"``, ``"python"``, ``"override"`` or ``"default"``.
    message, remedy : str
        What is wrong, and what to do about it.
    rules : tuple of str
        The rules that it is about.
    corner : Corner or None
        For clashes: a state that shows it.
    multipliers : mapping of rule name to float
        The proof. For clashes: weights on the rules whose sum contradicts itself. For rules that never bind: weights
        on other rules whose sum keeps the rule below its bound.
    proof : tuple of ClashingLimit
        For clashes: the single limits with their multipliers in rational numbers.
    relaxation : mapping of rule name to float, fraction of NAV
        For clashes: the cheapest way out.
    """

    code: str
    source: str
    message: str
    remedy: str
    rules: tuple[str, ...] = ()
    corner: Corner | None = None
    multipliers: Mapping[str, float] = field(default_factory=dict)
    proof: tuple[ClashingLimit, ...] = ()
    relaxation: Mapping[str, float] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return CODES[self.code][0]

    def __str__(self) -> str:
        return f"{self.source}: {self.severity} [{self.code}] {self.message}; {self.remedy}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "source": self.source,
            "message": self.message,
            "remedy": self.remedy,
            "rules": list(self.rules),
            "corner": None if self.corner is None else self.corner.to_dict(),
            "multipliers": dict(self.multipliers),
            "proof": [asdict(limit) | {"multiplier": str(limit.multiplier)} for limit in self.proof],
            "relaxation": dict(self.relaxation),
        }


@dataclass(frozen=True)
class PolicyCheck:
    """What a check of one policy found.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first.
    scales : mapping of bucket to (float, float)
        The box of risk scales that the verdict covers.
    symbols : tuple of str or None
        The symbols that it covers; None for any that the policy's patterns admit.
    left_out : tuple of str
        Keys of the policy whose rules it does not cover: data decides them, or they are switched off.
    """

    findings: tuple[Finding, ...]
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    symbols: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()

    @checked
    def of(self, *severities: Severity) -> tuple[Finding, ...]:
        """Return the findings of some severities."""
        return tuple(finding for finding in self.findings if finding.severity in severities)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What must be mended."""
        return self.of(Severity.error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What most likely is not what was meant."""
        return self.of(Severity.warning)

    @property
    def infeasible(self) -> tuple[Finding, ...]:
        """The states in which hard rules clash; where there are none, no state of the box is infeasible."""
        return tuple(finding for finding in self.findings if finding.code.startswith("infeasible-"))


def some(names: Sequence[str]) -> str:
    """Return a list of names as a message shows it: the first few, and how many more.

    Examples
    --------
    >>> some(["A", "B", "C", "D", "E", "F", "G"])
    'A, B, C, D, E and 2 more'
    """
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
