"""The audit log: durable, whole lines, one torn last line at most, and any other damage named."""

import math
import os
import signal as signals_of_the_system
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pmx.errors import LedgerError
from pmx.execution import AuditLog, read_audit_log
from pmx.signals import Signal
from pmx.signals.success import Figures, Result, Verdict

SPY = Signal("SPY", 1, 1.0, 0.1, 0.6, "time_series_core")
WTI = Signal("WTI", -1, 1.0, -0.1, 0.6, "time_series_core")
FIGURES = Figures(0.001, 1.0 / 3.0, math.inf, -math.inf, 0.1, 0.55, math.nan, (0.5, math.nan))
PASSED = Verdict(pd.Timestamp("2020-01-02"), SPY, Result.PASS, 0.75, ("min_sharpe_ratio",), 25, FIGURES, True)
UNPROVEN = Verdict(pd.Timestamp("2020-01-03 16:00"), SPY, Result.UNPROVEN, math.nan, (), 3, None)


def at(number, **changes):
    """Return a verdict of a later moment: the fourth of January, and so many minutes."""
    return replace(PASSED, date=pd.Timestamp("2020-01-04") + pd.Timedelta(minutes=number), **changes)


@pytest.fixture
def log(tmp_path):
    file = tmp_path / "audit.jsonl"
    with AuditLog(file) as opened:
        opened.write([PASSED, UNPROVEN])
        opened.write([at(1)])
    return file


def test_what_is_written_is_read_back(log):
    read = read_audit_log(log)
    first, second, third = read.lines
    assert (first.number, first.date, first.symbol, first.source, first.direction) == (
        1, "2020-01-02", "SPY", "time_series_core", 1,
    )  # fmt: skip
    assert (first.result, first.score, first.missed, first.judged, first.gated) == (
        Result.PASS, 0.75, ("min_sharpe_ratio",), 25, True,
    )  # fmt: skip
    assert first.figures["sharpe_ratio"] == 1.0 / 3.0
    assert (first.figures["sortino_ratio"], first.figures["profit_factor"]) == (math.inf, -math.inf)
    assert math.isnan(first.figures["error_vs_baseline"])
    assert (second.date, second.result, second.figures) == ("2020-01-03T16:00:00", Result.UNPROVEN, {})
    assert math.isnan(second.score)
    assert (third.number, read.torn_bytes) == (3, 0)


def test_a_log_goes_on_where_it_ended(log):
    with AuditLog(log) as again:
        again.write([at(2)])
        again.write([])
    assert len(read_audit_log(log).lines) == 4


def test_a_repeated_cycle_writes_nothing_twice(log):
    content = log.read_bytes()
    with AuditLog(log) as again:
        again.write([at(1)])
        assert log.read_bytes() == content
        again.write([at(1), at(2), at(2)])
        again.write([at(2), at(3), at(3, signal=WTI)])
        again.write([at(3, signal=WTI), at(3)])
    assert [line.date[14:16] for line in read_audit_log(log).lines[2:]] == ["01", "02", "03", "03"]


@pytest.mark.parametrize(
    ("verdicts", "what"),
    [
        ([PASSED], r"a verdict of 2020-01-02 comes after one of 2020-01-04T00:01:00; give each run a file"),
        ([at(2), at(1)], "comes after one of 2020-01-04T00:02:00"),
        ([at(1, score=0.7)], "another verdict on SPY of time_series_core at 2020-01-04T00:01:00 already"),
        ([at(2), at(2, gated=False)], "another verdict on SPY"),
        ([at(2), replace(PASSED, date="Monday")], "'Monday' is no date"),
    ],
)
def test_what_another_run_says_is_refused_and_nothing_of_it_written(log, verdicts, what):
    content = log.read_bytes()
    for _ in range(2):  # also by a log that is opened anew
        with AuditLog(log) as again:
            for _ in range(2):
                with pytest.raises(LedgerError, match=what):
                    again.write(verdicts)
            assert log.read_bytes() == content
    with AuditLog(log) as again:
        again.write([at(2)])
    assert len(read_audit_log(log).lines) == 4


