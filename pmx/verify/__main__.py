"""``python -m pmx.verify run.jsonl``: the same as ``pmx verify``, where nothing but Python is installed."""

from __future__ import annotations

import sys

from .verdict import verify
from .words import UNREADABLE, exit_code, unreadable, words


def main(arguments: list[str]) -> int:
    """Verify the journals named on the command line; return the exit code."""
    if not arguments or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m pmx.verify JOURNAL ...", file=sys.stderr)
        return UNREADABLE
    codes = []
    for path in arguments:
        try:
            verdict = verify(path)
        except OSError as error:
            print(unreadable(path, error), file=sys.stderr)
            codes.append(UNREADABLE)
            continue
        print("\n".join(words(path, verdict)))
        codes.append(exit_code(verdict))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
