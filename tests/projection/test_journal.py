"""Writing a journal: whole lines or none, chained sessions, nothing appended to what is damaged."""

import errno
import json
import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.errors import LedgerError
from pmx.projection import recording, refusing
from pmx.verify import verify

WISH = {"SP500": 0.3, "WTI": 0.2}


@pytest.fixture(scope="module")
def policy():
    return pmx.load_policy()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jsonl"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_numbers_are_written_to_the_last_bit(path, policy):
    allocation = pmx.project_to_feasible(WISH, policy, journal=path)
    solve = lines_of(path)[2]
    assert solve["weights"]["positions"] == allocation.signed.tolist()
    assert solve["weights"]["cash"] == allocation.cash
    proof, program, point = solve["proof"], allocation.program, allocation.point
    assert proof["answer"]["u"] == point.u.tolist()
    assert proof["answer"]["rows"] == point.rows.tolist()
    for name, array in (("target", program.target), ("distance", program.distance), ("held", program.previous)):
        assert proof["program"][name] == array.tolist()
    assert [math.inf if row["hi"] == "inf" else row["hi"] for row in proof["program"]["rows"]] == program.hi.tolist()
    assert [rule["name"] for rule in proof["program"]["rules"]] == [rule.name for rule in program.rules]
    assert [rule["source"] for rule in proof["program"]["rules"]] == [rule.source for rule in program.rules]
    assert proof["certificate"]["engine"] == "newton"
    assert proof["attribution"]["target"] == allocation.attribution["target"].tolist()


def test_a_session_names_versions_and_the_policy_in_full(path, policy):
    pmx.project_to_feasible(WISH, policy, journal=path)
    session, told, solve, end = lines_of(path)
    assert session["versions"]["pmx"] == pmx.__version__
    assert session["versions"]["python"].startswith("3.")
    assert {"numpy", "cvxpy", "numba"} <= set(session["versions"])
    assert told["fingerprint"] == policy.fingerprint == solve["policy"]
    assert pmx.Policy.from_mapping(told["policy"]) == policy
    assert end["solves"] == 1


def test_the_same_run_leaves_the_same_bytes(tmp_path, policy):
    for name in ("a.jsonl", "b.jsonl"):
        with pmx.Journal(tmp_path / name) as journal:
            for size in (0.05, 0.3):
                pmx.project_to_feasible({"SP500": size}, policy, journal=journal)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_policy_is_written_once_a_session(path, policy):
    other = policy.override({"barbell.safe_bucket.min_weight": 0.8})
    with pmx.Journal(path) as journal:
        for one in (policy, other, policy):
            pmx.solve(one, pd.Series({("ts_core", "SP500"): 0.5}), journal=journal)
    assert [line["record"] for line in lines_of(path)] == [
        "session", "policy", "solve", "policy", "solve", "solve", "end",
    ]  # fmt: skip
    assert verify(path).accepted


def test_labels_are_kept(path, policy):
    with pmx.Journal(path) as journal:
        journal.write(pmx.project_to_feasible(WISH, policy), policy, label="2020-01-02")
    assert lines_of(path)[2]["label"] == "2020-01-02"


def test_an_error_on_the_way_leaves_a_whole_journal(path, policy):
    def run():
        with pmx.Journal(path) as journal:
            pmx.project_to_feasible(WISH, policy, journal=journal)
            pmx.project_to_feasible({"SP500": math.nan}, policy, journal=journal)

    with pytest.raises(pmx.DataError):
        run()
    assert verify(path).accepted
    assert (verify(path).solves, verify(path).refusals) == (1, 1)


