"""The reader of HTTP: whole and well-formed, or refused, however the bytes arrive and whatever they are."""

import http.client
import io
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo.hostile_answers import completion, entry, heads, mutated, signals
from zoo.hostile_answers import http as answer

from pmx.signals.language_model import Refused
from pmx.signals.language_model.http_answer import LONGEST_HEAD, read_answer

GOOD = completion(signals(entry()))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
#: Answers in which nothing is wrong, by the way in which their length is told.
SOUND = {
    "length": answer(GOOD),
    "close": answer(GOOD, length=False),
    "chunks": CHUNKED + b"%x\r\n%s\r\nA;x=y\r\n          \r\n0\r\n\r\n" % (len(GOOD), GOOD),
}


def read(data: bytes, *cuts: int) -> bytes:
    """Read bytes that arrive in pieces, of which none is empty; the end arrives after them."""
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges) if b > a]
    return read_answer(iter([*pieces, b""]).__next__)


def outcome(data: bytes, *cuts: int) -> bytes | str:
    try:
        return read(data, *cuts)
    except Refused as refusal:
        return str(refusal)


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200"])
def test_what_is_sound_is_read(name, first) -> None:
    data = SOUND[name].replace(b"HTTP/1.1 200 OK", first)
    assert read(data).strip() == GOOD
    assert read(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 \r\n\r\n" + data).strip() == GOOD


@pytest.mark.parametrize(
    "lines",
    [
        b"content-type:application/json",
        b"CONTENT-TYPE: \t application/JSON \t",
        b"Content-Type: application/json; charset=utf-8",
        b'Content-Type: application/json ;x="a;b"',
        b"Content-Type: application/json\r\nContent-Encoding: Identity",
        b"Content-Type: application/json\r\nX: \xc3\xa9\xff\r\nX: again\r\nEmpty:",
        b"Content-Type: application/json\r\nX: " + b"a" * (LONGEST_HEAD - 60),
    ],
)
def test_headers_may_be_written_in_several_ways(lines) -> None:
    assert read(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n" + GOOD) == GOOD


def test_every_wrong_head_is_refused() -> None:
    refused = [outcome(data) for data in heads()]
    bodies = [found for found in refused if isinstance(found, bytes)]
    assert set(bodies) <= {b"", GOOD[:5]}  # told to be that short, which is no JSON
    assert len(refused) - len(bodies) >= 75


@pytest.mark.parametrize("end", ["\r\n\r\n", "\r\n", "; "])
def test_no_more_is_taken_in_than_a_head_may_hold(end) -> None:
    """A server that goes on for ever has sent little when it is given up, so its bytes cost little time."""
    sent = 0

    def flood() -> bytes:
        nonlocal sent
        sent += 1000
        return (HEAD + b"X: " if sent == 1000 else b"").ljust(1000, b";") + end.encode().strip(b"\r\n")

    with pytest.raises(Refused, match="what comes before the answer's body is too long"):
        read_answer(flood)
    assert sent <= LONGEST_HEAD + 1000


def test_no_more_is_taken_in_than_the_size_of_a_chunk_needs() -> None:
    pieces = iter([CHUNKED, *[b"0" * 100] * 1000])
    with pytest.raises(Refused, match="the size of a chunk is too long"):
        read_answer(pieces.__next__)
    assert len(list(pieces)) >= 990


def test_nothing_is_read_beyond_the_end() -> None:
    """A server that keeps the connection open is not waited for."""
    for name in ("length", "chunks"):
        pieces = iter([SOUND[name]])
        assert read_answer(pieces.__next__).strip() == GOOD


@given(st.sampled_from(sorted(SOUND)), st.lists(st.integers(0, 400), max_size=12))
def test_it_does_not_matter_how_the_bytes_arrive(name, cuts) -> None:
    data = SOUND[name]
    assert read(data, *[min(cut, len(data)) for cut in cuts]).strip() == GOOD
    short = data[: min(cuts, default=0)]
    assert outcome(short) == outcome(short, *range(len(short)))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(first, second) -> None:
    for data in (first, HEAD + first + b"\r\n\r\n" + second, CHUNKED + first, first + answer(GOOD)):
        outcome(data)


class Socket:
    """What the standard library's reader needs of a socket."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def of_the_standard_library(data: bytes) -> bytes:
    response = http.client.HTTPResponse(Socket(data), method="POST")
    response.begin()
    assert response.status == 200
    return response.read()


def check_mutations(count: int, seed: int) -> int:
    """Read mutated answers; whatever is read, the standard library reads too, and the same."""
    rng, read_ones = random.Random(seed), 0
    for _ in range(count):
        data = mutated(SOUND[rng.choice(sorted(SOUND))], rng)
        found = outcome(data, *[rng.randrange(len(data)) for _ in range(rng.randint(0, 3))])
        if isinstance(found, bytes):
            assert found == of_the_standard_library(data), data
            read_ones += 1
    return read_ones


def test_what_is_read_of_a_mutated_answer_is_what_others_read() -> None:
    assert check_mutations(2_000, seed=0) > 100


@pytest.mark.fuzz
def test_what_is_read_of_many_mutated_answers_is_what_others_read() -> None:
    assert check_mutations(200_000, seed=1) > 10_000
