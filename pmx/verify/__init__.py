"""Check a journal of solves without trusting what wrote it.

Standard library only, exact rational arithmetic, and nothing of the code that solves, judges or explains: this folder
may be copied anywhere and run there (``python -m verify run.jsonl``).
"""

from .verdict import Finding, Verdict, verify

__all__ = ["Finding", "Verdict", "verify"]
