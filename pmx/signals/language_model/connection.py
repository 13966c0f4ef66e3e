"""A connection to a server that is not trusted: one deadline and one limit on size for all that passes over it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from pmx.signals.language_model.refusal import Refused

if TYPE_CHECKING:
    from pmx.signals.language_model.exchange import Endpoint

#: Bytes that are sent or received in one go; between two of them the time is looked at.
_CHUNK = 16_384


class Connection:
    """Send to and receive from an endpoint until a deadline.

    Parameters
    ----------
    endpoint : Endpoint
    trust : ssl.SSLContext, optional
        Whom to believe over TLS; without it nothing is sent over https.
    deadline : float
        In seconds of `time.monotonic`.
    max_bytes : int
        What may be received in all.
    """

    def __init__(self, endpoint: Endpoint, trust: ssl.SSLContext | None, *, deadline: float, max_bytes: int) -> None:
        self._deadline, self._allowance = deadline, max_bytes
        self._socket = self._open(endpoint.host, endpoint.port)
        if endpoint.secure:
            try:
                self._socket = self._secured(trust, endpoint.host)
            except BaseException:
                self._socket.close()
                raise

    def send(self, data: memoryview) -> None:
        """Send all of it, however slowly the server reads."""
        # In pieces, each with the time that is left: over TLS, sendall makes no promise about the time of all.
        while len(data):
            self._socket.settimeout(_left(self._deadline))
            data = data[self._socket.send(data[:_CHUNK]) :]

    def receive(self) -> bytes:
        """Return what comes next; nothing at the end.

        Raises
        ------
        Refused
            If that is more than may be received in all.
        TimeoutError
            If nothing comes before the deadline.
        """
        self._socket.settimeout(_left(self._deadline))
        piece = self._socket.recv(_CHUNK)
        self._allowance -= len(piece)
        if self._allowance < 0:
            raise Refused("the answer is too large")
        return piece

    def close(self) -> None:
        """Let go of it, whatever is left unread."""
        self._socket.close()

    def _open(self, host: str, port: int) -> socket.socket:
        problem: OSError = OSError("no address")
        for family, kind, protocol, _, address in _addresses(host, port, self._deadline):
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

    def _secured(self, trust: ssl.SSLContext | None, host: str) -> ssl.SSLSocket:
        if trust is None:
            raise ssl.SSLError("nobody is trusted")
        self._socket.settimeout(_left(self._deadline))
        return trust.wrap_socket(self._socket, server_hostname=host)


def _left(deadline: float) -> float:
    """Return the seconds that are left, > 0."""
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left


def _addresses(host: str, port: int, deadline: float) -> list[Any]:
    """Look up a host. The system's look-up cannot be cut short, so it is left behind in a thread if it must be."""
    found: list[Any] = []
    # A key may travel in the clear to this machine, so that which machine "localhost" is must not be looked up.
    hosts = ("127.0.0.1", "::1") if host == "localhost" else (host,)

    def look_up() -> None:
        try:
            found.append([at for name in hosts for at in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)])
        except Exception as error:  # noqa: BLE001 - in a thread of its own, where it would be lost
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
