"""Every seeded fault is found, at its line, and nothing else is said; the shipped policy is silent."""

from pathlib import Path

import pytest
from linting.bad_policies import BAD_POLICIES

from pmx.linting import CODES, Severity, check_config

LOUD = (Severity.error, Severity.warning)


def test_the_shipped_policy_is_silent():
    check = check_config()
    assert check.of(*LOUD) == ()
    assert check.infeasible == ()


@pytest.mark.parametrize("bad", BAD_POLICIES, ids=lambda bad: bad.name)
def test_every_seeded_fault_is_found_at_its_line(bad, tmp_path):
    where = bad.write(tmp_path)
    loud = check_config(tmp_path, symbols=bad.symbols).of(*LOUD)
    assert {finding.code for finding in loud} == {bad.code}
    assert where in {finding.source.removeprefix(f"{tmp_path}/") for finding in loud}
    assert all(finding.message and finding.remedy for finding in loud)


def test_the_seeds_cover_every_error_and_warning():
    loud = {code for code, (severity, _) in CODES.items() if severity in LOUD}
    assert {bad.code for bad in BAD_POLICIES} == loud
    assert len(BAD_POLICIES) >= 30


def test_the_page_explains_every_code():
    page = (Path(__file__).resolve().parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    assert {code for code in CODES if f"`{code}`" not in page} == set()
