"""Two policies side by side: each key that changed, whether that is tighter or looser, and where both were given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from pmx.arguments import checked
from pmx.policy.directions import Change, Context, Path, change_of, entry_change
from pmx.policy.loading import load_policy
from pmx.policy.policy import Policy
from pmx.policy.problem import Problem, did_you_mean, raise_if_any
from pmx.policy.schema import SECTIONS
from pmx.policy.validation import validate
from pmx.policy.yaml_text import YamlText

if TYPE_CHECKING:
    import pandas as pd

#: What stands for the policy that comes with the package.
SHIPPED = "shipped"
#: What stands for a value that is not there.
ABSENT = "absent"
COLUMNS = ("key", "change", "before", "after", "before_source", "after_source")


@dataclass(frozen=True, slots=True)
class _Side:
    """Plain data by section, and where each dotted key was given."""

    data: Mapping[str, Any]
    sources: Mapping[str, str]

    def place(self, path: Path, value: Any) -> str:
        """Return the file and line of a value; empty where there is none."""
        return "" if isinstance(value, str) and value == ABSENT else self.sources.get(".".join(path), "default")


@checked
def policy_diff(a: Policy | str | FilePath, b: Policy | str | FilePath) -> pd.DataFrame:
    """Return each key that differs between two policies.

    Parameters
    ----------
    a, b : Policy or path-like
        The earlier and the later one: a policy, a directory of policy files, one of these files (only its section is
        compared), or ``"shipped"``.

    Returns
    -------
    DataFrame
        One row a key, in the order of the files: ``key``, ``change`` (``tightened``, ``loosened``, ``changed`` where it
        is neither, ``added``, ``removed``), ``before``, ``after``, and the file and line of each, or ``default``.

    Raises
    ------
    PolicyError
        When one of them cannot be read, or two single files hold different sections.

    Notes
    -----
    A cap is tighter when it is lower, and loosest when it is null; a floor when it is higher; a soft rule when it is
    hard, or gives way at a higher penalty, later, or less far. An entry of ``custom_rules``, ``market_caps`` or
    ``symbol_caps`` limits, so that one that is added tightens. Buckets are tried in order, so their order is compared
    too.

    Examples
    --------
    >>> later = load_policy(overrides={"barbell.safe_bucket.min_weight": 0.8, "barbell.symbol_caps.WTI": 0.02})
    >>> for row in policy_diff("shipped", later).itertuples(index=False):
    ...     print(row.key, row.change, row.before, row.after, row.after_source)
    barbell.safe_bucket.min_weight tightened 0.7 0.8 override
    barbell.symbol_caps.WTI tightened absent 0.02 override
    """
    import pandas as pd

    first, second = _side(a), _side(b)
    _refuse_apart(a, first, b, second)
    context = Context.of(first.data, second.data)
    rows = []
    for section in SECTIONS:
        if section not in first.data or section not in second.data:
            continue
        found = _differences((section,), first.data[section], second.data[section], context)
        for path, change, before, after in found:
            sides = ((first, before), (second, after))
            rows.append((".".join(path), change, before, after, *(side.place(path, value) for side, value in sides)))
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    plain = {"before": object, "after": object}  # so that null stays null
    return pd.DataFrame(
        {name: pd.Series(values, dtype=plain.get(name, "str")) for name, values in zip(COLUMNS, columns, strict=True)}
    )


def _refuse_apart(a: Policy | str | FilePath, first: _Side, b: Policy | str | FilePath, second: _Side) -> None:
    """Refuse two sides without a section in common: nothing of them could be compared."""
    if first.data.keys() & second.data.keys():
        return
    mine, theirs = (", ".join(side.data) or "no section" for side in (first, second))
    what = f"holds {theirs}, and {a} holds {mine}, so that no key of the two can be compared"
    raise_if_any([Problem(str(b), "", what, "name two files of the same section, or two directories")])


def _differences(path: Path, a: Any, b: Any, context: Context) -> Iterator[tuple[Path, Change, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys([*a, *b]):
            inside = (*path, name)
            if name not in b:
                yield inside, entry_change(inside, added=False), a[name], ABSENT
            elif name not in a:
                yield inside, entry_change(inside, added=True), ABSENT, b[name]
            else:
                yield from _differences(inside, a[name], b[name], context)
        order, other = ([name for name in mapping if name in a and name in b] for mapping in (a, b))
        if order != other:
            yield path, "changed", order, other
    elif a != b:
        yield path, change_of(path, a, b, context), _plain(a), _plain(b)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _side(where: Policy | str | FilePath) -> _Side:
    if isinstance(where, Policy):
        return _Side(where.to_mapping(), where.sources)
    if where == SHIPPED:
        return _side(load_policy())
    path = FilePath(where)
    return _one_file(path) if path.is_file() else _side(load_policy(path))


def _one_file(file: FilePath) -> _Side:
    """Read one file of a policy, without the others: its section, or the sections that it names."""
    section = file.stem if file.stem in SECTIONS else ""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise_if_any([Problem(str(file), "", f"cannot be read ({error})", "name a policy file or a directory")])
    parsed = YamlText(text, str(file), section)
    raise_if_any(parsed.problems)
    data = {section: parsed.data} if section else parsed.data
    if not isinstance(data, dict) or not all(isinstance(value, dict) for value in data.values()):
        remedy = f"name a directory, {SHIPPED!r}, or a file of one section such as barbell.yml"
        raise_if_any([Problem(str(file), section, "is not a table of keys", remedy)])
    unknown = [name for name in data if name not in SECTIONS]
    raise_if_any(
        Problem(str(file), name, "is an unknown section", did_you_mean(name, tuple(SECTIONS))) for name in unknown
    )
    sources = {key.removeprefix("."): f"{file}:{line}" for key, line in parsed.lines.items()}
    sections = validate(data, sources)
    return _Side({name: sections[name].model_dump() for name in data}, sources)
