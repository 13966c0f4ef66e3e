"""A journal read from its first line to its last, and what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from os import PathLike
from typing import Any, BinaryIO

from .attribution import wrong_moves
from .chain import BrokenChainError, unbroken
from .exact import HALF, ONE, ZERO, shown
from .feasibility import Problem, misstated, violations
from .field import Field, MalformedError, parse
from .names import misnamed, unknown_engine
from .optimality import Bound, bounds, judging_noise, softest, wrong_prices
from .policy import broken_limits, is_off
from .reading import read_solve
from .record import HARD_TOLERANCE, Proof, Solve
from .table import wrong_table, wrong_weights

#: The format that this verifier knows.
FORMAT = "pmx journal 1"
#: Furthest that an answer may be from its optimum, fraction of NAV; the second where there are cones.
DISTANCE_TOLERANCE, CONIC_DISTANCE_TOLERANCE = Fraction(1e-6), Fraction(1e-5)
#: The solver's judge works in doubles: its bound may fall short of the exact one by this much, relatively and in all.
STATED_RELATIVE, STATED_NEAR = Fraction(1, 10**6), Fraction(1, 10**12)
#: Gaps below this are rounding.
GAP_NEAR = Fraction(1, 10**30)
#: What a finding shows of the name of a rule, and of its message.
LONGEST_NAME, LONGEST_MESSAGE = 100, 400
#: More findings than these are not collected.
MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is off.

    Attributes
    ----------
    line : int
        The line of the journal, from 1; 0 where there is none.
    rule : str
        The rule of the policy, or the part of the line, that it is about.
    message : str
        What is off.
    """

    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        text = f"line {self.line}: {self.rule[:LONGEST_NAME]}: {self.message[:LONGEST_MESSAGE]}"
        return "".join(c if c.isprintable() else "?" for c in text)


@dataclass(slots=True)
class Verdict:
    """What was found in a journal; figures are the worst of its solves, fractions of NAV.

    Attributes
    ----------
    findings : list of Finding
        What is off; empty when everything holds.
    lines : int
        Lines that stand as they were written.
    sessions, solves, relaxed, bypassed : int
        How often it was opened, what was solved, how often a soft rule gave way, and how often the policy was off.
    policies : set of str
        Fingerprints.
    violation : Fraction
        Worst violation of a hard rule.
    distance, distance_as_written : Fraction
        Furthest that an answer can be from the optimum, where limits are known up to the rounding of the sums that meet
        them, and where every limit is as it is written.
    moved : Fraction
        Most that the first of these moved a limit.
    head : str
        Hash of the last line: whoever has kept it knows that nothing up to that line was rewritten since.
    """

    findings: list[Finding] = field(default_factory=list)
    lines: int = 0
    sessions: int = 0
    solves: int = 0
    relaxed: int = 0
    bypassed: int = 0
    policies: set[str] = field(default_factory=set)
    violation: Fraction = ZERO
    distance: Fraction = ZERO
    distance_as_written: Fraction = ZERO
    moved: Fraction = ZERO
    head: str = ""

    @property
    def accepted(self) -> bool:
        """Whether everything holds."""
        return not self.findings