@pytest.mark.parametrize(
    ("begins", "what"),
    [
        (
            pd.Timestamp("2020-01-02"),
            "it ends at 2020-01-04T00:01:00, after the first bar of this run, 2020-01-02; ",
        ),
        (pd.Timestamp("2020-01-04"), "delete what an earlier one left"),
        (pd.Timestamp("2020-01-04 00:01"), None),  # that bar may be repeated
        (pd.Timestamp("2020-01-05"), None),
    ],
)
def test_a_run_that_begins_before_the_end_of_a_log_is_refused_when_it_begins(log, begins, what):
    with AuditLog(log) as again:
        if what is None:
            again.expect(begins)
        else:
            with pytest.raises(LedgerError, match=what):
                again.expect(begins)


def test_any_run_may_begin_an_empty_log(tmp_path):
    with AuditLog(tmp_path / "log") as log:
        log.expect(pd.Timestamp("1900-01-01"))


def test_dates_are_put_in_order_across_time_zones_and_formats(tmp_path):
    with AuditLog(tmp_path / "log") as log:
        for label in ("2020-03-28", pd.Timestamp("2020-03-28 23:00", tz="America/New_York"), "2020-03-29T05:00"):
            log.write([replace(PASSED, date=label)])
        with pytest.raises(LedgerError, match="comes after one of"):
            log.write([replace(PASSED, date=pd.Timestamp("2020-03-29 05:59", tz="Europe/Paris"))])  # 03:59 at Greenwich


def test_no_log_goes_on_from_damage(log):
    content = log.read_bytes()
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        at_fault = content.index(line) + len(line) // 2
        log.write_bytes(content[:at_fault] + bytes([content[at_fault] ^ 1]) + content[at_fault + 1 :])
        damaged = log.read_bytes()
        with pytest.raises(LedgerError, match=f"line {number} is damaged.*begin another"):
            AuditLog(log)
        assert log.read_bytes() == damaged
    log.write_bytes(content)
    AuditLog(log).close()


def test_a_cut_anywhere_costs_the_cut_line_and_nothing_else(log, tmp_path):
    content = log.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for length in range(len(content)):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(content[:length])
        whole = sum(end <= length for end in ends)
        read = read_audit_log(cut)
        assert len(read.lines) == whole
        assert read.torn_bytes == length - (ends[whole - 1] if whole else 0)
        if length % 37 == 0 or length in ends:
            with AuditLog(cut) as mended:
                mended.write([at(9)])
            again = read_audit_log(cut)
            assert (len(again.lines), again.torn_bytes) == (whole + 1, 0)


def test_any_changed_byte_is_damage_that_names_its_line(log, tmp_path):
    content = log.read_bytes()
    lines = content.splitlines(keepends=True)
    begin = len(lines[0])
    for at in range(begin, begin + len(lines[1]) - 1):
        for other in {content[at] ^ 1, ord("}")} - {content[at], ord("\n")}:
            damaged = tmp_path / "damaged.jsonl"
            damaged.write_bytes(content[:at] + bytes([other]) + content[at + 1 :])
            with pytest.raises(LedgerError, match=r"line 2 is damaged"):
                read_audit_log(damaged)


@pytest.mark.parametrize(
    "wrong", [b"\n", b"\x00" * 40 + b"\n", b"{}\n", b"not json\n", b"\xff\xfe\n", b"[" * 9999 + b"\n"]
)
def test_lines_that_are_something_else_are_damage(log, wrong):
    content = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(content[0] + wrong + content[1])
    with pytest.raises(LedgerError, match="line 2 is damaged"):
        read_audit_log(log)


def sealed(members):
    import zlib

    return members + f',"crc32":"{zlib.crc32(members):08x}"}}\n'.encode()


