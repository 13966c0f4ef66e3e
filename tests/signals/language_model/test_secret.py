"""The key does not show itself, and a file that holds none is named without its contents."""

import copy
import pickle
import traceback

import pytest

from pmx.errors import SignalError
from pmx.signals.language_model import Secret

KEY = "sk-THIS-MUST-NEVER-BE-SEEN"


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
    assert Secret.from_file(file).header() == Secret(KEY).header()


@pytest.mark.parametrize("content", [b"", f"{KEY}\n{KEY}".encode(), KEY.encode("utf-16"), KEY.encode() * 1000])
def test_a_file_that_holds_something_else_is_not_quoted(tmp_path, content) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(SignalError) as caught:
        Secret.from_file(file)
    assert KEY not in str(caught.value)
    assert "NEVER" not in repr(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(SignalError, match=str(path)):
            Secret.from_file(path)
