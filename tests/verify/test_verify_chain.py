"""Not a digit, blank or line of a journal can change unseen."""

import hashlib
import random

import pytest
from zoo.journals import odd_journal, random_journal

import pmx
from pmx.verify import verify


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Two sessions of one solve each."""
    path = tmp_path_factory.mktemp("chain") / "run.jsonl"
    for wish in ({"SP500": 0.3, "WTI": 0.2}, {"SP500": 0.05}):
        pmx.project_to_feasible(wish, pmx.load_policy(), journal=path)
    assert verify(path).accepted
    return path.read_bytes()


def findings_of(content, tmp_path):
    (tmp_path / "altered.jsonl").write_bytes(content)
    return verify(tmp_path / "altered.jsonl").findings


def require_refused(content, at, byte, tmp_path):
    """Put one byte in the place of another; the line that holds it must be named, or the one that follows it."""
    altered = content[:at] + byte + content[at + 1 :]
    assert altered != content
    findings = findings_of(altered, tmp_path)
    assert len(findings) == 1, at
    assert findings[0].rule in ("chain", "format"), at
    assert findings[0].line == content[:at].count(b"\n") + 1, at


def flips(content):
    """Yield every place with a digit, of a number or a hash, and another digit."""
    for at, byte in enumerate(content):
        if chr(byte) in "0123456789abcdef":
            other = (
                (b"1" if byte == ord("0") else b"0") if chr(byte).isdigit() else (b"b" if byte == ord("a") else b"a")
            )
            yield at, other


def test_any_of_some_digits(journal, tmp_path):
    random.seed(1)
    for at, byte in random.sample(list(flips(journal)), 150):
        require_refused(journal, at, byte, tmp_path)


@pytest.mark.fuzz
def test_every_digit_and_every_byte(journal, tmp_path):
    places = list(flips(journal))
    assert len(places) > 5_000
    for at, byte in places:
        require_refused(journal, at, byte, tmp_path)
    random.seed(2)
    for at in random.sample(range(len(journal)), 1_000):
        byte = bytes([random.choice([b for b in range(256) if b != journal[at]])])
        if journal[at : at + 1] != b"\n":
            require_refused(journal, at, byte, tmp_path)


@pytest.mark.fuzz
def test_digits_of_larger_journals(tmp_path):
    random_journal(tmp_path / "random.jsonl", range(40))
    odd_journal(tmp_path / "odd.jsonl")
    random.seed(3)
    for name in ("random.jsonl", "odd.jsonl"):
        content = (tmp_path / name).read_bytes()
        for at, byte in random.sample(list(flips(content)), 1_000):
            require_refused(content, at, byte, tmp_path)


def test_blanks_signs_and_spellings_of_the_same_number(journal, tmp_path):
    for old, new in (
        (b'"cash":0.', b'"cash": 0.'),
        (b'"cost":[0.0', b'"cost":[0.00'),
        (b'"cost":[0.0', b'"cost":[-0.0'),
        (b'"cost":[0.0', b'"cost":[0e0'),
        (b'"cost":[0.0', b'"cost":[0'),
        (b'"status":"optimal"', b'"status":"\\u006fptimal"'),
        (b"\n", b"\r\n"),
        (b"}\n", b"} \n"),
    ):
        assert journal.count(old) > 0
        findings = findings_of(journal.replace(old, new, 1), tmp_path)
        assert [finding.rule for finding in findings] == ["chain"], new


@pytest.mark.parametrize("gone", range(8))
def test_a_line_that_is_gone_twice_or_elsewhere(journal, tmp_path, gone):
    lines = journal.splitlines(keepends=True)
    assert len(lines) == 8
    without = lines[:gone] + lines[gone + 1 :]
    (finding,) = findings_of(b"".join(without), tmp_path)
    assert (finding.rule, finding.line) == ("chain", gone + 1 if gone < 7 else 7)
    assert ("truncated" if gone == 7 else "removed") in finding.message
    (finding,) = findings_of(b"".join(lines[: gone + 1] + lines[gone:]), tmp_path)
    assert (finding.rule, finding.line) == ("chain", gone + 2)
    if gone < 7:
        (finding,) = findings_of(b"".join([*without[: gone + 1], lines[gone], *without[gone + 1 :]]), tmp_path)
        assert (finding.rule, finding.line) == ("chain", gone + 1)


def test_a_torn_tail_names_how_many_lines_are_good(journal, tmp_path):
    ends = [at + 1 for at, byte in enumerate(journal) if byte == ord("\n")]
    random.seed(4)
    for cut in [1, *random.sample(range(len(journal)), 60), *(end - 1 for end in ends)]:
        findings = findings_of(journal[:cut], tmp_path)
        whole = sum(end <= cut for end in ends)
        if cut in ends[3::4]:
            assert findings == []
            continue
        assert [finding.rule for finding in findings] == ["chain"], cut
        assert findings[0].line == (whole if cut in ends else whole + 1), cut
        good = "no line is good" if whole == 0 else f"{whole} line"
        assert good in findings[0].message, cut


def test_cut_between_sessions_only_a_kept_hash_tells(journal, tmp_path):
    """The limit of any chain: what was cut off cleanly at its end leaves no trace in the file."""
    first = b"".join(journal.splitlines(keepends=True)[:4])
    (tmp_path / "cut.jsonl").write_bytes(first)
    assert verify(tmp_path / "cut.jsonl").accepted
    (tmp_path / "whole.jsonl").write_bytes(journal)
    assert verify(tmp_path / "cut.jsonl").head != verify(tmp_path / "whole.jsonl").head


def test_the_hash_is_plain_sha256_of_the_bytes_before_it(journal):
    before = "0" * 64
    for line in journal.decode("ascii").splitlines():
        body, digest = line[:-77], line[-66:-2]
        assert body.startswith(f'{{"previous":"{before}",')
        assert line == f'{body},"sha256":"{digest}"}}'
        assert hashlib.sha256(body.encode()).hexdigest() == digest
        before = digest
