"""Whether a forecaster as a whole is still healthy, from its audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from pmx.arguments import checked
from pmx.errors import LedgerError
from pmx.execution import AuditLine
from pmx.signals.success import Result

if TYPE_CHECKING:
    from pmx.policy.schema import ForecasterMonitoring

_NOBODY = pd.MultiIndex.from_arrays([[], []], names=["source", "symbol"])


@dataclass(frozen=True, eq=False)
class Health:
    """Hold the state of a forecaster.

    Attributes
    ----------
    judged : int
        Latest PASS and FAIL verdicts that were looked at.
    fail_fraction, negative_profit_fraction : float
        Of these; NaN where there is none.
    reasons : tuple of str
        Ceilings that were passed, and that the log has ended, if it has; empty if healthy, or if too little is known.
    concluded : bool
        Whether there were ``min_signals`` verdicts.
    table : DataFrame
        By source and symbol: ``judged``, ``fail``, ``negative_profit`` (fractions), mean ``expected_profit``,
        ``gated`` (at the last line) and the criteria that were missed most.
    """

    judged: int
    fail_fraction: float
    negative_profit_fraction: float
    reasons: tuple[str, ...]
    concluded: bool
    table: pd.DataFrame

    @property
    def healthy(self) -> bool:
        """Return whether there are no reasons to think otherwise."""
        return not self.reasons


@checked
def health_of(lines: Sequence[AuditLine], config: ForecasterMonitoring, *, not_before: date | None = None) -> Health:
    """Judge a forecaster by the latest lines of its audit log.

    Parameters
    ----------
    lines : sequence of AuditLine
        In the order of the log. Unproven signals among them are passed over.
    config : ForecasterMonitoring
        ``policy.forecaster_monitoring``: how many verdicts, and the ceilings.
    not_before : date, optional
        A log without a line, or whose last one is of an earlier day, is unhealthy. An engine that is silent writes no
        line, so only one that speaks at every bar has to have written lately.

    Returns
    -------
    Health

    Raises
    ------
    LedgerError
        If ``not_before`` is given, and the last line has no date.

    Examples
    --------
    >>> import pmx
    >>> health_of([], pmx.load_policy().forecaster_monitoring).concluded
    False
    """
    latest = [line for line in lines if line.result is not Result.UNPROVEN][-config.lookback_signals :]
    frame = pd.DataFrame(
        {
            "source": [line.source for line in latest],
            "symbol": [line.symbol for line in latest],
            "fail": [line.result is Result.FAIL for line in latest],
            "expected_profit": [line.figures["expected_profit"] for line in latest],
            "gated": [line.gated for line in latest],
            "missed": [line.missed for line in latest],
        }
    )
    frame["negative_profit"] = frame["expected_profit"] < 0.0
    fails, negative = float(frame["fail"].mean()), float(frame["negative_profit"].mean())
    concluded = len(latest) >= config.min_signals
    reasons = [] if not_before is None else _ended(lines, not_before)
    if concluded:
        for share, ceiling, what in (
            (fails, config.max_fail_fraction, "of the verdicts are FAIL: above max_fail_fraction"),
            (
                negative,
                config.max_negative_expected_profit_fraction,
                "have a negative expected profit: above max_negative_expected_profit_fraction",
            ),
        ):
            if share > ceiling:
                reasons.append(f"{share:.1%} {what}, {ceiling:.1%}")
    return Health(len(latest), fails, negative, tuple(reasons), concluded, _by_symbol(frame))


def _ended(lines: Sequence[AuditLine], not_before: date) -> list[str]:
    """Return that a log has ended, if it has."""
    if not lines:
        return ["the log has no line"]
    last = lines[-1]
    try:
        day = last.moment.date()
    except ValueError as error:
        raise LedgerError(f"audit log: line {last.number}: {error}; leave the age of the log out") from error
    return [] if day >= not_before else [f"the last line is of {last.date}, before {not_before:%Y-%m-%d}"]


@checked
def health_table(health: Health, *, gates: bool = True) -> pd.DataFrame:
    """Return the table of a health as text, one row a source and symbol; "–" for a gate that may not shut.

    Parameters
    ----------
    health : Health
        What is shown.
    gates : bool
        Whether gates may shut: ``barbell.enable_barbell_validation``.
    """
    rows = health.table.reset_index()
    return pd.DataFrame(
        {
            "source": rows["source"],
            "symbol": rows["symbol"],
            "judged": rows["judged"].map("{:,}".format),
            "FAIL": rows["fail"].map("{:.1%}".format),
            "negative profit": rows["negative_profit"].map("{:.1%}".format),
            "expected profit": rows["expected_profit"].map("{:+.3%}".format),
            "gate": rows["gated"].map({True: "shut", False: "open" if gates else "–"}),
            "missed most": rows["missed"],
        }
    )


def _by_symbol(frame: pd.DataFrame) -> pd.DataFrame:
    columns = ["judged", "fail", "negative_profit", "expected_profit", "gated", "missed"]
    rows, keys = [], []
    for key, some in frame.groupby(["source", "symbol"]):
        missed = pd.Series([name for names in some["missed"] for name in names], dtype="str").value_counts()
        keys.append(key)
        rows.append(
            (
                len(some),
                float(some["fail"].mean()),
                float(some["negative_profit"].mean()),
                float(some["expected_profit"].mean()),
                bool(some["gated"].iloc[-1]),
                ", ".join(map(str, missed.index[:3])),
            )
        )
    index = pd.MultiIndex.from_tuples(keys, names=["source", "symbol"]) if keys else _NOBODY
    return pd.DataFrame(rows, index=index, columns=columns)
