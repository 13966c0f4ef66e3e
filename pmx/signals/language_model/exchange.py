"""One question over HTTP to a server that is not trusted: one deadline, one limit on size, no detours."""

from __future__ import annotations

import ipaddress
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from pmx.arguments import checked
from pmx.errors import SignalError
from pmx.signals.language_model.connection import Connection
from pmx.signals.language_model.http_answer import read_answer
from pmx.signals.language_model.refusal import Refused
from pmx.signals.language_model.secret import Secret


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
    @checked
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


def ask(
    endpoint: Endpoint,
    question: bytes,
    *,
    key: Secret | None,
    trust: ssl.SSLContext | None,
    seconds: float,
    max_bytes: int,
) -> bytes:
    """Post a question and return the body of the answer.

    Everything has to be over after ``seconds``: looking up the name, connecting, TLS, sending, and reading to the last
    byte, however it drips. No more than ``max_bytes`` are read, headers included, of which there may be 16 KiB.
    Redirects are not followed and compressed answers not unpacked. No proxy, authority or log of session keys is taken
    from environment variables.

    Parameters
    ----------
    endpoint : Endpoint
    question : bytes
        JSON.
    key : Secret, optional
        Shown as a bearer token.
    trust : ssl.SSLContext, optional
        Whom to believe over https, such as `trusted` returns.
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
        If there is no whole, timely answer of status 200 and type ``application/json``, whatever the cause. The reason
        holds nothing that the server has sent, and no frame of its traceback the key.
    """
    outcome = _outcome(endpoint, question, key, trust, seconds, max_bytes)
    if isinstance(outcome, str):
        raise Refused(outcome)
    return outcome


def _outcome(
    endpoint: Endpoint, question: bytes, key: Secret | None, trust: ssl.SSLContext | None, seconds: float, size: int
) -> bytes | str:
    """Return the body, or why there is none: an error that is raised here would carry frames that hold the key."""
    try:
        with closing(Connection(endpoint, trust, deadline=time.monotonic() + seconds, max_bytes=size)) as connection:
            connection.send(_request(endpoint, question, key))
            return read_answer(connection.receive)
    except Refused as refusal:
        return str(refusal)
    except TimeoutError:
        return f"no whole answer within {seconds:g} s"
    except ssl.SSLError:
        return "no trusted TLS connection"
    except OSError as error:
        return f"no connection ({type(error).__name__})"
    except Exception as error:  # noqa: BLE001 - nothing that a server does may stop a cycle
        return f"the answer cannot be read ({type(error).__name__})"


def _request(endpoint: Endpoint, question: bytes, key: Secret | None) -> memoryview:
    """Return the whole request, in a form that does not show itself where it is printed."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    headers = {
        "Host": host if endpoint.port == (443 if endpoint.secure else 80) else f"{host}:{endpoint.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(question)),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if key is not None:
        headers |= key.header()
    lines = [f"POST {endpoint.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return memoryview("".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii") + question)
