"""The first call compiles, says so, and keeps what it compiled; where nothing can be kept, it still works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pmx

PACKAGE = Path(pmx.__file__).parent
SOLVE = """
import numpy as np, pmx
projector = pmx.Projector(pmx.load_policy(), [("ts_core", "A"), ("ts_core", "B")])
print(projector.solve(np.array([0.5, 0.5])).certificate.engine)
"""


def run(code, root, **environment):
    """Run code in a new process that imports the package from ``root``."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )


def test_the_first_process_says_that_it_compiles_and_the_next_does_not(tmp_path):
    where = {"NUMBA_CACHE_DIR": str(tmp_path)}
    first = run(SOLVE, PACKAGE.parent, **where)
    assert first.stdout == "newton\n"
    assert first.stderr.startswith("pmx compiles its kernels, once on this machine")
    second = run(SOLVE, PACKAGE.parent, **where)
    assert (second.stdout, second.stderr) == ("newton\n", "")
    later = run("from pmx.projection.kernels import kernel; kernel('reading', 'read_rules')", PACKAGE.parent, **where)
    assert "once on this machine" in later.stderr  # this one is still to come


def test_a_damaged_cache_is_mended_and_stops_no_solve(tmp_path):
    small = (
        "import numpy; from pmx.projection.kernels import kernel; print(kernel('answering', 'unit_of')(numpy.ones(2)))"
    )
    where = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(small, PACKAGE.parent, **where).stdout == "1.0\n"
    (kept,) = tmp_path.glob("*/*/answering.unit_of-*.nbi")
    kept.write_bytes(b"")
    mended = run(small, PACKAGE.parent, **where)
    assert mended.stdout == "1.0\n"
    assert "cannot be read" in mended.stderr
    assert run(small, PACKAGE.parent, **where).stderr == ""


def test_an_install_where_nothing_can_be_written_still_works(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "pmx", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PACKAGE.parent / "config", tmp_path / "config")
    # A file where a folder is wanted refuses every user, even one who may write anywhere.
    (tmp_path / "pmx" / "projection" / "kernels" / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    answer = run(SOLVE, tmp_path, HOME=str(home), PYTHONDONTWRITEBYTECODE="1")
    assert answer.stdout == "newton\n"
    assert "for this process" in answer.stderr
    assert "no folder can be written" in answer.stderr
