"""Every Python example in the documentation runs, and every link to a file leads somewhere."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def name_of(page):
    return str(page.relative_to(ROOT))


def run(text, name):
    """Run the examples of one page in order, as one program."""
    names = {"__name__": "__main__"}
    for match in FENCE.finditer(text):
        code, line = match[1], text[: match.start(1)].count("\n")
        if ">>>" in code:
            runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
            test = doctest.DocTestParser().get_doctest(code, names, name, name, line)
            runner.run(test, clear_globs=False)
            names |= test.globs
            assert runner.summarize(verbose=False).failed == 0, f"{name}:{line + 1}"
        else:
            exec(compile("\n" * line + code, name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page.read_text(encoding="utf-8"), name_of(page))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_lead_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("code", ["1 / 0", ">>> 1 + 1\n3"])
def test_an_example_that_is_wrong_would_be_seen(code):
    with pytest.raises((ZeroDivisionError, AssertionError)):
        run(f"```python\n{code}\n```\n", "page.md")
