"""The compiled loops of the projection: writing a program's numbers, the fast engine, the certificate, many accounts.

numba is imported here and nowhere else, and nothing here is imported before it is wanted: :func:`kernel` does that.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def kernel(module: str, name: str) -> Any:
    """Return a compiled function by its module here and its name, just before its first call; or a record or constant.

    The first call of a function compiles it unless an earlier process has, and a warning says so.
    """
    found = getattr(import_module(f"{__name__}.{module}"), name)
    if hasattr(found, "py_func"):
        import_module(f"{__name__}.compiled").announce(module, name)
    return found