@pytest.mark.parametrize(
    ("call", "kind", "how", "said"),
    [
        (lambda p, j: pmx.project_to_feasible({"A": math.nan}, p, journal=j), "DataError", "project", "not a finite"),
        (lambda p, j: pmx.project_to_feasible([0.1], p, journal=j), "DataError", "project", "must be a Series"),
        (lambda p, j: pmx.solve(p, {"SP500": 1.0}, journal=j), "DataError", "solve", "must be a Series"),
        (lambda p, j: pmx.solve(p, pd.Series({("no", "SP500"): 1.0}), journal=j), "DataError", "solve", "bucket 'no'"),
        (
            lambda p, j: pmx.project_to_feasible({"SP500": 0.1}, p, engine="magic", journal=j),
            "SolverError", "project", "engine 'magic' does not exist",
        ),
        (
            lambda p, j: pmx.Projector(p, [("ts_core", "SP500")]).solve(pd.Series({"SP500": 1.0}), journal=j),
            "DataError", "solve", "indexed by",
        ),
        (
            lambda p, j: pmx.Projector(p, [("ts_core", "SP500")]).project(
                np.array([0.1]), gated={"SP500": "shut"}, lower=np.array([-1.0]), journal=j
            ),
            "DataError", "project", "it must be 'reduce_only' or 'exit'",
        ),
    ],
)  # fmt: skip
def test_a_refusal_is_written_down_with_its_reason_and_what_was_asked(path, policy, call, kind, how, said):
    with pytest.raises(pmx.PmxError, match=said) as caught:
        call(policy, path)
    session, told, refusal, end = lines_of(path)
    assert [line["record"] for line in (session, told, refusal, end)] == ["session", "policy", "refusal", "end"]
    assert (refusal["kind"], refusal["message"]) == (kind, str(caught.value))
    assert (refusal["number"], refusal["policy"], refusal["proof"]) == (1, policy.fingerprint, None)
    assert refusal["asked"]["how"] == how
    assert (end["solves"], end["refusals"]) == (0, 1)
    verdict = verify(path)
    assert [str(finding) for finding in verdict.findings] == []
    assert (verdict.solves, verdict.refusals, verdict.proven) == (0, 1, 0)


def test_what_was_asked_is_written_as_far_as_it_can_be_read(path, policy):
    projector = pmx.Projector(policy, [("ts_core", "SP500"), ("ts_core", "WTI")])
    weights = pd.Series({("ts_core", "SP500"): math.inf, ("elsewhere", "X"): math.nan})
    with pytest.raises(pmx.DataError):
        projector.project(weights, previous=np.array([0.1]), risk_scale={"ts_core": math.nan}, journal=path)
    asked = lines_of(path)[2]["asked"]
    assert asked["weights"] == [[["ts_core", "SP500"], "inf"], [["elsewhere", "X"], "nan"]]
    assert asked["previous"] == [0.1]
    assert asked["risk_scale"] == {"ts_core": "nan"}
    assert verify(path).accepted


def test_a_call_with_an_argument_of_the_wrong_type_asks_nothing_and_leaves_no_line(path, policy):
    with pytest.raises(pmx.DataError, match="nav is 'a lot', a str"):
        pmx.project_to_feasible({"SP500": 0.1}, policy, nav="a lot", journal=path)
    assert not path.exists()


def test_a_refusal_that_no_journal_takes_is_raised_all_the_same(path, policy):
    path.write_bytes(b"symbol,weight\nSP500,0.1\n")
    with pytest.raises(pmx.DataError, match="not a finite") as caught:
        pmx.project_to_feasible({"SP500": math.nan}, policy, journal=path)
    (note,) = caught.value.__notes__
    assert note.startswith("this refusal is in no journal: ")
    assert path.read_bytes() == b"symbol,weight\nSP500,0.1\n"


def test_what_an_allocation_was_asked_for_is_written_to_the_last_bit(path, policy):
    held = {"SP500": 0.1 / 3.0, "WTI": -0.0}
    pmx.project_to_feasible({"SP500": 0.7 / 3.0, "WTI": 0.2}, policy, previous=held, gated=["WTI"], journal=path)
    asked = lines_of(path)[2]["asked"]
    assert asked == {
        "how": "project", "weights": [0.7 / 3.0, 0.2], "risk_scale": None, "previous": [0.1 / 3.0, -0.0],
        "gates": {"WTI": "reduce_only"}, "adv": None, "nav": None, "covariance": None, "bounds": None,
        "engine": "auto", "constraints": [], "warm_start": False, "what_if": False,
    }  # fmt: skip


def test_a_bypassed_solve_says_so(path, policy):
    off = policy.override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    pmx.project_to_feasible({"SP500": 1.7, "CASH": -0.7}, off, journal=path)
    pmx.solve(off, pd.Series({("ts_core", "SP500"): 0.5}), journal=path)
    assert [line["status"] for line in lines_of(path) if line["record"] == "solve"] == ["bypassed", "bypassed"]
    assert verify(path).accepted


