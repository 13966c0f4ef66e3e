"""Check a policy, or a directory of policy files, for every fault that can be proven without any data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pmx.arguments import checked
from pmx.errors import DataError, PolicyError
from pmx.linting.binding import idle_rules
from pmx.linting.budgets import budgets_together, scaled_budgets
from pmx.linting.corners import clashes, scale_box, turnover
from pmx.linting.files import disagreements, hard_liquidity, missing_lines, nobody_to_ask, switched_off
from pmx.linting.finding import CODES, Finding, PolicyCheck
from pmx.linting.membership import dropped_signals, empty_places, lost_symbols, unfed_buckets, unmatched_names
from pmx.linting.universe import Universe
from pmx.policy import Policy, load_policy

#: How a problem of the loader begins: a file, and the line where there is one.
_PLACE = re.compile(r"^(?P<source>\S+?): (?P<what>.*)$", re.DOTALL)

#: How the loader begins the next problem; a line that is further in belongs to the one before.
_NEXT = re.compile(r"\n  (?! )")


@checked
def check_policy(policy: Policy, symbols: Iterable[str] | None = None) -> PolicyCheck:
    """Prove that the hard rules hold together in every state, and flag what means nothing.

    A state is any risk scales within the scaler's limits, any signals or none, any gates; holdings are within the
    rules. What data alone decides is left out: volatility caps and traded volumes. So are bounds of accounts, which
    come with a solve.

    Parameters
    ----------
    policy : Policy
        The policy.
    symbols : iterable of str, optional
        The symbols that there are beside those that the policy names. Without them, each of its patterns stands for
        as many symbols as it admits.

    Returns
    -------
    PolicyCheck
        With no ``infeasible`` findings, no such state makes a solve raise `pmx.InfeasibleError`.

    Raises
    ------
    DataError
        If ``symbols`` is not a list of names.

    References
    ----------
    Boyd and Vandenberghe (2004), Convex Optimization, section 5.8 (theorems of alternatives).

    Examples
    --------
    >>> import pmx
    >>> policy = pmx.load_policy()
    >>> check = pmx.check_policy(policy)
    >>> check.errors, check.warnings
    ((), ())
    >>> rule = {"symbols": {"SP500": 1.0}, "min": 0.2}
    >>> check = pmx.check_policy(policy.override({"risk_buckets.custom_rules": {"own": rule}}))
    >>> [(finding.code, finding.rules) for finding in check.errors]
    [('infeasible-corner', ('custom.own', 'symbol.SP500.cap'))]
    """
    names = None if symbols is None else list(symbols)
    if isinstance(symbols, str) or not all(isinstance(name, str) and name for name in names or ()):
        raise DataError(f"symbols must be a list of names; got {symbols!r}")
    universe = Universe.of(policy, names)
    rules_hold = not policy.bypassed
    findings = [
        *(clashes(universe) if rules_hold else ()),
        *(turnover(universe) if rules_hold else ()),
        *disagreements(policy),
        *missing_lines(policy),
        *switched_off(policy),
        *hard_liquidity(policy),
        *nobody_to_ask(policy),
        *(idle_rules(universe) if rules_hold else ()),
        *scaled_budgets(policy),
        *budgets_together(policy),
        *lost_symbols(universe),
        *(unmatched_names(policy, names) if names is not None else ()),
        *empty_places(universe),
        *dropped_signals(universe),
        *unfed_buckets(policy),
    ]
    findings.sort(key=lambda finding: list(CODES).index(finding.code))
    symbols_known = tuple(universe.known) if universe.closed else None
    return PolicyCheck(tuple(findings), scale_box(policy), symbols_known, tuple(_left_out(policy)))


def _left_out(policy: Policy) -> Iterator[str]:
    """Yield the keys of the policy whose rules could still clash, or do not hold at all."""
    if not policy.risk_buckets.enabled:
        yield "risk_buckets.enabled"
    if not policy.barbell.enable_barbell_allocation:
        yield "barbell.enable_barbell_allocation"
    if policy.risk_buckets.portfolio.volatility_max is not None:
        yield "risk_buckets.portfolio.volatility_max"
    if any(hard_liquidity(policy)):
        yield "execution.liquidity.participation"


@checked
def check_config(
    path: str | Path | None = None, overrides: Mapping[str, Any] | None = None, symbols: Iterable[str] | None = None
) -> PolicyCheck:
    """Check a directory of policy files; files that do not load are findings too.

    Parameters
    ----------
    path : path-like, optional
        Directory that holds the eight files. None: the policy that comes with the package.
    overrides : mapping of str to object, optional
        Dotted key to plain value, applied on top.
    symbols : iterable of str, optional
        As for `check_policy`.

    Returns
    -------
    PolicyCheck

    Examples
    --------
    >>> check = check_config("nowhere")
    >>> [(finding.code, finding.source) for finding in check.findings]
    [('policy-error', 'nowhere')]
    """
    try:
        policy = load_policy(path, overrides)
    except PolicyError as error:
        return PolicyCheck(tuple(_load_error(line) for line in _problems(str(error))))
    return check_policy(policy, symbols)


def _problems(text: str) -> list[str]:
    """Split a refusal of the loader into its problems, one a line."""
    first, *rest = _NEXT.split(text)
    return rest or [first]


def _load_error(line: str) -> Finding:
    found = _PLACE.match(line)
    source, what = (found["source"], found["what"]) if found else ("policy", line)
    message, semicolon, remedy = what.partition("; ")
    return Finding("policy-error", source, message if semicolon else what, remedy if semicolon else "correct it")
