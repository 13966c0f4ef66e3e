"""Compile loops once on a machine; keep the result where the next process finds it.

The folder's name is made of the sources, so that a changed kernel never meets the machine code of an older one. It lies
beside the sources where they can be written, else in the user's cache; where nothing can be written, the kernels
are compiled in memory by every process.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

log = logging.getLogger("pmx.projection")
HERE = Path(__file__).resolve().parent
MARK = "complete"
#: Sums may be reordered (and so vectorised); infinities and NaN keep their meaning.
SUMS = {"reassoc", "contract", "nsz"}


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _user_cache() -> Path | None:
    try:
        return Path.home() / ".cache" / "pmx"
    except RuntimeError:  # a user without a home
        return None


def cache_folder() -> Path | None:
    """Return the folder that keeps the machine code of these very sources; None when nothing can be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(HERE.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    given = Path(numba.config.CACHE_DIR) if numba.config.CACHE_DIR else None
    for place in (given, HERE / "__pycache__", _user_cache()):
        if place is not None and _writable(place / name):
            return place / name
    return None


FOLDER = cache_folder()
_lock = threading.Lock()


def compiled(*, reorder: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function: no Python objects, the interpreter's lock released, sums reordered only where asked."""

    def wrap(function: Callable[..., Any]) -> Any:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": SUMS if reorder else False}
        if FOLDER is None:
            return numba.njit(**options)(function)
        with _lock:
            before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(FOLDER)
            try:
                return numba.njit(cache=True, **options)(function)
            finally:
                numba.config.CACHE_DIR = before

    return wrap


def _tell() -> None:
    """Say that the calls to come compile, where they will: this module is imported just before them."""
    if FOLDER is None:
        log.warning("compiling the projection kernels for this process (about 20 s): no folder can be written")
    elif not (FOLDER / MARK).exists():
        log.warning("compiling the projection kernels, once on this machine (about 20 s), into %s", FOLDER)


def mark_complete() -> None:
    """Note that the machine code on disk serves a whole solve."""
    if FOLDER is not None and not (FOLDER / MARK).exists():
        try:
            (FOLDER / MARK).touch()
        except OSError as error:
            log.info("could not note that the kernels are compiled: %s", error)


_tell()
