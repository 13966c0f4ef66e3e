"""One thing that is wrong in a policy, and how several of them become one ``PolicyError``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pmx.errors import PolicyError

#: Longest value that a message repeats.
_VALUE_WIDTH = 60


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do about it.

    Attributes
    ----------
    where : str
        ``"config/barbell.yml:12"``, ``"python"``, ``"override"`` or ``"--set"``.
    key : str
        Dotted key, such as ``"barbell.safe_bucket.min_weight"``; empty where there is none.
    what : str
        What is wrong, with the value and the limit.
    remedy : str
        What to do about it.
    """

    where: str
    key: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, f"{self.what}; {self.remedy}") if part)


def raise_if_any(problems: Iterable[Problem]) -> None:
    """Raise one ``PolicyError`` that lists every problem, or return if there is none.

    Raises
    ------
    PolicyError
        If there is at least one problem.

    Examples
    --------
    >>> raise_if_any([])
    >>> raise_if_any([Problem("barbell.yml:3", "barbell.markets", "is 5, not a mapping", "write name: [A]")])
    Traceback (most recent call last):
    ...
    pmx.errors.PolicyError: barbell.yml:3: barbell.markets: is 5, not a mapping; write name: [A]
    """
    lines = [str(problem) for problem in problems]
    if len(lines) == 1:
        raise PolicyError(lines[0])
    if lines:
        raise PolicyError("\n  ".join([f"{len(lines)} problems in the policy:", *lines]))


def shown(value: Any) -> str:
    """Return a value as a message repeats it: its ``repr``, shortened.

    Examples
    --------
    >>> shown("0.7")
    "'0.7'"
    """
    text = repr(value)
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 1] + "…"


def near(word: str, known: Sequence[str]) -> str | None:
    """Return the known name that a word resembles most, if it resembles any.

    Examples
    --------
    >>> near("BARBELL", ["barbell"]), near("zzz", ["alpha"])
    ('barbell', None)
    """
    folded = {name.strip().casefold(): name for name in reversed(known)}
    exact = folded.get(word.strip().casefold())
    nearest = [exact] if exact is not None else difflib.get_close_matches(word, known, n=1)
    return nearest[0] if nearest else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return the remedy for an unknown name: the nearest known one, else all of them.

    Examples
    --------
    >>> did_you_mean("min_wieght", ["min_weight", "max_weight"])
    "did you mean 'min_weight'?"
    >>> did_you_mean("zzz", ["alpha", "beta"])
    'known here: alpha, beta'
    """
    nearest = near(word, known)
    if nearest:
        return f"did you mean {nearest!r}?"
    return f"known here: {', '.join(known)}" if known else "nothing is known here; remove it"
