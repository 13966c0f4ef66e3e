"""A verdict in words, and as an exit code."""

from __future__ import annotations

from .exact import shown
from .verdict import Verdict

HOLDS, REFUSED, UNREADABLE = 0, 1, 2

#: Findings that are shown.
MOST_SHOWN = 20


def exit_code(verdict: Verdict) -> int:
    """Return 0 when everything holds, 1 when something does not."""
    return HOLDS if verdict.accepted else REFUSED


def words(path: str, verdict: Verdict) -> list[str]:
    """Return a verdict in lines of text; the first one says all."""
    if not verdict.accepted:
        found = len(verdict.findings)
        more = [f"  and {found - MOST_SHOWN} more"] if found > MOST_SHOWN else []
        first = f"REFUSED  {_printable(path)}: {found} {'thing is' if found == 1 else 'things are'} off"
        return [first, *(f"  {finding}" for finding in verdict.findings[:MOST_SHOWN]), *more]
    off = f", {verdict.bypassed:,} under a policy that is switched off" if verdict.bypassed else ""
    sessions, policies = _count(verdict.sessions, "session"), _count(len(verdict.policies), "policy", "policies")
    what_if = f", {verdict.what_ifs:,} with a bound moved to ask what if" if verdict.what_ifs else ""
    counted = f"{_count(verdict.solves, 'solve')} ({verdict.relaxed:,} relaxed{off}{what_if})"
    refused = f" and {_count(verdict.refusals, 'refusal')}" if verdict.refusals else ""
    return [
        f"HOLDS  {_printable(path)}: {counted}{refused} in {sessions} under {policies}",
        *_refusals(verdict),
        f"  no hard rule is overrun by more than {shown(verdict.violation)} of NAV",
        f"  no answer is further from its optimum than {shown(verdict.distance)}, of limits moved by "
        f"{shown(verdict.moved)} at most ({shown(verdict.distance_as_written)} of limits as they are written)",
        "  every attribution sums, every price is what its rule did, every weight obeys the policy's own numbers,",
        f"  every limit is the policy's, no tighter and no looser{_what_ifs(verdict)}",
        f"  last hash {verdict.head}",
    ]


def _what_ifs(verdict: Verdict) -> str:
    """Say which solves are not held to every number of the policy; a journal alone says that they are what-ifs."""
    if not verdict.what_ifs:
        return ""
    return f"; but {_count(verdict.what_ifs, 'what-if')} of which penalties are not held to the policy"


def _refusals(verdict: Verdict) -> list[str]:
    """Say what is known of the refusals: a clash is proven, the rest stands as it was written."""
    left = verdict.refusals - verdict.proven
    lines = []
    if verdict.proven:
        lines.append(f"  {_count(verdict.proven, 'refusal')}: the rules named are proven to clash")
    if left:
        lines.append(
            f"  {_count(left, 'refusal')}: nothing proven (bad input, cones, whole lots, no answer found); chain intact"
        )
    return lines


def unreadable(path: str, error: OSError) -> str:
    """Return the message for a file that cannot be read."""
    return f"cannot read {_printable(path)} ({error.strerror or error}); name a journal"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
