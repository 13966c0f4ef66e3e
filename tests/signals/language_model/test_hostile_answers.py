"""Servers that stall, flood, redirect, inject and lie: no signal outside the schema, in time, and no secret told."""

import dataclasses
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo.hostile_answers import completion, entry, hostile_answers, http, signals
from zoo.hostile_answers import mutated as mutated_answer

from pmx.signals.language_model import Endpoint, Opinion, Refused, Secret, opinions_from
from pmx.signals.language_model.exchange import ask

KEY = "sk-THIS-MUST-NEVER-BE-SEEN-1234567890"
ANSWERS = hostile_answers()
#: Seconds that a machine under load may take on top of a time limit.
MARGIN = 8.0


def assert_in_schema(found, asked) -> None:
    for said in found:
        assert said.symbol in asked
        assert said.source == "llm_fallback"
        assert said.direction in (-1, 0, 1)
        assert abs(said.edge_score) <= 0.5
        assert 0.0 <= said.strength <= 1.0
        assert 0.0 <= said.confidence <= 1.0
    assert len({said.symbol for said in found}) == len(found)


def assert_untold(*texts: object) -> None:
    for text in texts:
        assert "NEVER-BE-SEEN" not in str(text)
        assert "NEVER-BE-SEEN" not in repr(text)


def test_there_are_more_than_two_hundred() -> None:
    assert len(set(ANSWERS.values())) >= 200


def test_no_hostile_answer_becomes_a_signal(server, prices, caplog) -> None:
    """Each asked over a real connection; the good answer that they are made of is heard."""
    caplog.set_level(logging.DEBUG)
    for name, answer in ANSWERS.items():
        (server.folder / name).write_bytes(answer)
        engine = server.engine(f"says/{name}", timeout_seconds=10.0)
        began = time.monotonic()
        found = engine.signals_for(prices, ["SPY", "WTI"])
        assert time.monotonic() - began < 10.0 + MARGIN, name
        assert found == [], name
        reasons = set(engine.diagnostics.values())
        assert len(reasons) == 1, name
        assert reasons.pop().startswith("refused: "), name
        assert_untold(engine, engine.diagnostics, vars(engine))
    assert len(caplog.records) >= len(ANSWERS)
    assert_untold(caplog.text, *[record.args for record in caplog.records])
    (server.folder / "good").write_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    with (server.folder / "good").open("ab") as file:
        file.write(completion(signals(entry())))
    (said,) = server.engine("says/good").signals_for(prices, ["SPY", "WTI"])
    assert (said.symbol, said.edge_score, said.confidence) == ("SPY", 0.3, 0.7)


def check_mutations(server, prices, caplog, count: int, seed: int) -> int:
    """Ask for mutated answers over a real connection; what becomes of each is a signal in the schema, or a reason."""
    caplog.set_level(logging.DEBUG)
    rng, heard = random.Random(seed), 0
    good = completion(signals(entry(), entry(symbol='"WTI"', edge="-0.1")))
    chunks = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    more = b"Date: Fri, 17 May 2024 20:00:00 GMT\r\nServer: tiny/0.1 (of the tests)\r\nX-Request-Id: 0123456789\r\n"
    sound = [
        http(good, more=more),
        http(good, more=more, length=False),
        chunks + b"%x\r\n%s\r\n0\r\n\r\n" % (len(good), good),
    ]
    for i in range(count):
        (server.folder / "mutated").write_bytes(mutated_answer(rng.choice(sound), rng))
        engine = server.engine("says/mutated", timeout_seconds=10.0)
        began = time.monotonic()
        found = engine.signals_for(prices, ["SPY", "WTI"])
        assert time.monotonic() - began < 10.0 + MARGIN, (seed, i)
        assert_in_schema(found, {"SPY", "WTI"})
        assert (found == []) == (set(engine.diagnostics.values()).isdisjoint({"signal"})), (seed, i)
        heard += bool(found)
    assert_untold(caplog.text)
    return heard


def test_mutated_answers_are_signals_in_the_schema_or_reasons(server, prices, caplog) -> None:
    assert 5 < check_mutations(server, prices, caplog, 200, seed=0) < 195


@pytest.mark.fuzz
def test_many_mutated_answers_are_signals_in_the_schema_or_reasons(server, prices, caplog) -> None:
    assert check_mutations(server, prices, caplog, 5_000, seed=1) > 150


