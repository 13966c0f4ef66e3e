"""One question over HTTP to a server that is not trusted: one deadline, one limit on size, no detours."""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pmx.errors import SignalError
from pmx.signals.language_model.refusal import Refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes asked for in one go.
_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the questions go.

    Attributes
    ----------
    secure : bool
        Whether it is reached over TLS.
    host : str
    port : int
    path : str
        Of the chat completions.
    """

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, *, with_key: bool) -> Endpoint:
        """Read the base address of an OpenAI-compatible server.

        Parameters
        ----------
        url : str
            Such as ``http://127.0.0.1:11434/v1``.
        with_key : bool
            Whether a key will be shown to it. That is allowed over https, or to this machine itself.

        Raises
        ------
        SignalError
            If it is no plain http or https address, or a key would travel in the clear.

        Examples
        --------
        >>> Endpoint.parse("http://127.0.0.1:11434/v1", with_key=True)
        Endpoint(secure=False, host='127.0.0.1', port=11434, path='/v1/chat/completions')
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise _wrong_address("cannot be read as an address") from None
        if parts.scheme not in ("http", "https") or not host:
            raise _wrong_address("is no http or https address")
        if parts.username is not None or parts.password is not None:
            raise _wrong_address("holds a user name or a password")
        if parts.query or parts.fragment:
            raise _wrong_address("holds a query or a fragment")
        if not all("!" <= character <= "~" for character in url):
            raise _wrong_address("holds characters other than visible ASCII")
        secure = parts.scheme == "https"
        if with_key and not secure and not _is_this_machine(host):
            raise _wrong_address("would carry the API key in the clear over http")
        return cls(secure, host, port or (443 if secure else 80), parts.path.rstrip("/") + "/chat/completions")


def _wrong_address(what: str) -> SignalError:
    # The address itself is not repeated: it may hold a password.
    return SignalError(
        f"signal_routing_config.engines.language_model.endpoint {what}; give something like "
        "http://127.0.0.1:11434/v1, or https:// for a server elsewhere"
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ask(endpoint: Endpoint, question: bytes, headers: Mapping[str, str], *, seconds: float, max_bytes: int) -> bytes:
    """Post a question and return the body of the answer.

    Everything has to be over after ``seconds``: looking up the name, connecting, TLS, sending, and reading to the last
    byte, however it drips. No more than ``max_bytes`` are read, headers included. Redirects are not followed, proxies
    not used, compressed answers not unpacked, and nothing in the environment is looked at.

    Parameters
    ----------
    endpoint : Endpoint
    question : bytes
        JSON.
    headers : mapping of str to str
        Further headers, such as that of the key.
    seconds : float
        Time for all of it.
    max_bytes : int
        Size of all that is received.

    Returns
    -------
    bytes

    Raises
    ------
    Refused
        If there is no whole, timely answer of status 200 and type ``application/json``. The reason holds nothing that
        the server has sent.
    """
    connection = _Connection(endpoint, time.monotonic() + seconds, max_bytes)
    fixed = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    try:
        connection.request("POST", endpoint.path, body=question, headers=fixed | dict(headers))
        response = connection.getresponse()
        _check(response)
        body = bytearray()
        while piece := response.read(_CHUNK):
            body += piece
        if response.length:
            raise Refused("the connection ended before the answer did")
        return bytes(body)
    except TimeoutError:
        raise Refused(f"no whole answer within {seconds:g} s") from None
    except ssl.SSLError:
        raise Refused("no trusted TLS connection") from None
    except OSError as error:
        raise Refused(f"no connection ({type(error).__name__})") from None
    except (http.client.HTTPException, ValueError) as error:
        # Their messages quote the server.
        raise Refused(f"the answer is not sound HTTP ({type(error).__name__})") from None
    finally:
        connection.hang_up()


def _check(response: http.client.HTTPResponse) -> None:
    if 300 <= response.status < 400:
        raise Refused(f"the server redirects (status {response.status}), which is not followed")
    if response.status != 200:
        raise Refused(f"the server answers with status {response.status}")
    if response.getheader("Content-Encoding", "identity").strip().lower() != "identity":
        raise Refused("the answer is compressed, which was not asked for")
    if response.headers.get_content_type() != "application/json":
        raise Refused("the answer is not of type application/json")


class _Connection(http.client.HTTPConnection):
    """A connection whose every wait ends at one deadline."""

    def __init__(self, endpoint: Endpoint, deadline: float, max_bytes: int) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self._endpoint, self._deadline, self._max_bytes = endpoint, deadline, max_bytes
        self._raw: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the first address that answers."""
        self._raw = self._open()
        if self._endpoint.secure:
            self._raw.settimeout(_left(self._deadline))
            self._raw = ssl.create_default_context().wrap_socket(self._raw, server_hostname=self.host)
        limited: Any = _LimitedSocket(self._raw, self._deadline, self._max_bytes)
        self.sock = limited

    def hang_up(self) -> None:
        """Close the socket, whatever is left unread."""
        self.close()
        if self._raw is not None:
            self._raw.close()

    def _open(self) -> socket.socket:
        problem: OSError = OSError("no address")
        for family, kind, protocol, _, address in _addresses(self.host, self.port, self._deadline):
            raw = socket.socket(family, kind, protocol)
            try:
                raw.settimeout(_left(self._deadline))
                raw.connect(address)
            except OSError as error:
                raw.close()
                problem = error
            else:
                return raw
        raise problem


class _LimitedSocket:
    """What http.client needs of a socket, with time and size counted over all of an exchange."""

    def __init__(self, raw: socket.socket, deadline: float, max_bytes: int) -> None:
        self._raw, self._deadline, self._max_bytes = raw, deadline, max_bytes

    def sendall(self, data: Any) -> None:
        # Over TLS, sendall would give each record the whole of the time that is left.
        rest = memoryview(data).cast("B")
        while len(rest):
            self._raw.settimeout(_left(self._deadline))
            rest = rest[self._raw.send(rest) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_LimitedReader(self._raw, self._deadline, self._max_bytes), _CHUNK)

    def close(self) -> None:
        """Leave the socket open: http.client lets go of it before it reads the body."""


class _LimitedReader(io.RawIOBase):
    """Read from a socket until the deadline or the limit on size."""

    def __init__(self, raw: socket.socket, deadline: float, max_bytes: int) -> None:
        self._raw, self._deadline, self._left = raw, deadline, max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._raw.settimeout(_left(self._deadline))
        count = self._raw.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise Refused("the answer is too large")
        return count


def _left(deadline: float) -> float:
    """Return the seconds that are left, > 0."""
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left


def _addresses(host: str, port: int, deadline: float) -> list[Any]:
    """Look up a host. The system's look-up cannot be cut short, so it is left behind in a thread if it must be."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else OSError("not a host's name"))

    thread = threading.Thread(target=look_up, name="look-up", daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not found:
        raise TimeoutError
    if isinstance(found[0], OSError):
        raise found[0]
    addresses: list[Any] = found[0]
    return addresses
