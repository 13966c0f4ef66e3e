"""A journal of solves, for someone else to check: what was asked, what was answered, and why it is right.

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

import numpy as np

from pmx.errors import LedgerError
from pmx.policy import Policy
from pmx.projection.program import Cone, Point, Program, RuleRecord
from pmx.verify.chain import NOTHING_BEFORE, BrokenChainError, sealed, unbroken
from pmx.verify.verdict import FORMAT

if TYPE_CHECKING:
    from pmx.projection.allocation import Allocation

#: Packages whose versions a session names.
PACKAGES = ("pmx", "numpy", "scipy", "pandas", "numba", "cvxpy", "clarabel")


class Journal:
    """A file to which solves are appended, one line each; use it as a context manager.

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

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.head = _last_hash(self.path)
        self._policies: set[str] = set()
        self._solves = 0
        self._file: IO[bytes] | None = None
        try:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  (closed by close)
            self._size = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise LedgerError(
                f"journal {self.path} cannot be written ({error.strerror}); name another place"
            ) from error
        self._append({"record": "session", "format": FORMAT, "versions": _versions()})

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
        if policy.fingerprint not in self._policies:
            self._append({"record": "policy", "fingerprint": policy.fingerprint, "policy": policy.to_mapping()})
            self._policies.add(policy.fingerprint)
        self._append({"record": "solve", "number": self._solves + 1} | content)
        self._solves += 1

    def close(self) -> None:
        """Write the closing line, and see all to the disk. A closed journal stays as it is."""
        if self._file is None:
            return
        try:
            self._append({"record": "end", "solves": self._solves})
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
        members = json.dumps(content, separators=(",", ":"), allow_nan=False)[1:-1]
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
def recording(journal: Journal | str | os.PathLike[str] | None) -> Iterator[Journal | None]:
    """Return an open journal as it is; open a path for the length of a ``with`` block."""
    if journal is None or isinstance(journal, Journal):
        yield journal
        return
    with Journal(journal) as opened:
        yield opened


def recorded(allocation: Allocation, policy: Policy, journal: Journal | str | os.PathLike[str] | None) -> Allocation:
    """Return an allocation after it was written to a journal, where there is one."""
    with recording(journal) as opened:
        if opened is not None:
            opened.write(allocation, policy)
    return allocation


def solve_record(allocation: Allocation) -> dict[str, Any]:
    """Return what a line of a journal says of an allocation, as plain data."""
    residual, part = None, allocation.residual_part
    if part is not None:
        residual = {
            "symbol": part.symbol,
            "weight": float(allocation.residual),
            "room": float(part.room),
            "coefficients": {name: float(a) for name, a in part.coefficients.items()},
            "cones": [_cone(cone) for cone in part.cones],
            "column": int(part.column),
        }
    return {
        "status": str(allocation.status),
        "positions": [[str(bucket), str(symbol)] for bucket, symbol in allocation.index],
        "weights": {
            "positions": allocation.signed.tolist(),
            "residual": residual,
            "cash": float(allocation.cash),
            "cash_min": float(allocation.cash_min),
        },
        "proof": None
        if allocation.solved is None
        else _proof(allocation, allocation.solved.program, allocation.solved.point),
    }


def _proof(allocation: Allocation, program: Program, point: Point) -> dict[str, Any]:
    table = allocation.attribution
    columns = {str(name): table[name].tolist() for name in table if name not in ("target", "weight")}
    stated = allocation.certificate
    return {
        "program": program_record(program),
        "answer": {
            "u": point.u.tolist(),
            "rows": point.rows.tolist(),
            "turnover": float(point.turnover),
            "cones": [z.tolist() for z in point.cones],
            "auxiliary": point.auxiliary.tolist(),
        },
        "certificate": {
            "primal_residual": float(stated.primal_residual),
            "duality_gap": float(stated.duality_gap),
            "distance_bound": float(stated.distance_bound),
            "tolerance": float(stated.tolerance),
            "engine": stated.engine,
            "note": stated.note,
        },
        "readings": [
            {
                "bound": _limit(reading.bound),
                "value": float(reading.value),
                "slack": _limit(reading.slack),
                "shadow_price": None if np.isnan(reading.shadow_price) else float(reading.shadow_price),
                "violation": float(reading.violation),
                "unique": bool(reading.unique),
            }
            for reading in allocation.readings
        ],
        "attribution": {
            "target": table["target"].tolist(),
            "moves": columns,
            "totals": {name: float(np.sum(column)) for name, column in columns.items()},
        },
    }


def program_record(p: Program) -> dict[str, Any]:
    """Return what a line of a journal says of a program, as plain data."""
    return {
        "sign": p.sign.tolist(),
        "target": p.target.tolist(),
        "distance": p.distance.tolist(),
        "held": p.previous.tolist(),
        "cost": p.cost.tolist(),
        "lower": _limits(p.lower),
        "upper": _limits(p.upper),
        "lower_rule": p.lower_owner.tolist(),
        "upper_rule": p.upper_owner.tolist(),
        "floor": _limits(p.floor),
        "floor_price": p.floor_penalty.tolist(),
        "floor_rule": p.floor_owner.tolist(),
        "rows": [_row(p, k) for k in range(len(p.A))],
        "turnover_max": _limit(p.turnover_max),
        "turnover_penalty": _limit(p.turnover_penalty),
        "cones": [_cone(cone) for cone in p.cones],
        "rules": [_rule(rule) for rule in p.rules],
    }


def _row(p: Program, k: int) -> dict[str, Any]:
    at = np.flatnonzero(p.A[k])
    return {
        "at": at.tolist(),
        "coefficients": p.A[k][at].tolist(),
        "lo": _limit(p.lo[k]),
        "hi": _limit(p.hi[k]),
        "penalty": _limit(p.penalty[k]),
        "lo_rule": int(p.lo_owner[k]),
        "hi_rule": int(p.hi_owner[k]),
    }


def _cone(cone: Cone) -> dict[str, Any]:
    return {"kind": cone.kind, "G": cone.G.tolist(), "h": cone.h.tolist(), "H": cone.H.tolist()}


def _rule(rule: RuleRecord) -> dict[str, Any]:
    return {
        "name": rule.name,
        "source": rule.source,
        "hard": bool(rule.hard),
        "rank": int(rule.rank),
        "most": _limit(rule.most),
        "kind": rule.kind,
        "index": int(rule.index),
        "lo": _limit(rule.lo),
        "hi": _limit(rule.hi),
        "complement": bool(rule.complement),
        "cones": [int(i) for i in rule.cones],
        "members": rule.members.tolist(),
        "member_lower": _limits(rule.member_lower),
        "member_upper": _limits(rule.member_upper),
    }


def _limit(value: float) -> float | str:
    """Return a number as it is, an infinite one in words: JSON has none."""
    return float(value) if np.isfinite(value) else str(float(value))


def _limits(values: np.ndarray) -> list[float | str]:
    return [_limit(value) for value in values.tolist()]


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


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
