"""Every public function is called with wrong kinds, shapes, indexes and sizes: it answers or raises PmxError.

After an error everything is as before: the files byte for byte, and the answer to the good call that follows bit for
bit that of objects that nothing else has touched.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from zoo.calls import CASES, Case, public_callables
from zoo.trials import answer_of, is_foreign, report, tried
from zoo.wrong_kinds import Other, others

#: A journal or a log that nobody closes warns when it is collected: of the trial, not of pmx.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

#: Trials of each argument in the short run; of a heavy call there is one in all.
SHORT = 3
#: Trials of two arguments at once in the long run.
PAIRS = {False: 150, True: 10}


def test_every_public_callable_has_a_good_call() -> None:
    assert sorted(set(public_callables()) - set(CASES)) == [], "add a good call to tests/zoo/calls"
    assert sorted(set(CASES) - set(public_callables())) == [], "these are no longer public"


class Folders:
    """A new folder for each trial."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, itertools.count()

    def __call__(self) -> Path:
        folder = self.root / str(next(self.count))
        folder.mkdir()
        return folder


def all_of(case: Case, folder: Path) -> dict[str, tuple[Any, list[Other]]]:
    """Each argument, its good value, and what to pass in its place."""
    good = case.make(folder).arguments
    return {name: (value, [o for o in others(value) if not is_foreign(value, o)]) for name, value in good.items()}


@pytest.mark.parametrize("name", sorted(CASES))
def test_some_wrong_arguments(name: str, tmp_path: Path) -> None:
    case, folders, rng = CASES[name], Folders(tmp_path), np.random.default_rng(crc32(name.encode()))
    right = answer_of(case, folders())
    every = all_of(case, folders())
    found = []
    for argument in list(rng.permutation(list(every)))[: 1 if case.heavy else None]:
        values = every[argument][1]
        for i in rng.choice(len(values), 1 if case.heavy else SHORT, replace=False):
            found.append(tried(case, {argument: values[i]}, folders(), right))
    report([text for text in found if text])


@pytest.mark.fuzz
@pytest.mark.parametrize("name", sorted(CASES))
def test_all_wrong_arguments(name: str, tmp_path: Path) -> None:
    case, folders = CASES[name], Folders(tmp_path)
    right = answer_of(case, folders())
    found = []
    for argument in case.make(folders()).arguments:
        for i in range(len(all_of(case, folders())[argument][1])):
            other = all_of(case, folders())[argument][1][i]  # afresh, for some are used up
            found.append(tried(case, {argument: other}, folders(), right))
    report([text for text in found if text])


@pytest.mark.fuzz
@pytest.mark.parametrize("name", sorted(CASES))
def test_two_wrong_arguments_at_once(name: str, tmp_path: Path) -> None:
    case, folders, rng = CASES[name], Folders(tmp_path), np.random.default_rng(crc32(name.encode()) + 1)
    right = answer_of(case, folders())
    names = list(case.make(folders()).arguments)
    if len(names) < 2:
        return
    found = []
    for _ in range(PAIRS[case.heavy]):
        values = all_of(case, folders())
        pair = rng.choice(names, 2, replace=False)
        changes = {argument: values[argument][1][rng.integers(len(values[argument][1]))] for argument in pair}
        found.append(tried(case, changes, folders(), right))
    report([text for text in found if text])
