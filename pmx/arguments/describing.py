"""What was given, in a few words, for a message."""

from __future__ import annotations

from typing import Any

MOST = 60


def described(value: Any) -> str:
    """Return a short description of any value, whatever its own representation does.

    Examples
    --------
    >>> described(None), described("soon"), described([1, 2])
    ('None', "'soon', a str", '[1, 2], a list')
    >>> described(int)
    'the class int'
    """
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{_article(kind)} of shape {shape}"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  its own, and no more than a description is lost
        text = ""
    short = text if len(text) <= MOST else f"{text[: MOST - 4]} ..."
    return f"{short}, {_article(kind)}" if short and "\n" not in short else _article(kind)


def _article(kind: str) -> str:
    return f"{'an' if kind[:1].lower() in 'aeiou' or kind == 'ndarray' else 'a'} {kind}"
