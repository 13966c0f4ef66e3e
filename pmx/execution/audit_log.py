"""The audit log of signals: one line of JSON for each verdict, on the disk before the call returns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from pmx.errors import LedgerError
from pmx.execution.audit_lines import BEGINNING, line_of
from pmx.signals.success import Verdict


class AuditLog:
    """Append verdicts to a file, durably.

    Each call writes its lines at once and has them on the disk before it returns, so that a crash leaves at most one
    torn line, the last. Such a line was never confirmed; the next log opened on the file takes it away.

    Parameters
    ----------
    path : path-like
        The file; made if it does not exist, continued if it does.

    Raises
    ------
    LedgerError
        When the file is something else, is being written to by another process, or cannot be written.

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

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: IO[bytes] | None = None
        try:
            fresh = not self.path.exists()
            self._file = open(self.path, "ab+", buffering=0)  # noqa: SIM115  (closed by close)
            self._lock()
            self._take_away_torn_line()
            self._size = self._file.seek(0, os.SEEK_END)
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

    def write(self, verdicts: Iterable[Verdict]) -> None:
        """Append verdicts, one line each.

        Raises
        ------
        LedgerError
            When the log is closed, was changed by someone else, or cannot be written.
        """
        block = b"".join(line_of(verdict) for verdict in verdicts)
        if not block:
            return
        if self._file is None:
            raise LedgerError(f"audit log {self.path} is closed; open it again")
        try:
            if os.fstat(self._file.fileno()).st_size != self._size:
                self.close()
                raise LedgerError(
                    f"audit log {self.path} was changed by someone else while it was open; give each writer its own"
                )
            written = 0
            while written < len(block):
                written += self._file.write(block[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
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

    def _take_away_torn_line(self) -> None:
        assert self._file is not None
        self._file.seek(0)
        beginning = self._file.read(len(BEGINNING))
        if not BEGINNING.startswith(beginning):
            raise LedgerError(f"{self.path} is no audit log of this format; name another file")
        whole = _length_without_torn_line(self._file)
        self._file.truncate(whole)


@contextmanager
def auditing(audit: AuditLog | str | os.PathLike[str] | None) -> Iterator[AuditLog | None]:
    """Return an open log as it is; open a path for the length of a ``with`` block."""
    if audit is None or isinstance(audit, AuditLog):
        yield audit
        return
    with AuditLog(audit) as opened:
        yield opened


def _length_without_torn_line(file: IO[bytes], block: int = 1 << 16) -> int:
    """Return the length of a file up to its last line break."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - block)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


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
