"""Dotted keys: ``barbell.safe_bucket.min_weight`` as a path through the schema and through plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pmx.arguments import checked
from pmx.policy.problem import Problem, did_you_mean, raise_if_any, shown
from pmx.policy.schema import SECTIONS, Section
from pmx.policy.yaml_text import YamlText


def child_type(annotation: Any, key: str) -> Any:
    """Return the type of what stands under ``key`` in a value of this type, or None if nothing can."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        field = annotation.model_fields.get(key)
        return None if field is None else _bare(field.annotation)
    arguments = get_args(annotation)
    return _bare(arguments[-1]) if get_origin(annotation) is Mapping else None


def known_keys(annotation: Any) -> tuple[str, ...]:
    """Return the keys that a value of this type may hold, where the schema fixes them."""
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation.field_names() if is_section else ()


def type_at(path: tuple[str | int, ...]) -> Any:
    """Return the type at a path that starts with a section's name, or None beyond the schema."""
    annotation: Any = SECTIONS.get(str(path[0]))
    for step in path[1:]:
        annotation = child_type(annotation, str(step))
    return annotation


def set_key(data: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key in plain data.

    Parameters
    ----------
    data : dict
        Section name to plain data, as ``Policy.to_mapping`` gives it. Changed in place.
    key : str
        Such as ``"risk_buckets.buckets.ts_core.base_nav_frac"``. Below a table of symbols all the rest is the
        symbol, dots included.
    value : object
        Plain data.

    Raises
    ------
    PolicyError
        If the policy has no such key.

    Examples
    --------
    >>> data = {"barbell": {"symbol_caps": {}}}
    >>> set_key(data, "barbell.symbol_caps.BRK.B", 0.1)
    >>> data
    {'barbell': {'symbol_caps': {'BRK.B': 0.1}}}
    """
    parts = key.split(".")
    if parts[0] not in SECTIONS or len(parts) == 1:
        remedy = did_you_mean(parts[0], tuple(SECTIONS))
        if parts[0] in SECTIONS:
            remedy = f"name one of its keys, such as {key}.{SECTIONS[key].field_names()[0]}"
        raise_if_any([Problem("override", key, f"cannot be set to {shown(value)}: unknown key", remedy)])
    place, depth = data[parts[0]], 1
    kind: Any = SECTIONS[parts[0]]
    while depth < len(parts) - 1 and not _is_table_of_values(kind):
        if not isinstance(place.get(parts[depth]), dict):
            _refuse(place, parts, depth, value)
        place, kind, depth = place[parts[depth]], child_type(kind, parts[depth]), depth + 1
    name = ".".join(parts[depth:])
    if known_keys(kind) and name not in known_keys(kind):
        _refuse(place, parts, depth, value)
    place[name] = value


def _is_table_of_values(kind: Any) -> bool:
    return get_origin(kind) is Mapping and not known_keys(child_type(kind, ""))


def _refuse(place: dict[str, Any], parts: list[str], depth: int, value: Any) -> None:
    """Say why there is nothing to set at this depth of a key."""
    what = f"cannot be set to {shown(value)}: unknown key {parts[depth]!r}"
    remedy = did_you_mean(parts[depth], tuple(place))
    if parts[depth] in place:
        what, remedy = f"{'.'.join(parts[: depth + 1])} has nothing below it", "set it as a whole"
    raise_if_any([Problem("override", ".".join(parts), what, remedy)])


def _bare(annotation: Any) -> Any:
    """Strip ``Annotated``."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


@checked
def parse_override(text: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is read by the rules of the policy files.

    Parameters
    ----------
    text : str
        Such as ``"barbell.safe_bucket.min_weight=0.8"``.

    Returns
    -------
    tuple of str and object
        The dotted key and the plain value.

    Raises
    ------
    PolicyError
        If there is no ``=``, no key or no value, or if the value is not one that the policy files allow.

    Examples
    --------
    >>> parse_override("barbell.safe_bucket.min_weight=0.8")
    ('barbell.safe_bucket.min_weight', 0.8)
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise_if_any([Problem("--set", "", f"{shown(text)} is not key=value", "write --set KEY=VALUE")])
    if not value.strip():
        raise_if_any([Problem("--set", key, "has no value", "write null where there is no limit")])
    parsed = YamlText(value, "--set", key)
    raise_if_any(parsed.problems)
    return key, parsed.data
