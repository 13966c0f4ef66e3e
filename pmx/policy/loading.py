"""A directory of YAML files to a policy, and the shipped policy to a directory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pmx.arguments import checked
from pmx.errors import PolicyError
from pmx.policy.policy import Policy
from pmx.policy.problem import Problem, near, raise_if_any
from pmx.policy.schema import SECTIONS
from pmx.policy.yaml_text import YamlText

#: Files without which a policy holds nothing and follows no signal.
_CONTENT = {"risk_buckets", "signal_routing_config"}
FILE_NAMES = tuple(f"{name}.yml" for name in SECTIONS)


def shipped_config() -> Path:
    """Return the directory of the policy that comes with the package.

    A wheel carries it inside the package; in a source checkout it is ``config/`` beside the package.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / "_config"
    return installed if installed.is_dir() else package.parent / "config"


@checked
def load_policy(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Policy:
    """Load a policy from a directory of YAML files.

    Parameters
    ----------
    path : path-like, optional
        Directory that holds the eight files. None: the policy that comes with the package.
    overrides : mapping of str to object, optional
        Dotted key to plain value, applied on top.

    Returns
    -------
    Policy
        Frozen; `Policy.source` gives file and line of every value.

    Raises
    ------
    PolicyError
        If a file is missing, unreadable, unknown or wrong, naming file, line, key, value and remedy.

    Examples
    --------
    >>> policy = load_policy(overrides={"barbell.safe_bucket.min_weight": 0.8})
    >>> policy.safe_floor
    0.8
    """
    directory = shipped_config() if path is None else Path(path)
    data: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems = _foreign_files(directory)
    missing: list[str] = []
    for section in SECTIONS:
        file = directory / f"{section}.yml"
        if not file.exists():
            missing.append(section)
            continue
        text = _read(file, section, problems)
        if text is None:
            continue
        parsed = YamlText(text, str(file), section)
        problems += parsed.problems
        if not parsed.problems and not isinstance(parsed.data, dict):
            problems.append(_not_a_table(parsed.data, file, section))
        data[section] = parsed.data
        sources |= {key: f"{file}:{line}" for key, line in parsed.lines.items()}
    if missing:
        problems += _missing_files(directory, missing, data)
    raise_if_any(problems)
    policy = Policy.from_mapping(data, sources=sources)
    return policy.override(overrides) if overrides else policy


@checked
def write_default_policy(directory: str | Path, overwrite: bool = False) -> list[Path]:
    """Write the policy that comes with the package into a directory, for editing.

    Parameters
    ----------
    directory : path-like
        Made if it does not exist.
    overwrite : bool
        Whether files of the same name may be replaced.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    PolicyError
        If a file of the same name exists and ``overwrite`` is false, or the directory cannot be written.
        All files are staged first, so that a disk that fills up leaves none of them.

    Examples
    --------
    >>> import tempfile
    >>> len(write_default_policy(tempfile.mkdtemp()))
    8
    """
    target = Path(directory)
    files = [target / name for name in FILE_NAMES]
    raise_if_any(
        Problem(str(file), "", "exists already", "choose another directory, or overwrite it (--force)")
        for file in files
        if file.is_dir() or (file.exists() and not overwrite)
    )
    try:
        target.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".pmx-", dir=target) as stage:
            staged = [Path(stage, file.name) for file in files]
            for copy in staged:
                shutil.copyfile(shipped_config() / copy.name, copy)  # the contents, not a read-only mode
            for copy, file in zip(staged, files, strict=True):
                copy.replace(file)
    except OSError as error:
        raise_if_any([Problem(str(target), "", f"cannot be written ({error})", "choose another directory")])
    return files


def _foreign_files(directory: Path) -> list[Problem]:
    """Refuse a directory that holds no policy, and report YAML files in it that nobody would read."""
    remedy = f"name a directory of policy files; `pmx init {directory}` writes them"
    if directory.is_file():
        what = "is not a directory that can be read (Not a directory)"
        raise_if_any([Problem(str(directory), "", what, f"give the directory that holds it: {directory.parent}")])
    found: list[str] = []
    try:
        found = sorted(file.name for file in directory.iterdir() if file.suffix in (".yml", ".yaml"))
    except OSError as error:
        what = f"is not a directory that can be read ({error.strerror})"
        raise_if_any([Problem(str(directory), "", what, remedy)])
    if not set(found) & set(FILE_NAMES):
        raise_if_any([Problem(str(directory), "", "holds no policy files", remedy)])
    return [
        Problem(str(directory / name), "", "is not a policy file", _rename_or_move(name))
        for name in found
        if name not in FILE_NAMES
    ]


def _rename_or_move(name: str) -> str:
    meant = near(name, FILE_NAMES)
    return f"did you mean {meant!r}? Rename it" if meant else "move it out of this directory"


def _missing_files(directory: Path, missing: list[str], data: Mapping[str, Any]) -> list[Problem]:
    """Report files that are not there, with the first of three remedies that makes the others a policy again."""
    empty: dict[str, Any] = {section: {} for section in missing}
    fresh = {section: YamlText(_shipped_text(section), "", section).data for section in missing}
    if _loads({**data, **fresh}):
        remedy = "write a fresh policy elsewhere, `pmx init NEWDIR`, and copy {name} from it"
    elif not _CONTENT & set(missing) and _loads({**data, **empty}):
        remedy = "write {{}} into it to take every default: echo '{{}}' > {file}"
    else:
        remedy = (
            "start from a whole policy, `pmx init NEWDIR`, and write your own values into its files: the shipped "
            "{name} does not fit the files that are here"
        )
    files = [directory / f"{section}.yml" for section in missing]
    return [
        Problem(str(file), section, "is missing", remedy.format(file=file, name=file.name))
        for file, section in zip(files, missing, strict=True)
    ]


def _shipped_text(section: str) -> str:
    return (shipped_config() / f"{section}.yml").read_text(encoding="utf-8")


def _loads(data: Mapping[str, Any]) -> bool:
    try:
        Policy.from_mapping(data)
    except PolicyError:
        return False
    return True


def _read(file: Path, section: str, problems: list[Problem]) -> str | None:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.append(Problem(str(file), section, f"cannot be read ({error.strerror})", "check the file"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        what = f"is not UTF-8 text (byte {error.object[error.start]:#04x})"
        problems.append(Problem(f"{file}:{line}", section, what, "save the file as UTF-8"))
    return None


def _not_a_table(value: Any, file: Path, section: str) -> Problem:
    what = "is empty" if value is None else f"is a {type(value).__name__}, not a table of keys"
    return Problem(f"{file}:1", section, what, "write `key: value` lines, or {} to take every default")
