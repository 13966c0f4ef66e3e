"""Plain data to typed sections, with every refusal in the words of the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from pmx.policy.keys import known_keys, type_at
from pmx.policy.number_text import as_fraction, as_written
from pmx.policy.problem import Problem, did_you_mean, raise_if_any, shown
from pmx.policy.schema import SECTIONS, Section


def locate(sources: Mapping[str, str], key: str, otherwise: str = "default") -> str:
    """Return where a key was given, or the nearest key above it that was given.

    Examples
    --------
    >>> locate({"barbell.safe_bucket": "barbell.yml:3"}, "barbell.safe_bucket.min_weight")
    'barbell.yml:3'
    """
    while key and key not in sources:
        key = key.rpartition(".")[0]
    return sources.get(key, otherwise)


def validate(data: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Section]:
    """Build the typed sections.

    Parameters
    ----------
    data : mapping
        Section name to plain data. Missing sections take their defaults.
    sources : mapping of str to str
        Dotted key to where it was given.

    Returns
    -------
    dict of str to Section
        All sections.

    Raises
    ------
    PolicyError
        Naming, for every wrong key, where it stands, its value, and the remedy.
    """
    problems = [
        Problem(
            locate(sources, str(name)),
            str(name),
            "is an unknown section",
            did_you_mean(str(name), tuple(SECTIONS)),
        )
        for name in data
        if name not in SECTIONS
    ]
    sections: dict[str, Section] = {}
    for name, model in SECTIONS.items():
        value = _with_tuples(data.get(name, {}))
        try:
            sections[name] = model.model_validate(value)
        except ValidationError as error:
            found = error.errors(include_url=False)
            problems += [_problem(name, detail, sources) for detail in found if not _follows(detail, found)]
    raise_if_any(problems)
    return sections


def _with_tuples(value: Any) -> Any:
    """Return the data with tuples for lists, which is how a frozen section holds them."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_with_tuples(item) for item in value)
    return value


def _follows(detail: Any, found: Sequence[Any]) -> bool:
    """Return whether a list is only too short because entries of it were refused, which is said by itself."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(other["loc"][: len(place)] == place != other["loc"] for other in found)


def _problem(section: str, detail: Any, sources: Mapping[str, str]) -> Problem:
    """Translate one of pydantic's findings."""
    path = (section, *(step for step in detail["loc"] if step != "[key]"))
    key = ".".join(map(str, path))
    value, kind, context = detail["input"], detail["type"], detail.get("ctx", {})
    what, remedy = f"is {shown(value)}", ""
    if kind == "extra_forbidden":
        what = f"is an unknown key (value {shown(value)})"
        remedy = did_you_mean(str(path[-1]), known_keys(type_at(path[:-1])))
    elif kind == "missing":
        choices = get_args(type_at(path))
        what, remedy = "is required and missing", f"add {path[-1]}: …"
        if get_origin(type_at(path)) is Literal:
            remedy = " or ".join(f"add {path[-1]}: {choice}" for choice in choices)
    elif kind == "literal_error":
        remedy = f"write one of {context['expected']}"
    elif kind in _LIMITS:
        limit = next(iter(context.values()))
        bound = f"{_LIMITS[kind]} {limit:g}"
        what += f", which is not {bound}"
        remedy = f"write a {'whole number' if _is_whole(path) else 'number'} {bound}"
        if kind.startswith("less") and limit <= _MOST_FRACTION and not _is_whole(path):
            remedy += _in_fractions(value, limit)
    elif kind == "too_short":
        what += ", not a list with an entry"
        remedy = "name at least one"
    elif kind == "value_error":
        fault, _, remedy = str(context["error"]).partition("; ")
        what += f", which {fault}"
    elif kind == "string_pattern_mismatch":
        what, remedy = f"{shown(value)} is not a plain name", "use letters, digits, _ and -"
    else:
        wanted, remedy = _WANTED.get(kind, (detail["msg"], "correct the value"))
        what += f", not {wanted}" if kind in _WANTED else f": {wanted}"
        if kind in _NUMBER and isinstance(value, bool):
            remedy = "write the number (true and false are not numbers)"
        elif kind in _NUMBER and isinstance(value, str):
            remedy = _number_for(value, path)
        elif kind == "tuple_type" and isinstance(value, str):
            remedy = f"write it as a list: [{value}]"
        elif kind == "string_type" and value is None:
            remedy = "write a name (null is none)"
        elif kind in _NUMBER and value is None:
            remedy = "write the number (null is no limit, and this key needs one)"
    return Problem(locate(sources, key), key, what, remedy)


def _in_fractions(value: Any, limit: float) -> str:
    """Return the fraction that a number above its limit means, if it may have been meant in percent."""
    if isinstance(value, int | float) and 2.0 <= value <= 100.0 * limit:
        return f" (write {as_fraction(value)} for {value:g} %)"
    return " (fractions run from 0 to 1: 0.7, not 70)" if limit == 1 else ""


def _number_for(text: str, path: tuple[str | int, ...]) -> str:
    """Return the remedy for a number that is written as text."""
    basis_points = str(path[-1]).endswith("_bps") or (len(path) > 1 and str(path[-2]).endswith("_bps"))
    written = as_written(text, basis_points=basis_points, at_most_one=not _is_whole(path))
    if written is None:
        return "write a whole number" if _is_whole(path) else "write a decimal number, such as 0.60"
    return f"write {written}" + (" without quotes" if written == text else "")


def _is_whole(path: tuple[str | int, ...]) -> bool:
    """Return whether a key wants a whole number, or null."""
    wanted = type_at(path)
    return int in (get_args(wanted) or (wanted,)) or any(get_args(part)[:1] == (int,) for part in get_args(wanted))


#: Limits up to this one are of fractions, of NAV or a year; larger ones of other units.
_MOST_FRACTION = 20.0
_LIMITS = {
    "greater_than_equal": "≥",
    "less_than_equal": "≤",
    "greater_than": ">",
    "less_than": "<",
}
_NUMBER = {"float_type", "int_type", "finite_number", "int_from_float"}
_TABLE = ("a table of keys", "write it as `name: value` lines")
_WANTED = {
    "float_type": ("a number", "write a decimal number"),
    "int_type": ("a whole number", "write a whole number"),
    "int_from_float": ("a whole number", "write a whole number"),
    "finite_number": ("a finite number", "write a finite number, or null where there is no limit"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "string_type": ("text", "put it in quotes"),
    "string_too_short": ("a name", "write the name, or remove it"),
    "tuple_type": ("a list", "write it as a list: [A, B]"),
    "dict_type": _TABLE,
    "model_type": _TABLE,
    "mapping_type": _TABLE,
}