def verify(path: str | PathLike[str]) -> Verdict:
    """Verify a journal.

    Parameters
    ----------
    path : path-like
        The journal.

    Returns
    -------
    Verdict

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with open(path, "rb") as file:
        return _Reader(Verdict()).read(file)


class _Reader:
    """The state between lines: the session that is open, and its policies."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.open = False
        self.count = 0
        self.policies: dict[str, Any] = {}
        self.number = 0

    def read(self, file: BinaryIO) -> Verdict:
        """Go through the lines."""
        verdict = self.verdict
        try:
            for self.number, raw, digest in unbroken(file):
                verdict.lines, verdict.head = self.number, digest
                try:
                    for rule, message in self._line(parse(raw)):
                        self._find(rule, message)
                except MalformedError as error:
                    self._find("format", str(error))
                except Exception as error:  # noqa: BLE001  (what cannot be judged, for whatever reason, is refused)
                    self._find("format", f"the line cannot be judged: {type(error).__name__}: {error}")
                if len(verdict.findings) >= MOST_FINDINGS:
                    self._find("journal", f"{MOST_FINDINGS} findings: the rest was not read")
                    return verdict
        except BrokenChainError as error:
            self.number = error.line
            self._find("chain", f"the line {error}; {_lines_before(verdict.lines)}")
            return verdict
        if not verdict.lines:
            self._find("chain", "the file is empty")
        elif self.open:
            self._find(
                "chain", f"the journal is truncated after this line: it was not closed; {_lines_before(self.number)}"
            )
        return verdict

    def _find(self, rule: str, message: str) -> None:
        self.verdict.findings.append(Finding(self.number, rule, message))

    def _line(self, line: Field) -> Iterator[Problem]:
        kind = line["record"].text("session", "policy", "solve", "end")
        if (kind == "session") == self.open:
            yield (
                "chain",
                "a session begins before the last one was closed" if self.open else f"a {kind} outside a session",
            )
        if kind == "session":
            line["format"].text(FORMAT)
            self.open, self.count, self.policies = True, 0, {}
            self.verdict.sessions += 1
        elif kind == "policy":
            yield from self._policy(line)
        elif kind == "solve":
            self.count += 1
            self.verdict.solves += 1
            yield from self._solve(read_solve(line))
        else:
            self.open = False
            if line["solves"].integer(0, 10**12) != self.count:
                yield "chain", f"the session counts {line['solves'].value} solves, it has {self.count}"

    def _policy(self, line: Field) -> Iterator[Problem]:
        fingerprint, content = line["fingerprint"].text(), line["policy"].value
        if hashlib.sha256(json.dumps(content).encode()).hexdigest() != fingerprint:
            yield "policy", "its fingerprint is not that of its content"
        self.policies[fingerprint] = content
        self.verdict.policies.add(fingerprint)

    def _solve(self, solve: Solve) -> Iterator[Problem]:
        if solve.number != self.count:
            yield "chain", f"solve {solve.number} stands where solve {self.count} should"
        if solve.policy not in self.policies:
            yield "policy", "the solve's policy is not in the session"
            return
        policy = self.policies[solve.policy]
        try:
            off = is_off(policy)
            if not off:
                yield from broken_limits(policy, solve)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield "policy", f"its content cannot be read: {type(error).__name__}: {error}"
            return
        if off != (solve.proof is None) or off != (solve.status == "bypassed"):
            yield "policy", "is switched off, and yet there is a proof" if off else "is on, and yet there is no proof"
        self.verdict.bypassed += off
        if solve.proof is None:
            return
        yield from self._proof(solve, solve.proof)
        try:
            yield from misnamed(policy, solve, solve.proof.program)
            yield from unknown_engine(policy, solve.proof.certificate.engine)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield "policy", f"its content cannot be read: {type(error).__name__}: {error}"

    def _proof(self, solve: Solve, proof: Proof) -> Iterator[Problem]:
        p, answer, verdict = proof.program, proof.answer, self.verdict
        problems = [*misstated(p, solve.weights.residual)]
        if not problems:
            problems = [*wrong_prices(p, answer)]
        yield from problems
        if problems:
            return
        yield from wrong_weights(solve, proof)
        yield from self._violations(solve, proof)
        written, within = bounds(p, answer)
        verdict.distance = max(verdict.distance, within.distance)
        verdict.distance_as_written = max(verdict.distance_as_written, written.distance)
        verdict.moved = max(verdict.moved, within.moved)
        verdict.relaxed += solve.status == "relaxed"
        yield from _wrong_certificate(proof, within)
        yield from wrong_table(solve, proof)
        yield from wrong_moves(proof, solve.weights.positions, within.distance)

    def _violations(self, solve: Solve, proof: Proof) -> Iterator[Problem]:
        worst = ZERO
        for name, over, rounding in violations(proof.program, proof.answer, solve.weights.residual):
            worst = max(worst, over - rounding)
            self.verdict.violation = max(self.verdict.violation, over)
            if over > HARD_TOLERANCE + rounding:
                yield name, f"is overrun by {shown(over)}; {shown(HARD_TOLERANCE)} is allowed"
        if worst > proof.certificate.primal_residual + STATED_NEAR:
            stated = shown(proof.certificate.primal_residual)
            yield "certificate", f"states that no hard rule is overrun by more than {stated}; one is by {shown(worst)}"


def _wrong_certificate(proof: Proof, within: Bound) -> Iterator[Problem]:
    """Yield what a certificate states that is not so, and an answer that is too far from its optimum to be one."""
    p, stated = proof.program, proof.certificate
    tolerance = CONIC_DISTANCE_TOLERANCE if p.cones else DISTANCE_TOLERANCE
    if within.distance > tolerance:
        yield (
            "certificate",
            f"the answer may be {shown(within.distance)} from the optimum; {shown(tolerance)} is allowed",
        )
    if not 0 <= stated.distance_bound <= tolerance or stated.tolerance != tolerance or stated.primal_residual < 0:
        yield "certificate", f"states a distance, or a tolerance, that is not from 0 to {shown(tolerance)}"
    gap = HALF * softest(p) * stated.distance_bound**2
    if abs(gap - stated.duality_gap) > STATED_RELATIVE * gap and (gap > GAP_NEAR or stated.duality_gap > GAP_NEAR):
        yield "certificate", "states a gap and a distance that do not belong together"
    claimed = stated.distance_bound * (ONE + STATED_RELATIVE) + STATED_NEAR
    if within.distance > claimed and within.gap > HALF * softest(p) * claimed**2 + judging_noise(p, proof.answer):
        proven = shown(within.distance)
        yield "certificate", f"states a distance of {shown(stated.distance_bound)} to the optimum; proven is {proven}"


def _lines_before(count: int) -> str:
    return "no line is good" if count == 0 else f"{count:,} line{'s are' if count > 1 else ' is'} good"
