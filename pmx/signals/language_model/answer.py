"""From the bytes that a language model has sent to opinions, or to a refusal; nothing in between."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from pmx.arguments import checked
from pmx.signals.language_model.refusal import Refused

#: Digits of an integer that may be worth reading.
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Opinion:
    """Hold what a language model thinks of one symbol.

    Attributes
    ----------
    symbol : str
        One that was asked about.
    edge : float
        Expected return over the horizon in units of the volatility over it, signed, finite and bounded.
    confidence : float
        In [0, 1].
    """

    symbol: str
    edge: float
    confidence: float


@checked
def opinions_from(body: bytes, asked: Collection[str], max_edge: float) -> list[Opinion]:
    """Read a chat completion whose message is the JSON that was asked for.

    Parameters
    ----------
    body : bytes
        What the server has sent.
    asked : collection of str
        Symbols that may be spoken of.
    max_edge : float
        Largest believable absolute edge.

    Returns
    -------
    list of Opinion
        At most one a symbol, in the order of the answer.

    Raises
    ------
    Refused
        If anything is not exactly as it should be. One wrong entry refuses the whole answer: a server that makes up
        a symbol or a number has not earned belief for the others.

    Examples
    --------
    >>> def completion(content):
    ...     return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()
    >>> said = '{"signals": [{"symbol": "SPY", "edge": -0.2, "confidence": 0.6}]}'
    >>> opinions_from(completion(said), {"SPY"}, max_edge=0.5)
    [Opinion(symbol='SPY', edge=-0.2, confidence=0.6)]
    >>> opinions_from(completion(said.replace("-0.2", "1e999")), {"SPY"}, max_edge=0.5)
    Traceback (most recent call last):
    ...
    pmx.signals.language_model.refusal.Refused: the model's message holds a number that is not finite
    """
    content = _message(_json(_text(body), "answer"))
    table = _object(_json(content, "model's message"), {"signals"}, "the model's message")
    entries = table["signals"]
    if type(entries) is not list:
        raise Refused("signals is not a list")
    if len(entries) > len(asked):
        raise Refused("there are more signals than symbols were asked about")
    opinions: dict[str, Opinion] = {}
    for entry in entries:
        opinion = _opinion(entry, asked, max_edge)
        if opinion.symbol in opinions:
            raise Refused("a symbol is answered twice")
        opinions[opinion.symbol] = opinion
    return list(opinions.values())


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("the answer is not UTF-8") from None


def _message(completion: Any) -> str:
    """Return the text of the only choice of a chat completion."""
    if type(completion) is not dict or type(completion.get("choices")) is not list:
        raise Refused("the answer is no chat completion")
    choices = completion["choices"]
    if len(choices) != 1 or type(choices[0]) is not dict or type(choices[0].get("message")) is not dict:
        raise Refused("the answer does not hold exactly one message")
    content = choices[0]["message"].get("content")
    if type(content) is not str:
        raise Refused("the message is not text")
    return content


def _opinion(entry: Any, asked: Collection[str], max_edge: float) -> Opinion:
    fields = _object(entry, {"symbol", "edge", "confidence"}, "a signal")
    symbol = fields["symbol"]
    if type(symbol) is not str:
        raise Refused("symbol is not text")
    if symbol not in asked:
        raise Refused("a symbol was not asked about")
    edge = _number(fields["edge"], "edge", -max_edge, max_edge)
    return Opinion(symbol, edge, _number(fields["confidence"], "confidence", 0.0, 1.0))


def _object(value: Any, keys: set[str], what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise Refused(f"{what} is not an object")
    if set(value) != keys:
        raise Refused(f"{what} does not have exactly the keys {', '.join(sorted(keys))}")
    return value


def _number(value: Any, name: str, least: float, largest: float) -> float:
    if type(value) not in (int, float):  # a bool is an int, but not of this type
        raise Refused(f"{name} is not a number")
    if not least <= value <= largest:
        raise Refused(f"{name} is outside [{least:g}, {largest:g}]")
    return float(value)


def _json(text: str, what: str) -> Any:
    """Parse strict JSON: no repeated key, no NaN, no infinity, no number that overflows, no abyss of brackets."""

    def number(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise Refused(f"the {what} holds a number that is not finite")
        return value

    def integer(digits: str) -> int:
        if len(digits) > _DIGITS:
            raise Refused(f"the {what} holds an integer of {len(digits)} digits")
        return int(digits)

    def constant(name: str) -> NoReturn:
        raise Refused(f"the {what} holds a number that is not finite")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise Refused(f"the {what} repeats a key")
        return table

    try:
        return json.loads(
            text, parse_float=number, parse_int=integer, parse_constant=constant, object_pairs_hook=unique
        )
    except (ValueError, RecursionError, MemoryError):
        raise Refused(f"the {what} is not JSON") from None
