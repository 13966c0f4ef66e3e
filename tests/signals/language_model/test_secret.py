"""The key does not show itself, and a file that holds none is named without its contents."""

import copy
import os
import pickle
import traceback
from pathlib import Path

import pytest

from pmx.errors import SignalError
from pmx.policy.schema import LanguageModelEngine
from pmx.signals.language_model import LanguageModelFallback, Secret

KEY = "sk-THIS-MUST-NEVER-BE-SEEN"


def seen_in(error: BaseException, *files: str) -> str:
    """Return the local variables of the frames that an error has passed in these files of ours."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [frame for frame in frames if Path(frame.filename).parts[-2:-1] == ("language_model",)]
    assert {Path(frame.filename).name for frame in ours} >= set(files)
    return repr([frame.locals for frame in ours if Path(frame.filename).name in files])


def test_it_shows_itself_in_its_header_only() -> None:
    secret = Secret(KEY)
    assert secret.header() == {"Authorization": f"Bearer {KEY}"}
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>50}", "%s" % secret, repr([secret]), dir(secret)):  # noqa: UP031
        assert KEY not in text
    assert not hasattr(secret, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            copied(secret)


@pytest.mark.parametrize(
    "key", ["", f"{KEY}\r\nX-Other: 1", f"{KEY} ", f"{KEY}\x00", f"{KEY}é", KEY * 100, KEY.encode(), None, 7]
)
def test_what_is_no_key_is_refused_without_being_shown(key) -> None:
    with pytest.raises(SignalError, match="visible ASCII") as caught:
        Secret(key)
    assert KEY not in "".join(traceback.format_exception(caught.value, limit=0))


def test_a_file_may_hold_it(tmp_path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n  {KEY}\n")
    file.chmod(0o600)
    assert Secret.from_file(file).header() == Secret(KEY).header()


@pytest.mark.parametrize("content", [b"", f"{KEY}\n{KEY}".encode(), KEY.encode("utf-16"), KEY.encode() * 1000])
def test_a_file_that_holds_something_else_is_not_quoted(tmp_path, content) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(SignalError, match=r"visible ASCII|longer than 4096") as caught:
        Secret.from_file(file)
    assert "NEVER" not in repr(caught.value)
    assert "NEVER" not in seen_in(caught.value, "secret.py")


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path, mode) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(SignalError, match=rf"mode {mode:04o}, .* chmod 600 {file}") as caught:
        Secret.from_file(file)
    assert "NEVER" not in seen_in(caught.value, "secret.py")
    file.chmod(mode & 0o700)
    assert Secret.from_file(file).header() == Secret(KEY).header()


@pytest.mark.parametrize("key", [f"{KEY} ", f"{KEY}\n", f" {KEY}", f"{KEY}é"])
def test_what_is_nearly_a_key_is_in_no_frame_of_the_error(key) -> None:
    with pytest.raises(SignalError, match="visible ASCII") as caught:
        LanguageModelFallback(LanguageModelEngine(model="tiny"), round_trip_cost=0.0, api_key=key)
    assert "NEVER" not in seen_in(caught.value, "engine.py", "secret.py")


@pytest.mark.parametrize("given", [KEY, Secret(KEY)])
def test_a_key_is_in_no_frame_of_an_error_about_something_else(given) -> None:
    for options, problem in (({"endpoint": "http://example.com/v1"}, "in the clear"), ({"model": None}, "is null")):
        config = LanguageModelEngine(**{"model": "tiny"} | options)
        with pytest.raises(SignalError, match=problem) as caught:
            LanguageModelFallback(config, round_trip_cost=0.0, api_key=given)
        assert "NEVER" not in seen_in(caught.value, "engine.py")


def test_a_key_that_is_hidden_already_is_shown_to_the_server(server, prices) -> None:
    engine = server.engine("needs_the_key", api_key=Secret("open-" + "sesame"))
    assert len(engine.signals_for(prices, ["SPY"])) == 1


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(SignalError, match=f"{path} cannot be read"):
            Secret.from_file(path)
