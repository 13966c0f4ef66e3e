"""Compile loops once on a machine; keep the result where the next process finds it.

The folder's name is made of the sources, so that a changed kernel never meets the machine code of an older one. It lies
beside the sources where they can be written, else in the user's cache; where nothing can be written, the kernels
are compiled in memory by every process.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache

log = logging.getLogger("pmx.projection")
HERE = Path(__file__).resolve().parent
#: Sums may be reordered (and so vectorised); infinities and NaN keep their meaning.
SUMS = {"reassoc", "contract", "nsz"}


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
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
_announced = False


class TolerantCache(FunctionCache):  # type: ignore[misc]
    """A cache that is a convenience: where it cannot be read or written, the function is compiled in memory."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return a compiled version from disk; None when there is none that can be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001  (whatever a damaged file makes the reader raise)
            log.warning("a compiled kernel in %s cannot be read (%s); compiling it again", self.cache_path, error)
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled version on disk if possible."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001  (a full disk, a damaged index, no permission: none may stop a solve)
            log.warning("a compiled kernel cannot be kept in %s (%s)", self.cache_path, error)


def compiled(*, reorder: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function: no Python objects, the interpreter's lock released, sums reordered only where asked."""

    def wrap(function: Callable[..., Any]) -> Any:
        fastmath: Any = SUMS if reorder else False
        dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
        if FOLDER is not None and not numba.config.DISABLE_JIT:
            with _lock:
                before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(FOLDER)
                try:
                    dispatcher._cache = TolerantCache(function)
                finally:
                    numba.config.CACHE_DIR = before
        return dispatcher

    return wrap


def announce(module: str, name: str) -> None:
    """Say that a function is about to be compiled, if it is; once in a process."""
    global _announced
    if _announced or (FOLDER is not None and any(FOLDER.glob(f"*/{module}.{name}-*.nbi"))):
        return
    _announced = True
    if FOLDER is None:
        log.warning("pmx compiles its kernels for this process (up to half a minute): no folder can be written")
    else:
        log.warning("pmx compiles its kernels, once on this machine (up to half a minute), into %s", FOLDER)