@pytest.mark.parametrize(
    "script",
    [
        "stalls", "stalls_in_the_middle", "drips_body", "drips_headers", "drips_status", "drips_chunks",
        "continues_forever",
    ],
)  # fmt: skip
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_none_outlives_its_time(server, prices, script, secure) -> None:
    options = {"endpoint": server.secure_endpoint(script), "ca_file": str(server.ca_file)} if secure else {}
    engine = server.engine(script, timeout_seconds=1.0, **options)
    began = time.monotonic()
    assert engine.signals_for(prices, ["SPY"]) == []
    assert time.monotonic() - began < 1.0 + MARGIN
    assert engine.diagnostics["SPY"] == "refused: no whole answer within 1 s"


@pytest.mark.parametrize("script", ["floods", "floods_headers", "floods_chunks"])
def test_none_outgrows_its_size(server, prices, script) -> None:
    engine = server.engine(script)
    assert engine.signals_for(prices, ["SPY"]) == []
    assert engine.diagnostics["SPY"] in (
        "refused: the answer is too large",
        "refused: what comes before the answer's body is too long",
    )


def test_a_listener_that_never_accepts_is_given_up(prices, server) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        engine = server.engine("", endpoint=f"http://127.0.0.1:{port}/v1", timeout_seconds=1.0)
        began = time.monotonic()
        assert engine.signals_for(prices, ["SPY"]) == []
        assert time.monotonic() - began < 1.0 + MARGIN


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("redirects", "the server redirects (status 302), which is not followed"),
        ("redirects_keeping_the_method", "the server redirects (status 307), which is not followed"),
        ("echoes_the_key", "the server answers with status 401"),
        ("echoes_the_key_in_garbage", "the answer is not sound HTTP: it does not begin as HTTP does"),
        ("echoes_the_key_as_symbol", "a symbol was not asked about"),
        ("echoes_the_key_in_the_length", "the answer is not sound HTTP: its length is unclear"),
        ("closes_at_once", "the connection ended before the answer did"),
        ("closes_early", "the connection ended before the answer did"),
        ("resets", "no connection (ConnectionResetError)"),
    ],
)
def test_the_reason_names_neither_server_nor_key(server, prices, caplog, script, reason) -> None:
    caplog.set_level(logging.DEBUG)
    engine = server.engine(script)
    assert engine.signals_for(prices, ["SPY"]) == []
    assert engine.diagnostics["SPY"] == f"refused: {reason}"
    assert_untold(caplog.text, engine.diagnostics)


def test_a_key_that_fits_opens(server, prices) -> None:
    assert server.engine("needs_the_key", api_key="open-sesame").signals_for(prices, ["SPY"]) != []
    assert server.engine("needs_the_key", api_key="open-other").signals_for(prices, ["SPY"]) == []
    assert server.engine("needs_the_key", api_key=None).signals_for(prices, ["SPY"]) == []


PROXIED = """
import sys
from datetime import date
import numpy as np, pandas as pd
from pmx.policy.schema import LanguageModelEngine
from pmx.signals.language_model import LanguageModelFallback
config = LanguageModelEngine(model="tiny", endpoint=sys.argv[1])
engine = LanguageModelFallback(config, round_trip_cost=0.0, today=lambda: date(2024, 5, 17))
dates = pd.bdate_range(end="2024-05-17", periods=90)
print(len(engine.signals_for(pd.DataFrame({"SPY": 100.0 + np.arange(90.0)}, index=dates), ["SPY"])))
"""