def test_weights_that_are_not_finite_are_not_written(path, policy):
    off = policy.override({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    with pytest.raises(LedgerError, match="is not finite, which no journal can hold"):
        pmx.solve(off, pd.Series({("ts_core", "SP500"): math.nan}), journal=path)
    assert verify(path).solves == 0


def test_a_loop_of_ones_own_writes_its_refusals_down(path, policy):
    with (
        pmx.Journal(path) as journal,
        pytest.raises(pmx.SignalError),
        refusing(policy, journal, label="2020-01-02"),
    ):
        raise pmx.SignalError("no signal for SP500")
    refusal = lines_of(path)[2]
    assert (refusal["kind"], refusal["label"]) == ("SignalError", "2020-01-02")
    assert verify(path).refusals == 1


DAMAGES = {
    "torn": (lambda b: b[:-20], r"line 4 is torn"),
    "altered": (lambda b: b.replace(b'"optimal"', b'"relaxed"'), r"line 3 was altered"),
    "not closed": (lambda b: b"".join(b.splitlines(keepends=True)[:-1]), r"was not closed"),
    "reordered": (lambda b: b"".join(b.splitlines(keepends=True)[i] for i in (0, 2, 1, 3)), r"line 2 does not follow"),
    "something else": (lambda b: b"symbol,weight\nSP500,0.1\n", r"line 1 is not a line of a journal"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_appended_to_a_damaged_journal(path, policy, damage):
    spoil, message = DAMAGES[damage]
    pmx.project_to_feasible({"SP500": 0.08, "WTI": 0.02}, policy, journal=path)
    path.write_bytes(spoil(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=message) as caught:
        pmx.project_to_feasible(WISH, policy, journal=path)
    assert "name a new file" in str(caught.value)
    assert path.read_bytes() == before


def test_an_empty_file_is_a_journal_yet_to_be_written(path, policy):
    path.touch()
    pmx.project_to_feasible(WISH, policy, journal=path)
    assert verify(path).accepted


def test_places_that_cannot_be_written(tmp_path, policy):
    for place in (tmp_path / "no" / "such" / "folder.jsonl", tmp_path):
        with pytest.raises(LedgerError, match="name another place"):
            pmx.Journal(place)


def test_a_closed_journal_takes_nothing(path, policy):
    journal = pmx.Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(LedgerError, match="is closed"):
        journal.write(pmx.project_to_feasible(WISH, policy), policy)
    assert verify(path).accepted


def test_two_writers_do_not_mix(path, policy):
    first = pmx.Journal(path)
    with pytest.raises(LedgerError, match="was not closed"):
        pmx.Journal(path)
    with path.open("ab") as stranger:
        stranger.write(b"something\n")
    with pytest.raises(LedgerError, match="changed by someone else"):
        first.write(pmx.project_to_feasible(WISH, policy), policy)
    first.close()
    assert path.read_bytes().endswith(b"something\n")


def test_a_disk_that_is_full_is_an_error_and_a_torn_line(path):
    pytest.importorskip("resource")
    code = f"""
import resource, signal, pmx
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
allocation = pmx.project_to_feasible({{"SP500": 0.3}}, pmx.load_policy())
with pmx.Journal({str(path)!r}) as journal:
    try:
        while True:
            journal.write(allocation, pmx.load_policy())
    except pmx.LedgerError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"cannot be written ({os.strerror(errno.EFBIG)}); it ends here, unclosed: name a new file" in done.stdout
    (finding,) = verify(path).findings
    assert "torn" in finding.message
    assert path.stat().st_size == 12_000


def test_a_process_that_dies_leaves_a_truncated_journal(path):
    code = f"""
import os, pmx
journal = pmx.Journal({str(path)!r})
for _ in range(3):
    pmx.project_to_feasible({{"SP500": 0.3}}, pmx.load_policy(), journal=journal)
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    (finding,) = verify(path).findings
    assert (finding.line, finding.rule) == (5, "chain")
    assert "truncated" in finding.message
    assert "5 lines are good" in finding.message
    with pytest.raises(LedgerError, match="was not closed"):
        pmx.Journal(path)


def test_recording_leaves_an_open_journal_open(path):
    with pmx.Journal(path) as journal:
        with recording(journal) as same:
            assert same is journal
        with recording(None) as none:
            assert none is None
        assert not path.read_bytes().endswith(b'"end"')
    with recording(path) as opened:
        assert opened is not None
    assert verify(path).sessions == 2
