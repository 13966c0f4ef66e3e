"""The audit log of signals: one line of JSON for each verdict, on the disk before the call returns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO

from pmx.arguments import checked
from pmx.errors import LedgerError
from pmx.execution.audit_lines import BEGINNING, LastBar, check_seal, line_of
from pmx.signals.success import Verdict


class AuditLog:
    """Append verdicts to a file, durably.

    Each call writes its lines at once and has them on the disk before it returns; one that fails leaves nothing of
    them. A writer that is killed can leave lines that were never confirmed, the last of them torn; the next log opened
    on the file takes the torn one away. A failure of the power can do worse to what was not confirmed, where a disk
    writes out of order. Every line is checked when a log is opened, so none goes on from damage.

    A log is one account of one forecaster, so its dates never go back. A verdict that stands there already, in the very
    same line, is not written again: a cycle may be repeated.

    Parameters
    ----------
    path : path-like
        The file; made if it does not exist, continued if it does.

    Raises
    ------
    LedgerError
        When the file is something else, is damaged (the line is named), is being written to by another process, or
        cannot be written.

    Examples
    --------
    >>> import math, tempfile, pathlib
    >>> from pmx.execution import read_audit_log
    >>> from pmx.signals import Signal
    >>> from pmx.signals.success import Result
    >>> buy = Signal("SPY", 1, strength=1.0, edge_score=0.1, confidence=0.6, source="time_series_core")
    >>> file = pathlib.Path(tempfile.mkdtemp(), "audit.jsonl")
    >>> with AuditLog(file) as log:
    ...     log.write([Verdict("2020-01-02", buy, Result.UNPROVEN, math.nan, (), 3, None)])
    >>> [(line.symbol, line.result.value) for line in read_audit_log(file).lines]
    [('SPY', 'UNPROVEN')]
    """

    @checked
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: IO[bytes] | None = None
        try:
            fresh = not self.path.exists()
            self._file = open(self.path, "ab+", buffering=0)  # noqa: SIM115  (closed by close)
            self._lock()
            self._size, self._last = self._checked()
            self._file.truncate(self._size)
            if fresh:
                _sync_folder(self.path.parent)
        except OSError as error:
            self.close()
            raise LedgerError(
                f"audit log {self.path} cannot be written ({error.strerror}); name another place"
            ) from error
        except LedgerError:
            self.close()
            raise

    @checked
    def write(self, verdicts: Iterable[Verdict]) -> None:
        """Append verdicts, one line each, but for those that the log ends with already.

        Raises
        ------
        LedgerError
            When a verdict is dated before the last line, or contradicts another one of its date, source and symbol; or
            when the log is closed, was changed by someone else, or cannot be written. Nothing is written then.
        """
        lines = [line_of(verdict) for verdict in verdicts]
        if not lines:
            return
        if self._file is None:
            raise LedgerError(f"audit log {self.path} is closed; open it again")
        last = self._last.copy()
        try:
            block = b"".join(line for line in lines if last.take_in(line))
        except ValueError as error:
            raise LedgerError(f"audit log {self.path}: {error}; give each run a file of its own") from error
        if block:
            self._append(self._file, block)
        self._last = last

    @checked
    def expect(self, begins: date) -> None:
        """Refuse a run whose first bar is dated before the last line, ahead of all its work.

        Raises
        ------
        LedgerError
            When it is, or when one of the two dates is none that can be put in order.
        """
        try:
            self._last.expect(begins)
        except ValueError as error:
            raise LedgerError(
                f"audit log {self.path}: {error}; give each run a file of its own, or delete what an earlier one left"
            ) from error

    def _append(self, file: IO[bytes], block: bytes) -> None:
        try:
            if os.fstat(file.fileno()).st_size != self._size:
                self.close()
                raise LedgerError(
                    f"audit log {self.path} was changed by someone else while it was open; give each writer its own"
                )
            written = 0
            while written < len(block):
                written += file.write(block[written:])
            os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):  # what cannot be taken back either is told apart when the log is opened again
                file.truncate(self._size)
                os.fsync(file.fileno())
            self.close()
            raise LedgerError(
                f"audit log {self.path} cannot be written ({error.strerror}); make room, and open it again"
            ) from error
        self._size += len(block)

    def close(self) -> None:
        """Let go of the file. A closed log stays as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        """Keep other writers out, where the system can."""
        try:
            import fcntl
        except ImportError:  # no such locks here; a change of size still gives another writer away
            return
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LedgerError(
                f"audit log {self.path} is being written to by another process; give each writer its own file"
            ) from error

    def _checked(self) -> tuple[int, LastBar]:
        """Return the length of the whole lines, each of which is as it was written, and the last bar among them."""
        assert self._file is not None
        self._file.seek(0)
        beginning = self._file.read(len(BEGINNING))
        if not BEGINNING.startswith(beginning):
            raise LedgerError(f"{self.path} is no audit log of this format; name another file")
        self._file.seek(0)
        size, last = 0, LastBar()
        with open(self._file.fileno(), "rb", closefd=False) as buffered:
            for number, line in enumerate(buffered, start=1):
                if line.endswith(b"\n"):
                    check_seal(self.path, number, line[:-1])
                    last.go_on(line)
                    size += len(line)
        return size, last


@contextmanager
def auditing(audit: AuditLog | str | os.PathLike[str] | None, begins: date) -> Iterator[AuditLog | None]:
    """Return an open log as it is; open a path for the length of a ``with`` block.

    One that ends later than the bar at which the run ``begins`` is refused; see `AuditLog.expect`.
    """
    if audit is None:
        yield None
    elif isinstance(audit, AuditLog):
        audit.expect(begins)
        yield audit
    else:
        with AuditLog(audit) as opened:
            opened.expect(begins)
            yield opened


def _sync_folder(folder: Path) -> None:
    """See a new file's name to the disk, where folders can be."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # systems on which a folder cannot be opened keep names by themselves
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
