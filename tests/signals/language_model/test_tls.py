"""Over TLS: whom to believe is named in the policy or compiled in, never in the environment; time runs as before."""

import os
import shutil
import ssl
import subprocess
import sys
import time

import pytest

from pmx.errors import SignalError
from pmx.signals.language_model import Endpoint, Refused
from pmx.signals.language_model.exchange import ask
from pmx.signals.language_model.trust import _believe_places, trusted

MARGIN = 8.0
REFUSED = "refused: no trusted TLS connection"


def test_a_server_with_a_certificate_of_ones_own_is_heard(server, prices) -> None:
    endpoint = server.secure_endpoint("behaves")
    engine = server.engine("", endpoint=endpoint, ca_file=str(server.ca_file))
    assert [signal.symbol for signal in engine.signals_for(prices, ["SPY", "WTI"])] == ["SPY", "WTI"]
    stranger = server.engine("", endpoint=endpoint)
    assert stranger.signals_for(prices, ["SPY"]) == []
    assert stranger.diagnostics["SPY"] == REFUSED


def test_a_certificate_for_another_name_is_not_believed(server, prices) -> None:
    endpoint = server.secure_endpoint("behaves").replace("localhost", "127.0.0.1")
    engine = server.engine("", endpoint=endpoint, ca_file=str(server.ca_file))
    assert engine.signals_for(prices, ["SPY"]) == []
    assert engine.diagnostics["SPY"] == REFUSED


def test_the_key_is_shown_over_tls(server, prices) -> None:
    options = {"endpoint": server.secure_endpoint("needs_the_key"), "ca_file": str(server.ca_file)}
    assert server.engine("", api_key="open-sesame", **options).signals_for(prices, ["SPY"]) != []
    assert server.engine("", api_key="open-other", **options).signals_for(prices, ["SPY"]) == []


ENVIRONMENT = """
import socket, ssl, sys
from pmx.signals.language_model import Endpoint, Refused
from pmx.signals.language_model.exchange import ask
from pmx.signals.language_model.trust import trusted
url, ca_file, listens = sys.argv[1], sys.argv[2], sys.argv[3] == "standard library"
endpoint = Endpoint.parse(url, with_key=True)
if listens:
    with socket.create_connection((endpoint.host, endpoint.port)) as plain:
        ssl.create_default_context().wrap_socket(plain, server_hostname=endpoint.host).close()
    print("believed")
for trust in () if listens else (trusted(), trusted(ca_file)):
    try:
        question = b'{"messages": [{"content": "{\\\\"symbols\\\\": []}"}]}'
        body = ask(endpoint, question, key=None, trust=trust, seconds=20.0, max_bytes=9999)
        print("heard", len(body) > 9)
    except Refused as refusal:
        print(refusal)
"""


@pytest.mark.parametrize(
    ("who", "said", "logged"),
    [
        ("standard library", ["believed"], True),  # which shows that these variables do what they say
        ("pmx", ["no trusted TLS connection", "heard True"], False),
    ],
)
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_has_no_say(server, tmp_path, variable, who, said, logged) -> None:
    folder, log = tmp_path / "authorities", tmp_path / "keys.log"
    folder.mkdir()
    name = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(server.ca_file)], capture_output=True, text=True, check=True
    ).stdout.strip()
    shutil.copy(server.ca_file, folder / f"{name}.0")
    places = {"SSL_CERT_FILE": str(server.ca_file), "SSL_CERT_DIR": str(folder)}
    environment = {key: value for key, value in os.environ.items() if key not in places}
    environment |= {variable: places[variable], "SSLKEYLOGFILE": str(log)}
    command = [sys.executable, "-c", ENVIRONMENT, server.secure_endpoint("behaves"), str(server.ca_file), who]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert ran.stdout.splitlines() == said
    assert (log.exists() and log.stat().st_size > 0) == logged


# --- time -------------------------------------------------------------------------------------------------


def test_a_greeting_that_never_ends_is_given_up(server, prices) -> None:
    engine = server.engine("", endpoint=f"https://localhost:{server.hello_port}/v1", timeout_seconds=1.0)
    began = time.monotonic()
    assert engine.signals_for(prices, ["SPY"]) == []
    assert time.monotonic() - began < 1.0 + MARGIN
    assert engine.diagnostics["SPY"] == "refused: no whole answer within 1 s"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_server_that_reads_slowly_is_given_up(server, secure) -> None:
    """The question would take a minute, in pieces of which none is late."""
    url = server.secure_endpoint("reads_slowly") if secure else server.endpoint("reads_slowly")
    trust = trusted(server.ca_file) if secure else None
    began = time.monotonic()
    with pytest.raises(Refused, match="no whole answer within 1 s"):
        ask(
            Endpoint.parse(url, with_key=False), b" " * 64_000_000, key=None, trust=trust, seconds=1.0, max_bytes=9999
        )  # fmt: skip
    assert time.monotonic() - began < 1.0 + MARGIN


@pytest.mark.parametrize("script", ["floods", "floods_headers", "floods_chunks"])
def test_none_outgrows_its_size_over_tls(server, prices, script) -> None:
    engine = server.engine("", endpoint=server.secure_endpoint(script), ca_file=str(server.ca_file))
    assert engine.signals_for(prices, ["SPY"]) == []
    assert engine.diagnostics["SPY"] in (
        "refused: the answer is too large",
        "refused: what comes before the answer's body is too long",
    )


# --- whom to believe --------------------------------------------------------------------------------------


def test_nobody_is_believed_without_a_context(server) -> None:
    endpoint = Endpoint.parse(server.secure_endpoint("behaves"), with_key=False)
    with pytest.raises(Refused, match="no trusted TLS connection") as caught:
        ask(endpoint, b"{}", key=None, trust=None, seconds=20.0, max_bytes=9999)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"", "holds no certificate"), (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "holds no"),
     (bytes(range(256)), "holds no certificate")],
)  # fmt: skip
def test_a_file_without_authorities_is_named_when_the_engine_is_made(server, tmp_path, content, problem) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SignalError, match=f"ca_file {file} {problem}"):
        server.engine("", endpoint=server.secure_endpoint("behaves"), ca_file=str(file))
    with pytest.raises(SignalError, match=f"ca_file {tmp_path} "):
        trusted(tmp_path)


def test_places_that_hold_no_authority_are_named(server, tmp_path) -> None:
    def believed(file, folder):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _believe_places(context, file, folder)
        endpoint = Endpoint.parse(server.secure_endpoint("behaves"), with_key=False)
        question = b'{"messages": [{"content": "{\\"symbols\\": []}"}]}'
        return ask(endpoint, question, key=None, trust=context, seconds=20.0, max_bytes=9999) != b""

    nowhere, empty, folder = tmp_path / "nowhere", tmp_path / "empty.pem", tmp_path / "folder"
    empty.write_bytes(b"")
    folder.mkdir()
    for file in (nowhere, empty):
        with pytest.raises(SignalError, match=f"no certificates of authorities in {file} or {folder}, so no server"):
            believed(file, folder)
    shutil.copy(server.ca_file, folder / "by-its-name.pem")  # which OpenSSL does not look for
    with pytest.raises(SignalError, match="no certificates of authorities"):
        believed(nowhere, folder)
    assert believed(server.ca_file, folder)
    named = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(server.ca_file)], capture_output=True, text=True, check=True
    )
    shutil.copy(server.ca_file, folder / f"{named.stdout.strip()}.0")
    assert believed(empty, folder)
