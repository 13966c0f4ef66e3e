"""YAML text to plain data, with the line of every key and without YAML's surprises."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from pmx.policy.problem import Problem

#: More values than any policy holds; an alias that multiplies itself stops here.
_MAX_VALUES = 200_000
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)")
_TAG = "tag:yaml.org,2002:"


class _SafeLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which also reads ``1e-4`` as a number, as JSON and everybody else do."""


_SafeLoader.add_implicit_resolver(f"{_TAG}float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789"))


class YamlText:
    r"""The data of one YAML document, where each key stands, and what is wrong with it.

    Parameters
    ----------
    text : str
        The document.
    where : str
        What the messages call it: a file's path, or ``"--set"``.
    root : str
        Dotted key of the document itself, such as ``"barbell"``.

    Attributes
    ----------
    data : object
        Dictionaries with string keys, lists, str, int, float, bool and None.
    lines : dict of str to int
        Dotted key (list items by number) to its line, counted from 1.
    problems : list of Problem
        What is wrong; ``data`` is complete only if this is empty.

    Examples
    --------
    >>> text = YamlText("safe_bucket:\n  min_weight: 0.7\n", "barbell.yml", "barbell")
    >>> text.data
    {'safe_bucket': {'min_weight': 0.7}}
    >>> text.lines["barbell.safe_bucket.min_weight"]
    2
    """

    def __init__(self, text: str, where: str, root: str) -> None:
        self._where = where
        self._open: set[int] = set()
        self._count = 0
        self.data: Any = None
        self.lines: dict[str, int] = {root: 1}
        self.problems: list[Problem] = []
        try:
            self._loader = _SafeLoader(text)
            node = self._loader.get_single_node()
            if node is not None:
                self.data = self._value(node, root)
        except yaml.YAMLError as error:
            self.problems.append(_missing_blank(error, text, where, root) or _syntax_problem(error, where, root))
        except RecursionError:
            self.problems.append(Problem(where, root, "is nested too deeply", "write it flat"))

    def _report(self, node: yaml.Node, key: str, what: str, remedy: str) -> None:
        where = f"{self._where}:{node.start_mark.line + 1}"
        self.problems.append(Problem(where, key, what, remedy))

    def _value(self, node: yaml.Node, key: str) -> Any:
        self._count += 1
        if self._count > _MAX_VALUES:
            raise yaml.YAMLError(f"more than {_MAX_VALUES} values, anchors and aliases expanded")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        if id(node) in self._open:
            self._report(node, key, "contains itself through an alias", "write the value out")
            return None
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self._report(node, key, f"has the tag {node.tag}", "remove the tag; a policy is plain data")
            return None
        self._open.add(id(node))
        try:
            return self._mapping(node, key) if isinstance(node, yaml.MappingNode) else self._list(node, key)
        finally:
            self._open.discard(id(node))

    def _list(self, node: yaml.Node, key: str) -> list[Any]:
        items = []
        for number, item in enumerate(node.value):
            self.lines[f"{key}.{number}"] = item.start_mark.line + 1
            items.append(self._value(item, f"{key}.{number}"))
        return items

    def _mapping(self, node: yaml.MappingNode, key: str) -> dict[str, Any]:
        first_line: dict[str, int] = {}
        for key_node, _ in node.value:
            written, line = str(key_node.value), key_node.start_mark.line + 1
            if isinstance(key_node, yaml.ScalarNode) and written in first_line:
                self._report(
                    key_node,
                    f"{key}.{written}",
                    f"is a duplicate key, first given in line {first_line[written]}",
                    "keep one of the two",
                )
            first_line.setdefault(written, line)
        self._loader.flatten_mapping(node)  # `<<: *anchor`: merged keys come first, the mapping's own win
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            flow = _FLOW_NO_BLANK.fullmatch(str(key_node.value)) if node.flow_style and value_node.value == "" else None
            if flow is not None:
                remedy = f"write `{flow[1]}: {flow[2]}` with a blank after the colon"
                self._report(key_node, key, f"{flow[0]} has no blank after the colon", remedy)
                continue
            name = self._key(key_node, key)
            if name is not None:
                self.lines[f"{key}.{name}"] = key_node.start_mark.line + 1
                result[name] = self._value(value_node, f"{key}.{name}")
        return result

    def _key(self, node: yaml.Node, parent: str) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        what = f"the key {node.value if isinstance(node, yaml.ScalarNode) else '?'} is not text for YAML"
        self._report(node, parent, what, "put the key in quotes")
        return None

    def _scalar(self, node: yaml.ScalarNode, key: str) -> Any:
        text, kind = node.value, node.tag.removeprefix(_TAG)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and _INTEGER.fullmatch(text):
            return int(text)
        if kind == "float" and ":" not in text:
            number = _float(text)
            if number is not None:
                return number
        what, remedy = _REFUSED.get(kind, (f"has the tag {node.tag}", "remove the tag; a policy is plain data"))
        self._report(node, key, f"is {text}, which {what}" if kind in _REFUSED else what, remedy)
        return None


_REFUSED = {
    "bool": ("YAML reads as true or false", "write true or false, or put it in quotes if it is a name"),
    "int": ("YAML does not read as a decimal number", "write a plain number, or quotes if it is a name"),
    "float": ("is not a finite decimal number", "write a finite number, or null where there is no limit"),
    "timestamp": ("YAML reads as a date", "put it in quotes if it is a name"),
}


def _float(text: str) -> float | None:
    """Return the finite number that the text spells, or None."""
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


#: An entry in braces, and a line, whose key has no blank after the colon.
_FLOW_NO_BLANK = re.compile(r"(.*[^:]):([-+]?\.?\d\S*)")
_NO_BLANK = re.compile(r"\s*([A-Za-z_][\w.-]*):([^\s:{}\[\],#]+)\s*(?:#.*)?")


def _missing_blank(error: yaml.YAMLError, text: str, where: str, root: str) -> Problem | None:
    """Return the problem of the last line up to an error that is a key and a value without a blank between them."""
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", ""))
    if mark is None or ("could not find expected ':'" not in problem and "mapping values are not" not in problem):
        return None
    lines = text.splitlines()[: mark.line + 1]
    for number in range(len(lines), 0, -1):
        found = _NO_BLANK.fullmatch(lines[number - 1])
        if found:
            remedy = f"write `{found[1]}: {found[2]}` with a blank after the colon"
            return Problem(f"{where}:{number}", root, f"{found[0].strip()} has no blank after the colon", remedy)
    return None


def _syntax_problem(error: yaml.YAMLError, where: str, root: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = f"{where}:{mark.line + 1}" if mark is not None else where
    what = getattr(error, "problem", None) or str(error)
    context = str(getattr(error, "context", ""))
    remedy = "correct the text there"
    if "alias" in context:
        remedy = 'put a name that begins with * in quotes: "*"'
    elif "'\\t'" in what:
        remedy = "indent with blanks, not with tabs"
    return Problem(line, root, f"is not valid YAML ({what})", remedy)