def test_proxies_in_the_environment_are_not_used(server) -> None:
    """The proxy is a listener that counts who comes: nobody may."""
    visitors = []
    with socket.create_server(("127.0.0.1", 0)) as trap:

        def wait() -> None:
            try:
                trap.settimeout(60.0)
                visitors.append(trap.accept())
            except OSError:
                pass

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{trap.getsockname()[1]}"
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"), address)
        environment = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"} | proxies
        command = [sys.executable, "-c", PROXIED, server.endpoint("behaves")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
        trap.shutdown(socket.SHUT_RDWR)
    assert ran.stdout.strip() == "1"
    assert visitors == []


# --- what an error carries --------------------------------------------------------------------------------


def seen_in(error: BaseException) -> str:
    """Return all that a report of an error might show: messages, local variables, and errors that went before."""
    text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert error.__cause__ is None
    assert error.__context__ is None
    return text


@pytest.mark.parametrize(
    "script",
    ["closes_at_once", "resets", "stalls", "echoes_the_key", "echoes_the_key_in_garbage", "says/nothing", "floods"],
)
def test_no_frame_of_a_refusal_holds_the_key(server, script) -> None:
    key = Secret(KEY)
    with pytest.raises(Refused) as caught:
        ask(
            Endpoint.parse(server.endpoint(script), with_key=True), b"{}", key=key, trust=None, seconds=1.0,
            max_bytes=100_000,
        )  # fmt: skip
    assert "trust = None" in seen_in(caught.value)
    assert_untold(seen_in(caught.value))


def test_no_frame_of_an_interrupt_shows_the_key(server) -> None:
    """Control-C while waiting is let through, with every frame of the exchange."""
    key = Secret(KEY)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt) as caught:
            ask(
                Endpoint.parse(server.endpoint("stalls"), with_key=True), b"{}", key=key, trust=None, seconds=20.0,
                max_bytes=100_000,
            )  # fmt: skip
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert "in receive" in seen_in(caught.value)
    assert_untold(seen_in(caught.value))


def test_a_defect_of_our_own_is_no_signal_and_stops_nobody(server, prices, caplog) -> None:
    """An endpoint that no address can have stands for whatever nobody has thought of."""
    engine = server.engine("behaves")
    engine._endpoint = dataclasses.replace(engine._endpoint, path="/\u2028")
    assert engine.signals_for(prices, ["SPY"]) == []
    assert engine.diagnostics["SPY"] == "refused: the answer cannot be read (UnicodeEncodeError)"
    assert_untold(caplog.text)


# --- the reader alone -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["SPY", "WTI", "signals"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["signals", "symbol", "edge", "confidence", "choices", "x"]), inner, max_size=5
        )
    ),
    max_leaves=20,
)


def read(body: bytes) -> list[Opinion]:
    """Return what is read, checked; nothing where it is refused. Any other error fails the test."""
    try:
        found = opinions_from(body, {"SPY", "WTI"}, max_edge=0.5)
    except Refused:
        return []
    for opinion in found:
        assert opinion.symbol in {"SPY", "WTI"}
        assert type(opinion.edge) is float
        assert abs(opinion.edge) <= 0.5
        assert type(opinion.confidence) is float
        assert 0.0 <= opinion.confidence <= 1.0
    assert len({opinion.symbol for opinion in found}) == len(found)
    return found


@given(JSON, JSON)
def test_any_json_is_read_or_refused(outer: object, inner: object) -> None:
    read(json.dumps(outer).encode())
    read(completion(json.dumps(inner)))
    read(completion(json.dumps({"signals": inner})))
    read(completion(json.dumps({"signals": [inner]})))


@given(st.floats(-0.5, 0.5), st.floats(0.0, 1.0))
def test_what_is_in_range_is_read_as_it_is(edge: float, confidence: float) -> None:
    (opinion,) = read(completion(signals(entry(edge=repr(edge), confidence=repr(confidence)))))
    assert (opinion.edge, opinion.confidence) == (edge, confidence)


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Return the bytes with a few changed, dropped, doubled, or taken from hostile ones."""
    text = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        at, choice = rng.randrange(len(text) + 1), rng.random()
        if choice < 0.35 and at < len(text):
            text[at] = rng.choice(b'0123456789eE+-.,:"{}[]\\/ntfu \x00\xff')
        elif choice < 0.55:
            del text[at : at + rng.randint(1, 12)]
        elif choice < 0.75:
            text[at:at] = text[at : at + rng.randint(1, 40)]
        else:
            piece = rng.choice([b"1e999", b"NaN", b"null", b'"SPY"', b'"edge"', b"true", b"9" * 400, b"\\ud800"])
            text[at : at + rng.randint(0, 8)] = piece
        text = text or bytearray(b" ")
    return bytes(text)


@pytest.mark.fuzz
def test_mutations_of_a_good_answer_are_read_or_refused() -> None:
    rng, read_ones = random.Random(0), 0
    good = completion(signals(entry(), entry(symbol='"WTI"', edge="-0.1")))
    for _ in range(100_000):
        read_ones += bool(read(mutated(good, rng)))
    assert read_ones > 100
