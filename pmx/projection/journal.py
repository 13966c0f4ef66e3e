"""A journal of solves, for someone else to check: what was asked, what was answered or refused, and why it is right.

One JSON object a line, each sealed with its SHA-256 and that of the line before it; :mod:`pmx.verify` reads it with
exact arithmetic and nothing of this package. ``docs/verify.md`` is its definition.
"""

from __future__ import annotations

import json
import os
import platform
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from pmx.arguments import checked
from pmx.errors import DataError, InfeasibleError, LedgerError, PmxError, PolicyError, SignalError, SolverError
from pmx.policy import Policy
from pmx.projection.asked import Asked
from pmx.projection.records import refusal_record, solve_record
from pmx.verify.chain import NOTHING_BEFORE, BrokenChainError, sealed, unbroken
from pmx.verify.verdict import FORMAT

if TYPE_CHECKING:
    from pmx.projection.allocation import Allocation

#: Packages whose versions a session names.
PACKAGES = ("pmx", "numpy", "scipy", "pandas", "numba", "cvxpy", "clarabel")
#: Errors by which a solve is refused: what a journal writes down.
REFUSALS = (InfeasibleError, DataError, PolicyError, SolverError, SignalError)

Place = str | os.PathLike[str]


class Journal:
    """A file to which solves and refusals are appended, one line each; use it as a context manager.

    A line is on its way to the disk when :meth:`write` returns, and on the disk after :meth:`close`, which writes the
    line that says how many there are. A process that dies before leaves a journal that ``pmx verify`` calls truncated.
    A journal has one writer at a time.

    Parameters
    ----------
    path : path-like
        The file. One that exists must be a whole, closed journal; the new session is chained to its last line.

    Attributes
    ----------
    path : Path
        The file.
    head : str
        Hash of the last line. Whoever keeps it elsewhere can tell later that nothing up to it was rewritten.

    Raises
    ------
    LedgerError
        When the file cannot be written, or is not a whole, closed journal.

    Examples
    --------
    >>> import pmx, tempfile
    >>> from pmx.verify import verify
    >>> path = Path(tempfile.mkdtemp(), "run.jsonl")
    >>> with pmx.Journal(path) as journal:
    ...     alloc = pmx.project_to_feasible({"SP500": 0.3}, pmx.load_policy(), journal=journal)
    >>> verdict = verify(path)
    >>> verdict.accepted, verdict.solves, verdict.head == journal.head
    (True, 1, True)
    """

    @checked
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.head = _last_hash(self.path)
        self._policies: set[str] = set()
        self._solves = self._refusals = 0
        self._file: IO[bytes] | None = None
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  (closed by close)
            self._size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise LedgerError(
                f"journal {self.path} cannot be written ({error.strerror}); name another place"
            ) from error
        self._append({"record": "session", "format": FORMAT, "versions": versions(), "machine": machine()})

    @checked
    def write(self, allocation: Allocation, policy: Policy, *, label: str | None = None) -> None:
        """Append a solve.

        Parameters
        ----------
        allocation : Allocation
            The answer.
        policy : Policy
            What it was projected onto.
        label : str, optional
            Such as the date that it is for.

        Raises
        ------
        LedgerError
            When the journal is closed, cannot be written, or was written to by someone else.
        """
        content = solve_record(allocation) | {"policy": policy.fingerprint, "label": label}
        self._append_policy(policy)
        self._append({"record": "solve", "number": self._solves + 1} | content)
        self._solves += 1

    @checked
    def refuse(self, error: PmxError, policy: Policy, *, asked: Asked | None = None, label: str | None = None) -> None:
        """Append a solve that was refused, with its reason.

        Parameters
        ----------
        error : PmxError
            Why it was refused. An `InfeasibleError` of a solve brings its proof.
        policy : Policy
            Under which policy.
        asked : Asked, optional
            What was asked, where the error does not know.
        label : str, optional
            Such as the date that it is for.

        Raises
        ------
        LedgerError
            As in :meth:`write`.
        """
        content = refusal_record(error, asked) | {"policy": policy.fingerprint, "label": label}
        self._append_policy(policy)
        self._append({"record": "refusal", "number": self._refusals + 1} | content)
        self._refusals += 1

    def _append_policy(self, policy: Policy) -> None:
        if policy.fingerprint not in self._policies:
            self._append({"record": "policy", "fingerprint": policy.fingerprint, "policy": policy.to_mapping()})
            self._policies.add(policy.fingerprint)

    def close(self) -> None:
        """Write the closing line, and see all to the disk. A closed journal stays as it is."""
        if self._file is None:
            return
        try:
            self._append({"record": "end", "solves": self._solves, "refusals": self._refusals})
            os.fsync(self._file.fileno())
        finally:
            if self._file is not None:
                self._give_up()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, content: Mapping[str, Any]) -> None:
        """Write one line, whole or not at all."""
        if self._file is None:
            raise LedgerError(f"journal {self.path} is closed; open a new session with Journal({str(self.path)!r})")
        try:
            members = json.dumps(content, separators=(",", ":"), allow_nan=False)[1:-1]
        except ValueError as error:  # only the weights of a policy that is switched off can be such
            raise LedgerError("a weight is not finite, which no journal can hold; repair the weights") from error
        line, digest = sealed(self.head, members)
        try:
            if os.fstat(self._file.fileno()).st_size != self._size:
                self._give_up()
                raise LedgerError(
                    f"journal {self.path} was changed by someone else while it was open; give each writer its own file"
                )
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            self._give_up()
            raise LedgerError(
                f"journal {self.path} cannot be written ({error.strerror}); it ends here, unclosed: name a new file"
            ) from error
        self._size += len(line)
        self.head = digest

    def _give_up(self) -> None:
        """Let go of a file that can no longer be trusted; it stays as it is."""
        assert self._file is not None
        self._file.close()
        self._file = None


