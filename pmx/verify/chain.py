"""The chain of hashes: which lines of a journal stand as they were written, in the order in which they were.

A line is one JSON object that begins with ``"previous"``, the hash of the line before it, and ends with ``"sha256"``,
its own. That is the SHA-256 of all its bytes before the comma in front of ``"sha256"``, so that neither a digit nor a
blank can change in this line or in any line before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO

#: What stands for the hash of the line before the first.
NOTHING_BEFORE = "0" * 64
#: A line longer than this is refused unread, bytes.
LONGEST_LINE = 2**28

_HEAD = re.compile(rb'\{"previous":"([0-9a-f]{64})",')
_TAIL = re.compile(rb',"sha256":"([0-9a-f]{64})"\}\n')
_TAIL_BYTES = len(b',"sha256":""}\n') + 64


class BrokenChainError(Exception):
    """A line is not the one that was written there.

    Attributes
    ----------
    line : int
        Its number, from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def sealed(previous: str, members: str) -> tuple[bytes, str]:
    """Return a line of a journal and its hash.

    Parameters
    ----------
    previous : str
        Hash of the line before it.
    members : str
        The content: members of a JSON object without its braces, ASCII, at least one.

    Examples
    --------
    >>> line, digest = sealed(NOTHING_BEFORE, '"record":"end"')
    >>> line[:12], line[-83:-67], digest == line[-67:-3].decode()
    (b'{"previous":', b'"end","sha256":"', True)
    """
    body = f'{{"previous":"{previous}",{members}'.encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    return body + f',"sha256":"{digest}"}}\n'.encode("ascii"), digest


def unbroken(file: BinaryIO) -> Iterator[tuple[int, bytes, str]]:
    """Yield number, bytes and hash of each line, as long as each is whole, unaltered, and follows the one before it.

    Raises
    ------
    BrokenChainError
        At the first line that does not.
    """
    before, number = NOTHING_BEFORE, 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BrokenChainError(number, f"is longer than {LONGEST_LINE:,} bytes: no journal has such a line")
        if not line.endswith(b"\n"):
            raise BrokenChainError(number, "is torn: the file ends in the middle of it")
        head, tail = _HEAD.match(line), _TAIL.fullmatch(line[-_TAIL_BYTES:])
        if head is None or tail is None:
            raise BrokenChainError(number, "is not a line of a journal, or its beginning or end was altered")
        digest = tail[1].decode("ascii")
        if hashlib.sha256(memoryview(line)[:-_TAIL_BYTES]).hexdigest() != digest:
            raise BrokenChainError(number, "was altered: its hash is not that of its content")
        if head[1].decode("ascii") != before:
            after = f"line {number - 1}" if number > 1 else "nothing"
            raise BrokenChainError(
                number, f"does not follow {after}: lines were removed, put in, or changed places before it"
            )
        yield number, line, digest
        before = digest
