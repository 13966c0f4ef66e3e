"""Warnings point at the user's line, and reach a terminal as one plain line, once."""

from __future__ import annotations

import warnings

import pytest

from pmx.cli.exits import plain_warnings
from pmx.errors import PmxWarning, warn


def test_a_warning_names_the_line_that_called_pmx() -> None:
    with pytest.warns(PmxWarning, match="give fractions") as caught:
        warn("weights add up to 40; give fractions")
    assert caught[0].filename == __file__


def test_a_command_shows_each_warning_once_and_leaves_others_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_warnings():
        for _ in range(2):
            warn("one")
        warn("two")
    assert capsys.readouterr().err == "warning: one\nwarning: two\n"
    with pytest.warns(UserWarning, match="else"), plain_warnings():
        warnings.warn("else", UserWarning, stacklevel=1)


def test_afterwards_warnings_are_what_they_were() -> None:
    with plain_warnings():
        pass
    with pytest.raises(PmxWarning):
        warn("an error in this suite")
