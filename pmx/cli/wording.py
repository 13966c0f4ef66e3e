"""Messages of the library as a person at a terminal should read them: options in place of Python arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Arguments of the library and the options that stand for them, the same in every command.
OPTIONS: Mapping[str, str] = {
    "adv": "--adv",
    "nav": "--nav",
    "previous": "--previous",
    "gated": "--gate",
    "risk_scale": "--scale",
    "covariance": "--covariance",
    "engine": "--engine",
    "engines": "--engine",
    "targets": "--targets",
    "cash_rate": "--cash-rate",
    "initial_nav": "--initial-nav",
    "costs": "--cost-bps",
    "trade_at": "--trade-at",
    "journal": "--journal",
    "audit": "--audit",
    "prices": "--prices",
    "start": "--start",
    "end": "--end",
}
#: What differs in a command.
OF_COMMAND: Mapping[str, Mapping[str, str]] = {
    "solve": {"targets": "--weights", "weights": "--weights", "relative_weights": "--weights"},
}
#: Advice that only holds in Python, and what holds in a file.
BUCKETS = re.compile(r"pass buckets=\{[^}]*\}")
NAMED_IN_FILE = "name its bucket in the file (columns bucket,symbol,weight)"


def in_options(text: str, command: str = "") -> str:
    """Return a message in which arguments such as ``adv=`` are options such as ``--adv``.

    An argument is meant where its name is followed by an equals sign and nothing that could be its value, and where it
    begins the message.

    Examples
    --------
    >>> in_options("pass adv= (average daily value traded by symbol) and nav=, or set participation to null")
    'pass --adv (average daily value traded by symbol) and --nav, or set participation to null'
    >>> in_options("adv of GLD is nan; give its average daily value traded, in base currency")
    '--adv of GLD is nan; give its average daily value traded, in base currency'
    """
    options = {**OPTIONS, **OF_COMMAND.get(command, {})}
    names = "|".join(sorted(options, key=len, reverse=True))
    text = BUCKETS.sub(NAMED_IN_FILE, text)
    text = re.sub(rf"(?<![\w.\-])({names})=(?=[\s,;.:)]|$)", lambda found: options[found[1]], text)
    return re.sub(rf"^({names})(?= (?:of|is|has|names|on|must|starts|does)\b)", lambda found: options[found[1]], text)
