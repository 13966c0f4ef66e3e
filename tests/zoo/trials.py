"""One trial: a known good call with one or two arguments of another kind, and what may come of it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zoo.bits import bits
from zoo.calls import Case, Good
from zoo.wrong_kinds import Other, is_callable_argument

from pmx.errors import PmxError, PmxWarning


def called(good: Good, arguments: dict[str, Any]) -> Any:
    """Call, and go through what is yielded; warnings about probable mistakes are answers too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PmxWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # a number beyond the range of floats
        answer = good.call(**arguments)
        return list(answer) if isinstance(answer, Iterator) else answer


def files(folder: Path) -> dict[str, bytes]:
    """Return what lies in a trial's folder, which is the current one too, so that relative names are found there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def answer_of(case: Case, folder: Path) -> Any:
    """Return the bits of the answer to the good call, on objects that nothing else has touched."""
    good = case.make(folder)
    return bits(called(good, good.arguments))


def tried(case: Case, changes: dict[str, Other], folder: Path, right: Any) -> str:
    """Return what is wrong with the outcome; empty where nothing is."""
    with contextlib.chdir(folder):
        return _tried(case, changes, folder, right)


def _tried(case: Case, changes: dict[str, Other], folder: Path, right: Any) -> str:
    good = case.make(folder)
    before = files(folder)
    arguments = good.arguments | {name: other.value for name, other in changes.items()}
    what = f"{case.name}({', '.join(f'{name} = {other.label}' for name, other in changes.items())})"
    try:
        answer = called(good, arguments)
    except allowed(case) as error:
        return refused(good, before, folder, right, what, error)
    except Exception as error:  # noqa: BLE001  any other is what is looked for
        return f"{what}: {type(error).__name__}: {str(error)[:120]}"
    if reads(good.call) and all(other.same for other in changes.values()) and bits(answer) != right:
        return f"{what}: another answer than to what it equals"
    return ""


def allowed(case: Case) -> tuple[type[Exception], ...]:
    """The errors of a room: the verifier stands by itself, knows no error of pmx, and raises the file's own."""
    return (OSError,) if case.name.startswith("verify.") else (PmxError,)


def reads(call: Any) -> bool:
    """Whether a call reads its arguments; a plain record keeps what it is given."""
    return not isinstance(call, type) or hasattr(call.__init__, "__wrapped__")


def in_journal(content: bytes) -> bool:
    """Whether a file is a journal that ends with the refusal itself, as it should."""
    return b'"refusal"' in content


def refused(good: Good, before: dict[str, bytes], folder: Path, right: Any, what: str, error: Exception) -> str:
    if not str(error).strip():
        return f"{what}: {type(error).__name__} without a message"
    if any(before.get(name) != content for name, content in files(folder).items() if not in_journal(content)):
        return f"{what}: files were changed by a call that raised {error}"
    try:
        answer = called(good, good.arguments)
    except Exception as later:  # noqa: BLE001
        return f"{what}: the good call that follows ends in {type(later).__name__}: {str(later)[:100]}"
    return "" if bits(answer) == right else f"{what}: the good call that follows has another answer, after {error}"


def is_foreign(good_value: Any, other: Other) -> bool:
    """Whether an error would be that of the caller's own code."""
    own = is_callable_argument(other.value) and (good_value is None or is_callable_argument(good_value))
    made = callable(good_value) or (good_value is None and other.label == "its class")
    return own or (made and callable(other.value))


def report(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join([f"{len(found)} failures", *found]), pytrace=False)