@contextmanager
@checked
def recording(journal: Journal | Place | None) -> Iterator[Journal | None]:
    """Return an open journal as it is; open a path for the length of a ``with`` block."""
    if journal is None or isinstance(journal, Journal):
        yield journal
        return
    with Journal(journal) as opened:
        yield opened


@checked
def recorded(allocation: Allocation, policy: Policy, journal: Journal | Place | None) -> Allocation:
    """Return an allocation after it was written to a journal, where there is one."""
    if journal is None:
        return allocation
    with recording(journal) as opened:
        if opened is not None:
            opened.write(allocation, policy)
    return allocation


def refused(
    error: PmxError, policy: Policy, asked: Asked | None, journal: Journal | Place | None, *, label: str | None = None
) -> None:
    """Note on an error what was asked, and write the refusal to a journal, where there is one; the caller raises it.

    A journal that cannot take the line is noted on the error, which stays the reason of the refusal.
    """
    if error.asked is None:
        error.asked = asked
    if journal is None:
        return
    try:
        with recording(journal) as opened:
            if opened is not None:
                opened.refuse(error, policy, asked=asked, label=label)
    except LedgerError as why:
        error.add_note(f"this refusal is in no journal: {why}")


@contextmanager
@checked
def refusing(
    policy: Policy, journal: Journal | Place | None, *, asked: Asked | None = None, label: str | None = None
) -> Iterator[None]:
    """Write a refusal in a ``with`` block down on its way to the caller, as :func:`refused` does."""
    try:
        yield
    except REFUSALS as error:
        refused(error, policy, asked, journal, label=label)
        raise


def _last_hash(path: Path) -> str:
    """Return the hash that the next line of a journal follows.

    Raises
    ------
    LedgerError
        When the file is not a whole, closed journal.
    """
    try:
        with open(path, "rb") as file:
            last = deque(unbroken(file), maxlen=1)
    except FileNotFoundError:
        return NOTHING_BEFORE
    except OSError as error:
        raise LedgerError(f"journal {path} cannot be read ({error.strerror}); name another place") from error
    except BrokenChainError as error:
        raise LedgerError(
            f"journal {path}: line {error.line} {error}; keep it as it is, and name a new file"
        ) from error
    if not last:
        return NOTHING_BEFORE
    _, line, head = last[0]
    if b',"record":"end",' not in line[:100]:
        raise LedgerError(
            f"journal {path} was not closed: its writer died or is still at work; keep it as it is, and name a new file"
        )
    return head


def machine() -> dict[str, str]:
    """Return what bits of an answer may depend on beside versions: compiled code uses what a processor has."""
    return {"system": platform.system(), "processor": platform.machine()}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that an answer comes from."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
