"""From the bytes of an HTTP answer to its body, or to a refusal.

The server is not trusted, so as little as possible is read: the status, and the four headers that say how long the body
is and what it holds. All else has to be well-formed and is skipped. Time grows with the number of bytes, no faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pmx.signals.language_model.refusal import Refused

#: Bytes of all that comes before the body.
LONGEST_HEAD = 16_384
#: Bytes of the line that tells the size of a chunk.
_LONGEST_CHUNK_LINE = 256

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_NEEDED = frozenset({b"content-length", b"transfer-encoding", b"content-type", b"content-encoding"})


def read_answer(receive: Callable[[], bytes]) -> bytes:
    r"""Read one answer of status 200 and type ``application/json``, and return its body.

    Parameters
    ----------
    receive : callable
        Returns the next bytes, at least one, and none at the end.

    Returns
    -------
    bytes

    Raises
    ------
    Refused
        If the answer is anything else, is not whole, or is not as RFC 9112 wants it: lines end in CR LF, names are
        tokens, values hold no control characters and are not folded over lines, and none of the four headers that
        count is repeated. Its reason quotes nothing of the answer.

    Notes
    -----
    An answer that states neither its length nor chunks ends where the connection does, so that one which was cut cannot
    be told from a whole one here (RFC 9112, section 8). Its JSON can: no part of an object is an object.

    References
    ----------
    Fielding, Nottingham, Reschke (2022), RFC 9112, HTTP/1.1, sections 2 to 7.

    Examples
    --------
    >>> head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    >>> pieces = iter([head + b"Content-Le", b"ngth: 2\r\n\r\n{", b"}", b""])
    >>> read_answer(pieces.__next__)
    b'{}'
    >>> pieces = iter([head + b"Content-Length: 2\r\n\r\n{", b""])
    >>> read_answer(pieces.__next__)
    Traceback (most recent call last):
    ...
    pmx.signals.language_model.refusal.Refused: the connection ended before the answer did
    """
    stream = _Stream(receive)
    headers = _head(stream)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused("the answer is compressed, which was not asked for")
    if headers.get(b"content-type", b"").partition(b";")[0].rstrip(b" \t").lower() != b"application/json":
        raise Refused("the answer is not of type application/json")
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is None and length is None:
        return stream.rest()
    if coding is None and length is not None and _LENGTH.fullmatch(length):
        return stream.exactly(int(length))
    if length is None and coding is not None and coding.lower() == b"chunked":
        return _chunks(stream)
    raise _unsound("its length is unclear")


def _head(stream: _Stream) -> dict[bytes, bytes]:
    """Return the headers that count, names in lower case, of the first answer that is not interim."""
    budget, status = LONGEST_HEAD, 100
    while 100 <= status < 200:
        head = stream.until(b"\r\n\r\n", budget, "what comes before the answer's body is too long")
        budget -= len(head)
        first, *lines = head.split(b"\r\n")
        found = _STATUS.fullmatch(first)
        if found is None:
            raise _unsound("it does not begin as HTTP does")
        status = int(found[1])
    if 300 <= status < 400:
        raise Refused(f"the server redirects (status {status}), which is not followed")
    if status != 200:
        raise Refused(f"the server answers with status {status}")
    return _headers([first, *lines])


def _headers(head: list[bytes]) -> dict[bytes, bytes]:
    """Return the headers that count, of a head whose first line is that of the status."""
    if any(_CONTROL.search(line) for line in head):
        raise _unsound("a header holds a control character")
    headers: dict[bytes, bytes] = {}
    for line in head[1:]:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not _NAME.fullmatch(name):  # a folded line begins with a blank, which is not in a name
            raise _unsound("a header has no sound name")
        if name in _NEEDED:
            if name in headers:
                raise _unsound("a header is repeated")
            headers[name] = value.strip(b" \t")
    return headers


def _chunks(stream: _Stream) -> bytes:
    body = bytearray()
    while True:
        size = _CHUNK_SIZE.fullmatch(stream.until(b"\r\n", _LONGEST_CHUNK_LINE, "the size of a chunk is too long"))
        if size is None:
            raise _unsound("a chunk has no size")
        count = int(size[1], 16)
        if not count:  # what follows are headers that would come too late
            return bytes(body)
        body += stream.exactly(count)
        if stream.exactly(2) != b"\r\n":
            raise _unsound("a chunk is longer than it says")


def _unsound(what: str) -> Refused:
    return Refused(f"the answer is not sound HTTP: {what}")


class _Stream:
    """Bytes that have been received and not yet been read."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive, self._held = receive, bytearray()

    def until(self, end: bytes, most: int, too_long: str) -> bytes:
        """Return what comes before ``end`` and drop that; refuse more than ``most`` bytes."""
        searched = 0
        while (at := self._held.find(end, searched, most + len(end))) < 0:
            if len(self._held) >= most + len(end):
                raise Refused(too_long)
            searched = max(0, len(self._held) - len(end) + 1)
            self._more()
        taken = bytes(self._held[:at])
        del self._held[: at + len(end)]
        return taken

    def exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            self._more()
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def rest(self) -> bytes:
        while piece := self._receive():
            self._held += piece
        return bytes(self._held)

    def _more(self) -> None:
        piece = self._receive()
        if not piece:
            raise Refused("the connection ended before the answer did")
        self._held += piece
