"""Symbols that a policy names in other letters, and names of a policy that resemble a symbol and match none."""

from __future__ import annotations

from collections.abc import Sequence

from pmx.errors import DataError, warn
from pmx.policy import Policy
from pmx.policy.names import is_pattern, misspelt, unmatched


def check_spelling(policy: Policy, symbols: Sequence[str]) -> None:
    """Refuse symbols that the policy means and does not see, and warn of names of its own that seem misspelt.

    Parameters
    ----------
    policy : Policy
        The policy.
    symbols : sequence of str
        The symbols of a universe.

    Raises
    ------
    DataError
        When a symbol has blanks around it, or is a name of the policy in large letters for small.

    Warns
    -----
    PmxWarning
        When a symbol matches a pattern of the policy but for large and small letters, or when a name of the policy is
        no symbol of the universe and resembles one.
    """
    texts = [symbol for symbol in symbols if isinstance(symbol, str)]
    for symbol in texts:
        if symbol != symbol.strip():
            raise DataError(f"the symbol {symbol!r} has blanks around it; write {symbol.strip()!r}")
    for symbol, name, key in misspelt(policy, texts):
        place = f"{key} ({policy.source(key)})"
        if is_pattern(name):
            warn(f"the symbol {symbol} matches {name} of {place} but for large and small letters; write it as there")
        else:
            raise DataError(
                f"the symbol {symbol!r} is {name} by {place}, whose limits do not see it in other letters; write "
                f"{name}, or name {symbol} in the policy too"
            )
    for name, key, near in unmatched(policy, texts):
        if near is not None:
            warn(f"{key} ({policy.source(key)}) names {name}, which matches no symbol here; did you mean {near}?")
