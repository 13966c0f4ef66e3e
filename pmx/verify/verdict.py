"""A journal read from its first line to its last, and what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EINVAL
from fractions import Fraction
from os import PathLike
from typing import Any, BinaryIO

from .admission import misplaced
from .asking import wrong_program, wrong_residual, wrong_targets
from .attribution import wrong_moves
from .certificate import STATED_NEAR, wrong_certificate
from .chain import BrokenChainError, unbroken
from .exact import ZERO, shown
from .feasibility import Problem, misstated, violations
from .field import Field, MalformedError, parse
from .names import misnamed, unknown_engine
from .optimality import bounds, wrong_prices
from .policy import broken_limits, is_off
from .reading import read_solve
from .record import HARD_TOLERANCE, Proof, Solve
from .refusal import KINDS, Refusal, misplaced_claim, read_refusal, unproven, without_cones
from .table import wrong_table, wrong_weights

#: The format that this verifier knows.
FORMAT = "pmx journal 2"
#: What reading a policy raises where its content is not that of a policy.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
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
    refusals, proven : int
        Solves that were refused, and those of them whose rules were proven to clash; of the others only the chain says
        that they are what was written.
    what_ifs : int
        Solves with a bound that was moved to ask what if.
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
    refusals: int = 0
    proven: int = 0
    what_ifs: int = 0
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
        When the file cannot be read, or what is given cannot be the name of one.
    """
    if not isinstance(path, str | PathLike):  # a whole number would be an open file, and close it
        raise OSError(EINVAL, f"a {type(path).__name__} is no path; give the name of a journal")
    try:
        file = open(path, "rb")  # noqa: SIM115  closed below
    except ValueError as error:
        raise OSError(EINVAL, f"no file can have this name ({error}); give that of a journal") from error
    with file:
        return _Reader(Verdict()).read(file)


class _Reader:
    """The state between lines: the session that is open, and its policies."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.open = False
        self.count = self.refused = 0
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
        kind = line["record"].text("session", "policy", "solve", "refusal", "end")
        if (kind == "session") == self.open:
            yield (
                "chain",
                "a session begins before the last one was closed" if self.open else f"a {kind} outside a session",
            )
        if kind == "session":
            line["format"].text(FORMAT)
            self.open, self.count, self.refused, self.policies = True, 0, 0, {}
            self.verdict.sessions += 1
        elif kind == "policy":
            yield from self._policy(line)
        elif kind == "solve":
            self.count += 1
            self.verdict.solves += 1
            yield from self._solve(read_solve(line))
        elif kind == "refusal":
            self.refused += 1
            self.verdict.refusals += 1
            yield from self._refusal(read_refusal(line))
        else:
            self.open = False
            for what, count in (("solves", self.count), ("refusals", self.refused)):
                if line[what].integer(0, 10**12) != count:
                    yield "chain", f"the session counts {line[what].value} {what}, it has {count}"

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
        except UNREADABLE as error:
            yield _unreadable(error)
            return
        if off != (solve.proof is None) or off != (solve.status == "bypassed"):
            yield "policy", "is switched off, and yet there is a proof" if off else "is on, and yet there is no proof"
        self.verdict.bypassed += off
        if solve.proof is None:
            return
        yield from self._proof(solve, solve.proof)
        try:
            yield from misnamed(policy, [*solve.positions], solve.proof.program)
            yield from unknown_engine(policy, solve.proof.certificate.engine)
            yield from wrong_residual(policy, solve.weights)
            if solve.asked is None:
                yield "asked", "is missing: nothing says what was asked"
                return
            self.verdict.what_ifs += solve.asked.what_if
            yield from wrong_program(policy, [*solve.positions], solve.asked, solve.proof.program)
            yield from misplaced(policy, solve)
            yield from wrong_targets(policy, [*solve.positions], solve.asked, solve.proof)
        except UNREADABLE as error:
            yield _unreadable(error)

    def _refusal(self, refusal: Refusal) -> Iterator[Problem]:
        if refusal.number != self.refused:
            yield "chain", f"refusal {refusal.number} stands where refusal {self.refused} should"
        if refusal.policy not in self.policies:
            yield "policy", "the refusal's policy is not in the session"
            return
        if refusal.kind not in KINDS:
            yield "refusal", f"is a {refusal.kind}; a solve is refused by {', '.join(KINDS)}"
        yield from misplaced_claim(refusal)
        clash, policy = refusal.clash, self.policies[refusal.policy]
        if clash is None:
            return
        problems = [*misstated(clash.program, None)]
        try:
            problems += misnamed(policy, refusal.positions, clash.program)
            problems += wrong_program(policy, refusal.positions, clash.asked, clash.program)
        except UNREADABLE as error:
            problems.append(_unreadable(error))
        problems += unproven(refusal, clash) if clash.proven else without_cones(refusal, clash)
        yield from problems
        self.verdict.proven += clash.proven and not problems

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
        yield from wrong_certificate(proof, within)
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


def _unreadable(error: Exception) -> Problem:
    return "policy", f"its content cannot be read: {type(error).__name__}: {error}"


def _lines_before(count: int) -> str:
    return "no line is good" if count == 0 else f"{count:,} line{'s are' if count > 1 else ' is'} good"