@pytest.mark.parametrize(
    "members",
    [
        b'{"format":2',
        b'{"format":1',
        b'{"format":1,"date":1,"symbol":"A","source":"s","direction":1,"result":"MAYBE"',
        b'{"format":1,"figures":3,"date":1,"symbol":"A","source":"s","direction":1,"result":"PASS"',
    ],
)
def test_a_sealed_line_of_another_shape_is_damage_too(tmp_path, members):
    file = tmp_path / "odd.jsonl"
    file.write_bytes(sealed(members))
    with pytest.raises(LedgerError, match="line 1 is damaged"):
        read_audit_log(file)


def test_no_other_file_is_appended_to_or_cut(tmp_path):
    diary = tmp_path / "diary.txt"
    diary.write_bytes(b"dear diary,\nno line break at the end")
    with pytest.raises(LedgerError, match="is no audit log"):
        AuditLog(diary)
    assert diary.read_bytes() == b"dear diary,\nno line break at the end"


def test_files_that_cannot_be_used_are_named(tmp_path, log):
    with pytest.raises(LedgerError, match="cannot be written"):
        AuditLog(tmp_path / "no" / "folder")
    with pytest.raises(LedgerError, match="cannot be read"):
        read_audit_log(tmp_path / "nothing")
    closed = AuditLog(log)
    closed.close()
    with pytest.raises(LedgerError, match="is closed"):
        closed.write([PASSED])


def test_two_writers_keep_out_of_each_others_way(log):
    with AuditLog(log) as first:
        with pytest.raises(LedgerError, match=r"by another process|by someone else"):
            AuditLog(log).write([PASSED])
        first.write([at(2)])
        with open(log, "ab") as stranger:
            stranger.write(b"x")
        with pytest.raises(LedgerError, match="changed by someone else"):
            first.write([at(3)])


FILLER = """
import resource, signal, sys
from tests_of_the_log import at
from pmx.errors import LedgerError
from pmx.execution import AuditLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
log = AuditLog(sys.argv[1])
try:
    for written in range(0, 1000, 3):
        log.write([at(written), at(written + 1), at(written + 2)])
except LedgerError as error:
    print(written, error)
"""


def python(code, file, tmp_path):
    """Return how to run code in a process that may import from this file."""
    (tmp_path / "tests_of_the_log.py").write_text(Path(__file__).read_text())
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), str(tmp_path)])
    return {"args": [sys.executable, "-c", code, str(file)], "env": {**os.environ, "PYTHONPATH": path}}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_leaves_nothing_of_what_it_has_no_room_for(tmp_path):
    file = tmp_path / "audit.jsonl"
    ran = subprocess.run(**python(FILLER, file, tmp_path), capture_output=True, text=True, check=True, timeout=60)
    written, message = ran.stdout.split(maxsplit=1)
    assert "cannot be written (File too large); make room" in message
    read = read_audit_log(file)
    assert len(read.lines) == int(written) > 0
    assert file.stat().st_size // int(written) * (int(written) + 1) < 5000  # there was room for one more, not for three
    assert read.torn_bytes == 0
    with AuditLog(file) as again:
        again.write([at(int(written) + k) for k in range(3)])
    lines = read_audit_log(file).lines
    assert len({line.date for line in lines}) == len(lines) == int(written) + 3


WRITER = """
import sys
from tests_of_the_log import at
from pmx.execution import AuditLog, read_audit_log
with AuditLog(sys.argv[1]) as log:
    number = len(read_audit_log(sys.argv[1]).lines)
    while True:
        log.write([at(number + k) for k in range(7)])
        number += 7
        print("7", flush=True)
"""


def test_a_killed_writer_leaves_every_confirmed_line(tmp_path):
    """A real process, killed outright in the middle of its work, three times over on the same file."""
    file, confirmed = tmp_path / "audit.jsonl", 0
    for _ in range(3):
        writer = subprocess.Popen(**python(WRITER, file, tmp_path), stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"7\n"
        time.sleep(0.05)
        writer.send_signal(signals_of_the_system.SIGKILL)
        output, _ = writer.communicate()
        confirmed += 7 * (1 + len(output.split()))
        read = read_audit_log(file)
        assert len(read.lines) >= confirmed
        assert len(read.lines) <= confirmed + 7
        confirmed = len(read.lines)
