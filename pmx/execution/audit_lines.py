"""The lines of an audit log of signals: written, sealed by a checksum, and read back."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pmx.arguments import checked
from pmx.errors import LedgerError
from pmx.signals.success import Result, Verdict

FORMAT = 1
#: How every line begins.
BEGINNING = f'{{"format":{FORMAT},'.encode()
_SEAL = b',"crc32":"'
#: Where a line goes on after saying what it is about.
_OPINION = b',"direction":'
_WORDS = {"inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True, slots=True)
class AuditLine:
    """Hold one line of an audit log; see `Verdict` and `Figures` for the fields.

    Attributes
    ----------
    number : int
        Line of the file, from 1.
    date, symbol, source : str
        When, about what, and who.
    direction : int
        +1 BUY, 0 HOLD, −1 SELL.
    result : Result
        The verdict.
    score : float
        NaN if unproven.
    missed : tuple of str
        Criteria that were not met.
    judged : int
        Outcomes that it rests on.
    figures : mapping of str to float
        By name; empty if unproven.
    gated : bool
        Whether the symbol's gate was shut.
    """

    number: int
    date: str
    symbol: str
    source: str
    direction: int
    result: Result
    score: float
    missed: tuple[str, ...]
    judged: int
    figures: Mapping[str, float]
    gated: bool

    @property
    def moment(self) -> datetime:
        """Return the date in universal time, where it names a zone, without one.

        Raises
        ------
        ValueError
            If it is none.
        """
        return _moment(self.date)


@dataclass(frozen=True, slots=True)
class AuditRead:
    """Hold what an audit log says.

    Attributes
    ----------
    lines : tuple of AuditLine
        In the order of the file.
    torn_bytes : int
        Length of a torn last line, which is not among them; 0 if there is none.
    """

    lines: tuple[AuditLine, ...]
    torn_bytes: int


@checked
def read_audit_log(path: str | os.PathLike[str]) -> AuditRead:
    """Read an audit log.

    Raises
    ------
    LedgerError
        When the file cannot be read, or a line other than a torn last one is damaged: the message names it.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LedgerError(f"audit log {file} cannot be read ({error.strerror}); name another file") from error
    *whole, torn = content.split(b"\n")
    lines = tuple(_parsed(file, number, line) for number, line in enumerate(whole, start=1))
    return AuditRead(lines, len(torn))


class LastBar:
    """The lines of the last date of a log, which say what may follow them."""

    def __init__(self) -> None:
        self._date = ""
        self._lines: dict[bytes, bytes] = {}

    def copy(self) -> LastBar:
        """Return one that can go on by itself."""
        other = LastBar()
        other._date, other._lines = self._date, dict(self._lines)
        return other

    def go_on(self, line: bytes) -> None:
        """Take in a whole line that stands in the log."""
        about = line.partition(_OPINION)[0]  # date, symbol and source: no string in JSON holds a bare quote
        date = str(json.loads(about + b"}")["date"])
        if date != self._date:
            self._date, self._lines = date, {}
        self._lines[about] = line

    def expect(self, begins: date) -> None:
        """Raise a ValueError unless a run that begins at a date may follow."""
        label = _label(begins)
        if self._date and _moment(label) < _moment(self._date):
            raise ValueError(f"it ends at {self._date}, after the first bar of this run, {label}")

    def take_in(self, line: bytes) -> bool:
        """Take in a line that is to follow and say whether it has to be written.

        Raises
        ------
        ValueError
            If it may not follow.
        """
        about = line.partition(_OPINION)[0]
        content = json.loads(about + b"}")
        moment = _moment(content["date"])
        if self._date and moment < _moment(self._date):
            raise ValueError(f"a verdict of {content['date']} comes after one of {self._date}")
        known = self._lines.get(about)
        if known is not None and known != line:
            raise ValueError(
                f"there is another verdict on {content['symbol']} of {content['source']} at {content['date']} already"
            )
        self.go_on(line)
        return known is None


def check_seal(path: str | os.PathLike[str], number: int, line: bytes) -> None:
    """Raise a LedgerError that names a line, given without its break, if it is not as it was written."""
    members, seal, rest = line.rpartition(_SEAL)
    if not seal or rest != f'{zlib.crc32(members):08x}"}}'.encode():
        raise _damaged(Path(path), number, "its checksum does not belong to it")
    if not line.startswith(BEGINNING + b'"date":"') or _OPINION not in line:
        raise _damaged(Path(path), number, "it is no line of this format")


def line_of(verdict: Verdict) -> bytes:
    """Return a verdict as a line, with its checksum and line break."""
    signal, figures = verdict.signal, verdict.figures
    content = {
        "format": FORMAT,
        "date": _label(verdict.date),
        "symbol": signal.symbol,
        "source": signal.source,
        "direction": signal.direction,
        "strength": signal.strength,
        "edge_score": signal.edge_score,
        "confidence": signal.confidence,
        "result": verdict.result.value,
        "score": _number(verdict.score),
        "missed": list(verdict.missed),
        "judged": verdict.judged,
        "figures": None
        if figures is None
        else {
            name: [_number(v) for v in value] if isinstance(value, tuple) else _number(value)
            for name, value in asdict(figures).items()
        },
        "gated": verdict.gated,
    }
    members = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return members + _SEAL + f'{zlib.crc32(members):08x}"}}\n'.encode()


def _parsed(file: Path, number: int, line: bytes) -> AuditLine:
    check_seal(file, number, line)
    try:
        content = json.loads(line)
        if content["format"] != FORMAT:
            raise _damaged(file, number, f"its format is {content['format']!r}, not {FORMAT}")
        figures = {
            name: _value(value) for name, value in (content["figures"] or {}).items() if not isinstance(value, list)
        }
        return AuditLine(
            number=number,
            date=str(content["date"]),
            symbol=str(content["symbol"]),
            source=str(content["source"]),
            direction=int(content["direction"]),
            result=Result(content["result"]),
            score=_value(content["score"]),
            missed=tuple(map(str, content["missed"])),
            judged=int(content["judged"]),
            figures=figures,
            gated=bool(content["gated"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(file, number, f"{type(error).__name__}: {error}") from error


def _damaged(file: Path, number: int, why: str) -> LedgerError:
    return LedgerError(f"audit log {file}: line {number} is damaged ({why}); keep the file, and begin another")


def _label(date: Any) -> str:
    """Return a date as text: the day alone where that says all."""
    text = date.isoformat() if hasattr(date, "isoformat") else str(date)
    return text.removesuffix("T00:00:00")


def _moment(label: str) -> datetime:
    """Return when a label is, in universal time where it names a zone."""
    try:
        moment = datetime.fromisoformat(label)
    except ValueError:
        raise ValueError(f"{label!r} is no date that can be put in order") from None
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _number(value: float) -> float | str | None:
    """Return a number as JSON can hold it."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _value(entry: float | str | None) -> float:
    if entry is None:
        return math.nan
    return _WORDS[entry] if isinstance(entry, str) else float(entry)
