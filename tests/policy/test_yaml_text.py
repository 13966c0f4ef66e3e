"""YAML is read safely, with a line for every key, and nothing is silently turned into something else."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmx.policy.yaml_text import YamlText


def read(text):
    return YamlText(text, "f.yml", "root")


def only_problem(text):
    problems = read(text).problems
    assert len(problems) == 1, problems
    return problems[0]


def test_plain_data_comes_through():
    parsed = read("a: 1\nb: [x, 2.5, true, null, 'yes']\nc:\n  d: -1e-4\n  e: .5\n  f: 1_000\n  g: 1E3\n")
    assert parsed.problems == []
    assert parsed.data == {
        "a": 1,
        "b": ["x", 2.5, True, None, "yes"],
        "c": {"d": -1e-4, "e": 0.5, "f": 1000, "g": 1000.0},
    }


def test_every_key_and_item_has_its_line():
    parsed = read("# comment\na:\n  b: 1\n\n  c:\n    - x\n    - y\n")
    assert parsed.lines == {
        "root": 1,
        "root.a": 2,
        "root.a.b": 3,
        "root.a.c": 5,
        "root.a.c.0": 6,
        "root.a.c.1": 7,
    }


def test_anchors_and_merges_are_resolved_and_own_keys_win():
    parsed = read("base: &base {x: 1, y: 2}\nother:\n  <<: *base\n  y: 3\nsame: *base\n")
    assert parsed.problems == []
    assert parsed.data["other"] == {"x": 1, "y": 3}
    assert parsed.data["same"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "where", "key", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yml:3", "root.a", ("duplicate", "line 1", "keep one")),
        ("x:\n  a: 1\n  a: 1\n", "f.yml:3", "root.x.a", ("duplicate", "line 2")),
        ("a:\n  b: NO\n", "f.yml:2", "root.a.b", ("NO", "true or false", "quotes")),
        ("a: yes", "f.yml:1", "root.a", ("yes", "write true or false")),
        ("a: [on, x]", "f.yml:1", "root.a.0", ("on", "write true or false")),
        ("a: Off", "f.yml:1", "root.a", ("Off",)),
        ("NO: 1", "f.yml:1", "root", ("the key NO", "put the key in quotes")),
        ("700: 1", "f.yml:1", "root", ("the key 700", "put the key in quotes")),
        ("? [a, b]\n: 1", "f.yml:1", "root", ("key", "quotes")),
        ("a: .nan", "f.yml:1", "root.a", (".nan", "finite")),
        ("a: .inf", "f.yml:1", "root.a", (".inf", "finite", "null where there is no limit")),
        ("a: -.Inf", "f.yml:1", "root.a", ("-.Inf", "finite")),
        ("a: 1e999", "f.yml:1", "root.a", ("1e999", "finite")),
        ("a: 2020-01-02", "f.yml:1", "root.a", ("2020-01-02", "date", "quotes")),
        ("a: 0700", "f.yml:1", "root.a", ("0700", "decimal", "quotes")),
        ("a: 0x1F", "f.yml:1", "root.a", ("0x1F", "decimal")),
        ("a: 1:30", "f.yml:1", "root.a", ("1:30", "decimal")),
        ("a: 1:30.5", "f.yml:1", "root.a", ("1:30.5", "finite decimal")),
        ("a: !!float abc", "f.yml:1", "root.a", ("abc", "decimal")),
        ("a: !!python/name:os.system x", "f.yml:1", "root.a", ("tag", "plain data")),
        ("a: !!python/object/apply:os.system [echo]", "f.yml:1", "root.a", ("tag", "plain data")),
        ("a: !!set {x: null}", "f.yml:1", "root.a", ("tag", "plain data")),
        ("a: !!binary aGk=", "f.yml:1", "root.a", ("tag", "plain data")),
        ("a: &a\n  b: *a\n", "f.yml:1", "root.a.b", ("contains itself",)),
        ("a: 1\nb: [1, 2\n", "f.yml:3", "root", ("not valid YAML",)),
        ("a: *nowhere", "f.yml:1", "root", ("not valid YAML", "alias")),
        ("a: 1\n---\nb: 2\n", "f.yml:2", "root", ("not valid YAML",)),
        ("a: \x07", "f.yml", "root", ("not valid YAML",)),
        ("\ta: 1", "f.yml:1", "root", ("not valid YAML",)),
    ],
)
def test_each_surprise_is_refused_where_it_stands(text, where, key, words):
    problem = only_problem(text)
    assert (problem.where, problem.key) == (where, key)
    for word in words:
        assert word in str(problem)


def test_the_safe_loader_runs_nothing(tmp_path):
    mark = tmp_path / "mark"
    parsed = read(f"a: !!python/object/apply:pathlib.Path.touch [{mark}]")
    assert parsed.problems
    assert not mark.exists()


def test_several_problems_come_together():
    assert len(read("a: yes\nb: .nan\nc: 1\nc: 2\n").problems) == 3


def test_deep_nesting_is_a_problem_and_not_a_crash():
    assert "nested" in str(only_problem("[" * 5000))


def test_an_alias_that_multiplies_itself_is_stopped():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 8)]
    assert "aliases" in str(only_problem("\n".join(rows)))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!?,'\"#|>% \n\t01.e~", max_size=40))
def test_any_text_gives_data_or_problems(text):
    """Text never escapes as another exception, and what comes through is plain and finite."""
    parsed = read(text)

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or (isinstance(value, str | bool | int | float) and value == value != math.inf)

    assert parsed.problems or plain(parsed.data)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a:\n  min_weight:0.60\n  b: 2\n", 2),
        ("a:\n  x: 1\n  min_weight:0.60  # note\n\n  # more\n  b: 2\n", 3),
        ("a: 1\nb: {min_weight:0.60}\n", 2),
        ("a: 1\nb: {c: 1, min_weight:0.60}\n", 2),
    ],
)
def test_a_missing_blank_after_a_colon_is_named_with_its_line(text, line):
    """Before, the line after it was blamed, or in braces the key had no value."""
    (problem,) = YamlText(text, "barbell.yml", "barbell").problems
    assert problem.where == f"barbell.yml:{line}"
    assert "has no blank after the colon" in problem.what
    assert problem.remedy == "write `min_weight: 0.60` with a blank after the colon"


def test_a_symbol_with_a_colon_and_a_number_is_no_missing_blank():
    assert YamlText("{HKEX:0700: 0.1, KRX:5930: null}", "x.yml", "x").data == {"HKEX:0700": 0.1, "KRX:5930": None}
