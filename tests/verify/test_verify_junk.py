"""Whatever the file holds, there is a verdict: never a traceback, never a journal that is none."""

import json
import random

import pytest
from zoo.journals import SOLVE, leaves, lines_of, put, random_journal, reseal

from pmx.verify import verify
from pmx.verify.chain import NOTHING_BEFORE, sealed
from pmx.verify.field import MalformedError, parse


def findings_of(tmp_path, content):
    (tmp_path / "junk.jsonl").write_bytes(content)
    return verify(tmp_path / "junk.jsonl").findings


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n\n",
        b"{}\n",
        b"null\n",
        b'{"previous":"',
        b"\x00\xff\xfe" * 1000,
        b"\xef\xbb\xbf{}\n",
        bytes(range(256)) * 50,
        b"[" * 100_000 + b"\n",
        b"9" * 10_000_000,
        b"9" * 10_000_000 + b"\n",
    ],
    ids=range(12),
)
def test_what_is_no_journal(tmp_path, content):
    (finding,) = findings_of(tmp_path, content)
    assert finding.rule == "chain"
    assert str(finding).isprintable()


@pytest.mark.parametrize(
    "members",
    [
        '"record":' + "[" * 100_000 + "]" * 100_000,
        '"record":' + '{"a":' * 100_000 + "1" + "}" * 100_000,
        '"record":"session","format":' + "9" * 5_001,
        '"record":"solve","number":1e400',
        '"record":"solve","number":' + "1" * 4_000,
        '"record":"solve","record":"session"',
        '"record":NaN',
        '"record":-Infinity',
        '"record":"solve',
        '"record":"\\ud800"',
        '"record":["session"]',
        '"format":"pmx journal 1"',
        '"record":"session","format":"pmx journal 2"',
        '"record":"session","format":true',
        '"record":"end","solves":0',
        '"record":"' + "x" * 10_000_000 + '"',
    ],
    ids=range(16),
)
def test_lines_that_are_sealed_and_say_nothing(tmp_path, members):
    line, _ = sealed(NOTHING_BEFORE, members)
    findings = findings_of(tmp_path, line)
    assert findings
    assert {finding.rule for finding in findings} <= {"format", "chain"}
    assert all(len(str(finding)) < 500 for finding in findings)


def test_names_are_shown_without_what_steers_terminals(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = lines_of(random_journal(path, range(1)))
    lines[SOLVE]["proof"]["attribution"]["moves"]["\x1b[2J\n"] = [0.0] * len(lines[SOLVE]["positions"])
    findings = verify(reseal(lines, path)).findings
    assert findings
    assert all(str(finding).isprintable() for finding in findings)


ANYTHING = [
    None,
    True,
    -1,
    10**300,
    1e308,
    -1e308,
    5e-324,
    -0.0,
    "",
    "inf",
    "-inf",
    "nan",
    [],
    {},
    [[]],
    [1.0],
    {"a": 1.0},
]


@pytest.mark.parametrize(("volatility", "count"), [(False, 150), (True, 40)])
def test_anything_in_the_place_of_anything(tmp_path, volatility, count):
    """Values of any kind put in at any place, branches too, of every line."""
    path = tmp_path / "run.jsonl"
    lines = lines_of(random_journal(path, range(4, 5), volatility=volatility))
    rng = random.Random(5)
    for _ in range(count):
        altered = json.loads(json.dumps(lines))
        at = rng.choice([0, 1, 1, 2, 2, 2, 2, 3])
        place, leaf = rng.choice([*leaves(altered[at])])
        place = place[: rng.randint(1, len(place))]
        value = rng.choice(ANYTHING)
        if place[0] in ("previous", "sha256") or value == leaf:
            continue
        put(altered[at], place, value)
        for finding in verify(reseal(altered, path)).findings:
            assert "cannot be judged" not in finding.message, (place, value, str(finding))


def test_fields_are_of_the_type_that_is_asked_for():
    field = parse(b'{"a":1,"b":1.5,"c":"inf","d":[1.0,2.0],"e":true,"f":null,"g":{"h":[0,1]}}')
    assert field["a"].integer(0, 1) == 1
    assert field["b"].number() * 2 == 3
    assert field["c"].limit() == float("inf")
    assert sum(field["d"].numbers(2)) == 3
    assert field["e"].flag()
    assert field["f"].absent
    assert field["g"]["h"].integers(0, 1) == (0, 1)
    for wrong in (
        lambda: field["a"].number(),
        lambda: field["a"].integer(2, 3),
        lambda: field["b"].integer(0, 9),
        lambda: field["c"].number(),
        lambda: field["d"].numbers(3),
        lambda: field["e"].integer(0, 1),
        lambda: field["f"].text(),
        lambda: field["g"]["i"],
        lambda: field["d"]["i"],
        lambda: field["g"]["h"].numbers(),
        lambda: field["g"]["h"].integers(1, 1),
        lambda: list(field["a"]),
        lambda: list(field["a"].items()),
        lambda: field["c"].text("x"),
    ):
        with pytest.raises(MalformedError):
            wrong()
