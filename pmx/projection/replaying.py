"""A journal solved again, line by line, from what was asked and under the recorded policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import LedgerError, PolicyError
from pmx.policy import Policy
from pmx.projection.again import Outcome, arguments, array, compared, refused_again, unanswerable
from pmx.projection.journal import REFUSALS, machine, versions
from pmx.projection.projector import Projector
from pmx.verify.chain import BrokenChainError, unbroken
from pmx.verify.verdict import FORMAT


@checked
@dataclass(frozen=True, slots=True)
class ReplayedLine:
    """One solve or refusal of a journal, and what came out of it now.

    Attributes
    ----------
    line : int
        Its line in the file, from 1.
    record : {"solve", "refusal"}
        What it was.
    label : str or None
        Such as its date.
    outcome : {"equal", "within", "differs", "not solved"}
        The same bits; as near as two certified answers are, where the first began from an earlier one; something else;
        or not solved again.
    why : str
        What differs, or why it was not solved again.
    difference : float, fraction of NAV
        Largest difference of a weight; NaN where one of the two has none.
    """

    line: int
    record: str
    label: str | None
    outcome: Outcome
    why: str = ""
    difference: float = 0.0


@checked
@dataclass(frozen=True, slots=True)
class Replay:
    """What came out of a journal that was solved again.

    Attributes
    ----------
    lines : tuple of ReplayedLine
        Its solves and refusals, in order.
    changes : tuple of str
        Versions and machine that are others than those of the journal's sessions.
    """

    lines: tuple[ReplayedLine, ...]
    changes: tuple[str, ...]

    @checked
    def count(self, outcome: Outcome) -> int:
        """Return how many lines came out so."""
        return sum(line.outcome == outcome for line in self.lines)

    @property
    def table(self) -> pd.DataFrame:
        """One row a line: record, label, outcome, largest difference of a weight, why."""
        columns = ["line", "record", "label", "outcome", "difference", "why"]
        rows = [[getattr(line, column) for column in columns] for line in self.lines]
        return pd.DataFrame(rows, columns=columns).set_index("line")


@checked
def replay(path: str | PathLike[str], policy: Policy | None = None) -> Replay:
    """Solve every line of a journal again from what was asked, and compare.

    Parameters
    ----------
    path : path-like
        The journal.
    policy : Policy, optional
        Solve under this one; under the policy that each line names if not given.

    Returns
    -------
    Replay

    Raises
    ------
    LedgerError
        When the file cannot be read, or is not an unbroken journal of this format.

    Notes
    -----
    Weights, shadow prices, certificate and the arrays of the program are compared to the last bit. The same versions on
    the same kind of machine give the same bits; `Replay.changes` says where they are others. Answers with constraints
    of the caller's own, and those of ``what_if``, are not solved again.

    Examples
    --------
    >>> import pmx, tempfile
    >>> path = tempfile.mkdtemp() + "/run.jsonl"
    >>> policy = pmx.load_policy()
    >>> alloc = pmx.project_to_feasible({"WTI": 0.09, "GLD": 0.09}, policy, journal=path)
    >>> pmx.replay(path).table["outcome"].tolist()
    ['equal']
    >>> looser = policy.override({"barbell.market_caps.commodities": 0.12})
    >>> round(pmx.replay(path, looser).lines[0].difference, 6)  # of cash, the largest
    0.02
    """
    session = _Session(policy)
    try:
        with open(path, "rb") as file:
            lines = [done for number, raw, _ in unbroken(file) for done in session.read(number, json.loads(raw))]
    except OSError as error:
        raise LedgerError(f"journal {path} cannot be read ({error.strerror}); name another file") from error
    except BrokenChainError as error:
        raise LedgerError(f"journal {path}: line {error.line} {error}; run `pmx verify` on it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = f"line {session.number}" if session.number else "its beginning"
        raise LedgerError(
            f"journal {path}: {where} is not that of a journal ({type(error).__name__}: {error}); "
            "run `pmx verify` on it"
        ) from error
    return Replay(tuple(lines), tuple(session.changes))


class _Session:
    """The policies of the session that is read, and what they are compiled to."""

    def __init__(self, policy: Policy | None) -> None:
        self.given = policy
        self.number = 0
        self.changes: dict[str, None] = {}
        self.policies: dict[str, Policy | PolicyError] = {}
        self._projectors: dict[tuple[str, tuple[tuple[str, str], ...]], Projector] = {}

    def read(self, number: int, line: Mapping[str, Any]) -> Iterator[ReplayedLine]:
        self.number = number
        kind = line["record"]
        if kind == "session":
            if line["format"] != FORMAT:
                raise ValueError(f"the format is {line['format']!r}, not {FORMAT!r}")
            self.changes |= dict.fromkeys(_changes(line))
        elif kind == "policy":
            try:
                self.policies[line["fingerprint"]] = Policy.from_mapping(line["policy"])
            except PolicyError as error:
                self.policies[line["fingerprint"]] = error
        elif kind in ("solve", "refusal"):
            outcome, why, difference = self._again(line)
            yield ReplayedLine(number, kind, line["label"], outcome, why, difference)

    def _again(self, line: Mapping[str, Any]) -> tuple[Outcome, str, float]:
        """Return what came of a line, in what it differs, and by how much."""
        policy = self.given if self.given is not None else self.policies[line["policy"]]
        if isinstance(policy, PolicyError):
            return "not solved", f"this version of pmx does not take the recorded policy: {policy}", np.nan
        if line.get("status") == "bypassed" and policy.bypassed:
            return "equal", "", 0.0  # the caller's weights, of which nothing is computed
        asked, why = line["asked"], unanswerable(line)
        if why:
            return "not solved", why, np.nan
        positions = tuple((str(bucket), str(symbol)) for bucket, symbol in line["positions"])
        try:
            key = (policy.fingerprint, positions)
            if key not in self._projectors:
                self._projectors[key] = Projector(policy, positions)
            projector = self._projectors[key]
            ask = projector.solve if asked["how"] == "solve" else projector.project
            allocation = ask(array(asked["weights"]), **arguments(asked))
        except REFUSALS as error:
            return refused_again(line, error)
        return compared(line, allocation)


def _changes(session: Mapping[str, Any]) -> Iterator[str]:
    for now, then in ((versions(), session["versions"]), (machine(), session["machine"])):
        for name in dict.fromkeys([*then, *now]):
            if then.get(name) != now.get(name):
                yield f"{name} {then.get(name, 'absent')} → {now.get(name, 'absent')}"
